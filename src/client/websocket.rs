//! WebSocket under its paho name.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use super::shared::Core;
use super::{Client, ProtocolVersion, Server, Transport};
use crate::error::{Error, Result};
use crate::transport::{Headers, WebSocketConfig, check_headers, check_path};

/// Where brokers have their WebSocket, as paho-mqtt says.
const DEFAULT_PATH: &str = "/mqtt";

/// What a client was told about WebSocket.
#[derive(Default)]
pub(crate) struct WebSocketSettings {
    path: Option<String>,
    headers: Option<Headers>,
}

/// WebSocket. Needs the feature `websocket`.
impl Client {
    /// Sets where the WebSocket of a server is, and what is sent along with the handshake. Takes effect at the next
    /// connection.
    ///
    /// `path` begins with `/`, and may have a query. Defaults to `/mqtt`; the path of a URL comes first. `headers` are
    /// nothing, `()`; pairs of names and values; or a function that returns such pairs, and is called at each handshake, for
    /// example with a fresh token. It runs on the thread that connects, without any lock, and should not take long: the
    /// connect time-out does not interrupt it. What it fails with ends the attempt.
    ///
    /// | Python | Rust |
    /// |---|---|
    /// | `ws_set_options("/ws")` | `ws_set_options("/ws", ())` |
    /// | `ws_set_options("/ws", {"Authorization": "Bearer x"})` | `ws_set_options("/ws", [("Authorization", "Bearer x")])` |
    /// | `ws_set_options("/ws", function)` | `ws_set_options("/ws", closure)`; it gets nothing, what it returns is added |
    ///
    /// A `Host` takes the place of that of the server, which is `localhost` where there is none. The headers of the
    /// handshake itself (`Connection`, `Upgrade`, `Sec-WebSocket-..`) cannot be set: the sub-protocol is `mqtt`, with
    /// MQTT 3.1 `mqttv3.1`, and a server that does not agree to it is refused. For a path that is another one at each
    /// connection call this in [`on_pre_connect`](Self::on_pre_connect).
    ///
    /// This does not choose WebSocket: URLs do (`ws://` with port 80, `wss://` with 443 and TLS as
    /// [`tls_set`](Self::tls_set) says), or [`Transport::WebSockets`] for all servers, where the port stays 1883 unless
    /// another is given. WebSocket goes over unix sockets and streams of your own as well, and through proxies.
    ///
    /// An upgrade that is refused ends the attempt with [`Error::WebSocket`], which has the status and the beginning of what
    /// the server says. Later such an error has the code of the server's close frame.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a path or headers that cannot be sent; nothing is changed then.
    ///
    /// ```no_run
    /// use callmq::client::Client;
    ///
    /// # fn token() -> String { String::new() }
    /// # fn main() -> callmq::Result<()> {
    /// let client = Client::new("meter");
    /// client.ws_set_options("/mqtt", || vec![("Authorization", format!("Bearer {}", token()))])?;
    /// client.connect("wss://broker.example.com")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// See MQTT 3.1.1 and 5.0, section 6.
    pub fn ws_set_options(&self, path: &str, headers: impl IntoHeaders) -> Result<()> {
        check_path(path).map_err(|rule| Error::argument("path", rule))?;
        let headers = headers.into_headers()?.0;
        let settings = WebSocketSettings {
            path: Some(path.to_owned()),
            headers: Some(headers),
        };
        let before = std::mem::replace(&mut self.shared().lock().websocket, settings);
        // Not under the lock: a function may hold a client.
        drop(before);
        Ok(())
    }
}

impl Core {
    /// How to ask a server for a WebSocket, if at all.
    pub(super) fn websocket_for(&self, server: &Server) -> Option<WebSocketConfig> {
        if !server.parts().scheme.websocket && self.transport != Transport::WebSockets {
            return None;
        }
        let path = server.parts().ws_path.as_ref().or(self.websocket.path.as_ref());
        Some(WebSocketConfig {
            path: path.map_or(DEFAULT_PATH, String::as_str).to_owned(),
            protocol: match self.session.settings.version {
                ProtocolVersion::V31 => "mqttv3.1",
                // [MQTT-6.0.0-3]
                ProtocolVersion::V311 | ProtocolVersion::V5 => "mqtt",
            },
            headers: self.websocket.headers.clone(),
        })
    }
}

impl fmt::Debug for WebSocketSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Either may have secrets.
        f.debug_struct("WebSocketSettings").finish_non_exhaustive()
    }
}

/// Headers of HTTP, or a function that makes them, as [`Client::ws_set_options`] takes them: made by [`IntoHeaders`].
#[derive(Clone)]
pub struct WebSocketHeaders(Headers);

impl WebSocketHeaders {
    fn fixed<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self> {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        let pairs: Vec<(String, String)> = pairs.collect();
        check_headers(&pairs).map_err(|rule| Error::argument("headers", rule))?;
        Ok(Self(Arc::new(move || Ok(pairs.clone()))))
    }
}

impl fmt::Debug for WebSocketHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketHeaders").finish_non_exhaustive()
    }
}

/// What [`Client::ws_set_options`] takes as headers: `()`; pairs of names and values in an array, a slice, a `Vec` or a map;
/// a function that returns any of these, or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which headers to send",
    label = "not headers",
    note = "write (), [(\"name\", \"value\")], or a function that returns such pairs: || vec![(\"name\", value())]"
)]
pub trait IntoHeaders {
    /// Converts and checks them.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for names and values that cannot be sent, and for headers of the handshake itself.
    fn into_headers(self) -> Result<WebSocketHeaders>;
}

impl IntoHeaders for WebSocketHeaders {
    fn into_headers(self) -> Result<WebSocketHeaders> {
        Ok(self)
    }
}

impl IntoHeaders for () {
    fn into_headers(self) -> Result<WebSocketHeaders> {
        WebSocketHeaders::fixed([] as [(String, String); 0])
    }
}

impl<N: Into<String>, V: Into<String>, const COUNT: usize> IntoHeaders for [(N, V); COUNT] {
    fn into_headers(self) -> Result<WebSocketHeaders> {
        WebSocketHeaders::fixed(self)
    }
}

impl<N: AsRef<str>, V: AsRef<str>> IntoHeaders for &[(N, V)] {
    fn into_headers(self) -> Result<WebSocketHeaders> {
        WebSocketHeaders::fixed(self.iter().map(|(name, value)| (name.as_ref(), value.as_ref())))
    }
}

impl<N: Into<String>, V: Into<String>> IntoHeaders for Vec<(N, V)> {
    fn into_headers(self) -> Result<WebSocketHeaders> {
        WebSocketHeaders::fixed(self)
    }
}

impl<N: Into<String>, V: Into<String>, S> IntoHeaders for HashMap<N, V, S> {
    fn into_headers(self) -> Result<WebSocketHeaders> {
        WebSocketHeaders::fixed(self)
    }
}

impl<N: Into<String>, V: Into<String>> IntoHeaders for BTreeMap<N, V> {
    fn into_headers(self) -> Result<WebSocketHeaders> {
        WebSocketHeaders::fixed(self)
    }
}

impl<H: IntoHeaders> IntoHeaders for Result<H> {
    fn into_headers(self) -> Result<WebSocketHeaders> {
        self?.into_headers()
    }
}

impl<F, H> IntoHeaders for F
where
    F: Fn() -> H + Send + Sync + 'static,
    H: IntoHeaders,
{
    fn into_headers(self) -> Result<WebSocketHeaders> {
        Ok(WebSocketHeaders(Arc::new(move || {
            let headers = self().into_headers()?;
            (headers.0)()
        })))
    }
}
