//! Publishing, and acknowledging what was received.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::shared::{Core, Shared};
use super::tracker::Tracker;
use super::{Client, IntoPayload, IntoQos, Message, MessageInfo};
use crate::codec::{MAX_REMAINING_LENGTH, PacketType, Properties, ProtocolVersion, QoS, ReasonCode};
use crate::error::{Error, Result};
use crate::session::{Accepted, Outgoing, Received, WhenFull};
use crate::topic::check_topic;

/// Messages.
impl Client {
    /// Publishes a message with QoS 0, not retained.
    ///
    /// `payload` is text, bytes, a number, or `()` for an empty one. Without a network loop the message is written
    /// before this returns, and `on_publish` has run; a peer that does not read is waited for, at most 30 ms. With a
    /// loop running it is written here or by the loop; the call waits only while the peer is slower than the caller
    /// (256 KiB unwritten), and not once the peer has stopped reading altogether (100 ms): then messages go to the
    /// queue and its bounds decide (see [`OfflineQueue`](super::OfflineQueue)). Inside a callback it never waits; the
    /// message leaves when the callback has returned.
    ///
    /// A payload of 32 KiB or more is not copied where it can leave at once: one that is borrowed is written from where
    /// it is, and one that is given away is shared ([`Bytes`](bytes::Bytes), `Vec<u8>`, `String`) also where it has to wait.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a topic that is empty, too long or has wildcards, and for a payload over
    /// 268,435,455 bytes. [`Error::NotConnected`] if there is no connection: messages of QoS 0 are not kept, unless
    /// [`OfflineQueue::keep_qos0`](super::OfflineQueue::keep_qos0) says so. [`Error::QueueFull`] if the queue has no
    /// room. [`Error::NotAllowed`] for what the server does not take (MQTT 5.0), as
    /// [`connection_info`](Self::connection_info) tells; a message that was accepted before that was known ends with
    /// [`DropReason::NotAllowed`](super::DropReason::NotAllowed) instead.
    ///
    /// ```no_run
    /// use callmq::client as mqtt;
    ///
    /// # fn main() -> mqtt::Result<()> {
    /// let client = mqtt::Client::new("foo2");
    /// client.connect("localhost")?;
    /// client.publish("test/topic", "bar")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish<'a>(&self, topic: impl AsRef<str>, payload: impl IntoPayload<'a>) -> Result<MessageInfo> {
        self.publish_with(topic, payload, QoS::AtMostOnce, false)
    }

    /// Publishes a message: topic, payload, QoS (0, 1, 2 or [`QoS`]), retain.
    ///
    /// As [`publish`](Self::publish). Messages of QoS 1 and 2 are kept until they are acknowledged, over lost
    /// connections and before the first one.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish); `NotConnected` only for QoS 0. [`Error::InvalidArgument`] for a QoS over 2.
    ///
    /// ```no_run
    /// # fn main() -> callmq::Result<()> {
    /// # let client = callmq::Client::new("foo2");
    /// # client.connect("localhost")?;
    /// let info = client.publish_with("house/sensor1", 21.5, 1, true)?;
    /// info.wait_for_publish(2)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish_with<'a>(
        &self,
        topic: impl AsRef<str>,
        payload: impl IntoPayload<'a>,
        qos: impl IntoQos,
        retain: bool,
    ) -> Result<MessageInfo> {
        let qos = qos.into_qos()?;
        let message = Outgoing {
            topic: topic.as_ref(),
            payload: payload.into_payload().into_inner(),
            qos,
            retain,
            properties: &NO_PROPERTIES,
        };
        self.shared().publish(&message)
    }

    /// Publishes a [`Message`], which may carry properties (MQTT 5.0). Its `dup` and `mid` are not used.
    ///
    /// A `TopicAlias` among them is one that the application sets by hand: the message gives the number to its topic, or
    /// has an empty topic and the number of one that was published on this connection. The topic then stays away from
    /// the packet where the server knows the number. A message that has to wait for another connection keeps its topic.
    /// See [`topic_alias_limit_set`](Self::topic_alias_limit_set) for aliases without any of this.
    ///
    /// With a `MessageExpiryInterval` the time that the message waits here counts: the server is told what is left, in
    /// whole seconds and never more than that. A message whose time is over, or of which less than a second is left when
    /// it could leave, is dropped with [`DropReason::Expired`](super::DropReason::Expired); a wait of less than a tenth of
    /// a second is none. A message that was sent does not expire: if it has to be sent again, what is left goes with it,
    /// at least one second.
    ///
    /// # Errors
    ///
    /// As [`publish_with`](Self::publish_with); [`Error::NotSupported`] for properties before MQTT 5.0. With an alias:
    /// [`Error::NotAllowed`] if it is over the server's Topic Alias Maximum, [`Error::NotConnected`] without a connection
    /// that is accepted, [`Error::InvalidArgument`] for an empty topic if the alias was not set on this connection.
    ///
    /// ```no_run
    /// use callmq::client::{Client, MQTTv5, Message, Property};
    ///
    /// # fn main() -> callmq::Result<()> {
    /// let client = Client::builder("by-hand").protocol(MQTTv5).build();
    /// client.connect_and_wait("localhost", 5)?;
    /// let alias = || Property::TopicAlias(1).into();
    /// client.publish_message(Message::new("a/long/topic", "one").properties(alias()))?;
    /// client.publish_message(Message::new("", "two").properties(alias()))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish_message(&self, message: Message) -> Result<MessageInfo> {
        if !message.properties.is_empty() && self.protocol() != ProtocolVersion::V5 {
            return Err(Error::NotSupported("properties need MQTT 5.0"));
        }
        check_publish_properties(&message.properties)?;
        self.shared().publish(&message.outgoing())
    }

    /// Acknowledges a received message of QoS 1 or 2, where [`manual_ack_set`](Self::manual_ack_set) is on.
    ///
    /// Any thread may call it, also after the callback has returned. Those of QoS 1 are sent in the order in which the
    /// messages came: one that is given early waits for those before.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidState`] if the message came over an earlier connection (the server sends it again), is
    /// acknowledged already, is of QoS 0, or was not received at all.
    ///
    /// ```no_run
    /// use callmq::client as mqtt;
    /// use std::sync::mpsc;
    ///
    /// # fn main() -> mqtt::Result<()> {
    /// let client = mqtt::Client::builder("orders").clean_session(false).manual_ack(true).build();
    /// let (sender, work) = mpsc::channel();
    /// client.on_message(move |_client, msg| Ok(sender.send(msg.clone())?));
    /// client.subscribe(("orders/#", 1))?;
    /// client.connect("localhost")?;
    /// client.loop_start()?;
    /// for msg in work {
    ///     println!("packed: {}", msg.payload);
    ///     client.ack(&msg)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// See MQTT 5.0, section 4.6.
    pub fn ack(&self, message: &Message) -> Result<()> {
        let ticket = message.ticket.ok_or(NOT_NEEDED)?;
        let shared = self.shared();
        let mut core = shared.lock();
        if !core.manual_ack {
            return Err(AUTOMATIC);
        }
        core.session.acknowledge(shared.now(), ticket)?;
        shared.after_command(core)
    }

    /// [Acknowledges](Self::ack) a received message of QoS 1 or 2 with a reason code and properties (MQTT 5.0): a Reason
    /// String, User Properties.
    ///
    /// A message of QoS 1 can be refused: with 0x80, 0x83, 0x87, 0x90, 0x91, 0x97 or 0x99. To the server it is finished
    /// all the same, and does not come again. Also a refusal keeps the order of the acknowledgements. One of QoS 2 can
    /// not: before it is delivered its PUBREC has left, the only packet that could refuse it; what is said here goes into
    /// the PUBCOMP. Properties that would make the packet too large for the server stay away.
    ///
    /// # Errors
    ///
    /// As [`ack`](Self::ack); [`Error::NotSupported`] for a reason code or properties before MQTT 5.0;
    /// [`Error::InvalidArgument`] for those that do not belong into the packet. The message can still be acknowledged
    /// then.
    ///
    /// ```no_run
    /// use callmq::client as mqtt;
    ///
    /// # fn main() -> mqtt::Result<()> {
    /// let client = mqtt::Client::builder("orders").protocol(mqtt::MQTTv5).manual_ack(true).build();
    /// client.on_message(|client, msg| match msg.payload.decode() {
    ///     Ok(order) => {
    ///         println!("{order}");
    ///         client.ack(msg)
    ///     }
    ///     Err(error) => {
    ///         let why = mqtt::Property::ReasonString(error.to_string());
    ///         client.ack_with(msg, mqtt::ReasonCode::PAYLOAD_FORMAT_INVALID, why.into())
    ///     }
    /// });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// See MQTT 5.0, sections 3.4 and 3.7.
    pub fn ack_with(&self, message: &Message, reason_code: ReasonCode, properties: Properties) -> Result<()> {
        if reason_code.value() == 0 && properties.is_empty() {
            return self.ack(message);
        }
        let ticket = message.ticket.ok_or(NOT_NEEDED)?;
        let shared = self.shared();
        let mut core = shared.lock();
        if core.session.settings.version != ProtocolVersion::V5 {
            return Err(Error::NotSupported(
                "a reason code or properties of an acknowledgement need MQTT 5.0",
            ));
        }
        if !core.manual_ack {
            return Err(AUTOMATIC);
        }
        core.session
            .acknowledge_with(shared.now(), ticket, reason_code, properties)?;
        shared.after_command(core)
    }

    /// Takes back every message that is not finished: queued, or of QoS 1 and 2 and not acknowledged.
    ///
    /// Returns them in the order in which they were published. Their [`MessageInfo`] ends with
    /// [`DropReason::Discarded`](super::DropReason::Discarded).
    pub fn drop_out_messages(&self) -> Vec<Message> {
        let shared = self.shared();
        let mut core = shared.lock();
        let dropped = core.session.drop_outgoing();
        shared.notify(&core);
        drop(core);
        shared.end_undelivered();
        dropped
            .into_iter()
            .map(|publish| {
                Message::received(
                    Received {
                        publish,
                        ticket: None,
                    },
                    shared.now(),
                )
            })
            .collect()
    }
}

/// Checks properties that a client may give to a PUBLISH.
pub(super) fn check_publish_properties(properties: &Properties) -> Result<()> {
    // [MQTT-3.3.4-6]
    if properties.subscription_identifiers().next().is_some() {
        return Err(Error::argument(
            "properties",
            "only a server puts Subscription Identifiers into PUBLISH",
        ));
    }
    properties.check_for(PacketType::Publish)
}

static NO_PROPERTIES: Properties = Properties::new();

/// A publisher that waits for room in the queue is told when there is plenty. It looks by itself after this time, and
/// then in longer and longer intervals, for that may take long.
const SHORT_OF_AMPLE: Duration = Duration::from_millis(1);
const LONG_SHORT_OF_AMPLE: Duration = Duration::from_millis(50);

const NOT_NEEDED: Error = Error::InvalidState("the message needs no acknowledgement");
const AUTOMATIC: Error = Error::InvalidState("messages are acknowledged automatically");

impl Shared {
    #[inline]
    pub(super) fn publish(self: &Arc<Self>, message: &Outgoing<'_>) -> Result<MessageInfo> {
        let mut core = self.lock();
        if !core.session.takes_next(message) || !core.has_room() {
            return self.publish_any(core, message);
        }
        let quiet = core.is_quiet();
        let (mid, end) = core.session.publish_next(message);
        let info = MessageInfo::at_position(mid, Arc::clone(&core.line), end);
        if core.is_driven() {
            self.hand_over(core, quiet);
        } else {
            self.after_command(core)?;
        }
        Ok(info)
    }

    /// Publishes a message that may be of any kind.
    #[inline(never)]
    fn publish_any<'a>(
        self: &'a Arc<Self>,
        mut core: MutexGuard<'a, Core>,
        message: &Outgoing<'_>,
    ) -> Result<MessageInfo> {
        if message.payload.as_slice().len() > MAX_REMAINING_LENGTH {
            return Err(Error::argument(
                "payload",
                "must not be larger than 268,435,455 bytes",
            ));
        }
        let aliased = message.topic.is_empty() && message.properties.topic_alias().is_some();
        if !aliased && (message.topic.is_empty() || core.checked_topic != message.topic) {
            check_topic(message.topic)?;
            core.checked_topic.clear();
            core.checked_topic.push_str(message.topic);
        }
        if !core.has_room() && !core.writing.stalled && !self.is_dispatcher() {
            core = self.wait_for_room(core);
        }
        let quiet = core.is_quiet();
        let before = (core.epoch, core.session.appended());
        let (core, info) = self.publish_or_queue(core, message)?;
        if core.session.settings.trace || !core.is_driven() {
            self.after_command(core)?;
        } else if (core.epoch, core.session.appended()) != before {
            self.hand_over(core, quiet);
        }
        Ok(info)
    }

    /// Publishes a message that may have to be kept, and may have to wait.
    fn publish_or_queue<'a>(
        self: &'a Arc<Self>,
        core: MutexGuard<'a, Core>,
        message: &Outgoing<'_>,
    ) -> Result<(MutexGuard<'a, Core>, MessageInfo)> {
        let dropped = core.session.dropped();
        let (mut core, accepted) = self.accept(core, message)?;
        let info = match accepted {
            Accepted::NoRoom => {
                let payload = message.payload.to_bytes();
                return Err(Error::QueueFull { payload });
            }
            Accepted::InOutput { mid, end } => MessageInfo::at_position(mid, Arc::clone(&core.line), end),
            Accepted::HeadInOutput { mid, end } => {
                let line = Arc::clone(&core.line);
                core = self.put_payload(core, message.payload.as_slice());
                MessageInfo::at_position(mid, line, end)
            }
            Accepted::Tracked { mid, track } => {
                if !message.properties.is_empty() {
                    // It may expire before anything else is due.
                    self.wake();
                }
                MessageInfo::tracked(mid, track)
            }
        };
        if core.session.dropped() != dropped {
            // Somebody may wait for one that has ended: it expired, or this one has taken its place.
            self.notify(&core);
            self.wake();
        }
        Ok((core, info))
    }

    /// Gives the message to the session; where the policy is to wait for room, waits.
    fn accept<'a>(
        self: &'a Arc<Self>,
        mut core: MutexGuard<'a, Core>,
        message: &Outgoing<'_>,
    ) -> Result<(MutexGuard<'a, Core>, Accepted<Tracker>)> {
        let mut deadline = None;
        let mut patience = SHORT_OF_AMPLE;
        loop {
            let Core {
                session, trackers, ..
            } = &mut *core;
            let accepted = session.publish(|| self.now(), message, |_mid| trackers.next());
            if !matches!(accepted, Ok(Accepted::NoRoom)) {
                if accepted.is_err() {
                    // Messages that expired have made room, but not enough; somebody may wait for one of them.
                    self.notify(&core);
                }
                return accepted.map(|accepted| (core, accepted));
            }
            self.notify(&core);
            let WhenFull::Block(at_most) = core.session.settings.queue.when_full else {
                return Ok((core, Accepted::NoRoom));
            };
            let now = self.now();
            let until = *deadline.get_or_insert(now.checked_add(at_most));
            if until.is_some_and(|until| now >= until) || self.is_dispatcher() {
                return Ok((core, Accepted::NoRoom));
            }
            let by_hand = self.time.is_manual() && core.running.is_none();
            let progress;
            (core, progress) = self.await_room(core, until, patience);
            patience = (patience * 2).min(LONG_SHORT_OF_AMPLE);
            if by_hand && !progress {
                // Time does not pass here, and nobody else would make room.
                return Ok((core, Accepted::NoRoom));
            }
        }
    }

    /// Waits for room in the queue: by driving where nobody else does (and tells whether that brought anything), else
    /// until there is ample room, or for `patience`.
    fn await_room<'a>(
        self: &'a Arc<Self>,
        mut core: MutexGuard<'a, Core>,
        until: Option<Instant>,
        patience: Duration,
    ) -> (MutexGuard<'a, Core>, bool) {
        let driver = if core.socket.is_some() && core.running.is_none() {
            core.driver.take()
        } else {
            None
        };
        match driver {
            Some(mut driver) => {
                core.driver_waits = true;
                self.news.store(false, Ordering::Relaxed);
                drop(core);
                let progress = self.turn(&mut driver, until, usize::MAX);
                (self.release(driver), progress)
            }
            None if self.time.is_manual() && core.running.is_none() => (core, false),
            None => {
                let left = until.map_or(patience, |until| until.saturating_duration_since(self.now()));
                core.room_wanted.set(true);
                let waited = self.room.wait_timeout(core, left.min(patience));
                (waited.unwrap_or_else(PoisonError::into_inner).0, true)
            }
        }
    }
}
