//! What a connection runs over: a socket of the system, or a stream of the user's own.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
#[cfg(unix)]
use std::os::fd::{AsFd as AsSocket, AsRawFd, RawFd};
#[cfg(windows)]
use std::os::windows::io::AsSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Events, Interest, Poll, Registry, Token};
use socket2::SockRef;

use super::stream::{Stream, Waker};
use super::wait::poll_until;

/// What a connection runs over. It never blocks, except in its two `wait_*` methods.
///
/// Reading and writing may happen at the same time on two threads; dropping it closes it.
#[derive(Debug)]
pub(super) enum Endpoint {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Custom(Custom),
}

impl Endpoint {
    pub(super) fn custom(stream: Arc<dyn Stream>) -> Self {
        Self::Custom(Custom::new(stream))
    }

    // ---- readiness ----

    /// Whether a poll reports when the socket is ready; if not, the waker does.
    pub(super) fn is_pollable(&self) -> bool {
        match self {
            Self::Tcp(_) => true,
            #[cfg(unix)]
            Self::Unix(_) => true,
            Self::Custom(_) => false,
        }
    }

    /// Has the poll of `registry` report `token` when the socket becomes readable or writable (edge triggered).
    ///
    /// Does nothing for a socket that is not pollable.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => registry.register(stream, token, Interest::READABLE | Interest::WRITABLE),
            #[cfg(unix)]
            Self::Unix(stream) => registry.register(stream, token, Interest::READABLE | Interest::WRITABLE),
            Self::Custom(_) => Ok(()),
        }
    }

    /// Undoes `register`.
    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => registry.deregister(stream),
            #[cfg(unix)]
            Self::Unix(stream) => registry.deregister(stream),
            Self::Custom(_) => Ok(()),
        }
    }

    /// Has `wake` called when a socket that is not pollable may have become readable or writable, and once at once.
    ///
    /// `wake` runs on whatever thread the stream uses, also inside `read` and `write`: it must not take a lock that is
    /// held around them. Does nothing for a pollable socket.
    pub(super) fn set_waker(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        match self {
            Self::Tcp(_) => {}
            #[cfg(unix)]
            Self::Unix(_) => {}
            Self::Custom(custom) => custom.set_waker(wake),
        }
    }

    /// Blocks until a `read` is worth trying, for at most `timeout`; false if the time is over.
    ///
    /// To be called after a `read` that would have blocked.
    pub(super) fn wait_readable(&self, timeout: Duration) -> io::Result<bool> {
        match self {
            Self::Tcp(stream) => wait(stream, TcpStream::from_std, Interest::READABLE, timeout),
            #[cfg(unix)]
            Self::Unix(stream) => wait(stream, UnixStream::from_std, Interest::READABLE, timeout),
            Self::Custom(custom) => Ok(custom.signal.wait(|state| &mut state.readable, timeout)),
        }
    }

    /// Blocks until a `write_vectored` is worth trying, for at most `timeout`; false if the time is over.
    ///
    /// To be called after a write that would have blocked or was short.
    pub(super) fn wait_writable(&self, timeout: Duration) -> io::Result<bool> {
        match self {
            Self::Tcp(stream) => wait(stream, TcpStream::from_std, Interest::WRITABLE, timeout),
            #[cfg(unix)]
            Self::Unix(stream) => wait(stream, UnixStream::from_std, Interest::WRITABLE, timeout),
            Self::Custom(custom) => Ok(custom.signal.wait(|state| &mut state.writable, timeout)),
        }
    }

    // ---- bytes ----

    /// Reads what has arrived; 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing has; never `Interrupted`; anything else is the end of the connection.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => retry(|| (&mut &*stream).read(buffer)),
            #[cfg(unix)]
            Self::Unix(stream) => retry(|| (&mut &*stream).read(buffer)),
            Self::Custom(custom) => retry(|| caught(|| custom.stream.read(buffer)))
                .map_err(would_block)
                .map(|count| count.min(buffer.len())),
        }
    }

    /// Writes as much of `bytes`, of which there are some, as there is room for. Never 0.
    ///
    /// # Errors
    ///
    /// As for [`write_vectored`](Self::write_vectored).
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => retry(|| (&mut &*stream).write(bytes)),
            #[cfg(unix)]
            Self::Unix(stream) => retry(|| (&mut &*stream).write(bytes)),
            Self::Custom(custom) => custom.write_vectored(&[IoSlice::new(bytes)]),
        }
    }

    /// As [`write`](Self::write), of bytes behind which `shutdown_write` follows: where the system can, both leave in one
    /// packet.
    pub(super) fn write_last(&self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Self::Tcp(stream) = self {
            let flags = libc::MSG_MORE | libc::MSG_NOSIGNAL;
            return retry(|| SockRef::from(stream).send_with_flags(bytes, flags));
        }
        self.write(bytes)
    }

    /// Writes as much of `slices`, in their order, as there is room for. Never 0 unless they are all empty.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room; never `Interrupted`; anything else is the end of the connection.
    pub(super) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => retry(|| (&mut &*stream).write_vectored(slices)),
            #[cfg(unix)]
            Self::Unix(stream) => retry(|| (&mut &*stream).write_vectored(slices)),
            Self::Custom(custom) => custom.write_vectored(slices),
        }
    }

    /// Tells the peer that nothing more will come; reading goes on.
    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Custom(custom) => caught(|| custom.stream.shutdown()),
        }
    }

    // ---- who is connected ----

    /// The address on this side, if it has one.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            // The other end of a unix socket has a path at most.
            #[cfg(unix)]
            Self::Unix(_) => None,
            Self::Custom(_) => None,
        }
    }

    /// The address of the peer, if it has one.
    pub(super) fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            // The other end of a unix socket has a path at most.
            #[cfg(unix)]
            Self::Unix(_) => None,
            Self::Custom(_) => None,
        }
    }

    /// The descriptor, for an event loop of the user's own.
    #[cfg(unix)]
    pub(super) fn as_raw_fd(&self) -> Option<RawFd> {
        match self {
            Self::Tcp(stream) => Some(stream.as_raw_fd()),
            #[cfg(unix)]
            Self::Unix(stream) => Some(stream.as_raw_fd()),
            Self::Custom(_) => None,
        }
    }
}

/// Waits on a poll of its own and a duplicate of the descriptor, so that the registration with another poll stays as
/// it is.
fn wait<S: Source, T: From<socket2::Socket>>(
    stream: &impl AsSocket,
    from_std: impl FnOnce(T) -> S,
    interest: Interest,
    timeout: Duration,
) -> io::Result<bool> {
    let until = Instant::now().checked_add(timeout);
    let duplicate = SockRef::from(stream).try_clone()?;
    let mut duplicate = from_std(duplicate.into());
    let mut poll = Poll::new()?;
    poll.registry().register(&mut duplicate, Token(0), interest)?;
    let mut events = Events::with_capacity(1);
    poll_until(&mut poll, &mut events, until)?;
    Ok(!events.is_empty())
}

/// Makes the call again as long as it is interrupted.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Folds the time-out of a stream with a read or write time-out into `WouldBlock`.
///
/// Not for TCP sockets, which have none: there, `ETIMEDOUT` says that the keep-alive probes or sent bytes went
/// unanswered, and the connection is gone.
fn would_block(error: io::Error) -> io::Error {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::TimedOut, None) => io::ErrorKind::WouldBlock.into(),
        _ => error,
    }
}

/// A stream of the user's own, and who waits for it.
pub(super) struct Custom {
    stream: Arc<dyn Stream>,
    signal: Arc<Signal>,
}

impl Custom {
    fn new(stream: Arc<dyn Stream>) -> Self {
        let signal = Arc::new(Signal::default());
        // The stream keeps the waker: it must not keep what `set_waker` stores alive for longer than this socket.
        let weak = Arc::downgrade(&signal);
        stream.set_waker(Waker::new(move || {
            if let Some(signal) = weak.upgrade() {
                signal.wake();
            }
        }));
        Self { stream, signal }
    }

    fn set_waker(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        self.signal.lock().wake = Some(Arc::clone(&wake));
        // The stream may have become ready before.
        wake();
    }

    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            match retry(|| caught(|| self.stream.write(slice))).map_err(would_block) {
                Ok(0) if written == 0 => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) if count < slice.len() => return Ok(written + count),
                Ok(_) => written += slice.len(),
                // The next write meets it again.
                Err(_) if written > 0 => return Ok(written),
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }
}

/// Runs code of the user's own: its panic is the end of the connection, not of the thread that runs the loop.
pub(super) fn caught<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(io::Error::other("the stream panicked")))
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").finish_non_exhaustive()
    }
}

/// Remembers that a stream has woken us, for threads that block and for a loop that is told.
#[derive(Default)]
struct Signal {
    state: Mutex<SignalState>,
    woken: Condvar,
}

/// One flag for each direction, since each has a thread that may wait for it.
#[derive(Default)]
struct SignalState {
    readable: bool,
    writable: bool,
    wake: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Signal {
    fn wake(&self) {
        let mut state = self.lock();
        state.readable = true;
        state.writable = true;
        let wake = state.wake.clone();
        drop(state);
        self.woken.notify_all();
        if let Some(wake) = wake {
            wake();
        }
    }

    /// A flag that was set before the wait, even before the last `read` or `write`, ends it: better one call too many.
    fn wait(&self, flag: impl Fn(&mut SignalState) -> &mut bool, timeout: Duration) -> bool {
        let waiting = |state: &mut SignalState| !*flag(state);
        let (mut state, _) = self
            .woken
            .wait_timeout_while(self.lock(), timeout, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(flag(&mut state))
    }

    fn lock(&self) -> MutexGuard<'_, SignalState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
