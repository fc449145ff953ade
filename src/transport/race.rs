//! Several addresses of one server raced against each other, as in RFC 8305.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Token};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::options::{Bind, DialOptions};
use super::wait::{Wait, timed_out};

/// Connects to the first of `addresses` that answers; they are tried in their order, each with a lead over the next.
///
/// # Errors
///
/// `Interrupted` if cancelled; otherwise the most telling of the errors of all attempts.
pub(super) fn race(
    addresses: Vec<SocketAddr>,
    bind: Bind,
    options: &DialOptions,
    wait: &mut Wait,
) -> io::Result<TcpStream> {
    let mut waiting = VecDeque::from(addresses);
    let mut attempts: Vec<Option<(SocketAddr, TcpStream)>> = Vec::new();
    let mut failure = Failure::default();
    let mut next_start = Some(Instant::now());
    loop {
        // A huge stagger has no end (`None`): the next attempt starts when all others have failed.
        let now = Instant::now();
        while next_start.is_some_and(|start| start <= now) {
            let Some(address) = waiting.pop_front() else { break };
            let mut stream = match start(address, bind, options) {
                Ok(stream) => stream,
                Err(error) => {
                    failure.add(address, error);
                    continue;
                }
            };
            match outcome(&stream) {
                // A server on the same machine: nothing has to be waited for.
                Outcome::Connected => return Ok(stream),
                Outcome::Failed(error) => failure.add(address, error),
                Outcome::Pending => {
                    let token = Token(attempts.len());
                    wait.registry()?
                        .register(&mut stream, token, Interest::WRITABLE)?;
                    attempts.push(Some((address, stream)));
                    next_start = now.checked_add(options.stagger);
                }
            }
        }
        if waiting.is_empty() && attempts.iter().all(Option::is_none) {
            return Err(failure.into_error());
        }
        let ready = match wait.next(next_start.filter(|_| !waiting.is_empty())) {
            Ok(ready) => ready,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                failure.keep(error);
                return Err(failure.into_error());
            }
            Err(error) => return Err(error),
        };
        for token in ready {
            let Some(slot) = attempts.get_mut(token.0) else {
                continue;
            };
            let Some((address, mut stream)) = slot.take() else {
                continue;
            };
            match outcome(&stream) {
                Outcome::Connected => {
                    wait.registry()?.deregister(&mut stream)?;
                    return Ok(stream);
                }
                Outcome::Pending => *slot = Some((address, stream)),
                Outcome::Failed(error) => {
                    failure.add(address, error);
                    next_start = Some(Instant::now());
                }
            }
        }
    }
}

/// Begins to connect, without waiting.
fn start(peer: SocketAddr, bind: Bind, options: &DialOptions) -> io::Result<TcpStream> {
    log::debug!(target: "callmq", "connecting to {peer}");
    let socket = non_blocking(Domain::for_address(peer))?;
    set_options(&socket, options)?;
    if let Some(local) = bind.local(peer) {
        // With a fixed port, the last connection's TIME_WAIT and another attempt of this race must not be in the way.
        // On Windows the option means something else.
        if cfg!(unix) && local.port() != 0 {
            socket.set_reuse_address(true)?;
        }
        socket
            .bind(&local.into())
            .map_err(|error| io::Error::new(error.kind(), format!("cannot bind to {local}: {error}")))?;
    }
    match socket.connect(&peer.into()) {
        Ok(()) => {}
        Err(error) if is_in_progress(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// A socket that does not block; where the system can, it is made as one.
fn non_blocking(domain: Domain) -> io::Result<Socket> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let kind = Type::STREAM.nonblocking();
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let kind = Type::STREAM;
    let socket = Socket::new(domain, kind, Some(Protocol::TCP))?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn set_options(socket: &Socket, options: &DialOptions) -> io::Result<()> {
    socket.set_tcp_nodelay(options.tcp_nodelay)?;
    if let Some(time) = options.tcp_keep_alive {
        let time = time.clamp(KEEP_ALIVE_MIN, KEEP_ALIVE_MAX);
        let keep_alive = TcpKeepalive::new().with_time(time);
        #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple", windows))]
        let keep_alive = keep_alive.with_interval(time);
        socket.set_tcp_keepalive(&keep_alive)?;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(time) = options.tcp_user_timeout {
        socket.set_tcp_user_timeout(Some(time.min(USER_TIMEOUT_MAX)))?;
    }
    Ok(())
}

/// What became of an attempt.
enum Outcome {
    Connected,
    Pending,
    Failed(io::Error),
}

fn outcome(stream: &TcpStream) -> Outcome {
    let socket = SockRef::from(stream);
    match socket.peer_addr() {
        // Where nobody listens on a port of the range that outgoing connections use, a socket can meet itself.
        Ok(peer) if socket.local_addr().is_ok_and(|local| local == peer) => {
            Outcome::Failed(io::ErrorKind::ConnectionRefused.into())
        }
        Ok(_) => Outcome::Connected,
        Err(no_peer) => match socket.take_error() {
            Ok(Some(error)) | Err(error) => Outcome::Failed(error),
            Ok(None) if no_peer.kind() == io::ErrorKind::NotConnected => Outcome::Pending,
            Ok(None) => Outcome::Failed(no_peer),
        },
    }
}

/// Keeps the most telling of the errors; of equal ones the first.
#[derive(Debug, Default)]
struct Failure(Option<io::Error>);

impl Failure {
    fn add(&mut self, address: SocketAddr, error: io::Error) {
        log::debug!(target: "callmq", "cannot connect to {address}: {error}");
        self.keep(error);
    }

    fn keep(&mut self, error: io::Error) {
        if self.0.as_ref().is_none_or(|kept| rank(&error) < rank(kept)) {
            self.0 = Some(error);
        }
    }

    fn into_error(self) -> io::Error {
        self.0.unwrap_or_else(timed_out)
    }
}

/// Low for what says much: an answer of the peer, then what is wrong here, then silence, then a missing route.
fn rank(error: &io::Error) -> u8 {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused | Kind::ConnectionReset | Kind::ConnectionAborted => 0,
        Kind::TimedOut => 2,
        // An address of a family that this machine does not have.
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => 3,
        Kind::AddrNotAvailable if error.get_ref().is_none() => 3,
        #[cfg(unix)]
        _ if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => 3,
        _ => 1,
    }
}

/// Whether the system goes on connecting on its own.
fn is_in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::EINPROGRESS) {
        return true;
    }
    // Windows says this; and an interrupted connect goes on as well.
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// The system counts in whole seconds.
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(1);
/// The most that Linux takes (`MAX_TCP_KEEPIDLE`).
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(32_767);
/// The system counts milliseconds in a C `int`.
#[cfg(any(target_os = "linux", target_os = "android"))]
const USER_TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);

#[cfg(test)]
mod tests {
    use super::*;

    /// From much to little; those of one line say equally much.
    fn errors() -> Vec<Vec<io::Error>> {
        vec![
            vec![
                io::ErrorKind::ConnectionRefused.into(),
                io::ErrorKind::ConnectionReset.into(),
            ],
            vec![
                io::ErrorKind::PermissionDenied.into(),
                // With a text: what `start` says of a bind address.
                io::Error::new(io::ErrorKind::AddrNotAvailable, "cannot bind"),
            ],
            vec![timed_out()],
            vec![
                io::ErrorKind::NetworkUnreachable.into(),
                io::ErrorKind::AddrNotAvailable.into(),
                #[cfg(unix)]
                io::Error::from_raw_os_error(libc::EAFNOSUPPORT),
            ],
        ]
    }

    #[test]
    fn errors_are_ranked_by_what_they_say() {
        for (expected, line) in errors().iter().enumerate() {
            for error in line {
                assert_eq!(usize::from(rank(error)), expected, "{error:?}");
            }
        }
    }

    #[test]
    fn the_most_telling_error_is_kept_and_of_equal_ones_the_first() {
        let mut forwards = Failure::default();
        let mut backwards = Failure::default();
        errors()
            .into_iter()
            .flatten()
            .for_each(|error| forwards.keep(error));
        errors()
            .into_iter()
            .flatten()
            .rev()
            .for_each(|error| backwards.keep(error));
        assert_eq!(forwards.into_error().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(backwards.into_error().kind(), io::ErrorKind::ConnectionReset);
    }
}
