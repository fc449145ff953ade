//! What a client told its callbacks, in order, with the thread that told it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use callmq::client::Client;

/// How long a test waits for something that must happen.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The callbacks of a client, written down. Clones share what is written.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<(Mutex<Vec<Entry>>, Condvar)>,
    test_thread: ThreadId,
}

/// One call of a callback.
#[derive(Clone)]
pub struct Entry {
    pub text: String,
    pub at: Instant,
    /// Whether it was called on the test's own thread, and not on that of a loop.
    pub in_test_thread: bool,
}

impl Journal {
    /// An empty journal.
    pub fn new() -> Self {
        Self {
            shared: Arc::default(),
            test_thread: thread::current().id(),
        }
    }

    /// Sets all callbacks of `client` but those for logs and sockets.
    ///
    /// - `connect 0`, `connect 0 session`, `connect 5`: the code of the CONNACK, and whether there is a session
    /// - `connect_fail`
    /// - `disconnect 0: disconnect requested`: the code, and the reason in words
    /// - `message topic payload`
    /// - `publish 1`, `subscribe 1 [0]`, `unsubscribe 1`: the mid, and the codes
    pub fn of(client: &Client) -> Self {
        let journal = Self::new();
        let j = journal.clone();
        client.on_connect(move |_, flags, code, _| {
            j.note(format!(
                "connect {}{}",
                code.value(),
                if flags.session_present { " session" } else { "" }
            ));
        });
        let j = journal.clone();
        client.on_connect_fail(move |_, _| j.note("connect_fail"));
        let j = journal.clone();
        client.on_disconnect(move |_, flags, code, _| {
            j.note(format!("disconnect {}: {}", code.value(), flags.reason))
        });
        let j = journal.clone();
        client.on_message(move |_, message| j.note(format!("message {} {}", message.topic, message.payload)));
        let j = journal.clone();
        client.on_publish(move |_, mid, _, _| j.note(format!("publish {mid}")));
        let j = journal.clone();
        client.on_subscribe(move |_, mid, codes, _| {
            let codes: Vec<u8> = codes.iter().map(|code| code.value()).collect();
            j.note(format!("subscribe {mid} {codes:?}"));
        });
        let j = journal.clone();
        client.on_unsubscribe(move |_, mid, _, _| j.note(format!("unsubscribe {mid}")));
        journal
    }

    /// Writes something down.
    pub fn note(&self, text: impl Into<String>) {
        let in_test_thread = thread::current().id() == self.test_thread;
        let (entries, changed) = &*self.shared;
        let mut entries = lock(entries);
        // A client that runs in circles is to fail its test, not to fill the memory.
        if entries.len() < 10_000 {
            entries.push(Entry {
                text: text.into(),
                at: Instant::now(),
                in_test_thread,
            });
        }
        drop(entries);
        changed.notify_all();
    }

    /// Everything so far.
    pub fn lines(&self) -> Vec<String> {
        self.entries().into_iter().map(|entry| entry.text).collect()
    }

    /// Everything so far, with times and threads.
    pub fn entries(&self) -> Vec<Entry> {
        lock(&self.shared.0).clone()
    }

    /// How many entries start with `text`.
    pub fn count(&self, text: &str) -> usize {
        self.entries()
            .iter()
            .filter(|entry| entry.text.starts_with(text))
            .count()
    }

    /// Waits for an entry that starts with `text`, and returns it.
    pub fn wait_for(&self, text: &str) -> Entry {
        self.wait_for_times(text, 1).remove(0)
    }

    /// Waits for `times` entries that start with `text`, and returns these.
    pub fn wait_for_times(&self, text: &str, times: usize) -> Vec<Entry> {
        let (entries, changed) = &*self.shared;
        let count = |entries: &[Entry]| {
            entries
                .iter()
                .filter(|entry| entry.text.starts_with(text))
                .count()
        };
        let too_few = |entries: &mut Vec<Entry>| count(entries) < times;
        let (guard, _) = changed
            .wait_timeout_while(lock(entries), DEADLINE, too_few)
            .unwrap();
        let so_far = guard.clone();
        // A failing test must not take the callbacks of its client down with it.
        drop(guard);
        assert!(
            count(&so_far) >= times,
            "{text:?} did not come {times} times:\n{:#?}",
            texts(&so_far)
        );
        so_far
            .into_iter()
            .filter(|entry| entry.text.starts_with(text))
            .take(times)
            .collect()
    }
}

fn lock(entries: &Mutex<Vec<Entry>>) -> MutexGuard<'_, Vec<Entry>> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

fn texts(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.text.as_str()).collect()
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs something and returns how long it took.
pub fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (run(), start.elapsed())
}

/// Calls that must not wait for anything take less than this, also on a busy machine.
pub const AT_ONCE: Duration = Duration::from_millis(500);
