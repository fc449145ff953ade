//! Sleeping and waking: how the driver sleeps until there is something to do, who wakes it, and how calls of other threads
//! wait for what it does.
//!
//! Each wait looks under the lock for what it waits for, and whoever changes that does so under the lock and then tells:
//! the driver by its waker, if it sleeps in its poll; the others by the condition variable, if anybody waits for that.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::DisconnectReason;
use super::driver::Driver;
use super::shared::{Core, Phase, Shared};
use crate::error::{Error, Result};

impl Shared {
    /// Sleeps until there is something to do; not at all if there is. Takes and gives back the lock.
    ///
    /// Nothing is missed: what there is to do is looked for under the same lock under which `asleep` is set, so that
    /// whoever makes work sees either that we have not looked yet or that we are to be woken. Bytes that another thread
    /// is writing (`busy`) or keeps back (`held`) are left to it; it looks for what is left when it is done, and wakes us.
    pub(super) fn sleep<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
        driver: &mut Driver,
        until: Option<Instant>,
    ) -> MutexGuard<'a, Core> {
        if core.can_write() || !core.happenings.is_empty() || !core.session.events().is_empty() {
            core = self.flush_in_turn(core);
            if !core.can_write() {
                return core;
            }
            // Others append all the while. What there is to read does not wait for them.
            drop(core);
            let polled = driver.sleep(Some(Duration::ZERO));
            return self.polled(self.lock(), polled);
        }
        if core.stop {
            return core;
        }
        if core.driver_waits && core.loops_waiting > 0 {
            // That one goes first.
            return core;
        }
        let deadlines = [
            until,
            core.session.poll_timeout(),
            core.closing_deadline(),
            self.requests.next_deadline(),
            core.probe_at(),
        ];
        let deadline = deadlines.into_iter().flatten().min();
        let timeout = if core.driver_waits && self.news.swap(false, Ordering::Relaxed) {
            // What is waited for may have happened since it was looked for.
            Some(Duration::ZERO)
        } else if self.time.is_manual() {
            // Time is moved by the test: a loop that steps does not wait, a thread looks again soon.
            Some(if core.running.is_some() {
                Duration::from_millis(1)
            } else {
                Duration::ZERO
            })
        } else {
            deadline.map(|deadline| deadline.saturating_duration_since(self.now()))
        };
        // Set under the lock: who appends after this sees it and wakes us.
        self.asleep.store(true, Ordering::Release);
        drop(core);
        let polled = driver.sleep(timeout);
        self.asleep.store(false, Ordering::Release);
        self.polled(self.lock(), polled)
    }

    /// Does what a poll has found: `Ok(true)` if the socket became writable.
    pub(super) fn polled<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
        writable: io::Result<bool>,
    ) -> MutexGuard<'a, Core> {
        match writable {
            Ok(true) => {
                core.writing.writable += 1;
                core.writing.blocked = false;
                core = self.flush_in_turn(core);
            }
            Ok(false) => core = self.flush_in_turn(core),
            Err(error) => self.lose(&mut core, DisconnectReason::Lost(error.into())),
        }
        core
    }

    /// Wakes the driver if it sleeps.
    pub(crate) fn wake(&self) {
        if self.asleep.load(Ordering::Acquire) && self.asleep.swap(false, Ordering::AcqRel) {
            self.wake_now();
        }
    }

    pub(crate) fn wake_now(&self) {
        if let Some(waker) = self.waker.get() {
            // Fails only where the system is out of resources; the driver then wakes at its next deadline.
            let _ = waker.wake();
        }
    }

    /// Ends the wait of a loop for room in a channel.
    pub(super) fn interrupt(&self) {
        let signal = self
            .stop_signal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(signal);
    }

    /// Tells calls that wait to look again: on the condition variable, or in the poll, if it is one of them that drives.
    pub(super) fn notify(&self, core: &Core) {
        self.notify_waiters(core);
        if core.room_wanted.get() && core.session.has_ample_room() {
            core.room_wanted.set(false);
            self.room.notify_all();
        }
        if core.driver_waits {
            self.news.store(true, Ordering::Relaxed);
            self.wake();
        }
    }

    /// As [`notify`](Self::notify), but gives the lock back first: who is woken would run into it.
    pub(super) fn unlock_and_notify(&self, core: MutexGuard<'_, Core>) {
        let awaited = core.awaited.take();
        self.notify(&core);
        drop(core);
        if awaited {
            self.changed.notify_all();
        }
    }

    /// Tells those that wait on the condition variable to look again; a system call, so only if there are any.
    pub(super) fn notify_waiters(&self, core: &Core) {
        if core.awaited.take() {
            self.changed.notify_all();
        }
    }

    /// Waits on the condition variable, at most until `deadline`; with a clock that is moved by hand it looks at that
    /// again and again.
    pub(super) fn wait<'a>(
        &'a self,
        core: MutexGuard<'a, Core>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, Core> {
        core.awaited.set(true);
        match deadline {
            None => self.changed.wait(core).unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let mut wait = deadline.saturating_duration_since(self.now());
                if self.time.is_manual() {
                    wait = wait.min(Duration::from_millis(1));
                }
                self.changed
                    .wait_timeout(core, wait)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        }
    }

    /// Waits until `ready` answers. Drives the loop itself where nobody else does.
    pub(crate) fn wait_until<T>(
        self: &Arc<Self>,
        call: &'static str,
        timeout: Option<Duration>,
        mut ready: impl FnMut(&mut Core) -> Option<Result<T>>,
    ) -> Result<T> {
        let deadline = timeout.and_then(|timeout| self.now().checked_add(timeout));
        let mut core = self.lock();
        let mut drove = false;
        loop {
            if let Some(answer) = ready(&mut core) {
                if drove && core.closing_deadline().is_some() && !core.is_driven() {
                    // A callback has asked for the end of the connection.
                    self.run_inline(core);
                }
                return answer;
            }
            if self.is_dispatcher() {
                return Err(Error::WouldDeadlock(call));
            }
            if deadline.is_some_and(|deadline| self.now() >= deadline) {
                return Err(Error::Timeout);
            }
            // A loop that was just started has not taken the driver yet: that is left to it.
            let driver = if core.running.is_none() && core.loops_waiting == 0 {
                core.driver.take()
            } else {
                None
            };
            if let Some(mut driver) = driver {
                if core.socket.is_none() && core.happenings.is_empty() && core.phase != Phase::Dialing {
                    core.driver = Some(driver);
                    return Err(Error::NotConnected);
                }
                if let Err(error) = driver.prepare(self) {
                    core.driver = Some(driver);
                    return Err(error);
                }
                core.driver_waits = true;
                self.news.store(false, Ordering::Relaxed);
                drop(core);
                let progress = self.turn(&mut driver, deadline, usize::MAX);
                core = self.release(driver);
                drove = true;
                if self.time.is_manual() && !progress && core.loops_waiting == 0 {
                    return match ready(&mut core) {
                        Some(answer) => answer,
                        None => Err(Error::Timeout),
                    };
                }
            } else {
                core = self.wait(core, deadline);
            }
        }
    }
}
