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

/// The exchange of a connection whose CONNECT named a method.
#[derive(Debug)]
pub(super) struct Authentication {
    method: String,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Nobody,
    Server,
    Application,
}

impl Authentication {
    /// CONNECT is about to be written.
    pub(super) fn new(method: &str, verifies: bool) -> Self {
        Self {
            method: method.to_owned(),
            verifies,
            turn: Turn::Server,
            steps: 0,
            deadline: None,
            connack: None,
        }
    }

    fn packet(&self, reason: ReasonCode, data: Option<AuthData>) -> Packet {
        let method = self.method.clone();
        let mut properties = Properties::new().with(Property::AuthenticationMethod(method));
        if let Some(AuthData(data)) = data {
            properties.push(Property::AuthenticationData(data));
        }
        Packet::Auth(Auth { reason, properties })
    }

    /// The method is that of the CONNECT in every AUTH and in a CONNACK that accepts [MQTT-4.12.0-5].
    fn check_method(&self, properties: &Properties) -> Result<(), DecodeError> {
        match properties.authentication_method() {
            None => Err(DecodeError::protocol(
                "the Authentication Method is missing",
                "MQTT-4.12.0-5",
            )),
            Some(method) if method == self.method => Ok(()),
            Some(_) => Err(DecodeError {
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
        let Some(authentication) = &mut self.authentication else {
            return Err(DecodeError::protocol(
                "AUTH although no Authentication Method was named",
                "MQTT-4.12.0-6",
            ));
        };
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
        let Some(authentication) = &mut self.authentication else {
            return if connack.properties.authentication_method().is_none() {
                Ok(Some(connack))
            } else {
                Err(DecodeError::protocol(
                    "an Authentication Method although none was named",
                    "MQTT-4.12.0-6",
                ))
            };
        };
        authentication.check_method(&connack.properties)?;
        if authentication.turn == Turn::Application {
            // Two CONNACKs, or one in the place of our answer.
            return Err(DecodeError::protocol(
                "CONNACK in the middle of an authentication",
                "",
            ));
        }
        if !authentication.verifies {
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
        self.auth_turn() == Some(Turn::Application)
    }

    fn auth_turn(&self) -> Option<Turn> {
        Some(self.authentication.as_ref()?.turn)
    }

    /// When a re-authentication has taken too long.
    pub(super) fn auth_deadline(&self) -> Option<Instant> {
        self.authentication.as_ref()?.deadline
    }

    /// Answers the server's AUTH with another one [MQTT-4.12.0-3].
    ///
    /// # Errors
    ///
    /// `InvalidState` if no answer is due; `InvalidArgument` for data that are too long.
    pub(crate) fn auth_answer(&mut self, _now: Instant, data: Option<AuthData>) -> Result<()> {
        match &self.authentication {
            Some(exchange) if exchange.turn == Turn::Application && exchange.connack.is_none() => {}
            _ => return Err(Error::InvalidState("no step of an authentication is due")),
        }
        self.put_auth(ReasonCode::CONTINUE_AUTHENTICATION, data)
    }

    /// The server's success is verified: the CONNACK that was kept takes effect, or the re-authentication is over.
    pub(crate) fn auth_accept(&mut self, now: Instant) -> Result<(), DecodeError> {
        let Some(authentication) = &mut self.authentication else {
            return Ok(());
        };
        if authentication.turn != Turn::Application {
            return Ok(());
        }
        self.wire.trace = self.settings.trace;
        authentication.turn = Turn::Nobody;
        authentication.deadline = None;
        match authentication.connack.take() {
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
        let deadline = now.checked_add(self.settings.connack_timeout);
        if let Some(authentication) = &mut self.authentication {
            authentication.steps = 0;
            authentication.deadline = deadline;
        }
        Ok(())
    }

    /// The errors of [`reauthenticate`](Self::reauthenticate), before its data are there.
    pub(crate) fn may_reauthenticate(&self) -> Result<()> {
        if !matches!(self.connection.link, Link::Settling | Link::Open) {
            return Err(Error::NotConnected);
        }
        match self.auth_turn() {
            Some(Turn::Nobody) => Ok(()),
            Some(_) => Err(Error::InvalidState("an authentication is under way")),
            None => Err(Error::InvalidState(
                "the connection was made without an Authentication Method",
            )),
        }
    }

    /// The method of this connection.
    pub(crate) fn auth_method(&self) -> Option<&str> {
        Some(&self.authentication.as_ref()?.method)
    }

    /// Writes AUTH: the server's turn.
    fn put_auth(&mut self, reason: ReasonCode, data: Option<AuthData>) -> Result<()> {
        self.wire.trace = self.settings.trace;
        if !self.may_write() {
            return Err(Error::NotConnected);
        }
        let Some(authentication) = &mut self.authentication else {
            return Err(Error::InvalidState("no Authentication Method was named"));
        };
        let packet = authentication.packet(reason, data);
        let mut bytes = Vec::new();
        packet.encode(self.connection.version, &mut bytes)?;
        self.connection
            .limits
            .check_size(bytes.len())
            .map_err(Error::NotAllowed)?;
        self.wire.put_packet(&packet)?;
        authentication.turn = Turn::Server;
        self.wire.trace(|_| Trace::SentAuth { reason });
        Ok(())
    }
}
