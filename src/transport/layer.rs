//! Layers: what changes the bytes between the user of a socket and its endpoint.
//!
//! ```text
//! plain bytes  <-- WebSocket -- frames <-- TLS -- records <-- endpoint
//! ```
//!
//! A layer knows nothing of what is below it but that it can be read and written.

use std::fmt;
use std::io::{self, IoSlice};

use super::endpoint::Endpoint;

/// One layer: plain bytes on the side of the user, encoded ones on that of whatever is below.
///
/// The thread that reads and the one that writes use it at the same time. How they share its state it keeps to itself; no
/// lock is held while `below` is called.
pub(super) trait Layer: fmt::Debug + Send + Sync {
    /// See [`Socket::read`](super::Socket::read).
    fn read(&self, below: Stack<'_>, buffer: &mut [u8]) -> io::Result<usize>;

    /// Whether another read may bring something, or the error, that has left the endpoint already.
    fn has_more(&self) -> bool;

    /// See [`Socket::write_vectored`](super::Socket::write_vectored). Writes the answers, too.
    fn write_vectored(&self, below: Stack<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Whether the layer has bytes for the peer that nobody has given to it to write: answers to what was read.
    fn has_answers(&self) -> bool;

    /// Writes all that the layer has encoded, and the answers.
    fn flush(&self, below: Stack<'_>) -> io::Result<()>;

    /// Tells the peer that nothing more will come, if that is possible at once.
    fn say_goodbye(&self, below: Stack<'_>);
}

/// An endpoint and some of the layers over it, the uppermost last: a stream of bytes for whoever is above.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stack<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) layers: &'a [Box<dyn Layer>],
}

impl<'a> Stack<'a> {
    /// The uppermost layer, and what is below it.
    fn split(self) -> Option<(&'a dyn Layer, Self)> {
        let (top, layers) = self.layers.split_last()?;
        Some((top.as_ref(), Self { layers, ..self }))
    }

    /// All layers from the top down, each with what is below it.
    fn descend(self) -> impl Iterator<Item = (&'a dyn Layer, Self)> {
        std::iter::successors(self.split(), |(_, below)| below.split())
    }

    pub(super) fn read(self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.split() {
            None => self.endpoint.read(buffer),
            Some((layer, below)) => layer.read(below, buffer),
        }
    }

    pub(super) fn has_more(self) -> bool {
        self.layers.iter().any(|layer| layer.has_more())
    }

    pub(super) fn write(self, bytes: &[u8]) -> io::Result<usize> {
        match self.split() {
            None => self.endpoint.write(bytes),
            Some((layer, below)) => layer.write_vectored(below, &[IoSlice::new(bytes)]),
        }
    }

    pub(super) fn write_last(self, bytes: &[u8]) -> io::Result<usize> {
        if self.layers.is_empty() {
            self.endpoint.write_last(bytes)
        } else {
            // Those that they say goodbye with come behind.
            self.write(bytes)
        }
    }

    pub(super) fn write_vectored(self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.split() {
            None => self.endpoint.write_vectored(slices),
            Some((layer, below)) => layer.write_vectored(below, slices),
        }
    }

    pub(super) fn has_answers(self) -> bool {
        self.layers.iter().any(|layer| layer.has_answers())
    }

    pub(super) fn flush(self) -> io::Result<()> {
        self.descend().try_for_each(|(layer, below)| layer.flush(below))
    }

    pub(super) fn shutdown_write(self) -> io::Result<()> {
        self.descend().for_each(|(layer, below)| layer.say_goodbye(below));
        self.endpoint.shutdown_write()
    }
}
