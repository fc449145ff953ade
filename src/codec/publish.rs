//! PUBLISH and its acknowledgements.

use bytes::Bytes;

use super::{PacketId, Properties, QoS, ReasonCode, TopicName};

/// A PUBLISH packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Sent before.
    pub dup: bool,
    /// Quality of Service.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// Topic Name; empty only in MQTT 5.0 with a Topic Alias.
    pub topic: TopicName,
    /// Present if and only if the QoS is 1 or 2.
    pub packet_id: Option<PacketId>,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
    /// Application payload: a slice of the buffer that it was decoded from.
    pub payload: Bytes,
}

/// A PUBACK, PUBREC, PUBREL or PUBCOMP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The identifier of the PUBLISH.
    pub packet_id: PacketId,
    /// Success before MQTT 5.0.
    pub reason: ReasonCode,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
}
