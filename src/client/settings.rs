//! Settings of the client, under their paho names.

use std::any::Any;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::connect_options::ConnectOptions;
use super::fallback::Fallback;
use super::server_list::ServerList;
use super::shared::{Core, Phase, Shared};
use super::{
    Client, IntoConnect, IntoTimeout, OfflineQueue, OnSessionLost, Resubscribe, Server, Stats, Transport,
};
use crate::codec::ProtocolVersion;
use crate::error::{DropReason, Error, Result};
use crate::on_demand::OnDemand;
use crate::session::Credentials;

/// Settings. Those of a connection take effect at the next one.
impl Client {
    /// Sets the user name and the password; `None` for the name clears both.
    ///
    /// Takes effect at the next connection, so [`on_pre_connect`](Self::on_pre_connect) can refresh them. Credentials
    /// in a server's URL come first. At most 65,535 bytes each: the call that connects checks it.
    ///
    /// ```
    /// # let client = callmq::client::Client::default();
    /// client.username_pw_set("user", "secret");
    /// client.username_pw_set("user", None);
    /// client.username_pw_set(None, None);
    /// ```
    pub fn username_pw_set<'a>(
        &self,
        username: impl Into<Option<&'a str>>,
        password: impl Into<Option<&'a str>>,
    ) {
        let password = password
            .into()
            .map(|password| Bytes::copy_from_slice(password.as_bytes()));
        let credentials = username.into().map(|username| {
            Box::new(Credentials {
                username: username.to_owned(),
                password,
            })
        });
        self.shared().lock().credentials = credentials;
    }

    /// Returns the user name, if one is set.
    pub fn username(&self) -> Option<String> {
        let core = self.shared().lock();
        Some(core.credentials.as_ref()?.username.clone())
    }

    /// Sets the delays between attempts of the loop to reconnect: the first one, and the longest.
    ///
    /// Seconds or [`Duration`]s. Defaults to 1 s and 120 s. Each attempt doubles the delay, up to `max`; a `max` below
    /// `min` is taken to be `min`, a `min` below 10 ms to be 10 ms: a server that is not there does not keep the
    /// processor busy. The next attempt has the first delay again.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a negative or absent delay.
    pub fn reconnect_delay_set(&self, min: impl IntoTimeout, max: impl IntoTimeout) -> Result<()> {
        let absent = Error::argument("delay", "must be a number of seconds or a Duration");
        let min = min.into_timeout()?.ok_or_else(|| absent.clone())?;
        let max = max.into_timeout()?.ok_or(absent)?;
        self.shared().lock().backoff.set_delays(min, max);
        Ok(())
    }

    /// Sets by which part of itself each delay varies by chance, up or down: 0 (not at all) to 1. Defaults to 0.25, so
    /// that many clients do not come back in the same moment.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] outside of 0 to 1.
    pub fn reconnect_jitter_set(&self, part: f64) -> Result<()> {
        if !(0.0..=1.0).contains(&part) {
            return Err(Error::argument("part", "must be between 0 and 1"));
        }
        self.shared().lock().backoff.set_jitter(part);
        Ok(())
    }

    /// Sets how many messages of QoS 1 and 2 may be on their way at once; others wait in the queue.
    ///
    /// Defaults to 20. 0 sets no limit but that of the packet identifiers: 65,471, since some stay free for
    /// subscribing. In MQTT 5.0 the server's Receive Maximum is obeyed as well.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidState`] while a connection is open.
    pub fn max_inflight_messages_set(&self, inflight: u16) -> Result<()> {
        self.unconnected()?.session.settings.max_inflight = inflight;
        Ok(())
    }

    /// Returns how many messages of QoS 1 and 2 may be on their way at once.
    pub fn max_inflight_messages(&self) -> u16 {
        self.shared().lock().session.settings.max_inflight
    }

    /// Sets how many messages may wait in the outgoing queue.
    ///
    /// Defaults to 100,000. 0 sets no limit on their number; their bytes stay bounded, see
    /// [`offline_queue_set`](Self::offline_queue_set).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidState`] while a connection is open.
    pub fn max_queued_messages_set(&self, messages: usize) -> Result<&Self> {
        self.unconnected()?.session.settings.queue.max_messages = messages;
        Ok(self)
    }

    /// Returns how many messages may wait in the outgoing queue.
    pub fn max_queued_messages(&self) -> usize {
        self.shared().lock().session.settings.queue.max_messages
    }

    /// Sets the bounds of the outgoing queue, and what happens to a message that finds it full.
    ///
    /// Takes effect at once, for messages that are published from now on.
    pub fn offline_queue_set(&self, queue: OfflineQueue) {
        self.shared().lock().session.settings.queue = queue;
    }

    /// Sets when subscriptions are renewed. Defaults to [`Resubscribe::IfSessionLost`].
    ///
    /// Takes effect at the next connection.
    pub fn resubscribe_set(&self, policy: Resubscribe) {
        self.shared().lock().session.settings.resubscribe = policy;
    }

    /// Sets what becomes of unacknowledged messages when the server has lost the session. Defaults to
    /// [`OnSessionLost::Resend`].
    ///
    /// Takes effect at the next connection.
    pub fn on_session_lost_set(&self, policy: OnSessionLost) {
        self.shared().lock().session.settings.on_session_lost = policy;
    }

    /// Sets whether SUBSCRIBE and PUBLISH wait until `on_connect` has returned.
    ///
    /// Defaults to `false` in MQTT 3.1 and 3.1.1: they follow CONNECT at once, as with paho-mqtt. In MQTT 5.0 they
    /// always wait, since only the CONNACK tells the server's limits.
    pub fn wait_for_connack_set(&self, on: bool) {
        self.shared().lock().session.settings.wait_for_connack = on;
    }

    /// Sets whether the application acknowledges messages of QoS 1 and 2 itself, with [`ack`](Self::ack). Defaults to
    /// `false`.
    ///
    /// Takes effect for messages that are received from now on.
    pub fn manual_ack_set(&self, on: bool) {
        self.shared().lock().manual_ack = on;
    }

    /// Whether failures of callbacks are passed over: they are logged, but not reported to the caller of the loop, and a
    /// message is acknowledged as if its callback had succeeded. Defaults to `false`. Takes effect at the next failure.
    #[doc(alias = "suppress_exceptions")]
    pub fn suppress_exceptions_set(&self, on: bool) {
        self.shared().lock().suppress_exceptions = on;
    }

    /// Sets whether the loops connect again after a failure. Defaults to `true`.
    ///
    /// If not, the loop ends with the reason.
    pub fn reconnect_on_failure_set(&self, on: bool) {
        self.shared().lock().reconnect_on_failure = on;
    }

    /// Marks connections as those of a bridge, an extension of mosquitto: the server then does not send back what this
    /// client publishes, and keeps the retain flag of what it sends. Takes effect at the next connection; not in MQTT 5.0.
    pub fn enable_bridge_mode(&self) {
        self.shared().lock().session.settings.bridge = true;
    }

    /// Writes log lines to the [`log`](https://docs.rs/log) crate (target `callmq`). On by default. Independent of
    /// `on_log`.
    pub fn enable_logger(&self) {
        self.shared().logger.store(true, Ordering::Relaxed);
        self.trace_packets();
    }

    /// Stops writing the lines that `on_log` gets to the `log` crate. A few others, such as warnings about slow
    /// callbacks, are still written.
    pub fn disable_logger(&self) {
        self.shared().logger.store(false, Ordering::Relaxed);
        self.trace_packets();
    }

    /// Stores a value that callbacks can get with [`user_data_get`](Self::user_data_get): for functions, which capture
    /// nothing.
    ///
    /// There is one place: the value before is dropped, whatever its type.
    pub fn user_data_set<T: Any + Send + Sync>(&self, value: T) {
        let value: Arc<dyn Any + Send + Sync> = Arc::new(value);
        let previous = self.user_data().replace(value);
        drop(previous);
    }

    /// Returns the value of [`user_data_set`](Self::user_data_set), if one of this type is stored.
    ///
    /// ```
    /// # let client = callmq::client::Client::default();
    /// client.user_data_set(vec![1, 2, 3]);
    /// let numbers = client.user_data_get::<Vec<i32>>().expect("stored above");
    /// assert_eq!(numbers.len(), 3);
    /// assert!(client.user_data_get::<String>().is_none());
    /// ```
    pub fn user_data_get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let value = self.user_data().clone()?;
        value.downcast().ok()
    }

    fn user_data(&self) -> MutexGuard<'_, Option<Arc<dyn Any + Send + Sync>>> {
        self.shared()
            .user_data
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the keep alive: how long either direction may be silent before a PINGREQ is sent.
    ///
    /// `seconds` is 0 to 65,535; 0 turns pings off. Defaults to 60. Takes effect at the next connection, unless
    /// `connect` is given another. A server of MQTT 5.0 may override it in its CONNACK.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidState`] while a connection is open.
    ///
    /// See MQTT 5.0, section 3.1.2.10.
    pub fn keepalive_set(&self, seconds: u16) -> Result<()> {
        self.unconnected()?.session.settings.keep_alive = seconds;
        Ok(())
    }

    /// Returns the keep alive in seconds, as it was set here or by `connect`.
    pub fn keepalive(&self) -> u16 {
        self.shared().lock().session.settings.keep_alive
    }

    /// Sets how long a PINGRESP may take before the connection counts as lost: seconds or a [`Duration`]; `None`, the
    /// default, is as long as the keep alive.
    ///
    /// Takes effect at the next connection.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a time of zero or a negative one.
    pub fn ping_timeout_set(&self, timeout: impl IntoTimeout) -> Result<()> {
        let timeout = timeout.into_timeout()?;
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(Error::argument("timeout", "must be more than zero"));
        }
        self.shared().lock().session.settings.ping_timeout = timeout;
        Ok(())
    }

    /// Sets how long one attempt to connect may take: name look-ups, all servers of a list with all their addresses, and
    /// the handshakes together. The CONNACK may then take as long again.
    ///
    /// While other servers of the list wait, one may use its share of what is left: of three servers that are all silent,
    /// each gets a third of the time. What `on_pre_connect` takes does not count.
    ///
    /// Seconds or a [`Duration`]. Defaults to 5 s.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a time of zero, negative or absent; [`Error::InvalidState`] while a connection is
    /// open.
    pub fn connect_timeout_set(&self, timeout: impl IntoTimeout) -> Result<()> {
        let timeout = timeout.into_timeout()?.filter(|timeout| !timeout.is_zero());
        let timeout = timeout.ok_or(Error::argument("timeout", "must be more than zero"))?;
        let mut core = self.unconnected()?;
        core.dial_defaults.get_or_insert_default().connect_timeout = timeout;
        core.session.settings.connack_timeout = timeout;
        Ok(())
    }

    /// Returns how long one attempt to connect may take.
    pub fn connect_timeout(&self) -> Duration {
        self.shared().lock().dial_defaults().connect_timeout
    }

    /// Sets whether the socket sends small packets at once (`TCP_NODELAY`). Defaults to `true`: packets are put
    /// together here.
    ///
    /// Takes effect at the next connection.
    pub fn tcp_nodelay_set(&self, on: bool) {
        let mut core = self.shared().lock();
        core.dial_defaults.get_or_insert_default().tcp_nodelay = on;
    }

    /// Sets where to connect to with [`reconnect`](Self::reconnect), in the forms of [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] as for [`connect`](Self::connect); [`Error::InvalidState`] while a connection is open.
    pub fn host_set(&self, target: impl IntoConnect) -> Result<()> {
        self.configure(target, None)
    }

    /// Returns the first server of the last `connect`, as text without its credentials. `None` before.
    pub fn host(&self) -> Option<String> {
        let core = self.shared().lock();
        core.options
            .as_ref()?
            .servers()
            .first()?
            .host()
            .map(str::to_owned)
    }

    /// Sets the port to connect to with [`reconnect`](Self::reconnect): of the first server of the last `connect`, or of
    /// [`host_set`](Self::host_set), which begins with 1883 again.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for port 0; [`Error::InvalidState`] while a connection is open, before a host is set,
    /// and for a stream that has no port.
    pub fn port_set(&self, port: u16) -> Result<()> {
        let mut core = self.unconnected()?;
        let options = core.options.as_mut();
        let options = options.ok_or(Error::InvalidState("the host is not set yet"))?;
        Arc::make_mut(options).set_port(port)
    }

    /// The port of the last `connect`. `None` before, and for a stream that has none.
    pub fn port(&self) -> Option<u16> {
        let core = self.shared().lock();
        core.options.as_ref()?.servers().first()?.port()
    }

    /// Returns the client id: the one given, the one that a server of MQTT 5.0 assigned, or the one that was made
    /// because an empty one was refused.
    pub fn client_id(&self) -> String {
        self.shared().lock().session.settings.client_id.clone()
    }

    /// Returns the version of MQTT.
    ///
    /// It changes from 3.1.1 to 3.1 when the server refuses the former with code 1 while a loop runs, and from 5.0 to
    /// 3.1.1 where [`fallback`](super::ClientBuilder::fallback) allows it.
    pub fn protocol(&self) -> ProtocolVersion {
        self.shared().lock().session.settings.version
    }

    /// Sets what carries the connection, as [`ClientBuilder::transport`](super::ClientBuilder::transport) does.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidState`] while a connection is open.
    pub fn transport_set(&self, transport: Transport) -> Result<()> {
        self.unconnected()?.transport = transport;
        Ok(())
    }

    /// Returns what carries the connection.
    pub fn transport(&self) -> Transport {
        self.shared().lock().transport
    }

    /// Starts afresh, as if the client had just been made with this id and the default settings.
    ///
    /// The connection is closed without DISCONNECT and without a call of `on_disconnect`. Session, queue and settings are
    /// forgotten; unfinished messages end with [`DropReason::Discarded`]. Callbacks,
    /// user data and the logger stay.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidState`] while a loop runs; [`Error::WouldDeadlock`] inside a callback.
    pub fn reinitialise(&self, client_id: impl Into<String>, clean_session: bool) -> Result<()> {
        self.shared().reinitialise(client_id.into(), clean_session)
    }

    /// The core, unless a connection is open.
    fn unconnected(&self) -> Result<MutexGuard<'_, Core>> {
        let core = self.shared().lock();
        match core.phase {
            Phase::Dialing | Phase::Up => Err(Error::InvalidState("not while a connection is open")),
            _ => Ok(core),
        }
    }

    /// Stores where to connect to. With `next`, the connection before ends, and that follows: in the same moment, for
    /// what its server still says is not about the new one. Without, there must be none.
    pub(super) fn configure(&self, target: impl IntoConnect, next: Option<Phase>) -> Result<()> {
        self.shared().check_auth_version()?;
        let options = Arc::new(target.into_connect()?);
        let mut core = match next {
            Some(_) => self.shared().lock(),
            None => self.unconnected()?,
        };
        let previous = core.configure(&options)?;
        if let Some(phase) = next {
            self.shared().make_way(&mut core, phase);
        }
        drop(core);
        // Not under the lock: the options may hold a connector of the user's, and that a client.
        drop(previous);
        Ok(())
    }
}

impl Core {
    /// Stores where to connect to and returns what was stored before; changes nothing if that does not make a CONNECT.
    fn configure(&mut self, options: &Arc<ConnectOptions>) -> Result<Option<Arc<ConnectOptions>>> {
        self.check_session_settings()?;
        let mut settings = self.session.settings.clone();
        if self.asked_for_v5() {
            settings.version = ProtocolVersion::V5;
        }
        options.check_version(settings.version)?;
        match self.transport {
            Transport::WebSockets if !cfg!(feature = "websocket") => {
                return Err(Error::NotSupported("WebSocket needs the feature `websocket`"));
            }
            #[cfg(unix)]
            Transport::Unix
                if options.servers().is_empty()
                    || options.servers().iter().any(|server| server.path().is_none()) =>
            {
                return Err(Error::argument("host", "must be the path of a unix socket"));
            }
            #[cfg(not(unix))]
            Transport::Unix => return Err(Error::NotSupported("unix sockets need a Unix system")),
            _ => {}
        }
        if settings.version != ProtocolVersion::V5 && !settings.clean_start && settings.client_id.is_empty() {
            return Err(Error::argument(
                "client_id",
                "must be given if clean session is false",
            ));
        }
        if settings.version == ProtocolVersion::V31 && settings.client_id.is_empty() {
            // MQTT 3.1 has no empty ids.
            settings.client_id = super::fallback::random_client_id();
        }
        if let Some(seconds) = options.keep_alive_seconds() {
            settings.keep_alive = seconds;
        }
        settings.connect_properties = options.connect_properties().clone();
        // Of the last attempt.
        settings.authentication = None;
        settings.connack_timeout = options.dial_options(self.dial_defaults()).connect_timeout;
        if options.servers().is_empty() {
            settings.credentials.clone_from(&self.credentials);
            settings.check()?;
        }
        for server in options.servers() {
            settings.credentials = self.credentials(server);
            settings.check()?;
        }
        self.session.settings = settings;
        self.forget_fallback();
        self.first_connection = true;
        self.redirects = OnDemand::default();
        self.servers = ServerList::default();
        if let Some(backoff) = self.backoff.present() {
            backoff.reset();
        }
        Ok(self.options.replace(Arc::clone(options)))
    }

    /// User name and password for a server: those of its URL, else those that were set.
    pub(super) fn credentials(&self, server: &Server) -> Option<Box<Credentials>> {
        let named = &server.parts().credentials;
        named.as_ref().or(self.credentials.as_ref()).cloned()
    }
}

impl Shared {
    pub(super) fn stats(&self) -> Stats {
        let mut core = self.lock();
        let counters = core.session.counters();
        let unwritten = core.unwritten();
        let (requests, late_responses) = self.requests.counts();
        let plain = self.plain_received.load(Ordering::Relaxed);
        Stats {
            messages_sent: counters.messages_sent.iter().sum(),
            messages_received: plain + counters.messages_received.iter().sum::<u64>(),
            messages_acknowledged: counters.acknowledged,
            messages_resent: counters.resent,
            messages_dropped: counters.dropped,
            messages_without_properties: counters.without_properties,
            packets_sent: counters.packets_sent,
            packets_received: plain + counters.packets_received,
            bytes_sent: counters.bytes_sent,
            bytes_received: counters.bytes_received,
            connects: counters.accepted,
            late_responses,
            connected: core.is_connected(),
            queued_messages: core.session.queued(),
            queued_bytes: core.session.queued_bytes(),
            inflight: core.session.inflight(),
            unacknowledged: core.session.unacknowledged(),
            requests,
            output_bytes: unwritten,
        }
    }

    fn reinitialise(self: &Arc<Self>, client_id: String, clean_session: bool) -> Result<()> {
        if self.is_dispatcher() {
            return Err(Error::WouldDeadlock("reinitialise"));
        }
        let mut core = self.lock();
        if core.running.is_some() {
            return Err(Error::InvalidState("not while a network loop runs"));
        }
        let Some(mut driver) = core.driver.take() else {
            return Err(Error::InvalidState("not while a network loop runs"));
        };
        driver.reset();
        self.acks.clear();
        self.callbacks.filters.forget_subscriptions();
        self.close_quietly(&mut core);
        drop(core);
        self.end_requests(&Error::Dropped(DropReason::Discarded), false);
        self.dispatch(&mut driver);
        core = self.lock();
        // A callback may have connected again.
        let socket = self.drop_connection(&mut core);
        let dropped = core.session.drop_outgoing();
        core.session.abandon();
        let kept = crate::session::Settings {
            client_id,
            clean_start: clean_session,
            report_qos0: core.session.settings.report_qos0,
            trace: core.session.settings.trace,
            ..crate::session::Settings::default()
        };
        let fresh = crate::session::Session::new(kept, self.now());
        let session = std::mem::replace(&mut core.session, fresh);
        self.requests.start_afresh();
        core.phase = Phase::New;
        core.epoch += 1;
        let previous = core.options.take();
        core.credentials = None;
        core.dial_defaults = None;
        core.proxy = None;
        #[cfg(feature = "tls")]
        {
            core.tls = super::tls::TlsSettings::default();
        }
        #[cfg(feature = "websocket")]
        {
            core.websocket = super::websocket::WebSocketSettings::default();
        }
        core.clean_start = clean_session.into();
        core.session_expiry = None;
        core.setting_problem = None;
        core.first_connection = true;
        core.transport = Transport::default();
        core.backoff = OnDemand::default();
        core.fallback = Fallback::default();
        core.redirects = OnDemand::default();
        core.servers = ServerList::default();
        core.reconnect_on_failure = true;
        core.manual_ack = false;
        core.suppress_exceptions = false;
        let happenings = std::mem::take(&mut core.happenings);
        core.callback_error = None;
        core.thread_error = None;
        core.last_reason = None;
        core.driver = Some(driver);
        self.notify_waiters(&core);
        drop(core);
        // Not under the lock, see `Client::configure`.
        drop((previous, socket, dropped, session, happenings));
        Ok(())
    }
}
