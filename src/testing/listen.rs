//! The thread that serves a port: moves bytes between sockets and the broker's state.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::shared::Shared;
use super::state::{ConnectionId, Fate};

/// A running thread; dropping it ends the thread and closes all its sockets.
#[derive(Debug)]
pub(super) struct Server {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// `poll` is the one that the waker of `shared` belongs to.
    pub(super) fn start(shared: Arc<Shared>, mut listener: TcpListener, poll: Poll) -> io::Result<Self> {
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        let stop = Arc::new(AtomicBool::new(false));
        let port = Port {
            shared: Arc::clone(&shared),
            stop: Arc::clone(&stop),
            number: listener.local_addr()?.port(),
            listener,
            poll,
            links: BTreeMap::new(),
        };
        let thread = std::thread::Builder::new()
            .name("callmq-broker".to_owned())
            .spawn(move || port.serve())?;
        Ok(Self {
            shared,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.shared.wake_port();
        // The log listener of the user may drop the broker: a thread cannot wait for itself.
        let own = |thread: &JoinHandle<()>| thread.thread().id() == std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(|thread| !own(thread)) {
            let _ = thread.join();
        }
    }
}

/// What the thread owns.
struct Port {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    number: u16,
    listener: TcpListener,
    poll: Poll,
    links: BTreeMap<ConnectionId, Link>,
}

/// One socket.
struct Link {
    id: ConnectionId,
    stream: TcpStream,
    /// Taken from the broker, not written yet.
    unwritten: Bytes,
    /// The socket may have bytes: readiness is told once, at its edge.
    readable: bool,
    writable: bool,
    /// The broker has closed: what comes is thrown away, until the peer closes as well or this time. Closing with
    /// unread input would reset the connection and lose what was written last.
    lingering: Option<Instant>,
    /// The peer was told that nothing more comes.
    shut_down: bool,
}

impl Port {
    fn serve(mut self) {
        let mut events = Events::with_capacity(256);
        let mut busy = false;
        while !self.stop.load(Ordering::Acquire) {
            let timeout = if busy {
                Some(Duration::ZERO)
            } else {
                self.timeout()
            };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    log::error!(target: "callmq::testing", "the broker stops: {error}");
                    return;
                }
                _ => {}
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    WAKER => {}
                    Token(number) => {
                        if let Some(link) = self.links.get_mut(&(number as ConnectionId)) {
                            link.readable |=
                                event.is_readable() || event.is_read_closed() || event.is_error();
                            link.writable |= event.is_writable() || event.is_error();
                        }
                    }
                }
            }
            // Time passes also where nothing else happens.
            self.shared.serve(|_| ());
            busy = self.serve_links();
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let now = Instant::now();
        let lingering = self.links.values().filter_map(|link| link.lingering);
        let lingering = lingering.min().map(|at| at.saturating_duration_since(now));
        lingering.into_iter().chain(self.shared.idle_time()).min()
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    if let Err(error) = self.add(stream, peer) {
                        log::warn!(target: "callmq::testing", "the broker cannot serve {peer}: {error}");
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nobody else waits, or there are no descriptors left: the next event tries again.
                Err(_) => return,
            }
        }
    }

    fn add(&mut self, mut stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let connect = self
            .shared
            .serve(|state| state.connect(&peer.to_string(), Some(self.number)));
        let Some(id) = connect else {
            return Ok(());
        };
        let token = Token(id as usize);
        if let Err(error) =
            self.poll
                .registry()
                .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)
        {
            self.shared.serve(|state| state.closed(id));
            return Err(error);
        }
        let link = Link {
            id,
            stream,
            unwritten: Bytes::new(),
            readable: true,
            writable: true,
            lingering: None,
            shut_down: false,
        };
        self.links.insert(id, link);
        Ok(())
    }

    /// Gives each socket a turn; returns whether one of them has more to read.
    fn serve_links(&mut self) -> bool {
        let mut busy = false;
        // Reading first: what one client sends is output for others.
        self.links.retain(|_, link| link.read(&self.shared));
        self.shared.take_touched();
        self.links.retain(|_, link| {
            let open = link.write(&self.shared);
            busy |= open && link.readable && link.may_read(&self.shared);
            open
        });
        // Time passes and connections break while output is written: it may have become more for one that had its turn.
        busy | self.shared.take_touched()
    }
}

impl Link {
    fn may_read(&self, shared: &Shared) -> bool {
        self.lingering.is_some() || shared.look(|state| state.wants_input(self.id))
    }

    /// Reads what is there, within limits; `false` if the link has ended.
    fn read(&mut self, shared: &Shared) -> bool {
        let mut buffer = [0; READ_SIZE];
        for _ in 0..READS_PER_TURN {
            if !self.readable || !self.may_read(shared) {
                break;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return self.over(shared),
                Ok(_) if self.lingering.is_some() => {}
                Ok(count) => shared.serve(|state| state.handle_bytes(self.id, &buffer[..count])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.over(shared),
            }
        }
        true
    }

    /// Writes what there is room for; `false` if the link has ended.
    fn write(&mut self, shared: &Shared) -> bool {
        if shared.look(|state| state.fate(self.id)) == Fate::Abort {
            return self.over(shared);
        }
        if self.drain(shared).is_err() {
            return self.over(shared);
        }
        // Asked again: the broker may have parted from this client while it gave its output.
        match shared.look(|state| state.fate(self.id)) {
            Fate::Open => true,
            Fate::Abort => self.over(shared),
            // A goodbye may have come behind what was written; nothing more comes behind that.
            Fate::Close => {
                let all_written = self.drain(shared);
                all_written.is_ok_and(|all_written| self.linger(all_written)) || self.over(shared)
            }
        }
    }

    /// Writes until there is nothing left, which it returns, or no room.
    fn drain(&mut self, shared: &Shared) -> io::Result<bool> {
        loop {
            if self.unwritten.is_empty() {
                match shared.serve(|state| state.take_output(self.id, usize::MAX)) {
                    Some(bytes) => self.unwritten = bytes,
                    None => return Ok(true),
                }
            }
            if !self.writable {
                return Ok(false);
            }
            match self.stream.write(&self.unwritten) {
                Ok(count) => self.unwritten.advance(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The broker is done with this client; `false` if the peer took too long to take the rest and to close.
    fn linger(&mut self, all_written: bool) -> bool {
        let now = Instant::now();
        let until = *self.lingering.get_or_insert(now + LINGER);
        if all_written && !self.shut_down {
            self.shut_down = true;
            return self.stream.shutdown(Shutdown::Write).is_ok();
        }
        now < until
    }

    fn over(&self, shared: &Shared) -> bool {
        shared.serve(|state| state.closed(self.id));
        false
    }
}

/// Connections are numbered from 1 on.
const LISTENER: Token = Token(0);
pub(super) const WAKER: Token = Token(usize::MAX);

const READ_SIZE: usize = 16 * 1024;
/// So that one client cannot keep the others waiting.
const READS_PER_TURN: usize = 16;
/// How long a closed connection waits for the peer to close.
const LINGER: Duration = Duration::from_millis(500);
