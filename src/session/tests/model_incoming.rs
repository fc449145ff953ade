//! Any sequence of messages, answers of the application and lost connections: what the application took is delivered once
//! by QoS 2, and PUBACK keeps the order of receipt.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::support::*;
use crate::session::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Send {
        qos: u8,
    },
    /// The server reads what was written and goes on.
    Exchange,
    /// The application is done with the message that it has had as the `n`th.
    Acknowledge(usize),
    /// It fails on it.
    Withhold(usize),
    Reconnect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..3u8).prop_map(|qos| Step::Send { qos }),
        6 => Just(Step::Exchange),
        6 => (0..5usize).prop_map(Step::Acknowledge),
        2 => (0..5usize).prop_map(Step::Withhold),
        1 => Just(Step::Reconnect),
    ]
}

/// A message as the server sees it.
#[derive(Debug)]
struct Sent {
    packet_id: u16,
    qos: u8,
    released: bool,
}

struct Model {
    bench: Bench,
    /// In the order of first sending.
    unfinished: VecDeque<Sent>,
    /// Identifiers of QoS 1 in the order in which they were sent on this connection.
    order: VecDeque<u16>,
    next_id: u16,
    /// Payloads of the messages of QoS 2.
    exactly_once: Vec<String>,
    /// What the application has and has not answered.
    in_work: Vec<(String, AckTicket)>,
    delivered: HashMap<String, u32>,
    withheld: HashMap<String, u32>,
}

impl Model {
    fn new() -> Self {
        Self {
            bench: Bench::connected(|settings| settings.clean_start = false),
            unfinished: VecDeque::new(),
            order: VecDeque::new(),
            next_id: 1,
            exactly_once: Vec::new(),
            in_work: Vec::new(),
            delivered: HashMap::new(),
            withheld: HashMap::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Send { qos } => {
                let packet_id = self.next_id;
                self.next_id += 1;
                self.send(packet_id, qos);
                if qos == 2 {
                    self.exactly_once.push(packet_id.to_string());
                }
                let released = false;
                self.unfinished.push_back(Sent {
                    packet_id,
                    qos,
                    released,
                });
            }
            Step::Exchange => self.exchange(),
            Step::Acknowledge(n) if n < self.in_work.len() => {
                let (_, ticket) = self.in_work.remove(n);
                // An error if the connection is another one by now.
                let _ = self.bench.session.acknowledge(self.bench.now, ticket);
            }
            Step::Withhold(n) if n < self.in_work.len() => {
                let (payload, ticket) = self.in_work.remove(n);
                self.bench.withhold_message(ticket, &payload);
                *self.withheld.entry(payload).or_default() += 1;
            }
            Step::Acknowledge(_) | Step::Withhold(_) => {}
            Step::Reconnect => self.reconnect(),
        }
        for received in self.bench.messages() {
            let payload = String::from_utf8(received.publish.payload.to_vec()).unwrap();
            *self.delivered.entry(payload.clone()).or_default() += 1;
            self.in_work.push((payload, received.ticket.unwrap()));
        }
    }

    fn send(&mut self, packet_id: u16, qos: u8) {
        let payload = format!("{packet_id}");
        self.bench
            .receive(message("t", &payload, qos, packet_id))
            .unwrap();
        if qos == 1 {
            self.order.push_back(packet_id);
        }
    }

    fn exchange(&mut self) {
        let sent = self.bench.sent();
        for (first, rest) in packets(&sent) {
            let id = u16::from_be_bytes([rest[0], rest[1]]);
            let place = self.unfinished.iter().position(|sent| sent.packet_id == id);
            match first {
                0x40 => {
                    // Those before it that are not acknowledged were withheld.
                    let at = self.order.iter().position(|&other| other == id);
                    self.order.drain(..=at.expect("in the order of receipt"));
                    self.unfinished.remove(place.unwrap());
                }
                0x50 => {
                    self.unfinished[place.unwrap()].released = true;
                    self.bench.receive(pubrel(id)).unwrap();
                }
                0x70 => {
                    self.unfinished.remove(place.unwrap());
                }
                other => panic!("{other:#x}"),
            }
        }
    }

    fn reconnect(&mut self) {
        self.exchange();
        self.bench.session.closed(self.bench.now);
        self.order.clear();
        self.bench.session.open(self.bench.now);
        self.bench.sent();
        self.bench.accept(true);
        self.bench.session.release(self.bench.now);
        let again: Vec<_> = self
            .unfinished
            .iter()
            .map(|sent| (sent.packet_id, sent.qos, sent.released))
            .collect();
        for (packet_id, qos, released) in again {
            match released {
                true => self.bench.receive(pubrel(packet_id)).unwrap(),
                false => self.send(packet_id, qos),
            }
        }
    }

    fn finish(mut self) {
        // What was withheld comes again on the next connection; there is nobody who fails any more.
        for _ in 0..3 {
            self.take(Step::Reconnect);
            while !self.in_work.is_empty() {
                self.take(Step::Acknowledge(0));
                self.take(Step::Exchange);
            }
            self.take(Step::Exchange);
            while !self.in_work.is_empty() {
                self.take(Step::Acknowledge(0));
            }
            self.take(Step::Exchange);
        }
        assert!(self.unfinished.is_empty(), "{:?}", self.unfinished);
        assert_eq!(self.bench.session.unfinished(), 0);
        self.check();
        assert_eq!(self.delivered.len(), usize::from(self.next_id) - 1);
    }

    /// By QoS 2 a message comes again only if the application failed on it.
    fn check(&self) {
        for payload in &self.exactly_once {
            let delivered = self.delivered.get(payload).copied().unwrap_or(0);
            let withheld = self.withheld.get(payload).copied().unwrap_or(0);
            assert!(
                delivered <= withheld + 1,
                "{payload}: {delivered} times, {withheld} withheld"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_the_application_took_is_not_delivered_again_by_qos_2(
        steps in prop::collection::vec(step(), 1..100)
    ) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
            model.check();
        }
        model.finish();
    }
}
