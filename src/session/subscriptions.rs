//! The subscription ledger, and the requests that change it: SUBSCRIBE and UNSUBSCRIBE until they are answered.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::limits::Limits;
use super::message::properties_size;
use crate::codec::{Packet, PacketId, Properties, ReasonCode, Subscribe, SubscribeOptions, Subscription};
use crate::error::ServerLimit;

/// What the application is subscribed to, and the requests under way.
#[derive(Debug)]
pub(super) struct Subscriptions<T> {
    ledger: HashMap<String, Entry>,
    /// Requests that wait for a connection, in their order.
    pending: VecDeque<Box<Request<T>>>,
    /// Requests without an answer yet.
    sent: BTreeMap<PacketId, Box<Request<T>>>,
    next_serial: u64,
    next_order: u64,
}

/// How the server stands to a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It was not subscribed to, or the server has refused it.
    Unknown,
    /// The server is being asked, or will be.
    Asked,
    Granted,
}

/// One Topic Filter of the ledger.
#[derive(Debug)]
struct Entry {
    options: SubscribeOptions,
    properties: Properties,
    /// Counts the filters as they were subscribed: renewals keep that order.
    order: u64,
    /// The serial number of the latest request: only its answer counts.
    request: u64,
    /// The server has accepted it, at least once.
    granted: bool,
    /// The server has to be asked again: its session is lost, or that is the policy.
    owed: bool,
}

/// A SUBSCRIBE or UNSUBSCRIBE.
#[derive(Debug)]
pub(super) struct Request<T> {
    serial: u64,
    pub(super) packet_id: PacketId,
    /// `Packet::Subscribe` or `Packet::Unsubscribe`.
    pub(super) packet: Packet,
    /// Absent where the session renews subscriptions by itself.
    pub(super) track: Option<T>,
}

/// What SUBACK or UNSUBACK does.
#[derive(Debug)]
pub(super) enum Answered<T> {
    Finished(Box<Request<T>>),
    /// The identifier is not in use.
    Unknown,
    /// The identifier belongs to the other kind of request.
    Confused,
    /// Not one Reason Code for each Topic Filter.
    WrongCount,
}

/// A SUBSCRIBE that renews subscriptions stays below this many bytes.
const RENEWAL_BYTES: usize = 64 * 1024;

impl<T: 'static> Default for Subscriptions<T> {
    fn default() -> Self {
        Self {
            ledger: HashMap::new(),
            pending: VecDeque::new(),
            sent: BTreeMap::new(),
            next_serial: 0,
            next_order: 0,
        }
    }
}

impl<T: 'static> Subscriptions<T> {
    /// Notes a new request. It goes out by [`next_pending`](Self::next_pending).
    pub(super) fn request(&mut self, packet_id: PacketId, packet: Packet, track: Option<T>) {
        let serial = self.next_serial;
        self.next_serial += 1;
        match &packet {
            Packet::Subscribe(subscribe) => {
                for subscription in &subscribe.subscriptions {
                    let entry = Entry {
                        order: self.next_order,
                        options: subscription.options,
                        properties: subscribe.properties.clone(),
                        request: serial,
                        granted: false,
                        owed: false,
                    };
                    self.next_order += 1;
                    self.ledger.insert(subscription.filter.clone(), entry);
                }
            }
            Packet::Unsubscribe(unsubscribe) => {
                for filter in &unsubscribe.filters {
                    self.ledger.remove(filter);
                }
            }
            _ => {}
        }
        self.pending.push_back(Box::new(Request {
            serial,
            packet_id,
            packet,
            track,
        }));
    }

    /// How the server stands to a filter.
    pub(super) fn standing(&self, filter: &str) -> Standing {
        match self.ledger.get(filter) {
            None => Standing::Unknown,
            Some(entry) if entry.granted && !entry.owed => Standing::Granted,
            Some(_) => Standing::Asked,
        }
    }

    pub(super) fn next_pending(&mut self) -> Option<Box<Request<T>>> {
        self.pending.pop_front()
    }

    /// The request is in the output.
    pub(super) fn sent(&mut self, request: Box<Request<T>>) {
        self.sent.insert(request.packet_id, request);
    }

    pub(super) fn handle_suback(&mut self, packet_id: PacketId, reasons: &[ReasonCode]) -> Answered<T> {
        let Some(request) = self.sent.get(&packet_id) else {
            return Answered::Unknown;
        };
        let Packet::Subscribe(subscribe) = &request.packet else {
            return Answered::Confused;
        };
        // One code for each Topic Filter, in their order [MQTT-3.8.4-5, MQTT-3.9.3-1] (5.0: [MQTT-3.8.4-6]).
        if subscribe.subscriptions.len() != reasons.len() {
            return Answered::WrongCount;
        }
        for (subscription, reason) in subscribe.subscriptions.iter().zip(reasons) {
            let entry = self.ledger.get_mut(&subscription.filter);
            let Some(entry) = entry.filter(|entry| entry.request == request.serial) else {
                continue;
            };
            if reason.is_failure() {
                self.ledger.remove(&subscription.filter);
            } else {
                entry.granted = true;
                entry.owed = false;
            }
        }
        self.finish(packet_id)
    }

    pub(super) fn handle_unsuback(&mut self, packet_id: PacketId, reasons: &[ReasonCode]) -> Answered<T> {
        let Some(request) = self.sent.get(&packet_id) else {
            return Answered::Unknown;
        };
        let Packet::Unsubscribe(unsubscribe) = &request.packet else {
            return Answered::Confused;
        };
        // MQTT 3 has no codes here; 5.0 has one for each Topic Filter [MQTT-3.11.3-1].
        if !reasons.is_empty() && unsubscribe.filters.len() != reasons.len() {
            return Answered::WrongCount;
        }
        self.finish(packet_id)
    }

    fn finish(&mut self, packet_id: PacketId) -> Answered<T> {
        self.sent
            .remove(&packet_id)
            .map_or(Answered::Unknown, Answered::Finished)
    }

    /// The server has accepted the connection: subscriptions that it knows no more, as the policy sees it, are owed.
    pub(super) fn owe_granted(&mut self) {
        for entry in self.ledger.values_mut().filter(|entry| entry.granted) {
            entry.owed = true;
        }
    }

    /// Packets that renew what is owed, in the order of the subscriptions; `packet_id` gives each one its identifier.
    ///
    /// What the server does not allow stays owed, for a connection on which it does; `refused` is told.
    pub(super) fn renew(
        &mut self,
        limits: &Limits,
        mut packet_id: impl FnMut() -> Option<PacketId>,
        mut refused: impl FnMut(&str, ServerLimit),
    ) -> Vec<Box<Request<T>>> {
        let largest = usize::try_from(limits.maximum_packet_size).unwrap_or(usize::MAX);
        // The length of a packet below the bound fits where the bound does.
        let largest = RENEWAL_BYTES.min(largest.saturating_add(1));
        let mut owed: Vec<_> = self.ledger.iter_mut().filter(|(_, entry)| entry.owed).collect();
        owed.sort_unstable_by_key(|(_, entry)| entry.order);
        let mut requests: Vec<Box<Request<T>>> = Vec::new();
        let mut bytes = largest;
        for (filter, entry) in owed {
            // Two bytes of length, one of options.
            let size = filter.len() + 3;
            // Fixed Header, Packet Identifier and length of the properties take at most eleven bytes.
            let alone = 11 + properties_size(&entry.properties) + size;
            let fits = limits.check_size(alone);
            let allowed = limits.check_filter(filter, &entry.properties);
            if let Err(limit) = allowed.and(fits) {
                refused(filter, limit);
                continue;
            }
            let subscription = Subscription {
                filter: filter.clone(),
                options: entry.options,
            };
            bytes += size;
            let open = requests.last_mut().and_then(|request| match &mut request.packet {
                Packet::Subscribe(subscribe) => Some((request.serial, subscribe)),
                _ => None,
            });
            match open {
                Some((serial, open)) if bytes < largest && open.properties == entry.properties => {
                    open.subscriptions.push(subscription);
                    entry.request = serial;
                }
                _ => {
                    let Some(packet_id) = packet_id() else { break };
                    entry.request = self.next_serial;
                    self.next_serial += 1;
                    bytes = alone;
                    requests.push(Box::new(Request {
                        serial: entry.request,
                        packet_id,
                        packet: Packet::Subscribe(Subscribe {
                            packet_id,
                            properties: entry.properties.clone(),
                            subscriptions: vec![subscription],
                        }),
                        track: None,
                    }));
                }
            }
        }
        requests
    }

    /// The request will not be sent: its filters are not subscribed to.
    pub(super) fn refused(&mut self, request: &Request<T>) {
        if let Packet::Subscribe(subscribe) = &request.packet {
            for subscription in &subscribe.subscriptions {
                let entry = self.ledger.get(&subscription.filter);
                if entry.is_some_and(|entry| entry.request == request.serial) {
                    self.ledger.remove(&subscription.filter);
                }
            }
        }
    }

    /// Forgets everything; gives back the requests that have no answer.
    pub(super) fn abandon(&mut self) -> Vec<Box<Request<T>>> {
        self.ledger.clear();
        let unanswered = std::mem::take(&mut self.sent).into_values();
        unanswered.chain(self.pending.drain(..)).collect()
    }

    /// The connection is gone. Requests without an answer wait for the next one, before those that wait already, or come
    /// back if they are not to be `kept`; those that the session made are made anew when they are due.
    pub(super) fn closed(&mut self, keep: bool) -> Vec<Box<Request<T>>> {
        let mut unanswered: Vec<_> = std::mem::take(&mut self.sent).into_values().collect();
        unanswered.sort_unstable_by_key(|request| request.serial);
        let (kept, ended): (Vec<_>, Vec<_>) = unanswered
            .into_iter()
            .partition(|request| keep && request.track.is_some());
        // No hash table: even one that stays empty makes a new thread ask the system for a seed.
        let dropped: BTreeSet<u64> = ended
            .iter()
            .filter(|request| request.track.is_some())
            .map(|request| request.serial)
            .collect();
        if !dropped.is_empty() {
            self.ledger
                .retain(|_, entry| entry.granted || !dropped.contains(&entry.request));
        }
        for request in kept.into_iter().rev() {
            self.pending.push_front(request);
        }
        ended
    }
}
