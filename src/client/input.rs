//! Where received bytes wait to be taken apart.
//!
//! Payloads are parts of the buffer that was read into. When nobody has kept one, the buffer is read into again: so a
//! stream of messages costs neither copies nor memory that has to be cleared first.

use std::io;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::Message;
use crate::codec::{Decoder, Packet, PlainRun, QoS, ShortAck};
use crate::error::DecodeError;

/// The size of the first buffer, and of the smallest: an idle client holds it. The next one is four times as large when
/// a read fills it ..
const SMALL: usize = 32;

/// .. up to this size. Only a packet that does not fit needs a larger one.
const LARGE: usize = 64 * 1024;

/// After so many reads that a quarter of the buffer had been enough for, the next one is half as large.
const SMALL_READS: u8 = 64;

/// The bytes that were received and are not decoded yet.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// All of it may be read into again, but for `waiting`.
    buffer: Bytes,
    waiting: Range<usize>,
    /// What the last read brought, and whether it left no room.
    last_read: usize,
    filled: bool,
    /// Reads in a row that had far too much room.
    small_reads: u8,
}

impl Input {
    /// Forgets the bytes, and the buffer.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Reads once, with `read`: how many bytes it brought, and whether that was all there was room for.
    ///
    /// # Errors
    ///
    /// Those of `read`.
    pub(super) fn read(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<(usize, bool)> {
        let mut buffer = self.take_buffer();
        let waiting = self.waiting.len();
        let room = buffer.get_mut(waiting..).unwrap_or_default();
        let size = room.len();
        let result = read(room);
        let count = *result.as_ref().unwrap_or(&0).min(&size);
        self.waiting.end += count;
        self.last_read = count;
        self.filled = count == size;
        self.small_reads = if self.waiting.len() > buffer.len() / 4 {
            0
        } else {
            self.small_reads.saturating_add(1)
        };
        self.buffer = buffer.freeze();
        result.map(|_| (count, self.filled))
    }

    /// Decodes the next packet.
    ///
    /// # Errors
    ///
    /// Those of the decoder.
    pub(super) fn decode(&mut self, decoder: &mut Decoder) -> Result<Option<Packet>, DecodeError> {
        decoder.decode_part(&self.buffer, &mut self.waiting)
    }

    /// The first two bytes that wait, or fewer.
    pub(super) fn front(&self) -> &[u8] {
        let waiting = self.waiting();
        waiting.get(..2).unwrap_or(waiting)
    }

    #[inline(always)]
    fn waiting(&self) -> &[u8] {
        self.buffer.get(self.waiting.clone()).unwrap_or_default()
    }

    /// Whether the next packet is a plain message of QoS 0.
    pub(super) fn is_plain(&self, decoder: &Decoder) -> bool {
        let found = decoder.find_plain(self.waiting());
        found.is_some_and(|found| found.qos == QoS::AtMostOnce && decoder.known_topic(found.topic).is_some())
    }

    /// Decodes the next packet into `message` if it is a plain one of QoS 0: a PUBLISH without properties whose Topic
    /// Name came before. `false` if it is not.
    #[inline(always)]
    pub(super) fn decode_plain(&mut self, decoder: &Decoder, message: &mut Message) -> bool {
        let waiting = self.waiting();
        let Some(found) = decoder.find_plain(waiting) else {
            return false;
        };
        if found.qos != QoS::AtMostOnce {
            return false;
        }
        if message.topic.as_bytes() != found.topic {
            let Some(topic) = decoder.known_topic(found.topic) else {
                return false;
            };
            message.topic = topic.clone();
        }
        message.set_plain(&found, &self.buffer, self.waiting.start);
        self.waiting.start += found.len();
        true
    }

    /// The type of the next packet, as far as it has one.
    #[inline]
    pub(super) fn next_type(&self) -> u8 {
        self.waiting().first().map_or(0, |first| first >> 4)
    }

    /// Takes packets off that are messages for the application, see [`Decoder::plain_run`].
    #[inline]
    pub(super) fn plain_run<'a>(&'a mut self, decoder: &'a Decoder) -> PlainRun<'a> {
        decoder.plain_run(&self.buffer, &mut self.waiting)
    }

    /// Decodes the next packet if it is an acknowledgement in its shortest form.
    #[inline]
    pub(super) fn decode_short_ack(&mut self, decoder: &Decoder) -> Option<ShortAck> {
        decoder.decode_short_ack(&self.buffer, &mut self.waiting)
    }

    /// A buffer that nobody else has a part of: what waits is at its front, and there is room behind it.
    fn take_buffer(&mut self) -> BytesMut {
        let mut size = self.next_size();
        let waiting = self.waiting.clone();
        self.waiting = 0..waiting.len();
        let old = match std::mem::take(&mut self.buffer).try_into_mut() {
            Ok(mut own) if own.len() == size => {
                own.copy_within(waiting, 0);
                return own;
            }
            Ok(own) => own.freeze(),
            Err(none) if none.is_empty() => none,
            // The application has kept a message.
            Err(shared) => {
                let enough = 2 * (waiting.len() + self.last_read);
                // Who keeps messages keeps buffers.
                size = size.min(enough.next_power_of_two().max(SMALL));
                shared
            }
        };
        let mut buffer = BytesMut::zeroed(size);
        if let (Some(to), Some(from)) = (buffer.get_mut(..waiting.len()), old.get(waiting)) {
            to.copy_from_slice(from);
        }
        buffer
    }

    fn next_size(&mut self) -> usize {
        let size = self.buffer.len();
        if self.waiting.len() > size / 2 || self.filled && size < LARGE {
            self.small_reads = 0;
            let larger = if size < LARGE {
                LARGE.min(4 * size)
            } else {
                2 * size
            };
            larger.max(SMALL)
        } else if self.small_reads >= SMALL_READS && size > SMALL {
            self.small_reads = 0;
            size / 2
        } else {
            size.max(SMALL)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::codec::ProtocolVersion;

    fn publish(payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x30];
        let mut rest = payload.len() + 3;
        while rest >= 0x80 {
            packet.push((rest & 0x7F) as u8 | 0x80);
            rest >>= 7;
        }
        packet.push(rest as u8);
        packet.extend_from_slice(b"\0\x01t");
        packet.extend_from_slice(payload);
        packet
    }

    /// Feeds `bytes` in reads of at most `step` bytes; `keep` says whether the messages are kept.
    fn received(input: &mut Input, bytes: &[u8], step: usize, keep: bool) -> Vec<Bytes> {
        let mut decoder = Decoder::new(ProtocolVersion::V311);
        let (mut left, mut kept, mut copies) = (bytes, Vec::new(), Vec::new());
        while !left.is_empty() {
            let read = |room: &mut [u8]| {
                let count = step.min(left.len()).min(room.len());
                assert!(count > 0, "there is room");
                room[..count].copy_from_slice(&left[..count]);
                left = &left[count..];
                Ok(count)
            };
            input.read(read).unwrap();
            while let Some(Packet::Publish(publish)) = input.decode(&mut decoder).unwrap() {
                copies.push(Bytes::copy_from_slice(&publish.payload));
                kept.extend(keep.then_some(publish));
            }
        }
        assert!(input.waiting.is_empty());
        let unchanged = kept.iter().zip(&copies).all(|(kept, copy)| kept.payload == copy);
        assert!(unchanged, "a message that is kept stays what it was");
        copies
    }

    #[test]
    fn messages_come_out_as_they_went_in() {
        let payloads: Vec<Vec<u8>> = [0, 1, 70, 200, 5_000, 3, 70_000, 1, 300_000, 9, 9, 40_000]
            .iter()
            .enumerate()
            .map(|(number, &len)| vec![number as u8; len])
            .collect();
        let bytes: Vec<u8> = payloads.iter().flat_map(|payload| publish(payload)).collect();
        for step in [1, 7, 1_000, 4_096, 65_536, usize::MAX] {
            for keep in [false, true] {
                assert_eq!(received(&mut Input::default(), &bytes, step, keep), payloads);
            }
        }
    }

    #[test]
    fn a_stream_of_messages_passes_through_one_place() {
        let mut input = Input::default();
        let mut decoder = Decoder::new(ProtocolVersion::V311);
        let mut message = Message::empty(Instant::now());
        let other = b"\x31\x05\0\x01uyo";
        // Each name twice: the first time it is not known.
        let mut bytes = [&publish(b"hello")[..], other].concat().repeat(2);
        // A name is not empty.
        bytes.extend_from_slice(b"\x30\x02\0\0");
        let mut left = &bytes[..];
        while !left.is_empty() {
            input.read(|room| io::Read::read(&mut left, room)).unwrap();
        }
        assert!(!input.is_plain(&decoder) && !input.decode_plain(&decoder, &mut message));
        input.decode(&mut decoder).unwrap();
        input.decode(&mut decoder).unwrap();
        assert!(input.is_plain(&decoder) && input.decode_plain(&decoder, &mut message));
        let first = message.clone();
        assert!(input.decode_plain(&decoder, &mut message));
        assert_eq!((first.topic.as_str(), first.retain), ("t", false));
        assert_eq!((message.topic.as_str(), message.retain), ("u", true));
        assert_eq!((first.payload, message.payload), ("hello".into(), "yo".into()));
        let mut fresh = Message::empty(Instant::now());
        assert!(!input.is_plain(&decoder) && !input.decode_plain(&decoder, &mut fresh));
        assert!(input.decode(&mut decoder).is_err());
    }

    #[test]
    fn a_buffer_is_used_again_unless_a_part_of_it_was_kept() {
        let bytes = publish(b"hello");
        let mut input = Input::default();
        received(&mut input, &bytes, 100, false);
        let first = input.buffer.as_ptr();
        received(&mut input, &bytes, 100, false);
        assert_eq!(input.buffer.as_ptr(), first);
        let mut decoder = Decoder::new(ProtocolVersion::V311);
        input
            .read(|room| {
                room[..bytes.len()].copy_from_slice(&bytes);
                Ok(bytes.len())
            })
            .unwrap();
        let kept = input.decode(&mut decoder).unwrap();
        received(&mut input, &bytes, 100, false);
        assert_ne!(input.buffer.as_ptr(), first);
        drop(kept);
    }

    #[test]
    fn kept_messages_hold_little_more_than_themselves() {
        let mut input = Input::default();
        received(&mut input, &publish(&[1; 64]).repeat(5_000), usize::MAX, false);
        assert_eq!(input.buffer.len(), LARGE);
        received(&mut input, &publish(&[1; 64]).repeat(100), 67, true);
        assert_eq!(input.buffer.len(), 256);
    }

    #[test]
    fn the_buffer_grows_with_what_comes_and_shrinks_again() {
        let mut input = Input::default();
        received(&mut input, &publish(b"x"), 100, false);
        assert_eq!(input.buffer.len(), SMALL);
        let many = publish(&[1; 64]).repeat(5_000);
        received(&mut input, &many, usize::MAX, false);
        assert_eq!(input.buffer.len(), LARGE);
        received(&mut input, &publish(&[1; 1_000_000]), usize::MAX, false);
        assert!((1_000_000..4_000_000).contains(&input.buffer.len()));
        for _ in 0..2_000 {
            received(&mut input, &publish(b"x"), 100, false);
        }
        assert_eq!(input.buffer.len(), SMALL);
    }

    #[test]
    fn no_room_is_made_for_a_length_that_is_only_announced() {
        let mut input = Input::default();
        let mut decoder = Decoder::new(ProtocolVersion::V311);
        let announced = b"\x30\xFF\xFF\xFF\x7F";
        for &byte in announced.iter().chain(&[0; 1_000]) {
            input
                .read(|room| {
                    room[0] = byte;
                    Ok(1)
                })
                .unwrap();
            assert!(input.decode(&mut decoder).unwrap().is_none());
        }
        // As much as came, and some more.
        assert_eq!(input.buffer.len(), 2_048);
    }

    #[test]
    fn a_read_that_fails_leaves_what_was_there() {
        let bytes = publish(b"hello");
        let mut input = Input::default();
        let mut decoder = Decoder::new(ProtocolVersion::V311);
        let (front, back) = bytes.split_at(4);
        for part in [front, b"", back] {
            let read = |room: &mut [u8]| {
                room[..part.len()].copy_from_slice(part);
                if part.is_empty() {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(part.len())
            };
            assert_eq!(input.read(read).is_err(), part.is_empty());
        }
        assert!(matches!(input.decode(&mut decoder), Ok(Some(Packet::Publish(_)))));
    }
}
