//! A shortcut for the most frequent packet: a complete PUBLISH without properties whose Topic Name is known.
//!
//! It only recognises; whatever is not plain takes the long way in the decoder, which alone knows the rules.

use std::num::NonZeroU16;
use std::ops::Range;

use bytes::Bytes;

use super::packet_type::{DUP, QOS, RETAIN};
use super::{Decoder, PacketId, PacketType, Properties, ProtocolVersion, Publish, QoS, TopicName};

/// What was found at the front of the buffer.
#[derive(Debug)]
pub(crate) struct PlainPublish<'a> {
    first: u8,
    pub(crate) qos: QoS,
    pub(crate) packet_id: Option<PacketId>,
    /// The Topic Name, as far as that is one.
    pub(crate) topic: &'a [u8],
    payload_start: usize,
    /// The whole packet.
    pub(crate) bytes: &'a [u8],
}

impl<'a> PlainPublish<'a> {
    /// Recognises the packet at the front of `input`. Whether it has a Topic Name is left to the caller.
    #[inline(always)]
    pub(super) fn find(version: ProtocolVersion, max_packet_size: usize, input: &'a [u8]) -> Option<Self> {
        let &[first, length, ..] = input else {
            return None;
        };
        if first >> 4 != PacketType::Publish as u8 {
            return None;
        }
        let (mut at, remaining_length) = if length < 0x80 {
            (2, usize::from(length))
        } else {
            let &high = input.get(2)?;
            // 0 would be a length in a form too long.
            if high >= 0x80 || high == 0 {
                return None;
            }
            (3, usize::from(length & 0x7F) | usize::from(high) << 7)
        };
        let len = at + remaining_length;
        if len > max_packet_size {
            return None;
        }
        let bytes = input.get(..len)?;
        let topic_start = at + 2;
        at = topic_start + usize::from(read_u16(bytes, at)?);
        let topic = bytes.get(topic_start..at)?;
        if topic.is_empty() {
            return None;
        }
        let qos = QoS::from_bits(first >> 1)?;
        let mut packet_id = None;
        if first & QOS != 0 {
            packet_id = Some(NonZeroU16::new(read_u16(bytes, at)?)?);
            at += 2;
        } else if first & DUP != 0 {
            return None;
        }
        if version == ProtocolVersion::V5 {
            if *bytes.get(at)? != 0 {
                return None;
            }
            at += 1;
        }
        Some(Self {
            first,
            qos,
            packet_id,
            topic,
            payload_start: at,
            bytes,
        })
    }

    /// Where the payload is.
    #[inline(always)]
    pub(crate) fn payload(&self) -> Range<usize> {
        self.payload_start..self.bytes.len()
    }

    /// The length of the whole packet.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn retain(&self) -> bool {
        self.first & RETAIN != 0
    }

    pub(crate) fn dup(&self) -> bool {
        self.first & DUP != 0
    }

    #[inline(always)]
    pub(super) fn into_publish(self, topic: TopicName, payload: Bytes) -> Publish {
        Publish {
            dup: self.dup(),
            qos: self.qos,
            retain: self.retain(),
            topic,
            packet_id: self.packet_id,
            properties: Properties::new(),
            payload,
        }
    }
}

#[inline(always)]
fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    match bytes.get(at..)? {
        &[high, low, ..] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

/// Plain packets that follow each other, at the front of an input, and are taken off it: either those that go to the
/// application at once (QoS 0 and 1), or those that are kept (QoS 2).
#[derive(Debug)]
pub(crate) struct PlainRun<'a> {
    pub(super) decoder: &'a Decoder,
    pub(super) input: &'a Bytes,
    pub(super) range: &'a mut Range<usize>,
    pub(super) start: usize,
    pub(super) exactly_once: bool,
}

impl PlainRun<'_> {
    /// Whether they are of QoS 2.
    pub(crate) fn is_exactly_once(&self) -> bool {
        self.exactly_once
    }

    pub(crate) fn version(&self) -> ProtocolVersion {
        self.decoder.version()
    }

    /// The first `count` of those that were taken off.
    pub(crate) fn taken(&self, count: usize) -> PlainPackets {
        PlainPackets {
            version: self.version(),
            buffer: self.input.clone(),
            start: self.start,
            left: count,
        }
    }
}

impl<'a> Iterator for PlainRun<'a> {
    type Item = PlainPublish<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<PlainPublish<'a>> {
        let found = self.decoder.find_plain(self.input.get(self.range.clone())?)?;
        let exactly_once = found.qos == QoS::ExactlyOnce;
        if exactly_once != self.exactly_once || self.decoder.known_topic(found.topic).is_none() {
            return None;
        }
        self.range.start += found.len();
        Some(found)
    }
}

/// Plain packets that were taken off an input and are to be read once more.
#[derive(Debug)]
pub(crate) struct PlainPackets {
    version: ProtocolVersion,
    buffer: Bytes,
    start: usize,
    left: usize,
}

impl PlainPackets {
    /// `count` packets, which are all of `buffer`.
    pub(crate) fn new(version: ProtocolVersion, buffer: Bytes, count: usize) -> Self {
        Self {
            version,
            buffer,
            start: 0,
            left: count,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The next packet, and where it begins in its buffer.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<(PlainPublish<'_>, &Bytes, usize)> {
        self.left = self.left.checked_sub(1)?;
        let start = self.start;
        let found = PlainPublish::find(self.version, usize::MAX, self.buffer.get(start..)?)?;
        self.start += found.len();
        Some((found, &self.buffer, start))
    }
}
