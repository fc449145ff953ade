//! The server's side of the benchmarks: no broker, only what a client has to meet so that it can be measured.
//!
//! It speaks MQTT 3.1.1, acknowledges, and does what it is asked for by messages on two topics. One thread for each
//! connection; a message costs it some nanoseconds, so that the client is what is measured.
//!
//! | topic of a message to the peer | payload | what the peer does |
//! |---|---|---|
//! | `peer/count` | N | once it has got N more messages: sends one on `counted` |
//! | `peer/send` | N SIZE TOPICS GROUPS | sends N messages of SIZE bytes, on TOPICS topics `site/GROUP/NUMBER` in turn, spread over GROUPS groups |

mod process;
pub mod wire;

pub use process::{PROCESS_ARGUMENT, Peer};

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use wire::{Input, Packet, put_packet, put_publish};

/// What the peer sends goes out in blocks of about this size.
const BLOCK: usize = 256 * 1024;

/// A connection needs little; there may be a thousand.
const STACK: usize = 128 * 1024;

/// Serves every connection that is made, over what `open` makes of it.
///
/// # Errors
///
/// No connection can be accepted, or no thread be started.
pub fn serve<S: Read + Write>(
    listener: &TcpListener,
    open: impl Fn(TcpStream) -> io::Result<S> + Clone + Send + 'static,
) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        let open = open.clone();
        thread::Builder::new().stack_size(STACK).spawn(move || {
            // However it ends: the client sees it.
            let _ = stream
                .set_nodelay(true)
                .and_then(|()| open(stream))
                .and_then(|stream| Connection::new(stream).run());
        })?;
    }
}

struct Connection<S> {
    stream: S,
    output: Vec<u8>,
    /// Messages until `counted` is due.
    left: Option<u64>,
}

/// What a message on `peer/send` asks for.
struct Order {
    count: usize,
    size: usize,
    topics: usize,
    groups: usize,
}

impl<S: Read + Write> Connection<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            output: Vec::new(),
            left: None,
        }
    }

    fn run(&mut self) -> io::Result<()> {
        let mut input = Input::default();
        while input.fill(&mut self.stream)? {
            while let Some(packet) = input.next_packet()? {
                self.answer(&packet)?;
            }
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    fn answer(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let output = &mut self.output;
        match packet.first >> 4 {
            wire::CONNECT => put_packet(output, wire::CONNACK << 4, &[0, 0]),
            wire::PUBLISH => return self.take(packet),
            wire::PUBREL => put_packet(output, wire::PUBCOMP << 4, packet.body),
            wire::SUBSCRIBE => {
                let [high, low, ..] = *packet.body else {
                    return Err(ErrorKind::InvalidData.into());
                };
                put_packet(output, wire::SUBACK << 4, &[high, low, 0]);
            }
            wire::PINGREQ => put_packet(output, wire::PINGRESP << 4, &[]),
            wire::DISCONNECT => return Err(ErrorKind::ConnectionAborted.into()),
            _ => return Err(ErrorKind::InvalidData.into()),
        }
        Ok(())
    }

    fn take(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let message = packet.message()?;
        match message.qos {
            0 => {}
            1 => put_packet(&mut self.output, wire::PUBACK << 4, &message.packet_id),
            _ => put_packet(&mut self.output, wire::PUBREC << 4, &message.packet_id),
        }
        match message.topic {
            b"peer/count" => self.left = Some(numbers(message.payload)?[0]),
            b"peer/send" => {
                let [count, size, topics, groups] = numbers(message.payload)?.map(|number| number as usize);
                self.send(&Order {
                    count,
                    size,
                    topics: topics.max(1),
                    groups: groups.max(1),
                })?;
            }
            _ => {
                if let Some(left) = &mut self.left {
                    *left -= 1;
                    if *left == 0 {
                        self.left = None;
                        put_publish(&mut self.output, b"counted", &[]);
                    }
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, order: &Order) -> io::Result<()> {
        self.flush()?;
        // Whole rounds of the topics, as many as fill a block.
        let payload = vec![b'x'; order.size];
        let (mut block, mut ends) = (Vec::new(), Vec::new());
        while block.len() < BLOCK {
            for number in 0..order.topics {
                let group = number * order.groups / order.topics;
                put_publish(&mut block, format!("site/{group}/{number}").as_bytes(), &payload);
                ends.push(block.len());
            }
        }
        let mut left = order.count;
        while left > 0 {
            let count = left.min(ends.len());
            self.stream.write_all(&block[..ends[count - 1]])?;
            left -= count;
        }
        Ok(())
    }
}

/// The numbers in a payload; 0 where there are fewer.
fn numbers(payload: &[u8]) -> io::Result<[u64; 4]> {
    let text = std::str::from_utf8(payload).map_err(|_| ErrorKind::InvalidData)?;
    let mut numbers = [0; 4];
    for (number, word) in numbers.iter_mut().zip(text.split_whitespace()) {
        *number = word.parse().map_err(|_| ErrorKind::InvalidData)?;
    }
    Ok(numbers)
}
