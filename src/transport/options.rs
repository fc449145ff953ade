//! What to connect to, and how.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::proxy::Proxy;
use super::stream::Stream;
#[cfg(feature = "tls")]
use super::tls::TlsConfig;
#[cfg(feature = "websocket")]
use super::websocket::WebSocketConfig;

/// Opens a stream of the user's own. It runs on the thread that connects and is called again for each connection.
pub(crate) type Connector = Arc<dyn Fn() -> io::Result<Arc<dyn Stream>> + Send + Sync>;

/// What to connect to.
#[derive(Clone)]
pub(crate) enum Target {
    /// A host, by its name or IP address (an IPv6 address with or without brackets), and a TCP port.
    Tcp { host: String, port: u16 },
    /// A unix socket, by its path.
    #[cfg(unix)]
    Unix(PathBuf),
    /// Whatever the connector opens.
    Custom(Connector),
}

#[cfg(any(feature = "tls", feature = "websocket"))]
impl Target {
    /// The host; none where there is no such thing.
    #[cfg(feature = "tls")]
    pub(super) fn host(&self) -> Option<&str> {
        match self {
            Self::Tcp { host, .. } => Some(host),
            _ => None,
        }
    }

    /// The host and the port, which is left out where HTTP has it: for a header `Host` (RFC 9110, section 7.2).
    #[cfg(feature = "websocket")]
    pub(super) fn authority(&self, tls: bool) -> String {
        let Self::Tcp { host, port } = self else {
            return "localhost".to_owned();
        };
        // A zone has a meaning on this machine only.
        let host = host.split('%').next().unwrap_or(host);
        let host = match parse_ip(host) {
            Some(IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => host.to_owned(),
        };
        match (port, tls) {
            (80, false) | (443, true) => host,
            _ => format!("{host}:{port}"),
        }
    }
}

impl Target {
    /// Whether it leads to the same place; a connector is one only with itself.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Tcp { host, port },
                Self::Tcp {
                    host: other,
                    port: at,
                },
            ) => host.eq_ignore_ascii_case(other) && port == at,
            #[cfg(unix)]
            (Self::Unix(path), Self::Unix(other)) => path == other,
            (Self::Custom(connector), Self::Custom(other)) => Arc::ptr_eq(connector, other),
            _ => false,
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "Tcp({host:?}, {port})"),
            #[cfg(unix)]
            Self::Unix(path) => write!(f, "Unix({path:?})"),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}

/// How to connect. What is about TCP is for TCP targets only.
#[derive(Clone, Debug)]
pub(crate) struct DialOptions {
    /// The local IP address to connect from. Addresses of the other family are skipped. An empty text is no address.
    pub(crate) bind_address: Option<String>,
    /// The local port to connect from; 0 leaves the choice to the system.
    pub(crate) bind_port: u16,
    /// Sends small writes at once (`TCP_NODELAY`).
    pub(crate) tcp_nodelay: bool,
    /// How long the connection may be silent before the system probes it, and the time between probes, in whole
    /// seconds from 1 to 32,767; none turns the probes off.
    pub(crate) tcp_keep_alive: Option<Duration>,
    /// How long written bytes may stay unacknowledged before the system ends the connection (`TCP_USER_TIMEOUT`).
    /// Ignored where the system does not have it; none and zero leave the system's default.
    pub(crate) tcp_user_timeout: Option<Duration>,
    /// What to connect through.
    pub(crate) proxy: Option<Arc<Proxy>>,
    /// How to speak TLS; none is without.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Arc<TlsConfig>>,
    /// How to ask for a WebSocket; none is without.
    #[cfg(feature = "websocket")]
    pub(crate) websocket: Option<WebSocketConfig>,
    /// How long looking up the name, all attempts and the handshakes may take together.
    pub(crate) connect_timeout: Duration,
    /// How long an attempt has a lead over the next address.
    pub(crate) stagger: Duration,
}

impl Default for DialOptions {
    fn default() -> Self {
        Self {
            bind_address: None,
            bind_port: 0,
            tcp_nodelay: true,
            tcp_keep_alive: None,
            tcp_user_timeout: None,
            proxy: None,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "websocket")]
            websocket: None,
            connect_timeout: Duration::from_secs(5),
            // The value that RFC 8305 recommends.
            stagger: Duration::from_millis(250),
        }
    }
}

impl DialOptions {
    /// The same way, without anything that changes the bytes.
    pub(crate) fn without_layers(self) -> Self {
        Self {
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "websocket")]
            websocket: None,
            ..self
        }
    }

    /// Whether something is to change the bytes on their way.
    pub(super) fn has_layers(&self) -> bool {
        #[cfg(feature = "websocket")]
        if self.websocket.is_some() {
            return true;
        }
        self.is_tls()
    }

    pub(super) fn is_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// Where to connect from.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the address to bind to is not an IP address.
    pub(super) fn bind(&self) -> io::Result<Bind> {
        let port = self.bind_port;
        match self.bind_address.as_deref() {
            None | Some("") if port == 0 => Ok(Bind::Any),
            None | Some("") => Ok(Bind::Port(port)),
            Some(text) => match parse_ip(text) {
                Some(ip) => Ok(Bind::Address(SocketAddr::new(ip, port))),
                None => Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("bind address {text:?} is not an IP address"),
                )),
            },
        }
    }
}

/// Where to connect from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bind {
    Any,
    Port(u16),
    Address(SocketAddr),
}

impl Bind {
    /// Whether a socket bound here can reach `peer`.
    pub(super) fn fits(self, peer: SocketAddr) -> bool {
        match self {
            Self::Any | Self::Port(_) => true,
            Self::Address(local) => local.is_ipv4() == peer.is_ipv4(),
        }
    }

    /// The local address of a socket that is to reach `peer`, if it is not left to the system.
    pub(super) fn local(self, peer: SocketAddr) -> Option<SocketAddr> {
        match self {
            Self::Any => None,
            Self::Port(port) if peer.is_ipv4() => Some((Ipv4Addr::UNSPECIFIED, port).into()),
            Self::Port(port) => Some((Ipv6Addr::UNSPECIFIED, port).into()),
            Self::Address(local) => Some(local),
        }
    }
}

/// The IP address that `text` writes, an IPv6 address also in brackets.
pub(super) fn parse_ip(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}
