//! Keeps connections alive while a callback holds their loop.
//!
//! One thread for the whole process, started with the first loop. It sleeps until the keep alive of a client is due;
//! where the loop is in a callback then, it sends the PINGREQ in its place. A client whose loop is free pings by itself.
//! So it is woken only for what is due earlier than it knows of, and outlives its clients for a while.
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

/// The thread stays for this long when the last client is gone: another one may follow.
const LINGER: Duration = Duration::from_secs(5);

struct Guard {
    clients: Vec<Weak<Shared>>,
    running: bool,
    /// When the thread is to look at the clients.
    due: Option<Instant>,
}

static GUARD: Mutex<Guard> = Mutex::new(Guard {
    clients: Vec::new(),
    running: false,
    due: None,
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
    let due = shared.lock().guard_due();
    let mut failure = None;
    let mut guard = lock();
    guard.clients.retain(|client| client.strong_count() > 0);
    let shared = Arc::downgrade(shared);
    if !guard.clients.iter().any(|client| client.ptr_eq(&shared)) {
        guard.clients.push(shared);
    }
    if !guard.running {
        let thread = std::thread::Builder::new()
            .name("callmq-keep-alive".to_owned())
            .spawn(run);
        match thread {
            Ok(_) => guard.running = true,
            Err(error) => failure = Some(error),
        }
    }
    guard.look_by(due);
    drop(guard);
    if let Some(error) = failure {
        log::warn!(target: "callmq", "no thread to keep connections alive during slow callbacks: {error}");
    }
}

/// The thread is to look at the clients at `due` at the latest, if there is a time.
pub(super) fn look_by(due: Option<Instant>) {
    lock().look_by(due);
}

/// The thread is to look at the clients now.
pub(super) fn look_now() {
    look_by(Some(Instant::now()));
}

/// A client is gone: the thread ends some time after the last one.
pub(super) fn gone() {
    let mut guard = lock();
    guard.clients.retain(|client| client.strong_count() > 0);
    if guard.clients.is_empty() {
        guard.look_by(Instant::now().checked_add(LINGER));
    }
}

impl Guard {
    fn look_by(&mut self, due: Option<Instant>) {
        if self.running && self.hastens(due) {
            CHANGED.notify_one();
        }
    }

    /// Notes when to look; whether that is earlier than the thread knows of.
    fn hastens(&mut self, due: Option<Instant>) -> bool {
        let earlier = due.is_some_and(|due| self.due.is_none_or(|known| due < known));
        if earlier {
            self.due = due;
        }
        earlier
    }
}

fn run() {
    let mut guard = lock();
    loop {
        let now = Instant::now();
        guard = match guard.due {
            Some(due) if due <= now => {
                guard.due = None;
                guard.clients.retain(|client| client.strong_count() > 0);
                if guard.clients.is_empty() {
                    guard.running = false;
                    return;
                }
                let clients = guard.clients.clone();
                drop(guard);
                let next = look_at(&clients);
                guard = lock();
                // What was asked for meanwhile stays.
                guard.hastens(next);
                guard
            }
            Some(due) => {
                let waited = CHANGED.wait_timeout(guard, due - now);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => CHANGED.wait(guard).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

/// Does what the loops of the clients are held up from. Returns when to look again.
fn look_at(clients: &[Weak<Shared>]) -> Option<Instant> {
    let alive = clients.iter().filter_map(Weak::upgrade);
    let next = alive.filter_map(|client| {
        let next = client.keep_alive();
        // The client may have ended by now, and what its closures own is dropped here.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(client)));
        next
    });
    next.min()
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
        let due = core.guard_due()?;
        if due > now {
            return Some(due);
        }
        // The loop would have sent it: it is in a callback.
        core.session.ping_while_busy(now);
        let core = self.flush(core);
        Some(core.guard_due()?.max(now + GRACE))
    }
}

impl Core {
    /// When a PINGREQ is overdue that the loop should have sent.
    pub(super) fn guard_due(&self) -> Option<Instant> {
        let watched = self.is_connected() && self.running.is_some();
        self.session.ping_due().filter(|_| watched)?.checked_add(GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_is_woken_only_to_look_earlier() {
        let mut guard = Guard {
            clients: Vec::new(),
            running: true,
            due: None,
        };
        let now = Instant::now();
        let at = |seconds| Some(now + Duration::from_secs(seconds));
        assert!(!guard.hastens(None));
        assert!(guard.hastens(at(60)), "nothing was due");
        assert!(!guard.hastens(at(60)) && !guard.hastens(at(61)) && !guard.hastens(None));
        assert!(guard.hastens(at(59)), "a shorter keep alive");
        assert_eq!(guard.due, at(59));
    }
}
