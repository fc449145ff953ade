//! The crate's errors: the caller's mistakes, the broker's answers, the network.
//!
//! Callbacks may fail too. What they commonly meet (I/O, parsing, closed channels, text) converts into [`Error`] with `?`;
//! [`Error::other`] takes everything else.

use std::fmt;
use std::io;
use std::sync::{Arc, mpsc};

use bytes::Bytes;

use crate::reason_code::{ReasonCode, ServerReason};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong.
///
/// A call that fails with one of the caller's mistakes has changed nothing, and the client stays usable after any error.
///
/// `{error}` prints what happened; `{error:#}` adds the cause where there is one, which is also the error's `source()`:
/// `network error: Connection refused (os error 111)`.
///
/// ```
/// use callmq::client::{Error, Message, IntoMessage};
///
/// match Message::new("house/#", "on").into_message() {
///     Err(Error::InvalidArgument { argument, rule }) => assert_eq!((argument, rule), ("topic", "must not contain wildcards (+ or #)")),
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum Error {
    // ---- the caller's mistakes: nothing was changed ----
    /// An argument breaks a rule of the protocol or of this crate; pass another one.
    InvalidArgument {
        /// The argument, as the method's signature names it.
        argument: &'static str,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// The call does not fit the client's state, for example a setting that cannot be changed while connected.
    InvalidState(&'static str),
    /// A call that waits for the network loop was made by the thread that runs that loop (inside a callback); make it on
    /// another thread, or react in the callback that tells of the event.
    WouldDeadlock(&'static str),
    /// The protocol version in use or the features that were compiled in do not allow this.
    NotSupported(&'static str),
    /// The server said in its CONNACK that it does not take this (MQTT 5.0), so it was not sent; ask for something that it
    /// takes: [`Client::connection_info`](crate::Client::connection_info) has what it said.
    NotAllowed(ServerLimit),
    // ---- what became of an operation ----
    /// There is no connection, and the operation is not kept for the next one; repeat it when connected, or let the queue
    /// keep messages of QoS 0.
    NotConnected,
    /// The outgoing queue has no room; the payload comes back. Publish it later, or choose another policy for the queue.
    QueueFull {
        /// The payload of the message that was refused.
        payload: Bytes,
    },
    /// The deadline passed first; what was waited for may still happen.
    Timeout,
    /// An accepted message was dropped.
    Dropped(DropReason),
    // ---- the broker's answers ----
    /// The server refused the connection with this code in its CONNACK.
    Refused(ServerReason),
    /// The server refused a message with this code in its PUBACK or PUBREC (MQTT 5.0), or, in a call of
    /// [`subscribe`](crate::subscribe), a filter in its SUBACK.
    Rejected(ServerReason),
    /// The server ended the connection with a DISCONNECT (MQTT 5.0).
    ServerDisconnect(ServerReason),
    // ---- the network ----
    /// The operating system reported an error; `source()` is that error.
    Io(Arc<io::Error>),
    /// The peer closed the connection.
    ConnectionClosed,
    /// TLS failed: in the handshake, later, or in its settings.
    Tls(TlsError),
    /// A WebSocket could not be opened, or was closed by the server.
    WebSocket(WebSocketError),
    /// No answer to a PINGREQ, or no CONNACK, within the time allowed.
    KeepAliveTimeout,
    /// The peer broke the protocol; `source()` tells how.
    Protocol(DecodeError),
    // ---- the user's code ----
    /// A callback returned an error or panicked.
    Callback {
        /// The callback's name, as `on_message`.
        callback: &'static str,
        /// The error's or the panic's text.
        message: Arc<str>,
    },
    /// An error of the application, passed through by a callback.
    Other(Arc<dyn std::error::Error + Send + Sync>),
}

/// Why an accepted message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The outgoing queue was full and its policy chose this message.
    QueueFull,
    /// The queue keeps the latest message per topic, and a later one took its place.
    Superseded,
    /// The connection ended before the message left, and messages of QoS 0 are not kept.
    ConnectionLost,
    /// The session ended before the message was acknowledged, and the policy is not to send it again.
    SessionLost,
    /// The application took it back (`drop_out_messages`, `reinitialise`).
    Discarded,
    /// The client was dropped.
    ClientDropped,
    /// The message expired while it waited.
    Expired,
    /// The server does not allow it, as it said in the CONNACK of a connection that was made after the message, or the
    /// request to subscribe, had been accepted.
    NotAllowed(ServerLimit),
}

/// What a server does not allow, by the name of the property in its CONNACK (MQTT 5.0, section 3.2.2.3).
///
/// In [`Error::NotAllowed`] where a call asked for it, in [`DropReason::NotAllowed`] where it had been accepted before
/// the server said so. The connection goes on in either case.
///
/// ```
/// use callmq::client::{Client, Error, ServerLimit};
///
/// /// Keeps the last reading on servers that can.
/// fn report(client: &Client, reading: f64) -> callmq::Result<()> {
///     match client.publish_with("house/meter", reading, 1, true) {
///         Err(Error::NotAllowed(ServerLimit::RetainAvailable)) => client.publish_with("house/meter", reading, 1, false)?,
///         other => other?,
///     };
///     Ok(())
/// }
/// # report(&Client::default(), 21.5)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerLimit {
    /// The QoS of a message is above the server's Maximum QoS.
    MaximumQoS,
    /// The server keeps no retained messages (Retain Available).
    RetainAvailable,
    /// The packet is larger than the server's Maximum Packet Size.
    MaximumPacketSize,
    /// The Topic Alias of a message is above the server's Topic Alias Maximum.
    TopicAliasMaximum,
    /// The server takes no filters with wildcards (Wildcard Subscription Available).
    WildcardSubscriptionAvailable,
    /// The server has no shared subscriptions (Shared Subscription Available).
    SharedSubscriptionAvailable,
    /// The server has no Subscription Identifiers (Subscription Identifier Available).
    SubscriptionIdentifierAvailable,
}

/// A breach of the protocol in received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The code that a DISCONNECT tells the peer in MQTT 5.0: malformed packet, protocol error, packet too large ..
    pub reason: ReasonCode,
    /// What is wrong.
    pub detail: &'static str,
    /// The statement of the standard that is broken, as `MQTT-2.2.2-2`, or an empty text where none has a number.
    pub statement: &'static str,
}

impl DecodeError {
    /// Bytes that cannot be decoded; the codec makes these from its table of rules.
    #[cfg(test)]
    pub(crate) const fn malformed(detail: &'static str, statement: &'static str) -> Self {
        Self {
            reason: ReasonCode::MALFORMED_PACKET,
            detail,
            statement,
        }
    }

    /// Whether the messages were too many, or too large together, and each of them was good.
    pub(crate) fn is_limit_of_messages(&self) -> bool {
        self.reason == ReasonCode::RECEIVE_MAXIMUM_EXCEEDED || self.reason == ReasonCode::QUOTA_EXCEEDED
    }

    /// A packet or a value that is not allowed where it stands.
    pub(crate) const fn protocol(detail: &'static str, statement: &'static str) -> Self {
        Self {
            reason: ReasonCode::PROTOCOL_ERROR,
            detail,
            statement,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail)?;
        if !self.statement.is_empty() {
            write!(f, " [{}]", self.statement)?;
        }
        Ok(())
    }
}

impl std::error::Error for DecodeError {}

impl Error {
    pub(crate) const fn argument(argument: &'static str, rule: &'static str) -> Self {
        Self::InvalidArgument { argument, rule }
    }

    /// Wraps an error of the application, or a text, so that a callback can return it.
    ///
    /// ```
    /// use callmq::client::{Error, Message, Result};
    ///
    /// fn on_message(message: &Message) -> Result<()> {
    ///     let address: std::net::IpAddr = message.payload.decode()?.parse().map_err(Error::other)?;
    ///     println!("{address}");
    ///     Ok(())
    /// }
    /// # assert!(on_message(&Message::new("t", "::1")).is_ok());
    /// # assert!(on_message(&Message::new("t", "x")).is_err());
    /// ```
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(Arc::from(error.into()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidArgument { argument, rule } => write!(f, "invalid {argument}: {rule}"),
            Self::InvalidState(state) => f.write_str(state),
            Self::WouldDeadlock(call) => {
                write!(f, "{call} waits for the network loop, which this thread runs")
            }
            Self::NotSupported(what) => f.write_str(what),
            Self::NotAllowed(limit) => write!(f, "not sent: {limit}"),
            Self::NotConnected => f.write_str("the client is not connected"),
            Self::QueueFull { .. } => f.write_str("the outgoing queue is full"),
            Self::Timeout => f.write_str("timed out"),
            Self::Dropped(why) => write!(f, "message dropped: {why}"),
            Self::Refused(code) => write!(f, "connection refused by the server: {code}"),
            Self::Rejected(code) => write!(f, "refused by the server: {code}"),
            Self::ServerDisconnect(code) => write!(f, "disconnected by the server: {code}"),
            Self::Io(error) if f.alternate() => write!(f, "network error: {error}"),
            Self::Io(_) => f.write_str("network error"),
            Self::ConnectionClosed => f.write_str("connection closed by the peer"),
            Self::Tls(error) => write!(f, "TLS: {error}"),
            Self::WebSocket(error) => write!(f, "WebSocket: {error}"),
            Self::KeepAliveTimeout => f.write_str("no answer from the server within the time allowed"),
            Self::Protocol(error) if f.alternate() => write!(f, "the server broke the protocol: {error}"),
            Self::Protocol(_) => f.write_str("the server broke the protocol"),
            Self::Callback { callback, message } => write!(f, "{callback} failed: {message}"),
            Self::Other(error) => fmt::Display::fmt(error, f),
        }
    }
}

/// As derived, but for the payload of a message, of which it prints the size: errors go into logs.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tuple = |f: &mut fmt::Formatter<'_>, name, field: &dyn fmt::Debug| {
            f.debug_tuple(name).field(field).finish()
        };
        match self {
            Self::InvalidArgument { argument, rule } => f
                .debug_struct("InvalidArgument")
                .field("argument", argument)
                .field("rule", rule)
                .finish(),
            Self::InvalidState(state) => tuple(f, "InvalidState", state),
            Self::WouldDeadlock(call) => tuple(f, "WouldDeadlock", call),
            Self::NotSupported(what) => tuple(f, "NotSupported", what),
            Self::NotAllowed(limit) => tuple(f, "NotAllowed", limit),
            Self::NotConnected => f.write_str("NotConnected"),
            Self::QueueFull { payload } => {
                let size = payload.len();
                f.debug_struct("QueueFull")
                    .field("payload", &format_args!("{size} bytes"))
                    .finish()
            }
            Self::Timeout => f.write_str("Timeout"),
            Self::Dropped(why) => tuple(f, "Dropped", why),
            Self::Refused(reason) => tuple(f, "Refused", reason),
            Self::Rejected(reason) => tuple(f, "Rejected", reason),
            Self::ServerDisconnect(reason) => tuple(f, "ServerDisconnect", reason),
            Self::Io(error) => tuple(f, "Io", error),
            Self::ConnectionClosed => f.write_str("ConnectionClosed"),
            Self::Tls(error) => tuple(f, "Tls", error),
            Self::WebSocket(error) => tuple(f, "WebSocket", error),
            Self::KeepAliveTimeout => f.write_str("KeepAliveTimeout"),
            Self::Protocol(error) => tuple(f, "Protocol", error),
            Self::Callback { callback, message } => f
                .debug_struct("Callback")
                .field("callback", callback)
                .field("message", message)
                .finish(),
            Self::Other(error) => tuple(f, "Other", error),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Protocol(error) => Some(error),
            Self::Other(error) => error.source(),
            _ => None,
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAllowed(limit) => return limit.fmt(f),
            Self::QueueFull => "the outgoing queue was full",
            Self::Superseded => "a later message for the same topic took its place",
            Self::ConnectionLost => "the connection ended before it was sent",
            Self::SessionLost => "the session ended before it was acknowledged",
            Self::Discarded => "taken back by the application",
            Self::ClientDropped => "the client was dropped",
            Self::Expired => "it expired while it waited",
        })
    }
}

impl fmt::Display for ServerLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MaximumQoS => "the QoS is above the server's Maximum QoS",
            Self::RetainAvailable => "the server keeps no retained messages",
            Self::MaximumPacketSize => "the packet is larger than the server's Maximum Packet Size",
            Self::TopicAliasMaximum => "the Topic Alias is above the server's Topic Alias Maximum",
            Self::WildcardSubscriptionAvailable => "the server takes no filters with wildcards",
            Self::SharedSubscriptionAvailable => "the server has no shared subscriptions",
            Self::SubscriptionIdentifierAvailable => "the server has no Subscription Identifiers",
        })
    }
}

impl From<io::Error> for Error {
    /// Unwraps what comes up through sockets in an error of the system: a [`TlsError`], a [`WebSocketError`], and an
    /// [`Error`] of the application's own function.
    fn from(error: io::Error) -> Self {
        let Some(inner) = error.get_ref() else {
            return Self::Io(Arc::new(error));
        };
        if let Some(tls) = inner.downcast_ref::<TlsError>() {
            Self::Tls(tls.clone())
        } else if let Some(websocket) = inner.downcast_ref::<WebSocketError>() {
            Self::WebSocket(websocket.clone())
        } else if let Some(own) = inner.downcast_ref::<Self>() {
            own.clone()
        } else {
            Self::Io(Arc::new(error))
        }
    }
}

impl From<TlsError> for Error {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

impl From<WebSocketError> for Error {
    fn from(error: WebSocketError) -> Self {
        Self::WebSocket(error)
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Protocol(error)
    }
}

/// What callbacks and scripts commonly meet.
macro_rules! from_application_errors {
    ($($source:ty),* $(,)?) => {$(
        impl From<$source> for Error {
            fn from(error: $source) -> Self {
                Self::other(error)
            }
        }
    )*};
}

from_application_errors!(
    std::env::VarError,
    std::str::Utf8Error,
    std::string::FromUtf8Error,
    std::str::ParseBoolError,
    std::num::ParseIntError,
    std::num::ParseFloatError,
    std::num::TryFromIntError,
    std::sync::mpsc::RecvError,
    crossbeam_channel::RecvError,
);

/// Channels that a callback sends into; the value is dropped.
macro_rules! from_send_errors {
    ($($source:ident::$error:ident),* $(,)?) => {$(
        impl<T> From<$source::$error<T>> for Error {
            fn from(error: $source::$error<T>) -> Self {
                Self::other(error.to_string())
            }
        }
    )*};
}

from_send_errors!(
    mpsc::SendError,
    mpsc::TrySendError,
    crossbeam_channel::SendError,
    crossbeam_channel::TrySendError,
    crossbeam_channel::SendTimeoutError,
);

impl From<String> for Error {
    fn from(text: String) -> Self {
        Self::other(text)
    }
}

impl From<&str> for Error {
    fn from(text: &str) -> Self {
        Self::other(text)
    }
}

impl From<Box<dyn std::error::Error + Send + Sync>> for Error {
    fn from(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self::Other(Arc::from(error))
    }
}

mod tls;
mod websocket;

pub use tls::{TlsError, TlsReason};
pub use websocket::{WebSocketError, WebSocketReason};

#[cfg(test)]
mod tests;
