//! The MQTT Session of a client: the flows of messages and subscriptions, packet identifiers, timers.
//!
//! No sockets, threads, locks or clock: commands and decoded packets come in with the present time, encoded bytes and
//! events go out. The client asks for them after each call.

mod event;
mod out_buffer;
mod settings;

pub(crate) use event::{Event, Received, Trace};
pub(crate) use out_buffer::OutBuffer;
pub(crate) use settings::{OfflineQueue, OnSessionLost, Resubscribe, Settings, WhenFull};

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::codec::{Packet, Properties, QoS, ReasonCode, Subscription};
use crate::error::{DecodeError, DropReason, Error, Result};

/// Follows one outgoing message or subscription request. Called in the middle of the session's work: it stores and
/// wakes, it never calls back.
pub(crate) trait Track: Clone {
    /// The message is on its way (in the output).
    fn sent(&self);
    /// The exchange ended: QoS 0 written, PUBACK, PUBCOMP, or a PUBREC that refuses.
    fn acknowledged(&self, reason: ReasonCode);
    /// SUBACK or UNSUBACK.
    fn granted(&self, reasons: &[ReasonCode]);
    /// It will never be sent, or sent again.
    fn dropped(&self, why: DropReason);
}

/// An application message to publish, its arguments checked. `topic` and `payload` are borrowed as far as possible: a
/// message of QoS 0 that can leave at once is encoded without a copy in between.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: PayloadRef<'a>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) properties: &'a Properties,
}

/// A payload, borrowed or shared.
#[derive(Clone, Debug)]
pub(crate) enum PayloadRef<'a> {
    Borrowed(&'a [u8]),
    Shared(Bytes),
}

/// A message was accepted.
#[derive(Debug)]
pub(crate) enum Accepted<T> {
    /// QoS 0, in the output: it has left when [`Session::written`] reaches `end`.
    InOutput { mid: u16, end: u64 },
    /// Everything else; the tracker hears of it.
    Tracked { mid: u16, track: T },
}

/// Which received message is to be acknowledged; only good for the connection that it came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AckTicket {
    connection: u32,
    sequence: u64,
    packet_id: u16,
    qos: QoS,
}

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// No connection.
    Closed,
    /// CONNECT is written, CONNACK not here yet.
    Connecting,
    /// CONNACK accepted us; the application is being told (`on_connect`), [`Session::release`] ends it.
    Settling,
    /// Everything flows.
    Open,
    /// DISCONNECT is in the output; nothing more is sent.
    Disconnecting,
}

/// What became of the session's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimedOut {
    ConnAck,
    PingResp,
}

/// The state of one client's session, across connections.
#[derive(Debug)]
pub(crate) struct Session<T> {
    pub(crate) settings: Settings,
    output: OutBuffer,
    events: VecDeque<Event>,
    _track: std::marker::PhantomData<T>,
}

impl<T: Track> Session<T> {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            output: OutBuffer::default(),
            events: VecDeque::new(),
            _track: std::marker::PhantomData,
        }
    }

    // ---- the connection ----

    /// The transport is open: writes CONNECT from the settings and starts the CONNACK deadline. Per-connection state
    /// starts afresh.
    pub(crate) fn open(&mut self, now: Instant) {
        let _ = now;
        unimplemented!()
    }
    pub(crate) fn link(&self) -> Link {
        unimplemented!()
    }
    /// `on_connect` has returned: renews subscriptions by policy (those that were not requested on this connection
    /// yet), then lets the queue flow.
    pub(crate) fn release(&mut self, now: Instant) {
        let _ = now;
    }
    /// Writes DISCONNECT behind everything that is in the output; from now on nothing else is sent.
    pub(crate) fn disconnect(
        &mut self,
        now: Instant,
        reason: ReasonCode,
        properties: Properties,
    ) -> Result<()> {
        let _ = (now, reason, properties);
        unimplemented!()
    }
    /// The transport is gone. What was in the output and of QoS 0 is lost (its tracker, if any, hears it); the rest
    /// waits for the next connection.
    pub(crate) fn closed(&mut self, now: Instant) {
        let _ = now;
    }

    // ---- commands ----

    /// Accepts a message, or refuses it and changes nothing. `track` is called only for a message that cannot be
    /// followed by its position in the output.
    pub(crate) fn publish(
        &mut self,
        now: Instant,
        message: Outgoing<'_>,
        track: impl FnOnce(u16) -> T,
    ) -> Result<Accepted<T>> {
        let _ = (now, message, track);
        Err(Error::NotConnected)
    }
    /// Adds to the ledger and asks the server, now or when there is a connection. Returns the message id.
    pub(crate) fn subscribe(
        &mut self,
        now: Instant,
        subscriptions: Vec<Subscription>,
        properties: Properties,
        track: impl FnOnce(u16) -> T,
    ) -> Result<u16> {
        let _ = (now, subscriptions, properties, track);
        unimplemented!()
    }
    pub(crate) fn unsubscribe(
        &mut self,
        now: Instant,
        filters: Vec<String>,
        properties: Properties,
        track: impl FnOnce(u16) -> T,
    ) -> Result<u16> {
        let _ = (now, filters, properties, track);
        unimplemented!()
    }
    /// Acknowledges a received message: PUBACK, or PUBCOMP.
    ///
    /// # Errors
    ///
    /// `InvalidState` if the ticket's connection has ended or the message is acknowledged already.
    pub(crate) fn acknowledge(&mut self, now: Instant, ticket: AckTicket) -> Result<()> {
        let _ = (now, ticket);
        unimplemented!()
    }
    /// The application failed on the message: it is not acknowledged on this connection, and does not hold up the
    /// acknowledgements of later ones.
    pub(crate) fn withhold(&mut self, ticket: AckTicket) {
        let _ = ticket;
    }
    /// Drops every QoS 1 and 2 message that is not finished and everything queued; gives them back in their order.
    pub(crate) fn drop_outgoing(&mut self) -> Vec<crate::codec::Publish> {
        unimplemented!()
    }

    // ---- input ----

    /// Bytes arrived (a partial packet counts): for the keep alive.
    pub(crate) fn received_bytes(&mut self, now: Instant, count: usize) {
        let _ = (now, count);
    }
    /// A packet arrived. On an error the client calls `disconnect(error.reason)` (MQTT 5.0) and closes.
    pub(crate) fn handle_packet(&mut self, now: Instant, packet: Packet) -> Result<(), DecodeError> {
        let _ = (now, packet);
        unimplemented!()
    }
    /// `count` more bytes of the output went to the socket: QoS 0 messages end, the keep alive moves on, queued
    /// messages move up.
    pub(crate) fn wrote(&mut self, now: Instant, count: usize) {
        let _ = (now, count);
    }

    // ---- timers ----

    /// Sends a PINGREQ that is due; reports a deadline that has passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), TimedOut> {
        let _ = now;
        Ok(())
    }
    /// When `handle_timeout` has something to do next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    // ---- output ----

    pub(crate) fn output(&mut self) -> &mut OutBuffer {
        &mut self.output
    }
    pub(crate) fn events(&mut self) -> &mut VecDeque<Event> {
        &mut self.events
    }
}
