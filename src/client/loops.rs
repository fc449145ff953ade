//! The network loop: the calls that move bytes and run callbacks.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::driver::Driver;
use super::shared::{Closing, Core, Phase, Running, Shared};
use super::{Client, IntoTimeout, SocketHandle, guard};
use crate::codec::{Properties, ReasonCode};
use crate::error::{DropReason, Error, Result};

/// The time-out of `loop()` where none is given.
const LOOP_TIMEOUT: Duration = Duration::from_secs(1);

/// How long dropping the last handle may take: what was accepted is sent and acknowledged in this time, or dropped.
const GOODBYE: Duration = Duration::from_secs(1);

/// The last part of it is for the DISCONNECT.
const FAREWELL: Duration = Duration::from_millis(100);

/// How much longer the drop waits on a busy machine for a loop that is about to be done.
const SLACK: Duration = Duration::from_millis(500);

/// The network loop.
impl Client {
    /// Makes one turn of the network loop, waiting for at most one second: [`loop_once(1.0)`](Self::loop_once). `loop`
    /// is a keyword in Rust.
    ///
    /// # Errors
    ///
    /// As [`loop_once`](Self::loop_once).
    pub fn r#loop(&self) -> Result<()> {
        self.loop_once(LOOP_TIMEOUT)
    }

    /// Makes one turn of the network loop: writes what waits, waits for the socket, handles what arrived, keeps the
    /// connection alive.
    ///
    /// Blocks for at most `timeout`, seconds or a [`Duration`]; `None` waits until something happens. It handles one
    /// packet, or as many as there are unfinished messages of QoS 1 and 2, and does not reconnect: for tests and
    /// programs that step by themselves. Callbacks run on the calling thread.
    ///
    /// # Errors
    ///
    /// [`Error::NotConnected`] without a connection; why the connection ended, if it did; what a callback failed with;
    /// [`Error::InvalidArgument`] for a negative time-out; [`Error::InvalidState`] while another loop runs;
    /// [`Error::WouldDeadlock`] inside a callback.
    ///
    /// ```no_run
    /// use callmq::client as mqtt;
    ///
    /// # fn main() -> mqtt::Result<()> {
    /// let client = mqtt::Client::new("stepper");
    /// client.connect("localhost")?;
    /// while !client.is_connected() {
    ///     client.loop_once(0.1)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "loop")]
    pub fn loop_once(&self, timeout: impl IntoTimeout) -> Result<()> {
        let timeout = timeout.into_timeout()?;
        let shared = self.shared();
        let mut driver = shared.take_driver("loop_once")?;
        let connected = shared.lock().socket.is_some();
        if connected {
            let until = timeout.and_then(|timeout| shared.now().checked_add(timeout));
            let limit = shared.lock().session.unfinished().max(1);
            // A wake-up that brings nothing (a write that went through, another thread's call) is not a turn; and a
            // DISCONNECT that cannot leave at once gets its time.
            while !shared.turn(&mut driver, until, limit) || shared.lock().closing_deadline().is_some() {
                // Time that is moved by hand does not pass here.
                let over = shared.time.is_manual() || until.is_some_and(|until| shared.now() >= until);
                if over || shared.lock().socket.is_none() {
                    break;
                }
            }
        } else {
            // Messages expire without a connection, too.
            shared.handle_deadlines(true);
            shared.dispatch(&mut driver);
        }
        drop(shared.release(driver));
        shared.take_callback_error()?;
        if !connected {
            return Err(Error::NotConnected);
        }
        shared.ended()
    }

    /// Runs the network loop in this thread until [`disconnect`](Self::disconnect) or [`loop_stop`](Self::loop_stop) is
    /// called (from a callback or another thread). Reconnects when the connection is lost.
    ///
    /// Callbacks run on this thread.
    ///
    /// # Errors
    ///
    /// What a callback failed with: the connection stays open, and calling `loop_forever` again goes on. Why the
    /// connection ended, if `reconnect_on_failure` is off or [`reconnect_if`](Self::reconnect_if) said so; the first
    /// failure to connect after `connect_async`; [`Error::InvalidArgument`] if `connect` was never called,
    /// [`Error::NotConnected`] if it was not since `disconnect`; [`Error::InvalidState`] while another loop runs;
    /// [`Error::WouldDeadlock`] inside a callback.
    pub fn loop_forever(&self) -> Result<()> {
        self.loop_forever_with(false)
    }

    /// Runs the loop as [`loop_forever`](Self::loop_forever) does; with `retry_first_connection` a first attempt (after
    /// `connect_async`) that fails is repeated like any other.
    ///
    /// # Errors
    ///
    /// As [`loop_forever`](Self::loop_forever).
    pub fn loop_forever_with(&self, retry_first_connection: bool) -> Result<()> {
        let shared = self.shared();
        match shared.lock().phase {
            Phase::New => return Err(Error::argument("host", "connect was never called")),
            Phase::Down => return Err(Error::NotConnected),
            _ => {}
        }
        let (mut driver, mut core) = shared.become_driver("loop_forever")?;
        core.runs(Running::Forever);
        core.retry_first_connection = retry_first_connection;
        drop(core);
        guard::watch(shared);
        let result = shared.run(&mut driver, Running::Forever);
        shared.lock().running = None;
        drop(shared.release(driver));
        result
    }

    /// Runs the network loop in a thread of its own until [`disconnect`](Self::disconnect),
    /// [`loop_stop`](Self::loop_stop), or the last handle is dropped.
    ///
    /// Returns at once. The loop waits for `connect` if that was not called yet, and reconnects when the connection is
    /// lost. Callbacks run on that thread, which is named `callmq-` and the client id.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidState`] if a loop runs already; [`Error::Io`] if there is no thread to be had.
    ///
    /// ```no_run
    /// use callmq::client as mqtt;
    /// use std::{thread::sleep, time::Duration};
    ///
    /// # fn main() -> mqtt::Result<()> {
    /// let client = mqtt::Client::new("python1");
    /// client.connect("localhost")?;
    /// client.loop_start()?;
    /// client.publish("house/light", "on")?;
    /// sleep(Duration::from_secs(4));
    /// client.loop_stop()
    /// # }
    /// ```
    pub fn loop_start(&self) -> Result<()> {
        let shared = self.shared();
        let finished = {
            let mut core = shared.lock();
            match &core.thread {
                Some(thread) if thread.is_finished() || core.running.is_none() => core.thread.take(),
                Some(_) => return Err(Error::InvalidState("the network loop runs already")),
                None if core.running.is_some() => {
                    return Err(Error::InvalidState("the network loop runs already"));
                }
                None => None,
            }
        };
        if let Some(thread) = finished {
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
        let mut core = shared.lock();
        if core.running.is_some() {
            // Another thread was faster.
            return Err(Error::InvalidState("the network loop runs already"));
        }
        if let Some(driver) = &mut core.driver {
            driver.prepare(shared)?;
        }
        if core.phase == Phase::Down {
            core.phase = Phase::New;
        }
        core.runs(Running::Thread);
        // A thread's name cannot hold U+0000.
        let name = format!("callmq-{}", core.session.settings.client_id.replace('\0', ""));
        let weak = Arc::downgrade(shared);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            if let Some(shared) = weak.upgrade() {
                shared.run_thread();
            }
        });
        match thread {
            Ok(thread) => core.thread = Some(thread),
            Err(error) => {
                core.running = None;
                return Err(error.into());
            }
        }
        drop(core);
        guard::watch(shared);
        Ok(())
    }

    /// Ends the loop of [`loop_start`](Self::loop_start) or [`loop_forever`](Self::loop_forever). The connection stays
    /// open, unattended: calls then write by themselves, until a loop is started again.
    ///
    /// Returns when the loop has ended, at once unless a callback is running: that is waited for. Inside a callback it
    /// only asks.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidState`] if no loop was started; what a callback failed with while the loop ran, or why the loop
    /// gave up.
    pub fn loop_stop(&self) -> Result<()> {
        let shared = self.shared();
        let mut core = shared.lock();
        if core.running.is_none() && core.thread.is_none() {
            return Err(Error::InvalidState("no network loop was started"));
        }
        shared.ask_to_stop(&mut core);
        if shared.is_dispatcher() {
            return Ok(());
        }
        let run = core.runs;
        if let Some(thread) = core.thread.take() {
            drop(core);
            let _ = thread.join();
            core = shared.lock();
        }
        // Another thread may have started the next loop meanwhile: that one is not waited for.
        while core.running.is_some() && core.runs == run {
            core = shared.wait(core, None);
        }
        let error = core.thread_error.take().or_else(|| core.callback_error.take());
        error.map_or(Ok(()), |error| Err(*error))
    }

    /// Reads from the socket, for an event loop of your own that found it readable. Callbacks run in this call.
    ///
    /// Does not block. Reads once, up to 64 KiB, and handles everything that came with it. While more is there the
    /// socket stays readable, so the event loop should report levels, as `poll`, `select` and `epoll` do by default.
    ///
    /// # Errors
    ///
    /// As [`loop_once`](Self::loop_once).
    pub fn loop_read(&self) -> Result<()> {
        let shared = self.shared();
        let mut driver = shared.take_driver("loop_read")?;
        let connected = shared.read_for(&mut driver);
        shared.give_back(driver);
        shared.take_callback_error()?;
        if !connected {
            return Err(Error::NotConnected);
        }
        shared.ended()
    }

    /// Writes what waits, for an event loop of your own that found the socket writable. Does not block.
    ///
    /// # Errors
    ///
    /// As [`loop_once`](Self::loop_once).
    pub fn loop_write(&self) -> Result<()> {
        let shared = self.shared();
        let driver = shared.take_driver("loop_write")?;
        let mut core = shared.lock();
        let connected = core.socket.is_some();
        core.writing.blocked = false;
        core = shared.flush(core);
        if !core.has_output() {
            core = shared.unregister_write(core);
        }
        drop(core);
        shared.give_back(driver);
        shared.take_callback_error()?;
        if !connected {
            return Err(Error::NotConnected);
        }
        shared.ended()
    }

    /// Keeps the connection alive, for an event loop of your own. Call it about once a second. Does not block.
    ///
    /// # Errors
    ///
    /// As [`loop_once`](Self::loop_once).
    pub fn loop_misc(&self) -> Result<()> {
        let shared = self.shared();
        let mut driver = shared.take_driver("loop_misc")?;
        let connected = shared.lock().socket.is_some();
        shared.go_on(&mut driver);
        shared.handle_deadlines(true);
        shared.give_back(driver);
        shared.take_callback_error()?;
        if !connected {
            return Err(Error::NotConnected);
        }
        shared.ended()
    }

    /// Returns whether there is something to write: an event loop of your own then watches for the socket to be
    /// writable.
    pub fn want_write(&self) -> bool {
        self.shared().lock().has_output()
    }

    /// Returns the socket, for an event loop of your own. `None` without a connection.
    pub fn socket(&self) -> Option<SocketHandle> {
        self.shared().lock().socket.clone().map(SocketHandle::new)
    }
}

impl Shared {
    /// Becomes the driver, for a call that is a loop itself.
    fn take_driver(self: &Arc<Self>, call: &'static str) -> Result<Box<Driver>> {
        Ok(self.become_driver(call)?.0)
    }

    /// As [`take_driver`](Self::take_driver), and keeps the lock.
    fn become_driver<'a>(
        self: &'a Arc<Self>,
        call: &'static str,
    ) -> Result<(Box<Driver>, MutexGuard<'a, Core>)> {
        if self.is_dispatcher() {
            return Err(Error::WouldDeadlock(call));
        }
        let mut core = self.lock();
        // A call that waits and drives meanwhile makes room.
        core.loops_waiting += 1;
        loop {
            if core.running.is_some() || core.driver.is_some() {
                core.loops_waiting -= 1;
            }
            if core.running.is_some() {
                self.notify_waiters(&core);
                return Err(Error::InvalidState("another network loop runs"));
            }
            if let Some(mut driver) = core.driver.take() {
                if let Err(error) = driver.prepare(self) {
                    core.driver = Some(driver);
                    self.notify_waiters(&core);
                    return Err(error);
                }
                return Ok((driver, core));
            }
            // A call of another thread finishes its work.
            if core.driver_waits {
                self.wake();
            }
            core = self.wait(core, None);
        }
    }

    /// The driver goes back; with an event loop of the user's own, that is told what waits.
    fn give_back(self: &Arc<Self>, mut driver: Box<Driver>) {
        self.dispatch(&mut driver);
        let mut core = self.lock();
        core.driver = Some(driver);
        self.notify_waiters(&core);
        self.run_inline(core);
    }

    /// Why the connection ended, if it did.
    fn ended(&self) -> Result<()> {
        let core = self.lock();
        match core.last_reason.as_deref() {
            Some(reason) if core.socket.is_none() && core.phase == Phase::Lost => {
                Err(reason.clone().into_error())
            }
            _ => Ok(()),
        }
    }

    /// The loop: until the user disconnects or stops it.
    fn run(self: &Arc<Self>, driver: &mut Driver, running: Running) -> Result<()> {
        loop {
            self.wait_while_congested(driver, None);
            let mut core = self.lock();
            if core.stop {
                core.stop = false;
                // It may be asked to stop when it is about to end by itself.
                return core.has_given_up().map_or(Ok(()), Err);
            }
            if running == Running::Forever && core.callback_error.is_some() {
                drop(core);
                return self.take_callback_error();
            }
            if core.abandoned {
                self.say_goodbye(core, driver);
                return Ok(());
            }
            match core.phase {
                Phase::Up => {
                    drop(core);
                    self.turn(driver, None, usize::MAX);
                }
                Phase::New | Phase::Dialing => {
                    drop(self.idle(core, driver, None));
                }
                Phase::Down => {
                    drop(core);
                    self.dispatch(driver);
                    return if running == Running::Forever {
                        self.take_callback_error()
                    } else {
                        Ok(())
                    };
                }
                Phase::Async | Phase::Lost => {
                    let given_up = core.has_given_up();
                    drop(core);
                    self.dispatch(driver);
                    if let Some(error) = given_up {
                        return Err(error);
                    }
                    if let Err(error) = self.attempt(driver, running) {
                        self.end_requests(&error, false);
                        self.dispatch(driver);
                        return Err(error);
                    }
                }
            }
        }
    }

    /// The body of the thread of `loop_start`.
    fn run_thread(self: Arc<Self>) {
        let mut core = self.lock();
        let mut driver = loop {
            if let Some(driver) = core.driver.take() {
                break driver;
            }
            core = self.wait(core, None);
        };
        drop(core);
        let result = driver
            .prepare(&self)
            .and_then(|()| self.run(&mut driver, Running::Thread));
        if let Err(error) = result {
            // `reconnect_if`, or a refusal with `reconnect_on_failure` off.
            log::error!(target: "callmq", "the network loop has ended: {error:#}");
            self.lock().callback_error.get_or_insert(Box::new(error));
        }
        {
            let mut core = self.lock();
            core.running = None;
            core.stop = false;
        }
        let mut core = self.release(driver);
        // For `loop_stop`: what other calls run fails by itself.
        core.thread_error = core.callback_error.take();
    }

    /// Asks the loop to end, wherever it waits.
    fn ask_to_stop(&self, core: &mut Core) {
        if core.running.is_none() {
            return;
        }
        core.stop = true;
        core.stop_asked = Instant::now();
        self.hurry.store(true, Ordering::Release);
        if core.loop_dials {
            core.stop_dialing();
        }
        core.stop_probe();
        self.interrupt();
        self.notify(core);
        self.wake();
    }

    /// The last handle of the user is gone: sends what was accepted, says DISCONNECT, ends the loop.
    pub(super) fn last_handle_dropped(self: &Arc<Self>) {
        self.callbacks.receivers.close();
        let mut core = self.lock();
        let deadline = Instant::now() + GOODBYE;
        if self.is_dispatcher() {
            // The loop is further up on this stack: it does the rest when it gets there.
            core.abandoned = true;
            return;
        }
        core.goodbye = deadline;
        if core.running.is_some() {
            core.abandoned = true;
            core.stop_dialing();
            self.interrupt();
            self.wake_now();
            // One that is in a callback by then does the rest by itself.
            while core.running.is_some() && !self.time.is_manual() {
                let until = if core.leaving { deadline + SLACK } else { deadline };
                if Instant::now() >= until {
                    break;
                }
                core = self.wait(core, Some(until));
            }
            let thread = core.thread.take();
            let ended = core.running.is_none();
            drop(core);
            if let (Some(thread), true) = (thread, ended) {
                let _ = thread.join();
            }
        } else if let Some(mut driver) = core.driver.take() {
            self.say_goodbye(core, &mut driver);
            drop(self.release(driver));
        } else {
            // Another thread is driving for a moment: it says goodbye when it gives the driver back.
            core.abandoned = true;
            self.wake_now();
        }
    }

    /// Sends what was accepted, then DISCONNECT: until `goodbye`, as long as the drop waits for it.
    pub(super) fn say_goodbye<'a>(self: &'a Arc<Self>, mut core: MutexGuard<'a, Core>, driver: &mut Driver) {
        core.leaving = true;
        let now = Instant::now();
        let deadline = if core.goodbye > now + FAREWELL {
            core.goodbye - FAREWELL
        } else {
            now + GOODBYE - FAREWELL
        };
        // Nobody takes messages any more; the server keeps what is not acknowledged.
        driver.waiting = None;
        while core.socket.is_some() && (core.session.unfinished_outgoing() > 0 || core.unwritten() > 0) {
            if Instant::now() >= deadline {
                break;
            }
            drop(core);
            let progress = self.turn(driver, Some(deadline), usize::MAX);
            core = self.lock();
            if self.time.is_manual() && !progress {
                break;
            }
        }
        if core.socket.is_some() {
            let now = self.now();
            let told = core
                .session
                .disconnect(now, ReasonCode::NORMAL_DISCONNECTION, Properties::default());
            core.closing = Some(Box::new(Closing::Requested { until: now + GOODBYE }));
            if told.is_ok() {
                core = self.flush_blocking(core, now + FAREWELL);
            }
            self.end(&mut core, super::DisconnectReason::Requested, Phase::Down);
        }
        core.phase = Phase::Down;
        let left = core.session.unfinished_outgoing();
        drop(core);
        if left > 0 {
            log::warn!(target: "callmq", "the client was dropped with {left} messages that were not delivered");
        }
        self.end_requests(&Error::Dropped(DropReason::ClientDropped), true);
        self.dispatch(driver);
        self.lock().session.abandon();
    }
}

impl Core {
    /// Why the loop ends by itself: the connection is lost, and nobody wants another one.
    fn has_given_up(&self) -> Option<Error> {
        let given_up = self.phase == Phase::Lost && !self.reconnect_on_failure;
        let reason = self.last_reason.as_deref().cloned();
        given_up.then(|| reason.map_or(Error::NotConnected, |reason| reason.into_error()))
    }
}
