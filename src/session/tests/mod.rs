//! The session without sockets: packets in, bytes and events out, the time moved by hand.
//!
//! What goes out is compared with bytes written by hand, not decoded with the crate's own codec.

mod support;

mod authentication;
mod both_versions;
mod connecting;
mod expiry;
mod incoming_limit;
mod keep_alive;
mod limits;
mod model;
mod model_incoming;
mod mqtt5;
mod mqtt5_flows;
mod own_limits;
mod publishing;
mod queueing;
mod receiving;
mod resuming;
mod runs;
mod subscribing;
mod topic_aliases;
mod tracing;
