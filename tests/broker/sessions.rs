//! Sessions that outlive the connection, take-over, the in-flight window.

use callmq::testing::Broker;

use crate::peer::*;

/// Connects without clean session: in MQTT 5.0 with a session that stays for ever.
fn resume(broker: &Broker, level: u8, client_id: &str, session_present: bool) -> Peer {
    let mut peer = Peer::open(broker);
    let forever: &[u8] = if level == 5 { b"\x11\xFF\xFF\xFF\xFF" } else { &[] };
    peer.send(&connect(level, client_id, 0, 60, forever, &[]));
    peer.expect_connack(level, session_present);
    peer
}

fn leave(mut peer: Peer) {
    peer.send(b"\xE0\x00");
    peer.expect_end();
}

#[test]
fn a_session_keeps_subscriptions_and_queues_messages() {
    each_version(|broker, level| {
        let mut peer = resume(broker, level, "stays", false);
        peer.subscribe("t", 2);
        leave(peer);
        for (qos, payload) in [(0, "zero"), (1, "one"), (2, "two")] {
            broker.publish("t", payload, qos, false).unwrap();
        }
        let mut peer = resume(broker, level, "stays", true);
        // QoS 0 is not kept; the others come in their order.
        peer.expect(&publish(level, 0b010, "t", 1, "one"));
        peer.expect(&publish(level, 0b100, "t", 2, "two"));
        peer.send(&ack(0x40, 1));
        peer.send(&ack(0x50, 2));
        peer.expect(&ack(0x62, 2));
        peer.send(&ack(0x70, 2));
        leave(peer);
        let mut peer = resume(broker, level, "stays", true);
        peer.expect_nothing();
    });
}

#[test]
fn a_clean_session_leaves_nothing() {
    each_version(|broker, level| {
        let mut peer = resume(broker, level, "forgets", false);
        peer.subscribe("t", 1);
        leave(peer);
        assert_eq!(broker.sessions(), ["forgets"]);
        let mut peer = Peer::connect(broker, level, "forgets");
        assert!(broker.subscriptions("forgets").is_empty());
        broker.publish("t", "x", 1, false).unwrap();
        peer.expect_nothing();
        leave(peer);
        broker
            .wait_for(PATIENCE, |broker| broker.sessions().is_empty())
            .unwrap();
        resume(broker, level, "forgets", false);
    });
}

#[test]
fn what_was_not_acknowledged_is_sent_again_as_duplicate_and_in_order() {
    each_version(|broker, level| {
        let mut peer = resume(broker, level, "again", false);
        peer.subscribe("t", 2);
        for (qos, payload) in [(1, "a"), (2, "b"), (2, "c"), (1, "d"), (1, "e")] {
            broker.publish("t", payload, qos, false).unwrap();
        }
        peer.expect(&publish(level, 0b010, "t", 1, "a"));
        peer.expect(&publish(level, 0b100, "t", 2, "b"));
        peer.expect(&publish(level, 0b100, "t", 3, "c"));
        peer.expect(&publish(level, 0b010, "t", 4, "d"));
        peer.expect(&publish(level, 0b010, "t", 5, "e"));
        peer.send(&ack(0x50, 2));
        peer.expect(&ack(0x62, 2));
        peer.send(&ack(0x40, 4));
        peer.expect_nothing();
        assert!(broker.disconnect_client("again"));
        let mut peer = resume(broker, level, "again", true);
        peer.expect(&publish(level, 0b1010, "t", 1, "a"));
        // Of "b" only the second half is left.
        peer.expect(&ack(0x62, 2));
        peer.expect(&publish(level, 0b1100, "t", 3, "c"));
        peer.expect(&publish(level, 0b1010, "t", 5, "e"));
        for answer in [ack(0x40, 1), ack(0x70, 2), ack(0x40, 5)] {
            peer.send(&answer);
        }
        peer.expect_nothing();
    });
}

#[test]
fn a_message_of_qos_2_from_the_client_survives_the_connection() {
    each_version(|broker, level| {
        let mut peer = resume(broker, level, "half", false);
        peer.send(&publish(level, 0b100, "t", 9, "x"));
        peer.expect(&ack(0x50, 9));
        broker.disconnect_client("half");
        let mut peer = resume(broker, level, "half", true);
        peer.send(&ack(0x62, 9));
        peer.expect(&ack(0x70, 9));
        assert_eq!(broker.published().len(), 1);
    });
}

#[test]
fn the_window_holds_messages_back() {
    both_ways(
        || Broker::builder().max_inflight(2),
        |broker| {
            for level in [3, 4, 5] {
                let mut peer = Peer::connect(broker, level, "narrow");
                peer.subscribe("t", 1);
                for payload in ["a", "b", "c", "d"] {
                    broker.publish("t", payload, 1, false).unwrap();
                }
                broker.publish("t", "qos 0 is not held back", 0, false).unwrap();
                peer.expect(&publish(level, 0b010, "t", 1, "a"));
                peer.expect(&publish(level, 0b010, "t", 2, "b"));
                peer.expect(&publish(level, 0, "t", 0, "qos 0 is not held back"));
                peer.expect_nothing();
                peer.send(&ack(0x40, 2));
                peer.expect(&publish(level, 0b010, "t", 3, "c"));
                peer.send(&ack(0x40, 1));
                peer.expect(&publish(level, 0b010, "t", 4, "d"));
                peer.expect_nothing();
            }
        },
    );
}

#[test]
fn the_queue_of_a_client_is_bounded() {
    both_ways(
        || Broker::builder().max_queued(2),
        |broker| {
            let mut peer = resume(broker, 4, "slow", false);
            peer.subscribe("t", 1);
            leave(peer);
            for payload in ["a", "b", "c", "d"] {
                broker.publish("t", payload, 1, false).unwrap();
            }
            let mut peer = resume(broker, 4, "slow", true);
            peer.expect(&publish(4, 0b010, "t", 1, "a"));
            peer.expect(&publish(4, 0b010, "t", 2, "b"));
            peer.expect_nothing();
            let told = broker
                .log()
                .iter()
                .filter(|line| line.contains("being dropped for client slow"))
                .count();
            assert_eq!(told, 1);
        },
    );
}

#[test]
fn a_second_connection_with_the_same_identifier_takes_over() {
    each_version(|broker, level| {
        let mut old = Peer::connect(broker, level, "same");
        old.subscribe("t", 0);
        let mut new = Peer::connect(broker, level, "same");
        old.expect_parting(0x8E);
        assert_eq!(broker.connected_clients(), ["same"]);
        new.subscribe("t", 0);
        broker.publish("t", "x", 0, false).unwrap();
        new.expect(&publish(level, 0, "t", 0, "x"));
        broker
            .wait_for_log(PATIENCE, "Client same already connected, closing old connection.")
            .unwrap();
    });
}

#[test]
fn a_session_moves_to_the_connection_that_takes_over() {
    each_version(|broker, level| {
        let mut old = resume(broker, level, "moves", false);
        old.subscribe("t", 1);
        broker.publish("t", "x", 1, false).unwrap();
        old.expect(&publish(level, 0b010, "t", 1, "x"));
        let mut new = resume(broker, level, "moves", true);
        new.expect(&publish(level, 0b1010, "t", 1, "x"));
        old.expect_parting(0x8E);
    });
}

#[test]
fn packet_identifiers_in_use_are_not_used_again() {
    let broker = Broker::builder().max_inflight(u16::MAX).in_process();
    let mut peer = Peer::connect(&broker, 4, "counting");
    peer.subscribe("t", 1);
    let next = |peer: &mut Peer, id| {
        broker.publish("t", "x", 1, false).unwrap();
        peer.expect(&publish(4, 0b010, "t", id, "x"));
    };
    next(&mut peer, 1);
    for id in 2..=u16::MAX {
        next(&mut peer, id);
        peer.send(&ack(0x40, id));
    }
    // 1 is still waiting for its PUBACK.
    next(&mut peer, 2);
}
