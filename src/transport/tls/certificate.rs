//! What a certificate says about itself, for errors: who it is for, who signed it, and when it is valid.
//!
//! Reads as much of X.509 as that takes (RFC 5280, section 4.1). Nothing is decided by what is read here but the dates of
//! a certificate that the user named himself.

use std::fmt;

/// What a certificate says about itself. Printed, it is who it is for and who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    subject: String,
    issuer: String,
    /// In seconds since 1970.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

impl Certificate {
    /// Reads the DER form; `None` if it is not understood.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let mut outer = Reader(Reader(der).value(SEQUENCE)?);
        let mut fields = Reader(outer.value(SEQUENCE)?);
        if fields.peek() == Some(VERSION) {
            fields.value(VERSION)?;
        }
        fields.value(INTEGER)?;
        fields.value(SEQUENCE)?;
        let issuer = name(fields.value(SEQUENCE)?);
        let mut validity = Reader(fields.value(SEQUENCE)?);
        let not_before = validity.time()?;
        let not_after = validity.time()?;
        let subject = name(fields.value(SEQUENCE)?);
        Some(Self {
            subject,
            issuer,
            not_before,
            not_after,
        })
    }

    pub(super) fn is_self_signed(&self) -> bool {
        self.subject == self.issuer
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_self_signed() {
            write!(f, "{}, signed by itself", self.subject)
        } else {
            write!(f, "{}, signed by {}", self.subject, self.issuer)
        }
    }
}

/// Walks over the values of DER (X.690), each a tag, a length and its contents.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next value: its tag and contents.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7F => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
                (
                    digits
                        .iter()
                        .fold(0, |length, &digit| length << 8 | usize::from(digit)),
                    rest,
                )
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, contents))
    }

    /// The contents of the next value, which has this tag.
    fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|value| value.0 == tag).map(|value| value.1)
    }

    /// A UTCTime or GeneralizedTime, in seconds since 1970.
    fn time(&mut self) -> Option<i64> {
        let (tag, text) = self.next()?;
        let digits = text.strip_suffix(b"Z")?;
        let two = |at: usize| -> Option<i64> {
            let pair = digits.get(at..at + 2)?;
            if pair.iter().all(u8::is_ascii_digit) {
                std::str::from_utf8(pair).ok()?.parse().ok()
            } else {
                None
            }
        };
        let (year, at) = match (tag, digits.len()) {
            (UTC_TIME, 12) => match two(0)? {
                year @ 0..50 => (2000 + year, 2),
                year => (1900 + year, 2),
            },
            (GENERALIZED_TIME, 14) => (100 * two(0)? + two(2)?, 4),
            _ => return None,
        };
        let (month, day) = (two(at)?, two(at + 2)?);
        let (hour, minute, second) = (two(at + 4)?, two(at + 6)?, two(at + 8)?);
        // Days since 1970, with the year beginning in March so that leap days are at its end.
        let (year, month) = if month > 2 {
            (year, month - 3)
        } else {
            (year - 1, month + 9)
        };
        let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
        Some(((days * 24 + hour) * 60 + minute) * 60 + second)
    }
}

/// A distinguished name as text: the parts that say something, as `CN=broker, O=Example`.
fn name(der: &[u8]) -> String {
    let mut parts = Vec::new();
    let mut sets = Reader(der);
    while let Some(set) = sets.value(SET) {
        let part = Reader(set).value(SEQUENCE).and_then(|attribute| {
            let mut attribute = Reader(attribute);
            let kind = match attribute.value(OBJECT_IDENTIFIER)? {
                [0x55, 0x04, 0x03] => "CN",
                [0x55, 0x04, 0x0A] => "O",
                [0x55, 0x04, 0x0B] => "OU",
                _ => return None,
            };
            let (_, value) = attribute.next()?;
            // It may come from a stranger, and goes into logs.
            let text = String::from_utf8_lossy(value);
            let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
            Some(format!("{kind}={text}"))
        });
        parts.extend(part);
        if parts.len() == MOST {
            break;
        }
    }
    if parts.is_empty() {
        return "no name".to_owned();
    }
    // The most special part stands last.
    parts.reverse();
    parts.join(", ")
}

/// So many parts of a name are printed, and so much of each.
const MOST: usize = 6;
const LONGEST: usize = 64;

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xA0;
