//! The outgoing queue: messages that are accepted but cannot leave yet.
//!
//! Two lanes, because a full window holds up messages of QoS 1 and 2 only; serial numbers keep the order across them.
//! The bounds and what happens at them are `settings.queue`; the messages in flight are not counted here.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use super::OfflineQueue;
use super::message::Message;
use crate::codec::{PacketId, QoS};

/// The queued messages.
#[derive(Debug)]
pub(super) struct Queue<T> {
    lanes: [Lane<T>; 2],
    next_serial: u64,
    messages: usize,
    bytes: usize,
    /// Where the message of each topic is; only while the policy is `WhenFull::KeepLatest`.
    #[allow(clippy::box_collection, reason = "few clients have it")]
    latest: Option<Box<HashMap<Box<str>, Place>>>,
    /// The messages that expire: when, and where they are.
    expiring: BTreeSet<(Instant, Which, u64)>,
}

/// Messages that wait for the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Which {
    /// QoS 0: waits for the connection and for room in the output.
    Unacknowledged = 0,
    /// QoS 1 and 2: waits for room in the window as well.
    Acknowledged = 1,
}

/// A message that waits.
#[derive(Debug)]
pub(super) struct Queued<T> {
    pub(super) mid: u16,
    /// The identifier that is reserved for it. Equal to `mid`.
    pub(super) packet_id: Option<PacketId>,
    pub(super) message: Message,
    pub(super) track: T,
}

#[derive(Debug)]
struct Lane<T> {
    /// A message that expired, or was superseded by one in the other lane, leaves a hole; the front is never one.
    entries: VecDeque<Entry<T>>,
    /// The number of the front entry: entries are numbered one by one as they come.
    first: u64,
    holes: usize,
}

#[derive(Debug)]
struct Entry<T> {
    /// Grows from the front to the back.
    serial: u64,
    /// `None`: a hole.
    queued: Option<Queued<T>>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    which: Which,
    number: u64,
}

/// With fewer holes than this a lane is not worth being closed up.
const FEW_HOLES: usize = 32;
/// An emptied lane keeps the memory for this many messages.
const RETAINED: usize = 1024;

impl Which {
    pub(super) fn of(qos: QoS) -> Self {
        match qos {
            QoS::AtMostOnce => Self::Unacknowledged,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Self::Acknowledged,
        }
    }
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            lanes: [Lane::new(), Lane::new()],
            next_serial: 0,
            messages: 0,
            bytes: 0,
            latest: None,
            expiring: BTreeSet::new(),
        }
    }

    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn acknowledged_messages(&self) -> usize {
        let lane = self.lane(Which::Acknowledged);
        lane.entries.len() - lane.holes
    }

    pub(super) fn is_empty(&self, which: Which) -> bool {
        self.lane(which).entries.is_empty()
    }

    /// The serial number that the next message gets: all queued ones are below.
    pub(super) fn next_serial(&self) -> u64 {
        self.next_serial
    }

    pub(super) fn front_serial(&self, which: Which) -> Option<u64> {
        Some(self.lane(which).front()?.serial)
    }

    /// Whether a message of `size` bytes finds room.
    pub(super) fn has_room(&self, size: usize, bounds: &OfflineQueue) -> bool {
        fits(self.messages + 1, self.bytes + size, bounds)
    }

    /// Whether a message of `size` bytes finds room in the place of the one with the same topic.
    pub(super) fn has_room_for_latest(&self, topic: &str, size: usize, bounds: &OfflineQueue) -> bool {
        match self.of_topic(topic) {
            Some(before) => fits(self.messages, self.bytes - before.message.size() + size, bounds),
            None => self.has_room(size, bounds),
        }
    }

    /// Appends a message.
    #[inline(always)]
    pub(super) fn push(&mut self, queued: Queued<T>) {
        if self.latest.is_some() {
            self.latest = None;
        }
        let serial = self.take_serial();
        self.append(serial, queued);
    }

    /// Puts a message in the place of the one with the same topic, which comes back, or appends it: a topic that is
    /// published often keeps its turn. A message that changes between QoS 0 and the others goes to the end.
    pub(super) fn push_latest(&mut self, queued: Queued<T>) -> Option<Queued<T>> {
        let serial = self.take_serial();
        self.put_latest(serial, queued)
    }

    fn put_latest(&mut self, serial: u64, queued: Queued<T>) -> Option<Queued<T>> {
        let which = Which::of(queued.message.qos);
        let place = self
            .latest
            .as_ref()
            .and_then(|latest| latest.get(queued.message.topic()).copied());
        if let Some(place) = place.filter(|place| place.which == which) {
            if let Some((serial, entry)) = self.lanes[which as usize].get_mut(place.number) {
                self.bytes += queued.message.size();
                self.bytes -= entry.message.size();
                if let Some(expiry) = queued.message.expiry() {
                    self.expiring.insert((expiry.due(), which, serial));
                }
                let before = std::mem::replace(entry, queued);
                self.forget_expiry(&before, serial);
                return Some(before);
            }
        }
        let before = place.and_then(|place| self.take(place));
        let topic = Box::from(queued.message.topic());
        let place = self.append(serial, queued);
        if let Some(latest) = &mut self.latest {
            latest.insert(topic, place);
        }
        before
    }

    /// Makes sure that there is one message per topic, the latest, and that it can be found. The others come back. Does
    /// nothing the second time in a row.
    pub(super) fn keep_latest(&mut self) -> Vec<Queued<T>> {
        let mut superseded = Vec::new();
        if self.latest.is_none() {
            let mut everything = Vec::with_capacity(self.messages);
            while let Some(entry) = self.pop_oldest_entry() {
                everything.push(entry);
            }
            self.latest = Some(Box::default());
            let entries = everything.into_iter();
            superseded.extend(entries.filter_map(|entry| self.put_latest(entry.0, entry.1)));
        }
        superseded
    }

    /// Takes the first message of a lane.
    #[inline(always)]
    pub(super) fn pop(&mut self, which: Which) -> Option<Queued<T>> {
        Some(self.pop_entry(which)?.1)
    }

    /// Takes the message that waits longest.
    pub(super) fn pop_oldest(&mut self) -> Option<Queued<T>> {
        Some(self.pop_oldest_entry()?.1)
    }

    /// When the first of the messages expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        Some(self.expiring.first()?.0)
    }

    /// Takes the next message that has expired.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Queued<T>> {
        let &(due, which, serial) = self.expiring.first()?;
        if due > now {
            return None;
        }
        let lane = self.lane(which);
        // Fails only if the two do not agree; then what is not there is forgotten.
        let index = lane.entries.binary_search_by_key(&serial, |entry| entry.serial);
        let place = index.ok().map(|index| Place {
            which,
            number: lane.first + index as u64,
        });
        let expired = place.and_then(|place| self.take(place));
        if expired.is_none() {
            self.expiring.pop_first();
        }
        expired
    }

    fn pop_oldest_entry(&mut self) -> Option<(u64, Queued<T>)> {
        let serial = |which| self.front_serial(which).unwrap_or(u64::MAX);
        if serial(Which::Unacknowledged) < serial(Which::Acknowledged) {
            self.pop_entry(Which::Unacknowledged)
        } else {
            self.pop_entry(Which::Acknowledged)
        }
    }

    #[inline(always)]
    fn pop_entry(&mut self, which: Which) -> Option<(u64, Queued<T>)> {
        let lane = &mut self.lanes[which as usize];
        let number = lane.first;
        let (serial, queued) = lane.pop()?;
        self.forget(&queued, number, serial);
        Some((serial, queued))
    }

    fn take_serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial - 1
    }

    fn lane(&self, which: Which) -> &Lane<T> {
        &self.lanes[which as usize]
    }

    fn of_topic(&self, topic: &str) -> Option<&Queued<T>> {
        let place = self.latest.as_ref()?.get(topic)?;
        self.lane(place.which).get(place.number)
    }

    #[inline(always)]
    fn append(&mut self, serial: u64, queued: Queued<T>) -> Place {
        let which = Which::of(queued.message.qos);
        self.messages += 1;
        self.bytes += queued.message.size();
        let lane = &mut self.lanes[which as usize];
        let number = lane.first + lane.entries.len() as u64;
        if let Some(expiry) = queued.message.expiry() {
            self.expiring.insert((expiry.due(), which, serial));
        }
        lane.entries.push_back(Entry {
            serial,
            queued: Some(queued),
        });
        Place { which, number }
    }

    /// Takes a message out of the middle.
    fn take(&mut self, place: Place) -> Option<Queued<T>> {
        let lane = &mut self.lanes[place.which as usize];
        let index = usize::try_from(place.number.checked_sub(lane.first)?).ok()?;
        if index == 0 {
            return self.pop(place.which);
        }
        let entry = lane.entries.get_mut(index)?;
        let serial = entry.serial;
        let queued = entry.queued.take()?;
        lane.holes += 1;
        let crowded = lane.holes > FEW_HOLES && lane.holes > lane.entries.len() / 2;
        self.forget(&queued, place.number, serial);
        if crowded {
            self.close_up(place.which);
        }
        Some(queued)
    }

    #[inline(always)]
    fn forget_expiry(&mut self, queued: &Queued<T>, serial: u64) {
        if let Some(expiry) = queued.message.expiry() {
            let which = Which::of(queued.message.qos);
            self.expiring.remove(&(expiry.due(), which, serial));
        }
    }

    #[inline(always)]
    fn forget(&mut self, queued: &Queued<T>, number: u64, serial: u64) {
        self.forget_expiry(queued, serial);
        self.messages -= 1;
        self.bytes -= queued.message.size();
        if let Some(latest) = &mut self.latest {
            let topic = queued.message.topic();
            if latest.get(topic).is_some_and(|place| place.number == number) {
                latest.remove(topic);
            }
        }
    }

    fn close_up(&mut self, which: Which) {
        let lane = &mut self.lanes[which as usize];
        lane.entries.retain(|entry| entry.queued.is_some());
        lane.holes = 0;
        let Some(latest) = &mut self.latest else { return };
        let queued = lane.entries.iter().filter_map(|entry| entry.queued.as_ref());
        for (queued, number) in queued.zip(lane.first..) {
            if let Some(place) = latest.get_mut(queued.message.topic()) {
                place.number = number;
            }
        }
    }
}

impl<T> Lane<T> {
    fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            first: 0,
            holes: 0,
        }
    }

    fn front(&self) -> Option<&Entry<T>> {
        self.entries.front()
    }

    fn get(&self, number: u64) -> Option<&Queued<T>> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.entries.get(index)?.queued.as_ref()
    }

    fn get_mut(&mut self, number: u64) -> Option<(u64, &mut Queued<T>)> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let entry = self.entries.get_mut(index)?;
        Some((entry.serial, entry.queued.as_mut()?))
    }

    /// Takes the front and the holes behind it.
    #[inline(always)]
    fn pop(&mut self) -> Option<(u64, Queued<T>)> {
        let Entry { serial, queued } = self.entries.pop_front()?;
        self.first += 1;
        while self.holes > 0 && self.entries.front().is_some_and(|entry| entry.queued.is_none()) {
            self.entries.pop_front();
            self.first += 1;
            self.holes -= 1;
        }
        if self.entries.is_empty() && self.entries.capacity() > RETAINED {
            // A queue that was long once does not keep its memory.
            self.entries.shrink_to(RETAINED);
        }
        Some((serial, queued?))
    }
}

fn fits(messages: usize, bytes: usize, bounds: &OfflineQueue) -> bool {
    (bounds.max_messages == 0 || messages <= bounds.max_messages) && bytes <= bounds.max_bytes
}
