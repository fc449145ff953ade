//! What can be published: text, bytes, numbers.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::client::payload::Payload;
use crate::session::PayloadRef;

/// What converts into the payload of a message.
///
/// Text and bytes go as they are. Numbers become decimal text and `bool` becomes `True` or `False`, as in Python; `()`
/// and `None` are the empty payload. Borrowed text and bytes are not copied unless the message has to wait.
///
/// Implement it for a type of your own by way of one of these:
///
/// ```
/// use callmq::client::{IntoPayload, Message, PayloadArg};
///
/// struct Celsius(f32);
///
/// impl<'a> IntoPayload<'a> for Celsius {
///     fn into_payload(self) -> PayloadArg<'a> {
///         format!("{:.1} °C", self.0).into_payload()
///     }
/// }
///
/// assert_eq!(Message::new("t", Celsius(21.5)).payload, "21.5 °C");
/// assert_eq!(Message::new("t", 1.0).payload, "1.0");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a payload",
    label = "not a payload",
    note = "a payload is text (`&str`, `String`), bytes (`&[u8]`, `Vec<u8>`, `b\"..\"`, `Bytes`), a number, a `bool`, or `()` for none",
    note = "other types: publish their text, `value.to_string()`"
)]
pub trait IntoPayload<'a> {
    /// Converts it.
    fn into_payload(self) -> PayloadArg<'a>;
}

/// A payload on its way into a message: borrowed or shared bytes.
#[derive(Clone)]
pub struct PayloadArg<'a>(PayloadRef<'a>);

impl<'a> PayloadArg<'a> {
    pub(crate) fn into_inner(self) -> PayloadRef<'a> {
        self.0
    }

    fn as_slice(&self) -> &[u8] {
        match &self.0 {
            PayloadRef::Borrowed(bytes) => bytes,
            PayloadRef::Shared(bytes) => bytes,
        }
    }
}

impl fmt::Debug for PayloadArg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.as_slice().escape_ascii())
    }
}

impl<'a> From<&'a [u8]> for PayloadArg<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(PayloadRef::Borrowed(bytes))
    }
}

impl From<Bytes> for PayloadArg<'_> {
    fn from(bytes: Bytes) -> Self {
        Self(PayloadRef::Shared(bytes))
    }
}

impl From<PayloadArg<'_>> for Bytes {
    fn from(payload: PayloadArg<'_>) -> Self {
        match payload.0 {
            PayloadRef::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            PayloadRef::Shared(bytes) => bytes,
        }
    }
}

impl<'a> IntoPayload<'a> for PayloadArg<'a> {
    fn into_payload(self) -> PayloadArg<'a> {
        self
    }
}

/// Borrowed for `'a`.
macro_rules! borrowed {
    ($([$($generics:tt)*] $source:ty => |$value:ident| $bytes:expr;)*) => {$(
        impl<'a, $($generics)*> IntoPayload<'a> for $source {
            fn into_payload(self) -> PayloadArg<'a> {
                let $value = self;
                PayloadArg(PayloadRef::Borrowed($bytes))
            }
        }
    )*};
}

/// Owned, or cheap to clone.
macro_rules! shared {
    ($([$($generics:tt)*] $source:ty => |$value:ident| $bytes:expr;)*) => {$(
        impl<'a, $($generics)*> IntoPayload<'a> for $source {
            fn into_payload(self) -> PayloadArg<'a> {
                let $value = self;
                PayloadArg(PayloadRef::Shared($bytes))
            }
        }
    )*};
}

borrowed! {
    [] &'a str => |text| text.as_bytes();
    ['b] &'a &'b str => |text| text.as_bytes();
    [] &'a String => |text| text.as_bytes();
    [] &'a [u8] => |bytes| bytes;
    [] &'a Vec<u8> => |bytes| bytes;
    [const N: usize] &'a [u8; N] => |bytes| bytes;
    [] () => |_none| &[];
}

shared! {
    [] String => |text| Bytes::from(text);
    [] char => |character| Bytes::from(character.to_string());
    [] Arc<str> => |text| Bytes::from_owner(Arc::<[u8]>::from(text));
    [] Vec<u8> => |bytes| Bytes::from(bytes);
    [] Box<[u8]> => |bytes| Bytes::from(bytes);
    [] Arc<[u8]> => |bytes| Bytes::from_owner(bytes);
    [const N: usize] [u8; N] => |bytes| Bytes::copy_from_slice(&bytes);
    [] Bytes => |bytes| bytes;
    [] &Bytes => |bytes| bytes.clone();
    [] Payload => |payload| payload.into_bytes();
    [] &Payload => |payload| payload.to_bytes();
    [] bool => |value| Bytes::from_static(if value { b"True" } else { b"False" });
    [] f32 => |number| Bytes::from(python_float(format!("{number:?}")));
    [] f64 => |number| Bytes::from(python_float(format!("{number:?}")));
}

macro_rules! integers {
    ($($integer:ty),*) => {
        shared! { $([] $integer => |number| Bytes::from(number.to_string());)* }
    };
}

integers!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize);

impl<'a> IntoPayload<'a> for Cow<'a, str> {
    fn into_payload(self) -> PayloadArg<'a> {
        match self {
            Cow::Borrowed(text) => text.into_payload(),
            Cow::Owned(text) => text.into_payload(),
        }
    }
}

impl<'a> IntoPayload<'a> for Cow<'a, [u8]> {
    fn into_payload(self) -> PayloadArg<'a> {
        match self {
            Cow::Borrowed(bytes) => bytes.into_payload(),
            Cow::Owned(bytes) => bytes.into_payload(),
        }
    }
}

impl<'a, T: IntoPayload<'a>> IntoPayload<'a> for Option<T> {
    fn into_payload(self) -> PayloadArg<'a> {
        match self {
            Some(payload) => payload.into_payload(),
            None => ().into_payload(),
        }
    }
}

/// Python's form of a float in Rust's: both take the shortest digits, with an exponent below 1e-4 and from 1e16 on, but
/// Python writes the exponent with a sign and two digits, and `nan` in small letters.
fn python_float(rust: String) -> String {
    if let Some((digits, exponent)) = rust.split_once('e') {
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    if rust == "NaN" { "nan".to_owned() } else { rust }
}

#[cfg(test)]
#[allow(
    clippy::needless_borrows_for_generic_args,
    reason = "the borrowed forms are tested"
)]
mod tests {
    use super::*;

    fn bytes<'a>(payload: impl IntoPayload<'a>) -> Bytes {
        Bytes::from(payload.into_payload())
    }

    fn is_borrowed<'a>(payload: impl IntoPayload<'a>) -> bool {
        matches!(payload.into_payload().into_inner(), PayloadRef::Borrowed(_))
    }

    #[test]
    fn text_and_bytes_go_as_they_are() {
        let owned = String::from("on");
        let vector = b"on".to_vec();
        let array = *b"on";
        let shared = Bytes::from_static(b"on");
        let payload = Payload::from("on");
        for found in [
            bytes("on"),
            bytes(&"on"),
            bytes(&owned),
            bytes(owned.clone()),
            bytes(Cow::Borrowed("on")),
            bytes(Cow::<str>::Owned(owned.clone())),
            bytes(Arc::<str>::from("on")),
            bytes(b"on"),
            bytes(&b"on"[..]),
            bytes(array),
            bytes(&vector),
            bytes(vector.clone()),
            bytes(vector.clone().into_boxed_slice()),
            bytes(Cow::Borrowed(&array[..])),
            bytes(Arc::<[u8]>::from(vector.clone())),
            bytes(&shared),
            bytes(shared.clone()),
            bytes(&payload),
            bytes(payload.clone()),
            bytes(Some("on")),
            bytes(Some(owned.clone())),
            bytes("on".into_payload()),
        ] {
            assert_eq!(found, "on");
        }
        assert_eq!(bytes('ü'), "ü");
        assert_eq!(bytes([1, 2]), [1, 2][..]);
    }

    #[test]
    fn nothing_is_the_empty_payload() {
        assert_eq!(bytes(()), "");
        assert_eq!(bytes(None::<&str>), "");
        assert_eq!(bytes(""), "");
    }

    #[test]
    fn borrowed_bytes_are_not_copied() {
        let vector = vec![1, 2, 3];
        assert!(
            is_borrowed("on") && is_borrowed(b"on") && is_borrowed(&vector) && is_borrowed(Some(&vector))
        );
        assert!(is_borrowed(Cow::Borrowed("on")));
        let address = vector.as_ptr();
        assert_eq!(bytes(vector).as_ptr(), address);
    }

    #[test]
    fn integers_are_decimal_text() {
        assert_eq!(bytes(42), "42");
        assert_eq!(bytes(-7i8), "-7");
        assert_eq!(bytes(u64::MAX), "18446744073709551615");
        assert_eq!(bytes(i128::MIN), "-170141183460469231731687303715884105728");
        assert_eq!(bytes(3usize), "3");
    }

    /// The right side is what Python's `str()` prints.
    #[test]
    fn floats_and_booleans_print_as_in_python() {
        for (number, text) in [
            (1.0, "1.0"),
            (3.5, "3.5"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.3333333333333333"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e-300, "1e-300"),
            (1e15, "1000000000000000.0"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e16, "1e+16"),
            (-1e100, "-1e+100"),
            (f64::NAN, "nan"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(bytes(number), text);
        }
        assert_eq!(bytes(0.1f32), "0.1");
        assert_eq!(bytes(true), "True");
        assert_eq!(bytes(false), "False");
    }

    #[test]
    fn a_payload_on_its_way_prints_like_a_byte_string() {
        assert_eq!(format!("{:?}", b"a\xff".into_payload()), r#"b"a\xff""#);
    }
}
