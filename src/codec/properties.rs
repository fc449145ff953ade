//! The properties of a packet: an ordered list with a typed view.

use std::fmt::{self, Write};

use bytes::Bytes;

use super::property::{Property, Scope, Value};
use super::reader::Reader;
use super::rules::{self, Rule};
use super::writer::{put_var_int, var_int_len};
use super::{PacketType, QoS};
use crate::error::{DecodeError, Result};

/// The properties of a packet, in the order in which they were added or received.
///
/// Empty for packets of MQTT 3.1 and 3.1.1. Prints like paho-mqtt, ordered by identifier,
/// but not what authentication data holds.
///
/// ```
/// use callmq::codec::{PacketType, Properties, Property};
///
/// let properties = Properties::new()
///     .with(Property::TopicAliasMaximum(10))
///     .with(Property::ReceiveMaximum(20));
/// assert_eq!(properties.to_string(), "[ReceiveMaximum : 20, TopicAliasMaximum : 10]");
/// assert_eq!(properties.receive_maximum(), Some(20));
/// assert!(properties.check_for(PacketType::Connect).is_ok());
/// assert!(properties.check_for(PacketType::Publish).is_err());
/// ```
///
/// See MQTT 5.0, section 2.2.2.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties {
    list: Vec<Property>,
}

impl Properties {
    /// Makes an empty list.
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Adds a property at the end and returns the list.
    #[must_use]
    pub fn with(mut self, property: Property) -> Self {
        self.list.push(property);
        self
    }

    /// Adds a property at the end, whether or not there is one of its kind.
    pub fn push(&mut self, property: Property) {
        self.list.push(property);
    }

    /// Puts a property in the place of those of its kind, or at the end if there is none.
    pub fn set(&mut self, property: Property) {
        let identifier = property.identifier();
        let place = self
            .list
            .iter()
            .position(|other| other.identifier() == identifier);
        self.remove(identifier);
        self.list.insert(place.unwrap_or(self.list.len()), property);
    }

    /// Removes all properties with this identifier and returns whether there were any.
    pub fn remove(&mut self, identifier: u8) -> bool {
        let before = self.list.len();
        self.list.retain(|property| property.identifier() != identifier);
        self.list.len() != before
    }

    /// Removes all properties.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Returns the properties in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Property> {
        self.list.iter()
    }

    /// Returns how many properties there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns whether there are no properties.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Checks that a packet may carry these properties: each belongs into it, stands no more often than it may, and
    /// has a value in its range.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::error::Error::InvalidArgument) that names the first property for which this
    /// does not hold.
    pub fn check_for(&self, packet: PacketType) -> Result<()> {
        self.check(Scope::packet(packet))
    }

    /// Checks that a Will may carry these properties; see [`check_for`](Self::check_for).
    ///
    /// # Errors
    ///
    /// As [`check_for`](Self::check_for).
    pub fn check_for_will(&self) -> Result<()> {
        self.check(Scope::WILL)
    }

    pub(super) fn check(&self, scope: Scope) -> Result<()> {
        let mut seen = 0;
        self.list
            .iter()
            .try_for_each(|property| property.check(scope, &mut seen))
            .and_then(|()| self.check_authentication())
            .map_err(|rule| rule.refused("properties"))
    }

    /// Checks that there is no data for an authentication without a method.
    fn check_authentication(&self) -> Result<(), &'static Rule> {
        if self.authentication_data().is_some() && self.authentication_method().is_none() {
            return Err(&rules::DATA_WITHOUT_METHOD);
        }
        Ok(())
    }

    /// Reads the Property Length and the properties that are allowed in `scope`.
    pub(super) fn read(reader: &mut Reader<'_>, scope: Scope) -> Result<Self, DecodeError> {
        if reader.is_empty() {
            return reader.broken(&rules::NO_PROPERTY_LENGTH);
        }
        let length = reader.var_int()?;
        let mut reader = Reader::new(reader.version(), reader.take(length as usize)?);
        let mut properties = Self::new();
        let mut seen = 0;
        while !reader.is_empty() {
            let property = Property::read(&mut reader, scope, &mut seen)?;
            properties.list.push(property);
        }
        reader.obey(properties.check_authentication())?;
        Ok(properties)
    }

    /// How many bytes the properties take, without the Property Length.
    pub(super) fn encoded_len(&self) -> usize {
        self.list.iter().map(Property::encoded_len).sum()
    }

    /// How many bytes the properties take, with the Property Length.
    pub(super) fn encoded_len_with_length(&self) -> usize {
        let length = self.encoded_len();
        var_int_len(length) + length
    }

    /// Writes the Property Length and the properties.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_var_int(out, self.encoded_len() as u32);
        for property in &self.list {
            property.write(out);
        }
    }
}

macro_rules! getters {
    ($($(#[$doc:meta])* $getter:ident: $variant:ident($value:ident) -> $type:ty = $result:expr;)*) => {
        /// What the list says, by name. Where a property stands more than once the first counts.
        impl Properties {
            $(
                $(#[$doc])*
                pub fn $getter(&self) -> Option<$type> {
                    self.list.iter().find_map(|property| match property {
                        Property::$variant($value) => $result,
                        _ => None,
                    })
                }
            )*
        }
    };
}

getters! {
    /// Whether the payload is UTF-8 (1) or bytes (0).
    payload_format_indicator: PayloadFormatIndicator(value) -> u8 = Some(*value);
    /// The message's lifetime in seconds.
    message_expiry_interval: MessageExpiryInterval(value) -> u32 = Some(*value);
    /// The payload's type.
    content_type: ContentType(value) -> &str = Some(value.as_str());
    /// The Topic Name for a response.
    response_topic: ResponseTopic(value) -> &str = Some(value.as_str());
    /// What request a response belongs to.
    correlation_data: CorrelationData(value) -> &Bytes = Some(value);
    /// The Session Expiry Interval in seconds.
    session_expiry_interval: SessionExpiryInterval(value) -> u32 = Some(*value);
    /// The Client Identifier that the server chose.
    assigned_client_identifier: AssignedClientIdentifier(value) -> &str = Some(value.as_str());
    /// The Keep Alive that the server demands, in seconds.
    server_keep_alive: ServerKeepAlive(value) -> u16 = Some(*value);
    /// The method of enhanced authentication.
    authentication_method: AuthenticationMethod(value) -> &str = Some(value.as_str());
    /// The data of enhanced authentication.
    authentication_data: AuthenticationData(value) -> &Bytes = Some(value);
    /// Whether reason strings and user properties are wanted with failures.
    request_problem_information: RequestProblemInformation(value) -> bool = Some(*value != 0);
    /// How long the Will is held back, in seconds.
    will_delay_interval: WillDelayInterval(value) -> u32 = Some(*value);
    /// Whether Response Information is wanted.
    request_response_information: RequestResponseInformation(value) -> bool = Some(*value != 0);
    /// What a Response Topic may be made from.
    response_information: ResponseInformation(value) -> &str = Some(value.as_str());
    /// Other servers to use.
    server_reference: ServerReference(value) -> &str = Some(value.as_str());
    /// The reason code in words.
    reason_string: ReasonString(value) -> &str = Some(value.as_str());
    /// How many PUBLISH packets of QoS 1 and 2 may be unfinished at once.
    receive_maximum: ReceiveMaximum(value) -> u16 = Some(*value);
    /// The highest Topic Alias that the sender accepts.
    topic_alias_maximum: TopicAliasMaximum(value) -> u16 = Some(*value);
    /// The number for the Topic Name.
    topic_alias: TopicAlias(value) -> u16 = Some(*value);
    /// The highest QoS that the server accepts.
    maximum_qos: MaximumQoS(value) -> QoS = QoS::try_from(*value).ok();
    /// Whether the server keeps retained messages.
    retain_available: RetainAvailable(value) -> bool = Some(*value != 0);
    /// The largest packet that the sender accepts, in bytes.
    maximum_packet_size: MaximumPacketSize(value) -> u32 = Some(*value);
    /// Whether filters may have wildcards.
    wildcard_subscription_available: WildcardSubscriptionAvailable(value) -> bool = Some(*value != 0);
    /// Whether subscriptions may have identifiers.
    subscription_identifier_available: SubscriptionIdentifierAvailable(value) -> bool = Some(*value != 0);
    /// Whether subscriptions may be shared.
    shared_subscription_available: SharedSubscriptionAvailable(value) -> bool = Some(*value != 0);
}

/// Properties that may stand more than once.
impl Properties {
    /// Returns the Subscription Identifiers in their order.
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> + '_ {
        self.list.iter().filter_map(|property| match property {
            Property::SubscriptionIdentifier(value) => Some(*value),
            _ => None,
        })
    }

    /// Returns the names and values of the User Properties in their order.
    pub fn user_properties(&self) -> impl Iterator<Item = (&str, &str)> + '_ {
        self.list.iter().filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name.as_str(), value.as_str())),
            _ => None,
        })
    }
}

impl fmt::Display for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list: Vec<&Property> = self.list.iter().collect();
        list.sort_by_key(|property| property.identifier());
        f.write_char('[')?;
        for (index, kind) in list
            .chunk_by(|one, other| one.identifier() == other.identifier())
            .enumerate()
        {
            let Some(first) = kind.first() else { continue };
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{} : ", first.name())?;
            // paho-mqtt keeps a list for those that may stand more than once.
            let (open, close) = if first.is_repeatable() {
                ("[", "]")
            } else {
                ("", "")
            };
            f.write_str(open)?;
            for (index, property) in kind.iter().enumerate() {
                if index > 0 {
                    f.write_str(", ")?;
                }
                if property.is_secret() {
                    f.write_str("..")?;
                } else {
                    write_value(f, property.value())?;
                }
            }
            f.write_str(close)?;
        }
        f.write_char(']')
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write_value(f: &mut fmt::Formatter<'_>, value: Value<'_>) -> fmt::Result {
    match value {
        Value::Byte(value) => write!(f, "{value}"),
        Value::TwoByte(value) => write!(f, "{value}"),
        Value::FourByte(value) | Value::VarInt(value) => write!(f, "{value}"),
        Value::Text(text) => f.write_str(text),
        Value::Binary(bytes) => write!(f, "b'{}'", bytes.escape_ascii()),
        Value::Pair(name, value) => write!(f, "('{}', '{}')", name.escape_debug(), value.escape_debug()),
    }
}

impl From<Property> for Properties {
    fn from(property: Property) -> Self {
        Self { list: vec![property] }
    }
}

impl From<Vec<Property>> for Properties {
    fn from(list: Vec<Property>) -> Self {
        Self { list }
    }
}

impl<const N: usize> From<[Property; N]> for Properties {
    fn from(list: [Property; N]) -> Self {
        Self { list: list.into() }
    }
}

impl FromIterator<Property> for Properties {
    fn from_iter<I: IntoIterator<Item = Property>>(list: I) -> Self {
        Self {
            list: list.into_iter().collect(),
        }
    }
}

impl Extend<Property> for Properties {
    fn extend<I: IntoIterator<Item = Property>>(&mut self, list: I) {
        self.list.extend(list);
    }
}

impl IntoIterator for Properties {
    type Item = Property;
    type IntoIter = std::vec::IntoIter<Property>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl<'a> IntoIterator for &'a Properties {
    type Item = &'a Property;
    type IntoIter = std::slice::Iter<'a, Property>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}
