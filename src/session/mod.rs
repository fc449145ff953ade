//! The MQTT Session of a client: the flows of messages and subscriptions, packet identifiers, timers.
//!
//! No sockets, threads, locks or clock: commands and decoded packets come in with the present time, encoded bytes and
//! events go out. The client asks for them after each call.
//!
//! ```text
//!            open            CONNACK             release           disconnect
//!   Closed ───────► Connecting ───────► Settling ───────► Open ───────────────► Disconnecting
//!     ▲                                                                              │
//!     └───────────────────────────── closed, from anywhere ──────────────────────────┘
//! ```
//!
//! An outgoing message goes straight into the output or through the queue (`publishing`, `queue`), those of QoS 1 and 2
//! are kept in `outgoing` until the server has them. What is received goes through `receiving`, and waits in `incoming`
//! for its acknowledgement. `subscriptions` is the ledger.

mod acknowledging;
mod authentication;
mod connection;
mod counters;
mod event;
mod expiry;
mod id_map;
mod incoming;
mod keep_alive;
mod leaving;
mod limits;
mod message;
mod out_buffer;
mod outgoing;
mod packet_ids;
mod packet_store;
mod publishing;
mod queue;
mod receiving;
mod requesting;
mod runs;
mod settings;
mod subscriptions;
mod topic_aliases;
mod unwritten;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use authentication::{AuthData, AuthStart};
pub(crate) use connection::Lost;
pub(crate) use counters::Counters;
pub(crate) use event::{Event, Received, ReceivedRun, Trace};
pub(crate) use limits::Limits;
pub(crate) use out_buffer::OutBuffer;
pub(crate) use requesting::{FIRST_OWN_IDENTIFIER, LAST_IDENTIFIER};
pub(crate) use settings::{Credentials, Settings};
pub use settings::{IncomingLimit, OfflineQueue, OnSessionLost, Resubscribe, WhenFull};
pub(crate) use subscriptions::Standing;

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::codec::{
    Disconnect, Packet, PacketId, Properties, ProtocolVersion, QoS, ReasonCode, Subscription,
};
use crate::error::{DecodeError, DropReason, Error, Result};

use authentication::Authentication;
use connection::Connection;
use incoming::Incoming;
use keep_alive::{Due, KeepAlive};
use message::Pool;
use outgoing::InFlight;
use packet_ids::{ALL_IDS, PacketIds};
use queue::Queue;
use subscriptions::Subscriptions;
use unwritten::Unwritten;
use wire::Wire;

/// Follows one outgoing message or subscription request. Called in the middle of the session's work: it stores and
/// wakes, it never calls back.
pub(crate) trait Track: Clone + 'static {
    /// The message is on its way (in the output).
    fn sent(&self);
    /// The exchange ended: QoS 0 written, PUBACK, PUBCOMP, or a PUBREC that refuses; with the server's Reason String.
    fn acknowledged(&self, reason: ReasonCode, text: Option<&str>);
    /// SUBACK or UNSUBACK.
    fn granted(&self, reasons: &[ReasonCode]);
    /// It will never be sent, or sent again.
    fn dropped(&self, why: DropReason);
}

/// An application message to publish, its arguments checked. `topic` and `payload` are borrowed as far as possible: a
/// message of QoS 0 that can leave at once is encoded without a copy in between.
#[derive(Clone, Debug)]
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
    /// The same, but for its payload, which is large and was lent: the caller puts that behind the output, at once.
    HeadInOutput { mid: u16, end: u64 },
    /// Everything else; the tracker hears of it.
    Tracked { mid: u16, track: T },
    /// It was not: the queue is full, and [`WhenFull::Block`] says to wait for room.
    NoRoom,
}

/// Which received message is to be acknowledged; only good for the connection that it came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AckTicket {
    connection: u32,
    sequence: u64,
    packet_id: u16,
    qos: QoS,
}

impl AckTicket {
    /// The ticket as numbers, to be kept in atomic ones.
    pub(crate) fn to_words(self) -> [u64; 2] {
        let low = u64::from(self.packet_id) << 8 | u64::from(u8::from(self.qos));
        [self.sequence, u64::from(self.connection) << 32 | low]
    }

    pub(crate) fn from_words([sequence, word]: [u64; 2]) -> Self {
        let [.., high, low, qos] = word.to_be_bytes();
        Self {
            connection: (word >> 32) as u32,
            sequence,
            packet_id: u16::from_be_bytes([high, low]),
            qos: QoS::try_from(qos).unwrap_or_default(),
        }
    }
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
    /// DISCONNECT is in the output, or the server has refused or ended the connection; nothing more is sent.
    Disconnecting,
}

/// What became of the session's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimedOut {
    ConnAck,
    PingResp,
    /// A re-authentication.
    Auth,
}

/// The state of one client's session, across connections.
#[derive(Debug)]
pub(crate) struct Session<T> {
    pub(crate) settings: Settings,
    wire: Wire,
    connection: Connection,
    /// Where CONNECT named an Authentication Method.
    authentication: Option<Box<Authentication>>,
    /// The time as the last call told it.
    now: Instant,
    keep_alive: KeepAlive,
    ids: PacketIds,
    queue: Queue<T>,
    in_flight: InFlight<T>,
    unwritten: Unwritten<T>,
    pool: Pool,
    incoming: Incoming,
    /// The topic aliases of the server.
    aliases: topic_aliases::Received,
    /// Once there was a request.
    subscriptions: Option<Box<Subscriptions<T>>>,
}

impl<T: Track> Session<T> {
    pub(crate) fn new(settings: Settings, now: Instant) -> Self {
        Self {
            settings,
            wire: Wire::default(),
            connection: Connection::new(),
            authentication: None,
            now,
            keep_alive: KeepAlive::default(),
            ids: PacketIds::new(),
            queue: Queue::new(),
            in_flight: InFlight::new(),
            unwritten: Unwritten::new(),
            pool: Pool::default(),
            incoming: Incoming::new(),
            aliases: topic_aliases::Received::default(),
            subscriptions: None,
        }
    }

    // ---- the connection ----

    /// The transport is open: writes CONNECT from the settings and starts the CONNACK deadline. Per-connection state
    /// starts afresh.
    pub(crate) fn open(&mut self, now: Instant) {
        if self.connection.link != Link::Closed {
            self.closed(now);
        }
        let settings = &self.settings;
        let first_serial = self.queue.next_serial();
        let announced = settings.announced_properties();
        self.connection.open(settings, &announced, first_serial);
        self.aliases.open(announced.topic_alias_maximum().unwrap_or(0));
        self.wire.open(settings.version);
        self.keep_alive.open(now, settings.connack_timeout);
        let verifies = settings.authentication.is_some();
        self.authentication = announced
            .authentication_method()
            .map(|method| Box::new(Authentication::new(method, verifies)));
        self.put_connect();
        // For the CONNACK, not when it comes: all that a client which only connects ever has.
        self.wire.events.reserve_exact(1);
    }

    /// That of the connection: the next one may have another.
    pub(crate) fn version(&self) -> ProtocolVersion {
        self.connection.version
    }

    pub(crate) fn link(&self) -> Link {
        self.connection.link
    }

    /// `on_connect` has returned: renews subscriptions by policy (those that were not requested on this connection
    /// yet), then lets the queue flow.
    pub(crate) fn release(&mut self, now: Instant) {
        self.now = now;
        self.wire.trace = self.settings.trace;
        if self.connection.link != Link::Settling {
            return;
        }
        self.connection.link = Link::Open;
        self.renew_subscriptions();
        self.send_pending_requests();
        self.pull();
    }

    /// Writes DISCONNECT behind everything that is in the output; from now on nothing else is sent.
    ///
    /// Messages of QoS 0 that only waited for room in the output go before it.
    ///
    /// # Errors
    ///
    /// `NotConnected` if there is no connection or it is being closed; `InvalidArgument` if the reason or a property
    /// does not belong into a DISCONNECT, or into that of this connection. Nothing is sent then.
    pub(crate) fn disconnect(
        &mut self,
        now: Instant,
        reason: ReasonCode,
        properties: Properties,
    ) -> Result<()> {
        self.now = now;
        self.wire.trace = self.settings.trace;
        if !self.may_write() {
            return Err(Error::NotConnected);
        }
        let revives = properties
            .session_expiry_interval()
            .is_some_and(|seconds| seconds != 0);
        if revives && self.connection.session_expiry == 0 {
            // MQTT 5.0, section 3.14.2.2.2.
            return Err(Error::argument(
                "properties",
                "must not give the session an expiry: CONNECT gave it none",
            ));
        }
        let packet = Packet::Disconnect(Disconnect { reason, properties });
        let packet = self.wire.fitting(&packet)?;
        self.flush_unacknowledged();
        self.wire.put_packet(&packet)?;
        // After DISCONNECT nothing more [MQTT-3.14.4-2] (5.0: [MQTT-3.14.4-1]).
        self.connection.link = Link::Disconnecting;
        self.keep_alive.stop();
        self.authentication = None;
        self.wire.trace(|_| Trace::SentDisconnect {
            reason,
            properties: match packet.into_owned() {
                Packet::Disconnect(disconnect) => disconnect.properties,
                _ => Properties::new(),
            },
        });
        Ok(())
    }

    /// Ends the output: what is there may leave, and nothing comes behind it. `false` if it has ended before.
    pub(crate) fn end_output(&mut self) -> bool {
        let open = self.may_write();
        if open {
            self.connection.link = Link::Disconnecting;
            self.keep_alive.stop();
        }
        open
    }

    /// The transport is gone. What was in the output and of QoS 0 is lost (its tracker, if any, hears it); the rest
    /// waits for the next connection.
    pub(crate) fn closed(&mut self, _now: Instant) {
        if self.connection.link == Link::Closed {
            return;
        }
        self.connection.close();
        self.keep_alive.stop();
        self.authentication = None;
        self.wire.output.clear();
        self.wire.aliases = None;
        self.aliases.open(0);
        self.in_flight
            .closed(self.connection.written + self.connection.in_hand);
        self.incoming.closed();
        self.drop_unacknowledged();
        self.take_back_requests();
    }

    // ---- commands ----

    /// Whether a message of QoS 0 can leave at once and differs from the one before only in the bytes of its payload,
    /// as most of a stream of them. Its topic need not be checked again.
    #[inline]
    pub(crate) fn takes_next(&self, message: &Outgoing<'_>) -> bool {
        self.takes_at_once(message) && self.wire.has_head_of(message)
    }

    /// Accepts a message that [`takes_next`](Self::takes_next) allows: its message id, and where it ends in the output.
    #[inline]
    pub(crate) fn publish_next(&mut self, message: &Outgoing<'_>) -> (u16, u64) {
        self.send_at_once(message)
    }

    /// Accepts a message, or refuses it and changes nothing. `track` is called only for a message that cannot be
    /// followed by its position in the output.
    ///
    /// `now` is asked only where the time matters: for messages that expire.
    #[inline]
    pub(crate) fn publish(
        &mut self,
        now: impl FnOnce() -> Instant,
        message: &Outgoing<'_>,
        track: impl FnOnce(u16) -> T,
    ) -> Result<Accepted<T>> {
        if self.takes_at_once(message) {
            self.wire.keep_head_of(message);
            let (mid, end) = self.send_at_once(message);
            return Ok(Accepted::InOutput { mid, end });
        }
        if !message.properties.is_empty() || self.queue.next_expiry().is_some() {
            self.now = now();
        }
        self.wire.trace = self.settings.trace;
        self.accept(message.clone(), track)
    }

    /// Adds to the ledger and asks the server, now or when there is a connection. Returns the message id.
    pub(crate) fn subscribe(
        &mut self,
        _now: Instant,
        subscriptions: Vec<Subscription>,
        properties: Properties,
        track: impl FnOnce(u16) -> T,
    ) -> Result<u16> {
        self.request(track, |packet_id| {
            Packet::Subscribe(crate::codec::Subscribe {
                packet_id,
                properties,
                subscriptions,
            })
        })
    }

    /// How the server stands to a filter, as far as the ledger knows.
    pub(crate) fn standing(&self, filter: &str) -> Standing {
        let subscriptions = self.subscriptions.as_ref();
        subscriptions.map_or(Standing::Unknown, |subscriptions| subscriptions.standing(filter))
    }

    pub(crate) fn unsubscribe(
        &mut self,
        _now: Instant,
        filters: Vec<String>,
        properties: Properties,
        track: impl FnOnce(u16) -> T,
    ) -> Result<u16> {
        self.request(track, |packet_id| {
            Packet::Unsubscribe(crate::codec::Unsubscribe {
                packet_id,
                properties,
                filters,
            })
        })
    }

    /// Drops every QoS 1 and 2 message that is not finished and everything queued; gives them back in their order.
    pub(crate) fn drop_outgoing(&mut self) -> Vec<crate::codec::Publish> {
        self.take_back(DropReason::Discarded)
    }

    /// The client is gone: ends everything that it had accepted.
    pub(crate) fn abandon(&mut self) {
        drop(self.take_back(DropReason::ClientDropped));
        self.abandon_requests();
    }

    // ---- input ----

    /// Bytes arrived (a partial packet counts): for the keep alive.
    pub(crate) fn received_bytes(&mut self, now: Instant, count: usize) {
        if count > 0 {
            self.wire.counters.bytes_received += count as u64;
            self.keep_alive.received(now);
        }
    }

    /// A packet arrived. On an error the client calls `disconnect(error.reason)` (MQTT 5.0) and closes.
    #[inline]
    pub(crate) fn handle_packet(&mut self, now: Instant, packet: Packet) -> Result<(), DecodeError> {
        self.now = now;
        self.wire.trace = self.settings.trace;
        self.receive(now, packet)
    }

    /// Whether messages of QoS 0 without properties may be handed out as they come: they do not concern the session.
    pub(crate) fn is_streaming(&self) -> bool {
        self.connection.link == Link::Open && !self.settings.trace && !self.awaits_application()
    }

    /// `count` more bytes of the output went to the socket: QoS 0 messages end, the keep alive moves on, queued
    /// messages move up.
    pub(crate) fn wrote(&mut self, now: Instant, count: usize) {
        if count == 0 || self.connection.link == Link::Closed {
            return;
        }
        self.now = now;
        self.wire.trace = self.settings.trace;
        self.wire.counters.bytes_sent += count as u64;
        self.connection.written += count as u64;
        self.keep_alive.sent(now);
        self.finish_written();
        self.pull();
    }

    /// Whoever writes has so many bytes in hand. If the connection ends before [`wrote`](Self::wrote) tells how many of
    /// them left, they count as sent: the server may have them.
    pub(crate) fn writes(&mut self, count: usize) {
        self.connection.in_hand = count as u64;
    }

    /// Bytes of this connection that went to the socket, as [`wrote`](Self::wrote) told.
    pub(crate) fn written(&self) -> u64 {
        self.connection.written
    }

    // ---- timers ----

    /// Sends a PINGREQ that is due; reports a deadline that has passed. Ends queued messages that have expired.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), TimedOut> {
        self.expire(now);
        if self.auth_deadline().is_some_and(|deadline| deadline <= now) {
            return Err(TimedOut::Auth);
        }
        match self.keep_alive.due(now) {
            Due::Nothing => Ok(()),
            Due::Failed(what) => Err(what),
            Due::PingReq => {
                self.put_ping();
                Ok(())
            }
        }
    }

    fn put_ping(&mut self) {
        self.wire.trace = self.settings.trace;
        let encoded = self.wire.put_packet(&Packet::PingReq);
        debug_assert!(encoded.is_ok(), "PINGREQ is two fixed bytes");
        self.wire.trace(|_| Trace::SentPingReq);
    }

    /// When `handle_timeout` has something to do next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let timers = [
            self.keep_alive.deadline(),
            self.auth_deadline(),
            self.queue.next_expiry(),
        ];
        timers.into_iter().flatten().min()
    }

    /// Ends queued messages that have expired; `true` if there were any.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        self.now = now;
        self.drop_expired(now)
    }

    // ---- output ----

    /// Bytes that were put into the output on this connection.
    pub(crate) fn appended(&self) -> u64 {
        self.wire.appended
    }

    pub(crate) fn output(&mut self) -> &mut OutBuffer {
        &mut self.wire.output
    }

    pub(crate) fn events(&mut self) -> &mut VecDeque<Event> {
        &mut self.wire.events
    }

    // ---- what the server said ----

    /// The properties of the CONNACK, while there is a connection that it accepted; and what follows from them.
    pub(crate) fn connack(&self) -> Option<(&Properties, &Limits)> {
        let accepted = matches!(self.connection.link, Link::Settling | Link::Open);
        accepted.then_some((&self.connection.connack, &self.connection.limits))
    }

    /// The Session Expiry Interval that the CONNECT asked for, in seconds.
    pub(crate) fn session_expiry(&self) -> u32 {
        self.connection.session_expiry
    }

    // ---- steps ----

    /// Whether anything may be put into the output.
    fn may_write(&self) -> bool {
        matches!(
            self.connection.link,
            Link::Connecting | Link::Settling | Link::Open
        )
    }

    /// SUBSCRIBE and PUBLISH wait for `release`. So it is always in MQTT 5.0: only the CONNACK tells the server's limits.
    fn waits_for_release(&self) -> bool {
        self.settings.wait_for_connack || self.connection.version == ProtocolVersion::V5
    }
}
