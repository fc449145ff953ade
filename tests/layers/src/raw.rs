//! A WebSocket server by hand, byte by byte: for what libraries do not do.

#[path = "../../support/frame.rs"]
mod frame;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use tungstenite::handshake::derive_accept_key;

use crate::PATIENCE;

pub use frame::frame;

/// The first bytes of frames that are the last of their message.
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8A;
/// Without `FIN`: more follows.
pub const BINARY_BEGUN: u8 = 0x02;
pub const CONTINUED: u8 = 0x00;
pub const CONTINUED_TO_THE_END: u8 = 0x80;

/// CONNACK of MQTT 3.1.1: accepted.
pub const CONNACK: &[u8] = b"\x20\x02\x00\x00";

/// A listener; each connection is for the test to serve.
#[derive(Debug)]
pub struct RawServer {
    listener: TcpListener,
}

impl RawServer {
    pub fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { listener }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.address())
    }

    /// Takes a connection and reads the request.
    pub fn accept(&self) -> Raw {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut raw = Raw {
            stream,
            request: String::new(),
            plain: Vec::new(),
        };
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let [byte] = raw.read();
            request.push(byte);
        }
        raw.request = String::from_utf8(request).unwrap();
        raw
    }

    /// Serves one connection after the other on a thread, as the script says.
    pub fn serve<T: Send + 'static>(
        self,
        script: impl FnOnce(&RawServer) -> T + Send + 'static,
    ) -> (String, JoinHandle<T>) {
        let url = self.url();
        (url, thread::spawn(move || script(&self)))
    }
}

/// A connection whose request was read.
#[derive(Debug)]
pub struct Raw {
    pub stream: TcpStream,
    pub request: String,
    /// Of binary frames, and not asked for yet.
    plain: Vec<u8>,
}

impl Raw {
    fn read<const COUNT: usize>(&mut self) -> [u8; COUNT] {
        let mut bytes = [0; COUNT];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The value of a header of the request.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.request.lines().filter_map(|line| line.split_once(": "));
        headers
            .find(|header| header.0.eq_ignore_ascii_case(name))
            .map(|header| header.1)
    }

    /// What proves that this request was read.
    pub fn accept_key(&self) -> String {
        derive_accept_key(self.header("Sec-WebSocket-Key").unwrap().as_bytes())
    }

    /// An answer that takes the upgrade.
    pub fn good_answer(&self) -> String {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
            self.accept_key()
        )
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub fn send_frame(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        self.send(frame(first, payload.as_ref()));
    }

    /// The next frame: its first byte and its payload. Those of clients are masked.
    pub fn next_frame(&mut self) -> (u8, Vec<u8>) {
        let [first, second] = self.read();
        assert!(second & 0x80 != 0, "not masked");
        let length = match second & 0x7F {
            126 => usize::from(u16::from_be_bytes(self.read())),
            127 => usize::try_from(u64::from_be_bytes(self.read())).unwrap(),
            length => usize::from(length),
        };
        let mask: [u8; 4] = self.read();
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).unwrap();
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        (first, payload)
    }

    /// The next frame is this one.
    pub fn expect_frame(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        let (found, arrived) = self.next_frame();
        assert_eq!((found, arrived.as_slice()), (first, payload.as_ref()));
    }

    /// The next MQTT packet, which is shorter than 128 bytes.
    pub fn next_packet(&mut self) -> Vec<u8> {
        loop {
            if let Some(&length) = self.plain.get(1) {
                let size = usize::from(length) + 2;
                if self.plain.len() >= size {
                    return self.plain.drain(..size).collect();
                }
            }
            let (first, payload) = self.next_frame();
            assert_eq!(first, BINARY);
            self.plain.extend(payload);
        }
    }

    /// Takes the upgrade, and the CONNECT.
    pub fn accept_client(mut self) -> Self {
        self.send(self.good_answer());
        assert_eq!(self.next_packet()[0], 0x10);
        self.send_frame(BINARY, CONNACK);
        self
    }

    /// The client ends the stream now.
    pub fn expect_end(mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => assert_eq!(rest, b""),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        }
    }

    pub fn close(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
