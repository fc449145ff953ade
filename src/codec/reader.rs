//! Walks the bytes of one packet. Taking more than there is fails; nothing panics.

use std::num::NonZeroU16;

use super::rules::{self, Rule};
use super::{PacketId, ProtocolVersion};
use crate::error::DecodeError;

/// The fields of one packet that are still to be read.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    version: ProtocolVersion,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(version: ProtocolVersion, bytes: &'a [u8]) -> Self {
        Self { version, rest: bytes }
    }

    pub(super) fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// CONNECT tells the version in its first fields.
    pub(super) fn set_version(&mut self, version: ProtocolVersion) {
        self.version = version;
    }

    pub(super) fn is_v5(&self) -> bool {
        self.version == ProtocolVersion::V5
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    /// The error for a peer that broke `rule`.
    pub(super) fn broken<T>(&self, rule: &Rule) -> Result<T, DecodeError> {
        Err(rule.broken(self.version))
    }

    /// Turns the outcome of a check into that of a read.
    pub(super) fn obey<T>(&self, checked: Result<T, &'static Rule>) -> Result<T, DecodeError> {
        checked.map_err(|rule| rule.broken(self.version))
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return self.broken(&rules::TOO_SHORT);
        };
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        let Some((&byte, rest)) = self.rest.split_first() else {
            return self.broken(&rules::TOO_SHORT);
        };
        self.rest = rest;
        Ok(byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else {
            return self.broken(&rules::TOO_SHORT);
        };
        self.rest = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else {
            return self.broken(&rules::TOO_SHORT);
        };
        self.rest = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    pub(super) fn var_int(&mut self) -> Result<u32, DecodeError> {
        let Some((value, size)) = self.obey(read_var_int(self.rest, self.version))? else {
            return self.broken(&rules::TOO_SHORT);
        };
        self.take(size)?;
        Ok(value)
    }

    /// Binary Data: two bytes of length, then that many bytes.
    pub(super) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// A UTF-8 Encoded String.
    pub(super) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let bytes = self.binary()?;
        self.obey(check_utf8(bytes))
    }

    pub(super) fn packet_id(&mut self, zero: &Rule) -> Result<PacketId, DecodeError> {
        match NonZeroU16::new(self.u16()?) {
            Some(packet_id) => Ok(packet_id),
            None => self.broken(zero),
        }
    }

    /// The packet's last field was read: nothing may trail.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            self.broken(&rules::TOO_LONG)
        }
    }
}

/// Reads a Variable Byte Integer off the front of `bytes`: its value and how many bytes it takes. `None`: it is not
/// complete.
pub(super) fn read_var_int(
    bytes: &[u8],
    version: ProtocolVersion,
) -> Result<Option<(u32, usize)>, &'static Rule> {
    let mut value = 0;
    let mut shift = 0;
    for (index, &byte) in bytes.iter().enumerate().take(4) {
        value |= u32::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            // MQTT 3.1 and 3.1.1 do not ask for the shortest form.
            if byte == 0 && index > 0 && version == ProtocolVersion::V5 {
                return Err(&rules::VAR_INT_NOT_MINIMAL);
            }
            return Ok(Some((value, index + 1)));
        }
        shift += 7;
    }
    if shift == 28 {
        Err(&rules::VAR_INT_TOO_LONG)
    } else {
        Ok(None)
    }
}

/// Checks that the bytes are a text as MQTT defines it. U+FEFF is a character like others.
pub(super) fn check_utf8(bytes: &[u8]) -> Result<&str, &'static Rule> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(&rules::NOT_UTF8);
    };
    if bytes.contains(&0) {
        return Err(&rules::NUL_IN_TEXT);
    }
    Ok(text)
}
