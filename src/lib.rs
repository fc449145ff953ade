//! An MQTT client for synchronous Rust in the shape of Python's paho-mqtt.
//!
//! Register closures, connect, and let a background thread ([`loop_start`]), a blocking call ([`loop_forever`]) or your
//! own stepping ([`loop_once`]) move the bytes. MQTT 3.1, 3.1.1 and 5.0 with one client type (what 5.0 adds is listed
//! [there](client#mqtt-50)); no async runtime, no C, no `unsafe`.
//!
//! ```
//! use callmq::client as mqtt;
//! # use callmq::testing::Broker;
//!
//! # fn main() -> mqtt::Result<()> {
//! # let broker = Broker::listen("127.0.0.1:0")?;
//! # let (host, port) = ("127.0.0.1", broker.port());
//! let client = mqtt::Client::new("foo1");
//! client.on_connect(|client, _flags, reason_code, _properties| {
//!     println!("Connected with result code {}", reason_code.value());
//!     client.subscribe("test/topic")
//! });
//! client.on_message(|client, msg| {
//!     println!("{} {}", msg.topic, msg.payload);
//!     client.disconnect()
//! });
//! client.connect((host, port))?;
//! # client.on_subscribe(|client, _, _, _| client.publish("test/topic", "bar"));
//! client.loop_forever()
//! # }
//! ```
//!
//! # Modules
//!
//! | module | what it holds |
//! |---|---|
//! | [`client`] | [`Client`] and everything around it: `use callmq::client as mqtt;` stands for `import paho.mqtt.client as mqtt` |
//! | [`publish`], [`subscribe`] | one call that connects, publishes or receives, and disconnects |
//! | [`codec`] | every packet of MQTT 3.1, 3.1.1 and 5.0, from bytes and to bytes, without any I/O |
//! | [`topic`] | what Topic Names and Topic Filters may be, and which match |
//! | [`error`] | the one [`Error`] |
//! | `testing` | a broker in the same process and a clock moved by hand (feature `testing`) |
//!
//! The names that most programs need are also at the top: [`callmq::Client`](Client), [`callmq::Error`](Error) ..
//!
//! # Threads, locks, blocking
//!
//! - A [`Client`] is a handle: cheap to clone, usable from any thread. Dropping the last one says goodbye to the server
//!   (see [there](Client)).
//! - Callbacks run one at a time, on the thread that runs the loop: that of [`loop_start`], or the caller of
//!   [`loop_forever`] or [`loop_once`]. Without any loop they run inside the call that causes them, before it returns.
//!   Only `on_log` runs on whatever thread produced the line.
//! - No lock is held while a callback runs, so it may call any method, replace itself, disconnect or stop the loop. A
//!   call that would wait for the loop it runs on (`wait_for_publish`, `loop_once` ..) returns
//!   [`Error::WouldDeadlock`] instead.
//! - [`loop_start`] starts one thread per client. One more thread per process, started with the first loop, sends the
//!   PINGREQ of clients whose callback takes long. A name is looked up on a thread of its own, which ends
//!   with the answer, and [`ConnectOptions::return_to_first`] looks for the first server on another.
//!   All of them sleep while there is nothing to do.
//! - What blocks says so and has a time-out. `publish` and `subscribe` do not wait for the server.
//!
//! # Features
//!
//! None is on by default.
//!
//! - `scram`: [`client`]`::Scram`, the enhanced authentication SCRAM-SHA-256 (MQTT 5.0).
//! - `srv`: `Client::connect_srv` and `ConnectOptions::srv`, servers found by the SRV records of a domain.
//! - `tls`: `mqtts://` and [`client`]`::TlsOptions`, TLS 1.2 and 1.3 with [rustls](https://docs.rs/rustls). Building it
//!   takes a C compiler.
//! - `websocket`: `ws://`, [`client`]`::Transport::WebSockets` and `Client::ws_set_options`, with
//!   [tungstenite](https://docs.rs/tungstenite). With `tls` also `wss://`.
//! - `testing`: the module `testing`, and `ClientBuilder::clock`.
//!
//! # Logging
//!
//! Lines go to the [`log`] crate with the target `callmq`: connections and losses at `info`, each packet at `debug`
//! (without its payload), what the program should change at `warn`, failed callbacks at `error`. The same lines as in
//! paho-mqtt go to `on_log`. Passwords are never logged. The broker of `testing` has the target `callmq::testing`.
//!
//! [`loop_start`]: client::Client::loop_start
//! [`loop_forever`]: client::Client::loop_forever
//! [`loop_once`]: client::Client::loop_once

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod client;
pub mod codec;
pub mod error;
pub mod publish;
pub mod subscribe;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
pub mod topic;

mod on_demand;
mod one_shot;
mod session;
mod transport;

mod reason_code;

pub use client::{Client, ClientBuilder, ConnectOptions, Message, MessageInfo, Payload, SubscribeInfo};
pub use codec::{Properties, Property, ProtocolVersion, QoS, ReasonCode};
pub use error::{Error, Result};
/// The TLS library, for [`Client::tls_set_context`].
#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub use rustls;

// The code on the front page compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
