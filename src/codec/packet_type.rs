//! The types of Control Packets and the first byte of the Fixed Header.

use std::fmt;

use super::ProtocolVersion;
use super::rules::{self, Rule};

/// The type of a Control Packet; its number is the upper half of the packet's first byte.
///
/// See MQTT 5.0, section 2.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// CONNECT
    Connect = 1,
    /// CONNACK
    ConnAck = 2,
    /// PUBLISH
    Publish = 3,
    /// PUBACK
    PubAck = 4,
    /// PUBREC
    PubRec = 5,
    /// PUBREL
    PubRel = 6,
    /// PUBCOMP
    PubComp = 7,
    /// SUBSCRIBE
    Subscribe = 8,
    /// SUBACK
    SubAck = 9,
    /// UNSUBSCRIBE
    Unsubscribe = 10,
    /// UNSUBACK
    UnsubAck = 11,
    /// PINGREQ
    PingReq = 12,
    /// PINGRESP
    PingResp = 13,
    /// DISCONNECT
    Disconnect = 14,
    /// AUTH (MQTT 5.0)
    Auth = 15,
}

impl PacketType {
    /// Returns the name as the standard writes it: `CONNECT`, `CONNACK` ..
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// Reads the first byte of a packet and checks its flags.
    #[inline]
    pub(super) fn from_first_byte(first: u8, version: ProtocolVersion) -> Result<Self, &'static Rule> {
        if first >> 4 != Self::Publish as u8 {
            return Self::other_from_first_byte(first, version);
        }
        match first & (DUP | QOS) {
            DUP => Err(&rules::DUP_QOS_0),
            flags if flags & QOS == QOS => Err(&rules::QOS_3),
            _ => Ok(Self::Publish),
        }
    }

    /// Reads the first byte of a packet other than PUBLISH.
    fn other_from_first_byte(first: u8, version: ProtocolVersion) -> Result<Self, &'static Rule> {
        let packet_type = match first >> 4 {
            1 => Self::Connect,
            2 => Self::ConnAck,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 if version == ProtocolVersion::V5 => Self::Auth,
            _ => return Err(&rules::PACKET_TYPE),
        };
        let mut flags = first & 0x0F;
        // MQTT 3.1 sets DUP where it sends one of these again (section 2.1 of that version).
        if version == ProtocolVersion::V31 && packet_type.required_flags() != 0 {
            flags &= !DUP;
        }
        if flags == packet_type.required_flags() {
            return Ok(packet_type);
        }
        Err(match packet_type {
            Self::PubRel => &rules::PUBREL_FLAGS,
            Self::Subscribe => &rules::SUBSCRIBE_FLAGS,
            Self::Unsubscribe => &rules::UNSUBSCRIBE_FLAGS,
            Self::Disconnect => &rules::DISCONNECT_FLAGS,
            Self::Auth => &rules::AUTH_FLAGS,
            _ => &rules::FLAGS,
        })
    }

    /// The first byte of every packet of this type but PUBLISH.
    pub(super) const fn first_byte(self) -> u8 {
        (self as u8) << 4 | self.required_flags()
    }

    /// The lower half of the first byte; PUBLISH has flags of its own there.
    const fn required_flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0b0000,
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

// The flags of PUBLISH.
pub(super) const DUP: u8 = 0b1000;
pub(super) const QOS: u8 = 0b0110;
pub(super) const RETAIN: u8 = 0b0001;
