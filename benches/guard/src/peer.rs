//! The server at the other end of the client, without a socket and without a thread: it answers while it is written to.
//!
//! What it executes is counted with the client's, so it does as little as it can: some 20 instructions for a message.

use std::io::{self, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use callmq::client::{Stream, Waker};

/// So many messages at a time: what the peer sends as one block, and what the client publishes in one callback.
pub(crate) const BURST: u64 = 256;

/// The payload of every message.
pub(crate) const PAYLOAD: [u8; 64] = [b'x'; 64];

/// The topic of every message, the one that the client subscribes to included.
pub(crate) const TOPIC: &str = "bench/guard/topic";

/// What the peer does once the client has subscribed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// Sends a message of QoS 0, and another each time that it has got a burst and the exchanges are finished.
    Sink,
    /// Sends so many bursts of this QoS, each when the one before is acknowledged.
    Source { qos: u8, bursts: u64 },
}

/// An MQTT 3.1.1 server for one client.
#[derive(Debug)]
pub(crate) struct Peer(Mutex<State>);

#[derive(Debug)]
struct State {
    role: Role,
    waker: Option<Waker>,
    /// What the client is to read, from `read` on.
    outbound: Vec<u8>,
    read: usize,
    /// Finished exchanges, of messages in either direction.
    finished: u64,
    /// How often the client was sent the burst.
    bursts: u64,
    /// The messages of a burst to the client.
    burst: Vec<u8>,
}

impl Peer {
    pub(crate) fn new(role: Role) -> Self {
        let burst = match role {
            Role::Sink => publish(0, 0),
            Role::Source { qos, .. } => (1..=BURST as u16).flat_map(|id| publish(qos, id)).collect(),
        };
        Self(Mutex::new(State {
            role,
            waker: None,
            outbound: Vec::new(),
            read: 0,
            finished: 0,
            bursts: 0,
            burst,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for Peer {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        let waiting = &state.outbound[state.read..];
        let count = waiting.len().min(buffer.len());
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        buffer[..count].copy_from_slice(&waiting[..count]);
        state.read += count;
        if state.read == state.outbound.len() {
            state.outbound.clear();
            state.read = 0;
            state.all_read();
        }
        Ok(count)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (packet, behind) = split_packet(rest)?;
            state.answer(packet)?;
            rest = behind;
        }
        if state.read < state.outbound.len() {
            if let Some(waker) = &state.waker {
                waker.wake();
            }
        }
        Ok(bytes.len())
    }

    fn shutdown(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_waker(&self, waker: Waker) {
        self.state().waker = Some(waker);
    }
}

impl State {
    fn answer(&mut self, packet: &[u8]) -> io::Result<()> {
        match *packet {
            // PUBLISH
            [0x30, ..] => self.finish(),
            [0x32, ..] => {
                self.acknowledge(0x40, packet_id(packet)?);
                self.finish();
            }
            [0x34, ..] => self.acknowledge(0x50, packet_id(packet)?),
            // PUBACK, PUBREC, PUBREL, PUBCOMP
            [0x40, 2, _, _] | [0x70, 2, _, _] => self.finish(),
            [0x50, 2, high, low] => self.acknowledge(0x62, [high, low]),
            [0x62, 2, high, low] => {
                self.acknowledge(0x70, [high, low]);
                self.finish();
            }
            // CONNECT, SUBSCRIBE, DISCONNECT
            [0x10, ..] => self.outbound.extend([0x20, 2, 0, 0]),
            [0x82, _, high, low, .., qos] => {
                self.outbound.extend([0x90, 3, high, low, qos]);
                self.send_burst();
            }
            [0xE0, 0] => {}
            _ => return Err(ErrorKind::InvalidData.into()),
        }
        Ok(())
    }

    fn acknowledge(&mut self, first: u8, [high, low]: [u8; 2]) {
        self.outbound.extend([first, 2, high, low]);
    }

    /// An exchange is finished: perhaps the last of a burst.
    fn finish(&mut self) {
        self.finished += 1;
        if self.finished % BURST == 0 {
            self.send_burst();
        }
    }

    /// Of QoS 0 nothing else is to be waited for.
    fn all_read(&mut self) {
        if matches!(self.role, Role::Source { qos: 0, .. }) && self.bursts > 0 {
            self.send_burst();
        }
    }

    fn send_burst(&mut self) {
        let left = match self.role {
            Role::Sink => true,
            Role::Source { bursts, .. } => self.bursts < bursts,
        };
        if left {
            self.bursts += 1;
            self.outbound.extend_from_slice(&self.burst);
        }
    }
}

/// A PUBLISH to the client.
fn publish(qos: u8, packet_id: u16) -> Vec<u8> {
    let packet_id = packet_id.to_be_bytes();
    let packet_id: &[u8] = if qos == 0 { &[] } else { &packet_id };
    let length = 2 + TOPIC.len() + packet_id.len() + PAYLOAD.len();
    let mut packet = vec![0x30 | qos << 1, length as u8, 0, TOPIC.len() as u8];
    packet.extend_from_slice(TOPIC.as_bytes());
    packet.extend_from_slice(packet_id);
    packet.extend_from_slice(&PAYLOAD);
    packet
}

/// The packet at the front of what the client wrote. It writes whole packets, and all of them are short.
#[inline(always)]
fn split_packet(bytes: &[u8]) -> io::Result<(&[u8], &[u8])> {
    let length = bytes.get(1).filter(|&&length| length < 0x80);
    let split = length.and_then(|&length| bytes.split_at_checked(2 + usize::from(length)));
    split.ok_or_else(|| ErrorKind::InvalidData.into())
}

/// The Packet Identifier of a PUBLISH, behind its topic.
#[inline(always)]
fn packet_id(publish: &[u8]) -> io::Result<[u8; 2]> {
    let id = publish.get(4 + TOPIC.len()..).and_then(|rest| rest.first_chunk());
    id.copied().ok_or_else(|| ErrorKind::InvalidData.into())
}
