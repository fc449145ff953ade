//! The 27 properties of MQTT 5.0 and which packet may carry which.

use bytes::Bytes;

/// The properties of a packet, in the order in which they were added or received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    list: Vec<Property>,
}

/// One property (MQTT 5.0, section 2.2.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Property {
    /// 0x01: the payload is UTF-8 (1) or bytes (0).
    PayloadFormatIndicator(u8),
    /// 0x02, seconds.
    MessageExpiryInterval(u32),
    /// 0x03
    ContentType(String),
    /// 0x08
    ResponseTopic(String),
    /// 0x09
    CorrelationData(Bytes),
    /// 0x0B, 1 to 268,435,455.
    SubscriptionIdentifier(u32),
    /// 0x11, seconds.
    SessionExpiryInterval(u32),
    /// 0x12
    AssignedClientIdentifier(String),
    /// 0x13, seconds.
    ServerKeepAlive(u16),
    /// 0x15
    AuthenticationMethod(String),
    /// 0x16
    AuthenticationData(Bytes),
    /// 0x17, 0 or 1.
    RequestProblemInformation(u8),
    /// 0x18, seconds.
    WillDelayInterval(u32),
    /// 0x19, 0 or 1.
    RequestResponseInformation(u8),
    /// 0x1A
    ResponseInformation(String),
    /// 0x1C
    ServerReference(String),
    /// 0x1F
    ReasonString(String),
    /// 0x21, not 0.
    ReceiveMaximum(u16),
    /// 0x22
    TopicAliasMaximum(u16),
    /// 0x23, not 0.
    TopicAlias(u16),
    /// 0x24, 0 or 1.
    MaximumQoS(u8),
    /// 0x25, 0 or 1.
    RetainAvailable(u8),
    /// 0x26, any number of times.
    UserProperty(String, String),
    /// 0x27, bytes, not 0.
    MaximumPacketSize(u32),
    /// 0x28, 0 or 1.
    WildcardSubscriptionAvailable(u8),
    /// 0x29, 0 or 1.
    SubscriptionIdentifierAvailable(u8),
    /// 0x2A, 0 or 1.
    SharedSubscriptionAvailable(u8),
}
