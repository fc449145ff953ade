//! One server: where it is, and what to tell it.

mod text;

use std::fmt;
use std::net::Ipv6Addr;
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::session::Credentials;
use crate::transport::{Connector, Target};
use text::from_authority;
pub(super) use text::{Scheme, authority, decoded_text};

/// A server to connect to, possibly with the user name and password to use there.
///
/// Reads the text forms of [`IntoConnect`](super::IntoConnect) and prints as `host:port`, `unix:///path` or a URL,
/// never with the password or the query of a URL.
///
/// ```
/// use callmq::client::Server;
///
/// let server: Server = "mqtt://me:secret@localhost".parse()?;
/// assert_eq!(server.to_string(), "localhost:1883");
/// assert!(!format!("{server:?}").contains("secret"));
/// # Ok::<(), callmq::error::Error>(())
/// ```
#[derive(Clone)]
pub struct Server {
    /// Shared by all copies: what connects keeps several of each.
    parts: Arc<Parts>,
}

/// What is known of a server.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) target: Target,
    pub(crate) scheme: Scheme,
    /// Where the WebSocket is, possibly with a query, as it is sent.
    pub(crate) ws_path: Option<String>,
    pub(crate) credentials: Option<Box<Credentials>>,
}

impl Server {
    /// The port of MQTT without TLS.
    pub const DEFAULT_PORT: u16 = 1883;

    /// The port of MQTT with TLS.
    pub const DEFAULT_TLS_PORT: u16 = 8883;

    /// A server at a host (a name or an IP address) and a TCP port.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the host is empty or neither a name nor an address, or if the port is 0.
    pub fn new(host: &str, port: u16) -> Result<Self> {
        let host = check_host(host)?.to_owned();
        check_port(port)?;
        Ok(Self::at(Target::Tcp { host, port }))
    }

    /// A server at a unix socket, by its path.
    ///
    /// As text that is `unix:///run/mqtt.sock`, or only the path if it begins with `/`.
    ///
    /// ```
    /// use callmq::client::Server;
    ///
    /// assert_eq!(Server::unix("/run/mqtt.sock")?.to_string(), "unix:///run/mqtt.sock");
    /// # Ok::<(), callmq::error::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the path is empty or contains U+0000.
    #[cfg(unix)]
    pub fn unix(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.as_os_str().is_empty() {
            return Err(Error::argument("path", "must not be empty"));
        }
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(Error::argument("path", "must not contain U+0000"));
        }
        Ok(Self::at(Target::Unix(path.to_owned())))
    }

    /// A server behind a stream of the user's own.
    pub(crate) fn custom(connector: Connector) -> Self {
        Self::at(Target::Custom(connector))
    }

    fn at(target: Target) -> Self {
        let parts = Parts {
            target,
            scheme: Scheme::default(),
            ws_path: None,
            credentials: None,
        };
        Self {
            parts: Arc::new(parts),
        }
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// To be changed in this copy alone.
    pub(crate) fn parts_mut(&mut self) -> &mut Parts {
        Arc::make_mut(&mut self.parts)
    }

    /// Returns the host's name or address; `None` for a unix socket and for a stream of the user's own.
    pub fn host(&self) -> Option<&str> {
        match &self.parts.target {
            Target::Tcp { host, .. } => Some(host),
            _ => None,
        }
    }

    /// Returns the TCP port; `None` for a unix socket and for a stream of the user's own.
    pub fn port(&self) -> Option<u16> {
        match &self.parts.target {
            Target::Tcp { port, .. } => Some(*port),
            _ => None,
        }
    }

    /// Returns the path of a unix socket; `None` for every other kind of server.
    #[cfg(unix)]
    pub fn path(&self) -> Option<&Path> {
        match &self.parts.target {
            Target::Unix(path) => Some(path),
            _ => None,
        }
    }

    /// Returns whether the server was named by a URL that asks for TLS, `mqtts://` or `wss://`.
    ///
    /// After `Client::tls_set` (feature `tls`) the client speaks TLS with every server.
    pub fn asks_for_tls(&self) -> bool {
        self.parts.scheme.tls
    }

    /// Returns whether the server was named by a URL that asks for WebSocket, `ws://` or `wss://`.
    ///
    /// With [`Transport::WebSockets`](super::Transport::WebSockets) (feature `websocket`) the client speaks WebSocket with
    /// every server.
    pub fn asks_for_websocket(&self) -> bool {
        self.parts.scheme.websocket
    }

    /// Whether it is the same server at the same place, whatever the credentials.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        let (own, other) = (self.parts(), other.parts());
        own.scheme == other.scheme && own.ws_path == other.ws_path && own.target.is_same(&other.target)
    }

    /// A server that another one has named (MQTT 5.0, section 4.11), to be spoken to as to that one.
    pub(super) fn from_reference(text: &str, scheme: Scheme) -> Result<Self> {
        from_authority(text, scheme, |host| Ok(host.to_owned()))
    }

    pub(crate) fn set_port(&mut self, new: u16) -> Result<()> {
        check_port(new)?;
        if let Target::Tcp { port, .. } = &mut self.parts_mut().target {
            *port = new;
        }
        Ok(())
    }
}

pub(super) fn check_port(port: u16) -> Result<()> {
    if port == 0 {
        return Err(Error::argument("port", "must be a number from 1 to 65,535"));
    }
    Ok(())
}

/// Checks a host without its port and returns it without brackets.
pub(super) fn check_host(host: &str) -> Result<&str> {
    if host.is_empty() {
        return Err(Error::argument("host", "must not be empty"));
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = bare.or(Some(host)).filter(|address| is_ipv6(address)) {
        return Ok(address);
    }
    if host.contains(['[', ']', ':']) {
        return Err(Error::argument(
            "host",
            "must be a name or an IP address, without a port",
        ));
    }
    let is_foreign =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '\\' | '@' | '?' | '#' | '%');
    if host.contains(is_foreign) {
        return Err(Error::argument("host", "must be a name or an IP address"));
    }
    Ok(host)
}

/// An IPv6 address, possibly with a zone.
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    address.parse::<Ipv6Addr>().is_ok()
        && !zone.is_empty()
        && zone
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts();
        f.debug_struct("Server")
            .field("target", &parts.target)
            .field("scheme", &parts.scheme)
            .field("ws_path", &self.printed_path())
            .field("credentials", &parts.credentials)
            .finish()
    }
}

#[cfg(test)]
mod tests;
