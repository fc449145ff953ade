//! The server's end of the connection, in a thread of its own.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use bench_peer::wire::{self, Input, put_packet, put_publish};
use compare::Failure;

use crate::pace::{Load, Next, Pace, now};
use crate::record::{Outcome, Record};

/// At most this many messages go into one write.
const BURST: usize = 256;

/// Serves one client.
pub(crate) struct Server<T> {
    pub(crate) port: u16,
    thread: JoinHandle<Result<T, Failure>>,
}

impl<T: Send + 'static> Server<T> {
    fn start(serve: impl FnOnce(TcpStream) -> Result<T, Failure> + Send + 'static) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            serve(stream)
        });
        Ok(Self { port, thread })
    }

    /// Waits for the end of the run.
    pub(crate) fn finish(self) -> Result<T, Failure> {
        self.thread
            .join()
            .unwrap_or_else(|_| Err("the server panicked".into()))
    }
}

/// Takes messages until the client leaves: how old they were when the read that brought them returned.
pub(crate) fn sink() -> Result<Server<Outcome>, Failure> {
    Server::start(|mut stream| {
        let (mut input, mut record) = (Input::default(), Record::new()?);
        let mut outcome = None;
        // However it leaves: the last message tells whether all of them came.
        while input.fill(&mut stream).unwrap_or(false) {
            let now = now();
            while let Some(packet) = input.next_packet()? {
                if packet.first >> 4 == wire::PUBLISH {
                    outcome = outcome.or(record.arrived(packet.message()?.payload, now));
                } else {
                    answer(&mut stream, &packet)?;
                }
            }
        }
        outcome.ok_or_else(|| "the client left before the last message".into())
    })
}

/// Sends messages as soon as the client has subscribed, stamped just before they are written, and waits until it leaves.
pub(crate) fn source(load: Load) -> Result<Server<()>, Failure> {
    Server::start(move |mut stream| {
        let mut input = Input::default();
        let mut subscribed = false;
        while !subscribed && input.fill(&mut stream)? {
            while let Some(packet) = input.next_packet()? {
                subscribed |= packet.first >> 4 == wire::SUBSCRIBE;
                answer(&mut stream, &packet)?;
            }
        }
        send(&mut stream, load)?;
        // However it leaves.
        while input.fill(&mut stream).unwrap_or(false) {}
        Ok(())
    })
}

fn send(stream: &mut TcpStream, load: Load) -> Result<(), Failure> {
    let (mut pace, mut burst) = (Pace::new(load), Vec::new());
    loop {
        burst.clear();
        let mut last = false;
        for _ in 0..BURST {
            match pace.next() {
                Next::Send(payload) => put_publish(&mut burst, b"latency", &payload),
                Next::Wait => break,
                Next::End(payload) => {
                    put_publish(&mut burst, b"latency", &payload);
                    last = true;
                    break;
                }
            }
        }
        if burst.is_empty() {
            thread::yield_now();
            continue;
        }
        stream.write_all(&burst)?;
        if last {
            return Ok(());
        }
    }
}

fn answer(stream: &mut TcpStream, packet: &wire::Packet<'_>) -> Result<(), Failure> {
    let mut output = Vec::new();
    match (packet.first >> 4, packet.body) {
        (wire::CONNECT, _) => put_packet(&mut output, wire::CONNACK << 4, &[0, 0]),
        (wire::SUBSCRIBE, &[high, low, ..]) => put_packet(&mut output, wire::SUBACK << 4, &[high, low, 0]),
        (wire::PINGREQ, _) => put_packet(&mut output, wire::PINGRESP << 4, &[]),
        _ => {}
    }
    Ok(stream.write_all(&output)?)
}
