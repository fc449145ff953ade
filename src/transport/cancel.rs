//! Ending an attempt to connect from another thread.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Ends running and future attempts to connect, from any thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancel {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    /// One for each running attempt.
    wakers: Vec<Arc<mio::Waker>>,
}

impl Cancel {
    /// Ends what runs, at once, and what starts later.
    pub(crate) fn cancel(&self) {
        let mut state = self.lock();
        state.cancelled = true;
        for waker in &state.wakers {
            if let Err(error) = waker.wake() {
                log::error!(target: "callmq", "cannot wake the thread that connects: {error}");
            }
        }
    }

    /// Whether it was cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    /// The error of an attempt that was cancelled.
    pub(super) fn error() -> io::Error {
        io::Error::new(io::ErrorKind::Interrupted, "connecting was cancelled")
    }

    /// Has `waker` woken by every `cancel` until the guard is dropped.
    pub(super) fn watch(&self, waker: Arc<mio::Waker>) -> Watch {
        self.lock().wakers.push(Arc::clone(&waker));
        Watch {
            cancel: self.clone(),
            waker,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As long as it lives, its waker is woken by the [`Cancel`].
#[derive(Debug)]
pub(super) struct Watch {
    cancel: Cancel,
    waker: Arc<mio::Waker>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.cancel.lock();
        state.wakers.retain(|waker| !Arc::ptr_eq(waker, &self.waker));
    }
}
