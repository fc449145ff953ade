//! A session under test, its clock, and trackers that remember what they heard.

use std::io::IoSlice;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::codec::{Ack, ConnAck, Packet, PacketId, Properties, Publish, QoS, ReasonCode};
use crate::codec::{SubAck, SubscribeOptions, Subscription, UnsubAck};
use crate::error::{DecodeError, DropReason, Result};
use crate::session::*;
use crate::topic::TopicName;

/// A session with a clock.
pub(super) struct Bench {
    pub(super) session: Session<Tracker>,
    pub(super) now: Instant,
}

/// Remembers what a tracker heard.
#[derive(Clone, Debug, Default)]
pub(super) struct Tracker(Arc<Mutex<Vec<Heard>>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Sent,
    Acknowledged(u8),
    Granted(Vec<u8>),
    Dropped(DropReason),
}

pub(super) fn settings() -> Settings {
    Settings {
        client_id: "c".to_owned(),
        connack_timeout: Duration::from_secs(10),
        ..Settings::default()
    }
}

/// CONNECT of `settings()`: MQTT 3.1.1, clean session, keep alive 60, client id "c".
pub(super) const CONNECT: [u8; 15] = [
    0x10,
    13,
    0,
    4,
    b'M',
    b'Q',
    b'T',
    b'T',
    4,
    0b0000_0010,
    0,
    60,
    0,
    1,
    b'c',
];

impl Bench {
    /// A session that is not connected.
    pub(super) fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings();
        change(&mut settings);
        Self {
            session: Session::new(settings, Instant::now()),
            now: Instant::now(),
        }
    }

    /// A session that is connected, `release`d, with empty output and no events.
    pub(super) fn connected(change: impl FnOnce(&mut Settings)) -> Self {
        let mut bench = Self::new(change);
        bench.connect(false);
        bench
    }

    /// Connects and forgets CONNECT and CONNACK.
    pub(super) fn connect(&mut self, session_present: bool) {
        self.session.open(self.now);
        self.sent();
        self.accept(session_present);
        self.events();
        self.session.release(self.now);
    }

    /// The server's CONNACK.
    pub(super) fn accept(&mut self, session_present: bool) {
        self.connack(session_present, ReasonCode::SUCCESS, Properties::new())
            .unwrap();
    }

    pub(super) fn connack(
        &mut self,
        session_present: bool,
        reason: ReasonCode,
        properties: Properties,
    ) -> Result<(), DecodeError> {
        self.receive(Packet::ConnAck(ConnAck {
            session_present,
            reason,
            properties,
        }))
    }

    pub(super) fn receive(&mut self, packet: Packet) -> Result<(), DecodeError> {
        self.session.handle_packet(self.now, packet)
    }

    /// The application failed on a message.
    pub(super) fn withhold(&mut self, ticket: AckTicket) {
        self.withhold_message(ticket, "x");
    }

    pub(super) fn withhold_message(&mut self, ticket: AckTicket, payload: &str) {
        let Packet::Publish(publish) = message("t", payload, 2, ticket.packet_id) else {
            panic!("no message");
        };
        self.session.withhold(ticket, publish);
    }

    /// Takes everything out of the output; the socket took it.
    pub(super) fn sent(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let bytes = self.take_unwritten();
            if bytes.is_empty() {
                return all;
            }
            self.session.wrote(self.now, bytes.len());
            all.extend(bytes);
        }
    }

    /// Takes what is in the output; it does not reach the socket (yet).
    pub(super) fn take_unwritten(&mut self) -> Vec<u8> {
        let mut taken = std::mem::take(self.session.output());
        let mut bytes = Vec::new();
        while !taken.is_empty() {
            let mut slices = [IoSlice::new(&[]); 8];
            let count = taken.io_slices(&[], &mut slices);
            let part: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
            bytes.extend_from_slice(&part);
            taken.advance(part.len());
        }
        bytes
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        self.session.events().drain(..).collect()
    }

    pub(super) fn traces(&mut self) -> Vec<Trace> {
        let events = self.events();
        let traces = events.into_iter().filter_map(|event| match event {
            Event::Trace(trace) => Some(trace),
            _ => None,
        });
        traces.collect()
    }

    /// Mids and codes of `Event::Published`; other events are not expected.
    pub(super) fn published(&mut self) -> Vec<(u16, u8)> {
        let events = self.events();
        let published = events.into_iter().map(|event| match event {
            Event::Published { mid, reason, .. } => (mid, reason.value()),
            other => panic!("{other:?}"),
        });
        published.collect()
    }

    /// The messages among the events.
    pub(super) fn messages(&mut self) -> Vec<Received> {
        let events = self.events();
        let messages = events.into_iter().filter_map(|event| match event {
            Event::Message(received) => Some(received),
            _ => None,
        });
        messages.collect()
    }

    pub(super) fn publish(&mut self, topic: &str, payload: &str, qos: u8) -> Result<Accepted<Tracker>> {
        match self.publish_head(topic, payload, qos)? {
            Accepted::HeadInOutput { mid, end } => {
                let copy = |out: &mut Vec<u8>| out.extend_from_slice(payload.as_bytes());
                self.session.output().append(copy);
                Ok(Accepted::InOutput { mid, end })
            }
            accepted => Ok(accepted),
        }
    }

    /// As `publish`, but does not put a large payload behind its head.
    pub(super) fn publish_head(&mut self, topic: &str, payload: &str, qos: u8) -> Result<Accepted<Tracker>> {
        let message = Outgoing {
            topic,
            payload: PayloadRef::Borrowed(payload.as_bytes()),
            qos: level(qos),
            retain: false,
            properties: &Properties::new(),
        };
        self.session
            .publish(|| self.now, &message, |_| Tracker::default())
    }

    /// Publishes a message that is followed by a tracker.
    pub(super) fn tracked(&mut self, topic: &str, payload: &str, qos: u8) -> (u16, Tracker) {
        match self.publish(topic, payload, qos).unwrap() {
            Accepted::Tracked { mid, track } => (mid, track),
            _ => panic!("not tracked"),
        }
    }

    pub(super) fn subscribe(&mut self, filters: &[(&str, u8)]) -> (u16, Tracker) {
        let subscriptions = filters.iter().map(|&(filter, qos)| subscription(filter, qos));
        let subscriptions = subscriptions.collect();
        let tracker = Tracker::default();
        let track = tracker.clone();
        let mid = self
            .session
            .subscribe(self.now, subscriptions, Properties::new(), |_| track);
        (mid.unwrap(), tracker)
    }

    pub(super) fn unsubscribe(&mut self, filters: &[&str]) -> (u16, Tracker) {
        let filters = filters.iter().map(|&filter| filter.to_owned()).collect();
        let tracker = Tracker::default();
        let track = tracker.clone();
        let mid = self
            .session
            .unsubscribe(self.now, filters, Properties::new(), |_| track);
        (mid.unwrap(), tracker)
    }

    pub(super) fn after(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }
}

impl Tracker {
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.0.lock().unwrap().clone()
    }

    fn hear(&self, heard: Heard) {
        self.0.lock().unwrap().push(heard);
    }
}

impl Track for Tracker {
    fn sent(&self) {
        self.hear(Heard::Sent);
    }

    fn acknowledged(&self, reason: ReasonCode, _text: Option<&str>) {
        self.hear(Heard::Acknowledged(reason.value()));
    }

    fn granted(&self, reasons: &[ReasonCode]) {
        self.hear(Heard::Granted(
            reasons.iter().map(|reason| reason.value()).collect(),
        ));
    }

    fn dropped(&self, why: DropReason) {
        self.hear(Heard::Dropped(why));
    }
}

pub(super) fn level(qos: u8) -> QoS {
    [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(qos)]
}

pub(super) fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

pub(super) fn subscription(filter: &str, qos: u8) -> Subscription {
    Subscription {
        filter: filter.to_owned(),
        options: SubscribeOptions {
            qos: level(qos),
            ..SubscribeOptions::default()
        },
    }
}

pub(super) fn puback(packet_id: u16) -> Packet {
    Packet::PubAck(Ack::new(id(packet_id)))
}

pub(super) fn pubrec(packet_id: u16) -> Packet {
    Packet::PubRec(Ack::new(id(packet_id)))
}

pub(super) fn pubrel(packet_id: u16) -> Packet {
    Packet::PubRel(Ack::new(id(packet_id)))
}

pub(super) fn pubcomp(packet_id: u16) -> Packet {
    Packet::PubComp(Ack::new(id(packet_id)))
}

pub(super) fn refusing(packet_id: u16, reason: u8) -> Ack {
    Ack {
        reason: ReasonCode::new(reason),
        ..Ack::new(id(packet_id))
    }
}

pub(super) fn suback(packet_id: u16, codes: &[u8]) -> Packet {
    Packet::SubAck(SubAck {
        packet_id: id(packet_id),
        properties: Properties::new(),
        reasons: codes.iter().map(|&code| ReasonCode::sub_ack(code)).collect(),
    })
}

pub(super) fn unsuback(packet_id: u16) -> Packet {
    Packet::UnsubAck(UnsubAck {
        packet_id: id(packet_id),
        properties: Properties::new(),
        reasons: Vec::new(),
    })
}

/// A message from the server; `packet_id` 0 for none.
pub(super) fn message(topic: &str, payload: &str, qos: u8, packet_id: u16) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        qos: level(qos),
        retain: false,
        topic: TopicName::from_checked(topic),
        packet_id: PacketId::new(packet_id),
        properties: Properties::new(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    })
}

// ---- bytes that are expected ----

/// A PUBLISH of MQTT 3 with a Remaining Length below 128: flags as 0b1100 (DUP, QoS), `packet_id` 0 for none.
pub(super) fn publish_bytes(flags: u8, topic: &str, packet_id: u16, payload: &str) -> Vec<u8> {
    let mut rest = vec![0, topic.len() as u8];
    rest.extend_from_slice(topic.as_bytes());
    if packet_id != 0 {
        rest.extend_from_slice(&packet_id.to_be_bytes());
    }
    rest.extend_from_slice(payload.as_bytes());
    let mut packet = vec![0x30 | flags, rest.len() as u8];
    packet.extend_from_slice(&rest);
    packet
}

/// PUBACK 0x40, PUBREC 0x50, PUBREL 0x62, PUBCOMP 0x70.
pub(super) fn ack_bytes(first: u8, packet_id: u16) -> Vec<u8> {
    let [high, low] = packet_id.to_be_bytes();
    vec![first, 2, high, low]
}

/// A PUBLISH of MQTT 3 as it was on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) first: u8,
    pub(super) packet_id: u16,
    pub(super) topic: String,
    pub(super) payload: String,
}

/// Cuts what was sent into packets: first byte and what follows the Remaining Length.
pub(super) fn packets(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let (mut length, mut at) = (0usize, 1);
        loop {
            length |= usize::from(bytes[at] & 0x7f) << (7 * (at - 1));
            at += 1;
            if bytes[at - 1] & 0x80 == 0 {
                break;
            }
        }
        packets.push((bytes[0], &bytes[at..at + length]));
        bytes = &bytes[at + length..];
    }
    packets
}

/// The PUBLISH packets of MQTT 3 among what was sent.
pub(super) fn publishes(bytes: &[u8]) -> Vec<Seen> {
    let publishes = packets(bytes).into_iter().filter(|(first, _)| first >> 4 == 3);
    let seen = publishes.map(|(first, rest)| {
        let topic_end = 2 + usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        let (packet_id, payload) = match first & 0b0110 {
            0 => (0, &rest[topic_end..]),
            _ => (
                u16::from_be_bytes([rest[topic_end], rest[topic_end + 1]]),
                &rest[topic_end + 2..],
            ),
        };
        Seen {
            first,
            packet_id,
            topic: String::from_utf8(rest[2..topic_end].to_vec()).unwrap(),
            payload: String::from_utf8(payload.to_vec()).unwrap(),
        }
    });
    seen.collect()
}

/// Their payloads.
pub(super) fn payloads(bytes: &[u8]) -> Vec<String> {
    publishes(bytes).into_iter().map(|seen| seen.payload).collect()
}
