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
use frames::Frames;

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

    /// Writes what is encoded, and the answers, with the lock released.
    fn write_out(&self, mut frames: MutexGuard<'_, Frames>, below: Stack<'_>) -> io::Result<()> {
        frames.append_answers();
        let mut bytes = frames.outgoing.take();
        drop(frames);
        let result = bytes.write_to(below);
        self.lock().outgoing.give_back(bytes);
        result
    }
}

impl Layer for WebSocket {
    fn read(&self, below: Stack<'_>, buffer: &mut [u8]) -> io::Result<usize> {
        let mut idle = 0;
        let mut count = 0;
        let mut frames = self.lock();
        frames.has_more = false;
        loop {
            let room = buffer.get_mut(count..).unwrap_or_default();
            if frames.has_ended() && count == 0 {
                // Nobody else writes any more: the peer gets to know why, if that is possible at once.
                let end = frames.end();
                if frames.outgoing.is_idle() {
                    let _ = self.write_out(frames, below);
                }
                return end;
            }
            if frames.has_ended() || idle > IDLE {
                frames.has_more = true;
                return if count > 0 {
                    Ok(count)
                } else {
                    Err(io::ErrorKind::WouldBlock.into())
                };
            }
            if room.is_empty() {
                return Ok(count);
            }
            let mut received = frames.take_early(room);
            if received == 0 {
                drop(frames);
                let result = below.read(room);
                frames = self.lock();
                match result {
                    Ok(0) => frames.end_with(Ok(0)),
                    Ok(count) => received = count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock && count > 0 => return Ok(count),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                    Err(error) => frames.end_with(Err(error)),
                }
            }
            let drained = received < room.len() && !frames.has_early();
            count += frames.decode(room.get_mut(..received).unwrap_or_default());
            idle += received;
            // Where nothing came out, the end of the stream may stand behind what was read: it is not reported again.
            if count > 0 && drained && !frames.has_ended() {
                return Ok(count);
            }
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
        if frames.say_goodbye() {
            let _ = self.write_out(frames, below);
        }
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").finish_non_exhaustive()
    }
}
