//! A recording proxy between a program and the broker.
//!
//! What the broker sends is held back for a while, as a network round trip does: a program's main thread then has time
//! to go on before the CONNACK is there, and what races on bare loopback has one order.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::wire::{Splitter, hex, name};

/// One thing that was seen on a connection.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    /// The client has connected.
    Open,
    /// The client sent a packet.
    FromClient(Vec<u8>),
    /// The client received a packet.
    FromBroker(Vec<u8>),
    /// The client has closed its direction.
    ClosedByClient,
    /// The client has seen the end of what the broker sends.
    ClosedByBroker,
}

/// An event, and the connection that it was seen on: 1 for the first.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    pub connection: usize,
    pub event: Event,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.connection)?;
        match &self.event {
            Event::Open => f.write_str("open"),
            Event::FromClient(packet) => write!(f, "> {} {}", name(packet[0]), hex(packet)),
            Event::FromBroker(packet) => write!(f, "< {} {}", name(packet[0]), hex(packet)),
            Event::ClosedByClient => f.write_str("close"),
            Event::ClosedByBroker => f.write_str("closed by the broker"),
        }
    }
}

/// A proxy that serves until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    broker_port: u16,
    delay: Duration,
    stopped: AtomicBool,
    records: Mutex<Vec<Record>>,
    streams: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and passes on to `broker_port`, what comes back after `delay`.
    pub fn start(broker_port: u16, delay: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            broker_port,
            delay,
            stopped: AtomicBool::new(false),
            records: Mutex::default(),
            streams: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || serving.accept(&listener));
        Self { port, shared }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Breaks all connections off, on both sides.
    pub fn cut(&self) {
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends as a server that is killed: nobody listens any more, then all connections break.
    pub fn end(self) {
        self.stop();
        self.cut();
    }

    fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }

    /// What has been seen so far.
    pub fn records(&self) -> Vec<Record> {
        self.shared.records.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for (index, client) in listener.incoming().enumerate() {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            let Ok(client) = client else { return };
            let connection = index + 1;
            self.record(connection, Event::Open);
            // When the broker is down the client sees its connection closed.
            let Ok(broker) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.broker_port)) else {
                continue;
            };
            client.set_nodelay(true).unwrap();
            broker.set_nodelay(true).unwrap();
            let (client2, broker2) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
            self.streams
                .lock()
                .unwrap()
                .extend([client.try_clone().unwrap(), broker.try_clone().unwrap()]);
            let (shared, shared2) = (Arc::clone(self), Arc::clone(self));
            thread::spawn(move || shared.pass_to_broker(connection, client, broker));
            thread::spawn(move || shared2.pass_to_client(connection, broker2, client2));
        }
    }

    fn pass_to_broker(&self, connection: usize, mut client: TcpStream, mut broker: TcpStream) {
        let mut splitter = Splitter::default();
        let mut buffer = [0; 65_536];
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            for packet in splitter.feed(&buffer[..count]) {
                self.record(connection, Event::FromClient(packet));
            }
            if broker.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        self.record(connection, Event::ClosedByClient);
        let _ = broker.shutdown(Shutdown::Write);
    }

    fn pass_to_client(&self, connection: usize, mut broker: TcpStream, mut client: TcpStream) {
        let (sender, held_back) = mpsc::channel::<(Instant, Vec<u8>)>();
        let delay = self.delay;
        thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while let Ok(count @ 1..) = broker.read(&mut buffer) {
                let _ = sender.send((Instant::now() + delay, buffer[..count].to_vec()));
            }
            // An empty piece stands for the end of the stream.
            let _ = sender.send((Instant::now() + delay, Vec::new()));
        });
        let mut splitter = Splitter::default();
        for (due, bytes) in held_back {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if bytes.is_empty() {
                break;
            }
            for packet in splitter.feed(&bytes) {
                self.record(connection, Event::FromBroker(packet));
            }
            if client.write_all(&bytes).is_err() {
                return;
            }
        }
        self.record(connection, Event::ClosedByBroker);
        let _ = client.shutdown(Shutdown::Write);
    }

    fn record(&self, connection: usize, event: Event) {
        self.records.lock().unwrap().push(Record { connection, event });
    }
}
