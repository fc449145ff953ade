//! The state that outlives a connection: messages to the client and from it that are not finished, the Will that waits,
//! and when the session ends.
//!
//! A message of QoS 1 or 2 to the client is first queued. The window lets it go, with a packet identifier, into
//! `inflight`, where it stays until the client's last acknowledgement. After a new connection all of `inflight` goes
//! back to the front of the queue and is sent again, in its order and again through the window.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::message::Message;
use super::{ConnectionId, End, State};
use crate::codec::{Ack, Packet, PacketId, Properties, Property, ProtocolVersion, Publish, QoS, ReasonCode};

/// A client's session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client_id: String,
    pub(super) connection: Option<ConnectionId>,
    /// How long the session stays without connection; `None`: for ever.
    pub(super) expiry: Option<Duration>,
    /// Set while there is no connection.
    pub(super) ends_at: Option<Instant>,
    /// The Will that is published unless the client comes back in time.
    pub(super) will: Option<(Instant, Message)>,
    /// How many messages may be in flight: ours or the client's limit, whichever is lower.
    pub(super) window: usize,
    queued: VecDeque<Delivery>,
    inflight: VecDeque<Delivery>,
    used_ids: BTreeSet<PacketId>,
    last_id: u16,
    /// Messages of QoS 2 from the client that are not released yet.
    pub(super) unreleased: BTreeMap<PacketId, Arc<Message>>,
    /// That messages are dropped is logged once per connection.
    dropping: bool,
}

/// A message for one client.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) message: Arc<Message>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) subscription_ids: Vec<u32>,
    stage: Stage,
}

/// How far the exchange of a message of QoS 1 or 2 has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Never sent.
    New,
    /// PUBLISH was sent: PUBACK or PUBREC is due.
    Sent(PacketId),
    /// PUBREL was sent: PUBCOMP is due.
    Released(PacketId),
}

impl Delivery {
    pub(super) fn new(message: Arc<Message>, qos: QoS, retain: bool, subscription_ids: Vec<u32>) -> Self {
        Self {
            message,
            qos,
            retain,
            subscription_ids,
            stage: Stage::New,
        }
    }

    fn publish(
        &self,
        dup: bool,
        packet_id: Option<PacketId>,
        version: ProtocolVersion,
        now: Instant,
    ) -> Publish {
        let mut properties = Properties::default();
        if version == ProtocolVersion::V5 {
            properties = self.message.properties(now);
            for &id in &self.subscription_ids {
                properties.push(Property::SubscriptionIdentifier(id));
            }
        }
        Publish {
            dup,
            qos: self.qos,
            retain: self.retain,
            topic: self.message.topic.clone(),
            packet_id,
            properties,
            payload: self.message.payload.clone(),
        }
    }
}

impl Session {
    pub(super) fn new(client_id: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            connection: None,
            expiry: None,
            ends_at: None,
            will: None,
            window: 1,
            queued: VecDeque::new(),
            inflight: VecDeque::new(),
            used_ids: BTreeSet::new(),
            last_id: 0,
            unreleased: BTreeMap::new(),
            dropping: false,
        }
    }

    /// When something is due here.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let will = self.will.as_ref().map(|(at, _)| *at);
        self.ends_at.into_iter().chain(will).min()
    }

    pub(super) fn take_due_will(&mut self, now: Instant) -> Option<Message> {
        if self.will.as_ref().is_some_and(|(at, _)| *at <= now) {
            return self.will.take().map(|(_, message)| message);
        }
        None
    }

    /// The client is back: what was in flight is to be sent again [MQTT-4.4.0-1].
    pub(super) fn resume(&mut self, connection: ConnectionId) {
        self.connection = Some(connection);
        self.ends_at = None;
        self.will = None;
        self.dropping = false;
        while let Some(delivery) = self.inflight.pop_back() {
            self.queued.push_front(delivery);
        }
    }

    /// PUBACK, or a PUBREC that refuses, or PUBCOMP; `false` for an identifier that waits for no such packet.
    fn finish(&mut self, packet_id: PacketId, expected: Stage) -> bool {
        let Some(index) = self
            .inflight
            .iter()
            .position(|delivery| delivery.stage == expected)
        else {
            return false;
        };
        self.inflight.remove(index);
        self.used_ids.remove(&packet_id);
        true
    }

    /// PUBREC: from now on only PUBREL is repeated. `false` for an unknown identifier.
    fn release(&mut self, packet_id: PacketId) -> bool {
        let waiting = [Stage::Sent(packet_id), Stage::Released(packet_id)];
        match self
            .inflight
            .iter_mut()
            .find(|delivery| waiting.contains(&delivery.stage))
        {
            Some(delivery) if delivery.qos == QoS::ExactlyOnce => {
                delivery.stage = Stage::Released(packet_id);
                true
            }
            _ => false,
        }
    }

    /// The next identifier that is not in use. There always is one: the window is smaller than their number.
    fn free_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(id) = PacketId::new(self.last_id) {
                if self.used_ids.insert(id) {
                    return id;
                }
            }
        }
    }
}

impl State {
    /// Brings a message to a client: QoS 0 at once or never, the others through the queue.
    pub(super) fn deliver(&mut self, client_id: &str, delivery: Delivery) {
        let Some(session) = self.sessions.get_mut(client_id) else {
            return;
        };
        if delivery.qos == QoS::AtMostOnce {
            let Some(connection) = session.connection.and_then(|id| self.connections.get_mut(&id)) else {
                return;
            };
            if !connection.is_full(&self.options) {
                let publish = delivery.publish(false, None, connection.version, self.now);
                let id = connection.id;
                self.send_publish(id, publish);
                return;
            }
        } else if session.queued.len() < self.options.max_queued {
            session.queued.push_back(delivery);
            self.pump(client_id);
            return;
        }
        if !std::mem::replace(&mut session.dropping, true) {
            self.log.line(format!(
                "Outgoing messages are being dropped for client {client_id}."
            ));
        }
    }

    /// Sends queued messages as far as the window and the output have room.
    pub(super) fn pump(&mut self, client_id: &str) {
        let now = self.now;
        loop {
            let Some(session) = self.sessions.get_mut(client_id) else {
                return;
            };
            let Some(connection) = session.connection.and_then(|id| self.connections.get(&id)) else {
                return;
            };
            if session.inflight.len() >= session.window || connection.is_full(&self.options) {
                return;
            }
            let (id, version) = (connection.id, connection.version);
            let Some(mut delivery) = session.queued.pop_front() else {
                return;
            };
            let packet_id = match delivery.stage {
                // What was sent before does not expire any more [MQTT-4.3.3-7].
                Stage::New if delivery.message.is_expired(now) => continue,
                Stage::New => session.free_id(),
                Stage::Sent(packet_id) => packet_id,
                Stage::Released(packet_id) => {
                    session.inflight.push_back(delivery);
                    self.send(id, &Packet::PubRel(ack(packet_id, ReasonCode::SUCCESS)));
                    continue;
                }
            };
            let dup = delivery.stage != Stage::New;
            delivery.stage = Stage::Sent(packet_id);
            let publish = delivery.publish(dup, Some(packet_id), version, now);
            session.inflight.push_back(delivery);
            if !self.send_publish(id, publish) {
                // Larger than the client takes: as if it had been acknowledged [MQTT-3.1.2-25].
                if let Some(session) = self.sessions.get_mut(client_id) {
                    session.finish(packet_id, Stage::Sent(packet_id));
                }
            }
        }
    }

    fn send_publish(&mut self, id: ConnectionId, mut publish: Publish) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else {
            return false;
        };
        if self.options.send_topic_aliases {
            connection.use_topic_alias(&mut publish);
        }
        let topic = publish.topic.clone();
        let sent = connection.send(&mut self.log, &Packet::Publish(publish));
        if !sent {
            connection.forget_topic_alias(&topic);
        }
        self.touched.insert(id);
        sent
    }

    // ---- the client's acknowledgements; unknown identifiers are no reason to part ----

    pub(super) fn handle_puback(&mut self, client_id: &str, puback: &Ack) -> Result<(), End> {
        self.finish(client_id, puback.packet_id, Stage::Sent(puback.packet_id));
        Ok(())
    }

    pub(super) fn handle_pubrec(
        &mut self,
        id: ConnectionId,
        client_id: &str,
        pubrec: &Ack,
    ) -> Result<(), End> {
        let packet_id = pubrec.packet_id;
        if pubrec.reason.is_failure() {
            self.finish(client_id, packet_id, Stage::Sent(packet_id));
            return Ok(());
        }
        let known = self
            .sessions
            .get_mut(client_id)
            .is_some_and(|session| session.release(packet_id));
        if !known {
            self.log.line(format!(
                "Warning: Received PUBREC from {client_id} for an unknown packet identifier {packet_id}."
            ));
        }
        let reason = if known {
            ReasonCode::SUCCESS
        } else {
            ReasonCode::PACKET_IDENTIFIER_NOT_FOUND
        };
        self.send(id, &Packet::PubRel(ack(packet_id, reason)));
        Ok(())
    }

    pub(super) fn handle_pubcomp(&mut self, client_id: &str, pubcomp: &Ack) -> Result<(), End> {
        self.finish(client_id, pubcomp.packet_id, Stage::Released(pubcomp.packet_id));
        Ok(())
    }

    fn finish(&mut self, client_id: &str, packet_id: PacketId, expected: Stage) {
        let finished = self
            .sessions
            .get_mut(client_id)
            .is_some_and(|session| session.finish(packet_id, expected));
        if finished {
            self.pump(client_id);
        }
    }
}

/// An acknowledgement in its shortest form.
pub(super) fn ack(packet_id: PacketId, reason: ReasonCode) -> Ack {
    Ack {
        packet_id,
        reason,
        properties: Properties::default(),
    }
}
