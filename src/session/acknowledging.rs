//! What the application says about the messages that it was given.

use super::incoming::{Acknowledged, Verdict};
use super::*;
use crate::codec::{AckKind, PacketType, Publish};

impl<T: Track> Session<T> {
    /// Acknowledges a received message: PUBACK, or PUBCOMP.
    ///
    /// # Errors
    ///
    /// `InvalidState` if the ticket's connection has ended or the message is acknowledged already. A message of QoS 2
    /// whose connection has ended is noted as processed all the same: it does not come again.
    pub(crate) fn acknowledge(&mut self, _now: Instant, ticket: AckTicket) -> Result<()> {
        self.answer(ticket, None)
    }

    /// Acknowledges a received message with a reason code and properties (MQTT 5.0).
    ///
    /// # Errors
    ///
    /// As `acknowledge`; `InvalidArgument` for a code or a property that the packet must not carry.
    pub(crate) fn acknowledge_with(
        &mut self,
        _now: Instant,
        ticket: AckTicket,
        reason: ReasonCode,
        properties: Properties,
    ) -> Result<()> {
        match ticket.qos {
            QoS::ExactlyOnce if reason.meaning() != 0 => {
                // Its PUBREC has left long ago, and only that could have refused it (section 4.3.3).
                return Err(Error::argument(
                    "reason_code",
                    "must be success: a message of QoS 2 is accepted before it is delivered",
                ));
            }
            QoS::ExactlyOnce => properties.check_for(PacketType::PubComp)?,
            QoS::AtMostOnce | QoS::AtLeastOnce if !PUBACK_CODES.contains(&reason.meaning()) => {
                return Err(Error::argument(
                    "reason_code",
                    "must be one that a client may send in a PUBACK",
                ));
            }
            QoS::AtMostOnce | QoS::AtLeastOnce => properties.check_for(PacketType::PubAck)?,
        }
        self.answer(ticket, Some(Verdict { reason, properties }))
    }

    /// Acknowledges received messages, in one go. Those whose connection has ended are passed over: the server sends
    /// them again.
    pub(crate) fn acknowledge_all(&mut self, mut tickets: impl Iterator<Item = AckTicket>) {
        self.wire.trace = self.settings.trace;
        let may_write = self.may_write();
        loop {
            let mut other = None;
            self.wire.put_acks(tickets.by_ref().map_while(|ticket| {
                let ack = if may_write {
                    self.incoming.finish(ticket)
                } else {
                    None
                };
                if ack.is_none() {
                    other = Some(ticket);
                }
                ack
            }));
            let Some(ticket) = other else {
                break;
            };
            match self.incoming.acknowledge(ticket) {
                Acknowledged::PubComp(packet_id) | Acknowledged::TooLate(Some(packet_id)) => {
                    self.complete(packet_id, None);
                }
                Acknowledged::PubAck | Acknowledged::TooLate(None) | Acknowledged::Twice => {}
            }
        }
        self.put_due_pubacks();
    }

    /// The application failed on the message: it is not acknowledged on this connection, and does not hold up the
    /// acknowledgements of later ones. One of QoS 2 is kept: the server does not send it again.
    pub(crate) fn withhold(&mut self, ticket: AckTicket, publish: Publish) {
        self.incoming.withhold(ticket, publish);
        self.put_due_pubacks();
    }

    fn answer(&mut self, ticket: AckTicket, verdict: Option<Verdict>) -> Result<()> {
        self.wire.trace = self.settings.trace;
        match self.incoming.acknowledge(ticket) {
            Acknowledged::Twice => Err(Error::InvalidState("the message is acknowledged already")),
            Acknowledged::TooLate(due) => {
                due.into_iter()
                    .for_each(|packet_id| self.complete(packet_id, None));
                Err(Error::InvalidState("the connection of the message has ended"))
            }
            _ if !self.may_write() => Err(Error::InvalidState("the connection is being closed")),
            Acknowledged::PubComp(packet_id) => {
                self.complete(packet_id, verdict);
                Ok(())
            }
            Acknowledged::PubAck => {
                if let Some(verdict) = verdict {
                    self.incoming.explain(ticket, verdict);
                }
                self.put_due_pubacks();
                Ok(())
            }
        }
    }

    /// A message of QoS 2 is done with.
    fn complete(&mut self, packet_id: PacketId, verdict: Option<Verdict>) {
        // Before the CONNACK of an authentication only AUTH and DISCONNECT are sent [MQTT-3.1.2-30]: the server asks
        // again.
        let only_auth = self.connection.link == Link::Connecting && self.authentication.is_some();
        if self.may_write() && !only_auth {
            self.wire.put_verdict(AckKind::PubComp, packet_id, verdict);
            self.incoming.completed(packet_id);
        }
    }

    /// In the order of receipt [MQTT-4.6.0-2].
    fn put_due_pubacks(&mut self) {
        if self.may_write() {
            while let Some((packet_id, verdict)) = self.incoming.next_puback() {
                self.wire.put_verdict(AckKind::PubAck, packet_id, verdict);
            }
        }
    }
}

/// The codes of a PUBACK that a client may send: 0x10 (no matching subscribers) is the server's alone (MQTT 5.0, section
/// 3.4.2.1).
const PUBACK_CODES: &[u8] = &[0x00, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
