//! What a broker allows and announces.

use std::collections::BTreeMap;

use crate::codec::{ProtocolVersion, QoS};
use crate::topic;

/// The settings of a broker, fixed when it starts.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) anonymous: bool,
    pub(super) users: BTreeMap<String, Vec<u8>>,
    pub(super) refused_versions: Vec<ProtocolVersion>,
    pub(super) denied_publish: Vec<String>,
    pub(super) denied_subscribe: Vec<String>,
    pub(super) max_qos: QoS,
    pub(super) retain: bool,
    pub(super) wildcard_subscriptions: bool,
    pub(super) shared_subscriptions: bool,
    pub(super) subscription_identifiers: bool,
    /// Unfinished QoS 1 and 2 messages that the broker takes from one client at once.
    pub(super) receive_maximum: u16,
    pub(super) max_packet_size: Option<u32>,
    /// Topic Aliases that a client may use.
    pub(super) topic_alias_maximum: u16,
    /// Whether the broker uses Topic Aliases where the client allows it.
    pub(super) send_topic_aliases: bool,
    pub(super) server_keep_alive: Option<u16>,
    /// What Response Information begins with.
    pub(super) response_information: Option<String>,
    /// Seconds.
    pub(super) session_expiry_maximum: Option<u32>,
    pub(super) max_connections: usize,
    pub(super) max_sessions: usize,
    /// Unfinished QoS 1 and 2 messages on their way to one client.
    pub(super) max_inflight: u16,
    /// QoS 1 and 2 messages that wait for one client.
    pub(super) max_queued: usize,
    /// Bytes that wait to be taken by one client.
    pub(super) max_output: usize,
    pub(super) max_retained: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            anonymous: true,
            users: BTreeMap::new(),
            refused_versions: Vec::new(),
            denied_publish: Vec::new(),
            denied_subscribe: Vec::new(),
            max_qos: QoS::ExactlyOnce,
            retain: true,
            wildcard_subscriptions: true,
            shared_subscriptions: true,
            subscription_identifiers: true,
            receive_maximum: 20,
            max_packet_size: None,
            topic_alias_maximum: 10,
            send_topic_aliases: false,
            server_keep_alive: None,
            response_information: None,
            session_expiry_maximum: None,
            max_connections: 10_000,
            max_sessions: 10_000,
            max_inflight: 20,
            max_queued: 1_000,
            max_output: 16 * 1024 * 1024,
            max_retained: 100_000,
        }
    }
}

impl Options {
    /// Whether somebody with these credentials may connect.
    pub(super) fn admits(&self, username: Option<&str>, password: Option<&[u8]>) -> bool {
        match username {
            None => self.anonymous,
            Some(_) if self.users.is_empty() => self.anonymous,
            Some(name) => {
                let expected = self.users.get(name).map(Vec::as_slice);
                expected.is_some() && expected == password
            }
        }
    }

    pub(super) fn may_publish(&self, topic: &str) -> bool {
        !self
            .denied_publish
            .iter()
            .any(|filter| topic::matches(filter, topic))
    }

    /// Whether a filter may be subscribed to: the denied filters are compared as text.
    pub(super) fn may_subscribe(&self, filter: &str) -> bool {
        !self
            .denied_subscribe
            .iter()
            .any(|denied| denied == filter || topic::matches(denied, filter))
    }
}
