//! The settings of a broker as a test writes them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::ToSocketAddrs;

use super::Clock;
use super::broker::Broker;
use super::options::Options;
use super::shared::LogListener;
use crate::client::clock::TimeSource;
use crate::codec::{ProtocolVersion, QoS};
use crate::error::Result;

/// The settings of a [`Broker`] that is about to start; made by [`Broker::builder`].
///
/// ```
/// use callmq::codec::QoS;
/// use callmq::testing::Broker;
///
/// let broker = Broker::builder()
///     .user("joe", "secret")
///     .max_qos(QoS::AtLeastOnce)
///     .deny_subscribe("secret/#")
///     .in_process();
/// # drop(broker);
/// ```
#[must_use = "a broker runs after `in_process` or `listen`"]
#[derive(Default)]
pub struct BrokerBuilder {
    options: Options,
    clock: Option<Clock>,
    log_listener: Option<LogListener>,
}

impl BrokerBuilder {
    // ---- who may do what ----

    /// Sets whether clients without a user name may connect. Defaults to `true`, and to `false` after the first
    /// [`user`](Self::user).
    pub fn anonymous(mut self, allowed: bool) -> Self {
        self.options.anonymous = allowed;
        self
    }

    /// Adds a user; from now on clients must name one of the users, with the right password.
    ///
    /// Others are refused with "Not authorized": 5 before MQTT 5.0, 135 since.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<Vec<u8>>) -> Self {
        if self.options.users.is_empty() {
            self.options.anonymous = false;
        }
        self.options.users.insert(name.into(), password.into());
        self
    }

    /// Refuses clients that speak this version of the protocol.
    pub fn refuse_version(mut self, version: ProtocolVersion) -> Self {
        self.options.refused_versions.push(version);
        self
    }

    /// Throws away what clients publish to topics that match `filter`. In MQTT 5.0 they are told "Not authorized", for
    /// QoS 1 and 2; earlier versions cannot tell.
    pub fn deny_publish(mut self, filter: impl Into<String>) -> Self {
        self.options.denied_publish.push(filter.into());
        self
    }

    /// Refuses subscriptions to `filter` and to filters and topics that it matches.
    pub fn deny_subscribe(mut self, filter: impl Into<String>) -> Self {
        self.options.denied_subscribe.push(filter.into());
        self
    }

    // ---- what the broker can do ----

    /// Sets the highest QoS. Subscriptions are granted no more; a client that publishes with more is disconnected.
    /// Defaults to 2.
    pub fn max_qos(mut self, qos: QoS) -> Self {
        self.options.max_qos = qos;
        self
    }

    /// Sets whether the broker keeps retained messages; if not, a client that sends one is disconnected. Defaults to
    /// `true`.
    pub fn retain(mut self, available: bool) -> Self {
        self.options.retain = available;
        self
    }

    /// Sets whether filters with `+` and `#` are granted. Defaults to `true`.
    pub fn wildcard_subscriptions(mut self, available: bool) -> Self {
        self.options.wildcard_subscriptions = available;
        self
    }

    /// Sets whether `$share/GROUP/FILTER` is granted; like mosquitto, in all versions. Defaults to `true`.
    pub fn shared_subscriptions(mut self, available: bool) -> Self {
        self.options.shared_subscriptions = available;
        self
    }

    /// Sets whether Subscription Identifiers are granted (MQTT 5.0). Defaults to `true`.
    pub fn subscription_identifiers(mut self, available: bool) -> Self {
        self.options.subscription_identifiers = available;
        self
    }

    /// Sets how many Topic Aliases a client may use (MQTT 5.0). Defaults to 10; 0 allows none.
    pub fn topic_alias_maximum(mut self, maximum: u16) -> Self {
        self.options.topic_alias_maximum = maximum;
        self
    }

    /// Sets whether the broker uses Topic Aliases, as far as the client allows any (MQTT 5.0). Defaults to `false`.
    pub fn send_topic_aliases(mut self, on: bool) -> Self {
        self.options.send_topic_aliases = on;
        self
    }

    /// Sets the Keep Alive in seconds that clients are told to use in place of theirs (MQTT 5.0). Defaults to none: the
    /// client's own.
    pub fn server_keep_alive(mut self, seconds: u16) -> Self {
        self.options.server_keep_alive = Some(seconds);
        self
    }

    /// Offers Response Information to the clients that ask for it: `base/CLIENT-ID` (MQTT 5.0). Defaults to none.
    pub fn response_information(mut self, base: impl Into<String>) -> Self {
        self.options.response_information = Some(base.into());
        self
    }

    /// Sets the longest time in seconds that a session stays after its connection, for all versions. Defaults to no
    /// limit.
    pub fn session_expiry_maximum(mut self, seconds: u32) -> Self {
        self.options.session_expiry_maximum = Some(seconds);
        self
    }

    // ---- limits ----

    /// Sets how many QoS 2 messages of one client may be unfinished, and tells clients of MQTT 5.0 so. Defaults to 20;
    /// at least 1.
    pub fn receive_maximum(mut self, messages: u16) -> Self {
        self.options.receive_maximum = messages.max(1);
        self
    }

    /// Sets the largest packet in bytes; a client that sends a larger one is disconnected. Defaults to the protocol's
    /// limit.
    pub fn max_packet_size(mut self, bytes: u32) -> Self {
        self.options.max_packet_size = Some(bytes.max(1));
        self
    }

    /// Sets how many clients may be connected; others are refused. Defaults to 10,000.
    pub fn max_connections(mut self, clients: usize) -> Self {
        self.options.max_connections = clients;
        self
    }

    /// Sets how many sessions there may be, with a connection or without. Defaults to 10,000.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.options.max_sessions = sessions;
        self
    }

    /// Sets how many messages of QoS 1 and 2 may be on their way to one client at once. Defaults to 20; at least 1. A
    /// client's lower Receive Maximum counts instead.
    pub fn max_inflight(mut self, messages: u16) -> Self {
        self.options.max_inflight = messages.max(1);
        self
    }

    /// Sets how many messages of QoS 1 and 2 may wait for one client, connected or not; more are dropped, which the log
    /// tells. Defaults to 1,000.
    pub fn max_queued(mut self, messages: usize) -> Self {
        self.options.max_queued = messages;
        self
    }

    /// Sets from how many unread bytes on a client gets no more messages and is not listened to. Messages of QoS 0 for
    /// it are dropped then. Defaults to 16 MiB.
    pub fn max_output(mut self, bytes: usize) -> Self {
        self.options.max_output = bytes.max(1);
        self
    }

    // ---- looking on ----

    /// Sets a function that gets each line of the log when it is written.
    ///
    /// It runs in the thread that caused the line, without any lock, and may call any method of the broker.
    pub fn on_log(mut self, listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.log_listener = Some(Box::new(listener));
        self
    }

    /// Sets the clock that the broker follows. Defaults to a clock of its own that stands still
    /// ([`in_process`](Self::in_process)), or the system's ([`listen`](Self::listen)).
    ///
    /// A broker in process looks at the clock whenever it is used: when a client reads or writes, and in each method of
    /// [`Broker`]. A broker with a port looks every few milliseconds.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = Some(clock.clone());
        self
    }

    // ---- starting ----

    /// Starts a broker without a port; see [`Broker::new`].
    pub fn in_process(self) -> Broker {
        let clock = self.clock.unwrap_or_else(Clock::new);
        Broker::start_in_process(self.options, clock, self.log_listener)
    }

    /// Starts a broker with a port; see [`Broker::listen`].
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::error::Error::Io) if the address is taken or is not one of this machine.
    pub fn listen(self, address: impl ToSocketAddrs) -> Result<Broker> {
        let time = self.clock.map_or(TimeSource::System, TimeSource::Manual);
        Broker::start_listening(self.options, time, self.log_listener, address)
    }
}

impl fmt::Debug for BrokerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Passwords stay out of it.
        let options = Options {
            users: BTreeMap::new(),
            ..self.options.clone()
        };
        f.debug_struct("BrokerBuilder")
            .field("options", &options)
            .finish_non_exhaustive()
    }
}
