//! What several test programs share.

pub mod name_server;
pub mod peer;
pub mod proxies;
