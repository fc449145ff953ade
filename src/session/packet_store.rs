//! Packets that are kept for a while, side by side in one buffer: to allocate for each of them takes longer than all else
//! that is done for a small message. They mostly leave as they came, one behind the other, and so they leave together.

use std::ops::Range;

use bytes::Bytes;

use crate::codec::{PlainPackets, ProtocolVersion};

/// The packets. What was taken out leaves a gap until there are more gaps than packets.
#[derive(Debug, Default)]
pub(super) struct PacketStore {
    bytes: Vec<u8>,
    /// How many of them are packets.
    used: usize,
}

/// Where one packet is, or several that stand side by side.
#[derive(Debug)]
pub(super) struct StoredPackets {
    version: ProtocolVersion,
    place: Range<usize>,
}

/// An emptied buffer keeps up to this much memory for the next packets: a window of 1000 messages of 200 bytes.
const RETAINED_CAPACITY: usize = 256 * 1024;

/// Gaps of so many bytes do not matter.
const GAPS: usize = 64 * 1024;

/// Who keeps a message keeps those that were taken out together with it: these are not many more bytes.
const TOGETHER: usize = 32 * 1024;

impl PacketStore {
    /// Puts in a packet of this version.
    #[inline]
    pub(super) fn put(&mut self, version: ProtocolVersion, packet: &[u8]) -> StoredPackets {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(packet);
        self.used += packet.len();
        StoredPackets {
            version,
            place: start..self.bytes.len(),
        }
    }

    fn get(&self, stored: &StoredPackets) -> &[u8] {
        self.bytes.get(stored.place.clone()).unwrap_or_default()
    }

    /// Takes out packets, of which there are `count`.
    pub(super) fn take(&mut self, stored: &StoredPackets, count: usize) -> PlainPackets {
        let bytes = Bytes::copy_from_slice(self.get(stored));
        self.remove(stored);
        PlainPackets::new(stored.version, bytes, count)
    }

    /// Forgets packets.
    pub(super) fn remove(&mut self, stored: &StoredPackets) {
        self.used = self.used.saturating_sub(stored.place.len());
        if self.used == 0 {
            self.bytes.clear();
            if self.bytes.capacity() > RETAINED_CAPACITY {
                // Given back whole: one that is made smaller and larger again and again costs more than a fresh one.
                self.bytes = Vec::new();
            }
        }
    }

    /// Whether the packets are to be moved to another store.
    #[inline]
    pub(super) fn has_wide_gaps(&self) -> bool {
        self.bytes.len() > 2 * self.used + GAPS
    }

    /// Moves a packet here.
    pub(super) fn put_from(&mut self, other: &Self, stored: &mut StoredPackets) {
        *stored = self.put(stored.version, other.get(stored));
    }
}

impl StoredPackets {
    /// Whether `next` stands behind these, and they are not too many to be taken out together with it.
    #[inline]
    pub(super) fn adjoins(&self, next: &Self) -> bool {
        next.place.start == self.place.end && next.version == self.version && self.place.len() < TOGETHER
    }

    /// Takes in `next`, which [`adjoins`](Self::adjoins).
    #[inline]
    pub(super) fn extend(&mut self, next: &Self) {
        self.place.end = next.place.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: ProtocolVersion = ProtocolVersion::V311;

    #[test]
    fn packets_stay_in_their_places_and_gaps_are_reported() {
        let mut store = PacketStore::default();
        let first = store.put(VERSION, b"first");
        let mut most = 0;
        while !store.has_wide_gaps() {
            let stored = store.put(VERSION, &[7; 100]);
            assert_eq!(store.get(&stored), [7; 100]);
            store.remove(&stored);
            most += 100;
            assert!(most < 2 * GAPS);
        }
        assert_eq!(store.get(&first), b"first");
        store.remove(&first);
        assert!(store.bytes.is_empty() && store.bytes.capacity() <= RETAINED_CAPACITY);
        assert_eq!(store.get(&first), b"");
    }

    #[test]
    fn an_emptied_buffer_keeps_a_bounded_amount_of_memory() {
        let mut store = PacketStore::default();
        for size in [RETAINED_CAPACITY, 2 * RETAINED_CAPACITY] {
            let stored = store.put(VERSION, &vec![1; size]);
            store.remove(&stored);
            assert!(store.bytes.capacity() <= RETAINED_CAPACITY);
        }
    }

    #[test]
    fn packets_side_by_side_are_one_up_to_a_bound() {
        let mut store = PacketStore::default();
        let [mut first, second, third] = [b"one", b"two", b"six"].map(|packet| store.put(VERSION, packet));
        assert!(first.adjoins(&second) && !first.adjoins(&third));
        first.extend(&second);
        assert!(first.adjoins(&third));
        first.extend(&third);
        assert_eq!(store.get(&first), b"onetwosix");
        let newer = store.put(ProtocolVersion::V5, b"new");
        assert!(!first.adjoins(&newer), "of another version");
        let long = store.put(VERSION, &[0; TOGETHER]);
        let next = store.put(VERSION, b"x");
        assert!(!long.adjoins(&next));
    }
}
