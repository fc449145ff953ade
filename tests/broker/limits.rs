//! The limits that the broker and its clients of MQTT 5.0 tell each other.

use callmq::client::QoS;
use callmq::testing::Broker;

use crate::peer::*;

#[test]
fn the_announcements_follow_the_settings() {
    both_ways(
        || {
            Broker::builder()
                .session_expiry_maximum(60)
                .topic_alias_maximum(0)
                .receive_maximum(3)
                .max_qos(QoS::AtMostOnce)
                .max_packet_size(1000)
                .server_keep_alive(30)
                .retain(false)
                .wildcard_subscriptions(false)
                .subscription_identifiers(false)
                .shared_subscriptions(false)
        },
        |broker| {
            let mut peer = Peer::open(broker);
            peer.send(&connect(5, "reader", CLEAN, 60, b"\x11\x00\x00\x00\x3D", &[]));
            let properties = [
                &b"\x11\x00\x00\x00\x3C"[..], // Session Expiry Interval 60
                b"\x21\x00\x03",              // Receive Maximum
                b"\x24\x00",                  // Maximum QoS
                b"\x27\x00\x00\x03\xE8",      // Maximum Packet Size
                b"\x13\x00\x1E",              // Server Keep Alive
                b"\x25\x00",                  // Retain Available
                b"\x28\x00",                  // Wildcard Subscription Available
                b"\x29\x00",                  // Subscription Identifiers Available
                b"\x2A\x00",                  // Shared Subscription Available
            ]
            .concat();
            peer.expect(&packet(0x20, &[&[0, 0, properties.len() as u8], &properties]));
            let filters = [("t", 2), ("+", 0), ("$share/g/t", 0)];
            peer.send(&subscribe(5, 1, &filters));
            peer.expect(&suback(5, 1, &[0, 0xA2, 0x9E]));
            peer.send(&subscribe_with(5, 2, b"\x0B\x05", &[("t", 0)]));
            peer.expect(&suback(5, 2, &[0xA1]));
        },
    );
}

#[test]
fn a_message_over_the_maximum_qos_ends_the_connection() {
    both_ways(
        || Broker::builder().max_qos(QoS::AtLeastOnce).topic_alias_maximum(0),
        |broker| {
            for level in [4, 5] {
                let mut peer = Peer::open(broker);
                peer.send(&connect(level, "eager", CLEAN, 60, &[], &[]));
                match level {
                    5 => peer.expect(b"\x20\x08\x00\x00\x05\x21\x00\x14\x24\x01"),
                    _ => peer.expect(b"\x20\x02\x00\x00"),
                }
                peer.send(&publish(level, 0b100, "t", 1, "x"));
                if level == 5 {
                    peer.expect(b"\xE0\x01\x9B");
                }
                peer.expect_end();
            }
        },
    );
}

#[test]
fn more_unreleased_messages_than_the_receive_maximum_end_the_connection() {
    both_ways(
        || Broker::builder().receive_maximum(2).topic_alias_maximum(0),
        |broker| {
            let mut peer = Peer::open(broker);
            peer.send(&connect(5, "eager", CLEAN, 60, &[], &[]));
            peer.expect(b"\x20\x06\x00\x00\x03\x21\x00\x02");
            for id in 1..=2 {
                peer.send(&publish(5, 0b100, "t", id, "x"));
                peer.expect(&ack(0x50, id));
            }
            // One that is known already is not one more.
            peer.send(&publish(5, 0b1100, "t", 2, "x"));
            peer.expect(&ack(0x50, 2));
            peer.send(&publish(5, 0b100, "t", 3, "x"));
            peer.expect(b"\xE0\x01\x93");
            peer.expect_end();
        },
    );
}

#[test]
fn a_packet_over_the_maximum_size_ends_the_connection_before_it_is_there() {
    both_ways(
        || Broker::builder().max_packet_size(100),
        |broker| {
            let mut peer = Peer::connect(broker, 4, "large");
            // Only the Fixed Header: 101 bytes with it.
            peer.send(b"\x30\x63");
            peer.expect_end();
        },
    );
}

#[test]
fn the_client_gets_no_packet_over_its_maximum_size() {
    both_ways(Broker::builder, |broker| {
        let mut peer = Peer::open(broker);
        peer.send(&connect(5, "small", CLEAN, 60, b"\x27\x00\x00\x00\x20", &[]));
        peer.expect_connack(5, false);
        peer.subscribe("t", 1);
        broker.publish("t", "x".repeat(30), 0, false).unwrap();
        broker.publish("t", "x".repeat(30), 1, false).unwrap();
        broker.publish("t", "fits", 1, false).unwrap();
        peer.expect(&publish(5, 0b010, "t", 2, "fits"));
        peer.expect_nothing();
    });
}

#[test]
fn the_client_gets_no_more_than_its_receive_maximum_at_once() {
    both_ways(Broker::builder, |broker| {
        let mut peer = Peer::open(broker);
        peer.send(&connect(5, "one", CLEAN, 60, b"\x21\x00\x01", &[]));
        peer.expect_connack(5, false);
        peer.subscribe("t", 2);
        for payload in ["a", "b", "c"] {
            broker.publish("t", payload, 2, false).unwrap();
        }
        peer.expect(&publish(5, 0b100, "t", 1, "a"));
        peer.send(&ack(0x50, 1));
        peer.expect(&ack(0x62, 1));
        peer.expect_nothing();
        peer.send(&ack(0x70, 1));
        peer.expect(&publish(5, 0b100, "t", 2, "b"));
        // A PUBREC that refuses ends the exchange as well: "Quota exceeded".
        peer.send(b"\x50\x03\x00\x02\x97");
        peer.expect(&publish(5, 0b100, "t", 3, "c"));
    });
}

#[test]
fn a_client_that_does_not_read_gets_no_more_messages_and_no_more_ear() {
    let broker = Broker::builder().max_output(100).in_process();
    let mut peer = Peer::connect(&broker, 4, "deaf");
    peer.subscribe("t", 1);
    for _ in 0..10 {
        broker.publish("t", "x".repeat(40), 0, false).unwrap();
        broker.publish("t", "y".repeat(40), 1, false).unwrap();
    }
    assert!(!peer.try_send(b"\xC0\x00"), "the broker does not listen");
    let large = publish(4, 0, "t", 0, &"x".repeat(40));
    peer.expect(&large);
    peer.expect(&publish(4, 0b010, "t", 1, &"y".repeat(40)));
    peer.expect(&large);
    // QoS 0 was dropped meanwhile, QoS 1 was kept.
    for id in 2..=10 {
        peer.expect(&publish(4, 0b010, "t", id, &"y".repeat(40)));
    }
    peer.expect_nothing();
}
