//! The names of paho-mqtt's module that stand for numbers: error codes, CONNACK codes, log levels, packets, versions; and
//! the texts that go with them.

use std::fmt;

use crate::codec::{PacketType, ProtocolVersion, ReasonCode};
use crate::error::{DropReason, Error, WebSocketReason};
use crate::topic;

macro_rules! numbered {
    (
        $(#[$doc:meta])* $name:ident {
            $($(#[$item_doc:meta])* $item:ident = $number:literal $(, $constant:ident)?;)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i32)]
        pub enum $name {
            $($(#[$item_doc])* $item = $number,)*
        }

        impl $name {
            /// The number that the Python client uses.
            pub const fn value(self) -> i32 {
                self as i32
            }
        }

        impl From<$name> for i32 {
            fn from(code: $name) -> i32 {
                code.value()
            }
        }

        impl PartialEq<i32> for $name {
            fn eq(&self, number: &i32) -> bool {
                self.value() == *number
            }
        }

        impl PartialOrd<i32> for $name {
            fn partial_cmp(&self, number: &i32) -> Option<std::cmp::Ordering> {
                self.value().partial_cmp(number)
            }
        }

        $($(
            #[doc = concat!("[`", stringify!($name), "::", stringify!($item), "`]")]
            #[allow(non_upper_case_globals, reason = "the Python client's name")]
            pub const $constant: $name = $name::$item;
        )?)*
    };
}

numbered! {
    /// An [`Error`] as the number that the Python client returns: see [`Error::code`].
    #[doc(alias = "MQTTErrorCode")]
    #[non_exhaustive]
    MqttErrorCode {
        /// Not finished yet: try again.
        Again = -1, MQTT_ERR_AGAIN;
        /// No error.
        Success = 0, MQTT_ERR_SUCCESS;
        /// Out of memory; never reported.
        NoMem = 1, MQTT_ERR_NOMEM;
        /// The peer broke the protocol.
        Protocol = 2, MQTT_ERR_PROTOCOL;
        /// A wrong argument, or a call that does not fit the state.
        Inval = 3, MQTT_ERR_INVAL;
        /// There is no connection.
        NoConn = 4, MQTT_ERR_NO_CONN;
        /// The server refused the connection.
        ConnRefused = 5, MQTT_ERR_CONN_REFUSED;
        /// Never reported.
        NotFound = 6, MQTT_ERR_NOT_FOUND;
        /// The connection was lost.
        ConnLost = 7, MQTT_ERR_CONN_LOST;
        /// TLS failed.
        Tls = 8, MQTT_ERR_TLS;
        /// Never reported: a payload that is too large is a wrong argument.
        PayloadSize = 9, MQTT_ERR_PAYLOAD_SIZE;
        /// Not supported by this version, this build or this server.
        NotSupported = 10, MQTT_ERR_NOT_SUPPORTED;
        /// Never reported.
        Auth = 11, MQTT_ERR_AUTH;
        /// Never reported.
        AclDenied = 12, MQTT_ERR_ACL_DENIED;
        /// An error without a code of its own, or one of the application.
        Unknown = 13, MQTT_ERR_UNKNOWN;
        /// An error of the operating system.
        Errno = 14, MQTT_ERR_ERRNO;
        /// The outgoing queue is full.
        QueueSize = 15, MQTT_ERR_QUEUE_SIZE;
        /// No answer within the keep alive.
        KeepAlive = 16, MQTT_ERR_KEEPALIVE;
    }
}

numbered! {
    /// The return codes in a CONNACK of MQTT 3.1 and 3.1.1. A [`ReasonCode`] compares with them by meaning.
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// let rc = mqtt::ReasonCode::NOT_AUTHORIZED;
    /// assert!(rc == mqtt::CONNACK_REFUSED_NOT_AUTHORIZED);
    /// ```
    ConnackCode {
        /// Connection accepted.
        Accepted = 0, CONNACK_ACCEPTED;
        /// The server does not speak this version of the protocol.
        RefusedProtocolVersion = 1, CONNACK_REFUSED_PROTOCOL_VERSION;
        /// The client identifier is not allowed.
        RefusedIdentifierRejected = 2, CONNACK_REFUSED_IDENTIFIER_REJECTED;
        /// The server is not available.
        RefusedServerUnavailable = 3, CONNACK_REFUSED_SERVER_UNAVAILABLE;
        /// The user name or the password is wrong or malformed.
        RefusedBadUsernamePassword = 4, CONNACK_REFUSED_BAD_USERNAME_PASSWORD;
        /// The client is not authorized to connect.
        RefusedNotAuthorized = 5, CONNACK_REFUSED_NOT_AUTHORIZED;
    }
}

numbered! {
    /// How important a line for `on_log` is. Prints as its number; [`log::Level`] is made from it.
    #[doc(alias = "LOGGING_LEVEL")]
    LogLevel {
        /// For information.
        Info = 1, MQTT_LOG_INFO;
        /// Normal, but worth a look.
        Notice = 2, MQTT_LOG_NOTICE;
        /// Something that the application should change.
        Warning = 4, MQTT_LOG_WARNING;
        /// An error.
        Err = 8, MQTT_LOG_ERR;
        /// Each packet, and other details.
        Debug = 16, MQTT_LOG_DEBUG;
    }
}

numbered! {
    /// Where an unfinished message stands, as the Python client numbers it.
    MessageState {
        /// None.
        Invalid = 0, mqtt_ms_invalid;
        /// To be published.
        Publish = 1, mqtt_ms_publish;
        /// Sent with QoS 1.
        WaitForPuback = 2, mqtt_ms_wait_for_puback;
        /// Sent with QoS 2.
        WaitForPubrec = 3, mqtt_ms_wait_for_pubrec;
        /// PUBREL is to be sent again.
        ResendPubrel = 4, mqtt_ms_resend_pubrel;
        /// Received with QoS 2, PUBREC sent.
        WaitForPubrel = 5, mqtt_ms_wait_for_pubrel;
        /// PUBCOMP is to be sent again.
        ResendPubcomp = 6, mqtt_ms_resend_pubcomp;
        /// PUBREL sent.
        WaitForPubcomp = 7, mqtt_ms_wait_for_pubcomp;
        /// PUBREC is to be sent.
        SendPubrec = 8, mqtt_ms_send_pubrec;
        /// Waits for a place among the messages on their way.
        Queued = 9, mqtt_ms_queued;
    }
}

numbered! {
    /// The first byte of a packet without its flags. [`PacketType`] is the codec's type for it.
    ///
    /// ```
    /// use callmq::client as mqtt;
    /// use callmq::codec::PacketType;
    ///
    /// assert!(mqtt::PUBLISH == 0x30);
    /// assert_eq!(mqtt::MessageType::from(PacketType::Publish), mqtt::PUBLISH);
    /// ```
    MessageType {
        /// CONNECT
        Connect = 0x10, CONNECT;
        /// CONNACK
        ConnAck = 0x20, CONNACK;
        /// PUBLISH
        Publish = 0x30, PUBLISH;
        /// PUBACK
        PubAck = 0x40, PUBACK;
        /// PUBREC
        PubRec = 0x50, PUBREC;
        /// PUBREL
        PubRel = 0x60, PUBREL;
        /// PUBCOMP
        PubComp = 0x70, PUBCOMP;
        /// SUBSCRIBE
        Subscribe = 0x80, SUBSCRIBE;
        /// SUBACK
        SubAck = 0x90, SUBACK;
        /// UNSUBSCRIBE
        Unsubscribe = 0xA0, UNSUBSCRIBE;
        /// UNSUBACK
        UnsubAck = 0xB0, UNSUBACK;
        /// PINGREQ
        PingReq = 0xC0, PINGREQ;
        /// PINGRESP
        PingResp = 0xD0, PINGRESP;
        /// DISCONNECT
        Disconnect = 0xE0, DISCONNECT;
        /// AUTH (MQTT 5.0)
        Auth = 0xF0, AUTH;
    }
}

numbered! {
    /// What the client is for the server: see [`Client::enable_bridge_mode`](super::Client::enable_bridge_mode).
    PahoClientMode {
        /// A client.
        Client = 0, MQTT_CLIENT;
        /// A bridge between servers.
        Bridge = 1, MQTT_BRIDGE;
    }
}

impl From<PacketType> for MessageType {
    fn from(packet: PacketType) -> Self {
        match packet {
            PacketType::Connect => Self::Connect,
            PacketType::ConnAck => Self::ConnAck,
            PacketType::Publish => Self::Publish,
            PacketType::PubAck => Self::PubAck,
            PacketType::PubRec => Self::PubRec,
            PacketType::PubRel => Self::PubRel,
            PacketType::PubComp => Self::PubComp,
            PacketType::Subscribe => Self::Subscribe,
            PacketType::SubAck => Self::SubAck,
            PacketType::Unsubscribe => Self::Unsubscribe,
            PacketType::UnsubAck => Self::UnsubAck,
            PacketType::PingReq => Self::PingReq,
            PacketType::PingResp => Self::PingResp,
            PacketType::Disconnect => Self::Disconnect,
            PacketType::Auth => Self::Auth,
        }
    }
}

impl From<ReasonCode> for i32 {
    fn from(code: ReasonCode) -> i32 {
        i32::from(code.value())
    }
}

impl PartialEq<ConnackCode> for ReasonCode {
    fn eq(&self, code: &ConnackCode) -> bool {
        *self == convert_connack_rc_to_reason_code(*code)
    }
}

/// As the reason for a disconnection: [`convert_disconnect_error_code_to_reason_code`].
impl PartialEq<MqttErrorCode> for ReasonCode {
    fn eq(&self, code: &MqttErrorCode) -> bool {
        *self == convert_disconnect_error_code_to_reason_code(*code)
    }
}

impl fmt::Display for MqttErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(error_string(*self))
    }
}

impl fmt::Display for ConnackCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(connack_string(*self))
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value(), f)
    }
}

impl From<LogLevel> for log::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Info | LogLevel::Notice => Self::Info,
            LogLevel::Warning => Self::Warn,
            LogLevel::Err => Self::Error,
            LogLevel::Debug => Self::Debug,
        }
    }
}

impl Error {
    /// Returns the number that the Python client has for this error.
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// assert_eq!(mqtt::Error::NotConnected.code(), mqtt::MQTT_ERR_NO_CONN);
    /// assert_eq!(mqtt::Error::ConnectionClosed.code(), 7);
    /// ```
    #[doc(alias = "rc")]
    pub fn code(&self) -> MqttErrorCode {
        use std::io::ErrorKind as Kind;

        match self {
            Self::InvalidArgument { .. } | Self::InvalidState(_) | Self::WouldDeadlock(_) => {
                MqttErrorCode::Inval
            }
            Self::NotSupported(_) | Self::NotAllowed(_) => MqttErrorCode::NotSupported,
            Self::NotConnected => MqttErrorCode::NoConn,
            Self::QueueFull { .. } => MqttErrorCode::QueueSize,
            Self::Timeout => MqttErrorCode::Again,
            Self::Dropped(why) => match why {
                DropReason::QueueFull | DropReason::Superseded => MqttErrorCode::QueueSize,
                DropReason::ConnectionLost | DropReason::SessionLost => MqttErrorCode::ConnLost,
                DropReason::NotAllowed(_) => MqttErrorCode::NotSupported,
                DropReason::Discarded | DropReason::ClientDropped | DropReason::Expired => {
                    MqttErrorCode::Unknown
                }
            },
            Self::Refused(_) => MqttErrorCode::ConnRefused,
            Self::Rejected(_) => MqttErrorCode::AclDenied,
            Self::ServerDisconnect(_) | Self::ConnectionClosed => MqttErrorCode::ConnLost,
            Self::Io(error) => match error.kind() {
                Kind::ConnectionReset
                | Kind::ConnectionAborted
                | Kind::BrokenPipe
                | Kind::NotConnected
                | Kind::UnexpectedEof
                | Kind::WriteZero => MqttErrorCode::ConnLost,
                _ => MqttErrorCode::Errno,
            },
            Self::Tls(_) => MqttErrorCode::Tls,
            Self::WebSocket(error) => match error.reason {
                WebSocketReason::Refused(_) => MqttErrorCode::ConnRefused,
                WebSocketReason::Headers => MqttErrorCode::Unknown,
                WebSocketReason::Closed(_) | WebSocketReason::HandshakeEnded => MqttErrorCode::ConnLost,
                _ => MqttErrorCode::Protocol,
            },
            Self::KeepAliveTimeout => MqttErrorCode::KeepAlive,
            Self::Protocol(_) => MqttErrorCode::Protocol,
            Self::Callback { .. } | Self::Other(_) => MqttErrorCode::Unknown,
        }
    }
}

/// Returns the text of an error code.
///
/// ```
/// use callmq::client as mqtt;
///
/// assert_eq!(mqtt::error_string(7), "The connection was lost.");
/// assert_eq!(mqtt::error_string(mqtt::MQTT_ERR_SUCCESS), "No error.");
/// ```
pub fn error_string(code: impl Into<i32>) -> &'static str {
    match code.into() {
        0 => "No error.",
        1 => "Out of memory.",
        2 => "A network protocol error occurred when communicating with the broker.",
        3 => "Invalid function arguments provided.",
        4 => "The client is not currently connected.",
        5 => "The connection was refused.",
        6 => "Message not found (internal error).",
        7 => "The connection was lost.",
        8 => "A TLS error occurred.",
        9 => "Payload too large.",
        10 => "This feature is not supported.",
        11 => "Authorisation failed.",
        12 => "Access denied by ACL.",
        14 => "Error defined by errno.",
        15 => "Message queue full.",
        16 => "Client or broker did not communicate in the keepalive interval.",
        _ => "Unknown error.",
    }
}

/// Returns the text of the answer to CONNECT: a [`ConnackCode`], its number, or a [`ReasonCode`].
///
/// ```
/// use callmq::client as mqtt;
///
/// assert_eq!(mqtt::connack_string(5), "Connection Refused: not authorised.");
/// assert_eq!(mqtt::connack_string(mqtt::ReasonCode::SUCCESS), "Connection Accepted.");
/// ```
pub fn connack_string(code: impl Into<i32>) -> &'static str {
    match code.into() {
        0 => "Connection Accepted.",
        1 | 0x84 => "Connection Refused: unacceptable protocol version.",
        2 | 0x85 => "Connection Refused: identifier rejected.",
        3 | 0x88 => "Connection Refused: broker unavailable.",
        4 | 0x86 => "Connection Refused: bad user name or password.",
        5 | 0x87 => "Connection Refused: not authorised.",
        _ => "Connection Refused: unknown reason.",
    }
}

/// Returns the reason code that means the same as a return code in a CONNACK of MQTT 3.
///
/// ```
/// use callmq::client as mqtt;
///
/// let reason = mqtt::convert_connack_rc_to_reason_code(mqtt::CONNACK_REFUSED_NOT_AUTHORIZED);
/// assert_eq!(reason, mqtt::ReasonCode::NOT_AUTHORIZED);
/// ```
pub fn convert_connack_rc_to_reason_code(rc: impl Into<i32>) -> ReasonCode {
    ReasonCode::from_connack_v3(u8::try_from(rc.into()).unwrap_or(u8::MAX))
}

/// Returns the reason code with which `on_disconnect` reports an error code.
///
/// ```
/// use callmq::client as mqtt;
///
/// let reason = mqtt::convert_disconnect_error_code_to_reason_code(mqtt::MQTT_ERR_KEEPALIVE);
/// assert_eq!(reason, mqtt::ReasonCode::KEEP_ALIVE_TIMEOUT);
/// ```
pub fn convert_disconnect_error_code_to_reason_code(rc: MqttErrorCode) -> ReasonCode {
    match rc {
        MqttErrorCode::Success => ReasonCode::NORMAL_DISCONNECTION,
        MqttErrorCode::KeepAlive => ReasonCode::disconnect(0x8D),
        MqttErrorCode::Protocol => ReasonCode::disconnect(0x82),
        _ => ReasonCode::disconnect(0x80),
    }
}

/// Returns whether the filter `sub` matches the name `topic`: the same as [`topic::matches`].
///
/// ```
/// use callmq::client as mqtt;
///
/// assert!(mqtt::topic_matches_sub("foo/#", "foo/bar/baz"));
/// assert!(!mqtt::topic_matches_sub("foo/+", "foo"));
/// ```
pub fn topic_matches_sub(sub: &str, topic: &str) -> bool {
    topic::matches(sub, topic)
}

/// MQTT 3.1.
#[allow(non_upper_case_globals, reason = "the Python client's name")]
pub const MQTTv31: ProtocolVersion = ProtocolVersion::V31;
/// MQTT 3.1.1.
#[allow(non_upper_case_globals, reason = "the Python client's name")]
pub const MQTTv311: ProtocolVersion = ProtocolVersion::V311;
/// MQTT 5.0.
#[allow(non_upper_case_globals, reason = "the Python client's name")]
pub const MQTTv5: ProtocolVersion = ProtocolVersion::V5;

/// The version of this crate.
#[doc(alias = "__version__")]
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// When the server is to forget an earlier session (MQTT 5.0).
///
/// `true` stands for [`Always`](Self::Always), `false` for [`Never`](Self::Never). How long the server keeps a session
/// without a connection is another setting: [`Client::session_expiry_set`](super::Client::session_expiry_set).
///
/// A server that has a session although this connection was to forget it breaks the protocol: the connection is ended
/// with reason code 0x82. Where the session is to go on, the server's word is taken also at the first connection of a
/// program: the one that began the session may have run before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[doc(alias = "CleanStartOption")]
pub enum CleanStart {
    /// At the first connection after `connect` that the server accepts, not when the client reconnects. The default. The
    /// server then has a session to go on with only if a session expiry is set.
    #[default]
    FirstOnly,
    /// At each connection.
    Always,
    /// Never. Without a session expiry the session does not expire.
    Never,
}

/// [`CleanStart::FirstOnly`]
pub const MQTT_CLEAN_START_FIRST_ONLY: CleanStart = CleanStart::FirstOnly;

impl From<bool> for CleanStart {
    fn from(clean: bool) -> Self {
        if clean { Self::Always } else { Self::Never }
    }
}

/// What carries the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Transport {
    /// TCP, or a unix socket where the server is the path of one. The default.
    #[default]
    Tcp,
    /// WebSocket with every server, over TCP, or over a unix socket where the server is the path of one. Needs the feature
    /// `websocket`.
    WebSockets,
    /// A unix socket.
    Unix,
}

impl std::str::FromStr for Transport {
    type Err = Error;

    /// Reads the Python client's names: `tcp`, `websockets`, `unix`.
    fn from_str(name: &str) -> Result<Self, Error> {
        match name.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Tcp),
            "websockets" => Ok(Self::WebSockets),
            "unix" => Ok(Self::Unix),
            _ => Err(Error::argument("transport", "must be tcp, websockets or unix")),
        }
    }
}

#[cfg(test)]
mod tests;
