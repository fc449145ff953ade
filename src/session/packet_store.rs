//! Packets that are kept for a while, side by side in one buffer: to allocate for each of them takes longer than all else
//! that is done for a small message.

use std::ops::Range;

/// The packets. What was taken out leaves a gap until there are more gaps than packets.
#[derive(Debug, Default)]
pub(super) struct PacketStore {
    bytes: Vec<u8>,
    /// How many of them are packets.
    used: usize,
}

/// An emptied buffer keeps so much memory, and gaps of so many bytes do not matter.
const SMALL: usize = 64 * 1024;

impl PacketStore {
    /// Puts a packet in, and returns its place.
    pub(super) fn put(&mut self, packet: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(packet);
        self.used += packet.len();
        start..self.bytes.len()
    }

    pub(super) fn get(&self, place: Range<usize>) -> &[u8] {
        self.bytes.get(place).unwrap_or_default()
    }

    /// Takes a packet out.
    pub(super) fn remove(&mut self, place: Range<usize>) {
        self.used = self.used.saturating_sub(place.len());
        if self.used == 0 {
            self.bytes.clear();
            if self.bytes.capacity() > SMALL {
                self.bytes.shrink_to(SMALL);
            }
        }
    }

    /// Whether the packets are to be moved to another store.
    pub(super) fn has_wide_gaps(&self) -> bool {
        self.bytes.len() > 2 * self.used + SMALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_stay_in_their_places_and_gaps_are_reported() {
        let mut store = PacketStore::default();
        let first = store.put(b"first");
        let mut most = 0;
        while !store.has_wide_gaps() {
            let place = store.put(&[7; 100]);
            assert_eq!(store.get(place.clone()), [7; 100]);
            store.remove(place);
            most += 100;
            assert!(most < 2 * SMALL);
        }
        assert_eq!(store.get(first.clone()), b"first");
        store.remove(first.clone());
        assert!(store.bytes.is_empty() && store.bytes.capacity() <= SMALL);
        assert_eq!(store.get(first), b"");
    }
}
