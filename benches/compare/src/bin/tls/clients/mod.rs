//! The clients that are compared. Each works as its documentation recommends, with its default settings.

mod callmq;
mod rumqttc_async;
mod rumqttc_sync;

use compare::{Each, Failure};

use crate::meter::Cost;
use crate::peer::Server;

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

/// Connects, does the job, and tells what that cost.
pub(crate) type Run = fn(&Server, Job) -> Result<Cost, Failure>;

/// Publishes; returns when the peer has all messages.
pub(crate) const PUBLISH: Each<Run> = [callmq::publish, rumqttc_sync::publish, rumqttc_async::publish];

/// Receives all messages.
pub(crate) const RECEIVE: Each<Run> = [callmq::receive, rumqttc_sync::receive, rumqttc_async::receive];
