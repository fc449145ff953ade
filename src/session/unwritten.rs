//! Messages of QoS 0 that are in the output: which of them have left?

use std::collections::VecDeque;

use crate::on_demand::OnDemand;

/// The messages of QoS 0 between the output and the socket. A message has left when the bytes written on the connection
/// reach its end.
#[derive(Debug)]
pub(super) struct Unwritten<T> {
    followed: OnDemand<VecDeque<Followed<T>>>,
    /// Messages that nobody follows: they only have to be counted if they are lost.
    silent: VecDeque<Run>,
}

/// A message whose end is reported.
#[derive(Debug)]
pub(super) struct Followed<T> {
    end: u64,
    pub(super) mid: u16,
    /// As an event.
    pub(super) report: bool,
    pub(super) track: Option<T>,
}

/// Messages of one length, one after the other: a burst of them is one entry.
#[derive(Debug)]
struct Run {
    last_end: u64,
    step: u64,
    count: u64,
}

impl<T: 'static> Unwritten<T> {
    pub(super) fn new() -> Self {
        Self {
            followed: OnDemand::default(),
            silent: VecDeque::new(),
        }
    }

    /// A message ends at `end`, and nobody wants to hear of it.
    pub(super) fn push_silent(&mut self, end: u64) {
        if let Some(run) = self.silent.back_mut() {
            let step = end.saturating_sub(run.last_end);
            if run.count == 1 || run.step == step {
                *run = Run {
                    last_end: end,
                    step,
                    count: run.count + 1,
                };
                return;
            }
        }
        self.silent.push_back(Run {
            last_end: end,
            step: 0,
            count: 1,
        });
    }

    pub(super) fn push(&mut self, end: u64, mid: u16, report: bool, track: Option<T>) {
        self.followed.push_back(Followed {
            end,
            mid,
            report,
            track,
        });
    }

    /// `written` bytes of the connection have left: takes the next message that left with them.
    pub(super) fn next_written(&mut self, written: u64) -> Option<Followed<T>> {
        while self.silent.front().is_some_and(|run| run.last_end <= written) {
            self.silent.pop_front();
        }
        let followed = self.followed.present()?;
        if followed.front()?.end > written {
            return None;
        }
        followed.pop_front()
    }

    /// The connection is gone after `written` bytes: how many messages did not leave, and the followed ones of them.
    pub(super) fn closed(&mut self, written: u64) -> (u64, VecDeque<Followed<T>>) {
        let silent: u64 = self.silent.drain(..).map(|run| run.beyond(written)).sum();
        let followed = self.followed.present().map(std::mem::take).unwrap_or_default();
        (silent + followed.len() as u64, followed)
    }
}

impl Run {
    /// How many messages of the run end beyond `position`.
    fn beyond(&self, position: u64) -> u64 {
        let bytes = self.last_end.saturating_sub(position);
        bytes.div_ceil(self.step.max(1)).min(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_did_not_leave_are_counted_exactly_whatever_their_lengths() {
        let lengths = [5, 5, 5, 7, 7, 1, 9, 9, 9, 9, 2, 5, 5];
        let total: u64 = lengths.iter().sum();
        for written in 0..=total {
            let mut unwritten = Unwritten::<()>::new();
            let mut end = 0;
            let mut beyond = 0;
            for length in lengths {
                end += length;
                beyond += u64::from(end > written);
                unwritten.push_silent(end);
            }
            assert!(unwritten.silent.len() < lengths.len());
            // With and without the report that these bytes were written.
            if written % 2 == 0 {
                assert!(unwritten.next_written(written).is_none());
            }
            assert_eq!(unwritten.closed(written).0, beyond, "{written} written");
        }
    }

    #[test]
    fn a_followed_message_is_given_back_when_its_last_byte_has_left() {
        let mut unwritten = Unwritten::new();
        unwritten.push(10, 1, true, Some("a"));
        unwritten.push(20, 2, false, Some("b"));
        assert!(unwritten.next_written(9).is_none());
        assert_eq!(
            unwritten.next_written(15).and_then(|message| message.track),
            Some("a")
        );
        assert!(unwritten.next_written(15).is_none());
        let (count, rest) = unwritten.closed(15);
        assert_eq!((count, rest[0].mid), (1, 2));
    }
}
