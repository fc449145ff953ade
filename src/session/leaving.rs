//! Whether a message that was accepted may still leave: its time may be over, and the server may not allow it.

use super::message::Message;
use super::queue::Queued;
use super::*;
use crate::codec::PacketId;
use crate::error::ServerLimit;

impl<T: Track> Session<T> {
    /// The QoS with which the server takes such a message, if it does.
    pub(super) fn allowed_qos(
        &self,
        qos: QoS,
        retain: bool,
        topic: &str,
        properties: &Properties,
        payload_len: usize,
    ) -> Result<QoS, ServerLimit> {
        let limits = &self.connection.limits;
        let qos = if self.settings.lower_qos {
            qos.min(limits.maximum_qos)
        } else {
            qos
        };
        limits.check_message(qos, retain, topic, properties, payload_len)?;
        Ok(qos)
    }

    /// Makes a queued message ready to leave: with what is left of its time, and with a QoS that the server takes. One
    /// that has expired, or that the server does not allow, ends here.
    #[inline(always)]
    pub(super) fn ready(&mut self, queued: Queued<T>) -> Option<Queued<T>> {
        if queued.message.expiry().is_none() && !self.connection.limits.restrict_messages() {
            return Some(queued);
        }
        self.make_ready(queued)
    }

    fn make_ready(&mut self, mut queued: Queued<T>) -> Option<Queued<T>> {
        if let Some(expiry) = queued.message.expiry() {
            match expiry.left(self.now) {
                Some(seconds) => queued.message.set_expiry_interval(seconds),
                None => {
                    self.drop_unsent(queued, DropReason::Expired);
                    return None;
                }
            }
        }
        if !self.connection.limits.restrict_messages() {
            return Some(queued);
        }
        match self.allowed(&queued.message) {
            Ok(qos) => {
                queued.message.qos = qos;
                if qos == QoS::AtMostOnce {
                    self.release_id(queued.packet_id.take());
                }
                Some(queued)
            }
            Err(limit) => {
                self.drop_unsent(queued, DropReason::NotAllowed(limit));
                None
            }
        }
    }

    fn allowed(&self, message: &Message) -> Result<QoS, ServerLimit> {
        let payload = message.payload();
        self.allowed_qos(
            message.qos,
            message.retain,
            message.topic(),
            message.properties(),
            payload.as_slice().len(),
        )
    }

    /// Whether a message of an earlier connection may be sent again on this one; if not, it ends or goes another way.
    ///
    /// The server that has it under its identifier gets it again as it was, or not at all; to one that knows nothing of
    /// it, it is new, and its QoS may be lowered.
    pub(super) fn may_resend(&mut self, packet_id: PacketId, session_present: bool) -> bool {
        if !self.connection.limits.restrict_messages() {
            return true;
        }
        let Some(slot) = self.in_flight.get_mut(packet_id) else {
            return false;
        };
        let known = session_present && slot.sent_before;
        let before = slot.message.qos;
        let message = &slot.message;
        let limits = self.connection.limits;
        let qos = if self.settings.lower_qos && !known {
            before.min(limits.maximum_qos)
        } else {
            before
        };
        let payload = message.payload();
        let allowed = limits.check_message(
            qos,
            message.retain,
            message.topic(),
            message.properties(),
            payload.as_slice().len(),
        );
        if allowed.is_ok() && qos != QoS::AtMostOnce {
            slot.message.qos = qos;
            return true;
        }
        let Some(slot) = self.in_flight.remove(packet_id) else {
            return false;
        };
        let mut queued = Queued {
            mid: slot.mid,
            packet_id: Some(packet_id),
            message: slot.message,
            track: slot.track,
        };
        match allowed {
            Ok(()) => {
                self.release_id(queued.packet_id.take());
                queued.message.qos = qos;
                self.queue.push(queued);
            }
            Err(limit) => self.drop_unsent(queued, DropReason::NotAllowed(limit)),
        }
        false
    }

    /// Ends the queued messages whose time is over; `true` if there were any.
    pub(super) fn drop_expired(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(expired) = self.queue.pop_expired(now) {
            self.drop_unsent(expired, DropReason::Expired);
            any = true;
        }
        any
    }

    /// Ends a message, and tells that.
    fn drop_unsent(&mut self, queued: Queued<T>, why: DropReason) {
        self.drop_queued(queued, why);
        self.wire.emit_dropped(why);
    }
}
