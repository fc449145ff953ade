//! Packets of MQTT 3.1.1, as a server sees them.

use std::io::{self, ErrorKind, Read};

pub const CONNECT: u8 = 1;
pub const CONNACK: u8 = 2;
pub const PUBLISH: u8 = 3;
pub const PUBACK: u8 = 4;
pub const PUBREC: u8 = 5;
pub const PUBREL: u8 = 6;
pub const PUBCOMP: u8 = 7;
pub const SUBSCRIBE: u8 = 8;
pub const SUBACK: u8 = 9;
pub const PINGREQ: u8 = 12;
pub const PINGRESP: u8 = 13;
pub const DISCONNECT: u8 = 14;

/// A buffer begins with this size, since there may be a thousand connections ..
const SMALL: usize = 1024;
/// .. and doubles while reads fill it, up to this size. Only a packet that does not fit needs a larger one.
const LARGE: usize = 256 * 1024;

/// What was received and is not taken yet.
#[derive(Debug, Default)]
pub struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// A packet without its Remaining Length.
#[derive(Debug)]
pub struct Packet<'a> {
    pub first: u8,
    pub body: &'a [u8],
}

/// What a PUBLISH says. The Packet Identifier is 0 at QoS 0.
#[derive(Debug)]
pub struct Message<'a> {
    pub qos: u8,
    pub topic: &'a [u8],
    pub packet_id: [u8; 2],
    pub payload: &'a [u8],
}

impl Input {
    /// Reads once; `false` is the end.
    pub fn fill(&mut self, stream: &mut impl Read) -> io::Result<bool> {
        let filled = self.end == self.buffer.len();
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let size = self.buffer.len();
        if self.end == size || filled && size < LARGE {
            self.buffer.resize((size * 2).max(SMALL), 0);
        }
        let count = stream.read(&mut self.buffer[self.end..])?;
        self.end += count;
        Ok(count > 0)
    }

    /// The next packet, if it is complete.
    pub fn next_packet(&mut self) -> io::Result<Option<Packet<'_>>> {
        let bytes = &self.buffer[self.start..self.end];
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let (mut length, mut size) = (0, 0);
        loop {
            let Some(&byte) = rest.get(size) else {
                return Ok(None);
            };
            length |= usize::from(byte & 0x7F) << (7 * size);
            size += 1;
            if byte < 0x80 {
                break;
            }
            if size == 4 {
                return Err(ErrorKind::InvalidData.into());
            }
        }
        let Some(body) = rest.get(size..size + length) else {
            return Ok(None);
        };
        self.start += 1 + size + length;
        Ok(Some(Packet { first, body }))
    }
}

impl<'a> Packet<'a> {
    /// What it says if it is a PUBLISH.
    pub fn message(&self) -> io::Result<Message<'a>> {
        self.read_message().ok_or_else(|| ErrorKind::InvalidData.into())
    }

    fn read_message(&self) -> Option<Message<'a>> {
        let qos = self.first >> 1 & 3;
        let (length, rest) = self.body.split_first_chunk()?;
        let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let (packet_id, payload) = if qos == 0 {
            ([0, 0], rest)
        } else {
            let (packet_id, payload) = rest.split_first_chunk()?;
            (*packet_id, payload)
        };
        Some(Message {
            qos,
            topic,
            packet_id,
            payload,
        })
    }
}

/// Appends a packet of at most 127 bytes behind its length.
pub fn put_packet(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.extend_from_slice(&[first, body.len() as u8]);
    out.extend_from_slice(body);
}

/// Appends a PUBLISH of QoS 0.
pub fn put_publish(out: &mut Vec<u8>, topic: &[u8], payload: &[u8]) {
    out.push(PUBLISH << 4);
    let mut length = 2 + topic.len() + payload.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    out.extend_from_slice(topic);
    out.extend_from_slice(payload);
}
