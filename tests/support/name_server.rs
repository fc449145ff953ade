//! A name server that knows SRV records, on a free UDP port of 127.0.0.1. It speaks raw bytes.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of this")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// An SRV record: priority, weight, port, target.
pub type Record = (u16, u16, u16, &'static str);

/// What it does when it is asked.
#[derive(Clone, Debug)]
pub enum Reply {
    Silence,
    /// Only a code, as 3 for a name that does not exist.
    Code(u8),
    Records(Vec<Record>),
}

/// A name server; it ends when it is dropped.
#[derive(Debug)]
pub struct NameServer {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    reply: Reply,
    asked: Vec<String>,
}

impl NameServer {
    pub fn new(reply: Reply) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let state = State {
            reply,
            asked: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let own = Arc::clone(&state);
        let thread = thread::spawn(move || {
            let mut buffer = [0; 600];
            // An empty datagram is the end.
            while let Ok((count @ 1.., from)) = socket.recv_from(&mut buffer) {
                let query = &buffer[..count];
                let mut state = own.lock().unwrap_or_else(PoisonError::into_inner);
                state.asked.push(name(&query[12..]));
                if let Some(answer) = answer(query, &state.reply) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Self {
            address,
            state,
            thread: Some(thread),
        }
    }

    /// From now on it does this.
    pub fn set(&self, reply: Reply) {
        self.state.lock().unwrap().reply = reply;
    }

    /// The names that it was asked for.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let ender = UdpSocket::bind("127.0.0.1:0").unwrap();
        ender.send_to(&[], self.address).unwrap();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// See RFC 1035, section 4.
fn answer(query: &[u8], reply: &Reply) -> Option<Vec<u8>> {
    let (code, records) = match reply {
        Reply::Silence => return None,
        Reply::Code(code) => (*code, &[][..]),
        Reply::Records(records) => (0, &records[..]),
    };
    let mut bytes = query[..2].to_vec();
    bytes.extend([0x81, 0x80 | code, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    bytes.extend(&query[12..]);
    for (priority, weight, port, target) in records {
        // The name of the question; SRV, Internet, a minute.
        bytes.extend(b"\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x3c");
        let mut data = [priority, weight, port]
            .map(|number| number.to_be_bytes())
            .concat();
        for label in target.split('.').filter(|label| !label.is_empty()) {
            data.push(label.len() as u8);
            data.extend(label.bytes());
        }
        data.push(0);
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(data);
    }
    Some(bytes)
}

fn name(mut bytes: &[u8]) -> String {
    let mut labels = Vec::new();
    while let Some((&length, rest)) = bytes.split_first().filter(|(length, _)| **length > 0) {
        let (label, rest) = rest.split_at(length.into());
        labels.push(String::from_utf8_lossy(label).into_owned());
        bytes = rest;
    }
    labels.join(".")
}
