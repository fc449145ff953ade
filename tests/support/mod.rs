//! What several test programs share.

pub mod peer;
pub mod proxies;
