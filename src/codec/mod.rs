//! Control Packets of MQTT 3.1, 3.1.1 and 5.0: bytes to packets and back, in both directions.
//!
//! Pure: no I/O, no clock, no session. A [`Decoder`] takes packets off a buffer, [`Packet::encode`] appends them to
//! one; what has to go where, and when, is up to the caller. One [`Packet`] type serves all versions; what only MQTT
//! 5.0 has (properties, reason codes of acknowledgements) is empty before. Payloads are slices of the receive buffer,
//! never copies.

mod connect;
mod decode;
mod disconnect;
mod encode;
mod packet_type;
mod plain_publish;
mod properties;
mod property;
mod publish;
mod qos;
mod reader;
mod rules;
mod subscribe;
mod topic_cache;
mod version;
mod writer;

pub use crate::error::DecodeError;
pub use crate::reason_code::ReasonCode;
pub use crate::topic::TopicName;
pub use connect::{ConnAck, Connect, Will};
pub use decode::Decoder;
pub use disconnect::{Auth, Disconnect};
pub use packet_type::PacketType;
pub use properties::Properties;
pub use property::Property;
pub use publish::{Ack, Publish};
pub use qos::QoS;
pub use subscribe::{
    RetainHandling, SubAck, Subscribe, SubscribeOptions, Subscription, UnsubAck, Unsubscribe,
};
pub use version::ProtocolVersion;

pub(crate) use plain_publish::{PlainPackets, PlainPublish, PlainRun};
pub(crate) use publish::{
    AckKind, PublishHead, ShortAck, encode_publish_head, publish_packet_len, put_plain_publish,
};

use std::num::NonZeroU16;

/// A Packet Identifier: 1 to 65,535.
pub type PacketId = NonZeroU16;

/// The largest Remaining Length: 268,435,455 bytes.
pub const MAX_REMAINING_LENGTH: usize = 268_435_455;

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

impl Packet {
    /// Returns the packet's type.
    pub fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    /// Returns the packet's name as the standard writes it: `CONNECT`, `CONNACK` ..
    pub fn name(&self) -> &'static str {
        self.packet_type().name()
    }
}
