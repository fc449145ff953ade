//! The outgoing queue: what it takes offline, its bounds, and what happens at them.

use super::support::*;
use crate::codec::{AckKind, ShortAck};
use crate::error::Error;
use crate::session::*;

const FULL: Heard = Heard::Dropped(DropReason::QueueFull);

fn offline(when_full: WhenFull, max_messages: usize) -> Bench {
    Bench::new(|settings| {
        settings.queue.when_full = when_full;
        settings.queue.max_messages = max_messages;
    })
}

/// The payloads that a connection sends.
fn after_connecting(bench: &mut Bench) -> Vec<String> {
    bench.connect(false);
    payloads(&bench.sent())
}

#[test]
fn offline_messages_of_qos_1_and_2_wait_for_the_connection_and_qos_0_is_refused() {
    let mut bench = Bench::new(|_| {});
    assert!(matches!(bench.publish("t", "zero", 0), Err(Error::NotConnected)));
    let (_, tracker) = bench.tracked("t", "one", 1);
    bench.tracked("t", "two", 2);
    assert_eq!((bench.session.queued(), bench.session.unfinished()), (2, 2));
    assert_eq!(bench.session.queued_bytes(), 8);
    assert!(tracker.heard().is_empty());
    bench.connect(false);
    let expected = [
        publish_bytes(0b0010, "t", 1, "one"),
        publish_bytes(0b0100, "t", 2, "two"),
    ];
    assert_eq!(bench.sent(), expected.concat());
    assert_eq!(tracker.heard(), [Heard::Sent]);
    assert_eq!((bench.session.queued(), bench.session.queued_bytes()), (0, 0));
}

#[test]
fn messages_from_before_wait_for_the_release_and_later_ones_go_behind_them() {
    let mut bench = Bench::new(|_| {});
    bench.tracked("t", "before", 1);
    bench.session.open(bench.now);
    bench.sent();
    bench.tracked("t", "connecting", 1);
    bench.publish("t", "qos 0", 0).unwrap();
    bench.accept(false);
    bench.tracked("t", "settling", 1);
    assert_eq!(payloads(&bench.sent()), ["qos 0"]);
    bench.session.release(bench.now);
    assert_eq!(payloads(&bench.sent()), ["before", "connecting", "settling"]);
}

#[test]
fn what_only_waits_for_room_before_the_connack_follows_as_soon_as_there_is_some() {
    let mut bench = Bench::new(|_| {});
    bench.session.open(bench.now);
    let payload = "x".repeat(60_000);
    for _ in 0..10 {
        bench.publish("t", &payload, 0).unwrap();
    }
    assert!(bench.session.queued() > 0);
    let sent = bench.sent();
    assert_eq!(publishes(&sent).len(), 10);
}

#[test]
fn offline_messages_of_qos_0_are_kept_if_the_policy_says_so() {
    let mut bench = Bench::new(|settings| settings.queue.keep_qos0 = true);
    let (mid, tracker) = bench.tracked("t", "kept", 0);
    bench.tracked("t", "one", 1);
    assert_eq!(mid, 1);
    assert_eq!(after_connecting(&mut bench), ["kept", "one"]);
    assert_eq!(tracker.heard(), [Heard::Sent, Heard::Acknowledged(0)]);
}

#[test]
fn queued_messages_of_qos_0_end_with_the_connection_unless_they_are_kept() {
    for keep in [false, true] {
        let mut bench = Bench::new(|settings| {
            settings.wait_for_connack = true;
            settings.queue.keep_qos0 = keep;
        });
        bench.session.open(bench.now);
        let (_, tracker) = bench.tracked("t", "x", 0);
        bench.session.closed(bench.now);
        let heard = if keep {
            vec![]
        } else {
            vec![Heard::Dropped(DropReason::ConnectionLost)]
        };
        assert_eq!(tracker.heard(), heard);
        assert_eq!(bench.session.queued(), usize::from(keep));
        assert_eq!(bench.session.counters().dropped, u64::from(!keep));
    }
}

#[test]
fn a_full_queue_refuses_and_gives_the_payload_back() {
    let mut bench = offline(WhenFull::Refuse, 2);
    bench.tracked("t", "a", 1);
    bench.tracked("t", "b", 1);
    let Err(Error::QueueFull { payload }) = bench.publish("t", "c", 1) else {
        panic!("not refused")
    };
    assert_eq!(payload, "c");
    assert_eq!(after_connecting(&mut bench), ["a", "b"]);
}

#[test]
fn the_queue_is_bounded_in_bytes_of_topic_and_payload() {
    let mut bench = offline(WhenFull::Refuse, 0);
    bench.session.settings.queue.max_bytes = 10;
    bench.tracked("ab", "cde", 1);
    assert!(matches!(
        bench.publish("ab", "cdef", 1),
        Err(Error::QueueFull { .. })
    ));
    bench.tracked("ab", "cde", 1);
    assert_eq!(bench.session.queued_bytes(), 10);
    assert!(matches!(bench.publish("t", "", 1), Err(Error::QueueFull { .. })));
}

#[test]
fn messages_in_flight_do_not_count_against_the_queue() {
    let mut bench = Bench::connected(|settings| {
        settings.max_inflight = 3;
        settings.queue.max_messages = 1;
    });
    for payload in ["a", "b", "c", "d"] {
        bench.tracked("t", payload, 1);
    }
    assert!(matches!(bench.publish("t", "e", 1), Err(Error::QueueFull { .. })));
}

#[test]
fn blocking_is_left_to_the_client() {
    let mut bench = offline(WhenFull::Block(std::time::Duration::from_secs(1)), 1);
    bench.tracked("t", "a", 1);
    assert!(matches!(bench.publish("t", "b", 1), Ok(Accepted::NoRoom)));
    assert_eq!(after_connecting(&mut bench), ["a"]);
}

#[test]
fn half_an_empty_queue_is_ample_room() {
    let mut bench = offline(WhenFull::Block(std::time::Duration::from_secs(1)), 3);
    bench.session.settings.queue.max_bytes = 12;
    bench.tracked("t", "a", 1);
    assert!(bench.session.has_ample_room());
    bench.tracked("t", "b", 1);
    assert!(!bench.session.has_ample_room(), "two of three messages");
    bench.session.settings.queue.max_messages = 0;
    assert!(bench.session.has_ample_room());
    bench.tracked("t", "long", 1);
    assert!(!bench.session.has_ample_room(), "nine of twelve bytes");
}

#[test]
fn the_oldest_can_make_room() {
    let mut bench = offline(WhenFull::DropOldest, 2);
    bench.session.settings.queue.keep_qos0 = true;
    bench.session.settings.queue.max_bytes = 12;
    let (_, oldest) = bench.tracked("t", "a", 0);
    let (_, second) = bench.tracked("t", "b", 1);
    bench.tracked("t", "c", 0);
    assert_eq!(oldest.heard(), [FULL]);
    // Both make room for the bytes of one.
    bench.tracked("t", "12345678901", 1);
    assert_eq!(second.heard(), [FULL]);
    assert_eq!(bench.session.counters().dropped, 3);
    // No number of old messages would make room for this.
    assert!(matches!(
        bench.publish("t", "123456789012", 1),
        Err(Error::QueueFull { .. })
    ));
    assert_eq!(after_connecting(&mut bench), ["12345678901"]);
}

#[test]
fn the_newest_can_be_dropped_and_its_tracker_says_so() {
    let mut bench = offline(WhenFull::DropNewest, 1);
    bench.tracked("t", "a", 1);
    let (mid, newest) = bench.tracked("t", "b", 1);
    assert_eq!((mid, newest.heard()), (2, vec![FULL]));
    assert_eq!(bench.session.counters().dropped, 1);
    assert_eq!(bench.tracked("t", "c", 1).0, 3);
    assert_eq!(after_connecting(&mut bench), ["a"]);
}

#[test]
fn the_latest_of_each_topic_takes_the_place_of_the_one_before() {
    let mut bench = offline(WhenFull::KeepLatest, 2);
    let (_, old) = bench.tracked("a", "a1", 1);
    bench.tracked("b", "b1", 1);
    let (mid, new) = bench.tracked("a", "a2", 1);
    assert_eq!(old.heard(), [Heard::Dropped(DropReason::Superseded)]);
    assert!(matches!(
        bench.publish("c", "c1", 1),
        Err(Error::QueueFull { .. })
    ));
    bench.connect(false);
    let sent = publishes(&bench.sent());
    assert_eq!((&sent[0].payload[..], sent[0].packet_id), ("a2", mid));
    assert_eq!(sent[1].payload, "b1");
    assert_eq!(new.heard(), [Heard::Sent]);
    // What was sent is not touched.
    bench.session.closed(bench.now);
    bench.tracked("a", "a3", 1);
    assert_eq!(after_connecting(&mut bench), ["a2", "b1", "a3"]);
}

#[test]
fn the_latest_may_change_its_qos_any_number_of_times() {
    let mut bench = offline(WhenFull::KeepLatest, 3);
    bench.session.settings.queue.keep_qos0 = true;
    bench.tracked("first", "1", 0);
    bench.tracked("also first", "1", 1);
    for round in 0..1000 {
        bench.tracked("a", &round.to_string(), (round % 2) as u8);
        assert_eq!(bench.session.queued(), 3);
    }
    assert_eq!(bench.session.counters().dropped, 999);
    assert_eq!(after_connecting(&mut bench), ["1", "1", "999"]);
    assert_eq!((bench.session.queued(), bench.session.queued_bytes()), (0, 0));
}

#[test]
fn a_policy_that_comes_late_keeps_the_latest_of_what_is_queued() {
    let mut bench = offline(WhenFull::Refuse, 0);
    let (_, first) = bench.tracked("a", "a1", 1);
    bench.tracked("b", "b1", 1);
    let (_, second) = bench.tracked("a", "a2", 1);
    bench.session.settings.queue.when_full = WhenFull::KeepLatest;
    bench.tracked("c", "c1", 1);
    assert_eq!(first.heard(), [Heard::Dropped(DropReason::Superseded)]);
    assert!(second.heard().is_empty());
    // And one that goes leaves everything as it is.
    bench.session.settings.queue.when_full = WhenFull::Refuse;
    bench.tracked("a", "a3", 1);
    assert_eq!(after_connecting(&mut bench), ["a2", "b1", "c1", "a3"]);
}

#[test]
fn the_latest_is_refused_where_its_bytes_find_no_room_and_nothing_changes() {
    let mut bench = offline(WhenFull::KeepLatest, 0);
    bench.session.settings.queue.max_bytes = 6;
    bench.tracked("a", "12", 1);
    bench.tracked("b", "12", 1);
    assert!(matches!(
        bench.publish("a", "123", 1),
        Err(Error::QueueFull { .. })
    ));
    bench.tracked("a", "34", 1);
    assert_eq!(after_connecting(&mut bench), ["34", "12"]);
}

#[test]
fn more_messages_can_wait_than_there_are_identifiers() {
    let mut bench = Bench::new(|settings| settings.queue.max_messages = 0);
    let count = 200_000;
    for n in 0..count {
        let (mid, _) = bench.tracked("t", &n.to_string(), 1);
        assert_eq!(usize::from(mid), n % 65_535 + 1);
    }
    bench.subscribe(&[("there is an identifier left for this", 0)]);
    bench.connect(false);
    let mut next = 0;
    while next < count {
        let sent = publishes(&bench.sent());
        assert!(!sent.is_empty());
        for seen in sent {
            assert_eq!(seen.payload, next.to_string());
            next += 1;
            bench.receive(puback(seen.packet_id)).unwrap();
        }
    }
    let mids: Vec<_> = bench
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Published { mid, .. } => Some(usize::from(mid)),
            _ => None,
        })
        .collect();
    assert!(mids.into_iter().eq((0..count).map(|n| n % 65_535 + 1)));
    assert_eq!((bench.session.unfinished(), bench.session.queued_bytes()), (0, 0));
}

#[test]
fn behind_a_run_of_acknowledgements_as_many_messages_follow() {
    let mut bench = Bench::connected(|settings| settings.max_inflight = 3);
    for (payload, qos) in [("a", 1), ("b", 2), ("c", 1), ("d", 1), ("e", 2)] {
        bench.tracked("t", payload, qos);
    }
    assert_eq!(payloads(&bench.sent()), ["a", "b", "c"]);
    let run = [(AckKind::PubAck, 1), (AckKind::PubRec, 2), (AckKind::PubAck, 3)];
    let run = run.map(|(kind, packet_id)| ShortAck {
        kind,
        packet_id: id(packet_id),
    });
    let taken = bench.session.handle_acks(bench.now, run.into_iter());
    assert_eq!(taken.unwrap(), 3);
    assert_eq!(bench.published(), [(1, 0), (3, 0)]);
    let sent = bench.sent();
    assert_eq!(sent[..4], ack_bytes(0x62, 2));
    assert_eq!(payloads(&sent[4..]), ["d", "e"]);
}

#[test]
fn no_run_is_taken_where_each_packet_is_logged() {
    let mut bench = Bench::connected(|settings| settings.trace = true);
    bench.tracked("t", "a", 1);
    let mut acks = std::iter::repeat(ShortAck {
        kind: AckKind::PubAck,
        packet_id: id(1),
    });
    let now = bench.now;
    assert_eq!(bench.session.handle_acks(now, acks.by_ref()).unwrap(), 0);
    assert_eq!(bench.session.inflight(), 1);
}
