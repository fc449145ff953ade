//! An application message, as it was received or as it is to be published.

use std::time::Instant;

use bytes::Bytes;

use super::convert::IntoPayload;
use super::payload::Payload;
use crate::codec::{PacketId, PlainPublish, Properties, Publish, QoS, TopicName};
use crate::session::{AckTicket, Outgoing, PayloadRef, Received};

/// An application message.
///
/// Callbacks get the received ones. [`new`](Self::new) makes one for `publish_message`; of such a message `dup`, `mid`
/// and `timestamp` play no part.
///
/// ```
/// use callmq::client::{Message, QoS};
///
/// let message = Message::new("house/light", "on").qos(QoS::AtLeastOnce).retain(true);
/// assert_eq!(message.topic, "house/light");
/// assert_eq!(message.payload, "on");
/// assert!(message.retain);
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "MQTTMessage")]
pub struct Message {
    /// The Topic Name.
    pub topic: TopicName,
    /// The payload.
    pub payload: Payload,
    /// The Quality of Service with which it was, or is to be, delivered.
    pub qos: QoS,
    /// Received: whether it comes from the server's store of retained messages. To be published: whether the server
    /// keeps it there.
    pub retain: bool,
    /// Whether it may have been delivered before.
    pub dup: bool,
    /// The Packet Identifier it came with; 0 for QoS 0.
    pub mid: u16,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
    /// When it was received, or made.
    pub timestamp: Instant,
    /// Acknowledges it, for received messages of QoS 1 and 2.
    pub(crate) ticket: Option<AckTicket>,
}

impl Message {
    /// Makes a message of QoS 0, not retained, without properties.
    ///
    /// The topic is checked when the message is published.
    pub fn new<'a>(topic: impl AsRef<str>, payload: impl IntoPayload<'a>) -> Self {
        Self {
            topic: TopicName::from_checked(topic.as_ref()),
            payload: Payload::from(Bytes::from(payload.into_payload())),
            qos: QoS::AtMostOnce,
            retain: false,
            dup: false,
            mid: 0,
            properties: Properties::default(),
            timestamp: Instant::now(),
            ticket: None,
        }
    }

    /// Sets the Quality of Service.
    #[must_use]
    pub fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// Sets whether the server keeps the message for later subscribers.
    #[must_use]
    pub fn retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }

    /// Sets the properties (MQTT 5.0).
    #[must_use]
    pub fn properties(mut self, properties: Properties) -> Self {
        self.properties = properties;
        self
    }

    /// A message that arrived.
    pub(crate) fn received(received: Received, now: Instant) -> Self {
        let Received { publish, ticket } = received;
        Self {
            topic: publish.topic,
            payload: Payload::from(publish.payload),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            mid: publish.packet_id.map_or(0, u16::from),
            properties: publish.properties,
            timestamp: now,
            ticket,
        }
    }

    /// A message that arrived, as the session gave it out.
    pub(crate) fn to_publish(&self) -> Publish {
        Publish {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: self.topic.clone(),
            packet_id: PacketId::new(self.mid),
            properties: self.properties.clone(),
            payload: self.payload.to_bytes(),
        }
    }

    /// A place for messages that arrive, see [`set_plain`](Self::set_plain).
    pub(crate) fn empty(now: Instant) -> Self {
        Self {
            topic: TopicName::empty(),
            payload: Payload::default(),
            qos: QoS::AtMostOnce,
            retain: false,
            dup: false,
            mid: 0,
            properties: Properties::new(),
            timestamp: now,
            ticket: None,
        }
    }

    /// Becomes the message of a packet at `start` of `buffer`, but for topic, time and ticket. What is the same as in the
    /// message before stays: so a stream of messages shares one handle of its buffer.
    #[inline(always)]
    pub(crate) fn set_plain(&mut self, packet: &PlainPublish<'_>, buffer: &Bytes, start: usize) {
        let payload = packet.payload();
        self.payload
            .set_part(buffer, start + payload.start..start + payload.end);
        self.qos = packet.qos;
        self.retain = packet.retain();
        self.dup = packet.dup();
        self.mid = packet.packet_id.map_or(0, u16::from);
        if !self.properties.is_empty() {
            self.properties = Properties::new();
        }
    }

    /// What the session needs to publish it; the arguments are not checked here.
    pub(crate) fn outgoing(&self) -> Outgoing<'_> {
        Outgoing {
            topic: &self.topic,
            payload: PayloadRef::Shared(self.payload.to_bytes()),
            qos: self.qos,
            retain: self.retain,
            properties: &self.properties,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{PacketId, Property, Publish};

    #[test]
    fn messages_cross_threads() {
        fn crosses_threads<T: Send + Sync + Clone + 'static>() {}
        crosses_threads::<Message>();
        crosses_threads::<crate::client::ConnectOptions>();
        crosses_threads::<crate::client::DisconnectFlags>();
    }

    #[test]
    fn a_new_message_is_plain() {
        let message = Message::new(String::from("a/b"), 42);
        assert_eq!(
            (message.qos, message.retain, message.dup, message.mid),
            (QoS::AtMostOnce, false, false, 0)
        );
        assert_eq!(message.payload, "42");
        assert_eq!(message.properties, Properties::default());
        assert!(message.ticket.is_none());
    }

    #[test]
    fn the_topic_is_not_checked_yet() {
        assert_eq!(Message::new("a/+", ()).topic, "a/+");
    }

    #[test]
    fn a_received_message_keeps_what_the_packet_says() {
        let now = Instant::now();
        let publish = Publish {
            dup: true,
            qos: QoS::ExactlyOnce,
            retain: true,
            topic: TopicName::from_checked("t"),
            packet_id: PacketId::new(7),
            properties: Properties::default(),
            payload: Bytes::from("x"),
        };
        let message = Message::received(
            Received {
                publish,
                ticket: None,
            },
            now,
        );
        assert_eq!(
            (message.mid, message.qos, message.dup, message.retain),
            (7, QoS::ExactlyOnce, true, true)
        );
        assert_eq!((message.topic.as_str(), message.timestamp), ("t", now));
        assert_eq!(message.payload, "x");
    }

    #[test]
    fn the_session_gets_what_was_set() {
        let properties = Properties::from([Property::MessageExpiryInterval(5)]);
        let message = Message::new("t", "x")
            .qos(QoS::AtLeastOnce)
            .retain(true)
            .properties(properties.clone());
        let outgoing = message.outgoing();
        assert_eq!(
            (outgoing.topic, outgoing.qos, outgoing.retain),
            ("t", QoS::AtLeastOnce, true)
        );
        assert_eq!(outgoing.properties, &properties);
        assert!(matches!(outgoing.payload, PayloadRef::Shared(bytes) if bytes == "x"));
    }
}
