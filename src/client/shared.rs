//! What all handles of one client share, and the one lock.
//!
//! `Shared::core` guards the session and the connection. It is held for copies and table look-ups only: never while
//! waiting for the network, making a system call, or running user code. Whoever moves the bytes (the thread of
//! `loop_start`, the caller of `loop_forever` or `loop_once`, or, without any of these, a call such as `publish`) takes
//! the [`Driver`] out of the core for as long as it does: there is one driver at a time, and callbacks run only on it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::Registry;

use super::acks::Acks;
use super::authentication::Ended;
use super::backoff::Backoff;
use super::callbacks::Callbacks;
use super::clock::TimeSource;
use super::connect_options::ConnectOptions;
use super::driver::Driver;
use super::ended::Ending;
use super::fallback::Fallback;
use super::info::WrittenBytes;
use super::redirect::Redirects;
use super::requests::{Finished, Requests};
use super::server_list::ServerList;
use super::tracker::{Tracker, Trackers};
use super::write::Traffic;
use super::{CleanStart, Client, DisconnectReason, Transport, guard};
use crate::error::Error;
use crate::on_demand::OnDemand;
use crate::session::{Credentials, Event, Link, OutBuffer, Session, Settings};
use crate::transport::{Cancel, DialOptions, Socket};

/// What the handles share.
pub(crate) struct Shared {
    pub(super) core: Mutex<Core>,
    /// Signals changes of the core to calls that wait: something was written or finished, the driver is free.
    pub(super) changed: Condvar,
    /// Signals ample room in the queue to publishers that wait for it.
    pub(super) room: Condvar,
    pub(super) callbacks: Callbacks,
    pub(super) requests: Requests,
    pub(super) acks: Acks,
    pub(super) time: TimeSource,
    /// Wakes the driver out of its poll.
    pub(super) waker: OnceLock<Arc<mio::Waker>>,
    pub(super) registry: OnceLock<Registry>,
    /// The driver waits in its poll (or is about to): whoever changes something for it wakes it.
    pub(super) asleep: AtomicBool,
    /// The handles of the user; those lent to callbacks do not count.
    pub(super) handles: AtomicUsize,
    pub(super) user_data: Mutex<Option<Arc<dyn std::any::Any + Send + Sync>>>,
    /// While the loop waits for room in a channel: dropping it ends the wait.
    pub(super) stop_signal: Mutex<Option<crossbeam_channel::Sender<()>>>,
    pub(super) logger: AtomicBool,
    /// The driver is running callbacks: it writes nothing until they return.
    pub(super) in_user_code: AtomicBool,
    /// Something has changed since the driver, which waits for it, looked; changes under the lock.
    pub(super) news: AtomicBool,
    /// Messages that were handed out without the session, see `next_plain`.
    pub(super) plain_received: AtomicU64,
    /// A loop is asked to end: after a moment, what it has not handed out yet is left to whoever drives next.
    pub(super) hurry: AtomicBool,
    /// The keep-alive thread is to write what waits if the callbacks take long.
    pub(super) flush_wanted: AtomicBool,
}

/// What the lock guards.
pub(crate) struct Core {
    pub(super) session: Session<Tracker>,
    pub(super) phase: Phase,
    pub(super) socket: Option<Arc<Socket>>,
    /// Counts the connections: what belongs to an earlier one is left alone.
    pub(super) epoch: u64,
    pub(super) line: Arc<WrittenBytes>,
    pub(super) trackers: Trackers,
    /// `None` while somebody drives.
    pub(super) driver: Option<Box<Driver>>,
    /// The loop that was started; calls then leave the work to it.
    pub(super) running: Option<Running>,
    /// Counts the loops that were started.
    pub(super) runs: u64,
    pub(super) thread: Option<JoinHandle<()>>,
    /// The loop is asked to end.
    pub(super) stop: bool,
    /// When it was asked.
    pub(super) stop_asked: Instant,
    pub(super) options: Option<Arc<ConnectOptions>>,
    /// Ends the attempt to connect that is under way.
    pub(super) dialing: Option<Cancel>,
    /// It is the loop that makes that attempt.
    pub(super) loop_dials: bool,
    pub(super) retry_first_connection: bool,
    /// How to connect, where the options of `connect` say nothing.
    pub(super) dial_defaults: Option<Box<DialOptions>>,
    pub(super) proxy: Option<Box<super::Proxy>>,
    #[cfg(feature = "tls")]
    pub(super) tls: super::tls::TlsSettings,
    #[cfg(feature = "websocket")]
    pub(super) websocket: super::websocket::WebSocketSettings,
    /// Of servers that name none.
    pub(super) credentials: Option<Box<Credentials>>,
    /// Where the options of `connect` say nothing.
    pub(super) clean_start: CleanStart,
    /// In seconds; where the options of `connect` say nothing.
    pub(super) session_expiry: Option<u32>,
    /// A mistake in the builder's settings, for the call that connects.
    pub(super) setting_problem: Option<Box<Error>>,
    /// No connection was accepted since `connect` was called.
    pub(super) first_connection: bool,
    pub(super) transport: Transport,
    pub(super) backoff: OnDemand<Backoff>,
    pub(super) reconnect_on_failure: bool,
    pub(super) manual_ack: bool,
    pub(super) suppress_exceptions: bool,
    /// Happenings that wait for the dispatcher, in order.
    pub(super) happenings: OnDemand<VecDeque<Happening>>,
    /// The first failure of a callback that no loop's caller was told of yet.
    pub(super) callback_error: Option<Box<Error>>,
    /// What the thread of `loop_start` ended with, for `loop_stop`.
    pub(super) thread_error: Option<Box<Error>>,
    /// Why the last connection ended, or could not be made.
    pub(super) last_reason: Option<Box<DisconnectReason>>,
    /// What the last CONNACK said.
    pub(super) session_present: bool,
    /// When the present connection was accepted.
    pub(super) accepted_at: Option<Instant>,
    pub(super) writing: Writing,
    /// When the keep-alive thread acknowledges what waits behind a callback.
    pub(super) acks_due: Option<Instant>,
    /// Somebody waits for `Shared::changed`, and was not told of a change since.
    pub(super) awaited: Cell<bool>,
    /// Somebody waits for `Shared::room`.
    pub(super) room_wanted: Cell<bool>,
    /// The topic that was checked last: publishers repeat themselves.
    pub(super) checked_topic: String,
    /// Calls that are loops themselves, and wait for the driver.
    pub(super) loops_waiting: usize,
    /// Who drives does so only until something that it waits for has happened.
    pub(super) driver_waits: bool,
    /// The connection is being closed.
    pub(super) closing: Option<Box<Closing>>,
    /// `on_socket_register_write` was called and `on_socket_unregister_write` not yet.
    pub(super) write_registered: bool,
    /// The last handle is gone: the loop says goodbye and ends.
    pub(super) abandoned: bool,
    /// It says goodbye now.
    pub(super) leaving: bool,
    /// Until when that may take.
    pub(super) goodbye: Instant,
    /// The next attempt is to be made at once.
    pub(super) reconnect_now: bool,
    pub(super) fallback: Fallback,
    pub(super) redirects: OnDemand<Redirects>,
    pub(super) servers: ServerList,
    /// Ends the look whether the first of them can be reached.
    pub(super) probe: Option<Cancel>,
    /// Who waits for the re-authentication that is under way.
    pub(super) reauthentication: Option<Arc<Ended>>,
}

/// The state of the write path, see `write.rs`.
#[derive(Debug)]
pub(crate) struct Writing {
    /// Bytes taken out of the session that the socket did not take yet. With the writer while it writes.
    pub(super) rest: Option<Box<OutBuffer>>,
    /// How many bytes of answers to the peer were put into the output since it was empty.
    pub(super) answers: usize,
    /// Somebody is inside a write.
    pub(super) busy: bool,
    /// The socket takes no more until it is reported writable.
    pub(super) blocked: bool,
    /// Counts the reports that the socket is writable.
    pub(super) writable: u64,
    /// When the last write ended, and how long it took.
    pub(super) last: Instant,
    pub(super) took: Duration,
    /// What had been sent and received when it began.
    pub(super) traffic: Traffic,
    /// It is one of a flood.
    pub(super) flood: bool,
    /// Log lines are being handed out that must come before their bytes.
    pub(super) held: usize,
    /// The peer has not read for a while: publishers no longer wait for room.
    pub(super) stalled: bool,
}

impl Writing {
    /// The connection is over: its bytes are nobody's. What is with a writer is discarded by that.
    pub(super) fn discard(&mut self) {
        if let Some(rest) = &mut self.rest {
            rest.clear();
        }
    }
}

/// How the connection is being closed.
#[derive(Clone, Debug)]
pub(super) enum Closing {
    /// The user asked: DISCONNECT may take until then to leave.
    Requested { until: Instant },
    /// It ends from this side for another reason: DISCONNECT may take until then to leave.
    ByUs {
        until: Instant,
        reason: DisconnectReason,
        /// What follows.
        then: Phase,
    },
    /// The server has ended it, and the user wants no other.
    NoOther,
}

impl Closing {
    /// Until when the DISCONNECT may take to leave.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Requested { until } | Self::ByUs { until, .. } => Some(*until),
            Self::NoOther => None,
        }
    }
}

/// Where the client stands with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Never connected.
    New,
    /// `connect_async`: the loop is to connect.
    Async,
    /// Somebody is opening a connection.
    Dialing,
    /// The transport is open.
    Up,
    /// The connection was lost, or could not be made: a loop tries again.
    Lost,
    /// Disconnected by the user.
    Down,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Running {
    /// The thread of `loop_start`.
    Thread,
    /// A caller of `loop_forever`.
    Forever,
}

/// Something to tell the user, in order.
#[derive(Debug)]
pub(crate) enum Happening {
    Session(Event),
    /// A connection ended.
    Closed(Ending),
    /// A socket is gone whose connection did not count.
    SocketClosed {
        socket: Arc<Socket>,
    },
    /// A request has ended without response.
    Response(Finished),
    /// Something to be logged as a warning, once the lock is free.
    Note(String),
}

impl Shared {
    pub(crate) fn new(settings: Settings, time: TimeSource) -> Arc<Self> {
        let now = time.now();
        Arc::new_cyclic(|weak| Self {
            core: Mutex::new(Core {
                session: Session::new(settings, now),
                phase: Phase::New,
                socket: None,
                epoch: 0,
                line: WrittenBytes::new(Weak::clone(weak)),
                trackers: Trackers::new(Weak::clone(weak)),
                driver: Some(Box::default()),
                running: None,
                runs: 0,
                thread: None,
                stop: false,
                stop_asked: now,
                options: None,
                dialing: None,
                loop_dials: false,
                retry_first_connection: false,
                dial_defaults: None,
                proxy: None,
                #[cfg(feature = "tls")]
                tls: super::tls::TlsSettings::default(),
                #[cfg(feature = "websocket")]
                websocket: super::websocket::WebSocketSettings::default(),
                credentials: None,
                clean_start: CleanStart::default(),
                session_expiry: None,
                setting_problem: None,
                first_connection: true,
                transport: Transport::Tcp,
                backoff: OnDemand::default(),
                reconnect_on_failure: true,
                manual_ack: false,
                suppress_exceptions: false,
                happenings: OnDemand::default(),
                callback_error: None,
                thread_error: None,
                last_reason: None,
                session_present: false,
                accepted_at: None,
                writing: Writing {
                    rest: Some(Box::default()),
                    answers: 0,
                    busy: false,
                    blocked: false,
                    writable: 0,
                    last: now,
                    took: Duration::ZERO,
                    traffic: Traffic::default(),
                    flood: false,
                    held: 0,
                    stalled: false,
                },
                acks_due: None,
                awaited: Cell::new(false),
                room_wanted: Cell::new(false),
                checked_topic: String::new(),
                loops_waiting: 0,
                driver_waits: false,
                closing: None,
                write_registered: false,
                abandoned: false,
                leaving: false,
                goodbye: Instant::now(),
                reconnect_now: false,
                fallback: Fallback::default(),
                redirects: OnDemand::default(),
                servers: ServerList::default(),
                probe: None,
                reauthentication: None,
            }),
            changed: Condvar::new(),
            room: Condvar::new(),
            callbacks: Callbacks::default(),
            requests: Requests::new(),
            acks: Acks::new(),
            time,
            waker: OnceLock::new(),
            registry: OnceLock::new(),
            asleep: AtomicBool::new(false),
            handles: AtomicUsize::new(1),
            user_data: Mutex::new(None),
            stop_signal: Mutex::new(None),
            logger: AtomicBool::new(true),
            in_user_code: AtomicBool::new(false),
            news: AtomicBool::new(false),
            plain_received: AtomicU64::new(0),
            hurry: AtomicBool::new(false),
            flush_wanted: AtomicBool::new(false),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        // A panic under the lock would be a bug of this crate; going on is better than to panic in every other thread.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Instant {
        self.time.now()
    }

    /// A handle to lend to callbacks.
    pub(super) fn lent(self: &Arc<Self>) -> Client {
        Client::lent(Arc::clone(self))
    }

    /// Whether the calling thread is inside a callback of this client: what it would wait for can not happen.
    pub(crate) fn is_dispatcher(&self) -> bool {
        let inside = INSIDE.get();
        inside == self.address()
            || inside != 0 && OUTSIDE.with_borrow(|outside| outside.contains(&self.address()))
    }

    /// Marks the calling thread as running callbacks of this client, until the mark is dropped.
    pub(super) fn enter_callbacks(&self) -> InCallback {
        let outer = INSIDE.replace(self.address());
        if outer != 0 {
            OUTSIDE.with_borrow_mut(|outside| outside.push(outer));
        }
        InCallback { outer }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl Drop for Shared {
    /// Handles of messages may outlive the client: each message ends.
    fn drop(&mut self) {
        let core = self.core.get_mut().unwrap_or_else(PoisonError::into_inner);
        core.session.abandon();
        core.end_reauthentication(Err(Error::NotConnected));
        core.line.end();
        guard::gone();
    }
}

impl Core {
    /// A loop begins.
    pub(super) fn runs(&mut self, running: Running) {
        // A thread ended, and nobody asked what with: that is not this loop's.
        self.thread_error = None;
        self.running = Some(running);
        self.runs += 1;
        self.stop = false;
    }

    /// Ends the attempt to connect that is under way, if there is one.
    pub(super) fn stop_dialing(&mut self) {
        if let Some(cancel) = self.dialing.take() {
            cancel.cancel();
        }
    }

    /// Ends the look whether the first server can be reached, if there is one.
    pub(super) fn stop_probe(&mut self) {
        if let Some(cancel) = self.probe.take() {
            cancel.cancel();
        }
    }

    /// Leaves a warning to be logged: a logger is the user's code, which must not run under the lock.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.happenings.push_back(Happening::Note(text.into()));
    }

    /// Whether the peer makes us answer without reading the answers: then it is not read from either.
    pub(super) fn is_clogged(&self) -> bool {
        self.writing.answers >= self.session.settings.output_limit
    }

    /// Bytes that wait for the socket.
    pub(super) fn unwritten(&mut self) -> usize {
        let rest = self.writing.rest.as_ref().map_or(0, |rest| rest.len());
        rest + self.session.output().len()
    }

    /// What waits for a slow peer, or for callbacks that are slower than the publishers: in bytes, a report counting as
    /// the few that its message has at least.
    pub(super) fn pressure(&mut self) -> usize {
        self.unwritten() + 16 * self.session.events().len()
    }

    /// Whether another message need not wait for a slow peer, or for callbacks.
    #[inline]
    pub(super) fn has_room(&mut self) -> bool {
        self.pressure() < self.session.settings.output_limit
    }

    /// Whether nothing is being written, or waits to be.
    #[inline]
    pub(super) fn is_quiet(&mut self) -> bool {
        self.unwritten() == 0 && !self.writing.busy
    }

    /// Whether there are bytes that a call of `flush` would try to write.
    pub(super) fn can_write(&mut self) -> bool {
        let writing = &self.writing;
        let free = self.socket.is_some() && !writing.busy && !writing.blocked && writing.held == 0;
        free && (self.has_output() || self.closing.is_some())
    }

    /// Whether something is to be written: packets, or answers of a layer to what was read.
    pub(super) fn has_output(&mut self) -> bool {
        self.unwritten() > 0 || self.socket.as_ref().is_some_and(|socket| socket.has_answers())
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.session.link(), Link::Settling | Link::Open)
    }

    /// Whether a loop of this crate moves the bytes, so that calls need not.
    pub(super) fn is_driven(&self) -> bool {
        self.driver.is_none() || self.running.is_some()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("handles", &self.handles)
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// The client whose callbacks the thread is running, by address; 0: none.
    static INSIDE: Cell<usize> = const { Cell::new(0) };

    /// Those in whose callbacks it drives that one, by address. Most threads never have such, nor memory for them.
    static OUTSIDE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// The calling thread runs callbacks.
pub(super) struct InCallback {
    /// As `INSIDE` was before.
    outer: usize,
}

impl Drop for InCallback {
    fn drop(&mut self) {
        INSIDE.set(self.outer);
        if self.outer != 0 {
            OUTSIDE.with_borrow_mut(|outside| outside.pop());
        }
    }
}
