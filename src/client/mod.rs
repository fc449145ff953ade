//! The client, in the shape of Python's `paho.mqtt.client`.
//!
//! `use callmq::client as mqtt;` stands for `import paho.mqtt.client as mqtt`. Make a [`Client`], register callbacks,
//! connect, and let a loop move the bytes: [`Client::loop_start`] in a thread of its own, [`Client::loop_forever`] in
//! this one, or [`Client::loop_once`] step by step. Without any loop, calls write by themselves, and the callbacks that
//! follow from the writing run before the call returns.
//!
//! ```no_run
//! use callmq::client as mqtt;
//!
//! fn main() -> mqtt::Result<()> {
//!     let client = mqtt::Client::new("foo1");
//!     client.on_connect(|client, _flags, _reason_code, _properties| client.subscribe("test/topic"));
//!     client.on_message(|_client, msg| println!("{} {}", msg.topic, msg.payload));
//!     client.connect("localhost")?;
//!     client.loop_forever()
//! }
//! ```
//!
//! # MQTT 5.0
//!
//! `Client::builder("meter").protocol(mqtt::MQTTv5)` makes a client for it; all else stays as it is. What it adds:
//!
//! | subject | where |
//! |---|---|
//! | properties | [`Properties`] and [`Property`]; [`Client::publish_message`], [`Client::subscribe_with_properties`], [`ConnectOptions::properties`], [`Client::disconnect_with`], and the last parameter of callbacks |
//! | what the server said and allows | [`Client::connection_info`]; [`Error::NotAllowed`] with a [`ServerLimit`]; [`ClientBuilder::lower_qos`]; the server's words in a [`ServerReason`] |
//! | what this client allows the server | [`ClientBuilder::receive_maximum`], [`ClientBuilder::max_packet_size`], [`ClientBuilder::topic_alias_maximum`] |
//! | sessions | [`CleanStart`], [`ClientBuilder::session_expiry`], [`OnSessionLost`] |
//! | subscriptions | [`SubscribeOptions`]; `$share/GROUP/FILTER`; Subscription Identifiers in [`Client::subscribe_with`] |
//! | topic aliases | [`ClientBuilder::topic_alias_limit`] for what is sent; by hand in [`Client::publish_message`] |
//! | message expiry | [`Client::publish_message`]; [`DropReason::Expired`] |
//! | acknowledgements with a reason | [`Client::ack_with`] |
//! | request and response | [`Client::request`], [`Client::request_with`], [`Client::reply`] |
//! | enhanced authentication | [`Client::authenticator_set`], [`Client::on_auth`], [`Client::reauthenticate`]; `Scram` (feature `scram`) |
//! | wills with a delay and properties | [`Client::will_set_message`] |
//! | how connections end, and what follows | [`DisconnectReason`], [`DisconnectReason::retry_default`], [`Client::on_redirect`] |
//! | servers that do not know it | [`ClientBuilder::fallback`], [`Client::protocol`] |
//!
//! With an older version, what only MQTT 5.0 has is refused with an error that names it, before anything is sent.

mod acks;
mod authentication;
mod backoff;
mod builder;
mod callbacks;
mod clearing;
pub(crate) mod clock;
mod codes;
mod connect_options;
mod connection;
mod connection_info;
mod convert;
mod delivery;
mod dialing;
mod dispatch;
mod driver;
mod ended;
mod fallback;
mod filters;
mod guard;
mod info;
mod input;
mod log_lines;
mod logging;
mod loops;
mod message;
mod messages;
mod packets;
mod payload;
mod proxy;
mod publishing;
mod reason;
mod redirect;
mod registration;
mod requests;
mod retry;
mod returning;
#[cfg(feature = "scram")]
mod scram;
mod server;
mod server_list;
mod session_settings;
mod settings;
mod shared;
mod sleeping;
mod slow_callbacks;
mod socket_handle;
#[cfg(feature = "srv")]
mod srv;
mod stats;
mod subscribing;
#[cfg(feature = "tls")]
mod tls;
mod tracker;
#[cfg(feature = "websocket")]
mod websocket;
mod will;
mod write;

pub use crate::codec::{
    Properties, Property, ProtocolVersion, QoS, ReasonCode, RetainHandling, SubscribeOptions, Subscription,
    Will,
};
pub use crate::error::{
    DecodeError, DropReason, Error, Result, ServerLimit, TlsError, TlsReason, WebSocketError, WebSocketReason,
};
pub use crate::reason_code::ServerReason;
pub use crate::session::{IncomingLimit, OfflineQueue, OnSessionLost, Resubscribe, WhenFull};
pub use crate::topic::{FilterMap as MQTTMatcher, TopicName};
#[cfg(feature = "tls")]
pub use crate::transport::TlsOptions;
pub use crate::transport::{Stream, Waker};
pub use authentication::{AuthStep, Authenticator, IntoAuthStep, Reauthentication};
pub use builder::ClientBuilder;
pub use clearing::Callback;
pub use codes::*;
pub use connect_options::{ConnectOptions, Server};
pub use connection_info::ConnectionInfo;
pub use convert::{
    IntoConnect, IntoHost, IntoMessage, IntoPayload, IntoQos, IntoServer, IntoSubscribeOptions,
    IntoSubscription, IntoSubscriptions, IntoTimeout, IntoTopics, Outcome, PayloadArg,
};
pub use info::{Delivery, MessageInfo, SubscribeInfo};
pub use message::Message;
pub use messages::Messages;
pub use payload::Payload;
pub use proxy::{IntoProxy, Proxy};
pub use reason::{ConnectFlags, DisconnectFlags, DisconnectReason};
pub use redirect::Redirect;
pub use retry::Retry;
#[cfg(feature = "scram")]
pub use scram::Scram;
pub use server_list::ServerOrder;
pub use socket_handle::SocketHandle;
#[cfg(feature = "srv")]
pub use srv::IntoSrv;
pub use stats::Stats;
#[cfg(feature = "tls")]
pub use tls::IntoTls;
#[cfg(feature = "websocket")]
pub use websocket::{IntoHeaders, WebSocketHeaders};

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::session::Link;
use callbacks::Callbacks;
use shared::{Phase, Shared};

/// An MQTT client: a handle that is cheap to clone and can be used from any thread.
///
/// When the last handle is dropped, the client sends what was accepted, waits for the acknowledgements, and sends
/// DISCONNECT, all in at most one second (a callback that runs for longer is not waited for); then the thread of
/// [`loop_start`](Self::loop_start) ends. Messages that have no connection to leave by, or are not acknowledged by then,
/// are dropped ([`flush`](Self::flush) before it waits as long as you like). The handles that callbacks get do not
/// count; a closure that owns a clone of its own client keeps the client alive: give it a [`WeakClient`] from
/// [`downgrade`](Self::downgrade), or let it use the handle that it gets.
///
/// ```
/// use callmq::client as mqtt;
///
/// let client = mqtt::Client::new("python1");
/// client.on_connect(|_client, _flags, rc, _properties| println!("connected: {rc}"));
/// let handle = client.clone();
/// std::thread::spawn(move || println!("{:?}", handle.publish("house/light", "on")));
/// ```
pub struct Client {
    shared: Arc<Shared>,
    /// Whether this is a handle of the user.
    counted: bool,
}

/// A handle that does not keep its client alive.
#[derive(Clone, Debug)]
pub struct WeakClient {
    shared: Weak<Shared>,
}

impl Client {
    /// Makes a client for MQTT 3.1.1 with a clean session. Nothing is connected yet.
    ///
    /// An empty id lets the server choose one. MQTT 3.1 does not allow that: there a random one is made when `connect`
    /// is called.
    pub fn new(client_id: impl Into<String>) -> Self {
        Self::builder(client_id).build()
    }

    /// Starts a client with other settings than [`new`](Self::new) has.
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// let client = mqtt::Client::builder("send_data123").clean_session(false).protocol(mqtt::MQTTv31).build();
    /// assert_eq!(client.protocol(), mqtt::MQTTv31);
    /// ```
    pub fn builder(client_id: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(client_id.into())
    }

    fn lent(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            counted: false,
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn callbacks(&self) -> &Callbacks {
        &self.shared.callbacks
    }

    /// Returns a handle that does not keep the client alive, for closures that the client owns.
    pub fn downgrade(&self) -> WeakClient {
        WeakClient {
            shared: Arc::downgrade(&self.shared),
        }
    }

    /// Connects to a server: opens the transport and writes CONNECT. Does not wait for the answer.
    ///
    /// That comes to `on_connect` when a loop runs (see also [`wait_for_connect`](Self::wait_for_connect)). Forms:
    /// `"host"`, `("host", 1883)`, `("host", 1883, 60)` with the keep alive in seconds, `"mqtt://user:pw@host:1884"`, a
    /// list of servers that are tried in order (see [`ConnectOptions::server`]), [`ConnectOptions`]; the port is 1883 where
    /// none is given, with `mqtts://` 8883. Blocks for at most the connect time-out, 5 s by default, which covers name
    /// look-ups, all servers and all addresses. A connection that is open is closed first, without DISCONNECT.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for an empty host, port 0 and the like, and for settings that no CONNECT can carry;
    /// [`Error::NotSupported`] for what this build does not have; [`Error::Io`] as the system reports it: refused,
    /// timed out, name not known; [`Error::NotConnected`] if another thread disconnected or connected meanwhile; what
    /// `on_pre_connect` or the authenticator failed with. After a failure of the network a loop, if one runs, goes on
    /// trying.
    ///
    /// ```no_run
    /// use callmq::client::{Client, ConnectOptions};
    ///
    /// # fn main() -> callmq::Result<()> {
    /// let client = Client::new("python1");
    /// client.connect(("localhost", 1883, 60))?;
    /// client.connect(ConnectOptions::new("localhost").bind_address("127.0.0.1").connect_timeout(2.5))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect(&self, target: impl IntoConnect) -> Result<()> {
        self.configure(target, Some(Phase::Dialing))?;
        self.shared.establish(false)
    }

    /// Stores where to connect to, and leaves the connecting to the loop. Does not block.
    ///
    /// A connection that is open is closed without DISCONNECT. If the first attempt fails,
    /// [`loop_forever`](Self::loop_forever) returns the error, while the loop of [`loop_start`](Self::loop_start) goes
    /// on trying.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] and [`Error::NotSupported`] as for [`connect`](Self::connect).
    pub fn connect_async(&self, target: impl IntoConnect) -> Result<()> {
        self.configure(target, Some(Phase::Async))?;
        self.shared.wake_now();
        Ok(())
    }

    /// [Connects](Self::connect), and waits for the server's answer.
    ///
    /// `timeout` is for the answer, in seconds or a [`Duration`]; `None` waits without limit. When nobody runs the
    /// loop, this call does until the answer is here (and `on_connect` runs in it).
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect) and [`wait_for_connect`](Self::wait_for_connect).
    pub fn connect_and_wait(
        &self,
        target: impl IntoConnect,
        timeout: impl IntoTimeout,
    ) -> Result<ConnectFlags> {
        let timeout = timeout.into_timeout()?;
        if self.shared.is_dispatcher() {
            return Err(Error::WouldDeadlock("connect_and_wait"));
        }
        self.connect(target)?;
        self.await_connack("connect_and_wait", timeout)
    }

    /// Waits until the server has accepted the connection.
    ///
    /// `timeout` is in seconds or a [`Duration`]; `None` waits without limit. When nobody runs the loop, this call
    /// does. It may return before `on_connect` has.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with the server's code, [`Error::Timeout`]; why there is no connection, if no loop would make
    /// one; [`Error::WouldDeadlock`] inside a callback.
    pub fn wait_for_connect(&self, timeout: impl IntoTimeout) -> Result<()> {
        self.await_connack("wait_for_connect", timeout.into_timeout()?)
            .map(drop)
    }

    fn await_connack(&self, call: &'static str, timeout: Option<Duration>) -> Result<ConnectFlags> {
        self.shared
            .wait_until(call, timeout, |core| match core.session.link() {
                // The CONNACK is not only read but about to be told, so its flags are known.
                Link::Settling | Link::Open if core.accepted_at.is_some() => {
                    Some(Ok(ConnectFlags::new(core.session_present)))
                }
                _ => match (core.last_reason.as_deref(), core.phase) {
                    (Some(DisconnectReason::Refused(code)), Phase::Lost) => {
                        Some(Err(Error::Refused(code.clone())))
                    }
                    (Some(DisconnectReason::Authentication(error)), Phase::Lost) => Some(Err(error.clone())),
                    (Some(reason), Phase::Lost) if core.running.is_none() => {
                        Some(Err(reason.clone().into_error()))
                    }
                    (_, Phase::New | Phase::Down | Phase::Async) if core.running.is_none() => {
                        Some(Err(Error::NotConnected))
                    }
                    _ => None,
                },
            })
    }

    /// Connects again, as at the last [`connect`](Self::connect). Blocks as that does.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if `connect` was never called; as [`connect`](Self::connect).
    pub fn reconnect(&self) -> Result<()> {
        self.shared.establish(false)
    }

    /// Ends the connection: DISCONNECT leaves behind everything that was written before, `on_disconnect` follows, and
    /// the loop ends.
    ///
    /// Inside a callback all of this happens when the callback has returned. Does not wait for acknowledgements:
    /// messages of QoS 1 and 2 without one are kept for the next connection; see [`flush`](Self::flush) to wait for
    /// them first.
    ///
    /// # Errors
    ///
    /// [`Error::NotConnected`] if there is no connection; an attempt of the loop to make one ends all the same. What
    /// `on_disconnect` failed with, where it ran in this call.
    pub fn disconnect(&self) -> Result<()> {
        self.shared
            .disconnect(ReasonCode::NORMAL_DISCONNECTION, Properties::new())
    }

    /// [Disconnects](Self::disconnect) with a reason code and properties (MQTT 5.0).
    ///
    /// A `SessionExpiryInterval` replaces the one of the connection: 0 ends the session now, so that the server forgets
    /// subscriptions and messages.
    ///
    /// # Errors
    ///
    /// As [`disconnect`](Self::disconnect); [`Error::NotSupported`] for either before MQTT 5.0;
    /// [`Error::InvalidArgument`] for a code or a property that does not belong into a DISCONNECT of a client, and for a
    /// `SessionExpiryInterval` other than 0 where the connection was opened without one. Nothing is sent then, and the
    /// connection stays.
    ///
    /// ```no_run
    /// use callmq::client as mqtt;
    ///
    /// # fn main() -> mqtt::Result<()> {
    /// let client = mqtt::Client::builder("meter").protocol(mqtt::MQTTv5).clean_session(false).build();
    /// client.connect_and_wait("localhost", 5)?;
    /// // The meter is taken down for good.
    /// let end = mqtt::Property::SessionExpiryInterval(0).into();
    /// client.disconnect_with(mqtt::ReasonCode::NORMAL_DISCONNECTION, end)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// See MQTT 5.0, section 3.14.
    pub fn disconnect_with(&self, reason_code: ReasonCode, properties: Properties) -> Result<()> {
        let plain = reason_code.value() == 0 && properties.is_empty();
        if !plain && self.protocol() != ProtocolVersion::V5 {
            return Err(Error::NotSupported(
                "a reason code or properties of DISCONNECT need MQTT 5.0",
            ));
        }
        if !DISCONNECT_CODES.contains(&reason_code.meaning()) {
            return Err(Error::argument(
                "reason_code",
                "must be one that a client may send in a DISCONNECT",
            ));
        }
        properties.check_for(crate::codec::PacketType::Disconnect)?;
        if properties.server_reference().is_some() {
            return Err(Error::argument(
                "properties",
                "only a server puts a Server Reference into DISCONNECT",
            ));
        }
        self.shared
            .disconnect(ReasonCode::disconnect(reason_code.value()), properties)
    }

    /// Returns whether the server has accepted the connection and it has not ended.
    pub fn is_connected(&self) -> bool {
        self.shared.lock().is_connected()
    }

    /// Waits until everything that was accepted is finished: written, and acknowledged where the QoS asks for it.
    ///
    /// `timeout` is in seconds or a [`Duration`]; `None` waits without limit. When nobody runs the loop, this call does.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`]; [`Error::NotConnected`] if there is no connection and no loop that would make one;
    /// [`Error::WouldDeadlock`] inside a callback.
    pub fn flush(&self, timeout: impl IntoTimeout) -> Result<()> {
        self.shared.wait_until("flush", timeout.into_timeout()?, |core| {
            let done = core.session.unfinished_outgoing() == 0 && core.unwritten() == 0 && !core.writing.busy;
            done.then_some(Ok(()))
        })
    }

    /// Returns what the client has counted, and what it holds at the moment.
    ///
    /// ```
    /// let client = callmq::Client::default();
    /// assert_eq!(client.stats().messages_sent, 0);
    /// assert!(!client.stats().connected);
    /// ```
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }
}

/// The codes of a DISCONNECT that a client may send: the others are the server's alone (MQTT 5.0, section 3.14.2.1).
const DISCONNECT_CODES: &[u8] = &[
    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
];

impl WeakClient {
    /// Returns the client, if a handle of the user still exists.
    pub fn upgrade(&self) -> Option<Client> {
        let shared = self.shared.upgrade()?;
        let handles = &shared.handles;
        let counted = |count: usize| if count == 0 { None } else { Some(count + 1) };
        handles
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, counted)
            .ok()?;
        Some(Client {
            shared,
            counted: true,
        })
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new("")
    }
}

impl Clone for Client {
    /// Another handle of the user, also when cloned from one that a callback was lent.
    fn clone(&self) -> Self {
        self.shared.handles.fetch_add(1, Ordering::AcqRel);
        Self {
            shared: Arc::clone(&self.shared),
            counted: true,
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.counted && self.shared.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.last_handle_dropped();
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = self.shared.lock();
        f.debug_struct("Client")
            .field("client_id", &core.session.settings.client_id)
            .field("connected", &core.is_connected())
            .finish_non_exhaustive()
    }
}
