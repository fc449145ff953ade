//! What the server allows (MQTT 5.0): of new messages, of those that were accepted before, of subscriptions.

use super::support::*;
use crate::codec::{Ack, Auth, Packet, Property, ProtocolVersion, Subscription};
use crate::error::{Error, ServerLimit};
use crate::session::*;

fn v5(settings: &mut Settings) {
    settings.version = ProtocolVersion::V5;
    settings.clean_start = false;
    settings.queue.keep_qos0 = true;
}

fn lowering(settings: &mut Settings) {
    v5(settings);
    settings.lower_qos = true;
}

/// Connects; the server accepts with these properties.
fn connect(bench: &mut Bench, session_present: bool, properties: impl Into<Properties>) {
    bench.session.open(bench.now);
    bench.sent();
    bench
        .connack(session_present, ReasonCode::SUCCESS, properties.into())
        .unwrap();
    bench.session.release(bench.now);
}

fn connected(change: fn(&mut Settings), properties: impl Into<Properties>) -> Bench {
    let mut bench = Bench::new(change);
    connect(&mut bench, false, properties);
    bench.events();
    bench
}

#[track_caller]
fn not_allowed<T: std::fmt::Debug>(result: Result<T>) -> ServerLimit {
    match result {
        Err(Error::NotAllowed(limit)) => limit,
        other => panic!("{other:?}"),
    }
}

fn not_sent(limit: ServerLimit) -> Vec<Heard> {
    vec![Heard::Dropped(DropReason::NotAllowed(limit))]
}

fn retained(bench: &mut Bench, qos: u8) -> Result<Accepted<Tracker>> {
    let message = Outgoing {
        topic: "t",
        payload: PayloadRef::Borrowed(b"x"),
        qos: level(qos),
        retain: true,
        properties: &Properties::new(),
    };
    bench
        .session
        .publish(|| bench.now, &message, |_| Tracker::default())
}

/// What was said about messages that were not sent, without the events about the connection.
fn dropped(bench: &mut Bench) -> Vec<(u64, DropReason)> {
    let events = bench.events().into_iter().filter_map(|event| match event {
        Event::Dropped { count, why } => Some((count, why)),
        _ => None,
    });
    events.collect()
}

/// [5.0/MQTT-3.2.2-11]
#[test]
fn a_message_above_the_maximum_qos_is_refused_and_uses_no_identifier_up() {
    let mut bench = connected(v5, Property::MaximumQoS(1));
    assert_eq!(not_allowed(bench.publish("t", "x", 2)), ServerLimit::MaximumQoS);
    let (mid, _) = bench.tracked("t", "x", 1);
    assert_eq!(mid, 1);
    assert_eq!(bench.sent(), b"\x32\x07\x00\x01t\x00\x01\x00x");
    let mut bench = connected(v5, Property::MaximumQoS(0));
    assert_eq!(not_allowed(bench.publish("t", "x", 1)), ServerLimit::MaximumQoS);
    bench.publish("t", "x", 0).unwrap();
    assert_eq!(bench.session.counters().dropped, 0);
}

/// [5.0/MQTT-3.2.2-14]
#[test]
fn a_retained_message_is_refused_where_the_server_keeps_none() {
    let mut bench = connected(v5, Property::RetainAvailable(0));
    for qos in 0..=2 {
        assert_eq!(
            not_allowed(retained(&mut bench, qos)),
            ServerLimit::RetainAvailable
        );
    }
    bench.publish("t", "x", 0).unwrap();
    assert_eq!(packets(&bench.sent()).len(), 1);
    let mut bench = connected(v5, Property::RetainAvailable(1));
    retained(&mut bench, 1).unwrap();
    assert_eq!(packets(&bench.sent()).len(), 1);
}

/// [5.0/MQTT-3.2.2-15]
#[test]
fn a_message_above_the_maximum_packet_size_is_refused_to_the_byte() {
    // Two bytes of Fixed Header, topic, Packet Identifier, Property Length, payload.
    let mut bench = connected(v5, Property::MaximumPacketSize(12));
    bench.tracked("t", "1234", 1);
    assert_eq!(bench.sent().len(), 12);
    assert_eq!(
        not_allowed(bench.publish("t", "12345", 1)),
        ServerLimit::MaximumPacketSize
    );
    // Without an identifier there is room for two bytes more.
    bench.publish("t", "123456", 0).unwrap();
    assert_eq!(bench.sent().len(), 12);
    assert_eq!(
        not_allowed(bench.publish("t", "1234567", 0)),
        ServerLimit::MaximumPacketSize
    );
    assert_eq!(bench.session.link(), Link::Open);
}

/// [5.0/MQTT-3.2.2-11] [5.0/MQTT-3.2.2-14] [5.0/MQTT-3.2.2-15]
#[test]
fn queued_messages_that_the_server_does_not_allow_end_and_the_others_go() {
    let mut bench = Bench::new(v5);
    let (_, two) = bench.tracked("t", "two", 2);
    let (_, large) = bench.tracked("t", "very large", 1);
    let Accepted::Tracked { track: keep, .. } = retained(&mut bench, 0).unwrap() else {
        panic!("not tracked")
    };
    let (small, fine) = bench.tracked("t", "s", 1);
    let limits = [
        Property::MaximumQoS(1),
        Property::RetainAvailable(0),
        Property::MaximumPacketSize(14),
    ];
    connect(&mut bench, false, limits);
    assert_eq!(payloads_v5(&bench.sent()), ["s"]);
    assert_eq!(two.heard(), not_sent(ServerLimit::MaximumQoS));
    assert_eq!(large.heard(), not_sent(ServerLimit::MaximumPacketSize));
    assert_eq!(keep.heard(), not_sent(ServerLimit::RetainAvailable));
    bench.receive(puback(small)).unwrap();
    assert_eq!(fine.heard(), [Heard::Sent, Heard::Acknowledged(0)]);
    assert_eq!(bench.session.counters().dropped, 3);
    assert_eq!(bench.session.unfinished_outgoing(), 0);
    assert_eq!(bench.session.queued_bytes(), 0);
    // Their identifiers are free again.
    for expected in 5..=65_535 {
        let (mid, _) = bench.tracked("t", "", 1);
        assert_eq!(mid, expected);
        bench.receive(puback(mid)).unwrap();
        bench.sent();
    }
    assert_eq!(bench.tracked("t", "", 1).0, 1);
}

#[test]
fn messages_that_are_dropped_in_a_row_are_told_once() {
    let mut bench = Bench::new(v5);
    for _ in 0..1000 {
        bench.tracked("t", "x", 2);
    }
    connect(&mut bench, false, Property::MaximumQoS(0));
    let why = DropReason::NotAllowed(ServerLimit::MaximumQoS);
    assert_eq!(dropped(&mut bench), [(1000, why)]);
    assert_eq!(bench.sent(), b"");
}

/// [5.0/MQTT-3.2.2-11] [5.0/MQTT-3.2.2-15]
#[test]
fn a_message_that_was_sent_before_ends_where_the_next_server_does_not_allow_it() {
    let mut bench = connected(v5, []);
    let (one, first) = bench.tracked("t", "two", 2);
    let (_, second) = bench.tracked("t", "very large", 1);
    let (three, third) = bench.tracked("t", "s", 1);
    bench.sent();
    bench.session.closed(bench.now);
    let limits = [Property::MaximumQoS(1), Property::MaximumPacketSize(14)];
    connect(&mut bench, true, limits);
    assert_eq!(bench.sent(), b"\x3a\x07\x00\x01t\x00\x03\x00s");
    for (tracker, limit) in [
        (first, ServerLimit::MaximumQoS),
        (second, ServerLimit::MaximumPacketSize),
    ] {
        assert_eq!(tracker.heard()[1..], not_sent(limit));
    }
    bench.receive(puback(three)).unwrap();
    assert_eq!(third.heard().last(), Some(&Heard::Acknowledged(0)));
    assert_eq!(bench.session.unfinished_outgoing(), 0);
    // What the server answers to the old exchange is of no consequence.
    bench.receive(pubcomp(one)).unwrap();
}

#[test]
fn a_release_that_is_owed_is_sent_whatever_the_maximum_qos() {
    let mut bench = connected(v5, []);
    let (mid, tracker) = bench.tracked("t", "x", 2);
    bench.sent();
    bench.receive(pubrec(mid)).unwrap();
    bench.sent();
    bench.session.closed(bench.now);
    connect(&mut bench, true, Property::MaximumQoS(0));
    assert_eq!(bench.sent(), ack_bytes(0x62, mid));
    bench.receive(pubcomp(mid)).unwrap();
    assert_eq!(tracker.heard().last(), Some(&Heard::Acknowledged(0)));
}

/// [5.0/MQTT-3.2.2-11]
#[test]
fn the_qos_is_lowered_if_that_is_wanted() {
    let mut bench = connected(lowering, Property::MaximumQoS(1));
    let (mid, tracker) = bench.tracked("t", "x", 2);
    assert_eq!(bench.sent(), b"\x32\x07\x00\x01t\x00\x01\x00x");
    bench.receive(puback(mid)).unwrap();
    assert_eq!(tracker.heard(), [Heard::Sent, Heard::Acknowledged(0)]);
    let mut bench = connected(lowering, Property::MaximumQoS(0));
    assert!(matches!(
        bench.publish("t", "x", 2),
        Ok(Accepted::InOutput { .. })
    ));
    assert_eq!(bench.sent(), b"\x30\x05\x00\x01t\x00x");
}

/// [5.0/MQTT-3.2.2-11]
#[test]
fn the_qos_of_queued_messages_is_lowered_as_well() {
    for (maximum, expected) in [(1, [0x30, 0x32, 0x32]), (0, [0x30, 0x30, 0x30])] {
        let mut bench = Bench::new(lowering);
        let trackers = [0, 1, 2].map(|qos| bench.tracked("t", "x", qos).1);
        connect(&mut bench, false, Property::MaximumQoS(maximum));
        let sent = bench.sent();
        let firsts: Vec<u8> = packets(&sent).iter().map(|(first, _)| *first).collect();
        assert_eq!(firsts, expected);
        if maximum == 1 {
            bench.receive(puback(2)).unwrap();
            bench.receive(puback(3)).unwrap();
        }
        for tracker in trackers {
            assert_eq!(tracker.heard(), [Heard::Sent, Heard::Acknowledged(0)]);
        }
        assert_eq!(bench.session.unfinished_outgoing(), 0);
        assert_eq!(bench.session.counters().dropped, 0);
    }
}

#[test]
fn the_qos_of_sent_messages_is_lowered_for_a_server_that_does_not_know_them_and_only_then() {
    for (maximum, session_present, again) in [
        (1, false, Some(0x3a)),
        (0, false, Some(0x30)),
        (1, true, None),
        (0, true, None),
    ] {
        let mut bench = connected(lowering, []);
        let (_, tracker) = bench.tracked("t", "x", 2);
        bench.sent();
        bench.session.closed(bench.now);
        connect(&mut bench, session_present, Property::MaximumQoS(maximum));
        let sent = bench.sent();
        let first = packets(&sent).first().map(|(first, _)| *first);
        assert_eq!(first, again, "Maximum QoS {maximum}, session {session_present}");
        let last = match (again, maximum) {
            (None, _) => Some(Heard::Dropped(DropReason::NotAllowed(ServerLimit::MaximumQoS))),
            (Some(_), 0) => Some(Heard::Acknowledged(0)),
            _ => Some(Heard::Sent),
        };
        assert_eq!(tracker.heard().last(), last.as_ref());
    }
}

#[test]
fn limits_end_with_their_connection() {
    let mut bench = connected(
        v5,
        [
            Property::MaximumQoS(0),
            Property::WildcardSubscriptionAvailable(0),
        ],
    );
    not_allowed(bench.publish("t", "x", 2));
    bench.session.closed(bench.now);
    assert!(bench.session.connack().is_none());
    bench.tracked("t", "x", 2);
    bench.subscribe(&[("#", 0)]);
    connect(&mut bench, false, []);
    let sent = bench.sent();
    let firsts: Vec<u8> = packets(&sent).iter().map(|(first, _)| *first).collect();
    assert_eq!(firsts, [0x82, 0x34]);
}

// ---- subscriptions ----

fn request(bench: &mut Bench, filter: &str, properties: Properties) -> Result<u16> {
    let subscriptions: Vec<Subscription> = vec![subscription(filter, 0)];
    bench
        .session
        .subscribe(bench.now, subscriptions, properties, |_| Tracker::default())
}

fn identified() -> Properties {
    Property::SubscriptionIdentifier(7).into()
}

/// [5.0/MQTT-3.2.2-15]
#[test]
fn a_subscription_that_the_server_does_not_have_is_refused_by_name() {
    let limits = [
        Property::WildcardSubscriptionAvailable(0),
        Property::SharedSubscriptionAvailable(0),
        Property::SubscriptionIdentifierAvailable(0),
        Property::MaximumPacketSize(40),
    ];
    let mut bench = connected(v5, limits);
    let long = "x".repeat(40);
    for (filter, properties, limit) in [
        (
            "a/+",
            Properties::new(),
            ServerLimit::WildcardSubscriptionAvailable,
        ),
        ("#", Properties::new(), ServerLimit::WildcardSubscriptionAvailable),
        (
            "$share/g/a",
            Properties::new(),
            ServerLimit::SharedSubscriptionAvailable,
        ),
        ("a", identified(), ServerLimit::SubscriptionIdentifierAvailable),
        (&long, Properties::new(), ServerLimit::MaximumPacketSize),
    ] {
        assert_eq!(not_allowed(request(&mut bench, filter, properties)), limit);
    }
    let filters = vec![long.clone()];
    let unsubscribe = bench
        .session
        .unsubscribe(bench.now, filters, Properties::new(), |_| Tracker::default());
    assert_eq!(not_allowed(unsubscribe), ServerLimit::MaximumPacketSize);
    assert_eq!(bench.sent(), b"");
    // No identifier is used up, and the plain ones are as good as ever.
    assert_eq!(request(&mut bench, "a", Properties::new()).unwrap(), 1);
    assert_eq!(bench.sent(), b"\x82\x07\x00\x01\x00\x00\x01a\x00");
}

#[test]
fn requests_from_before_that_the_server_does_not_allow_end_and_the_others_go() {
    let mut bench = Bench::new(v5);
    let (_, both) = bench.subscribe(&[("a", 0), ("b/#", 0)]);
    let (_, shared) = bench.subscribe(&[("$share/g/c", 1)]);
    let (third, fine) = bench.subscribe(&[("d", 1)]);
    let long = "x".repeat(100);
    let (_, large) = bench.unsubscribe(&[&long]);
    let limits = [
        Property::WildcardSubscriptionAvailable(0),
        Property::SharedSubscriptionAvailable(0),
        Property::MaximumPacketSize(100),
    ];
    connect(&mut bench, false, limits);
    assert_eq!(bench.sent(), b"\x82\x07\x00\x03\x00\x00\x01d\x01");
    assert_eq!(both.heard(), not_sent(ServerLimit::WildcardSubscriptionAvailable));
    assert_eq!(shared.heard(), not_sent(ServerLimit::SharedSubscriptionAvailable));
    assert_eq!(large.heard(), not_sent(ServerLimit::MaximumPacketSize));
    bench.receive(suback(third, &[1])).unwrap();
    assert_eq!(fine.heard(), [Heard::Sent, Heard::Granted(vec![1])]);
    let told: Vec<_> = bench
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::NotSubscribed { filter, limit } => Some((filter, limit)),
            _ => None,
        })
        .collect();
    assert_eq!(
        told[..2],
        [
            ("b/#".to_owned(), ServerLimit::WildcardSubscriptionAvailable),
            ("$share/g/c".to_owned(), ServerLimit::SharedSubscriptionAvailable)
        ]
    );
    // They are forgotten.
    bench.session.closed(bench.now);
    connect(&mut bench, false, []);
    assert_eq!(bench.sent(), b"\x82\x07\x00\x05\x00\x00\x01d\x01");
}

#[test]
fn a_renewal_leaves_out_what_this_server_does_not_allow_and_the_next_one_is_asked_again() {
    let mut bench = connected(v5, []);
    for filter in ["a", "b/#", "c"] {
        let (mid, _) = bench.subscribe(&[(filter, 0)]);
        bench.receive(suback(mid, &[0])).unwrap();
    }
    bench.sent();
    bench.session.closed(bench.now);
    connect(&mut bench, false, Property::WildcardSubscriptionAvailable(0));
    assert_eq!(bench.sent(), b"\x82\x0b\x00\x04\x00\x00\x01a\x00\x00\x01c\x00");
    assert!(bench.events().iter().any(|event| matches!(
        event,
        Event::NotSubscribed { filter, limit: ServerLimit::WildcardSubscriptionAvailable } if filter == "b/#"
    )));
    bench.receive(suback(4, &[0, 0])).unwrap();
    bench.session.closed(bench.now);
    connect(&mut bench, false, []);
    let expected = b"\x82\x11\x00\x05\x00\x00\x01a\x00\x00\x03b/#\x00\x00\x01c\x00";
    assert_eq!(bench.sent(), expected);
}

/// [5.0/MQTT-3.2.2-15]
#[test]
fn renewals_are_cut_into_packets_that_the_server_takes() {
    let mut bench = connected(v5, []);
    let filters: Vec<String> = (0..40).map(|number| format!("filter/{number:02}")).collect();
    for filter in &filters {
        let (mid, _) = bench.subscribe(&[(filter, 0)]);
        bench.receive(suback(mid, &[0])).unwrap();
    }
    bench.sent();
    for limit in [25, 26, 40, 100] {
        bench.session.closed(bench.now);
        connect(&mut bench, false, Property::MaximumPacketSize(limit));
        let sent = bench.sent();
        let packets = packets(&sent);
        assert!(packets.iter().all(|(_, rest)| rest.len() + 2 <= limit as usize));
        let bytes: usize = packets.iter().map(|(_, rest)| rest.len() - 3).sum();
        assert_eq!(bytes, 40 * 12, "all of them, with {limit} bytes in a packet");
    }
}

// ---- other packets ----

fn reasons(count: usize) -> Properties {
    let mut properties = Properties::from(Property::ReasonString("why".to_owned()));
    properties.extend((0..count).map(|_| Property::UserProperty("k".repeat(10), "v".repeat(10))));
    properties
}

/// [5.0/MQTT-3.14.2-3] [5.0/MQTT-3.14.2-4]
#[test]
fn disconnect_leaves_out_the_texts_for_which_there_is_no_room() {
    // Reason, Property Length, Reason String of six bytes; a User Property has 25.
    for (limit, expected) in [
        (9, &b"\xe0\x01\x04"[..]),
        (10, b"\xe0\x08\x04\x06\x1f\x00\x03why"),
        (34, b"\xe0\x08\x04\x06\x1f\x00\x03why"),
    ] {
        let mut bench = connected(
            |settings| {
                v5(settings);
                settings.trace = true;
            },
            Property::MaximumPacketSize(limit),
        );
        let reason = ReasonCode::disconnect(0x04);
        bench.session.disconnect(bench.now, reason, reasons(1)).unwrap();
        assert_eq!(bench.sent(), expected, "{limit} bytes");
        let traces = bench.traces();
        let Some(Trace::SentDisconnect { properties, .. }) = traces.last() else {
            panic!("{traces:?}")
        };
        assert_eq!(properties.is_empty(), limit == 9);
    }
    let mut bench = connected(v5, Property::MaximumPacketSize(35));
    let reason = ReasonCode::disconnect(0x04);
    bench.session.disconnect(bench.now, reason, reasons(1)).unwrap();
    assert_eq!(bench.sent().len(), 35);
}

/// [5.0/MQTT-3.4.2-2] [5.0/MQTT-3.4.2-3] [5.0/MQTT-3.5.2-2] [5.0/MQTT-3.5.2-3] [5.0/MQTT-3.6.2-2] [5.0/MQTT-3.6.2-3]
/// [5.0/MQTT-3.7.2-2] [5.0/MQTT-3.7.2-3] [5.0/MQTT-3.15.2-2] [5.0/MQTT-3.15.2-3]
#[test]
fn acknowledgements_and_auth_leave_out_the_texts_for_which_there_is_no_room() {
    let ack = |properties| Ack {
        packet_id: id(1),
        reason: ReasonCode::UNSPECIFIED_ERROR,
        properties,
    };
    let make: [fn(Ack) -> Packet; 4] = [Packet::PubAck, Packet::PubRec, Packet::PubRel, Packet::PubComp];
    for packet in make {
        let reason = |mut ack: Ack| {
            if matches!(packet(ack.clone()), Packet::PubRel(_) | Packet::PubComp(_)) {
                ack.reason = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
            }
            packet(ack)
        };
        for (limit, len) in [(11, 5), (12, 12), (36, 12), (37, 37)] {
            let mut bench = connected(v5, Property::MaximumPacketSize(limit));
            bench.session.wire.put_packet(&reason(ack(reasons(1)))).unwrap();
            assert_eq!(bench.sent().len(), len, "{limit} bytes");
        }
    }
    let mut bench = connected(v5, Property::MaximumPacketSize(20));
    let auth = |method: &str| {
        let mut properties = reasons(1);
        properties.push(Property::AuthenticationMethod(method.to_owned()));
        Packet::Auth(Auth {
            reason: ReasonCode::CONTINUE_AUTHENTICATION,
            properties,
        })
    };
    bench.session.wire.put_packet(&auth("m")).unwrap();
    assert_eq!(bench.sent().len(), 14);
    // What is needed is not left out.
    let result = bench.session.wire.put_packet(&auth("a method with a long name"));
    assert_eq!(not_allowed(result), ServerLimit::MaximumPacketSize);
    assert_eq!(bench.sent(), b"");
}

#[test]
fn a_server_that_has_no_room_for_acknowledgements_is_not_worked_with() {
    for (limit, accepted) in [(1, false), (4, false), (5, true)] {
        let mut bench = Bench::new(v5);
        bench.session.open(bench.now);
        bench.sent();
        let result = bench.connack(
            false,
            ReasonCode::SUCCESS,
            Property::MaximumPacketSize(limit).into(),
        );
        assert_eq!(result.is_ok(), accepted, "{limit}");
        if let Err(error) = result {
            assert_eq!(error.reason, ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR);
        }
    }
}

/// A Receive Maximum counts what is sent again together with what is sent first; other packets are not held up by it.
///
/// [5.0/MQTT-3.3.4-7] [5.0/MQTT-3.3.4-8] [5.0/MQTT-4.9.0-1] [5.0/MQTT-4.9.0-2] [5.0/MQTT-4.9.0-3]
#[test]
fn one_quota_for_what_is_sent_first_and_what_is_sent_again() {
    let mut bench = connected(v5, Property::ReceiveMaximum(3));
    for payload in ["a", "b", "c", "d"] {
        bench.tracked("t", payload, 2);
    }
    bench.sent();
    bench.receive(pubrec(1)).unwrap();
    bench.session.closed(bench.now);
    connect(&mut bench, true, Property::ReceiveMaximum(2));
    // PUBREL for the first, and one PUBLISH: the exchange that goes on counts as well.
    let sent = bench.sent();
    assert_eq!(
        packets(&sent).iter().map(|packet| packet.0).collect::<Vec<_>>(),
        [0x62, 0x3c]
    );
    bench.receive(pubrec(2)).unwrap();
    assert_eq!(bench.sent(), ack_bytes(0x62, 2));
    bench.receive(pubcomp(2)).unwrap();
    assert_eq!(payloads_v5(&bench.sent()), ["c"]);
    // The window is full: messages of QoS 0, requests and pings leave.
    bench.publish("t", "now", 0).unwrap();
    bench.subscribe(&[("f", 0)]);
    bench.after(std::time::Duration::from_secs(60));
    bench.session.handle_timeout(bench.now).unwrap();
    let sent = bench.sent();
    assert_eq!(
        packets(&sent).iter().map(|packet| packet.0).collect::<Vec<_>>(),
        [0x30, 0x82, 0xc0]
    );
    // A PUBREC that refuses gives the place back.
    bench.receive(Packet::PubRec(refusing(3, 0x97))).unwrap();
    assert_eq!(payloads_v5(&bench.sent()), ["d"]);
}

#[test]
fn what_the_server_says_can_be_read() {
    let bench = connected(
        v5,
        [
            Property::ReceiveMaximum(7),
            Property::ServerKeepAlive(9),
            Property::TopicAliasMaximum(3),
            Property::ReasonString("welcome".to_owned()),
        ],
    );
    let (properties, limits) = bench.session.connack().unwrap();
    assert_eq!(properties.reason_string(), Some("welcome"));
    let expected = Limits {
        receive_maximum: 7,
        keep_alive: Some(9),
        topic_alias_maximum: 3,
        ..Limits::NONE
    };
    assert_eq!(limits, &expected);
}

/// Payloads of PUBLISH packets without properties.
fn payloads_v5(bytes: &[u8]) -> Vec<String> {
    let payloads = payloads(bytes).into_iter();
    payloads
        .map(|payload| payload.trim_start_matches('\0').to_owned())
        .collect()
}
