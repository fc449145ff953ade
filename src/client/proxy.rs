//! Proxies, under their paho names and from the environment.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use super::server::{authority, check_host, check_port, decoded_text};
use super::{Client, Server};
use crate::error::{Error, Result};
use crate::transport::{self, ProxyKind, Target};

/// A proxy to connect through: HTTP CONNECT or SOCKS5.
///
/// As text: `http://proxy:3128`, `http://user:password@proxy`, `socks5://..` (the server's name is looked up here) or
/// `socks5h://..` (by the proxy, also as `socks://`). Without a port it is 8080 for HTTP, 1080 for SOCKS5.
///
/// ```
/// use callmq::client::{Client, Proxy};
///
/// let client = Client::new("meter");
/// client.proxy_set("http://proxy.example.com:3128")?;
/// client.proxy_set(Proxy::socks5("proxy.example.com", 1080).credentials("me", "secret"))?;
/// # Ok::<(), callmq::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// `None`: no proxy at all.
    proxy: Option<transport::Proxy>,
}

impl Proxy {
    /// A proxy that speaks HTTP CONNECT. The server's name is looked up by the proxy.
    pub fn http(host: impl Into<String>, port: u16) -> Self {
        Self::new(ProxyKind::Http, host.into(), port)
    }

    /// A proxy that speaks SOCKS5. The server's name is looked up by the proxy.
    pub fn socks5(host: impl Into<String>, port: u16) -> Self {
        Self::new(ProxyKind::Socks5, host.into(), port)
    }

    /// No proxy, whatever the environment says.
    pub fn none() -> Self {
        Self { proxy: None }
    }

    fn new(kind: ProxyKind, host: String, port: u16) -> Self {
        Self {
            proxy: Some(transport::Proxy {
                kind,
                host,
                port,
                credentials: None,
                resolve_here: false,
            }),
        }
    }

    /// Tells the proxy who is connecting. With HTTP anybody on the way to the proxy can read it, with SOCKS5 as well.
    #[must_use]
    pub fn credentials(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        if let Some(proxy) = &mut self.proxy {
            proxy.credentials = Some((username.into(), password.into()));
        }
        self
    }

    /// Sets whether the server's name is looked up here, and not by the proxy. Defaults to `false`. Its addresses are then
    /// tried one after the other.
    #[must_use]
    #[doc(alias = "proxy_rdns")]
    pub fn resolve_here(mut self, on: bool) -> Self {
        if let Some(proxy) = &mut self.proxy {
            proxy.resolve_here = on;
        }
        self
    }

    fn checked(mut self) -> Result<Self> {
        if let Some(proxy) = &mut self.proxy {
            let bad_host = Error::argument("proxy", "must be a name or an IP address, and a port");
            // Without the brackets of an address.
            proxy.host = check_host(&proxy.host).map_err(|_| bad_host.clone())?.to_owned();
            check_port(proxy.port).map_err(|_| bad_host)?;
            let (username, password) = match &proxy.credentials {
                Some((username, password)) => (username.as_str(), password.as_str()),
                None => return Ok(self),
            };
            let control = |text: &str| text.chars().any(char::is_control);
            match proxy.kind {
                ProxyKind::Http if username.contains(':') => {
                    return Err(Error::argument("proxy", "the user name must not contain a colon"));
                }
                ProxyKind::Http if control(username) || control(password) => {
                    return Err(Error::argument(
                        "proxy",
                        "user name and password must not contain control characters",
                    ));
                }
                ProxyKind::Socks5
                    if [username, password]
                        .iter()
                        .any(|text| !(1..=255).contains(&text.len())) =>
                {
                    return Err(Error::argument(
                        "proxy",
                        "user name and password must have 1 to 255 bytes",
                    ));
                }
                _ => {}
            }
        }
        Ok(self)
    }
}

impl FromStr for Proxy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (kind, resolve_here, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (ProxyKind::Http, false, 8080),
            "socks5" => (ProxyKind::Socks5, true, 1080),
            "socks5h" | "socks" => (ProxyKind::Socks5, false, 1080),
            "https" => return Err(Error::NotSupported("a proxy cannot be spoken to with TLS")),
            "socks4" | "socks4a" => return Err(Error::NotSupported("SOCKS4 is not supported, SOCKS5 is")),
            _ => {
                return Err(Error::argument(
                    "proxy",
                    "the scheme must be http, socks5 or socks5h",
                ));
            }
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, address) = match rest.rsplit_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, rest),
        };
        let (host, port) = authority(address, default_port, decoded_text)?;
        let proxy = Self::new(kind, host, port).resolve_here(resolve_here);
        match credentials {
            Some(credentials) => {
                let (username, password) = credentials.split_once(':').unwrap_or((credentials, ""));
                proxy.credentials(decoded_text(username)?, decoded_text(password)?)
            }
            None => proxy,
        }
        .checked()
    }
}

/// Prints as a URL, without the credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.proxy {
            None => f.write_str("none"),
            Some(proxy) => {
                let scheme = match (proxy.kind, proxy.resolve_here) {
                    (ProxyKind::Http, _) => "http",
                    (ProxyKind::Socks5, true) => "socks5",
                    (ProxyKind::Socks5, false) => "socks5h",
                };
                write!(f, "{scheme}://{proxy}")
            }
        }
    }
}

/// What [`Client::proxy_set`] takes: a [`Proxy`] or its URL.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a proxy",
    label = "not a proxy",
    note = "write \"http://proxy:3128\", \"socks5h://user:password@proxy:1080\", or a `Proxy`"
)]
pub trait IntoProxy {
    /// Converts and checks it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a bad URL, host, port or credentials; [`Error::NotSupported`] for other kinds of
    /// proxies.
    fn into_proxy(self) -> Result<Proxy>;
}

impl IntoProxy for Proxy {
    fn into_proxy(self) -> Result<Proxy> {
        self.checked()
    }
}

impl IntoProxy for &Proxy {
    fn into_proxy(self) -> Result<Proxy> {
        self.clone().checked()
    }
}

impl IntoProxy for &str {
    fn into_proxy(self) -> Result<Proxy> {
        self.parse()
    }
}

impl IntoProxy for String {
    fn into_proxy(self) -> Result<Proxy> {
        self.parse()
    }
}

impl IntoProxy for &String {
    fn into_proxy(self) -> Result<Proxy> {
        self.parse()
    }
}

impl Client {
    /// Connects to servers by TCP through this proxy, from the next connection on.
    ///
    /// Where nothing is set, here or in [`ConnectOptions::proxy`](super::ConnectOptions::proxy), the environment decides, as
    /// with paho-mqtt: `mqtt_proxy` has the URL of a proxy, `no_proxy` the servers that are reached without it, separated by
    /// commas: names (`example.com` is also `www.example.com`), addresses, networks (`10.0.0.0/8`), each also with a port,
    /// or `*` for all of them. `MQTT_PROXY` and `NO_PROXY` count where those are not there. [`Proxy::none`] ignores them.
    ///
    /// TLS goes through the proxy to the server. The connect time-out covers all of it. What a proxy refuses is an
    /// [`Error::Io`] that names the proxy and has its words.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a bad URL, host, port or credentials; [`Error::NotSupported`] for other kinds of
    /// proxies.
    pub fn proxy_set(&self, proxy: impl IntoProxy) -> Result<()> {
        let proxy = proxy.into_proxy()?;
        self.shared().lock().proxy = Some(Box::new(proxy));
        Ok(())
    }
}

/// The proxy for a server: `set`, or what the environment says.
pub(super) fn proxy_for(
    server: &Server,
    set: Option<&Proxy>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Arc<transport::Proxy>>> {
    let Target::Tcp { host, port } = &server.parts().target else {
        return Ok(None);
    };
    let proxy = match set {
        Some(set) => set.clone(),
        None => {
            let variable = |name: &str| {
                let value = variable(name).or_else(|| variable(&name.to_ascii_uppercase()));
                value.filter(|value| !value.trim().is_empty())
            };
            let Some(url) = variable("mqtt_proxy") else {
                return Ok(None);
            };
            if variable("no_proxy").is_some_and(|list| is_excepted(&list, host, *port)) {
                return Ok(None);
            }
            let wrong = Error::argument("mqtt_proxy", "in the environment is not the URL of a proxy");
            url.trim().parse().map_err(|_| wrong)?
        }
    };
    Ok(proxy.proxy.map(Arc::new))
}

/// Whether a server is in the list of those that are reached without a proxy.
fn is_excepted(list: &str, host: &str, port: u16) -> bool {
    let address = host.parse::<IpAddr>().ok();
    list.split(',').map(str::trim).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let (Some(address), Some((network, length))) = (address, entry.split_once('/')) {
            return contains(network, length, address);
        }
        let bare = entry
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(entry);
        if let Ok(entry) = bare.parse::<IpAddr>() {
            return address == Some(entry);
        }
        let (name, wanted) = match entry.rsplit_once(':') {
            Some((name, wanted)) => (name, Some(wanted)),
            None => (entry, None),
        };
        if wanted.is_some_and(|wanted| wanted != port.to_string()) {
            return false;
        }
        let name = name.trim_matches(['[', ']']);
        let name = name.strip_prefix('*').unwrap_or(name).trim_start_matches('.');
        let (name, host) = (name.to_ascii_lowercase(), host.to_ascii_lowercase());
        let rest = host.strip_suffix(name.as_str());
        !name.is_empty()
            && rest.is_some_and(|rest| rest.is_empty() || address.is_none() && rest.ends_with('.'))
    })
}

/// Whether the network has the address.
fn contains(network: &str, length: &str, address: IpAddr) -> bool {
    let (Ok(network), Ok(length)) = (network.parse::<IpAddr>(), length.parse::<u32>()) else {
        return false;
    };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) if length <= 32 => {
            let differs = network.to_bits() ^ address.to_bits();
            differs.checked_shr(32 - length).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) if length <= 128 => {
            let differs = network.to_bits() ^ address.to_bits();
            differs.checked_shr(128 - length).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment<'a>(variables: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| {
            let found = variables.iter().find(|variable| variable.0 == name);
            found.map(|variable| variable.1.to_owned())
        }
    }

    fn chosen(server: &str, variables: &[(&str, &str)]) -> Option<String> {
        let server: Server = server.parse().unwrap();
        let proxy = proxy_for(&server, None, environment(variables)).unwrap();
        proxy.map(|proxy| proxy.to_string())
    }

    #[test]
    fn urls_say_what_the_proxy_speaks_and_where_names_are_looked_up() {
        for (text, printed) in [
            ("http://p", "http://p:8080"),
            ("p:3128", "http://p:3128"),
            ("HTTP://me:secret@p:3128/", "http://p:3128"),
            ("socks5://p", "socks5://p:1080"),
            ("socks5h://[::1]:1081", "socks5h://[::1]:1081"),
            ("socks://p", "socks5h://p:1080"),
        ] {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!(proxy.to_string(), printed);
            assert_eq!(proxy.clone().into_proxy().unwrap(), proxy);
            assert!(!format!("{proxy:?}").contains("secret"));
        }
        let proxy: Proxy = "socks5h://m%40e:s%3Acret@p".parse().unwrap();
        assert_eq!(proxy, Proxy::socks5("p", 1080).credentials("m@e", "s:cret"));
        assert_eq!(Proxy::none().to_string(), "none");
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        for text in [
            "",
            "http://",
            "ftp://p",
            "http://p:0",
            "http://p/path",
            "http://a:b@",
            "socks5://u@p",
            "socks5://:p@p",
        ] {
            assert!(
                matches!(text.parse::<Proxy>(), Err(Error::InvalidArgument { .. })),
                "{text}"
            );
        }
        for text in ["https://p", "socks4://p", "socks4a://p"] {
            assert!(
                matches!(text.parse::<Proxy>(), Err(Error::NotSupported(_))),
                "{text}"
            );
        }
        for proxy in [
            Proxy::http("", 1),
            Proxy::http("a b", 1),
            Proxy::http("p", 0),
            Proxy::http("p", 1).credentials("a:b", "c"),
            Proxy::http("p", 1).credentials("a", "b\r\nX: y"),
            Proxy::socks5("p", 1).credentials("a".repeat(256), "b"),
            Proxy::socks5("p", 1).credentials("a", ""),
        ] {
            assert!(matches!(
                proxy.into_proxy(),
                Err(Error::InvalidArgument {
                    argument: "proxy",
                    ..
                })
            ));
        }
    }

    #[test]
    fn the_environment_names_a_proxy_and_the_servers_without() {
        let proxy = ("mqtt_proxy", "http://p:1");
        assert_eq!(chosen("h", &[]), None);
        assert_eq!(chosen("h", &[("mqtt_proxy", " ")]), None);
        assert_eq!(chosen("h", &[proxy]).as_deref(), Some("p:1"));
        assert_eq!(
            chosen("h", &[("MQTT_PROXY", "socks5://q")]).as_deref(),
            Some("q:1080")
        );
        assert_eq!(
            chosen("h", &[proxy, ("MQTT_PROXY", "socks5://q")]).as_deref(),
            Some("p:1")
        );
        for (list, server, excepted) in [
            ("*", "h", true),
            ("h", "h", true),
            ("a, H ,b", "h", true),
            ("example.com", "broker.example.com", true),
            (".example.com", "broker.example.com", true),
            ("*.example.com", "broker.example.com", true),
            ("example.com", "badexample.com", false),
            ("broker.example.com", "example.com", false),
            ("h:1883", "h", true),
            ("h:1884", "h", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("0.0.1", "10.0.0.1", false),
            ("10.0.0.1:1883", "10.0.0.1", true),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("0.0.0.0/0", "11.1.2.3", true),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("fd00::/8", "[fd12::1]", true),
            ("::1", "[::1]", true),
            ("[::1]", "[::1]", true),
            ("[::1]:1883", "[::1]", true),
            ("[::1]:1", "[::1]", false),
            ("", "h", false),
            (",", "h", false),
        ] {
            assert_eq!(
                chosen(server, &[proxy, ("no_proxy", list)]).is_none(),
                excepted,
                "{list} {server}"
            );
        }
        let server: Server = "h".parse().unwrap();
        let wrong = proxy_for(&server, None, environment(&[("mqtt_proxy", "ftp://secret@p")])).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "invalid mqtt_proxy: in the environment is not the URL of a proxy"
        );
    }

    #[test]
    fn what_is_set_comes_before_the_environment() {
        let server: Server = "h".parse().unwrap();
        let variables = [("mqtt_proxy", "http://p:1"), ("no_proxy", "*")];
        let set = Proxy::http("q", 2);
        let proxy = proxy_for(&server, Some(&set), environment(&variables)).unwrap();
        assert_eq!(proxy.unwrap().to_string(), "q:2");
        let none = Proxy::none();
        assert!(
            proxy_for(&server, Some(&none), environment(&variables))
                .unwrap()
                .is_none()
        );
        #[cfg(unix)]
        assert!(
            proxy_for(&Server::unix("/s").unwrap(), Some(&set), environment(&[]))
                .unwrap()
                .is_none()
        );
    }
}
