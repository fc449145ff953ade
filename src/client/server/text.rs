//! How a server is written: `host:port`, a URL, the path of a unix socket.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use super::{Parts, Server, is_ipv6};
use crate::error::{Error, Result};
use crate::session::Credentials;
use crate::transport::Target;
#[cfg(feature = "websocket")]
use crate::transport::check_path;

/// What a URL asks for beside the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Scheme {
    pub(crate) tls: bool,
    pub(crate) websocket: bool,
}

impl Scheme {
    /// What stands in front of `://`, in small letters.
    pub(super) fn parse(name: &str) -> Result<Self> {
        let (tls, websocket) = match name {
            "mqtt" | "tcp" => (false, false),
            "mqtts" | "ssl" | "tls" => (true, false),
            "ws" => (false, true),
            "wss" => (true, true),
            _ => {
                return Err(Error::argument(
                    "url",
                    "the scheme must be mqtt, mqtts, ws, wss or unix",
                ));
            }
        };
        let lacks_tls = tls && !cfg!(feature = "tls");
        let lacks_websocket = websocket && !cfg!(feature = "websocket");
        match (lacks_tls || lacks_websocket, tls, websocket) {
            (false, ..) => Ok(Self { tls, websocket }),
            (true, true, true) => Err(Error::NotSupported(
                "wss:// needs the features `tls` and `websocket`",
            )),
            (true, true, false) => Err(Error::NotSupported("mqtts:// needs the feature `tls`")),
            (true, false, _) => Err(Error::NotSupported("ws:// needs the feature `websocket`")),
        }
    }

    /// What is printed in front of the server.
    fn prefix(self) -> &'static str {
        match (self.tls, self.websocket) {
            (false, false) => "",
            (true, false) => "mqtts://",
            (false, true) => "ws://",
            (true, true) => "wss://",
        }
    }

    fn default_port(self) -> u16 {
        match (self.tls, self.websocket) {
            (false, false) => Server::DEFAULT_PORT,
            (true, false) => Server::DEFAULT_TLS_PORT,
            (false, true) => 80,
            (true, true) => 443,
        }
    }
}

impl Server {
    /// The path of the WebSocket without the query, which may have a secret.
    pub(super) fn printed_path(&self) -> &str {
        let path = self.parts().ws_path.as_deref().unwrap_or_default();
        path.split('?').next().unwrap_or_default()
    }

    /// What stands behind the host and the port.
    fn set_ws_path(&mut self, path: &str) -> Result<()> {
        #[cfg(feature = "websocket")]
        if self.parts().scheme.websocket {
            // A query needs a path in front of it.
            let slash = if path.starts_with('?') { "/" } else { "" };
            let path = format!("{slash}{path}");
            if !path.is_empty() {
                check_path(&path).map_err(|rule| Error::argument("url", rule))?;
                self.parts_mut().ws_path = Some(path);
            }
            return Ok(());
        }
        if !matches!(path, "" | "/") {
            return Err(Error::argument(
                "url",
                "must not have a path, a query or a fragment",
            ));
        }
        Ok(())
    }

    /// `user:password` in front of an `@`, percent-encoded.
    fn set_credentials(&mut self, text: &str) -> Result<()> {
        let (username, password) = match text.split_once(':') {
            Some((username, password)) => (username, Some(password)),
            None => (text, None),
        };
        let username = decoded_text(username)?;
        if username.is_empty() && password.is_some() {
            return Err(Error::argument("url", "a password needs a user name"));
        }
        if username.contains('\0') {
            return Err(Error::argument("url", "a user name must not contain U+0000"));
        }
        let password = password.map(percent_decoded).transpose()?;
        let longest = username.len().max(password.as_ref().map_or(0, Vec::len));
        if longest > usize::from(u16::MAX) {
            return Err(Error::argument(
                "url",
                "user name and password must not be longer than 65,535 bytes",
            ));
        }
        self.parts_mut().credentials = Some(Box::new(Credentials {
            username,
            password: password.map(Bytes::from),
        }));
        Ok(())
    }
}

impl FromStr for Server {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.starts_with('/') {
            return from_path(text);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return from_authority(text, Scheme::default(), |host| Ok(host.to_owned()));
        };
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "unix" {
            return from_unix_url(rest);
        }
        let scheme = Scheme::parse(&scheme)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (credentials, address) = match authority.rsplit_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, authority),
        };
        let mut server = from_authority(address, scheme, decoded_text)?;
        if let Some(credentials) = credentials {
            server.set_credentials(credentials)?;
        }
        server.set_ws_path(path)?;
        Ok(server)
    }
}

/// Reads what stands behind `unix://`: a path, possibly with credentials in front of it.
fn from_unix_url(rest: &str) -> Result<Server> {
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let credentials = authority.strip_suffix('@');
    if path.is_empty() || credentials.is_none() && !authority.is_empty() {
        return Err(Error::argument("url", "must name an absolute path: unix:///path"));
    }
    let mut server = from_path(&decoded_text(path)?)?;
    if let Some(credentials) = credentials {
        server.set_credentials(credentials)?;
    }
    Ok(server)
}

#[cfg(unix)]
fn from_path(path: &str) -> Result<Server> {
    Server::unix(path)
}

#[cfg(not(unix))]
fn from_path(_path: &str) -> Result<Server> {
    Err(Error::NotSupported("unix sockets need a Unix system"))
}

/// Reads `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.
pub(super) fn from_authority(
    text: &str,
    scheme: Scheme,
    decode: impl FnOnce(&str) -> Result<String>,
) -> Result<Server> {
    let (host, port) = authority(text, scheme.default_port(), decode)?;
    let mut server = Server::new(&host, port)?;
    server.parts_mut().scheme = scheme;
    Ok(server)
}

/// The host and the port of these forms. Only the port is checked, and only for being a number.
pub(in crate::client) fn authority(
    text: &str,
    default_port: u16,
    decode: impl FnOnce(&str) -> Result<String>,
) -> Result<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        _ if is_ipv6(text) => (text, None),
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port = match port {
        None => default_port,
        Some(port) if port.bytes().all(|digit| digit.is_ascii_digit()) => port.parse().unwrap_or(0),
        Some(_) => 0,
    };
    Ok((decode(host)?, port))
}

pub(in crate::client) fn decoded_text(text: &str) -> Result<String> {
    String::from_utf8(percent_decoded(text)?).map_err(|_| Error::argument("url", "must be UTF-8"))
}

/// See RFC 3986, section 2.1.
fn percent_decoded(text: &str) -> Result<Vec<u8>> {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(byte.ok_or(Error::argument(
            "url",
            "% must be followed by two hexadecimal digits",
        ))?);
        decoded.extend(part.bytes().skip(2));
    }
    Ok(decoded)
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { target, scheme, .. } = self.parts();
        f.write_str(scheme.prefix())?;
        match target {
            // In a URL the zone of an address would be encoded.
            Target::Tcp { host, port } if host.contains(':') && *scheme != Scheme::default() => {
                write!(f, "[{}]:{port}", host.replace('%', "%25"))
            }
            Target::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Target::Tcp { host, port } => write!(f, "{host}:{port}"),
            // As it is read again.
            #[cfg(unix)]
            Target::Unix(path) => write!(f, "unix://{}", path.to_string_lossy().replace('%', "%25")),
            Target::Custom(_) => f.write_str("custom stream"),
        }?;
        f.write_str(self.printed_path())
    }
}
