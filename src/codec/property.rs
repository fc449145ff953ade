//! The 27 properties of MQTT 5.0: identifier, name, type, and which packets may carry each. All in one table.

use std::fmt;

use bytes::Bytes;

use super::PacketType;
use super::reader::Reader;
use super::rules::{self, Rule};
use super::writer::{check_binary, check_text, put_binary, put_u16, put_u32, put_var_int, var_int_len};
use crate::error::DecodeError;
use crate::reason_code::ReasonCode;

/// What the table knows of one property.
#[derive(Debug)]
pub(super) struct Info {
    /// Where it may stand.
    scopes: u16,
    foreign: Rule,
    repeated: Rule,
    out_of_range: Rule,
}

/// A place for properties: a kind of packet, or the Will in CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope(u16);

impl Scope {
    pub(super) const fn packet(packet: PacketType) -> Self {
        Self(1 << packet as u16)
    }

    /// The bit that no packet type has.
    pub(super) const WILL: Self = Self(1);
}

/// A property's value by its type on the wire (MQTT 5.0, section 1.5).
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Byte(&'a u8),
    TwoByte(&'a u16),
    FourByte(&'a u32),
    VarInt(&'a u32),
    Text(&'a str),
    Binary(&'a [u8]),
    Pair(&'a str, &'a str),
}

macro_rules! read_field {
    ($reader:ident Byte) => {
        $reader.u8()?
    };
    ($reader:ident TwoByte) => {
        $reader.u16()?
    };
    ($reader:ident FourByte) => {
        $reader.u32()?
    };
    ($reader:ident VarInt) => {
        $reader.var_int()?
    };
    ($reader:ident Text) => {
        String::from($reader.text()?)
    };
    ($reader:ident Binary) => {
        Bytes::copy_from_slice($reader.binary()?)
    };
}

macro_rules! properties {
    ($($(#[$doc:meta])* $identifier:literal $variant:ident($type:ident as $kind:ident) in $($scope:ident)|+;)*) => {
        /// One property (MQTT 5.0, section 2.2.2.2).
        ///
        /// `Debug` does not show authentication data.
        #[derive(Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Property {
            $($(#[$doc])* $variant($type),)*
            /// 0x26: a name and a value of the application's own; may stand any number of times, in every packet.
            UserProperty(String, String),
        }

        impl Property {
            /// Returns the identifier on the wire.
            pub const fn identifier(&self) -> u8 {
                match self {
                    $(Self::$variant(_) => $identifier,)*
                    Self::UserProperty(..) => USER_PROPERTY,
                }
            }

            /// Returns the name in the spelling of paho-mqtt: `ReceiveMaximum`, `MaximumQoS` ..
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($variant),)*
                    Self::UserProperty(..) => "UserProperty",
                }
            }

            pub(super) fn value(&self) -> Value<'_> {
                match self {
                    $(Self::$variant(value) => Value::$kind(value),)*
                    Self::UserProperty(name, value) => Value::Pair(name, value),
                }
            }

            /// Reads the value that follows an identifier.
            fn read_value(identifier: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(match identifier {
                    $($identifier => Self::$variant(read_field!(reader $kind)),)*
                    USER_PROPERTY => {
                        let name = reader.text()?;
                        Self::UserProperty(name.into(), reader.text()?.into())
                    }
                    _ => return reader.broken(&rules::UNKNOWN_PROPERTY),
                })
            }
        }

        impl fmt::Debug for Property {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut tuple = f.debug_tuple(self.name());
                match self {
                    _ if self.is_secret() => tuple.field(&format_args!("..")),
                    $(Self::$variant(value) => tuple.field(value),)*
                    Self::UserProperty(name, value) => tuple.field(name).field(value),
                }
                .finish()
            }
        }

        /// The table's row for an identifier.
        fn info(identifier: u8) -> Option<&'static Info> {
            match identifier {
                $($identifier => {
                    static INFO: Info = Info {
                        scopes: $(scope::$scope)|+,
                        foreign: Rule::malformed(
                            concat!(stringify!($variant), " is not allowed in this packet"), "", "",
                        ),
                        repeated: Rule::protocol(
                            concat!(stringify!($variant), " stands more than once"), "", "",
                        ),
                        out_of_range: Rule::property(
                            out_of_range_reason($identifier),
                            concat!(stringify!($variant), " has a value that is not allowed"),
                            out_of_range_statement($identifier),
                        ),
                    };
                    Some(&INFO)
                })*
                _ => None,
            }
        }
    };
}

/// Short names for the table.
mod scope {
    use super::{PacketType, Scope};

    pub(super) const WILL: u16 = Scope::WILL.0;
    pub(super) const CONNECT: u16 = Scope::packet(PacketType::Connect).0;
    pub(super) const CONNACK: u16 = Scope::packet(PacketType::ConnAck).0;
    pub(super) const PUBLISH: u16 = Scope::packet(PacketType::Publish).0;
    pub(super) const PUBACK: u16 = Scope::packet(PacketType::PubAck).0;
    pub(super) const PUBREC: u16 = Scope::packet(PacketType::PubRec).0;
    pub(super) const PUBREL: u16 = Scope::packet(PacketType::PubRel).0;
    pub(super) const PUBCOMP: u16 = Scope::packet(PacketType::PubComp).0;
    pub(super) const SUBSCRIBE: u16 = Scope::packet(PacketType::Subscribe).0;
    pub(super) const SUBACK: u16 = Scope::packet(PacketType::SubAck).0;
    pub(super) const UNSUBACK: u16 = Scope::packet(PacketType::UnsubAck).0;
    pub(super) const DISCONNECT: u16 = Scope::packet(PacketType::Disconnect).0;
    pub(super) const AUTH: u16 = Scope::packet(PacketType::Auth).0;
}

// MQTT 5.0, table 2-4.
properties! {
    /// 0x01: the payload is UTF-8 (1) or bytes (0).
    0x01 PayloadFormatIndicator(u8 as Byte) in PUBLISH | WILL;
    /// 0x02: the message's lifetime in seconds.
    0x02 MessageExpiryInterval(u32 as FourByte) in PUBLISH | WILL;
    /// 0x03: the payload's type, for example a MIME type.
    0x03 ContentType(String as Text) in PUBLISH | WILL;
    /// 0x08: the Topic Name for a response.
    0x08 ResponseTopic(String as Text) in PUBLISH | WILL;
    /// 0x09: what request a response belongs to.
    0x09 CorrelationData(Bytes as Binary) in PUBLISH | WILL;
    /// 0x0B: 1 to 268,435,455; in PUBLISH any number of times.
    0x0B SubscriptionIdentifier(u32 as VarInt) in PUBLISH | SUBSCRIBE;
    /// 0x11: how long the session outlives the connection, in seconds; `u32::MAX` is for ever.
    0x11 SessionExpiryInterval(u32 as FourByte) in CONNECT | CONNACK | DISCONNECT;
    /// 0x12: the Client Identifier that the server chose.
    0x12 AssignedClientIdentifier(String as Text) in CONNACK;
    /// 0x13: the Keep Alive that the server demands, in seconds.
    0x13 ServerKeepAlive(u16 as TwoByte) in CONNACK;
    /// 0x15: the name of the method of enhanced authentication.
    0x15 AuthenticationMethod(String as Text) in CONNECT | CONNACK | AUTH;
    /// 0x16: the method's data.
    0x16 AuthenticationData(Bytes as Binary) in CONNECT | CONNACK | AUTH;
    /// 0x17: whether reason strings and user properties are wanted with failures, 0 or 1.
    0x17 RequestProblemInformation(u8 as Byte) in CONNECT;
    /// 0x18: how long the Will is held back, in seconds.
    0x18 WillDelayInterval(u32 as FourByte) in WILL;
    /// 0x19: whether Response Information is wanted, 0 or 1.
    0x19 RequestResponseInformation(u8 as Byte) in CONNECT;
    /// 0x1A: what a Response Topic may be made from.
    0x1A ResponseInformation(String as Text) in CONNACK;
    /// 0x1C: other servers to use.
    0x1C ServerReference(String as Text) in CONNACK | DISCONNECT;
    /// 0x1F: the reason code in words, for logs.
    0x1F ReasonString(String as Text) in
        CONNACK | PUBACK | PUBREC | PUBREL | PUBCOMP | SUBACK | UNSUBACK | DISCONNECT | AUTH;
    /// 0x21: how many PUBLISH packets of QoS 1 and 2 may be unfinished at once, not 0.
    0x21 ReceiveMaximum(u16 as TwoByte) in CONNECT | CONNACK;
    /// 0x22: the highest Topic Alias that the sender accepts.
    0x22 TopicAliasMaximum(u16 as TwoByte) in CONNECT | CONNACK;
    /// 0x23: a number for the Topic Name, not 0.
    0x23 TopicAlias(u16 as TwoByte) in PUBLISH;
    /// 0x24: the highest QoS that the server accepts, 0 or 1.
    0x24 MaximumQoS(u8 as Byte) in CONNACK;
    /// 0x25: whether the server keeps retained messages, 0 or 1.
    0x25 RetainAvailable(u8 as Byte) in CONNACK;
    /// 0x27: the largest packet that the sender accepts, in bytes, not 0.
    0x27 MaximumPacketSize(u32 as FourByte) in CONNECT | CONNACK;
    /// 0x28: whether filters may have wildcards, 0 or 1.
    0x28 WildcardSubscriptionAvailable(u8 as Byte) in CONNACK;
    /// 0x29: whether subscriptions may have identifiers, 0 or 1.
    0x29 SubscriptionIdentifierAvailable(u8 as Byte) in CONNACK;
    /// 0x2A: whether subscriptions may be shared, 0 or 1.
    0x2A SharedSubscriptionAvailable(u8 as Byte) in CONNACK;
}

const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
const RESPONSE_TOPIC: u8 = 0x08;
const TOPIC_ALIAS: u8 = 0x23;
const USER_PROPERTY: u8 = 0x26;

const fn out_of_range_reason(identifier: u8) -> ReasonCode {
    match identifier {
        RESPONSE_TOPIC => ReasonCode::MALFORMED_PACKET,
        TOPIC_ALIAS => ReasonCode::TOPIC_ALIAS_INVALID,
        _ => ReasonCode::PROTOCOL_ERROR,
    }
}

const fn out_of_range_statement(identifier: u8) -> &'static str {
    match identifier {
        RESPONSE_TOPIC => "MQTT-3.3.2-14",
        TOPIC_ALIAS => "MQTT-3.3.2-8",
        _ => "",
    }
}

impl Property {
    /// Reads one property that is allowed in `scope`; `seen` has a bit for each identifier that was read before.
    pub(super) fn read(reader: &mut Reader<'_>, scope: Scope, seen: &mut u64) -> Result<Self, DecodeError> {
        // The identifier is a Variable Byte Integer, but all that exist take one byte.
        let identifier = reader.var_int()?;
        let Ok(identifier) = u8::try_from(identifier) else {
            return reader.broken(&rules::UNKNOWN_PROPERTY);
        };
        reader.obey(check_place(identifier, scope, seen))?;
        let property = Self::read_value(identifier, reader)?;
        reader.obey(property.check_range())?;
        Ok(property)
    }

    /// Checks that the property can be written in `scope`.
    pub(super) fn check(&self, scope: Scope, seen: &mut u64) -> Result<(), &'static Rule> {
        check_place(self.identifier(), scope, seen)?;
        match self.value() {
            Value::Text(text) => check_text(text)?,
            Value::Binary(bytes) => check_binary(bytes)?,
            Value::Pair(name, value) => {
                check_text(name)?;
                check_text(value)?;
            }
            Value::Byte(_) | Value::TwoByte(_) | Value::FourByte(_) | Value::VarInt(_) => {}
        }
        self.check_range()
    }

    fn check_range(&self) -> Result<(), &'static Rule> {
        let allowed = match self {
            Self::PayloadFormatIndicator(value)
            | Self::RequestProblemInformation(value)
            | Self::RequestResponseInformation(value)
            | Self::MaximumQoS(value)
            | Self::RetainAvailable(value)
            | Self::WildcardSubscriptionAvailable(value)
            | Self::SubscriptionIdentifierAvailable(value)
            | Self::SharedSubscriptionAvailable(value) => *value <= 1,
            Self::ReceiveMaximum(value) | Self::TopicAlias(value) => *value != 0,
            Self::MaximumPacketSize(value) => *value != 0,
            Self::SubscriptionIdentifier(value) => (1..=MAX_VAR_INT).contains(value),
            Self::ResponseTopic(topic) => !topic.is_empty() && !topic.contains(['+', '#']),
            _ => true,
        };
        match info(self.identifier()) {
            Some(info) if !allowed => Err(&info.out_of_range),
            _ => Ok(()),
        }
    }

    /// How many bytes the property takes.
    pub(super) fn encoded_len(&self) -> usize {
        1 + match self.value() {
            Value::Byte(_) => 1,
            Value::TwoByte(_) => 2,
            Value::FourByte(_) => 4,
            Value::VarInt(value) => var_int_len(*value as usize),
            Value::Text(text) => 2 + text.len(),
            Value::Binary(bytes) => 2 + bytes.len(),
            Value::Pair(name, value) => 2 + name.len() + 2 + value.len(),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.identifier());
        match self.value() {
            Value::Byte(value) => out.push(*value),
            Value::TwoByte(value) => put_u16(out, *value),
            Value::FourByte(value) => put_u32(out, *value),
            Value::VarInt(value) => put_var_int(out, *value),
            Value::Text(text) => put_binary(out, text.as_bytes()),
            Value::Binary(bytes) => put_binary(out, bytes),
            Value::Pair(name, value) => {
                put_binary(out, name.as_bytes());
                put_binary(out, value.as_bytes());
            }
        }
    }

    /// Whether the value must not be printed.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::AuthenticationData(_))
    }

    /// Whether the property may stand more than once in some packet.
    pub(super) fn is_repeatable(&self) -> bool {
        matches!(self.identifier(), USER_PROPERTY | SUBSCRIPTION_IDENTIFIER)
    }
}

/// Checks that a property may stand in `scope`, and once more after those in `seen`.
fn check_place(identifier: u8, scope: Scope, seen: &mut u64) -> Result<(), &'static Rule> {
    if identifier == USER_PROPERTY {
        return Ok(());
    }
    let Some(info) = info(identifier) else {
        return Err(&rules::UNKNOWN_PROPERTY);
    };
    if info.scopes & scope.0 == 0 {
        return Err(&info.foreign);
    }
    let bit = 1 << identifier;
    let repeatable = identifier == SUBSCRIPTION_IDENTIFIER && scope == Scope::packet(PacketType::Publish);
    if *seen & bit != 0 && !repeatable {
        return Err(&info.repeated);
    }
    *seen |= bit;
    Ok(())
}

/// The largest Variable Byte Integer.
const MAX_VAR_INT: u32 = 268_435_455;
