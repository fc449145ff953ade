//! The pace of a sender, and the stamps that its messages carry.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The payload of every message; it begins with the stamp.
const SIZE: usize = 64;

/// How fast, and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Messages per second; `None`: as many as there can be.
    pub(crate) rate: Option<f64>,
    pub(crate) time: Duration,
}

/// What a sender does next.
pub(crate) enum Next {
    /// Send this payload now.
    Send([u8; SIZE]),
    /// No message is due: let others run.
    Wait,
    /// Send this last payload, which ends the run.
    End([u8; SIZE]),
}

/// Tells a sender when the next message is due. One that falls behind catches up.
#[derive(Debug)]
pub(crate) struct Pace {
    load: Load,
    start: Instant,
    sent: u64,
}

impl Pace {
    pub(crate) fn new(load: Load) -> Self {
        Self {
            load,
            start: Instant::now(),
            sent: 0,
        }
    }

    pub(crate) fn next(&mut self) -> Next {
        let elapsed = self.start.elapsed();
        if elapsed >= self.load.time {
            return Next::End([0; SIZE]);
        }
        let is_due = |rate: f64| self.sent as f64 <= elapsed.as_secs_f64() * rate;
        if !self.load.rate.is_none_or(is_due) {
            return Next::Wait;
        }
        self.sent += 1;
        let mut payload = [b'x'; SIZE];
        payload[..8].copy_from_slice(&now().to_be_bytes());
        Next::Send(payload)
    }
}

/// How long ago the message was stamped, in nanoseconds; `None` for the one that ends the run.
pub(crate) fn age(payload: &[u8], now: u64) -> Option<u64> {
    let stamp = payload
        .first_chunk()
        .map_or(0, |stamp| u64::from_be_bytes(*stamp));
    (stamp > 0).then(|| now.saturating_sub(stamp))
}

/// Nanoseconds since the program asked first.
pub(crate) fn now() -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    // Never 0, which has a meaning of its own.
    FIRST.get_or_init(Instant::now).elapsed().as_nanos() as u64 + 1
}
