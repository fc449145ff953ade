//! The versions of the protocol.

use std::fmt;

use crate::error::Error;

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

impl ProtocolVersion {
    /// The protocol name in CONNECT.
    pub(super) const fn protocol_name(self) -> &'static str {
        match self {
            Self::V31 => "MQIsdp",
            Self::V311 | Self::V5 => "MQTT",
        }
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V31 => "MQTT 3.1",
            Self::V311 => "MQTT 3.1.1",
            Self::V5 => "MQTT 5.0",
        })
    }
}

impl TryFrom<u8> for ProtocolVersion {
    type Error = Error;

    /// Reads a protocol level: 3, 4 or 5.
    fn try_from(level: u8) -> Result<Self, Error> {
        match level {
            3 => Ok(Self::V31),
            4 => Ok(Self::V311),
            5 => Ok(Self::V5),
            _ => Err(Error::argument("protocol", "must be 3, 4 or 5")),
        }
    }
}

impl From<ProtocolVersion> for u8 {
    fn from(version: ProtocolVersion) -> u8 {
        version as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_a_level_and_a_name() {
        for (version, level, name) in [
            (ProtocolVersion::V31, 3, "MQTT 3.1"),
            (ProtocolVersion::V311, 4, "MQTT 3.1.1"),
            (ProtocolVersion::V5, 5, "MQTT 5.0"),
        ] {
            assert_eq!(ProtocolVersion::try_from(level).unwrap(), version);
            assert_eq!(u8::from(version), level);
            assert_eq!(version.to_string(), name);
        }
        assert!(ProtocolVersion::try_from(2).is_err());
        assert!(ProtocolVersion::try_from(6).is_err());
    }
}
