//! Time, and processor time of this process.

use std::time::Instant;

use compare::Failure;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Measures a section of the program.
pub(crate) struct Meter {
    start: Instant,
    processor: f64,
}

/// What it took, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) processor: f64,
}

impl Meter {
    pub(crate) fn start() -> Result<Self, Failure> {
        let processor = processor()?;
        Ok(Self {
            start: Instant::now(),
            processor,
        })
    }

    pub(crate) fn stop(self) -> Result<Cost, Failure> {
        let seconds = self.start.elapsed().as_secs_f64();
        Ok(Cost {
            seconds,
            processor: processor()? - self.processor,
        })
    }
}

/// All threads of the process, those that have ended as well.
fn processor() -> Result<f64, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(micros as f64 / 1e6)
}
