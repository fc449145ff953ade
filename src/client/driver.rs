//! The driver: waits for the socket, reads, and feeds the session.
//!
//! One turn of the loop is: hand out what happened, write what waits, sleep until there is something to do, read once,
//! take the packets apart, hand out what they caused, write the answers.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::delivery::Waiting;
use super::filters::FilterSlot;
use super::input::Input;
use super::packets::{BATCH, Failed, handle_packets};
use super::shared::{Core, Happening, Shared};
use super::{DisconnectReason, Message};
use crate::codec::{Decoder, ProtocolVersion, ReasonCode};
use crate::error::{Error, Result, TlsError, TlsReason};
use crate::session::{Event, Link, TimedOut};
use crate::transport::Socket;

/// The waker's token; connections have their epoch.
const WAKER: Token = Token(0);

/// How an alert of TLS begins: its type, and the major version.
const TLS_ALERT: &[u8] = &[0x15, 0x03];

/// What belongs to the thread that drives.
#[derive(Debug)]
pub(crate) struct Driver {
    poll: Option<Poll>,
    events: Events,
    /// The connection that the fields below belong to.
    epoch: u64,
    socket: Option<Arc<Socket>>,
    pub(super) decoder: Decoder,
    pub(super) input: Input,
    /// The socket may have something to read.
    readable: bool,
    /// So it was reported of a connection that we have not turned to yet.
    early: bool,
    /// A short read does not show that the socket is empty: the end of the stream may stand behind it, which was
    /// reported together with the bytes.
    read_to_the_end: bool,
    /// The last read brought nothing, though there is more: a layer meets much that is not for us.
    fruitless: bool,
    /// The input may hold another complete packet.
    pub(super) undecoded: bool,
    /// Nothing has come over this connection yet.
    unanswered: bool,
    /// What is being handed out.
    pub(super) batch: VecDeque<Event>,
    /// So many messages may be taken straight from the input after the batch, see `Shared::next_plain`.
    pub(super) plain: usize,
    pub(super) matching: Vec<Arc<FilterSlot>>,
    /// When messages were acknowledged last.
    pub(super) acknowledged: Instant,
    /// The clock is not read before there are so many to acknowledge.
    pub(super) acks_unseen: usize,
    /// Acknowledge each message at once.
    pub(super) prompt_acks: bool,
    /// The application acknowledges.
    pub(super) manual_ack: bool,
    /// A channel has no room for this message: nothing more is handed out or read until it has.
    pub(super) waiting: Option<Box<Waiting>>,
}

impl Default for Driver {
    fn default() -> Self {
        Self {
            poll: None,
            events: Events::with_capacity(2),
            epoch: 0,
            socket: None,
            decoder: Decoder::new(ProtocolVersion::V311),
            input: Input::default(),
            readable: false,
            early: false,
            read_to_the_end: false,
            fruitless: false,
            undecoded: false,
            unanswered: true,
            batch: VecDeque::new(),
            plain: 0,
            matching: Vec::new(),
            acknowledged: Instant::now(),
            acks_unseen: 1,
            prompt_acks: false,
            manual_ack: false,
            waiting: None,
        }
    }
}

impl Driver {
    /// Gets the means to wait, once.
    pub(super) fn prepare(&mut self, shared: &Shared) -> Result<()> {
        if self.poll.is_some() {
            return Ok(());
        }
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKER)?;
        // Set together, and only here: a second driver does not exist.
        let _ = shared.registry.set(poll.registry().try_clone()?);
        let _ = shared.waker.set(Arc::new(waker));
        self.poll = Some(poll);
        Ok(())
    }

    /// Turns to the present connection, if it is another one than before. Returns the socket before, to be dropped
    /// without the lock: a stream of the user's own may call the client when it is.
    #[must_use]
    fn follow(&mut self, core: &Core) -> Option<Arc<Socket>> {
        let mut before = None;
        // The epoch may have been followed before its connection was there.
        if self.epoch != core.epoch || self.socket.is_none() || core.socket.is_none() {
            self.epoch = core.epoch;
            before = std::mem::replace(&mut self.socket, core.socket.clone());
            self.input.clear();
            self.undecoded = false;
            self.unanswered = true;
            self.plain = 0;
            self.readable = match &self.socket {
                // What a layer has taken in already nobody reports.
                Some(socket) => std::mem::take(&mut self.early) || !socket.is_plain_tcp(),
                None => false,
            };
            self.read_to_the_end = self.readable;
            self.decoder = Decoder::new(core.session.settings.version);
            if let Some(max) = core.session.settings.packet_limit() {
                self.decoder.set_max_packet_size(max);
            }
        }
        before
    }

    /// Whether the connection that is driven is still the client's.
    pub(super) fn is_current(&self, core: &Core) -> bool {
        self.epoch == core.epoch && core.socket.is_some()
    }

    /// Whether the driver has turned to the latest connection, which may have ended.
    pub(super) fn follows(&self, core: &Core) -> bool {
        self.epoch == core.epoch
    }

    /// A connection ended, and its socket is to be closed.
    pub(super) fn let_go(&mut self, socket: &Arc<Socket>) {
        if self.socket.as_ref().is_some_and(|own| Arc::ptr_eq(own, socket)) {
            self.socket = None;
            self.readable = false;
        }
    }

    /// Whether there may be something to read or to take apart.
    fn has_input(&self) -> bool {
        self.undecoded || self.readable
    }

    /// Whether there is something at hand to be handed out.
    pub(super) fn has_events(&self) -> bool {
        !self.batch.is_empty() || self.plain > 0
    }

    /// Takes what the session tells, if nothing is at hand. Returns whether there was any: an empty queue stays where it is,
    /// for it may have room for what comes first.
    pub(super) fn take_events(&mut self, core: &mut Core) -> bool {
        let events = core.session.events();
        let takes = self.batch.is_empty() && !events.is_empty();
        if takes {
            std::mem::swap(events, &mut self.batch);
        }
        takes
    }

    /// Sleeps until the socket, the waker or the deadline. Reports whether the socket became writable.
    pub(super) fn sleep(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let Some(poll) = &mut self.poll else {
            return Ok(false);
        };
        match poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            other => other?,
        }
        let mut writable = false;
        for event in &self.events {
            if event.token() == WAKER {
                continue;
            }
            let ended = event.is_read_closed() || event.is_error();
            let readable = event.is_readable() || ended;
            if self.socket.is_some() && event.token() == token(self.epoch) {
                self.readable |= readable;
                self.read_to_the_end |= ended;
            } else {
                self.early |= readable;
            }
            // Of whatever connection: one report too many costs a call.
            writable |= event.is_writable() || event.is_write_closed();
        }
        // A stream that cannot be polled reports through the waker.
        if self.socket.as_ref().is_some_and(|socket| !socket.is_pollable()) {
            self.readable = true;
            writable = true;
        }
        Ok(writable)
    }

    /// Reads once: how many bytes came. `Ok(None)` is the end of the stream.
    fn read(&mut self) -> io::Result<Option<usize>> {
        let Some(socket) = &self.socket else {
            return Ok(Some(0));
        };
        self.fruitless = false;
        match self.input.read(|room| socket.read(room)) {
            Ok((0, _)) => Ok(None),
            Ok((count, filled)) => {
                if !filled {
                    // Less than asked for: the socket is empty, and reports when it is not.
                    self.readable = self.read_to_the_end || !socket.is_pollable() || socket.has_more();
                }
                self.undecoded = true;
                self.unanswered = false;
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.fruitless = socket.has_more();
                self.readable = self.fruitless;
                self.read_to_the_end &= self.readable;
                Ok(Some(0))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the server has answered the CONNECT with an alert of TLS.
    fn met_tls(&self, core: &Core) -> bool {
        core.accepted_at.is_none()
            && core.session.link() == Link::Connecting
            && self.input.front() == TLS_ALERT
    }

    /// Forgets what the loop was about to hand out; for `reinitialise`.
    pub(super) fn reset(&mut self) {
        self.batch.clear();
        self.waiting = None;
        self.input.clear();
        self.undecoded = false;
        self.plain = 0;
    }
}

/// The token of a connection.
pub(super) fn token(epoch: u64) -> Token {
    // Never that of the waker: the first epoch is 1.
    Token(usize::try_from(epoch).unwrap_or(usize::MAX).max(1))
}

impl Shared {
    /// One turn of the loop: handles at most `limit` packets, and waits for the first until `until`. Returns whether
    /// anything happened. What callbacks failed with is kept in the core.
    pub(super) fn turn(self: &Arc<Self>, driver: &mut Driver, until: Option<Instant>, limit: usize) -> bool {
        let told = self.dispatch(driver);
        let core = self.flush_in_turn(self.lock());
        self.follow(driver, core);
        if told {
            // There may be more to hand out at every turn: what is to be read does not wait for the last of it.
            if driver.waiting.is_none() && self.lock().running.is_some() {
                let polled = driver.sleep(Some(Duration::ZERO));
                drop(self.polled(self.lock(), polled));
                self.step(driver, limit);
            }
            return true;
        }
        // Part of a packet brings nothing, but there may be more of it: what was reported is not reported again.
        while self.may_read(driver) {
            let late = || until.is_some_and(|until| self.now() >= until);
            if self.step(driver, limit) || self.lock().stop || driver.fruitless && late() {
                return true;
            }
        }
        if driver.waiting.is_none() {
            let core = self.sleep(self.lock(), driver, until);
            self.follow(driver, core);
        } else if self.lock().running.is_none() {
            self.wait_while_congested(driver, until);
        }
        self.step(driver, limit)
    }

    /// Lets the driver turn to the present connection, and gives the lock back.
    fn follow(&self, driver: &mut Driver, core: MutexGuard<'_, Core>) {
        let before = driver.follow(&core);
        drop(core);
        drop(before);
    }

    /// Whether there is input that may be handled now.
    fn may_read(&self, driver: &Driver) -> bool {
        driver.waiting.is_none() && driver.has_input() && !self.lock().is_clogged()
    }

    /// Reads and handles what is there, without waiting.
    pub(super) fn step(self: &Arc<Self>, driver: &mut Driver, limit: usize) -> bool {
        let mut progress = false;
        if self.may_read(driver) {
            progress = self.read_and_handle(driver, limit);
        }
        // The peer's deadlines are judged only when nothing is left to read: the answer may be there.
        let judge = !progress || !self.may_read(driver);
        progress |= self.handle_deadlines(judge);
        progress |= self.dispatch(driver);
        drop(self.flush_in_turn(self.lock()));
        progress
    }

    /// An event loop of the user's own says that there is something to read: reads once and handles all of it. Returns
    /// whether there is a connection.
    pub(super) fn read_for(self: &Arc<Self>, driver: &mut Driver) -> bool {
        self.follow(driver, self.lock());
        if driver.socket.is_none() {
            return false;
        }
        driver.readable = true;
        loop {
            self.step(driver, usize::MAX);
            self.go_on(driver);
            // Of what a layer keeps the user's poll would not tell.
            let more = driver.socket.as_ref().is_some_and(|socket| socket.has_more());
            if !more || driver.undecoded || !self.may_read(driver) {
                return true;
            }
        }
    }

    /// Handles what was read before: it is no longer in the socket, so nobody would report it again.
    pub(super) fn go_on(self: &Arc<Self>, driver: &mut Driver) {
        self.dispatch(driver);
        while driver.undecoded && self.may_read(driver) && self.step(driver, usize::MAX) {}
    }

    /// Reads if there is something to read, and handles the packets that are complete.
    fn read_and_handle(self: &Arc<Self>, driver: &mut Driver, limit: usize) -> bool {
        let mut count = 0;
        let mut ended = None;
        if !driver.undecoded {
            match driver.read() {
                Ok(Some(received)) => count = received,
                Ok(None) => ended = Some(DisconnectReason::Lost(Error::ConnectionClosed)),
                Err(error) => ended = Some(DisconnectReason::Lost(error.into())),
            }
        }
        let now = self.now();
        let mut core = self.lock();
        if ended.is_some() {
            core = self.hear_writer(core);
        }
        if !driver.is_current(&core) {
            self.follow(driver, core);
            return true;
        }
        if count > 0 {
            core.session.received_bytes(now, count);
        }
        if let Some(reason) = ended {
            driver.readable = false;
            let plain = driver.socket.as_ref().is_some_and(|socket| socket.is_plain_tcp());
            if driver.unanswered && plain && core.session.link() == Link::Connecting {
                core.note(
                    "the server ended the connection without a word: perhaps it speaks TLS at this port",
                );
            }
            self.lose(&mut core, reason);
            return true;
        }
        if !core.happenings.is_empty() {
            // The end of the connection before is told first.
            return true;
        }
        if driver.undecoded {
            driver.acknowledged = now;
            driver.prompt_acks = core.session.settings.trace;
            if driver.prompt_acks {
                driver.acks_unseen = 1;
            }
            driver.manual_ack = core.manual_ack;
            // One packet at a time where each is logged, so that the lines come in the order of a slow reader.
            let limit = if core.session.settings.trace { 1 } else { limit };
            let unheard =
                core.happenings.is_empty() && core.session.events().is_empty() && driver.batch.is_empty();
            if unheard && core.session.is_streaming() && driver.input.is_plain(&driver.decoder) {
                driver.plain = limit.min(BATCH);
                return true;
            }
            let mut handled = true;
            let before = core.session.output().len();
            match handle_packets(&mut core, driver, now, limit) {
                Ok(any) => handled = any,
                Err(Failed::Decode(_)) if driver.met_tls(&core) => {
                    driver.undecoded = false;
                    let text = "the server speaks TLS at this port: use mqtts:// or tls_set";
                    let error = TlsError::new(TlsReason::TlsExpected, text);
                    self.lose(&mut core, DisconnectReason::Lost(error.into()));
                }
                Err(Failed::Decode(error) | Failed::Session(error)) => {
                    driver.undecoded = false;
                    self.fail(&mut core, error);
                }
            }
            let after = core.session.output().len();
            core.writing.answers += after.saturating_sub(before);
            // They may have left all the while, with the output never empty.
            self.unclog(&mut core);
            if core.happenings.is_empty() {
                driver.take_events(&mut core);
            }
            if core.session.link() != Link::Settling {
                self.unlock_and_notify(core);
            }
            // Of a CONNACK those who wait are told when its callback is due, see `tell_connack`.
            return handled;
        }
        count > 0
    }

    /// The next message at the front of the input, if it is one that the session has nothing to do with (QoS 0, no
    /// properties): a stream of them is handed out without the lock, and without a place in the batch.
    #[inline(always)]
    pub(super) fn next_plain(&self, driver: &mut Driver, message: &mut Message) -> bool {
        if driver.plain == 0 {
            return false;
        }
        driver.plain -= 1;
        if !driver.input.decode_plain(&driver.decoder, message) {
            return false;
        }
        message.timestamp = driver.acknowledged;
        message.ticket = None;
        // Only the driver counts.
        let count = self.plain_received.load(Ordering::Relaxed);
        self.plain_received.store(count + 1, Ordering::Relaxed);
        true
    }

    /// PINGREQ, and deadlines that have passed; those of the peer's answers if it is to be judged. One that floods us
    /// wants to hear of us all the same.
    pub(super) fn handle_deadlines(self: &Arc<Self>, judge: bool) -> bool {
        let now = self.now();
        let expired = self.expire_requests(now);
        let mut core = self.lock();
        if core.session.expire(now) {
            self.notify(&core);
        }
        if core.socket.is_none() {
            return expired;
        }
        if let Some(probe) = core.next_probe(now) {
            drop(core);
            self.start_probe(probe);
            core = self.lock();
        }
        if core.closing_deadline().is_some_and(|until| now >= until) {
            // The DISCONNECT could not be written in time.
            self.lose(&mut core, DisconnectReason::Requested);
            return true;
        }
        if !judge {
            core.session.ping_while_busy(now);
            return expired;
        }
        if core.session.poll_timeout().is_none_or(|due| due > now) {
            return expired;
        }
        match core.session.handle_timeout(now) {
            Ok(()) => {}
            Err(TimedOut::ConnAck | TimedOut::PingResp) => self.lose(&mut core, DisconnectReason::KeepAlive),
            Err(TimedOut::Auth) => {
                let reason = DisconnectReason::Authentication(Error::Timeout);
                self.refuse(&mut core, ReasonCode::NOT_AUTHORIZED, reason);
            }
        }
        true
    }

    /// Gives the driver back. What came up in the last moment is done first, so that nobody waits for a driver that
    /// is not there.
    pub(super) fn release<'a>(self: &'a Arc<Self>, mut driver: Box<Driver>) -> MutexGuard<'a, Core> {
        loop {
            let leave = self.must_leave();
            let mut core = self.flush(self.lock());
            let done =
                core.happenings.is_empty() && core.session.events().is_empty() && driver.batch.is_empty();
            if core.abandoned && core.running.is_none() {
                // The last handle was dropped inside a callback, or while another thread drove.
                core.abandoned = false;
                self.say_goodbye(core, &mut driver);
                continue;
            }
            if done || driver.waiting.is_some() || leave {
                core.driver = Some(driver);
                core.driver_waits = false;
                if core.running.is_none() {
                    self.hurry.store(false, Ordering::Release);
                }
                self.notify_waiters(&core);
                return core;
            }
            drop(core);
            self.dispatch(&mut driver);
        }
    }
}

/// A happening of the session, kept in order with those of the connection.
pub(super) fn queue_events(core: &mut Core) {
    let mut events = std::mem::take(core.session.events());
    core.happenings.extend(events.drain(..).map(Happening::Session));
    // The deque goes back, with its room.
    *core.session.events() = events;
}
