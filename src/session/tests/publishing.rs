//! Outgoing messages on one connection: flows, window, positions, message ids.

use super::support::*;
use crate::codec::Packet;
use crate::error::Error;
use crate::session::out_buffer::SHARED_PAYLOAD_MIN;
use crate::session::*;

/// The default of `Settings::output_limit`.
const HIGH_WATER: usize = 256 * 1024;

#[test]
fn qos_0_goes_straight_into_the_output() {
    let mut bench = Bench::connected(|_| {});
    let Ok(Accepted::InOutput { mid: 1, end }) = bench.publish("a/b", "on", 0) else {
        panic!("not in the output")
    };
    assert_eq!(end, bench.session.written() + 9);
    assert_eq!(bench.sent(), b"\x30\x07\x00\x03a/bon");
    assert_eq!(bench.session.written(), end);
    assert_eq!(bench.session.unfinished(), 0);
}

#[test]
fn retain_and_an_empty_payload_are_on_the_wire() {
    let mut bench = Bench::connected(|_| {});
    let message = Outgoing {
        topic: "t",
        payload: PayloadRef::Borrowed(b""),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: &Properties::new(),
    };
    bench
        .session
        .publish(|| bench.now, &message, |_| Tracker::default())
        .unwrap();
    assert_eq!(bench.sent(), b"\x33\x05\x00\x01t\x00\x01");
}

#[test]
fn qos_1_ends_with_puback() {
    let mut bench = Bench::connected(|_| {});
    let (mid, tracker) = bench.tracked("t", "x", 1);
    assert_eq!(bench.sent(), b"\x32\x06\x00\x01t\x00\x01x");
    assert_eq!(tracker.heard(), [Heard::Sent]);
    assert_eq!((bench.session.inflight(), bench.session.unfinished()), (1, 1));
    bench.receive(puback(mid)).unwrap();
    assert_eq!(tracker.heard(), [Heard::Sent, Heard::Acknowledged(0)]);
    assert_eq!(bench.published(), [(1, 0)]);
    assert_eq!(bench.session.unfinished(), 0);
    assert_eq!(bench.sent(), b"");
}

#[test]
fn qos_2_is_released_after_pubrec_and_ends_with_pubcomp() {
    let mut bench = Bench::connected(|_| {});
    let (mid, tracker) = bench.tracked("t", "x", 2);
    assert_eq!(bench.sent(), b"\x34\x06\x00\x01t\x00\x01x");
    bench.receive(pubrec(mid)).unwrap();
    assert_eq!(bench.sent(), b"\x62\x02\x00\x01");
    bench.receive(pubrec(mid)).unwrap();
    assert_eq!(bench.sent(), b"\x62\x02\x00\x01");
    assert!(bench.published().is_empty());
    bench.receive(pubcomp(mid)).unwrap();
    assert_eq!(bench.published(), [(1, 0)]);
    assert_eq!(tracker.heard(), [Heard::Sent, Heard::Acknowledged(0)]);
    assert_eq!(bench.session.unfinished(), 0);
}

#[test]
fn a_puback_ends_a_message_of_qos_2_as_well() {
    let mut bench = Bench::connected(|_| {});
    let (mid, _) = bench.tracked("t", "x", 2);
    bench.receive(puback(mid)).unwrap();
    assert_eq!(bench.published(), [(mid, 0)]);
    assert_eq!(bench.session.inflight(), 0);
}

#[test]
fn answers_of_the_wrong_kind_break_the_protocol() {
    let mut bench = Bench::connected(|_| {});
    let (at_least_once, _) = bench.tracked("t", "x", 1);
    let (exactly_once, _) = bench.tracked("t", "x", 2);
    assert_eq!(
        bench.receive(pubrec(at_least_once)).unwrap_err().statement,
        "MQTT-4.3.2-1"
    );
    assert!(bench.receive(pubcomp(at_least_once)).is_err());
    assert_eq!(
        bench.receive(pubcomp(exactly_once)).unwrap_err().statement,
        "MQTT-4.3.3-1"
    );
    assert_eq!(bench.session.inflight(), 2);
}

#[test]
fn answers_for_unknown_identifiers_are_ignored_but_pubrec_is_answered() {
    let mut bench = Bench::connected(|_| {});
    bench.receive(puback(7)).unwrap();
    bench.receive(pubcomp(7)).unwrap();
    bench.receive(suback(7, &[0])).unwrap();
    bench.receive(unsuback(7)).unwrap();
    assert_eq!(bench.sent(), b"");
    bench.receive(pubrec(7)).unwrap();
    assert_eq!(bench.sent(), ack_bytes(0x62, 7));
    assert!(bench.events().is_empty());
}

#[test]
fn before_the_connack_messages_follow_connect_at_once() {
    let mut bench = Bench::new(|_| {});
    bench.session.open(bench.now);
    bench.publish("t", "0", 0).unwrap();
    bench.publish("t", "1", 1).unwrap();
    bench.publish("t", "2", 2).unwrap();
    let expected = [
        &CONNECT[..],
        &publish_bytes(0, "t", 0, "0"),
        &publish_bytes(0b0010, "t", 2, "1"),
        &publish_bytes(0b0100, "t", 3, "2"),
    ];
    assert_eq!(bench.sent(), expected.concat());
    bench.accept(false);
    bench.session.release(bench.now);
    assert_eq!(bench.sent(), b"", "nothing is sent again");
}

#[test]
fn messages_can_be_held_until_the_connection_is_released() {
    let mut bench = Bench::new(|settings| settings.wait_for_connack = true);
    bench.session.open(bench.now);
    bench.sent();
    bench.publish("t", "a", 0).unwrap();
    bench.publish("t", "b", 1).unwrap();
    bench.accept(false);
    bench.publish("t", "c", 0).unwrap();
    assert_eq!(bench.sent(), b"");
    bench.session.release(bench.now);
    assert_eq!(payloads(&bench.sent()), ["a", "b", "c"]);
}

#[test]
fn the_window_holds_qos_1_and_2_back_and_an_acknowledgement_pulls_the_next_into_the_output() {
    let mut bench = Bench::connected(|settings| settings.max_inflight = 2);
    for payload in ["a", "b", "c", "d"] {
        bench.publish("t", payload, 1).unwrap();
    }
    bench.publish("t", "qos 0 is not held back", 0).unwrap();
    assert_eq!(payloads(&bench.sent()), ["a", "b", "qos 0 is not held back"]);
    assert_eq!((bench.session.inflight(), bench.session.queued()), (2, 2));
    bench.receive(puback(2)).unwrap();
    assert_eq!(bench.take_unwritten(), publish_bytes(0b0010, "t", 3, "c"));
    bench.receive(puback(1)).unwrap();
    assert_eq!(bench.take_unwritten(), publish_bytes(0b0010, "t", 4, "d"));
}

#[test]
fn qos_2_occupies_the_window_until_pubcomp() {
    let mut bench = Bench::connected(|settings| settings.max_inflight = 1);
    bench.publish("t", "a", 2).unwrap();
    bench.publish("t", "b", 2).unwrap();
    bench.sent();
    bench.receive(pubrec(1)).unwrap();
    assert_eq!(bench.sent(), ack_bytes(0x62, 1));
    bench.receive(pubcomp(1)).unwrap();
    assert_eq!(bench.sent(), publish_bytes(0b0100, "t", 2, "b"));
}

#[test]
fn no_window_means_no_limit_but_that_of_the_identifiers() {
    let mut bench = Bench::connected(|settings| settings.max_inflight = 0);
    for _ in 0..70_000 {
        bench.publish("t", "x", 1).unwrap();
        bench.sent();
    }
    assert_eq!(bench.session.inflight(), 65_535 - 64);
    assert_eq!(bench.session.queued(), 70_000 - (65_535 - 64));
    // There is one for SUBSCRIBE.
    bench.subscribe(&[("f", 0)]);
    assert_eq!(packets(&bench.sent()).len(), 1);
    for id in 1..100 {
        bench.receive(puback(id)).unwrap();
    }
    let sent = bench.sent();
    assert_eq!(publishes(&sent).len(), 99);
    assert_eq!(bench.session.inflight(), 65_535 - 64);
}

#[test]
fn one_counter_serves_all_kinds_of_packets() {
    let mut bench = Bench::connected(|_| {});
    assert!(matches!(
        bench.publish("t", "x", 0),
        Ok(Accepted::InOutput { mid: 1, .. })
    ));
    assert_eq!(bench.tracked("t", "x", 1).0, 2);
    assert_eq!(bench.subscribe(&[("f", 0)]).0, 3);
    assert_eq!(bench.unsubscribe(&["f"]).0, 4);
    assert_eq!(bench.tracked("t", "x", 2).0, 5);
    bench.session.closed(bench.now);
    assert_eq!(bench.tracked("t", "x", 1).0, 6);
    bench.connect(false);
    assert!(matches!(
        bench.publish("t", "x", 0),
        Ok(Accepted::InOutput { mid: 7, .. })
    ));
}

#[test]
fn a_rejected_call_uses_no_message_id_up() {
    let mut bench = Bench::connected(|_| {});
    assert_eq!(bench.tracked("t", "x", 1).0, 1);
    let no_filters = bench
        .session
        .subscribe(bench.now, Vec::new(), Properties::new(), |_| Tracker::default());
    assert!(matches!(no_filters, Err(Error::InvalidArgument { .. })));
    bench.session.closed(bench.now);
    assert!(matches!(bench.publish("t", "x", 0), Err(Error::NotConnected)));
    bench.session.settings.queue.max_messages = 1;
    assert_eq!(bench.tracked("t", "x", 1).0, 2);
    assert!(matches!(bench.publish("t", "x", 1), Err(Error::QueueFull { .. })));
    bench.session.settings.queue.max_messages = 2;
    assert_eq!(bench.tracked("t", "x", 1).0, 3);
}

#[test]
fn the_counter_wraps_round_and_skips_identifiers_in_use() {
    let mut bench = Bench::connected(|_| {});
    bench.publish("t", "long", 1).unwrap();
    bench.subscribe(&[("f", 0)]);
    for _ in 3..=65_535 {
        bench.publish("t", "x", 0).unwrap();
        bench.sent();
    }
    assert_eq!(bench.tracked("t", "next", 1).0, 3);
}

#[test]
fn a_full_output_sends_messages_to_the_queue_and_writing_brings_them_back() {
    let mut bench = Bench::connected(|_| {});
    let payload = "x".repeat(1000);
    let mut in_output = 0;
    let (_, tracker) = loop {
        match bench.publish("t", &payload, 0).unwrap() {
            Accepted::InOutput { .. } => in_output += 1,
            Accepted::Tracked { mid, track } => break (mid, track),
            Accepted::HeadInOutput { .. } | Accepted::NoRoom => panic!("not whole"),
        }
    };
    assert!(bench.session.output().len() >= HIGH_WATER);
    assert!(bench.session.output().len() < HIGH_WATER + 2000);
    bench.publish("t", "qos 1 waits too", 1).unwrap();
    assert_eq!(bench.session.queued(), 2);
    let first = bench.take_unwritten();
    assert_eq!(publishes(&first).len(), in_output);
    bench.session.wrote(bench.now, first.len());
    assert_eq!(tracker.heard(), [Heard::Sent]);
    assert_eq!(payloads(&bench.sent()), [&payload, "qos 1 waits too"]);
    assert_eq!(tracker.heard(), [Heard::Sent, Heard::Acknowledged(0)]);
}

#[test]
fn a_message_published_after_the_output_was_taken_does_not_overtake_the_queue() {
    let mut bench = Bench::connected(|_| {});
    let payload = "x".repeat(HIGH_WATER);
    bench.publish("t", &payload, 0).unwrap();
    bench.tracked("t", "queued", 0);
    bench.take_unwritten();
    bench.publish("t", "later", 0).unwrap();
    assert_eq!(payloads(&bench.take_unwritten()), ["queued", "later"]);
}

#[test]
fn written_messages_of_qos_0_are_reported_when_their_last_byte_has_left() {
    let mut bench = Bench::connected(|settings| settings.report_qos0 = true);
    bench.publish("t", "a", 0).unwrap();
    bench.publish("t", "b", 0).unwrap();
    let bytes = bench.take_unwritten();
    bench.session.wrote(bench.now, bytes.len() - 1);
    assert_eq!(bench.published(), [(1, 0)]);
    bench.session.wrote(bench.now, 1);
    assert_eq!(bench.published(), [(2, 0)]);
}

#[test]
fn a_large_shared_payload_is_written_from_where_it_is() {
    let mut bench = Bench::connected(|_| {});
    let payload = Bytes::from(vec![b'x'; SHARED_PAYLOAD_MIN]);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let message = Outgoing {
            topic: "t",
            payload: PayloadRef::Shared(payload.clone()),
            qos,
            retain: false,
            properties: &Properties::new(),
        };
        let accepted = bench
            .session
            .publish(|| bench.now, &message, |_| Tracker::default());
        let mut slices = [std::io::IoSlice::new(&[]); 4];
        assert_eq!(bench.session.output().io_slices(&[], &mut slices), 2);
        assert_eq!(slices[1].as_ptr(), payload.as_ptr());
        let length = slices[0].len() + slices[1].len();
        let written = bench.session.written();
        if let Ok(Accepted::InOutput { end, .. }) = accepted {
            assert_eq!(end, written + length as u64);
        }
        bench.sent();
    }
}

#[test]
fn a_large_payload_that_was_lent_is_left_to_the_caller() {
    let mut bench = Bench::connected(|settings| settings.report_qos0 = true);
    let payload = "x".repeat(SHARED_PAYLOAD_MIN);
    let Ok(Accepted::HeadInOutput { mid: 1, end }) = bench.publish_head("t", &payload, 0) else {
        panic!("it may leave");
    };
    let head = bench.take_unwritten();
    assert_eq!(head, [0x30, 0x83, 0x80, 0x02, 0, 1, b't']);
    let length = head.len() + payload.len();
    assert_eq!(end, bench.session.written() + length as u64);
    bench.session.wrote(bench.now, length - 1);
    assert_eq!(bench.published(), []);
    bench.session.wrote(bench.now, 1);
    assert_eq!(bench.published(), [(1, 0)]);
    // One that has to wait is kept whole.
    let (_, tracker) = bench.tracked("t", &payload, 1);
    assert_eq!(bench.sent().len(), length + 2);
    assert_eq!(tracker.heard(), [Heard::Sent]);
}

#[test]
fn drop_outgoing_gives_everything_back_in_order() {
    let mut bench = Bench::connected(|settings| settings.max_inflight = 1);
    let (_, sent) = bench.tracked("t", "a", 1);
    let (_, queued) = bench.tracked("t", "b", 2);
    bench.sent();
    let taken = bench.session.drop_outgoing();
    let taken: Vec<_> = taken
        .iter()
        .map(|publish| (&publish.payload[..], publish.dup))
        .collect();
    assert_eq!(taken, [(&b"a"[..], true), (&b"b"[..], false)]);
    assert_eq!(sent.heard(), [Heard::Sent, Heard::Dropped(DropReason::Discarded)]);
    assert_eq!(queued.heard(), [Heard::Dropped(DropReason::Discarded)]);
    assert_eq!(
        (bench.session.unfinished(), bench.session.counters().dropped),
        (0, 2)
    );
    bench.receive(puback(1)).unwrap();
    assert!(bench.events().is_empty());
    bench.tracked("t", "c", 1);
    assert_eq!(payloads(&bench.sent()), ["c"]);
}

#[test]
fn a_packet_longer_than_the_protocol_allows_is_refused() {
    let mut bench = Bench::connected(|_| {});
    let payload = vec![0; crate::codec::MAX_REMAINING_LENGTH - 2];
    let message = Outgoing {
        topic: "t",
        payload: PayloadRef::Borrowed(&payload),
        qos: QoS::AtMostOnce,
        retain: false,
        properties: &Properties::new(),
    };
    let refused = bench
        .session
        .publish(|| bench.now, &message, |_| Tracker::default());
    assert!(matches!(
        refused,
        Err(Error::InvalidArgument {
            argument: "payload",
            ..
        })
    ));
    assert_eq!(bench.sent(), b"");
}

#[test]
fn counters_tell_what_happened() {
    let mut bench = Bench::connected(|_| {});
    bench.publish("t", "0", 0).unwrap();
    bench.publish("t", "1", 1).unwrap();
    bench.publish("t", "2", 2).unwrap();
    let sent = bench.sent().len();
    bench.receive(puback(2)).unwrap();
    bench.receive(Packet::PingResp).unwrap();
    bench.receive(message("t", "x", 0, 0)).unwrap();
    bench.session.received_bytes(bench.now, 12);
    let counters = bench.session.counters();
    assert_eq!((counters.connects, counters.accepted), (1, 1));
    assert_eq!((counters.packets_sent, counters.packets_received), (4, 4));
    assert_eq!(counters.bytes_sent, (CONNECT.len() + sent) as u64);
    assert_eq!(counters.bytes_received, 12);
    assert_eq!(counters.messages_sent, [1, 1, 1]);
    assert_eq!(counters.messages_received, [1, 0, 0]);
    assert_eq!(
        (counters.acknowledged, counters.refused, counters.dropped),
        (1, 0, 0)
    );
}
