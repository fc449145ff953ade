//! The broker without I/O: received bytes and the time go in, bytes to send come out.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | connections: bytes to packets, timers |
//! | `connection.rs` | what is known of one connection, and sending on it |
//! | `connect.rs` | CONNECT: who is admitted, take-over, limits |
//! | `end.rs` | DISCONNECT, the end of a connection and of a session |
//! | `session.rs` | what outlives a connection: the messages on their way, the window |
//! | `publish.rs` | messages and acknowledgements from clients; who gets a message |
//! | `subscribe.rs` | SUBSCRIBE and UNSUBSCRIBE, and which subscriptions match |
//! | `message.rs` | one application message |

mod connect;
mod connection;
mod end;
mod message;
mod publish;
mod session;
mod subscribe;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::log::Log;
use super::options::Options;
use crate::client::Waker;
use crate::codec::{Packet, Publish, ReasonCode};

use connection::{Connection, Phase};
use end::End;
use message::Message;
use session::Session;
use subscribe::Subscriptions;

/// Names a connection for as long as the broker lives.
pub(super) type ConnectionId = u64;

/// The whole broker.
#[derive(Debug)]
pub(super) struct State {
    options: Options,
    now: Instant,
    pub(super) log: Log,
    connections: BTreeMap<ConnectionId, Connection>,
    next_connection: ConnectionId,
    reachable: bool,
    sessions: BTreeMap<String, Session>,
    subscriptions: Subscriptions,
    retained: BTreeMap<String, Arc<Message>>,
    published: VecDeque<Publish>,
    published_total: u64,
    published_bytes: usize,
    /// Numbers the Client Identifiers that the broker makes up.
    next_name: u32,
    /// Connections with something new for their peers: output, room or the end.
    touched: BTreeSet<ConnectionId>,
    /// Wakers of streams that are gone. What hangs on a waker is not ours: it is not dropped under the lock.
    discarded: Vec<Waker>,
}

/// What the transport of a connection has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Go on.
    Open,
    /// Write the rest of the output, then close.
    Close,
    /// Close at once.
    Abort,
}

impl State {
    pub(super) fn new(options: Options, log: Log, now: Instant) -> Self {
        Self {
            options,
            now,
            log,
            connections: BTreeMap::new(),
            next_connection: 1,
            reachable: true,
            sessions: BTreeMap::new(),
            subscriptions: Subscriptions::default(),
            retained: BTreeMap::new(),
            published: VecDeque::new(),
            published_total: 0,
            published_bytes: 0,
            next_name: 1,
            touched: BTreeSet::new(),
            discarded: Vec::new(),
        }
    }

    // ---- what the transports call ----

    /// A transport was opened; `peer` and `port` are for the log. `None`: nobody is to reach the broker at present.
    pub(super) fn connect(&mut self, peer: &str, port: Option<u16>) -> Option<ConnectionId> {
        if !self.reachable {
            return None;
        }
        let id = self.next_connection;
        self.next_connection += 1;
        match port {
            Some(port) => self
                .log
                .line(format!("New connection from {peer} on port {port}.")),
            None => self.log.line(format!("New connection from {peer}.")),
        }
        let connection = Connection::new(id, peer, &self.options, self.now);
        self.connections.insert(id, connection);
        Some(id)
    }

    /// Bytes arrived.
    pub(super) fn handle_bytes(&mut self, id: ConnectionId, bytes: &[u8]) {
        match self.connections.get_mut(&id) {
            Some(connection) if connection.phase != Phase::Ended => {
                connection.input.extend_from_slice(bytes);
            }
            _ => return,
        }
        while let Some(connection) = self.connections.get_mut(&id) {
            if connection.phase == Phase::Ended {
                return;
            }
            let result = match connection.decoder.decode(&mut connection.input) {
                Ok(None) => return,
                Ok(Some(packet)) => self.handle_packet(id, packet),
                Err(error) => Err(self.undecodable(id, error)),
            };
            if let Err(end) = result {
                self.end(id, end);
            }
        }
    }

    /// The peer closed its side, or the transport failed: nothing more can be sent.
    pub(super) fn closed(&mut self, id: ConnectionId) {
        self.end(id, End::PeerClosed);
        self.touched.remove(&id);
        let connection = self.connections.remove(&id);
        self.discarded
            .extend(connection.and_then(|connection| connection.waker));
    }

    /// Takes up to `limit` bytes that are to be sent.
    pub(super) fn take_output(&mut self, id: ConnectionId, limit: usize) -> Option<bytes::Bytes> {
        let connection = self.connections.get_mut(&id)?;
        if connection.output.is_empty() {
            return None;
        }
        let count = connection.output.len().min(limit);
        let taken = connection.output.split_to(count).freeze();
        // There is room again for messages that waited.
        if let Phase::Open { client_id } = &connection.phase {
            let client_id = client_id.clone();
            self.pump(&client_id);
        }
        Some(taken)
    }

    /// Whether the broker wants to read more of this client: not while too much of its output waits.
    pub(super) fn wants_input(&self, id: ConnectionId) -> bool {
        self.connections
            .get(&id)
            .is_some_and(|connection| !connection.is_full(&self.options))
    }

    /// The peer will send no more but still reads: there is nothing left to do but to give it the rest of the output.
    pub(super) fn half_closed(&mut self, id: ConnectionId) {
        self.end(id, End::PeerClosed);
    }

    /// What is to be done with the transport. A connection that is closed here is forgotten with [`Self::closed`].
    pub(super) fn fate(&self, id: ConnectionId) -> Fate {
        match self.connections.get(&id) {
            None => Fate::Abort,
            Some(connection) if connection.phase != Phase::Ended => Fate::Open,
            Some(connection) if connection.abort => Fate::Abort,
            Some(_) => Fate::Close,
        }
    }

    /// Stores whom to wake when there is something for an in-memory stream.
    pub(super) fn set_waker(&mut self, id: ConnectionId, waker: Waker) {
        if let Some(connection) = self.connections.get_mut(&id) {
            self.discarded.extend(connection.waker.replace(waker));
        }
    }

    /// Takes a list of the connections that have something new: for each its waker, if it is a stream with one. The
    /// wakers are called without the lock.
    pub(super) fn take_touched(&mut self) -> Vec<Option<Waker>> {
        let touched = std::mem::take(&mut self.touched);
        touched
            .iter()
            .map(|id| self.connections.get(id)?.waker.clone())
            .collect()
    }

    /// Takes what is to be dropped without the lock.
    pub(super) fn take_discarded(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.discarded)
    }

    /// A number that is another one after everything that a test could see.
    pub(super) fn changes(&self) -> u64 {
        self.log.total() + self.published_total
    }

    // ---- time ----

    /// Tells the time, and does what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        let now = self.now;
        let silent: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.deadline().is_some_and(|at| at <= now))
            .map(|(&id, _)| id)
            .collect();
        for id in silent {
            self.end(id, End::KeepAlive);
        }
        let wills: Vec<_> = self
            .sessions
            .values_mut()
            .filter_map(|session| session.take_due_will(now))
            .collect();
        for will in wills {
            self.publish_message(&Arc::new(will));
        }
        let over: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.ends_at.is_some_and(|at| at <= now))
            .map(|(client_id, _)| client_id.clone())
            .collect();
        for client_id in over {
            self.end_session(&client_id);
        }
    }

    /// When `handle_timeout` has something to do next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let connections = self.connections.values().filter_map(Connection::deadline);
        let sessions = self.sessions.values().filter_map(Session::deadline);
        connections.chain(sessions).min()
    }

    // ---- what the test asks for ----

    /// Publishes as if a client had done it.
    pub(super) fn publish(&mut self, publish: &Publish) {
        let message = Message::new(publish, None, self.now);
        self.publish_message(&Arc::new(message));
    }

    pub(super) fn connected_clients(&self) -> Vec<String> {
        let connected = self
            .sessions
            .values()
            .filter(|session| session.connection.is_some());
        connected.map(|session| session.client_id.clone()).collect()
    }

    pub(super) fn sessions(&self) -> Vec<String> {
        self.sessions.keys().cloned().collect()
    }

    pub(super) fn subscriptions(&self, client_id: &str) -> Vec<crate::codec::Subscription> {
        self.subscriptions.of_client(client_id)
    }

    pub(super) fn retained(&self, topic: &str) -> Option<bytes::Bytes> {
        let message = self
            .retained
            .get(topic)
            .filter(|message| !message.is_expired(self.now))?;
        Some(message.payload.clone())
    }

    pub(super) fn published(&self) -> Vec<Publish> {
        self.published.iter().cloned().collect()
    }

    pub(super) fn set_reachable(&mut self, reachable: bool) {
        self.reachable = reachable;
        if !reachable {
            let all: Vec<_> = self.connections.keys().copied().collect();
            all.into_iter().for_each(|id| self.end(id, End::Cut(None)));
        }
    }

    /// Ends the connection of a client: with a DISCONNECT (MQTT 5.0) where there is a reason, else without a word.
    pub(super) fn disconnect_client(&mut self, client_id: &str, reason: Option<ReasonCode>) -> bool {
        match self
            .sessions
            .get(client_id)
            .and_then(|session| session.connection)
        {
            Some(id) => {
                self.end(id, End::Cut(reason));
                true
            }
            None => false,
        }
    }

    // ---- packets ----

    fn handle_packet(&mut self, id: ConnectionId, packet: Packet) -> Result<(), End> {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&id) else {
            return Ok(());
        };
        connection.last_received = now;
        let client_id = match (&connection.phase, &packet) {
            (Phase::Ended, _) => return Ok(()),
            (Phase::AwaitConnect, Packet::Connect(_)) => String::new(),
            // The first packet is CONNECT [MQTT-3.1.0-1].
            (Phase::AwaitConnect, _) => return Err(ReasonCode::PROTOCOL_ERROR.into()),
            (Phase::Open { client_id }, Packet::Connect(_)) => {
                self.log.line(format!(
                    "Bad client {client_id} sending multiple CONNECT messages."
                ));
                return Err(ReasonCode::PROTOCOL_ERROR.into());
            }
            (Phase::Open { client_id }, _) => {
                self.log.received(client_id, &packet);
                client_id.clone()
            }
        };
        match packet {
            Packet::Connect(connect) => self.handle_connect(id, *connect),
            Packet::Publish(publish) => self.handle_publish(id, &client_id, publish),
            Packet::PubAck(ack) => self.handle_puback(&client_id, &ack),
            Packet::PubRec(ack) => self.handle_pubrec(id, &client_id, &ack),
            Packet::PubRel(ack) => self.handle_pubrel(id, &client_id, &ack),
            Packet::PubComp(ack) => self.handle_pubcomp(&client_id, &ack),
            Packet::Subscribe(subscribe) => self.handle_subscribe(id, &client_id, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.handle_unsubscribe(id, &client_id, unsubscribe),
            Packet::PingReq => {
                self.send(id, &Packet::PingResp);
                Ok(())
            }
            Packet::Disconnect(disconnect) => self.handle_disconnect(&client_id, &disconnect),
            // Re-authentication needs an Authentication Method, which this broker never accepts; the others only a
            // server sends.
            Packet::Auth(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => Err(ReasonCode::PROTOCOL_ERROR.into()),
        }
    }

    // ---- sending ----

    /// Sends to the client of an open connection; `false` if the packet is larger than the client takes.
    fn send(&mut self, id: ConnectionId, packet: &Packet) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else {
            return false;
        };
        self.touched.insert(id);
        connection.send(&mut self.log, packet)
    }

    fn send_as(&mut self, id: ConnectionId, name: &str, packet: &Packet) {
        if let Some(connection) = self.connections.get_mut(&id) {
            self.touched.insert(id);
            connection.send_as(&mut self.log, name, packet);
        }
    }
}
