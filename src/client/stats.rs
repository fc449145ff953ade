//! What the client has counted.

/// A snapshot of a client's counters and levels.
///
/// Counters run from the moment the client was made, across reconnections. Levels are as of the moment of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    // ---- counters ----
    /// Messages sent, each counted once.
    pub messages_sent: u64,
    /// Messages received and given to the application.
    pub messages_received: u64,
    /// Outgoing messages of QoS 1 and 2 that the server has answered.
    pub messages_acknowledged: u64,
    /// Outgoing messages sent once more after a reconnection.
    pub messages_resent: u64,
    /// Accepted outgoing messages that were dropped, whatever the reason.
    pub messages_dropped: u64,
    /// Messages sent without their properties, after a [fallback](super::ClientBuilder::fallback) to MQTT 3.1.1.
    pub messages_without_properties: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received.
    pub packets_received: u64,
    /// Bytes of packets written to the transport.
    pub bytes_sent: u64,
    /// Bytes of packets read from the transport.
    pub bytes_received: u64,
    /// Connections that a server accepted.
    pub connects: u64,
    /// Messages on the response topic that no request waited for (any more).
    pub late_responses: u64,
    // ---- levels ----
    /// Whether the client is connected: the server accepted the connection, and it has not ended.
    pub connected: bool,
    /// Outgoing messages that wait for a connection or for a place among those on their way.
    pub queued_messages: usize,
    /// The bytes of the queued messages: topics, payloads and properties.
    pub queued_bytes: usize,
    /// Outgoing messages of QoS 1 and 2 that are on their way.
    pub inflight: usize,
    /// Received messages of QoS 1 and 2 that this client has not acknowledged yet.
    pub unacknowledged: usize,
    /// Requests that wait for their response.
    pub requests: usize,
    /// Encoded bytes that the transport has not taken yet.
    pub output_bytes: usize,
}
