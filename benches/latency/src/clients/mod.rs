//! The clients that are compared. Each works as its documentation recommends, with its default settings but for
//! `TCP_NODELAY`, which all of them have.

mod callmq;
mod rumqttc_async;
mod rumqttc_sync;

use std::time::Duration;

use crate::Failure;
use crate::pace::Load;
use crate::record::Outcome;

/// Longer than a run takes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    pub(crate) name: &'static str,
    /// Connects to this port and publishes with QoS 0 at that pace; returns when all of it is written.
    pub(crate) publish: fn(u16, Load) -> Result<(), Failure>,
    /// Connects to this port, subscribes with QoS 0, and records what comes until the last message.
    pub(crate) receive: fn(u16) -> Result<Outcome, Failure>,
}

pub(crate) const CLIENTS: [Client; 3] = [
    Client {
        name: "callmq",
        publish: callmq::publish,
        receive: callmq::receive,
    },
    Client {
        name: "rumqttc, threads",
        publish: rumqttc_sync::publish,
        receive: rumqttc_sync::receive,
    },
    Client {
        name: "rumqttc, async",
        publish: rumqttc_async::publish,
        receive: rumqttc_async::receive,
    },
];
