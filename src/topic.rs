//! Topic Names and Topic Filters: what is allowed, and which filter matches which name.
//!
//! Pure text work, used by every floor above: the codec checks what a peer sends, the client checks what the
//! application passes, and a [`FilterMap`] finds the callbacks of a received message.

mod filter_map;

pub use filter_map::{FilterId, FilterMap, Matches};

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::error::{Error, Result};

/// A Topic Name: cheap to clone, reads as `str`.
///
/// ```
/// use callmq::topic::TopicName;
///
/// let topic = TopicName::new("house/sensor1")?;
/// assert_eq!(topic, "house/sensor1");
/// assert!(topic.starts_with("house/"));
/// assert!(TopicName::new("house/+").is_err());
/// # Ok::<(), callmq::error::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Makes a name after checking it.
    ///
    /// # Errors
    ///
    /// Those of [`check_topic`].
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        check_topic(name)?;
        Ok(Self::from_checked(name))
    }

    /// The empty name, which only a PUBLISH with a Topic Alias may carry (MQTT 5.0, section 3.3.2.1).
    pub fn empty() -> Self {
        Self::default()
    }

    /// A name that is known to obey the rules (it comes from a decoded packet), or that is checked before it is sent.
    pub(crate) fn from_checked(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks a Topic Name for publishing.
///
/// # Errors
///
/// [`Error::InvalidArgument`] if it is empty, contains `+`, `#` or U+0000, or is longer than 65,535 bytes.
///
/// # Examples
///
/// ```
/// use callmq::topic::check_topic;
///
/// assert!(check_topic("house/sensor1").is_ok());
/// assert_eq!(check_topic("house/#").unwrap_err().to_string(), "invalid topic: must not contain wildcards (+ or #)");
/// ```
///
/// See MQTT 5.0, section 4.7.
pub fn check_topic(topic: &str) -> Result<()> {
    // The common case in one go, since this is asked for each message that is published.
    if (1..=usize::from(u16::MAX)).contains(&topic.len()) && is_free_of_specials(topic.as_bytes()) {
        return Ok(());
    }
    check_text("topic", topic)?;
    // [MQTT-3.3.2-2]
    if has_wildcard(topic) {
        return Err(Error::argument("topic", "must not contain wildcards (+ or #)"));
    }
    Ok(())
}

/// Checks a Topic Filter for subscribing.
///
/// # Errors
///
/// [`Error::InvalidArgument`] if it is empty, contains U+0000, is longer than 65,535 bytes, or has `#` or `+` where the
/// standard does not allow it; likewise for a malformed `$share/GROUP/FILTER`.
///
/// # Examples
///
/// ```
/// use callmq::topic::check_filter;
///
/// assert!(check_filter("house/+/temperature").is_ok());
/// assert!(check_filter("$share/workers/jobs/#").is_ok());
/// assert_eq!(check_filter("house/#/x").unwrap_err().to_string(), "invalid filter: # must be the last level");
/// ```
///
/// See MQTT 5.0, sections 4.7 and 4.8.2.
pub fn check_filter(filter: &str) -> Result<()> {
    check_text("filter", filter)?;
    let levels = match filter.strip_prefix(SHARE_PREFIX) {
        None => filter,
        Some(shared) => check_share(shared)?,
    };
    let mut levels = levels.split('/').peekable();
    while let Some(level) = levels.next() {
        match level {
            // [MQTT-4.7.1-1]
            "#" if levels.peek().is_some() => {
                return Err(Error::argument("filter", "# must be the last level"));
            }
            "#" | "+" => {}
            // [MQTT-4.7.1-2]
            _ if has_wildcard(level) => {
                return Err(Error::argument("filter", "+ or # must stand alone in its level"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns whether a Topic Filter matches a Topic Name.
///
/// `+` stands for one level, `#` for any number of levels including none. Neither matches a first level that begins with
/// `$`. The `$share/GROUP/` of a shared subscription takes no part. A malformed filter matches nothing, nor does an
/// empty one.
///
/// ```
/// use callmq::topic::matches;
///
/// assert!(matches("house/+/light", "house/kitchen/light"));
/// assert!(matches("house/#", "house"));
/// assert!(!matches("#", "$SYS/broker/uptime"));
/// ```
///
/// See MQTT 5.0, section 4.7.
pub fn matches(filter: &str, topic: &str) -> bool {
    let (_, filter) = split_share(filter);
    if filter.is_empty() || topic.is_empty() {
        return false;
    }
    // [MQTT-4.7.2-1]
    if topic.starts_with('$') && filter.starts_with(WILDCARDS) {
        return false;
    }
    let mut filter_levels = filter.split('/');
    let mut levels = topic.split('/');
    loop {
        match (filter_levels.next(), levels.next()) {
            (Some("#"), _) => return filter_levels.next().is_none(),
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Splits `$share/GROUP/FILTER` into its group and its filter; any other filter has no group.
fn split_share(filter: &str) -> (Option<&str>, &str) {
    match filter
        .strip_prefix(SHARE_PREFIX)
        .and_then(|shared| shared.split_once('/'))
    {
        Some((group, inner)) => (Some(group), inner),
        None => (None, filter),
    }
}

/// What names and filters have in common: [MQTT-4.7.3-1], [MQTT-4.7.3-2], [MQTT-4.7.3-3].
fn check_text(argument: &'static str, text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(Error::argument(argument, "must not be empty"));
    }
    if text.len() > usize::from(u16::MAX) {
        return Err(Error::argument(argument, "must not be longer than 65,535 bytes"));
    }
    if text.contains('\0') {
        return Err(Error::argument(argument, "must not contain U+0000"));
    }
    Ok(())
}

/// Checks what follows `$share/` and returns the filter in it.
fn check_share(shared: &str) -> Result<&str> {
    // [MQTT-4.8.2-2]
    let Some((group, filter)) = shared.split_once('/') else {
        return Err(Error::argument(
            "filter",
            "$share/GROUP must be followed by a filter",
        ));
    };
    // [MQTT-4.8.2-1]
    if group.is_empty() || has_wildcard(group) {
        return Err(Error::argument(
            "filter",
            "the group of $share/GROUP/FILTER must not be empty or contain + or #",
        ));
    }
    if filter.is_empty() {
        return Err(Error::argument(
            "filter",
            "$share/GROUP must be followed by a filter",
        ));
    }
    Ok(filter)
}

/// Whether there is no `+`, `#` or U+0000 in `text`: eight bytes at a time.
fn is_free_of_specials(text: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // Not 0 if and only if a byte of the word is 0.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let specials = |chunk: &[u8; 8]| {
        let word = u64::from_le_bytes(*chunk);
        zeros(word) | zeros(word ^ (ONES * u64::from(b'+'))) | zeros(word ^ (ONES * u64::from(b'#')))
    };
    let Some(last) = text.last_chunk() else {
        return !text.iter().any(|byte| matches!(byte, b'+' | b'#' | 0));
    };
    // The last eight bytes overlap those before; so nothing is left over.
    let (mut rest, mut found) = (text, specials(last));
    while let Some((first, others)) = rest.split_first_chunk() {
        found |= specials(first);
        rest = others;
    }
    found == 0
}

fn has_wildcard(text: &str) -> bool {
    text.contains(WILDCARDS)
}

impl Deref for TopicName {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for TopicName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

macro_rules! equals_text {
    ($($text:ty),*) => {$(
        impl PartialEq<$text> for TopicName {
            fn eq(&self, other: &$text) -> bool {
                let other: &str = other;
                self.as_str() == other
            }
        }

        impl PartialEq<TopicName> for $text {
            fn eq(&self, other: &TopicName) -> bool {
                other == self
            }
        }
    )*};
}

equals_text!(str, &str, String);

impl TryFrom<&str> for TopicName {
    type Error = Error;

    fn try_from(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

impl TryFrom<String> for TopicName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::new(name)
    }
}

impl std::str::FromStr for TopicName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

impl From<TopicName> for String {
    fn from(name: TopicName) -> Self {
        name.as_str().to_owned()
    }
}

const SHARE_PREFIX: &str = "$share/";
const WILDCARDS: [char; 2] = ['+', '#'];

#[cfg(test)]
mod tests;
