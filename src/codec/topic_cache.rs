//! Remembers Topic Names: a name that comes again costs neither a check nor an allocation.

use super::reader::check_utf8;
use super::rules::{self, Rule};
use crate::topic::TopicName;

/// Names of the last messages. A name has one place, chosen by its bytes; the next name for that place replaces it.
#[derive(Debug, Default)]
pub(super) struct TopicCache {
    /// Empty until the first name comes: who only publishes needs none.
    names: Vec<Option<(Ends, TopicName)>>,
}

impl TopicCache {
    /// Returns the Topic Name with these bytes if it is remembered. The empty name never is.
    #[inline]
    pub(super) fn known(&self, bytes: &[u8]) -> Option<&TopicName> {
        let ends = Ends::of(bytes);
        match self.names.get(ends.place())? {
            Some((known, name)) if *known == ends && (ends.is_all() || name.as_str().as_bytes() == bytes) => {
                Some(name)
            }
            _ => None,
        }
    }

    /// Returns the Topic Name with these bytes, which are checked unless they are known. The empty name is allowed:
    /// only the packet as a whole tells whether it may stand.
    pub(super) fn name(&mut self, bytes: &[u8]) -> Result<TopicName, &'static Rule> {
        if let Some(name) = self.known(bytes) {
            return Ok(name.clone());
        }
        let text = check_utf8(bytes)?;
        check_wildcards(text, &rules::TOPIC_WILDCARD)?;
        let name = TopicName::from_checked(text);
        if (1..=LONGEST).contains(&bytes.len()) {
            let ends = Ends::of(bytes);
            self.names.resize_with(PLACES, || None);
            self.names[ends.place()] = Some((ends, name.clone()));
        }
        Ok(name)
    }
}

/// The first and the last eight bytes of a name, and its length: all of a short one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    first: u64,
    last: u64,
    len: usize,
}

impl Ends {
    #[inline(always)]
    fn of(bytes: &[u8]) -> Self {
        let len = bytes.len();
        if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
            Self { first, last, len }
        } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            Self {
                first: first.into(),
                last: last.into(),
                len,
            }
        } else if let [first, .., last] = *bytes {
            Self {
                first: u64::from(first) << 8 | u64::from(bytes[len / 2]),
                last: last.into(),
                len,
            }
        } else {
            let only = bytes.first().copied().unwrap_or(0).into();
            Self {
                first: only,
                last: only,
                len,
            }
        }
    }

    /// Whether there is nothing between them.
    #[inline(always)]
    fn is_all(self) -> bool {
        self.len <= 16
    }

    /// Names differ at the end more often than not, or else near the beginning.
    #[inline(always)]
    fn place(self) -> usize {
        let mixed = self.last ^ self.first.rotate_left(29);
        // Multiplicative hashing: the product's highest bits depend on all bits.
        (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - PLACES.trailing_zeros())) as usize
    }
}

/// Checks that a Topic Name has no wildcards.
pub(super) fn check_wildcards(topic: &str, rule: &'static Rule) -> Result<(), &'static Rule> {
    if topic.bytes().any(|byte| matches!(byte, b'+' | b'#')) {
        Err(rule)
    } else {
        Ok(())
    }
}

/// A power of two.
const PLACES: usize = 16;

/// Longer names are not kept, so that the cache stays small.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_again_is_the_same_allocation() {
        let mut cache = TopicCache::default();
        for text in ["t", "a/topic/of/some/length"] {
            assert!(cache.known(text.as_bytes()).is_none());
            let first = cache.name(text.as_bytes()).unwrap();
            let again = cache.name(text.as_bytes()).unwrap();
            assert_eq!(first.as_str(), text);
            assert_eq!(first.as_str().as_ptr(), again.as_str().as_ptr());
        }
    }

    #[test]
    fn names_that_take_turns_stay_known() {
        let mut cache = TopicCache::default();
        let texts: Vec<String> = (0..4).map(|number| format!("house/sensor/{number}")).collect();
        for text in &texts {
            cache.name(text.as_bytes()).unwrap();
        }
        let known = texts.iter().filter(|text| cache.known(text.as_bytes()).is_some());
        assert!(known.count() >= 3);
    }

    #[test]
    fn names_that_differ_anywhere_are_different() {
        let base: Vec<u8> = (b'a'..=b'z').collect();
        for len in 1..=base.len() {
            let mut cache = TopicCache::default();
            cache.name(&base[..len]).unwrap();
            assert!(cache.known(&base[..len]).is_some());
            for changed in 0..len {
                let mut other = base[..len].to_vec();
                other[changed] = b'/';
                assert!(cache.known(&other).is_none(), "{len} {changed}");
            }
            assert!(cache.known(&base[..len - 1]).is_none());
        }
    }

    #[test]
    fn empty_and_long_names_are_not_kept() {
        let mut cache = TopicCache::default();
        for text in [String::new(), "x".repeat(LONGEST + 1)] {
            assert_eq!(cache.name(text.as_bytes()).unwrap().as_str(), text);
            assert!(cache.known(text.as_bytes()).is_none());
        }
        assert!(cache.names.iter().all(Option::is_none));
    }

    #[test]
    fn a_refused_name_is_not_kept() {
        let mut cache = TopicCache::default();
        for name in [&b"a/#"[..], b"+", b"\xFF", b"a\0"] {
            assert!(cache.name(name).is_err());
            assert!(cache.name(name).is_err());
        }
    }
}
