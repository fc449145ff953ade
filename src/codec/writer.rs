//! Appends fields to a buffer. Their values were checked before.

use super::MAX_REMAINING_LENGTH;
use super::rules::{self, Rule};
use crate::error::{Error, Result};

pub(super) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends Binary Data, or a text: two bytes of length, then the bytes.
pub(super) fn put_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    debug_assert!(bytes.len() <= usize::from(u16::MAX), "checked before");
    put_u16(out, bytes.len() as u16);
    out.extend_from_slice(bytes);
}

pub(super) fn put_var_int(out: &mut Vec<u8>, value: u32) {
    let (bytes, size) = var_int(value);
    out.extend_from_slice(&bytes[..size]);
}

/// Appends what `body` writes, with its length as a Variable Byte Integer in front.
///
/// # Errors
///
/// The body is too long for a packet; then `out` is left as it was.
pub(super) fn put_with_length(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
    let start = out.len();
    // Most lengths take one byte; for the others the body moves up.
    out.push(0);
    body(out);
    let length = out.len() - start - 1;
    if length > MAX_REMAINING_LENGTH {
        out.truncate(start);
        return Err(Error::argument(
            "packet",
            "must not be longer than 268,435,455 bytes",
        ));
    }
    let (bytes, size) = var_int(length as u32);
    if size == 1 {
        out[start] = bytes[0];
    } else {
        out.splice(start..=start, bytes[..size].iter().copied());
    }
    Ok(())
}

/// A Variable Byte Integer in its shortest form: the bytes and how many of them count.
pub(super) fn var_int(mut value: u32) -> ([u8; 4], usize) {
    let mut bytes = [0; 4];
    let mut size = 0;
    for byte in &mut bytes {
        size += 1;
        *byte = (value & 0x7F) as u8;
        value >>= 7;
        if value == 0 {
            break;
        }
        *byte |= 0x80;
    }
    (bytes, size)
}

/// How many bytes a Variable Byte Integer takes.
pub(super) const fn var_int_len(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// Checks that a text can be written.
pub(super) fn check_text(text: &str) -> Result<(), &'static Rule> {
    if text.as_bytes().contains(&0) {
        return Err(&rules::NUL_IN_TEXT);
    }
    check_binary(text.as_bytes())
}

/// Checks that Binary Data can be written.
pub(super) fn check_binary(bytes: &[u8]) -> Result<(), &'static Rule> {
    if bytes.len() > usize::from(u16::MAX) {
        return Err(&rules::FIELD_TOO_LONG);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::ProtocolVersion;
    use crate::codec::reader::read_var_int;

    /// [5.0/MQTT-1.5.5-1]
    #[test]
    fn variable_byte_integers_have_the_lengths_of_the_standard() {
        // MQTT 5.0, table 1-1.
        for (value, size) in [
            (0, 1),
            (127, 1),
            (128, 2),
            (16_383, 2),
            (16_384, 3),
            (2_097_151, 3),
            (2_097_152, 4),
            (268_435_455, 4),
        ] {
            let mut out = Vec::new();
            put_var_int(&mut out, value);
            assert_eq!((out.len(), var_int_len(value as usize)), (size, size), "{value}");
            for version in [ProtocolVersion::V311, ProtocolVersion::V5] {
                let read = read_var_int(&out, version).unwrap();
                assert_eq!(read, Some((value, size)));
            }
            assert_eq!(read_var_int(&out[..size - 1], ProtocolVersion::V5).unwrap(), None);
        }
    }

    #[test]
    fn a_length_is_written_in_front_of_its_body() {
        for size in [0, 1, 127, 128, 16_383, 16_384] {
            let mut out = b"before".to_vec();
            put_with_length(&mut out, |out| out.extend(std::iter::repeat_n(0x61, size))).unwrap();
            let rest = &out[6..];
            let Some((value, header)) = read_var_int(rest, ProtocolVersion::V5).unwrap() else {
                panic!("no length");
            };
            assert_eq!((value as usize, rest.len() - header), (size, size));
            assert!(rest[header..].iter().all(|&byte| byte == 0x61));
        }
    }
}
