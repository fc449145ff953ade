//! Conversions of arguments: what Python's client takes in any form, ours takes through a trait.
//!
//! Each trait tells in the compiler's message what to write instead of a type that does not fit.

mod connect;
mod message;
mod payload;
mod subscriptions;

pub use connect::{IntoConnect, IntoHost, IntoServer};
pub use message::IntoMessage;
pub use payload::{IntoPayload, PayloadArg};
pub use subscriptions::{IntoSubscribeOptions, IntoSubscription, IntoSubscriptions, IntoTopics};

use std::time::Duration;

use crate::codec::QoS;
use crate::error::{Error, Result};

/// What converts into a Quality of Service: 0, 1, 2 or a [`QoS`].
///
/// ```
/// use callmq::client::{IntoQos, QoS};
///
/// assert_eq!(1.into_qos()?, QoS::AtLeastOnce);
/// assert_eq!(3.into_qos().unwrap_err().to_string(), "invalid qos: must be 0, 1 or 2");
/// # Ok::<(), callmq::error::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a Quality of Service",
    label = "not a QoS",
    note = "write 0, 1, 2 or for example `QoS::AtLeastOnce`"
)]
pub trait IntoQos: sealed::Sealed {
    /// Converts it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if it is not 0, 1 or 2.
    fn into_qos(self) -> Result<QoS>;
}

impl IntoQos for QoS {
    fn into_qos(self) -> Result<QoS> {
        Ok(self)
    }
}

impl IntoQos for i32 {
    fn into_qos(self) -> Result<QoS> {
        self.try_into()
    }
}

impl IntoQos for u8 {
    fn into_qos(self) -> Result<QoS> {
        self.try_into()
    }
}

/// What converts into a time-out: a number of seconds, a [`Duration`], or `None` for no limit.
///
/// Half a second is `0.5`. More than a hundred years, `f64::INFINITY` too, are no limit.
///
/// ```
/// use callmq::client::IntoTimeout;
/// use std::time::Duration;
///
/// assert_eq!(2.into_timeout()?, Some(Duration::from_secs(2)));
/// assert_eq!(0.5.into_timeout()?, Some(Duration::from_millis(500)));
/// assert_eq!(None.into_timeout()?, None);
/// assert_eq!((-1).into_timeout().unwrap_err().to_string(), "invalid timeout: must not be negative");
/// # Ok::<(), callmq::error::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a time-out",
    label = "not a time-out",
    note = "write seconds (`2`, `0.5`), a `Duration`, or `None` for no limit"
)]
pub trait IntoTimeout: sealed::Sealed {
    /// Converts it; `None` is no limit.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if it is negative or not a number.
    fn into_timeout(self) -> Result<Option<Duration>>;
}

impl IntoTimeout for Option<Duration> {
    fn into_timeout(self) -> Result<Option<Duration>> {
        Ok(self.filter(|timeout| *timeout <= LONGEST_TIMEOUT))
    }
}

impl IntoTimeout for Duration {
    fn into_timeout(self) -> Result<Option<Duration>> {
        Some(self).into_timeout()
    }
}

impl IntoTimeout for f64 {
    fn into_timeout(self) -> Result<Option<Duration>> {
        if self.is_nan() {
            return Err(Error::argument("timeout", "must be a number"));
        }
        if self < 0.0 {
            return Err(Error::argument("timeout", "must not be negative"));
        }
        // What does not fit into a `Duration` is longer than the longest.
        Duration::try_from_secs_f64(self).ok().into_timeout()
    }
}

impl IntoTimeout for f32 {
    fn into_timeout(self) -> Result<Option<Duration>> {
        f64::from(self).into_timeout()
    }
}

macro_rules! seconds {
    ($($integer:ty),*) => {$(
        impl IntoTimeout for $integer {
            fn into_timeout(self) -> Result<Option<Duration>> {
                match u64::try_from(self) {
                    Ok(seconds) => Duration::from_secs(seconds).into_timeout(),
                    Err(_) => Err(Error::argument("timeout", "must not be negative")),
                }
            }
        }
    )*};
}

seconds!(i32, i64, u8, u16, u32, u64, usize);

/// Longer time-outs are none: a deadline can always be computed. A hundred years.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// What a callback may return: nothing, or a `Result` with this crate's [`Error`].
///
/// So `?` works in callbacks, and the value of a call like `client.subscribe(..)` may stand at the end.
#[diagnostic::on_unimplemented(
    message = "a callback cannot return `{Self}`",
    label = "its closure or function returns `{Self}`",
    note = "a callback returns nothing or `callmq::client::Result<..>`: end its last line with `;` or with `Ok(())`",
    note = "turn an error of another type into ours with `.map_err(callmq::client::Error::other)?`"
)]
pub trait Outcome: sealed::Sealed {
    #[doc(hidden)]
    fn into_result(self) -> Result<()>;
}

impl Outcome for () {
    fn into_result(self) -> Result<()> {
        Ok(())
    }
}

impl<T> Outcome for Result<T, Error> {
    fn into_result(self) -> Result<()> {
        self.map(drop)
    }
}

/// Traits on which users implement nothing, so that they can grow.
mod sealed {
    use std::borrow::Cow;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
    use std::time::Duration;

    use crate::client::connect_options::Server;
    use crate::client::message::Message;
    use crate::codec::{QoS, SubscribeOptions, Subscription, TopicName};
    use crate::error::Error;

    pub trait Sealed {}

    macro_rules! seal {
        ($($sealed:ty),* $(,)?) => { $(impl Sealed for $sealed {})* };
    }

    seal!(
        i32,
        i64,
        u8,
        u16,
        u32,
        u64,
        usize,
        f32,
        f64,
        Duration,
        Option<Duration>,
        QoS,
        ()
    );
    seal!(&str, &&str, String, &String, Cow<'_, str>, TopicName, &TopicName);
    seal!(
        IpAddr,
        Ipv4Addr,
        Ipv6Addr,
        SocketAddr,
        SocketAddrV4,
        SocketAddrV6,
        Server,
        &Server
    );
    seal!(SubscribeOptions, Subscription, &Subscription, Message, &Message);

    impl<T> Sealed for Result<T, Error> {}
    impl<A, B> Sealed for (A, B) {}
    impl<A, B, C> Sealed for (A, B, C) {}
    impl<A, B, C, D> Sealed for (A, B, C, D) {}
    impl<A, B> Sealed for &(A, B) {}
    impl<T> Sealed for Vec<T> {}
    impl<T> Sealed for &Vec<T> {}
    impl<T> Sealed for &[T] {}
    impl<T, const N: usize> Sealed for [T; N] {}
    impl<T, const N: usize> Sealed for &[T; N] {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qos_is_a_number_or_a_name() {
        assert_eq!(0.into_qos().unwrap(), QoS::AtMostOnce);
        assert_eq!(1u8.into_qos().unwrap(), QoS::AtLeastOnce);
        assert_eq!(QoS::ExactlyOnce.into_qos().unwrap(), QoS::ExactlyOnce);
        for wrong in [-1, 3, 256, i32::MIN] {
            assert!(matches!(
                wrong.into_qos(),
                Err(Error::InvalidArgument { argument: "qos", .. })
            ));
        }
        assert!(3u8.into_qos().is_err());
    }

    #[test]
    fn a_timeout_is_seconds_a_duration_or_none() {
        let two = Some(Duration::from_secs(2));
        assert_eq!(2.into_timeout().unwrap(), two);
        assert_eq!(2u64.into_timeout().unwrap(), two);
        assert_eq!(2usize.into_timeout().unwrap(), two);
        assert_eq!(2.0.into_timeout().unwrap(), two);
        assert_eq!(2.0f32.into_timeout().unwrap(), two);
        assert_eq!(Duration::from_secs(2).into_timeout().unwrap(), two);
        assert_eq!(two.into_timeout().unwrap(), two);
        assert_eq!(0.into_timeout().unwrap(), Some(Duration::ZERO));
    }

    #[test]
    fn a_timeout_too_long_to_compute_with_is_no_limit() {
        assert_eq!(f64::INFINITY.into_timeout().unwrap(), None);
        assert_eq!(1e300.into_timeout().unwrap(), None);
        assert_eq!(u64::MAX.into_timeout().unwrap(), None);
        assert_eq!(Duration::MAX.into_timeout().unwrap(), None);
        let longest = LONGEST_TIMEOUT.into_timeout().unwrap().unwrap();
        assert!(std::time::Instant::now().checked_add(longest).is_some());
    }

    #[test]
    fn a_negative_timeout_is_refused() {
        for result in [
            (-1).into_timeout(),
            (-0.5).into_timeout(),
            f64::NAN.into_timeout(),
            (-1i64).into_timeout(),
        ] {
            assert!(matches!(
                result,
                Err(Error::InvalidArgument {
                    argument: "timeout",
                    ..
                })
            ));
        }
    }

    #[test]
    fn callbacks_return_nothing_or_a_result() {
        fn run<R: Outcome>(callback: impl Fn() -> R) -> Result<()> {
            callback().into_result()
        }
        assert!(run(|| {}).is_ok());
        assert!(run(|| Ok(())).is_ok());
        assert!(run(|| Ok("value of another type")).is_ok());
        assert!(matches!(
            run(|| Err::<(), _>(Error::Timeout)),
            Err(Error::Timeout)
        ));
        assert!(
            run(|| {
                "x".parse::<i32>()?;
                Ok(())
            })
            .is_err()
        );
    }
}
