//! The user's closures: where they are kept, and how one is run.
//!
//! A closure is taken out of its slot, run without any lock, and put back unless the slot was given another one
//! meanwhile. So a callback may replace itself, and two threads never run the same closure.
//!
//! Most closures are run by the driver only, of which there is one. Those that calls of any thread run
//! (`on_pre_connect` and the `on_socket_..`) take turns: who finds the closure running in another thread waits for it.
//! A thread that is inside one of these closures does not wait: the other one may wait for this thread.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use crossbeam_channel::Sender;

use super::authentication::AuthHandler;
use super::filters::Filters;
use super::redirect::OnRedirect;
use super::{Client, ConnectFlags, DisconnectFlags, LogLevel, Message, SocketHandle};
use crate::codec::{Properties, ReasonCode};
use crate::error::{Error, Result};
use crate::on_demand::OnDemand;

pub(crate) type OnConnect = dyn FnMut(&Client, ConnectFlags, ReasonCode, &Properties) -> Result<()> + Send;
pub(crate) type OnConnectFail = dyn FnMut(&Client, &Error) -> Result<()> + Send;
pub(crate) type OnPreConnect = dyn FnMut(&Client) -> Result<()> + Send;
pub(crate) type OnDisconnect =
    dyn FnMut(&Client, DisconnectFlags, ReasonCode, &Properties) -> Result<()> + Send;
pub(crate) type OnMessage = dyn FnMut(&Client, &Message) -> Result<()> + Send;
pub(crate) type OnPublish = dyn FnMut(&Client, u16, ReasonCode, &Properties) -> Result<()> + Send;
pub(crate) type OnSubscribe = dyn FnMut(&Client, u16, &[ReasonCode], &Properties) -> Result<()> + Send;
pub(crate) type OnSocket = dyn FnMut(&Client, &SocketHandle) -> Result<()> + Send;
pub(crate) type OnLog = dyn Fn(&Client, LogLevel, &str) + Send + Sync;
pub(crate) type ReconnectIf = dyn FnMut(&Client, &super::DisconnectReason, u32) -> bool + Send;

/// The place of one closure.
pub(crate) struct Slot<F: ?Sized> {
    closure: Mutex<Option<Box<F>>>,
    set: AtomicBool,
    /// Counts the closures that were set, so that one that comes back from running sees whether it was replaced. Changes
    /// under the lock.
    generation: AtomicU64,
    /// Signals that the closure is back, or replaced.
    back: Condvar,
    /// A thread waits for that, and was not told since: to signal is a system call. Changes under the lock.
    awaited: AtomicBool,
}

impl<F: ?Sized> Slot<F> {
    fn kept(&self) -> MutexGuard<'_, Option<Box<F>>> {
        self.closure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, closure: Box<F>) {
        let previous = {
            let mut kept = self.kept();
            self.generation.fetch_add(1, Ordering::AcqRel);
            self.set.store(true, Ordering::Release);
            kept.replace(closure)
        };
        self.back.notify_all();
        // Dropped without the lock: what it captured may call back into the client.
        drop(previous);
    }

    pub(crate) fn clear(&self) {
        let previous = {
            let mut kept = self.kept();
            self.generation.fetch_add(1, Ordering::AcqRel);
            self.set.store(false, Ordering::Release);
            kept.take()
        };
        self.back.notify_all();
        drop(previous);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    /// Runs the closure, if there is one. `name` is the callback's, for the error.
    pub(crate) fn run(&self, name: &'static str, call: impl FnOnce(&mut F) -> Result<()>) -> Result<()> {
        self.run_for(name, call).unwrap_or(Ok(()))
    }

    /// As [`run`](Self::run); `None` if there was no closure to run.
    pub(crate) fn run_for<T>(
        &self,
        name: &'static str,
        call: impl FnOnce(&mut F) -> Result<T>,
    ) -> Option<Result<T>> {
        let mut held = self.hold()?;
        Some(held.run(name, call))
    }

    /// Takes the closure out, to run it several times; `None` if there is none.
    #[inline]
    pub(crate) fn hold(&self) -> Option<Held<'_, F>> {
        if !self.is_set() {
            return None;
        }
        self.take(self.kept())
    }

    fn take(&self, mut kept: MutexGuard<'_, Option<Box<F>>>) -> Option<Held<'_, F>> {
        let closure = Some(kept.take()?);
        let origin = Origin {
            slot: self,
            generation: self.generation.load(Ordering::Relaxed),
        };
        Some(Held { origin, closure })
    }

    /// As [`run`](Self::run), for a closure that any thread may have to run: after the one that runs it now.
    pub(crate) fn run_in_turn(
        &self,
        name: &'static str,
        call: impl FnOnce(&mut F) -> Result<()>,
    ) -> Result<()> {
        if !self.is_set() {
            return Ok(());
        }
        let mut kept = self.kept();
        let waits = IN_TURN.get() == 0;
        while waits && kept.is_none() && self.is_set() {
            self.awaited.store(true, Ordering::Relaxed);
            kept = self.back.wait(kept).unwrap_or_else(PoisonError::into_inner);
        }
        let Some(mut held) = self.take(kept) else {
            return Ok(());
        };
        IN_TURN.set(IN_TURN.get() + 1);
        let result = held.run(name, call);
        drop(held);
        IN_TURN.set(IN_TURN.get() - 1);
        result
    }
}

/// A slot that is made when a closure is first put into it: a client has many, and uses few.
pub(crate) struct LazySlot<F: ?Sized>(OnceLock<Box<Slot<F>>>);

impl<F: ?Sized> LazySlot<F> {
    const fn new() -> Self {
        Self(OnceLock::new())
    }

    fn made(&self) -> Option<&Slot<F>> {
        self.0.get().map(Box::as_ref)
    }

    pub(crate) fn clear(&self) {
        if let Some(slot) = self.made() {
            slot.clear();
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.made().is_some_and(Slot::is_set)
    }

    /// As [`Slot::run`].
    pub(crate) fn run(&self, name: &'static str, call: impl FnOnce(&mut F) -> Result<()>) -> Result<()> {
        self.made().map_or(Ok(()), |slot| slot.run(name, call))
    }

    /// As [`Slot::run_for`].
    pub(crate) fn run_for<T>(
        &self,
        name: &'static str,
        call: impl FnOnce(&mut F) -> Result<T>,
    ) -> Option<Result<T>> {
        self.made()?.run_for(name, call)
    }

    /// As [`Slot::run_in_turn`].
    pub(crate) fn run_in_turn(
        &self,
        name: &'static str,
        call: impl FnOnce(&mut F) -> Result<()>,
    ) -> Result<()> {
        self.made().map_or(Ok(()), |slot| slot.run_in_turn(name, call))
    }

    /// As [`Slot::hold`].
    #[inline]
    pub(crate) fn hold(&self) -> Option<Held<'_, F>> {
        self.made()?.hold()
    }
}

impl<F: ?Sized> Default for LazySlot<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: ?Sized> fmt::Debug for LazySlot<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { "Slot(set)" } else { "Slot(empty)" })
    }
}

thread_local! {
    /// How many closures that take turns the thread is in, of any client.
    static IN_TURN: Cell<u32> = const { Cell::new(0) };
}

/// A closure taken out of its slot. Goes back when this is dropped, unless the slot was given another one meanwhile.
pub(crate) struct Held<'a, F: ?Sized> {
    origin: Origin<'a, F>,
    closure: Option<Box<F>>,
}

/// Where a closure was taken out.
pub(crate) struct Origin<'a, F: ?Sized> {
    slot: &'a Slot<F>,
    generation: u64,
}

impl<F: ?Sized> Clone for Origin<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: ?Sized> Copy for Origin<'_, F> {}

impl<F: ?Sized> Origin<'_, F> {
    /// Whether the slot was not given another closure meanwhile.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.slot.generation.load(Ordering::Acquire) == self.generation
    }
}

impl<'a, F: ?Sized> Held<'a, F> {
    /// For one who runs the closure and looks meanwhile whether it is still the slot's.
    pub(crate) fn origin(&self) -> Origin<'a, F> {
        self.origin
    }

    /// Runs the closure. `name` is the callback's, for the error.
    #[inline]
    pub(crate) fn run<T>(&mut self, name: &'static str, call: impl FnOnce(&mut F) -> Result<T>) -> Result<T> {
        let Some(closure) = &mut self.closure else {
            return Err(Error::InvalidState("the callback is gone"));
        };
        guarded(name, || call(closure))
    }

    /// See [`Origin::is_current`].
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.origin.is_current()
    }
}

impl<F: ?Sized> Drop for Held<'_, F> {
    fn drop(&mut self) {
        let Some(closure) = self.closure.take() else {
            return;
        };
        let mut kept = self.origin.slot.kept();
        if self.is_current() {
            *kept = Some(closure);
            let awaited = self.origin.slot.awaited.swap(false, Ordering::Relaxed);
            drop(kept);
            if awaited {
                self.origin.slot.back.notify_all();
            }
        } else {
            drop(kept);
            // Replaced while it was out.
            let _ = guarded("callback", || {
                drop(closure);
                Ok(())
            });
        }
    }
}

impl<F: ?Sized> Default for Slot<F> {
    fn default() -> Self {
        Self {
            closure: Mutex::new(None),
            set: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            back: Condvar::new(),
            awaited: AtomicBool::new(false),
        }
    }
}

impl<F: ?Sized> fmt::Debug for Slot<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { "Slot(set)" } else { "Slot(empty)" })
    }
}

/// Runs user code: its error and its panic come back as [`Error::Callback`].
pub(crate) fn guarded<T>(name: &'static str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        // It went through here before, as that of a callback that runs outside of the queue does.
        Ok(Err(error @ Error::Callback { .. })) => Err(error),
        Ok(Err(error)) => Err(Error::Callback {
            callback: name,
            message: describe(&error).into(),
        }),
        Err(panic) => {
            let message = panic_text(&*panic).into();
            // What was thrown may itself panic when it is dropped; what that throws is given up.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
                std::mem::forget(panic);
            }
            Err(Error::Callback {
                callback: name,
                message,
            })
        }
    }
}

/// An error and its sources in one line.
fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        format!("panicked: {text}")
    } else if let Some(text) = panic.downcast_ref::<String>() {
        format!("panicked: {text}")
    } else {
        "panicked".to_owned()
    }
}

/// All closures of a client.
#[derive(Debug, Default)]
pub(crate) struct Callbacks {
    /// Made when a closure is first set.
    slots: OnceLock<Box<Slots>>,
    pub(crate) filters: Filters,
    pub(crate) receivers: Receivers,
    pub(crate) log: Log,
}

/// The places of those of which there is one at most.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    pub(crate) connect: LazySlot<OnConnect>,
    pub(crate) connect_fail: LazySlot<OnConnectFail>,
    pub(crate) pre_connect: LazySlot<OnPreConnect>,
    pub(crate) disconnect: LazySlot<OnDisconnect>,
    pub(crate) message: LazySlot<OnMessage>,
    pub(crate) publish: LazySlot<OnPublish>,
    pub(crate) subscribe: LazySlot<OnSubscribe>,
    pub(crate) unsubscribe: LazySlot<OnSubscribe>,
    pub(crate) socket_open: LazySlot<OnSocket>,
    pub(crate) socket_close: LazySlot<OnSocket>,
    pub(crate) socket_register_write: LazySlot<OnSocket>,
    pub(crate) socket_unregister_write: LazySlot<OnSocket>,
    pub(crate) reconnect_if: LazySlot<ReconnectIf>,
    pub(crate) auth: LazySlot<AuthHandler>,
    pub(crate) redirect: LazySlot<OnRedirect>,
}

/// The slots of clients for which no closure was set.
static NO_CLOSURES: Slots = Slots {
    connect: LazySlot::new(),
    connect_fail: LazySlot::new(),
    pre_connect: LazySlot::new(),
    disconnect: LazySlot::new(),
    message: LazySlot::new(),
    publish: LazySlot::new(),
    subscribe: LazySlot::new(),
    unsubscribe: LazySlot::new(),
    socket_open: LazySlot::new(),
    socket_close: LazySlot::new(),
    socket_register_write: LazySlot::new(),
    socket_unregister_write: LazySlot::new(),
    reconnect_if: LazySlot::new(),
    auth: LazySlot::new(),
    redirect: LazySlot::new(),
};

impl Callbacks {
    /// A slot to put a closure into.
    pub(crate) fn slot<F: ?Sized>(&self, which: impl FnOnce(&Slots) -> &LazySlot<F>) -> OwnSlot<'_, F> {
        OwnSlot(which(self.slots.get_or_init(Box::default)))
    }
}

/// A slot that is the client's own, not one of [`NO_CLOSURES`].
pub(crate) struct OwnSlot<'a, F: ?Sized>(&'a LazySlot<F>);

impl<F: ?Sized> OwnSlot<'_, F> {
    pub(crate) fn set(&self, closure: Box<F>) {
        self.0.0.get_or_init(Box::default).set(closure);
    }
}

impl Deref for Callbacks {
    type Target = Slots;

    #[inline]
    fn deref(&self) -> &Slots {
        self.slots.get().map_or(&NO_CLOSURES, Box::as_ref)
    }
}

/// The channels of `messages`.
#[derive(Debug, Default)]
pub(crate) struct Receivers {
    senders: Mutex<OnDemand<Vec<Sender<Message>>>>,
    any: AtomicBool,
}

impl Receivers {
    fn senders(&self) -> MutexGuard<'_, OnDemand<Vec<Sender<Message>>>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, sender: Sender<Message>) {
        self.senders().push(sender);
        self.any.store(true, Ordering::Release);
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    pub(crate) fn snapshot(&self) -> Vec<Sender<Message>> {
        self.senders().clone()
    }

    pub(crate) fn remove(&self, gone: &Sender<Message>) {
        let mut senders = self.senders();
        senders.retain(|sender| !sender.same_channel(gone));
        self.any.store(!senders.is_empty(), Ordering::Release);
    }

    /// Ends every channel: their iterators stop.
    pub(crate) fn close(&self) {
        let senders = std::mem::take(&mut *self.senders());
        self.any.store(false, Ordering::Release);
        drop(senders);
    }
}

/// The closure of `on_log`, which any thread may run at any time.
#[derive(Default)]
pub(crate) struct Log {
    closure: Mutex<Option<Arc<OnLog>>>,
    set: AtomicBool,
}

impl Log {
    pub(crate) fn set(&self, closure: Arc<OnLog>) {
        self.replace(Some(closure));
    }

    pub(crate) fn clear(&self) {
        self.replace(None);
    }

    fn replace(&self, closure: Option<Arc<OnLog>>) {
        let previous = {
            let mut kept = self.closure.lock().unwrap_or_else(PoisonError::into_inner);
            self.set.store(closure.is_some(), Ordering::Release);
            std::mem::replace(&mut *kept, closure)
        };
        // Dropped without the lock: what it captured may call back into the client.
        drop(previous);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    pub(crate) fn get(&self) -> Option<Arc<OnLog>> {
        if !self.is_set() {
            return None;
        }
        self.closure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("set", &self.is_set())
            .finish_non_exhaustive()
    }
}
