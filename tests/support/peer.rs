//! A scripted peer: plays the broker byte by byte, and shares no code with the crate's codec, so that a fault that
//! encoder and decoder have in common cannot hide.
//!
//! A test is a script of steps, one connection after the other:
//!
//! ```text
//! let peer = Peer::listen();
//! client.connect(peer.address())?;
//! let mut connection = peer.accept();
//! connection.expect(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05probe");
//! connection.send(b"\x20\x02\x00\x00");
//! ```
//!
//! Each step has a deadline. When one passes, or when other bytes come than expected, the test panics and prints what
//! was exchanged so far.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of this")]

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// How long a step may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// A CONNACK that accepts the connection and has no session.
pub const CONNACK: &[u8] = b"\x20\x02\x00\x00";

/// The same in MQTT 5.0, without properties.
pub const CONNACK_V5: &[u8] = b"\x20\x03\x00\x00\x00";

/// A listening peer.
#[derive(Debug)]
pub struct Peer {
    listener: TcpListener,
}

impl Peer {
    /// Listens on a free port of 127.0.0.1.
    pub fn listen() -> Self {
        Self::listen_on(0)
    }

    /// Listens on a port that a peer has used before.
    pub fn listen_on(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Host and port, as `connect` takes them.
    pub fn address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.port())
    }

    /// Waits for the next connection.
    pub fn accept(&self) -> Connection {
        self.accept_within(DEADLINE)
            .unwrap_or_else(|| panic!("nobody connected within {DEADLINE:?}"))
    }

    /// Waits for the next connection, for at most this long.
    pub fn accept_within(&self, time: Duration) -> Option<Connection> {
        let deadline = Instant::now() + time;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return Some(Connection::new(stream)),
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => panic!("accept: {error}"),
            }
        }
    }

    /// Waits for the next connection, reads its CONNECT, whatever is in it, and accepts it in the version that it asks
    /// for.
    pub fn accept_client(&self) -> Connection {
        let mut connection = self.accept();
        let connect = connection.expect_packet(0x10);
        // Its name and level come after one to four bytes of length, and two for the length of the name.
        let is_v5 = connect.windows(5).take(8).any(|part| part == b"MQTT\x05");
        connection.send(if is_v5 { CONNACK_V5 } else { CONNACK });
        connection
    }
}

/// A connection of the client under test.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    exchange: String,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self {
            stream,
            exchange: String::new(),
        }
    }

    /// Expects these bytes next.
    pub fn expect(&mut self, expected: &[u8]) {
        let mut received = Vec::new();
        while received.len() < expected.len() {
            match self.read_byte(DEADLINE) {
                Some(byte) => received.push(byte),
                None => break,
            }
            if !expected.starts_with(&received) {
                // Take the rest of what is there, for the message.
                while received.len() < expected.len() + 64 {
                    let Some(byte) = self.read_byte(Duration::from_millis(50)) else {
                        break;
                    };
                    received.push(byte);
                }
                break;
            }
        }
        if received != expected {
            let same = expected
                .iter()
                .zip(&received)
                .take_while(|(expected, received)| expected == received)
                .count();
            panic!(
                "expected {}\n received {}\n         {}^ differs here{}",
                dump(expected),
                dump(&received),
                "   ".repeat(same),
                self.so_far()
            );
        }
        self.note("client", expected);
    }

    /// Expects one packet whose first byte is `first`, and returns it whole.
    pub fn expect_packet(&mut self, first: u8) -> Vec<u8> {
        let packet = self.packet();
        assert!(
            packet[0] == first,
            "expected a packet {first:02x} .., not {}{}",
            dump(&packet),
            self.so_far()
        );
        packet
    }

    /// Expects one packet, of any kind, and returns it whole.
    pub fn packet(&mut self) -> Vec<u8> {
        self.packet_within(DEADLINE)
            .unwrap_or_else(|| panic!("no packet, but the end of the stream or silence{}", self.so_far()))
    }

    /// Waits for a packet for at most this long. `None` stands for silence and for the end of the stream.
    pub fn packet_within(&mut self, time: Duration) -> Option<Vec<u8>> {
        let mut packet = vec![self.read_byte(time)?];
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.read_byte(DEADLINE)?;
            packet.push(byte);
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let start = packet.len();
        packet.resize(start + length, 0);
        self.stream.set_read_timeout(Some(DEADLINE)).unwrap();
        if let Err(error) = self.stream.read_exact(&mut packet[start..]) {
            panic!(
                "{error} in the middle of a packet of {length} bytes{}",
                self.so_far()
            );
        }
        self.note("client", &packet);
        Some(packet)
    }

    /// Takes this many bytes, whatever they are.
    pub fn discard(&mut self, count: usize) {
        self.stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut buffer = vec![0; count];
        if let Err(error) = self.stream.read_exact(&mut buffer) {
            panic!("{error} while {count} bytes were read{}", self.so_far());
        }
    }

    /// Expects that nothing comes for this long.
    pub fn expect_silence(&mut self, time: Duration) {
        let mut byte = [0];
        self.stream.set_read_timeout(Some(time)).unwrap();
        match self.stream.peek(&mut byte) {
            Ok(0) => panic!("expected silence, but the stream has ended{}", self.so_far()),
            Ok(_) => {
                let packet = self.packet();
                panic!(
                    "expected silence, but received {}{}",
                    dump(&packet),
                    self.so_far()
                );
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("expected silence, but: {error}{}", self.so_far()),
        }
    }

    /// Expects that the client closes the connection, and that nothing comes before.
    pub fn expect_close(&mut self) {
        if let Some(byte) = self.read_byte(DEADLINE) {
            panic!(
                "expected the end of the stream, but received {byte:02x} ..{}",
                self.so_far()
            );
        }
        self.stream
            .set_read_timeout(Some(Duration::from_millis(1)))
            .unwrap();
        let still_open =
            |error: &io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        if self.stream.read(&mut [0]).is_err_and(|error| still_open(&error)) {
            panic!(
                "expected the end of the stream, but there was silence{}",
                self.so_far()
            );
        }
    }

    /// Expects DISCONNECT and then the end of the stream, not a reset.
    pub fn expect_goodbye(&mut self) {
        self.expect(b"\xe0\x00");
        self.stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let end = self.stream.read(&mut [0]);
        assert!(
            matches!(end, Ok(0)),
            "expected the end of the stream, but: {end:?}{}",
            self.so_far()
        );
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        if let Err(error) = self.try_send(bytes) {
            panic!("cannot send: {error}{}", self.so_far());
        }
    }

    /// Sends bytes to a client that may have closed the connection by now.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.note("peer  ", bytes);
        self.stream.write_all(bytes)
    }

    /// Sends bytes in pieces of `size`, each in a segment of its own.
    pub fn send_in_pieces(&mut self, bytes: &[u8], size: usize) {
        for piece in bytes.chunks(size) {
            self.send(piece);
            // Lets the client see this piece without the next one.
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Closes the peer's direction only: the client reads the end of the stream, and may still send.
    pub fn close_output(&mut self) {
        self.exchange.push_str("peer   closes its direction\n");
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes the connection so that the client gets a reset instead of the end of the stream.
    ///
    /// The system does that when input has not been read: the client must have sent something that no step has taken.
    pub fn reset(self) {
        self.stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let unread = self.stream.peek(&mut [0]);
        assert!(matches!(unread, Ok(1)), "nothing is left unread{}", self.so_far());
    }

    /// One byte; `None` when the stream ends or stays silent for this long.
    fn read_byte(&mut self, time: Duration) -> Option<u8> {
        let mut byte = [0];
        self.stream.set_read_timeout(Some(time)).unwrap();
        matches!(self.stream.read(&mut byte), Ok(1)).then_some(byte[0])
    }

    fn note(&mut self, who: &str, bytes: &[u8]) {
        let _ = writeln!(self.exchange, "{who} {}", dump(bytes));
    }

    fn so_far(&self) -> String {
        format!("\nexchange so far:\n{}", self.exchange)
    }
}

/// Bytes in hexadecimal, a blank between them; of long ones only the start.
fn dump(bytes: &[u8]) -> String {
    let shown: Vec<String> = bytes.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
    let more = if bytes.len() > 64 {
        format!(" .. ({} bytes)", bytes.len())
    } else {
        String::new()
    };
    shown.join(" ") + &more
}
