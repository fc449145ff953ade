//! The tests of `tests/behaviours` in MQTT 5.0: the behaviour is that of MQTT 3.1.1.

use callmq::client::ProtocolVersion;

/// The version of the protocol under test.
const VERSION: ProtocolVersion = ProtocolVersion::V5;

#[path = "../behaviours/connecting.rs"]
mod connecting;
#[path = "../behaviours/failing_callbacks.rs"]
mod failing_callbacks;
#[path = "../behaviours/in_callbacks.rs"]
mod in_callbacks;
#[path = "../behaviours/journal.rs"]
mod journal;
#[path = "../behaviours/keep_alive.rs"]
mod keep_alive;
#[path = "../behaviours/network_loop.rs"]
mod network_loop;
#[path = "../behaviours/only_v5.rs"]
mod only_v5;
#[path = "../behaviours/packets.rs"]
mod packets;
#[path = "../behaviours/protocol_errors.rs"]
mod protocol_errors;
#[path = "../behaviours/publishing.rs"]
mod publishing;
#[path = "../behaviours/reconnecting.rs"]
mod reconnecting;
#[path = "../behaviours/return_values.rs"]
mod return_values;
#[path = "../behaviours/subscribing.rs"]
mod subscribing;
