//! Receiving in one call: connects, subscribes, and returns messages or hands them to a callback.
//!
//! The counterpart of Python's `paho.mqtt.subscribe`.
//!
//! ```no_run
//! use callmq::subscribe;
//!
//! # fn main() -> callmq::error::Result<()> {
//! let message = subscribe::simple("house/light", "localhost")?;
//! println!("{} {}", message.topic, message.payload);
//! # Ok(())
//! # }
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::{
    Client, IntoConnect, IntoSubscriptions, IntoTimeout, Message, Outcome, QoS, Subscription,
};
use crate::error::{Error, Result};
use crate::one_shot::{Job, Settings, common_options};

/// Waits for one message and returns it.
///
/// `topics` takes the forms of [`Client::subscribe`], `server` those of [`Client::connect`]. Blocks until a message has
/// come, retained or not, for at most 30 seconds: see [`Options`] for another limit, and for user name and the like.
///
/// # Errors
///
/// [`Error::Timeout`] if no message came; [`Error::InvalidArgument`] for a bad filter or server; why there is no
/// connection, for example [`Error::Io`] or [`Error::Refused`]; why it ended too soon; [`Error::Rejected`] if the server
/// refused a filter.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> callmq::error::Result<()> {
/// let message = callmq::subscribe::simple(("house/+/light", 1), "localhost")?;
/// println!("{} {}", message.topic, message.payload);
/// # Ok(())
/// # }
/// ```
pub fn simple(topics: impl IntoSubscriptions, server: impl IntoConnect) -> Result<Message> {
    Options::new().simple(topics, server)
}

/// Waits for `count` messages and returns them in the order in which they came.
///
/// # Errors
///
/// As [`simple`]; [`Error::InvalidArgument`] if `count` is 0. Messages that had come are lost with the error.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> callmq::error::Result<()> {
/// for message in callmq::subscribe::simple_n(["a", "b"], 2, "localhost")? {
///     println!("{} {}", message.topic, message.payload);
/// }
/// # Ok(())
/// # }
/// ```
pub fn simple_n(
    topics: impl IntoSubscriptions,
    count: usize,
    server: impl IntoConnect,
) -> Result<Vec<Message>> {
    Options::new().simple_n(topics, count, server)
}

/// Calls `callback` for each message until the callback calls [`disconnect`](Client::disconnect).
///
/// The first connection and the subscription may take 30 seconds; from then on the call has no limit, and connects again
/// when the connection is lost. The callback runs in the calling thread, as one of [`Client::on_message`] does: it may
/// call any method of the client that it gets.
///
/// # Errors
///
/// As [`simple`], until the server has accepted the subscription; then what the callback failed with.
///
/// # Examples
///
/// ```no_run
/// use callmq::subscribe;
///
/// # fn main() -> callmq::error::Result<()> {
/// let mut count = 0;
/// subscribe::callback(
///     move |client, message| {
///         println!("{} {}", message.topic, message.payload);
///         count += 1;
///         if count == 10 { client.disconnect() } else { Ok(()) }
///     },
///     "house/#",
///     "localhost",
/// )?;
/// # Ok(())
/// # }
/// ```
pub fn callback<F, R>(callback: F, topics: impl IntoSubscriptions, server: impl IntoConnect) -> Result<()>
where
    F: FnMut(&Client, &Message) -> R + Send + 'static,
    R: Outcome,
{
    Options::new().callback(callback, topics, server)
}

/// How to receive, where the defaults of [`simple`], [`simple_n`] and [`callback`] do not fit.
///
/// The keep alive and whatever else belongs to the connection is set in what is given as `server`: see
/// [`ConnectOptions`](crate::client::ConnectOptions). A mistake in an option is reported by the call that receives.
///
/// ```no_run
/// use callmq::subscribe;
///
/// # fn main() -> callmq::error::Result<()> {
/// // The next message, not the one that the server has kept, however long it takes.
/// let options = subscribe::Options::new().retained(false).timeout(None);
/// let message = options.simple("house/light", "localhost")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `simple`, `simple_n` or `callback` is called"]
pub struct Options {
    settings: Settings,
    retained: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            retained: true,
        }
    }
}

impl Options {
    /// Starts with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether [`simple`](Self::simple) and [`simple_n`](Self::simple_n) return messages that the server had kept
    /// from before (retained messages), or pass over them. Defaults to `true`.
    pub fn retained(mut self, retained: bool) -> Self {
        self.retained = retained;
        self
    }

    /// Sets whether the server forgets the subscriptions, and messages that come meanwhile, when the call has ended.
    /// Defaults to `true`. A lasting session needs a [client id](Self::client_id).
    pub fn clean_session(mut self, clean: bool) -> Self {
        self.settings.clean_session(clean);
        self
    }

    /// Sets how long the whole call may take, in seconds or as a [`Duration`](std::time::Duration); `None` sets no
    /// limit. Defaults to 30 seconds. Of [`callback`](Self::callback) it limits the time until the server has accepted
    /// the subscription.
    pub fn timeout(mut self, timeout: impl IntoTimeout) -> Self {
        self.settings.timeout(timeout);
        self
    }

    common_options!();

    /// Waits for one message: [`subscribe::simple`](simple) with these options.
    ///
    /// # Errors
    ///
    /// As [`simple`]; [`Error::InvalidArgument`] for an option that is not valid.
    pub fn simple(&self, topics: impl IntoSubscriptions, server: impl IntoConnect) -> Result<Message> {
        let messages = self.simple_n(topics, 1, server)?;
        // One was asked for, so there is one.
        messages.into_iter().next().ok_or(Error::Timeout)
    }

    /// Waits for `count` messages: [`subscribe::simple_n`](simple_n) with these options.
    ///
    /// Messages of QoS 1 are acknowledged if they are returned (or passed over). Others that come behind them are not:
    /// in a lasting session the server delivers them next time. Of QoS 2 those that come too many are lost, because
    /// their exchange has begun.
    ///
    /// # Errors
    ///
    /// As [`simple_n`]; [`Error::InvalidArgument`] for an option that is not valid.
    pub fn simple_n(
        &self,
        topics: impl IntoSubscriptions,
        count: usize,
        server: impl IntoConnect,
    ) -> Result<Vec<Message>> {
        let subscriptions = topics.into_subscriptions()?;
        if count == 0 {
            return Err(Error::argument("count", "must be at least 1"));
        }
        let job = self.settings.job()?;
        let messages = Collected::default();
        let (collected, retained) = (messages.clone(), self.retained);
        job.client.manual_ack_set(true);
        job.client.on_message(move |client, message| {
            let mut messages = collected.lock();
            if messages.len() == count {
                return Ok(());
            }
            if retained || !message.retain {
                messages.push(message.clone());
            }
            if message.qos == QoS::AtMostOnce {
                return Ok(());
            }
            client.ack(message)
        });
        accept(&job, server, subscriptions)?;
        while messages.lock().len() < count {
            let turn = job.client.loop_once(job.left()?);
            if messages.lock().len() < count {
                turn.map_err(|error| job.explain(error))?;
            }
        }
        let messages = std::mem::take(&mut *messages.lock());
        Ok(messages)
    }

    /// Calls `callback` for each message until it calls [`disconnect`](Client::disconnect):
    /// [`subscribe::callback`](callback) with these options.
    ///
    /// # Errors
    ///
    /// As [`callback`]; [`Error::InvalidArgument`] for an option that is not valid.
    pub fn callback<F, R>(
        &self,
        callback: F,
        topics: impl IntoSubscriptions,
        server: impl IntoConnect,
    ) -> Result<()>
    where
        F: FnMut(&Client, &Message) -> R + Send + 'static,
        R: Outcome,
    {
        let subscriptions = topics.into_subscriptions()?;
        let job = self.settings.job()?;
        job.client.on_message(callback);
        let accepted = accept(&job, server, subscriptions);
        if job.was_disconnected() {
            // The first messages came before the answer, and were enough.
            return match job.client.loop_once(0) {
                Err(error @ Error::Callback { .. }) => Err(error),
                _ => Ok(()),
            };
        }
        accepted?;
        job.client.loop_forever()
    }
}

/// Connects, subscribes, and waits until the server has accepted every filter. In a lasting session messages may come
/// as soon as there is a connection.
fn accept(job: &Job, server: impl IntoConnect, subscriptions: Vec<Subscription>) -> Result<()> {
    job.connect(server)?;
    let request = job.client.subscribe(subscriptions)?;
    let codes = request.wait(job.left()?).map_err(|error| job.explain(error))?;
    match codes.into_iter().find(|code| code.is_failure()) {
        Some(code) => Err(Error::Rejected(code.into())),
        None => Ok(()),
    }
}

/// The messages that have come.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<Message>>>);

impl Collected {
    fn lock(&self) -> MutexGuard<'_, Vec<Message>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
