//! The delays between attempts to reconnect.

use std::time::Duration;

use crate::on_demand::Empty;

/// A connection that lived at least this long, and at least as long as the delay before it, was a good one: the delays
/// start again. One that is thrown out at once (two clients with one id, a broker that restarts in circles) is not.
const GOOD_AFTER: Duration = Duration::from_secs(5);

/// Attempts without a delay would do nothing but connect.
const SHORTEST: Duration = Duration::from_millis(10);

/// The first delay and the longest one, where nothing else is set.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(120);

/// Delays that double from attempt to attempt, each varied by chance.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    /// By which part of itself a delay varies, up or down.
    jitter: f64,
    /// The delay of the next attempt, before it is varied.
    next: Duration,
    /// Attempts since the last good connection.
    attempts: u32,
}

/// No attempt was made, and nothing set.
impl Empty for Backoff {
    const EMPTY: &'static Self = &Self {
        min: FIRST,
        max: LONGEST,
        jitter: 0.25,
        next: FIRST,
        attempts: 0,
    };
}

impl Default for Backoff {
    fn default() -> Self {
        Self::EMPTY.clone()
    }
}

impl Backoff {
    pub(crate) fn set_delays(&mut self, min: Duration, max: Duration) {
        self.min = min.max(SHORTEST);
        self.max = max.max(self.min);
        self.next = self.min;
    }

    pub(crate) fn set_jitter(&mut self, jitter: f64) {
        self.jitter = jitter;
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The delay before the next attempt.
    pub(crate) fn take(&mut self) -> Duration {
        let delay = self.next;
        self.next = delay.saturating_mul(2).min(self.max);
        self.attempts = self.attempts.saturating_add(1);
        let varied = delay.as_secs_f64() * (1.0 + self.jitter * (2.0 * fastrand::f64() - 1.0));
        Duration::try_from_secs_f64(varied).unwrap_or(delay).min(self.max)
    }

    /// The longest delay, and those to come are as long.
    pub(crate) fn take_longest(&mut self) -> Duration {
        self.next = self.max;
        self.take()
    }

    /// A connection ended that the server had accepted `lived` ago. Returns whether it was a good one.
    pub(crate) fn ended(&mut self, lived: Duration) -> bool {
        let good = lived >= GOOD_AFTER.max(self.next / 2);
        if good {
            self.reset();
        }
        good
    }

    /// The user asked for a connection: what was before does not matter.
    pub(crate) fn reset(&mut self) {
        self.next = self.min;
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady() -> Backoff {
        let mut backoff = Backoff::default();
        backoff.set_jitter(0.0);
        backoff
    }

    fn secs(backoff: &mut Backoff, count: usize) -> Vec<u64> {
        (0..count).map(|_| backoff.take().as_secs()).collect()
    }

    #[test]
    fn delays_double_up_to_the_maximum() {
        assert_eq!(secs(&mut steady(), 10), [1, 2, 4, 8, 16, 32, 64, 120, 120, 120]);
        let mut set = steady();
        set.set_delays(Duration::from_secs(2), Duration::from_secs(5));
        assert_eq!(secs(&mut set, 4), [2, 4, 5, 5]);
    }

    #[test]
    fn there_is_always_a_delay_and_it_grows() {
        let mut none = steady();
        none.set_delays(Duration::ZERO, Duration::ZERO);
        assert_eq!([none.take(), none.take()], [SHORTEST; 2]);
        none.set_delays(Duration::ZERO, Duration::from_secs(1));
        assert_eq!([none.take(), none.take()], [SHORTEST, SHORTEST * 2]);
    }

    #[test]
    fn a_connection_that_ends_at_once_lets_the_delay_grow() {
        let mut backoff = steady();
        assert_eq!(secs(&mut backoff, 2), [1, 2]);
        backoff.ended(Duration::from_millis(10));
        assert_eq!((backoff.take().as_secs(), backoff.attempts()), (4, 3));
        backoff.ended(Duration::from_secs(60));
        assert_eq!((backoff.take().as_secs(), backoff.attempts()), (1, 1));
    }

    #[test]
    fn a_delay_varies_by_a_quarter_and_stays_below_the_maximum() {
        let mut backoff = Backoff::default();
        backoff.set_delays(Duration::from_secs(100), Duration::from_secs(110));
        let mut seen_low = false;
        for _ in 0..200 {
            let delay = Backoff {
                next: Duration::from_secs(100),
                ..backoff.clone()
            }
            .take();
            assert!((75.0..=110.0).contains(&delay.as_secs_f64()), "{delay:?}");
            seen_low |= delay < Duration::from_secs(90);
        }
        assert!(seen_low);
    }
}
