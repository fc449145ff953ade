//! Topic Names and Topic Filters: what is allowed, and which filter matches which name.

mod filter_map;

pub use filter_map::FilterMap;

use std::sync::Arc;

use crate::error::{Error, Result};

/// A Topic Name: cheap to clone, reads as `str`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// A name that is known to obey the rules: it was checked, or it comes from a decoded packet.
    pub(crate) fn from_checked(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The name as text.
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
/// See MQTT 5.0, section 4.7.
pub fn check_topic(topic: &str) -> Result<()> {
    let _ = topic;
    Err(Error::argument("topic", "todo"))
}

/// Checks a Topic Filter for subscribing.
///
/// # Errors
///
/// [`Error::InvalidArgument`] if it is empty, contains U+0000, is longer than 65,535 bytes, or has `#` or `+` where the
/// standard does not allow it; likewise for a malformed `$share/GROUP/FILTER`.
///
/// See MQTT 5.0, sections 4.7 and 4.8.2.
pub fn check_filter(filter: &str) -> Result<()> {
    let _ = filter;
    Err(Error::argument("filter", "todo"))
}

/// Whether a Topic Filter matches a Topic Name.
pub fn matches(filter: &str, topic: &str) -> bool {
    let _ = (filter, topic);
    false
}

impl std::fmt::Debug for TopicName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self.as_str(), f)
    }
}
