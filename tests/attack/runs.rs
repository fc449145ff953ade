//! Packets mean the same however they come: one by one, as a client handles them that writes a log line for each, or
//! many at once, of which it handles those of a kind together.

use std::collections::BTreeMap;
use std::thread;

use callmq::client::{self as mqtt, Client, Error, Message, QoS};
use crossbeam_channel::unbounded;
use fastrand::Rng;

use crate::support::peer::Peer;
use crate::tools::{LONG, packet};

/// How the application takes its messages.
#[derive(Clone, Copy, Debug)]
enum Taker {
    OnMessage,
    /// One topic has a callback of its own, which comes and goes.
    Filters,
    /// On two of three it fails.
    Failing,
    Channel,
    ManualAck,
}

const TAKERS: [Taker; 5] = [
    Taker::OnMessage,
    Taker::Filters,
    Taker::Failing,
    Taker::Channel,
    Taker::ManualAck,
];

/// The client publishes so many messages, of QoS 1 and 2 in turn, before the server says anything.
const PUBLISHED: u16 = 20;

/// The last message of the server: of QoS 2, so that its PUBCOMP comes behind all answers.
const LAST: u16 = 30_000;

/// Packet Identifiers from here on are not in use.
const UNKNOWN: u16 = 40_000;

/// Makes packets as a server may send them.
struct Script {
    v5: bool,
    rng: Rng,
    packets: Vec<Vec<u8>>,
    next_id: u16,
    /// Messages of QoS 2 whose PUBREL is to follow.
    unreleased: Vec<u16>,
    /// Messages of the client that wait for PUBACK or PUBREC, and for PUBCOMP.
    unanswered: Vec<u16>,
    uncompleted: Vec<u16>,
}

impl Script {
    fn of(v5: bool, rng: Rng) -> Vec<u8> {
        let mut script = Self {
            v5,
            rng,
            packets: Vec::new(),
            next_id: 100,
            unreleased: Vec::new(),
            unanswered: (1..=PUBLISHED).collect(),
            uncompleted: Vec::new(),
        };
        for _ in 0..150 {
            let kind = script.rng.u32(0..100);
            for _ in 0..script.rng.u32(1..8) {
                script.add(kind);
            }
        }
        script.add_message(0x34, LAST, "t", "end");
        for id in std::mem::take(&mut script.unreleased) {
            script.add_ack(0x62, id, b"");
        }
        script.add_ack(0x62, LAST, b"");
        script.packets.concat()
    }

    fn add(&mut self, kind: u32) {
        let rare = self.rng.u32(0..4) == 0;
        match kind {
            0..25 => self.add_any_message(0x30, 0),
            25..50 => {
                self.next_id += 1;
                self.add_any_message(if rare { 0x3a } else { 0x32 }, self.next_id);
            }
            50..65 => {
                self.next_id += 1;
                self.unreleased.push(self.next_id);
                self.add_any_message(0x34, self.next_id);
            }
            65..68 if !self.unreleased.is_empty() => {
                let repeated = self.unreleased[self.rng.usize(..self.unreleased.len())];
                self.add_any_message(0x3c, repeated);
            }
            68..80 if !self.unreleased.is_empty() => {
                let index = self.rng.usize(..self.unreleased.len().min(3));
                let id = self.unreleased.remove(index);
                self.add_ack(0x62, id, if self.v5 && rare { b"\0" } else { b"" });
            }
            80..82 => {
                let id = self.rng.u16(UNKNOWN..);
                self.add_ack(0x62, id, b"");
            }
            82..90 if !self.unanswered.is_empty() => {
                let id = self.unanswered.remove(0);
                let refused = self.v5 && rare;
                let first = if id % 2 == 1 { 0x40 } else { 0x50 };
                self.add_ack(first, id, if refused { b"\x97" } else { b"" });
                if first == 0x50 && !refused {
                    self.uncompleted.push(id);
                }
            }
            90.. if !self.uncompleted.is_empty() => {
                let id = self.uncompleted.remove(0);
                self.add_ack(0x70, id, b"");
            }
            _ => {}
        }
    }

    /// Few topics, or more than a client remembers; payloads of all sizes, and none.
    fn add_any_message(&mut self, first: u8, id: u16) {
        let topic = match self.rng.u32(0..20) {
            0 => format!("t/{}", "long".repeat(self.rng.usize(..60))),
            1..4 => format!("t/{}", self.rng.u32(..300)),
            _ => format!("t/{}", self.rng.u32(..3)),
        };
        let size = match self.rng.u32(0..30) {
            0 => 20_000,
            1..6 => 0,
            _ => self.rng.usize(1..250),
        };
        let retain = u8::from(self.rng.u32(0..5) == 0);
        self.add_message(first | retain, id, &topic, &"x".repeat(size));
    }

    fn add_message(&mut self, first: u8, id: u16, topic: &str, payload: &str) {
        let mut body = (topic.len() as u16).to_be_bytes().to_vec();
        body.extend(topic.bytes());
        if first & 6 != 0 {
            body.extend(id.to_be_bytes());
        }
        match self.rng.u32(0..10) {
            _ if !self.v5 => {}
            0 => body.extend(b"\x07\x26\0\x01a\0\x01b"),
            1 => body.extend(b"\x03\x23\0\x01"),
            _ => body.push(0),
        }
        body.extend(payload.bytes());
        self.packets.push(packet(first, &body));
    }

    fn add_ack(&mut self, first: u8, id: u16, rest: &[u8]) {
        self.packets
            .push(packet(first, &[&id.to_be_bytes(), rest].concat()));
    }
}

/// What came of it.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    delivered: Vec<String>,
    published: Vec<(u16, mqtt::ReasonCode)>,
    /// What the client sent, by the first byte; what is not known is answered at once, and stands under 0.
    sent: BTreeMap<u8, Vec<Vec<u8>>>,
}

/// Has the server send its packets in pieces of at most this size. With `log` the client handles them one by one.
fn run(version: mqtt::ProtocolVersion, taker: Taker, log: bool, piece: usize) -> Outcome {
    let v5 = version == mqtt::MQTTv5;
    let client = Client::builder("runs")
        .protocol(version)
        .topic_alias_maximum(if v5 { 1 } else { 0 })
        .build();
    client.suppress_exceptions_set(true);
    if log {
        client.on_log(|_, _, _| {});
    }
    let (sender, delivered) = unbounded();
    let take = move |how: &str, client: &Client, message: &Message| {
        let Message {
            topic,
            qos,
            retain,
            dup,
            mid,
            ..
        } = message;
        let (properties, payload) = (&message.properties, &message.payload);
        let text = format!("{how}: {topic} {qos} {retain} {dup} {mid} {properties:?} {payload}");
        sender.send(text)?;
        match (taker, payload.len() % 3) {
            (Taker::Failing, 1) => Err(Error::Timeout),
            (Taker::Failing, 2) => panic!("it fails"),
            (Taker::ManualAck, _) if *qos > QoS::AtMostOnce => client.ack(message),
            _ => Ok(()),
        }
    };
    client.manual_ack_set(matches!(taker, Taker::ManualAck));
    match taker {
        Taker::Channel => {
            let (channel, client) = (client.messages(7), client.downgrade());
            thread::spawn(move || {
                channel
                    .receiver()
                    .iter()
                    .try_for_each(|message| match client.upgrade() {
                        Some(client) => take("channel", &client, &message),
                        None => Ok(()),
                    })
            });
        }
        Taker::Filters => {
            let mut count = 0;
            client.on_message(move |client, message| {
                count += 1;
                let own = take.clone();
                match count % 20 {
                    0 => client
                        .message_callback_add("t/0", move |client, message| own("filter", client, message))?,
                    10 => client.message_callback_remove("t/0"),
                    _ => {}
                }
                take("on_message", client, message)
            });
        }
        _ => drop(client.on_message(move |client, message| take("on_message", client, message))),
    }
    let (sender, published) = unbounded();
    client.on_publish(move |_, mid, reason, _| sender.send((mid, reason)).map_err(Error::other));

    let peer = Peer::listen();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept_client();
    client.wait_for_connect(LONG).unwrap();
    for number in 1..=PUBLISHED {
        client
            .publish_with("out", "x", 2 - (number % 2) as u8, false)
            .unwrap();
    }
    if v5 {
        connection.send(&packet(0x30, b"\0\x03t/a\x03\x23\0\x01sets the alias"));
    }
    for piece in Script::of(v5, Rng::with_seed(1)).chunks(piece) {
        connection.send(piece);
    }
    let mut outcome = Outcome::default();
    loop {
        let packet = connection.packet();
        let id = u16::from_be_bytes([packet[2], packet[3]]);
        let is_unknown = packet[0] == 0x70 && id >= UNKNOWN;
        let kind = if is_unknown { 0 } else { packet[0] };
        outcome.sent.entry(kind).or_default().push(packet);
        if (kind, id) == (0x70, LAST) {
            break;
        }
    }
    while outcome
        .delivered
        .last()
        .is_none_or(|last| !last.ends_with(" end"))
    {
        outcome.delivered.push(delivered.recv_timeout(LONG).unwrap());
    }
    outcome.published = published.try_iter().collect();
    outcome
}

#[test]
fn packets_mean_the_same_however_they_come() {
    for version in [mqtt::MQTTv311, mqtt::MQTTv5] {
        for taker in TAKERS {
            let expected = run(version, taker, true, usize::MAX);
            assert!(expected.delivered.len() > 150 && expected.published.len() > 10);
            for piece in [usize::MAX, 3_000, 41] {
                let outcome = run(version, taker, false, piece);
                let context = format!("{version}, {taker:?}, pieces of {piece}");
                assert_eq!(outcome.delivered, expected.delivered, "{context}");
                assert_eq!(outcome.published, expected.published, "{context}");
                assert_eq!(outcome.sent, expected.sent, "{context}");
            }
        }
    }
}
