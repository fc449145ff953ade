//! What the calls of [`publish`](crate::publish) and [`subscribe`](crate::subscribe) have in common: a client for one
//! job, and the deadline of the job.
//!
//! The client has no loop in the background: each call waits, and moves the bytes meanwhile. However the job ends, the
//! client says DISCONNECT and is gone; it does not linger to deliver what is left.

use std::fmt;
use std::time::{Duration, Instant};

use crate::client::{
    Client, IntoConnect, IntoPayload, IntoProxy, IntoQos, IntoTimeout, Message, ProtocolVersion, Proxy,
};
use crate::error::{Error, Result};

/// How long a job may take where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The options that both modules have.
#[derive(Clone)]
pub(crate) struct Settings {
    client_id: String,
    protocol: ProtocolVersion,
    clean_session: bool,
    username: Option<String>,
    password: Option<String>,
    will: Option<Message>,
    timeout: Option<Duration>,
    proxy: Option<Proxy>,
    #[cfg(feature = "tls")]
    tls: Option<crate::client::TlsOptions>,
    /// The first mistake.
    problem: Option<Error>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            client_id: String::new(),
            protocol: ProtocolVersion::V311,
            clean_session: true,
            username: None,
            password: None,
            will: None,
            timeout: Some(TIMEOUT),
            proxy: None,
            #[cfg(feature = "tls")]
            tls: None,
            problem: None,
        }
    }
}

impl Settings {
    pub(crate) fn client_id(&mut self, client_id: String) {
        self.client_id = client_id;
    }

    pub(crate) fn protocol(&mut self, protocol: ProtocolVersion) {
        self.protocol = protocol;
    }

    pub(crate) fn clean_session(&mut self, clean: bool) {
        self.clean_session = clean;
    }

    pub(crate) fn auth(&mut self, username: &str, password: Option<&str>) {
        self.username = Some(username.to_owned());
        self.password = password.map(str::to_owned);
    }

    pub(crate) fn will<'a>(
        &mut self,
        topic: &str,
        payload: impl IntoPayload<'a>,
        qos: impl IntoQos,
        retain: bool,
    ) {
        if let Some(qos) = self.valid(qos.into_qos()) {
            self.will = Some(Message::new(topic, payload).qos(qos).retain(retain));
        }
    }

    pub(crate) fn proxy(&mut self, proxy: impl IntoProxy) {
        if let Some(proxy) = self.valid(proxy.into_proxy()) {
            self.proxy = Some(proxy);
        }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn tls(&mut self, options: impl crate::client::IntoTls) {
        self.tls = Some(options.into_tls());
    }

    pub(crate) fn timeout(&mut self, timeout: impl IntoTimeout) {
        if let Some(timeout) = self.valid(timeout.into_timeout()) {
            self.timeout = timeout;
        }
    }

    /// The value of an option; the first mistake is kept for [`job`](Self::job).
    pub(crate) fn valid<T>(&mut self, value: Result<T>) -> Option<T> {
        value
            .map_err(|problem| self.problem.get_or_insert(problem).clone())
            .ok()
    }

    /// Whether messages may have properties.
    pub(crate) fn has_properties(&self) -> bool {
        self.protocol == ProtocolVersion::V5
    }

    /// A client for one job, which starts now.
    pub(crate) fn job(&self) -> Result<Job> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let client = Client::builder(self.client_id.as_str())
            .protocol(self.protocol)
            .clean_session(self.clean_session)
            .build();
        client.username_pw_set(self.username.as_deref(), self.password.as_deref());
        if let Some(proxy) = &self.proxy {
            client.proxy_set(proxy)?;
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            client.tls_set(tls)?;
        }
        if let Some(will) = &self.will {
            client.will_set_message(will)?;
        }
        let deadline = self
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        Ok(Job { client, deadline })
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("client_id", &self.client_id)
            .field("protocol", &self.protocol)
            .field("username", &self.username)
            .field("timeout", &self.timeout)
            // Not the password.
            .finish_non_exhaustive()
    }
}

/// A client for one job. Dropping it says DISCONNECT.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) client: Client,
    deadline: Option<Instant>,
}

impl Job {
    /// Connects, and waits until the server has accepted the connection.
    pub(crate) fn connect(&self, server: impl IntoConnect) -> Result<()> {
        let mut options = server.into_connect()?;
        if let Some(left) = self.left()? {
            options = options.connect_within(left);
        }
        self.client.connect(options)?;
        self.client.wait_for_connect(self.left()?)
    }

    /// How much time is left; `None` is no limit.
    pub(crate) fn left(&self) -> Result<Option<Duration>> {
        let Some(deadline) = self.deadline else {
            return Ok(None);
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Timeout);
        }
        Ok(Some(left))
    }

    /// Whether the connection has ended because `disconnect` was called.
    pub(crate) fn was_disconnected(&self) -> bool {
        matches!(self.client.wait_for_connect(0), Err(Error::NotConnected))
    }

    /// A call that waited found no connection: the reason is that for which the connection ended.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match error {
            Error::NotConnected | Error::Dropped(_) => self.client.wait_for_connect(0).err().unwrap_or(error),
            other => other,
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // Fails where the connection has ended already.
        let _ = self.client.disconnect();
    }
}

/// The methods that both `Options` have; their field is `settings`.
macro_rules! common_options {
    () => {
        /// Sets the client id. Defaults to an empty one: the server chooses.
        pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
            self.settings.client_id(client_id.into());
            self
        }

        /// Sets the user name and the password, or `None` for no password. A server's URL can name them as well.
        pub fn auth<'p>(mut self, username: &str, password: impl Into<Option<&'p str>>) -> Self {
            self.settings.auth(username, password.into());
            self
        }

        /// Sets the message that the server publishes should the connection break: topic, payload, QoS, retain.
        pub fn will<'p>(
            mut self,
            topic: impl AsRef<str>,
            payload: impl $crate::client::IntoPayload<'p>,
            qos: impl $crate::client::IntoQos,
            retain: bool,
        ) -> Self {
            self.settings.will(topic.as_ref(), payload, qos, retain);
            self
        }

        /// Connects through this proxy: see [`Client::proxy_set`]($crate::Client::proxy_set), also for where the environment
        /// names one.
        pub fn proxy(mut self, proxy: impl $crate::client::IntoProxy) -> Self {
            self.settings.proxy(proxy);
            self
        }

        /// Speaks TLS: see [`Client::tls_set`]($crate::Client::tls_set). Needs the feature `tls`.
        #[cfg(feature = "tls")]
        #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
        pub fn tls(mut self, options: impl $crate::client::IntoTls) -> Self {
            self.settings.tls(options);
            self
        }

        /// Sets the version of MQTT. Defaults to 3.1.1.
        pub fn protocol(mut self, version: $crate::client::ProtocolVersion) -> Self {
            self.settings.protocol(version);
            self
        }
    };
}

pub(crate) use common_options;
