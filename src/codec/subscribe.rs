//! SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK.

use std::fmt;

use super::property::Scope;
use super::reader::Reader;
use super::rules::{self, Rule};
use super::writer::{check_text, put_binary, put_u16};
use super::{PacketId, PacketType, Properties, ProtocolVersion, QoS, ReasonCode};
use crate::error::{DecodeError, Error, Result};
use crate::topic;

/// A SUBSCRIBE packet.
///
/// See MQTT 5.0, section 3.8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Packet Identifier.
    pub packet_id: PacketId,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
    /// Filters with their options; at least one.
    pub subscriptions: Vec<Subscription>,
}

impl Subscribe {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id(&rules::PACKET_ID_ZERO)?;
        let properties = read_properties(reader, PacketType::Subscribe)?;
        let mut subscriptions = Vec::new();
        while !reader.is_empty() {
            let filter = read_filter(reader)?;
            let bits = reader.u8()?;
            let options = reader.obey(SubscribeOptions::from_bits(bits, reader.version()))?;
            reader.obey(options.check_shared(filter))?;
            subscriptions.push(Subscription {
                filter: filter.into(),
                options,
            });
        }
        if subscriptions.is_empty() {
            return reader.broken(&rules::NO_FILTER);
        }
        Ok(Self {
            packet_id,
            properties,
            subscriptions,
        })
    }

    pub(super) fn check(&self, version: ProtocolVersion) -> Result<()> {
        if self.subscriptions.is_empty() {
            return Err(rules::NO_FILTER.refused("subscriptions"));
        }
        for Subscription { filter, options } in &self.subscriptions {
            check_filter(filter).map_err(|rule| rule.refused("filter"))?;
            if version == ProtocolVersion::V5 {
                options
                    .check_shared(filter)
                    .map_err(|rule| rule.refused("options"))?;
            }
        }
        check_properties(&self.properties, PacketType::Subscribe, version)
    }

    /// Writes what follows the Fixed Header.
    pub(super) fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        put_u16(out, self.packet_id.get());
        write_properties(&self.properties, version, out);
        for Subscription { filter, options } in &self.subscriptions {
            put_binary(out, filter.as_bytes());
            out.push(options.bits(version));
        }
    }
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
///
/// ```
/// use callmq::client::{Client, MQTTv5, QoS, RetainHandling, SubscribeOptions};
///
/// let client = Client::builder("chat").protocol(MQTTv5).build();
/// let options = SubscribeOptions {
///     no_local: true,
///     retain_handling: RetainHandling::DoNotSend,
///     ..QoS::AtLeastOnce.into()
/// };
/// client.subscribe(("chat/#", options))?;
/// # Ok::<(), callmq::Error>(())
/// ```
///
/// See MQTT 5.0, section 3.8.3.1.
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

impl SubscribeOptions {
    fn from_bits(bits: u8, version: ProtocolVersion) -> Result<Self, &'static Rule> {
        let reserved = match version {
            // MQTT 3.1 does not use the other bits and gives receivers no duty to check them (section 3.8).
            ProtocolVersion::V31 => 0,
            ProtocolVersion::V311 => 0b1111_1100,
            ProtocolVersion::V5 => 0b1100_0000,
        };
        if bits & reserved != 0 {
            return Err(&rules::SUBSCRIBE_OPTION_BITS);
        }
        let Some(qos) = QoS::from_bits(bits) else {
            return Err(&rules::SUBSCRIBE_QOS_3);
        };
        if version != ProtocolVersion::V5 {
            return Ok(Self {
                qos,
                ..Self::default()
            });
        }
        Ok(Self {
            qos,
            no_local: bits & NO_LOCAL != 0,
            retain_as_published: bits & RETAIN_AS_PUBLISHED != 0,
            retain_handling: RetainHandling::from_number(bits >> 4).ok_or(&rules::RETAIN_HANDLING_3)?,
        })
    }

    fn bits(self, version: ProtocolVersion) -> u8 {
        let qos = self.qos as u8;
        if version != ProtocolVersion::V5 {
            return qos;
        }
        qos | if self.no_local { NO_LOCAL } else { 0 }
            | if self.retain_as_published {
                RETAIN_AS_PUBLISHED
            } else {
                0
            }
            | (self.retain_handling as u8) << 4
    }

    fn check_shared(self, filter: &str) -> Result<(), &'static Rule> {
        if self.no_local && filter.starts_with(SHARE_PREFIX) {
            return Err(&rules::NO_LOCAL_SHARED);
        }
        Ok(())
    }
}

impl From<QoS> for SubscribeOptions {
    fn from(qos: QoS) -> Self {
        Self {
            qos,
            ..Self::default()
        }
    }
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

impl RetainHandling {
    const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::SendOnSubscribe),
            1 => Some(Self::SendIfNew),
            2 => Some(Self::DoNotSend),
            _ => None,
        }
    }
}

impl TryFrom<u8> for RetainHandling {
    type Error = Error;

    fn try_from(number: u8) -> Result<Self, Error> {
        Self::from_number(number).ok_or(Error::argument("retain_handling", "must be 0, 1 or 2"))
    }
}

impl From<RetainHandling> for u8 {
    fn from(handling: RetainHandling) -> u8 {
        handling as u8
    }
}

/// Prints the number.
impl fmt::Display for RetainHandling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&(*self as u8), f)
    }
}

/// A SUBACK packet.
///
/// See MQTT 5.0, section 3.9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck {
    /// Identifier of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
    /// One code per filter, in order.
    pub reasons: Vec<ReasonCode>,
}

impl SubAck {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id(&rules::SUBACK_PACKET_ID_ZERO)?;
        let properties = read_properties(reader, PacketType::SubAck)?;
        let mut reasons = Vec::with_capacity(reader.len());
        while !reader.is_empty() {
            let code = reader.u8()?;
            reader.obey(check_sub_ack(code, reader.version()))?;
            reasons.push(ReasonCode::sub_ack(code));
        }
        if reasons.is_empty() {
            return reader.broken(&rules::NO_SUBACK_REASON);
        }
        Ok(Self {
            packet_id,
            properties,
            reasons,
        })
    }

    pub(super) fn check(&self, version: ProtocolVersion) -> Result<()> {
        if self.reasons.is_empty() {
            return Err(rules::NO_SUBACK_REASON.refused("reasons"));
        }
        for &reason in &self.reasons {
            check_sub_ack(sub_ack_code(reason, version), version).map_err(|rule| rule.refused("reasons"))?;
        }
        check_properties(&self.properties, PacketType::SubAck, version)
    }

    /// Writes what follows the Fixed Header.
    pub(super) fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        put_u16(out, self.packet_id.get());
        write_properties(&self.properties, version, out);
        out.extend(self.reasons.iter().map(|&reason| sub_ack_code(reason, version)));
    }
}

/// An UNSUBSCRIBE packet.
///
/// See MQTT 5.0, section 3.10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Packet Identifier.
    pub packet_id: PacketId,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
    /// Filters; at least one.
    pub filters: Vec<String>,
}

impl Unsubscribe {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id(&rules::PACKET_ID_ZERO)?;
        let properties = read_properties(reader, PacketType::Unsubscribe)?;
        let mut filters = Vec::new();
        while !reader.is_empty() {
            filters.push(read_filter(reader)?.into());
        }
        if filters.is_empty() {
            return reader.broken(&rules::NO_FILTER_TO_REMOVE);
        }
        Ok(Self {
            packet_id,
            properties,
            filters,
        })
    }

    pub(super) fn check(&self, version: ProtocolVersion) -> Result<()> {
        if self.filters.is_empty() {
            return Err(rules::NO_FILTER_TO_REMOVE.refused("filters"));
        }
        for filter in &self.filters {
            check_filter(filter).map_err(|rule| rule.refused("filter"))?;
        }
        check_properties(&self.properties, PacketType::Unsubscribe, version)
    }

    /// Writes what follows the Fixed Header.
    pub(super) fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        put_u16(out, self.packet_id.get());
        write_properties(&self.properties, version, out);
        for filter in &self.filters {
            put_binary(out, filter.as_bytes());
        }
    }
}

/// An UNSUBACK packet.
///
/// See MQTT 5.0, section 3.11.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsubAck {
    /// Identifier of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
    /// One code per filter in MQTT 5.0, empty before.
    pub reasons: Vec<ReasonCode>,
}

impl UnsubAck {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id(&rules::SUBACK_PACKET_ID_ZERO)?;
        let properties = read_properties(reader, PacketType::UnsubAck)?;
        let mut reasons = Vec::new();
        if reader.is_v5() {
            reasons.reserve(reader.len());
            while !reader.is_empty() {
                let code = reader.u8()?;
                reader.obey(rules::check_reason(PacketType::UnsubAck, code))?;
                reasons.push(ReasonCode::new(code));
            }
            if reasons.is_empty() {
                return reader.broken(&rules::NO_UNSUBACK_REASON);
            }
        }
        Ok(Self {
            packet_id,
            properties,
            reasons,
        })
    }

    pub(super) fn check(&self, version: ProtocolVersion) -> Result<()> {
        if version != ProtocolVersion::V5 {
            return Ok(());
        }
        if self.reasons.is_empty() {
            return Err(rules::NO_UNSUBACK_REASON.refused("reasons"));
        }
        for reason in &self.reasons {
            rules::check_reason(PacketType::UnsubAck, reason.meaning())
                .map_err(|rule| rule.refused("reasons"))?;
        }
        check_properties(&self.properties, PacketType::UnsubAck, version)
    }

    /// Writes what follows the Fixed Header.
    pub(super) fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        put_u16(out, self.packet_id.get());
        write_properties(&self.properties, version, out);
        if version == ProtocolVersion::V5 {
            out.extend(self.reasons.iter().map(|reason| reason.meaning()));
        }
    }
}

fn read_filter<'a>(reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let filter = reader.text()?;
    reader.obey(check_filter(filter))?;
    Ok(filter)
}

fn check_filter(filter: &str) -> Result<(), &'static Rule> {
    if filter.is_empty() {
        return Err(&rules::EMPTY_FILTER);
    }
    check_text(filter)?;
    if topic::check_filter(filter).is_ok() {
        return Ok(());
    }
    // It breaks a rule: which one?
    if let Some(shared) = filter.strip_prefix(SHARE_PREFIX) {
        match shared.split_once('/') {
            Some(("", _)) => return Err(&rules::SHARE_NAME_EMPTY),
            Some((name, filter)) if !filter.is_empty() && !name.contains(['+', '#']) => {}
            _ => return Err(&rules::SHARED_FILTER),
        }
    }
    let hash_stands_wrong = match filter.split_once('#') {
        Some((before, after)) => !after.is_empty() || !(before.is_empty() || before.ends_with('/')),
        None => false,
    };
    Err(if hash_stands_wrong {
        &rules::HASH_WILDCARD
    } else {
        &rules::PLUS_WILDCARD
    })
}

fn check_sub_ack(code: u8, version: ProtocolVersion) -> Result<(), &'static Rule> {
    match version {
        ProtocolVersion::V5 => rules::check_reason(PacketType::SubAck, code),
        ProtocolVersion::V31 | ProtocolVersion::V311 => match code {
            0x00..=0x02 | 0x80 => Ok(()),
            _ => Err(&rules::SUBACK_REASON),
        },
    }
}

/// The code on the wire: before MQTT 5.0 all failures are one.
fn sub_ack_code(reason: ReasonCode, version: ProtocolVersion) -> u8 {
    if version != ProtocolVersion::V5 && reason.is_failure() {
        return ReasonCode::UNSPECIFIED_ERROR.value();
    }
    reason.meaning()
}

/// Properties of a packet that has none before MQTT 5.0.
fn read_properties(reader: &mut Reader<'_>, packet: PacketType) -> Result<Properties, DecodeError> {
    if reader.is_v5() {
        Properties::read(reader, Scope::packet(packet))
    } else {
        Ok(Properties::new())
    }
}

fn check_properties(properties: &Properties, packet: PacketType, version: ProtocolVersion) -> Result<()> {
    if version == ProtocolVersion::V5 {
        properties.check(Scope::packet(packet))?;
    }
    Ok(())
}

fn write_properties(properties: &Properties, version: ProtocolVersion, out: &mut Vec<u8>) {
    if version == ProtocolVersion::V5 {
        properties.write(out);
    }
}

/// The No Local bit of the Subscription Options.
const NO_LOCAL: u8 = 0b0000_0100;
/// The Retain As Published bit.
const RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;

/// What a shared subscription's filter begins with.
const SHARE_PREFIX: &str = "$share/";
