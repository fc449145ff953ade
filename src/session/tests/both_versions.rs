//! What MQTT 3.1.1 and 5.0 have in common, statement by statement, in both.

use std::time::Duration;

use super::support::*;
use crate::codec::{Packet, ProtocolVersion, UnsubAck};
use crate::session::*;

const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::V311, ProtocolVersion::V5];

/// A session that lasts, connected.
fn lasting(version: ProtocolVersion) -> Bench {
    Bench::connected(|settings| {
        settings.version = version;
        settings.clean_start = false;
    })
}

/// PUBLISH to "t": flags as 0b1100 (DUP, QoS), `packet_id` 0 for none.
fn publish(version: ProtocolVersion, flags: u8, packet_id: u16, payload: &str) -> Vec<u8> {
    match version {
        // The length of the properties.
        ProtocolVersion::V5 => publish_bytes(flags, "t", packet_id, &format!("\0{payload}")),
        _ => publish_bytes(flags, "t", packet_id, payload),
    }
}

/// Loses the connection and makes another one on which the server has the session; returns what is sent there.
fn resume(bench: &mut Bench) -> Vec<u8> {
    bench.session.closed(bench.now);
    bench.connect(true);
    bench.sent()
}

/// Moves the counter of identifiers on with messages of QoS 0, the last of which gets the id `last`.
fn count_to(bench: &mut Bench, last: u16) {
    for number in 0..70_000 {
        let Accepted::InOutput { mid, .. } = bench.publish("t", "", 0).unwrap() else {
            panic!("not in the output")
        };
        if number % 1000 == 0 || mid == last {
            bench.sent();
        }
        if mid == last {
            return;
        }
    }
    panic!("{last} never came")
}

fn ticket(bench: &mut Bench) -> AckTicket {
    let messages = bench.messages();
    assert_eq!(messages.len(), 1);
    messages[0].ticket.unwrap()
}

// ---- CONNECT and DISCONNECT ----

/// CONNECT is the first packet of each connection, comes once on it, and has the same Client Identifier each time.
///
/// [3.1.1/MQTT-3.1.0-1] [3.1.1/MQTT-3.1.0-2] [3.1.1/MQTT-3.1.3-2] [5.0/MQTT-3.1.0-1] [5.0/MQTT-3.1.0-2]
/// [5.0/MQTT-3.1.3-2]
#[test]
fn connect_comes_first_and_once() {
    for version in VERSIONS {
        let mut bench = Bench::new(|settings| settings.version = version);
        bench.publish("t", "before", 1).unwrap();
        bench.subscribe(&[("f", 1)]);
        for _ in 0..3 {
            bench.session.open(bench.now);
            bench.publish("t", "while connecting", 1).unwrap();
            let mut sent = bench.sent();
            bench.accept(false);
            bench.session.release(bench.now);
            bench.publish("t", "after", 2).unwrap();
            sent.extend(bench.sent());
            let packets = packets(&sent);
            assert_eq!(packets[0].0, 0x10);
            assert!(packets[0].1.ends_with(b"\x00\x01c"));
            assert!(packets.len() > 3);
            assert!(packets[1..].iter().all(|(first, _)| *first != 0x10));
            bench.session.closed(bench.now);
        }
    }
}

/// Behind DISCONNECT nothing leaves, whatever is asked for, comes in or is due.
///
/// [3.1.1/MQTT-3.14.4-2] [5.0/MQTT-3.14.4-1]
#[test]
fn nothing_is_sent_behind_disconnect() {
    for version in VERSIONS {
        let mut bench = lasting(version);
        bench.receive(message("t", "x", 1, 1)).unwrap();
        let acknowledged_late = ticket(&mut bench);
        let (released_late, _) = bench.tracked("t", "x", 2);
        bench.sent();
        let reason = ReasonCode::NORMAL_DISCONNECTION;
        bench
            .session
            .disconnect(bench.now, reason, Properties::new())
            .unwrap();
        assert_eq!(bench.sent(), b"\xe0\x00");
        assert!(bench.session.acknowledge(bench.now, acknowledged_late).is_err());
        bench.receive(pubrec(released_late)).unwrap();
        bench.receive(message("t", "x", 2, 2)).unwrap();
        bench.receive(pubrel(3)).unwrap();
        bench.receive(Packet::PingReq).unwrap();
        bench.tracked("t", "x", 1);
        bench.subscribe(&[("f", 0)]);
        bench.unsubscribe(&["f"]);
        assert!(bench.publish("t", "x", 0).is_err());
        bench.after(Duration::from_secs(1000));
        bench.session.handle_timeout(bench.now).unwrap();
        bench.session.ping_while_busy(bench.now);
        bench.session.release(bench.now);
        assert_eq!(bench.sent(), b"");
    }
}

/// Nothing of what the server had sent before a clean session is left in it: the same identifier is another message.
///
/// [3.1.1/MQTT-3.1.2-6] [3.1.1/MQTT-3.2.2-1] [5.0/MQTT-3.1.2-4] [5.0/MQTT-3.2.2-2]
#[test]
fn a_clean_session_begins_with_nothing() {
    for version in VERSIONS {
        let mut bench = Bench::connected(|settings| {
            settings.version = version;
            settings.on_session_lost = OnSessionLost::Discard;
        });
        bench.receive(message("t", "before", 2, 1)).unwrap();
        let (mid, track) = bench.tracked("t", "x", 2);
        bench.sent();
        bench.session.closed(bench.now);
        bench.connect(false);
        assert_eq!(bench.sent(), b"");
        assert_eq!(
            track.heard(),
            [Heard::Sent, Heard::Dropped(DropReason::SessionLost)]
        );
        assert_eq!(bench.session.unfinished(), 0);
        // Neither direction knows the old exchange.
        bench.receive(pubcomp(mid)).unwrap();
        bench.receive(message("t", "after", 2, 1)).unwrap();
        bench.receive(pubrel(1)).unwrap();
        assert_eq!(bench.messages()[0].publish.payload, "after");
        // And the server may not have anything either.
        bench.session.closed(bench.now);
        bench.session.open(bench.now);
        let claimed = bench.connack(true, ReasonCode::SUCCESS, Properties::new());
        assert_eq!(claimed.unwrap_err().reason, ReasonCode::PROTOCOL_ERROR);
    }
}

/// What a session has lasts as long as it: while the connection is open, and to the next one.
///
/// [3.1.1/MQTT-3.1.2-4] [3.1.1/MQTT-3.2.2-2] [3.1.1/MQTT-4.1.0-1] [3.1.1/MQTT-4.1.0-2] [5.0/MQTT-3.2.2-3]
/// [5.0/MQTT-4.1.0-1] [5.0/MQTT-4.4.0-1]
#[test]
fn the_state_of_a_session_lasts_as_long_as_the_session() {
    for version in VERSIONS {
        let mut bench = lasting(version);
        let (one, _) = bench.tracked("t", "one", 1);
        let (two, _) = bench.tracked("t", "two", 2);
        bench.receive(message("t", "half", 2, 9)).unwrap();
        bench.receive(pubrec(two)).unwrap();
        bench.sent();
        for round in 0..3 {
            for _ in 0..100 {
                bench.after(Duration::from_secs(60));
                bench.session.handle_timeout(bench.now).unwrap();
                assert_eq!(bench.sent(), b"\xc0\x00");
                bench.session.received_bytes(bench.now, 2);
                bench.receive(Packet::PingResp).unwrap();
            }
            assert_eq!(bench.session.unfinished(), 3, "round {round}");
            let again = [publish(version, 0b1010, one, "one"), ack_bytes(0x62, two)];
            assert_eq!(resume(&mut bench), again.concat());
        }
        bench.receive(puback(one)).unwrap();
        bench.receive(pubcomp(two)).unwrap();
        bench.receive(message("t", "again", 2, 9)).unwrap();
        bench.receive(pubrel(9)).unwrap();
        assert_eq!(bench.messages()[0].publish.payload, "half");
    }
}

// ---- messages of ours ----

/// QoS 0: no Packet Identifier, no DUP, once.
///
/// [3.1.1/MQTT-2.3.1-5] [3.1.1/MQTT-3.3.1-2] [3.1.1/MQTT-4.3.1-1] [5.0/MQTT-2.2.1-2] [5.0/MQTT-3.3.1-2]
/// [5.0/MQTT-4.3.1-1]
#[test]
fn a_message_of_qos_0_is_sent_once_without_identifier() {
    for version in VERSIONS {
        let mut bench = lasting(version);
        bench.publish("t", "x", 0).unwrap();
        assert_eq!(bench.sent(), publish(version, 0, 0, "x"));
        assert_eq!(resume(&mut bench), b"");
        // Also one that had to wait.
        bench.session.settings.queue.keep_qos0 = true;
        bench.session.closed(bench.now);
        bench.publish("t", "y", 0).unwrap();
        bench.connect(true);
        assert_eq!(bench.sent(), publish(version, 0, 0, "y"));
        assert_eq!(resume(&mut bench), b"");
    }
}

/// QoS 1: an identifier, no DUP; the message is unacknowledged, and comes again with DUP and that identifier, until its
/// PUBACK; then never again.
///
/// [3.1.1/MQTT-2.3.1-1] [3.1.1/MQTT-2.3.1-3] [3.1.1/MQTT-3.3.1-1] [3.1.1/MQTT-4.3.2-1] [3.1.1/MQTT-4.4.0-1]
/// [5.0/MQTT-3.3.1-1] [5.0/MQTT-4.3.2-1] [5.0/MQTT-4.3.2-2] [5.0/MQTT-4.3.2-3] [5.0/MQTT-4.4.0-2]
#[test]
fn a_message_of_qos_1_is_unacknowledged_until_its_puback() {
    for version in VERSIONS {
        let mut bench = lasting(version);
        let (mid, _) = bench.tracked("t", "x", 1);
        assert_eq!(bench.sent(), publish(version, 0b0010, 1, "x"));
        for _ in 0..3 {
            assert_eq!(resume(&mut bench), publish(version, 0b1010, mid, "x"));
            assert_eq!(bench.session.inflight(), 1);
        }
        bench.receive(puback(mid)).unwrap();
        assert_eq!(bench.session.inflight(), 0);
        assert_eq!(resume(&mut bench), b"");
    }
}

/// QoS 2: to PUBREC as with QoS 1; then PUBREL with the same identifier, which comes again until PUBCOMP; after PUBREL
/// never PUBLISH.
///
/// [3.1.1/MQTT-2.3.1-3] [3.1.1/MQTT-2.3.1-6] [3.1.1/MQTT-4.3.3-1] [3.1.1/MQTT-4.4.0-1] [5.0/MQTT-2.2.1-5]
/// [5.0/MQTT-4.3.3-1] [5.0/MQTT-4.3.3-2] [5.0/MQTT-4.3.3-3] [5.0/MQTT-4.3.3-4] [5.0/MQTT-4.3.3-5] [5.0/MQTT-4.3.3-6]
#[test]
fn a_message_of_qos_2_goes_through_all_its_steps() {
    for version in VERSIONS {
        let mut bench = lasting(version);
        let (mid, track) = bench.tracked("t", "x", 2);
        assert_eq!(bench.sent(), publish(version, 0b0100, mid, "x"));
        assert_eq!(resume(&mut bench), publish(version, 0b1100, mid, "x"));
        bench.receive(pubrec(mid)).unwrap();
        assert_eq!(bench.sent(), ack_bytes(0x62, mid));
        for _ in 0..3 {
            assert_eq!(resume(&mut bench), ack_bytes(0x62, mid));
            // Also where the server asks for it again.
            bench.receive(pubrec(mid)).unwrap();
            assert_eq!(bench.sent(), ack_bytes(0x62, mid));
            assert_eq!(bench.session.inflight(), 1);
        }
        bench.receive(pubcomp(mid)).unwrap();
        assert_eq!(track.heard(), [Heard::Sent, Heard::Acknowledged(0)]);
        assert_eq!(resume(&mut bench), b"");
    }
}

/// An identifier is not given to anything else before its exchange is over, however often the counter goes round: not
/// that of a message at each step, not that of a request; afterwards it is.
///
/// [3.1.1/MQTT-2.3.1-1] [3.1.1/MQTT-2.3.1-2] [3.1.1/MQTT-2.3.1-3] [5.0/MQTT-2.2.1-3] [5.0/MQTT-4.3.2-1]
/// [5.0/MQTT-4.3.3-1]
#[test]
fn an_identifier_in_use_is_not_given_again() {
    for version in VERSIONS {
        let mut bench = lasting(version);
        assert_eq!(bench.tracked("t", "x", 1).0, 1);
        assert_eq!(bench.tracked("t", "x", 2).0, 2);
        assert_eq!(bench.tracked("t", "x", 2).0, 3);
        assert_eq!(bench.subscribe(&[("f", 0)]).0, 4);
        assert_eq!(bench.unsubscribe(&["f"]).0, 5);
        bench.receive(pubrec(3)).unwrap();
        count_to(&mut bench, 65_535);
        assert_eq!(bench.tracked("t", "x", 1).0, 6);
        // Each kind of exchange has its end.
        for packet in [puback(1), pubrec(2), pubcomp(2), pubcomp(3), puback(6)] {
            bench.receive(packet).unwrap();
        }
        bench.receive(suback(4, &[0])).unwrap();
        bench.receive(unsuback_of(version, 5)).unwrap();
        count_to(&mut bench, 65_535);
        for mid in 1..=6 {
            assert_eq!(bench.tracked("t", "x", 1).0, mid);
        }
    }
}

/// The UNSUBACK for one filter.
fn unsuback_of(version: ProtocolVersion, packet_id: u16) -> Packet {
    unsuback_with(packet_id, if version == ProtocolVersion::V5 { &[0] } else { &[] })
}

fn unsuback_with(packet_id: u16, codes: &[u8]) -> Packet {
    Packet::UnsubAck(UnsubAck {
        packet_id: id(packet_id),
        properties: Properties::new(),
        reasons: codes.iter().map(|&code| ReasonCode::new(code)).collect(),
    })
}

/// What is sent again is in the order in which it was sent first, whatever was acknowledged meanwhile, and although the
/// identifiers begin again on the way; PUBREL is in the order of the PUBRECs.
///
/// [3.1.1/MQTT-4.6.0-1] [3.1.1/MQTT-4.6.0-4] [5.0/MQTT-4.6.0-1] [5.0/MQTT-4.6.0-4]
#[test]
fn what_is_sent_again_keeps_its_order() {
    for version in VERSIONS {
        let mut bench = lasting(version);
        count_to(&mut bench, 65_530);
        let mids = [65_531, 65_532, 65_533, 65_534, 65_535, 1, 2, 3, 4];
        let qos = |mid: u16| if mid % 3 == 0 { 2 } else { 1 };
        for mid in mids {
            assert_eq!(bench.tracked("t", "x", qos(mid)).0, mid);
        }
        bench.sent();
        bench.receive(puback(65_533)).unwrap();
        let expected: Vec<u8> = mids
            .into_iter()
            .filter(|mid| *mid != 65_533)
            .flat_map(|mid| publish(version, 0b1000 | qos(mid) << 1, mid, "x"))
            .collect();
        for _ in 0..2 {
            assert_eq!(resume(&mut bench), expected);
        }
        let releases = [3, 65_535, 65_532];
        for mid in releases {
            bench.receive(pubrec(mid)).unwrap();
        }
        let released = |bytes: &[u8]| -> Vec<u16> {
            let packets = packets(bytes).into_iter();
            let pubrels = packets.filter(|(first, _)| *first == 0x62);
            pubrels
                .map(|(_, rest)| u16::from_be_bytes([rest[0], rest[1]]))
                .collect()
        };
        assert_eq!(released(&bench.sent()), releases);
        assert_eq!(released(&resume(&mut bench)), releases);
    }
}

// ---- messages of the server ----

/// QoS 1: PUBACK with its identifier for each PUBLISH; behind it the same identifier is another message, with DUP or not.
///
/// [3.1.1/MQTT-2.3.1-6] [3.1.1/MQTT-3.3.4-1] [3.1.1/MQTT-4.3.2-2] [5.0/MQTT-2.2.1-5] [5.0/MQTT-3.3.4-1]
/// [5.0/MQTT-4.3.2-4] [5.0/MQTT-4.3.2-5]
#[test]
fn a_received_message_of_qos_1_is_acknowledged_each_time() {
    for version in VERSIONS {
        let mut bench = lasting(version);
        for packet_id in [7, 7, 65_535, 7] {
            bench.receive(message("t", "x", 1, packet_id)).unwrap();
            let ticket = ticket(&mut bench);
            bench.session.acknowledge(bench.now, ticket).unwrap();
            assert_eq!(bench.sent(), ack_bytes(0x40, packet_id));
        }
        bench.receive(message("t", "x", 0, 0)).unwrap();
        assert_eq!(bench.messages().len(), 1);
        assert_eq!(bench.sent(), b"");
    }
}

/// QoS 2: PUBREC for each PUBLISH until PUBREL, PUBCOMP for each PUBREL, one delivery; behind PUBCOMP the same identifier
/// is another message.
///
/// [3.1.1/MQTT-2.3.1-6] [3.1.1/MQTT-3.3.4-1] [3.1.1/MQTT-4.3.3-2] [5.0/MQTT-2.2.1-5] [5.0/MQTT-3.3.4-1]
/// [5.0/MQTT-4.3.3-8] [5.0/MQTT-4.3.3-10] [5.0/MQTT-4.3.3-11] [5.0/MQTT-4.3.3-12]
#[test]
fn a_received_message_of_qos_2_is_delivered_once() {
    for version in VERSIONS {
        let mut bench = lasting(version);
        for round in ["first", "second"] {
            for connection in 0..3 {
                bench.receive(message("t", round, 2, 7)).unwrap();
                assert_eq!(bench.sent(), ack_bytes(0x50, 7));
                if connection == 1 {
                    assert_eq!(resume(&mut bench), b"");
                }
            }
            bench.receive(pubrel(7)).unwrap();
            let messages = bench.messages();
            assert_eq!(messages.len(), 1);
            assert_eq!(messages[0].publish.payload, round);
            let ticket = messages[0].ticket.unwrap();
            bench.session.acknowledge(bench.now, ticket).unwrap();
            assert_eq!(bench.sent(), ack_bytes(0x70, 7));
            // Our PUBCOMP was lost.
            assert_eq!(resume(&mut bench), b"");
            bench.receive(pubrel(7)).unwrap();
            assert_eq!(bench.sent(), ack_bytes(0x70, 7));
            assert!(bench.messages().is_empty());
        }
    }
}

/// PUBACKs and PUBRECs leave in the order in which the messages came.
///
/// [3.1.1/MQTT-4.6.0-2] [3.1.1/MQTT-4.6.0-3] [5.0/MQTT-4.6.0-2] [5.0/MQTT-4.6.0-3]
#[test]
fn acknowledgements_leave_in_the_order_of_receipt() {
    for version in VERSIONS {
        let mut bench = lasting(version);
        for packet_id in [5, 3, 9] {
            bench.receive(message("t", "x", 2, packet_id)).unwrap();
        }
        bench.receive(message("t", "x", 2, 3)).unwrap();
        let expected = [5, 3, 9, 3].map(|packet_id| ack_bytes(0x50, packet_id));
        assert_eq!(bench.sent(), expected.concat());
        for packet_id in [6, 2, 4] {
            bench.receive(message("t", "x", 1, packet_id)).unwrap();
        }
        // The application takes its time with the first.
        for received in bench.messages().into_iter().rev() {
            bench
                .session
                .acknowledge(bench.now, received.ticket.unwrap())
                .unwrap();
        }
        let expected = [6, 2, 4].map(|packet_id| ack_bytes(0x40, packet_id));
        assert_eq!(bench.sent(), expected.concat());
    }
}

// ---- subscriptions ----

/// One code for each filter, in their order: of a request for three, the second was refused, and is not asked for again.
/// The answer to many filters is one, and has the identifier of its request.
///
/// [3.1.1/MQTT-2.3.1-7] [3.1.1/MQTT-3.8.4-2] [3.1.1/MQTT-3.8.4-4] [3.1.1/MQTT-3.8.4-5] [3.1.1/MQTT-3.9.3-1]
/// [5.0/MQTT-2.2.1-6] [5.0/MQTT-3.8.4-6] [5.0/MQTT-3.9.3-1]
#[test]
fn each_filter_has_its_code() {
    for version in VERSIONS {
        let mut bench = lasting(version);
        let filters = [("a", 1), ("b", 1), ("c", 1)];
        let (mid, track) = bench.subscribe(&filters);
        bench.sent();
        for codes in [&[0, 0][..], &[0, 0, 0, 0]] {
            let error = bench.receive(suback(mid, codes)).unwrap_err();
            let statement = if version == ProtocolVersion::V5 {
                "MQTT-3.8.4-6"
            } else {
                "MQTT-3.8.4-5"
            };
            assert_eq!(
                (error.reason, error.statement),
                (ReasonCode::PROTOCOL_ERROR, statement)
            );
        }
        // Not ours.
        bench.receive(suback(mid + 1, &[0, 0, 0])).unwrap();
        assert_eq!(track.heard(), [Heard::Sent]);
        bench.receive(suback(mid, &[1, 0x80, 0])).unwrap();
        assert_eq!(track.heard()[1..], [Heard::Granted(vec![1, 0x80, 0])]);
        bench.session.closed(bench.now);
        bench.connect(false);
        let renewed = bench.sent();
        let filters: Vec<u8> = packets(&renewed)[0]
            .1
            .iter()
            .copied()
            .filter(u8::is_ascii_lowercase)
            .collect();
        assert_eq!(filters, b"ac");
    }
}

/// In MQTT 5.0 the same goes for UNSUBACK; before, it has no codes.
///
/// [3.1.1/MQTT-2.3.1-7] [5.0/MQTT-2.2.1-6] [5.0/MQTT-3.11.3-1]
#[test]
fn each_filter_to_remove_has_its_code() {
    let mut bench = lasting(ProtocolVersion::V5);
    let (mid, track) = bench.unsubscribe(&["a", "b"]);
    for codes in [&[0][..], &[0, 0, 0]] {
        let error = bench.receive(unsuback_with(mid, codes)).unwrap_err();
        assert_eq!(
            (error.reason, error.statement),
            (ReasonCode::PROTOCOL_ERROR, "MQTT-3.11.3-1")
        );
    }
    bench.receive(unsuback_with(mid + 1, &[0, 0])).unwrap();
    assert_eq!(track.heard(), [Heard::Sent]);
    bench.receive(unsuback_with(mid, &[0x11, 0x87])).unwrap();
    assert_eq!(track.heard()[1..], [Heard::Granted(vec![0x11, 0x87])]);

    let mut bench = lasting(ProtocolVersion::V311);
    let (mid, track) = bench.unsubscribe(&["a", "b"]);
    bench.receive(unsuback(mid + 1)).unwrap();
    assert_eq!(track.heard(), [Heard::Sent]);
    bench.receive(unsuback(mid)).unwrap();
    assert_eq!(track.heard()[1..], [Heard::Granted(vec![])]);
}

/// A server may grant less than was asked for; and a filter that is subscribed to again has the options of the last time,
/// with the server and here.
///
/// [3.1.1/MQTT-3.8.4-3] [3.1.1/MQTT-3.8.4-6]
#[test]
fn less_may_be_granted_and_the_last_request_counts() {
    let mut bench = lasting(ProtocolVersion::V311);
    for (asked, granted) in [(2, 1), (1, 1), (0, 0)] {
        let (mid, track) = bench.subscribe(&[("a", asked)]);
        bench.receive(suback(mid, &[granted])).unwrap();
        assert_eq!(track.heard()[1..], [Heard::Granted(vec![granted])]);
    }
    bench.sent();
    bench.session.closed(bench.now);
    bench.connect(false);
    assert_eq!(bench.sent(), b"\x82\x06\x00\x04\x00\x01a\x00");
}

/// A request without its answer is still open on the next connection, and made again.
///
/// [3.1.1/MQTT-3.8.4-1]
#[test]
fn a_request_without_an_answer_stays_open() {
    for version in VERSIONS {
        let mut bench = lasting(version);
        let (_, track) = bench.subscribe(&[("a", 0)]);
        let first = bench.sent();
        for _ in 0..2 {
            assert_eq!(resume(&mut bench), first);
        }
        bench.receive(suback(1, &[0])).unwrap();
        assert_eq!(track.heard().last(), Some(&Heard::Granted(vec![0])));
        assert_eq!(resume(&mut bench), b"");
    }
}
