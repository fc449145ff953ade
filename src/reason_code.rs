//! Reason codes: one type for the return codes of MQTT 3 and the reason codes of MQTT 5.0.
//!
//! A code keeps the number that was on the wire; comparing two codes and printing one goes by meaning.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The result of an operation as the server (or this client) reported it.
///
/// [`value`](Self::value) is the number on the wire: a refused login is 5 in MQTT 3.1.1 and 135 in MQTT 5.0, and both
/// equal [`ReasonCode::NOT_AUTHORIZED`] and print as `Not authorized`. Comparing with an integer compares the number
/// on the wire, comparing with a string compares the name.
///
/// ```
/// use callmq::client::ReasonCode;
///
/// let refused = ReasonCode::from_connack_v3(5);
/// assert_eq!(refused.value(), 5);
/// assert_eq!(refused, ReasonCode::NOT_AUTHORIZED);
/// assert!(refused == 5 && refused == "Not authorized");
/// assert!(refused.is_failure());
/// ```
///
/// See MQTT 5.0, section 2.4.
#[derive(Clone, Copy, Eq)]
pub struct ReasonCode {
    wire: u8,
    /// The MQTT 5.0 code of the same meaning.
    meaning: u8,
    context: Context,
}

/// What kind of packet a code came in: 0x00, 0x01, 0x02 and 0x04 have different names there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Context {
    General,
    SubAck,
    Disconnect,
}

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $constant:ident = $value:literal, $name:literal;)*) => {
        impl ReasonCode {
            $($(#[$doc])* pub const $constant: Self = Self::new($value);)*
        }

        /// The name of a code of MQTT 5.0, as paho-mqtt prints it.
        fn general_name(code: u8) -> Option<&'static str> {
            match code {
                $($value => Some($name),)*
                _ => None,
            }
        }
    };
}

reason_codes! {
    /// The operation succeeded.
    SUCCESS = 0x00, "Success";
    /// The subscription is granted with QoS 1.
    GRANTED_QOS_1 = 0x01, "Granted QoS 1";
    /// The subscription is granted with QoS 2.
    GRANTED_QOS_2 = 0x02, "Granted QoS 2";
    /// The connection ends, and the Will is to be published.
    DISCONNECT_WITH_WILL_MESSAGE = 0x04, "Disconnect with will message";
    /// The message was accepted, but nobody subscribes to it.
    NO_MATCHING_SUBSCRIBERS = 0x10, "No matching subscribers";
    /// There was no such subscription.
    NO_SUBSCRIPTION_EXISTED = 0x11, "No subscription found";
    /// The authentication goes on with another step.
    CONTINUE_AUTHENTICATION = 0x18, "Continue authentication";
    /// A new authentication starts.
    RE_AUTHENTICATE = 0x19, "Re-authenticate";
    /// A failure without a code of its own.
    UNSPECIFIED_ERROR = 0x80, "Unspecified error";
    /// A packet could not be decoded.
    MALFORMED_PACKET = 0x81, "Malformed packet";
    /// A packet was not allowed at that point.
    PROTOCOL_ERROR = 0x82, "Protocol error";
    /// The packet is valid but this receiver does not take it.
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83, "Implementation specific error";
    /// The server does not speak this version of the protocol.
    UNSUPPORTED_PROTOCOL_VERSION = 0x84, "Unsupported protocol version";
    /// The Client Identifier is not allowed.
    CLIENT_IDENTIFIER_NOT_VALID = 0x85, "Client identifier not valid";
    /// The user name or the password is wrong.
    BAD_USERNAME_OR_PASSWORD = 0x86, "Bad user name or password";
    /// The client may not do this.
    NOT_AUTHORIZED = 0x87, "Not authorized";
    /// The server is not available.
    SERVER_UNAVAILABLE = 0x88, "Server unavailable";
    /// The server is busy; try again later.
    SERVER_BUSY = 0x89, "Server busy";
    /// The client is banned.
    BANNED = 0x8A, "Banned";
    /// The server is shutting down.
    SERVER_SHUTTING_DOWN = 0x8B, "Server shutting down";
    /// The authentication method is not supported or not the one in use.
    BAD_AUTHENTICATION_METHOD = 0x8C, "Bad authentication method";
    /// Nothing was received for one and a half times the Keep Alive.
    KEEP_ALIVE_TIMEOUT = 0x8D, "Keep alive timeout";
    /// Another connection uses the same Client Identifier.
    SESSION_TAKEN_OVER = 0x8E, "Session taken over";
    /// The Topic Filter is not allowed.
    TOPIC_FILTER_INVALID = 0x8F, "Topic filter invalid";
    /// The Topic Name is not allowed.
    TOPIC_NAME_INVALID = 0x90, "Topic name invalid";
    /// The Packet Identifier is in use.
    PACKET_IDENTIFIER_IN_USE = 0x91, "Packet identifier in use";
    /// The Packet Identifier is not known.
    PACKET_IDENTIFIER_NOT_FOUND = 0x92, "Packet identifier not found";
    /// More unfinished messages than the Receive Maximum allows.
    RECEIVE_MAXIMUM_EXCEEDED = 0x93, "Receive maximum exceeded";
    /// The Topic Alias is 0 or above the maximum.
    TOPIC_ALIAS_INVALID = 0x94, "Topic alias invalid";
    /// The packet is larger than the receiver takes.
    PACKET_TOO_LARGE = 0x95, "Packet too large";
    /// Messages come too fast.
    MESSAGE_RATE_TOO_HIGH = 0x96, "Message rate too high";
    /// A limit of the server is exceeded.
    QUOTA_EXCEEDED = 0x97, "Quota exceeded";
    /// The connection was closed by an administrator.
    ADMINISTRATIVE_ACTION = 0x98, "Administrative action";
    /// The payload is not what the Payload Format Indicator says.
    PAYLOAD_FORMAT_INVALID = 0x99, "Payload format invalid";
    /// The server does not keep retained messages.
    RETAIN_NOT_SUPPORTED = 0x9A, "Retain not supported";
    /// The QoS is above the server's maximum.
    QOS_NOT_SUPPORTED = 0x9B, "QoS not supported";
    /// Use another server for now.
    USE_ANOTHER_SERVER = 0x9C, "Use another server";
    /// Use another server from now on.
    SERVER_MOVED = 0x9D, "Server moved";
    /// The server does not support shared subscriptions.
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E, "Shared subscription not supported";
    /// Connections come too fast.
    CONNECTION_RATE_EXCEEDED = 0x9F, "Connection rate exceeded";
    /// The connection was authorized for a limited time, which is over.
    MAXIMUM_CONNECT_TIME = 0xA0, "Maximum connect time";
    /// The server does not support Subscription Identifiers.
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1, "Subscription identifiers not supported";
    /// The server does not support subscriptions with wildcards.
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2, "Wildcard subscription not supported";
}

impl ReasonCode {
    /// The subscription is granted with QoS 0.
    pub const GRANTED_QOS_0: Self = Self::sub_ack(0x00);
    /// The connection ends normally.
    pub const NORMAL_DISCONNECTION: Self = Self::disconnect(0x00);

    /// Makes a code of MQTT 5.0 as CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK and AUTH carry it.
    pub const fn new(value: u8) -> Self {
        Self {
            wire: value,
            meaning: value,
            context: Context::General,
        }
    }

    /// Makes a code of a SUBACK packet; in MQTT 3 only 0, 1, 2 and 0x80.
    pub const fn sub_ack(value: u8) -> Self {
        Self {
            wire: value,
            meaning: value,
            context: Context::SubAck,
        }
    }

    /// Makes a code of a DISCONNECT packet.
    pub const fn disconnect(value: u8) -> Self {
        Self {
            wire: value,
            meaning: value,
            context: Context::Disconnect,
        }
    }

    /// Makes the return code of a CONNACK packet of MQTT 3.1 and 3.1.1: 0 to 5; others mean an unspecified error.
    pub const fn from_connack_v3(value: u8) -> Self {
        let meaning = match value {
            0 => 0x00,
            1 => 0x84,
            2 => 0x85,
            3 => 0x88,
            4 => 0x86,
            5 => 0x87,
            _ => 0x80,
        };
        Self {
            wire: value,
            meaning,
            context: Context::General,
        }
    }

    /// Returns the number on the wire.
    pub const fn value(self) -> u8 {
        self.wire
    }

    /// Returns the code of MQTT 5.0 that means the same; equal to [`value`](Self::value) but for return codes of MQTT 3.
    pub const fn meaning(self) -> u8 {
        self.meaning
    }

    /// Returns whether the code reports a failure: 0x80 and above in MQTT 5.0, any but 0 in a CONNACK of MQTT 3.
    pub const fn is_failure(self) -> bool {
        self.meaning >= 0x80
    }

    /// Returns the code's name, as paho-mqtt prints it: `Success`, `Not authorized`, `Granted QoS 1` ..
    pub fn name(self) -> &'static str {
        match (self.context, self.meaning) {
            (Context::SubAck, 0) => "Granted QoS 0",
            (Context::Disconnect, 0) => "Normal disconnection",
            (_, meaning) => general_name(meaning).unwrap_or("Unknown reason"),
        }
    }
}

impl PartialEq for ReasonCode {
    fn eq(&self, other: &Self) -> bool {
        self.meaning == other.meaning
    }
}

impl std::hash::Hash for ReasonCode {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.meaning.hash(state);
    }
}

impl PartialEq<i32> for ReasonCode {
    fn eq(&self, other: &i32) -> bool {
        i32::from(self.wire) == *other
    }
}

impl PartialOrd<i32> for ReasonCode {
    fn partial_cmp(&self, other: &i32) -> Option<Ordering> {
        i32::from(self.wire).partial_cmp(other)
    }
}

impl PartialEq<str> for ReasonCode {
    fn eq(&self, other: &str) -> bool {
        self.name() == other
    }
}

impl PartialEq<&str> for ReasonCode {
    fn eq(&self, other: &&str) -> bool {
        self.name() == *other
    }
}

impl From<ReasonCode> for u8 {
    fn from(code: ReasonCode) -> u8 {
        code.wire
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#04x})", self.name(), self.wire)
    }
}

/// A code that the server gave, with its words where it sent some (the Reason String of MQTT 5.0).
///
/// Compares and prints as the [`ReasonCode`] does, which it also dereferences to; the words follow in what is printed. They
/// are for people: logs and messages, not decisions.
///
/// ```
/// use callmq::client::{Error, ReasonCode};
///
/// fn advise(error: &Error) -> String {
///     match error {
///         Error::Refused(reason) if *reason == ReasonCode::NOT_AUTHORIZED => format!("check the password ({reason})"),
///         other => other.to_string(),
///     }
/// }
/// let refused = Error::Refused(ReasonCode::NOT_AUTHORIZED.into());
/// assert_eq!(advise(&refused), "check the password (Not authorized)");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerReason {
    /// The code.
    pub code: ReasonCode,
    /// The server's words.
    pub text: Option<Arc<str>>,
}

impl ServerReason {
    pub(crate) fn new(code: ReasonCode, text: Option<&str>) -> Self {
        Self {
            code,
            text: text.map(Arc::from),
        }
    }
}

impl From<ReasonCode> for ServerReason {
    fn from(code: ReasonCode) -> Self {
        Self { code, text: None }
    }
}

impl Deref for ServerReason {
    type Target = ReasonCode;

    fn deref(&self) -> &ReasonCode {
        &self.code
    }
}

impl<T: ?Sized> PartialEq<T> for ServerReason
where
    ReasonCode: PartialEq<T>,
{
    fn eq(&self, other: &T) -> bool {
        self.code == *other
    }
}

impl fmt::Display for ServerReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.code, f)?;
        match &self.text {
            // The words are the server's: whatever is in them, they stay one line.
            Some(text) => write!(f, " ({})", text.escape_debug()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_reason_is_its_code_and_prints_its_words_on_one_line() {
        let reason = ServerReason::new(ReasonCode::from_connack_v3(5), Some("no\nentry: \"you\""));
        assert!(reason == 5 && reason == "Not authorized" && reason == ReasonCode::NOT_AUTHORIZED);
        assert_eq!((reason.value(), reason.is_failure()), (5, true));
        assert_eq!(reason.to_string(), "Not authorized (no\\nentry: \\\"you\\\")");
        assert_eq!(ServerReason::from(ReasonCode::BANNED).to_string(), "Banned");
    }

    #[test]
    fn a_code_keeps_its_number_and_compares_by_meaning() {
        for (old, new) in [
            (1, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION),
            (2, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID),
            (3, ReasonCode::SERVER_UNAVAILABLE),
            (4, ReasonCode::BAD_USERNAME_OR_PASSWORD),
            (5, ReasonCode::NOT_AUTHORIZED),
            (6, ReasonCode::UNSPECIFIED_ERROR),
        ] {
            let code = ReasonCode::from_connack_v3(old);
            assert_eq!(code, new);
            assert_eq!(code.name(), new.name());
            assert_eq!((code.value(), code.meaning()), (old, new.value()));
            assert!(code.is_failure());
            assert!(code == i32::from(old) && code > 0 && new >= 0x80);
        }
        assert!(!ReasonCode::from_connack_v3(0).is_failure());
    }

    #[test]
    fn zero_has_a_name_for_each_kind_of_packet() {
        assert_eq!(ReasonCode::SUCCESS, "Success");
        assert_eq!(ReasonCode::GRANTED_QOS_0, "Granted QoS 0");
        assert_eq!(ReasonCode::NORMAL_DISCONNECTION, "Normal disconnection");
        assert_eq!(ReasonCode::GRANTED_QOS_0, ReasonCode::SUCCESS);
    }

    #[test]
    fn codes_print_their_names() {
        assert_eq!(ReasonCode::sub_ack(2).to_string(), "Granted QoS 2");
        assert_eq!(ReasonCode::disconnect(0x8E).to_string(), "Session taken over");
        assert_eq!(
            format!("{:?}", ReasonCode::from_connack_v3(5)),
            "Not authorized (0x05)"
        );
        assert_eq!(format!("{:>9}", ReasonCode::SUCCESS), "  Success");
        assert_eq!(ReasonCode::new(0xFF).name(), "Unknown reason");
    }

    #[test]
    fn failures_start_at_0x80() {
        for code in 0..=0xFF {
            assert_eq!(ReasonCode::new(code).is_failure(), code >= 0x80);
        }
    }
}
