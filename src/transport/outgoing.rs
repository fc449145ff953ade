//! What a layer has encoded and not written yet.

use std::io;
use std::mem;
use std::ops::Range;

use super::layer::Stack;

/// Encoded bytes on their way out, kept under the lock of a layer. A writer takes them out, writes without the lock, and
/// gives them back.
///
/// What was encoded cannot be taken back, so plain bytes count as written when all that was made of them is: until then a
/// writer repeats them ([`Socket::write`](super::Socket::write)).
#[derive(Default)]
pub(super) struct Outgoing {
    bytes: Bytes,
    /// So many plain bytes are in it, and the writer does not know yet.
    ahead: usize,
    /// A writer has the bytes.
    taken: bool,
}

/// The bytes. The memory is used again.
#[derive(Default)]
pub(super) struct Bytes {
    memory: Vec<u8>,
    unwritten: Range<usize>,
}

impl Outgoing {
    /// Whether nothing is on its way, as far as is seen here: a writer may have taken it out.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.unwritten.is_empty()
    }

    /// Whether somebody writes.
    pub(super) fn is_taken(&self) -> bool {
        self.taken
    }

    /// Room for at least `size` bytes behind those that are there.
    pub(super) fn room(&mut self, size: usize) -> &mut [u8] {
        if self.is_empty() {
            self.bytes.unwritten = 0..0;
        }
        let Bytes { memory, unwritten } = &mut self.bytes;
        if memory.len() < unwritten.end + size {
            memory.resize(unwritten.end + size, 0);
        }
        memory.get_mut(unwritten.end..).unwrap_or_default()
    }

    /// So much of the room has bytes.
    pub(super) fn filled(&mut self, count: usize) {
        self.bytes.unwritten.end += count;
    }

    /// So many plain bytes are in what was encoded.
    pub(super) fn went_ahead(&mut self, count: usize) {
        self.ahead += count;
    }

    /// Whether plain bytes are in what is on its way: the writer repeats them.
    pub(super) fn is_ahead(&self) -> bool {
        self.ahead > 0
    }

    /// After all was written: how many plain bytes that were.
    pub(super) fn take_ahead(&mut self) -> usize {
        mem::take(&mut self.ahead)
    }

    /// To be given back.
    pub(super) fn take(&mut self) -> Bytes {
        self.taken = true;
        mem::take(&mut self.bytes)
    }

    pub(super) fn give_back(&mut self, bytes: Bytes) {
        self.taken = false;
        self.bytes = bytes;
    }
}

impl Bytes {
    /// Writes all of it.
    pub(super) fn write_to(&mut self, below: Stack<'_>) -> io::Result<()> {
        while let Some(rest) = self
            .memory
            .get(self.unwritten.clone())
            .filter(|rest| !rest.is_empty())
        {
            self.unwritten.start += below.write(rest)?;
        }
        Ok(())
    }
}
