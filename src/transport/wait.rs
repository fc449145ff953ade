//! Waiting on a poll of one's own, with a deadline and a way out.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Registry, Token};

use super::cancel::{Cancel, Watch};

/// What one attempt to connect waits with: readiness, the deadline over everything, and its [`Cancel`].
///
/// The poll is made when something has to be waited for: a server on the same machine answers before that.
#[derive(Debug)]
pub(super) struct Wait {
    poll: Option<CancellablePoll>,
    cancel: Cancel,
    deadline: Option<Instant>,
}

/// A poll that ends when the attempt is cancelled.
#[derive(Debug)]
struct CancellablePoll {
    poll: Poll,
    events: Events,
    waker: Arc<mio::Waker>,
    /// Has `waker` woken by the [`Cancel`].
    _watch: Watch,
}

impl Wait {
    pub(super) fn new(timeout: Duration, cancel: &Cancel) -> Self {
        Self {
            poll: None,
            cancel: cancel.clone(),
            deadline: Instant::now().checked_add(timeout),
        }
    }

    fn poll(&mut self) -> io::Result<&mut CancellablePoll> {
        match &mut self.poll {
            Some(poll) => Ok(poll),
            none => Ok(none.insert(CancellablePoll::new(&self.cancel)?)),
        }
    }

    /// # Errors
    ///
    /// Where the system is out of descriptors.
    pub(super) fn registry(&mut self) -> io::Result<&Registry> {
        Ok(self.poll()?.poll.registry())
    }

    /// Ends a `next` that runs on another thread. To be held weakly there: it is a descriptor.
    ///
    /// # Errors
    ///
    /// As for [`registry`](Self::registry).
    pub(super) fn waker(&mut self) -> io::Result<&Arc<mio::Waker>> {
        Ok(&self.poll()?.waker)
    }

    /// # Errors
    ///
    /// `Interrupted` once cancelled.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.cancel.is_cancelled() {
            Err(Cancel::error())
        } else {
            Ok(())
        }
    }

    /// Waits until a socket is ready, the waker was called or `until` has come; returns the ready sockets' tokens.
    ///
    /// # Errors
    ///
    /// `Interrupted` once cancelled, `TimedOut` once the deadline has passed.
    pub(super) fn next(&mut self, until: Option<Instant>) -> io::Result<Vec<Token>> {
        // Made before the look at what would end the wait: what comes after that look wakes it.
        self.poll()?;
        self.check()?;
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(timed_out());
        }
        let until = [until, self.deadline].into_iter().flatten().min();
        let CancellablePoll { poll, events, .. } = self.poll()?;
        poll_until(poll, events, until)?;
        let tokens = events.iter().map(mio::event::Event::token);
        let ready = tokens.filter(|&token| token != WAKER).collect();
        self.check()?;
        Ok(ready)
    }
}

impl CancellablePoll {
    fn new(cancel: &Cancel) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        Ok(Self {
            poll,
            events: Events::with_capacity(16),
            _watch: cancel.watch(Arc::clone(&waker)),
            waker,
        })
    }
}

/// Polls until something happens or `until` has come.
pub(super) fn poll_until(poll: &mut Poll, events: &mut Events, until: Option<Instant>) -> io::Result<()> {
    loop {
        let timeout = until.map(|until| until.saturating_duration_since(Instant::now()));
        match poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The error of an attempt whose deadline has passed.
pub(super) fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "timed out")
}

/// No socket has this token.
const WAKER: Token = Token(usize::MAX);
