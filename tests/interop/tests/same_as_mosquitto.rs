//! The crate's own broker answers as mosquitto does, byte by byte, and logs the same: each script is played to both.
//!
//! The ports and the behaviours of the client show what a client notices; here the packets themselves are compared,
//! also those of requests that this client does not make.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use interop::wire::{Splitter, hex, name};
use interop::{Broker, BrokerKind};

/// What both brokers are told.
type Script = fn(&mut Talk);

const SCRIPTS: &[(&str, Script)] = &[
    ("QoS of subscriptions and messages", |talk| {
        talk.open("sub", &connect("sub", CLEAN));
        talk.send("sub", &subscribe(1, &[("t/0", 0), ("t/1", 1), ("t/2", 2)]));
        talk.open("pub", &connect("pub", CLEAN));
        for topic in ["t/0", "t/1", "t/2"] {
            talk.send("pub", &publish(topic, "zero", 0, 0, PLAIN));
            talk.send("pub", &publish(topic, "one", 1, 7, PLAIN));
            talk.send("pub", &publish(topic, "two", 2, 8, PLAIN));
            talk.send("pub", &ack(PUBREL, 8));
        }
        // Of QoS 1: "one" to t/1, "one" and "two" to it and to t/2.
        talk.send("sub", &ack(PUBACK, 1));
        talk.send("sub", &ack(PUBACK, 2));
        talk.send("sub", &ack(PUBACK, 3));
        talk.send("sub", &ack(PUBREC, 4));
        talk.send("sub", &ack(PUBCOMP, 4));
        talk.send("sub", b"\xe0\x00");
    }),
    ("a message of QoS 2 that is sent twice", |talk| {
        talk.open("a", &connect("a", CLEAN));
        talk.send("a", &subscribe(1, &[("t", 0)]));
        talk.send("a", &publish("t", "x", 2, 5, PLAIN));
        talk.send("a", &publish("t", "x", 2, 5, DUP));
        talk.send("a", &ack(PUBREL, 5));
        talk.send("a", &ack(PUBREL, 5));
    }),
    ("wildcards", |talk| {
        talk.open("a", &connect("a", CLEAN));
        talk.send("a", &subscribe(1, &[("a/+/c", 0), ("b/#", 1), ("+", 0)]));
        for topic in ["a/b/c", "a//c", "a/b/d", "b", "b/c/d", "/b", "c", "$x"] {
            talk.send("a", &publish(topic, "x", 0, 0, PLAIN));
        }
        talk.send("a", &unsubscribe(2, &["b/#", "never"]));
        talk.send("a", &publish("b/c", "x", 0, 0, PLAIN));
    }),
    ("two subscriptions that match", |talk| {
        talk.open("a", &connect("a", CLEAN));
        talk.send("a", &subscribe(1, &[("t/#", 0), ("t/+", 1)]));
        talk.send("a", &subscribe(2, &[("t/+", 0)]));
        talk.send("a", &publish("t/x", "x", 1, 9, PLAIN));
    }),
    ("retained messages", |talk| {
        talk.open("a", &connect("a", CLEAN));
        talk.send("a", &publish("t/1", "old", 0, 0, RETAIN));
        talk.send("a", &publish("t/1", "new", 1, 3, RETAIN));
        talk.send("a", &subscribe(1, &[("t/+", 1)]));
        talk.send("a", &publish("t/1", "newer", 0, 0, RETAIN));
        talk.send("a", &subscribe(2, &[("t/+", 0)]));
        talk.send("a", &publish("t/1", "", 0, 0, RETAIN));
        talk.send("a", &subscribe(3, &[("t/+", 0)]));
    }),
    ("a session that outlives its connection", |talk| {
        talk.open("a", &connect("a", KEPT));
        talk.send("a", &subscribe(1, &[("t", 2)]));
        talk.open("b", &connect("b", CLEAN));
        talk.send("b", &publish("t", "unanswered", 1, 1, PLAIN));
        talk.send("b", &publish("t", "half", 2, 2, PLAIN));
        talk.send("b", &ack(PUBREL, 2));
        talk.send("a", &ack(PUBREC, 2));
        talk.cut("a");
        talk.send("b", &publish("t", "meanwhile", 1, 3, PLAIN));
        talk.send("b", &publish("t", "not kept", 0, 0, PLAIN));
        talk.open("a", &connect("a", KEPT));
        talk.send("a", &ack(PUBACK, 1));
        talk.send("a", &ack(PUBCOMP, 2));
        talk.send("a", &ack(PUBACK, 3));
        talk.send("a", b"\xe0\x00");
        talk.open("a", &connect("a", CLEAN));
        talk.send("b", &publish("t", "nobody", 1, 4, PLAIN));
    }),
    ("a Will", |talk| {
        talk.open("a", &connect("a", CLEAN));
        talk.send("a", &subscribe(1, &[("will", 1)]));
        talk.open("b", &connect_with_will("b", "will", "gone"));
        talk.cut("b");
        talk.open("b", &connect_with_will("b", "will", "gone"));
        talk.send("b", b"\xe0\x00");
        talk.send("a", &subscribe(2, &[("will", 0)]));
    }),
    ("a client that takes over", |talk| {
        talk.open("first", &connect("twin", CLEAN));
        talk.open("second", &connect("twin", CLEAN));
        talk.send("first", b"");
    }),
    ("MQTT 3.1", |talk| {
        talk.open("a", b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01a");
        talk.send("a", &subscribe(1, &[("t", 1)]));
        talk.send("a", &publish("t", "x", 1, 1, PLAIN));
        talk.send("a", &ack(PUBACK, 1));
    }),
    ("no client identifier", |talk| {
        talk.open("clean", &connect("", CLEAN));
        talk.open("kept", &connect("", KEPT));
    }),
    ("an unknown version", |talk| {
        talk.open("a", b"\x10\x0d\x00\x04MQTT\x09\x02\x00\x3c\x00\x01a");
    }),
    ("shared subscriptions and the broker's own topics", |talk| {
        talk.open("a", &connect("a", CLEAN));
        talk.open("b", &connect("b", CLEAN));
        talk.send("a", &subscribe(1, &[("$share/g/t", 0)]));
        talk.send("b", &subscribe(1, &[("$share/g/t", 0)]));
        talk.send("b", &publish("t", "1", 0, 0, PLAIN));
        talk.send("b", &publish("t", "2", 0, 0, PLAIN));
        talk.send("b", &publish("t", "3", 0, 0, PLAIN));
        talk.send("a", &unsubscribe(2, &["$share/g/t"]));
        talk.send("b", &publish("t", "4", 0, 0, PLAIN));
        talk.send("a", &subscribe(3, &[("#", 0)]));
    }),
    ("packets that break the rules", |talk| {
        for packet in [
            &b"\x30\x03\x00\x01+"[..],                        // PUBLISH to a wildcard
            b"\x36\x05\x00\x01t\x00\x01",                     // PUBLISH with QoS 3
            b"\x32\x05\x00\x01t\x00\x00",                     // PUBLISH with packet identifier 0
            b"\x30\x04\x00\x09t\x00",                         // PUBLISH with a topic that runs past it
            b"\x82\x06\x00\x01\x00\x01t\x03",                 // SUBSCRIBE with QoS 3
            b"\x82\x02\x00\x01",                              // SUBSCRIBE to nothing
            b"\x80\x06\x00\x01\x00\x01t\x00",                 // SUBSCRIBE with wrong flags
            b"\x82\x07\x00\x01\x00\x02#t\x00",                // SUBSCRIBE to no filter
            b"\xa2\x02\x00\x01",                              // UNSUBSCRIBE from nothing
            b"\x60\x02\x00\x01",                              // PUBREL with wrong flags
            b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a", // a second CONNECT
            b"\x00\x00",                                      // no packet at all
        ] {
            talk.open("a", &connect("a", CLEAN));
            talk.send("a", packet);
            if talk.connections.contains_key("a") {
                talk.cut("a");
            }
        }
    }),
    ("a first packet that is not CONNECT", |talk| {
        talk.open("a", b"\xc0\x00");
    }),
    ("acknowledgements for nothing", |talk| {
        talk.open("a", &connect("a", CLEAN));
        for first in [PUBACK, PUBREC, PUBREL, PUBCOMP] {
            talk.send("a", &ack(first, 9));
        }
    }),
    ("MQTT 5", |talk| {
        talk.open("a", &connect_v5("a"));
        // Nobody listens: PUBACK and PUBREC say so.
        talk.send("a", &publish_v5("t", "x", 1, 1));
        talk.send("a", &publish_v5("t", "x", 2, 2));
        talk.send("a", &framed(PUBREL, b"\x00\x02"));
        // With a Subscription Identifier; the second one without the own messages.
        talk.send("a", &framed(0x82, b"\x00\x03\x02\x0b\x07\x00\x01t\x01"));
        talk.send("a", &framed(0x82, b"\x00\x04\x00\x00\x01u\x05"));
        talk.send("a", &publish_v5("t", "x", 1, 3));
        talk.send("a", &publish_v5("u", "x", 1, 4));
        talk.send("a", &framed(0xa2, b"\x00\x05\x00\x00\x01t\x00\x01v"));
        talk.send("a", b"\xe0\x00");
    }),
];

/// Scripts whose answers are the same but not the log, and why.
const OTHER_WORDS: &[(&str, &str)] = &[
    (
        "an unknown version",
        "mosquitto adds a line with the number, which the error of the codec does not carry",
    ),
    (
        "packets that break the rules",
        "a packet is refused as a whole, with the reason of the standard; mosquitto logs how far it had read",
    ),
];

#[test]
fn both_brokers_answer_the_same() {
    for (title, _) in OTHER_WORDS {
        assert!(
            SCRIPTS.iter().any(|(script, _)| script == title),
            "there is no script {title:?}"
        );
    }
    let mut failed = String::new();
    for (title, script) in SCRIPTS {
        let [mosquitto, own] = [BrokerKind::Mosquitto, BrokerKind::Embedded].map(|kind| play(kind, *script));
        let other_words = OTHER_WORDS.iter().any(|(other, _)| other == title);
        let parts = [
            ("answers", &mosquitto.answers, &own.answers),
            ("logs", &mosquitto.log, &own.log),
        ];
        for (part, mosquitto, own) in parts {
            // A difference in the table that is none any more is to be taken out.
            if (mosquitto == own) == (part == "logs" && other_words) {
                failed +=
                    &format!("{title}: mosquitto {part}\n{mosquitto}the crate's broker {part}\n{own}\n");
            }
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

/// What a broker answered to a script, and what it logged.
struct Played {
    answers: String,
    log: String,
}

fn play(kind: BrokerKind, script: Script) -> Played {
    let mut talk = Talk {
        broker: kind.start(),
        connections: BTreeMap::new(),
        seen: Vec::new(),
    };
    script(&mut talk);
    while let Some(connection) = talk.connections.keys().next().copied() {
        talk.cut(connection);
    }
    talk.broker.stop();
    let lines = |lines: Vec<String>| lines.iter().map(|line| format!("    {line}\n")).collect();
    Played {
        answers: lines(talk.seen),
        log: lines(talk.broker.log()),
    }
}

/// Connections to one broker by their names, and what came on them.
struct Talk {
    broker: Box<dyn Broker>,
    connections: BTreeMap<&'static str, (TcpStream, Splitter)>,
    seen: Vec<String>,
}

impl Talk {
    /// Opens a connection with these first bytes; the broker answers or closes it.
    fn open(&mut self, connection: &'static str, connect: &[u8]) {
        let stream = TcpStream::connect(self.broker.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        self.connections.insert(connection, (stream, Splitter::default()));
        self.write(connection, connect);
        self.read_until(connection, 0x20);
        self.settle(connection);
    }

    /// Sends bytes on an open connection.
    fn send(&mut self, connection: &'static str, bytes: &[u8]) {
        self.write(connection, bytes);
        if bytes == b"\xe0\x00" {
            self.read_until(connection, 0xff);
        }
        self.settle(connection);
    }

    /// Breaks a connection off.
    fn cut(&mut self, connection: &'static str) {
        let (stream, _) = &self.connections[connection];
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        self.read_until(connection, 0xff);
        self.settle(connection);
    }

    /// Waits until the broker has dealt with what came on this connection, then for what follows for the others: it
    /// answers a ping after what came before.
    fn settle(&mut self, first: &'static str) {
        let mut open: Vec<_> = self.connections.keys().copied().collect();
        open.sort_by_key(|connection| *connection != first);
        for connection in open {
            if let Some((stream, _)) = self.connections.get_mut(connection) {
                let _ = stream.write_all(b"\xc0\x00");
            }
            self.read_until(connection, 0xd0);
        }
    }

    fn write(&mut self, connection: &'static str, bytes: &[u8]) {
        self.seen.push(format!("{connection} > {}", hex(bytes)));
        // A connection that the broker has closed is found out by reading.
        if let Some((stream, _)) = self.connections.get_mut(connection) {
            let _ = stream.write_all(bytes);
        }
    }

    /// Reads up to a packet with this first byte or up to the end of the connection.
    fn read_until(&mut self, connection: &'static str, last: u8) {
        let Some((stream, splitter)) = self.connections.get_mut(connection) else {
            return;
        };
        loop {
            let mut buffer = [0; 4096];
            let count = match stream.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
                Err(error) => panic!("{connection}: {error} after\n{}", self.seen.join("\n")),
            };
            if count == 0 {
                self.seen.push(format!("{connection} closed by the broker"));
                self.connections.remove(connection);
                return;
            }
            let mut over = false;
            for packet in splitter.feed(&buffer[..count]) {
                over |= packet[0] == last;
                self.seen
                    .push(format!("{connection} < {} {}", name(packet[0]), hex(&packet)));
            }
            if over {
                return;
            }
        }
    }
}

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

// ---- packets ----

const CLEAN: u8 = 0x02;
const KEPT: u8 = 0x00;
const PLAIN: u8 = 0x00;
const RETAIN: u8 = 0x01;
const DUP: u8 = 0x08;
const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

/// A short packet: its remaining length is one byte.
fn framed(first: u8, rest: &[u8]) -> Vec<u8> {
    assert!(rest.len() < 128);
    [&[first, rest.len() as u8], rest].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&[0, text.len() as u8], text.as_bytes()].concat()
}

fn connect(client_id: &str, flags: u8) -> Vec<u8> {
    let header = [&b"\x00\x04MQTT\x04"[..], &[flags], &[0, 60]].concat();
    framed(0x10, &[header, text(client_id)].concat())
}

fn connect_with_will(client_id: &str, topic: &str, payload: &str) -> Vec<u8> {
    // Clean session, a Will of QoS 1 that is retained.
    let header = b"\x00\x04MQTT\x04\x2e\x00\x3c".to_vec();
    framed(
        0x10,
        &[header, text(client_id), text(topic), text(payload)].concat(),
    )
}

fn connect_v5(client_id: &str) -> Vec<u8> {
    let header = b"\x00\x04MQTT\x05\x02\x00\x3c\x00".to_vec();
    framed(0x10, &[header, text(client_id)].concat())
}

fn subscribe(id: u8, filters: &[(&str, u8)]) -> Vec<u8> {
    let filters = filters
        .iter()
        .flat_map(|(filter, qos)| [text(filter), vec![*qos]].concat());
    framed(0x82, &[0, id].into_iter().chain(filters).collect::<Vec<_>>())
}

fn unsubscribe(id: u8, filters: &[&str]) -> Vec<u8> {
    let filters = filters.iter().flat_map(|filter| text(filter));
    framed(0xa2, &[0, id].into_iter().chain(filters).collect::<Vec<_>>())
}

fn publish(topic: &str, payload: &str, qos: u8, id: u8, flags: u8) -> Vec<u8> {
    let id: &[u8] = if qos == 0 { &[] } else { &[0, id] };
    framed(
        0x30 | qos << 1 | flags,
        &[&text(topic)[..], id, payload.as_bytes()].concat(),
    )
}

fn publish_v5(topic: &str, payload: &str, qos: u8, id: u8) -> Vec<u8> {
    framed(
        0x30 | qos << 1,
        &[&text(topic)[..], &[0, id, 0], payload.as_bytes()].concat(),
    )
}

fn ack(first: u8, id: u8) -> Vec<u8> {
    framed(first, &[0, id])
}
