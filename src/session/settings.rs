//! What the application can set about the session.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::{AuthData, AuthStart};
use crate::codec::{Connect, Packet, Properties, Property, ProtocolVersion, Will};
use crate::error::{Error, Result};

/// The settings of a session; the client changes them only where that is allowed.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) version: ProtocolVersion,
    pub(crate) bridge: bool,
    pub(crate) client_id: String,
    pub(crate) clean_start: bool,
    pub(crate) keep_alive: u16,
    pub(crate) credentials: Option<Box<Credentials>>,
    pub(crate) will: Option<Box<Will>>,
    pub(crate) connect_properties: Properties,
    /// The Session Expiry Interval of the CONNECT, where `connect_properties` have none.
    pub(crate) session_expiry: Option<u32>,
    /// The Topic Alias Maximum of the CONNECT, where `connect_properties` have none.
    pub(crate) topic_alias_maximum: Option<u16>,
    /// How many topic aliases are used without being asked for.
    pub(crate) topic_alias_limit: u16,
    /// Topic aliases of the application are sent whatever they are.
    pub(crate) topic_alias_unchecked: bool,
    /// The enhanced authentication of the next CONNECT (MQTT 5.0).
    pub(crate) authentication: Option<Box<AuthStart>>,
    /// What we announce in MQTT 5.0, unless `connect_properties` says something else.
    pub(crate) receive_maximum: Option<u16>,
    /// The largest packet to be received; enforced in all versions, and announced in MQTT 5.0.
    pub(crate) max_packet_size: Option<u32>,
    /// How long the CONNACK may take.
    pub(crate) connack_timeout: Duration,
    /// How long a PINGRESP may take; the keep alive where absent.
    pub(crate) ping_timeout: Option<Duration>,
    /// QoS 1 and 2 messages on their way at once; 0: no limit of ours.
    pub(crate) max_inflight: u16,
    pub(crate) queue: OfflineQueue,
    /// While this many bytes wait to be written, messages wait in the queue.
    pub(crate) output_limit: usize,
    pub(crate) incoming_limit: IncomingLimit,
    pub(crate) resubscribe: Resubscribe,
    pub(crate) on_session_lost: OnSessionLost,
    /// Hold SUBSCRIBE and PUBLISH until `release`; always so in MQTT 5.0.
    pub(crate) wait_for_connack: bool,
    /// Send messages above the server's Maximum QoS with that, in place of refusing them.
    pub(crate) lower_qos: bool,
    /// Report QoS 0 messages as `Event::Published` when they are written.
    pub(crate) report_qos0: bool,
    /// Emit `Event::Trace`.
    pub(crate) trace: bool,
}

/// Who the client says it is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    /// Not printed.
    pub(crate) password: Option<Bytes>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.password.as_ref().map(|_| format_args!(".."));
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("password", &secret)
            .finish()
    }
}

impl Settings {
    /// Whether they make a CONNECT: no text too long, nothing that the version does not have.
    pub(crate) fn check(&self) -> Result<()> {
        if self.receive_maximum == Some(0) {
            return Err(Error::argument("receive_maximum", "must not be 0"));
        }
        if self.max_packet_size == Some(0) {
            return Err(Error::argument("max_packet_size", "must not be 0"));
        }
        self.connect_packet().encode(self.version, &mut Vec::new())
    }

    /// The CONNECT that they ask for.
    pub(super) fn connect_packet(&self) -> Packet {
        let credentials = self.credentials.as_deref().cloned();
        let (username, password) = credentials.map_or((None, None), |Credentials { username, password }| {
            (Some(username), password)
        });
        Packet::Connect(Box::new(Connect {
            version: self.version,
            bridge: self.bridge,
            clean_start: self.clean_start,
            keep_alive: self.keep_alive,
            client_id: self.client_id.clone(),
            will: self.will.as_deref().cloned(),
            username,
            password,
            properties: self.announced_properties(),
        }))
    }

    /// The properties of that CONNECT: those that were given, behind them what the other settings announce.
    pub(super) fn announced_properties(&self) -> Properties {
        if self.version != ProtocolVersion::V5 {
            return Properties::new();
        }
        let mut properties = self.connect_properties.clone();
        // The bound of what is kept is one that the server can keep to (MQTT 5.0, section 3.1.2.11.3).
        let kept = Some(self.incoming_limit.max_messages.max(1)).filter(|&messages| messages < u16::MAX);
        let receive_maximum = match (self.receive_maximum, kept) {
            (Some(set), Some(kept)) => Some(set.min(kept)),
            (set, kept) => set.or(kept),
        };
        let given = &self.connect_properties;
        let settings = [
            receive_maximum
                .filter(|_| given.receive_maximum().is_none())
                .map(Property::ReceiveMaximum),
            self.max_packet_size
                .filter(|_| given.maximum_packet_size().is_none())
                .map(Property::MaximumPacketSize),
            self.session_expiry
                .filter(|_| given.session_expiry_interval().is_none())
                .map(Property::SessionExpiryInterval),
            self.topic_alias_maximum
                .filter(|_| given.topic_alias_maximum().is_none())
                .map(Property::TopicAliasMaximum),
        ];
        properties.extend(settings.into_iter().flatten());
        if let Some(start) = &self.authentication {
            properties.push(Property::AuthenticationMethod(start.method.clone()));
            if let Some(AuthData(data)) = &start.data {
                properties.push(Property::AuthenticationData(data.clone()));
            }
        }
        properties
    }

    /// The largest packet that the server may send.
    pub(crate) fn packet_limit(&self) -> Option<u32> {
        let given = match self.version {
            ProtocolVersion::V5 => self.connect_properties.maximum_packet_size(),
            ProtocolVersion::V31 | ProtocolVersion::V311 => None,
        };
        given.or(self.max_packet_size)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("connect", &self.connect_packet())
            .field("connack_timeout", &self.connack_timeout)
            .field("ping_timeout", &self.ping_timeout)
            .field("max_inflight", &self.max_inflight)
            .field("queue", &self.queue)
            .field("output_limit", &self.output_limit)
            .field("incoming_limit", &self.incoming_limit)
            .field("resubscribe", &self.resubscribe)
            .field("on_session_lost", &self.on_session_lost)
            .field("max_packet_size", &self.max_packet_size)
            .field("wait_for_connack", &self.wait_for_connack)
            .field("lower_qos", &self.lower_qos)
            .field("report_qos0", &self.report_qos0)
            .field("trace", &self.trace)
            .finish()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: ProtocolVersion::V311,
            bridge: false,
            client_id: String::new(),
            clean_start: true,
            keep_alive: 60,
            credentials: None,
            will: None,
            connect_properties: Properties::new(),
            session_expiry: None,
            topic_alias_maximum: None,
            topic_alias_limit: 0,
            topic_alias_unchecked: false,
            authentication: None,
            receive_maximum: None,
            max_packet_size: None,
            connack_timeout: Duration::from_secs(5),
            ping_timeout: None,
            max_inflight: 20,
            queue: OfflineQueue::default(),
            output_limit: 256 * 1024,
            incoming_limit: IncomingLimit::default(),
            resubscribe: Resubscribe::default(),
            on_session_lost: OnSessionLost::default(),
            wait_for_connack: false,
            lower_qos: false,
            report_qos0: false,
            trace: false,
        }
    }
}

/// The bounds of the outgoing queue: messages that are accepted but cannot leave yet.
///
/// They wait for a connection, for a place among those on their way, or for a peer that reads too slowly. Messages of
/// QoS 1 and 2 that were sent and are not acknowledged do not count.
///
/// ```
/// use callmq::client::{Client, OfflineQueue, WhenFull};
///
/// let queue = OfflineQueue {
///     max_messages: 1_000,
///     keep_qos0: true,
///     when_full: WhenFull::DropOldest,
///     ..OfflineQueue::default()
/// };
/// let client = Client::builder("sensor").offline_queue(queue).build();
/// client.publish("house/sensor1", 21.5)?;
/// assert_eq!(client.stats().queued_messages, 1);
/// # Ok::<(), callmq::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfflineQueue {
    /// At most this many messages; 0 sets no limit on their number. Those that were sent and are not acknowledged yet
    /// do not count here. Defaults to 100,000.
    pub max_messages: usize,
    /// At most this many bytes (topics, payloads and properties). Defaults to 64 MiB.
    pub max_bytes: usize,
    /// Whether messages of QoS 0 are accepted while there is no connection. Defaults to `false`.
    pub keep_qos0: bool,
    /// What happens to a message that finds the queue full. Defaults to [`WhenFull::Refuse`].
    pub when_full: WhenFull,
}

impl Default for OfflineQueue {
    fn default() -> Self {
        Self {
            max_messages: 100_000,
            max_bytes: 64 * 1024 * 1024,
            keep_qos0: false,
            when_full: WhenFull::Refuse,
        }
    }
}

/// The bounds of received messages of QoS 2 that cannot be given to the application yet: the server has sent them, and
/// has still to release them with PUBREL.
///
/// A server that sends more loses the connection, and `on_disconnect` is told the limit as the reason. No message is
/// lost by that: those that are kept stay, and the one that was too much is not acknowledged, so a server that keeps the
/// session (`clean_session(false)`) sends it again. In MQTT 5.0 the server is told the number as its Receive Maximum,
/// unless it is 65,535 or [`ConnectOptions::properties`](crate::client::ConnectOptions::properties) has another one.
///
/// One message is always taken, however large it is: the size of a packet has a limit of its own,
/// [`ClientBuilder::max_packet_size`](crate::client::ClientBuilder::max_packet_size).
///
/// ```
/// use callmq::client::{Client, IncomingLimit};
///
/// let limit = IncomingLimit {
///     max_bytes: 1024 * 1024,
///     ..IncomingLimit::default()
/// };
/// let client = Client::builder("small").incoming_limit(limit).build();
/// # drop(client);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncomingLimit {
    /// At most this many messages. Defaults to 65,535: there are no more packet identifiers.
    pub max_messages: u16,
    /// At most this many bytes (topics, payloads and properties). Defaults to 64 MiB.
    pub max_bytes: usize,
}

impl Default for IncomingLimit {
    fn default() -> Self {
        Self {
            max_messages: u16::MAX,
            max_bytes: 64 * 1024 * 1024,
        }
    }
}

/// What happens to a message that finds the outgoing queue full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// `publish` fails with `Error::QueueFull`, which gives the payload back. The default.
    #[default]
    Refuse,
    /// `publish` waits for room, at most this long, then refuses. Inside a callback it refuses at once. It goes on as soon
    /// as half of the queue is empty; where it empties slowly, at most 50 ms after there is any room.
    Block(Duration),
    /// The oldest queued message is dropped.
    DropOldest,
    /// The new message is dropped; `publish` succeeds and the `MessageInfo` says so.
    DropNewest,
    /// Of each topic only the latest message is kept, at any time; where that does not make room the new message is
    /// refused. It takes the place of the one before, so that a topic that is published often keeps its turn; only
    /// where one of the two has QoS 0 and the other has not, it goes to the end.
    KeepLatest,
}

/// When subscriptions are renewed after a connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Resubscribe {
    /// If the server has no session for this client. The default.
    #[default]
    IfSessionLost,
    /// At each connection.
    Always,
    /// Never: the application does it.
    Never,
}

/// What becomes of unacknowledged messages when the server has lost the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnSessionLost {
    /// They are sent again. The default.
    #[default]
    Resend,
    /// Those of QoS 1 are sent again; those of QoS 2, which could arrive twice, are dropped.
    ResendQos1Only,
    /// They are dropped.
    Discard,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let settings = Settings {
            credentials: Some(Box::new(Credentials {
                username: "me".to_owned(),
                password: Some("hush".into()),
            })),
            connect_properties: Property::AuthenticationData("hush".into()).into(),
            ..Settings::default()
        };
        for printed in [format!("{settings:?}"), format!("{settings:#?}")] {
            assert!(
                !printed.contains("hush") && printed.contains("\"me\""),
                "{printed}"
            );
        }
    }
}
