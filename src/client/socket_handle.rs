//! The socket, for event loops of the user's own.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::transport::Socket;

/// The client's socket, to be watched by an event loop of your own. Reading, writing and closing it is the client's.
#[derive(Clone, Debug)]
pub struct SocketHandle {
    socket: Arc<Socket>,
}

impl SocketHandle {
    pub(super) fn new(socket: Arc<Socket>) -> Self {
        Self { socket }
    }

    /// Returns the broker's address, or that of the proxy in between; `None` for a stream that has none.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Returns the address at this end; `None` for a stream that has none.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.local_addr()
    }

    /// Returns the file descriptor, for `poll` and the like; `None` for a stream that has none.
    ///
    /// It is closed when the connection has ended and the last handle is dropped.
    #[cfg(unix)]
    pub fn raw_fd(&self) -> Option<std::os::fd::RawFd> {
        self.socket.as_raw_fd()
    }
}
