//! Ends: of a connection, with what the client and the log are told; of a session, with its Will.

use std::sync::Arc;
use std::time::Duration;

use super::connect;
use super::connection::{PendingWill, Phase};
use super::{ConnectionId, State};
use crate::codec::{DecodeError, Disconnect, Packet, Properties, ProtocolVersion, ReasonCode};

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client sent DISCONNECT.
    Disconnected { with_will: bool },
    /// The peer closed the transport.
    PeerClosed,
    /// The client broke the protocol or a rule of this broker.
    Violation(ReasonCode),
    /// Another connection uses the same Client Identifier.
    TakenOver,
    /// Nothing came for one and a half times the Keep Alive.
    KeepAlive,
    /// The CONNACK refuses the connection.
    Refused(ReasonCode),
    /// The test cuts the connection, with a DISCONNECT or without a word.
    Cut(Option<ReasonCode>),
}

impl From<DecodeError> for End {
    fn from(error: DecodeError) -> Self {
        Self::Violation(error.reason)
    }
}

impl From<ReasonCode> for End {
    fn from(reason: ReasonCode) -> Self {
        Self::Violation(reason)
    }
}

impl State {
    pub(super) fn handle_disconnect(&mut self, client_id: &str, disconnect: &Disconnect) -> Result<(), End> {
        let expiry = disconnect.properties.session_expiry_interval();
        if let (Some(seconds), Some(session)) = (expiry, self.sessions.get_mut(client_id)) {
            // A session that was to end with the connection cannot be prolonged (MQTT 5.0, section 3.14.2.2.2).
            if session.expiry == Some(Duration::ZERO) && seconds != 0 {
                return Err(ReasonCode::PROTOCOL_ERROR.into());
            }
            session.expiry = connect::session_expiry(seconds, &self.options);
        }
        Err(End::Disconnected {
            with_will: disconnect.reason != ReasonCode::NORMAL_DISCONNECTION,
        })
    }

    /// Bytes that are no packet: a version that nobody knows gets an answer.
    pub(super) fn undecodable(&mut self, id: ConnectionId, error: DecodeError) -> End {
        let connected = self
            .connections
            .get(&id)
            .is_some_and(|connection| connection.phase != Phase::AwaitConnect);
        if connected || error.reason != ReasonCode::UNSUPPORTED_PROTOCOL_VERSION {
            return error.into();
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.version = ProtocolVersion::V311;
        }
        End::Refused(error.reason)
    }

    /// Ends a connection: tells the client as far as its version allows, writes the log, leaves the session.
    pub(super) fn end(&mut self, id: ConnectionId, end: End) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let phase = std::mem::replace(&mut connection.phase, Phase::Ended);
        let client_id = match phase {
            Phase::Ended => return,
            Phase::AwaitConnect => None,
            Phase::Open { client_id } => Some(client_id),
        };
        let will = connection.will.take();
        let version = connection.version;
        connection.abort = matches!(end, End::Cut(None));
        connection.input.clear();
        let name = client_id.clone().unwrap_or_else(|| "<unknown>".to_owned());
        let farewell = match &end {
            End::Violation(reason) | End::Cut(Some(reason)) => Some(*reason),
            End::TakenOver => Some(ReasonCode::SESSION_TAKEN_OVER),
            End::KeepAlive => Some(ReasonCode::KEEP_ALIVE_TIMEOUT),
            _ => None,
        };
        match (farewell, &end) {
            (_, End::Refused(reason)) => self.send_refusal(id, *reason),
            (Some(reason), _) if version == ProtocolVersion::V5 && client_id.is_some() => {
                let reason = ReasonCode::disconnect(reason.value());
                let properties = Properties::default();
                self.send_as(id, &name, &Packet::Disconnect(Disconnect { reason, properties }));
            }
            _ => {}
        }
        if let Some(text) = end.log_line(&name) {
            self.log.line(text);
        }
        if let Some(client_id) = client_id {
            let will = will.filter(|_| end.publishes_will());
            self.leave_session(&client_id, will);
        }
        self.touched.insert(id);
    }

    /// The session has no connection any more: it ends now or later, and so does the wait of its Will.
    fn leave_session(&mut self, client_id: &str, will: Option<PendingWill>) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(client_id) else {
            return;
        };
        session.connection = None;
        session.ends_at = session.expiry.and_then(|expiry| now.checked_add(expiry));
        let ends_now = session.expiry == Some(Duration::ZERO);
        if let Some(will) = will {
            if ends_now || will.delay.is_zero() {
                self.publish_message(&Arc::new(will.message));
            } else if let Some(session) = self.sessions.get_mut(client_id) {
                session.will = now.checked_add(will.delay).map(|at| (at, will.message));
            }
        }
        if ends_now {
            self.end_session(client_id);
        }
    }

    /// The session is over: its subscriptions and messages go, and a Will that waits is published.
    pub(super) fn end_session(&mut self, client_id: &str) {
        self.subscriptions.remove_client(client_id);
        if let Some((_, will)) = self.sessions.remove(client_id).and_then(|session| session.will) {
            self.publish_message(&Arc::new(will));
        }
    }
}

impl End {
    /// Whether the Will is due [MQTT-3.14.4-3].
    fn publishes_will(&self) -> bool {
        !matches!(self, Self::Disconnected { with_will: false })
    }

    fn log_line(&self, name: &str) -> Option<String> {
        Some(match self {
            Self::Disconnected { .. } => format!("Client {name} disconnected."),
            Self::PeerClosed => format!("Client {name} closed its connection."),
            Self::Violation(reason) if *reason == ReasonCode::MALFORMED_PACKET => {
                format!("Client {name} disconnected due to malformed packet.")
            }
            Self::Violation(reason) if *reason == ReasonCode::PROTOCOL_ERROR => {
                format!("Client {name} disconnected due to protocol error.")
            }
            Self::Violation(reason) => format!("Client {name} disconnected: {}.", reason.name()),
            // Said before, with the take-over.
            Self::TakenOver => return None,
            Self::KeepAlive => format!("Client {name} has exceeded timeout, disconnecting."),
            Self::Refused(reason) if *reason == ReasonCode::NOT_AUTHORIZED => {
                format!("Client {name} disconnected, not authorised.")
            }
            Self::Refused(_) => format!("Client {name} disconnected due to protocol error."),
            Self::Cut(_) => format!("Client {name} cut off."),
        })
    }
}
