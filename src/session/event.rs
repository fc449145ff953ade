//! What the session tells the application.

use bytes::Bytes;

use super::{AckTicket, AuthData};
use crate::codec::{
    PlainPackets, PlainPublish, Properties, Publish, QoS, ReasonCode, SubscribeOptions, TopicName,
};
use crate::error::{DropReason, ServerLimit};

/// Something that the application may want to know, in the order in which it happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The server's answer to CONNECT, good or bad.
    ConnAck {
        session_present: bool,
        reason: ReasonCode,
        properties: Properties,
    },
    /// An application message arrived.
    Message(Received),
    /// As [`Message`](Self::Message), several that came one behind the other.
    Messages(ReceivedRun),
    /// A step of an authentication, or its success: the application answers before anything else is received.
    Auth {
        reason: ReasonCode,
        data: Option<AuthData>,
    },
    /// An outgoing message is finished: QoS 0 written, PUBACK, PUBCOMP, or refused by PUBREC.
    Published {
        mid: u16,
        reason: ReasonCode,
        properties: Properties,
    },
    Subscribed {
        mid: u16,
        reasons: Vec<ReasonCode>,
        properties: Properties,
    },
    Unsubscribed {
        mid: u16,
        reasons: Vec<ReasonCode>,
        properties: Properties,
    },
    /// Messages that were accepted end without having been sent: they expired, or the server does not allow them.
    Dropped { count: u64, why: DropReason },
    /// The server does not allow the subscription, which was asked for before that was known.
    NotSubscribed { filter: String, limit: ServerLimit },
    /// The server says goodbye (MQTT 5.0).
    Disconnected {
        reason: ReasonCode,
        properties: Properties,
    },
    /// A packet was put into the output or taken from the input; only while `Settings::trace` is on.
    Trace(Trace),
}

/// A received message and how to acknowledge it (QoS 1 and 2).
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) publish: Publish,
    pub(crate) ticket: Option<AckTicket>,
}

/// Received messages without properties, in their packets, and how to acknowledge them.
#[derive(Debug)]
pub(crate) struct ReceivedRun {
    packets: PlainPackets,
    /// Of the next message that is acknowledged, but for its Packet Identifier.
    ticket: AckTicket,
}

impl ReceivedRun {
    pub(super) fn new(packets: PlainPackets, ticket: AckTicket) -> Self {
        Self { packets, ticket }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// The next message: its packet, the buffer that this is in, and where.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<(PlainPublish<'_>, &Bytes, usize, Option<AckTicket>)> {
        let (packet, buffer, start) = self.packets.next()?;
        let ticket = packet.packet_id.map(|packet_id| AckTicket {
            packet_id: packet_id.get(),
            ..self.ticket
        });
        self.ticket.sequence += u64::from(ticket.is_some());
        Some((packet, buffer, start, ticket))
    }
}

/// One packet, as a log line tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trace {
    SentConnect {
        version: crate::codec::ProtocolVersion,
        username: bool,
        password: bool,
        will: Option<(QoS, bool)>,
        clean_start: bool,
        keep_alive: u16,
        client_id: String,
        properties: Properties,
    },
    SentPublish {
        dup: bool,
        qos: QoS,
        retain: bool,
        mid: u16,
        topic: TopicName,
        properties: Option<Properties>,
        payload_len: usize,
    },
    SentSubscribe {
        mid: u16,
        subscriptions: Vec<(String, SubscribeOptions)>,
    },
    SentUnsubscribe {
        mid: u16,
        filters: Vec<String>,
    },
    /// PUBACK, PUBREC, PUBREL or PUBCOMP, by name.
    SentAck {
        name: &'static str,
        packet_id: u16,
    },
    SentPingReq,
    SentPingResp,
    SentDisconnect {
        reason: ReasonCode,
        properties: Properties,
    },
    SentAuth {
        reason: ReasonCode,
    },
    ReceivedAuth {
        reason: ReasonCode,
    },
    ReceivedConnAck {
        flags: u8,
        reason: ReasonCode,
        properties: Properties,
    },
    ReceivedPublish {
        dup: bool,
        qos: QoS,
        retain: bool,
        mid: u16,
        topic: TopicName,
        properties: Option<Properties>,
        payload_len: usize,
    },
    ReceivedAck {
        name: &'static str,
        packet_id: u16,
    },
    ReceivedSubAck,
    ReceivedUnsubAck {
        packet_id: u16,
    },
    ReceivedPingReq,
    ReceivedPingResp,
    ReceivedDisconnect {
        reason: ReasonCode,
        properties: Properties,
    },
    /// A packet that a server never sends: its first byte without the flags.
    Unrecognised {
        command: u8,
    },
}
