//! PUBLISH and its acknowledgements.

use bytes::Bytes;

use super::packet_type::{DUP, RETAIN};
use super::property::Scope;
use super::reader::Reader;
use super::rules;
use super::topic_cache::{TopicCache, check_wildcards};
use super::writer::{check_text, put_u16, put_with_length, var_int, var_int_len};
use super::{
    MAX_REMAINING_LENGTH, Packet, PacketId, PacketType, Properties, ProtocolVersion, QoS, ReasonCode,
    TopicName,
};
use crate::error::{DecodeError, Error, Result};

/// A PUBLISH packet.
///
/// See MQTT 5.0, section 3.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Sent before.
    pub dup: bool,
    /// Quality of Service.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// Topic Name; empty only in MQTT 5.0 with a Topic Alias.
    pub topic: TopicName,
    /// Present if and only if the QoS is 1 or 2.
    pub packet_id: Option<PacketId>,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
    /// Application payload: a slice of the buffer that it was decoded from.
    pub payload: Bytes,
}

impl Publish {
    /// Reads a whole packet, which has `header_len` bytes of Fixed Header. The payload is left empty; returns how many
    /// bytes it has, which are the last ones.
    pub(super) fn read(
        version: ProtocolVersion,
        packet: &[u8],
        header_len: usize,
        topics: &mut TopicCache,
    ) -> Result<(Self, usize), DecodeError> {
        let mut header = Reader::new(version, packet);
        let first = header.u8()?;
        header.take(header_len - 1)?;
        let Some(qos) = QoS::from_bits(first >> 1) else {
            return header.broken(&rules::QOS_3);
        };
        let name = header.binary()?;
        let packet_id = match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(header.packet_id(&rules::PACKET_ID_ZERO)?),
        };
        let properties = if header.is_v5() {
            Properties::read(&mut header, Scope::packet(PacketType::Publish))?
        } else {
            Properties::new()
        };
        if name.is_empty() && properties.topic_alias().is_none() {
            return header.broken(&rules::EMPTY_TOPIC);
        }
        let topic = header.obey(topics.name(name))?;
        let payload_len = header.len();
        let publish = Self {
            dup: first & DUP != 0,
            qos,
            retain: first & RETAIN != 0,
            topic,
            packet_id,
            properties,
            payload: Bytes::new(),
        };
        Ok((publish, payload_len))
    }

    /// The packet without its payload, to be written.
    pub(crate) fn head(&self) -> PublishHead<'_> {
        PublishHead {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            packet_id: self.packet_id,
            topic: self.topic.as_bytes(),
            properties: &self.properties,
        }
    }

    pub(super) fn check(&self, version: ProtocolVersion) -> Result<()> {
        let topic = self.topic.as_str();
        check_text(topic)
            .and_then(|()| check_wildcards(topic, &rules::TOPIC_WILDCARD))
            .map_err(|rule| rule.refused("topic"))?;
        let v5 = version == ProtocolVersion::V5;
        if topic.is_empty() && !(v5 && self.properties.topic_alias().is_some()) {
            return Err(rules::EMPTY_TOPIC.refused("topic"));
        }
        // [MQTT-2.2.1-2], [MQTT-2.3.1-1], [MQTT-2.3.1-5]
        if self.packet_id.is_some() != (self.qos != QoS::AtMostOnce) {
            return Err(Error::argument(
                "packet_id",
                "must be there with QoS 1 and 2 and only then",
            ));
        }
        if self.dup && self.qos == QoS::AtMostOnce {
            return Err(rules::DUP_QOS_0.refused("dup"));
        }
        if v5 {
            self.properties.check(Scope::packet(PacketType::Publish))?;
        }
        if remaining_length(version, &self.head(), self.payload.len()) > MAX_REMAINING_LENGTH {
            return Err(Error::argument("payload", "makes the packet too large"));
        }
        Ok(())
    }

    pub(super) fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let head = self.head();
        out.reserve(publish_packet_len(version, &head, self.payload.len()));
        encode_publish_head(out, version, head, self.payload.len());
        out.extend_from_slice(&self.payload);
    }
}

/// A PUBLISH packet without its payload: what [`encode_publish_head`] writes. Properties are not written before MQTT
/// 5.0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishHead<'a> {
    pub(crate) dup: bool,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) packet_id: Option<PacketId>,
    /// The Topic Name: text that was checked.
    pub(crate) topic: &'a [u8],
    pub(crate) properties: &'a Properties,
}

/// Appends a PUBLISH packet up to, and without, its payload of `payload_len` bytes. The caller has checked topic,
/// properties and [`publish_packet_len`].
#[inline]
pub(crate) fn encode_publish_head(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    head: PublishHead<'_>,
    payload_len: usize,
) {
    debug_assert!(head.topic.len() <= usize::from(u16::MAX), "checked before");
    let remaining_length = remaining_length(version, &head, payload_len);
    let first = (PacketType::Publish as u8) << 4
        | if head.dup { DUP } else { 0 }
        | (head.qos as u8) << 1
        | if head.retain { RETAIN } else { 0 };
    let topic_len = (head.topic.len() as u16).to_be_bytes();
    if remaining_length < 0x80 {
        out.extend_from_slice(&[first, remaining_length as u8, topic_len[0], topic_len[1]]);
    } else {
        let (length, size) = var_int(remaining_length as u32);
        out.push(first);
        out.extend_from_slice(&length[..size]);
        out.extend_from_slice(&topic_len);
    }
    out.extend_from_slice(head.topic);
    if let Some(packet_id) = head.packet_id {
        put_u16(out, packet_id.get());
    }
    if version == ProtocolVersion::V5 {
        head.properties.write(out);
    }
}

/// Appends a whole PUBLISH packet of QoS 1 or 2 that is sent for the first time and has no properties: as
/// [`encode_publish_head`] and the payload, in less steps.
#[inline]
pub(crate) fn put_plain_publish(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    (qos, retain): (QoS, bool),
    packet_id: PacketId,
    topic: &[u8],
    payload: &[u8],
) {
    let no_properties = usize::from(version == ProtocolVersion::V5);
    let remaining_length = 2 + topic.len() + 2 + no_properties + payload.len();
    let first = (PacketType::Publish as u8) << 4 | (qos as u8) << 1 | if retain { RETAIN } else { 0 };
    let [high, low] = (topic.len() as u16).to_be_bytes();
    if remaining_length < 0x80 {
        out.extend_from_slice(&[first, remaining_length as u8, high, low]);
    } else {
        let (length, size) = var_int(remaining_length as u32);
        out.push(first);
        out.extend_from_slice(&length[..size]);
        out.extend_from_slice(&[high, low]);
    }
    out.extend_from_slice(topic);
    let [high, low] = packet_id.get().to_be_bytes();
    out.extend_from_slice(&[high, low, 0][..2 + no_properties]);
    out.extend_from_slice(payload);
}

/// How many bytes a PUBLISH packet takes, Fixed Header and payload included.
pub(crate) fn publish_packet_len(
    version: ProtocolVersion,
    head: &PublishHead<'_>,
    payload_len: usize,
) -> usize {
    let remaining_length = remaining_length(version, head, payload_len);
    1 + var_int_len(remaining_length) + remaining_length
}

fn remaining_length(version: ProtocolVersion, head: &PublishHead<'_>, payload_len: usize) -> usize {
    let packet_id_len = if head.packet_id.is_some() { 2 } else { 0 };
    let properties_len = match version {
        ProtocolVersion::V31 | ProtocolVersion::V311 => 0,
        ProtocolVersion::V5 => head.properties.encoded_len_with_length(),
    };
    2 + head.topic.len() + packet_id_len + properties_len + payload_len
}

/// A PUBACK, PUBREC, PUBREL or PUBCOMP packet.
///
/// See MQTT 5.0, sections 3.4 to 3.7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The identifier of the PUBLISH.
    pub packet_id: PacketId,
    /// Success before MQTT 5.0.
    pub reason: ReasonCode,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
}

/// An acknowledgement in its shortest form, which says success. Almost all of them have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortAck {
    pub(crate) kind: AckKind,
    pub(crate) packet_id: PacketId,
}

/// Which acknowledgement.
#[allow(clippy::enum_variant_names, reason = "the names of the packets")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckKind {
    PubAck,
    PubRec,
    PubRel,
    PubComp,
}

impl ShortAck {
    /// How many bytes it takes.
    pub(crate) const LEN: usize = 4;

    /// Recognises it at the front of `input`. Whatever else there is takes the long way.
    #[inline]
    pub(super) fn read(input: &[u8]) -> Option<Self> {
        let &[first, 2, high, low] = input.first_chunk()? else {
            return None;
        };
        let packet_id = PacketId::new(u16::from_be_bytes([high, low]))?;
        let kind = match first {
            0x40 => AckKind::PubAck,
            0x50 => AckKind::PubRec,
            0x62 => AckKind::PubRel,
            0x70 => AckKind::PubComp,
            _ => return None,
        };
        Some(Self { kind, packet_id })
    }

    #[inline]
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let [high, low] = self.packet_id.get().to_be_bytes();
        let first = match self.kind {
            AckKind::PubAck => 0x40,
            AckKind::PubRec => 0x50,
            AckKind::PubRel => 0x62,
            AckKind::PubComp => 0x70,
        };
        out.extend_from_slice(&[first, 2, high, low]);
    }

    /// Whether it ends what the server has begun: it may send another message then (MQTT 5.0, section 4.9).
    #[inline]
    pub(crate) fn is_answer(self) -> bool {
        matches!(self.kind, AckKind::PubAck | AckKind::PubComp)
    }

    pub(super) fn into_packet(self) -> Packet {
        self.kind.packet(Ack::new(self.packet_id))
    }
}

impl AckKind {
    pub(crate) fn packet(self, ack: Ack) -> Packet {
        match self {
            Self::PubAck => Packet::PubAck(ack),
            Self::PubRec => Packet::PubRec(ack),
            Self::PubRel => Packet::PubRel(ack),
            Self::PubComp => Packet::PubComp(ack),
        }
    }
}

impl Ack {
    /// An acknowledgement without reason and properties: success.
    pub fn new(packet_id: PacketId) -> Self {
        Self {
            packet_id,
            reason: ReasonCode::SUCCESS,
            properties: Properties::new(),
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>, packet: PacketType) -> Result<Self, DecodeError> {
        let mut ack = Self::new(reader.packet_id(&rules::ACK_PACKET_ID_ZERO)?);
        // Both the code and the Property Length may be missing (MQTT 5.0, section 3.4.2.1).
        if reader.is_v5() && !reader.is_empty() {
            let code = reader.u8()?;
            reader.obey(rules::check_reason(packet, code))?;
            ack.reason = ReasonCode::new(code);
            if !reader.is_empty() {
                ack.properties = Properties::read(reader, Scope::packet(packet))?;
            }
        }
        Ok(ack)
    }

    pub(super) fn check(&self, packet: PacketType, version: ProtocolVersion) -> Result<()> {
        if version == ProtocolVersion::V5 {
            rules::check_reason(packet, self.reason.meaning()).map_err(|rule| rule.refused("reason"))?;
            self.properties.check(Scope::packet(packet))?;
        }
        Ok(())
    }

    pub(super) fn write(
        &self,
        packet: PacketType,
        version: ProtocolVersion,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let [high, low] = self.packet_id.get().to_be_bytes();
        let code = self.reason.meaning();
        out.push(packet.first_byte());
        if version != ProtocolVersion::V5 || (code == 0 && self.properties.is_empty()) {
            // The shortest form, which says success.
            out.extend_from_slice(&[2, high, low]);
            return Ok(());
        }
        put_with_length(out, |out| {
            out.extend_from_slice(&[high, low, code]);
            if !self.properties.is_empty() {
                self.properties.write(out);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Packet, Property};

    fn publish(payload_len: usize, properties: Properties) -> Publish {
        Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: TopicName::from_checked("a/b"),
            packet_id: PacketId::new(7),
            properties,
            payload: vec![0x61; payload_len].into(),
        }
    }

    #[test]
    fn the_head_and_the_payload_are_the_packet() {
        let properties = || Properties::from(Property::UserProperty("k".repeat(100), "v".repeat(100)));
        for version in [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5] {
            for payload_len in [0, 1, 119, 120, 121, 16_384, 2_097_152] {
                let publish = publish(payload_len, properties());
                let mut parts = Vec::new();
                encode_publish_head(&mut parts, version, publish.head(), payload_len);
                parts.extend_from_slice(&publish.payload);
                assert_eq!(
                    parts.len(),
                    publish_packet_len(version, &publish.head(), payload_len)
                );
                let mut whole = Vec::new();
                Packet::Publish(publish).encode(version, &mut whole).unwrap();
                assert_eq!(parts, whole);
            }
        }
    }

    #[test]
    fn a_plain_packet_is_the_same_in_less_steps() {
        for version in [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5] {
            for payload_len in [0, 1, 118, 119, 120, 121, 16_384, 2_097_152] {
                for (qos, retain) in [(QoS::AtLeastOnce, true), (QoS::ExactlyOnce, false)] {
                    let publish = Publish {
                        qos,
                        retain,
                        ..publish(payload_len, Properties::new())
                    };
                    let (topic, payload) = (publish.topic.as_bytes(), &publish.payload);
                    let packet_id = publish.packet_id.unwrap();
                    let mut plain = vec![1];
                    put_plain_publish(&mut plain, version, (qos, retain), packet_id, topic, payload);
                    let mut whole = vec![1];
                    Packet::Publish(publish.clone())
                        .encode(version, &mut whole)
                        .unwrap();
                    assert_eq!(plain, whole);
                }
            }
        }
    }

    #[test]
    fn a_packet_that_has_room_moves_nothing() {
        let publish = publish(1000, Properties::from(Property::ContentType("t".into())));
        let mut out = Vec::with_capacity(publish_packet_len(ProtocolVersion::V5, &publish.head(), 1000));
        let (start, capacity) = (out.as_ptr(), out.capacity());
        Packet::Publish(publish)
            .encode(ProtocolVersion::V5, &mut out)
            .unwrap();
        assert_eq!((out.as_ptr(), out.capacity()), (start, capacity));
        assert_eq!(out.len(), capacity);
    }

    #[test]
    fn a_payload_over_the_limit_is_refused_and_the_largest_is_not() {
        // Remaining Length: 2 + 3 for the topic, 2 for the identifier.
        let largest = MAX_REMAINING_LENGTH - 7;
        let zeros = Bytes::from(vec![0; largest + 1]);
        let mut publish = publish(0, Properties::new());
        publish.payload = zeros.slice(..largest);
        assert!(publish.check(ProtocolVersion::V311).is_ok());
        assert!(
            publish.check(ProtocolVersion::V5).is_err(),
            "no room for the Property Length"
        );
        publish.payload = zeros;
        assert!(publish.check(ProtocolVersion::V311).is_err());
    }
}
