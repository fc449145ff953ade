//! Messages from one client to another, at each QoS.

use crate::peer::*;

#[test]
fn connack_accepts_in_the_form_of_each_version() {
    both_ways(callmq::testing::Broker::builder, |broker| {
        for (level, expected) in [
            (3, &b"\x20\x02\x00\x00"[..]),
            (4, b"\x20\x02\x00\x00"),
            // Topic Alias Maximum 10, Receive Maximum 20
            (5, b"\x20\x09\x00\x00\x06\x22\x00\x0A\x21\x00\x14"),
        ] {
            let mut peer = Peer::open(broker);
            peer.send(&connect(level, "one", CLEAN, 60, &[], &[]));
            peer.expect(expected);
            peer.send(b"\xE0\x00");
            peer.expect_end();
        }
    });
}

#[test]
fn a_ping_is_answered() {
    each_version(|broker, level| {
        let mut peer = Peer::connect(broker, level, "pinging");
        peer.send(b"\xC0\x00");
        peer.expect(b"\xD0\x00");
    });
}

#[test]
fn a_message_of_qos_0_passes() {
    each_version(|broker, level| {
        let mut subscriber = Peer::connect(broker, level, "subscriber");
        subscriber.subscribe("test/topic", 0);
        let mut publisher = Peer::connect(broker, level, "publisher");
        publisher.send(&publish(level, 0, "test/topic", 0, "bar"));
        subscriber.expect(&publish(level, 0, "test/topic", 0, "bar"));
    });
}

#[test]
fn a_message_of_qos_1_is_acknowledged_by_both_sides() {
    each_version(|broker, level| {
        let mut subscriber = Peer::connect(broker, level, "subscriber");
        subscriber.subscribe("test/topic", 1);
        let mut publisher = Peer::connect(broker, level, "publisher");
        publisher.send(&publish(level, 0b010, "test/topic", 77, "bar"));
        publisher.expect(&ack(0x40, 77));
        subscriber.expect(&publish(level, 0b010, "test/topic", 1, "bar"));
        subscriber.send(&ack(0x40, 1));
        subscriber.expect_nothing();
    });
}

#[test]
fn a_message_of_qos_2_goes_out_when_it_is_released() {
    each_version(|broker, level| {
        let mut subscriber = Peer::connect(broker, level, "subscriber");
        subscriber.subscribe("test/topic", 2);
        let mut publisher = Peer::connect(broker, level, "publisher");
        publisher.send(&publish(level, 0b100, "test/topic", 77, "bar"));
        publisher.expect(&ack(0x50, 77));
        subscriber.expect_nothing();
        publisher.send(&ack(0x62, 77));
        publisher.expect(&ack(0x70, 77));
        subscriber.expect(&publish(level, 0b100, "test/topic", 1, "bar"));
        subscriber.send(&ack(0x50, 1));
        subscriber.expect(&ack(0x62, 1));
        subscriber.send(&ack(0x70, 1));
        subscriber.expect_nothing();
    });
}

#[test]
fn a_repeated_message_of_qos_2_goes_out_once() {
    each_version(|broker, level| {
        let mut subscriber = Peer::connect(broker, level, "subscriber");
        subscriber.subscribe("test/topic", 0);
        let mut publisher = Peer::connect(broker, level, "publisher");
        publisher.send(&publish(level, 0b100, "test/topic", 5, "once"));
        publisher.expect(&ack(0x50, 5));
        publisher.send(&publish(level, 0b1100, "test/topic", 5, "once"));
        publisher.expect(&ack(0x50, 5));
        publisher.send(&ack(0x62, 5));
        publisher.expect(&ack(0x70, 5));
        // The client missed the PUBCOMP.
        publisher.send(&ack(0x62, 5));
        match level {
            // "Packet identifier not found"
            5 => publisher.expect(b"\x70\x03\x00\x05\x92"),
            _ => publisher.expect(&ack(0x70, 5)),
        }
        subscriber.expect(&publish(level, 0, "test/topic", 0, "once"));
        subscriber.expect_nothing();
        // The identifier is free for another message.
        publisher.send(&publish(level, 0b100, "test/topic", 5, "twice"));
        publisher.expect(&ack(0x50, 5));
        publisher.send(&ack(0x62, 5));
        subscriber.expect(&publish(level, 0, "test/topic", 0, "twice"));
    });
}

#[test]
fn the_lower_qos_of_message_and_subscription_counts() {
    for (granted, sent, delivered) in [(0, 2, 0), (1, 2, 1), (2, 1, 1), (2, 0, 0), (1, 0, 0), (0, 1, 0)] {
        each_version(|broker, level| {
            let mut subscriber = Peer::connect(broker, level, "subscriber");
            subscriber.subscribe("t", granted);
            let mut publisher = Peer::connect(broker, level, "publisher");
            publisher.send(&publish(level, sent << 1, "t", 9, "x"));
            publisher.send(&ack(0x62, 9));
            subscriber.expect(&publish(level, delivered << 1, "t", 1, "x"));
        });
    }
}

#[test]
fn versions_talk_to_each_other() {
    each_version(|broker, from| {
        for to in [3, 4, 5] {
            let mut subscriber = Peer::connect(broker, to, "subscriber");
            subscriber.subscribe("t", 0);
            let mut publisher = Peer::connect(broker, from, "publisher");
            publisher.send(&publish(from, 0, "t", 0, "x"));
            subscriber.expect(&publish(to, 0, "t", 0, "x"));
        }
    });
}

#[test]
fn packets_may_be_cut_anywhere() {
    each_version(|broker, level| {
        let mut peer = Peer::open(broker);
        let mut bytes = connect(level, "cut", CLEAN, 60, &[], &[]);
        bytes.extend(subscribe(level, 3, &[("a", 1), ("b", 0)]));
        bytes.extend(publish(level, 0, "b", 0, "payload"));
        for byte in bytes {
            peer.send(&[byte]);
        }
        peer.expect_connack(level, false);
        peer.expect(&suback(level, 3, &[1, 0]));
        peer.expect(&publish(level, 0, "b", 0, "payload"));
    });
}

#[test]
fn packets_may_come_in_one_piece_and_before_the_connack() {
    each_version(|broker, level| {
        let mut peer = Peer::open(broker);
        let bytes = [
            connect(level, "hasty", CLEAN, 60, &[], &[]),
            subscribe(level, 1, &[("t", 0)]),
            publish(level, 0, "t", 0, "a"),
            publish(level, 0, "t", 0, "b"),
        ];
        peer.send(&bytes.concat());
        peer.expect_connack(level, false);
        peer.expect(&suback(level, 1, &[0]));
        peer.expect(&publish(level, 0, "t", 0, "a"));
        peer.expect(&publish(level, 0, "t", 0, "b"));
    });
}

#[test]
fn large_messages_pass() {
    each_version(|broker, level| {
        let payload = "0123456789".repeat(200_000);
        let mut peer = Peer::connect(broker, level, "large");
        peer.subscribe("t", 0);
        let packet = publish(level, 0, "t", 0, &payload);
        peer.send(&packet);
        peer.expect(&packet);
    });
}

#[test]
fn many_messages_arrive_in_order() {
    each_version(|broker, level| {
        let mut subscriber = Peer::connect(broker, level, "subscriber");
        subscriber.subscribe("t", 1);
        let mut publisher = Peer::connect(broker, level, "publisher");
        for number in 1..=200 {
            publisher.send(&publish(level, 0b010, "t", number, &number.to_string()));
            publisher.expect(&ack(0x40, number));
            subscriber.expect(&publish(level, 0b010, "t", number, &number.to_string()));
            subscriber.send(&ack(0x40, number));
        }
    });
}
