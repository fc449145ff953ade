//! Starts a real mosquitto for the tests of this package, runs programs against it through a recording proxy, and
//! compares what they print and send with the recorded transcripts of the Python programs they were ported from.
//!
//! Nothing in here uses the crate's codec: what these tests see of the wire must not depend on what they test.

pub mod compare;
pub mod mosquitto;
#[path = "../../support/peer.rs"]
pub mod peer;
pub mod program;
pub mod proxy;
pub mod run;
pub mod transcript;
pub mod vendored;
pub mod wire;

pub use mosquitto::Mosquitto;
pub use proxy::Proxy;
