//! The clock that the client's timers follow: the system's, or one that a test moves by hand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A clock moved by hand, for tests: clones show the same time.
///
/// A client built with [`ClientBuilder::clock`](crate::client::ClientBuilder::clock) takes every deadline (keep alive,
/// reconnect delays, time-outs of its loop) from it and never sleeps in real time, so a test can step through an hour
/// in a microsecond.
///
/// ```
/// use callmq::client::Client;
/// use callmq::testing::{Broker, Clock};
/// use std::time::Duration;
///
/// let clock = Clock::new();
/// let broker = Broker::builder().clock(&clock).in_process();
/// let client = Client::builder("sensor").clock(&clock).build();
/// client.connect_and_wait(&broker, 1)?;
/// clock.advance(Duration::from_secs(60));
/// client.loop_once(0)?;
/// broker.wait_for_log(Duration::ZERO, "Received PINGREQ from sensor")?;
/// # Ok::<(), callmq::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Clock {
    now: Arc<Mutex<Instant>>,
}

impl Clock {
    /// Makes a clock that stands at the present moment.
    #[allow(
        clippy::new_without_default,
        reason = "the present moment is not a default value"
    )]
    pub fn new() -> Self {
        Self {
            now: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Returns the time that the clock shows.
    pub fn now(&self) -> Instant {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the clock forward. What became due happens when a client or a broker next looks at the clock.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now += by;
    }
}

/// Where the client gets the time from.
#[derive(Clone, Debug, Default)]
pub(crate) enum TimeSource {
    #[default]
    System,
    Manual(Clock),
}

impl TimeSource {
    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::System => Instant::now(),
            Self::Manual(clock) => clock.now(),
        }
    }

    /// Whether waiting in real time would make time pass.
    pub(crate) fn is_manual(&self) -> bool {
        matches!(self, Self::Manual(_))
    }
}
