//! An MQTT client for synchronous Rust in the shape of Python's paho-mqtt.

pub mod client;
pub mod codec;
pub mod error;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
pub mod topic;

mod session;
mod transport;

mod reason_code;
