//! What MQTT 5.0 adds: properties, reason codes, Receive Maximum, Server Keep Alive, the server's DISCONNECT.

use std::time::Duration;

use super::support::*;
use crate::codec::{Auth, Packet, Property, ProtocolVersion};
use crate::session::*;

fn v5(settings: &mut Settings) {
    settings.version = ProtocolVersion::V5;
}

fn accepted_with(bench: &mut Bench, properties: Properties) {
    bench.session.open(bench.now);
    bench.sent();
    bench.connack(false, ReasonCode::SUCCESS, properties).unwrap();
    bench.events();
    bench.session.release(bench.now);
}

#[test]
fn connect_carries_its_properties() {
    let mut bench = Bench::new(|settings| {
        v5(settings);
        settings
            .connect_properties
            .push(Property::SessionExpiryInterval(10));
    });
    bench.session.open(bench.now);
    let expected = b"\x10\x13\x00\x04MQTT\x05\x02\x00\x3c\x05\x11\x00\x00\x00\x0a\x00\x01c";
    assert_eq!(bench.sent(), expected);
}

#[test]
fn messages_and_requests_wait_for_the_release() {
    let mut bench = Bench::new(v5);
    bench.session.open(bench.now);
    bench.sent();
    bench.tracked("t", "0", 0);
    bench.tracked("t", "1", 1);
    bench.subscribe(&[("f", 1)]);
    bench.accept(false);
    bench.tracked("t", "2", 0);
    assert_eq!(bench.sent(), b"");
    bench.session.release(bench.now);
    let expected: [&[u8]; 4] = [
        b"\x82\x07\x00\x03\x00\x00\x01f\x01",
        b"\x30\x05\x00\x01t\x000",
        b"\x32\x07\x00\x01t\x00\x02\x001",
        b"\x30\x05\x00\x01t\x002",
    ];
    assert_eq!(bench.sent(), expected.concat());
}

/// [5.0/MQTT-3.3.4-7] [5.0/MQTT-4.9.0-1] [5.0/MQTT-4.9.0-2]
#[test]
fn the_servers_receive_maximum_bounds_the_window_of_its_connection() {
    let mut bench = Bench::new(v5);
    accepted_with(&mut bench, Properties::new().with(Property::ReceiveMaximum(2)));
    for payload in ["a", "b", "c", "d"] {
        bench.tracked("t", payload, 1);
    }
    assert_eq!(packets(&bench.sent()).len(), 2);
    bench.receive(puback(1)).unwrap();
    assert_eq!(packets(&bench.sent()).len(), 1);
    bench.session.closed(bench.now);
    // Also for what is sent again: two of three.
    accepted_with(&mut bench, Properties::new().with(Property::ReceiveMaximum(2)));
    assert_eq!(packets(&bench.sent()).len(), 2);
    bench.session.closed(bench.now);
    accepted_with(&mut bench, Properties::new());
    assert_eq!(packets(&bench.sent()).len(), 3);
}

/// [5.0/MQTT-4.4.0-2]
#[test]
fn a_failing_puback_or_pubrec_ends_the_message_with_its_reason() {
    let mut bench = Bench::connected(v5);
    let (one, first) = bench.tracked("t", "a", 1);
    let (two, second) = bench.tracked("t", "b", 2);
    bench.sent();
    bench.receive(Packet::PubAck(refusing(one, 0x87))).unwrap();
    bench.receive(Packet::PubRec(refusing(two, 0x97))).unwrap();
    assert_eq!(bench.published(), [(one, 0x87), (two, 0x97)]);
    assert_eq!(first.heard(), [Heard::Sent, Heard::Acknowledged(0x87)]);
    assert_eq!(second.heard(), [Heard::Sent, Heard::Acknowledged(0x97)]);
    assert_eq!(bench.sent(), b"", "no PUBREL");
    assert_eq!(bench.session.unfinished(), 0);
    let counters = bench.session.counters();
    assert_eq!((counters.acknowledged, counters.refused), (2, 2));
    // It is over: nothing to answer.
    bench.receive(Packet::PubRec(refusing(two, 0x97))).unwrap();
    assert_eq!(bench.sent(), b"");
}

#[test]
fn a_puback_without_subscribers_is_a_success() {
    let mut bench = Bench::connected(v5);
    let (mid, _) = bench.tracked("t", "a", 2);
    bench.sent();
    bench.receive(Packet::PubRec(refusing(mid, 0x10))).unwrap();
    assert_eq!(bench.sent(), ack_bytes(0x62, mid));
    bench.receive(pubcomp(mid)).unwrap();
    assert_eq!(bench.published(), [(mid, 0)]);
}

/// [5.0/MQTT-3.1.2-21] [5.0/MQTT-3.2.2-21]
#[test]
fn the_servers_keep_alive_replaces_ours_on_its_connection() {
    let mut bench = Bench::new(v5);
    accepted_with(&mut bench, Properties::new().with(Property::ServerKeepAlive(5)));
    let deadline = bench.now + Duration::from_secs(5);
    assert_eq!(bench.session.poll_timeout(), Some(deadline));
    bench.session.closed(bench.now);
    accepted_with(&mut bench, Properties::new());
    let deadline = bench.now + Duration::from_secs(60);
    assert_eq!(bench.session.poll_timeout(), Some(deadline));
}

/// [5.0/MQTT-3.1.3-6] [5.0/MQTT-3.1.3-7]
#[test]
fn an_assigned_client_identifier_is_used_from_then_on() {
    let mut bench = Bench::new(|settings| {
        v5(settings);
        settings.client_id.clear();
    });
    let name = Property::AssignedClientIdentifier("x7".to_owned());
    accepted_with(&mut bench, Properties::new().with(name));
    bench.session.closed(bench.now);
    bench.session.open(bench.now);
    assert!(bench.sent().ends_with(b"\x00\x02x7"));
}

#[test]
fn the_servers_disconnect_is_an_event_and_ends_sending() {
    let mut bench = Bench::connected(v5);
    let goodbye = Packet::Disconnect(Disconnect {
        reason: ReasonCode::disconnect(0x8b),
        properties: Properties::new(),
    });
    bench.receive(goodbye).unwrap();
    assert!(matches!(
        bench.events()[..],
        [Event::Disconnected { reason, .. }] if reason == ReasonCode::SERVER_SHUTTING_DOWN
    ));
    bench.tracked("t", "x", 1);
    assert_eq!(bench.sent(), b"");
}

#[test]
fn disconnect_tells_its_reason_and_a_wrong_property_is_refused() {
    let mut bench = Bench::connected(v5);
    let reason = ReasonCode::disconnect(0x04);
    let wrong = Properties::new().with(Property::TopicAlias(1));
    assert!(bench.session.disconnect(bench.now, reason, wrong).is_err());
    assert_eq!(bench.session.link(), Link::Open);
    bench
        .session
        .disconnect(bench.now, reason, Properties::new())
        .unwrap();
    assert_eq!(bench.sent(), b"\xe0\x01\x04");
}

/// [5.0/MQTT-4.12.0-6]
#[test]
fn auth_that_was_not_asked_for_breaks_the_protocol() {
    let mut bench = Bench::connected(v5);
    let auth = Packet::Auth(Auth {
        reason: ReasonCode::CONTINUE_AUTHENTICATION,
        properties: Properties::new().with(Property::AuthenticationMethod("m".to_owned())),
    });
    assert_eq!(bench.receive(auth).unwrap_err().statement, "MQTT-4.12.0-6");
}

#[test]
fn properties_of_queued_messages_are_kept_and_counted() {
    let mut bench = Bench::new(v5);
    let properties = Properties::new().with(Property::PayloadFormatIndicator(1));
    let message = Outgoing {
        topic: "t",
        payload: PayloadRef::Borrowed(b"x"),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: &properties,
    };
    bench
        .session
        .publish(|| bench.now, &message, |_| Tracker::default())
        .unwrap();
    // Topic, payload, and the properties with their length.
    assert_eq!(bench.session.queued_bytes(), 1 + 1 + 3);
    bench.connect(false);
    assert_eq!(bench.sent(), b"\x32\x09\x00\x01t\x00\x01\x02\x01\x01x");
}

#[test]
fn renewals_keep_subscriptions_with_different_properties_apart() {
    let mut bench = Bench::connected(v5);
    for (filter, identifier) in [("a", 1), ("b", 1), ("c", 2)] {
        let properties = Properties::new().with(Property::SubscriptionIdentifier(identifier));
        let subscriptions = vec![subscription(filter, 0)];
        let mid = bench
            .session
            .subscribe(bench.now, subscriptions, properties, |_| Tracker::default());
        bench.receive(suback(mid.unwrap(), &[0])).unwrap();
    }
    bench.sent();
    bench.session.closed(bench.now);
    bench.connect(false);
    let expected: [&[u8]; 2] = [
        b"\x82\x0d\x00\x04\x02\x0b\x01\x00\x01a\x00\x00\x01b\x00",
        b"\x82\x09\x00\x05\x02\x0b\x02\x00\x01c\x00",
    ];
    assert_eq!(bench.sent(), expected.concat());
}
