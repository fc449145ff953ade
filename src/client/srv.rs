//! Servers found by the SRV records of a domain.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::shared::{Core, Shared};
use super::{Client, ConnectOptions, IntoHost, Server};
use crate::error::{Error, Result};
use crate::transport::{self, Cancel};

/// Whose records to look up, and where.
#[derive(Clone, Debug)]
pub(super) struct Srv {
    domain: String,
    /// None: those of the system.
    name_servers: Vec<SocketAddr>,
}

/// SRV records. Needs the feature `srv`.
impl Client {
    /// [Connects](Self::connect) to the servers that the SRV records of a domain name: those of
    /// `_secure-mqtt._tcp.DOMAIN` after `tls_set`, else of `_mqtt._tcp.DOMAIN`.
    ///
    /// `"example.com"`, or with the keep alive `("example.com", 60)`. Everything else can be set with
    /// [`ConnectOptions::srv`], which also works with [`connect_async`](Self::connect_async) and tells more.
    ///
    /// # Errors
    ///
    /// As for `connect`; [`Error::Io`] of the kind `NotFound` where the domain has no such record or says that it does not
    /// have the service, of the kind `TimedOut` where no name server answers.
    ///
    /// ```no_run
    /// use callmq::client::Client;
    ///
    /// # fn main() -> callmq::Result<()> {
    /// let client = Client::new("meter");
    /// client.connect_srv("example.com")?;
    /// client.connect_srv(("example.com", 60))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect_srv(&self, domain: impl IntoSrv) -> Result<()> {
        self.connect(domain.into_srv())
    }
}

/// SRV records. Needs the feature `srv`.
impl ConnectOptions {
    /// Connects to the servers that the SRV records of `domain` name, as [`Client::connect_srv`] does.
    ///
    /// The records are looked up at each attempt to connect, with at most half of its
    /// [time](Client::connect_timeout_set); where that fails, the last ones count. Their servers make a list as those of
    /// [`server`](Self::server) do, which come after them if there are any: ordered by priority, and among equals by
    /// chance and weight (RFC 2782). A certificate has to be valid for the host that the record names. Whoever can forge
    /// the answers of the name server chooses that host: where TLS is to hold against such, name the server itself, or the
    /// name in its certificate (`TlsOptions::server_name`).
    ///
    /// The name servers are those of `/etc/resolv.conf`, or those given by [`name_server`](Self::name_server); the domain
    /// is taken as it is, without the search list.
    ///
    /// ```
    /// use callmq::client::ConnectOptions;
    ///
    /// let options = ConnectOptions::srv("example.com").keep_alive(30);
    /// # drop(options);
    /// ```
    pub fn srv(domain: impl IntoHost) -> Self {
        let domain = domain.into_host();
        Self::empty().try_set(|options| {
            options.srv = Some(Srv::new(&domain)?);
            Ok(())
        })
    }

    /// Asks this name server for SRV records, in place of those of the system. More than one are asked in turns.
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    ///
    /// use callmq::client::ConnectOptions;
    ///
    /// let options = ConnectOptions::srv("example.com").name_server((Ipv4Addr::LOCALHOST, 53));
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn name_server(mut self, address: impl Into<SocketAddr>) -> Self {
        if let Some(srv) = &mut self.srv {
            srv.name_servers.push(address.into());
        }
        self
    }
}

/// What [`Client::connect_srv`] takes: a domain, or a domain and the keep alive.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a domain",
    label = "not a domain",
    note = "write \"example.com\" or (\"example.com\", 60); a keep alive is a `u16` of seconds or a `Duration`"
)]
pub trait IntoSrv {
    /// Converts it. A mistake is reported by the call that uses the options.
    fn into_srv(self) -> ConnectOptions;
}

impl<H: IntoHost> IntoSrv for H {
    fn into_srv(self) -> ConnectOptions {
        ConnectOptions::srv(self)
    }
}

impl<H: IntoHost> IntoSrv for (H, u16) {
    fn into_srv(self) -> ConnectOptions {
        ConnectOptions::srv(self.0).keep_alive(self.1)
    }
}

impl<H: IntoHost> IntoSrv for (H, Duration) {
    fn into_srv(self) -> ConnectOptions {
        ConnectOptions::srv(self.0).keep_alive(self.1)
    }
}

impl Srv {
    fn new(domain: &str) -> Result<Self> {
        let domain = domain.strip_suffix('.').unwrap_or(domain).to_owned();
        let is_address = domain.contains(':') || domain.parse::<Ipv4Addr>().is_ok();
        let is_name = !is_address && Server::new(&domain, Server::DEFAULT_PORT).is_ok();
        let srv = Self {
            domain,
            name_servers: Vec::new(),
        };
        // The longer of the two names.
        if !is_name || transport::check_name(&srv.name(true)).is_err() {
            return Err(Error::argument(
                "domain",
                "must be the name of a domain, in ASCII",
            ));
        }
        Ok(srv)
    }

    /// The name that has the records.
    fn name(&self, tls: bool) -> String {
        let service = if tls { "_secure-mqtt" } else { "_mqtt" };
        format!("{service}._tcp.{}", self.domain)
    }

    fn look_up(&self, tls: bool, timeout: Duration, cancel: &Cancel) -> Result<Vec<Server>> {
        let name = self.name(tls);
        let places = transport::look_up_srv(&name, &self.name_servers, timeout, cancel)?;
        // A name of DNS may hold anything, that of a host may not.
        let servers = places
            .iter()
            .filter_map(|(host, port)| Server::new(host, *port).ok());
        let servers: Vec<_> = servers.collect();
        if servers.is_empty() {
            let text = format!("the SRV records of {name} name no host");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text).into());
        }
        Ok(servers)
    }
}

impl Shared {
    /// The servers of the attempt that begins: those of the records, then those that were named. `None`: as before, for
    /// no name server answers.
    pub(super) fn named_servers(
        &self,
        options: &ConnectOptions,
        timeout: Duration,
        cancel: &Cancel,
    ) -> Result<Option<Vec<Server>>> {
        let named = options.servers().to_vec();
        let Some(srv) = &options.srv else {
            return Ok(Some(named));
        };
        let (tls, known) = {
            let core = self.lock();
            (core.speaks_tls(), !core.servers.is_empty())
        };
        match srv.look_up(tls, timeout, cancel) {
            Ok(found) => Ok(Some([found, named].concat())),
            Err(_) if cancel.is_cancelled() => Err(Error::NotConnected),
            Err(error) if known || !named.is_empty() => {
                log::warn!(target: "callmq", "{error}");
                Ok(Some(named).filter(|_| !known))
            }
            Err(error) => Err(error),
        }
    }
}

impl Core {
    fn speaks_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_set();
        #[cfg(not(feature = "tls"))]
        false
    }
}
