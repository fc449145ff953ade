//! The servers that a client may use, and what became of each: which one is tried next.
//!
//! Pure: told what happened, and when. The servers are tried in *rounds*: each once, the good ones in the order asked
//! for, then those that have failed lately, the one that failed longest ago first. A round goes on over several attempts
//! to connect, since a server that can be reached may still refuse; between two rounds comes the delay of the back-off. A
//! connection that lived a while begins a round of its own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{DisconnectReason, Server};
use crate::codec::ReasonCode;
use crate::on_demand::OnDemand;

/// A server that has failed comes after the others for so long.
const AVOIDED_FOR: Duration = Duration::from_secs(60);

/// In which order the servers of a list are tried; see
/// [`ConnectOptions::server_order`](super::ConnectOptions::server_order).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ServerOrder {
    /// As they were named: the first is the one to use, the others stand by.
    #[default]
    Listed,
    /// By chance: many clients with the same list share the servers between them.
    Random,
}

/// The servers of a client.
#[derive(Debug, Default)]
pub(crate) struct ServerList {
    entries: Vec<Entry>,
    order: ServerOrder,
    /// These come first, each once.
    detour: OnDemand<VecDeque<Server>>,
    /// The server that was tried last, and its place if it is of the list.
    current: Option<(Server, Option<usize>)>,
    /// That one is to be tried once more before the others.
    again: bool,
    /// The first server is to be looked for.
    look: Option<Box<Look>>,
}

#[derive(Debug)]
struct Entry {
    server: Server,
    /// When it failed last, if it has not worked since.
    failed_at: Option<Instant>,
    /// In this round.
    tried: bool,
}

/// A look at whether the first server can be reached.
#[derive(Debug)]
struct Look {
    at: Instant,
    /// How long after that again.
    every: Duration,
}

impl ServerList {
    /// Sets the servers. What is known of those that were in the list before is kept.
    pub(super) fn set(&mut self, servers: &[Server], order: ServerOrder) {
        self.order = order;
        let known = std::mem::take(&mut self.entries);
        self.entries = servers
            .iter()
            .map(|server| {
                let known = known.iter().find(|entry| entry.server.is_same_place(server));
                Entry {
                    server: server.clone(),
                    failed_at: known.and_then(|entry| entry.failed_at),
                    tried: known.is_some_and(|entry| entry.tried),
                }
            })
            .collect();
        if let Some((server, place)) = &mut self.current {
            let found = |entry: &Entry| entry.server.is_same_place(server);
            *place = place.and_then(|_| self.entries.iter().position(found));
        }
    }

    /// Has these servers tried before all others, for one connection.
    pub(super) fn detour(&mut self, servers: Vec<Server>) {
        *self.detour = servers.into();
    }

    /// Has the server of the last try tried once more before all others, in another way.
    pub(super) fn again(&mut self) {
        self.again = true;
    }

    /// Begins a round: each server may be tried again.
    pub(super) fn new_round(&mut self) {
        for entry in &mut self.entries {
            entry.tried = false;
        }
    }

    /// The server to try next, if there is one in this round.
    pub(super) fn next(&mut self, now: Instant) -> Option<Server> {
        if std::mem::take(&mut self.again) && self.current.is_some() {
            return self.current().cloned();
        }
        if let Some(server) = self.detour.present().and_then(VecDeque::pop_front) {
            self.current = Some((server.clone(), None));
            return Some(server);
        }
        let untried = || self.entries.iter().enumerate().filter(|(_, entry)| !entry.tried);
        let good: Vec<usize> = untried()
            .filter(|(_, entry)| !entry.is_avoided(now))
            .map(|(place, _)| place)
            .collect();
        let place = match self.order {
            ServerOrder::Listed => good.first().copied(),
            ServerOrder::Random => fastrand::choice(&good).copied(),
        };
        let failed_first = || untried().min_by_key(|(_, entry)| entry.failed_at);
        let place = place.or_else(|| failed_first().map(|(place, _)| place))?;
        let entry = self.entries.get_mut(place)?;
        entry.tried = true;
        self.current = Some((entry.server.clone(), Some(place)));
        Some(entry.server.clone())
    }

    #[cfg(feature = "srv")]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many more may be tried in this round.
    pub(super) fn left(&self) -> usize {
        self.detour.len() + self.entries.iter().filter(|entry| !entry.tried).count()
    }

    /// Whether another attempt makes sense without a delay: there are other servers than the one that was just tried.
    pub(super) fn goes_on(&self) -> bool {
        self.entries.len() > 1 && self.left() > 0
    }

    /// The server that was tried last: that of the present connection, if there is one.
    pub(super) fn current(&self) -> Option<&Server> {
        self.current.as_ref().map(|(server, _)| server)
    }

    /// The server has accepted the connection; one that is not the first is to be left for that, if it can be reached
    /// after this time.
    pub(super) fn accepted(&mut self, now: Instant, return_after: Option<Duration>) {
        let away = matches!(self.current, Some((_, Some(1..)))) && self.order == ServerOrder::Listed;
        self.look = return_after.filter(|_| away).and_then(|every| {
            let at = now.checked_add(every)?;
            Some(Box::new(Look { at, every }))
        });
    }

    /// When [`look_for_first`](Self::look_for_first) has something to say.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.look.as_ref().map(|look| look.at)
    }

    /// The first server, if it is time to look whether it can be reached.
    pub(super) fn look_for_first(&mut self, now: Instant) -> Option<Server> {
        let look = self.look.as_mut().filter(|look| look.at <= now)?;
        look.at = now.checked_add(look.every).unwrap_or(look.at);
        self.entries.first().map(|entry| entry.server.clone())
    }

    /// The first server can be reached again: it comes first in a new round.
    pub(super) fn found_first(&mut self) {
        self.new_round();
        if let Some(entry) = self.entries.first_mut() {
            entry.failed_at = None;
        }
    }

    /// The server that was tried last could not be reached.
    pub(super) fn failed(&mut self, now: Instant) {
        if let Some(entry) = self.current_entry() {
            entry.failed_at = Some(now);
        }
    }

    /// The connection has ended; `was_good` says whether it had been accepted, and lived a while.
    pub(super) fn ended(&mut self, now: Instant, was_good: bool, reason: &DisconnectReason) {
        self.look = None;
        if was_good {
            self.new_round();
        }
        if let Some(entry) = self.current_entry() {
            if is_fault_of_server(reason, was_good) {
                entry.failed_at = Some(now);
            } else if was_good {
                entry.failed_at = None;
            }
        }
    }

    fn current_entry(&mut self) -> Option<&mut Entry> {
        let (_, place) = self.current.as_ref()?;
        self.entries.get_mut((*place)?)
    }
}

impl Entry {
    fn is_avoided(&self, now: Instant) -> bool {
        self.failed_at
            .is_some_and(|at| now.saturating_duration_since(at) < AVOIDED_FOR)
    }
}

/// Whether another server is to be preferred after this. A good connection that just broke says little of the server,
/// which has the session.
fn is_fault_of_server(reason: &DisconnectReason, was_good: bool) -> bool {
    match reason {
        DisconnectReason::Requested | DisconnectReason::ReturnToFirst => false,
        DisconnectReason::Lost(_) => !was_good,
        DisconnectReason::Server(code) => !OWN_FAULT.contains(&code.code),
        DisconnectReason::Refused(_)
        | DisconnectReason::KeepAlive
        | DisconnectReason::Protocol(_)
        | DisconnectReason::Authentication(_) => true,
    }
}

/// Said by a server that would take us again: another client has our id, we were silent, the time was up.
const OWN_FAULT: [ReasonCode; 3] = [
    ReasonCode::SESSION_TAKEN_OVER,
    ReasonCode::KEEP_ALIVE_TIMEOUT,
    ReasonCode::MAXIMUM_CONNECT_TIME,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    struct Bench {
        list: ServerList,
        now: Instant,
    }

    impl Bench {
        fn new(servers: &[&str]) -> Self {
            Self::with(servers, ServerOrder::Listed)
        }

        fn with(servers: &[&str], order: ServerOrder) -> Self {
            let mut list = ServerList::default();
            list.set(&parsed(servers), order);
            let now = Instant::now();
            Self { list, now }
        }

        fn next(&mut self) -> Option<String> {
            let next = self.list.next(self.now);
            assert_eq!(
                self.list
                    .current()
                    .map(Server::to_string)
                    .filter(|_| next.is_some()),
                next.as_ref().map(Server::to_string)
            );
            next.and_then(|server| server.host().map(str::to_owned))
        }

        /// Tries all that are left, none of which can be reached.
        fn fail_all(&mut self) -> String {
            let mut tried = String::new();
            while let Some(server) = self.next() {
                tried += &server;
                self.pass(1);
                self.list.failed(self.now);
            }
            tried
        }

        fn round(&mut self) -> String {
            self.list.new_round();
            self.fail_all()
        }

        fn end(&mut self, was_good: bool, reason: &DisconnectReason) {
            self.list.ended(self.now, was_good, reason);
        }

        fn pass(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }
    }

    fn parsed(servers: &[&str]) -> Vec<Server> {
        servers.iter().map(|server| server.parse().unwrap()).collect()
    }

    fn lost() -> DisconnectReason {
        DisconnectReason::Lost(Error::ConnectionClosed)
    }

    #[test]
    fn each_server_has_one_try_in_a_round() {
        let mut bench = Bench::new(&["a", "b", "c"]);
        assert_eq!(bench.list.left(), 3);
        assert_eq!(bench.fail_all(), "abc");
        assert_eq!((bench.list.left(), bench.next()), (0, None));
        assert_eq!(bench.round(), "abc", "all have failed: the first one longest ago");
    }

    #[test]
    fn a_server_that_has_failed_is_tried_after_the_others_for_a_while() {
        let mut bench = Bench::new(&["a", "b", "c"]);
        bench.next();
        bench.list.failed(bench.now);
        assert_eq!(bench.round(), "bca");
        bench.pass(57);
        assert_eq!(bench.round(), "bca", "b, which failed first, comes first");
        bench.pass(60);
        assert_eq!(bench.round(), "abc");
    }

    #[test]
    fn after_a_refusal_or_a_short_life_the_round_goes_on() {
        for reason in [
            lost(),
            DisconnectReason::KeepAlive,
            DisconnectReason::Refused(ReasonCode::SERVER_BUSY.into()),
            DisconnectReason::Server(ReasonCode::USE_ANOTHER_SERVER.into()),
        ] {
            let mut bench = Bench::new(&["a", "b"]);
            bench.next();
            bench.end(false, &reason);
            assert!(bench.list.goes_on(), "{reason}");
            assert_eq!(bench.fail_all(), "b", "{reason}");
            assert!(!bench.list.goes_on());
            bench.pass(1);
            assert_eq!(bench.round(), "ab");
        }
    }

    #[test]
    fn the_end_of_a_good_connection_begins_a_round() {
        for (reason, order) in [
            (lost(), "ab"),
            (DisconnectReason::Requested, "ab"),
            (DisconnectReason::KeepAlive, "ba"),
            (
                DisconnectReason::Server(ReasonCode::SERVER_SHUTTING_DOWN.into()),
                "ba",
            ),
            (
                DisconnectReason::Server(ReasonCode::disconnect(0x8d).into()),
                "ab",
            ),
        ] {
            let mut bench = Bench::new(&["a", "b"]);
            bench.next();
            bench.end(true, &reason);
            assert!(bench.list.goes_on());
            assert_eq!(bench.fail_all(), order, "{reason}");
        }
    }

    #[test]
    fn a_good_connection_makes_up_for_a_failure() {
        let mut bench = Bench::new(&["a", "b"]);
        assert_eq!(bench.fail_all(), "ab");
        bench.list.new_round();
        bench.next();
        bench.end(true, &lost());
        assert_eq!(bench.fail_all(), "ab");
    }

    #[test]
    fn one_server_alone_never_goes_on_without_a_delay() {
        let mut bench = Bench::new(&["a"]);
        assert!(!bench.list.goes_on());
        bench.next();
        bench.end(true, &lost());
        assert!(!bench.list.goes_on());
        assert_eq!(bench.fail_all(), "a");
    }

    #[test]
    fn by_chance_each_server_comes_first_and_those_that_failed_come_last() {
        let mut first = [0; 3];
        for _ in 0..300 {
            let mut bench = Bench::with(&["a", "b", "c"], ServerOrder::Random);
            let order = bench.fail_all();
            first[["a", "b", "c"]
                .iter()
                .position(|&name| order.starts_with(name))
                .unwrap()] += 1;
            let mut letters: Vec<_> = order.chars().collect();
            letters.sort_unstable();
            assert_eq!(letters, ['a', 'b', 'c']);
            assert_eq!(bench.round(), order, "all have failed: longest ago first");
        }
        assert!(first.iter().all(|&count| count > 40), "{first:?}");
    }

    #[test]
    fn a_detour_is_for_once_and_says_nothing_of_the_list() {
        let mut bench = Bench::new(&["a", "b"]);
        bench.next();
        bench.end(true, &lost());
        bench.list.detour(parsed(&["x", "y"]));
        assert_eq!(bench.list.left(), 4);
        assert_eq!(bench.fail_all(), "xyab");
        assert_eq!(bench.round(), "ab");
    }

    #[test]
    fn a_server_may_have_another_try_before_the_others() {
        let mut bench = Bench::new(&["a", "b"]);
        bench.next();
        bench.end(false, &lost());
        bench.list.again();
        assert_eq!(bench.fail_all(), "ab");
    }

    #[test]
    fn the_first_server_is_looked_for_from_all_others_again_and_again() {
        let after = Some(Duration::from_secs(10));
        let mut bench = Bench::new(&["a", "b"]);
        bench.next();
        bench.list.accepted(bench.now, after);
        assert_eq!(bench.list.look_at(), None, "it is the first");
        bench.list.failed(bench.now);
        bench.next();
        bench.list.accepted(bench.now, None);
        assert_eq!(bench.list.look_at(), None, "it was not asked for");
        bench.list.accepted(bench.now, after);
        for _ in 0..3 {
            assert!(bench.list.look_for_first(bench.now).is_none());
            bench.pass(10);
            assert_eq!(bench.list.look_at(), Some(bench.now));
            assert_eq!(bench.list.look_for_first(bench.now).unwrap().host(), Some("a"));
        }
        bench.list.found_first();
        bench.end(false, &DisconnectReason::ReturnToFirst);
        assert_eq!(bench.list.look_at(), None);
        assert_eq!(bench.fail_all(), "ab");
        bench.list.accepted(bench.now, Some(Duration::MAX));
        assert_eq!(bench.list.look_at(), None, "never");
    }

    #[test]
    fn nobody_returns_from_a_detour_or_where_chance_decides() {
        let after = Some(Duration::ZERO);
        let mut bench = Bench::new(&["a", "b"]);
        bench.list.detour(parsed(&["x"]));
        bench.next();
        bench.list.accepted(bench.now, after);
        assert_eq!(bench.list.look_at(), None);
        let mut bench = Bench::with(&["a", "b"], ServerOrder::Random);
        for _ in 0..2 {
            bench.next();
            bench.list.accepted(bench.now, after);
            assert_eq!(bench.list.look_at(), None);
        }
    }

    /// As the records of a name do, from one attempt to the next.
    #[test]
    fn what_is_known_of_a_server_outlives_a_change_of_the_list() {
        let mut bench = Bench::new(&["a", "b"]);
        bench.next();
        bench.list.failed(bench.now);
        bench.list.set(&parsed(&["c", "A", "b"]), ServerOrder::Listed);
        assert_eq!(bench.list.current().unwrap().host(), Some("a"));
        assert_eq!(bench.fail_all(), "cb");
        assert_eq!(bench.round(), "Acb");
        bench.list.set(&parsed(&["b:1", "d"]), ServerOrder::Listed);
        assert_eq!(bench.fail_all(), "bd", "another port is another server");
    }
}
