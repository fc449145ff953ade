//! An MQTT client for synchronous Rust in the shape of Python's paho-mqtt.

pub mod client;
pub mod codec;
pub mod error;
pub mod topic;

mod session;
mod transport;

mod reason_code;
