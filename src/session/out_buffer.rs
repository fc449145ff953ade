//! Encoded bytes on their way to the socket: small packets side by side in one buffer, large payloads where they are.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::on_demand::OnDemand;

/// Payloads of at least this many bytes are not copied but written from where they are.
pub(crate) const SHARED_PAYLOAD_MIN: usize = 32 * 1024;

/// Bytes to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct OutBuffer {
    /// What comes before `tail`; empty unless there are shared payloads.
    chunks: OnDemand<VecDeque<Bytes>>,
    /// Small packets, side by side; new ones go to its end.
    tail: Vec<u8>,
    /// How many bytes of `tail` were written already.
    tail_written: usize,
    len: usize,
}

/// An emptied buffer keeps up to this much memory for the next packets.
const RETAINED_CAPACITY: usize = 512 * 1024;
/// Up to this many bytes before a shared payload are copied to a chunk of their own; beyond, their buffer is given away.
const COPIED_HEAD: usize = 4 * 1024;

impl OutBuffer {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets `write` append encoded bytes.
    #[inline]
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        // Where the written part is the larger one it is cut off, so that a buffer that never runs empty stays small.
        if self.tail_written > COPIED_HEAD && self.tail_written >= self.tail.len() / 2 {
            self.cut_off_written();
        }
        let before = self.tail.len();
        write(&mut self.tail);
        debug_assert!(self.tail.len() >= before, "`write` only appends");
        self.len += self.tail.len() - before;
    }

    /// Appends bytes without copying them.
    pub(crate) fn push_shared(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.close_tail();
        self.len += bytes.len();
        self.chunks.push_back(bytes);
    }

    /// All of the bytes, if they stand side by side.
    pub(crate) fn as_slice(&self) -> Option<&[u8]> {
        if self.chunks.is_empty() {
            self.tail.get(self.tail_written..)
        } else {
            None
        }
    }

    /// Fills `slices` with what is to be written next, `behind` last of all, and returns how many were filled.
    pub(crate) fn io_slices<'a>(&'a self, behind: &'a [u8], slices: &mut [IoSlice<'a>]) -> usize {
        let tail = self.tail.get(self.tail_written..).unwrap_or_default();
        let parts = self.chunks.iter().map(|chunk| &chunk[..]).chain([tail, behind]);
        let mut filled = 0;
        for (slice, part) in slices.iter_mut().zip(parts.filter(|part| !part.is_empty())) {
            *slice = IoSlice::new(part);
            filled += 1;
        }
        filled
    }

    /// Forgets the first `count` bytes: they were written.
    pub(crate) fn advance(&mut self, count: usize) {
        if count >= self.len {
            return self.clear();
        }
        let mut count = count;
        self.len -= count;
        if let Some(chunks) = self.chunks.present() {
            while let Some(first) = chunks.front_mut() {
                if count < first.len() {
                    first.advance(count);
                    return;
                }
                count -= first.len();
                chunks.pop_front();
            }
        }
        self.tail_written += count;
    }

    pub(crate) fn clear(&mut self) {
        if let Some(chunks) = self.chunks.present() {
            chunks.clear();
        }
        if self.tail.capacity() > RETAINED_CAPACITY {
            // Given back whole: allocators soon keep at hand what comes and goes, but not what is made larger and smaller.
            self.tail = Vec::new();
        }
        self.tail.clear();
        self.tail_written = 0;
        self.len = 0;
    }

    #[cold]
    fn cut_off_written(&mut self) {
        self.tail.drain(..self.tail_written);
        self.tail_written = 0;
    }

    /// Moves what is in `tail` to the chunks.
    fn close_tail(&mut self) {
        let rest = self.tail.get(self.tail_written..).unwrap_or_default();
        if rest.is_empty() {
            self.tail.clear();
        } else if rest.len() <= COPIED_HEAD {
            self.chunks.push_back(Bytes::copy_from_slice(rest));
            self.tail.clear();
        } else {
            let mut rest = Bytes::from(std::mem::take(&mut self.tail));
            rest.advance(self.tail_written);
            self.chunks.push_back(rest);
        }
        self.tail_written = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(out: &mut OutBuffer, bytes: &[u8]) {
        out.append(|tail| tail.extend_from_slice(bytes));
    }

    /// All that is to be written, read through at most `window` slices at a time and `step` bytes at a time.
    fn written(mut out: OutBuffer, window: usize, step: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !out.is_empty() {
            let mut slices = vec![IoSlice::new(&[]); window];
            let filled = out.io_slices(&[], &mut slices);
            let next: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            let count = step.min(next.len());
            bytes.extend_from_slice(&next[..count]);
            out.advance(count);
        }
        bytes
    }

    fn mixed() -> OutBuffer {
        let mut out = OutBuffer::default();
        put(&mut out, b"abc");
        out.push_shared(Bytes::from_static(b"DEFG"));
        out.push_shared(Bytes::new());
        out.push_shared(Bytes::from_static(b"HI"));
        put(&mut out, b"jk");
        put(&mut out, b"l");
        out
    }

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came() {
        assert_eq!(mixed().len(), 12);
        for window in 1..6 {
            for step in 1..13 {
                assert_eq!(written(mixed(), window, step), b"abcDEFGHIjkl");
            }
        }
    }

    #[test]
    fn appending_after_a_partial_write_keeps_the_order() {
        for cut in 0..12 {
            let mut out = mixed();
            out.advance(cut);
            put(&mut out, b"m");
            out.push_shared(Bytes::from_static(b"N"));
            assert_eq!(written(out, 2, 3), b"abcDEFGHIjklmN"[cut..]);
        }
    }

    #[test]
    fn a_shared_payload_is_not_copied() {
        let payload = Bytes::from(vec![1; SHARED_PAYLOAD_MIN]);
        let mut out = OutBuffer::default();
        put(&mut out, b"head");
        out.push_shared(payload.clone());
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(out.io_slices(&[], &mut slices), 2);
        assert_eq!(slices[1].as_ptr(), payload.as_ptr());
    }

    #[test]
    fn what_is_not_in_the_buffer_comes_behind_all_that_is() {
        for window in 1..6 {
            let out = mixed();
            let mut slices = vec![IoSlice::new(&[]); window];
            let filled = out.io_slices(b"mno", &mut slices);
            let next: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            assert_eq!(next, b"abcDEFGHIjklmno"[..next.len()]);
            assert_eq!(filled, window.min(5));
        }
    }

    #[test]
    fn an_emptied_buffer_keeps_a_bounded_amount_of_memory() {
        let mut out = OutBuffer::default();
        put(&mut out, &vec![0; 4 * RETAINED_CAPACITY]);
        out.advance(4 * RETAINED_CAPACITY);
        assert!(out.tail.capacity() <= RETAINED_CAPACITY);
        put(&mut out, &vec![0; RETAINED_CAPACITY]);
        out.clear();
        assert_eq!(out.tail.capacity(), RETAINED_CAPACITY);
        put(&mut out, &vec![0; 4 * RETAINED_CAPACITY]);
        out.clear();
        assert!(out.is_empty());
        assert!(out.tail.capacity() <= RETAINED_CAPACITY);
    }

    #[test]
    fn a_buffer_that_never_runs_empty_does_not_grow() {
        let mut out = OutBuffer::default();
        put(&mut out, &[1; 1000]);
        for _ in 0..10_000 {
            put(&mut out, &[1; 1000]);
            out.advance(1000);
        }
        assert_eq!(out.len(), 1000);
        assert!(out.tail.capacity() < 64 * 1024);
    }

    #[test]
    fn a_large_head_before_a_shared_payload_is_given_away_whole() {
        let mut out = OutBuffer::default();
        put(&mut out, &[5; 3 * COPIED_HEAD]);
        out.advance(10);
        out.push_shared(Bytes::from_static(b"x"));
        let mut expected = vec![5; 3 * COPIED_HEAD - 10];
        expected.push(b'x');
        assert_eq!(written(out, 4, 5000), expected);
    }
}
