//! Subscriptions: SUBSCRIBE, UNSUBSCRIBE, and who subscribes to a topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::session::Delivery;
use super::{ConnectionId, End, State};
use crate::codec::{
    Packet, Properties, ProtocolVersion, QoS, ReasonCode, RetainHandling, SubAck, Subscribe,
    SubscribeOptions, Subscription, UnsubAck, Unsubscribe,
};
use crate::topic::{self, FilterId, FilterMap};

/// All subscriptions of all clients.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    filed: FilterMap<Arc<Filed>>,
    of_client: BTreeMap<String, BTreeMap<String, (FilterId, Arc<Filed>)>>,
    /// Per shared subscription: how many messages it has given out.
    turns: BTreeMap<String, usize>,
}

/// One subscription of one client.
#[derive(Debug)]
struct Filed {
    client_id: String,
    /// As the client wrote it, with `$share/GROUP/`.
    filter: String,
    options: SubscribeOptions,
    identifier: Option<u32>,
}

/// A client that is to get a message.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) client_id: String,
    pub(super) options: SubscribeOptions,
    pub(super) identifier: Option<u32>,
}

impl Subscriptions {
    /// Makes or replaces a subscription; returns whether it is new. `None`: the filter is malformed.
    fn insert(
        &mut self,
        client_id: &str,
        subscription: Subscription,
        identifier: Option<u32>,
    ) -> Option<bool> {
        let Subscription { filter, options } = subscription;
        let filed = Arc::new(Filed {
            client_id: client_id.to_owned(),
            filter: filter.clone(),
            options,
            identifier,
        });
        let id = self.filed.insert(&filter, Arc::clone(&filed)).ok()?;
        let before = self
            .of_client
            .entry(client_id.to_owned())
            .or_default()
            .insert(filter, (id, filed));
        if let Some((id, _)) = before {
            self.filed.remove_id(id);
            return Some(false);
        }
        Some(true)
    }

    /// Ends a subscription; returns whether there was one.
    fn remove(&mut self, client_id: &str, filter: &str) -> bool {
        let Some(filters) = self.of_client.get_mut(client_id) else {
            return false;
        };
        let Some((id, _)) = filters.remove(filter) else {
            return false;
        };
        self.filed.remove_id(id);
        if !self.filed.contains(filter) {
            self.turns.remove(filter);
        }
        true
    }

    pub(super) fn remove_client(&mut self, client_id: &str) {
        let filters = self
            .of_client
            .get(client_id)
            .map(|filters| filters.keys().cloned().collect::<Vec<_>>());
        for filter in filters.unwrap_or_default() {
            self.remove(client_id, &filter);
        }
        self.of_client.remove(client_id);
    }

    pub(super) fn of_client(&self, client_id: &str) -> Vec<Subscription> {
        let filters = self.of_client.get(client_id).into_iter().flatten();
        filters
            .map(|(filter, (_, filed))| Subscription {
                filter: filter.clone(),
                options: filed.options,
            })
            .collect()
    }

    /// Who gets a message of this topic. Of each shared subscription the next one whose turn it is, those without
    /// connection only if all are (MQTT 5.0, section 4.8.2).
    pub(super) fn targets(&mut self, topic: &str, is_connected: impl Fn(&str) -> bool) -> Vec<Target> {
        let mut targets = Vec::new();
        let mut shared: BTreeMap<&str, Vec<&Arc<Filed>>> = BTreeMap::new();
        for filed in self.filed.iter_match(topic) {
            if is_shared(&filed.filter) {
                shared.entry(&filed.filter).or_default().push(filed);
            } else {
                targets.push(filed.target());
            }
        }
        for (filter, members) in shared {
            let turn = match self.turns.get_mut(filter) {
                Some(turn) => turn,
                None => self.turns.entry(filter.to_owned()).or_default(),
            };
            let connected: Vec<_> = members
                .iter()
                .filter(|filed| is_connected(&filed.client_id))
                .copied()
                .collect();
            let candidates = if connected.is_empty() { members } else { connected };
            if let Some(filed) = candidates.get(*turn % candidates.len().max(1)) {
                targets.push(filed.target());
            }
            *turn = turn.wrapping_add(1);
        }
        targets
    }
}

impl Filed {
    fn target(&self) -> Target {
        Target {
            client_id: self.client_id.clone(),
            options: self.options,
            identifier: self.identifier,
        }
    }
}

impl State {
    pub(super) fn handle_subscribe(
        &mut self,
        id: ConnectionId,
        client_id: &str,
        subscribe: Subscribe,
    ) -> Result<(), End> {
        let identifier = subscribe.properties.subscription_identifiers().next();
        let v5 = self
            .connections
            .get(&id)
            .is_some_and(|c| c.version == ProtocolVersion::V5);
        let mut reasons = Vec::with_capacity(subscribe.subscriptions.len());
        let mut retained = Vec::new();
        for mut subscription in subscribe.subscriptions {
            let filter = subscription.filter.clone();
            let shared = is_shared(&filter);
            if topic::check_filter(&filter).is_err() {
                let peer = self
                    .connections
                    .get(&id)
                    .map_or("", |connection| connection.peer_host());
                self.log
                    .line(format!("Invalid subscription string from {peer}, disconnecting."));
                return Err(ReasonCode::MALFORMED_PACKET.into());
            }
            // [MQTT-3.8.3-4]
            if shared && subscription.options.no_local {
                return Err(ReasonCode::PROTOCOL_ERROR.into());
            }
            self.log
                .line(format!("\t{filter} (QoS {})", subscription.options.qos as u8));
            if let Some(reason) = self.refusal(&filter, identifier) {
                reasons.push(ReasonCode::sub_ack(if v5 { reason.value() } else { 0x80 }));
                continue;
            }
            subscription.options.qos = subscription.options.qos.min(self.options.max_qos);
            let options = subscription.options;
            let granted = options.qos as u8;
            let is_new = self
                .subscriptions
                .insert(client_id, subscription, identifier)
                .unwrap_or(false);
            self.log.line(format!("{client_id} {granted} {filter}"));
            reasons.push(ReasonCode::sub_ack(granted));
            let wanted = match options.retain_handling {
                RetainHandling::SendOnSubscribe => true,
                RetainHandling::SendIfNew => is_new,
                RetainHandling::DoNotSend => false,
            };
            // Retained messages are not sent to shared subscriptions.
            if wanted && !shared {
                retained.push((filter, options.qos));
            }
        }
        let packet_id = subscribe.packet_id;
        self.send(
            id,
            &Packet::SubAck(SubAck {
                packet_id,
                properties: Properties::default(),
                reasons,
            }),
        );
        for (filter, qos) in retained {
            self.send_retained(client_id, &filter, qos, identifier);
        }
        Ok(())
    }

    /// Why this broker does not grant a well-formed filter.
    fn refusal(&self, filter: &str, identifier: Option<u32>) -> Option<ReasonCode> {
        let options = &self.options;
        if !options.may_subscribe(filter) {
            Some(ReasonCode::NOT_AUTHORIZED)
        } else if is_shared(filter) && !options.shared_subscriptions {
            Some(ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED)
        } else if filter.contains(['+', '#']) && !options.wildcard_subscriptions {
            Some(ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED)
        } else if identifier.is_some() && !options.subscription_identifiers {
            Some(ReasonCode::SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED)
        } else {
            None
        }
    }

    fn send_retained(&mut self, client_id: &str, filter: &str, qos: QoS, identifier: Option<u32>) {
        let now = self.now;
        self.retained.retain(|_, message| !message.is_expired(now));
        let matching = self
            .retained
            .values()
            .filter(|message| topic::matches(filter, message.topic.as_str()));
        let deliveries: Vec<_> = matching
            .map(|message| {
                let ids = identifier.into_iter().collect();
                Delivery::new(Arc::clone(message), message.qos.min(qos), true, ids)
            })
            .collect();
        for delivery in deliveries {
            self.deliver(client_id, delivery);
        }
    }

    pub(super) fn handle_unsubscribe(
        &mut self,
        id: ConnectionId,
        client_id: &str,
        unsubscribe: Unsubscribe,
    ) -> Result<(), End> {
        let v5 = self
            .connections
            .get(&id)
            .is_some_and(|c| c.version == ProtocolVersion::V5);
        let mut reasons = Vec::new();
        for filter in &unsubscribe.filters {
            self.log.line(format!("\t{filter}"));
            self.log.line(format!("{client_id} {filter}"));
            let existed = self.subscriptions.remove(client_id, filter);
            if v5 {
                reasons.push(match existed {
                    true => ReasonCode::SUCCESS,
                    false => ReasonCode::NO_SUBSCRIPTION_EXISTED,
                });
            }
        }
        let packet_id = unsubscribe.packet_id;
        self.send(
            id,
            &Packet::UnsubAck(UnsubAck {
                packet_id,
                properties: Properties::default(),
                reasons,
            }),
        );
        Ok(())
    }
}

fn is_shared(filter: &str) -> bool {
    filter.starts_with("$share/")
}
