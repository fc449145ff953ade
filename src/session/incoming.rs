//! Received messages of QoS 1 and 2 until they are acknowledged.
//!
//! QoS 1 is acknowledged in the order of receipt: an acknowledgement that the application makes early waits for those
//! of the messages before [MQTT-4.6.0-2]. QoS 2 is kept by Packet Identifier, across connections:
//!
//! ```text
//!   PUBLISH ──► Received ──PUBREL──► Delivered ──acknowledged──► PUBCOMP, forgotten
//!              (PUBREC)    (event)    │     │
//!                  ▲                  │     └─ the connection it came on is gone ──► Processed ──PUBREL──► PUBCOMP
//!                  └─ next connection ┴─ withheld
//! ```
//!
//! A message is kept until PUBREL, within [`IncomingLimit`]. What is left of one then, until it is finished, is its
//! identifier; the application that fails on a message gives it back.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::id_map::IdMap;
use super::packet_ids::ALL_IDS;
use super::packet_store::{PacketStore, StoredPackets};
use super::{AckTicket, IncomingLimit};
use crate::codec::{
    AckKind, PacketId, PlainPackets, PlainPublish, Properties, ProtocolVersion, Publish, QoS, ReasonCode,
    ShortAck,
};
use crate::on_demand::OnDemand;

/// What is received and not finished.
#[derive(Debug)]
pub(super) struct Incoming {
    /// The connection that tickets are good for: the present one, or the next.
    connection: u32,
    /// Messages of QoS 1, in the order of receipt; the front one has the number `first`.
    unacknowledged: VecDeque<(PacketId, Answer)>,
    first: u64,
    /// What the application says about some of those, by their numbers.
    verdicts: OnDemand<BTreeMap<u64, Verdict>>,
    /// Messages of QoS 2.
    exactly_once: IdMap<Stored>,
    /// Those of them that are kept for a PUBREL, and their bytes.
    kept: Kept,
    /// Where most of those are.
    packets: PacketStore,
    next_sequence: u64,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    messages: usize,
    bytes: usize,
}

/// Which part of [`IncomingLimit`] a message would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exceeded {
    Messages,
    Bytes,
}

/// Where the server has sent a message of QoS 2 that it sends again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SentBefore {
    OnThisConnection,
    OnAnother,
}

/// What an acknowledgement is to tell beside success (MQTT 5.0).
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) reason: ReasonCode,
    pub(super) properties: Properties,
}

/// What the application said about a message of QoS 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    None,
    Acknowledge,
    Withhold,
}

#[derive(Debug)]
struct Stored {
    /// The connection on which it came, or came again.
    connection: u32,
    /// Until the application has it.
    message: Option<Content>,
    step: Step,
}

/// A message.
#[derive(Debug)]
enum Content {
    /// Its plain packet, in the store. `size` is what it counts against the bound.
    Packet {
        packet: StoredPackets,
        size: usize,
    },
    Publish(Box<Publish>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// PUBREC is sent; PUBREL will deliver the message.
    Received,
    /// The application has it. `released`: PUBREL came on this connection, PUBCOMP is due.
    Delivered { sequence: u64, released: bool },
    /// The application is done with it, but could not say so on the connection that it came on.
    Processed,
    /// The application failed on it: the next connection delivers it again.
    Withheld,
}

/// What PUBREL does.
#[derive(Debug)]
pub(super) enum Released {
    /// The message goes to the application.
    Publish(Box<Publish>, AckTicket),
    /// So does that in a plain packet, which [`Incoming::take_packets`] takes out, before another message is kept.
    Packet(StoredPackets, AckTicket),
    /// PUBCOMP is due.
    Complete,
    /// The application has the message and has not answered yet.
    Pending,
}

/// What the application's acknowledgement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acknowledged {
    /// PUBACK is due for what [`Incoming::next_puback`] gives.
    PubAck,
    PubComp(PacketId),
    /// The ticket's connection is gone; if PUBREL came on this one, PUBCOMP is due.
    TooLate(Option<PacketId>),
    /// The ticket was used before.
    Twice,
}

impl Incoming {
    pub(super) fn new() -> Self {
        Self {
            connection: 0,
            unacknowledged: VecDeque::new(),
            first: 0,
            verdicts: OnDemand::default(),
            exactly_once: IdMap::new(),
            kept: Kept::default(),
            packets: PacketStore::default(),
            next_sequence: 0,
        }
    }

    /// The connection is gone, and its tickets end. Messages of QoS 1 will come again.
    pub(super) fn closed(&mut self) {
        self.connection = self.connection.wrapping_add(1);
        self.first += self.unacknowledged.len() as u64;
        self.unacknowledged.clear();
        self.verdicts = OnDemand::default();
        for (_, stored) in self.exactly_once.iter_mut() {
            match &mut stored.step {
                Step::Delivered { released, .. } => *released = false,
                step @ Step::Withheld => *step = Step::Received,
                Step::Received | Step::Processed => {}
            }
        }
    }

    /// The server has no session: its identifiers mean nothing any more.
    pub(super) fn session_lost(&mut self) {
        self.exactly_once = IdMap::new();
        self.kept = Kept::default();
        self.packets = PacketStore::default();
    }

    /// Messages that are not finished.
    pub(super) fn len(&self) -> usize {
        self.unacknowledged.len() + self.exactly_once.len()
    }

    /// The ticket of the next message of QoS 1, but for its Packet Identifier.
    pub(super) fn next_ticket(&self) -> AckTicket {
        AckTicket {
            connection: self.connection,
            sequence: self.first + self.unacknowledged.len() as u64,
            packet_id: 0,
            qos: QoS::AtLeastOnce,
        }
    }

    /// A message of QoS 1 arrived. There cannot be more than there are identifiers.
    pub(super) fn receive_at_least_once(&mut self, packet_id: PacketId) -> Option<AckTicket> {
        if self.unacknowledged.len() >= ALL_IDS {
            return None;
        }
        let ticket = AckTicket {
            packet_id: packet_id.get(),
            ..self.next_ticket()
        };
        self.unacknowledged.push_back((packet_id, Answer::None));
        Some(ticket)
    }

    /// A message of QoS 2 arrived: whether it is here already.
    #[inline]
    pub(super) fn sent_before(&mut self, packet_id: PacketId) -> Option<SentBefore> {
        let stored = self.exactly_once.get_mut(packet_id)?;
        let before = std::mem::replace(&mut stored.connection, self.connection);
        Some(if before == self.connection {
            SentBefore::OnThisConnection
        } else {
            SentBefore::OnAnother
        })
    }

    /// Keeps a message of QoS 2 that was not sent before.
    pub(super) fn keep_publish(
        &mut self,
        packet_id: PacketId,
        mut publish: Publish,
        limit: IncomingLimit,
    ) -> Result<(), Exceeded> {
        self.kept.add_within(publish.size(), limit)?;
        // A slice would hold the whole buffer that was read into, which may be many times as large.
        publish.payload = Bytes::copy_from_slice(&publish.payload);
        self.keep(packet_id, Content::Publish(Box::new(publish)));
        Ok(())
    }

    /// As [`keep_publish`](Self::keep_publish), for a plain packet.
    #[inline]
    pub(super) fn keep_packet(
        &mut self,
        packet_id: PacketId,
        version: ProtocolVersion,
        packet: &PlainPublish<'_>,
        limit: IncomingLimit,
    ) -> Result<(), Exceeded> {
        let size = packet.topic.len() + packet.payload().len();
        self.kept.add_within(size, limit)?;
        if self.packets.has_wide_gaps() {
            self.close_gaps();
        }
        let packet = self.packets.put(version, packet.bytes);
        self.keep(packet_id, Content::Packet { packet, size });
        Ok(())
    }

    #[inline]
    fn keep(&mut self, packet_id: PacketId, content: Content) {
        let stored = Stored {
            connection: self.connection,
            message: Some(content),
            step: Step::Received,
        };
        self.exactly_once.insert(packet_id, stored);
    }

    #[cold]
    fn close_gaps(&mut self) {
        let mut dense = PacketStore::default();
        for (_, stored) in self.exactly_once.iter_mut() {
            if let Some(Content::Packet { packet, .. }) = &mut stored.message {
                dense.put_from(&self.packets, packet);
            }
        }
        self.packets = dense;
    }

    /// Packets that were released, so many.
    pub(super) fn take_packets(&mut self, released: &StoredPackets, count: usize) -> PlainPackets {
        self.packets.take(released, count)
    }

    #[inline]
    pub(super) fn handle_pubrel(&mut self, packet_id: PacketId) -> Released {
        let sequence = self.next_sequence;
        let ticket = AckTicket {
            connection: self.connection,
            sequence,
            packet_id: packet_id.get(),
            qos: QoS::ExactlyOnce,
        };
        let Some(stored) = self.exactly_once.get_mut(packet_id) else {
            return Released::Complete;
        };
        match &mut stored.step {
            Step::Received => {
                if let Some(content) = stored.message.take() {
                    self.next_sequence += 1;
                    // The server has room for another one, of which it may not wait to make use.
                    self.kept.remove(content.size());
                    stored.step = Step::Delivered {
                        sequence,
                        released: true,
                    };
                    return match content {
                        Content::Packet { packet, .. } => Released::Packet(packet, ticket),
                        Content::Publish(publish) => Released::Publish(publish, ticket),
                    };
                }
            }
            Step::Delivered { released, .. } => {
                *released = true;
                return Released::Pending;
            }
            Step::Withheld => return Released::Pending,
            Step::Processed => {}
        }
        self.completed(packet_id);
        Released::Complete
    }

    /// The message of QoS 2 that came with this ticket, if it has no answer yet.
    fn delivered(&mut self, ticket: AckTicket) -> Option<&mut Stored> {
        let packet_id = PacketId::new(ticket.packet_id).filter(|_| ticket.qos == QoS::ExactlyOnce)?;
        let stored = self.exactly_once.get_mut(packet_id)?;
        stored.step.is_of(ticket).then_some(stored)
    }

    /// The application is done with a message.
    pub(super) fn acknowledge(&mut self, ticket: AckTicket) -> Acknowledged {
        let current = ticket.connection == self.connection;
        if ticket.qos == QoS::ExactlyOnce {
            return self.acknowledge_exactly_once(ticket, current);
        }
        if !current {
            return Acknowledged::TooLate(None);
        }
        match self.answer(ticket) {
            Some(answer @ Answer::None) => {
                *answer = Answer::Acknowledge;
                Acknowledged::PubAck
            }
            _ => Acknowledged::Twice,
        }
    }

    fn acknowledge_exactly_once(&mut self, ticket: AckTicket, current: bool) -> Acknowledged {
        let due = match self.delivered(ticket) {
            Some(stored) => {
                let due = matches!(stored.step, Step::Delivered { released: true, .. });
                stored.step = Step::Processed;
                PacketId::new(ticket.packet_id).filter(|_| due)
            }
            None if current => return Acknowledged::Twice,
            None => None,
        };
        match due {
            Some(packet_id) if current => Acknowledged::PubComp(packet_id),
            due => Acknowledged::TooLate(due),
        }
    }

    /// PUBCOMP is sent [MQTT-4.3.3-2] (5.0: [MQTT-4.3.3-11, MQTT-4.3.3-12]).
    pub(super) fn completed(&mut self, packet_id: PacketId) {
        let stored = self.exactly_once.remove(packet_id);
        if let Some(content) = stored.and_then(|stored| stored.message) {
            self.kept.remove(content.size());
            if let Content::Packet { packet, .. } = content {
                self.packets.remove(&packet);
            }
        }
    }

    /// The application failed on a message.
    pub(super) fn withhold(&mut self, ticket: AckTicket, mut publish: Publish) {
        let current = ticket.connection == self.connection;
        if ticket.qos == QoS::ExactlyOnce {
            if let Some(stored) = self.delivered(ticket) {
                // Without a PUBREL on this connection there is still one to come.
                stored.step = match stored.step {
                    Step::Delivered { released: true, .. } => Step::Withheld,
                    _ => Step::Received,
                };
                let size = publish.size();
                // It may be a slice here, too.
                publish.payload = Bytes::copy_from_slice(&publish.payload);
                stored.message = Some(Content::Publish(Box::new(publish)));
                self.kept.add(size);
            }
        } else if current {
            if let Some(answer @ Answer::None) = self.answer(ticket) {
                *answer = Answer::Withhold;
            }
        }
    }

    /// The application is done with a message whose acknowledgement may leave at once, as most may: which one that is.
    /// The message is forgotten. `None`: it is another one, see [`acknowledge`](Self::acknowledge).
    #[inline]
    pub(super) fn finish(&mut self, ticket: AckTicket) -> Option<ShortAck> {
        if ticket.connection != self.connection {
            return None;
        }
        if ticket.qos == QoS::ExactlyOnce {
            let released = Step::Delivered {
                sequence: ticket.sequence,
                released: true,
            };
            let packet_id = PacketId::new(ticket.packet_id)?;
            self.exactly_once
                .remove_if(packet_id, |stored| (stored.step == released).then_some(()))?;
            return Some(ShortAck {
                kind: AckKind::PubComp,
                packet_id,
            });
        }
        let &(packet_id, answer) = self.unacknowledged.front()?;
        if ticket.sequence != self.first || answer != Answer::None {
            return None;
        }
        self.unacknowledged.pop_front();
        self.first += 1;
        Some(ShortAck {
            kind: AckKind::PubAck,
            packet_id,
        })
    }

    /// The application has more to say about the message that it has just acknowledged.
    pub(super) fn explain(&mut self, ticket: AckTicket, verdict: Verdict) {
        self.verdicts.insert(ticket.sequence, verdict);
    }

    /// The next message of QoS 1 to acknowledge: those before it are.
    pub(super) fn next_puback(&mut self) -> Option<(PacketId, Option<Verdict>)> {
        loop {
            let &(packet_id, answer) = self.unacknowledged.front()?;
            if answer == Answer::None {
                return None;
            }
            self.unacknowledged.pop_front();
            let number = self.first;
            self.first += 1;
            // One that is withheld does not hold up the others.
            if answer == Answer::Acknowledge {
                let verdict = if self.verdicts.is_empty() {
                    None
                } else {
                    self.verdicts.remove(&number)
                };
                return Some((packet_id, verdict));
            }
        }
    }

    fn answer(&mut self, ticket: AckTicket) -> Option<&mut Answer> {
        let index = usize::try_from(ticket.sequence.checked_sub(self.first)?).ok()?;
        Some(&mut self.unacknowledged.get_mut(index)?.1)
    }
}

impl Kept {
    fn add(&mut self, size: usize) {
        self.messages += 1;
        self.bytes += size;
    }

    /// Counts a message unless that is too much. One alone is always taken.
    fn add_within(&mut self, size: usize, limit: IncomingLimit) -> Result<(), Exceeded> {
        if self.messages > 0 {
            if self.messages >= usize::from(limit.max_messages) {
                return Err(Exceeded::Messages);
            }
            if self.bytes.saturating_add(size) > limit.max_bytes {
                return Err(Exceeded::Bytes);
            }
        }
        self.add(size);
        Ok(())
    }

    fn remove(&mut self, size: usize) {
        self.messages -= 1;
        self.bytes -= size;
    }
}

impl Content {
    /// What it counts against the bound in bytes.
    fn size(&self) -> usize {
        match self {
            Self::Packet { size, .. } => *size,
            Self::Publish(publish) => publish.size(),
        }
    }
}

impl Step {
    /// Whether `ticket` came with the delivery that the application has not answered yet.
    fn is_of(self, ticket: AckTicket) -> bool {
        matches!(self, Self::Delivered { sequence, .. } if sequence == ticket.sequence)
    }
}
