//! Waiting on a poll of one's own, with a deadline and a way out.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Registry, Token};

use super::cancel::{Cancel, Watch};

/// What one attempt to connect waits with: readiness, the deadline over everything, and its [`Cancel`].
#[derive(Debug)]
pub(super) struct Wait {
    poll: Poll,
    events: Events,
    waker: Arc<mio::Waker>,
    watch: Watch,
    deadline: Option<Instant>,
}

impl Wait {
    pub(super) fn new(timeout: Duration, cancel: &Cancel) -> io::Result<Self> {
        let deadline = Instant::now().checked_add(timeout);
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        let watch = cancel.watch(Arc::clone(&waker));
        Ok(Self {
            poll,
            events: Events::with_capacity(16),
            waker,
            watch,
            deadline,
        })
    }

    pub(super) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Ends a `next` that runs on another thread. To be held weakly there: it is a descriptor.
    pub(super) fn waker(&self) -> &Arc<mio::Waker> {
        &self.waker
    }

    /// # Errors
    ///
    /// `Interrupted` once cancelled.
    pub(super) fn check(&self) -> io::Result<()> {
        self.watch.check()
    }

    /// Waits until a socket is ready, the waker was called or `until` has come; returns the ready sockets' tokens.
    ///
    /// # Errors
    ///
    /// `Interrupted` once cancelled, `TimedOut` once the deadline has passed.
    pub(super) fn next(&mut self, until: Option<Instant>) -> io::Result<Vec<Token>> {
        self.check()?;
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(timed_out());
        }
        let until = [until, self.deadline].into_iter().flatten().min();
        poll_until(&mut self.poll, &mut self.events, until)?;
        self.check()?;
        let tokens = self.events.iter().map(mio::event::Event::token);
        Ok(tokens.filter(|&token| token != WAKER).collect())
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
