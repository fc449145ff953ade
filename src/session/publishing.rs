//! Outgoing messages: straight into the output, or through the queue; again after a lost connection.

use super::message::{Message, Payload};
use super::out_buffer::SHARED_PAYLOAD_MIN;
use super::outgoing::Again;
use super::queue::{Queued, Which};
use super::wire::PublishPacket;
use super::*;
use crate::codec::{
    AckKind, MAX_REMAINING_LENGTH, PacketId, ProtocolVersion, Publish, PublishHead, publish_packet_len,
};

/// So many Packet Identifiers are left to SUBSCRIBE and UNSUBSCRIBE: other packets are not held up by messages
/// [MQTT-4.9.0-3].
const IDS_FOR_REQUESTS: usize = 64;

impl<T: Track> Session<T> {
    /// Whether a message is of the kind that [`send_at_once`](Self::send_at_once) is for, and nothing stands in its way.
    #[inline]
    pub(super) fn takes_at_once(&self, message: &Outgoing<'_>) -> bool {
        message.qos == QoS::AtMostOnce
            && message.properties.is_empty()
            && message.payload.as_slice().len() < SHARED_PAYLOAD_MIN
            && self.connection.link == Link::Open
            && self.queue.messages() == 0
            && self.wire.output.len() < self.settings.output_limit
            && !self.settings.trace
            && !self.settings.report_qos0
            && !self.wire.gives_aliases()
            && !self.connection.limits.restrict_messages()
    }

    /// Puts a message of QoS 0 into the output, whose head is kept: what most of a stream of them needs, and nothing
    /// else.
    #[inline]
    pub(super) fn send_at_once(&mut self, message: &Outgoing<'_>) -> (u16, u64) {
        let mid = self.ids.next_mid();
        self.wire.put_payload(message.payload.as_slice());
        self.wire.counters.messages_sent[0] += 1;
        let end = self.wire.appended;
        self.unwritten.push_silent(end);
        (mid, end)
    }

    pub(super) fn accept(
        &mut self,
        message: Outgoing<'_>,
        track: impl FnOnce(u16) -> T,
    ) -> Result<Accepted<T>> {
        if !message.properties.is_empty() && !self.settings.topic_alias_unchecked {
            if let Some(alias) = message.properties.topic_alias() {
                return self.accept_with_alias(message, alias, track);
            }
        }
        self.accept_whole(message, track)
    }

    /// The application has set the message's topic alias. In the queue the message has its Topic Name all the same:
    /// another connection does not know the alias.
    #[cold]
    fn accept_with_alias(
        &mut self,
        message: Outgoing<'_>,
        alias: u16,
        track: impl FnOnce(u16) -> T,
    ) -> Result<Accepted<T>> {
        if !matches!(self.connection.link, Link::Settling | Link::Open) {
            // What an alias stands for is known only within a connection.
            return Err(Error::NotConnected);
        }
        let known = self
            .wire
            .aliases
            .get_or_insert_default()
            .check_by_hand(message.topic, alias)?;
        let topic = known.as_deref().unwrap_or(message.topic);
        let accepted = self.accept_whole(Outgoing { topic, ..message }, track)?;
        self.wire
            .aliases
            .get_or_insert_default()
            .set_by_hand(topic, alias);
        Ok(accepted)
    }

    #[inline(always)]
    fn accept_whole(
        &mut self,
        mut message: Outgoing<'_>,
        track: impl FnOnce(u16) -> T,
    ) -> Result<Accepted<T>> {
        check_size(&message)?;
        let known = matches!(self.connection.link, Link::Settling | Link::Open);
        if known && self.connection.limits.restrict_messages() {
            let (payload, properties) = (message.payload.as_slice(), message.properties);
            message.qos = self
                .allowed_qos(
                    message.qos,
                    message.retain,
                    message.topic,
                    properties,
                    payload.len(),
                )
                .map_err(Error::NotAllowed)?;
        }
        let which = Which::of(message.qos);
        if !self.queue.is_empty(which) && self.has_room(which) {
            // The output may have been taken away since the last pull.
            self.pull();
        }
        if !self.queue.is_empty(which) || !self.can_send(which) {
            return self.enqueue(message, track);
        }
        match which {
            Which::Unacknowledged => Ok(self.send_unacknowledged(&message)),
            Which::Acknowledged => match self.ids.reserve() {
                Some(packet_id) => Ok(self.send_acknowledged(packet_id, &message, track)),
                None => self.enqueue(message, track),
            },
        }
    }

    /// Sends what may be sent now: first what was sent before, then the queue, in the order of acceptance.
    #[inline]
    pub(super) fn pull(&mut self) {
        if self.in_flight.has_resends() || self.queue.messages() > 0 {
            self.pull_what_waits();
        }
    }

    fn pull_what_waits(&mut self) {
        if self.in_flight.has_resends() {
            self.pull_resends();
        }
        while let Some(which) = self.next_to_send() {
            let Some(queued) = self.queue.pop(which) else {
                return;
            };
            let Some(queued) = self.ready(queued) else {
                continue;
            };
            // A lowered QoS may have changed what it waits for.
            match Which::of(queued.message.qos) {
                Which::Unacknowledged => self.send_queued_unacknowledged(queued),
                Which::Acknowledged => self.send_queued_acknowledged(queued),
            }
        }
    }

    /// The CONNACK is here: what was under way on earlier connections goes on, is sent again, or is dropped.
    pub(super) fn resume(&mut self, session_present: bool) {
        let policy = self.settings.on_session_lost;
        let (again, dropped) = self.in_flight.decide(session_present, policy);
        if !session_present {
            self.connection.lost = Lost {
                sent_again: self.in_flight.sent_before(),
                dropped: dropped.len(),
            };
            // With a session the server still has the subscriptions.
            self.connection.resends_wait = self.waits_for_release();
        }
        for (packet_id, slot) in dropped {
            self.ids.release(packet_id);
            self.drop_message(slot.message, &slot.track, DropReason::SessionLost);
        }
        for again in again {
            match again {
                Again::Publish(packet_id) => {
                    if self.may_resend(packet_id, session_present) {
                        self.in_flight.queue_resend(packet_id);
                    }
                }
                Again::Release(packet_id) => {
                    self.pull_resends();
                    self.wire.put_ack(AckKind::PubRel, packet_id);
                }
            }
        }
        self.pull_resends();
    }

    /// DISCONNECT is about to follow: messages of QoS 0 that only waited for room in the output go before it.
    pub(super) fn flush_unacknowledged(&mut self) {
        while self.may_go(Which::Unacknowledged) {
            let Some(queued) = self.queue.pop(Which::Unacknowledged) else {
                return;
            };
            if let Some(queued) = self.ready(queued) {
                self.send_queued_unacknowledged(queued);
            }
        }
    }

    /// The connection is gone: messages of QoS 0 that are not kept for the next one end.
    pub(super) fn drop_unacknowledged(&mut self) {
        let (count, followed) = self.unwritten.closed(self.connection.written);
        self.wire.counters.dropped += count;
        for message in followed {
            if let Some(track) = message.track {
                track.dropped(DropReason::ConnectionLost);
            }
        }
        if self.settings.queue.keep_qos0 {
            return;
        }
        while let Some(queued) = self.queue.pop(Which::Unacknowledged) {
            self.drop_message(queued.message, &queued.track, DropReason::ConnectionLost);
        }
    }

    /// Messages of QoS 0 whose last byte went to the socket are finished.
    pub(super) fn finish_written(&mut self) {
        while let Some(message) = self.unwritten.next_written(self.connection.written) {
            if let Some(track) = message.track {
                track.acknowledged(ReasonCode::SUCCESS, None);
            }
            if message.report {
                self.wire.emit(Event::Published {
                    mid: message.mid,
                    reason: ReasonCode::SUCCESS,
                    properties: Properties::default(),
                });
            }
        }
    }

    /// The exchange of a message of QoS 1 or 2 has ended, if the identifier is that of one.
    #[inline(always)]
    pub(super) fn finish(&mut self, packet_id: PacketId, mut reason: ReasonCode, properties: Properties) {
        let (pool, mut mid) = (&mut self.pool, 0);
        let known = self.in_flight.finish(packet_id, |slot| {
            if reason == ReasonCode::PACKET_IDENTIFIER_NOT_FOUND && slot.is_recovered() {
                // The PUBCOMP before was lost with its connection: no error in a recovery (MQTT 5.0, section 3.7.2.1).
                reason = ReasonCode::SUCCESS;
            }
            mid = slot.mid;
            pool.put(&mut slot.message);
            slot.track.acknowledged(reason, properties.reason_string());
        });
        if !known {
            return;
        }
        self.ids.release(packet_id);
        self.wire.counters.acknowledged += 1;
        self.wire.counters.refused += u64::from(reason.is_failure());
        self.wire.emit(Event::Published {
            mid,
            reason,
            properties,
        });
    }

    /// Takes back every message that is not finished, in the order of acceptance.
    pub(super) fn take_back(&mut self, why: DropReason) -> Vec<Publish> {
        let mut taken = Vec::with_capacity(self.in_flight.len() + self.queue.messages());
        for (packet_id, slot) in self.in_flight.drain() {
            self.ids.release(packet_id);
            let dup = slot.was_sent();
            slot.track.dropped(why);
            taken.push(slot.message.into_publish(dup, Some(packet_id)));
        }
        while let Some(queued) = self.queue.pop_oldest() {
            self.release_id(queued.packet_id);
            queued.track.dropped(why);
            taken.push(queued.message.into_publish(false, queued.packet_id));
        }
        self.wire.counters.dropped += taken.len() as u64;
        taken
    }

    // ---- may it leave? ----

    /// Whether the next message of this kind may go into the output.
    fn can_send(&self, which: Which) -> bool {
        self.flows_from() != u64::MAX && self.has_room(which)
    }

    #[inline]
    fn has_room(&self, which: Which) -> bool {
        self.wire.output.len() < self.settings.output_limit
            && (which == Which::Unacknowledged || (!self.in_flight.goes_first() && self.has_window()))
    }

    /// Not more unfinished messages than our limit and the server's Receive Maximum [MQTT-3.3.4-7, MQTT-4.9.0-2].
    fn has_window(&self) -> bool {
        let ours = match self.settings.max_inflight {
            0 => usize::MAX,
            limit => limit.into(),
        };
        let servers = usize::from(self.connection.limits.receive_maximum);
        self.in_flight.occupied() < ours.min(servers).min(ALL_IDS - IDS_FOR_REQUESTS)
    }

    /// Messages with this serial number and later ones may leave; `u64::MAX`: none may.
    ///
    /// Before [`Session::release`] that is what was accepted on this connection, and only where nothing waits for the
    /// CONNACK: it may be written before that is received (MQTT 3.1.1, section 3.1.4).
    fn flows_from(&self) -> u64 {
        match self.connection.link {
            Link::Open => 0,
            Link::Connecting | Link::Settling if !self.waits_for_release() => self.connection.first_serial,
            _ => u64::MAX,
        }
    }

    fn may_go(&self, which: Which) -> bool {
        let serial = self.queue.front_serial(which);
        serial.is_some_and(|serial| serial >= self.flows_from())
    }

    #[inline(always)]
    fn next_to_send(&self) -> Option<Which> {
        let from = self.flows_from();
        let ready = |which| {
            let serial = self.queue.front_serial(which);
            serial.filter(|&serial| serial >= from && self.has_room(which))
        };
        match (ready(Which::Unacknowledged), ready(Which::Acknowledged)) {
            (None, None) => None,
            (Some(first), Some(second)) if first < second => Some(Which::Unacknowledged),
            (Some(_), None) => Some(Which::Unacknowledged),
            (_, Some(_)) => Some(Which::Acknowledged),
        }
    }

    // ---- into the output ----

    fn send_unacknowledged(&mut self, message: &Outgoing<'_>) -> Accepted<T> {
        let mid = self.ids.next_mid();
        let payload = match &message.payload {
            PayloadRef::Borrowed(bytes) if bytes.len() >= SHARED_PAYLOAD_MIN => Payload::Apart(bytes),
            PayloadRef::Borrowed(bytes) => Payload::Copied(bytes),
            PayloadRef::Shared(bytes) => Payload::Shared(bytes),
        };
        self.wire.put_publish(&PublishPacket {
            // [MQTT-3.3.1-2]
            dup: false,
            qos: QoS::AtMostOnce,
            retain: message.retain,
            packet_id: None,
            mid,
            topic: message.topic.as_bytes(),
            properties: message.properties,
            payload,
        });
        self.wire.counters.messages_sent[0] += 1;
        let end = self.wire.appended;
        if self.settings.report_qos0 {
            self.unwritten.push(end, mid, true, None);
        } else {
            self.unwritten.push_silent(end);
        }
        match payload {
            Payload::Apart(_) => Accepted::HeadInOutput { mid, end },
            _ => Accepted::InOutput { mid, end },
        }
    }

    fn send_acknowledged(
        &mut self,
        packet_id: PacketId,
        message: &Outgoing<'_>,
        track: impl FnOnce(u16) -> T,
    ) -> Accepted<T> {
        let mid = packet_id.get();
        let track = track(mid);
        let kept = Message::new(message, &mut self.pool, self.now);
        self.put_in_flight(packet_id, mid, kept, track.clone());
        Accepted::Tracked { mid, track }
    }

    fn send_queued_unacknowledged(&mut self, queued: Queued<T>) {
        let Queued {
            mid,
            mut message,
            track,
            ..
        } = queued;
        self.wire.put_publish(&packet(&message, None, mid, false));
        self.wire.counters.messages_sent[0] += 1;
        self.pool.put(&mut message);
        track.sent();
        let report = self.settings.report_qos0;
        self.unwritten.push(self.wire.appended, mid, report, Some(track));
    }

    #[inline(always)]
    fn send_queued_acknowledged(&mut self, queued: Queued<T>) {
        let Queued {
            mid,
            message,
            track,
            packet_id,
        } = queued;
        match packet_id.or_else(|| self.ids.reserve_near(mid)) {
            Some(packet_id) => self.put_in_flight(packet_id, mid, message, track),
            // `has_window` leaves identifiers free.
            None => self.drop_message(message, &track, DropReason::QueueFull),
        }
    }

    #[inline(always)]
    fn put_in_flight(&mut self, packet_id: PacketId, mid: u16, message: Message, track: T) {
        let position = self.wire.appended;
        if !self.wire.put_kept(&message, packet_id) {
            self.wire
                .put_publish(&packet(&message, Some(packet_id), mid, false));
        }
        self.wire.counters.messages_sent[message.qos as usize] += 1;
        track.sent();
        self.in_flight.insert(packet_id, mid, message, track, position);
    }

    fn pull_resends(&mut self) {
        let settled = match self.connection.link {
            Link::Open => true,
            Link::Settling => !self.connection.resends_wait,
            Link::Closed | Link::Connecting | Link::Disconnecting => false,
        };
        let due = settled && self.in_flight.has_resends();
        while due && self.wire.output.len() < self.settings.output_limit && self.has_window() {
            let position = self.wire.appended;
            let Some((packet_id, slot)) = self.in_flight.next_resend(position) else {
                return;
            };
            if let Some(expiry) = slot.message.expiry() {
                slot.message.set_expiry_interval(expiry.left_again(self.now));
            }
            // DUP on redelivery, and only then [MQTT-3.3.1-1].
            let dup = slot.sent_before;
            self.wire
                .put_publish(&packet(&slot.message, Some(packet_id), slot.mid, dup));
            self.wire.counters.resent += u64::from(dup);
        }
    }

    // ---- into the queue ----

    fn enqueue(&mut self, message: Outgoing<'_>, track: impl FnOnce(u16) -> T) -> Result<Accepted<T>> {
        let bounds = self.settings.queue;
        let offline = matches!(self.connection.link, Link::Closed | Link::Disconnecting);
        if offline && message.qos == QoS::AtMostOnce && !bounds.keep_qos0 {
            return Err(Error::NotConnected);
        }
        if self.queue.next_expiry().is_some() {
            self.drop_expired(self.now);
        }
        let size = message.size();
        let latest = bounds.when_full == WhenFull::KeepLatest;
        if latest {
            for superseded in self.queue.keep_latest() {
                self.drop_queued(superseded, DropReason::Superseded);
            }
        }
        let has_room = if latest {
            self.queue.has_room_for_latest(message.topic, size, &bounds)
        } else {
            self.queue.has_room(size, &bounds)
        };
        match bounds.when_full {
            _ if has_room => {}
            // The oldest ones make room, if that is of any use.
            WhenFull::DropOldest if size <= bounds.max_bytes => {
                while !self.queue.has_room(size, &bounds) {
                    let Some(oldest) = self.queue.pop_oldest() else {
                        break;
                    };
                    self.drop_queued(oldest, DropReason::QueueFull);
                }
            }
            WhenFull::DropNewest => {
                let mid = self.ids.next_mid();
                let track = track(mid);
                track.dropped(DropReason::QueueFull);
                self.wire.counters.dropped += 1;
                return Ok(Accepted::Tracked { mid, track });
            }
            // The client waits and tries again.
            WhenFull::Block(_) => return Ok(Accepted::NoRoom),
            WhenFull::Refuse | WhenFull::KeepLatest | WhenFull::DropOldest => {
                let payload = message.payload.to_bytes();
                return Err(Error::QueueFull { payload });
            }
        }
        let packet_id = self.reserve_for_queue(message.qos);
        let mid = packet_id.map_or_else(|| self.ids.next_mid(), PacketId::get);
        let track = track(mid);
        let queued = Queued {
            mid,
            packet_id,
            message: Message::new(&message, &mut self.pool, self.now),
            track: track.clone(),
        };
        if latest {
            if let Some(superseded) = self.queue.push_latest(queued) {
                self.drop_queued(superseded, DropReason::Superseded);
            }
        } else {
            self.queue.push(queued);
        }
        Ok(Accepted::Tracked { mid, track })
    }

    /// A queued message gets its Packet Identifier at once, as long as there are enough of them.
    fn reserve_for_queue(&mut self, qos: QoS) -> Option<PacketId> {
        if qos == QoS::AtMostOnce || self.ids.free() <= IDS_FOR_REQUESTS {
            return None;
        }
        self.ids.reserve()
    }

    pub(super) fn drop_queued(&mut self, queued: Queued<T>, why: DropReason) {
        self.release_id(queued.packet_id);
        self.drop_message(queued.message, &queued.track, why);
    }

    fn drop_message(&mut self, mut message: Message, track: &T, why: DropReason) {
        self.pool.put(&mut message);
        self.wire.counters.dropped += 1;
        track.dropped(why);
    }

    pub(super) fn release_id(&mut self, packet_id: Option<PacketId>) {
        if let Some(packet_id) = packet_id {
            self.ids.release(packet_id);
        }
    }
}

fn packet(message: &Message, packet_id: Option<PacketId>, mid: u16, dup: bool) -> PublishPacket<'_> {
    PublishPacket {
        dup,
        qos: message.qos,
        retain: message.retain,
        packet_id,
        mid,
        topic: message.topic_bytes(),
        properties: message.properties(),
        payload: message.payload(),
    }
}

/// A packet has at most 268,435,455 bytes behind its length (MQTT 3.1.1 and 5.0, section 2).
fn check_size(message: &Outgoing<'_>) -> Result<()> {
    let payload_len = message.payload.as_slice().len();
    // No topic is longer than 65,535 bytes: most messages need no closer look.
    if message.properties.is_empty() && payload_len <= MAX_REMAINING_LENGTH / 2 {
        return Ok(());
    }
    let head = PublishHead {
        dup: false,
        qos: message.qos,
        retain: false,
        packet_id: PacketId::new(1).filter(|_| message.qos != QoS::AtMostOnce),
        topic: message.topic.as_bytes(),
        properties: message.properties,
    };
    // Five bytes: the Fixed Header at its longest.
    if publish_packet_len(ProtocolVersion::V5, &head, payload_len) > MAX_REMAINING_LENGTH + 5 {
        return Err(Error::argument(
            "payload",
            "makes the packet longer than 268,435,455 bytes",
        ));
    }
    Ok(())
}
