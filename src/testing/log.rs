//! The broker's log: lines worded like those of mosquitto with `-v`.

use std::collections::VecDeque;

use crate::codec::{Packet, Publish};

/// The latest lines, and those that were not handed to the listener yet.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: VecDeque<String>,
    /// How many there ever were.
    total: u64,
    fresh: Vec<String>,
    keep_fresh: bool,
}

impl Log {
    /// A log; `keep_fresh` if somebody takes the lines out with [`take_fresh`](Self::take_fresh).
    pub(super) fn new(keep_fresh: bool) -> Self {
        Self {
            keep_fresh,
            ..Self::default()
        }
    }

    pub(super) fn line(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.total += 1;
        log::debug!(target: "callmq::testing", "{text}");
        if self.keep_fresh {
            self.fresh.push(text.clone());
        }
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(text);
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }

    pub(super) fn take_fresh(&mut self) -> Vec<String> {
        std::mem::take(&mut self.fresh)
    }

    /// A packet came from the client `name`.
    pub(super) fn received(&mut self, name: &str, packet: &Packet) {
        match packet {
            Packet::Publish(publish) => {
                self.line(format!(
                    "Received PUBLISH from {name} {}",
                    publish_summary(publish)
                ));
            }
            Packet::PubAck(ack) => self.line(format!(
                "Received PUBACK from {name} (Mid: {}, RC:{})",
                ack.packet_id,
                ack.reason.value()
            )),
            Packet::PubRec(ack) => self.line(format!("Received PUBREC from {name} (Mid: {})", ack.packet_id)),
            Packet::PubRel(ack) => self.line(format!("Received PUBREL from {name} (Mid: {})", ack.packet_id)),
            Packet::PubComp(ack) => self.line(format!(
                "Received PUBCOMP from {name} (Mid: {}, RC:{})",
                ack.packet_id,
                ack.reason.value()
            )),
            Packet::Connect(_) => self.line(format!("Received CONNECT from {name}")),
            Packet::ConnAck(_) => self.line(format!("Received CONNACK from {name}")),
            Packet::Subscribe(_) => self.line(format!("Received SUBSCRIBE from {name}")),
            Packet::SubAck(_) => self.line(format!("Received SUBACK from {name}")),
            Packet::Unsubscribe(_) => self.line(format!("Received UNSUBSCRIBE from {name}")),
            Packet::UnsubAck(_) => self.line(format!("Received UNSUBACK from {name}")),
            Packet::PingReq => self.line(format!("Received PINGREQ from {name}")),
            Packet::PingResp => self.line(format!("Received PINGRESP from {name}")),
            Packet::Disconnect(_) => self.line(format!("Received DISCONNECT from {name}")),
            Packet::Auth(_) => self.line(format!("Received AUTH from {name}")),
        }
    }

    /// A packet goes to the client `name`.
    pub(super) fn sent(&mut self, name: &str, packet: &Packet) {
        match packet {
            Packet::ConnAck(connack) => self.line(format!(
                "Sending CONNACK to {name} ({}, {})",
                u8::from(connack.session_present),
                connack.reason.value()
            )),
            Packet::Publish(publish) => {
                self.line(format!("Sending PUBLISH to {name} {}", publish_summary(publish)));
            }
            Packet::PubAck(ack) => {
                self.line(format!(
                    "Sending PUBACK to {name} (m{}, rc{})",
                    ack.packet_id,
                    ack.reason.value()
                ));
            }
            Packet::PubRec(ack) => {
                self.line(format!(
                    "Sending PUBREC to {name} (m{}, rc{})",
                    ack.packet_id,
                    ack.reason.value()
                ));
            }
            Packet::PubRel(ack) => self.line(format!("Sending PUBREL to {name} (m{})", ack.packet_id)),
            Packet::PubComp(ack) => self.line(format!("Sending PUBCOMP to {name} (m{})", ack.packet_id)),
            Packet::SubAck(_) => self.line(format!("Sending SUBACK to {name}")),
            Packet::UnsubAck(_) => self.line(format!("Sending UNSUBACK to {name}")),
            Packet::PingResp => self.line(format!("Sending PINGRESP to {name}")),
            Packet::Disconnect(disconnect) => {
                self.line(format!(
                    "Sending DISCONNECT to {name} (rc{})",
                    disconnect.reason.value()
                ));
            }
            // A server sends no others.
            _ => {}
        }
    }
}

/// `(d0, q1, r0, m7, 'topic', ... (3 bytes))`
pub(super) fn publish_summary(publish: &Publish) -> String {
    format!(
        "(d{}, q{}, r{}, m{}, '{}', ... ({} bytes))",
        u8::from(publish.dup),
        publish.qos as u8,
        u8::from(publish.retain),
        publish.packet_id.map_or(0, |id| id.get()),
        publish.topic.as_str(),
        publish.payload.len()
    )
}

/// Older lines are forgotten.
const MAX_LINES: usize = 10_000;
