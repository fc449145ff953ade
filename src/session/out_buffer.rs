//! Encoded bytes on their way to the socket: small packets side by side in one buffer, large payloads where they are.

use std::io::IoSlice;

use bytes::Bytes;

/// Payloads of at least this many bytes are not copied but written from where they are.
pub(crate) const SHARED_PAYLOAD_MIN: usize = 32 * 1024;

/// Bytes to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct OutBuffer {
    _tail: Vec<u8>,
}

impl OutBuffer {
    pub(crate) fn len(&self) -> usize {
        unimplemented!()
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Lets `write` append encoded bytes.
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let _ = write;
    }
    /// Appends bytes without copying them.
    pub(crate) fn push_shared(&mut self, bytes: Bytes) {
        let _ = bytes;
    }
    /// Fills `slices` with what is to be written next and returns how many were filled.
    pub(crate) fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let _ = slices;
        0
    }
    /// Forgets the first `count` bytes: they were written.
    pub(crate) fn advance(&mut self, count: usize) {
        let _ = count;
    }
    /// Moves all of `other` behind the bytes of `self`. Where `self` is empty this exchanges the two (so that buffers are reused).
    pub(crate) fn take_from(&mut self, other: &mut OutBuffer) {
        let _ = other;
    }
    pub(crate) fn clear(&mut self) {}
}
