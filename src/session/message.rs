//! Outgoing messages as they are kept until they are finished.

use std::time::Instant;

use bytes::Bytes;

use super::expiry::Expiry;
use super::out_buffer::SHARED_PAYLOAD_MIN;
use super::{Outgoing, PayloadRef};
use crate::codec::{
    PacketId, Properties, Property, ProtocolVersion, Publish, PublishHead, QoS, publish_packet_len,
};
use crate::topic::TopicName;

/// An outgoing message, kept in as little memory as possible: there may be a million of them in the queue. It moves
/// from there to the messages in flight: both are looked through in order, and another place in memory for each message
/// would have to be fetched from the cache of the thread that published it.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// The topic, and behind it the payload unless that is shared.
    bytes: Vec<u8>,
    topic_len: u16,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// What most messages do not have.
    extra: Option<Box<Extra>>,
}

#[derive(Debug, Default)]
struct Extra {
    properties: Properties,
    /// A large payload.
    shared: Option<Bytes>,
    expiry: Option<Expiry>,
}

/// A payload on its way into the output: bytes to copy, bytes to write from where they are, or bytes that the caller
/// puts there itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Payload<'a> {
    Copied(&'a [u8]),
    Shared(&'a Bytes),
    Apart(&'a [u8]),
}

impl Message {
    /// Keeps `message`, which is accepted `now`. A small payload is copied, a large one shared (and copied once if it
    /// was only borrowed).
    pub(super) fn new(message: &Outgoing<'_>, pool: &mut Pool, now: Instant) -> Self {
        let payload = message.payload.as_slice();
        let is_shared = payload.len() >= SHARED_PAYLOAD_MIN;
        let copied = if is_shared { &[] } else { payload };
        let mut bytes = pool.take(message.topic.len() + copied.len());
        bytes.extend_from_slice(message.topic.as_bytes());
        bytes.extend_from_slice(copied);
        let properties = message.properties;
        let extra = (is_shared || !properties.is_empty()).then(|| {
            Box::new(Extra {
                properties: properties.clone(),
                shared: is_shared.then(|| message.payload.to_bytes()),
                expiry: Expiry::of(properties, now),
            })
        });
        Self {
            bytes,
            // A Topic Name has at most 65,535 bytes: `publish` is called with a checked one [MQTT-4.7.3-3].
            topic_len: u16::try_from(message.topic.len()).unwrap_or(u16::MAX),
            qos: message.qos,
            retain: message.retain,
            extra,
        }
    }

    pub(super) fn topic(&self) -> &str {
        std::str::from_utf8(self.topic_bytes()).unwrap_or_default()
    }

    /// The topic as it is written: to take it for text costs a check.
    pub(super) fn topic_bytes(&self) -> &[u8] {
        self.bytes.get(..self.topic_len.into()).unwrap_or_default()
    }

    pub(super) fn payload(&self) -> Payload<'_> {
        match self.extra.as_ref().and_then(|extra| extra.shared.as_ref()) {
            Some(shared) => Payload::Shared(shared),
            None => Payload::Copied(self.bytes.get(self.topic_len.into()..).unwrap_or_default()),
        }
    }

    /// Topic and payload of a message that has nothing else, as most are.
    #[inline]
    pub(super) fn plain_parts(&self) -> Option<(&[u8], &[u8])> {
        match self.extra {
            None => self.bytes.split_at_checked(self.topic_len.into()),
            Some(_) => None,
        }
    }

    pub(super) fn properties(&self) -> &Properties {
        self.extra
            .as_ref()
            .map_or(&NO_PROPERTIES, |extra| &extra.properties)
    }

    /// When it expires, if it does.
    #[inline]
    pub(super) fn expiry(&self) -> Option<Expiry> {
        self.extra.as_ref()?.expiry
    }

    /// Sets the Message Expiry Interval with which it is sent.
    pub(super) fn set_expiry_interval(&mut self, seconds: u32) {
        if let Some(extra) = &mut self.extra {
            extra.properties.set(Property::MessageExpiryInterval(seconds));
        }
    }

    /// What the message counts against the queue's bound in bytes.
    #[inline]
    pub(super) fn size(&self) -> usize {
        let Some(extra) = &self.extra else {
            return self.bytes.len();
        };
        let shared = extra.shared.as_ref().map_or(0, Bytes::len);
        self.bytes.len() + shared + properties_size(&extra.properties)
    }

    /// As a packet, for the application that takes it back.
    pub(super) fn into_publish(self, dup: bool, packet_id: Option<PacketId>) -> Publish {
        let payload = match self.payload() {
            Payload::Copied(bytes) | Payload::Apart(bytes) => Bytes::copy_from_slice(bytes),
            Payload::Shared(bytes) => bytes.clone(),
        };
        Publish {
            dup,
            qos: self.qos,
            retain: self.retain,
            topic: TopicName::from_checked(self.topic()),
            packet_id,
            properties: self.properties().clone(),
            payload,
        }
    }
}

impl PayloadRef<'_> {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        match self {
            Self::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Self::Shared(bytes) => bytes.clone(),
        }
    }
}

impl Outgoing<'_> {
    /// What the message counts against the queue's bound in bytes.
    pub(super) fn size(&self) -> usize {
        size(self.topic, self.payload.as_slice(), self.properties)
    }
}

impl Payload<'_> {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) | Self::Apart(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Publish {
    /// What it counts against a bound in bytes, as outgoing messages do.
    pub(super) fn size(&self) -> usize {
        size(&self.topic, &self.payload, &self.properties)
    }
}

fn size(topic: &str, payload: &[u8], properties: &Properties) -> usize {
    topic.len() + payload.len() + properties_size(properties)
}

/// How many bytes properties take in a packet; none where there are none.
pub(super) fn properties_size(properties: &Properties) -> usize {
    if properties.is_empty() {
        return 0;
    }
    let head = PublishHead {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        packet_id: None,
        topic: b"",
        properties,
    };
    publish_packet_len(ProtocolVersion::V5, &head, 0) - publish_packet_len(ProtocolVersion::V311, &head, 0)
}

static NO_PROPERTIES: Properties = Properties::new();

/// The buffers of finished messages, for the next ones: a steady flow of messages allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Pool {
    buffers: Vec<Vec<u8>>,
    /// Theirs together.
    capacity: usize,
}

/// The buffers that are kept have no more capacity than this together ..
const POOLED_CAPACITY: usize = 256 * 1024;
/// .. and none of them alone. Empty ones are not kept, so this bounds their number, too.
const LARGEST_POOLED: usize = 4 * 1024;

impl Pool {
    /// An empty buffer with room for so many bytes.
    #[inline]
    fn take(&mut self, len: usize) -> Vec<u8> {
        let used = if len <= LARGEST_POOLED {
            self.buffers.pop()
        } else {
            None
        };
        let mut buffer = used.unwrap_or_default();
        self.capacity -= buffer.capacity();
        buffer.reserve_exact(len);
        buffer
    }

    /// The message is finished: takes its buffer.
    #[inline]
    pub(super) fn put(&mut self, message: &mut Message) {
        let mut buffer = std::mem::take(&mut message.bytes);
        let capacity = buffer.capacity();
        let fits = self.capacity + capacity <= POOLED_CAPACITY;
        if fits && (1..=LARGEST_POOLED).contains(&capacity) {
            buffer.clear();
            self.capacity += capacity;
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<'a>(topic: &'a str, payload: PayloadRef<'a>) -> Outgoing<'a> {
        Outgoing {
            topic,
            payload,
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: &NO_PROPERTIES,
        }
    }

    #[test]
    fn a_small_message_is_one_buffer() {
        let payload = Bytes::from_static(b"payload");
        let kept = Message::new(
            &message("a/b", PayloadRef::Shared(payload)),
            &mut Pool::default(),
            Instant::now(),
        );
        assert_eq!(kept.topic(), "a/b");
        assert_eq!(kept.payload().as_slice(), b"payload");
        assert!(kept.extra.is_none());
        assert_eq!(kept.size(), 10);
        assert!(std::mem::size_of::<Message>() <= 40);
    }

    #[test]
    fn a_large_shared_payload_is_not_copied() {
        let payload = Bytes::from(vec![7; SHARED_PAYLOAD_MIN]);
        let kept = Message::new(
            &message("t", PayloadRef::Shared(payload.clone())),
            &mut Pool::default(),
            Instant::now(),
        );
        let Payload::Shared(shared) = kept.payload() else {
            panic!("copied")
        };
        assert_eq!(shared.as_ptr(), payload.as_ptr());
    }

    #[test]
    fn finished_messages_lend_their_memory_up_to_a_bound() {
        let mut pool = Pool::default();
        let mut first = Message::new(
            &message("t", PayloadRef::Borrowed(b"x")),
            &mut pool,
            Instant::now(),
        );
        let place = first.bytes.as_ptr();
        pool.put(&mut first);
        let second = Message::new(
            &message("u", PayloadRef::Borrowed(b"y")),
            &mut pool,
            Instant::now(),
        );
        assert_eq!((second.bytes.as_ptr(), second.topic()), (place, "u"));
        let payload = [0; LARGEST_POOLED - 1];
        let mut many: Vec<_> = (0..100)
            .map(|_| {
                Message::new(
                    &message("t", PayloadRef::Borrowed(&payload)),
                    &mut pool,
                    Instant::now(),
                )
            })
            .collect();
        many.iter_mut().for_each(|message| pool.put(message));
        let kept: usize = pool.buffers.iter().map(Vec::capacity).sum();
        assert_eq!(kept, pool.capacity);
        assert!((POOLED_CAPACITY - LARGEST_POOLED..=POOLED_CAPACITY).contains(&kept));
    }
}
