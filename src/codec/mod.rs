//! Control Packets of MQTT 3.1, 3.1.1 and 5.0: bytes to packets and back, in both directions.
//!
//! Pure: no I/O, no clock, no session. One [`Packet`] type serves all versions; what only MQTT 5.0 has (properties,
//! reason codes of acknowledgements) is empty before. Payloads are slices of the receive buffer, never copies.

mod connect;
mod decode;
mod disconnect;
mod properties;
mod publish;
mod reader;
mod subscribe;
mod writer;

pub use crate::error::DecodeError;
pub use crate::reason_code::ReasonCode;
pub use crate::topic::TopicName;
pub use connect::{ConnAck, Connect, Will};
pub use decode::Decoder;
pub use disconnect::{Auth, Disconnect};
pub use properties::{Properties, Property};
pub use publish::{Ack, Publish};
pub use subscribe::{
    RetainHandling, SubAck, Subscribe, SubscribeOptions, Subscription, UnsubAck, Unsubscribe,
};

use std::num::NonZeroU16;

/// A Packet Identifier: 1 to 65,535.
pub type PacketId = NonZeroU16;

/// The largest Remaining Length: 268,435,455 bytes.
pub const MAX_REMAINING_LENGTH: usize = 268_435_455;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum ProtocolVersion {
    /// MQTT 3.1 (`MQIsdp`, level 3).
    V31 = 3,
    /// MQTT 3.1.1 (level 4).
    #[default]
    V311 = 4,
    /// MQTT 5.0 (level 5).
    V5 = 5,
}

/// Quality of Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum QoS {
    /// At most once (0).
    #[default]
    AtMostOnce = 0,
    /// At least once (1).
    AtLeastOnce = 1,
    /// Exactly once (2).
    ExactlyOnce = 2,
}

/// A Control Packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A client asks for a connection.
    Connect(Box<Connect>),
    /// The server's answer to CONNECT.
    ConnAck(ConnAck),
    /// An application message.
    Publish(Publish),
    /// Acknowledges a PUBLISH of QoS 1.
    PubAck(Ack),
    /// First answer to a PUBLISH of QoS 2.
    PubRec(Ack),
    /// Releases a message of QoS 2.
    PubRel(Ack),
    /// Ends the exchange of a message of QoS 2.
    PubComp(Ack),
    /// Asks for subscriptions.
    Subscribe(Subscribe),
    /// Answers SUBSCRIBE.
    SubAck(SubAck),
    /// Ends subscriptions.
    Unsubscribe(Unsubscribe),
    /// Answers UNSUBSCRIBE.
    UnsubAck(UnsubAck),
    /// Asks whether the server is there.
    PingReq,
    /// Answers PINGREQ.
    PingResp,
    /// Ends the connection.
    Disconnect(Disconnect),
    /// Enhanced authentication (MQTT 5.0).
    Auth(Auth),
}
