//! The clients that are compared. Each works as its documentation recommends, with its default settings.

mod callmq;
mod rumqttc_async;
mod rumqttc_sync;

use std::time::Duration;

use crate::Failure;
use crate::meter::Cost;
use crate::peer::Server;

/// Longer than a run takes.
const PATIENCE: Duration = Duration::from_secs(60);

const SIZE: usize = 1024;

/// What there is to do.
pub(crate) struct Job {
    pub(crate) messages: u32,
    pub(crate) payload: [u8; SIZE],
}

impl Job {
    pub(crate) fn new(messages: u32) -> Self {
        Self {
            messages,
            payload: [b'x'; SIZE],
        }
    }

    /// What has the peer count the messages that follow, as a topic and a payload.
    fn count(&self) -> (&'static str, String) {
        ("peer/count", self.messages.to_string())
    }

    /// What has the peer send the messages.
    fn send(&self) -> (&'static str, String) {
        ("peer/send", format!("{} {SIZE}", self.messages))
    }
}

pub(crate) struct Client {
    pub(crate) name: &'static str,
    /// Connects and publishes; returns when the peer has all messages.
    pub(crate) publish: fn(&Server, Job) -> Result<Cost, Failure>,
    /// Connects and receives all messages.
    pub(crate) receive: fn(&Server, Job) -> Result<Cost, Failure>,
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
