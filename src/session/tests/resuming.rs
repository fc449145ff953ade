//! Outgoing messages across connections.

use super::support::*;
use crate::codec::ProtocolVersion;
use crate::session::*;

/// A persistent session, connected.
fn persistent(change: impl FnOnce(&mut Settings)) -> Bench {
    Bench::connected(|settings| {
        settings.clean_start = false;
        change(settings);
    })
}

/// Loses the connection and opens the next one; nothing but CONNECT is sent.
fn reopen(bench: &mut Bench) {
    bench.session.closed(bench.now);
    bench.session.open(bench.now);
    assert_eq!(packets(&bench.sent()).len(), 1);
}

/// The same, to the CONNACK; returns what is sent then.
fn reconnect(bench: &mut Bench, session_present: bool) -> Vec<u8> {
    reopen(bench);
    bench.accept(session_present);
    bench.events();
    bench.sent()
}

/// [3.1.1/MQTT-3.3.1-1] [3.1.1/MQTT-4.4.0-1] [3.1.1/MQTT-4.6.0-1]
#[test]
fn unacknowledged_messages_are_sent_again_with_dup_in_their_order_after_the_connack() {
    let mut bench = persistent(|_| {});
    for (payload, qos) in [("a", 1), ("b", 2), ("c", 1), ("d", 1)] {
        bench.publish("t", payload, qos).unwrap();
    }
    bench.sent();
    bench.receive(puback(3)).unwrap();
    let again = reconnect(&mut bench, true);
    let expected = [
        publish_bytes(0b1010, "t", 1, "a"),
        publish_bytes(0b1100, "t", 2, "b"),
        publish_bytes(0b1010, "t", 4, "d"),
    ];
    assert_eq!(again, expected.concat());
    assert_eq!(bench.session.counters().resent, 3);
    bench.session.release(bench.now);
    assert_eq!(bench.sent(), b"");
}

/// [3.1.1/MQTT-4.6.0-1]
#[test]
fn the_order_is_that_of_sending_also_when_identifiers_wrap_round() {
    let mut bench = persistent(|_| {});
    for _ in 1..65_534 {
        bench.publish("t", "", 0).unwrap();
        bench.sent();
    }
    for payload in ["a", "b", "c", "d"] {
        bench.publish("t", payload, 1).unwrap();
    }
    bench.sent();
    let again = publishes(&reconnect(&mut bench, true));
    let again: Vec<_> = again
        .iter()
        .map(|seen| (seen.packet_id, &seen.payload[..]))
        .collect();
    assert_eq!(again, [(65_534, "a"), (65_535, "b"), (1, "c"), (2, "d")]);
}

/// [3.1.1/MQTT-3.3.1-1]
#[test]
fn dup_is_set_only_where_a_byte_was_written_before() {
    let mut bench = persistent(|_| {});
    bench.publish("t", "a", 1).unwrap();
    bench.publish("t", "b", 1).unwrap();
    bench.publish("t", "c", 1).unwrap();
    let bytes = bench.take_unwritten();
    assert_eq!(bytes.len(), 3 * 8);
    // The first message and one byte of the second.
    bench.session.wrote(bench.now, 9);
    let again = reconnect(&mut bench, true);
    let firsts: Vec<_> = publishes(&again).iter().map(|seen| seen.first).collect();
    assert_eq!(firsts, [0x3a, 0x3a, 0x32]);
    // Now it was.
    let again = reconnect(&mut bench, true);
    assert!(publishes(&again).iter().all(|seen| seen.first == 0x3a));
}

/// [5.0/MQTT-3.3.1-1]
#[test]
fn what_a_writer_has_in_hand_when_the_connection_ends_may_have_been_sent() {
    let mut bench = persistent(|_| {});
    bench.publish("t", "a", 1).unwrap();
    let bytes = bench.take_unwritten();
    bench.session.writes(bytes.len());
    bench.publish("t", "b", 1).unwrap();
    // The reader sees the end of the stream before the writer has told what it wrote.
    let again = reconnect(&mut bench, true);
    let firsts: Vec<_> = publishes(&again).iter().map(|seen| seen.first).collect();
    assert_eq!(firsts, [0x3a, 0x32]);
}

/// [3.1.1/MQTT-4.6.0-4]
#[test]
fn a_message_that_got_pubrec_goes_on_with_pubrel_in_the_order_of_the_pubrecs() {
    let mut bench = persistent(|_| {});
    for payload in ["a", "b", "c", "d"] {
        bench.publish("t", payload, 2).unwrap();
    }
    bench.sent();
    bench.receive(pubrec(3)).unwrap();
    bench.receive(pubrec(1)).unwrap();
    bench.sent();
    let again = reconnect(&mut bench, true);
    let expected = [
        ack_bytes(0x62, 3),
        publish_bytes(0b1100, "t", 2, "b"),
        ack_bytes(0x62, 1),
        publish_bytes(0b1100, "t", 4, "d"),
    ];
    assert_eq!(again, expected.concat());
    bench.receive(pubcomp(3)).unwrap();
    assert_eq!(bench.published(), [(3, 0)]);
}

/// [3.1.1/MQTT-3.2.2-3]
#[test]
fn a_lost_session_starts_qos_2_with_publish_again() {
    let mut bench = Bench::connected(|_| {});
    bench.publish("t", "a", 2).unwrap();
    bench.publish("t", "b", 1).unwrap();
    bench.sent();
    bench.receive(pubrec(1)).unwrap();
    bench.sent();
    let again = reconnect(&mut bench, false);
    let expected = [
        publish_bytes(0b1100, "t", 1, "a"),
        publish_bytes(0b1010, "t", 2, "b"),
    ];
    assert_eq!(again, expected.concat());
    bench.receive(pubrec(1)).unwrap();
    assert_eq!(bench.sent(), ack_bytes(0x62, 1));
    bench.receive(pubcomp(1)).unwrap();
    assert_eq!(bench.published(), [(1, 0)]);
}

#[test]
fn a_lost_session_drops_what_the_policy_does_not_send_again() {
    for (policy, kept) in [
        (OnSessionLost::ResendQos1Only, vec!["one"]),
        (OnSessionLost::Discard, vec![]),
    ] {
        let mut bench = persistent(|settings| settings.on_session_lost = policy);
        let (_, one) = bench.tracked("t", "one", 1);
        let (_, two) = bench.tracked("t", "two", 2);
        let (_, released) = bench.tracked("t", "released", 2);
        bench.sent();
        bench.receive(pubrec(3)).unwrap();
        bench.sent();
        // Never on the wire: it cannot arrive twice.
        let (_, unsent) = bench.tracked("t", "unsent", 2);
        let again = reconnect(&mut bench, false);
        let mut expected = kept.clone();
        expected.push("unsent");
        assert_eq!(payloads(&again), expected);
        let lost = Heard::Dropped(DropReason::SessionLost);
        assert_eq!(two.heard(), [Heard::Sent, lost.clone()]);
        assert_eq!(released.heard(), [Heard::Sent, lost.clone()]);
        assert_eq!(one.heard().contains(&lost), kept.is_empty());
        assert_eq!(unsent.heard(), [Heard::Sent]);
        assert_eq!(bench.session.inflight(), expected.len());
        assert_eq!(bench.session.counters().dropped, 4 - expected.len() as u64);
    }
}

#[test]
fn the_policy_for_lost_sessions_does_not_matter_while_there_is_one() {
    let mut bench = persistent(|settings| settings.on_session_lost = OnSessionLost::Discard);
    bench.tracked("t", "a", 2);
    bench.sent();
    assert_eq!(payloads(&reconnect(&mut bench, true)), ["a"]);
}

#[test]
fn what_is_sent_again_stays_within_the_window_and_goes_before_everything_else() {
    let mut bench = persistent(|settings| settings.max_inflight = 4);
    for payload in ["a", "b", "c", "d", "queued"] {
        bench.publish("t", payload, 1).unwrap();
    }
    bench.sent();
    bench.session.settings.max_inflight = 2;
    assert_eq!(payloads(&reconnect(&mut bench, true)), ["a", "b"]);
    bench.publish("t", "new", 1).unwrap();
    bench.session.release(bench.now);
    assert_eq!(bench.sent(), b"");
    let mut order = Vec::new();
    for packet_id in 1..=4 {
        bench.receive(puback(packet_id)).unwrap();
        order.extend(payloads(&bench.sent()));
    }
    assert_eq!(order, ["c", "d", "queued", "new"]);
}

#[test]
fn pubrel_is_not_held_up_by_the_window() {
    let mut bench = persistent(|settings| settings.max_inflight = 3);
    for payload in ["a", "b", "c"] {
        bench.publish("t", payload, 2).unwrap();
    }
    bench.sent();
    bench.receive(pubrec(2)).unwrap();
    bench.receive(pubrec(3)).unwrap();
    bench.sent();
    bench.session.settings.max_inflight = 1;
    let again = reconnect(&mut bench, true);
    assert_eq!(again, [ack_bytes(0x62, 2), ack_bytes(0x62, 3)].concat());
    bench.receive(pubcomp(2)).unwrap();
    assert_eq!(bench.sent(), b"");
    bench.receive(pubcomp(3)).unwrap();
    assert_eq!(bench.sent(), publish_bytes(0b1100, "t", 1, "a"));
}

#[test]
fn a_message_acknowledged_while_it_waits_is_not_sent_again() {
    let mut bench = persistent(|settings| settings.max_inflight = 3);
    for payload in ["a", "b", "c"] {
        bench.publish("t", payload, 1).unwrap();
    }
    bench.sent();
    bench.session.settings.max_inflight = 1;
    assert_eq!(payloads(&reconnect(&mut bench, true)), ["a"]);
    bench.receive(puback(2)).unwrap();
    bench.receive(puback(1)).unwrap();
    assert_eq!(payloads(&bench.sent()), ["c"]);
}

#[test]
fn what_was_written_behind_connect_is_not_sent_again_at_its_connack() {
    let mut bench = Bench::new(|_| {});
    bench.session.open(bench.now);
    bench.publish("t", "early", 1).unwrap();
    bench.sent();
    bench.accept(false);
    bench.session.release(bench.now);
    assert_eq!(bench.sent(), b"");
    assert_eq!(payloads(&reconnect(&mut bench, false)), ["early"]);
}

#[test]
fn new_messages_wait_until_the_connack_tells_what_becomes_of_the_old_ones() {
    let mut bench = Bench::connected(|_| {});
    bench.publish("t", "old", 1).unwrap();
    bench.sent();
    reopen(&mut bench);
    bench.publish("t", "new", 1).unwrap();
    assert_eq!(bench.sent(), b"");
    bench.accept(false);
    bench.events();
    assert_eq!(payloads(&bench.sent()), ["old", "new"]);
}

#[test]
fn two_connections_that_fail_before_the_connack_lose_nothing() {
    let mut bench = persistent(|_| {});
    bench.publish("t", "a", 1).unwrap();
    bench.sent();
    bench.receive(puback(1)).unwrap();
    bench.publish("t", "b", 2).unwrap();
    bench.sent();
    bench.receive(pubrec(2)).unwrap();
    bench.sent();
    reopen(&mut bench);
    reopen(&mut bench);
    assert_eq!(reconnect(&mut bench, true), ack_bytes(0x62, 2));
}

#[test]
fn a_lot_to_send_again_waits_for_room_in_the_output() {
    let mut bench = persistent(|settings| settings.max_inflight = 0);
    let payload = "x".repeat(20_000);
    for _ in 0..40 {
        bench.publish("t", &payload, 1).unwrap();
        bench.sent();
    }
    reopen(&mut bench);
    bench.accept(true);
    bench.session.release(bench.now);
    bench.publish("t", "last", 1).unwrap();
    assert!(bench.session.output().len() < 300_000);
    let sent = payloads(&bench.sent());
    assert_eq!(sent.len(), 41);
    assert_eq!(sent[40], "last");
}

#[test]
fn mqtt_3_1_has_no_session_flag_and_takes_a_session_that_it_asked_for_as_present() {
    for clean in [false, true] {
        let mut bench = Bench::connected(|settings| {
            settings.version = ProtocolVersion::V31;
            settings.clean_start = clean;
        });
        bench.publish("t", "a", 2).unwrap();
        bench.sent();
        bench.receive(pubrec(1)).unwrap();
        bench.sent();
        let expected = match clean {
            false => ack_bytes(0x62, 1),
            true => publish_bytes(0b1100, "t", 1, "a"),
        };
        assert_eq!(reconnect(&mut bench, false), expected);
    }
}

#[test]
fn messages_of_qos_0_in_the_output_end_with_the_connection() {
    let mut bench = Bench::connected(|settings| settings.queue.keep_qos0 = true);
    bench.publish("t", "written", 0).unwrap();
    bench.sent();
    bench.publish("t", "lost", 0).unwrap();
    let half = bench.take_unwritten().len() / 2;
    bench.session.wrote(bench.now, half);
    bench.session.closed(bench.now);
    assert_eq!(bench.session.counters().dropped, 1);
    let (_, tracker) = bench.tracked("t", "queued", 0);
    bench.connect(false);
    assert_eq!(tracker.heard(), [Heard::Sent]);
    bench.session.closed(bench.now);
    assert_eq!(
        tracker.heard(),
        [Heard::Sent, Heard::Dropped(DropReason::ConnectionLost)]
    );
    assert_eq!(bench.session.counters().dropped, 2);
}
