//! Remembers Topic Names: a name that comes again costs neither a check nor an allocation.

use super::reader::check_utf8;
use super::rules::{self, Rule};
use crate::topic::TopicName;

/// Names of the last messages. A name has one place, chosen by its bytes; the next name for that place replaces it.
#[derive(Debug, Default)]
pub(super) struct TopicCache {
    names: [Option<TopicName>; PLACES],
}

impl TopicCache {
    /// Returns the Topic Name with these bytes, which are checked unless they are known. The empty name is allowed:
    /// only the packet as a whole tells whether it may stand.
    #[inline]
    pub(super) fn name(&mut self, bytes: &[u8]) -> Result<TopicName, &'static Rule> {
        let place = &mut self.names[place(bytes)];
        match place {
            Some(name) if name.as_str().as_bytes() == bytes => Ok(name.clone()),
            _ => new_name(bytes, place),
        }
    }
}

#[inline(never)]
fn new_name(bytes: &[u8], place: &mut Option<TopicName>) -> Result<TopicName, &'static Rule> {
    let text = check_utf8(bytes)?;
    check_wildcards(text, &rules::TOPIC_WILDCARD)?;
    let name = TopicName::from_checked(text);
    if bytes.len() <= LONGEST {
        *place = Some(name.clone());
    }
    Ok(name)
}

/// Checks that a Topic Name has no wildcards.
pub(super) fn check_wildcards(topic: &str, rule: &'static Rule) -> Result<(), &'static Rule> {
    if topic.contains(['+', '#']) {
        Err(rule)
    } else {
        Ok(())
    }
}

/// Names differ at the end more often than not, or else near the beginning.
#[inline]
fn place(bytes: &[u8]) -> usize {
    let mixed = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => u64::from_le_bytes(*last) ^ u64::from_le_bytes(*first).rotate_left(29),
        _ => bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    };
    // Multiplicative hashing: the product's highest bits depend on all bits.
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - PLACES.trailing_zeros())) as usize
}

/// A power of two.
const PLACES: usize = 16;

/// Longer names are not kept, so that the cache stays small.
const LONGEST: usize = 256;
