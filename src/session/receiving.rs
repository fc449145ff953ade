//! Packets from the server.

use super::incoming::{Exceeded, Incoming, Released, SentBefore};
use super::outgoing::Acked;
use super::packet_store::StoredPackets;
use super::subscriptions::Answered;
use super::*;
use crate::codec::{Ack, AckKind, ConnAck, Disconnect, ProtocolVersion, Publish, SubAck, UnsubAck};

/// Messages of QoS 2 that go to the application together.
struct ReleasedTogether {
    packets: StoredPackets,
    count: usize,
    /// Of the first of them.
    ticket: AckTicket,
}

impl<T: Track> Session<T> {
    pub(super) fn receive(&mut self, now: Instant, packet: Packet) -> Result<(), DecodeError> {
        if self.connection.link == Link::Closed {
            return Ok(());
        }
        self.wire.counters.packets_received += 1;
        self.trace_received(&packet);
        self.check_problem_information(&packet)?;
        if self.connection.link == Link::Connecting {
            return self.receive_first(now, packet);
        }
        match packet {
            Packet::Publish(publish) => self.receive_publish(publish)?,
            Packet::PubAck(ack) => self.receive_ack(AckKind::PubAck, ack)?,
            Packet::PubRec(ack) => self.receive_ack(AckKind::PubRec, ack)?,
            Packet::PubComp(ack) => self.receive_ack(AckKind::PubComp, ack)?,
            Packet::PubRel(ack) => self.receive_ack(AckKind::PubRel, ack)?,
            Packet::SubAck(suback) => self.receive_suback(suback)?,
            Packet::UnsubAck(unsuback) => self.receive_unsuback(unsuback)?,
            Packet::PingReq => self.answer_ping(),
            Packet::PingResp => self.keep_alive.ping_answered(),
            Packet::Disconnect(disconnect) if self.is_v5() => self.receive_disconnect(disconnect)?,
            // One CONNACK per connection.
            Packet::ConnAck(_) => return Err(self.broken("second CONNACK", "", "MQTT-3.2.0-2")),
            // After our DISCONNECT, or the server's, nothing is answered.
            Packet::Auth(_) if self.connection.link == Link::Disconnecting => {}
            Packet::Auth(auth) => self.receive_auth(auth)?,
            Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::Disconnect(_) => {
                return Err(self.broken("a packet that servers do not send", "", ""));
            }
        }
        Ok(())
    }

    // ---- the connection ----

    /// The first packet is the CONNACK; AUTH may come before it.
    ///
    /// Not part of the caller's stack frame: what comes once is not to make it deeper.
    #[inline(never)]
    fn receive_first(&mut self, now: Instant, packet: Packet) -> Result<(), DecodeError> {
        let connack = match packet {
            Packet::ConnAck(connack) => connack,
            Packet::Auth(auth) if self.is_v5() => return self.receive_auth(auth),
            _ => {
                return Err(self.broken(
                    "the first packet is not a CONNACK",
                    "MQTT-3.2.0-1",
                    "MQTT-3.2.0-1",
                ));
            }
        };
        if connack.reason.is_failure() {
            // The server closes the connection [MQTT-3.2.2-5] (5.0: [MQTT-3.2.2-7]): nothing is sent on it any more.
            self.connection.link = Link::Disconnecting;
            self.keep_alive.stop();
            self.authentication = None;
            self.emit_connack(connack.session_present, connack.reason, connack.properties);
            return Ok(());
        }
        match self.verify(connack)? {
            Some(connack) => self.accepted(now, connack),
            None => Ok(()),
        }
    }

    /// The server has accepted the connection, and is the one that we wanted.
    pub(super) fn accepted(&mut self, now: Instant, connack: ConnAck) -> Result<(), DecodeError> {
        let ConnAck {
            session_present,
            reason,
            properties,
        } = connack;
        // Accepted: whatever is wrong with it, the server may be told.
        self.connection.link = Link::Settling;
        if self.is_v5() {
            self.check_connack(&properties)?;
        }
        let clean_start = self.connection.clean_start;
        // MQTT 3.1 has no Session Present flag: there a session that was to be kept is taken to be there.
        let knows_session = self.connection.version != ProtocolVersion::V31;
        // A session that we have just disowned is one that we do not have. With clean start 0 the server's word is
        // taken also by a session that has never been connected: the one before may have ended with its process.
        if session_present && clean_start && knows_session {
            return Err(self.broken(
                "a session although none was asked for",
                "MQTT-3.2.2-1",
                "MQTT-3.2.2-4",
            ));
        }
        let has_session = if knows_session {
            session_present
        } else {
            !clean_start
        };
        if self.is_v5() {
            self.connection.limits = Limits::from_connack(&properties);
            self.wire.limit_packets(&self.connection.limits);
            self.connection.connack = properties.clone();
        }
        if let Some(client_id) = properties.assigned_client_identifier() {
            // The name of the session from now on (MQTT 5.0, section 3.2.2.3.7).
            self.settings.client_id = client_id.to_owned();
        }
        // The server's Keep Alive replaces ours [MQTT-3.1.2-21].
        let keep_alive = self
            .connection
            .limits
            .keep_alive
            .unwrap_or(self.settings.keep_alive);
        self.keep_alive
            .accepted(now, keep_alive, self.settings.ping_timeout);
        self.wire.counters.accepted += 1;
        let topic_aliases = properties.topic_alias_maximum().unwrap_or(0);
        let unchecked = self.settings.topic_alias_unchecked;
        if topic_aliases > 0 || unchecked {
            let aliases = self.wire.aliases.get_or_insert_default();
            aliases.accepted(topic_aliases, self.settings.topic_alias_limit, unchecked);
        }
        self.emit_connack(session_present, reason, properties);

        if !has_session {
            // Session Present 0: what we kept of the server's messages is void [MQTT-3.2.2-5].
            self.incoming.session_lost();
        }
        let owed = match self.settings.resubscribe {
            Resubscribe::Always => true,
            Resubscribe::IfSessionLost => !session_present,
            Resubscribe::Never => false,
        };
        if let Some(subscriptions) = self.subscriptions.as_mut().filter(|_| owed) {
            subscriptions.owe_granted();
        }
        self.resume(has_session);
        Ok(())
    }

    /// What a CONNACK that accepts us must not say.
    fn check_connack(&self, properties: &Properties) -> Result<(), DecodeError> {
        if properties.response_information().is_some() && !self.connection.announced.response_information {
            return Err(DecodeError::protocol(
                "Response Information that was not asked for",
                "MQTT-3.1.2-28",
            ));
        }
        let size = properties.maximum_packet_size().unwrap_or(u32::MAX);
        if size < Limits::SMALLEST_PACKET_SIZE {
            return Err(DecodeError {
                reason: ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR,
                detail: "the server's Maximum Packet Size leaves no room for acknowledgements",
                statement: "",
            });
        }
        Ok(())
    }

    fn emit_connack(&mut self, session_present: bool, reason: ReasonCode, properties: Properties) {
        self.wire.emit(Event::ConnAck {
            session_present,
            reason,
            properties,
        });
    }

    /// The server ends the connection: nothing is sent on it any more [MQTT-4.13.2-1].
    fn receive_disconnect(&mut self, disconnect: Disconnect) -> Result<(), DecodeError> {
        if disconnect.properties.session_expiry_interval().is_some() {
            return Err(DecodeError::protocol(
                "Session Expiry Interval in the server's DISCONNECT",
                "MQTT-3.14.2-2",
            ));
        }
        self.connection.link = Link::Disconnecting;
        self.keep_alive.stop();
        self.authentication = None;
        self.wire.emit(Event::Disconnected {
            reason: disconnect.reason,
            properties: disconnect.properties,
        });
        Ok(())
    }

    /// Reason strings and user properties come only as asked for, but with CONNACK, PUBLISH and DISCONNECT.
    fn check_problem_information(&self, packet: &Packet) -> Result<(), DecodeError> {
        if self.connection.announced.problem_information {
            return Ok(());
        }
        let properties = match packet {
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
                &ack.properties
            }
            Packet::SubAck(suback) => &suback.properties,
            Packet::UnsubAck(unsuback) => &unsuback.properties,
            Packet::Auth(auth) => &auth.properties,
            _ => return Ok(()),
        };
        if properties.reason_string().is_none() && properties.user_properties().next().is_none() {
            return Ok(());
        }
        Err(DecodeError::protocol(
            "a Reason String or a User Property that was not asked for",
            "MQTT-3.1.2-29",
        ))
    }

    fn answer_ping(&mut self) {
        if self.may_write() {
            let encoded = self.wire.put_packet(&Packet::PingResp);
            debug_assert!(encoded.is_ok(), "PINGRESP is two fixed bytes");
            self.wire.trace(|_| Trace::SentPingResp);
        }
    }

    // ---- messages to us ----

    #[inline]
    pub(super) fn receive_publish(&mut self, mut publish: Publish) -> Result<(), DecodeError> {
        if !publish.properties.is_empty() {
            // Also of a message that came before: it sets the alias all the same.
            self.aliases.resolve(&mut publish)?;
        }
        let ticket = match (publish.qos, publish.packet_id) {
            (QoS::AtLeastOnce, Some(packet_id)) => Some(self.receive_at_least_once(packet_id)?),
            (QoS::ExactlyOnce, Some(packet_id)) => {
                return self.receive_exactly_once(packet_id, |incoming, limit| {
                    incoming.keep_publish(packet_id, publish, limit)
                });
            }
            _ => None,
        };
        self.deliver(publish, ticket);
        Ok(())
    }

    /// A message of QoS 1, which goes to the application.
    #[inline]
    pub(super) fn receive_at_least_once(&mut self, packet_id: PacketId) -> Result<AckTicket, DecodeError> {
        self.count_unanswered()?;
        let ticket = self.incoming.receive_at_least_once(packet_id);
        ticket.ok_or_else(too_many)
    }

    /// A message of QoS 2, which `keep` keeps.
    #[inline]
    pub(super) fn receive_exactly_once(
        &mut self,
        packet_id: PacketId,
        keep: impl FnOnce(&mut Incoming, IncomingLimit) -> Result<(), Exceeded>,
    ) -> Result<(), DecodeError> {
        let sent_before = self.incoming.sent_before(packet_id);
        if sent_before != Some(SentBefore::OnThisConnection) {
            self.count_unanswered()?;
        }
        // Until PUBREL one with the same identifier is the same message [MQTT-4.3.3-2] (5.0: [MQTT-4.3.3-10]).
        if sent_before.is_none() {
            keep(&mut self.incoming, self.settings.incoming_limit).map_err(too_much)?;
        }
        // For each PUBLISH, also a repeated one, in the order of receipt [MQTT-4.3.3-2, MQTT-4.6.0-3].
        self.put_ack(AckKind::PubRec, packet_id);
        Ok(())
    }

    /// The server has not more unfinished messages under way than our Receive Maximum allows [MQTT-3.3.4-9].
    ///
    /// Counted as the server has to: from its PUBLISH to our PUBACK, our PUBCOMP or a PUBREC that refuses. One of QoS 2
    /// that is repeated is still the same.
    fn count_unanswered(&mut self) -> Result<(), DecodeError> {
        if !self.is_v5() {
            return Ok(());
        }
        if self.wire.unanswered >= self.connection.announced.receive_maximum.into() {
            return Err(DecodeError {
                reason: ReasonCode::RECEIVE_MAXIMUM_EXCEEDED,
                detail: "more unacknowledged messages than our Receive Maximum",
                statement: "MQTT-3.3.4-9",
            });
        }
        self.wire.unanswered += 1;
        Ok(())
    }

    /// PUBREL for one message after the other. Those that were kept in packets side by side go to the application
    /// together.
    #[inline]
    pub(super) fn receive_pubrels(&mut self, packet_ids: impl Iterator<Item = PacketId>) {
        let mut together: Option<ReleasedTogether> = None;
        for packet_id in packet_ids {
            match self.incoming.handle_pubrel(packet_id) {
                Released::Packet(packet, ticket) => match &mut together {
                    Some(released) if released.packets.adjoins(&packet) => {
                        released.packets.extend(&packet);
                        released.count += 1;
                    }
                    _ => self.deliver_packets(together.replace(ReleasedTogether {
                        packets: packet,
                        count: 1,
                        ticket,
                    })),
                },
                Released::Publish(publish, ticket) => {
                    self.deliver_packets(together.take());
                    self.deliver(*publish, Some(ticket));
                }
                // Also where the identifier is not known: the server has not seen our PUBCOMP [MQTT-4.3.3-2]. And also
                // where the server says that it does not know the message (0x92): PUBCOMP ends the exchange, it has no
                // answer.
                Released::Complete => self.put_ack(AckKind::PubComp, packet_id),
                Released::Pending => {}
            }
        }
        self.deliver_packets(together);
    }

    fn deliver_packets(&mut self, released: Option<ReleasedTogether>) {
        if let Some(ReleasedTogether {
            packets,
            count,
            ticket,
        }) = released
        {
            self.wire.counters.messages_received[QoS::ExactlyOnce as usize] += count as u64;
            let packets = self.incoming.take_packets(&packets, count);
            self.wire.emit(Event::Messages(ReceivedRun::new(packets, ticket)));
        }
    }

    #[inline]
    fn deliver(&mut self, publish: Publish, ticket: Option<AckTicket>) {
        self.wire.counters.messages_received[publish.qos as usize] += 1;
        self.wire.emit(Event::Message(Received { publish, ticket }));
    }

    // ---- acknowledgements ----

    fn receive_ack(&mut self, kind: AckKind, ack: Ack) -> Result<(), DecodeError> {
        self.apply_ack(kind, ack.packet_id, ack.reason, ack.properties)?;
        // The message that is finished has made room for others.
        self.pull();
        Ok(())
    }

    #[inline]
    pub(super) fn apply_ack(
        &mut self,
        kind: AckKind,
        packet_id: PacketId,
        reason: ReasonCode,
        properties: Properties,
    ) -> Result<(), DecodeError> {
        let acked = match kind {
            // One for a message of QoS 2 ends that as well: a known server acknowledges so what it does not want.
            AckKind::PubAck => Acked::Finished,
            AckKind::PubRec => self.in_flight.handle_pubrec(packet_id, reason.is_failure()),
            AckKind::PubComp => self.in_flight.handle_pubcomp(packet_id),
            AckKind::PubRel => {
                self.receive_pubrels(std::iter::once(packet_id));
                return Ok(());
            }
        };
        match acked {
            Acked::Finished => self.finish(packet_id, reason, properties),
            // At once, so in the order of the PUBRECs [MQTT-4.6.0-4].
            Acked::Release => self.put_ack(AckKind::PubRel, packet_id),
            // The server waits for an end of that exchange; other answers need none.
            Acked::Unknown if kind == AckKind::PubRec && !reason.is_failure() => {
                self.put_ack(AckKind::PubRel, packet_id);
            }
            Acked::Unknown => {}
            Acked::Confused if kind == AckKind::PubRec => {
                return Err(self.broken("PUBREC for a message of QoS 1", "MQTT-4.3.2-1", "MQTT-4.3.2-3"));
            }
            Acked::Confused => {
                return Err(self.broken("PUBCOMP without PUBREC", "MQTT-4.3.3-1", "MQTT-4.3.3-3"));
            }
        }
        Ok(())
    }

    // ---- answers to requests ----

    fn receive_suback(&mut self, suback: SubAck) -> Result<(), DecodeError> {
        let SubAck {
            packet_id,
            properties,
            reasons,
        } = suback;
        let answered = self
            .subscriptions
            .as_mut()
            .map_or(Answered::Unknown, |subscriptions| {
                subscriptions.handle_suback(packet_id, &reasons)
            });
        let Some(mid) = self.answered(answered, &reasons, "MQTT-3.8.4-6")? else {
            return Ok(());
        };
        self.wire.emit(Event::Subscribed {
            mid,
            reasons,
            properties,
        });
        Ok(())
    }

    fn receive_unsuback(&mut self, unsuback: UnsubAck) -> Result<(), DecodeError> {
        let UnsubAck {
            packet_id,
            properties,
            reasons,
        } = unsuback;
        let answered = self
            .subscriptions
            .as_mut()
            .map_or(Answered::Unknown, |subscriptions| {
                subscriptions.handle_unsuback(packet_id, &reasons)
            });
        let Some(mid) = self.answered(answered, &reasons, "MQTT-3.11.3-1")? else {
            return Ok(());
        };
        self.wire.emit(Event::Unsubscribed {
            mid,
            reasons,
            properties,
        });
        Ok(())
    }

    /// Ends a request; returns its message id if there was one. `one_each` is the statement of MQTT 5.0 that asks for one
    /// code for each filter.
    fn answered(
        &mut self,
        answered: Answered<T>,
        reasons: &[ReasonCode],
        one_each: &'static str,
    ) -> Result<Option<u16>, DecodeError> {
        match answered {
            Answered::Finished(request) => {
                self.ids.release(request.packet_id);
                if let Some(track) = request.track {
                    track.granted(reasons);
                }
                self.pull();
                Ok(Some(request.packet_id.get()))
            }
            Answered::Unknown => Ok(None),
            Answered::Confused => Err(self.broken("not the answer to what was asked", "", "")),
            Answered::WrongCount => {
                Err(self.broken("not one code for each filter", "MQTT-3.8.4-5", one_each))
            }
        }
    }

    // ---- small things ----

    /// Acknowledges unless nothing may be sent any more: then the next connection sees to it.
    fn put_ack(&mut self, kind: AckKind, packet_id: PacketId) {
        if self.may_write() {
            self.wire.put_ack(kind, packet_id);
        }
    }

    fn is_v5(&self) -> bool {
        self.connection.version == ProtocolVersion::V5
    }

    /// A breach of the protocol, with the statement of the version in use.
    fn broken(&self, detail: &'static str, v3: &'static str, v5: &'static str) -> DecodeError {
        DecodeError::protocol(detail, if self.is_v5() { v5 } else { v3 })
    }

    /// Not part of the caller's stack frame: most connections are not logged.
    #[inline(never)]
    fn trace_received(&mut self, packet: &Packet) {
        let v5 = self.is_v5();
        self.wire.trace(|_| match packet {
            Packet::ConnAck(connack) => Trace::ReceivedConnAck {
                flags: connack.session_present.into(),
                reason: connack.reason,
                properties: connack.properties.clone(),
            },
            Packet::Publish(publish) => Trace::ReceivedPublish {
                dup: publish.dup,
                qos: publish.qos,
                retain: publish.retain,
                mid: publish.packet_id.map_or(0, PacketId::get),
                topic: publish.topic.clone(),
                properties: v5.then(|| publish.properties.clone()),
                payload_len: publish.payload.len(),
            },
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
                Trace::ReceivedAck {
                    name: packet.name(),
                    packet_id: ack.packet_id.get(),
                }
            }
            Packet::SubAck(_) => Trace::ReceivedSubAck,
            Packet::UnsubAck(unsuback) => Trace::ReceivedUnsubAck {
                packet_id: unsuback.packet_id.get(),
            },
            Packet::PingReq => Trace::ReceivedPingReq,
            Packet::PingResp => Trace::ReceivedPingResp,
            Packet::Disconnect(disconnect) if v5 => Trace::ReceivedDisconnect {
                reason: disconnect.reason,
                properties: disconnect.properties.clone(),
            },
            Packet::Auth(auth) if v5 => Trace::ReceivedAuth { reason: auth.reason },
            Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::Disconnect(_)
            | Packet::Auth(_) => Trace::Unrecognised {
                command: (packet.packet_type() as u8) << 4,
            },
        });
    }
}

/// More of QoS 2 than is to be kept. To the server that is no loss: it has no PUBREC for the message.
fn too_much(exceeded: Exceeded) -> DecodeError {
    let (reason, detail) = match exceeded {
        Exceeded::Messages => (
            ReasonCode::RECEIVE_MAXIMUM_EXCEEDED,
            "more messages of QoS 2 wait for their PUBREL than `incoming_limit` allows",
        ),
        Exceeded::Bytes => (
            ReasonCode::QUOTA_EXCEEDED,
            "messages of QoS 2 that wait for their PUBREL are larger than `incoming_limit` allows",
        ),
    };
    DecodeError {
        reason,
        detail,
        statement: "",
    }
}

/// More messages without an answer than the protocol knows identifiers.
fn too_many() -> DecodeError {
    DecodeError {
        reason: ReasonCode::RECEIVE_MAXIMUM_EXCEEDED,
        detail: "more unacknowledged messages than there are packet identifiers",
        statement: "",
    }
}
