//! Opening, ending and renewing the connection.

use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::connect_options::ConnectOptions;
use super::driver::{Driver, queue_events, token};
use super::ended::Ending;
use super::info::WrittenBytes;
use super::shared::{Closing, Core, Happening, Phase, Running, Shared};
use super::{DisconnectReason, Retry, Server, SocketHandle, log_lines, logging};
use crate::codec::{Properties, ProtocolVersion, ReasonCode};
use crate::error::{DecodeError, Error, Result};
use crate::session::{Event, Link, Trace};
use crate::transport::{Cancel, Socket};

/// A DISCONNECT that cannot be written for this long is given up.
const CLOSING: Duration = Duration::from_millis(20);

impl Shared {
    /// Opens a connection as the options of the last `connect` say: in the call that the user made, or for the loop.
    pub(super) fn establish(self: &Arc<Self>, by_loop: bool) -> Result<()> {
        let (options, epoch, cancel) = {
            let mut core = self.lock();
            if by_loop && (core.stop || core.abandoned || !matches!(core.phase, Phase::Async | Phase::Lost)) {
                // The user has come first: disconnected, stopped the loop, or connects.
                return Err(Error::NotConnected);
            }
            core.loop_dials = by_loop;
            let options = core
                .options
                .clone()
                .ok_or(Error::argument("host", "connect was never called"))?;
            self.make_way(&mut core, Phase::Dialing);
            if !by_loop {
                core.servers.new_round();
            }
            let cancel = core.dialing.insert(Cancel::default()).clone();
            let begun = (options, core.epoch, cancel);
            if !self.is_dispatcher() && !core.is_driven() {
                // Without a loop, the end of the connection before is told here.
                self.dispatch_inline(core);
            }
            begun
        };
        let result = self.open(&options, epoch, &cancel);
        if let Err(error) = &result {
            let mut core = self.lock();
            if core.epoch == epoch && core.phase == Phase::Dialing {
                core.phase = Phase::Lost;
                core.last_reason = Some(Box::new(DisconnectReason::Lost(error.clone())));
            }
            self.notify(&core);
            drop(core);
            self.wake();
        }
        result
    }

    fn open(self: &Arc<Self>, options: &ConnectOptions, epoch: u64, cancel: &Cancel) -> Result<()> {
        let reached = self.reach_server(options, epoch, cancel)?;
        let mut socket = reached.socket;
        self.register(&mut socket, epoch)?;
        // Taken out if it becomes the client's. If not it is dropped without the lock: it may be a stream of the user's.
        let mut socket = Some(socket);
        let handle = {
            let mut core = self.lock();
            core.take_credentials(&reached.server);
            core.take_session(options);
            core.adapt_session(options);
            core.session.settings.authentication = reached.authentication;
            core.session.settings.check()?;
            self.adopt(&mut core, &mut socket, epoch)?
        };
        let slot = &self.callbacks.socket_open;
        let run = slot.run_in_turn("on_socket_open", |f| {
            self.call("on_socket_open", |c| f(c, &handle))
        });
        if run.is_err() {
            self.log_failure(&run);
            let mut core = self.lock();
            if core.epoch == epoch {
                self.close_quietly(&mut core);
            }
            self.dispatch_inline(core);
            return run;
        }
        let logged = logging::logged(self);
        let mut core = self.lock();
        if core.epoch != epoch || core.socket.is_none() {
            drop(core);
            let slot = &self.callbacks.socket_close;
            let run = slot.run_in_turn("on_socket_close", |f| {
                self.call("on_socket_close", |c| f(c, &handle))
            });
            self.keep_failure(run);
            return Err(Error::NotConnected);
        }
        core.session.settings.trace = logged || self.callbacks.log.is_set();
        core.session.open(self.now());
        core.phase = Phase::Up;
        self.notify(&core);
        self.after_command(core)?;
        // A loop that waited for the connection turns to it.
        self.wake();
        Ok(())
    }

    /// Has the driver's poll report of the socket from now on. Not under the lock: a driver that sleeps is woken by it.
    fn register(&self, socket: &mut Socket, epoch: u64) -> Result<()> {
        if let Some(driver) = &mut self.lock().driver {
            driver.prepare(self)?;
        }
        let registry = self
            .registry
            .get()
            .ok_or(Error::InvalidState("the network loop has no poll"))?;
        Ok(socket.register(registry, token(epoch))?)
    }

    /// Makes the socket the client's, and takes it out.
    fn adopt(
        self: &Arc<Self>,
        core: &mut Core,
        dialed: &mut Option<Socket>,
        epoch: u64,
    ) -> Result<SocketHandle> {
        if core.epoch != epoch || core.phase != Phase::Dialing {
            // Disconnected or connected elsewhere in the meantime.
            return Err(Error::NotConnected);
        }
        let socket = dialed.take().ok_or(Error::NotConnected)?;
        if let Some(waker) = self.waker.get().filter(|_| !socket.is_pollable()) {
            let waker = Arc::clone(waker);
            socket.set_waker(Arc::new(move || drop(waker.wake())));
        }
        let socket = Arc::new(socket);
        core.socket = Some(Arc::clone(&socket));
        core.dialing = None;
        core.line = WrittenBytes::new(Arc::downgrade(self));
        core.writing.discard();
        core.writing.blocked = false;
        core.writing.stalled = false;
        core.closing = None;
        Ok(SocketHandle::new(socket))
    }

    /// After a command of the user: hands out the log lines that it caused, then sees to it that its bytes leave. In a
    /// callback they leave when it has returned.
    pub(super) fn after_command<'a>(self: &'a Arc<Self>, mut core: MutexGuard<'a, Core>) -> Result<()> {
        let lines = if core.session.settings.trace {
            take_traces(&mut core)
        } else {
            Vec::new()
        };
        let in_callback = self.is_dispatcher();
        if !lines.is_empty() {
            // The lines come before their packets, so nobody may write meanwhile.
            core.writing.held += 1;
            drop(core);
            for line in &lines {
                logging::emit_trace(self, line);
            }
            core = self.lock();
            core.writing.held -= 1;
        }
        if in_callback {
            return Ok(());
        }
        if core.driver.is_some() && core.running.is_none() {
            self.run_inline(core);
        } else {
            self.write_or_wake(core);
        }
        Ok(())
    }

    /// Without a loop the call does the work: writes, and runs the callbacks that follow from it.
    pub(super) fn run_inline<'a>(self: &'a Arc<Self>, mut core: MutexGuard<'a, Core>) {
        if self.callbacks.socket_register_write.is_set() {
            // A loop of the user's own writes, unless the callback takes itself back.
            core = self.register_write(core);
            if self.callbacks.socket_register_write.is_set() {
                return;
            }
        }
        loop {
            core = self.flush_blocking(core, self.now() + CLOSING);
            core = self.unregister_write(core);
            // Another thread that writes, or is about to, sees to the rest when it is done.
            let writes = core.writing.busy || core.writing.held > 0;
            if core.closing_deadline().is_some() && core.socket.is_some() && !writes {
                core.note("DISCONNECT could not be written in time: the peer does not read");
                self.lose(&mut core, DisconnectReason::Requested);
            }
            self.dispatch_inline(core);
            core = self.lock();
            // One of the callbacks may have asked for the end of the connection.
            if writes || core.closing_deadline().is_none() || core.is_driven() {
                return;
            }
        }
    }

    /// Without a loop: runs the callbacks that are due.
    pub(super) fn dispatch_inline<'a>(self: &'a Arc<Self>, mut core: MutexGuard<'a, Core>) {
        if core.happenings.is_empty() && core.session.events().is_empty() {
            return;
        }
        let driver = core.driver.take();
        drop(core);
        match driver {
            Some(mut driver) => {
                self.dispatch(&mut driver);
                drop(self.release(driver));
            }
            // Another thread that drives for a moment hands these out as well.
            None => self.wake(),
        }
    }

    fn register_write<'a>(self: &'a Arc<Self>, mut core: MutexGuard<'a, Core>) -> MutexGuard<'a, Core> {
        if core.unwritten() == 0 || core.write_registered {
            return core;
        }
        let Some(socket) = core.socket.clone() else {
            return core;
        };
        core.write_registered = true;
        drop(core);
        let handle = SocketHandle::new(socket);
        let slot = &self.callbacks.socket_register_write;
        let run = slot.run_in_turn("on_socket_register_write", |f| {
            self.call("on_socket_register_write", |c| f(c, &handle))
        });
        self.keep_failure(run);
        self.lock()
    }

    /// An event loop of the user's own need not watch for the socket to be writable any more, if it was asked to.
    pub(super) fn unregister_write<'a>(
        self: &'a Arc<Self>,
        mut core: MutexGuard<'a, Core>,
    ) -> MutexGuard<'a, Core> {
        // Where the connection has ended meanwhile, it is told before `on_socket_close`.
        let Some(socket) = core.socket.clone().filter(|_| core.write_registered) else {
            return core;
        };
        core.write_registered = false;
        drop(core);
        let handle = SocketHandle::new(socket);
        let slot = &self.callbacks.socket_unregister_write;
        let name = "on_socket_unregister_write";
        let run = slot.run_in_turn(name, |f| self.call(name, |client| f(client, &handle)));
        self.keep_failure(run);
        self.lock()
    }

    /// The user asks for the end of the connection.
    pub(super) fn disconnect(self: &Arc<Self>, reason: ReasonCode, properties: Properties) -> Result<()> {
        let mut core = self.lock();
        match core.phase {
            Phase::Up if core.socket.is_some() => {}
            Phase::New => return Err(Error::NotConnected),
            _ => {
                // An attempt, or the wait for the next one, ends.
                core.phase = Phase::Down;
                core.epoch += 1;
                core.stop_dialing();
                // Of an attempt that is in `on_socket_open`.
                let socket = self.drop_connection(&mut core);
                drop(core);
                drop(socket);
                self.interrupt();
                self.wake();
                self.end_requests(&Error::NotConnected, false);
                return Err(Error::NotConnected);
            }
        }
        if let Some(Closing::ByUs { then, .. }) = core.closing.as_deref_mut() {
            // It is ending already: no attempt follows.
            *then = Phase::Down;
            return Ok(());
        }
        if core.closing.is_some() {
            return Err(Error::NotConnected);
        }
        if core.session.link() == Link::Disconnecting {
            // The server has refused or ended the connection, and the callbacks are being told: no attempt follows.
            core.closing = Some(Box::new(Closing::NoOther));
            return Ok(());
        }
        let now = self.now();
        core.session.disconnect(now, reason, properties)?;
        let until = now + CLOSING;
        core.closing = Some(Box::new(Closing::Requested { until }));
        self.interrupt();
        // Failures of a loop's callbacks are that loop's to report.
        let driven = core.is_driven();
        self.after_command(core)?;
        if driven || self.is_dispatcher() {
            Ok(())
        } else {
            self.take_callback_error()
        }
    }

    /// Ends the connection, or the attempt at one: another one is made, now or by the loop, as `phase` says.
    pub(super) fn make_way(&self, core: &mut Core, phase: Phase) {
        self.end(core, DisconnectReason::Requested, phase);
        core.phase = phase;
        core.epoch += 1;
        core.stop_dialing();
    }

    /// Ends the connection for `reason`, if there is one. What follows is told by whoever dispatches.
    pub(super) fn end(&self, core: &mut Core, reason: DisconnectReason, phase: Phase) {
        self.end_with(core, reason, phase, Properties::default());
    }

    pub(super) fn end_with(
        &self,
        core: &mut Core,
        reason: DisconnectReason,
        phase: Phase,
        properties: Properties,
    ) {
        let was_up = core.phase == Phase::Up;
        let written = core.unwritten() == 0;
        let accepted_at = core.accepted_at;
        core.end_reauthentication(Err(reason.clone().into_error()));
        core.suspect_version(&reason);
        let Some(socket) = self.take_socket(core) else {
            return;
        };
        core.judge(self.now(), accepted_at, &reason);
        core.phase = phase;
        core.last_reason = Some(Box::new(reason.clone()));
        queue_events(core);
        if was_up {
            core.happenings.push_back(Happening::Closed(Ending {
                socket,
                written,
                reason,
                properties,
            }));
        }
        self.notify(core);
        self.interrupt();
        self.wake();
    }

    /// The connection broke, or the server ended it. If the user has asked for its end, this is it.
    pub(super) fn lose(&self, core: &mut Core, reason: DisconnectReason) {
        self.lose_with(core, reason, Properties::default());
    }

    pub(super) fn lose_with(&self, core: &mut Core, reason: DisconnectReason, properties: Properties) {
        let (reason, phase) = match core.closing.take().map(|closing| *closing) {
            None => (reason, Phase::Lost),
            Some(Closing::Requested { .. }) => (DisconnectReason::Requested, Phase::Down),
            Some(Closing::ByUs { reason, then, .. }) => (reason, then),
            Some(Closing::NoOther) => (reason, Phase::Down),
        };
        self.end_with(core, reason, phase, properties);
    }

    /// The peer broke the protocol: MQTT 5.0 tells it so before the connection is closed.
    pub(super) fn fail(&self, core: &mut Core, error: DecodeError) {
        core.note(format!("closing the connection: {error}"));
        let reason = DisconnectReason::Protocol(error);
        core.suspect_version(&reason);
        self.refuse(core, error.reason, reason);
    }

    /// Ends the connection; MQTT 5.0 tells the server why, also before the CONNACK.
    pub(super) fn refuse(&self, core: &mut Core, code: ReasonCode, reason: DisconnectReason) {
        let limit = matches!(&reason, DisconnectReason::Protocol(error) if error.is_limit_of_messages());
        if core.session.settings.version == ProtocolVersion::V5 {
            let code = ReasonCode::disconnect(code.value());
            let told = core.session.disconnect(self.now(), code, Properties::default());
            if told.is_ok() {
                let until = self.now() + CLOSING;
                core.closing = Some(Box::new(Closing::ByUs {
                    until,
                    reason,
                    then: Phase::Lost,
                }));
                return;
            }
        } else if limit && core.session.end_output() {
            // The acknowledgements of what is kept may still have to leave: without them the server would send all of
            // it again each time, and never get to the end.
            let until = self.now() + CLOSING;
            core.closing = Some(Box::new(Closing::ByUs {
                until,
                reason,
                then: Phase::Lost,
            }));
            return;
        }
        self.lose(core, reason);
    }

    /// Lets go of the connection without `on_disconnect`: only those who watch the socket are told.
    pub(super) fn close_quietly(&self, core: &mut Core) {
        if let Some(socket) = self.take_socket(core) {
            queue_events(core);
            core.happenings.push_back(Happening::SocketClosed { socket });
        }
        self.notify(core);
    }

    /// Lets go of the connection without telling anybody. The socket is dropped without the lock: a stream of the
    /// user's own may call back.
    #[must_use]
    pub(super) fn drop_connection(&self, core: &mut Core) -> Option<Arc<Socket>> {
        let socket = self.take_socket(core);
        self.notify(core);
        socket
    }

    fn take_socket(&self, core: &mut Core) -> Option<Arc<Socket>> {
        let socket = core.socket.take()?;
        let now = self.now();
        core.session.closed(now);
        core.end_reauthentication(Err(Error::NotConnected));
        core.line.end();
        core.writing.discard();
        core.writing.answers = 0;
        core.writing.blocked = false;
        core.closing = None;
        core.accepted_at = None;
        core.stop_probe();
        Some(socket)
    }

    /// An attempt of the loop: waits for its time, asks `reconnect_if`, connects. `Ok(false)`: the loop is to look
    /// again, something changed while it waited.
    ///
    /// Not part of the caller's stack frame, which is there for as long as the loop runs.
    #[inline(never)]
    pub(super) fn attempt(self: &Arc<Self>, driver: &mut Driver, running: Running) -> Result<bool> {
        let first = self.lock().phase == Phase::Async;
        if !first && !self.wait_for_attempt(driver)? {
            return Ok(false);
        }
        let established = self.establish(true);
        let mut core = self.lock();
        core.loop_dials = false;
        let given_up = core.stop || core.abandoned || core.phase != Phase::Lost;
        let retry_first = core.retry_first_connection;
        drop(core);
        match established {
            Ok(()) => Ok(true),
            Err(_) if given_up => Ok(false),
            Err(error) => {
                let slot = &self.callbacks.connect_fail;
                let run = slot.run("on_connect_fail", |f| {
                    self.call("on_connect_fail", |c| f(c, &error))
                });
                self.keep_failure(run);
                if first && running == Running::Forever && !retry_first {
                    return Err(error);
                }
                if !first {
                    logging::emit_line(self, &log_lines::reconnect_failed());
                }
                Ok(true)
            }
        }
    }

    /// Waits for the time of the next attempt. `Ok(false)`: the loop is to stop, or somebody else connects.
    fn wait_for_attempt(self: &Arc<Self>, driver: &mut Driver) -> Result<bool> {
        if self.follows_redirect() {
            return Ok(true);
        }
        let (reason, attempts, delay) = {
            let mut core = self.lock();
            if std::mem::take(&mut core.reconnect_now) {
                return Ok(true);
            }
            let reason = core
                .last_reason
                .as_deref()
                .cloned()
                .unwrap_or(DisconnectReason::Lost(Error::ConnectionClosed));
            if matches!(reason, DisconnectReason::ReturnToFirst) {
                return Ok(true);
            }
            core.redirects.settled();
            let attempts = core.backoff.attempts();
            let delay = if core.servers.goes_on() && !is_taken_over(&reason) {
                Duration::ZERO
            } else {
                core.servers.new_round();
                match reason.retry_default() {
                    Retry::Backoff => core.backoff.take(),
                    Retry::Slow => core.backoff.take_longest(),
                }
            };
            (reason, attempts, delay)
        };
        // From now, however long the application thinks about it.
        let due = self.now() + delay;
        let decide = &self.callbacks.reconnect_if;
        let go_on = decide.run_for("reconnect_if", |f| {
            self.call("reconnect_if", |client| Ok(f(client, &reason, attempts)))
        });
        match go_on {
            Some(Ok(false)) => return Err(reason.into_error()),
            Some(Err(error)) => self.keep_failure(Err(error)),
            Some(Ok(true)) | None => {}
        }
        if !delay.is_zero() {
            log::info!(target: "callmq", "next attempt to connect in {:.1} s ({reason})", delay.as_secs_f64());
        }
        loop {
            let core = self.lock();
            if core.stop || core.abandoned || core.phase != Phase::Lost {
                return Ok(false);
            }
            if self.now() >= due {
                return Ok(true);
            }
            drop(self.idle(core, driver, Some(due)));
        }
    }

    /// Waits for the waker or the deadline, without a connection.
    pub(super) fn idle<'a>(
        self: &'a Arc<Self>,
        core: MutexGuard<'a, Core>,
        driver: &mut Driver,
        until: Option<Instant>,
    ) -> MutexGuard<'a, Core> {
        let mut core = self.sleep(core, driver, until);
        if core.session.expire(self.now()) {
            self.notify(&core);
        }
        drop(core);
        self.expire_requests(self.now());
        self.dispatch(driver);
        self.lock()
    }

    pub(super) fn take_callback_error(&self) -> Result<()> {
        match self.lock().callback_error.take() {
            Some(error) => Err(*error),
            None => Ok(()),
        }
    }
}

impl Core {
    /// Until when the DISCONNECT may take to leave, if one is on its way.
    pub(super) fn closing_deadline(&self) -> Option<Instant> {
        self.closing.as_ref().and_then(|closing| closing.deadline())
    }

    /// The credentials for the next CONNECT.
    fn take_credentials(&mut self, server: &Server) {
        self.session.settings.credentials = self.credentials(server);
    }

    /// What the end of a connection says of the server and of the next attempt.
    fn judge(&mut self, now: Instant, accepted_at: Option<Instant>, reason: &DisconnectReason) {
        let lived = accepted_at.map(|at| now.saturating_duration_since(at));
        let was_good = lived.is_some_and(|lived| self.backoff.ended(lived));
        if was_good {
            self.redirects.settled();
        }
        self.servers.ended(now, was_good, reason);
    }
}

/// Whether another client has our id: to come back soon throws it out, at whichever server of a cluster.
fn is_taken_over(reason: &DisconnectReason) -> bool {
    matches!(reason, DisconnectReason::Server(code) if code.code == ReasonCode::SESSION_TAKEN_OVER)
}

/// The log lines among the session's events: those of the command just given.
fn take_traces(core: &mut Core) -> Vec<Trace> {
    let events = core.session.events();
    let mut lines = Vec::new();
    while let Some(Event::Trace(_)) = events.back() {
        if let Some(Event::Trace(trace)) = events.pop_back() {
            lines.push(trace);
        }
    }
    lines.reverse();
    lines
}
