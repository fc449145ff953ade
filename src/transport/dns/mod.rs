//! SRV records: asking the name servers, one after the other, within one time-out.
//!
//! The system's resolver has no call for SRV records, so this speaks DNS itself: a query by UDP, again by TCP where the
//! answer does not fit (RFC 1035, section 4.2). What a message says is decided in `message`, in which order the records
//! are used in `order`; neither does any I/O.

mod message;
mod order;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Interest, Token};
use resolv_conf::{Config, ScopedIp};

use super::cancel::Cancel;
use super::endpoint::Endpoint;
use super::options::{Bind, DialOptions};
use super::race::race;
use super::socket::Socket;
use super::talk::Talk;
use super::wait::Wait;
pub(crate) use message::check_name;
use message::{Answer, Query};
use order::ordered;

/// Where a service is to be found: host and port.
pub(crate) type Place = (String, u16);

/// Each name server is asked so often.
const ROUNDS: usize = 2;

/// A name server may take so long, if there is time: the default of resolv.conf.
const ANSWER: Duration = Duration::from_secs(5);

/// A name server that sends more datagrams than this, none of them the answer, is not listened to any longer.
const STRAY: usize = 100;

/// A larger datagram is cut off, and then not understood; without being asked for more, servers keep to 512 bytes.
const DATAGRAM: usize = 4096;

/// Looks up the SRV records of `name`, in the order in which to use them (RFC 2782); at least one.
///
/// Asks `name_servers`, or those of the system where there are none. Blocks for at most `timeout`.
///
/// # Errors
///
/// - `Interrupted`: cancelled.
/// - `NotFound`: there is no such name, it has no such record, or the record says that there is no such service.
/// - `InvalidInput`: no DNS name.
/// - Otherwise what became of the last name server: `TimedOut`, `InvalidData` where it is not understood, an error of the
///   system.
pub(crate) fn look_up_srv(
    name: &str,
    name_servers: &[SocketAddr],
    timeout: Duration,
    cancel: &Cancel,
) -> io::Result<Vec<Place>> {
    let end = Instant::now().checked_add(timeout);
    let systems;
    let servers = if name_servers.is_empty() {
        systems = system_name_servers()?;
        &systems
    } else {
        name_servers
    };
    let mut problem = io::Error::other("there is no name server");
    for turn in 0..ROUNDS * servers.len() {
        let Some(server) = servers.get(turn % servers.len()) else {
            break;
        };
        let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
        let turns = u32::try_from(ROUNDS * servers.len() - turn).unwrap_or(u32::MAX);
        let asked = ask(*server, name, ANSWER.min(left / turns), cancel);
        log::debug!(target: "callmq", "asked {server} for the servers of {name}: {asked:?}");
        problem = match asked {
            Ok(Answer::Records(records)) => return ordered(records).ok_or_else(|| no_service(name)),
            Ok(Answer::NoName) => return Err(not_found(name, "there is no such name")),
            Ok(Answer::NoRecord) => return Err(not_found(name, "it has no SRV record")),
            Ok(other) => other.into_error(),
            Err(error) if cancel.is_cancelled() => return Err(error),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
            Err(error) => error,
        };
        let kind = problem.kind();
        problem = io::Error::new(
            kind,
            format!("could not look up {name}: name server {server}: {problem}"),
        );
    }
    Err(problem)
}

/// Asks one name server.
fn ask(server: SocketAddr, name: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Answer> {
    let query = Query::new(name)?;
    let mut wait = Wait::new(timeout, cancel);
    match ask_by_udp(server, &query, &mut wait)? {
        Answer::Truncated => ask_by_tcp(server, &query, &mut wait),
        answer => Ok(answer),
    }
}

fn ask_by_udp(server: SocketAddr, query: &Query, wait: &mut Wait) -> io::Result<Answer> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // A port of the system's choice, which is as hard to guess as the id of the query.
    let mut socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    // From now on nobody else is heard.
    socket.connect(server)?;
    wait.registry()?
        .register(&mut socket, Token(0), Interest::READABLE)?;
    socket.send(query.bytes())?;
    let mut datagram = [0; DATAGRAM];
    let mut stray = 0;
    while stray < STRAY {
        match socket.recv(&mut datagram) {
            Ok(count) => match query.judge(datagram.get(..count).unwrap_or_default()) {
                // Too late for an earlier query, or somebody guesses.
                Answer::Stray => stray += 1,
                answer => return Ok(answer),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => drop(wait.next(None)?),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Answer::Stray)
}

fn ask_by_tcp(server: SocketAddr, query: &Query, wait: &mut Wait) -> io::Result<Answer> {
    let stream = race(vec![server], Bind::Any, &DialOptions::default(), wait)?;
    let mut socket = Socket::plain(Endpoint::Tcp(stream));
    let mut talk = Talk::new(&mut socket, wait)?;
    let length = u16::try_from(query.bytes().len()).unwrap_or(u16::MAX);
    talk.write_all(&[&length.to_be_bytes(), query.bytes()].concat())?;
    let mut length = [0; 2];
    talk.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    talk.read_exact(&mut message)?;
    Ok(query.judge(&message))
}

/// The name servers of resolv.conf; as with the system's resolver that of this machine, if it names none.
fn system_name_servers() -> io::Result<Vec<SocketAddr>> {
    let text = std::fs::read(RESOLV_CONF).map_err(|error| {
        let text = format!("which name servers to ask is not known: {RESOLV_CONF}: {error}");
        io::Error::new(error.kind(), text)
    })?;
    // Lines that are not understood are passed over.
    let (mut config, _) = Config::parse_with_errors(&text);
    config.glibc_normalize();
    let addresses = config.get_nameservers_or_local().into_iter();
    Ok(addresses.map(|address| with_port(&address)).collect())
}

fn with_port(address: &ScopedIp) -> SocketAddr {
    match address {
        ScopedIp::V4(ip) => SocketAddr::from((*ip, PORT)),
        ScopedIp::V6(ip, scope) => {
            // The name of an interface cannot be turned into its number here.
            let scope = scope.as_ref().and_then(|scope| scope.parse().ok());
            SocketAddrV6::new(*ip, PORT, 0, scope.unwrap_or(0)).into()
        }
    }
}

fn not_found(name: &str, why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("could not look up {name}: {why}"),
    )
}

/// See RFC 2782 on a target of ".".
fn no_service(name: &str) -> io::Error {
    not_found(name, "the domain says that it does not have this service")
}

/// The port of DNS.
const PORT: u16 = 53;

const RESOLV_CONF: &str = "/etc/resolv.conf";
