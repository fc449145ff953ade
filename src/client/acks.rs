//! Messages that were handed out and are to be acknowledged: noted by the driver without a lock, acknowledged together.
//!
//! The driver does that when its batch is through. Where a callback holds it up before, the keep-alive thread does it in
//! its place: what was handed out does not wait for what comes behind it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use super::guard;
use super::shared::{Core, Shared};
use crate::on_demand::array_on_heap;
use crate::session::AckTicket;

/// How many are noted before they are acknowledged: as many as the loop reads at once.
const ROOM: usize = 256;

/// How long acknowledgements may wait behind a callback.
const PATIENCE: Duration = Duration::from_millis(10);

/// What the driver has noted. It alone adds; the rest is done under the lock of the core.
#[derive(Debug)]
pub(super) struct Acks {
    /// Exist once there was something to note.
    tickets: OnceLock<Box<[[AtomicU64; 2]; ROOM]>>,
    count: AtomicUsize,
    /// The keep-alive thread is to look after them.
    watched: AtomicBool,
}

impl Acks {
    pub(super) fn new() -> Self {
        Self {
            tickets: OnceLock::new(),
            count: AtomicUsize::new(0),
            watched: AtomicBool::new(false),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= ROOM
    }

    /// Notes a message, and returns how many there are now; there must be room. Only the driver does this.
    #[inline]
    pub(super) fn push(&self, ticket: AckTicket) -> usize {
        let count = self.count.load(Ordering::Relaxed);
        let Some(place) = self
            .tickets
            .get_or_init(|| array_on_heap(Default::default))
            .get(count)
        else {
            return count;
        };
        for (place, word) in place.iter().zip(ticket.to_words()) {
            place.store(word, Ordering::Relaxed);
        }
        // Whoever sees the count sees the ticket.
        self.count.store(count + 1, Ordering::Release);
        count + 1
    }

    /// What is noted.
    fn tickets(&self) -> impl Iterator<Item = AckTicket> {
        let noted = self.tickets.get().into_iter().flat_map(|tickets| tickets.iter());
        let noted = noted.take(self.len());
        noted.map(|place| AckTicket::from_words(place.each_ref().map(|word| word.load(Ordering::Relaxed))))
    }

    /// Forgets what is noted. Only the driver does this.
    pub(super) fn clear(&self) {
        self.count.store(0, Ordering::Release);
    }
}

impl Shared {
    /// Acknowledges what is noted. Noted it stays: to acknowledge twice does no harm.
    pub(super) fn put_acks(&self, core: &mut Core) {
        core.session.acknowledge_all(self.acks.tickets());
    }

    /// A message is noted, and another callback is about to run.
    #[inline]
    pub(super) fn watch_acks(&self) {
        let watched = &self.acks.watched;
        if !watched.load(Ordering::Relaxed) && !watched.swap(true, Ordering::AcqRel) {
            guard::look_now();
        }
    }

    /// For the keep-alive thread: acknowledges what has waited for long. Returns when to look again.
    pub(super) fn look_after_acks<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
        now: Instant,
    ) -> (MutexGuard<'a, Core>, Option<Instant>) {
        let Some(due) = core.acks_due else {
            if self.acks.watched.load(Ordering::Acquire) {
                core.acks_due = Some(now + PATIENCE);
            }
            let next = core.acks_due;
            return (core, next);
        };
        if now < due {
            return (core, Some(due));
        }
        // Once more afterwards, for what is noted just now without being seen here.
        let again = self.acks.watched.swap(false, Ordering::AcqRel);
        core.acks_due = again.then(|| now + PATIENCE);
        let next = core.acks_due;
        self.put_acks(&mut core);
        (self.flush(core), next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_come_back_as_they_were_noted_up_to_the_bound() {
        let acks = Acks::new();
        let noted: Vec<_> = (1..=ROOM as u64)
            .map(|number| {
                AckTicket::from_words([
                    u64::MAX - number,
                    (number << 32) | (number << 8) | (1 + number % 2),
                ])
            })
            .collect();
        for (count, ticket) in noted.iter().enumerate() {
            assert_eq!((acks.len(), acks.is_full()), (count, false));
            assert_eq!(AckTicket::from_words(ticket.to_words()), *ticket);
            assert_eq!(acks.push(*ticket), count + 1);
        }
        assert!(acks.is_full());
        assert_eq!(acks.tickets().collect::<Vec<_>>(), noted);
        acks.clear();
        assert_eq!((acks.len(), acks.tickets().count()), (0, 0));
    }
}
