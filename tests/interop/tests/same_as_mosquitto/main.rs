//! The crate's own broker answers as mosquitto does, byte by byte, and logs the same: each script is played to both.
//!
//! The ports and the behaviours of the client show what a client notices; here the packets themselves are compared,
//! also those of requests that this client does not make.

mod packets;
mod scripts;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use interop::wire::{Splitter, hex, name};
use interop::{Broker, BrokerKind};

use packets::{Packets, V5, V311};
use scripts::{SCRIPTS, Script};

/// What of a script differs, in which version, and why: `answers` or `logs`.
const DIFFERENT: &[(&str, Packets, &str, &str)] = &[
    (
        "an unknown version",
        V311,
        "logs",
        "mosquitto adds a line with the number, which the error of the codec does not carry",
    ),
    (
        "packets that break the rules",
        V311,
        "logs",
        "a packet is refused as a whole, with the reason of the standard; mosquitto logs how far it had read",
    ),
    (
        "a message of QoS 2 that is sent twice",
        V5,
        "answers",
        "a PUBREL for nothing is answered with 0x92 (MQTT 5.0, section 3.7.2.1), by mosquitto with success",
    ),
    (
        "acknowledgements for nothing",
        V5,
        "answers",
        "what acknowledges nothing is answered with 0x92 (MQTT 5.0, sections 3.6.2.1 and 3.7.2.1), by mosquitto with success",
    ),
    (
        "a client that takes over",
        V5,
        "answers",
        "the first one gets a DISCONNECT with 0x8E [MQTT-3.1.4-3], which mosquitto 2.0 leaves out",
    ),
    (
        "a client that takes over",
        V5,
        "logs",
        "the line of that DISCONNECT",
    ),
    (
        "no client identifier",
        V5,
        "answers",
        "the properties of CONNACK in another order",
    ),
];

#[test]
fn both_brokers_answer_the_same() {
    for (title, version, ..) in DIFFERENT {
        assert!(
            SCRIPTS
                .iter()
                .any(|(script, versions, _)| script == title && versions.contains(version)),
            "there is no script {title:?} in {version:?}"
        );
    }
    let mut failed = String::new();
    for (title, versions, script) in SCRIPTS {
        for version in *versions {
            let kinds = [BrokerKind::Mosquitto, BrokerKind::Embedded];
            let [mosquitto, own] = kinds.map(|kind| play(kind, *script, *version));
            let parts = [
                ("answers", &mosquitto.answers, &own.answers),
                ("logs", &mosquitto.log, &own.log),
            ];
            for (part, mosquitto, own) in parts {
                let known = DIFFERENT
                    .iter()
                    .any(|(other, of, what, _)| (other, of, *what) == (title, version, part));
                // A difference in the table that is none any more is to be taken out.
                if (mosquitto == own) == known {
                    failed += &format!(
                        "{title} in {version:?}: mosquitto {part}\n{mosquitto}the crate's broker {part}\n{own}\n"
                    );
                }
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

fn play(kind: BrokerKind, script: Script, version: Packets) -> Played {
    let mut talk = Talk {
        broker: kind.start(),
        connections: BTreeMap::new(),
        seen: Vec::new(),
    };
    script(&mut talk, version);
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
pub struct Talk {
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
