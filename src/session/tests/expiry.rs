//! Message Expiry Interval: counted down in the queue, dropped when due, never after the message was sent.

use std::time::Duration;

use super::support::*;
use crate::codec::{Property, ProtocolVersion};
use crate::error::Error;
use crate::session::*;

fn v5(settings: &mut Settings) {
    settings.version = ProtocolVersion::V5;
    settings.queue.keep_qos0 = true;
}

/// Publishes a message that expires after so many seconds.
fn expiring(bench: &mut Bench, topic: &str, payload: &str, qos: u8, seconds: u32) -> Tracker {
    match publish(bench, topic, payload, qos, seconds).unwrap() {
        Accepted::Tracked { track, .. } => track,
        _ => panic!("not tracked"),
    }
}

fn publish(
    bench: &mut Bench,
    topic: &str,
    payload: &str,
    qos: u8,
    seconds: u32,
) -> Result<Accepted<Tracker>> {
    let properties = [
        Property::PayloadFormatIndicator(1),
        Property::MessageExpiryInterval(seconds),
    ];
    let message = Outgoing {
        topic,
        payload: PayloadRef::Borrowed(payload.as_bytes()),
        qos: level(qos),
        retain: false,
        properties: &properties.into(),
    };
    bench
        .session
        .publish(|| bench.now, &message, |_| Tracker::default())
}

/// The intervals that were sent with messages of one byte of topic and payload, and their first bytes.
fn intervals(bytes: &[u8]) -> Vec<(u8, u32)> {
    let publishes = packets(bytes).into_iter().filter(|(first, _)| first >> 4 == 3);
    let intervals = publishes.map(|(first, rest)| {
        let at = if first & 0b0110 == 0 { 3 } else { 5 };
        assert_eq!(rest[at..at + 4], [7, 1, 1, 2], "the properties keep their order");
        let interval = [rest[at + 4], rest[at + 5], rest[at + 6], rest[at + 7]];
        (first, u32::from_be_bytes(interval))
    });
    intervals.collect()
}

const EXPIRED: [Heard; 1] = [Heard::Dropped(DropReason::Expired)];

#[test]
fn what_leaves_at_once_has_its_whole_time() {
    let mut bench = Bench::connected(v5);
    for (qos, seconds) in [(0, 10), (1, 10), (2, u32::MAX), (1, 0)] {
        publish(&mut bench, "t", "x", qos, seconds).unwrap();
    }
    let expected = [(0x30, 10), (0x32, 10), (0x34, u32::MAX), (0x32, 0)];
    assert_eq!(intervals(&bench.sent()), expected);
    assert_eq!(
        bench.session.poll_timeout(),
        Some(bench.now + Duration::from_secs(60))
    );
}

#[test]
fn the_time_in_the_queue_is_taken_off_and_rounded_down() {
    let mut bench = Bench::new(v5);
    let trackers = [0, 1, 2].map(|qos| expiring(&mut bench, "t", "x", qos, 10));
    bench.after(Duration::from_millis(3_001));
    bench.connect(false);
    assert_eq!(intervals(&bench.sent()), [(0x30, 6), (0x32, 6), (0x34, 6)]);
    for tracker in trackers {
        assert_eq!(tracker.heard()[0], Heard::Sent);
    }
}

#[test]
fn a_message_that_expires_in_the_queue_ends_when_its_time_is_due() {
    let mut bench = Bench::new(v5);
    assert_eq!(bench.session.poll_timeout(), None);
    let ten = expiring(&mut bench, "t", "ten", 1, 10);
    let five = expiring(&mut bench, "t", "five", 0, 5);
    let (_, never) = bench.tracked("t", "never", 1);
    assert_eq!(
        bench.session.poll_timeout(),
        Some(bench.now + Duration::from_secs(5))
    );
    bench.after(Duration::from_millis(4_999));
    assert!(!bench.session.expire(bench.now));
    bench.after(Duration::from_millis(1));
    assert!(bench.session.expire(bench.now));
    assert_eq!(five.heard(), EXPIRED);
    assert_eq!(ten.heard(), []);
    bench.after(Duration::from_secs(5));
    bench.session.handle_timeout(bench.now).unwrap();
    assert_eq!(ten.heard(), EXPIRED);
    assert_eq!(bench.session.poll_timeout(), None);
    assert_eq!(never.heard(), []);
    assert_eq!((bench.session.queued(), bench.session.queued_bytes()), (1, 6));
    assert_eq!(bench.session.counters().dropped, 2);
    assert!(matches!(
        bench.events()[..],
        [Event::Dropped {
            count: 2,
            why: DropReason::Expired
        }]
    ));
    bench.connect(false);
    assert_eq!(packets(&bench.sent()).len(), 1);
}

#[test]
fn a_message_that_expired_unnoticed_is_not_sent() {
    let mut bench = Bench::new(v5);
    let late = expiring(&mut bench, "t", "x", 2, 5);
    // Less than a second is left: nothing that can be sent says so.
    let almost = expiring(&mut bench, "t", "x", 1, 6);
    let good = expiring(&mut bench, "t", "x", 1, 7);
    bench.after(Duration::from_millis(5_500));
    bench.connect(false);
    assert_eq!(intervals(&bench.sent()), [(0x32, 1)]);
    assert_eq!(
        (late.heard(), almost.heard()),
        (EXPIRED.to_vec(), EXPIRED.to_vec())
    );
    assert_eq!(good.heard(), [Heard::Sent]);
    // Their identifiers are free.
    for packet_id in 4..=65_535 {
        assert_eq!(bench.tracked("t", "", 1).0, packet_id);
        bench.receive(puback(packet_id)).unwrap();
        bench.sent();
    }
    assert_eq!(bench.tracked("t", "", 1).0, 1);
}

#[test]
fn a_message_behind_a_full_window_is_counted_down_as_well() {
    let mut bench = Bench::connected(|settings| {
        v5(settings);
        settings.max_inflight = 1;
    });
    expiring(&mut bench, "t", "x", 1, 3);
    let second = expiring(&mut bench, "t", "x", 1, 3);
    let third = expiring(&mut bench, "t", "x", 1, 9);
    assert_eq!(intervals(&bench.sent()), [(0x32, 3)]);
    bench.after(Duration::from_secs(3));
    bench.session.handle_timeout(bench.now).unwrap();
    assert_eq!(second.heard(), EXPIRED);
    bench.receive(puback(1)).unwrap();
    assert_eq!(intervals(&bench.sent()), [(0x32, 6)]);
    assert_eq!(third.heard(), [Heard::Sent]);
}

/// [5.0/MQTT-4.3.3-7] [5.0/MQTT-4.3.3-13]
#[test]
fn a_message_that_was_sent_does_not_expire() {
    let mut bench = Bench::new(|settings| {
        v5(settings);
        settings.clean_start = false;
    });
    bench.connect(false);
    let one = expiring(&mut bench, "t", "x", 1, 10);
    let two = expiring(&mut bench, "t", "x", 2, 10);
    bench.sent();
    bench.session.closed(bench.now);
    assert_eq!(bench.session.poll_timeout(), None);
    bench.after(Duration::from_secs(4));
    bench.connect(true);
    assert_eq!(intervals(&bench.sent()), [(0x3a, 6), (0x3c, 6)]);
    bench.receive(pubrec(2)).unwrap();
    bench.sent();
    bench.session.closed(bench.now);
    bench.after(Duration::from_secs(100));
    bench.connect(true);
    let sent = bench.sent();
    assert_eq!(intervals(&sent), [(0x3a, 1)]);
    assert!(sent.ends_with(&ack_bytes(0x62, 2)), "the exchange is completed");
    bench.receive(puback(1)).unwrap();
    bench.receive(pubcomp(2)).unwrap();
    for tracker in [one, two] {
        assert_eq!(tracker.heard(), [Heard::Sent, Heard::Acknowledged(0)]);
    }
}

#[test]
fn an_interval_of_zero_is_sent_only_where_it_was_given() {
    let mut bench = Bench::new(v5);
    let zero = expiring(&mut bench, "t", "x", 1, 0);
    bench.connect(false);
    assert_eq!(intervals(&bench.sent()), [(0x32, 0)]);
    assert_eq!(zero.heard(), [Heard::Sent]);
    bench.session.closed(bench.now);
    let zero = expiring(&mut bench, "t", "x", 1, 0);
    bench.after(Duration::from_secs(1));
    bench.session.expire(bench.now);
    assert_eq!(zero.heard(), EXPIRED);
}

#[test]
fn expired_messages_make_room_for_others() {
    let mut bench = Bench::new(|settings| {
        v5(settings);
        settings.queue.max_messages = 2;
    });
    let old = expiring(&mut bench, "t", "old", 1, 1);
    bench.tracked("t", "stays", 1);
    assert!(matches!(bench.publish("t", "x", 1), Err(Error::QueueFull { .. })));
    bench.after(Duration::from_secs(1));
    bench.tracked("t", "new", 1);
    assert_eq!(old.heard(), EXPIRED);
    assert_eq!(bench.session.queued(), 2);
}

#[test]
fn of_two_messages_for_a_topic_the_latest_has_its_own_time() {
    let mut bench = Bench::new(|settings| {
        v5(settings);
        settings.queue.when_full = WhenFull::KeepLatest;
    });
    let first = expiring(&mut bench, "a", "x", 1, 1);
    expiring(&mut bench, "a", "x", 1, 100);
    let other = expiring(&mut bench, "b", "x", 1, 50);
    let (_, plain) = bench.tracked("b", "x", 1);
    // To the other lane and back: the order of the queue changes.
    let moved = expiring(&mut bench, "c", "x", 1, 70);
    let moved_again = expiring(&mut bench, "c", "x", 0, 60);
    for tracker in [&first, &other, &moved] {
        assert_eq!(tracker.heard(), [Heard::Dropped(DropReason::Superseded)]);
    }
    assert_eq!(
        bench.session.poll_timeout(),
        Some(bench.now + Duration::from_secs(60))
    );
    bench.after(Duration::from_secs(60));
    bench.session.expire(bench.now);
    assert_eq!(moved_again.heard(), EXPIRED);
    assert_eq!(plain.heard(), []);
    assert_eq!(bench.session.queued(), 2);
    assert_eq!(
        bench.session.poll_timeout(),
        Some(bench.now + Duration::from_secs(40))
    );
    // The holes that they left are no trouble.
    let back = expiring(&mut bench, "c", "x", 1, 10);
    bench.after(Duration::from_secs(5));
    bench.connect(false);
    let sent = bench.sent();
    assert_eq!(packets(&sent).len(), 3);
    assert_eq!(back.heard(), [Heard::Sent]);
    assert_eq!(bench.session.queued(), 0);
}

#[test]
fn messages_that_expire_in_the_middle_leave_the_others_in_their_order() {
    let mut bench = Bench::new(v5);
    let mut stay = Vec::new();
    for number in 0..2000u32 {
        if number % 3 == 0 {
            stay.push(number.to_string());
            bench.tracked("t", &number.to_string(), 0);
        } else {
            expiring(&mut bench, "t", "x", 0, 1 + number * 7919 % 100);
        }
    }
    for _ in 0..101 {
        bench.after(Duration::from_secs(1));
        bench.session.expire(bench.now);
    }
    assert_eq!(bench.session.queued(), stay.len());
    assert_eq!(bench.session.poll_timeout(), None);
    bench.connect(false);
    let sent: Vec<String> = payloads(&bench.sent())
        .iter()
        .map(|payload| payload.trim_start_matches('\0').to_owned())
        .collect();
    assert_eq!(sent, stay);
}
