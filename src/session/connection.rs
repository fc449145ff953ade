//! What belongs to one connection: its state, how much of it was written, what the server said in its CONNACK.

use super::limits::{Announced, Limits};
use super::{Link, Session, Settings, Trace, Track};
use crate::codec::{Properties, ProtocolVersion};

/// The present connection, or the last one.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) link: Link,
    pub(super) version: ProtocolVersion,
    /// What CONNECT asked for.
    pub(super) clean_start: bool,
    /// The Session Expiry Interval in CONNECT, in seconds.
    pub(super) session_expiry: u32,
    /// What became of messages that a lost session had under way.
    pub(super) lost: Lost,
    /// Those that are sent again wait for `release`, behind the subscriptions: the answer to one of them may come at once.
    pub(super) resends_wait: bool,
    /// Bytes of the output that went to the socket.
    pub(super) written: u64,
    /// Bytes of the output that a writer has in hand: they may have gone to the socket already.
    pub(super) in_hand: u64,
    /// The serial number of the queue when the connection was opened: messages below were accepted before.
    pub(super) first_serial: u64,
    /// What the server allows.
    pub(super) limits: Limits,
    /// What we allow.
    pub(super) announced: Announced,
    /// The properties of the CONNACK that accepted the connection.
    pub(super) connack: Properties,
}

/// Messages that were under way when the server lost the session, by what `OnSessionLost` made of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) sent_again: usize,
    pub(crate) dropped: usize,
}

impl Connection {
    pub(super) fn new() -> Self {
        Self {
            link: Link::Closed,
            version: ProtocolVersion::default(),
            clean_start: true,
            session_expiry: 0,
            lost: Lost::default(),
            resends_wait: false,
            written: 0,
            in_hand: 0,
            first_serial: 0,
            limits: Limits::NONE,
            announced: Announced::in_connect(&Properties::new()),
            connack: Properties::new(),
        }
    }

    /// The connection is gone, and with it what the server said about it.
    pub(super) fn close(&mut self) {
        self.link = Link::Closed;
        self.limits = Limits::NONE;
        self.connack.clear();
    }

    /// Starts the next connection.
    pub(super) fn open(&mut self, settings: &Settings, announced: &Properties, first_serial: u64) {
        *self = Self {
            link: Link::Connecting,
            version: settings.version,
            clean_start: settings.clean_start,
            session_expiry: announced.session_expiry_interval().unwrap_or(0),
            first_serial,
            announced: Announced::in_connect(announced),
            ..Self::new()
        };
    }
}

impl<T: Track> Session<T> {
    pub(super) fn put_connect(&mut self) {
        let packet = self.settings.connect_packet();
        let settings = &self.settings;
        self.wire.trace = settings.trace;
        let encoded = self.wire.put_packet(&packet);
        debug_assert!(
            encoded.is_ok(),
            "the client checks what it puts into the settings: {encoded:?}"
        );
        self.wire.counters.connects += 1;
        let credentials = settings.credentials.as_ref();
        self.wire.trace(|_| Trace::SentConnect {
            version: settings.version,
            username: credentials.is_some(),
            password: credentials.is_some_and(|credentials| credentials.password.is_some()),
            will: settings.will.as_ref().map(|will| (will.qos, will.retain)),
            clean_start: settings.clean_start,
            keep_alive: settings.keep_alive,
            client_id: settings.client_id.clone(),
            properties: settings.announced_properties(),
        });
    }
}
