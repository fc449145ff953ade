//! Messages of QoS 1 and 2 on their way: from PUBLISH to PUBACK or PUBCOMP.
//!
//! ```text
//!              sent                PUBREC               PUBCOMP
//!   Waiting ─────────► Published ─────────► Released ────────────► finished
//!      ▲                 │    └──────────── PUBACK ────────────────►   ▲
//!      └─ connection ────┘                     └─ connection ends:     │
//!           ends                                  stays, PUBREL again ─┘
//! ```

use std::collections::VecDeque;

use super::OnSessionLost;
use super::id_map::IdMap;
use super::message::Message;
use crate::codec::{PacketId, QoS};

/// The messages in flight, by Packet Identifier, and the window that they fill.
#[derive(Debug)]
pub(super) struct InFlight<T> {
    slots: IdMap<Slot<T>>,
    next_serial: u64,
    next_release: u64,
    /// Messages that count against the window: sent on this connection and not finished, or PUBREC'd before.
    occupied: usize,
    /// PUBLISH packets to be sent again that wait for room, in their order.
    resend: VecDeque<PacketId>,
    /// There are messages of an earlier connection, and the CONNACK has not told yet what becomes of them.
    undecided: bool,
}

/// One message in flight.
#[derive(Debug)]
pub(super) struct Slot<T> {
    pub(super) message: Message,
    pub(super) track: T,
    pub(super) mid: u16,
    /// Bytes of it left on an earlier connection.
    pub(super) sent_before: bool,
    /// The order of first sending.
    serial: u64,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Not sent on this connection.
    Waiting,
    /// PUBLISH is in the output of this connection, from this position on.
    Published { position: u64 },
    /// PUBREC was received, as the `order`th of all. `again`: on an earlier connection.
    Released { order: u64, again: bool },
}

/// What an acknowledgement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acked {
    /// Ends the exchange: `finish` is due.
    Finished,
    /// PUBREL is due.
    Release,
    /// The identifier is not in use.
    Unknown,
    /// Not an answer to what was sent.
    Confused,
}

/// What is to be done about one message after the CONNACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    Publish(PacketId),
    Release(PacketId),
}

impl<T: 'static> InFlight<T> {
    pub(super) fn new() -> Self {
        Self {
            slots: IdMap::new(),
            next_serial: 0,
            next_release: 0,
            occupied: 0,
            resend: VecDeque::new(),
            undecided: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Messages that count against the window.
    pub(super) fn occupied(&self) -> usize {
        self.occupied
    }

    /// Whether messages that were sent before have to go first.
    pub(super) fn goes_first(&self) -> bool {
        self.undecided || !self.resend.is_empty()
    }

    /// Whether a PUBLISH waits to be sent again.
    #[inline]
    pub(super) fn has_resends(&self) -> bool {
        !self.resend.is_empty()
    }

    /// A message goes into the output for the first time, at `position`.
    #[inline]
    pub(super) fn insert(&mut self, id: PacketId, mid: u16, message: Message, track: T, position: u64) {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.occupied += 1;
        self.slots.insert(
            id,
            Slot {
                message,
                track,
                mid,
                sent_before: false,
                serial,
                step: Step::Published { position },
            },
        );
    }

    /// PUBREC; a failure ends the exchange [MQTT-4.4.0-2].
    pub(super) fn handle_pubrec(&mut self, id: PacketId, failed: bool) -> Acked {
        let Some(slot) = self.slots.get_mut(id) else {
            return Acked::Unknown;
        };
        if slot.message.qos != QoS::ExactlyOnce {
            return Acked::Confused;
        }
        if failed {
            return Acked::Finished;
        }
        if slot.step == Step::Waiting {
            self.occupied += 1;
        }
        if !matches!(slot.step, Step::Released { .. }) {
            slot.step = Step::Released {
                order: self.next_release,
                again: false,
            };
            self.next_release += 1;
        }
        Acked::Release
    }

    pub(super) fn handle_pubcomp(&mut self, id: PacketId) -> Acked {
        match self.slots.get_mut(id) {
            None => Acked::Unknown,
            // PUBCOMP answers PUBREL, which follows PUBREC [MQTT-4.3.3-1].
            Some(slot) if !matches!(slot.step, Step::Released { .. }) => Acked::Confused,
            Some(_) => Acked::Finished,
        }
    }

    /// The exchange has ended: the message goes, after `last` has seen it. `false`: the identifier is not in use.
    #[inline]
    pub(super) fn finish(&mut self, id: PacketId, last: impl FnOnce(&mut Slot<T>)) -> bool {
        let counted = self.slots.remove_if(id, |slot| {
            last(slot);
            Some(slot.step != Step::Waiting)
        });
        if counted == Some(true) {
            self.occupied = self.occupied.saturating_sub(1);
        }
        counted.is_some()
    }

    /// The connection is gone; `written` of its bytes had left.
    pub(super) fn closed(&mut self, written: u64) {
        for (_, slot) in self.slots.iter_mut() {
            match &mut slot.step {
                Step::Published { position } => {
                    slot.sent_before |= *position < written;
                    slot.step = Step::Waiting;
                }
                Step::Released { again, .. } => *again = true,
                Step::Waiting => {}
            }
        }
        self.resend.clear();
        self.occupied = 0;
        self.undecided = self.slots.len() > 0;
    }

    /// The CONNACK says whether the server still has the session: what becomes of the messages of earlier connections, in
    /// the order in which they were first sent [MQTT-4.6.0-1], and those that are dropped.
    pub(super) fn decide(
        &mut self,
        session_present: bool,
        policy: OnSessionLost,
    ) -> (Vec<Again>, Vec<(PacketId, Slot<T>)>) {
        if !session_present {
            self.start_over();
        }
        self.undecided = false;
        if self.slots.len() == 0 {
            // As it mostly is.
            return (Vec::new(), Vec::new());
        }
        self.decide_each(session_present, policy)
    }

    /// Not part of the caller's stack frame: a client that has nothing under way needs no room for it.
    #[inline(never)]
    fn decide_each(
        &mut self,
        session_present: bool,
        policy: OnSessionLost,
    ) -> (Vec<Again>, Vec<(PacketId, Slot<T>)>) {
        let mut again = Vec::new();
        let mut released = Vec::new();
        let mut dropped = Vec::new();
        for (id, slot) in self.slots.iter_mut() {
            let lost = !session_present && slot.sent_before;
            match slot.step {
                Step::Published { .. } => {}
                Step::Waiting if lost && !policy.resends(slot.message.qos) => dropped.push((slot.serial, id)),
                Step::Waiting => again.push((slot.serial, Again::Publish(id))),
                Step::Released { order, .. } => {
                    again.push((slot.serial, Again::Release(id)));
                    released.push((order, id));
                }
            }
        }
        again.sort_unstable_by_key(|&(serial, _)| serial);
        dropped.sort_unstable();
        released.sort_unstable();
        self.occupied += released.len();

        // PUBREL goes in the order of the PUBRECs [MQTT-4.6.0-4], which need not be that of the messages.
        let mut released = released.into_iter();
        let again = again.into_iter().filter_map(|(_, again)| match again {
            Again::Publish(id) => Some(Again::Publish(id)),
            Again::Release(_) => released.next().map(|(_, id)| Again::Release(id)),
        });
        let again = again.collect();
        let dropped = dropped
            .into_iter()
            .filter_map(|(_, id)| Some((id, self.remove(id)?)));
        (again, dropped.collect())
    }

    /// The message with this identifier.
    pub(super) fn get_mut(&mut self, id: PacketId) -> Option<&mut Slot<T>> {
        self.slots.get_mut(id)
    }

    /// Takes a message out that will not be sent again.
    #[inline]
    pub(super) fn remove(&mut self, id: PacketId) -> Option<Slot<T>> {
        let slot = self.slots.remove(id)?;
        if slot.step != Step::Waiting {
            self.occupied = self.occupied.saturating_sub(1);
        }
        Some(slot)
    }

    /// The PUBLISH is to be sent again as soon as there is room.
    pub(super) fn queue_resend(&mut self, id: PacketId) {
        self.resend.push_back(id);
    }

    /// The next message that is to be sent again, at `position`.
    pub(super) fn next_resend(&mut self, position: u64) -> Option<(PacketId, &mut Slot<T>)> {
        loop {
            let id = self.resend.pop_front()?;
            // It may have been acknowledged meanwhile.
            if self
                .slots
                .get_mut(id)
                .is_some_and(|slot| slot.step == Step::Waiting)
            {
                let slot = self.slots.get_mut(id)?;
                slot.step = Step::Published { position };
                self.occupied += 1;
                return Some((id, slot));
            }
        }
    }

    /// Messages of which bytes left on an earlier connection, and that are not PUBREC'd.
    pub(super) fn sent_before(&mut self) -> usize {
        self.slots.iter_mut().filter(|(_, slot)| slot.sent_before).count()
    }

    /// Takes all messages out, in the order in which they were first sent.
    pub(super) fn drain(&mut self) -> Vec<(PacketId, Slot<T>)> {
        self.resend.clear();
        self.occupied = 0;
        self.undecided = false;
        let mut all = self.slots.drain();
        all.sort_unstable_by_key(|(_, slot)| slot.serial);
        all
    }

    /// The server knows nothing of the messages that it had taken (PUBREC): they start with PUBLISH again.
    fn start_over(&mut self) {
        for (_, slot) in self.slots.iter_mut() {
            if let Step::Released { .. } = slot.step {
                slot.step = Step::Waiting;
                slot.sent_before = true;
            }
        }
    }
}

impl<T> Slot<T> {
    /// Whether PUBREL was sent again: the server may have completed the exchange before, and forgotten it.
    pub(super) fn is_recovered(&self) -> bool {
        matches!(self.step, Step::Released { again: true, .. })
    }

    /// Whether the PUBLISH went out, now or before.
    pub(super) fn was_sent(&self) -> bool {
        self.sent_before || self.step != Step::Waiting
    }
}

impl OnSessionLost {
    fn resends(self, qos: QoS) -> bool {
        match self {
            Self::Resend => true,
            Self::ResendQos1Only => qos == QoS::AtLeastOnce,
            Self::Discard => false,
        }
    }
}
