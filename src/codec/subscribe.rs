//! SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK.

use super::{PacketId, Properties, QoS, ReasonCode};

/// A SUBSCRIBE packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Packet Identifier.
    pub packet_id: PacketId,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
    /// Filters with their options; at least one.
    pub subscriptions: Vec<Subscription>,
}

/// One Topic Filter of a SUBSCRIBE packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Topic Filter.
    pub filter: String,
    /// Subscription Options.
    pub options: SubscribeOptions,
}

/// Subscription Options: only the QoS before MQTT 5.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct SubscribeOptions {
    /// Maximum QoS of the messages that the server may send.
    pub qos: QoS,
    /// Do not send back what this client publishes (MQTT 5.0).
    pub no_local: bool,
    /// Keep the Retain flag as it was published (MQTT 5.0).
    pub retain_as_published: bool,
    /// Whether retained messages are sent when the subscription is made (MQTT 5.0).
    pub retain_handling: RetainHandling,
}

/// When retained messages are sent (MQTT 5.0, section 3.8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum RetainHandling {
    /// At each subscribe.
    #[default]
    SendOnSubscribe = 0,
    /// Only if the subscription did not exist.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

/// A SUBACK packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck {
    /// Identifier of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
    /// One code per filter, in order.
    pub reasons: Vec<ReasonCode>,
}

/// An UNSUBSCRIBE packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Packet Identifier.
    pub packet_id: PacketId,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
    /// Filters; at least one.
    pub filters: Vec<String>,
}

/// An UNSUBACK packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsubAck {
    /// Identifier of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
    /// One code per filter in MQTT 5.0, empty before.
    pub reasons: Vec<ReasonCode>,
}
