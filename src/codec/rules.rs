//! The rules that packets must obey, each with the statement of the standard that makes it one.
//!
//! Reading and writing share them: what a receiver would have to refuse is never sent.

use super::{PacketType, ProtocolVersion};
use crate::error::{DecodeError, Error};
use crate::reason_code::ReasonCode;

/// A rule: what its breach is called, and the statement's number in the two standards.
#[derive(Debug)]
pub(super) struct Rule {
    reason: ReasonCode,
    detail: &'static str,
    v311: &'static str,
    v5: &'static str,
}

impl Rule {
    const fn new(reason: ReasonCode, detail: &'static str, v311: &'static str, v5: &'static str) -> Self {
        Self {
            reason,
            detail,
            v311,
            v5,
        }
    }

    /// A rule about bytes that have no meaning.
    pub(super) const fn malformed(detail: &'static str, v311: &'static str, v5: &'static str) -> Self {
        Self::new(ReasonCode::MALFORMED_PACKET, detail, v311, v5)
    }

    /// A rule about values that are not allowed where they stand.
    pub(super) const fn protocol(detail: &'static str, v311: &'static str, v5: &'static str) -> Self {
        Self::new(ReasonCode::PROTOCOL_ERROR, detail, v311, v5)
    }

    /// A rule about a property's value: these exist in MQTT 5.0 only.
    pub(super) const fn property(reason: ReasonCode, detail: &'static str, v5: &'static str) -> Self {
        Self::new(reason, detail, "", v5)
    }

    /// The error for a peer that broke the rule. MQTT 3.1 has no statement numbers: those of 3.1.1 stand for it.
    #[cold]
    pub(super) fn broken(&self, version: ProtocolVersion) -> DecodeError {
        DecodeError {
            reason: self.reason,
            detail: self.detail,
            statement: match version {
                ProtocolVersion::V31 | ProtocolVersion::V311 => self.v311,
                ProtocolVersion::V5 => self.v5,
            },
        }
    }

    /// The error for a caller who would break the rule with this argument.
    #[cold]
    pub(super) fn refused(&self, argument: &'static str) -> Error {
        Error::argument(argument, self.detail)
    }
}

macro_rules! rules {
    ($($name:ident = $kind:ident($detail:literal, $v311:literal, $v5:literal);)*) => {
        $(pub(super) static $name: Rule = Rule::$kind($detail, $v311, $v5);)*
    };
}

// The Fixed Header.
rules! {
    PACKET_TYPE = malformed("the packet type is reserved", "", "");
    FLAGS = malformed("the reserved flags of the Fixed Header have a wrong value", "MQTT-2.2.2-2", "MQTT-2.1.3-1");
    PUBREL_FLAGS = malformed("the flags of PUBREL are not 0010", "MQTT-3.6.1-1", "MQTT-3.6.1-1");
    SUBSCRIBE_FLAGS = malformed("the flags of SUBSCRIBE are not 0010", "MQTT-3.8.1-1", "MQTT-3.8.1-1");
    UNSUBSCRIBE_FLAGS = malformed("the flags of UNSUBSCRIBE are not 0010", "MQTT-3.10.1-1", "MQTT-3.10.1-1");
    DISCONNECT_FLAGS = malformed("the flags of DISCONNECT are not 0000", "MQTT-3.14.1-1", "MQTT-3.14.1-1");
    AUTH_FLAGS = malformed("the flags of AUTH are not 0000", "", "MQTT-3.15.1-1");
    QOS_3 = malformed("PUBLISH has QoS 3", "MQTT-3.3.1-4", "MQTT-3.3.1-4");
    DUP_QOS_0 = malformed("PUBLISH has DUP with QoS 0", "MQTT-3.3.1-2", "MQTT-3.3.1-2");
    VAR_INT_TOO_LONG = malformed("a Variable Byte Integer has more than four bytes", "", "");
    VAR_INT_NOT_MINIMAL = malformed("a Variable Byte Integer is longer than need be", "", "MQTT-1.5.5-1");
}
pub(super) static PACKET_TOO_LARGE: Rule = Rule::new(
    ReasonCode::PACKET_TOO_LARGE,
    "the packet is larger than the Maximum Packet Size",
    "",
    "MQTT-3.1.2-24",
);

// Fields of all packets.
rules! {
    TOO_SHORT = malformed("the packet ends before its last field", "", "");
    TOO_LONG = malformed("the packet does not end with its last field", "", "");
    NOT_UTF8 = malformed("a text is not valid UTF-8", "MQTT-1.5.3-1", "MQTT-1.5.4-1");
    NUL_IN_TEXT = malformed("a text contains U+0000", "MQTT-1.5.3-2", "MQTT-1.5.4-2");
    FIELD_TOO_LONG = malformed("a field is longer than 65,535 bytes", "", "");
    PACKET_ID_ZERO = protocol("the Packet Identifier is 0", "MQTT-2.3.1-1", "MQTT-2.2.1-3");
    ACK_PACKET_ID_ZERO = protocol("the Packet Identifier is 0", "MQTT-2.3.1-6", "MQTT-2.2.1-5");
    SUBACK_PACKET_ID_ZERO = protocol("the Packet Identifier is 0", "MQTT-2.3.1-7", "MQTT-2.2.1-6");
    NO_PROPERTY_LENGTH = malformed("the Property Length is missing", "", "MQTT-2.2.2-1");
    UNKNOWN_PROPERTY = malformed("a property has an unknown identifier", "", "");
    ONLY_V5 = malformed("the packet exists only in MQTT 5.0", "", "");
}

// CONNECT and CONNACK.
pub(super) static PROTOCOL_NAME: Rule = Rule::new(
    ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
    "the protocol name is unknown",
    "MQTT-3.1.2-1",
    "MQTT-3.1.2-1",
);
pub(super) static PROTOCOL_LEVEL: Rule = Rule::new(
    ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
    "the protocol version is unknown",
    "MQTT-3.1.2-2",
    "MQTT-3.1.2-2",
);
rules! {
    CONNECT_FLAG = malformed("the reserved Connect Flag is set", "MQTT-3.1.2-3", "MQTT-3.1.2-3");
    WILL_QOS_WITHOUT_WILL = malformed("there is a Will QoS without Will", "MQTT-3.1.2-13", "MQTT-3.1.2-11");
    WILL_RETAIN_WITHOUT_WILL = malformed("there is a Will Retain without Will", "MQTT-3.1.2-15", "MQTT-3.1.2-13");
    WILL_QOS_3 = malformed("the Will QoS is 3", "MQTT-3.1.2-14", "MQTT-3.1.2-12");
    PASSWORD_WITHOUT_USER_NAME = malformed("there is a Password without User Name", "MQTT-3.1.2-22", "");
    CONNACK_FLAGS = malformed("a reserved Connect Acknowledge Flag is set", "", "MQTT-3.2.2-1");
    SESSION_PRESENT = protocol("Session Present is set with a refusal", "MQTT-3.2.2-4", "MQTT-3.2.2-6");
    DATA_WITHOUT_METHOD = protocol("there is Authentication Data without Authentication Method", "", "");
    AUTH_WITHOUT_METHOD = protocol("AUTH has no Authentication Method", "", "");
}

// Topic Names and Topic Filters.
rules! {
    EMPTY_TOPIC = protocol("a Topic Name is empty", "MQTT-4.7.3-1", "MQTT-4.7.3-1");
    EMPTY_FILTER = malformed("a Topic Filter is empty", "MQTT-4.7.3-1", "MQTT-4.7.3-1");
    TOPIC_WILDCARD = malformed("a Topic Name contains a wildcard", "MQTT-3.3.2-2", "MQTT-3.3.2-2");
    WILL_TOPIC_WILDCARD = malformed("the Will Topic contains a wildcard", "MQTT-4.7.1-1", "MQTT-4.7.0-1");
    HASH_WILDCARD = malformed("a Topic Filter has # where it may not stand", "MQTT-4.7.1-2", "MQTT-4.7.1-1");
    PLUS_WILDCARD = malformed("a Topic Filter has + where it may not stand", "MQTT-4.7.1-3", "MQTT-4.7.1-2");
    SHARE_NAME_EMPTY = malformed("a shared subscription has no name", "", "MQTT-4.8.2-1");
    SHARED_FILTER = malformed("a shared subscription is not $share/NAME/FILTER", "", "MQTT-4.8.2-2");
}

// SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK.
rules! {
    NO_FILTER = protocol("SUBSCRIBE has no Topic Filter", "MQTT-3.8.3-3", "MQTT-3.8.3-2");
    // The number is printed like this in the standard of 3.1.1.
    SUBSCRIBE_OPTION_BITS = malformed("the reserved Subscription Options are set", "MQTT-3-8.3-4", "MQTT-3.8.3-5");
    SUBSCRIBE_QOS_3 = protocol("a subscription asks for QoS 3", "MQTT-3-8.3-4", "");
    RETAIN_HANDLING_3 = protocol("the Retain Handling is 3", "", "");
    NO_LOCAL_SHARED = protocol("a shared subscription has No Local", "", "MQTT-3.8.3-4");
    NO_FILTER_TO_REMOVE = protocol("UNSUBSCRIBE has no Topic Filter", "MQTT-3.10.3-2", "MQTT-3.10.3-2");
    NO_SUBACK_REASON = protocol("SUBACK has no code", "MQTT-3.8.4-5", "MQTT-3.8.4-6");
    NO_UNSUBACK_REASON = protocol("UNSUBACK has no code", "", "MQTT-3.11.3-1");
}

// Reason codes that are not listed for the packet.
rules! {
    CONNACK_REASON = protocol("CONNACK has a code that is not its own", "", "MQTT-3.2.2-8");
    PUBACK_REASON = protocol("PUBACK has a code that is not its own", "", "MQTT-3.4.2-1");
    PUBREC_REASON = protocol("PUBREC has a code that is not its own", "", "MQTT-3.5.2-1");
    PUBREL_REASON = protocol("PUBREL has a code that is not its own", "", "MQTT-3.6.2-1");
    PUBCOMP_REASON = protocol("PUBCOMP has a code that is not its own", "", "MQTT-3.7.2-1");
    SUBACK_REASON = protocol("SUBACK has a code that is not its own", "MQTT-3.9.3-2", "MQTT-3.9.3-2");
    UNSUBACK_REASON = protocol("UNSUBACK has a code that is not its own", "", "MQTT-3.11.3-2");
    DISCONNECT_REASON = protocol("DISCONNECT has a code that is not its own", "", "MQTT-3.14.2-1");
    AUTH_REASON = protocol("AUTH has a code that is not its own", "", "MQTT-3.15.2-1");
}

/// Checks a reason code of MQTT 5.0 against the list of its packet's section. Packets without a code allow all.
pub(super) fn check_reason(packet: PacketType, code: u8) -> Result<(), &'static Rule> {
    let (listed, rule): (&[u8], _) = match packet {
        PacketType::ConnAck => (
            &[
                0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95,
                0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
            ],
            &CONNACK_REASON,
        ),
        PacketType::PubAck => (PUBLISH_REASONS, &PUBACK_REASON),
        PacketType::PubRec => (PUBLISH_REASONS, &PUBREC_REASON),
        PacketType::PubRel => (&[0x00, 0x92], &PUBREL_REASON),
        PacketType::PubComp => (&[0x00, 0x92], &PUBCOMP_REASON),
        PacketType::SubAck => (
            &[
                0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2,
            ],
            &SUBACK_REASON,
        ),
        PacketType::UnsubAck => (&[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91], &UNSUBACK_REASON),
        // 0x8C stands in the list of section 2.4 but not in that of 3.14.2.1.
        PacketType::Disconnect => (
            &[
                0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93,
                0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
            ],
            &DISCONNECT_REASON,
        ),
        PacketType::Auth => (&[0x00, 0x18, 0x19], &AUTH_REASON),
        PacketType::Connect
        | PacketType::Publish
        | PacketType::Subscribe
        | PacketType::Unsubscribe
        | PacketType::PingReq
        | PacketType::PingResp => return Ok(()),
    };
    if listed.contains(&code) { Ok(()) } else { Err(rule) }
}

/// The codes of PUBACK and PUBREC.
const PUBLISH_REASONS: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
