//! The write path: from the session's output to the socket.
//!
//! Whoever writes takes all bytes that wait, writes them with the lock released, and then tells the session. There is
//! one writer at a time. A caller that finds the line quiet writes its packet itself, which has the latency of a
//! direct write; in a burst it only appends, and the driver takes everything at once. Between two writes of a flood the
//! driver pauses: the less often it comes for the bytes, the less it is in the publishers' way.

use std::io::{self, IoSlice};
use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::shared::{Core, Phase, Shared};
use super::{DisconnectReason, guard};
use crate::session::{Counters, Link, OutBuffer};
use crate::transport::Socket;

/// The line counts as quiet when the last write ended longer ago than this: long against the time between two
/// publishes of a burst, short against a round trip.
const QUIET: Duration = Duration::from_micros(3);

/// A publisher that finds the output full waits for half of it to leave, or until the peer has taken nothing for this long.
const STALL: Duration = Duration::from_millis(100);

/// A write does not block, so its writer is back sooner than this on however busy a machine.
const BACK: Duration = Duration::from_secs(1);

/// A write is one of a flood if it took so many messages of QoS 0 and nothing else, with nothing heard since the write
/// before. Windows of messages of QoS 1 and 2, requests and responses, and a few messages at once are none.
const FLOOD: u64 = 64;

/// After a write of so many bytes there is no pause: the next one takes about as much.
const AMPLE: usize = 64 * 1024;

/// The pause between two writes of a flood. Linux makes some 60 µs of it (the timer slack of a thread is 50), in which one
/// publisher appends 600 messages of 64 bytes. Without it a write takes 130 of them, and the lock and the memory that
/// change hands each time cost a third of the throughput: 5.9 M messages/s against 8.9 M. `yield_now` is less steady.
const PAUSE: Duration = Duration::from_micros(10);

/// The driver looks for something to read after so many writes, though there may be more to write.
const ROUNDS: usize = 4;

/// At most this many pieces go into one system call.
const SLICES: usize = 64;

impl Shared {
    /// Writes until nothing is left or the socket takes no more. Returns with the lock held again.
    pub(super) fn flush<'a>(&'a self, core: MutexGuard<'a, Core>) -> MutexGuard<'a, Core> {
        self.flush_rounds(core, usize::MAX)
    }

    /// As [`flush`](Self::flush), for the driver: pauses in a flood, and comes back from it to read.
    pub(super) fn flush_in_turn<'a>(&'a self, mut core: MutexGuard<'a, Core>) -> MutexGuard<'a, Core> {
        for _ in 0..ROUNDS {
            let Some((socket, bytes)) = self.take_bytes(&mut core) else {
                break;
            };
            let ample = bytes.len() >= AMPLE;
            core = self.write(core, &socket, bytes, &[]);
            if core.writing.flood && !ample {
                drop(core);
                pause();
                core = self.lock();
            }
        }
        core
    }

    /// As [`flush`](Self::flush), but takes what waits at most `rounds` times: others may append without end.
    fn flush_rounds<'a>(&'a self, mut core: MutexGuard<'a, Core>, rounds: usize) -> MutexGuard<'a, Core> {
        for _ in 0..rounds {
            let Some((socket, bytes)) = self.take_bytes(&mut core) else {
                break;
            };
            core = self.write(core, &socket, bytes, &[]);
        }
        core
    }

    /// Takes what waits, if this is the time to write it, and where to.
    fn take_bytes(&self, core: &mut Core) -> Option<(Arc<Socket>, Box<OutBuffer>)> {
        if core.writing.busy || core.writing.blocked || core.writing.held > 0 {
            return None;
        }
        let socket = core.socket.clone()?;
        let mut bytes = core.writing.rest.take()?;
        // What the socket did not take goes first, by itself: nothing is copied behind it, and nothing piles up here
        // (the session sees that its output is full). To join the two gains nothing, with messages of 1 to 64 KiB and
        // a peer that is slower.
        if bytes.is_empty() {
            mem::swap(&mut *bytes, core.session.output());
        }
        if bytes.is_empty() && !socket.has_answers() {
            core.writing.rest = Some(bytes);
            self.unclog(core);
            self.after_write(core);
            return None;
        }
        Some((socket, bytes))
    }

    /// Writes what was taken, and `payload` behind it; keeps what the socket does not take.
    fn write<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
        socket: &Socket,
        mut bytes: Box<OutBuffer>,
        mut payload: &[u8],
    ) -> MutexGuard<'a, Core> {
        core.writing.busy = true;
        let counters = core.session.counters();
        core.writing.flood = core.writing.traffic.go_on(&counters);
        core.session.writes(bytes.len() + payload.len());
        let (epoch, writable) = (core.epoch, core.writing.writable);
        // DISCONNECT is among them, or what goes without one: nothing comes behind.
        let last = core.closing_deadline().is_some() && core.session.output().is_empty();
        drop(core);

        let started = self.now();
        let (count, result) = write_all(socket, &mut bytes, &mut payload, last);
        let now = self.now();
        if !payload.is_empty() {
            bytes.append(|out| out.extend_from_slice(payload));
        }

        let mut core = self.lock();
        core.writing.busy = false;
        if core.epoch != epoch || core.socket.is_none() {
            // The connection was replaced or ended meanwhile; its bytes are nobody's.
            bytes.clear();
            core.writing.rest = Some(bytes);
            self.notify(&core);
            return core;
        }
        core.writing.rest = Some(bytes);
        core.writing.last = now;
        core.writing.took = now.saturating_duration_since(started);
        core.session.writes(0);
        if count > 0 {
            core.writing.stalled = false;
            core.session.wrote(now, count);
            let written = core.session.written();
            core.line.set_written(written);
            self.unclog(&mut core);
        }
        let ended = last && result.is_ok();
        match result {
            Ok(()) => {}
            // Writable again before we came back: try again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                core.writing.blocked = core.writing.writable == writable;
            }
            Err(error) => self.lose(&mut core, DisconnectReason::Lost(error.into())),
        }
        self.notify(&core);
        if ended {
            drop(core);
            // Fails only where the peer is gone: the next read meets that.
            let _ = socket.shutdown_write();
            core = self.lock();
        }
        core
    }

    /// Puts the large payload of a message whose head is the last of the output behind it. If nothing keeps the message
    /// from leaving now, the payload is written from where it is, and only what the socket does not take is copied.
    pub(super) fn put_payload<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
        payload: &[u8],
    ) -> MutexGuard<'a, Core> {
        let is_left = core.writing.rest.as_ref().is_none_or(|rest| !rest.is_empty());
        let later = is_left
            || core.session.settings.trace
            || self.is_dispatcher()
            || self.callbacks.socket_register_write.is_set();
        let taken = if later { None } else { self.take_bytes(&mut core) };
        let Some((socket, bytes)) = taken else {
            let copy = |out: &mut Vec<u8>| out.extend_from_slice(payload);
            core.session.output().append(copy);
            return core;
        };
        core = self.write(core, &socket, bytes, payload);
        if !core.session.events().is_empty() {
            // Whoever drives tells `on_publish`.
            self.wake();
        }
        core
    }

    /// To be called before a connection that the peer has ended is given up: lets a writer that is inside `write` say
    /// first how far it got. The peer may have read all of it before it closed, and that counts as sent.
    pub(super) fn hear_writer<'a>(&'a self, mut core: MutexGuard<'a, Core>) -> MutexGuard<'a, Core> {
        let deadline = Instant::now() + BACK;
        let (epoch, written) = (core.epoch, core.session.written());
        // Not for the next write as well: a peer that has only closed its side may take any number of them.
        while core.writing.busy
            && core.epoch == epoch
            && core.session.written() == written
            && Instant::now() < deadline
        {
            core = self.wait(core, Some(deadline));
        }
        core
    }

    /// Some of the answers may have left. A driver that sleeps because of them is woken by whoever writes, for what it
    /// left unread is not reported again.
    pub(super) fn unclog(&self, core: &mut Core) {
        let unwritten = core.unwritten();
        let clogged = core.is_clogged();
        if unwritten == 0 || clogged && unwritten < core.session.settings.output_limit {
            core.writing.answers = 0;
        }
        if clogged && !core.is_clogged() {
            self.wake();
        }
    }

    /// Everything is written: if the last of it was DISCONNECT, the connection is over.
    fn after_write(&self, core: &mut Core) {
        if core.closing_deadline().is_some() && !core.writing.busy {
            self.lose(core, DisconnectReason::Requested);
        }
    }

    /// After `publish` appended to the output while a loop runs: writes, or leaves it to the driver. `quiet` says
    /// whether nothing was waiting before. What a callback publishes is written when that has returned.
    #[inline]
    pub(super) fn hand_over(self: &Arc<Self>, mut core: MutexGuard<'_, Core>, quiet: bool) {
        if quiet && self.writes_itself(&core) {
            if !self.is_dispatcher() {
                self.write_or_wake(core);
            }
            return;
        }
        let wanted = self.is_wanted(&mut core);
        drop(core);
        if wanted || self.in_user_code.load(Ordering::Acquire) {
            self.call_driver(wanted);
        }
    }

    #[inline(never)]
    fn call_driver(&self, wanted: bool) {
        if self.is_dispatcher() {
            return;
        }
        if wanted {
            self.wake();
        }
        // A driver that is in a callback writes when that returns; the keep-alive thread sees to it that this does not
        // take long.
        if self.in_user_code.load(Ordering::Acquire) && !self.flush_wanted.swap(true, Ordering::AcqRel) {
            guard::look_now();
        }
    }

    /// Whether the driver is to be woken: it sleeps, and there is something to do. There is not where a large payload
    /// has left already, nor where the socket is full: the poll wakes it when that has room.
    #[inline]
    fn is_wanted(&self, core: &mut Core) -> bool {
        self.asleep.load(Ordering::Acquire) && (core.can_write() || !core.session.events().is_empty())
    }

    /// Whether a publisher that found nothing to be written writes its message itself: not in a burst.
    ///
    /// It is in one if the last write was just now; or if that took longer than the time since then, unless the peer has
    /// said something meanwhile: publishers that take turns with it are waited for.
    fn writes_itself(&self, core: &Core) -> bool {
        let pause = self.now().saturating_duration_since(core.writing.last);
        pause > QUIET
            && (pause > core.writing.took || core.writing.traffic.received != core.session.bytes_received())
    }

    /// Writes once; what is left to do is left to the driver.
    pub(super) fn write_or_wake(self: &Arc<Self>, core: MutexGuard<'_, Core>) {
        let mut core = self.flush_rounds(core, 1);
        let left = core.has_output()
            || core.session.link() == Link::Disconnecting
            || !core.happenings.is_empty()
            || !core.session.events().is_empty()
            || core.phase != Phase::Up;
        if !left {
            return;
        }
        if core.is_driven() {
            drop(core);
            self.wake();
        } else {
            // Whoever drove has stopped meanwhile.
            self.run_inline(core);
        }
    }

    /// Waits until there is room again in the output and among the reports, while either moves at all.
    pub(super) fn wait_for_room<'a>(&'a self, mut core: MutexGuard<'a, Core>) -> MutexGuard<'a, Core> {
        if self.time.is_manual() {
            return core;
        }
        let mut left = core.pressure();
        let mut deadline = Instant::now() + STALL;
        while core.socket.is_some() && !core.writing.stalled && left > core.session.settings.output_limit / 2
        {
            if core.is_driven() {
                if self.is_wanted(&mut core) {
                    self.wake();
                }
                core = self.wait(core, Some(deadline));
            } else {
                core = self.flush_blocking(core, deadline);
            }
            let now = core.pressure();
            if now < left {
                deadline = Instant::now() + STALL;
            } else if Instant::now() >= deadline {
                core.writing.stalled = true;
            }
            left = now;
        }
        core
    }

    /// Without a loop: writes, and waits for the socket where it must, at most until `deadline`.
    pub(super) fn flush_blocking<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
        deadline: Instant,
    ) -> MutexGuard<'a, Core> {
        loop {
            // Nobody polls, so nobody would report that the socket is writable again.
            core.writing.blocked = false;
            core = self.flush(core);
            if !core.writing.blocked {
                return core;
            }
            let left = deadline.saturating_duration_since(self.now());
            if left.is_zero() {
                return core;
            }
            let Some(socket) = core.socket.clone() else {
                return core;
            };
            drop(core);
            let writable = socket.wait_writable(left);
            core = self.lock();
            if !matches!(writable, Ok(true)) {
                return core;
            }
        }
    }
}

/// What had been sent and received when a write began.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    packets: u64,
    /// Those of QoS 0.
    messages: u64,
    received: u64,
}

impl Traffic {
    /// Another write begins. Returns whether it is one of a flood.
    fn go_on(&mut self, counters: &Counters) -> bool {
        let before = mem::replace(
            self,
            Self {
                packets: counters.packets_sent,
                messages: counters.messages_sent[0],
                received: counters.bytes_received,
            },
        );
        let packets = self.packets.wrapping_sub(before.packets);
        let messages = self.messages.wrapping_sub(before.messages);
        messages >= FLOOD && packets == messages && self.received == before.received
    }
}

/// Leaves the publishers alone for a moment.
fn pause() {
    // Elsewhere a sleep may take as long as a tick of the clock.
    if cfg!(unix) {
        thread::sleep(PAUSE);
    } else {
        thread::yield_now();
    }
}

/// Writes as much as the socket takes of `bytes` and of `payload` behind them: how many bytes, and why it stopped.
/// Without bytes only what the layers answer. The `last` ones may wait for the half-close.
fn write_all(
    socket: &Socket,
    bytes: &mut OutBuffer,
    payload: &mut &[u8],
    last: bool,
) -> (usize, io::Result<()>) {
    if bytes.is_empty() {
        return (0, socket.flush());
    }
    let mut count = 0;
    while !bytes.is_empty() || !payload.is_empty() {
        let result = match bytes.as_slice() {
            Some(slice) if payload.is_empty() && last => socket.write_last(slice),
            Some(slice) if payload.is_empty() => socket.write(slice),
            _ => write_slices(socket, bytes, payload),
        };
        match result {
            Ok(0) => return (count, Err(io::ErrorKind::WriteZero.into())),
            Ok(written) => {
                let beyond = written.saturating_sub(bytes.len());
                bytes.advance(written);
                *payload = payload.get(beyond..).unwrap_or_default();
                count += written;
            }
            Err(error) => return (count, Err(error)),
        }
    }
    (count, Ok(()))
}

/// Writes what is in several pieces. Not part of the caller's stack frame, which would be large.
#[inline(never)]
fn write_slices(socket: &Socket, bytes: &OutBuffer, payload: &[u8]) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let filled = bytes.io_slices(payload, &mut slices);
    socket.write_vectored(&slices[..filled])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_messages_of_qos_0_and_nothing_else_are_a_flood() {
        let mut traffic = Traffic::default();
        let mut counters = Counters::default();
        let mut sent = |messages: u64, others: u64, received: u64| {
            counters.messages_sent[0] += messages;
            counters.packets_sent += messages + others;
            counters.bytes_received += received;
            traffic.go_on(&counters)
        };
        assert!(!sent(0, 0, 0));
        assert!(sent(FLOOD, 0, 0) && sent(FLOOD, 0, 0));
        assert!(!sent(FLOOD - 1, 0, 0), "counted since the last write");
        assert!(!sent(FLOOD, 1, 0), "with another packet");
        assert!(!sent(0, FLOOD, 0), "a window of QoS 1");
        assert!(!sent(FLOOD, 0, 2), "the peer has answered");
        assert!(sent(FLOOD, 0, 0));
    }
}
