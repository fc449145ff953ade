//! Reaching a server: one attempt to connect, over as many servers of the list as its time allows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::proxy::proxy_for;
use super::shared::{Core, Shared};
use super::{Client, ConnectOptions, Server};
use crate::error::{Error, Result};
use crate::session::AuthStart;
use crate::transport::{self, Cancel, DialOptions, Socket};

/// A server that took the connection, and what to tell it.
pub(super) struct Reached {
    pub(super) socket: Socket,
    pub(super) server: Server,
    pub(super) authentication: Option<Box<AuthStart>>,
}

impl Client {
    /// Returns the server that the client is connected or connecting to; after the end of a connection, and after a
    /// failed attempt, the one that was tried last. `None` before the first attempt.
    ///
    /// In [`on_pre_connect`](Self::on_pre_connect) it is the server that is about to be tried, for credentials and other
    /// settings that differ from server to server.
    ///
    /// ```
    /// use callmq::client::Client;
    ///
    /// let client = Client::new("meter");
    /// client.on_pre_connect(|client| {
    ///     let server = client.server();
    ///     let password = match server.as_ref().and_then(|server| server.host()) {
    ///         Some("one.example.com") => "first secret",
    ///         _ => "second secret",
    ///     };
    ///     client.username_pw_set("meter", password);
    /// });
    /// ```
    pub fn server(&self) -> Option<Server> {
        self.shared().lock().servers.current().cloned()
    }
}

impl Shared {
    /// Tries the servers of the present round until one can be reached.
    ///
    /// The connect time-out is for all of them together, without the time that `on_pre_connect` takes: while others
    /// wait, a server may have its share of what is left.
    pub(super) fn reach_server(
        self: &Arc<Self>,
        options: &ConnectOptions,
        epoch: u64,
        cancel: &Cancel,
    ) -> Result<Reached> {
        let mut left = options.dial_options(self.lock().dial_defaults()).connect_timeout;
        let started = Instant::now();
        self.find_servers(options, left / 2, epoch, cancel)?;
        left = left.saturating_sub(started.elapsed());
        let mut failure = Error::argument("host", "no server is named");
        while !left.is_zero() {
            let Some(server) = self.next_server(epoch)? else {
                break;
            };
            let slot = &self.callbacks.pre_connect;
            let run = slot.run_in_turn("on_pre_connect", |f| self.call("on_pre_connect", |c| f(c)));
            self.log_failure(&run);
            run?;
            self.choose_version(&mut self.lock());
            let authentication = self.auth_for_connect()?;
            let (mut way, waiting) = {
                let mut core = self.lock();
                (core.way_to(&server, options)?, core.servers.left())
            };
            let sharing = u32::try_from(waiting).unwrap_or(u32::MAX).saturating_add(1);
            way.connect_timeout = left / sharing;
            let started = Instant::now();
            match transport::dial(&server.parts().target, &way, cancel) {
                Ok(socket) => {
                    return Ok(Reached {
                        socket,
                        server,
                        authentication,
                    });
                }
                Err(_) if cancel.is_cancelled() => return Err(Error::NotConnected),
                Err(error) => {
                    if waiting > 0 {
                        log::info!(target: "callmq", "cannot connect to {server}: {error}; trying another server");
                    }
                    let mut core = self.lock();
                    if core.epoch == epoch {
                        core.servers.failed(self.now());
                    }
                    failure = error.into();
                }
            }
            left = left.saturating_sub(started.elapsed());
        }
        Err(failure)
    }

    /// Has the list hold the servers that the attempt may use.
    fn find_servers(
        &self,
        options: &ConnectOptions,
        timeout: Duration,
        epoch: u64,
        cancel: &Cancel,
    ) -> Result<()> {
        let moved = self
            .lock()
            .redirects
            .present()
            .and_then(|redirects| redirects.begin());
        let servers = match moved {
            Some(servers) => Some(servers),
            None => self.named_servers(options, timeout, cancel)?,
        };
        let mut core = self.lock();
        if core.epoch != epoch {
            return Err(Error::NotConnected);
        }
        if let Some(servers) = servers {
            core.servers.set(&servers, options.order());
        }
        if core.servers.left() == 0 {
            core.servers.new_round();
        }
        Ok(())
    }

    #[cfg(not(feature = "srv"))]
    fn named_servers(
        &self,
        options: &ConnectOptions,
        _timeout: Duration,
        _cancel: &Cancel,
    ) -> Result<Option<Vec<Server>>> {
        Ok(Some(options.servers().to_vec()))
    }

    /// The next server of the round, unless another call has taken the attempt's place.
    fn next_server(&self, epoch: u64) -> Result<Option<Server>> {
        let mut core = self.lock();
        if core.epoch != epoch {
            return Err(Error::NotConnected);
        }
        Ok(core.servers.next(self.now()))
    }
}

impl Core {
    /// How to connect, where the options of `connect` say nothing.
    pub(super) fn dial_defaults(&self) -> DialOptions {
        self.dial_defaults.as_deref().cloned().unwrap_or_default()
    }

    /// How to connect to a server.
    pub(super) fn way_to(&mut self, server: &Server, options: &ConnectOptions) -> Result<DialOptions> {
        let set = options.proxy_setting().or(self.proxy.as_deref());
        let proxy = proxy_for(server, set, |name| std::env::var(name).ok())?;
        let way = options.dial_options(self.dial_defaults());
        Ok(DialOptions {
            proxy,
            #[cfg(feature = "tls")]
            tls: self.tls_for(server),
            #[cfg(feature = "websocket")]
            websocket: self.websocket_for(server),
            ..way
        })
    }
}
