//! The requests that wait for their response: a table without I/O.
//!
//! ```text
//!             SUBACK of the response topic          response
//!   Held ───────────────────────────────► Sent ──────────────────► finished
//!     │                                     │                          ▲
//!     └── time-out, subscription refused ───┴── time-out, lost, .. ────┘
//! ```

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::hash::BuildHasher;
use std::time::Instant;

use bytes::Bytes;

use crate::client::{Client, Message, MessageInfo, Properties, Property, QoS};
use crate::error::{Error, Result};
use crate::topic::{TopicName, check_topic};

/// Gets the response, or why there is none.
pub(super) type Closure = dyn FnOnce(&Client, Result<&Message>) -> Result<()> + Send;

/// Names a request: its Correlation Data says the same to the outside.
pub(super) type Key = u64;

/// All requests of a client.
#[derive(Debug)]
pub(super) struct Table {
    /// Where the responses come, once there was a request.
    topic: Option<TopicName>,
    /// Where they came before: what is still on its way there is no message for the application.
    previous: Option<TopicName>,
    /// What the application has chosen, and what the server offers to make it from.
    chosen: Option<TopicName>,
    offered: Option<TopicName>,
    /// The SUBSCRIBE that has no answer yet.
    pub(super) asked: Option<u16>,
    /// The server has lost the subscription, and the session does not renew it.
    pub(super) lost: bool,
    waiting: HashMap<Key, Request>,
    /// Those that are not sent yet, in their order.
    held: VecDeque<Key>,
    deadlines: BTreeSet<(Instant, Key)>,
    next: Key,
    /// Keyed by chance: makes what others should not guess.
    secret: RandomState,
    pub(super) limit: usize,
    /// Responses that nobody waited for.
    pub(super) late: u64,
    /// The client is gone: there are no new requests.
    pub(super) closed: bool,
}

#[derive(Debug)]
struct Request {
    /// Absent where the caller looks at the clock.
    deadline: Option<Instant>,
    progress: Progress,
    waiter: Waiter,
}

#[derive(Debug)]
enum Progress {
    Held(Box<Message>),
    /// Being given to the session.
    Leaving,
    Sent {
        info: MessageInfo,
        qos: QoS,
        /// The connection.
        epoch: u64,
    },
}

/// Who waits.
pub(super) enum Waiter {
    /// A call, which looks for the outcome here.
    Call(Option<Result<Message>>),
    Closure(Box<Closure>),
}

/// A closure that is to be called.
pub(crate) struct Finished {
    pub(super) closure: Box<Closure>,
    pub(super) outcome: Result<Message>,
}

/// What a message on the response topic is.
#[derive(Debug)]
pub(super) enum Response {
    /// For a call, which has it now.
    Taken,
    /// For this closure.
    For(Finished),
    Late,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            topic: None,
            previous: None,
            chosen: None,
            offered: None,
            asked: None,
            lost: false,
            waiting: HashMap::new(),
            held: VecDeque::new(),
            deadlines: BTreeSet::new(),
            next: 0,
            secret: RandomState::new(),
            limit: 10_000,
            late: 0,
            closed: false,
        }
    }

    // ---- the response topic ----

    pub(super) fn topic(&self) -> Option<&TopicName> {
        self.topic.as_ref()
    }

    /// The application chooses; returns the topic that was in use, if that is to be unsubscribed from.
    pub(super) fn choose(&mut self, topic: TopicName) -> Option<TopicName> {
        let changed = self.topic.as_ref() != Some(&topic);
        self.chosen = Some(topic);
        if changed { self.drop_topic() } else { None }
    }

    /// A server has accepted the connection, and offers this to make the topic from. Returns the topic that was in use,
    /// if another one takes its place.
    pub(super) fn offer(&mut self, information: Option<&str>) -> Option<TopicName> {
        let offered = information.and_then(|information| {
            let base = information.trim_end_matches('/');
            let usable = check_topic(base).is_ok();
            if !usable {
                log::warn!(target: "callmq", "the server's Response Information is not the beginning of a topic");
            }
            usable.then(|| TopicName::from_checked(base))
        });
        let changed = offered != self.offered && self.chosen.is_none();
        self.offered = offered;
        if changed { self.drop_topic() } else { None }
    }

    fn drop_topic(&mut self) -> Option<TopicName> {
        self.asked = None;
        let topic = self.topic.take()?;
        self.previous = Some(topic.clone());
        Some(topic)
    }

    /// The topic for responses, made now if need be.
    pub(super) fn make_topic(&mut self, client_id: &str) -> TopicName {
        if let Some(topic) = &self.topic {
            return topic.clone();
        }
        // Nobody else subscribes to it or publishes there by accident; and not by intent, unless the server lets him.
        let random = self.secret.hash_one("response topic");
        let topic = match (&self.chosen, &self.offered) {
            (Some(chosen), _) => chosen.clone(),
            (None, Some(base)) => TopicName::from_checked(&format!("{base}/{random:016x}")),
            (None, None) => {
                let client_id = client_id.replace(['/', '+', '#', '\0'], "_");
                TopicName::from_checked(&format!("{PREFIX}/{client_id}/{random:016x}"))
            }
        };
        self.topic = Some(topic.clone());
        topic
    }

    pub(super) fn is_response_topic(&self, topic: &TopicName) -> bool {
        self.topic.as_ref() == Some(topic) || self.previous.as_ref() == Some(topic)
    }

    // ---- requests ----

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a request in. `deadline` is for closures only.
    pub(super) fn add(&mut self, message: Message, deadline: Option<Instant>, waiter: Waiter) -> Result<Key> {
        if self.waiting.len() >= self.limit {
            let payload = message.payload.to_bytes();
            return Err(Error::QueueFull { payload });
        }
        let key = self.next;
        self.next += 1;
        self.held.push_back(key);
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, key));
        }
        let progress = Progress::Held(Box::new(message));
        self.waiting.insert(
            key,
            Request {
                deadline,
                progress,
                waiter,
            },
        );
        Ok(key)
    }

    /// Whether the response topic has to be subscribed to now.
    pub(super) fn needs_topic(&self) -> bool {
        !self.held.is_empty() || self.lost && !self.waiting.is_empty()
    }

    /// The next request that can be sent, as it is sent.
    pub(super) fn next_held(&mut self) -> Option<(Key, Message)> {
        let topic = self.topic.as_ref()?.as_str().to_owned();
        let key = self.held.pop_front()?;
        let request = self.waiting.get_mut(&key)?;
        let Progress::Held(mut message) = std::mem::replace(&mut request.progress, Progress::Leaving) else {
            return None;
        };
        message.properties.push(Property::ResponseTopic(topic));
        message
            .properties
            .push(Property::CorrelationData(self.correlation(key)));
        Some((key, *message))
    }

    /// The connection ended before the session had taken a request: it waits for the next one.
    pub(super) fn hold_again(&mut self, key: Key, mut message: Message) {
        // It may have been given up meanwhile.
        if let Some(request) = self.waiting.get_mut(&key) {
            message.properties.remove(RESPONSE_TOPIC);
            message.properties.remove(CORRELATION_DATA);
            request.progress = Progress::Held(Box::new(message));
            let place = self.held.partition_point(|held| *held < key);
            self.held.insert(place, key);
        }
    }

    /// The session has accepted a request. Whether its message has ended meanwhile, and not well: the queue's policy may
    /// have dropped it.
    pub(super) fn sent(&mut self, key: Key, info: MessageInfo, qos: QoS, epoch: u64) -> bool {
        let undelivered = matches!(info.outcome(), Some(Err(_)));
        // The response may have been faster.
        if let Some(request) = self.waiting.get_mut(&key) {
            request.progress = Progress::Sent { info, qos, epoch };
        }
        undelivered
    }

    /// Takes the outcome of a call's request, if there is one.
    pub(super) fn outcome(&mut self, key: Key) -> Option<Result<Message>> {
        match &mut self.waiting.get_mut(&key)?.waiter {
            Waiter::Call(outcome) => outcome.take(),
            Waiter::Closure(_) => None,
        }
    }

    /// Forgets a request; what comes for it is late from now on.
    pub(super) fn forget(&mut self, key: Key) -> Option<Waiter> {
        let request = self.waiting.remove(&key)?;
        if let Some(deadline) = request.deadline {
            self.deadlines.remove(&(deadline, key));
        }
        if let Ok(place) = self.held.binary_search(&key) {
            self.held.remove(place);
        }
        Some(request.waiter)
    }

    /// Ends a request. A call finds its outcome here; a closure comes back.
    pub(super) fn finish(&mut self, key: Key, result: Result<Message>) -> Option<Finished> {
        if let Some(request) = self.waiting.get_mut(&key) {
            if let Waiter::Call(outcome) = &mut request.waiter {
                // The first one counts.
                outcome.get_or_insert(result);
                return None;
            }
        }
        match self.forget(key)? {
            Waiter::Closure(closure) => Some(Finished {
                closure,
                outcome: result,
            }),
            Waiter::Call(_) => None,
        }
    }

    /// Ends the requests for which `error` has an answer.
    fn finish_where(&mut self, error: impl Fn(&Progress) -> Option<Error>) -> Vec<Finished> {
        let mut ended: Vec<_> = self
            .waiting
            .iter()
            .filter_map(|(key, request)| Some((*key, error(&request.progress)?)))
            .collect();
        ended.sort_unstable_by_key(|(key, _)| *key);
        ended
            .into_iter()
            .filter_map(|(key, error)| self.finish(key, Err(error)))
            .collect()
    }

    /// Ends all requests.
    pub(super) fn finish_all(&mut self, error: &Error) -> Vec<Finished> {
        self.finish_where(|_| Some(error.clone()))
    }

    /// Ends those that were not sent.
    pub(super) fn finish_held(&mut self, error: &Error) -> Vec<Finished> {
        self.finish_where(|progress| matches!(progress, Progress::Held(_)).then(|| error.clone()))
    }

    /// Ends those whose message was dropped, or refused by the server.
    pub(super) fn finish_undelivered(&mut self) -> Vec<Finished> {
        self.finish_where(|progress| match progress {
            Progress::Sent { info, .. } => info.outcome().and_then(Result::err),
            Progress::Held(_) | Progress::Leaving => None,
        })
    }

    /// Ends those of QoS 0 whose connection is over; `open` is the present one.
    pub(super) fn finish_unsafe(&mut self, open: Option<u64>, error: &Error) -> Vec<Finished> {
        self.finish_where(|progress| match progress {
            Progress::Sent { qos, epoch, .. } if *qos == QoS::AtMostOnce && open != Some(*epoch) => {
                Some(error.clone())
            }
            _ => None,
        })
    }

    // ---- time ----

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Ends those whose time has passed.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Finished> {
        let mut expired = Vec::new();
        while let Some(&(deadline, key)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            self.deadlines.pop_first();
            expired.extend(self.finish(key, Err(Error::Timeout)));
        }
        expired
    }

    // ---- responses ----

    /// Takes a message that came on the response topic.
    pub(super) fn response(&mut self, message: Message) -> Response {
        let key = message
            .properties
            .correlation_data()
            .and_then(|data| self.key(data));
        let key = key.filter(|key| match self.waiting.get(key).map(|request| &request.waiter) {
            Some(Waiter::Call(outcome)) => outcome.is_none(),
            Some(Waiter::Closure(_)) => true,
            None => false,
        });
        let Some(key) = key else {
            self.late += 1;
            return Response::Late;
        };
        match self.finish(key, Ok(message)) {
            Some(finished) => Response::For(finished),
            None => Response::Taken,
        }
    }

    /// Unique by its first half, not to be guessed by its second.
    fn correlation(&self, key: Key) -> Bytes {
        let proof = self.secret.hash_one(key);
        [key.to_be_bytes(), proof.to_be_bytes()].concat().into()
    }

    fn key(&self, correlation: &[u8]) -> Option<Key> {
        let key = Key::from_be_bytes(correlation.get(..8)?.try_into().ok()?);
        (self.correlation(key) == *correlation).then_some(key)
    }
}

/// Identifiers of properties (MQTT 5.0, table 2-4).
const RESPONSE_TOPIC: u8 = 0x08;
const CORRELATION_DATA: u8 = 0x09;

/// The first levels of a response topic that neither the application nor the server has named.
const PREFIX: &str = "callmq/response";

/// Whether the application has put in what the client has to.
pub(super) fn has_own_properties(properties: &Properties) -> bool {
    properties.response_topic().is_some() || properties.correlation_data().is_some()
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call(None) => "Call",
            Self::Call(Some(_)) => "Call(finished)",
            Self::Closure(_) => "Closure",
        })
    }
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished")
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(topic: &str, correlation: &[u8]) -> Message {
        let data = Bytes::copy_from_slice(correlation);
        Message::new(topic, "42").properties(Property::CorrelationData(data).into())
    }

    /// Adds a request of a call, and sends it. Returns its key and its Correlation Data.
    fn sent(table: &mut Table) -> (Key, Vec<u8>) {
        let key = table
            .add(Message::new("sum", "1"), None, Waiter::Call(None))
            .unwrap();
        table.make_topic("me");
        let (held, message) = table.next_held().unwrap();
        assert_eq!(held, key);
        (key, message.properties.correlation_data().unwrap().to_vec())
    }

    #[test]
    fn correlation_data_is_unique_and_not_to_be_guessed() {
        let (mut one, mut other) = (Table::new(), Table::new());
        let (_, first) = sent(&mut one);
        let (_, second) = sent(&mut one);
        let (_, foreign) = sent(&mut other);
        assert_eq!((first.len(), first[..8] == foreign[..8]), (16, true));
        assert_ne!(first[8..], second[8..]);
        assert_ne!(first, foreign, "the secret differs from client to client");
        let topic = one.topic().unwrap().clone();
        for wrong in [&foreign[..], &first[..8], &[0; 16], b""] {
            assert!(matches!(one.response(response(&topic, wrong)), Response::Late));
        }
        assert!(matches!(one.response(response(&topic, &first)), Response::Taken));
        assert_eq!(one.late, 4);
    }

    #[test]
    fn a_request_that_could_not_leave_is_held_again_in_its_order() {
        let mut table = Table::new();
        let mut add = |payload| {
            let message = Message::new("t", payload).properties(Property::MessageExpiryInterval(5).into());
            table.add(message, None, Waiter::Call(None)).unwrap()
        };
        let keys = [add("1"), add("2"), add("3")];
        table.make_topic("me");
        let (first, second) = (table.next_held().unwrap(), table.next_held().unwrap());
        table.hold_again(second.0, second.1);
        table.hold_again(first.0, first.1.clone());
        // The topic may be another one by then.
        table.choose(TopicName::from_checked("mine"));
        table.make_topic("me");
        for key in keys {
            let (held, message) = table.next_held().unwrap();
            assert_eq!(held, key);
            let properties = &message.properties;
            assert_eq!(
                (properties.iter().count(), properties.response_topic()),
                (3, Some("mine"))
            );
        }
        table.forget(first.0);
        table.hold_again(first.0, first.1);
        assert!(table.next_held().is_none(), "given up meanwhile");
    }

    #[test]
    fn a_response_counts_once_and_none_after_the_time_out() {
        let mut table = Table::new();
        let (key, correlation) = sent(&mut table);
        let topic = table.topic().unwrap().clone();
        assert!(matches!(
            table.response(response(&topic, &correlation)),
            Response::Taken
        ));
        assert!(matches!(
            table.response(response(&topic, &correlation)),
            Response::Late
        ));
        assert_eq!(table.outcome(key).unwrap().unwrap().payload, "42");
        table.forget(key);
        let (key, correlation) = sent(&mut table);
        table.forget(key);
        assert!(matches!(
            table.response(response(&topic, &correlation)),
            Response::Late
        ));
        assert_eq!(
            (table.len(), table.held.len(), table.deadlines.len(), table.late),
            (0, 0, 0, 2)
        );
        assert!(!table.is_response_topic(&TopicName::from_checked("elsewhere")));
    }

    #[test]
    fn deadlines_pass_in_their_order_and_leave_nothing() {
        let mut table = Table::new();
        let now = Instant::now();
        let second = std::time::Duration::from_secs(1);
        for seconds in [3, 1, 2] {
            let closure = Waiter::Closure(Box::new(|_, _| Ok(())));
            let message = Message::new("t", seconds);
            table.add(message, Some(now + second * seconds), closure).unwrap();
        }
        assert_eq!(table.next_deadline(), Some(now + second));
        assert!(table.expire(now).is_empty());
        assert_eq!(table.expire(now + 2 * second).len(), 2);
        assert_eq!((table.len(), table.deadlines.len()), (1, 1));
        assert_eq!(table.expire(now + 3 * second).len(), 1);
        assert!(table.next_held().is_none());
        assert_eq!((table.len(), table.held.len(), table.deadlines.len()), (0, 0, 0));
    }

    #[test]
    fn the_number_of_requests_has_a_bound() {
        let mut table = Table::new();
        table.limit = 2;
        let mut add = |payload| table.add(Message::new("t", payload), None, Waiter::Call(None));
        assert!(add("1").is_ok() && add("2").is_ok());
        assert!(matches!(add("3"), Err(Error::QueueFull { payload }) if payload == "3"));
        table.forget(0);
        assert!(
            table
                .add(Message::new("t", "4"), None, Waiter::Call(None))
                .is_ok()
        );
    }

    #[test]
    fn the_topic_comes_from_the_application_the_server_or_the_client_id() {
        let mut table = Table::new();
        let own = table.make_topic("a/b+#");
        assert!(own.starts_with("callmq/response/a_b__/"), "{own}");
        assert_eq!(table.make_topic("a/b+#"), own);
        assert_eq!(table.offer(Some("resp/42/")), Some(own.clone()));
        let offered = table.make_topic("me");
        assert!(
            offered.starts_with("resp/42/") && offered.len() == 24,
            "{offered}"
        );
        assert_eq!(table.offer(Some("resp/42")), None, "the same again");
        assert!(table.is_response_topic(&own), "one may still be on its way");
        assert_eq!(
            table.offer(Some("resp/+")),
            Some(offered.clone()),
            "no topic can begin so"
        );
        assert_eq!(table.make_topic("a/b+#"), own);
        let mine = TopicName::from_checked("mine");
        assert_eq!(table.choose(mine.clone()), Some(own));
        assert_eq!(table.make_topic("me"), mine);
        assert_eq!((table.offer(Some("resp")), table.choose(mine)), (None, None));
    }
}
