//! Enhanced authentication (MQTT 5.0): the application's side of the exchange.
//!
//! The handler lies in a slot like the other closures and runs without any lock. The session says when a step is due
//! (`Event::Auth`); here it is run, and what it wants goes back into the session.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;

use super::driver::Driver;
use super::shared::{Core, Shared};
use super::slow_callbacks::Watch;
use super::{Client, DisconnectReason, IntoTimeout};
use crate::codec::{PacketType, Properties, Property, ReasonCode};
use crate::error::{Error, Result};
use crate::session::{AuthData, AuthStart};

/// Authenticates with a method of MQTT 5.0: challenge and response, tokens that are renewed, proof of who the server is.
///
/// Set by [`Client::authenticator_set`]; [`Client::on_auth`] is the form for a closure, and `Scram` (feature
/// `scram`) is one that is ready for use. Its calls run one at a time with no lock held: [`start`](Self::start) on the
/// thread that connects, [`step`](Self::step) on the one that runs the loop. They should not take long: the time allowed
/// for the CONNACK ([`Client::connect_timeout_set`]) covers the whole exchange, and so does the same time for a
/// re-authentication. An error or a panic ends the connection with DISCONNECT 0x87 (Not authorized), and is reported as
/// that of any other callback.
///
/// ```
/// use bytes::Bytes;
/// use callmq::client::{self as mqtt, AuthStep, Authenticator, Error, ReasonCode, Result};
///
/// /// Sends a token; the server proves nothing.
/// struct Token(fn() -> String);
///
/// impl Authenticator for Token {
///     fn method(&self) -> &str {
///         "OAUTH2-JWT"
///     }
///     fn start(&mut self) -> Result<Option<Bytes>> {
///         Ok(Some((self.0)().into()))
///     }
///     fn step(&mut self, reason: ReasonCode, _data: Option<&[u8]>) -> Result<AuthStep> {
///         if reason == ReasonCode::SUCCESS { Ok(AuthStep::Done) } else { Err(Error::other("no more steps")) }
///     }
/// }
///
/// let client = mqtt::Client::builder("meter").protocol(mqtt::MQTTv5).build();
/// client.authenticator_set(Token(|| "eyJhbGciOi..".to_owned()))?;
/// # Ok::<(), Error>(())
/// ```
///
/// See MQTT 5.0, section 4.12.
pub trait Authenticator: Send {
    /// Returns the Authentication Method. It is asked for once, when the authenticator is set.
    fn method(&self) -> &str;

    /// A new exchange starts, at each attempt to connect and at each [`Client::reauthenticate`]: returns the first data
    /// for the server, if the method has any there.
    ///
    /// What is left of an exchange before is void.
    ///
    /// # Errors
    ///
    /// Any error gives the attempt up: nothing is sent.
    fn start(&mut self) -> Result<Option<Bytes>>;

    /// The server has answered.
    ///
    /// `reason` is [`ReasonCode::CONTINUE_AUTHENTICATION`] where it waits for the next step: return
    /// [`AuthStep::Continue`]. It is [`ReasonCode::SUCCESS`] where the server is satisfied (in its CONNACK, or at the end
    /// of a re-authentication): verify what it proves with its last `data`, and return [`AuthStep::Done`]. Until then
    /// the connection does not count as made, and nothing of the CONNACK has taken effect.
    ///
    /// # Errors
    ///
    /// Any error ends the connection with DISCONNECT 0x87. So does a step that does not fit the reason.
    fn step(&mut self, reason: ReasonCode, data: Option<&[u8]>) -> Result<AuthStep>;
}

/// What an authentication does next.
///
/// `Debug` does not show the data.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthStep {
    /// Goes on with these data, at most 65,535 bytes.
    Continue(Option<Bytes>),
    /// Nothing is left to do: the server's success is accepted. At the start: there are no first data.
    Done,
}

impl AuthStep {
    /// Goes on with these data: [`Continue`](Self::Continue) for anything that converts into bytes.
    ///
    /// ```
    /// use callmq::client::AuthStep;
    ///
    /// assert_eq!(AuthStep::send("response"), AuthStep::Continue(Some("response".into())));
    /// ```
    pub fn send(data: impl Into<Bytes>) -> Self {
        Self::Continue(Some(data.into()))
    }
}

impl fmt::Debug for AuthStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continue(Some(_)) => f.write_str("Continue(Some(..))"),
            Self::Continue(None) => f.write_str("Continue(None)"),
            Self::Done => f.write_str("Done"),
        }
    }
}

/// What the closure of [`Client::on_auth`] may return: an [`AuthStep`], or a `Result` with one and this crate's
/// [`Error`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a step of an authentication",
    label = "not a step",
    note = "return an `AuthStep`, or a `Result<AuthStep, callmq::Error>`"
)]
pub trait IntoAuthStep: sealed::Sealed {
    /// Converts it.
    ///
    /// # Errors
    ///
    /// The error of the closure.
    fn into_auth_step(self) -> Result<AuthStep>;
}

impl IntoAuthStep for AuthStep {
    fn into_auth_step(self) -> Result<AuthStep> {
        Ok(self)
    }
}

impl IntoAuthStep for Result<AuthStep> {
    fn into_auth_step(self) -> Result<AuthStep> {
        self
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::AuthStep {}
    impl Sealed for crate::error::Result<super::AuthStep> {}
}

/// A re-authentication, made by [`Client::reauthenticate`].
#[derive(Clone)]
#[must_use = "it tells whether the server was convinced"]
pub struct Reauthentication {
    shared: Weak<Shared>,
    outcome: Arc<Ended>,
}

/// How a re-authentication ended, once it has.
pub(crate) type Ended = OnceLock<Result<()>>;

impl Reauthentication {
    /// Returns whether it has ended, well or not.
    pub fn is_done(&self) -> bool {
        self.outcome.get().is_some()
    }

    /// Waits until the server and the authenticator are satisfied.
    ///
    /// `timeout` is in seconds or a [`Duration`](std::time::Duration); `None` waits without limit, though the exchange
    /// itself has one. When nobody runs the loop, this call does.
    ///
    /// # Errors
    ///
    /// Why the connection ended: a re-authentication that fails ends it. [`Error::Timeout`];
    /// [`Error::WouldDeadlock`] inside a callback.
    pub fn wait(&self, timeout: impl IntoTimeout) -> Result<()> {
        let timeout = timeout.into_timeout()?;
        let outcome = || self.outcome.get().cloned();
        match self.shared.upgrade() {
            Some(shared) => shared.wait_until("Reauthentication::wait", timeout, |_| outcome()),
            None => outcome().unwrap_or(Err(Error::NotConnected)),
        }
    }
}

impl fmt::Debug for Reauthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reauthentication")
            .field("outcome", &self.outcome.get())
            .finish_non_exhaustive()
    }
}

pub(crate) type OnAuth = dyn FnMut(&Client, ReasonCode, Option<&[u8]>) -> Result<AuthStep> + Send;

/// The closure, and the method that it is for.
pub(crate) struct AuthHandler {
    method: String,
    step: Box<OnAuth>,
}

/// Enhanced authentication (MQTT 5.0).
impl Client {
    /// Sets who authenticates this client: each CONNECT then names its method and carries its first data.
    ///
    /// Takes effect at the next connection; one that is open keeps its method. While an authenticator is set, calls that
    /// connect with MQTT 3 are refused, and no older version is [fallen back](super::ClientBuilder::fallback) to: those
    /// cannot authenticate like this. User name and password are sent as well, if set. [`Callback::OnAuth`] names it
    /// for [`callback_clear`](Self::callback_clear).
    ///
    /// A server that does not play its part (another method, AUTH out of turn, a CONNACK that accepts without the
    /// method) is disconnected with 0x82 (Protocol error) or 0x8C (Bad authentication method).
    ///
    /// [`Callback::OnAuth`]: super::Callback::OnAuth
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a method that is empty, longer than 65,535 bytes or contains U+0000.
    ///
    /// ```
    /// # #[cfg(feature = "scram")] {
    /// use callmq::client::{self as mqtt, Scram};
    ///
    /// let client = mqtt::Client::builder("meter").protocol(mqtt::MQTTv5).build();
    /// client.authenticator_set(Scram::sha256("user", "pencil")?)?;
    /// # }
    /// # Ok::<(), callmq::Error>(())
    /// ```
    ///
    /// See MQTT 5.0, section 4.12.
    pub fn authenticator_set(&self, mut authenticator: impl Authenticator + 'static) -> Result<()> {
        let method = authenticator.method().to_owned();
        self.handler_set(
            method,
            Box::new(move |_client, reason, data| {
                if reason == ReasonCode::RE_AUTHENTICATE {
                    authenticator.start().map(AuthStep::Continue)
                } else {
                    authenticator.step(reason, data)
                }
            }),
        )
    }

    /// Calls `callback` for each step of an authentication with `method`: an [`Authenticator`] in the form of a closure.
    ///
    /// The code says what is due: [`ReasonCode::RE_AUTHENTICATE`] (without data) when an exchange starts, at each attempt
    /// to connect and at [`reauthenticate`](Self::reauthenticate): return the first data.
    /// [`ReasonCode::CONTINUE_AUTHENTICATION`]: return the answer to these data. [`ReasonCode::SUCCESS`]: the server is
    /// satisfied; return [`AuthStep::Done`], or an error if it has not proved what it should.
    ///
    /// # Errors
    ///
    /// As [`authenticator_set`](Self::authenticator_set), which also tells the rest.
    ///
    /// ```
    /// use callmq::client::{self as mqtt, AuthStep, ReasonCode};
    ///
    /// let client = mqtt::Client::builder("meter").protocol(mqtt::MQTTv5).build();
    /// client.on_auth("CHALLENGE", |_client, reason, data| match data {
    ///     _ if reason == ReasonCode::RE_AUTHENTICATE => Ok(AuthStep::send("hello")),
    ///     _ if reason == ReasonCode::SUCCESS => Ok(AuthStep::Done),
    ///     Some(b"challenge") => Ok(AuthStep::send("response")),
    ///     _ => Err(mqtt::Error::other("an unknown challenge")),
    /// })?;
    /// # Ok::<(), mqtt::Error>(())
    /// ```
    ///
    /// See MQTT 5.0, section 4.12.
    pub fn on_auth<F, R>(&self, method: impl Into<String>, mut callback: F) -> Result<()>
    where
        F: FnMut(&Client, ReasonCode, Option<&[u8]>) -> R + Send + 'static,
        R: IntoAuthStep,
    {
        self.handler_set(
            method.into(),
            Box::new(move |client, reason, data| callback(client, reason, data).into_auth_step()),
        )
    }

    fn handler_set(&self, method: String, step: Box<OnAuth>) -> Result<()> {
        if method.is_empty() {
            return Err(Error::argument("method", "must not be empty"));
        }
        let properties = Properties::new().with(Property::AuthenticationMethod(method.clone()));
        properties
            .check_for(PacketType::Auth)
            .map_err(|error| match error {
                Error::InvalidArgument { rule, .. } => Error::argument("method", rule),
                other => other,
            })?;
        self.callbacks()
            .slot(|slots| &slots.auth)
            .set(Box::new(AuthHandler { method, step }));
        Ok(())
    }

    /// Authenticates again on the open connection, for example before a token runs out. Does not block; other traffic
    /// goes on meanwhile.
    ///
    /// The authenticator is asked for the first data in this call. It hears of the end as of that of the first
    /// exchange; what this returns can be waited for. A re-authentication that fails ends the connection, which is the
    /// standard's rule, and the loops connect again by policy.
    ///
    /// # Errors
    ///
    /// [`Error::NotConnected`] before the CONNACK and without a connection; [`Error::InvalidState`] if the connection was
    /// made without an authenticator or with one of another method, or while an authentication is under way;
    /// [`Error::NotAllowed`] for data that the server's Maximum Packet Size has no room for; what the authenticator failed
    /// with.
    ///
    /// ```no_run
    /// # let client = callmq::Client::default();
    /// client.reauthenticate()?.wait(5)?;
    /// # Ok::<(), callmq::Error>(())
    /// ```
    ///
    /// See MQTT 5.0, section 4.12.1.
    pub fn reauthenticate(&self) -> Result<Reauthentication> {
        let shared = self.shared();
        let (epoch, method) = {
            let core = shared.lock();
            core.session.may_reauthenticate()?;
            (core.epoch, core.session.auth_method().map(str::to_owned))
        };
        let start = shared.auth_start().unwrap_or(Err(NO_AUTHENTICATOR))?;
        if Some(&start.method) != method.as_ref() {
            return Err(ANOTHER_METHOD);
        }
        let mut core = shared.lock();
        if core.epoch != epoch {
            return Err(Error::NotConnected);
        }
        core.session.reauthenticate(shared.now(), start.data)?;
        let outcome = Arc::new(Ended::new());
        core.reauthentication = Some(Arc::clone(&outcome));
        shared.after_command(core)?;
        // A loop that sleeps has a deadline more to look to.
        shared.wake();
        Ok(Reauthentication {
            shared: Arc::downgrade(shared),
            outcome,
        })
    }
}

const NO_AUTHENTICATOR: Error = Error::InvalidState("no authenticator is set");
const ANOTHER_METHOD: Error = Error::InvalidState("the authenticator was replaced by one of another method");

impl Shared {
    /// Starts an exchange: what CONNECT or AUTH says. `None` without an authenticator.
    pub(super) fn auth_start(self: &Arc<Self>) -> Option<Result<AuthStart>> {
        let slot = &self.callbacks.auth;
        if !slot.is_set() {
            return None;
        }
        let run = slot.run_for("on_auth", |handler| {
            let method = handler.method.clone();
            let step = self.call("on_auth", |client| {
                (handler.step)(client, ReasonCode::RE_AUTHENTICATE, None)
            })?;
            let data = match step {
                AuthStep::Continue(data) => data.map(AuthData),
                AuthStep::Done => None,
            };
            Ok(AuthStart { method, data })
        });
        // Never without it: the server would let in a client that has proved nothing, or the reverse.
        let run = run.unwrap_or(Err(Error::InvalidState("the authenticator is in use")));
        if let Err(error) = &run {
            self.log_failure(&Err(error.clone()));
        }
        Some(run)
    }

    /// What the next CONNECT says about authentication; nothing that MQTT 3 could not say.
    pub(super) fn auth_for_connect(self: &Arc<Self>) -> Result<Option<Box<AuthStart>>> {
        self.check_auth_version()?;
        self.auth_start().map(|start| start.map(Box::new)).transpose()
    }

    /// An authenticator needs MQTT 5.0.
    pub(super) fn check_auth_version(&self) -> Result<()> {
        let v5 = self.lock().asked_for_v5();
        if !v5 && self.callbacks.auth.is_set() {
            return Err(Error::argument("authenticator", "only applies to MQTT 5.0"));
        }
        Ok(())
    }

    /// The server has sent AUTH, or accepts: asks the authenticator, and does what it says.
    pub(super) fn tell_auth(
        self: &Arc<Self>,
        client: &Client,
        driver: &Driver,
        watch: &mut Watch,
        reason: ReasonCode,
        data: Option<AuthData>,
    ) {
        let method = {
            let core = self.lock();
            if !driver.is_current(&core) || !core.session.awaits_application() {
                return;
            }
            core.session.auth_method().map(str::to_owned)
        };
        let success = reason == ReasonCode::SUCCESS;
        watch.enter(self, "on_auth");
        let run = self.callbacks.auth.run_for("on_auth", |handler| {
            if Some(&handler.method) != method.as_ref() {
                return Err(ANOTHER_METHOD);
            }
            let data = data.as_ref().map(|AuthData(data)| &data[..]);
            match (handler.step)(client, reason, data)? {
                AuthStep::Done if success => Ok(None),
                AuthStep::Continue(data) if !success => Ok(Some(data.map(AuthData))),
                AuthStep::Done => Err(Error::InvalidState("done, but the server wants another step")),
                AuthStep::Continue(_) => Err(Error::InvalidState("another step, but the server is done")),
            }
        });
        let step = run.unwrap_or(Err(NO_AUTHENTICATOR));
        if let Err(error) = &step {
            self.keep_failure(Err(error.clone()));
        }
        let mut core = self.lock();
        if !driver.is_current(&core) || !core.session.awaits_application() {
            // It has disconnected, or the connection has ended.
            return;
        }
        let now = self.now();
        let done = match step {
            Ok(Some(data)) => core.session.auth_answer(now, data),
            Ok(None) => match core.session.auth_accept(now) {
                Ok(()) => {
                    core.end_reauthentication(Ok(()));
                    self.notify(&core);
                    Ok(())
                }
                Err(error) => {
                    self.fail(&mut core, error);
                    Ok(())
                }
            },
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            let reason = DisconnectReason::Authentication(error);
            self.refuse(&mut core, ReasonCode::NOT_AUTHORIZED, reason);
        }
        drop(self.flush(core));
    }
}

impl Core {
    /// Tells those who wait for the re-authentication, if there is one.
    pub(super) fn end_reauthentication(&mut self, outcome: Result<()>) {
        if let Some(reauthentication) = self.reauthentication.take() {
            // Only this place fills it.
            let _ = reauthentication.set(outcome);
        }
    }
}
