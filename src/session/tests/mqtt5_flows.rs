//! Sessions and the flows of QoS 1 and 2 in MQTT 5.0: session present, session expiry, reason codes.

use super::support::*;
use crate::codec::{Packet, Property, ProtocolVersion};
use crate::error::Error;
use crate::session::*;

fn v5(settings: &mut Settings) {
    settings.version = ProtocolVersion::V5;
}

/// Asks for a session that goes on.
fn lasting(settings: &mut Settings) {
    v5(settings);
    settings.clean_start = false;
    settings.session_expiry = Some(3600);
}

fn reconnect(bench: &mut Bench, session_present: bool) -> Vec<u8> {
    bench.session.closed(bench.now);
    bench.connect(session_present);
    bench.sent()
}

fn at_least_once(bench: &mut Bench, packet_id: u16) -> AckTicket {
    bench.receive(message("t", "x", 1, packet_id)).unwrap();
    bench.messages()[0].ticket.unwrap()
}

fn exactly_once(bench: &mut Bench, packet_id: u16) -> AckTicket {
    bench.receive(message("t", "x", 2, packet_id)).unwrap();
    bench.receive(pubrel(packet_id)).unwrap();
    bench.sent();
    bench.messages()[0].ticket.unwrap()
}

fn why(text: &str) -> Properties {
    Property::ReasonString(text.to_owned()).into()
}

// ---- sessions ----

/// The expiry that CONNECT asks for.
#[test]
fn connect_carries_the_session_expiry() {
    let mut bench = Bench::new(lasting);
    bench.session.open(bench.now);
    assert_eq!(
        bench.sent(),
        b"\x10\x13\x00\x04MQTT\x05\x00\x00\x3c\x05\x11\x00\x00\x0e\x10\x00\x01c"
    );
    // One among the properties comes first, and a version without properties has none.
    bench
        .session
        .settings
        .connect_properties
        .push(Property::SessionExpiryInterval(10));
    bench.session.open(bench.now);
    assert_eq!(bench.sent()[13..18], *b"\x11\x00\x00\x00\x0a");
    bench.session.settings.version = ProtocolVersion::V311;
    bench.session.open(bench.now);
    assert_eq!(bench.sent(), b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x3c\x00\x01c");
}

/// A session is claimed that this connection has just disowned. The server can be told.
///
/// [5.0/MQTT-3.1.2-4] [5.0/MQTT-3.2.2-2] [5.0/MQTT-3.2.2-4]
#[test]
fn a_session_after_a_clean_start_breaks_the_protocol() {
    let mut bench = Bench::new(v5);
    bench.session.open(bench.now);
    bench.sent();
    let error = bench
        .connack(true, ReasonCode::SUCCESS, Properties::new())
        .unwrap_err();
    assert_eq!(
        (error.reason, error.statement),
        (ReasonCode::PROTOCOL_ERROR, "MQTT-3.2.2-4")
    );
    assert!(bench.events().is_empty(), "nobody hears of a connection");
    bench
        .session
        .disconnect(bench.now, error.reason, Properties::new())
        .unwrap();
    assert_eq!(bench.sent(), b"\xe0\x01\x82");
}

/// With clean start 0 a session is what was asked for, also by a process that has not had one yet.
///
/// [5.0/MQTT-3.2.2-4]
#[test]
fn a_new_session_takes_up_one_that_the_server_has() {
    let mut bench = Bench::new(lasting);
    bench.connect(true);
    assert_eq!(bench.session.link(), Link::Open);
}

/// Without a session at the server, what we keep of its messages is void.
///
/// [5.0/MQTT-3.2.2-5]
#[test]
fn a_lost_session_takes_half_received_messages_with_it() {
    let mut bench = Bench::connected(lasting);
    bench.receive(message("t", "before", 2, 1)).unwrap();
    reconnect(&mut bench, false);
    bench.receive(message("t", "after", 2, 1)).unwrap();
    bench.receive(pubrel(1)).unwrap();
    let messages = bench.messages();
    assert_eq!(&messages[0].publish.payload[..], b"after");
}

/// A session that is there goes on with the identifiers that it had, in order; no PUBLISH after PUBREC.
///
/// [5.0/MQTT-3.1.2-23] [5.0/MQTT-3.2.2-3] [5.0/MQTT-4.3.3-6] [5.0/MQTT-4.4.0-1] [5.0/MQTT-4.6.0-1] [5.0/MQTT-4.6.0-4]
#[test]
fn a_session_that_is_there_goes_on_where_it_was() {
    let mut bench = Bench::connected(lasting);
    for (payload, qos) in [("a", 1), ("b", 2), ("c", 2)] {
        bench.publish("t", payload, qos).unwrap();
    }
    bench.receive(pubrec(2)).unwrap();
    bench.sent();
    let again: [&[u8]; 3] = [
        b"\x3a\x07\x00\x01t\x00\x01\x00a",
        b"\x62\x02\x00\x02",
        b"\x3c\x07\x00\x01t\x00\x03\x00c",
    ];
    assert_eq!(reconnect(&mut bench, true), again.concat());
    assert_eq!(bench.session.lost(), Lost::default());
}

/// What becomes of messages under way when there is no session any more is the application's choice; each that is
/// dropped says so, and what the policy did can be told.
///
/// [5.0/MQTT-4.4.0-1]
#[test]
fn the_policy_for_a_lost_session_is_reported() {
    let dropped = Heard::Dropped(DropReason::SessionLost);
    for (policy, sent_again, first, second) in [
        (OnSessionLost::Resend, 2, None, None),
        (OnSessionLost::ResendQos1Only, 1, None, Some(&dropped)),
        (OnSessionLost::Discard, 0, Some(&dropped), Some(&dropped)),
    ] {
        let mut bench = Bench::connected(|settings| {
            lasting(settings);
            settings.on_session_lost = policy;
        });
        let (_, one) = bench.tracked("t", "one", 1);
        let (_, two) = bench.tracked("t", "two", 2);
        bench.sent();
        let again = reconnect(&mut bench, false);
        assert_eq!(packets(&again).len(), sent_again);
        let dropped = 2 - sent_again;
        assert_eq!(bench.session.lost(), Lost { sent_again, dropped });
        assert_eq!(bench.session.counters().dropped, dropped as u64);
        assert_eq!(bench.session.counters().resent, sent_again as u64);
        assert_eq!(one.heard().get(1), first);
        assert_eq!(two.heard().get(1), second);
        reconnect(&mut bench, true);
        assert_eq!(bench.session.lost(), Lost::default());
    }
}

/// MQTT 5.0, section 3.14.2.2.2: a session that CONNECT gave no time gets none in DISCONNECT.
#[test]
fn disconnect_changes_the_session_expiry_but_gives_none() {
    let expiry = |seconds| Properties::from(Property::SessionExpiryInterval(seconds));
    let mut bench = Bench::connected(v5);
    let result = bench
        .session
        .disconnect(bench.now, ReasonCode::SUCCESS, expiry(1));
    assert!(
        matches!(
            &result,
            Err(Error::InvalidArgument {
                argument: "properties",
                ..
            })
        ),
        "{result:?}"
    );
    assert_eq!(bench.session.link(), Link::Open);
    let end = bench
        .session
        .disconnect(bench.now, ReasonCode::SUCCESS, expiry(0));
    assert!(end.is_ok());

    for (seconds, wire) in [(0, b"\x00\x00\x00\x00"), (7200, b"\x00\x00\x1c\x20")] {
        let mut bench = Bench::connected(lasting);
        bench
            .session
            .disconnect(bench.now, ReasonCode::SUCCESS, expiry(seconds))
            .unwrap();
        assert_eq!(bench.sent(), [&b"\xe0\x07\x00\x05\x11"[..], wire].concat());
    }
}

// ---- what we sent ----

/// A refusal ends the message, which is never sent again, and gives its place to the next one in the same write.
///
/// [5.0/MQTT-4.3.2-3] [5.0/MQTT-4.3.3-4] [5.0/MQTT-4.4.0-2]
#[test]
fn a_refusal_makes_room_at_once() {
    let mut bench = Bench::connected(|settings| {
        lasting(settings);
        settings.max_inflight = 2;
    });
    for (payload, qos) in [("a", 1), ("b", 2), ("c", 1), ("d", 2)] {
        bench.publish("t", payload, qos).unwrap();
    }
    assert_eq!(packets(&bench.sent()).len(), 2);
    bench.receive(Packet::PubAck(refusing(1, 0x87))).unwrap();
    assert_eq!(bench.take_unwritten(), b"\x32\x07\x00\x01t\x00\x03\x00c");
    bench.receive(Packet::PubRec(refusing(2, 0x97))).unwrap();
    assert_eq!(bench.take_unwritten(), b"\x34\x07\x00\x01t\x00\x04\x00d");
    assert_eq!(bench.published(), [(1, 0x87), (2, 0x97)]);
    let again = reconnect(&mut bench, true);
    let again: Vec<_> = packets(&again).iter().map(|(_, rest)| rest[4]).collect();
    assert_eq!(again, [3, 4]);
}

/// A PUBREL that was sent again meets a server that has completed the exchange before: no error (MQTT 5.0, section
/// 3.7.2.1). On the connection of its PUBREC it is one.
#[test]
fn pubcomp_that_does_not_know_the_message_ends_it() {
    let mut bench = Bench::connected(lasting);
    let (first, track) = bench.tracked("t", "a", 2);
    bench.sent();
    bench.receive(pubrec(first)).unwrap();
    bench.sent();
    assert_eq!(reconnect(&mut bench, true), ack_bytes(0x62, first));
    bench.receive(Packet::PubComp(refusing(first, 0x92))).unwrap();
    assert_eq!(bench.published(), [(first, 0x00)]);
    assert_eq!(track.heard(), [Heard::Sent, Heard::Acknowledged(0x00)]);

    let (second, track) = bench.tracked("t", "b", 2);
    bench.sent();
    bench.receive(pubrec(second)).unwrap();
    bench.sent();
    bench.receive(Packet::PubComp(refusing(second, 0x92))).unwrap();
    assert_eq!(bench.published(), [(second, 0x92)]);
    assert_eq!(track.heard(), [Heard::Sent, Heard::Acknowledged(0x92)]);
    assert_eq!((bench.sent(), bench.session.unfinished()), (vec![], 0));
}

/// The answers to identifiers that are not known end each exchange, whoever began it: PUBCOMP is not answered.
#[test]
fn unknown_identifiers_do_not_go_round_in_circles() {
    let mut bench = Bench::connected(v5);
    bench.receive(pubrec(5)).unwrap();
    assert_eq!(bench.sent(), ack_bytes(0x62, 5));
    for reason in [0x00, 0x92] {
        bench.receive(Packet::PubComp(refusing(5, reason))).unwrap();
        assert_eq!(bench.sent(), b"");
        bench.receive(Packet::PubRel(refusing(6, reason))).unwrap();
        assert_eq!(bench.sent(), ack_bytes(0x70, 6));
    }
    assert!(bench.events().is_empty());
}

/// Also a PUBREL that says that it does not know the message gets its PUBCOMP, once the application has the message: it
/// is ours since our PUBREC.
///
/// [5.0/MQTT-4.3.3-11]
#[test]
fn pubrel_that_does_not_know_the_message_delivers_it() {
    let mut bench = Bench::connected(v5);
    bench.receive(message("t", "x", 2, 1)).unwrap();
    bench.receive(Packet::PubRel(refusing(1, 0x92))).unwrap();
    assert_eq!(bench.sent(), ack_bytes(0x50, 1));
    let ticket = bench.messages()[0].ticket.unwrap();
    bench.session.acknowledge(bench.now, ticket).unwrap();
    assert_eq!(bench.sent(), ack_bytes(0x70, 1));
    assert_eq!(bench.session.unfinished(), 0);
}

// ---- what the application says about what we received ----

/// A refusal waits for the acknowledgements of the messages before, as any other.
///
/// [5.0/MQTT-3.4.2-1] [5.0/MQTT-4.6.0-2]
#[test]
fn acknowledgements_with_reasons_leave_in_the_order_of_the_messages() {
    let mut bench = Bench::connected(v5);
    let tickets = [1, 2, 3, 4].map(|packet_id| at_least_once(&mut bench, packet_id));
    let with = |bench: &mut Bench, number: usize, code, properties| {
        let reason = ReasonCode::new(code);
        bench
            .session
            .acknowledge_with(bench.now, tickets[number], reason, properties)
            .unwrap();
    };
    with(&mut bench, 3, 0x83, Properties::new());
    with(&mut bench, 1, 0x99, why("no"));
    assert_eq!(bench.sent(), b"");
    bench.session.acknowledge(bench.now, tickets[0]).unwrap();
    let expected: [&[u8]; 2] = [b"\x40\x02\x00\x01", b"\x40\x09\x00\x02\x99\x05\x1f\x00\x02no"];
    assert_eq!(bench.sent(), expected.concat());
    // Success with properties; one that failed does not hold up the last.
    with(
        &mut bench,
        2,
        0x00,
        Property::UserProperty("k".into(), "v".into()).into(),
    );
    let expected: [&[u8]; 2] = [
        b"\x40\x0b\x00\x03\x00\x07\x26\x00\x01k\x00\x01v",
        b"\x40\x03\x00\x04\x83",
    ];
    assert_eq!(bench.sent(), expected.concat());
    assert_eq!(bench.session.unacknowledged(), 0);
}

/// What PUBCOMP may say. A refusal would have to be in the PUBREC, which has left before.
///
/// [5.0/MQTT-3.7.2-1]
#[test]
fn a_message_of_qos_2_cannot_be_refused_any_more() {
    let mut bench = Bench::connected(v5);
    let ticket = exactly_once(&mut bench, 1);
    for code in [0x10, 0x80, 0x92] {
        let reason = ReasonCode::new(code);
        let result = bench
            .session
            .acknowledge_with(bench.now, ticket, reason, Properties::new());
        assert!(
            matches!(
                &result,
                Err(Error::InvalidArgument {
                    argument: "reason_code",
                    ..
                })
            ),
            "{result:?}"
        );
    }
    bench
        .session
        .acknowledge_with(bench.now, ticket, ReasonCode::SUCCESS, why("ok"))
        .unwrap();
    assert_eq!(bench.sent(), b"\x70\x09\x00\x01\x00\x05\x1f\x00\x02ok");
}

/// Every code that a client may send in a PUBACK, and no other.
///
/// [5.0/MQTT-3.4.2-1]
#[test]
fn only_codes_and_properties_of_a_puback_are_accepted() {
    let allowed = [0x00, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    for code in 0..=255 {
        let mut bench = Bench::connected(v5);
        let ticket = at_least_once(&mut bench, 1);
        let result = bench
            .session
            .acknowledge_with(bench.now, ticket, ReasonCode::new(code), why("x"));
        assert_eq!(result.is_ok(), allowed.contains(&code), "{code:#x}");
        assert_eq!(bench.sent().is_empty(), result.is_err());
    }
    let mut bench = Bench::connected(v5);
    let ticket = at_least_once(&mut bench, 1);
    let wrong = Property::TopicAlias(1).into();
    let result = bench
        .session
        .acknowledge_with(bench.now, ticket, ReasonCode::SUCCESS, wrong);
    assert!(matches!(
        result,
        Err(Error::InvalidArgument {
            argument: "properties",
            ..
        })
    ));
    // Nothing was changed.
    bench.session.acknowledge(bench.now, ticket).unwrap();
    assert_eq!(bench.sent(), ack_bytes(0x40, 1));
}

#[test]
fn what_was_said_about_a_message_ends_with_its_connection() {
    let mut bench = Bench::connected(lasting);
    at_least_once(&mut bench, 1);
    let second = at_least_once(&mut bench, 2);
    bench
        .session
        .acknowledge_with(bench.now, second, ReasonCode::NOT_AUTHORIZED, Properties::new())
        .unwrap();
    reconnect(&mut bench, true);
    let again = [1, 2].map(|packet_id| at_least_once(&mut bench, packet_id));
    let late =
        bench
            .session
            .acknowledge_with(bench.now, second, ReasonCode::NOT_AUTHORIZED, Properties::new());
    assert!(matches!(late, Err(Error::InvalidState(_))));
    for ticket in again {
        bench.session.acknowledge(bench.now, ticket).unwrap();
    }
    assert_eq!(bench.sent(), [ack_bytes(0x40, 1), ack_bytes(0x40, 2)].concat());
}

/// What the server would find too large stays away: the user properties first, then the reason string; never the
/// reason.
///
/// [5.0/MQTT-3.4.2-2] [5.0/MQTT-3.4.2-3] [5.0/MQTT-3.7.2-2] [5.0/MQTT-3.7.2-3]
#[test]
fn what_is_said_about_a_message_fits_into_the_servers_packets() {
    let mut bench = Bench::new(v5);
    bench.session.open(bench.now);
    let limit = Property::MaximumPacketSize(20).into();
    bench.connack(false, ReasonCode::SUCCESS, limit).unwrap();
    bench.session.release(bench.now);
    bench.sent();
    bench.events();
    let user = Property::UserProperty("k".into(), "0123456789".into());
    for (text, puback, pubcomp) in [
        (
            "no",
            &b"\x40\x09\x00\x01\x87\x05\x1f\x00\x02no"[..],
            &b"\x70\x09\x00\x02\x00\x05\x1f\x00\x02no"[..],
        ),
        ("not at all, never", b"\x40\x03\x00\x01\x87", b"\x70\x02\x00\x02"),
    ] {
        let once = at_least_once(&mut bench, 1);
        let properties = why(text).with(user.clone());
        bench
            .session
            .acknowledge_with(bench.now, once, ReasonCode::NOT_AUTHORIZED, properties.clone())
            .unwrap();
        assert_eq!(bench.sent(), puback);
        let twice = exactly_once(&mut bench, 2);
        bench
            .session
            .acknowledge_with(bench.now, twice, ReasonCode::SUCCESS, properties)
            .unwrap();
        assert_eq!(bench.sent(), pubcomp);
    }
}

/// An alias that would make the first packet too large is not set.
///
/// [5.0/MQTT-3.2.2-15]
#[test]
fn no_alias_makes_a_packet_too_large() {
    let mut bench = Bench::new(|settings| {
        v5(settings);
        settings.topic_alias_limit = 5;
    });
    bench.session.open(bench.now);
    let limits = Properties::new()
        .with(Property::MaximumPacketSize(24))
        .with(Property::TopicAliasMaximum(5));
    bench.connack(false, ReasonCode::SUCCESS, limits).unwrap();
    bench.session.release(bench.now);
    bench.sent();
    let topic = "0123456789abcdefgh";
    bench.publish(topic, "x", 0).unwrap();
    let whole = bench.sent();
    assert_eq!((whole.len(), whole[22]), (24, 0));
    // It has no alias now either.
    bench.publish(topic, "x", 0).unwrap();
    assert_eq!(bench.sent(), whole);
    bench.publish("shorter", "x", 0).unwrap();
    bench.publish("shorter", "x", 0).unwrap();
    assert_eq!(bench.sent()[16..], *b"\x30\x07\x00\x00\x03\x23\x00\x01x");
}
