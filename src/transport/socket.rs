//! A connection: an endpoint, and the layers that change the bytes on their way.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::{Registry, Token};

use super::endpoint::Endpoint;
use super::layer::{Layer, Stack};
use crate::on_demand::OnDemand;

/// A connected byte stream that never blocks, except in its two `wait_*` methods.
///
/// Reading and writing may happen at the same time on two threads, at most one each; dropping it closes it.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(super) endpoint: Endpoint,
    /// The uppermost last.
    layers: OnDemand<Vec<Box<dyn Layer>>>,
    /// The peer was told that nothing more will come.
    has_said_goodbye: AtomicBool,
}

impl Socket {
    /// A connection without layers.
    pub(super) fn plain(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            layers: OnDemand::default(),
            has_said_goodbye: AtomicBool::new(false),
        }
    }

    /// Puts a layer, whose handshake is over, on top of the others.
    #[cfg(any(feature = "tls", feature = "websocket"))]
    pub(super) fn add(&mut self, layer: impl Layer + 'static) {
        self.layers.push(Box::new(layer));
    }

    fn stack(&self) -> Stack<'_> {
        Stack {
            endpoint: &self.endpoint,
            layers: &self.layers,
        }
    }

    // ---- readiness ----

    /// Whether a poll reports when the socket is ready; if not, the waker does.
    pub(crate) fn is_pollable(&self) -> bool {
        self.endpoint.is_pollable()
    }

    /// Has the poll of `registry` report `token` when the socket becomes readable or writable (edge triggered).
    ///
    /// Does nothing for a socket that is not pollable.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.endpoint.register(registry, token)
    }

    /// Undoes `register`.
    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.endpoint.deregister(registry)
    }

    /// Has `wake` called when a socket that is not pollable may have become readable or writable, and once at once.
    ///
    /// `wake` runs on whatever thread the stream uses, also inside `read` and `write`: it must not take a lock that is
    /// held around them. Does nothing for a pollable socket.
    pub(crate) fn set_waker(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        self.endpoint.set_waker(wake);
    }

    /// Blocks until a `read` is worth trying, for at most `timeout`; false if the time is over.
    ///
    /// To be called after a `read` that would have blocked.
    pub(crate) fn wait_readable(&self, timeout: Duration) -> io::Result<bool> {
        self.endpoint.wait_readable(timeout)
    }

    /// Blocks until a `write_vectored` is worth trying, for at most `timeout`; false if the time is over.
    ///
    /// To be called after a write that would have blocked or was short.
    pub(crate) fn wait_writable(&self, timeout: Duration) -> io::Result<bool> {
        self.endpoint.wait_writable(timeout)
    }

    // ---- bytes ----

    /// Reads what has arrived; 0 is the end of the stream. Less than there is room for means that nothing is left.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing has; never `Interrupted`; anything else is the end of the connection.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stack().read(buffer)
    }

    /// Whether another read may bring something that has left the endpoint already, so that nobody reports it.
    pub(crate) fn has_more(&self) -> bool {
        self.stack().has_more()
    }

    /// Writes as much of `bytes`, of which there are some, as there is room for. Never 0.
    ///
    /// What was not written has to come first in the next call: a layer may have encoded it already.
    ///
    /// # Errors
    ///
    /// As for [`write_vectored`](Self::write_vectored).
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stack().write(bytes)
    }

    /// As [`write`](Self::write), of bytes behind which `shutdown_write` has to follow at once: they may wait for that.
    pub(crate) fn write_last(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stack().write_last(bytes)
    }

    /// Writes as much of `slices`, in their order, as there is room for. Never 0 unless they are all empty.
    ///
    /// What was not written has to come first in the next call, cut into slices in whatever way.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room; never `Interrupted`; anything else is the end of the connection.
    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stack().write_vectored(slices)
    }

    /// Whether a layer answers to what was read: `flush`, or the next write, writes that.
    pub(crate) fn has_answers(&self) -> bool {
        self.stack().has_answers()
    }

    /// Writes what the layers have for the peer, if nothing else is to be written.
    ///
    /// # Errors
    ///
    /// As for [`write_vectored`](Self::write_vectored).
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.stack().flush()
    }

    /// Tells the peer that nothing more will come; reading goes on. Does nothing if it was told so before.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        if self.has_said_goodbye.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.stack().shutdown_write()
    }

    // ---- who is connected ----

    /// Whether this is TCP without layers.
    pub(crate) fn is_plain_tcp(&self) -> bool {
        matches!(self.endpoint, Endpoint::Tcp(_)) && self.layers.is_empty()
    }

    /// The address on this side, if it has one.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// The address of the peer, if it has one.
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.endpoint.peer_addr()
    }

    /// The descriptor, for an event loop of the user's own.
    #[cfg(unix)]
    pub(crate) fn as_raw_fd(&self) -> Option<RawFd> {
        self.endpoint.as_raw_fd()
    }
}
