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
    /// How often it was cancelled, so that an attempt also ends if `reset` follows before it looks.
    count: u64,
    /// One for each running attempt.
    wakers: Vec<Arc<mio::Waker>>,
}

impl Cancel {
    /// Ends what runs at once, and what starts later until [`Cancel::reset`].
    pub(crate) fn cancel(&self) {
        let mut state = self.lock();
        state.cancelled = true;
        state.count += 1;
        for waker in &state.wakers {
            if let Err(error) = waker.wake() {
                log::error!("cannot wake the thread that connects: {error}");
            }
        }
    }

    /// Lets later attempts run again; those cancelled before stay cancelled.
    pub(crate) fn reset(&self) {
        self.lock().cancelled = false;
    }

    /// Whether an attempt that starts now would end at once.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    /// The error of an attempt that was cancelled.
    pub(super) fn error() -> io::Error {
        io::Error::new(io::ErrorKind::Interrupted, "connecting was cancelled")
    }

    /// Has `waker` woken by every `cancel` until the guard is dropped.
    pub(super) fn watch(&self, waker: Arc<mio::Waker>) -> Watch {
        let mut state = self.lock();
        state.wakers.push(Arc::clone(&waker));
        // An attempt that starts cancelled can never become valid: no later count equals this one.
        let count = if state.cancelled { u64::MAX } else { state.count };
        drop(state);
        Watch {
            cancel: self.clone(),
            count,
            waker,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt's view of a [`Cancel`].
#[derive(Debug)]
pub(super) struct Watch {
    cancel: Cancel,
    count: u64,
    waker: Arc<mio::Waker>,
}

impl Watch {
    /// # Errors
    ///
    /// [`Cancel::error`] if the attempt was cancelled.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.cancel.lock().count == self.count {
            Ok(())
        } else {
            Err(Cancel::error())
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.cancel.lock();
        state.wakers.retain(|waker| !Arc::ptr_eq(waker, &self.waker));
    }
}
