//! The clients that are compared. Each works as its documentation recommends, with its default settings but for
//! `TCP_NODELAY`, which all of them have.

mod callmq;
mod rumqttc_async;
mod rumqttc_sync;

use compare::{Each, Failure};

use crate::pace::Load;
use crate::record::Outcome;

/// Connects to this port and publishes with QoS 0 at that pace; returns when all of it is written.
type Publish = fn(u16, Load) -> Result<(), Failure>;

/// Connects to this port, subscribes with QoS 0, and records what comes until the last message.
type Receive = fn(u16) -> Result<Outcome, Failure>;

pub(crate) const PUBLISH: Each<Publish> = [callmq::publish, rumqttc_sync::publish, rumqttc_async::publish];
pub(crate) const RECEIVE: Each<Receive> = [callmq::receive, rumqttc_sync::receive, rumqttc_async::receive];
