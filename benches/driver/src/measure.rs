//! Time, processor time and memory, and the line of JSON that reports them.

use std::fmt::{Display, Write};
use std::fs;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::args::Args;

/// Measures a section of the program.
pub(crate) struct Meter {
    start: Instant,
    usage: Option<Usage>,
}

/// What a section of the program took.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) user: f64,
    pub(crate) system: f64,
    /// Context switches.
    pub(crate) voluntary: u64,
    involuntary: u64,
}

fn usage() -> Option<Usage> {
    getrusage(UsageWho::RUSAGE_SELF).ok()
}

impl Meter {
    pub(crate) fn start() -> Self {
        let usage = usage();
        Self {
            start: Instant::now(),
            usage,
        }
    }

    pub(crate) fn stop(self) -> Measured {
        let seconds = self.start.elapsed().as_secs_f64();
        let (before, after) = (self.usage, usage());
        let grown = |field: fn(&Usage) -> i64| {
            let of = |usage: &Option<Usage>| usage.as_ref().map_or(0, field);
            of(&after) - of(&before)
        };
        let micros = |field: fn(&Usage) -> i64| grown(field) as f64 / 1e6;
        Measured {
            seconds,
            user: micros(|usage| usage.user_time().num_microseconds()),
            system: micros(|usage| usage.system_time().num_microseconds()),
            voluntary: grown(|usage| usage.voluntary_context_switches()).unsigned_abs(),
            involuntary: grown(|usage| usage.involuntary_context_switches()).unsigned_abs(),
        }
    }
}

/// What the process holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resources {
    pub(crate) resident_kb: u64,
    pub(crate) threads: u64,
}

impl Resources {
    pub(crate) fn now() -> Self {
        Self {
            resident_kb: status("VmRSS:"),
            threads: status("Threads:"),
        }
    }
}

/// A number that the system tells about this process; 0 where it does not.
fn status(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Opened once by one thread, waited for by another.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub(crate) fn open(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.opened.notify_all();
    }

    /// Waits until it is open: whether that was in time.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.opened.wait_timeout_while(open, timeout, |open| !*open);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The line of JSON.
#[derive(Debug)]
pub(crate) struct Report(String);

impl Report {
    pub(crate) fn new(args: &Args, measured: &Measured) -> Self {
        let peer = args.peer.replace(['"', '\\'], "");
        Self(String::new())
            .field("peer", format_args!("\"{peer}\""))
            .field("job", format_args!("\"{}\"", args.job.name()))
            .count("size", args.size as u64)
            .count("qos", args.qos.into())
            .count("n", args.n)
            .count("threads", args.threads)
            .count("inflight", args.inflight.into())
            .number("wall_s", measured.seconds)
            .number("cpu_user", measured.user)
            .number("cpu_sys", measured.system)
            .count("vol_ctx", measured.voluntary)
            .count("invol_ctx", measured.involuntary)
            .count("maxrss_kb", status("VmHWM:"))
    }

    fn field(mut self, key: &str, value: impl Display) -> Self {
        let separator = if self.0.is_empty() { "" } else { "," };
        // Writing to a String does not fail.
        let _ = write!(self.0, "{separator}\"{key}\":{value}");
        self
    }

    pub(crate) fn number(self, key: &str, value: f64) -> Self {
        self.field(key, format_args!("{value:.6}"))
    }

    pub(crate) fn count(self, key: &str, value: u64) -> Self {
        self.field(key, value)
    }

    pub(crate) fn flag(self, key: &str, value: bool) -> Self {
        self.field(key, value)
    }

    /// The distribution of the trips, in microseconds.
    pub(crate) fn latency(self, mut trips: Vec<Duration>) -> Self {
        trips.sort_unstable();
        let micros = |trip: Duration| trip.as_secs_f64() * 1e6;
        let at = |share: f64| {
            let last = trips.len().saturating_sub(1);
            let place = (last as f64 * share).round() as usize;
            trips.get(place).copied().map_or(0.0, micros)
        };
        let (p50, p99, p999, min) = (at(0.5), at(0.99), at(0.999), at(0.0));
        let sum: Duration = trips.iter().sum();
        let mean = micros(sum) / trips.len().max(1) as f64;
        self.number("p50_us", p50)
            .number("p99_us", p99)
            .number("p999_us", p999)
            .number("min_us", min)
            .number("mean_us", mean)
    }

    pub(crate) fn print(self) {
        println!("{{{}}}", self.0);
    }
}
