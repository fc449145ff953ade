//! The payload of a message: shared bytes that read as a slice and print as text.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;
use std::str::Utf8Chunks;

use bytes::Bytes;

use crate::error::Result;

/// The payload of a message: bytes, cheap to clone.
///
/// It derefs to `[u8]`. `{}` prints it as text, with U+FFFD for what is not UTF-8; `{:?}` prints it like a byte string.
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
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Payload(Bytes);

impl Payload {
    /// Returns the payload as text.
    ///
    /// # Errors
    ///
    /// [`Error::Other`](crate::error::Error::Other) with the [`Utf8Error`](std::str::Utf8Error) if it is not UTF-8.
    pub fn decode(&self) -> Result<&str> {
        Ok(std::str::from_utf8(&self.0)?)
    }

    /// Returns the payload as text, with U+FFFD for what is not UTF-8.
    pub fn to_str_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Returns the bytes without copying them.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    fn chunks(&self) -> Utf8Chunks<'_> {
        self.0.utf8_chunks()
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Payload {
    fn borrow(&self) -> &[u8] {
        &self.0
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
        fmt::Debug::fmt(&self.0, f)
    }
}

macro_rules! from_bytes {
    ($($source:ty),*) => {$(
        impl From<$source> for Payload {
            fn from(source: $source) -> Self {
                Self(Bytes::from(source))
            }
        }
    )*};
}

from_bytes!(Bytes, Vec<u8>, String, Box<[u8]>);

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl<const N: usize> From<&[u8; N]> for Payload {
    fn from(bytes: &[u8; N]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<Payload> for Bytes {
    fn from(payload: Payload) -> Self {
        payload.0
    }
}

impl From<Payload> for Vec<u8> {
    fn from(payload: Payload) -> Self {
        payload.0.into()
    }
}

macro_rules! equals_bytes {
    ($([$($generics:tt)*] $other:ty),*) => {$(
        impl<$($generics)*> PartialEq<$other> for Payload {
            fn eq(&self, other: &$other) -> bool {
                let other: &[u8] = other.as_ref();
                self.0 == other
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
    fn an_empty_payload_is_empty_text() {
        let payload = Payload::default();
        assert!(payload.is_empty());
        assert_eq!(payload.decode().unwrap(), "");
        assert_eq!(payload.to_string(), "");
    }
}
