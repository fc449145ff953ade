//! SUBSCRIBE and UNSUBSCRIBE: at once, or when there is a connection, and again when one was lost.

use super::subscriptions::Request;
use super::*;
use crate::codec::Property;

/// Subscription Identifiers from here on are given by the client itself, those below by the application.
pub(crate) const FIRST_OWN_IDENTIFIER: u32 = 1 << 27;

/// The largest Subscription Identifier (MQTT 5.0, section 3.8.2.1.2).
pub(crate) const LAST_IDENTIFIER: u32 = 268_435_455;

impl<T: Track> Session<T> {
    /// Notes a request and sends it if that may be now. `packet` makes it with its identifier.
    pub(super) fn request(
        &mut self,
        track: impl FnOnce(u16) -> T,
        packet: impl FnOnce(PacketId) -> Packet,
    ) -> Result<u16> {
        self.wire.trace = self.settings.trace;
        let Some(packet_id) = self.ids.reserve() else {
            return Err(Error::InvalidState("all packet identifiers are in use"));
        };
        let packet = packet(packet_id);
        if let Err(error) = self.check_request(&packet) {
            self.ids.undo(packet_id);
            return Err(error);
        }
        let mid = packet_id.get();
        let subscriptions = self.subscriptions.get_or_insert_default();
        subscriptions.request(packet_id, packet, Some(track(mid)));
        // Those that wait from before go first, so that the last word on a filter is the last on the wire.
        let open = match self.connection.link {
            Link::Open => true,
            Link::Connecting | Link::Settling => !self.waits_for_release(),
            Link::Closed | Link::Disconnecting => false,
        };
        if open {
            self.send_pending_requests();
        }
        Ok(mid)
    }

    pub(super) fn send_pending_requests(&mut self) {
        while let Some(request) = self.subscriptions.as_mut().and_then(|all| all.next_pending()) {
            self.send_request(request);
        }
    }

    /// Renews the subscriptions that the server is to be asked for again.
    pub(super) fn renew_subscriptions(&mut self) {
        if self.settings.resubscribe == Resubscribe::Never {
            return;
        }
        let Some(subscriptions) = &mut self.subscriptions else {
            return;
        };
        let ids = &mut self.ids;
        let wire = &mut self.wire;
        let requests = subscriptions.renew(
            &self.connection.limits,
            || ids.reserve(),
            |filter, limit| {
                wire.emit(Event::NotSubscribed {
                    filter: filter.to_owned(),
                    limit,
                });
            },
        );
        for request in requests {
            self.send_request(request);
        }
    }

    /// Whether the request has an encoding, and the server, if there is one, takes it.
    fn check_request(&self, packet: &Packet) -> Result<()> {
        let bytes = self.wire.check(packet)?;
        if !matches!(self.connection.link, Link::Settling | Link::Open) {
            return Ok(());
        }
        let checked = self.connection.limits.check_request(packet, bytes);
        checked.map_err(|(limit, _)| Error::NotAllowed(limit))
    }

    /// The connection is gone: requests without an answer wait for the next one, unless the application sees to that.
    pub(super) fn take_back_requests(&mut self) {
        let keep = self.settings.resubscribe != Resubscribe::Never;
        let Some(subscriptions) = &mut self.subscriptions else {
            return;
        };
        for request in subscriptions.closed(keep) {
            self.ids.release(request.packet_id);
            if let Some(track) = request.track {
                track.dropped(DropReason::ConnectionLost);
            }
        }
    }

    /// Ends every request that is not answered.
    pub(super) fn abandon_requests(&mut self) {
        let Some(subscriptions) = &mut self.subscriptions else {
            return;
        };
        for request in subscriptions.abandon() {
            self.ids.release(request.packet_id);
            if let Some(track) = request.track {
                track.dropped(DropReason::ClientDropped);
            }
        }
    }

    /// Sends a request, unless the server, of which nothing was known when it was accepted, does not allow it.
    fn send_request(&mut self, request: Box<Request<T>>) {
        let bare = self.without_own_identifier(&request.packet);
        let packet = bare.as_ref().unwrap_or(&request.packet);
        let bytes = self.wire.check(packet).unwrap_or(0);
        if let Err((limit, filter)) = self.connection.limits.check_request(packet, bytes) {
            let filter = filter.to_owned();
            self.wire.emit(Event::NotSubscribed { filter, limit });
            self.ids.release(request.packet_id);
            self.subscriptions.get_or_insert_default().refused(&request);
            if let Some(track) = request.track {
                track.dropped(DropReason::NotAllowed(limit));
            }
            return;
        }
        let encoded = self.wire.put_packet(packet);
        debug_assert!(encoded.is_ok(), "checked when it was accepted: {encoded:?}");
        self.trace_request(&request.packet);
        if let Some(track) = &request.track {
            track.sent();
        }
        self.subscriptions.get_or_insert_default().sent(request);
    }

    /// The SUBSCRIBE as it is sent to a server that does not support Subscription Identifiers, where the client had given
    /// it one of its own. The ledger keeps that: the next server may support them.
    fn without_own_identifier(&self, packet: &Packet) -> Option<Packet> {
        let Packet::Subscribe(subscribe) = packet else {
            return None;
        };
        let mut identifiers = subscribe.properties.subscription_identifiers();
        let own = identifiers.any(|identifier| identifier >= FIRST_OWN_IDENTIFIER);
        if !own || self.connection.limits.subscription_identifier_available {
            return None;
        }
        let mut bare = subscribe.clone();
        bare.properties = subscribe
            .properties
            .iter()
            .filter(|property| !matches!(property, Property::SubscriptionIdentifier(_)))
            .cloned()
            .collect();
        Some(Packet::Subscribe(bare))
    }

    fn trace_request(&mut self, packet: &Packet) {
        match packet {
            Packet::Subscribe(subscribe) => self.wire.trace(|_| {
                let subscriptions = subscribe.subscriptions.iter();
                Trace::SentSubscribe {
                    mid: subscribe.packet_id.get(),
                    subscriptions: subscriptions
                        .map(|subscription| (subscription.filter.clone(), subscription.options))
                        .collect(),
                }
            }),
            Packet::Unsubscribe(unsubscribe) => self.wire.trace(|_| Trace::SentUnsubscribe {
                mid: unsubscribe.packet_id.get(),
                filters: unsubscribe.filters.clone(),
            }),
            _ => {}
        }
    }
}
