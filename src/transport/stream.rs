//! A byte stream of the user's own, in place of a socket.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A byte stream that takes the place of a TCP connection.
///
/// It may be a serial line, a tunnel, or the other half of an object in the same process. The client holds one handle
/// for each connection and drops it when the connection ends: that is the time to close whatever is behind it.
///
/// No method may block. Reading and writing happen at the same time from different threads, but at most one thread
/// reads and at most one writes.
///
/// A stream is not asked over and over: after `read` or `write` returned [`WouldBlock`](io::ErrorKind::WouldBlock), or
/// `write` took less than it was given, the client waits until the stream calls [`Waker::wake`]. An error of the kind
/// [`Interrupted`](io::ErrorKind::Interrupted) means that the call is made again at once; any other error ends the
/// connection.
pub trait Stream: Send + Sync {
    /// Takes received bytes into `buffer` and returns how many; 0 means that the peer has closed its side.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing has arrived; anything else ends the connection.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Takes bytes to send from the start of `bytes` and returns how many. `bytes` is never empty.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; anything else ends the connection.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Tells the peer that nothing more will be written; reading goes on.
    ///
    /// # Errors
    ///
    /// An error is ignored: the client is about to drop the stream.
    fn shutdown(&self) -> io::Result<()>;

    /// Stores whom to wake when bytes arrive, when there is room again, or when the stream ends.
    ///
    /// Called once, before the first `read` or `write`.
    fn set_waker(&self, waker: Waker);
}

/// Wakes a client that waits for a [`Stream`].
///
/// Cheap to clone. Waking is allowed from any thread, also inside a method of the stream, and costs little if nobody
/// waits; a call too many does no harm, a call too few leaves the client waiting.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

impl Waker {
    /// Makes a waker that calls `wake`.
    ///
    /// The client makes its own; this is for the tests of a stream.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(wake))
    }

    /// Says that the stream is worth another `read` or `write`.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}
