//! What the session has counted since it was made, and how much there is in it.

use super::{Lost, Session, Track};

/// Counts over all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// CONNECT packets sent.
    pub(crate) connects: u64,
    /// Connections that the server accepted.
    pub(crate) accepted: u64,
    /// Control Packets put into the output, and taken from the input.
    pub(crate) packets_sent: u64,
    pub(crate) packets_received: u64,
    /// Bytes that went to the socket, and came from it.
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    /// Messages put into the output for the first time, by QoS.
    pub(crate) messages_sent: [u64; 3],
    /// Messages given to the application, by QoS.
    pub(crate) messages_received: [u64; 3],
    /// Messages of QoS 1 and 2 whose exchange ended, and those of them that the server refused (MQTT 5.0).
    pub(crate) acknowledged: u64,
    pub(crate) refused: u64,
    /// PUBLISH packets sent without their properties, which the version does not have.
    pub(crate) without_properties: u64,
    /// PUBLISH packets sent again after a connection was lost.
    pub(crate) resent: u64,
    /// Accepted messages that will never be sent, or sent again.
    pub(crate) dropped: u64,
}

impl<T: Track> Session<T> {
    pub(crate) fn counters(&self) -> Counters {
        self.wire.counters
    }

    /// Accepted messages that will never be sent, or sent again.
    pub(crate) fn dropped(&self) -> u64 {
        self.wire.counters.dropped
    }

    /// Bytes that came, on all connections.
    pub(crate) fn bytes_received(&self) -> u64 {
        self.wire.counters.bytes_received
    }

    /// Messages of QoS 1 and 2 that were sent and are not finished.
    pub(crate) fn inflight(&self) -> usize {
        self.in_flight.len()
    }

    /// Messages in the queue.
    pub(crate) fn queued(&self) -> usize {
        self.queue.messages()
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// Whether half of the queue is empty, which is room enough for those who wait for it: less would wake them for
    /// each message.
    pub(crate) fn has_ample_room(&self) -> bool {
        let bounds = &self.settings.queue;
        let messages = bounds.max_messages / 2;
        (bounds.max_messages == 0 || self.queue.messages() <= messages)
            && self.queue.bytes() <= bounds.max_bytes / 2
    }

    /// What became of the messages of a session that the server had lost when it accepted this connection.
    pub(crate) fn lost(&self) -> Lost {
        self.connection.lost
    }

    /// Received messages of QoS 1 and 2 that are not finished.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.incoming.len()
    }

    /// Outgoing messages that are not finished, sent (QoS 1 and 2) or queued (any).
    pub(crate) fn unfinished_outgoing(&self) -> usize {
        self.in_flight.len() + self.queue.messages()
    }

    /// Messages of QoS 1 and 2 that are not finished, outgoing (sent or queued) and incoming.
    pub(crate) fn unfinished(&self) -> usize {
        self.in_flight.len() + self.queue.acknowledged_messages() + self.incoming.len()
    }
}
