//! DISCONNECT and AUTH.

use super::{Properties, ReasonCode};

/// A DISCONNECT packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Normal disconnection before MQTT 5.0.
    pub reason: ReasonCode,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
}

/// An AUTH packet (MQTT 5.0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Success, Continue authentication or Re-authenticate.
    pub reason: ReasonCode,
    /// Properties.
    pub properties: Properties,
}
