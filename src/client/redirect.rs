//! Following a server that sends its client to another one (MQTT 5.0, section 4.11): only where the application says so.

use std::mem;
use std::sync::Arc;

use super::server::{Parts, Scheme};
use super::shared::Shared;
use super::{Client, Server};
use crate::codec::{Properties, ReasonCode};
use crate::on_demand::Empty;

/// So many servers may pass a client on, one after the other, before it waits and starts again.
const MAX_HOPS: u8 = 3;
/// Of a list of servers no more are looked at.
const MAX_SERVERS: usize = 16;

/// A server asks this client to use another one; see [`Client::on_redirect`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Redirect {
    /// 0x9C (Use another server) or 0x9D (Server moved).
    pub reason_code: ReasonCode,
    /// Whether the server has moved for good (0x9D).
    pub is_permanent: bool,
    /// Where to, in the order in which they are tried. Never empty.
    pub servers: Vec<Server>,
}

impl Redirect {
    /// Reads a Server Reference: names or addresses with an optional port, a blank between them.
    fn new(reason_code: ReasonCode, reference: &str, scheme: Scheme) -> Option<Self> {
        let entries = reference.split_ascii_whitespace().take(MAX_SERVERS);
        // Host and port and nothing else: no scheme, and no credentials of the server's choice.
        let plain = entries.filter(|entry| !entry.contains(['/', '@']));
        let servers: Vec<Server> = plain
            .filter_map(|entry| Server::from_reference(entry, scheme).ok())
            .collect();
        (!servers.is_empty()).then_some(Self {
            reason_code,
            is_permanent: reason_code == ReasonCode::SERVER_MOVED,
            servers,
        })
    }
}

/// Where the servers have sent the client.
#[derive(Debug, Default)]
pub(crate) struct Redirects {
    /// The reference of the server that ended the last connection.
    offered: Option<(ReasonCode, String)>,
    /// Followed since the last good connection or wait.
    hops: u8,
    /// In place of the servers of `connect`.
    moved: Option<Vec<Server>>,
}

impl Empty for Redirects {
    const EMPTY: &'static Self = &Self {
        offered: None,
        hops: 0,
        moved: None,
    };
}

impl Redirects {
    /// The server ends the connection with this code.
    pub(super) fn offer(&mut self, reason: ReasonCode, properties: &Properties) {
        let redirects = reason == ReasonCode::USE_ANOTHER_SERVER || reason == ReasonCode::SERVER_MOVED;
        let reference = properties.server_reference().filter(|_| redirects);
        self.offered = reference.map(|reference| (reason, reference.to_owned()));
    }

    /// An attempt begins. Returns the servers that took the place of those of `connect`.
    pub(super) fn begin(&mut self) -> Option<Vec<Server>> {
        self.offered = None;
        self.moved.clone()
    }

    /// The connection was a good one, or the next attempt waits: another chain may begin.
    pub(super) fn settled(&mut self) {
        self.hops = 0;
    }

    /// The client is led from one server to these, for good or, if the result is not empty, for one connection.
    fn follow(&mut self, redirect: Redirect, from: &Server) -> Vec<Server> {
        let mut servers = redirect.servers;
        let Parts {
            ws_path, credentials, ..
        } = from.parts();
        for server in &mut servers {
            let server = server.parts_mut();
            server.ws_path.clone_from(ws_path);
            server.credentials.clone_from(credentials);
        }
        self.hops += 1;
        if redirect.is_permanent {
            self.moved = Some(mem::take(&mut servers));
        }
        servers
    }
}

impl Client {
    /// Asks `decide` when a server refuses or ends the connection and names another one (MQTT 5.0): `true` follows.
    ///
    /// Without it, such an end is one like any other. With `true` the loop connects to the servers named, at once and
    /// without asking [`reconnect_if`](Self::reconnect_if). After [0x9C](ReasonCode::USE_ANOTHER_SERVER) that is for one
    /// connection: the next attempt goes to the servers of [`connect`](Self::connect) again. After
    /// [0x9D](ReasonCode::SERVER_MOVED) they take the place of those until the next call of `connect`. After three in a
    /// row without a connection that lived a while the loop waits as after any failure, so two servers cannot play with
    /// the client. Only the loops that reconnect follow ([`loop_start`](Self::loop_start),
    /// [`loop_forever`](Self::loop_forever)), and only while
    /// [`reconnect_on_failure_set`](Self::reconnect_on_failure_set) is on.
    ///
    /// **The new server gets everything that the old one got**: user name and password, those of the URL too, or the
    /// first message of the authenticator, subscriptions, and the messages that wait. Who can answer in the place of the
    /// server can send the client anywhere, so look at [`servers`](Redirect::servers) before you agree.
    ///
    /// `decide` runs on the thread of the loop, without any lock, before the next attempt; it may call any method. A panic
    /// counts as `false`. References that are not `host`, `host:port` or `[v6]:port` are passed over; the port is
    /// 1883 where none is given. Who came by `mqtts://`, `ws://` or `wss://` is led on in the same way, with the port
    /// and the path of that. [`Callback::OnRedirect`](super::Callback::OnRedirect) takes it back. A server of MQTT 3
    /// cannot name another one.
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// let client = mqtt::Client::builder("meter").protocol(mqtt::MQTTv5).build();
    /// client.on_redirect(|_client, redirect| {
    ///     redirect.servers.iter().all(|server| server.host().is_some_and(|host| host.ends_with(".example.com")))
    /// });
    /// ```
    ///
    /// See MQTT 5.0, section 4.11.
    pub fn on_redirect<F>(&self, mut decide: F) -> &Self
    where
        F: FnMut(&Client, &Redirect) -> bool + Send + 'static,
    {
        self.callbacks()
            .slot(|slots| &slots.redirect)
            .set(Box::new(move |client, redirect| decide(client, redirect)));
        self
    }
}

pub(crate) type OnRedirect = dyn FnMut(&Client, &Redirect) -> bool + Send;

impl Shared {
    /// Whether the next attempt follows the server that ended the last connection, at once.
    pub(super) fn follows_redirect(self: &Arc<Self>) -> bool {
        let (from, redirect) = {
            let mut core = self.lock();
            let offered = core
                .redirects
                .present()
                .and_then(|redirects| redirects.offered.take());
            let Some((reason, reference)) = offered.filter(|_| self.callbacks.redirect.is_set()) else {
                return false;
            };
            // Its URL goes for those that it leads to: none can lead away from TLS.
            let Some(from) = core.servers.current().cloned() else {
                return false;
            };
            if core.redirects.hops >= MAX_HOPS {
                core.note("too many servers in a row send to another one: waiting");
                return false;
            }
            let redirect = Redirect::new(reason, &reference, from.parts().scheme);
            if redirect.is_none() {
                core.note("the server names another one to use, but not in a form that is understood");
            }
            (from, redirect)
        };
        let Some(redirect) = redirect else {
            return false;
        };
        let run = self.callbacks.redirect.run_for("on_redirect", |f| {
            self.call("on_redirect", |client| Ok(f(client, &redirect)))
        });
        match run {
            Some(Ok(true)) => {
                let servers: Vec<_> = redirect.servers.iter().map(Server::to_string).collect();
                log::info!(target: "callmq", "sent to another server ({}): {}", redirect.reason_code, servers.join(", "));
                let mut core = self.lock();
                let servers = core.redirects.follow(redirect, &from);
                core.servers.detour(servers);
                true
            }
            Some(Err(error)) => {
                self.keep_failure(Err(error));
                false
            }
            Some(Ok(false)) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(reference: &str) -> Vec<String> {
        let redirect = Redirect::new(ReasonCode::SERVER_MOVED, reference, Scheme::default());
        redirect.map_or_else(Vec::new, |redirect| {
            redirect.servers.iter().map(Server::to_string).collect()
        })
    }

    /// The forms of MQTT 5.0, section 4.11.
    #[test]
    fn references_are_hosts_with_a_port_or_without() {
        assert_eq!(servers("myserver.xyz.org"), ["myserver.xyz.org:1883"]);
        assert_eq!(
            servers("myserver.xyz.org:8883 10.10.151.22:8883  [fe80::9610:3eff:fe1c]:1884"),
            [
                "myserver.xyz.org:8883",
                "10.10.151.22:8883",
                "[fe80::9610:3eff:fe1c]:1884"
            ]
        );
    }

    #[test]
    fn who_came_with_tls_or_websocket_is_led_on_with_it() {
        let scheme = |tls, websocket| Scheme { tls, websocket };
        for (scheme, expected) in [
            (scheme(true, false), ["mqtts://h:8883", "mqtts://h:1883"]),
            (scheme(false, true), ["ws://h:80", "ws://h:1883"]),
            (scheme(true, true), ["wss://h:443", "wss://h:1883"]),
        ] {
            let redirect = Redirect::new(ReasonCode::SERVER_MOVED, "h h:1883", scheme).unwrap();
            let servers: Vec<_> = redirect.servers.iter().map(Server::to_string).collect();
            assert_eq!(servers, expected);
        }
    }

    #[cfg(feature = "websocket")]
    #[test]
    fn the_path_of_a_websocket_and_the_credentials_go_along() {
        let from: Server = "ws://me:secret@h/path?x".parse().unwrap();
        let redirect =
            Redirect::new(ReasonCode::USE_ANOTHER_SERVER, "other:81", from.parts().scheme).unwrap();
        let servers = Redirects::default().follow(redirect, &from);
        assert_eq!(servers[0].to_string(), "ws://other:81/path");
        assert_eq!(servers[0].parts().ws_path.as_deref(), Some("/path?x"));
        let credentials = servers[0].parts().credentials.as_ref().unwrap();
        assert_eq!(credentials.username, "me");
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        for reference in [
            "",
            " ",
            "h:0",
            "h:x",
            "mqtt://h",
            "me:secret@h",
            "h/path",
            ":1883",
            "[::1",
        ] {
            assert_eq!(servers(reference), [""; 0], "{reference}");
        }
        assert_eq!(servers("mqtt://a b:1 user@c"), ["b:1"]);
        assert_eq!(servers(&"h ".repeat(100)).len(), MAX_SERVERS);
    }
}
