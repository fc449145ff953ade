//! Making a client.

use super::clock::{Clock, TimeSource};
use super::session_settings::expiry_seconds;
use super::shared::Shared;
use super::{CleanStart, Client, Error, IntoTimeout, ProtocolVersion, Transport};
use crate::session::{IncomingLimit, OfflineQueue, OnSessionLost, Resubscribe, Settings};

/// Settings for a new [`Client`], made by [`Client::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder makes no client until `build` is called"]
pub struct ClientBuilder {
    settings: Settings,
    time: TimeSource,
    transport: Transport,
    reconnect_on_failure: bool,
    manual_ack: bool,
    pub(super) fallback: bool,
    clean_start: CleanStart,
    session_expiry: Option<u32>,
    /// The first mistake.
    problem: Option<Error>,
}

impl ClientBuilder {
    pub(super) fn new(client_id: String) -> Self {
        Self {
            settings: Settings {
                client_id,
                ..Settings::default()
            },
            time: TimeSource::System,
            transport: Transport::Tcp,
            reconnect_on_failure: true,
            manual_ack: false,
            fallback: false,
            clean_start: CleanStart::default(),
            session_expiry: None,
            problem: None,
        }
    }

    /// Sets whether the server forgets subscriptions and messages when the connection ends.
    ///
    /// Defaults to `true`. A lasting session needs a client id.
    ///
    /// In MQTT 5.0 this is Clean Start at each connection, unless [`ConnectOptions::clean_start`] says otherwise, and
    /// where it is not set [`CleanStart::FirstOnly`]. How long a session lasts there is
    /// [`session_expiry`](Self::session_expiry); with `false` and without that it does not expire, as in MQTT 3.1.1.
    ///
    /// [`ConnectOptions::clean_start`]: super::ConnectOptions::clean_start
    pub fn clean_session(mut self, clean: bool) -> Self {
        self.settings.clean_start = clean;
        self.clean_start = clean.into();
        self
    }

    /// Sets how long the server keeps the session after a connection has ended (MQTT 5.0): seconds, a
    /// [`Duration`](std::time::Duration), `None` for ever. See [`Client::session_expiry_set`].
    ///
    /// The calls that connect refuse a negative time, and the setting before MQTT 5.0.
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// let client = mqtt::Client::builder("meter").protocol(mqtt::MQTTv5).session_expiry(3600).build();
    /// # drop(client);
    /// ```
    pub fn session_expiry(mut self, time: impl IntoTimeout) -> Self {
        match expiry_seconds(time) {
            Ok(seconds) => self.session_expiry = Some(seconds),
            Err(problem) => drop(self.problem.get_or_insert(problem)),
        }
        self
    }

    /// Sets what becomes of unacknowledged messages when the server has lost the session: see [`OnSessionLost`].
    pub fn on_session_lost(mut self, policy: OnSessionLost) -> Self {
        self.settings.on_session_lost = policy;
        self
    }

    /// Sets when subscriptions are renewed: see [`Resubscribe`].
    pub fn resubscribe(mut self, policy: Resubscribe) -> Self {
        self.settings.resubscribe = policy;
        self
    }

    /// Sets how many topic aliases are used for outgoing messages, at most (MQTT 5.0). Defaults to 0: none. See
    /// [`Client::topic_alias_limit_set`].
    ///
    /// The calls that connect refuse another value than 0 before MQTT 5.0.
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// let client = mqtt::Client::builder("meter").protocol(mqtt::MQTTv5).topic_alias_limit(16).build();
    /// # drop(client);
    /// ```
    pub fn topic_alias_limit(mut self, limit: u16) -> Self {
        self.settings.topic_alias_limit = limit;
        self
    }

    /// Sets how many topic aliases the server may use (MQTT 5.0). Defaults to 0: none. See
    /// [`Client::topic_alias_maximum_set`].
    ///
    /// The property `TopicAliasMaximum` in [`ConnectOptions::properties`](super::ConnectOptions::properties), if given,
    /// comes first. The calls that connect refuse another value than 0 before MQTT 5.0.
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// let client = mqtt::Client::builder("display").protocol(mqtt::MQTTv5).topic_alias_maximum(16).build();
    /// // Messages have their topics whether or not the server used aliases.
    /// client.on_message(|_client, msg| println!("{}: {}", msg.topic, msg.payload));
    /// ```
    pub fn topic_alias_maximum(mut self, maximum: u16) -> Self {
        self.settings.topic_alias_maximum = Some(maximum).filter(|&maximum| maximum != 0);
        self
    }

    /// Sends a `TopicAlias` that the application puts among a message's properties as it is, in place of checking it.
    /// Defaults to `false`; for tests of servers.
    ///
    /// The alias may then be over the server's maximum, and the topic empty though the server does not know the alias;
    /// such a message is sent as it is at the next connection, too.
    pub fn unchecked_topic_aliases(mut self, on: bool) -> Self {
        self.settings.topic_alias_unchecked = on;
        self
    }

    /// Sets the version of MQTT. Defaults to 3.1.1.
    pub fn protocol(mut self, version: ProtocolVersion) -> Self {
        self.settings.version = version;
        self
    }

    /// Sets what carries the connection. Defaults to [`Transport::Tcp`], which leaves it to the server's text: the path of
    /// a unix socket is one, and URLs say more. With [`Transport::Unix`] the calls that connect take nothing else. With
    /// [`Transport::WebSockets`] every server is spoken to with WebSocket; without the feature `websocket` these
    /// calls refuse that with [`Error::NotSupported`](super::Error::NotSupported).
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Sets whether the loops connect again after a failure. Defaults to `true`.
    pub fn reconnect_on_failure(mut self, on: bool) -> Self {
        self.reconnect_on_failure = on;
        self
    }

    /// Sets whether the application acknowledges messages itself, see [`Client::ack`]. Defaults to `false`.
    pub fn manual_ack(mut self, on: bool) -> Self {
        self.manual_ack = on;
        self
    }

    /// Sets the bounds of the outgoing queue, see [`OfflineQueue`].
    pub fn offline_queue(mut self, queue: OfflineQueue) -> Self {
        self.settings.queue = queue;
        self
    }

    /// Sets how many encoded bytes may wait for the socket. Defaults to 262,144.
    ///
    /// While the peer is slower than the application and this much waits, `publish` waits for room, and once the peer
    /// takes nothing at all messages go to the queue. Answers to the server count as well: one that does not read them
    /// is not read from either. A packet larger than the limit is sent all the same, alone.
    ///
    /// ```
    /// let client = callmq::client::Client::builder("small").output_limit(16 * 1024).build();
    /// # drop(client);
    /// ```
    pub fn output_limit(mut self, bytes: usize) -> Self {
        self.settings.output_limit = bytes.max(1);
        self
    }

    /// Sets how much of received messages of QoS 2 is kept until the server releases them: see [`IncomingLimit`].
    pub fn incoming_limit(mut self, limit: IncomingLimit) -> Self {
        self.settings.incoming_limit = limit;
        self
    }

    /// Sets the largest packet that is accepted, in bytes.
    ///
    /// A server that sends a larger one is disconnected, in MQTT 5.0 with [`ReasonCode::PACKET_TOO_LARGE`], before any
    /// memory is taken for it. Defaults to what the protocol allows, 268,435,460. In MQTT 5.0 the server is told, so
    /// that it does not send larger ones; the property `MaximumPacketSize` in
    /// [`ConnectOptions::properties`](super::ConnectOptions::properties), if given, comes first. The calls that connect
    /// refuse 0.
    ///
    /// [`ReasonCode::PACKET_TOO_LARGE`]: super::ReasonCode::PACKET_TOO_LARGE
    ///
    /// See MQTT 5.0, section 3.1.2.11.4.
    pub fn max_packet_size(mut self, bytes: u32) -> Self {
        self.settings.max_packet_size = Some(bytes);
        self
    }

    /// Sets how many messages of QoS 1 and 2 the server may send before the first of them is acknowledged (MQTT 5.0).
    ///
    /// From 1 on. Defaults to 65,535, or to what [`incoming_limit`](Self::incoming_limit) allows. With
    /// [`manual_ack`](Self::manual_ack) this is how many messages the application gets before it has to acknowledge
    /// one. A server that sends more is disconnected with [`ReasonCode::RECEIVE_MAXIMUM_EXCEEDED`]. The property
    /// `ReceiveMaximum` in [`ConnectOptions::properties`](super::ConnectOptions::properties), if given, comes first.
    /// The calls that connect refuse 0, and the setting before MQTT 5.0.
    ///
    /// [`ReasonCode::RECEIVE_MAXIMUM_EXCEEDED`]: super::ReasonCode::RECEIVE_MAXIMUM_EXCEEDED
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// let client = mqtt::Client::builder("worker").protocol(mqtt::MQTTv5).receive_maximum(10).build();
    /// # drop(client);
    /// ```
    ///
    /// See MQTT 5.0, sections 3.1.2.11.3 and 4.9.
    pub fn receive_maximum(mut self, messages: u16) -> Self {
        self.settings.receive_maximum = Some(messages);
        self
    }

    /// Sets whether messages above the server's Maximum QoS are sent with that QoS (MQTT 5.0). Defaults to `false`:
    /// `publish` refuses them with [`Error::NotAllowed`](super::Error::NotAllowed), and those that were accepted before
    /// the server had said so are dropped.
    ///
    /// The [`MessageInfo`](super::MessageInfo) follows the message with the QoS with which it is sent. A message that was
    /// sent before, to a server that still has the session, keeps its QoS and is dropped if the server does not take that
    /// any more. The calls that connect refuse the setting before MQTT 5.0.
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// let client = mqtt::Client::builder("meter").protocol(mqtt::MQTTv5).lower_qos(true).build();
    /// // Goes with QoS 1 to a server that takes no more.
    /// let info = client.publish_with("house/meter", 21.5, 2, false)?;
    /// # drop(info);
    /// # Ok::<(), mqtt::Error>(())
    /// ```
    ///
    /// See MQTT 5.0, section 3.2.2.3.4.
    pub fn lower_qos(mut self, on: bool) -> Self {
        self.settings.lower_qos = on;
        self
    }

    /// Takes the time from a clock that is moved by hand: see [`Clock`].
    ///
    /// Nothing then waits in real time: a turn of the loop does what there is to do and returns, and a call that waits
    /// returns [`Error::Timeout`](super::Error::Timeout) when nothing is left to do.
    #[cfg_attr(not(feature = "testing"), doc(hidden))]
    #[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.time = TimeSource::Manual(clock.clone());
        self
    }

    /// Makes the client. Nothing is connected yet.
    pub fn build(self) -> Client {
        let shared = Shared::new(self.settings, self.time);
        {
            let mut core = shared.lock();
            core.reconnect_on_failure = self.reconnect_on_failure;
            core.manual_ack = self.manual_ack;
            core.set_fallback(self.fallback);
            core.clean_start = self.clean_start;
            core.session_expiry = self.session_expiry;
            core.setting_problem = self.problem.map(Box::new);
            core.transport = self.transport;
        }
        Client {
            shared,
            counted: true,
        }
    }
}
