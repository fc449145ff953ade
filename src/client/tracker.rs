//! Following messages and requests through the session: what [`MessageInfo`](super::MessageInfo) and
//! [`SubscribeInfo`](super::SubscribeInfo) look at.
//!
//! Messages come in streams, are published by one thread and acknowledged by another. So their trackers stand side by
//! side, a byte each: one allocation serves many of them, and the threads need not fetch each from the other's cache.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::info::{Delivery, tell};
use super::shared::Shared;
use crate::codec::ReasonCode;
use crate::error::{DropReason, Error, Result};
use crate::reason_code::ServerReason;
use crate::session::Track;

/// Trackers on one board: so many that boards hardly count among the allocations of a message, so few that a message
/// whose handle is kept for long does not keep much.
const PLACES: usize = 256;

/// What a place on a board says.
const QUEUED: u8 = 0;
const SENT: u8 = 1;
const SUCCEEDED: u8 = 2;
/// It has ended in another way, which its note tells.
const NOTED: u8 = 3;

/// Hands out trackers.
#[derive(Debug)]
pub(crate) struct Trackers {
    shared: Weak<Shared>,
    board: Option<Arc<Board>>,
    /// How many places of the board were given away.
    used: usize,
}

/// Follows one message or request through the session.
#[derive(Clone)]
pub(crate) struct Tracker {
    board: Arc<Board>,
    place: usize,
}

/// Only the session changes places, and so one thread at a time; anybody may look at them.
///
/// Sequentially consistent: of a thread that changes a place and then reads `asked`, and one that stores `asked` and then
/// reads the place, at least one sees what the other stored.
struct Board {
    shared: Weak<Shared>,
    places: [AtomicU8; PLACES],
    /// Whether somebody may wait in the notes.
    asked: AtomicBool,
    /// What most places do not have. No other lock is taken under this one.
    notes: Mutex<Vec<Note>>,
}

struct Note {
    place: usize,
    /// How it has ended, if that is not a plain success.
    ended: Option<(Delivery, Said)>,
    /// Who asked for the outcome.
    finished: Vec<Sender<Result<()>>>,
}

/// What the server said beside the code.
enum Said {
    Nothing,
    /// Why it refused a message, in its words.
    Words(Box<str>),
    /// The codes of a SUBACK or an UNSUBACK.
    Granted(Vec<ReasonCode>),
}

impl Trackers {
    pub(super) fn new(shared: Weak<Shared>) -> Self {
        Self {
            shared,
            board: None,
            used: 0,
        }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Tracker {
        let board = match &self.board {
            Some(board) if self.used < PLACES => board,
            _ => {
                self.used = 0;
                self.board.insert(Board::new(&self.shared))
            }
        };
        let place = self.used;
        self.used += 1;
        Tracker {
            board: Arc::clone(board),
            place,
        }
    }
}

impl Board {
    #[inline(never)]
    fn new(shared: &Weak<Shared>) -> Arc<Self> {
        Arc::new(Self {
            shared: Weak::clone(shared),
            places: [const { AtomicU8::new(QUEUED) }; PLACES],
            asked: AtomicBool::new(false),
            notes: Mutex::default(),
        })
    }

    fn notes(&self) -> MutexGuard<'_, Vec<Note>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Note {
    /// The one of this place.
    fn of(notes: &mut Vec<Note>, place: usize) -> &mut Note {
        let index = notes.iter().position(|note| note.place == place);
        let index = index.unwrap_or_else(|| {
            notes.push(Note {
                place,
                ended: None,
                finished: Vec::new(),
            });
            notes.len() - 1
        });
        &mut notes[index]
    }

    fn delivery(&self) -> Delivery {
        self.ended
            .as_ref()
            .map_or(Delivery::Sent, |(delivery, _)| *delivery)
    }

    fn outcome(&self) -> Option<Result<()>> {
        match (self.delivery().outcome(), &self.ended) {
            (Some(Err(Error::Rejected(reason))), Some((_, Said::Words(words)))) => {
                let words = Some(&**words);
                Some(Err(Error::Rejected(ServerReason::new(reason.code, words))))
            }
            (outcome, _) => outcome,
        }
    }
}

impl Tracker {
    fn place(&self) -> &AtomicU8 {
        &self.board.places[self.place % PLACES]
    }

    pub(super) fn shared(&self) -> Option<Arc<Shared>> {
        self.board.shared.upgrade()
    }

    pub(super) fn delivery(&self) -> Delivery {
        match self.place().load(Ordering::SeqCst) {
            QUEUED => Delivery::Queued,
            SENT => Delivery::Sent,
            SUCCEEDED => Delivery::Acknowledged(ReasonCode::SUCCESS),
            _ => Note::of(&mut self.board.notes(), self.place).delivery(),
        }
    }

    pub(super) fn outcome(&self) -> Option<Result<()>> {
        match self.place().load(Ordering::SeqCst) {
            QUEUED | SENT => None,
            SUCCEEDED => Some(Ok(())),
            _ => Note::of(&mut self.board.notes(), self.place).outcome(),
        }
    }

    /// The codes of the SUBACK or UNSUBACK.
    pub(super) fn codes(&self) -> Vec<ReasonCode> {
        match &Note::of(&mut self.board.notes(), self.place).ended {
            Some((_, Said::Granted(codes))) => codes.clone(),
            _ => Vec::new(),
        }
    }

    /// A channel that gets the outcome.
    pub(super) fn finished(&self) -> Receiver<Result<()>> {
        let (sender, receiver) = bounded(1);
        let mut notes = self.board.notes();
        self.board.asked.store(true, Ordering::SeqCst);
        match self.place().load(Ordering::SeqCst) {
            QUEUED | SENT => Note::of(&mut notes, self.place).finished.push(sender),
            SUCCEEDED => tell(&sender, Ok(())),
            _ => {
                if let Some(outcome) = Note::of(&mut notes, self.place).outcome() {
                    tell(&sender, outcome);
                }
            }
        }
        receiver
    }

    fn has_ended(&self) -> bool {
        !matches!(self.place().load(Ordering::Relaxed), QUEUED | SENT)
    }

    #[inline]
    fn succeed(&self) {
        if !self.has_ended() {
            self.place().store(SUCCEEDED, Ordering::SeqCst);
            if self.board.asked.load(Ordering::SeqCst) {
                self.tell();
            }
        }
    }

    #[cold]
    fn end(&self, delivery: Delivery, said: Said) {
        if !self.has_ended() {
            Note::of(&mut self.board.notes(), self.place).ended = Some((delivery, said));
            self.place().store(NOTED, Ordering::SeqCst);
            self.tell();
        }
    }

    /// Tells the outcome to those who asked.
    #[cold]
    fn tell(&self) {
        let finished = {
            let mut notes = self.board.notes();
            let finished = std::mem::take(&mut Note::of(&mut notes, self.place).finished);
            let asked = notes.iter().any(|note| !note.finished.is_empty());
            self.board.asked.store(asked, Ordering::SeqCst);
            finished
        };
        if let Some(outcome) = self.outcome() {
            finished
                .iter()
                .for_each(|finished| tell(finished, outcome.clone()));
        }
    }
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tracker").field(&self.delivery()).finish()
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}

impl Track for Tracker {
    #[inline]
    fn sent(&self) {
        if self.place().load(Ordering::Relaxed) == QUEUED {
            self.place().store(SENT, Ordering::Release);
        }
    }

    #[inline]
    fn acknowledged(&self, reason: ReasonCode, text: Option<&str>) {
        if reason.value() == 0 {
            return self.succeed();
        }
        let said = match text {
            Some(words) if reason.is_failure() => Said::Words(words.into()),
            _ => Said::Nothing,
        };
        self.end(Delivery::Acknowledged(reason), said);
    }

    fn granted(&self, reasons: &[ReasonCode]) {
        let said = Said::Granted(reasons.to_vec());
        self.end(Delivery::Acknowledged(ReasonCode::SUCCESS), said);
    }

    fn dropped(&self, why: DropReason) {
        self.end(Delivery::Dropped(why), Said::Nothing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tracker_tells_of_its_own_message_only() {
        let mut trackers = Trackers::new(Weak::new());
        let all: Vec<_> = (0..3 * PLACES + 1).map(|_| trackers.next()).collect();
        let boards: Vec<_> = all.iter().map(|tracker| Arc::as_ptr(&tracker.board)).collect();
        assert_eq!(boards.iter().filter(|&&board| board == boards[0]).count(), PLACES);
        let refused = ReasonCode::QUOTA_EXCEEDED;
        let unheard = ReasonCode::NO_MATCHING_SUBSCRIBERS;
        let asked_before: Vec<_> = all.iter().map(Tracker::finished).collect();
        for (number, tracker) in all.iter().enumerate() {
            tracker.sent();
            match number % 6 {
                0 => tracker.acknowledged(ReasonCode::SUCCESS, Some("fine")),
                1 => tracker.acknowledged(refused, Some("no more")),
                2 => tracker.acknowledged(unheard, None),
                3 => tracker.dropped(DropReason::Expired),
                4 => tracker.granted(&[refused]),
                _ => {}
            }
            // What has ended stays as it was.
            if number % 6 < 5 {
                tracker.dropped(DropReason::Discarded);
                tracker.acknowledged(ReasonCode::SUCCESS, None);
            }
        }
        for ((number, tracker), before) in all.iter().enumerate().zip(asked_before) {
            let (delivery, outcome) = match number % 6 {
                0 | 4 => (Delivery::Acknowledged(ReasonCode::SUCCESS), Some(Ok(()))),
                1 => {
                    let words = ServerReason::new(refused, Some("no more"));
                    (Delivery::Acknowledged(refused), Some(Err(Error::Rejected(words))))
                }
                2 => (Delivery::Acknowledged(unheard), Some(Ok(()))),
                3 => {
                    let why = DropReason::Expired;
                    (Delivery::Dropped(why), Some(Err(Error::Dropped(why))))
                }
                _ => (Delivery::Sent, None),
            };
            let outcome = format!("{outcome:?}");
            assert_eq!(tracker.delivery(), delivery, "{number}");
            assert_eq!(format!("{:?}", tracker.outcome()), outcome, "{number}");
            assert_eq!(format!("{:?}", before.try_recv().ok()), outcome, "{number}");
            assert_eq!(
                format!("{:?}", tracker.finished().try_recv().ok()),
                outcome,
                "{number}"
            );
            assert_eq!(tracker.codes().len(), usize::from(number % 6 == 4), "{number}");
        }
    }

    #[test]
    fn who_asks_while_the_message_ends_is_told() {
        for _ in 0..200 {
            let mut trackers = Trackers::new(Weak::new());
            let all: Vec<_> = (0..PLACES).map(|_| trackers.next()).collect();
            let asked = std::thread::scope(|scope| {
                let asks = scope.spawn(|| all.iter().map(Tracker::finished).collect::<Vec<_>>());
                all.iter()
                    .for_each(|tracker| tracker.acknowledged(ReasonCode::SUCCESS, None));
                asks.join()
            });
            assert!(
                asked
                    .unwrap()
                    .iter()
                    .all(|finished| matches!(finished.try_recv(), Ok(Ok(()))))
            );
        }
    }
}
