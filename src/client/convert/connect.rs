//! What the client can connect to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

use super::sealed;
use crate::client::connect_options::{ConnectOptions, Server};
use crate::error::{Error, Result};

/// What converts into [`ConnectOptions`].
///
/// - A host, `"h"`, a host with its port, `"h:1884"` or `("h", 1884)`, or those with the keep alive in seconds,
///   `("h", 1884, 60)`. Without a port it is 1883.
/// - An IP address, `"::1"`, `"[::1]:1884"`, or the types of [`std::net`].
/// - A URL, `"mqtt://h:1884"` or `"mqtt://user:password@h"`; `"mqtts://h"` with port 8883 (feature `tls`); `"ws://h"` with
///   port 80 and `"wss://h"` with port 443, also with the path of the WebSocket (feature `websocket`).
/// - A unix socket, `"unix:///run/mqtt.sock"` or its path, `"/run/mqtt.sock"`.
/// - A list of those: they are tried in order, see [`ConnectOptions::server`].
/// - [`ConnectOptions`] for everything else.
///
/// ```
/// use callmq::client::IntoConnect;
///
/// let options = ("localhost", 1884, 60).into_connect()?;
/// assert_eq!(options.servers()[0].to_string(), "localhost:1884");
/// let options = ["[::1]:1884", "mqtt://127.0.0.1"].into_connect()?;
/// assert_eq!(options.servers()[1].to_string(), "127.0.0.1:1883");
/// assert_eq!("".into_connect().unwrap_err().to_string(), "invalid host: must not be empty");
/// # Ok::<(), callmq::error::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say where to connect",
    label = "not a server",
    note = "write \"host\", (\"host\", 1883), (\"host\", 1883, 60), \"mqtt://user:password@host:1883\", a list of servers, or `ConnectOptions`",
    note = "a port is a `u16`, a keep alive a `u16` of seconds or a `Duration`"
)]
pub trait IntoConnect {
    /// Converts and checks it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a bad host, port, keep alive or URL, [`Error::NotSupported`] for a URL whose
    /// scheme needs a feature that is not there.
    fn into_connect(self) -> Result<ConnectOptions>;
}

/// What converts into one [`Server`]: the forms of [`IntoConnect`] that name one server and nothing else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a server",
    label = "not a server",
    note = "write \"host\", \"host:1883\", (\"host\", 1883) or \"mqtt://user:password@host:1883\"; a port is a `u16`"
)]
pub trait IntoServer: sealed::Sealed {
    /// Converts and checks it.
    ///
    /// # Errors
    ///
    /// As [`IntoConnect::into_connect`].
    fn into_server(self) -> Result<Server>;
}

/// The name or the address of a host, without a port.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a host",
    label = "not a host",
    note = "write a name or an IP address as text, or an `IpAddr`"
)]
pub trait IntoHost: sealed::Sealed {
    #[doc(hidden)]
    fn into_host(self) -> String;
}

macro_rules! hosts {
    ($($host:ty => |$value:ident| $text:expr;)*) => {$(
        impl IntoHost for $host {
            fn into_host(self) -> String {
                let $value = self;
                $text
            }
        }
    )*};
}

hosts! {
    &str => |text| text.to_owned();
    &&str => |text| (*text).to_owned();
    String => |text| text;
    &String => |text| text.clone();
    IpAddr => |address| address.to_string();
    Ipv4Addr => |address| address.to_string();
    Ipv6Addr => |address| address.to_string();
}

macro_rules! servers {
    ($([$($generics:tt)*] $source:ty => |$value:ident| $server:expr;)*) => {$(
        impl<$($generics)*> IntoServer for $source {
            fn into_server(self) -> Result<Server> {
                let $value = self;
                $server
            }
        }

        impl<$($generics)*> IntoConnect for $source {
            fn into_connect(self) -> Result<ConnectOptions> {
                ConnectOptions::new(self).checked()
            }
        }
    )*};
}

servers! {
    [] &str => |text| text.parse();
    [] &&str => |text| text.parse();
    [] String => |text| text.parse();
    [] &String => |text| text.parse();
    [] IpAddr => |address| (address, Server::DEFAULT_PORT).into_server();
    [] Ipv4Addr => |address| (address, Server::DEFAULT_PORT).into_server();
    [] Ipv6Addr => |address| (address, Server::DEFAULT_PORT).into_server();
    [] SocketAddr => |address| match address {
        SocketAddr::V4(address) => address.into_server(),
        SocketAddr::V6(address) => address.into_server(),
    };
    [] SocketAddrV4 => |address| (*address.ip(), address.port()).into_server();
    [] SocketAddrV6 => |address| match address.scope_id() {
        0 => (*address.ip(), address.port()).into_server(),
        scope => (format!("{}%{scope}", address.ip()), address.port()).into_server(),
    };
    [H: IntoHost] (H, u16) => |pair| Server::new(&pair.0.into_host(), pair.1);
    [H: IntoHost + Clone] &(H, u16) => |pair| pair.clone().into_server();
    [] Server => |server| Ok(server);
    [] &Server => |server| Ok(server.clone());
}

impl<H: IntoHost> IntoConnect for (H, u16, u16) {
    fn into_connect(self) -> Result<ConnectOptions> {
        let (host, port, keep_alive) = self;
        ConnectOptions::new((host, port)).keep_alive(keep_alive).checked()
    }
}

impl<H: IntoHost> IntoConnect for (H, u16, Duration) {
    fn into_connect(self) -> Result<ConnectOptions> {
        let (host, port, keep_alive) = self;
        ConnectOptions::new((host, port)).keep_alive(keep_alive).checked()
    }
}

impl IntoConnect for ConnectOptions {
    fn into_connect(self) -> Result<ConnectOptions> {
        self.checked()
    }
}

impl IntoConnect for &ConnectOptions {
    fn into_connect(self) -> Result<ConnectOptions> {
        self.clone().checked()
    }
}

fn all(servers: impl Iterator<Item = impl IntoServer>) -> Result<ConnectOptions> {
    let mut options: Option<ConnectOptions> = None;
    for server in servers {
        options = Some(match options {
            None => ConnectOptions::new(server),
            Some(options) => options.server(server),
        });
    }
    options
        .ok_or(Error::argument("servers", "the list must not be empty"))?
        .checked()
}

macro_rules! lists {
    ($([$($generics:tt)*] $list:ty => |$value:ident| $servers:expr;)*) => {$(
        impl<$($generics)*> IntoConnect for $list {
            fn into_connect(self) -> Result<ConnectOptions> {
                let $value = self;
                all($servers)
            }
        }
    )*};
}

lists! {
    [S: IntoServer, const N: usize] [S; N] => |list| list.into_iter();
    [S: IntoServer] Vec<S> => |list| list.into_iter();
    [S: IntoServer + Clone] &[S] => |list| list.iter().cloned();
    [S: IntoServer + Clone] &Vec<S> => |list| list.iter().cloned();
    [S: IntoServer + Clone, const N: usize] &[S; N] => |list| list.iter().cloned();
}

#[cfg(test)]
#[allow(
    clippy::needless_borrows_for_generic_args,
    reason = "the borrowed forms are tested"
)]
mod tests {
    use super::*;

    fn servers(target: impl IntoConnect) -> Vec<String> {
        target
            .into_connect()
            .unwrap()
            .servers()
            .iter()
            .map(Server::to_string)
            .collect()
    }

    fn keep_alive(target: impl IntoConnect) -> Option<u16> {
        target.into_connect().unwrap().keep_alive_seconds()
    }

    #[test]
    fn a_host_with_or_without_a_port() {
        let host = String::from("h");
        let port: u16 = 1884;
        for found in [servers("h"), servers(&"h"), servers(&host), servers(host.clone())] {
            assert_eq!(found, ["h:1883"]);
        }
        for found in [
            servers("h:1884"),
            servers(("h", 1884)),
            servers(("h", port)),
            servers((&host, port)),
            servers((host.clone(), 1884)),
            servers((host.as_str(), port)),
            servers(&("h", port)),
            servers("mqtt://h:1884"),
            servers(Server::new("h", 1884).unwrap()),
            servers(&Server::new("h", 1884).unwrap()),
        ] {
            assert_eq!(found, ["h:1884"]);
        }
    }

    #[test]
    fn addresses() {
        let v4 = Ipv4Addr::LOCALHOST;
        let v6 = Ipv6Addr::LOCALHOST;
        assert_eq!(servers(v4), ["127.0.0.1:1883"]);
        assert_eq!(servers((v4, 1)), ["127.0.0.1:1"]);
        assert_eq!(servers((IpAddr::from(v6), 1)), ["[::1]:1"]);
        assert_eq!(servers(v6), ["[::1]:1883"]);
        assert_eq!(servers("::1"), ["[::1]:1883"]);
        assert_eq!(servers("[::1]:1884"), ["[::1]:1884"]);
        assert_eq!(servers(("::1", 1)), ["[::1]:1"]);
        assert_eq!(servers(("[::1]", 1)), ["[::1]:1"]);
        assert_eq!(servers(SocketAddr::from((v4, 7))), ["127.0.0.1:7"]);
        assert_eq!(servers(SocketAddr::from((v6, 7))), ["[::1]:7"]);
        assert_eq!(
            servers(SocketAddrV6::new("fe80::1".parse().unwrap(), 7, 0, 3)),
            ["[fe80::1%3]:7"]
        );
    }

    #[test]
    fn the_third_value_is_the_keep_alive() {
        let seconds: u16 = 30;
        assert_eq!(keep_alive(("h", 1883, 60)), Some(60));
        assert_eq!(keep_alive((String::from("h"), 1883, seconds)), Some(30));
        assert_eq!(keep_alive((&String::from("h"), 1883u16, 0)), Some(0));
        assert_eq!(keep_alive(("h", 1883, Duration::from_secs(5))), Some(5));
        assert_eq!(keep_alive(("h", 1883)), None);
    }

    #[test]
    fn lists_are_tried_in_order() {
        let pairs = vec![("a", 1), ("b", 2)];
        for found in [
            servers(["a:1", "b:2"]),
            servers([("a", 1), ("b", 2)]),
            servers(&pairs),
            servers(&pairs[..]),
            servers(pairs.clone()),
            servers(&["a:1", "b:2"]),
        ] {
            assert_eq!(found, ["a:1", "b:2"]);
        }
        let none: [&str; 0] = [];
        assert_eq!(
            none.into_connect().unwrap_err().to_string(),
            "invalid servers: the list must not be empty"
        );
        assert!(["a", ""].into_connect().is_err());
    }

    #[test]
    fn options_are_taken_as_they_are_unless_something_in_them_is_wrong() {
        let options = ConnectOptions::new("h").port(5).keep_alive(7);
        assert_eq!(servers(&options), ["h:5"]);
        assert_eq!(keep_alive(options), Some(7));
        assert!(ConnectOptions::new("").into_connect().is_err());
        assert!(("h", 0).into_connect().is_err());
    }
}
