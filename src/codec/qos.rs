//! Quality of Service.

use std::fmt;

use crate::error::Error;

/// Quality of Service; prints as its number.
///
/// See MQTT 5.0, section 4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum QoS {
    /// At most once (0).
    #[default]
    AtMostOnce = 0,
    /// At least once (1).
    AtLeastOnce = 1,
    /// Exactly once (2).
    ExactlyOnce = 2,
}

impl QoS {
    /// Reads the two bits that stand for the QoS in several places.
    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 0b11 {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

impl TryFrom<u8> for QoS {
    type Error = Error;

    fn try_from(number: u8) -> Result<Self, Error> {
        match number {
            0..=2 => Ok(Self::from_bits(number).unwrap_or_default()),
            _ => Err(Error::argument("qos", "must be 0, 1 or 2")),
        }
    }
}

impl TryFrom<i32> for QoS {
    type Error = Error;

    fn try_from(number: i32) -> Result<Self, Error> {
        Self::try_from(u8::try_from(number).unwrap_or(u8::MAX))
    }
}

impl From<QoS> for u8 {
    fn from(qos: QoS) -> u8 {
        qos as u8
    }
}

impl From<QoS> for i32 {
    fn from(qos: QoS) -> i32 {
        qos as i32
    }
}

impl PartialEq<i32> for QoS {
    fn eq(&self, number: &i32) -> bool {
        i32::from(*self) == *number
    }
}

impl fmt::Display for QoS {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&(*self as u8), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qos_is_its_number() {
        for (qos, number) in [(QoS::AtMostOnce, 0), (QoS::AtLeastOnce, 1), (QoS::ExactlyOnce, 2)] {
            assert_eq!(QoS::try_from(number).unwrap(), qos);
            assert_eq!(QoS::from_bits(number), Some(qos));
            assert_eq!(u8::from(qos), number);
            assert_eq!(i32::from(qos), i32::from(number));
            assert!(qos == i32::from(number));
            assert_eq!(qos.to_string(), number.to_string());
        }
        for number in [-1, 3, 256] {
            assert!(QoS::try_from(number).is_err());
        }
        assert_eq!(QoS::from_bits(3), None);
    }
}
