//! What `on_connect` and `on_disconnect` are told about the connection.

use std::fmt;

use crate::codec::ReasonCode;
use crate::error::{DecodeError, Error};
use crate::reason_code::ServerReason;

/// The flags of a CONNACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ConnectFlags {
    /// Whether the server has kept the session: subscriptions and unfinished messages.
    pub session_present: bool,
}

impl ConnectFlags {
    pub(crate) fn new(session_present: bool) -> Self {
        Self { session_present }
    }
}

/// How a connection ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DisconnectFlags {
    /// Whether the server said goodbye with a DISCONNECT packet (MQTT 5.0).
    pub is_disconnect_packet_from_server: bool,
    /// Why the connection ended, with everything that is known about it.
    pub reason: DisconnectReason,
}

impl DisconnectFlags {
    pub(crate) fn new(reason: DisconnectReason) -> Self {
        let is_disconnect_packet_from_server = matches!(reason, DisconnectReason::Server(_));
        Self {
            is_disconnect_packet_from_server,
            reason,
        }
    }
}

/// Why a connection ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The application called `disconnect`.
    Requested,
    /// The server refused the connection with this code in its CONNACK.
    Refused(ServerReason),
    /// The server ended the connection with this code in its DISCONNECT (MQTT 5.0).
    Server(ServerReason),
    /// The connection broke: the peer closed it, or the system reported an error.
    Lost(Error),
    /// No answer to a PINGREQ, or no CONNACK, within the time allowed.
    KeepAlive,
    /// The server broke the protocol.
    Protocol(DecodeError),
    /// The authenticator failed, did not take the server for the right one, or a re-authentication took too long
    /// (MQTT 5.0).
    Authentication(Error),
    /// The client leaves, with a DISCONNECT, for the first server of its list: see
    /// [`ConnectOptions::return_to_first`](super::ConnectOptions::return_to_first).
    ReturnToFirst,
}

impl DisconnectReason {
    /// Returns the code that `on_disconnect` gets: the server's where there is one, otherwise one of this client's.
    pub fn reason_code(&self) -> ReasonCode {
        match self {
            Self::Requested | Self::ReturnToFirst => ReasonCode::NORMAL_DISCONNECTION,
            Self::Refused(reason) | Self::Server(reason) => reason.code,
            Self::Lost(_) => ReasonCode::disconnect(ReasonCode::UNSPECIFIED_ERROR.value()),
            Self::KeepAlive => ReasonCode::disconnect(ReasonCode::KEEP_ALIVE_TIMEOUT.value()),
            Self::Protocol(error) => ReasonCode::disconnect(error.reason.value()),
            Self::Authentication(_) => ReasonCode::disconnect(ReasonCode::NOT_AUTHORIZED.value()),
        }
    }

    /// Returns the reason as the error of a call that it ended; after [`Requested`](Self::Requested) that is
    /// [`Error::NotConnected`], and so it is after [`ReturnToFirst`](Self::ReturnToFirst).
    pub fn into_error(self) -> Error {
        match self {
            Self::Requested | Self::ReturnToFirst => Error::NotConnected,
            Self::Refused(code) => Error::Refused(code),
            Self::Server(code) => Error::ServerDisconnect(code),
            Self::Lost(error) | Self::Authentication(error) => error,
            Self::KeepAlive => Error::KeepAliveTimeout,
            Self::Protocol(error) => Error::Protocol(error),
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("disconnect requested"),
            Self::ReturnToFirst => f.write_str("going back to the first server"),
            Self::Lost(Error::Io(error)) => write!(f, "connection lost: {error}"),
            Self::Lost(error) => write!(f, "connection lost: {error}"),
            Self::Authentication(error) => write!(f, "authentication failed: {error:#}"),
            Self::Refused(_) | Self::Server(_) | Self::KeepAlive | Self::Protocol(_) => {
                write!(f, "{:#}", self.clone().into_error())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons() -> [(DisconnectReason, u8, &'static str, i32, &'static str); 9] {
        let reset = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "reset");
        [
            (
                DisconnectReason::Requested,
                0,
                "Normal disconnection",
                4,
                "disconnect requested",
            ),
            (
                DisconnectReason::ReturnToFirst,
                0,
                "Normal disconnection",
                4,
                "going back to the first server",
            ),
            (
                DisconnectReason::Refused(ReasonCode::from_connack_v3(5).into()),
                5,
                "Not authorized",
                5,
                "connection refused by the server: Not authorized",
            ),
            (
                DisconnectReason::Server(ReasonCode::disconnect(0x8B).into()),
                0x8B,
                "Server shutting down",
                7,
                "disconnected by the server: Server shutting down",
            ),
            (
                DisconnectReason::Lost(Error::ConnectionClosed),
                128,
                "Unspecified error",
                7,
                "connection lost: connection closed by the peer",
            ),
            (
                DisconnectReason::Lost(reset.into()),
                128,
                "Unspecified error",
                7,
                "connection lost: reset",
            ),
            (
                DisconnectReason::KeepAlive,
                141,
                "Keep alive timeout",
                16,
                "no answer from the server within the time allowed",
            ),
            (
                DisconnectReason::Protocol(DecodeError::protocol("second CONNACK", "")),
                130,
                "Protocol error",
                2,
                "the server broke the protocol: second CONNACK",
            ),
            (
                DisconnectReason::Protocol(DecodeError::malformed("QoS 3", "MQTT-3.3.1-4")),
                129,
                "Malformed packet",
                2,
                "the server broke the protocol: QoS 3 [MQTT-3.3.1-4]",
            ),
        ]
    }

    #[test]
    fn each_reason_has_its_code_its_error_and_its_text() {
        for (reason, value, name, error, text) in reasons() {
            assert_eq!(
                (reason.reason_code().value(), reason.reason_code().name()),
                (value, name)
            );
            assert_eq!(reason.to_string(), text);
            assert_eq!(reason.into_error().code(), error);
        }
    }

    #[test]
    fn the_flag_says_whether_the_server_said_goodbye() {
        for (reason, ..) in reasons() {
            let by_server = matches!(reason, DisconnectReason::Server(_));
            assert_eq!(
                DisconnectFlags::new(reason).is_disconnect_packet_from_server,
                by_server
            );
        }
        assert!(ConnectFlags::new(true).session_present);
    }
}
