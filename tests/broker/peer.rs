//! A client played by hand: packets as bytes, over a socket or in process.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use callmq::client::Stream;
use callmq::testing::{Broker, BrokerBuilder, Clock};

/// Runs a test against a broker with a port and against one in process.
pub(crate) fn both_ways(settings: impl Fn() -> BrokerBuilder, test: impl Fn(&Broker)) {
    test(&settings().listen("127.0.0.1:0").unwrap());
    test(&settings().in_process());
}

/// As [`both_ways`], for each protocol level, with the default settings.
pub(crate) fn each_version(test: impl Fn(&Broker, u8)) {
    for level in [3, 4, 5] {
        both_ways(Broker::builder, |broker| test(broker, level));
    }
}

/// A broker in process and its clock.
pub(crate) fn with_clock(settings: BrokerBuilder) -> (Broker, Clock) {
    let clock = Clock::new();
    (settings.clock(&clock).in_process(), clock)
}

/// One end of a connection.
pub(crate) struct Peer {
    io: Io,
    level: u8,
}

enum Io {
    Socket(TcpStream),
    InProcess(Arc<dyn Stream>),
}

impl Peer {
    /// Opens a connection, the way that the broker is there for.
    pub(crate) fn open(broker: &Broker) -> Self {
        let io = match broker.port() {
            0 => Io::InProcess(broker.open().unwrap()),
            _ => {
                let socket = TcpStream::connect(broker.address()).unwrap();
                socket.set_nodelay(true).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                Io::Socket(socket)
            }
        };
        Self { io, level: 4 }
    }

    /// Opens a connection with a clean session and goes past the CONNACK.
    pub(crate) fn connect(broker: &Broker, level: u8, client_id: &str) -> Self {
        let mut peer = Self::open(broker);
        peer.send(&connect(level, client_id, CLEAN, 60, &[], &[]));
        peer.expect_connack(level, false);
        peer
    }

    /// The CONNACK that accepts, with the announcements of the default settings.
    pub(crate) fn expect_connack(&mut self, level: u8, session_present: bool) {
        self.level = level;
        self.expect(&connack(level, session_present));
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match &mut self.io {
            Io::Socket(socket) => socket.write_all(bytes).unwrap(),
            Io::InProcess(stream) => {
                assert_eq!(stream.write(bytes).unwrap(), bytes.len(), "the stream takes all");
            }
        }
    }

    /// Sends in process if the broker takes any bytes; returns whether it does.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        match &self.io {
            Io::InProcess(stream) => match stream.write(bytes) {
                Ok(count) => count == bytes.len(),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    false
                }
            },
            Io::Socket(_) => panic!("a socket has buffers of its own"),
        }
    }

    /// Subscribes and goes past the SUBACK.
    pub(crate) fn subscribe(&mut self, filter: &str, options: u8) {
        let level = self.level;
        self.send(&subscribe(level, 1, &[(filter, options)]));
        self.expect(&suback(level, 1, &[options & 0b11]));
    }

    /// The next bytes must be these.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: &[u8]) {
        let received = self.receive(expected.len());
        assert!(
            received == expected,
            "received {}, expected {}",
            received.escape_ascii(),
            expected.escape_ascii()
        );
    }

    #[track_caller]
    pub(crate) fn receive(&mut self, count: usize) -> Vec<u8> {
        let mut received = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.read(&mut received[filled..]) {
                Ok(0) => panic!("closed after {}", received[..filled].escape_ascii()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{error} after {}", received[..filled].escape_ascii()),
            }
        }
        received
    }

    /// Nothing has come, and the connection lives: the answer to a PINGREQ is the next packet.
    #[track_caller]
    pub(crate) fn expect_nothing(&mut self) {
        self.send(&[0xC0, 0]);
        self.expect(&[0xD0, 0]);
    }

    /// The broker has closed the connection, without another word.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        let mut rest = [0; 100];
        match self.read(&mut rest) {
            Ok(0) => {}
            Ok(count) => panic!("received {}", rest[..count].escape_ascii()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("not closed: {error}"),
        }
    }

    /// DISCONNECT of MQTT 5.0 with a reason, nothing in earlier versions; then the end.
    #[track_caller]
    pub(crate) fn expect_parting(&mut self, reason: u8) {
        if self.level == 5 {
            self.expect(&[0xE0, 1, reason]);
        }
        self.expect_end();
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.io {
            Io::Socket(socket) => socket.read(buffer),
            Io::InProcess(stream) => stream.read(buffer),
        }
    }
}

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

// ---- packets by hand ----

/// Connect flags.
pub(crate) const CLEAN: u8 = 0x02;

/// A packet of a type and flags with a body.
pub(crate) fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let more = length > 127;
        bytes.push((length % 128) as u8 | if more { 0x80 } else { 0 });
        length /= 128;
        if !more {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// A text with its length in front.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

/// Properties with their length in front in MQTT 5.0; nothing before.
pub(crate) fn properties(level: u8, properties: &[u8]) -> Vec<u8> {
    match level {
        5 => [&[properties.len() as u8], properties].concat(),
        _ => Vec::new(),
    }
}

/// `rest`: Will, user name and password, as the flags say.
pub(crate) fn connect(
    level: u8,
    client_id: &str,
    flags: u8,
    keep_alive: u16,
    props: &[u8],
    rest: &[u8],
) -> Vec<u8> {
    let name = text(if level == 3 { "MQIsdp" } else { "MQTT" });
    let head = [&name[..], &[level, flags], &keep_alive.to_be_bytes()].concat();
    packet(0x10, &[&head, &properties(level, props), &text(client_id), rest])
}

/// Receive Maximum and Topic Alias Maximum are what the broker announces by default.
pub(crate) fn connack(level: u8, session_present: bool) -> Vec<u8> {
    let head = [u8::from(session_present), 0];
    packet(0x20, &[&head, &properties(level, b"\x22\x00\x0A\x21\x00\x14")])
}

/// `flags`: DUP 8, QoS 2 and 4, RETAIN 1; the identifier is written if there is a QoS.
pub(crate) fn publish(level: u8, flags: u8, topic: &str, id: u16, payload: &str) -> Vec<u8> {
    publish_with(level, flags, topic, id, &[], payload)
}

pub(crate) fn publish_with(
    level: u8,
    flags: u8,
    topic: &str,
    id: u16,
    props: &[u8],
    payload: &str,
) -> Vec<u8> {
    let id = if flags & 0b110 == 0 {
        Vec::new()
    } else {
        id.to_be_bytes().to_vec()
    };
    packet(
        0x30 | flags,
        &[&text(topic), &id, &properties(level, props), payload.as_bytes()],
    )
}

/// PUBACK 0x40, PUBREC 0x50, PUBREL 0x62, PUBCOMP 0x70, in the short form.
pub(crate) fn ack(first: u8, id: u16) -> Vec<u8> {
    packet(first, &[&id.to_be_bytes()])
}

pub(crate) fn subscribe(level: u8, id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    subscribe_with(level, id, &[], filters)
}

pub(crate) fn subscribe_with(level: u8, id: u16, props: &[u8], filters: &[(&str, u8)]) -> Vec<u8> {
    let filters: Vec<u8> = filters
        .iter()
        .flat_map(|(filter, options)| [text(filter), vec![*options]].concat())
        .collect();
    packet(0x82, &[&id.to_be_bytes(), &properties(level, props), &filters])
}

pub(crate) fn suback(level: u8, id: u16, codes: &[u8]) -> Vec<u8> {
    packet(0x90, &[&id.to_be_bytes(), &properties(level, &[]), codes])
}

pub(crate) fn unsubscribe(level: u8, id: u16, filter: &str) -> Vec<u8> {
    packet(0xA2, &[&id.to_be_bytes(), &properties(level, &[]), &text(filter)])
}

/// The Will in a CONNECT.
pub(crate) fn will(level: u8, props: &[u8], topic: &str, payload: &str) -> Vec<u8> {
    [properties(level, props), text(topic), text(payload)].concat()
}
