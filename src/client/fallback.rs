//! Connecting again in another way where the server does not take the first: an older version of MQTT, or a client id
//! of our own.
//!
//! From 3.1.1 to 3.1 that is paho's way: code 1 in the CONNACK, for good. From 5.0 to 3.1.1 it has to be asked for
//! ([`ClientBuilder::fallback`]). A server that says what it does not know is believed until the next call of `connect`;
//! one that only hangs up may just be starting, so 3.1.1 then has one connection, and the attempt after it is 5.0 again.
//!
//! ```text
//!   as asked for ──refused with 0x84──► Known: 3.1.1
//!        ▲ └──no answer, or one that is no MQTT 5.0──► Suspected ──next attempt──► Trial: 3.1.1 ──its end──┐
//!        └──────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```

use std::sync::Arc;

use super::driver::Driver;
use super::shared::{Core, Phase, Shared};
use super::{Client, ClientBuilder, ConnectOptions, DisconnectReason, log_lines, logging};
use crate::codec::{ProtocolVersion, ReasonCode};
use crate::session::Link;

/// Whether, and how far, a client of MQTT 5.0 goes back to 3.1.1.
#[derive(Debug, Default)]
pub(crate) struct Fallback {
    enabled: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum State {
    #[default]
    AsAskedFor,
    Suspected,
    Trial,
    Known,
}

/// How to connect where a server has refused.
#[derive(Clone, Copy, Debug)]
pub(super) enum AnotherWay {
    /// The version before, which is older.
    OlderVersion(ProtocolVersion),
    /// With a client id made here, where an empty one is not allowed.
    OwnClientId,
}

impl ClientBuilder {
    /// Sets whether a client of MQTT 5.0 tries 3.1.1 where the server does not know 5.0. Defaults to `false`.
    ///
    /// A refusal with "Unsupported protocol version" (0x84, or code 1 in the form of 3.1.1) is answered by connecting
    /// again at once with 3.1.1 while a loop runs, and by the next [`reconnect`](Client::reconnect) otherwise; that lasts
    /// until the next call of [`connect`](Client::connect). A server that closes the connection, keeps silent or answers
    /// in another protocol before its CONNACK gets one try with 3.1.1 at the next attempt, and the one after that is 5.0
    /// again: it may only have been restarting. [`Client::protocol`] tells the version in use. There is no fallback while
    /// an [authenticator](Client::authenticator_set) is set.
    ///
    /// What only MQTT 5.0 has is left out, with a warning in the log: properties of CONNECT, of the will, of
    /// subscriptions and of messages that were accepted before
    /// ([`Stats::messages_without_properties`](super::Stats::messages_without_properties) counts those), options of
    /// subscriptions other than the QoS. The messages themselves are sent. A session that was to outlive its connection
    /// becomes one without Clean Session, which lasts as long as the server keeps it. Calls made while 3.1.1 is in use
    /// refuse what it does not have, as in any client of 3.1.1.
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// let client = mqtt::Client::builder("meter").protocol(mqtt::MQTTv5).fallback(true).build();
    /// client.on_connect(|client, _, _, _| println!("connected with {}", client.protocol()));
    /// ```
    ///
    /// See MQTT 5.0, section 3.1.2.2.
    pub fn fallback(mut self, on: bool) -> Self {
        self.fallback = on;
        self
    }
}

impl Client {
    /// Sets whether MQTT 3.1.1 is tried where the server does not know 5.0, as [`ClientBuilder::fallback`] does.
    ///
    /// Takes effect at the next attempt to connect. No effect on a client of an older version.
    pub fn fallback_set(&self, on: bool) {
        self.shared().lock().fallback.enabled = on;
    }
}

impl Shared {
    /// How else to connect after this refusal, at once.
    pub(super) fn another_way(&self, core: &Core, reason: ReasonCode) -> Option<AnotherWay> {
        let settings = &core.session.settings;
        if !core.reconnect_on_failure || core.running.is_none() {
            return None;
        }
        match settings.version {
            ProtocolVersion::V5 if self.may_fall_back(core) && is_version(reason) => {
                Some(AnotherWay::OlderVersion(ProtocolVersion::V311))
            }
            ProtocolVersion::V311 if reason == 1 => Some(AnotherWay::OlderVersion(ProtocolVersion::V31)),
            ProtocolVersion::V31 | ProtocolVersion::V311 if reason == 2 && settings.client_id.is_empty() => {
                Some(AnotherWay::OwnClientId)
            }
            _ => None,
        }
    }

    /// Whether MQTT 3.1.1 may stand in for 5.0. It cannot authenticate as an authenticator wants.
    fn may_fall_back(&self, core: &Core) -> bool {
        core.fallback.enabled && !self.callbacks.auth.is_set()
    }

    /// Answers a refusal by connecting again at once in another way, if there is one. Returns whether there is.
    pub(super) fn try_another_way(self: &Arc<Self>, driver: &Driver, reason: ReasonCode) -> bool {
        let mut core = self.lock();
        if !driver.is_current(&core) {
            return false;
        }
        let v5 = core.session.settings.version == ProtocolVersion::V5;
        if v5 && is_version(reason) && self.may_fall_back(&core) {
            core.fallback.state = State::Known;
        }
        let Some(way) = self.another_way(&core, reason) else {
            return false;
        };
        let settings = &mut core.session.settings;
        let line = match way {
            AnotherWay::OlderVersion(version) => {
                settings.version = version;
                log_lines::downgrade(0, reason, version)
            }
            AnotherWay::OwnClientId => log_lines::new_client_id(0, reason),
        };
        let needs_id = settings.version == ProtocolVersion::V31 || matches!(way, AnotherWay::OwnClientId);
        if needs_id && settings.client_id.is_empty() {
            settings.client_id = random_client_id();
        }
        self.close_quietly(&mut core);
        core.phase = Phase::Lost;
        core.reconnect_now = true;
        core.servers.again();
        if v5 {
            core.note(LEFT_OUT);
        }
        drop(core);
        logging::emit_line(self, &line);
        true
    }

    /// The version of the attempt that begins.
    pub(super) fn choose_version(&self, core: &mut Core) {
        let older = self.may_fall_back(core);
        let version = &mut core.session.settings.version;
        match core.fallback.state {
            State::AsAskedFor => {}
            State::Known if older && *version != ProtocolVersion::V5 => {}
            State::Known | State::Suspected if older => {
                *version = ProtocolVersion::V311;
                if core.fallback.state == State::Suspected {
                    core.fallback.state = State::Trial;
                }
                core.note(LEFT_OUT);
            }
            _ => core.forget_fallback(),
        }
    }
}

impl Core {
    pub(super) fn set_fallback(&mut self, on: bool) {
        self.fallback.enabled = on;
    }

    /// Goes back to the version that was asked for.
    pub(super) fn forget_fallback(&mut self) {
        if std::mem::take(&mut self.fallback.state) != State::AsAskedFor {
            self.session.settings.version = ProtocolVersion::V5;
        }
    }

    /// The version that was asked for, where another one stands in for it.
    pub(super) fn asked_for_v5(&self) -> bool {
        self.fallback.state != State::AsAskedFor || self.session.settings.version == ProtocolVersion::V5
    }

    /// The connection ends for this reason: without a CONNACK the server may not know MQTT 5.0.
    pub(super) fn suspect_version(&mut self, reason: &DisconnectReason) {
        let unanswered = matches!(
            reason,
            DisconnectReason::Lost(_) | DisconnectReason::KeepAlive | DisconnectReason::Protocol(_)
        );
        let v5 = self.session.version() == ProtocolVersion::V5;
        if self.fallback.enabled && v5 && unanswered && self.session.link() == Link::Connecting {
            self.fallback.state = State::Suspected;
            self.servers.again();
        }
    }

    /// A session of MQTT 5.0 that outlives its connection is one without Clean Session in 3.1.1.
    pub(super) fn adapt_session(&mut self, options: &ConnectOptions) {
        let settings = &mut self.session.settings;
        if self.fallback.state == State::AsAskedFor || settings.version == ProtocolVersion::V5 {
            return;
        }
        let properties = options.connect_properties();
        let expiry = properties.session_expiry_interval().or(settings.session_expiry);
        let lasts = expiry.is_some_and(|seconds| seconds > 0);
        // It needs a name (MQTT 3.1.1, section 3.1.3.1).
        settings.clean_start = !lasts || settings.client_id.is_empty();
    }
}

const LEFT_OUT: &str =
    "the server does not seem to know MQTT 5.0: connecting with 3.1.1, without properties and options of 5.0";

/// Whether the server does not know the version. By meaning: it may say so in the form of an older version.
fn is_version(reason: ReasonCode) -> bool {
    reason == ReasonCode::UNSUPPORTED_PROTOCOL_VERSION
}

/// 22 characters of base 62, as paho makes them.
pub(super) fn random_client_id() -> String {
    (0..22).map(|_| fastrand::alphanumeric()).collect()
}
