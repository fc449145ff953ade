//! Runs programs as they were run when the transcripts were recorded: alone, or a receiver with its sender.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::{Broker, BrokerKind};
use crate::compare;
use crate::program::{Outcome, Program};
use crate::proxy::{Event, Proxy, Record};
use crate::transcript::Transcript;

/// What was observed of one program.
#[derive(Debug)]
pub struct Run {
    pub outcome: Outcome,
    pub broker: Vec<String>,
    pub packets: Vec<Record>,
}

impl Run {
    /// Holds the run against a transcript; returns every difference.
    pub fn compare(&self, transcript: &Transcript) -> Vec<String> {
        let mut differences = Vec::new();
        let mut check = |result: Result<(), String>| differences.extend(result.err());
        check(compare::stdout(&transcript.stdout, &self.outcome.stdout));
        check(compare::broker(&transcript.broker, &self.broker));
        check(compare::packets(&transcript.packets, &self.packets));
        if transcript.ends != "killed" {
            check(compare::status(&transcript.ends, &self.outcome));
        }
        differences
    }
}

/// Runs a program that ends by itself, with a fresh broker that is held back by `delay`.
///
/// With `message`, somebody else publishes this topic and payload after two seconds, straight to the broker.
pub fn alone(
    kind: BrokerKind,
    transcript: &Transcript,
    mut command: Command,
    delay: Duration,
    message: Option<(&str, &str)>,
) -> Run {
    let mut broker = kind.start();
    let proxy = Proxy::start(broker.port(), delay);
    let program = Program::start(&mut command, proxy.port(), transcript.stdin.clone());
    if let Some((topic, payload)) = message {
        thread::sleep(Duration::from_secs(2));
        publish(&*broker, topic, payload);
    }
    let outcome = program.wait(LONGEST);
    let packets = finished(&proxy);
    broker.wait_for_lines(transcript.broker.len(), PATIENCE);
    broker.stop();
    Run {
        outcome,
        broker: broker.log(),
        packets,
    }
}

/// Runs a receiver that never ends, two seconds later the sender, and one second after its end stops the receiver.
pub fn pair(
    kind: BrokerKind,
    receiver: (&Transcript, Command),
    sender: (&Transcript, Command),
    delay: Duration,
) -> (Run, Run) {
    let (received, mut receiver) = receiver;
    let (sent, mut sender) = sender;
    let mut broker = kind.start();
    let (proxy1, proxy2) = (
        Proxy::start(broker.port(), delay),
        Proxy::start(broker.port(), delay),
    );
    let receiver = Program::start(&mut receiver, proxy1.port(), received.stdin.clone());
    thread::sleep(Duration::from_secs(2));
    let sender = Program::start(&mut sender, proxy2.port(), sent.stdin.clone());
    let sender_outcome = sender.wait(LONGEST);
    thread::sleep(Duration::from_secs(1));
    let receiver_outcome = receiver.kill();
    let (packets1, packets2) = (finished(&proxy1), finished(&proxy2));
    broker.wait_for_lines(received.broker.len(), PATIENCE);
    broker.stop();
    (
        Run {
            outcome: receiver_outcome,
            broker: broker.log(),
            packets: packets1,
        },
        Run {
            outcome: sender_outcome,
            broker: broker.log(),
            packets: packets2,
        },
    )
}

/// What the proxy has recorded, when it has noticed that the client's connections are closed.
fn finished(proxy: &Proxy) -> Vec<Record> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let records = proxy.records();
        let count = |event: Event| records.iter().filter(|record| record.event == event).count();
        if count(Event::Open) == count(Event::ClosedByClient) || Instant::now() > deadline {
            return records;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Publishes with bare packets, so that the tests need no second client.
fn publish(broker: &dyn Broker, topic: &str, payload: &str) {
    let mut stream = TcpStream::connect(broker.address()).unwrap();
    stream
        .write_all(b"\x10\x15\x00\x04MQTT\x04\x02\x00\x3c\x00\x09companion")
        .unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    let length = u8::try_from(2 + topic.len() + payload.len()).unwrap();
    let packet = [
        &[0x30, length, 0, topic.len() as u8],
        topic.as_bytes(),
        payload.as_bytes(),
        &[0xe0, 0],
    ]
    .concat();
    stream.write_all(&packet).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
}

/// No program runs longer than this by itself.
const LONGEST: Duration = Duration::from_secs(30);
/// How long the proxy and the broker may take to notice the end of a program.
const PATIENCE: Duration = Duration::from_secs(2);
