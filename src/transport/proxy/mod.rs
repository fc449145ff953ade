//! Connecting through a proxy: HTTP CONNECT (RFC 9110, section 9.3.6) and SOCKS5 (RFC 1928).

mod http;
mod socks5;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::dial::connect_tcp;
use super::endpoint::Endpoint;
use super::lookup::{look_up, system_resolver};
use super::options::{DialOptions, parse_ip};
use super::socket::Socket;
use super::talk::Talk;
use super::wait::Wait;

/// A proxy to connect through.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) kind: ProxyKind,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// User name and password.
    pub(crate) credentials: Option<(String, String)>,
    /// The server's name is looked up here and not by the proxy.
    pub(crate) resolve_here: bool,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyKind {
    Http,
    Socks5,
}

/// Where the proxy is to connect to.
#[derive(Clone, Debug)]
enum Destination {
    Name(String, u16),
    Address(SocketAddr),
}

/// Connects to a server through a proxy; `resolver` is for the server's name.
///
/// Where names are looked up here, the addresses are tried one after the other.
///
/// # Errors
///
/// `Interrupted` if cancelled; otherwise an error that names the proxy and what it says.
pub(super) fn connect<R>(
    resolver: R,
    proxy: &Proxy,
    (host, port): (&str, u16),
    options: &DialOptions,
    wait: &mut Wait,
) -> io::Result<Socket>
where
    R: FnOnce(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + 'static,
{
    let mut destinations = destinations(resolver, proxy, host, port, wait)?.into_iter();
    let mut destination = destinations.next().ok_or(io::ErrorKind::NotFound)?;
    loop {
        let reached = connect_tcp(system_resolver, &proxy.host, proxy.port, options, wait);
        let stream =
            reached.map_err(|error| proxy.refusal(error.kind(), format!("cannot be reached: {error}")))?;
        let mut socket = Socket::plain(Endpoint::Tcp(stream));
        log::debug!(target: "callmq", "connecting to {destination} through the proxy {proxy}");
        let mut talk = Talk::new(&mut socket, wait)?;
        let asked = match proxy.kind {
            ProxyKind::Http => http::ask(proxy, &destination, &mut talk),
            ProxyKind::Socks5 => socks5::ask(proxy, &destination, &mut talk),
        };
        drop(talk);
        match (asked.map_err(|error| proxy.explain(error)), destinations.next()) {
            (Ok(()), _) => return Ok(socket),
            // The next address is worth a try only where this one was refused.
            (Err(error), Some(next)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                log::debug!(target: "callmq", "{error}");
                destination = next;
            }
            (Err(error), _) => return Err(error),
        }
    }
}

fn destinations<R>(
    resolver: R,
    proxy: &Proxy,
    host: &str,
    port: u16,
    wait: &mut Wait,
) -> io::Result<Vec<Destination>>
where
    R: FnOnce(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + 'static,
{
    if let Some(address) = parse_ip(host) {
        return Ok(vec![Destination::Address((address, port).into())]);
    }
    if !proxy.resolve_here {
        return Ok(vec![Destination::Name(host.to_owned(), port)]);
    }
    let addresses = look_up(resolver, host, port, wait)?;
    Ok(addresses.into_iter().map(Destination::Address).collect())
}

impl Proxy {
    /// The proxy has refused, or said something that is not understood.
    fn refusal(&self, kind: io::ErrorKind, what: impl fmt::Display) -> io::Error {
        io::Error::new(kind, format!("the proxy {self} {what}"))
    }

    /// Says of an error of the connection to the proxy that it is one. A refusal says so already.
    fn explain(&self, error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::TimedOut => self.refusal(error.kind(), "did not connect in time"),
            _ if error.get_ref().is_some() => error,
            io::ErrorKind::UnexpectedEof => {
                let what = "closed the connection before it answered";
                self.refusal(io::ErrorKind::ConnectionAborted, what)
            }
            kind => self.refusal(kind, format!("broke the connection: {error}")),
        }
    }
}

/// Without the credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("kind", &self.kind)
            .field("host", &self.host)
            .field("port", &self.port)
            .field(
                "username",
                &self.credentials.as_ref().map(|credentials| &credentials.0),
            )
            .field("resolve_here", &self.resolve_here)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(host, port) => write!(f, "{host}:{port}"),
            // A zone has a meaning on this machine only.
            Self::Address(address) => match address.ip() {
                IpAddr::V4(ip) => write!(f, "{ip}:{}", address.port()),
                IpAddr::V6(ip) => write!(f, "[{ip}]:{}", address.port()),
            },
        }
    }
}
