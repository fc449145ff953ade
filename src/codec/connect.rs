//! CONNECT and CONNACK.

use bytes::Bytes;

use super::{Properties, ProtocolVersion, QoS, ReasonCode, TopicName};

/// A CONNECT packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Protocol version (name and level).
    pub version: ProtocolVersion,
    /// The high bit of the protocol level: mosquitto's extension for bridges.
    pub bridge: bool,
    /// Clean Session (3.1, 3.1.1) or Clean Start (5.0).
    pub clean_start: bool,
    /// Keep Alive in seconds; 0 turns it off.
    pub keep_alive: u16,
    /// Client Identifier; may be empty.
    pub client_id: String,
    /// The Will, if there is one.
    pub will: Option<Will>,
    /// User Name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Bytes>,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
}

/// The message that the server publishes when the connection ends without DISCONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Topic Name.
    pub topic: TopicName,
    /// Payload; at most 65,535 bytes.
    pub payload: Bytes,
    /// Quality of Service.
    pub qos: QoS,
    /// Whether the server keeps it as retained message.
    pub retain: bool,
    /// Will Properties (MQTT 5.0).
    pub properties: Properties,
}

/// A CONNACK packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether the server has a session for this client.
    pub session_present: bool,
    /// Success, or why the connection is refused.
    pub reason: ReasonCode,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
}
