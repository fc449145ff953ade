//! What only MQTT 5.0 has: properties, aliases, identifiers, expiry.

use std::time::Duration;

use callmq::client::{Properties, Property, QoS, TopicName};
use callmq::codec::Publish;
use callmq::testing::Broker;

use crate::peer::*;

#[test]
fn the_properties_of_a_message_are_passed_on() {
    both_ways(Broker::builder, |broker| {
        let mut peer = Peer::connect(broker, 5, "proper");
        peer.subscribe("t", 0);
        let properties = [
            &b"\x01\x01"[..],          // Payload Format Indicator
            b"\x03\x00\x04text",       // Content Type
            b"\x08\x00\x05reply",      // Response Topic
            b"\x09\x00\x02\x00\xFF",   // Correlation Data
            b"\x26\x00\x01a\x00\x01b", // User Property, in order and more than once
            b"\x26\x00\x01a\x00\x01c",
        ]
        .concat();
        let message = publish_with(5, 0, "t", 0, &properties, "x");
        peer.send(&message);
        peer.expect(&message);
        // An earlier version gets the message without them.
        let mut old = Peer::connect(broker, 4, "old");
        old.subscribe("t", 0);
        peer.send(&message);
        old.expect(&publish(4, 0, "t", 0, "x"));
    });
}

#[test]
fn puback_tells_that_nobody_listens() {
    both_ways(Broker::builder, |broker| {
        let mut peer = Peer::connect(broker, 5, "lonely");
        peer.send(&publish(5, 0b010, "t", 1, "x"));
        peer.expect(b"\x40\x03\x00\x01\x10");
    });
}

#[test]
fn a_topic_alias_stands_for_its_topic_on_its_connection() {
    both_ways(Broker::builder, |broker| {
        let mut peer = Peer::connect(broker, 5, "brief");
        peer.subscribe("#", 0);
        peer.send(&publish_with(5, 0, "a", 0, b"\x23\x00\x0A", "1"));
        peer.send(&publish_with(5, 0, "", 0, b"\x23\x00\x0A", "2"));
        peer.send(&publish_with(5, 0, "b", 0, b"\x23\x00\x0A", "3"));
        peer.send(&publish_with(5, 0, "", 0, b"\x23\x00\x0A", "4"));
        for (topic, payload) in [("a", "1"), ("a", "2"), ("b", "3"), ("b", "4")] {
            peer.expect(&publish(5, 0, topic, 0, payload));
        }
        let mut other = Peer::connect(broker, 5, "other");
        other.send(&publish_with(5, 0, "", 0, b"\x23\x00\x0A", "5"));
        other.expect_parting(0x82);
        peer.send(&publish_with(5, 0, "c", 0, b"\x23\x00\x0B", "6"));
        peer.expect_parting(0x94);
    });
}

#[test]
fn the_broker_uses_topic_aliases_if_both_sides_want_it() {
    both_ways(
        || Broker::builder().send_topic_aliases(true),
        |broker| {
            let mut peer = Peer::open(broker);
            // One alias is allowed.
            peer.send(&connect(5, "brief", CLEAN, 60, b"\x22\x00\x01", &[]));
            peer.expect_connack(5, false);
            peer.subscribe("#", 0);
            for topic in ["a", "a", "b", "a"] {
                broker.publish(topic, "x", 0, false).unwrap();
            }
            peer.expect(&publish_with(5, 0, "a", 0, b"\x23\x00\x01", "x"));
            peer.expect(&publish_with(5, 0, "", 0, b"\x23\x00\x01", "x"));
            peer.expect(&publish(5, 0, "b", 0, "x"));
            peer.expect(&publish_with(5, 0, "", 0, b"\x23\x00\x01", "x"));
        },
    );
}

#[test]
fn a_message_carries_the_identifier_of_its_subscription() {
    both_ways(Broker::builder, |broker| {
        broker.publish("a/b", "old", 0, true).unwrap();
        let mut peer = Peer::connect(broker, 5, "numbered");
        peer.send(&subscribe_with(5, 1, b"\x0B\x80\x01", &[("a/#", 0)]));
        peer.expect(&suback(5, 1, &[0]));
        peer.expect(&publish_with(5, 1, "a/b", 0, b"\x0B\x80\x01", "old"));
        peer.send(&subscribe_with(5, 2, b"\x0B\x07", &[("a/b", 0x20)]));
        peer.expect(&suback(5, 2, &[0]));
        broker.publish("a/b", "new", 0, false).unwrap();
        peer.expect(&publish_with(5, 0, "a/b", 0, b"\x0B\x07", "new"));
        peer.expect(&publish_with(5, 0, "a/b", 0, b"\x0B\x80\x01", "new"));
    });
}

/// [MQTT-3.1.2-28]: only a client that asks for Response Information gets any.
#[test]
fn response_information_is_for_those_who_ask() {
    both_ways(
        || Broker::builder().response_information("answers"),
        |broker| {
            for (properties, offered) in [(&b"\x19\x01"[..], true), (b"\x19\x00", false), (b"", false)] {
                let mut peer = Peer::open(broker);
                peer.send(&connect(5, "asks", CLEAN, 60, properties, &[]));
                let mut told = b"\x20\x09\x00\x00\x06\x22\x00\x0A\x21\x00\x14".to_vec();
                if offered {
                    told[1] += 15;
                    told[4] += 15;
                    told.extend_from_slice(b"\x1A\x00\x0Canswers/asks");
                }
                peer.expect(&told);
            }
        },
    );
}

#[test]
fn a_client_does_not_send_subscription_identifiers() {
    both_ways(Broker::builder, |broker| {
        let mut peer = Peer::connect(broker, 5, "wrong");
        peer.send(&publish_with(5, 0, "t", 0, b"\x0B\x01", "x"));
        peer.expect_parting(0x82);
    });
}

#[test]
fn no_local_keeps_a_message_from_its_sender() {
    both_ways(Broker::builder, |broker| {
        let mut peer = Peer::connect(broker, 5, "talker");
        peer.subscribe("t", 0x04);
        let mut other = Peer::connect(broker, 5, "listener");
        other.subscribe("t", 0x04);
        peer.send(&publish(5, 0, "t", 0, "x"));
        other.expect(&publish(5, 0, "t", 0, "x"));
        peer.expect_nothing();
    });
}

#[test]
fn no_local_is_not_for_shared_subscriptions() {
    both_ways(Broker::builder, |broker| {
        let mut peer = Peer::connect(broker, 5, "wrong");
        peer.send(&subscribe(5, 1, &[("$share/g/t", 0x04)]));
        peer.expect_parting(0x82);
    });
}

/// A message with a lifetime of 10 s.
fn short_lived(retain: bool) -> Publish {
    Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain,
        topic: TopicName::new("t").unwrap(),
        packet_id: None,
        properties: Properties::new().with(Property::MessageExpiryInterval(10)),
        payload: "x".into(),
    }
}

#[test]
fn a_queued_message_expires() {
    let (broker, clock) = with_clock(Broker::builder());
    let session = connect(5, "away", 0, 0, b"\x11\x00\x00\xFF\xFF", &[]);
    let mut peer = Peer::open(&broker);
    peer.send(&session);
    peer.expect_connack(5, false);
    peer.subscribe("t", 1);
    broker.disconnect_client("away");
    broker.publish_packet(short_lived(false)).unwrap();
    clock.advance(Duration::from_secs(6));
    broker.publish_packet(short_lived(false)).unwrap();
    clock.advance(Duration::from_secs(4));
    let mut peer = Peer::open(&broker);
    peer.send(&session);
    peer.expect_connack(5, true);
    // Of the second one 6 s are left.
    peer.expect(&publish_with(5, 0b010, "t", 1, b"\x02\x00\x00\x00\x06", "x"));
    // What was sent once does not expire any more.
    clock.advance(Duration::from_secs(100));
    broker.disconnect_client("away");
    let mut peer = Peer::open(&broker);
    peer.send(&session);
    peer.expect_connack(5, true);
    peer.expect(&publish_with(5, 0b1010, "t", 1, b"\x02\x00\x00\x00\x00", "x"));
}

#[test]
fn a_retained_message_expires() {
    let (broker, clock) = with_clock(Broker::builder());
    broker.publish_packet(short_lived(true)).unwrap();
    clock.advance(Duration::from_secs(9));
    assert!(broker.retained("t").is_some());
    clock.advance(Duration::from_secs(1));
    assert_eq!(broker.retained("t"), None);
    let mut peer = Peer::connect(&broker, 5, "late");
    peer.subscribe("t", 0);
    peer.expect_nothing();
}

#[test]
fn a_session_expires_after_its_interval() {
    let (broker, clock) = with_clock(Broker::builder());
    for (session_present, wait) in [(false, 9), (true, 10), (false, 0)] {
        let mut peer = Peer::open(&broker);
        peer.send(&connect(5, "brief", 0, 0, b"\x11\x00\x00\x00\x0A", &[]));
        peer.expect_connack(5, session_present);
        // Time with a connection does not count.
        clock.advance(Duration::from_secs(100));
        assert_eq!(broker.connected_clients(), ["brief"]);
        broker.disconnect_client("brief");
        clock.advance(Duration::from_secs(wait));
    }
}

#[test]
fn disconnect_may_change_the_interval_but_not_revive_a_session() {
    let (broker, clock) = with_clock(Broker::builder());
    let mut peer = Peer::open(&broker);
    peer.send(&connect(5, "changing", 0, 0, b"\x11\x00\x00\x00\x0A", &[]));
    peer.expect_connack(5, false);
    peer.send(b"\xE0\x07\x00\x05\x11\x00\x00\x00\x14");
    peer.expect_end();
    clock.advance(Duration::from_secs(19));
    assert_eq!(broker.sessions(), ["changing"]);
    clock.advance(Duration::from_secs(1));
    assert!(broker.sessions().is_empty());

    let mut peer = Peer::connect(&broker, 5, "clean");
    peer.send(b"\xE0\x07\x00\x05\x11\x00\x00\x00\x14");
    peer.expect_parting(0x82);
    assert!(broker.sessions().is_empty());
}

#[test]
fn the_server_keep_alive_replaces_the_clients() {
    let (broker, clock) = with_clock(Broker::builder().server_keep_alive(10).topic_alias_maximum(0));
    let mut peer = Peer::open(&broker);
    peer.send(&connect(5, "told", CLEAN, 1000, &[], &[]));
    peer.expect(b"\x20\x09\x00\x00\x06\x21\x00\x14\x13\x00\x0A");
    clock.advance(Duration::from_secs(15));
    peer.expect(b"\xE0\x01\x8D");
    peer.expect_end();
}
