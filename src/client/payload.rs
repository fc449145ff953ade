//! The payload of a message: shared bytes that read as a slice and print as text.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};
use std::str::Utf8Chunks;

use bytes::Bytes;

use crate::error::Result;

/// The payload of a message: bytes, cheap to clone.
///
/// It derefs to `[u8]`. `{}` prints it as text, with U+FFFD for what is not UTF-8; `{:?}` prints it like a byte string.
///
/// One that was received is a part of the buffer that it was read into, perhaps with other messages, and keeps all of
/// that. A program that keeps few of many for long had better keep copies of them (`to_vec`).
///
/// ```
/// use callmq::client::Payload;
///
/// let payload = Payload::from("21.5");
/// assert_eq!(payload, "21.5");
/// assert_eq!(payload.decode()?.parse::<f32>()?, 21.5);
/// assert_eq!(payload.len(), 4);
/// assert_eq!(format!("{payload} {payload:?}"), r#"21.5 b"21.5""#);
/// # Ok::<(), callmq::error::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Payload {
    /// May be more: the buffer that the message was read into.
    buffer: Bytes,
    /// Which part of it. A slice would be an owner of the buffer of its own, and to count one for each message of a
    /// stream takes as long as everything else that is done for it.
    part: Range<usize>,
}

impl Payload {
    /// Returns the payload as text.
    ///
    /// # Errors
    ///
    /// [`Error::Other`](crate::error::Error::Other) with the [`Utf8Error`](std::str::Utf8Error) if it is not UTF-8.
    pub fn decode(&self) -> Result<&str> {
        Ok(std::str::from_utf8(self)?)
    }

    /// Returns the payload as text, with U+FFFD for what is not UTF-8.
    pub fn to_str_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self)
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self
    }

    /// Returns the bytes, which are shared and not copied.
    pub fn to_bytes(&self) -> Bytes {
        self.buffer.slice(self.part.clone())
    }

    /// Returns the bytes without copying them.
    pub fn into_bytes(self) -> Bytes {
        if self.part == (0..self.buffer.len()) {
            return self.buffer;
        }
        self.to_bytes()
    }

    /// Becomes a part of `buffer`; it has to be inside.
    #[inline(always)]
    pub(crate) fn set_part(&mut self, buffer: &Bytes, part: Range<usize>) {
        if part.is_empty() {
            *self = Self::default();
            return;
        }
        // As long as we have it, there is no other in its place.
        let has_it = self.buffer.as_ptr() == buffer.as_ptr() && self.buffer.len() == buffer.len();
        if !has_it {
            self.buffer = buffer.clone();
        }
        self.part = part;
    }

    fn chunks(&self) -> Utf8Chunks<'_> {
        self.utf8_chunks()
    }
}

impl Deref for Payload {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.buffer.get(self.part.clone()).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Payload {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Payload {}

impl PartialOrd for Payload {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Payload {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Payload {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.width().is_some() || f.precision().is_some() {
            return f.pad(&self.to_str_lossy());
        }
        for chunk in self.chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{FFFD}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Bytes print as a byte string.
        fmt::Debug::fmt(&self.to_bytes(), f)
    }
}

impl From<Bytes> for Payload {
    fn from(buffer: Bytes) -> Self {
        let part = 0..buffer.len();
        Self { buffer, part }
    }
}

macro_rules! from_bytes {
    ($($source:ty),*) => {$(
        impl From<$source> for Payload {
            fn from(source: $source) -> Self {
                Self::from(Bytes::from(source))
            }
        }
    )*};
}

from_bytes!(Vec<u8>, String, Box<[u8]>);

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self::from(Bytes::copy_from_slice(bytes))
    }
}

impl<const N: usize> From<&[u8; N]> for Payload {
    fn from(bytes: &[u8; N]) -> Self {
        Self::from(Bytes::copy_from_slice(bytes))
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<Payload> for Bytes {
    fn from(payload: Payload) -> Self {
        payload.into_bytes()
    }
}

impl From<Payload> for Vec<u8> {
    fn from(payload: Payload) -> Self {
        payload.into_bytes().into()
    }
}

macro_rules! equals_bytes {
    ($([$($generics:tt)*] $other:ty),*) => {$(
        impl<$($generics)*> PartialEq<$other> for Payload {
            fn eq(&self, other: &$other) -> bool {
                let other: &[u8] = other.as_ref();
                **self == *other
            }
        }

        impl<$($generics)*> PartialEq<Payload> for $other {
            fn eq(&self, other: &Payload) -> bool {
                other == self
            }
        }
    )*};
}

equals_bytes!(
    [] str, [] &str, [] String, [] [u8], [] &[u8], [] Vec<u8>, [] Bytes,
    [const N: usize] [u8; N], [const N: usize] &[u8; N]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_compare_equal() {
        let payload = Payload::from("on");
        assert_eq!(payload, "on");
        assert_eq!(payload, *"on");
        assert_eq!(payload, String::from("on"));
        assert_eq!(payload, b"on");
        assert_eq!(payload, *b"on");
        assert_eq!(payload, b"on"[..]);
        assert_eq!(payload, &b"on"[..]);
        assert_eq!(payload, vec![b'o', b'n']);
        assert_eq!(payload, Bytes::from("on"));
        assert_eq!("on", payload);
        assert_eq!(b"on", payload);
        assert_ne!(payload, "off");
        assert_eq!(&payload[..1], b"o");
        assert_eq!(Vec::from(payload.clone()), b"on");
        assert_eq!(payload.into_bytes(), "on");
    }

    #[test]
    fn what_is_not_text_prints_with_replacement_characters() {
        let payload = Payload::from(b"a\xff\xc3z");
        assert_eq!(payload.to_string(), "a\u{FFFD}\u{FFFD}z");
        assert_eq!(payload.to_string(), payload.to_str_lossy());
        assert_eq!(format!("{payload:>6}|"), "  a\u{FFFD}\u{FFFD}z|");
        assert_eq!(format!("{payload:?}"), r#"b"a\xff\xc3z""#);
        assert!(payload.decode().is_err());
    }

    #[test]
    fn a_part_of_a_buffer_is_like_any_other_payload() {
        let buffer = Bytes::from(b"on, off, ".to_vec());
        let mut payload = Payload::default();
        payload.set_part(&buffer, 0..2);
        let first = payload.clone();
        payload.set_part(&buffer, 4..7);
        assert_eq!(
            (first.to_string(), payload.to_string()),
            ("on".into(), "off".into())
        );
        assert!(first > payload);
        assert_eq!(payload, Payload::from("off"));
        assert_eq!(payload.to_bytes().as_ptr(), buffer[4..].as_ptr());
        assert_eq!(payload.as_bytes(), payload.clone().into_bytes());

        payload.set_part(&buffer, 9..9);
        drop((first, payload.clone().into_bytes()));
        assert!(buffer.is_unique(), "an empty part holds nothing");
        payload.set_part(&Bytes::from("other"), 0..5);
        assert_eq!(payload, "other");
    }

    #[test]
    fn an_empty_payload_is_empty_text() {
        let payload = Payload::default();
        assert!(payload.is_empty());
        assert_eq!(payload.decode().unwrap(), "");
        assert_eq!(payload.to_string(), "");
    }
}
