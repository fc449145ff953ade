//! Packets into the output, with their traces and counts.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use super::incoming::Verdict;
use super::limits::Limits;
use super::message::{Message, Payload};
use super::out_buffer::SHARED_PAYLOAD_MIN;
use super::topic_aliases::Sent;
use super::{Counters, Event, OutBuffer, Outgoing, Trace};
use crate::codec::{
    Ack, AckKind, MAX_REMAINING_LENGTH, Packet, PacketId, Properties, ProtocolVersion, PublishHead, QoS,
    ShortAck, encode_publish_head, publish_packet_len, put_plain_publish,
};
use crate::error::{DropReason, Error, Result, ServerLimit};
use crate::topic::TopicName;

/// The session's way out: to the peer and to the application.
#[derive(Debug, Default)]
pub(super) struct Wire {
    pub(super) output: OutBuffer,
    pub(super) events: VecDeque<Event>,
    pub(super) counters: Counters,
    /// Emit `Event::Trace`.
    pub(super) trace: bool,
    pub(super) version: ProtocolVersion,
    /// The topic aliases that we have set, where there may be some.
    pub(super) aliases: Option<Box<Sent>>,
    last_head: LastHead,
    /// Bytes put into the output on this connection.
    pub(super) appended: u64,
    /// The largest packet that the server takes [MQTT-3.2.2-15]; absent: any.
    max_packet_size: Option<u32>,
    /// PUBLISH packets of QoS 1 and 2 that the server has sent on this connection and that we have not answered: as the
    /// server counts them (MQTT 5.0, section 4.9).
    pub(super) unanswered: u32,
}

/// A PUBLISH packet to be encoded.
#[derive(Debug)]
pub(super) struct PublishPacket<'a> {
    pub(super) dup: bool,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) packet_id: Option<PacketId>,
    /// What the application calls it.
    pub(super) mid: u16,
    /// The Topic Name: text that was checked.
    pub(super) topic: &'a [u8],
    pub(super) properties: &'a Properties,
    pub(super) payload: Payload<'a>,
}

/// Identifiers of properties (MQTT 5.0, table 2-4).
const REASON_STRING: u8 = 0x1F;
const USER_PROPERTY: u8 = 0x26;

/// Whether the packet has at most [`Limits::SMALLEST_PACKET_SIZE`] bytes, as most have.
fn is_small(packet: &Packet) -> bool {
    match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            ack.properties.is_empty()
        }
        Packet::PingReq | Packet::PingResp => true,
        _ => false,
    }
}

/// The bytes before the payload of the last PUBLISH that [`Wire::put_payload`] wrote: who publishes a stream of
/// messages writes the same ones again and again.
#[derive(Debug, Default)]
struct LastHead {
    bytes: Vec<u8>,
    /// Where the Topic Name is.
    topic: Range<usize>,
    payload_len: usize,
    retain: bool,
}

impl LastHead {
    /// Whether a message of QoS 0 without properties begins with these bytes. Its topic is then one that was checked.
    #[inline]
    fn is_of(&self, message: &Outgoing<'_>) -> bool {
        self.payload_len == message.payload.as_slice().len()
            && self.retain == message.retain
            && !message.topic.is_empty()
            && self.bytes.get(self.topic.clone()) == Some(message.topic.as_bytes())
    }

    #[inline(never)]
    fn encode(&mut self, version: ProtocolVersion, message: &Outgoing<'_>) {
        let payload_len = message.payload.as_slice().len();
        let head = PublishHead {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: message.retain,
            packet_id: None,
            topic: message.topic.as_bytes(),
            properties: message.properties,
        };
        self.bytes.clear();
        self.bytes.shrink_to(256);
        encode_publish_head(&mut self.bytes, version, head, payload_len);
        // In MQTT 5.0 the length of the properties follows.
        let end = self.bytes.len() - usize::from(version == ProtocolVersion::V5);
        self.topic = end - message.topic.len()..end;
        self.payload_len = payload_len;
        self.retain = message.retain;
    }
}

impl PublishPacket<'_> {
    pub(super) fn topic_name(&self) -> &str {
        std::str::from_utf8(self.topic).unwrap_or_default()
    }

    fn head(&self) -> PublishHead<'_> {
        PublishHead {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            packet_id: self.packet_id,
            topic: self.topic,
            properties: self.properties,
        }
    }
}

impl Wire {
    /// A connection starts.
    pub(super) fn open(&mut self, version: ProtocolVersion) {
        self.output.clear();
        self.appended = 0;
        self.version = version;
        self.aliases = None;
        self.last_head = LastHead::default();
        self.max_packet_size = None;
        self.unanswered = 0;
    }

    /// The server takes no packets above this size.
    pub(super) fn limit_packets(&mut self, limits: &Limits) {
        self.max_packet_size = Some(limits.maximum_packet_size).filter(|&size| size != u32::MAX);
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// A message ends unsent; many in a row are one event.
    pub(super) fn emit_dropped(&mut self, why: DropReason) {
        match self.events.back_mut() {
            Some(Event::Dropped { count, why: last }) if *last == why => *count += 1,
            _ => self.emit(Event::Dropped { count: 1, why }),
        }
    }

    pub(super) fn trace(&mut self, trace: impl FnOnce(ProtocolVersion) -> Trace) {
        if self.trace {
            let trace = trace(self.version);
            self.events.push_back(Event::Trace(trace));
        }
    }

    /// Whether the packet has an encoding: its length.
    pub(super) fn check(&self, packet: &Packet) -> Result<usize> {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes)?;
        Ok(bytes.len())
    }

    /// Any packet but PUBLISH; without its texts for people if it would be too large for the server with them.
    ///
    /// # Errors
    ///
    /// The packet has no encoding, or is too large even so. Nothing is put into the output then.
    pub(super) fn put_packet(&mut self, packet: &Packet) -> Result<()> {
        if self.max_packet_size.is_some() && !is_small(packet) {
            let fitting = self.fitting(packet)?;
            return self.put_any(&fitting);
        }
        self.put_any(packet)
    }

    fn put_any(&mut self, packet: &Packet) -> Result<()> {
        let version = self.version;
        let mut result = Ok(());
        self.append(|out| result = packet.encode(version, out));
        result?;
        self.counters.packets_sent += 1;
        let answers = match packet {
            Packet::PubAck(_) | Packet::PubComp(_) => true,
            Packet::PubRec(ack) => ack.reason.is_failure(),
            _ => false,
        };
        self.answered(answers.into());
        Ok(())
    }

    /// So many messages of QoS 1 or 2 are acknowledged: the server may send as many others.
    fn answered(&mut self, count: u32) {
        // Also one for a message of an earlier connection gives the server room, up to its maximum (section 4.9).
        self.unanswered = self.unanswered.saturating_sub(count);
    }

    /// The packet as the server takes it: where it would be too large, an acknowledgement, DISCONNECT or AUTH goes
    /// without its User Properties, and if need be without its Reason String [MQTT-3.4.2-2, MQTT-3.4.2-3] (likewise
    /// 3.5.2 to 3.7.2, 3.14.2, 3.15.2).
    ///
    /// # Errors
    ///
    /// The packet has no encoding, or is too large even so.
    pub(super) fn fitting<'a>(&self, packet: &'a Packet) -> Result<Cow<'a, Packet>> {
        let mut packet = Cow::Borrowed(packet);
        let length = self.check(&packet)?;
        let Some(limit) = self.max_packet_size else {
            return Ok(packet);
        };
        let fits = |length: usize| u64::try_from(length).is_ok_and(|length| length <= u64::from(limit));
        if fits(length) {
            return Ok(packet);
        }
        for identifier in [USER_PROPERTY, REASON_STRING] {
            let properties = match packet.to_mut() {
                Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
                    &mut ack.properties
                }
                Packet::Disconnect(disconnect) => &mut disconnect.properties,
                Packet::Auth(auth) => &mut auth.properties,
                _ => break,
            };
            properties.remove(identifier);
            if fits(self.check(&packet)?) {
                return Ok(packet);
            }
        }
        Err(Error::NotAllowed(ServerLimit::MaximumPacketSize))
    }

    /// A PUBLISH, with a topic alias where one is set or asked for.
    pub(super) fn put_publish(&mut self, publish: &PublishPacket<'_>) {
        if self.gives_aliases() || !publish.properties.is_empty() {
            self.put_aliased(publish);
        } else {
            self.put_plain(publish);
        }
    }

    /// Whether messages get aliases by themselves.
    #[inline]
    pub(super) fn gives_aliases(&self) -> bool {
        self.aliases
            .as_ref()
            .is_some_and(|aliases| aliases.are_automatic())
    }

    #[inline(never)]
    fn put_aliased(&mut self, publish: &PublishPacket<'_>) {
        let version = self.version;
        let limit = self.max_packet_size.map_or(MAX_REMAINING_LENGTH, |limit| {
            usize::try_from(limit)
                .unwrap_or(usize::MAX)
                .min(MAX_REMAINING_LENGTH)
        });
        let grows = |by| {
            let payload_len = publish.payload.as_slice().len();
            publish_packet_len(version, &publish.head(), payload_len) + by <= limit
        };
        let Some(changed) = self.aliases.get_or_insert_default().apply(publish, grows) else {
            return self.put_plain(publish);
        };
        self.put_plain(&PublishPacket {
            topic: if changed.alias_only { b"" } else { publish.topic },
            properties: &changed.properties,
            ..*publish
        });
        self.aliases.get_or_insert_default().written(changed);
    }

    /// Whether a message of QoS 0 without properties differs from the last one only in the bytes of its payload.
    #[inline]
    pub(super) fn has_head_of(&self, message: &Outgoing<'_>) -> bool {
        self.last_head.is_of(message)
    }

    #[inline]
    pub(super) fn keep_head_of(&mut self, message: &Outgoing<'_>) {
        if !self.last_head.is_of(message) {
            self.last_head.encode(self.version, message);
        }
    }

    /// A PUBLISH of QoS 0 without properties, untraced: the head that was kept last, and a copy of the payload.
    #[inline]
    pub(super) fn put_payload(&mut self, payload: &[u8]) {
        let (output, head) = (&mut self.output, &self.last_head.bytes);
        output.append(|out| {
            out.extend_from_slice(head);
            out.extend_from_slice(payload);
        });
        self.appended += (head.len() + payload.len()) as u64;
        self.counters.packets_sent += 1;
    }

    /// A kept message, for the first time, if it has nothing but a topic and a small payload and is not to be logged.
    /// Whether it was that.
    #[inline]
    pub(super) fn put_kept(&mut self, message: &Message, packet_id: PacketId) -> bool {
        let Some((topic, payload)) = message.plain_parts() else {
            return false;
        };
        if self.trace || self.gives_aliases() {
            return false;
        }
        let (version, kind) = (self.version, (message.qos, message.retain));
        self.append(|out| put_plain_publish(out, version, kind, packet_id, topic, payload));
        self.counters.packets_sent += 1;
        true
    }

    #[inline(always)]
    fn put_plain(&mut self, publish: &PublishPacket<'_>) {
        let version = self.version;
        let head = publish.head();
        let payload = publish.payload.as_slice();
        match publish.payload {
            Payload::Shared(shared) if payload.len() >= SHARED_PAYLOAD_MIN => {
                self.append(|out| encode_publish_head(out, version, head, payload.len()));
                self.appended += shared.len() as u64;
                self.output.push_shared(shared.clone());
            }
            Payload::Apart(apart) => {
                self.append(|out| encode_publish_head(out, version, head, apart.len()));
                self.appended += apart.len() as u64;
            }
            _ => self.append(|out| {
                encode_publish_head(out, version, head, payload.len());
                out.extend_from_slice(payload);
            }),
        }
        self.counters.packets_sent += 1;
        if version != ProtocolVersion::V5 && !publish.properties.is_empty() {
            self.counters.without_properties += 1;
        }
        self.trace(|version| Trace::SentPublish {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            mid: publish.mid,
            topic: TopicName::from_checked(publish.topic_name()),
            properties: (version == ProtocolVersion::V5).then(|| publish.properties.clone()),
            payload_len: payload.len(),
        });
    }

    /// An acknowledgement in its shortest form, which says success.
    #[inline]
    pub(super) fn put_ack(&mut self, kind: AckKind, packet_id: PacketId) {
        self.put_acks(std::iter::once(ShortAck { kind, packet_id }));
    }

    /// Acknowledgements in their shortest form.
    #[inline]
    pub(super) fn put_acks(&mut self, acks: impl Iterator<Item = ShortAck>) {
        if self.trace {
            return acks.for_each(|ack| self.put_whole_ack(ack.kind, Ack::new(ack.packet_id)));
        }
        let (mut count, mut answers) = (0, 0);
        self.append(|out| {
            for ack in acks {
                ack.write(out);
                count += 1;
                answers += u32::from(ack.is_answer());
            }
        });
        self.counters.packets_sent += count;
        self.answered(answers);
    }

    /// An acknowledgement with what the application says, if it says more than success.
    pub(super) fn put_verdict(&mut self, kind: AckKind, packet_id: PacketId, verdict: Option<Verdict>) {
        match verdict {
            None => self.put_ack(kind, packet_id),
            Some(Verdict { reason, properties }) => {
                let ack = Ack {
                    packet_id,
                    reason,
                    properties,
                };
                self.put_whole_ack(kind, ack);
            }
        }
    }

    fn put_whole_ack(&mut self, kind: AckKind, ack: Ack) {
        let packet_id = ack.packet_id;
        let packet = kind.packet(ack);
        let encoded = self.put_packet(&packet);
        debug_assert!(encoded.is_ok(), "verdicts are checked: {encoded:?}");
        self.trace(|_| Trace::SentAck {
            name: packet.name(),
            packet_id: packet_id.get(),
        });
    }

    #[inline]
    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.output.len();
        self.output.append(write);
        self.appended += (self.output.len() - before) as u64;
    }
}
