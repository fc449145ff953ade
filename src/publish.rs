//! Publishing in one call: connects, publishes, waits until the server has everything, disconnects.
//!
//! The counterpart of Python's `paho.mqtt.publish`. For a program that publishes now and then; one that publishes
//! often keeps a [`Client`](crate::client::Client).
//!
//! ```no_run
//! use callmq::publish;
//!
//! # fn main() -> callmq::error::Result<()> {
//! publish::single("house/light", "on", "localhost")?;
//! publish::multiple([("house/light", "on"), ("house/heater", "off")], "localhost")?;
//! # Ok(())
//! # }
//! ```

use std::collections::VecDeque;

use crate::client::{IntoConnect, IntoMessage, IntoPayload, IntoQos, IntoTimeout, Message, MessageInfo, QoS};
use crate::error::{Error, Result};
use crate::one_shot::{Job, Settings, common_options};

/// So many messages of one QoS may be unfinished at once.
const WINDOW: usize = 20;

/// Publishes one message of QoS 0 that is not retained.
///
/// `server` takes the forms of [`Client::connect`](crate::client::Client::connect). Blocks until the message is written
/// and the connection is closed, for at most 30 seconds. See [`Options`] for QoS, user name and the like.
///
/// # Errors
///
/// [`Error::InvalidArgument`] for a bad topic or server; why there is no connection, for example [`Error::Io`] or
/// [`Error::Refused`]; why it ended too soon; [`Error::Timeout`].
///
/// # Examples
///
/// ```no_run
/// # fn main() -> callmq::error::Result<()> {
/// callmq::publish::single("house/sensor1", 21.5, ("localhost", 1884))?;
/// # Ok(())
/// # }
/// ```
pub fn single<'a>(
    topic: impl AsRef<str>,
    payload: impl IntoPayload<'a>,
    server: impl IntoConnect,
) -> Result<()> {
    Options::new().single(topic, payload, server)
}

/// Publishes messages over one connection, in their order.
///
/// A message is a tuple `(topic, payload)`, `(topic, payload, qos)` or `(topic, payload, qos, retain)`, or a
/// [`Message`]. Blocks until the server has them all, as their QoS asks for, for at most 30 seconds.
///
/// # Errors
///
/// As [`single`]; [`Error::InvalidArgument`] also for a bad QoS and if there are no messages; [`Error::Rejected`] if
/// the server refused a message (MQTT 5.0). All messages are checked before the first one is sent; after another error
/// some may have been delivered.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> callmq::error::Result<()> {
/// callmq::publish::multiple([("a", "1", 1, true), ("b", "2", 0, false)], "localhost")?;
/// # Ok(())
/// # }
/// ```
pub fn multiple<'a, M: IntoMessage<'a>>(
    messages: impl IntoIterator<Item = M>,
    server: impl IntoConnect,
) -> Result<()> {
    Options::new().multiple(messages, server)
}

/// How to publish, where the defaults of [`single`] and [`multiple`] do not fit.
///
/// The keep alive and whatever else belongs to the connection is set in what is given as `server`: see
/// [`ConnectOptions`](crate::client::ConnectOptions). A mistake in an option is reported by the call that publishes.
///
/// ```no_run
/// use callmq::publish;
///
/// # fn main() -> callmq::error::Result<()> {
/// let options = publish::Options::new().auth("user", "secret").qos(1).timeout(5);
/// options.single("house/light", "on", "localhost")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until `single` or `multiple` is called"]
pub struct Options {
    settings: Settings,
    qos: QoS,
    retain: bool,
}

impl Options {
    /// Starts with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the Quality of Service of [`single`](Self::single): 0, 1, 2 or a [`QoS`]. Defaults to 0. The messages of
    /// [`multiple`](Self::multiple) have their own.
    pub fn qos(mut self, qos: impl IntoQos) -> Self {
        if let Some(qos) = self.settings.valid(qos.into_qos()) {
            self.qos = qos;
        }
        self
    }

    /// Sets whether the server keeps the message of [`single`](Self::single) for later subscribers. Defaults to `false`.
    pub fn retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }

    /// Sets how long the whole call may take, in seconds or as a [`Duration`](std::time::Duration); `None` sets no
    /// limit. Defaults to 30 seconds.
    pub fn timeout(mut self, timeout: impl IntoTimeout) -> Self {
        self.settings.timeout(timeout);
        self
    }

    common_options!();

    /// Publishes one message: [`publish::single`](single) with these options.
    ///
    /// # Errors
    ///
    /// As [`single`] and [`multiple`]; [`Error::InvalidArgument`] for an option that is not valid.
    pub fn single<'a>(
        &self,
        topic: impl AsRef<str>,
        payload: impl IntoPayload<'a>,
        server: impl IntoConnect,
    ) -> Result<()> {
        let message = Message::new(topic, payload).qos(self.qos).retain(self.retain);
        self.multiple([message], server)
    }

    /// Publishes messages: [`publish::multiple`](multiple) with these options.
    ///
    /// # Errors
    ///
    /// As [`multiple`]; [`Error::InvalidArgument`] for an option that is not valid; [`Error::NotSupported`] for a message
    /// with properties before MQTT 5.0.
    pub fn multiple<'a, M: IntoMessage<'a>>(
        &self,
        messages: impl IntoIterator<Item = M>,
        server: impl IntoConnect,
    ) -> Result<()> {
        let messages: Vec<Message> = messages.into_iter().map(M::into_message).collect::<Result<_>>()?;
        if messages.is_empty() {
            return Err(Error::argument("messages", "there must be at least one"));
        }
        let plain = messages.iter().all(|message| message.properties.is_empty());
        if !plain && !self.settings.has_properties() {
            return Err(Error::NotSupported("properties need MQTT 5.0"));
        }
        let job = self.settings.job()?;
        job.connect(server)?;
        deliver(&job, messages).map_err(|error| job.explain(error))
    }
}

/// Publishes the messages and waits for the end of each.
fn deliver(job: &Job, messages: Vec<Message>) -> Result<()> {
    let mut unfinished: VecDeque<MessageInfo> = VecDeque::new();
    let mut qos = QoS::AtMostOnce;
    for message in messages {
        // The server orders messages of one QoS only; others would overtake those that take more steps.
        let most = if message.qos == qos { WINDOW - 1 } else { 0 };
        finish(job, &mut unfinished, most)?;
        qos = message.qos;
        unfinished.push_back(job.client.publish_message(message)?);
    }
    finish(job, &mut unfinished, 0)
}

/// Waits until at most this many messages are unfinished.
fn finish(job: &Job, unfinished: &mut VecDeque<MessageInfo>, most: usize) -> Result<()> {
    while unfinished.len() > most {
        if let Some(first) = unfinished.pop_front() {
            first.wait_for_publish(job.left()?)?;
        }
    }
    Ok(())
}
