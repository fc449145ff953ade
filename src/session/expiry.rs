//! Message Expiry Interval (MQTT 5.0, section 3.3.2.3.3): how long a message waits here, and what is left when it goes.

use std::time::{Duration, Instant};

use crate::codec::Properties;

/// A wait that is shorter than this is none, like the wait for the socket: an interval of one second would not survive
/// any other wait, because only whole seconds can be sent.
const NO_WAIT: Duration = Duration::from_millis(100);

/// When a message expires.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    accepted: Instant,
    interval: u32,
    due: Instant,
}

impl Expiry {
    /// That of a message which is accepted `now`; `None` for one that does not expire.
    pub(super) fn of(properties: &Properties, now: Instant) -> Option<Self> {
        let interval = properties.message_expiry_interval()?;
        // An interval of 0 is for messages that need not wait.
        let time = Duration::from_secs(interval.into()).max(NO_WAIT);
        Some(Self {
            accepted: now,
            interval,
            due: now.checked_add(time)?,
        })
    }

    pub(super) fn due(self) -> Instant {
        self.due
    }

    /// The seconds to send with a message that leaves for the first time; `None` if it has to stay. Never more than is
    /// left: where that is less than a second there is nothing to send, for 0 would be another promise.
    pub(super) fn left(self, now: Instant) -> Option<u32> {
        if now.saturating_duration_since(self.accepted) < NO_WAIT {
            return Some(self.interval);
        }
        Some(self.whole_seconds(now)).filter(|&seconds| seconds > 0)
    }

    /// The seconds to send with a message that is sent again: it does not expire any more [MQTT-4.3.3-7], but what it
    /// was given is used up all the same, down to the last second.
    pub(super) fn left_again(self, now: Instant) -> u32 {
        self.whole_seconds(now).max(1).min(self.interval)
    }

    fn whole_seconds(self, now: Instant) -> u32 {
        let left = self.due.saturating_duration_since(now).as_secs();
        u32::try_from(left).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Property;

    fn expiry(interval: u32, now: Instant) -> Expiry {
        Expiry::of(&Property::MessageExpiryInterval(interval).into(), now).unwrap()
    }

    #[test]
    fn what_is_left_is_rounded_down_and_never_zero() {
        let now = Instant::now();
        for (interval, waited, left) in [
            (10, 0, Some(10)),
            (10, 99, Some(10)),
            (10, 100, Some(9)),
            (10, 1000, Some(9)),
            (10, 1001, Some(8)),
            (10, 9000, Some(1)),
            (10, 9001, None),
            (10, 20_000, None),
            (1, 50, Some(1)),
            (1, 100, None),
            (0, 0, Some(0)),
            (0, 99, Some(0)),
            (0, 100, None),
            (u32::MAX, 1000, Some(u32::MAX - 1)),
        ] {
            let later = now + Duration::from_millis(waited);
            assert_eq!(
                expiry(interval, now).left(later),
                left,
                "{interval} s after {waited} ms"
            );
        }
    }

    #[test]
    fn what_is_sent_again_never_expires() {
        let now = Instant::now();
        for (interval, waited, left) in [(10, 0, 10), (10, 3, 7), (10, 10, 1), (10, 1000, 1), (0, 5, 0)] {
            let later = now + Duration::from_secs(waited);
            assert_eq!(expiry(interval, now).left_again(later), left);
        }
    }

    #[test]
    fn messages_without_an_interval_have_no_expiry() {
        assert!(Expiry::of(&Properties::new(), Instant::now()).is_none());
    }
}
