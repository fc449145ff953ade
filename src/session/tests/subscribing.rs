//! SUBSCRIBE, UNSUBSCRIBE and the ledger.

use super::support::*;
use crate::session::*;

const LOST: Heard = Heard::Dropped(DropReason::ConnectionLost);

/// A SUBSCRIBE or UNSUBSCRIBE of MQTT 3: filters with their QoS, or without.
fn request_bytes(first: u8, packet_id: u16, filters: &[(&str, Option<u8>)]) -> Vec<u8> {
    let mut rest = packet_id.to_be_bytes().to_vec();
    for (filter, qos) in filters {
        rest.extend_from_slice(&[0, filter.len() as u8]);
        rest.extend_from_slice(filter.as_bytes());
        rest.extend(qos);
    }
    let mut packet = vec![first, rest.len() as u8];
    packet.extend_from_slice(&rest);
    packet
}

fn subscribe_bytes(packet_id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let filters: Vec<_> = filters.iter().map(|&(filter, qos)| (filter, Some(qos))).collect();
    request_bytes(0x82, packet_id, &filters)
}

fn unsubscribe_bytes(packet_id: u16, filters: &[&str]) -> Vec<u8> {
    let filters: Vec<_> = filters.iter().map(|&filter| (filter, None)).collect();
    request_bytes(0xa2, packet_id, &filters)
}

/// Mids and codes of the `Event::Subscribed` among the events.
fn subscribed(bench: &mut Bench) -> Vec<(u16, Vec<u8>)> {
    let events = bench.events();
    let subscribed = events.into_iter().filter_map(|event| match event {
        Event::Subscribed { mid, reasons, .. } => {
            Some((mid, reasons.iter().map(|reason| reason.value()).collect()))
        }
        _ => None,
    });
    subscribed.collect()
}

/// Connected, and subscribed to these filters with QoS 1.
fn with_subscriptions(change: impl FnOnce(&mut Settings), filters: &[&str]) -> Bench {
    let mut bench = Bench::connected(|settings| {
        settings.clean_start = false;
        change(settings);
    });
    for filter in filters {
        let (mid, _) = bench.subscribe(&[(filter, 1)]);
        bench.receive(suback(mid, &[1])).unwrap();
    }
    bench.sent();
    bench.events();
    bench
}

/// Loses the connection; returns what the next one sends behind CONNECT.
fn reconnect(bench: &mut Bench, session_present: bool) -> Vec<u8> {
    bench.session.closed(bench.now);
    bench.connect(session_present);
    bench.sent()
}

/// [3.1.1/MQTT-3.8.1-1] [3.1.1/MQTT-3-8.3-4] [3.1.1/MQTT-3.9.3-1]
#[test]
fn subscribe_is_answered_filter_by_filter() {
    let mut bench = Bench::connected(|_| {});
    let (mid, tracker) = bench.subscribe(&[("a", 0), ("b/#", 2), ("c", 1)]);
    assert_eq!(
        bench.sent(),
        b"\x82\x10\x00\x01\x00\x01a\x00\x00\x03b/#\x02\x00\x01c\x01"
    );
    assert_eq!(tracker.heard(), [Heard::Sent]);
    bench.receive(suback(mid, &[0, 2, 0x80])).unwrap();
    assert_eq!(tracker.heard(), [Heard::Sent, Heard::Granted(vec![0, 2, 0x80])]);
    assert_eq!(subscribed(&mut bench), [(1, vec![0, 2, 0x80])]);
}

/// [3.1.1/MQTT-3.10.1-1]
#[test]
fn unsubscribe_is_answered() {
    let mut bench = Bench::connected(|_| {});
    let (mid, tracker) = bench.unsubscribe(&["a", "b"]);
    assert_eq!(bench.sent(), b"\xa2\x08\x00\x01\x00\x01a\x00\x01b");
    bench.receive(unsuback(mid)).unwrap();
    assert_eq!(tracker.heard(), [Heard::Sent, Heard::Granted(vec![])]);
    assert!(matches!(bench.events()[..], [Event::Unsubscribed { mid: 1, .. }]));
}

#[test]
fn wrong_answers_break_the_protocol_and_late_ones_are_ignored() {
    let mut bench = Bench::connected(|_| {});
    let (subscribe, _) = bench.subscribe(&[("a", 0), ("b", 0)]);
    let (unsubscribe, _) = bench.unsubscribe(&["c"]);
    let error = bench.receive(suback(subscribe, &[0])).unwrap_err();
    assert_eq!(error.statement, "MQTT-3.8.4-5");
    assert!(bench.receive(unsuback(subscribe)).is_err());
    assert!(bench.receive(suback(unsubscribe, &[0])).is_err());
    bench.receive(suback(subscribe, &[0, 0])).unwrap();
    bench.receive(suback(subscribe, &[0, 0])).unwrap();
    assert_eq!(subscribed(&mut bench).len(), 1);
}

#[test]
fn requests_follow_connect_at_once_unless_they_are_to_wait() {
    for wait in [false, true] {
        let mut bench = Bench::new(|settings| settings.wait_for_connack = wait);
        bench.session.open(bench.now);
        bench.sent();
        bench.subscribe(&[("a", 0)]);
        let connecting = bench.sent();
        bench.accept(false);
        bench.subscribe(&[("b", 0)]);
        let settling = bench.sent();
        bench.session.release(bench.now);
        let open = bench.sent();
        let both = [subscribe_bytes(1, &[("a", 0)]), subscribe_bytes(2, &[("b", 0)])];
        let [a, b] = both.clone();
        let expected = if wait {
            [vec![], vec![], both.concat()]
        } else {
            [a, b, vec![]]
        };
        assert_eq!([connecting, settling, open], expected);
    }
}

#[test]
fn offline_requests_go_out_at_the_release_in_their_order_before_the_queue() {
    let mut bench = Bench::new(|_| {});
    let (_, tracker) = bench.subscribe(&[("a", 1)]);
    bench.tracked("t", "x", 1);
    bench.unsubscribe(&["b"]);
    bench.session.open(bench.now);
    bench.sent();
    bench.accept(false);
    assert_eq!(bench.sent(), b"");
    assert!(tracker.heard().is_empty());
    bench.session.release(bench.now);
    let expected = [
        subscribe_bytes(1, &[("a", 1)]),
        unsubscribe_bytes(3, &["b"]),
        publish_bytes(0b0010, "t", 2, "x"),
    ];
    assert_eq!(bench.sent(), expected.concat());
}

#[test]
fn a_new_request_takes_waiting_ones_along_so_that_the_last_word_stays_the_last() {
    let mut bench = Bench::new(|_| {});
    bench.subscribe(&[("a", 1)]);
    bench.session.open(bench.now);
    bench.sent();
    bench.unsubscribe(&["a"]);
    let expected = [subscribe_bytes(1, &[("a", 1)]), unsubscribe_bytes(2, &["a"])];
    assert_eq!(bench.sent(), expected.concat());
}

#[test]
fn a_lost_session_is_renewed_in_one_packet_at_the_release() {
    let mut bench = with_subscriptions(|_| {}, &["a", "b", "c"]);
    bench.session.closed(bench.now);
    bench.session.open(bench.now);
    bench.accept(false);
    bench.sent();
    bench.events();
    bench.session.release(bench.now);
    assert_eq!(bench.sent(), subscribe_bytes(4, &[("a", 1), ("b", 1), ("c", 1)]));
    bench.receive(suback(4, &[1, 0x80, 1])).unwrap();
    assert_eq!(subscribed(&mut bench), [(4, vec![1, 0x80, 1])]);
    // The refused one has left the ledger.
    assert_eq!(
        reconnect(&mut bench, false),
        subscribe_bytes(5, &[("a", 1), ("c", 1)])
    );
}

#[test]
fn subscriptions_are_renewed_by_policy() {
    for (policy, session_present, renews) in [
        (Resubscribe::IfSessionLost, true, false),
        (Resubscribe::IfSessionLost, false, true),
        (Resubscribe::Always, true, true),
        (Resubscribe::Never, false, false),
    ] {
        let mut bench = with_subscriptions(|settings| settings.resubscribe = policy, &["a"]);
        let sent = reconnect(&mut bench, session_present);
        assert_eq!(
            !sent.is_empty(),
            renews,
            "{policy:?}, session present: {session_present}"
        );
    }
}

#[test]
fn what_the_application_requests_itself_on_the_connection_is_not_renewed() {
    let mut bench = with_subscriptions(|_| {}, &["a", "b", "c"]);
    bench.session.closed(bench.now);
    bench.session.open(bench.now);
    bench.sent();
    let (early, _) = bench.subscribe(&[("a", 2)]);
    bench.accept(false);
    bench.receive(suback(early, &[2])).unwrap();
    let (gone, _) = bench.unsubscribe(&["b"]);
    bench.receive(unsuback(gone)).unwrap();
    bench.sent();
    bench.session.release(bench.now);
    assert_eq!(bench.sent(), subscribe_bytes(6, &[("c", 1)]));
    bench.receive(suback(6, &[1])).unwrap();
    assert_eq!(
        reconnect(&mut bench, false),
        subscribe_bytes(7, &[("c", 1), ("a", 2)])
    );
}

#[test]
fn refused_and_unsubscribed_filters_leave_the_ledger() {
    let mut bench = with_subscriptions(|_| {}, &["a", "gone"]);
    let (mid, _) = bench.subscribe(&[("refused", 1)]);
    bench.receive(suback(mid, &[0x80])).unwrap();
    bench.unsubscribe(&["gone"]);
    bench.receive(unsuback(4)).unwrap();
    assert_eq!(reconnect(&mut bench, false), subscribe_bytes(5, &[("a", 1)]));
}

#[test]
fn only_the_answer_to_the_latest_request_for_a_filter_counts() {
    let mut bench = with_subscriptions(|_| {}, &[]);
    let (first, _) = bench.subscribe(&[("a", 1)]);
    let (gone, _) = bench.unsubscribe(&["a"]);
    let (second, _) = bench.subscribe(&[("a", 2)]);
    bench.receive(suback(first, &[0x80])).unwrap();
    bench.receive(unsuback(gone)).unwrap();
    bench.receive(suback(second, &[2])).unwrap();
    bench.sent();
    assert_eq!(reconnect(&mut bench, false), subscribe_bytes(4, &[("a", 2)]));
}

#[test]
fn a_request_lost_before_its_answer_is_made_again_with_its_message_id() {
    for session_present in [false, true] {
        let mut bench = with_subscriptions(|_| {}, &[]);
        let (mid, tracker) = bench.subscribe(&[("a", 1)]);
        let (_, gone) = bench.unsubscribe(&["b"]);
        bench.sent();
        let expected = [subscribe_bytes(mid, &[("a", 1)]), unsubscribe_bytes(2, &["b"])];
        assert_eq!(reconnect(&mut bench, session_present), expected.concat());
        bench.receive(suback(mid, &[1])).unwrap();
        bench.receive(unsuback(2)).unwrap();
        assert_eq!(tracker.heard().last(), Some(&Heard::Granted(vec![1])));
        assert_eq!(gone.heard().last(), Some(&Heard::Granted(vec![])));
        let renewed = reconnect(&mut bench, false);
        assert_eq!(renewed, subscribe_bytes(3, &[("a", 1)]));
    }
}

#[test]
fn without_renewals_a_lost_request_is_dropped() {
    let mut bench = with_subscriptions(|settings| settings.resubscribe = Resubscribe::Never, &[]);
    let (_, tracker) = bench.subscribe(&[("a", 1)]);
    bench.sent();
    assert_eq!(reconnect(&mut bench, false), b"");
    assert_eq!(tracker.heard(), [Heard::Sent, LOST]);
    bench.session.settings.resubscribe = Resubscribe::Always;
    assert_eq!(reconnect(&mut bench, false), b"", "it is not in the ledger");
}

#[test]
fn a_renewal_lost_before_its_answer_is_made_again_even_if_there_is_a_session_then() {
    let mut bench = with_subscriptions(|_| {}, &["a"]);
    assert_eq!(reconnect(&mut bench, false), subscribe_bytes(2, &[("a", 1)]));
    let again = reconnect(&mut bench, true);
    assert_eq!(again, subscribe_bytes(3, &[("a", 1)]));
    bench.receive(suback(3, &[1])).unwrap();
    assert_eq!(reconnect(&mut bench, true), b"");
}

#[test]
fn a_renewal_is_split_to_stay_below_64_kib() {
    let filters: Vec<String> = (0..5).map(|n| format!("{n}{}", "x".repeat(30_000))).collect();
    let filters: Vec<&str> = filters.iter().map(|filter| &filter[..]).collect();
    let mut bench = with_subscriptions(|_| {}, &filters);
    let sent = reconnect(&mut bench, false);
    let packets = packets(&sent);
    let sizes: Vec<_> = packets.iter().map(|(_, rest)| rest.len()).collect();
    assert_eq!(sizes, [2 + 2 * 30_004, 2 + 2 * 30_004, 2 + 30_004]);
    let ids: Vec<_> = packets.iter().map(|(_, rest)| rest[1]).collect();
    assert_eq!(ids, [6, 7, 8]);
}
