//! Retained messages.

use callmq::testing::Broker;

use crate::peer::*;

/// Publishes a retained message and waits until the broker has it.
fn retain(broker: &Broker, level: u8, topic: &str, payload: &str) {
    let mut peer = Peer::connect(broker, level, "retainer");
    peer.send(&publish(level, 0b001, topic, 0, payload));
    peer.expect_nothing();
}

#[test]
fn a_retained_message_waits_for_subscribers() {
    each_version(|broker, level| {
        retain(broker, level, "house/light", "on");
        retain(broker, level, "house/door", "shut");
        assert_eq!(broker.retained("house/light").unwrap(), "on");
        let mut subscriber = Peer::connect(broker, level, "late");
        subscriber.subscribe("house/light", 0);
        subscriber.expect(&publish(level, 0b001, "house/light", 0, "on"));
        subscriber.expect_nothing();
    });
}

#[test]
fn a_present_subscriber_gets_it_without_the_flag() {
    each_version(|broker, level| {
        let mut subscriber = Peer::connect(broker, level, "present");
        subscriber.subscribe("t", 0);
        retain(broker, level, "t", "x");
        subscriber.expect(&publish(level, 0, "t", 0, "x"));
        // Another SUBSCRIBE is a reason to send it again.
        subscriber.subscribe("t", 0);
        subscriber.expect(&publish(level, 0b001, "t", 0, "x"));
    });
}

#[test]
fn the_latest_message_is_kept_and_an_empty_one_clears() {
    each_version(|broker, level| {
        retain(broker, level, "t", "one");
        retain(broker, level, "t", "two");
        assert_eq!(broker.retained("t").unwrap(), "two");
        let mut peer = Peer::connect(broker, level, "watching");
        peer.subscribe("t", 0);
        peer.expect(&publish(level, 0b001, "t", 0, "two"));
        retain(broker, level, "t", "");
        assert_eq!(broker.retained("t"), None);
        // Subscribers hear of it as of any message.
        peer.expect(&publish(level, 0, "t", 0, ""));
        peer.subscribe("t", 0);
        peer.expect_nothing();
    });
}

#[test]
fn a_wildcard_finds_all_of_them_at_its_qos() {
    each_version(|broker, level| {
        broker.publish("a/1", "x", 2, true).unwrap();
        broker.publish("a/2", "y", 0, true).unwrap();
        broker.publish("b/1", "z", 0, true).unwrap();
        let mut peer = Peer::connect(broker, level, "all");
        peer.subscribe("a/#", 1);
        peer.expect(&publish(level, 0b011, "a/1", 1, "x"));
        peer.expect(&publish(level, 0b001, "a/2", 0, "y"));
        peer.send(&ack(0x40, 1));
        peer.expect_nothing();
    });
}

#[test]
fn a_broker_without_retained_messages_parts_from_who_sends_one() {
    both_ways(
        || Broker::builder().retain(false),
        |broker| {
            for level in [4, 5] {
                let mut peer = Peer::open(broker);
                peer.send(&connect(level, "retaining", CLEAN, 60, &[], &[]));
                match level {
                    // RetainAvailable 0 is announced.
                    5 => peer.expect(b"\x20\x0B\x00\x00\x08\x22\x00\x0A\x21\x00\x14\x25\x00"),
                    _ => peer.expect(&connack(level, false)),
                }
                peer.send(&publish(level, 0b001, "t", 0, "x"));
                if level == 5 {
                    peer.expect(b"\xE0\x01\x9A");
                }
                peer.expect_end();
                assert_eq!(broker.retained("t"), None);
            }
        },
    );
}

#[test]
fn retain_handling_decides_when_they_are_sent() {
    both_ways(Broker::builder, |broker| {
        broker.publish("t", "x", 0, true).unwrap();
        let retained = publish(5, 0b001, "t", 0, "x");
        let mut peer = Peer::connect(broker, 5, "handling");
        // 2: never
        peer.subscribe("t", 0x20);
        peer.expect_nothing();
        // 1: only with a new subscription
        peer.subscribe("t", 0x10);
        peer.expect_nothing();
        peer.send(&unsubscribe(5, 2, "t"));
        peer.expect(b"\xB0\x04\x00\x02\x00\x00");
        peer.subscribe("t", 0x10);
        peer.expect(&retained);
        // 0: always
        peer.subscribe("t", 0x00);
        peer.expect(&retained);
    });
}

#[test]
fn retain_as_published_keeps_the_flag() {
    both_ways(Broker::builder, |broker| {
        let mut peer = Peer::connect(broker, 5, "as published");
        peer.subscribe("t", 0x08);
        peer.send(&publish(5, 0b001, "t", 0, "x"));
        peer.expect(&publish(5, 0b001, "t", 0, "x"));
        peer.send(&publish(5, 0b000, "t", 0, "y"));
        peer.expect(&publish(5, 0b000, "t", 0, "y"));
    });
}
