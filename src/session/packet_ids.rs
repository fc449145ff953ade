//! Packet Identifiers: the one counter of message ids, and which identifiers are in use.

use std::num::NonZeroU16;

use crate::codec::PacketId;

/// Hands out message ids and Packet Identifiers.
///
/// One counter serves PUBLISH of every QoS, SUBSCRIBE and UNSUBSCRIBE. It starts at 1, wraps from 65,535 to 1 and is
/// not reset by a new connection. A message of QoS 0 has no Packet Identifier; the application knows it by the
/// counter's value.
#[derive(Debug)]
pub(super) struct PacketIds {
    next: u16,
    /// One bit per identifier, grown as far as identifiers were used.
    used: Vec<u64>,
    in_use: usize,
}

/// How many identifiers there are.
pub(super) const ALL_IDS: usize = u16::MAX as usize;

impl PacketIds {
    pub(super) fn new() -> Self {
        Self {
            next: 1,
            used: Vec::new(),
            in_use: 0,
        }
    }

    /// The counter's value, for a message that needs no identifier (yet).
    pub(super) fn next_mid(&mut self) -> u16 {
        let mid = self.next;
        self.next = following(mid);
        mid
    }

    /// Takes the next identifier that is not in use: a new Control Packet gets one that is currently unused
    /// [MQTT-2.3.1-2] (5.0: [MQTT-2.2.1-3]).
    #[inline]
    pub(super) fn reserve(&mut self) -> Option<PacketId> {
        let id = self.next_free(self.next)?;
        self.take(id);
        self.next = following(id.get());
        Some(id)
    }

    /// Takes the identifier `wanted` if it is free, else the next free one. The counter stays where it is.
    pub(super) fn reserve_near(&mut self, wanted: u16) -> Option<PacketId> {
        let id = self.next_free(wanted)?;
        self.take(id);
        Some(id)
    }

    /// Undoes the last `reserve`: the call was rejected and uses no identifier up.
    pub(super) fn undo(&mut self, id: PacketId) {
        self.release(id);
        self.next = id.get();
    }

    /// The exchange has ended: the identifier may be used again [MQTT-2.3.1-3].
    #[inline]
    pub(super) fn release(&mut self, id: PacketId) {
        let (word, bit) = place(id.get());
        if let Some(word) = self.used.get_mut(word) {
            if *word & bit != 0 {
                *word &= !bit;
                self.in_use -= 1;
            }
        }
    }

    pub(super) fn free(&self) -> usize {
        ALL_IDS - self.in_use
    }

    #[inline]
    fn take(&mut self, id: PacketId) {
        let (word, bit) = place(id.get());
        if word >= self.used.len() {
            self.used.resize(word + 1, 0);
        }
        self.used[word] |= bit;
        self.in_use += 1;
    }

    /// The first free identifier from `start` on, going round.
    #[inline]
    fn next_free(&self, start: u16) -> Option<PacketId> {
        let (word, bit) = place(start);
        if self.used.get(word).is_none_or(|word| word & bit == 0) {
            // Mostly it is that one. There is no identifier 0.
            if let Some(id) = PacketId::new(start) {
                return Some(id);
            }
        }
        self.search_free(start)
    }

    #[inline(never)]
    fn search_free(&self, start: u16) -> Option<PacketId> {
        if self.in_use == ALL_IDS {
            return None;
        }
        self.free_in(start.max(1), u16::MAX)
            .or_else(|| self.free_in(1, start.max(1)))
    }

    fn free_in(&self, first: u16, last: u16) -> Option<PacketId> {
        let mut id = u32::from(first);
        while id <= u32::from(last) {
            let word = self.used.get(id as usize / 64).copied().unwrap_or(0);
            let taken_from_here = (word >> (id % 64)).trailing_ones();
            if taken_from_here < 64 - id % 64 {
                id += taken_from_here;
                break;
            }
            id = (id / 64 + 1) * 64;
        }
        u16::try_from(id)
            .ok()
            .filter(|&id| id <= last)
            .and_then(NonZeroU16::new)
    }
}

fn following(mid: u16) -> u16 {
    if mid == u16::MAX { 1 } else { mid + 1 }
}

fn place(id: u16) -> (usize, u64) {
    (usize::from(id) / 64, 1 << (id % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserved(ids: &mut PacketIds) -> u16 {
        ids.reserve().expect("a free id").get()
    }

    #[test]
    fn ids_count_up_from_one_together_with_messages_without_identifier() {
        let mut ids = PacketIds::new();
        assert_eq!(reserved(&mut ids), 1);
        assert_eq!(ids.next_mid(), 2);
        assert_eq!(reserved(&mut ids), 3);
    }

    #[test]
    fn the_counter_wraps_to_one_and_skips_what_is_in_use() {
        let mut ids = PacketIds::new();
        assert_eq!(reserved(&mut ids), 1);
        assert_eq!(reserved(&mut ids), 2);
        for _ in 3..65_535 {
            ids.next_mid();
        }
        assert_eq!(reserved(&mut ids), 65_535);
        assert_eq!(reserved(&mut ids), 3);
    }

    #[test]
    fn a_released_id_is_used_again_only_when_the_counter_comes_round() {
        let mut ids = PacketIds::new();
        let first = ids.reserve().unwrap();
        ids.release(first);
        assert_eq!(reserved(&mut ids), 2);
    }

    #[test]
    fn all_ids_can_be_taken_and_each_is_found_again_wherever_it_is() {
        let mut ids = PacketIds::new();
        for _ in 0..ALL_IDS {
            ids.reserve().unwrap();
        }
        assert_eq!(ids.free(), 0);
        assert_eq!(ids.reserve(), None);
        for id in [1, 63, 64, 65, 127, 128, 40_000, 65_534, 65_535] {
            ids.release(NonZeroU16::new(id).unwrap());
            assert_eq!(ids.free(), 1);
            assert_eq!(reserved(&mut ids), id);
        }
    }

    #[test]
    fn a_wanted_id_is_given_if_it_is_free_and_the_next_free_one_if_not() {
        let mut ids = PacketIds::new();
        assert_eq!(ids.reserve_near(7).unwrap().get(), 7);
        assert_eq!(ids.reserve_near(7).unwrap().get(), 8);
        assert_eq!(reserved(&mut ids), 1);
    }

    #[test]
    fn releasing_twice_counts_once() {
        let mut ids = PacketIds::new();
        let id = ids.reserve().unwrap();
        ids.release(id);
        ids.release(id);
        assert_eq!(ids.free(), ALL_IDS);
    }
}
