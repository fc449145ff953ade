//! Starts brokers for the tests of this package: a real mosquitto, and the crate's own, which is held to the same tests.
//! Runs programs against them through a recording proxy, and compares what they print and send with the recorded
//! transcripts of the Python programs they were ported from.
//!
//! Nothing else in here uses the crate's codec: what these tests see of the wire must not depend on what they test.

pub mod brand;
pub mod broker;
pub mod cluster;
pub mod compare;
pub mod log;
pub mod mosquitto;
#[path = "../../support/peer.rs"]
pub mod peer;
pub mod program;
pub mod proxy;
pub mod run;
mod service;
pub mod transcript;
pub mod vendored;
pub mod wire;

pub use brand::{Brand, Running, Way};
pub use broker::{Broker, BrokerKind};
pub use cluster::Cluster;
pub use mosquitto::Mosquitto;
pub use proxy::Proxy;
