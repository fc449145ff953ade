//! The broker's state as several threads see it: one lock, the time, and who is told of changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::log::Log;
use super::options::Options;
use super::state::State;
use crate::client::clock::TimeSource;

/// Receives the lines of the broker's log.
pub(super) type LogListener = Box<dyn Fn(&str) + Send + Sync>;

/// A broker, shared between its handle, its streams and the thread that serves its port.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Something may have changed.
    changed: Condvar,
    time: TimeSource,
    log_listener: Option<LogListener>,
    /// Wakes the thread that serves the port.
    port: Option<mio::Waker>,
    /// That thread itself has caused something for a connection.
    touched: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        options: Options,
        time: TimeSource,
        log_listener: Option<LogListener>,
        port: Option<mio::Waker>,
    ) -> Self {
        let log = Log::new(log_listener.is_some());
        let state = State::new(options, log, time.now());
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            time,
            log_listener,
            port,
            touched: AtomicBool::new(false),
        }
    }

    /// Does something with the state at the present time, then tells those concerned. No lock is held while the log
    /// listener and the wakers of streams run.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        self.run(true, work)
    }

    /// As [`with`](Self::with), for the thread that serves the port and need not be woken.
    pub(super) fn serve<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        self.run(false, work)
    }

    fn run<R>(&self, wake_port: bool, work: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let before = state.changes();
        state.handle_timeout(self.time.now());
        let result = work(&mut state);
        let changed = state.changes() != before;
        let touched = state.take_touched();
        let discarded = state.take_discarded();
        let lines = state.log.take_fresh();
        drop(state);
        drop(discarded);
        if changed {
            self.changed.notify_all();
        }
        if !touched.is_empty() {
            if wake_port {
                self.wake_port();
            } else {
                self.touched.store(true, Ordering::Relaxed);
            }
        }
        touched.into_iter().flatten().for_each(|waker| waker.wake());
        if let Some(listener) = &self.log_listener {
            lines.iter().for_each(|line| listener(line));
        }
        result
    }

    /// Looks at the state. Nobody is told, as there is nothing to tell.
    pub(super) fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.lock())
    }

    /// Waits until `condition` holds, looking again after each change; `false` if `limit` has passed first.
    ///
    /// `condition` runs without the lock. The limit is real time.
    pub(super) fn wait_for(&self, limit: Duration, condition: impl Fn() -> bool) -> bool {
        let deadline = Instant::now().checked_add(limit);
        loop {
            let seen = self.lock().changes();
            if condition() {
                return true;
            }
            let mut state = self.lock();
            while state.changes() == seen {
                let left = match deadline {
                    None => Duration::MAX,
                    Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                };
                if left.is_zero() {
                    return false;
                }
                state = self
                    .changed
                    .wait_timeout(state, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        }
    }

    /// How long the thread that serves the port may sleep.
    pub(super) fn idle_time(&self) -> Option<Duration> {
        let due = self.look(State::poll_timeout);
        if self.time.is_manual() {
            // Nobody says when the clock is moved.
            return due.map(|_| MANUAL_CLOCK_CHECK);
        }
        due.map(|at| at.saturating_duration_since(self.time.now()))
    }

    /// Returns whether the thread that serves the port has caused something for a connection since the last call.
    pub(super) fn take_touched(&self) -> bool {
        self.touched.swap(false, Ordering::Relaxed)
    }

    pub(super) fn wake_port(&self) {
        if let Some(port) = &self.port {
            // Fails only if the system is out of resources; the thread then finds out at its next event.
            let _ = port.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// How often a broker with a port looks at a clock that is moved by hand.
const MANUAL_CLOCK_CHECK: Duration = Duration::from_millis(5);
