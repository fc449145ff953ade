//! WebSocket as a layer (RFC 6455): plain bytes on the client's side, binary frames on that of whatever is below.
//!
//! Where frames begin and end means nothing to MQTT [MQTT-6.0.0-2], so nothing is collected: what a read brings is handed
//! out at once, in the reader's own buffer, with the headers taken out. Whatever a server announces costs no memory.
//!
//! The thread that reads and the one that writes share the state behind a small lock, which is held to mask what is
//! written, never across a system call. Pings are answered by whoever writes next; the client's loop sees to it that
//! somebody does ([`Socket::has_answers`](super::Socket::has_answers)).

mod config;
mod frames;
mod handshake;
#[cfg(test)]
mod tests;

pub(crate) use config::{Headers, WebSocketConfig, check_headers, check_path};
pub(super) use handshake::handshake;

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::layer::{Layer, Stack};
use frames::{End, Frames};

/// A read that has met so many bytes without any for MQTT lets others have a turn.
const IDLE: usize = 256 * 1024;

/// The WebSocket layer of a connection.
pub(super) struct WebSocket {
    frames: Mutex<Frames>,
}

impl WebSocket {
    /// After the handshake, together with which `early` has come.
    fn new(early: Vec<u8>) -> Self {
        Self {
            frames: Mutex::new(Frames::new(early)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Frames> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is encoded, and the answers, with the lock released. Where somebody does already it is left to them.
    fn write_out<'a>(&'a self, mut frames: MutexGuard<'a, Frames>, below: Stack<'_>) -> io::Result<()> {
        while !frames.outgoing.is_taken() && frames.append_answers() {
            let mut bytes = frames.outgoing.take();
            drop(frames);
            let result = bytes.write_to(below);
            frames = self.lock();
            frames.outgoing.give_back(bytes);
            result?;
        }
        Ok(())
    }
}

impl Layer for WebSocket {
    fn read(&self, below: Stack<'_>, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        let mut received = 0;
        let mut drained = false;
        loop {
            let mut frames = self.lock();
            let ended = frames.has_ended();
            let filled = count == buffer.len();
            // Where nothing came out, the end of the stream may stand behind what was read: it is not reported again.
            if filled || count > 0 && (drained || ended) {
                frames.has_more = ended || frames.has_early();
                return Ok(count);
            }
            frames.has_more = !ended && received > IDLE;
            if ended {
                let end = frames.end();
                // Others do not write any more: the peer gets to know why, if that is possible at once.
                let _ = self.write_out(frames, below);
                return end;
            }
            if frames.has_more {
                return so_far(count);
            }
            let room = buffer.get_mut(count..).unwrap_or_default();
            let early = frames.take_early(room);
            drop(frames);
            let size = match early {
                0 => match below.read(room) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return so_far(count),
                    end @ (Ok(0) | Err(_)) => {
                        self.lock().end_with(end.map_or_else(End::Io, |_| End::Stream));
                        continue;
                    }
                    Ok(size) => size,
                },
                size => size,
            };
            drained = size < room.len();
            received += size;
            count += self.lock().decode(room.get_mut(..size).unwrap_or_default());
        }
    }

    fn has_more(&self) -> bool {
        self.lock().has_more
    }

    fn write_vectored(&self, below: Stack<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut frames = self.lock();
        if !frames.outgoing.is_ahead() {
            frames.encode(slices)?;
        }
        self.write_out(frames, below)?;
        Ok(self.lock().outgoing.take_ahead())
    }

    fn has_answers(&self) -> bool {
        self.lock().has_answers()
    }

    fn flush(&self, below: Stack<'_>) -> io::Result<()> {
        self.write_out(self.lock(), below)
    }

    fn say_goodbye(&self, below: Stack<'_>) {
        let mut frames = self.lock();
        frames.say_goodbye();
        let _ = self.write_out(frames, below);
    }
}

/// What a read returns that has got nothing more.
fn so_far(count: usize) -> io::Result<usize> {
    match count {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(count),
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").finish_non_exhaustive()
    }
}
