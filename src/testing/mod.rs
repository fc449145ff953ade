//! An MQTT broker in the same process, and a clock moved by hand: for tests, and for trying things out.
//!
//! [`Broker`] speaks MQTT 3.1, 3.1.1 and 5.0: all levels of QoS in both directions, retained messages, Wills, sessions
//! that outlive the connection, wildcards, shared subscriptions, user names and passwords, and the limits and options
//! of MQTT 5.0. It is **not a broker for production**: it keeps everything in memory, serves all clients from one thread
//! (or from the threads of its clients), knows no TLS, and is built to be looked into rather than to be fast.
//!
//! A test has two ways to it:
//!
//! - [`Broker::listen`] serves a TCP port, for any client, also in other processes;
//! - [`Broker::new`] serves no port: a client connects with `client.connect(&broker)`, and what it writes is handled
//!   inside that write. There is no thread, no socket and no waiting, and time stands still until the test moves its
//!   [`Clock`]: each run takes the same course.
//!
//! ```
//! use callmq::testing::Broker;
//!
//! let broker = Broker::listen("127.0.0.1:0")?;
//! println!("point a client at {}", broker.address());
//! assert!(broker.connected_clients().is_empty());
//! # Ok::<(), callmq::error::Error>(())
//! ```

mod broker;
mod builder;
mod in_process;
mod listen;
mod log;
mod options;
mod shared;
mod state;

pub use broker::Broker;
pub use builder::BrokerBuilder;

pub use crate::client::clock::Clock;
