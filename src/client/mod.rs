//! The client.

pub(crate) mod clock;
mod codes;
mod connect_options;
mod convert;
mod log_lines;
mod message;
mod payload;
mod reason;
mod server;
mod stats;

pub use crate::codec::{
    Properties, Property, ProtocolVersion, QoS, ReasonCode, RetainHandling, SubscribeOptions, Subscription,
    Will,
};
pub use crate::error::{DecodeError, DropReason, Error, Result};
pub use crate::topic::TopicName;
pub use crate::transport::{Stream, Waker};
pub use codes::*;
pub use connect_options::{ConnectOptions, Server};
pub use convert::{
    IntoConnect, IntoHost, IntoMessage, IntoPayload, IntoQos, IntoServer, IntoSubscribeOptions,
    IntoSubscription, IntoSubscriptions, IntoTimeout, IntoTopics, Outcome, PayloadArg,
};
pub use message::Message;
pub use payload::Payload;
pub use reason::{ConnectFlags, DisconnectFlags, DisconnectReason};
pub use stats::Stats;
