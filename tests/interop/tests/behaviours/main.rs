//! How the client behaves, one test for each fact that was measured of paho-mqtt: the same, or better where its users
//! suffer. The number in a test's name is that of the fact: section and row of the list of behaviours.
//!
//! Where a fact is about odd input or exact times the tests run a scripted peer. Where it is about a broker they run
//! twice, with mosquitto and with the crate's own. None is left out: the few that wait in real time wait for the broker
//! (a keep alive that is exceeded, clients that throw each other out), and they sleep while others run.

use callmq::client::ProtocolVersion;

/// The version of the protocol under test. `tests/behaviours_v5` is the same with another one.
const VERSION: ProtocolVersion = ProtocolVersion::V311;

mod connecting;
mod failing_callbacks;
mod in_callbacks;
mod journal;
mod keep_alive;
mod network_loop;
mod only_v3;
mod packets;
mod protocol_errors;
mod publishing;
mod reconnecting;
mod return_values;
mod subscribing;
