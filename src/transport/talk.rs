//! Talking to a peer while dialling: blocks, within the deadline and until cancelled.

use std::io;
use std::sync::Arc;

use mio::Token;

use super::socket::Socket;
use super::wait::Wait;

/// A socket that blocks in `read` and `write_all`, as long as one attempt to connect may take.
#[derive(Debug)]
pub(super) struct Talk<'a> {
    socket: &'a mut Socket,
    wait: &'a mut Wait,
}

impl<'a> Talk<'a> {
    pub(super) fn new(socket: &'a mut Socket, wait: &'a mut Wait) -> io::Result<Self> {
        socket.register(wait.registry()?, Token(0))?;
        // Whoever becomes the owner of the socket sets another.
        let waker = Arc::downgrade(wait.waker()?);
        socket.set_waker(Arc::new(move || {
            if let Some(waker) = waker.upgrade() {
                let _ = waker.wake();
            }
        }));
        Ok(Self { socket, wait })
    }

    /// Reads what has arrived, at least something; 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// `Interrupted` if cancelled, `TimedOut` after the deadline; those of the socket.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait.check()?;
        loop {
            match self.socket.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => drop(self.wait.next(None)?),
                result => return result,
            }
        }
    }

    /// Fills `buffer`.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the stream ends before; as for [`read`](Self::read).
    pub(super) fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.read(room)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        Ok(())
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub(super) fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.socket.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => drop(self.wait.next(None)?),
                Err(error) => return Err(error),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            }
        }
        Ok(())
    }
}

impl Drop for Talk<'_> {
    fn drop(&mut self) {
        // Fails only for what was never registered.
        let _ = self
            .wait
            .registry()
            .and_then(|registry| self.socket.deregister(registry));
    }
}

/// What a stranger says, for an error: on one line, and not too long.
pub(super) fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(100)
        .collect()
}
