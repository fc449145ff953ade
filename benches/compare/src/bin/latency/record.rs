//! What came of a run.

use std::time::{Duration, Instant};

use compare::Failure;
use hdrhistogram::Histogram;

use crate::pace::age;

/// Nobody waits longer for a message; later ones count as this late.
const LONGEST: Duration = Duration::from_secs(60);

/// The ages of messages, as they arrive.
#[derive(Debug)]
pub(crate) struct Record {
    ages: Histogram<u64>,
    start: Instant,
}

/// Messages per second, and percentiles in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

impl Record {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self {
            ages: Histogram::new_with_max(LONGEST.as_nanos() as u64, 3)?,
            start: Instant::now(),
        })
    }

    /// A message arrived: the outcome, if it is the one that ends the run.
    pub(crate) fn arrived(&mut self, payload: &[u8], now: u64) -> Option<Outcome> {
        let Some(age) = age(payload, now) else {
            return Some(self.outcome());
        };
        if self.ages.is_empty() {
            self.start = Instant::now();
        }
        self.ages.saturating_record(age);
        None
    }

    fn outcome(&self) -> Outcome {
        let micros = |share| self.ages.value_at_quantile(share) as f64 / 1e3;
        Outcome {
            rate: self.ages.len() as f64 / self.start.elapsed().as_secs_f64(),
            p50: micros(0.5),
            p99: micros(0.99),
            p999: micros(0.999),
        }
    }
}
