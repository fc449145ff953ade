//! Messages from clients, and who gets a message.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::message::Message;
use super::session::{Delivery, ack};
use super::{ConnectionId, End, State};
use crate::codec::{Ack, Packet, Property, ProtocolVersion, Publish, QoS, ReasonCode};
use crate::testing::log::publish_summary;

impl State {
    pub(super) fn handle_publish(
        &mut self,
        id: ConnectionId,
        client_id: &str,
        mut publish: Publish,
    ) -> Result<(), End> {
        self.resolve_topic(id, &mut publish)?;
        if publish.qos > self.options.max_qos {
            return Err(ReasonCode::QOS_NOT_SUPPORTED.into());
        }
        if publish.retain && !self.options.retain {
            return Err(ReasonCode::RETAIN_NOT_SUPPORTED.into());
        }
        let message = Arc::new(Message::new(&publish, Some(client_id), self.now));
        let allowed = self.options.may_publish(publish.topic.as_str());
        if !allowed {
            self.log.line(format!(
                "Denied PUBLISH from {client_id} {}",
                publish_summary(&publish)
            ));
        }
        match (publish.qos, publish.packet_id) {
            (QoS::AtLeastOnce, Some(packet_id)) => {
                let reason = match allowed {
                    true if self.publish_message(&message) => ReasonCode::SUCCESS,
                    true => ReasonCode::NO_MATCHING_SUBSCRIBERS,
                    false => ReasonCode::NOT_AUTHORIZED,
                };
                let reason = self.before_v5_success(id, reason);
                self.send(id, &Packet::PubAck(ack(packet_id, reason)));
            }
            (QoS::ExactlyOnce, Some(packet_id)) => {
                let maximum = usize::from(self.options.receive_maximum);
                let Some(session) = self.sessions.get_mut(client_id) else {
                    return Ok(());
                };
                // A repeated PUBLISH is the same message; it goes out once, at PUBREL [MQTT-4.3.3-10].
                let repeated = session.unreleased.contains_key(&packet_id);
                if !repeated && session.unreleased.len() >= maximum {
                    return Err(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED.into());
                }
                let refused = !allowed && self.is_v5(id);
                if !repeated && !refused {
                    if let Some(session) = self.sessions.get_mut(client_id) {
                        session.unreleased.insert(packet_id, message);
                    }
                }
                let reason = if refused {
                    ReasonCode::NOT_AUTHORIZED
                } else {
                    ReasonCode::SUCCESS
                };
                self.send(id, &Packet::PubRec(ack(packet_id, reason)));
            }
            _ => {
                if allowed {
                    self.publish_message(&message);
                }
            }
        }
        Ok(())
    }

    /// PUBREL: the message goes out now.
    pub(super) fn handle_pubrel(
        &mut self,
        id: ConnectionId,
        client_id: &str,
        pubrel: &Ack,
    ) -> Result<(), End> {
        let packet_id = pubrel.packet_id;
        let message = self
            .sessions
            .get_mut(client_id)
            .and_then(|session| session.unreleased.remove(&packet_id));
        let reason = match message {
            Some(message) => {
                if self.options.may_publish(message.topic.as_str()) {
                    self.publish_message(&message);
                }
                ReasonCode::SUCCESS
            }
            // Released before: the client missed the PUBCOMP.
            None => self.before_v5_success(id, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND),
        };
        self.send(id, &Packet::PubComp(ack(packet_id, reason)));
        Ok(())
    }

    /// Puts the Topic Name in the place of a Topic Alias, or learns the alias.
    fn resolve_topic(&mut self, id: ConnectionId, publish: &mut Publish) -> Result<(), End> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Ok(());
        };
        let mut alias = None;
        for property in publish.properties.iter() {
            match property {
                Property::TopicAlias(value) => alias = Some(*value),
                // Only a server sends these [MQTT-3.3.4-6].
                Property::SubscriptionIdentifier(_) => return Err(ReasonCode::PROTOCOL_ERROR.into()),
                _ => {}
            }
        }
        let Some(alias) = alias else {
            return if publish.topic.as_str().is_empty() {
                Err(ReasonCode::PROTOCOL_ERROR.into())
            } else {
                Ok(())
            };
        };
        // [MQTT-3.2.2-17], [MQTT-3.3.2-8]
        if alias == 0 || alias > self.options.topic_alias_maximum {
            return Err(ReasonCode::TOPIC_ALIAS_INVALID.into());
        }
        if publish.topic.as_str().is_empty() {
            publish.topic = connection
                .aliases
                .get(&alias)
                .ok_or(ReasonCode::PROTOCOL_ERROR)?
                .clone();
        } else {
            connection.aliases.insert(alias, publish.topic.clone());
        }
        Ok(())
    }

    fn is_v5(&self, id: ConnectionId) -> bool {
        self.connections
            .get(&id)
            .is_some_and(|connection| connection.version == ProtocolVersion::V5)
    }

    /// Acknowledgements have no codes before MQTT 5.0.
    fn before_v5_success(&self, id: ConnectionId, reason: ReasonCode) -> ReasonCode {
        if self.is_v5(id) {
            reason
        } else {
            ReasonCode::SUCCESS
        }
    }

    /// Publishes a message: from a client, a Will, or the test. Returns whether anybody subscribes to it.
    pub(super) fn publish_message(&mut self, message: &Arc<Message>) -> bool {
        self.remember(message);
        if message.retain && self.options.retain {
            self.retain(message);
        }
        self.route(message)
    }

    /// Keeps a message for the test to look at.
    fn remember(&mut self, message: &Message) {
        self.published_total += 1;
        self.published_bytes += message.payload.len();
        self.published.push_back(message.to_publish(self.now));
        while self.published.len() > MAX_PUBLISHED || self.published_bytes > MAX_PUBLISHED_BYTES {
            let Some(oldest) = self.published.pop_front() else {
                return;
            };
            self.published_bytes -= oldest.payload.len();
        }
    }

    /// Keeps a retained message, or clears it if its payload is empty [MQTT-3.3.1-6].
    fn retain(&mut self, message: &Arc<Message>) {
        let topic = message.topic.as_str();
        if message.payload.is_empty() {
            self.retained.remove(topic);
        } else if self.retained.len() < self.options.max_retained || self.retained.contains_key(topic) {
            self.retained.insert(topic.to_owned(), Arc::clone(message));
        } else {
            self.log.line(format!(
                "Retained message dropped, there are {} already.",
                self.retained.len()
            ));
        }
    }

    /// Brings a message to its subscribers.
    ///
    /// A client whose subscriptions overlap gets one copy, with the highest of their QoS, before MQTT 5.0, and one copy
    /// per subscription, each with its own Subscription Identifier, since.
    fn route(&mut self, message: &Arc<Message>) -> bool {
        let sessions = &self.sessions;
        let is_connected = |client_id: &str| {
            sessions
                .get(client_id)
                .is_some_and(|session| session.connection.is_some())
        };
        let targets = self.subscriptions.targets(message.topic.as_str(), is_connected);
        let mut copies: Vec<(String, Delivery)> = Vec::with_capacity(targets.len());
        let mut merged: BTreeMap<String, usize> = BTreeMap::new();
        let anybody = !targets.is_empty();
        for target in targets {
            let options = target.options;
            if options.no_local && message.from.as_deref() == Some(target.client_id.as_str()) {
                continue;
            }
            let qos = message.qos.min(options.qos);
            let retain = message.retain && options.retain_as_published;
            let version = self
                .sessions
                .get(&target.client_id)
                .and_then(|session| self.connections.get(&session.connection?))
                .map_or(ProtocolVersion::V311, |connection| connection.version);
            if version != ProtocolVersion::V5 {
                if let Some((_, copy)) = merged.get(&target.client_id).and_then(|&at| copies.get_mut(at)) {
                    copy.qos = copy.qos.max(qos);
                    continue;
                }
                merged.insert(target.client_id.clone(), copies.len());
            }
            let ids = target.identifier.into_iter().collect();
            copies.push((
                target.client_id,
                Delivery::new(Arc::clone(message), qos, retain, ids),
            ));
        }
        for (client_id, copy) in copies {
            self.deliver(&client_id, copy);
        }
        anybody
    }
}

/// Older ones are forgotten.
const MAX_PUBLISHED: usize = 1_000;
const MAX_PUBLISHED_BYTES: usize = 16 * 1024 * 1024;
