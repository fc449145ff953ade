//! One connection: its bytes in both directions and what its CONNECT agreed on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::message::Message;
use super::{ConnectionId, Options};
use crate::client::Waker;
use crate::codec::{Decoder, Packet, Property, ProtocolVersion, Publish, TopicName};
use crate::testing::log::Log;

/// Where a connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Open; no CONNECT yet.
    AwaitConnect,
    /// CONNECT was accepted.
    Open { client_id: String },
    /// Nothing more is read, and nothing added to the output.
    Ended,
}

/// The Will of a connection.
#[derive(Debug)]
pub(super) struct PendingWill {
    pub(super) message: Message,
    pub(super) delay: Duration,
}

/// The state that ends with the network connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    /// The other end, for the log.
    pub(super) peer: String,
    pub(super) phase: Phase,
    /// Ended without a word: not even the output is to be written.
    pub(super) abort: bool,
    pub(super) version: ProtocolVersion,
    pub(super) decoder: Decoder,
    pub(super) input: BytesMut,
    pub(super) output: BytesMut,
    pub(super) waker: Option<Waker>,
    pub(super) will: Option<PendingWill>,
    /// The longest silence allowed.
    pub(super) max_silence: Option<Duration>,
    pub(super) last_received: Instant,
    /// Topic Aliases that the client has set.
    pub(super) aliases: BTreeMap<u16, TopicName>,
    /// The client's limits.
    pub(super) max_packet_size: usize,
    pub(super) topic_alias_maximum: u16,
    /// Topic Aliases that the broker has set.
    sent_aliases: BTreeMap<TopicName, u16>,
    /// One packet, before it is known that it may be sent.
    scratch: Vec<u8>,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, peer: &str, options: &Options, now: Instant) -> Self {
        let mut decoder = Decoder::new(ProtocolVersion::V311);
        if let Some(bytes) = options.max_packet_size {
            decoder.set_max_packet_size(bytes);
        }
        Self {
            id,
            peer: peer.to_owned(),
            phase: Phase::AwaitConnect,
            abort: false,
            version: ProtocolVersion::V311,
            decoder,
            input: BytesMut::new(),
            output: BytesMut::new(),
            waker: None,
            will: None,
            max_silence: Some(CONNECT_TIMEOUT),
            last_received: now,
            aliases: BTreeMap::new(),
            max_packet_size: usize::MAX,
            topic_alias_maximum: 0,
            sent_aliases: BTreeMap::new(),
            scratch: Vec::new(),
        }
    }

    /// The peer without its port.
    pub(super) fn peer_host(&self) -> &str {
        self.peer
            .rsplit_once(':')
            .map_or(self.peer.as_str(), |(host, _)| host)
    }

    /// When the client has been silent for too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.phase == Phase::Ended {
            return None;
        }
        self.last_received.checked_add(self.max_silence?)
    }

    /// Whether the client has to take some output before it gets more.
    pub(super) fn is_full(&self, options: &Options) -> bool {
        self.output.len() >= options.max_output
    }

    /// Sends a packet, and logs it under the client's name; `false` if it is larger than the client takes
    /// [MQTT-3.1.2-24].
    pub(super) fn send(&mut self, log: &mut Log, packet: &Packet) -> bool {
        match &self.phase {
            Phase::Open { client_id } => {
                let name = client_id.clone();
                self.send_as(log, &name, packet)
            }
            _ => false,
        }
    }

    pub(super) fn send_as(&mut self, log: &mut Log, name: &str, packet: &Packet) -> bool {
        self.scratch.clear();
        // A packet without encoding cannot come up: all that it is made of was decoded or checked before.
        if packet.encode(self.version, &mut self.scratch).is_err()
            || self.scratch.len() > self.max_packet_size
        {
            return false;
        }
        log.sent(name, packet);
        self.output.extend_from_slice(&self.scratch);
        true
    }

    /// Puts a Topic Alias in the place of a topic that was sent before, or sets one while there are any left.
    pub(super) fn use_topic_alias(&mut self, publish: &mut Publish) {
        if let Some(&alias) = self.sent_aliases.get(&publish.topic) {
            publish.topic = TopicName::empty();
            publish.properties.push(Property::TopicAlias(alias));
        } else if self.sent_aliases.len() < usize::from(self.topic_alias_maximum) {
            let alias = self.sent_aliases.len() as u16 + 1;
            self.sent_aliases.insert(publish.topic.clone(), alias);
            publish.properties.push(Property::TopicAlias(alias));
        }
    }

    /// Takes back the alias that a packet was to set, as it was not sent.
    pub(super) fn forget_topic_alias(&mut self, topic: &TopicName) {
        self.sent_aliases.remove(topic);
    }
}

/// A connection without CONNECT ends after this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
