//! Keeps connections alive while a callback holds their loop.
//!
//! One thread for the whole process, started with the first loop. It sleeps until the keep alive of a client is due;
//! where the loop is in a callback then, it sends the PINGREQ in its place. A client whose loop is free pings by itself.
//! Likewise it writes what others have published meanwhile, and acknowledges what was handed out before.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::shared::{Core, Shared};

/// The loop gets this much time beyond the deadline before it is taken to be busy.
const GRACE: Duration = Duration::from_millis(100);

/// How long bytes may wait behind a callback.
const PATIENCE: Duration = Duration::from_millis(1);

struct Guard {
    clients: Vec<Weak<Shared>>,
    running: bool,
    /// Counts the calls of `watch` and `look_again`, so that none is missed between looking and sleeping.
    changes: u64,
}

static GUARD: Mutex<Guard> = Mutex::new(Guard {
    clients: Vec::new(),
    running: false,
    changes: 0,
});
static CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, Guard> {
    GUARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Watches over a client from now on, as long as it lives.
pub(super) fn watch(shared: &Arc<Shared>) {
    if shared.time.is_manual() {
        return;
    }
    let mut failure = None;
    let mut guard = lock();
    guard.clients.retain(|client| client.strong_count() > 0);
    let shared = Arc::downgrade(shared);
    if !guard.clients.iter().any(|client| client.ptr_eq(&shared)) {
        guard.clients.push(shared);
    }
    guard.changes += 1;
    if !guard.running {
        let thread = std::thread::Builder::new()
            .name("callmq-keep-alive".to_owned())
            .spawn(run);
        match thread {
            Ok(_) => guard.running = true,
            Err(error) => failure = Some(error),
        }
    }
    CHANGED.notify_one();
    drop(guard);
    if let Some(error) = failure {
        log::warn!(target: "callmq", "no thread to keep connections alive during slow callbacks: {error}");
    }
}

/// A connection was made, and its keep alive may be the next that is due; or a client is gone.
pub(super) fn look_again() {
    let mut guard = lock();
    if guard.running {
        guard.changes += 1;
        CHANGED.notify_one();
    }
}

fn run() {
    let mut guard = lock();
    loop {
        guard.clients.retain(|client| client.strong_count() > 0);
        if guard.clients.is_empty() {
            guard.running = false;
            return;
        }
        let clients: Vec<_> = guard.clients.clone();
        let changes = guard.changes;
        drop(guard);
        let next = clients
            .iter()
            .filter_map(Weak::upgrade)
            .filter_map(|client| {
                let next = client.keep_alive();
                // The client may have ended by now, and what its closures own is dropped here.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(client)));
                next
            })
            .min();
        guard = lock();
        if guard.changes != changes {
            continue;
        }
        guard = match next {
            None => CHANGED.wait(guard).unwrap_or_else(PoisonError::into_inner),
            Some(next) => {
                let wait = next.saturating_duration_since(Instant::now());
                CHANGED
                    .wait_timeout(guard, wait)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
    }
}

impl Shared {
    /// Does what the loop would do if it were not in a callback. Returns when to look again.
    fn keep_alive(self: &Arc<Self>) -> Option<Instant> {
        let now = self.now();
        let wanted = self.flush_wanted.swap(false, Ordering::AcqRel);
        let mut core = self.lock();
        if wanted && now.saturating_duration_since(core.writing.last) < PATIENCE {
            // The callbacks get a moment to return.
            self.flush_wanted.store(true, Ordering::Release);
            return Some(core.writing.last + PATIENCE);
        } else if wanted {
            core = self.flush(core);
        }
        let (core, acks) = self.look_after_acks(core, now);
        [self.ping_for_loop(core, now), acks].into_iter().flatten().min()
    }

    /// Sends a PINGREQ if one is due and the loop is busy with a callback. Returns when to look again.
    fn ping_for_loop<'a>(&'a self, mut core: MutexGuard<'a, Core>, now: Instant) -> Option<Instant> {
        if !core.is_connected() || core.running.is_none() {
            return None;
        }
        let due = core.session.ping_due()?;
        if due + GRACE > now {
            return Some(due + GRACE);
        }
        // The loop would have sent it: it is in a callback.
        core.session.ping_while_busy(now);
        let core = self.flush(core);
        let next = core.session.ping_due()? + GRACE;
        Some(next.max(now + GRACE))
    }
}
