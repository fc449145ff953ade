//! Packets into the output, with their traces and counts.

use std::collections::VecDeque;

use super::message::Payload;
use super::out_buffer::SHARED_PAYLOAD_MIN;
use super::{Counters, Event, OutBuffer, Trace};
use crate::codec::{
    Ack, Packet, PacketId, Properties, ProtocolVersion, PublishHead, QoS, encode_publish_head,
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

impl Wire {
    /// A connection starts.
    pub(super) fn open(&mut self, version: ProtocolVersion) {
        self.output.clear();
        self.appended = 0;
        self.version = version;
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

    pub(super) fn put_publish(&mut self, publish: &PublishPacket<'_>) {
        let version = self.version;
        let head = PublishHead {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            packet_id: publish.packet_id,
            topic: publish.topic,
            properties: publish.properties,
        };
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
        let ack = Ack::new(packet_id);
        let packet = match kind {
            AckKind::PubAck => Packet::PubAck(ack),
            AckKind::PubRec => Packet::PubRec(ack),
            AckKind::PubRel => Packet::PubRel(ack),
            AckKind::PubComp => Packet::PubComp(ack),
        };
        let encoded = self.put_packet(&packet);
        debug_assert!(encoded.is_ok(), "every identifier has an encoding");
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
