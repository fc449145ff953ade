//! One application message on its way through the broker.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::codec::{Properties, Property, Publish, QoS, TopicName};

/// An application message: what is the same for all who get it.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) topic: TopicName,
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Only those that a server passes on unchanged.
    properties: Properties,
    expires_at: Option<Instant>,
    /// The Client Identifier of who published it.
    pub(super) from: Option<String>,
}

impl Message {
    /// `publish` comes from the client `from`. The payload is copied: a slice would keep the whole receive buffer alive
    /// for as long as the message is retained or queued.
    pub(super) fn new(publish: &Publish, from: Option<&str>, now: Instant) -> Self {
        let mut properties = Properties::default();
        let mut expires_at = None;
        for property in publish.properties.iter() {
            match property {
                Property::MessageExpiryInterval(seconds) => {
                    expires_at = now.checked_add(Duration::from_secs(u64::from(*seconds)));
                }
                Property::PayloadFormatIndicator(_)
                | Property::ContentType(_)
                | Property::ResponseTopic(_)
                | Property::CorrelationData(_)
                | Property::UserProperty(..) => properties.push(property.clone()),
                _ => {}
            }
        }
        Self {
            topic: publish.topic.clone(),
            payload: Bytes::copy_from_slice(&publish.payload),
            qos: publish.qos,
            retain: publish.retain,
            properties,
            expires_at,
            from: from.map(str::to_owned),
        }
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// The properties to send, with what is left of the Message Expiry Interval [MQTT-3.3.2-6].
    pub(super) fn properties(&self, now: Instant) -> Properties {
        let mut properties = self.properties.clone();
        if let Some(at) = self.expires_at {
            let left = at.saturating_duration_since(now).as_secs();
            properties.push(Property::MessageExpiryInterval(
                u32::try_from(left).unwrap_or(u32::MAX),
            ));
        }
        properties
    }

    /// The message as a packet without identifier, as a test looks at it.
    pub(super) fn to_publish(&self, now: Instant) -> Publish {
        Publish {
            dup: false,
            qos: self.qos,
            retain: self.retain,
            topic: self.topic.clone(),
            packet_id: None,
            properties: self.properties(now),
            payload: self.payload.clone(),
        }
    }
}
