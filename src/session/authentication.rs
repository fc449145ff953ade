//! Enhanced authentication: whose turn it is, and what is held until the application has verified the server.
//!
//! ```text
//!   CONNECT ──► Server ──AUTH 0x18──► Application ──AUTH 0x18──► Server .. ──CONNACK──► Application ──► Nobody
//!   Nobody ──AUTH 0x19──► Server ──AUTH 0x18──► Application ──AUTH 0x18──► Server .. ──AUTH 0x00──► Application
//! ```
//!
//! The application answers each `Event::Auth` with [`Session::auth_answer`] or [`Session::auth_accept`]; where it does
//! neither it ends the connection. A CONNACK that it has not verified changes nothing here: it is kept as it came. The
//! deadline of the CONNACK covers the whole exchange before it, and a re-authentication gets the same time.
//!
//! See MQTT 5.0, section 4.12.

use std::fmt;
use std::time::Duration;

use super::*;
use crate::codec::{Auth, ConnAck, Property};

/// A server that asks for more steps than this in one exchange does not mean to come to an end.
const MAX_STEPS: u32 = 64;

/// The Authentication Method and the first data of a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuthStart {
    pub(crate) method: String,
    pub(crate) data: Option<AuthData>,
}

/// Authentication Data, which are not printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AuthData(pub(crate) Bytes);

impl fmt::Debug for AuthData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// The exchange of one connection.
#[derive(Debug, Default)]
pub(super) struct Authentication {
    /// What CONNECT named.
    method: Option<String>,
    /// The application wants to see the server's success before it counts.
    verifies: bool,
    turn: Turn,
    /// AUTH packets of the server in this exchange.
    steps: u32,
    /// Of a re-authentication.
    deadline: Option<Instant>,
    /// The CONNACK that the application is verifying.
    connack: Option<ConnAck>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Turn {
    #[default]
    Nobody,
    Server,
    Application,
}

impl Authentication {
    /// CONNECT is about to be written.
    pub(super) fn open(&mut self, method: Option<&str>, verifies: bool) {
        *self = Self {
            method: method.map(str::to_owned),
            verifies,
            turn: if method.is_some() {
                Turn::Server
            } else {
                Turn::Nobody
            },
            ..Self::default()
        };
    }

    /// The connection is over, or nothing more is sent on it.
    pub(super) fn stop(&mut self) {
        *self = Self::default();
    }

    /// Whether CONNECT named a method.
    pub(super) fn is_named(&self) -> bool {
        self.method.is_some()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn packet(&self, reason: ReasonCode, data: Option<AuthData>) -> Option<Packet> {
        let method = self.method.clone()?;
        let mut properties = Properties::new().with(Property::AuthenticationMethod(method));
        if let Some(AuthData(data)) = data {
            properties.push(Property::AuthenticationData(data));
        }
        Some(Packet::Auth(Auth { reason, properties }))
    }

    /// The method is that of the CONNECT in every AUTH and in a CONNACK that accepts [MQTT-4.12.0-5].
    fn check_method(&self, properties: &Properties) -> Result<(), DecodeError> {
        match (self.method.as_deref(), properties.authentication_method()) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(DecodeError::protocol(
                "an Authentication Method although none was named",
                "MQTT-4.12.0-6",
            )),
            (Some(_), None) => Err(DecodeError::protocol(
                "the Authentication Method is missing",
                "MQTT-4.12.0-5",
            )),
            (Some(named), Some(other)) if named == other => Ok(()),
            (Some(_), Some(_)) => Err(DecodeError {
                reason: ReasonCode::BAD_AUTHENTICATION_METHOD,
                detail: "another Authentication Method than that of the CONNECT",
                statement: "MQTT-4.12.0-5",
            }),
        }
    }
}

/// What comes from the server.
impl<T: Track> Session<T> {
    /// AUTH, before or after the CONNACK.
    pub(super) fn receive_auth(&mut self, auth: Auth) -> Result<(), DecodeError> {
        let before_connack = self.connection.link == Link::Connecting;
        let authentication = &mut self.authentication;
        if !authentication.is_named() {
            return Err(DecodeError::protocol(
                "AUTH although no Authentication Method was named",
                "MQTT-4.12.0-6",
            ));
        }
        // The short form of success has no room for the method (section 3.15.2.1).
        if auth.reason != ReasonCode::SUCCESS || !auth.properties.is_empty() {
            authentication.check_method(&auth.properties)?;
        }
        if authentication.turn != Turn::Server {
            return Err(DecodeError::protocol(
                "AUTH that answers nothing",
                "MQTT-4.12.0-2",
            ));
        }
        let goes_on = auth.reason == ReasonCode::CONTINUE_AUTHENTICATION;
        // Success before the CONNACK is the CONNACK's to tell, and only clients start a re-authentication.
        if !goes_on && (before_connack || auth.reason != ReasonCode::SUCCESS) {
            return Err(DecodeError::protocol(
                "AUTH with a reason that is not due",
                "MQTT-4.12.0-2",
            ));
        }
        authentication.steps += 1;
        if authentication.steps > MAX_STEPS {
            return Err(DecodeError {
                reason: ReasonCode::QUOTA_EXCEEDED,
                detail: "an authentication that does not come to an end",
                statement: "",
            });
        }
        authentication.turn = Turn::Application;
        self.emit_auth(auth.reason, &auth.properties);
        Ok(())
    }

    /// A CONNACK that accepts: gives it back, unless it is kept for the application to verify.
    pub(super) fn verify(&mut self, connack: ConnAck) -> Result<Option<ConnAck>, DecodeError> {
        let authentication = &mut self.authentication;
        authentication.check_method(&connack.properties)?;
        if authentication.turn == Turn::Application {
            // Two CONNACKs, or one in the place of our answer.
            return Err(DecodeError::protocol(
                "CONNACK in the middle of an authentication",
                "",
            ));
        }
        if !authentication.is_named() || !authentication.verifies {
            authentication.turn = Turn::Nobody;
            return Ok(Some(connack));
        }
        authentication.turn = Turn::Application;
        let properties = connack.properties.clone();
        authentication.connack = Some(connack);
        self.emit_auth(ReasonCode::SUCCESS, &properties);
        Ok(None)
    }

    fn emit_auth(&mut self, reason: ReasonCode, properties: &Properties) {
        let data = properties.authentication_data().cloned().map(AuthData);
        self.wire.emit(Event::Auth { reason, data });
    }
}

/// What the application says.
impl<T: Track> Session<T> {
    /// Whether the application has an `Event::Auth` to answer: nothing is taken from the input before.
    pub(crate) fn awaits_application(&self) -> bool {
        self.authentication.turn == Turn::Application
    }

    /// Answers the server's AUTH with another one [MQTT-4.12.0-3].
    ///
    /// # Errors
    ///
    /// `InvalidState` if no answer is due; `InvalidArgument` for data that are too long.
    pub(crate) fn auth_answer(&mut self, _now: Instant, data: Option<AuthData>) -> Result<()> {
        if !self.awaits_application() || self.authentication.connack.is_some() {
            return Err(Error::InvalidState("no step of an authentication is due"));
        }
        self.put_auth(ReasonCode::CONTINUE_AUTHENTICATION, data)?;
        self.authentication.turn = Turn::Server;
        Ok(())
    }

    /// The server's success is verified: the CONNACK that was kept takes effect, or the re-authentication is over.
    pub(crate) fn auth_accept(&mut self, now: Instant) -> Result<(), DecodeError> {
        if !self.awaits_application() {
            return Ok(());
        }
        self.wire.trace = self.settings.trace;
        self.authentication.turn = Turn::Nobody;
        self.authentication.deadline = None;
        match self.authentication.connack.take() {
            Some(connack) => self.accepted(now, connack),
            None => Ok(()),
        }
    }

    /// Starts another authentication on this connection [MQTT-4.12.1-1]. Other packets are not held up by it.
    ///
    /// # Errors
    ///
    /// `NotConnected` before the CONNACK and after the end; `InvalidState` if CONNECT named no method
    /// [MQTT-4.12.0-7], or while another one is under way; `InvalidArgument` for data that are too long, `NotAllowed` for
    /// data that the server's Maximum Packet Size has no room for.
    pub(crate) fn reauthenticate(&mut self, now: Instant, data: Option<AuthData>) -> Result<()> {
        self.may_reauthenticate()?;
        self.put_auth(ReasonCode::RE_AUTHENTICATE, data)?;
        self.authentication.turn = Turn::Server;
        self.authentication.steps = 0;
        self.authentication.deadline = now.checked_add(self.auth_timeout());
        Ok(())
    }

    /// The errors of [`reauthenticate`](Self::reauthenticate), before its data are there.
    pub(crate) fn may_reauthenticate(&self) -> Result<()> {
        if !matches!(self.connection.link, Link::Settling | Link::Open) {
            return Err(Error::NotConnected);
        }
        if !self.authentication.is_named() {
            return Err(Error::InvalidState(
                "the connection was made without an Authentication Method",
            ));
        }
        if self.authentication.turn != Turn::Nobody {
            return Err(Error::InvalidState("an authentication is under way"));
        }
        Ok(())
    }

    /// The method of this connection.
    pub(crate) fn auth_method(&self) -> Option<&str> {
        self.authentication.method.as_deref()
    }

    fn auth_timeout(&self) -> Duration {
        self.settings.connack_timeout
    }

    fn put_auth(&mut self, reason: ReasonCode, data: Option<AuthData>) -> Result<()> {
        self.wire.trace = self.settings.trace;
        if !self.may_write() {
            return Err(Error::NotConnected);
        }
        let packet = self.authentication.packet(reason, data);
        let packet = packet.ok_or(Error::InvalidState("no Authentication Method was named"))?;
        let mut bytes = Vec::new();
        packet.encode(self.connection.version, &mut bytes)?;
        self.connection
            .limits
            .check_size(bytes.len())
            .map_err(Error::NotAllowed)?;
        self.wire.put_packet(&packet)?;
        self.wire.trace(|_| Trace::SentAuth { reason });
        Ok(())
    }
}
