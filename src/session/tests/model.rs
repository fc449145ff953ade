//! Any sequence of commands, answers and lost connections against a server that behaves: nothing is lost, nothing comes
//! twice that must not, and every tracker ends once.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::support::*;
use crate::codec::Packet;
use crate::session::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Publish {
        qos: u8,
        size: usize,
    },
    Subscribe,
    Unsubscribe,
    /// The server reads what was written, and answers this many of its open questions, beginning with the `from`th.
    Answer {
        from: usize,
        count: usize,
    },
    /// The socket takes some of the output.
    Write {
        bytes: usize,
    },
    Lose,
    Open,
    Accept {
        keeps_session: bool,
    },
    Release,
    Window(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3u8, prop_oneof![9 => 0..40usize, 1 => 30_000..80_000usize])
            .prop_map(|(qos, size)| Step::Publish { qos, size }),
        1 => Just(Step::Subscribe),
        1 => Just(Step::Unsubscribe),
        8 => (0..4usize, 1..6usize).prop_map(|(from, count)| Step::Answer { from, count }),
        6 => prop_oneof![1..200usize, Just(usize::MAX)].prop_map(|bytes| Step::Write { bytes }),
        1 => Just(Step::Lose),
        3 => Just(Step::Open),
        3 => any::<bool>().prop_map(|keeps_session| Step::Accept { keeps_session }),
        3 => Just(Step::Release),
        1 => (1..6u16).prop_map(Step::Window),
    ]
}

/// A server that reads bytes and owes answers.
#[derive(Debug, Default)]
struct Server {
    unread: Vec<u8>,
    questions: Vec<Question>,
    /// Messages of QoS 2 that it has PUBREC'd, by identifier.
    held: HashMap<u16, String>,
    /// How often each payload was delivered by QoS 1, and by QoS 2.
    delivered: HashMap<String, u32>,
    /// Payloads of QoS 1 and 2 in the order in which they came for the first time.
    first_seen: Vec<String>,
    /// PUBLISH packets of QoS 1 and 2 without PUBACK or PUBCOMP on this connection.
    unfinished: BTreeSet<u16>,
    session: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Question {
    PubAck(u16, String),
    PubRec(u16, String),
    PubComp(u16),
    SubAck(u16),
    UnsubAck(u16),
}

impl Server {
    fn read(&mut self, bytes: &[u8], window: usize) {
        self.unread.extend_from_slice(bytes);
        let whole = whole_packets(&self.unread);
        let bytes: Vec<u8> = self.unread.drain(..whole).collect();
        for (first, rest) in packets(&bytes) {
            let id_at = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
            match first >> 4 {
                1 => {}
                3 if first & 0b0110 == 0 => assert_eq!(first & 0b1000, 0, "DUP with QoS 0"),
                3 => {
                    let id = id_at(3);
                    assert_ne!(id, 0);
                    let payload = String::from_utf8(rest[5..].to_vec()).unwrap();
                    if self.first_seen.contains(&payload) {
                        assert_eq!(first & 0b1000, 0b1000, "{payload} again, without DUP");
                    } else {
                        self.first_seen.push(payload.clone());
                    }
                    assert!(self.unfinished.insert(id), "identifier {id} is in use");
                    assert!(
                        self.unfinished.len() <= window,
                        "{:?} over {window}",
                        self.unfinished
                    );
                    self.questions.push(match first & 0b0110 {
                        0b0010 => Question::PubAck(id, payload),
                        _ => Question::PubRec(id, payload),
                    });
                }
                6 => {
                    self.unfinished.insert(id_at(0));
                    self.questions.push(Question::PubComp(id_at(0)));
                }
                8 => self.questions.push(Question::SubAck(id_at(0))),
                10 => self.questions.push(Question::UnsubAck(id_at(0))),
                12 => {}
                other => panic!("packet type {other}"),
            }
        }
    }

    fn answer(&mut self, question: Question) -> Packet {
        match question {
            Question::PubAck(id, payload) => {
                self.unfinished.remove(&id);
                *self.delivered.entry(payload).or_default() += 1;
                puback(id)
            }
            Question::PubRec(id, payload) => {
                if self.held.insert(id, payload.clone()).is_none() {
                    *self.delivered.entry(payload).or_default() += 1;
                }
                pubrec(id)
            }
            Question::PubComp(id) => {
                self.unfinished.remove(&id);
                self.held.remove(&id);
                pubcomp(id)
            }
            Question::SubAck(id) => suback(id, &[1]),
            Question::UnsubAck(id) => unsuback(id),
        }
    }

    fn disconnected(&mut self) {
        self.unread.clear();
        self.questions.clear();
        self.unfinished.clear();
    }
}

/// How many bytes at the front are complete packets.
fn whole_packets(bytes: &[u8]) -> usize {
    let mut end = 0;
    loop {
        let (mut length, mut at) = (0usize, end + 1);
        loop {
            let Some(byte) = bytes.get(at) else { return end };
            length |= usize::from(byte & 0x7f) << (7 * (at - end - 1));
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        if bytes.len() < at + length {
            return end;
        }
        end = at + length;
    }
}

struct Model {
    bench: Bench,
    server: Server,
    published: Vec<(u8, String, Option<Tracker>)>,
    requests: Vec<Tracker>,
    /// Taken out of the output, not written yet.
    in_transit: Vec<u8>,
    lost_sessions: bool,
    largest_window: usize,
}

impl Model {
    fn new() -> Self {
        Self {
            bench: Bench::new(|settings| {
                settings.clean_start = false;
                settings.max_inflight = 3;
                settings.queue.max_messages = 0;
            }),
            server: Server::default(),
            published: Vec::new(),
            requests: Vec::new(),
            in_transit: Vec::new(),
            lost_sessions: false,
            largest_window: 3,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Publish { qos, size } => self.publish(qos, size),
            Step::Subscribe => {
                let (_, tracker) = self.bench.subscribe(&[("filter", 1)]);
                self.requests.push(tracker);
            }
            Step::Unsubscribe => {
                let (_, tracker) = self.bench.unsubscribe(&["filter"]);
                self.requests.push(tracker);
            }
            Step::Answer { from, count } => {
                if matches!(self.bench.session.link(), Link::Settling | Link::Open) {
                    for _ in 0..count.min(self.server.questions.len()) {
                        // Mostly in order, sometimes not.
                        let from = from.saturating_sub(1) % self.server.questions.len();
                        let question = self.server.questions.remove(from);
                        let packet = self.server.answer(question);
                        self.bench.receive(packet).unwrap();
                    }
                }
            }
            Step::Write { bytes } => self.write(bytes),
            Step::Lose => {
                self.bench.session.closed(self.bench.now);
                self.in_transit.clear();
                self.server.disconnected();
            }
            Step::Open if self.bench.session.link() == Link::Closed => {
                self.bench.session.open(self.bench.now);
                self.largest_window = self.bench.session.settings.max_inflight.into();
            }
            Step::Open => {}
            Step::Accept { keeps_session } => {
                if self.bench.session.link() == Link::Connecting {
                    self.write(usize::MAX);
                    if !keeps_session {
                        self.lost_sessions |= self.server.session;
                        self.server.held.clear();
                    }
                    let present = keeps_session && self.server.session;
                    self.server.session = true;
                    self.bench.accept(present);
                }
            }
            Step::Release => self.bench.session.release(self.bench.now),
            Step::Window(window) => {
                // A smaller window does not call back what was sent in the larger one.
                self.largest_window = self.largest_window.max(window.into());
                self.bench.session.settings.max_inflight = window;
            }
        }
        self.check();
    }

    fn publish(&mut self, qos: u8, size: usize) {
        let payload = format!("{}{}", self.published.len(), "-".repeat(size));
        match self.bench.publish("t", &payload, qos) {
            Ok(Accepted::Tracked { track, .. }) => self.published.push((qos, payload, Some(track))),
            Ok(Accepted::InOutput { .. }) => assert_eq!(qos, 0),
            Ok(Accepted::HeadInOutput { .. }) => panic!("the bench puts payloads behind their heads"),
            Ok(Accepted::NoRoom) => panic!("no policy of the model waits"),
            Err(_) => assert_eq!(qos, 0),
        }
    }

    fn write(&mut self, bytes: usize) {
        let mut left = bytes;
        while left > 0 {
            if self.in_transit.is_empty() {
                self.in_transit = self.bench.take_unwritten();
                if self.in_transit.is_empty() {
                    return;
                }
            }
            let count = left.min(self.in_transit.len());
            left -= count;
            let written: Vec<u8> = self.in_transit.drain(..count).collect();
            self.server.read(&written, self.largest_window);
            self.bench.session.wrote(self.bench.now, count);
        }
    }

    fn check(&mut self) {
        self.bench.session.events().clear();
        let ended = |heard: &[Heard]| heard.iter().filter(|heard| **heard != Heard::Sent).count();
        let mut open = 0;
        for (qos, payload, tracker) in &self.published {
            let Some(tracker) = tracker else { continue };
            let heard = tracker.heard();
            assert!(ended(&heard) <= 1, "{payload} {heard:?}");
            assert!(*qos == 0 || !heard.iter().any(|heard| matches!(heard, Heard::Dropped(_))));
            open += usize::from(*qos > 0 && ended(&heard) == 0);
        }
        for tracker in &self.requests {
            assert!(ended(&tracker.heard()) <= 1);
        }
        assert_eq!(self.bench.session.unfinished(), open);
    }

    /// From any state: everything that was accepted arrives.
    fn finish(mut self) {
        let session_lost_before = self.lost_sessions;
        if self.bench.session.link() == Link::Connecting {
            self.take(Step::Accept { keeps_session: true });
        }
        self.take(Step::Open);
        self.take(Step::Accept { keeps_session: true });
        self.take(Step::Release);
        for _ in 0..10_000 {
            self.take(Step::Write { bytes: usize::MAX });
            if self.server.questions.is_empty() {
                break;
            }
            self.take(Step::Answer { from: 0, count: 1000 });
        }
        assert_eq!(self.bench.session.unfinished(), 0);
        assert_eq!(
            (self.bench.session.inflight(), self.bench.session.queued()),
            (0, 0)
        );
        for (qos, payload, tracker) in &self.published {
            let times = self.server.delivered.get(payload).copied().unwrap_or(0);
            assert!(*qos == 0 || times >= 1, "{payload} is lost");
            assert!(
                *qos != 2 || times == 1 || session_lost_before,
                "{payload} came {times} times"
            );
            let ends = tracker
                .iter()
                .flat_map(Tracker::heard)
                .filter(|heard| *heard != Heard::Sent);
            assert_eq!(ends.count(), usize::from(tracker.is_some()), "{payload}");
        }
        let acknowledged = self.published.iter().filter(|(qos, _, _)| *qos > 0);
        assert!(
            acknowledged
                .map(|(_, payload, _)| payload)
                .eq(&self.server.first_seen),
            "out of order"
        );
        for tracker in &self.requests {
            assert!(matches!(tracker.heard().last(), Some(Heard::Granted(_))));
        }
        // All identifiers came back.
        assert_eq!(self.bench.session.ids.free(), ALL_IDS);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_message_arrives_and_every_tracker_ends_once(steps in prop::collection::vec(step(), 1..120)) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
        }
        model.finish();
    }
}
