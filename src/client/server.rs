//! One server: what it is called and how it is written.

use std::fmt;
use std::net::Ipv6Addr;
#[cfg(unix)]
use std::path::Path;
use std::str::FromStr;

use bytes::Bytes;

use crate::error::{Error, Result};
#[cfg(feature = "websocket")]
use crate::transport::check_path;
use crate::transport::{Connector, Target};

/// A server to connect to, possibly with the user name and password to use there.
///
/// Reads the text forms of [`IntoConnect`](super::IntoConnect) and prints as `host:port`, `unix:///path` or a URL, never with
/// the password or the query of a URL.
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
    pub(crate) target: Target,
    pub(crate) scheme: Scheme,
    /// Where the WebSocket is, possibly with a query, as it is sent.
    pub(crate) ws_path: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Bytes>,
}

/// What a URL asks for beside the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Scheme {
    pub(crate) tls: bool,
    pub(crate) websocket: bool,
}

impl Scheme {
    /// What stands in front of `://`, in small letters.
    fn parse(name: &str) -> Result<Self> {
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
        Self {
            target,
            scheme: Scheme::default(),
            ws_path: None,
            username: None,
            password: None,
        }
    }

    /// Returns the host's name or address; `None` for a unix socket and for a stream of the user's own.
    pub fn host(&self) -> Option<&str> {
        match &self.target {
            Target::Tcp { host, .. } => Some(host),
            _ => None,
        }
    }

    /// Returns the TCP port; `None` for a unix socket and for a stream of the user's own.
    pub fn port(&self) -> Option<u16> {
        match &self.target {
            Target::Tcp { port, .. } => Some(*port),
            _ => None,
        }
    }

    /// Returns the path of a unix socket; `None` for every other kind of server.
    #[cfg(unix)]
    pub fn path(&self) -> Option<&Path> {
        match &self.target {
            Target::Unix(path) => Some(path),
            _ => None,
        }
    }

    /// Returns whether the server was named by a URL that asks for TLS, `mqtts://` or `wss://`.
    ///
    /// After `Client::tls_set` (feature `tls`) the client speaks TLS with every server.
    pub fn asks_for_tls(&self) -> bool {
        self.scheme.tls
    }

    /// Returns whether the server was named by a URL that asks for WebSocket, `ws://` or `wss://`.
    ///
    /// With [`Transport::WebSockets`](super::Transport::WebSockets) (feature `websocket`) the client speaks WebSocket with
    /// every server.
    pub fn asks_for_websocket(&self) -> bool {
        self.scheme.websocket
    }

    /// Whether it is the same server at the same place, whatever the credentials.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.ws_path == other.ws_path && self.target.is_same(&other.target)
    }

    /// A server that another one has named (MQTT 5.0, section 4.11), to be spoken to as to that one.
    pub(super) fn from_reference(text: &str, scheme: Scheme) -> Result<Self> {
        from_authority(text, scheme, |host| Ok(host.to_owned()))
    }

    /// The path of the WebSocket without the query, which may have a secret.
    fn printed_path(&self) -> &str {
        let path = self.ws_path.as_deref().unwrap_or_default();
        path.split('?').next().unwrap_or_default()
    }

    pub(crate) fn set_port(&mut self, new: u16) -> Result<()> {
        check_port(new)?;
        if let Target::Tcp { port, .. } = &mut self.target {
            *port = new;
        }
        Ok(())
    }

    /// What stands behind the host and the port.
    fn set_ws_path(&mut self, path: &str) -> Result<()> {
        #[cfg(feature = "websocket")]
        if self.scheme.websocket {
            // A query needs a path in front of it.
            let slash = if path.starts_with('?') { "/" } else { "" };
            let path = format!("{slash}{path}");
            if !path.is_empty() {
                check_path(&path).map_err(|rule| Error::argument("url", rule))?;
                self.ws_path = Some(path);
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
        self.username = Some(username);
        self.password = password.map(Bytes::from);
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
fn from_authority(text: &str, scheme: Scheme, decode: impl FnOnce(&str) -> Result<String>) -> Result<Server> {
    let (host, port) = authority(text, scheme.default_port(), decode)?;
    let server = Server::new(&host, port)?;
    Ok(Server { scheme, ..server })
}

/// The host and the port of these forms. Only the port is checked, and only for being a number.
pub(super) fn authority(
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
    if host.contains(|c: char| c.is_whitespace() || c.is_control() || "/\\@?#%".contains(c)) {
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

pub(super) fn decoded_text(text: &str) -> Result<String> {
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
        f.write_str(self.scheme.prefix())?;
        match &self.target {
            // In a URL the zone of an address would be encoded.
            Target::Tcp { host, port } if host.contains(':') && self.scheme != Scheme::default() => {
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

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.password.as_ref().map(|_| "..");
        f.debug_struct("Server")
            .field("target", &self.target)
            .field("scheme", &self.scheme)
            .field("ws_path", &self.printed_path())
            .field("username", &self.username)
            .field("password", &secret)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argument(text: &str) -> &'static str {
        match text.parse::<Server>() {
            Err(Error::InvalidArgument { argument, .. }) => argument,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn text_forms() {
        for (text, expected) in [
            ("h", "h:1883"),
            ("h.example:1", "h.example:1"),
            ("127.0.0.1:65535", "127.0.0.1:65535"),
            ("::1", "[::1]:1883"),
            ("[::1]", "[::1]:1883"),
            ("[::1]:1884", "[::1]:1884"),
            ("fe80::1%eth0", "[fe80::1%eth0]:1883"),
            ("[fe80::1%eth0]:5", "[fe80::1%eth0]:5"),
            ("mqtt://h", "h:1883"),
            ("MQTT://h/", "h:1883"),
            ("tcp://h:1884", "h:1884"),
            ("mqtt://[::1]:1884", "[::1]:1884"),
            ("mqtt://[fe80::1%25eth0]", "[fe80::1%eth0]:1883"),
            ("höst", "höst:1883"),
        ] {
            assert_eq!(text.parse::<Server>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn a_url_may_carry_credentials() {
        for (text, username, password) in [
            ("mqtt://h", None, None),
            ("mqtt://me@h", Some("me"), None),
            ("mqtt://me:@h", Some("me"), Some("")),
            ("mqtt://me:secret@h", Some("me"), Some("secret")),
            ("mqtt://m%40e:s%3a%2F%25@h", Some("m@e"), Some("s:/%")),
            ("mqtt://me:a:b@c@h", Some("me"), Some("a:b@c")),
            ("mqtt://%C3%BC:%C3%BC@h", Some("ü"), Some("ü")),
        ] {
            let server: Server = text.parse().unwrap();
            assert_eq!(server.to_string(), "h:1883");
            assert_eq!(server.username.as_deref(), username, "{text}");
            assert_eq!(server.password.as_deref(), password.map(str::as_bytes), "{text}");
        }
        let server: Server = "mqtt://me:%ff@h".parse().unwrap();
        assert_eq!(server.password.as_deref(), Some(&[0xff][..]));
    }

    #[test]
    fn the_password_is_not_printed() {
        let server: Server = "mqtt://me:hush@h".parse().unwrap();
        for printed in [format!("{server}"), format!("{server:?}"), format!("{server:#?}")] {
            assert!(!printed.contains("hush"), "{printed}");
        }
        assert!(format!("{server:?}").contains("\"me\""));
    }

    #[test]
    fn bad_text_is_refused_with_the_part_that_is_wrong() {
        for text in [
            "",
            "fe80::1%",
            "fe80::1%a/b",
            ":1883",
            "mqtt://",
            "mqtt://:1883",
            "mqtt://me@",
            "a b",
            "h/x",
            "me@h",
            "1:2:3",
            "[h]:1",
            "[::1",
            "h\0",
        ] {
            assert_eq!(argument(text), "host", "{text}");
        }
        for text in [
            "h:",
            "h:0",
            "h:65536",
            "h:x",
            "h:+1",
            "h:-1",
            "[::1]:",
            "mqtt://h:99999",
        ] {
            assert_eq!(argument(text), "port", "{text}");
        }
        for text in [
            "http://h",
            "mqtt://h/path",
            "mqtt://h?x=1",
            "mqtt://h#x",
            "mqtt://%@h",
            "mqtt://me:%4@h",
            "mqtt://me:%+4@h",
            "mqtt://me:%4ü@h",
            "mqtt://%ff@h",
            "mqtt://%00@h",
            "mqtt://:secret@h",
            &format!("mqtt://me:{}@h", "x".repeat(65_536)),
        ] {
            assert_eq!(argument(text), "url", "{text:.40}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(mqtt://)?[a-z0-9:%@/\\[\\]ü.]{0,12}") {
            if let Ok(server) = text.parse::<Server>() {
                let again: Server = server.to_string().parse().unwrap();
                proptest::prop_assert_eq!(again.to_string(), server.to_string());
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_is_a_unix_socket() {
        for (text, path, printed) in [
            ("/run/x", "/run/x", "unix:///run/x"),
            ("unix:///run/x", "/run/x", "unix:///run/x"),
            ("UNIX:///a%20b/c?d#e", "/a b/c?d#e", "unix:///a b/c?d#e"),
            ("/50%", "/50%", "unix:///50%25"),
            ("unix://me:secret@/run/x", "/run/x", "unix:///run/x"),
        ] {
            let server: Server = text.parse().unwrap();
            assert_eq!(server.path(), Some(Path::new(path)), "{text}");
            assert_eq!(server.to_string(), printed);
            assert_eq!(printed.parse::<Server>().unwrap().path(), server.path());
            assert_eq!((server.host(), server.port()), (None, None));
            assert_eq!(server.username.is_some(), text.contains('@'));
        }
        for text in ["unix://", "unix://run/x", "unix://me:secret@", "unix://me@run/x"] {
            assert_eq!(argument(text), "url", "{text}");
        }
        for text in ["/a\0b", "unix:///a%00b"] {
            assert_eq!(argument(text), "path", "{text}");
        }
        assert!(Server::unix("").is_err());
    }

    #[cfg(feature = "tls")]
    #[test]
    fn mqtts_asks_for_tls_at_a_port_of_its_own() {
        for (text, expected) in [
            ("mqtts://h", "mqtts://h:8883"),
            ("MQTTS://me:secret@h:1884/", "mqtts://h:1884"),
            ("ssl://[::1]", "mqtts://[::1]:8883"),
            ("tls://[fe80::1%25eth0]", "mqtts://[fe80::1%25eth0]:8883"),
        ] {
            let server: Server = text.parse().unwrap();
            assert!(server.asks_for_tls());
            assert_eq!(server.to_string(), expected);
            assert_eq!(
                server.to_string().parse::<Server>().unwrap().host(),
                server.host()
            );
        }
        assert!(!Server::new("h", 8883).unwrap().asks_for_tls());
        assert_eq!(
            Server::from_reference("h", Scheme::parse("mqtts").unwrap())
                .unwrap()
                .to_string(),
            "mqtts://h:8883"
        );
    }

    #[cfg(all(feature = "tls", feature = "websocket"))]
    #[test]
    fn ws_and_wss_have_the_ports_of_http_and_a_path() {
        for (text, expected, path) in [
            ("ws://h", "ws://h:80", None),
            ("WS://h:8080/", "ws://h:8080/", Some("/")),
            ("wss://h/mqtt", "wss://h:443/mqtt", Some("/mqtt")),
            (
                "wss://me:secret@[::1]/a%20b/",
                "wss://[::1]:443/a%20b/",
                Some("/a%20b/"),
            ),
            (
                "ws://[fe80::1%25eth0]/x",
                "ws://[fe80::1%25eth0]:80/x",
                Some("/x"),
            ),
            // It may have a secret.
            ("ws://h?token=hush", "ws://h:80/", Some("/?token=hush")),
            (
                "ws://h/mqtt?token=hush",
                "ws://h:80/mqtt",
                Some("/mqtt?token=hush"),
            ),
        ] {
            let server: Server = text.parse().unwrap();
            assert!(server.asks_for_websocket());
            assert_eq!(server.asks_for_tls(), expected.starts_with("wss"));
            assert_eq!(server.ws_path.as_deref(), path);
            assert_eq!(server.to_string(), expected);
            assert!(!format!("{server:?}").contains("hush"));
            let again: Server = expected.parse().unwrap();
            assert_eq!(again.to_string(), expected);
        }
        for text in [
            "ws://h/#x",
            "ws://h#x",
            "ws://h/a b",
            "ws://h/ä",
            "ws://h/\r\nX: y",
        ] {
            assert_eq!(argument(text), "url", "{text}");
        }
        assert!(!"h".parse::<Server>().unwrap().asks_for_websocket());
    }

    #[test]
    fn schemes_of_missing_features_name_the_feature() {
        let missing: &[(&str, &str)] = &[
            #[cfg(not(feature = "tls"))]
            ("mqtts://h", "tls"),
            #[cfg(not(feature = "websocket"))]
            ("ws://h/mqtt", "websocket"),
            #[cfg(not(feature = "websocket"))]
            ("wss://h", "websocket"),
            #[cfg(not(feature = "tls"))]
            ("wss://h", "tls"),
        ];
        for (text, feature) in missing {
            match text.parse::<Server>() {
                Err(Error::NotSupported(what)) => assert!(what.contains(feature), "{what}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
