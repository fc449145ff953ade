//! Packets that come in runs: on a busy connection almost all are messages without properties and acknowledgements in their
//! shortest form. They go past what other packets have to be looked at for.

use super::incoming::Incoming;
use super::*;
use crate::codec::{PlainRun, ShortAck};

impl<T: Track> Session<T> {
    /// A run of messages; at most `limit` of them are taken off. Returns how many there were: none where each packet has
    /// to be looked at.
    ///
    /// # Errors
    ///
    /// As [`handle_packet`](Self::handle_packet). The messages before the one that is refused go to the application.
    #[inline]
    pub(crate) fn handle_messages(
        &mut self,
        now: Instant,
        mut run: PlainRun<'_>,
        limit: usize,
    ) -> Result<usize, DecodeError> {
        if !self.takes_runs(now) {
            return Ok(0);
        }
        if run.is_exactly_once() {
            return self.keep_messages(run, limit);
        }
        let ticket = self.incoming.next_ticket();
        let mut count = 0;
        let mut refused = Ok(());
        for packet in run.by_ref().take(limit) {
            self.wire.counters.packets_received += 1;
            if let Some(packet_id) = packet.packet_id {
                refused = self.receive_at_least_once(packet_id).map(drop);
                if refused.is_err() {
                    break;
                }
            }
            self.wire.counters.messages_received[packet.qos as usize] += 1;
            count += 1;
        }
        if count > 0 {
            let messages = ReceivedRun::new(run.taken(count), ticket);
            self.wire.emit(Event::Messages(messages));
        }
        refused.map(|()| count)
    }

    /// A run of messages of QoS 2, which wait for their PUBREL.
    fn keep_messages(&mut self, run: PlainRun<'_>, limit: usize) -> Result<usize, DecodeError> {
        let version = run.version();
        let mut count = 0;
        for packet in run.take(limit) {
            count += 1;
            self.wire.counters.packets_received += 1;
            if let Some(packet_id) = packet.packet_id {
                let kept =
                    |incoming: &mut Incoming, limit| incoming.keep_packet(packet_id, version, &packet, limit);
                self.receive_exactly_once(packet_id, kept)?;
            }
        }
        Ok(count)
    }

    /// A run of acknowledgements of what we sent, in their shortest form, as most are. What they make room for follows
    /// behind the last. Returns how many were taken: none where each packet has to be looked at.
    ///
    /// # Errors
    ///
    /// As [`handle_packet`](Self::handle_packet).
    #[inline]
    pub(crate) fn handle_acks(
        &mut self,
        now: Instant,
        acks: impl Iterator<Item = ShortAck>,
    ) -> Result<usize, DecodeError> {
        let mut count = 0;
        let mut refused = Ok(());
        if self.takes_runs(now) {
            for ack in acks {
                count += 1;
                self.wire.counters.packets_received += 1;
                refused = self.apply_ack(ack.kind, ack.packet_id, ReasonCode::SUCCESS, Properties::new());
                if refused.is_err() {
                    break;
                }
            }
        }
        refused?;
        if count > 0 {
            self.pull();
        }
        Ok(count)
    }

    /// A run of PUBREL in their shortest form. Returns how many were taken: none where each packet has to be looked at.
    #[inline]
    pub(crate) fn handle_releases(
        &mut self,
        now: Instant,
        packet_ids: impl Iterator<Item = PacketId>,
    ) -> usize {
        let mut count = 0;
        if self.takes_runs(now) {
            self.receive_pubrels(packet_ids.inspect(|_| count += 1));
            self.wire.counters.packets_received += count as u64;
        }
        count
    }

    /// Whether packets that come in a run need no closer look: there is a connection, and none of them is logged.
    #[inline]
    fn takes_runs(&mut self, now: Instant) -> bool {
        self.now = now;
        self.wire.trace = self.settings.trace;
        !self.wire.trace && matches!(self.connection.link, Link::Settling | Link::Open)
    }
}
