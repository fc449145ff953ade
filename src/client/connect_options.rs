//! Everything that `connect` can be told.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::codes::CleanStart;
use super::convert::{IntoHost, IntoServer, IntoTimeout};
use super::proxy::{IntoProxy, Proxy};
pub use super::server::Server;
use super::server_list::ServerOrder;
use super::session_settings::expiry_seconds;
#[cfg(feature = "srv")]
use super::srv::Srv;
use crate::codec::{Properties, ProtocolVersion};
use crate::error::{Error, Result};
use crate::transport::{DialOptions, Stream};

/// Where and how to connect.
///
/// Made from a server and completed step by step. A mistake in a step is reported by the call that uses the options.
///
/// ```
/// use callmq::client::ConnectOptions;
///
/// let options = ConnectOptions::new("localhost").port(1884).keep_alive(30).connect_timeout(2.5);
/// assert_eq!(options.servers()[0].to_string(), "localhost:1884");
/// ```
#[derive(Clone)]
pub struct ConnectOptions {
    servers: Vec<Server>,
    #[cfg(feature = "srv")]
    pub(super) srv: Option<Srv>,
    keep_alive: Option<u16>,
    clean_start: Option<CleanStart>,
    session_expiry: Option<u32>,
    properties: Properties,
    dial: Option<Box<DialSettings>>,
    return_after: Option<Duration>,
    server_order: ServerOrder,
    proxy: Option<Box<Proxy>>,
    /// The first mistake.
    problem: Option<Box<Error>>,
}

/// How to connect, where it is not as usual.
#[derive(Clone, Debug, Default)]
struct DialSettings {
    bind_address: Option<String>,
    bind_port: u16,
    connect_timeout: Option<Duration>,
    stagger: Option<Duration>,
    tcp_nodelay: Option<bool>,
    tcp_keep_alive: Option<Duration>,
    tcp_user_timeout: Option<Duration>,
}

impl ConnectOptions {
    /// Connects to this server: a host, a host and its port, or a URL.
    pub fn new(server: impl IntoServer) -> Self {
        Self::empty().server(server)
    }

    /// Connects to a unix socket, by its path. The options for TCP have no effect.
    ///
    /// ```
    /// use callmq::client::ConnectOptions;
    ///
    /// let options = ConnectOptions::unix("/run/mqtt.sock").keep_alive(30);
    /// assert_eq!(options.servers()[0].to_string(), "unix:///run/mqtt.sock");
    /// ```
    #[cfg(unix)]
    pub fn unix(path: impl AsRef<std::path::Path>) -> Self {
        Self::empty().try_set(|options| {
            options.servers.push(Server::unix(path)?);
            Ok(())
        })
    }

    /// Connects by calling `open`, in place of TCP, for each connection: a stream of the user's own, for example to a
    /// server in the same process.
    ///
    /// `open` runs on the thread that connects and should not take long. The options for sockets have no effect.
    ///
    /// ```
    /// use callmq::client::ConnectOptions;
    ///
    /// let options = ConnectOptions::connector(|| Err(std::io::ErrorKind::ConnectionRefused.into()));
    /// assert_eq!(options.servers()[0].to_string(), "custom stream");
    /// ```
    pub fn connector(open: impl Fn() -> io::Result<Arc<dyn Stream>> + Send + Sync + 'static) -> Self {
        Self::empty().server(Server::custom(Arc::new(open)))
    }

    pub(super) fn empty() -> Self {
        Self {
            // Nearly always there is one.
            servers: Vec::with_capacity(1),
            #[cfg(feature = "srv")]
            srv: None,
            keep_alive: None,
            clean_start: None,
            session_expiry: None,
            properties: Properties::default(),
            dial: None,
            return_after: None,
            server_order: ServerOrder::default(),
            proxy: None,
            problem: None,
        }
    }

    /// Adds a server, to be tried if those before it cannot be reached.
    ///
    /// Where there are several, each attempt to connect goes through the list until one of them can be reached. A server
    /// that refuses (CONNACK), ends the connection or loses it soon is followed by the next one at once; when all were
    /// tried, the loop waits as it does with one server ([`reconnect_delay_set`](super::Client::reconnect_delay_set)) and
    /// begins again. For a minute a server that has failed is tried after the others. One that breaks off a connection
    /// that lived a while, without a word, is tried first.
    /// [`Client::server`](super::Client::server) tells which server it is; with it
    /// [`on_pre_connect`](super::Client::on_pre_connect), which runs for each, sets what differs between them.
    ///
    /// A server that does not know the session of the client answers as after any loss: subscriptions are renewed
    /// ([`resubscribe_set`](super::Client::resubscribe_set)), messages under way are sent again or given up
    /// ([`on_session_lost_set`](super::Client::on_session_lost_set)). Servers that share no sessions may each have one of
    /// this client from an earlier time, and say so: there [`Resubscribe::Always`](super::Resubscribe) renews what that
    /// one does not know.
    ///
    /// ```
    /// use callmq::client::ConnectOptions;
    ///
    /// let options = ConnectOptions::new("one.example.com").server("mqtt://me:secret@two.example.com:1884");
    /// assert_eq!(options.servers().len(), 2);
    /// ```
    #[must_use]
    #[doc(alias = "serverURIs")]
    pub fn server(self, server: impl IntoServer) -> Self {
        self.try_set(|options| {
            options.servers.push(server.into_server()?);
            Ok(())
        })
    }

    /// Sets in which order the servers are tried, as far as they are well: as they were named, the default, or by chance.
    #[must_use]
    pub fn server_order(mut self, order: ServerOrder) -> Self {
        self.server_order = order;
        self
    }

    /// Sets after how long a client that is connected to another server goes back to the first one: seconds or a
    /// [`Duration`], or `None`, the default, for only when the connection ends by itself.
    ///
    /// When that time is over, and again whenever it is over, the loop looks whether the first server takes connections:
    /// it opens one by TCP (through the proxy if there is one) or as a stream of your own, beside the present one and on a
    /// thread that ends with it. If it does, the client sends DISCONNECT, which keeps a session that outlives its
    /// connection and discards the will, calls [`on_disconnect`](super::Client::on_disconnect) with
    /// [`DisconnectReason::ReturnToFirst`](super::DisconnectReason::ReturnToFirst) and connects to the first server at
    /// once; should that refuse, to the next one. What was not acknowledged is sent again there, as after any loss; what
    /// others publish meanwhile reaches the client only where the servers share its session.
    ///
    /// Only the loops that reconnect do this ([`loop_start`](super::Client::loop_start),
    /// [`loop_forever`](super::Client::loop_forever)), and only in the [order](Self::server_order) that was named. Where
    /// another server has sent the client, it stays ([`on_redirect`](super::Client::on_redirect)).
    ///
    /// ```
    /// use callmq::client::ConnectOptions;
    ///
    /// let options = ConnectOptions::new("here.example.com").server("far.example.com").return_to_first(600);
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn return_to_first(self, after: impl IntoTimeout) -> Self {
        self.try_set(|options| {
            let after = renamed(after.into_timeout(), "return_to_first")?;
            if after.is_some_and(|after| after.is_zero()) {
                return Err(Error::argument("return_to_first", "must not be 0"));
            }
            options.return_after = after;
            Ok(())
        })
    }

    /// Sets the port of the server that was named last. Defaults to 1883, with `mqtts://` to 8883, with `ws://` to 80
    /// and with `wss://` to 443.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.try_set(|options| {
            options
                .servers
                .last_mut()
                .map_or(Ok(()), |server| server.set_port(port))
        })
    }

    /// Sets how long the connection may be silent before a PINGREQ is sent: seconds or a `Duration`.
    ///
    /// A part of a second is rounded up. 0 turns pings off; the longest is 65,535 seconds. Defaults to the client's
    /// setting, which is 60 seconds unless changed.
    #[must_use]
    #[doc(alias = "keepalive")]
    pub fn keep_alive(self, keep_alive: impl IntoTimeout) -> Self {
        self.try_set(|options| {
            let too_long = Error::argument("keep_alive", "must not be longer than 65,535 seconds");
            let duration = renamed(keep_alive.into_timeout(), "keep_alive")?.ok_or(too_long.clone())?;
            let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
            options.keep_alive = Some(u16::try_from(seconds).map_err(|_| too_long)?);
            Ok(())
        })
    }

    /// Sets the local IP address to connect from.
    #[must_use]
    pub fn bind_address(self, address: impl IntoHost) -> Self {
        self.try_set(|options| {
            let address = address.into_host();
            if address.parse::<std::net::IpAddr>().is_err() {
                return Err(Error::argument("bind_address", "must be an IP address"));
            }
            options.dial().bind_address = Some(address);
            Ok(())
        })
    }

    /// Sets the local port to connect from; 0, the default, leaves the choice to the system.
    #[must_use]
    pub fn bind_port(mut self, port: u16) -> Self {
        self.dial().bind_port = port;
        self
    }

    /// Sets whether the server forgets an earlier session (MQTT 5.0): `true`, `false` or a [`CleanStart`].
    ///
    /// Defaults to what [`ClientBuilder::clean_session`](super::ClientBuilder::clean_session) says, and where that says
    /// nothing to [`CleanStart::FirstOnly`]. The calls that connect refuse it for MQTT 3.
    #[must_use]
    pub fn clean_start(mut self, clean_start: impl Into<CleanStart>) -> Self {
        self.clean_start = Some(clean_start.into());
        self
    }

    /// Sets how long the server keeps the session after the connection has ended (MQTT 5.0): seconds, a [`Duration`],
    /// `None` for ever.
    ///
    /// Defaults to the client's setting: see [`Client::session_expiry_set`](super::Client::session_expiry_set), which
    /// also tells what is taken where neither is set. The calls that connect refuse it for MQTT 3.
    ///
    /// ```no_run
    /// use callmq::client::{Client, ConnectOptions, MQTTv5};
    ///
    /// # fn main() -> callmq::Result<()> {
    /// let client = Client::builder("meter").protocol(MQTTv5).build();
    /// client.connect(ConnectOptions::new("localhost").clean_start(false).session_expiry(3600))?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn session_expiry(self, time: impl IntoTimeout) -> Self {
        self.try_set(|options| {
            options.session_expiry = Some(expiry_seconds(time)?);
            Ok(())
        })
    }

    /// Sets the properties of the CONNECT packet (MQTT 5.0). The calls that connect refuse them for MQTT 3.
    #[must_use]
    pub fn properties(mut self, properties: Properties) -> Self {
        self.properties = properties;
        self
    }

    /// Sets how long one attempt to connect may take, over all servers: seconds, a `Duration`, or `None` for as long as
    /// the system takes.
    ///
    /// Defaults to the client's setting, which is 5 seconds unless changed; see
    /// [`Client::connect_timeout_set`](super::Client::connect_timeout_set) for what it covers.
    #[must_use]
    pub fn connect_timeout(self, timeout: impl IntoTimeout) -> Self {
        self.try_set(|options| {
            let timeout = renamed(timeout.into_timeout(), "connect_timeout")?.unwrap_or(Duration::MAX);
            if timeout.is_zero() {
                return Err(Error::argument("connect_timeout", "must not be 0"));
            }
            options.dial().connect_timeout = Some(timeout);
            Ok(())
        })
    }

    /// Sets how long one address of a server has a lead before the next is tried beside it: seconds or a `Duration`;
    /// `None` waits until the one before has failed. Defaults to 250 ms, as RFC 8305 recommends.
    #[must_use]
    #[doc(alias = "happy eyeballs")]
    pub fn stagger(self, lead: impl IntoTimeout) -> Self {
        self.try_set(|options| {
            let lead = renamed(lead.into_timeout(), "stagger")?;
            options.dial().stagger = Some(lead.unwrap_or(Duration::MAX));
            Ok(())
        })
    }

    /// Sets whether small writes leave at once (`TCP_NODELAY`). Defaults to `true`.
    #[must_use]
    pub fn tcp_nodelay(mut self, on: bool) -> Self {
        self.dial().tcp_nodelay = Some(on);
        self
    }

    /// Sets after how much silence, and how often, the system probes the connection (TCP keep-alive): 1 to 32,767
    /// seconds, or `None`, the default, for never.
    #[must_use]
    pub fn tcp_keep_alive(self, interval: impl IntoTimeout) -> Self {
        self.try_set(|options| {
            let interval = renamed(interval.into_timeout(), "tcp_keep_alive")?;
            if interval.is_some_and(|interval| !(1..=32_767).contains(&interval.as_secs())) {
                return Err(Error::argument(
                    "tcp_keep_alive",
                    "must be from 1 to 32,767 seconds",
                ));
            }
            options.dial().tcp_keep_alive = interval;
            Ok(())
        })
    }

    /// Sets how long written bytes may stay unacknowledged before the system ends the connection
    /// (`TCP_USER_TIMEOUT`); `None`, the default, leaves it to the system. No effect where the system does not have it.
    #[must_use]
    pub fn tcp_user_timeout(self, timeout: impl IntoTimeout) -> Self {
        self.try_set(|options| {
            options.dial().tcp_user_timeout = renamed(timeout.into_timeout(), "tcp_user_timeout")?;
            Ok(())
        })
    }

    /// Connects to servers by TCP through this proxy: see [`Client::proxy_set`](super::Client::proxy_set), whose setting is
    /// the default. [`Proxy::none`] is for connecting directly.
    ///
    /// ```
    /// use callmq::client::{ConnectOptions, Proxy};
    ///
    /// let options = ConnectOptions::new("broker.example.com").proxy(Proxy::http("proxy", 3128));
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn proxy(self, proxy: impl IntoProxy) -> Self {
        self.try_set(|options| {
            options.proxy = Some(Box::new(proxy.into_proxy()?));
            Ok(())
        })
    }

    /// Returns the servers, in the order in which they were named. Those of SRV records are not known here.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The keep alive in seconds, if it was set.
    pub(crate) fn keep_alive_seconds(&self) -> Option<u16> {
        self.keep_alive
    }

    pub(crate) fn clean_start_setting(&self) -> Option<CleanStart> {
        self.clean_start
    }

    /// The Session Expiry Interval in seconds, if it was set.
    pub(crate) fn session_expiry_setting(&self) -> Option<u32> {
        self.session_expiry
    }

    pub(super) fn return_after(&self) -> Option<Duration> {
        self.return_after
    }

    pub(super) fn order(&self) -> ServerOrder {
        self.server_order
    }

    pub(super) fn proxy_setting(&self) -> Option<&Proxy> {
        self.proxy.as_deref()
    }

    pub(crate) fn connect_properties(&self) -> &Properties {
        &self.properties
    }

    /// How the transport has to connect; what was not set is as in `defaults`.
    pub(crate) fn dial_options(&self, defaults: DialOptions) -> DialOptions {
        let Some(set) = self.dial.as_deref() else {
            return defaults;
        };
        DialOptions {
            bind_address: set.bind_address.clone().or(defaults.bind_address),
            bind_port: if set.bind_port == 0 {
                defaults.bind_port
            } else {
                set.bind_port
            },
            tcp_nodelay: set.tcp_nodelay.unwrap_or(defaults.tcp_nodelay),
            tcp_keep_alive: set.tcp_keep_alive.or(defaults.tcp_keep_alive),
            tcp_user_timeout: set.tcp_user_timeout.or(defaults.tcp_user_timeout),
            connect_timeout: set.connect_timeout.unwrap_or(defaults.connect_timeout),
            stagger: set.stagger.unwrap_or(defaults.stagger),
            ..defaults
        }
    }

    fn dial(&mut self) -> &mut DialSettings {
        self.dial.get_or_insert_default()
    }

    /// Changes the port of the first server.
    pub(super) fn set_port(&mut self, port: u16) -> Result<()> {
        match self.servers.first_mut() {
            Some(server) if server.port().is_some() => server.set_port(port),
            _ => Err(Error::InvalidState("the server has no port")),
        }
    }

    /// Lets no attempt take longer than `limit`; for a job that has a deadline.
    pub(crate) fn connect_within(mut self, limit: Duration) -> Self {
        let allowed = self.dial_options(DialOptions::default()).connect_timeout;
        self.dial().connect_timeout = Some(allowed.min(limit));
        self
    }

    /// Reports the first mistake made while these options were put together.
    pub(crate) fn checked(self) -> Result<Self> {
        match self.problem {
            Some(problem) => Err(*problem),
            None => Ok(self),
        }
    }

    /// Refuses what the version does not have.
    pub(crate) fn check_version(&self, version: ProtocolVersion) -> Result<()> {
        if version == ProtocolVersion::V5 {
            return Ok(());
        }
        if self.clean_start.is_some() {
            return Err(Error::argument("clean_start", "only applies to MQTT 5.0"));
        }
        if self.session_expiry.is_some() {
            return Err(Error::argument("session_expiry", "only applies to MQTT 5.0"));
        }
        if self.properties != Properties::default() {
            return Err(Error::argument("properties", "only apply to MQTT 5.0"));
        }
        Ok(())
    }

    pub(super) fn try_set(mut self, set: impl FnOnce(&mut Self) -> Result<()>) -> Self {
        if let Err(problem) = set(&mut self) {
            self.problem.get_or_insert(Box::new(problem));
        }
        self
    }
}

/// Has an error about a time-out name the argument that the user knows.
pub(super) fn renamed<T>(result: Result<T>, argument: &'static str) -> Result<T> {
    result.map_err(|error| match error {
        Error::InvalidArgument { rule, .. } => Error::InvalidArgument { argument, rule },
        other => other,
    })
}

impl FromStr for ConnectOptions {
    type Err = Error;

    /// Reads the text forms of [`IntoConnect`](super::IntoConnect), for example from a command line.
    fn from_str(text: &str) -> Result<Self> {
        Self::new(text).checked()
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("servers", &self.servers)
            .field("keep_alive", &self.keep_alive)
            .field("clean_start", &self.clean_start)
            .field("session_expiry", &self.session_expiry)
            .field("dial", &self.dial)
            // Properties may hold authentication data.
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
