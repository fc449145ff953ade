//! Warnings about callbacks that hold the loop.

use std::time::{Duration, Instant};

use super::shared::Shared;

/// A callback that holds the loop for longer than this is worth a warning.
const SLOW: Duration = Duration::from_secs(1);

/// The clock is read once for this many callbacks of a kind.
const CALLS_PER_LOOK: u32 = 64;

/// Notices callbacks that hold the loop.
#[derive(Debug)]
pub(super) struct Watch {
    since: Instant,
    name: &'static str,
    calls: u32,
}

impl Watch {
    pub(super) fn new(shared: &Shared) -> Self {
        Self {
            since: shared.now(),
            name: "",
            calls: 0,
        }
    }

    /// A callback of this name is about to run.
    #[inline]
    pub(super) fn enter(&mut self, shared: &Shared, name: &'static str) {
        // The same place of the source, if not always the same text: a look too many does no harm.
        if !std::ptr::eq(name, self.name) {
            self.look(shared);
            self.name = name;
        }
        self.go_on(shared);
    }

    /// The same callback is about to run once more.
    #[inline]
    pub(super) fn go_on(&mut self, shared: &Shared) {
        if self.calls >= CALLS_PER_LOOK {
            self.look(shared);
        }
        self.calls += 1;
    }

    /// Warns if the calls since the last look took long.
    pub(super) fn look(&mut self, shared: &Shared) {
        if self.calls == 0 {
            return;
        }
        let now = shared.now();
        let held = now.saturating_duration_since(self.since);
        if held > SLOW {
            log::warn!(
                target: "callmq",
                "{} held the network loop for {:.1} s ({} calls): messages and acknowledgements waited for it",
                self.name,
                held.as_secs_f64(),
                self.calls
            );
        }
        self.since = now;
        self.calls = 0;
    }
}
