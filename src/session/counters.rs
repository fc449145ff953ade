//! What the session has counted since it was made.

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
