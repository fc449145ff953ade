//! What the two sides allow each other on one connection (MQTT 5.0): the server in its CONNACK, we in our CONNECT.

use super::FIRST_OWN_IDENTIFIER;
use crate::codec::{
    Packet, Properties, ProtocolVersion, PublishHead, QoS, Subscribe, Subscription, publish_packet_len,
};
use crate::error::ServerLimit;

/// What the server allows (MQTT 5.0, section 3.2.2.3). Before 5.0, and where the CONNACK says nothing, there are no
/// limits but those of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Messages of QoS 1 and 2 under way at once.
    pub(crate) receive_maximum: u16,
    pub(crate) maximum_qos: QoS,
    pub(crate) retain_available: bool,
    /// `u32::MAX`: none.
    pub(crate) maximum_packet_size: u32,
    pub(crate) topic_alias_maximum: u16,
    pub(crate) wildcard_subscription_available: bool,
    pub(crate) shared_subscription_available: bool,
    pub(crate) subscription_identifier_available: bool,
    /// Replaces our Keep Alive.
    pub(crate) keep_alive: Option<u16>,
}

/// What we allow the server, as our CONNECT told it (MQTT 5.0, section 3.1.2.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    /// Messages of QoS 1 and 2 under way at once.
    pub(super) receive_maximum: u16,
    /// The highest Topic Alias.
    pub(super) topic_alias_maximum: u16,
    /// Whether reason strings and user properties may come with any packet.
    pub(super) problem_information: bool,
    /// Whether Response Information may come with the CONNACK.
    pub(super) response_information: bool,
}

impl Limits {
    pub(super) const NONE: Self = Self {
        receive_maximum: u16::MAX,
        maximum_qos: QoS::ExactlyOnce,
        retain_available: true,
        maximum_packet_size: u32::MAX,
        topic_alias_maximum: 0,
        wildcard_subscription_available: true,
        shared_subscription_available: true,
        subscription_identifier_available: true,
        keep_alive: None,
    };

    /// A server that takes less has no room for the answers that we owe it: PUBACK with a Reason Code.
    pub(super) const SMALLEST_PACKET_SIZE: u32 = 5;

    pub(super) fn from_connack(properties: &Properties) -> Self {
        let none = Self::NONE;
        Self {
            receive_maximum: properties.receive_maximum().unwrap_or(none.receive_maximum),
            maximum_qos: properties.maximum_qos().unwrap_or(none.maximum_qos),
            retain_available: properties.retain_available().unwrap_or(true),
            maximum_packet_size: properties
                .maximum_packet_size()
                .unwrap_or(none.maximum_packet_size),
            topic_alias_maximum: properties
                .topic_alias_maximum()
                .unwrap_or(none.topic_alias_maximum),
            wildcard_subscription_available: properties.wildcard_subscription_available().unwrap_or(true),
            shared_subscription_available: properties.shared_subscription_available().unwrap_or(true),
            subscription_identifier_available: properties.subscription_identifier_available().unwrap_or(true),
            keep_alive: properties.server_keep_alive(),
        }
    }

    /// Whether there may be messages that the server does not take.
    pub(super) fn restrict_messages(&self) -> bool {
        self.maximum_qos != QoS::ExactlyOnce || !self.retain_available || self.maximum_packet_size != u32::MAX
    }

    /// Whether the server takes such a message: no QoS above its maximum [MQTT-3.2.2-11], nothing retained where it
    /// keeps nothing [MQTT-3.2.2-14], no packet above its size [MQTT-3.2.2-15].
    pub(super) fn check_message(
        &self,
        qos: QoS,
        retain: bool,
        topic: &str,
        properties: &Properties,
        payload_len: usize,
    ) -> Result<(), ServerLimit> {
        if qos > self.maximum_qos {
            return Err(ServerLimit::MaximumQoS);
        }
        if retain && !self.retain_available {
            return Err(ServerLimit::RetainAvailable);
        }
        if self.maximum_packet_size == u32::MAX {
            return Ok(());
        }
        let head = PublishHead {
            dup: false,
            qos,
            retain,
            packet_id: crate::codec::PacketId::new(1).filter(|_| qos != QoS::AtMostOnce),
            topic: topic.as_bytes(),
            properties,
        };
        self.check_size(publish_packet_len(ProtocolVersion::V5, &head, payload_len))
    }

    /// Whether the server takes a packet of so many bytes [MQTT-3.2.2-15].
    pub(super) fn check_size(&self, bytes: usize) -> Result<(), ServerLimit> {
        if u64::try_from(bytes).is_ok_and(|bytes| bytes <= u64::from(self.maximum_packet_size)) {
            Ok(())
        } else {
            Err(ServerLimit::MaximumPacketSize)
        }
    }

    /// Whether the server takes a SUBSCRIBE or an UNSUBSCRIBE of so many bytes; if not, also the first filter that is to
    /// blame, or simply the first.
    pub(super) fn check_request<'a>(
        &self,
        packet: &'a Packet,
        bytes: usize,
    ) -> Result<(), (ServerLimit, &'a str)> {
        let first = match packet {
            Packet::Subscribe(Subscribe {
                subscriptions,
                properties,
                ..
            }) => {
                for Subscription { filter, .. } in subscriptions {
                    self.check_filter(filter, properties)
                        .map_err(|limit| (limit, filter.as_str()))?;
                }
                subscriptions.first().map(|subscription| &subscription.filter)
            }
            Packet::Unsubscribe(unsubscribe) => unsubscribe.filters.first(),
            _ => None,
        };
        let first = first.map_or("", String::as_str);
        self.check_size(bytes).map_err(|limit| (limit, first))
    }

    /// Whether the server takes such a subscription (MQTT 5.0, sections 3.2.2.3.11 to 3.2.2.3.13).
    pub(super) fn check_filter(&self, filter: &str, properties: &Properties) -> Result<(), ServerLimit> {
        let shared = filter.starts_with("$share/");
        if shared && !self.shared_subscription_available {
            return Err(ServerLimit::SharedSubscriptionAvailable);
        }
        // A share name has no wildcards, so one that is found belongs to the filter.
        if !self.wildcard_subscription_available && filter.contains(['+', '#']) {
            return Err(ServerLimit::WildcardSubscriptionAvailable);
        }
        // Those that the client gives by itself are left out where they are not taken.
        let identified = || {
            let mut identifiers = properties.subscription_identifiers();
            identifiers.any(|identifier| identifier < FIRST_OWN_IDENTIFIER)
        };
        if !self.subscription_identifier_available && identified() {
            return Err(ServerLimit::SubscriptionIdentifierAvailable);
        }
        Ok(())
    }
}

impl Announced {
    /// What a CONNECT with these properties tells the server.
    pub(super) fn in_connect(properties: &Properties) -> Self {
        Self {
            receive_maximum: properties.receive_maximum().unwrap_or(u16::MAX),
            topic_alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
            problem_information: properties.request_problem_information().unwrap_or(true),
            response_information: properties.request_response_information().unwrap_or(false),
        }
    }
}
