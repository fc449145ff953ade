//! Packets into the output, with their traces and counts.

use std::collections::VecDeque;

use super::incoming::Verdict;
use super::message::Payload;
use super::out_buffer::SHARED_PAYLOAD_MIN;
use super::topic_aliases::Sent;
use super::{Counters, Event, OutBuffer, Trace};
use crate::codec::{
    Ack, MAX_REMAINING_LENGTH, Packet, PacketId, Properties, ProtocolVersion, PublishHead, QoS,
    encode_publish_head, publish_packet_len,
};
use crate::error::Result;
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
    /// The topic aliases that we have set.
    pub(super) aliases: Sent,
    /// Bytes put into the output on this connection.
    pub(super) appended: u64,
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
    pub(super) topic: &'a str,
    pub(super) properties: &'a Properties,
    pub(super) payload: Payload<'a>,
}

/// Which acknowledgement.
#[allow(clippy::enum_variant_names, reason = "the names of the packets")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckKind {
    PubAck,
    PubRec,
    PubRel,
    PubComp,
}

impl PublishPacket<'_> {
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
        self.aliases.open();
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(super) fn trace(&mut self, trace: impl FnOnce(ProtocolVersion) -> Trace) {
        if self.trace {
            let trace = trace(self.version);
            self.events.push_back(Event::Trace(trace));
        }
    }

    /// Whether the packet has an encoding.
    pub(super) fn check(&self, packet: &Packet) -> Result<()> {
        packet.encode(self.version, &mut Vec::new())
    }

    /// Any packet but PUBLISH.
    pub(super) fn put_packet(&mut self, packet: &Packet) -> Result<()> {
        let version = self.version;
        let mut result = Ok(());
        self.append(|out| result = packet.encode(version, out));
        result?;
        self.counters.packets_sent += 1;
        Ok(())
    }

    /// A PUBLISH, with a topic alias where one is set or asked for.
    #[inline]
    pub(super) fn put_publish(&mut self, publish: &PublishPacket<'_>) {
        if self.aliases.concern(publish) {
            self.put_aliased(publish);
        } else {
            self.put_plain(publish);
        }
    }

    fn put_aliased(&mut self, publish: &PublishPacket<'_>) {
        let version = self.version;
        let grows = |by| {
            let payload_len = publish.payload.as_slice().len();
            publish_packet_len(version, &publish.head(), payload_len) + by <= MAX_REMAINING_LENGTH
        };
        let Some(changed) = self.aliases.apply(publish, grows) else {
            return self.put_plain(publish);
        };
        self.put_plain(&PublishPacket {
            topic: if changed.alias_only { "" } else { publish.topic },
            properties: &changed.properties,
            ..*publish
        });
        self.aliases.written(changed);
    }

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
            _ => self.append(|out| {
                encode_publish_head(out, version, head, payload.len());
                out.extend_from_slice(payload);
            }),
        }
        self.counters.packets_sent += 1;
        self.trace(|version| Trace::SentPublish {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            mid: publish.mid,
            topic: TopicName::from_checked(publish.topic),
            properties: (version == ProtocolVersion::V5).then(|| publish.properties.clone()),
            payload_len: payload.len(),
        });
    }

    /// An acknowledgement in its shortest form, which says success.
    pub(super) fn put_ack(&mut self, kind: AckKind, packet_id: PacketId) {
        self.put_verdict(kind, packet_id, None);
    }

    /// An acknowledgement with what the application says, if it says more than success.
    pub(super) fn put_verdict(&mut self, kind: AckKind, packet_id: PacketId, verdict: Option<Verdict>) {
        let mut ack = Ack::new(packet_id);
        if let Some(verdict) = verdict {
            ack.reason = verdict.reason;
            ack.properties = verdict.properties;
        }
        let packet = match kind {
            AckKind::PubAck => Packet::PubAck(ack),
            AckKind::PubRec => Packet::PubRec(ack),
            AckKind::PubRel => Packet::PubRel(ack),
            AckKind::PubComp => Packet::PubComp(ack),
        };
        let encoded = self.put_packet(&packet);
        debug_assert!(encoded.is_ok(), "verdicts are checked: {encoded:?}");
        self.trace(|_| Trace::SentAck {
            name: packet.name(),
            packet_id: packet_id.get(),
        });
    }

    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.output.len();
        self.output.append(write);
        self.appended += (self.output.len() - before) as u64;
    }
}
