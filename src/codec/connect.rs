//! CONNECT and CONNACK.

use std::fmt;

use bytes::Bytes;

use super::property::Scope;
use super::reader::Reader;
use super::rules;
use super::topic_cache::check_wildcards;
use super::writer::{check_binary, check_text, put_binary, put_u16};
use super::{PacketType, Properties, ProtocolVersion, QoS, ReasonCode, TopicName};
use crate::error::{DecodeError, Result};

/// A CONNECT packet.
///
/// `Debug` does not show the password.
///
/// See MQTT 5.0, section 3.1.
#[derive(Clone, PartialEq, Eq)]
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
///
/// See MQTT 5.0, section 3.1.2.5.
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

impl Connect {
    /// Reads the packet; from its protocol level on the reader has its version.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (version, bridge) = read_version(reader)?;
        reader.set_version(version);
        let flags = reader.u8()?;
        check_flags(reader, flags)?;
        let keep_alive = reader.u16()?;
        let properties = if reader.is_v5() {
            Properties::read(reader, Scope::packet(PacketType::Connect))?
        } else {
            Properties::new()
        };
        let client_id = reader.text()?.into();
        let will = if flags & WILL == 0 {
            None
        } else {
            Some(Will::read(reader, flags)?)
        };
        // In MQTT 3.1 the flags promise nothing: the packet may end before these two (section 3.1).
        let missing = |reader: &Reader<'_>| version == ProtocolVersion::V31 && reader.is_empty();
        let username = if flags & USER_NAME == 0 || missing(reader) {
            None
        } else {
            Some(reader.text()?.into())
        };
        let password = if flags & PASSWORD == 0 || missing(reader) {
            None
        } else {
            Some(Bytes::copy_from_slice(reader.binary()?))
        };
        Ok(Self {
            version,
            bridge,
            clean_start: flags & CLEAN_START != 0,
            keep_alive,
            client_id,
            will,
            username,
            password,
            properties,
        })
    }

    pub(super) fn check(&self) -> Result<()> {
        check_text(&self.client_id).map_err(|rule| rule.refused("client_id"))?;
        if let Some(username) = &self.username {
            check_text(username).map_err(|rule| rule.refused("username"))?;
        }
        if let Some(password) = &self.password {
            check_binary(password).map_err(|rule| rule.refused("password"))?;
        }
        let v5 = self.version == ProtocolVersion::V5;
        if self.password.is_some() && self.username.is_none() && !v5 {
            return Err(rules::PASSWORD_WITHOUT_USER_NAME.refused("password"));
        }
        if v5 {
            self.properties.check(Scope::packet(PacketType::Connect))?;
        }
        match &self.will {
            Some(will) => will.check(self.version),
            None => Ok(()),
        }
    }

    /// Writes what follows the Fixed Header.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_binary(out, self.version.protocol_name().as_bytes());
        out.push(self.version as u8 | if self.bridge { BRIDGE } else { 0 });
        out.push(self.flags());
        put_u16(out, self.keep_alive);
        if self.version == ProtocolVersion::V5 {
            self.properties.write(out);
        }
        put_binary(out, self.client_id.as_bytes());
        if let Some(will) = &self.will {
            will.write(self.version, out);
        }
        if let Some(username) = &self.username {
            put_binary(out, username.as_bytes());
        }
        if let Some(password) = &self.password {
            put_binary(out, password);
        }
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.clean_start {
            flags |= CLEAN_START;
        }
        if let Some(will) = &self.will {
            flags |= WILL | (will.qos as u8) << WILL_QOS_SHIFT;
            if will.retain {
                flags |= WILL_RETAIN;
            }
        }
        if self.username.is_some() {
            flags |= USER_NAME;
        }
        if self.password.is_some() {
            flags |= PASSWORD;
        }
        flags
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("bridge", &self.bridge)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| format_args!("..")))
            .field("properties", &self.properties)
            .finish()
    }
}

/// Reads protocol name and level; the level's highest bit marks a bridge.
fn read_version(reader: &mut Reader<'_>) -> Result<(ProtocolVersion, bool), DecodeError> {
    let name = reader.binary()?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return reader.broken(&rules::PROTOCOL_NAME);
    }
    let level = reader.u8()?;
    match ProtocolVersion::try_from(level & !BRIDGE) {
        Ok(version) if version.protocol_name().as_bytes() == name => Ok((version, level & BRIDGE != 0)),
        _ => reader.broken(&rules::PROTOCOL_LEVEL),
    }
}

/// Checks that the Connect Flags fit each other.
fn check_flags(reader: &Reader<'_>, flags: u8) -> Result<(), DecodeError> {
    let version = reader.version();
    // MQTT 3.1 disregards the reserved bit, and the bits of a Will that is not there (section 3.1).
    if version != ProtocolVersion::V31 {
        if flags & RESERVED != 0 {
            return reader.broken(&rules::CONNECT_FLAG);
        }
        if flags & WILL == 0 && flags >> WILL_QOS_SHIFT & 0b11 != 0 {
            return reader.broken(&rules::WILL_QOS_WITHOUT_WILL);
        }
        if flags & WILL == 0 && flags & WILL_RETAIN != 0 {
            return reader.broken(&rules::WILL_RETAIN_WITHOUT_WILL);
        }
    }
    if version != ProtocolVersion::V5 && flags & PASSWORD != 0 && flags & USER_NAME == 0 {
        return reader.broken(&rules::PASSWORD_WITHOUT_USER_NAME);
    }
    Ok(())
}

impl Will {
    fn read(reader: &mut Reader<'_>, flags: u8) -> Result<Self, DecodeError> {
        let Some(qos) = QoS::from_bits(flags >> WILL_QOS_SHIFT) else {
            return reader.broken(&rules::WILL_QOS_3);
        };
        let properties = if reader.is_v5() {
            Properties::read(reader, Scope::WILL)?
        } else {
            Properties::new()
        };
        let topic = reader.text()?;
        if topic.is_empty() {
            return reader.broken(&rules::EMPTY_TOPIC);
        }
        reader.obey(check_wildcards(topic, &rules::WILL_TOPIC_WILDCARD))?;
        Ok(Self {
            topic: TopicName::from_checked(topic),
            payload: Bytes::copy_from_slice(reader.binary()?),
            qos,
            retain: flags & WILL_RETAIN != 0,
            properties,
        })
    }

    fn check(&self, version: ProtocolVersion) -> Result<()> {
        let topic = self.topic.as_str();
        if topic.is_empty() {
            return Err(rules::EMPTY_TOPIC.refused("topic"));
        }
        check_text(topic)
            .and_then(|()| check_wildcards(topic, &rules::WILL_TOPIC_WILDCARD))
            .map_err(|rule| rule.refused("topic"))?;
        check_binary(&self.payload).map_err(|rule| rule.refused("payload"))?;
        if version == ProtocolVersion::V5 {
            self.properties.check(Scope::WILL)?;
        }
        Ok(())
    }

    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        if version == ProtocolVersion::V5 {
            self.properties.write(out);
        }
        put_binary(out, self.topic.as_str().as_bytes());
        put_binary(out, &self.payload);
    }
}

/// A CONNACK packet.
///
/// See MQTT 5.0, section 3.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether the server has a session for this client.
    pub session_present: bool,
    /// Success, or why the connection is refused.
    pub reason: ReasonCode,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
}

impl ConnAck {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.u8()?;
        // MQTT 3.1 does not use the other bits and gives receivers no duty to check them (section 3.2).
        if flags & !SESSION_PRESENT != 0 && reader.version() != ProtocolVersion::V31 {
            return reader.broken(&rules::CONNACK_FLAGS);
        }
        let code = reader.u8()?;
        let mut connack = Self {
            session_present: flags & SESSION_PRESENT != 0,
            reason: ReasonCode::from_connack_v3(code),
            properties: Properties::new(),
        };
        // A server that does not know MQTT 5.0 refuses it in the words of 3.1.1, where there are no properties.
        let from_v3_server = reader.is_empty() && (1..=5).contains(&code);
        if reader.is_v5() && !from_v3_server {
            reader.obey(rules::check_reason(PacketType::ConnAck, code))?;
            connack.reason = ReasonCode::new(code);
            connack.properties = Properties::read(reader, Scope::packet(PacketType::ConnAck))?;
        }
        let refused = connack.reason.is_failure();
        if connack.session_present && refused && reader.version() != ProtocolVersion::V31 {
            return reader.broken(&rules::SESSION_PRESENT);
        }
        Ok(connack)
    }

    pub(super) fn check(&self, version: ProtocolVersion) -> Result<()> {
        if self.session_present && self.reason.is_failure() && version != ProtocolVersion::V31 {
            return Err(rules::SESSION_PRESENT.refused("session_present"));
        }
        if version == ProtocolVersion::V5 {
            rules::check_reason(PacketType::ConnAck, self.reason.meaning())
                .map_err(|rule| rule.refused("reason"))?;
            self.properties.check(Scope::packet(PacketType::ConnAck))?;
        }
        Ok(())
    }

    /// Writes what follows the Fixed Header.
    pub(super) fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        out.push(if self.session_present { SESSION_PRESENT } else { 0 });
        if version == ProtocolVersion::V5 {
            out.push(self.reason.meaning());
            self.properties.write(out);
        } else {
            out.push(return_code(self.reason));
        }
    }
}

/// The return code of MQTT 3.1 and 3.1.1 for a reason.
fn return_code(reason: ReasonCode) -> u8 {
    // One that came from MQTT 3 keeps its number.
    if reason.value() != reason.meaning() || !reason.is_failure() {
        return reason.value();
    }
    (1..=5)
        .find(|&code| ReasonCode::from_connack_v3(code) == reason)
        .unwrap_or(SERVER_UNAVAILABLE)
}

/// The level's bit that marks a bridge.
const BRIDGE: u8 = 0b1000_0000;

// Connect Flags (MQTT 5.0, figure 3-4).
const RESERVED: u8 = 0b0000_0001;
const CLEAN_START: u8 = 0b0000_0010;
const WILL: u8 = 0b0000_0100;
const WILL_QOS_SHIFT: u8 = 3;
const WILL_RETAIN: u8 = 0b0010_0000;
const PASSWORD: u8 = 0b0100_0000;
const USER_NAME: u8 = 0b1000_0000;

/// The one flag of CONNACK.
const SESSION_PRESENT: u8 = 0b0000_0001;

/// The return code of MQTT 3 for refusals that it has no code for.
const SERVER_UNAVAILABLE: u8 = 3;
