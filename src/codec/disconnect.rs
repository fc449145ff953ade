//! DISCONNECT and AUTH.

use super::property::Scope;
use super::reader::Reader;
use super::rules;
use super::{PacketType, Properties, ProtocolVersion, ReasonCode};
use crate::error::{DecodeError, Result};

/// A DISCONNECT packet.
///
/// See MQTT 5.0, section 3.14.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Normal disconnection before MQTT 5.0.
    pub reason: ReasonCode,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
}

impl Disconnect {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut disconnect = Self {
            reason: ReasonCode::NORMAL_DISCONNECTION,
            properties: Properties::new(),
        };
        // Both the code and the Property Length may be missing (MQTT 5.0, section 3.14.2.1).
        if reader.is_v5() && !reader.is_empty() {
            let code = reader.u8()?;
            reader.obey(rules::check_reason(PacketType::Disconnect, code))?;
            disconnect.reason = ReasonCode::disconnect(code);
            if !reader.is_empty() {
                disconnect.properties = Properties::read(reader, Scope::packet(PacketType::Disconnect))?;
            }
        }
        Ok(disconnect)
    }

    pub(super) fn check(&self, version: ProtocolVersion) -> Result<()> {
        if version == ProtocolVersion::V5 {
            rules::check_reason(PacketType::Disconnect, self.reason.meaning())
                .map_err(|rule| rule.refused("reason"))?;
            self.properties.check(Scope::packet(PacketType::Disconnect))?;
        }
        Ok(())
    }

    /// Writes what follows the Fixed Header.
    pub(super) fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let code = self.reason.meaning();
        if version != ProtocolVersion::V5 || (code == 0 && self.properties.is_empty()) {
            return;
        }
        out.push(code);
        if !self.properties.is_empty() {
            self.properties.write(out);
        }
    }
}

/// An AUTH packet (MQTT 5.0).
///
/// See MQTT 5.0, section 3.15.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Success, Continue authentication or Re-authenticate.
    pub reason: ReasonCode,
    /// Properties.
    pub properties: Properties,
}

impl Auth {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut auth = Self {
            reason: ReasonCode::SUCCESS,
            properties: Properties::new(),
        };
        // Code and Property Length may be missing, but only together (MQTT 5.0, section 3.15.2.1).
        if !reader.is_empty() {
            let code = reader.u8()?;
            reader.obey(rules::check_reason(PacketType::Auth, code))?;
            auth.reason = ReasonCode::new(code);
            auth.properties = Properties::read(reader, Scope::packet(PacketType::Auth))?;
        }
        if auth.lacks_method() {
            return reader.broken(&rules::AUTH_WITHOUT_METHOD);
        }
        Ok(auth)
    }

    pub(super) fn check(&self, version: ProtocolVersion) -> Result<()> {
        if version != ProtocolVersion::V5 {
            return Err(rules::ONLY_V5.refused("packet"));
        }
        rules::check_reason(PacketType::Auth, self.reason.meaning())
            .map_err(|rule| rule.refused("reason"))?;
        self.properties.check(Scope::packet(PacketType::Auth))?;
        if self.lacks_method() {
            return Err(rules::AUTH_WITHOUT_METHOD.refused("properties"));
        }
        Ok(())
    }

    /// Writes what follows the Fixed Header.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if !self.is_shortest() {
            out.push(self.reason.meaning());
            self.properties.write(out);
        }
    }

    /// Every AUTH names its method, but for the short form of success, which has no room for it.
    fn lacks_method(&self) -> bool {
        !self.is_shortest() && self.properties.authentication_method().is_none()
    }

    fn is_shortest(&self) -> bool {
        self.reason.meaning() == 0 && self.properties.is_empty()
    }
}
