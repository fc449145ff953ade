//! Messages through the session, in both directions and with all their acknowledgements, in bursts.

use std::time::Instant;

use bytes::Bytes;

use crate::codec::{Ack, ConnAck, Packet, PacketId, Properties, Publish, QoS, ReasonCode, TopicName};
use crate::error::{DecodeError, DropReason, Result};
use crate::session::{Accepted, Event, OutBuffer, Outgoing, PayloadRef, Session, Settings, Track};
use crate::{BURST, Case, TOPIC, qos};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        publish(0, 16),
        publish(0, 64),
        publish(0, 1024),
        publish(1, 64),
        publish(1, 1024),
        publish(2, 64),
        publish(2, 1024),
        receive(0),
        receive(1),
        receive(2),
    ]
}

fn publish(level: u8, size: usize) -> Case {
    let (mut bench, payload) = (Bench::new(), vec![b'x'; size]);
    Case::new(
        format!("session: publish QoS {level}, {size} B"),
        move || -> Result<()> {
            bench.publish(qos(level), &payload)?;
            if bench.count == BURST {
                bench.write();
                match qos(level) {
                    QoS::AtMostOnce => {}
                    QoS::AtLeastOnce => bench.receive_for_all(Packet::PubAck)?,
                    QoS::ExactlyOnce => {
                        bench.receive_for_all(Packet::PubRec)?;
                        bench.write();
                        bench.receive_for_all(Packet::PubComp)?;
                    }
                }
                bench.next_burst();
            }
            Ok(())
        },
    )
}

fn receive(level: u8) -> Case {
    let mut bench = Bench::new();
    let publish = Publish {
        dup: false,
        qos: qos(level),
        retain: false,
        topic: TopicName::from_checked(TOPIC),
        packet_id: None,
        properties: Properties::new(),
        payload: Bytes::from_static(&[b'x'; 64]),
    };
    Case::new(
        format!("session: receive QoS {level}, 64 B"),
        move || -> Result<()> {
            bench.count += 1;
            let packet_id = PacketId::new(bench.count as u16).filter(|_| level > 0);
            bench.ids.extend(packet_id);
            bench.receive(Packet::Publish(Publish {
                packet_id,
                ..publish.clone()
            }))?;
            if bench.count == BURST {
                bench.hand_out()?;
                bench.write();
                if qos(level) == QoS::ExactlyOnce {
                    bench.receive_for_all(Packet::PubRel)?;
                    bench.write();
                }
                bench.next_burst();
            }
            Ok(())
        },
    )
}

/// Follows messages without telling anybody.
#[derive(Clone)]
struct Silent;

impl Track for Silent {
    fn sent(&self) {}
    fn acknowledged(&self, _: ReasonCode, _: Option<&str>) {}
    fn granted(&self, _: &[ReasonCode]) {}
    fn dropped(&self, _: DropReason) {}
}

/// A session, and what the client does for it.
struct Bench {
    session: Session<Silent>,
    now: Instant,
    /// Bytes on their way to the socket.
    writing: OutBuffer,
    /// Messages of this burst, and their Packet Identifiers.
    count: usize,
    ids: Vec<PacketId>,
}

impl Bench {
    /// Connected, without a limit of messages in flight.
    fn new() -> Self {
        let settings = Settings {
            max_inflight: 0,
            ..Settings::default()
        };
        let now = Instant::now();
        let mut bench = Self {
            session: Session::new(settings, now),
            now,
            writing: OutBuffer::default(),
            count: 0,
            ids: Vec::new(),
        };
        bench.session.open(now);
        bench.write();
        let connack = ConnAck {
            session_present: false,
            reason: ReasonCode::SUCCESS,
            properties: Properties::new(),
        };
        // A session that was not accepted does not publish: that is seen.
        let _ = bench.receive(Packet::ConnAck(connack));
        bench.session.events().clear();
        bench.session.release(now);
        bench
    }

    fn publish(&mut self, qos: QoS, payload: &[u8]) -> Result<()> {
        let message = Outgoing {
            topic: TOPIC,
            payload: PayloadRef::Borrowed(payload),
            qos,
            retain: false,
            properties: &Properties::new(),
        };
        self.count += 1;
        if let Accepted::Tracked { mid, .. } = self.session.publish(|| self.now, &message, |_| Silent)? {
            self.ids.extend(PacketId::new(mid));
        }
        Ok(())
    }

    fn receive(&mut self, packet: Packet) -> Result<(), DecodeError> {
        self.session.handle_packet(self.now, packet)
    }

    /// The server says the same about each message of the burst.
    fn receive_for_all(&mut self, packet: fn(Ack) -> Packet) -> Result<()> {
        for at in 0..self.ids.len() {
            self.receive(packet(Ack::new(self.ids[at])))?;
        }
        self.session.events().clear();
        Ok(())
    }

    /// The application gets the messages, and they are acknowledged.
    fn hand_out(&mut self) -> Result<()> {
        while let Some(event) = self.session.events().pop_front() {
            if let Event::Message(received) = event {
                if let Some(ticket) = received.ticket {
                    self.session.acknowledge(self.now, ticket)?;
                }
            }
        }
        Ok(())
    }

    /// The socket takes all of the output.
    fn write(&mut self) {
        std::mem::swap(&mut self.writing, self.session.output());
        let count = self.writing.len();
        self.session.writes(count);
        self.writing.clear();
        self.session.wrote(self.now, count);
    }

    fn next_burst(&mut self) {
        self.count = 0;
        self.ids.clear();
    }
}
