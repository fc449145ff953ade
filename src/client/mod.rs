//! The client.

pub(crate) mod clock;
