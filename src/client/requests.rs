//! Requests and their responses (MQTT 5.0, section 4.10).
//!
//! Every request goes through one table (`waiting`), which a call or a closure waits at. What moves it on are hooks in
//! the dispatcher: a CONNACK, the SUBACK of the response topic, a response, the end of a connection; and the clock of the
//! loop. A client that makes no requests pays for none of it.

mod flow;
mod waiting;

pub(crate) use waiting::Finished;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::publishing::check_publish_properties;
use super::shared::Shared;
use super::{Client, IntoPayload, IntoQos, IntoTimeout, Message, MessageInfo, Outcome, Properties, Property};
use crate::codec::{MAX_REMAINING_LENGTH, ProtocolVersion};
use crate::error::{Error, Result};
use crate::topic::{TopicName, check_topic};
use waiting::{Key, Table, Waiter, has_own_properties};

/// Request and response (MQTT 5.0).
///
/// A request is a message that names a response topic and carries Correlation Data; whoever answers publishes to that
/// topic with the same data. The client makes both: it subscribes to one response topic of its own with the first
/// request, and finds the request that a response belongs to by 16 bytes that are unique and not to be guessed. Any
/// number of requests may be under way, from any threads. Responses go to who waits for them and to nobody else: neither
/// `on_message` nor other callbacks nor [`messages`](Client::messages) get what comes on the response topic; one that
/// nobody waits for (any more) counts in [`Stats::late_responses`](super::Stats) and is logged at debug level.
///
/// The response topic is the one of [`response_topic_set`](Client::response_topic_set); else what the server's CONNACK
/// offers as Response Information, with a random level behind (servers offer it to who asks:
/// [`Property::RequestResponseInformation`] in [`ConnectOptions::properties`](super::ConnectOptions::properties)); else
/// `callmq/response/CLIENT-ID/` and a random level. The subscription is renewed when the server has lost it.
impl Client {
    /// Publishes a request, and waits for the response.
    ///
    /// The message has QoS 0; for another one, and for properties, see [`request_message`](Self::request_message).
    /// `timeout` is in seconds or a [`Duration`]; `None` waits without limit. When nobody runs the network loop, this
    /// call does. It waits for a connection, if a loop would make one, and for the server to grant the response topic
    /// before anything is sent. A request that is given up leaves nothing behind; a message of it that still waits
    /// somewhere expires with the time-out (its Message Expiry Interval, in whole seconds).
    ///
    /// If the connection ends, a request of QoS 0 that was sent fails; others go on waiting, as long as a loop makes the
    /// next connection.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`]; [`Error::NotSupported`] before MQTT 5.0; [`Error::WouldDeadlock`] inside a callback, see
    /// [`request_with`](Self::request_with); [`Error::InvalidArgument`] as [`publish`](Self::publish);
    /// [`Error::QueueFull`] with too many requests under way (see [`max_requests_set`](Self::max_requests_set));
    /// [`Error::Rejected`] if the server refuses the response topic or the request; [`Error::Dropped`] if the message was
    /// dropped; why the connection ended, or [`Error::NotConnected`].
    ///
    /// ```no_run
    /// use callmq::client as mqtt;
    ///
    /// # fn main() -> mqtt::Result<()> {
    /// let client = mqtt::Client::builder("asks").protocol(mqtt::MQTTv5).build();
    /// client.connect("localhost")?;
    /// client.loop_start()?;
    /// let response = client.request("house/temperature/get", "kitchen", 2)?;
    /// println!("{} degrees", response.payload);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// See MQTT 5.0, section 4.10.
    pub fn request<'a>(
        &self,
        topic: impl AsRef<str>,
        payload: impl IntoPayload<'a>,
        timeout: impl IntoTimeout,
    ) -> Result<Message> {
        self.request_message(Message::new(topic, payload), timeout)
    }

    /// Publishes a [`Message`] as a request, and waits for the response: [`request`](Self::request) with a QoS and
    /// properties.
    ///
    /// A Message Expiry Interval of its own stays; the client adds Response Topic and Correlation Data.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request); [`Error::InvalidArgument`] if the message has a Response Topic or Correlation Data.
    ///
    /// ```no_run
    /// # use callmq::client::{Client, Message, QoS, MQTTv5};
    /// # fn main() -> callmq::Result<()> {
    /// # let client = Client::builder("asks").protocol(MQTTv5).build();
    /// # client.connect("localhost")?;
    /// // Delivered also if the connection breaks meanwhile; perhaps more than once.
    /// let request = Message::new("house/door/lock", ()).qos(QoS::AtLeastOnce);
    /// let response = client.request_message(request, 30)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn request_message(&self, message: Message, timeout: impl IntoTimeout) -> Result<Message> {
        let timeout = timeout.into_timeout()?;
        let shared = self.shared();
        if shared.is_dispatcher() {
            return Err(Error::WouldDeadlock("request"));
        }
        let deadline = timeout.and_then(|timeout| shared.now().checked_add(timeout));
        let key = shared.submit(message, timeout, None, Waiter::Call(None))?;
        let _entry = Entry { shared, key };
        shared.advance_requests();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(shared.now()));
        shared.wait_until("request", left, |_| shared.requests.table().outcome(key))
    }

    /// Publishes a request, and calls `callback` once: with the response, or with the error because of which there is
    /// none. Does not wait, so it may be called inside a callback.
    ///
    /// The message has QoS 0; see [`request_message_with`](Self::request_message_with) for others. `timeout` is in seconds
    /// or a [`Duration`]; `None` is no limit. The callback runs on the thread that runs the loop, like all others, also
    /// for a time-out: while nobody runs the loop it is not called. When the last handle of the client is dropped, it gets
    /// [`Error::Dropped`]. A failure of its own is logged and reported to the caller of the loop. For the rest see
    /// [`request`](Self::request): its errors come to the callback.
    ///
    /// # Errors
    ///
    /// The callback is not called then. [`Error::NotSupported`] before MQTT 5.0; [`Error::InvalidArgument`] as
    /// [`publish`](Self::publish); [`Error::QueueFull`] with too many requests under way (see
    /// [`max_requests_set`](Self::max_requests_set)).
    ///
    /// ```no_run
    /// use callmq::client as mqtt;
    ///
    /// # fn main() -> mqtt::Result<()> {
    /// let client = mqtt::Client::builder("asks").protocol(mqtt::MQTTv5).build();
    /// client.on_connect(|client, _, _, _| {
    ///     client.request_with("house/temperature/get", "kitchen", 2, |_client, response| match response {
    ///         Ok(response) => println!("{} degrees", response.payload),
    ///         Err(error) => println!("no answer: {error}"),
    ///     })
    /// });
    /// client.connect("localhost")?;
    /// client.loop_forever()
    /// # }
    /// ```
    #[doc(alias = "on_response")]
    pub fn request_with<'a, F, R>(
        &self,
        topic: impl AsRef<str>,
        payload: impl IntoPayload<'a>,
        timeout: impl IntoTimeout,
        callback: F,
    ) -> Result<()>
    where
        F: FnOnce(&Client, Result<&Message>) -> R + Send + 'static,
        R: Outcome,
    {
        self.request_message_with(Message::new(topic, payload), timeout, callback)
    }

    /// Publishes a [`Message`] as a request: [`request_with`](Self::request_with) with a QoS and properties.
    ///
    /// # Errors
    ///
    /// As [`request_with`](Self::request_with); [`Error::InvalidArgument`] if the message has a Response Topic or
    /// Correlation Data.
    ///
    /// ```no_run
    /// # use callmq::client::{Client, Message, QoS, MQTTv5};
    /// # fn main() -> callmq::Result<()> {
    /// # let client = Client::builder("asks").protocol(MQTTv5).build();
    /// let request = Message::new("house/door/lock", ()).qos(QoS::AtLeastOnce);
    /// client.request_message_with(request, 30, |_client, response| match response {
    ///     Ok(_) => println!("locked"),
    ///     Err(error) => println!("perhaps not locked: {error}"),
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// See MQTT 5.0, section 4.10.
    pub fn request_message_with<F, R>(
        &self,
        message: Message,
        timeout: impl IntoTimeout,
        callback: F,
    ) -> Result<()>
    where
        F: FnOnce(&Client, Result<&Message>) -> R + Send + 'static,
        R: Outcome,
    {
        let timeout = timeout.into_timeout()?;
        let shared = self.shared();
        let deadline = timeout.and_then(|timeout| shared.now().checked_add(timeout));
        let closure = Box::new(move |client: &Client, response: Result<&Message>| {
            callback(client, response).into_result()
        });
        shared.submit(message, timeout, deadline, Waiter::Closure(closure))?;
        shared.advance_requests();
        // The loop sleeps until a deadline that may be later than this one.
        shared.wake();
        Ok(())
    }

    /// Answers a request: publishes to its Response Topic, with its Correlation Data, with the QoS that it came with.
    ///
    /// Works like [`publish`](Self::publish), also inside a callback.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the message has no Response Topic, or one with wildcards; [`Error::NotSupported`]
    /// before MQTT 5.0; as [`publish_with`](Self::publish_with).
    ///
    /// ```no_run
    /// use callmq::client as mqtt;
    ///
    /// # fn main() -> mqtt::Result<()> {
    /// let client = mqtt::Client::builder("answers").protocol(mqtt::MQTTv5).build();
    /// client.subscribe_with("house/temperature/get", |client, request| client.reply(request, 21.5))?;
    /// client.connect("localhost")?;
    /// client.loop_forever()
    /// # }
    /// ```
    ///
    /// See MQTT 5.0, section 4.10.1.
    pub fn reply<'a>(&self, request: &Message, payload: impl IntoPayload<'a>) -> Result<MessageInfo> {
        self.reply_with(request, payload, request.qos, Properties::new())
    }

    /// [Answers](Self::reply) a request with another QoS, and with properties.
    ///
    /// # Errors
    ///
    /// As [`reply`](Self::reply); [`Error::InvalidArgument`] for a QoS over 2, for a property that does not belong into a
    /// PUBLISH, and for Correlation Data, which is that of the request.
    ///
    /// ```no_run
    /// use callmq::client::{self as mqtt, Properties, Property};
    ///
    /// # fn main() -> mqtt::Result<()> {
    /// let client = mqtt::Client::builder("answers").protocol(mqtt::MQTTv5).build();
    /// client.subscribe_with("house/report/get", |client, request| {
    ///     let properties = Properties::from(Property::ContentType("application/json".to_owned()));
    ///     client.reply_with(request, r#"{"degrees": 21.5}"#, 1, properties)
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// See MQTT 5.0, section 4.10.1.
    pub fn reply_with<'a>(
        &self,
        request: &Message,
        payload: impl IntoPayload<'a>,
        qos: impl IntoQos,
        mut properties: Properties,
    ) -> Result<MessageInfo> {
        if self.protocol() != ProtocolVersion::V5 {
            return Err(NEEDS_V5);
        }
        let Some(topic) = request.properties.response_topic() else {
            return Err(Error::argument("request", "has no Response Topic"));
        };
        // [MQTT-3.3.2-14]
        check_topic(topic)?;
        if properties.correlation_data().is_some() {
            return Err(Error::argument(
                "properties",
                "the Correlation Data is that of the request",
            ));
        }
        if let Some(data) = request.properties.correlation_data() {
            properties.push(Property::CorrelationData(data.clone()));
        }
        let message = Message::new(topic, payload)
            .qos(qos.into_qos()?)
            .properties(properties);
        self.publish_message(message)
    }

    /// Sets the topic on which responses come. Without it the client makes one.
    ///
    /// It must be this client's alone: all that comes there is taken to be a response. Takes effect with the next
    /// request.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a topic that is not valid; [`Error::InvalidState`] while requests wait for their
    /// responses. Before MQTT 5.0 the setting has no effect.
    ///
    /// ```
    /// # let client = callmq::client::Client::default();
    /// client.response_topic_set("plant/7/responses")?;
    /// assert_eq!(client.response_topic(), None, "there was no request yet");
    /// # Ok::<(), callmq::Error>(())
    /// ```
    ///
    /// See MQTT 5.0, section 3.3.2.3.5.
    pub fn response_topic_set(&self, topic: impl AsRef<str>) -> Result<()> {
        let topic = TopicName::new(topic)?;
        let shared = self.shared();
        let previous = {
            let mut table = shared.requests.table();
            if table.len() > 0 {
                return Err(Error::InvalidState("requests wait for their responses"));
            }
            table.choose(topic)
        };
        shared.leave_response_topic(previous);
        Ok(())
    }

    /// Returns the topic on which responses come, once there was a request.
    pub fn response_topic(&self) -> Option<String> {
        let table = self.shared().requests.table();
        table.topic().map(|topic| topic.as_str().to_owned())
    }

    /// Sets how many requests may wait for their responses at once. Defaults to 10,000; 0 refuses all.
    ///
    /// Takes effect at once; those that wait already are not affected. One more is refused with [`Error::QueueFull`], which
    /// has its payload.
    ///
    /// ```
    /// # let client = callmq::client::Client::default();
    /// client.max_requests_set(100);
    /// ```
    pub fn max_requests_set(&self, requests: usize) {
        self.shared().requests.table().limit = requests;
    }
}

/// The requests of a client.
#[derive(Debug)]
pub(super) struct Requests {
    /// There was a request.
    active: AtomicBool,
    /// The connection whose CONNACK was told; changes under the lock of the core.
    connection: AtomicU64,
    /// Made when it is first asked for. No other lock is taken under this one.
    table: OnceLock<Box<Mutex<Table>>>,
}

impl Requests {
    pub(super) fn new() -> Self {
        Self {
            active: AtomicBool::new(false),
            connection: AtomicU64::new(0),
            table: OnceLock::new(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        let table = self.table.get_or_init(|| Box::new(Mutex::new(Table::new())));
        table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table, if something is or may be in it.
    fn made(&self) -> Option<MutexGuard<'_, Table>> {
        let table = self.table.get()?;
        Some(table.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Forgets the response topic; the requests have ended before.
    pub(super) fn start_afresh(&self) {
        if let Some(mut table) = self.made() {
            let late = table.late;
            *table = Table::new();
            table.late = late;
        }
    }

    /// When the time of a request passes next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.is_active() {
            self.table().next_deadline()
        } else {
            None
        }
    }

    /// Whether the message came on the response topic.
    pub(super) fn is_response(&self, message: &Message) -> bool {
        self.is_active() && self.table().is_response_topic(&message.topic)
    }

    /// How many wait, and how many responses were late.
    pub(super) fn counts(&self) -> (usize, u64) {
        self.made().map_or((0, 0), |table| (table.len(), table.late))
    }
}

impl Shared {
    /// Takes a request in. What moves it on is `advance_requests`.
    fn submit(
        &self,
        mut message: Message,
        timeout: Option<Duration>,
        deadline: Option<Instant>,
        waiter: Waiter,
    ) -> Result<Key> {
        if self.lock().session.settings.version != ProtocolVersion::V5 {
            return Err(NEEDS_V5);
        }
        check_topic(&message.topic)?;
        if message.payload.len() > MAX_REMAINING_LENGTH {
            return Err(Error::argument(
                "payload",
                "must not be larger than 268,435,455 bytes",
            ));
        }
        if has_own_properties(&message.properties) {
            return Err(Error::argument(
                "properties",
                "Response Topic and Correlation Data of a request are the client's",
            ));
        }
        check_publish_properties(&message.properties)?;
        if let (Some(timeout), None) = (timeout, message.properties.message_expiry_interval()) {
            let seconds = timeout.as_secs_f64().ceil().max(1.0);
            // As large as it can be where it is larger.
            let expiry = Property::MessageExpiryInterval(seconds as u32);
            message.properties.push(expiry);
        }
        let mut table = self.requests.table();
        if table.closed {
            return Err(Error::NotConnected);
        }
        let key = table.add(message, deadline, waiter)?;
        self.requests.active.store(true, Ordering::Release);
        Ok(key)
    }
}

/// The place of a call in the table.
struct Entry<'a> {
    shared: &'a Arc<Shared>,
    key: Key,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.shared.requests.table().forget(self.key);
    }
}

const NEEDS_V5: Error = Error::NotSupported("request and response need MQTT 5.0");
