//! A shortcut for the most frequent packet: a complete PUBLISH without properties whose Topic Name is known.
//!
//! It only recognises; whatever is not plain takes the long way in the decoder, which alone knows the rules. Measured
//! on a stream of small messages of QoS 0: 210 instructions for a packet instead of 305 (MQTT 5.0: 217 instead of 400).

use std::num::NonZeroU16;
use std::ops::Range;

use bytes::Bytes;

use super::packet_type::{DUP, QOS, RETAIN};
use super::topic_cache::TopicCache;
use super::{PacketId, PacketType, Properties, ProtocolVersion, Publish, QoS, TopicName};

/// What was found at the front of the buffer.
#[derive(Debug)]
pub(super) struct PlainPublish {
    first: u8,
    qos: QoS,
    packet_id: Option<PacketId>,
    topic: TopicName,
    payload_start: usize,
    packet_len: usize,
}

/// What a PUBLISH of QoS 0 without properties says.
#[derive(Debug)]
pub(crate) struct PlainMessage {
    pub(crate) retain: bool,
    pub(crate) topic: TopicName,
    pub(crate) payload: Bytes,
}

impl PlainPublish {
    /// Recognises the packet at the front of `input`.
    #[inline(always)]
    pub(super) fn find(
        version: ProtocolVersion,
        max_packet_size: usize,
        input: &[u8],
        topics: &TopicCache,
    ) -> Option<Self> {
        let (&[first, length], rest) = input.split_first_chunk()?;
        if first >> 4 != PacketType::Publish as u8 {
            return None;
        }
        let (remaining_length, rest) = if length < 0x80 {
            (usize::from(length), rest)
        } else {
            let (&high, rest) = rest.split_first()?;
            // 0 would be a length in a form too long.
            if high >= 0x80 || high == 0 {
                return None;
            }
            (usize::from(length & 0x7F) | usize::from(high) << 7, rest)
        };
        let body = rest.get(..remaining_length)?;
        let packet_len = input.len() - rest.len() + remaining_length;
        if packet_len > max_packet_size {
            return None;
        }
        let (topic_len, body) = body.split_first_chunk()?;
        let (topic, mut body) = body.split_at_checked(usize::from(u16::from_be_bytes(*topic_len)))?;
        let qos = QoS::from_bits(first >> 1)?;
        let mut packet_id = None;
        if first & QOS != 0 {
            let (number, rest) = body.split_first_chunk()?;
            packet_id = Some(NonZeroU16::new(u16::from_be_bytes(*number))?);
            body = rest;
        } else if first & DUP != 0 {
            return None;
        }
        if version == ProtocolVersion::V5 {
            let (0, rest) = body.split_first()? else {
                return None;
            };
            body = rest;
        }
        Some(Self {
            first,
            qos,
            packet_id,
            topic: topics.known(topic)?,
            payload_start: packet_len - body.len(),
            packet_len,
        })
    }

    #[inline(always)]
    pub(super) fn is_at_most_once(&self) -> bool {
        self.qos == QoS::AtMostOnce
    }

    /// Where the payload is.
    #[inline(always)]
    pub(super) fn payload(&self) -> Range<usize> {
        self.payload_start..self.packet_len
    }

    /// The length of the whole packet.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.packet_len
    }

    #[inline(always)]
    pub(super) fn into_message(self, payload: Bytes) -> PlainMessage {
        PlainMessage {
            retain: self.first & RETAIN != 0,
            topic: self.topic,
            payload,
        }
    }

    #[inline(always)]
    pub(super) fn into_publish(self, payload: Bytes) -> Publish {
        Publish {
            dup: self.first & DUP != 0,
            qos: self.qos,
            retain: self.first & RETAIN != 0,
            topic: self.topic,
            packet_id: self.packet_id,
            properties: Properties::new(),
            payload,
        }
    }
}
