//! Hashes levels of filters: at a fraction of what the standard library's hash costs for a few bytes.
//!
//! Names may come from a peer, who would like them to collide. That takes the seed: it is random, each map has its own,
//! and no hash leaves the map.

use std::hash::{BuildHasher, Hasher, RandomState};

/// What makes the hashes of one map different from those of another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed([u64; 2]);

#[derive(Debug)]
pub(super) struct LevelHasher {
    key: u64,
    state: u64,
}

impl Seed {
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        Self([0, 1].map(|number: u8| random.hash_one(number)))
    }
}

impl BuildHasher for Seed {
    type Hasher = LevelHasher;

    #[inline]
    fn build_hasher(&self) -> LevelHasher {
        let [key, state] = self.0;
        LevelHasher { key, state }
    }
}

impl LevelHasher {
    /// Folds the product of two words that both depend on the seed: each bit of the result depends on all of theirs.
    #[inline]
    fn mix(&mut self, first: u64, last: u64) {
        let product = u128::from(first ^ self.key) * u128::from(last ^ self.state);
        self.state = product as u64 ^ (product >> 64) as u64;
    }
}

impl Hasher for LevelHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let len = bytes.len() as u64;
        let mut bytes = bytes;
        while let Some((block, rest)) = bytes.split_first_chunk::<16>() {
            let words = u128::from_le_bytes(*block);
            self.mix(words as u64, (words >> 64) as u64);
            bytes = rest;
        }
        // The first and the last bytes of the rest, which may overlap: a loop over them takes four times as long.
        if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            self.mix(u64::from_le_bytes(*first), u64::from_le_bytes(*last));
        } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            self.mix(first.into(), last.into());
        } else if let [first, .., last] = *bytes {
            let middle = bytes[bytes.len() / 2];
            self.mix(u64::from(first) << 8 | u64::from(middle), last.into());
        } else if let [only] = *bytes {
            self.mix(only.into(), 0);
        }
        // The length has a word of its own: otherwise it could make up for the last byte, whatever the seed is.
        self.mix(len, 0);
    }

    /// Text ends with a byte of its own; the length says as much.
    #[inline]
    fn write_u8(&mut self, _end: u8) {}

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn hash(seed: Seed, level: &str) -> u64 {
        seed.hash_one(level)
    }

    #[test]
    fn equal_levels_have_equal_hashes_and_others_differ() {
        let seed = Seed::random();
        let mut levels: Vec<String> = (0..100_000).map(|number| number.to_string()).collect();
        levels.extend((0..100).map(|length| "a".repeat(length)));
        for changed in 0..60 {
            let mut level = "b".repeat(60);
            level.replace_range(changed..=changed, "c");
            levels.push(level);
        }
        let hashes: HashSet<u64> = levels.iter().map(|level| hash(seed, level)).collect();
        assert_eq!(hashes.len(), levels.len());
        assert!(levels.iter().all(|level| hashes.contains(&hash(seed, level))));
    }

    #[test]
    fn both_ends_of_a_hash_are_spread() {
        // A table takes the place from the low bits, and tells entries apart by the high ones.
        let seed = Seed::random();
        for shift in [0, 57] {
            let mut counts = [0; 128];
            for number in 0..12_800 {
                let place = hash(seed, &format!("sensor-{number}")) >> shift & 0x7F;
                counts[place as usize] += 1;
            }
            // A hundred are expected; this is ten standard deviations away.
            assert!(counts.iter().all(|&count| count < 200), "{counts:?}");
        }
    }

    #[test]
    fn seeds_differ() {
        let hashes: HashSet<u64> = (0..100).map(|_| hash(Seed::random(), "level")).collect();
        assert_eq!(hashes.len(), 100);
    }
}
