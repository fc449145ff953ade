//! How the client behaves, one test for each fact that was measured of paho-mqtt: the same, or better where its users
//! suffer. The number in a test's name is that of the fact: section and row of the list of behaviours.
//!
//! Where a fact is about a broker the tests run a mosquitto; where it is about odd input, a scripted peer.

mod connecting;
mod failing_callbacks;
mod in_callbacks;
mod journal;
mod keep_alive;
mod network_loop;
mod packets;
mod protocol_errors;
mod publishing;
mod reconnecting;
mod return_values;
mod subscribing;
