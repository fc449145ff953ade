//! Who is let in, and who may do what.

use callmq::client::{ProtocolVersion, ReasonCode};
use callmq::testing::Broker;

use crate::peer::*;

const USER: u8 = 0x80;
const PASSWORD: u8 = 0x40;

/// A CONNACK that refuses, and the end.
fn expect_refusal(peer: &mut Peer, level: u8, code: u8) {
    match level {
        5 => peer.expect(&[0x20, 3, 0, code, 0]),
        _ => peer.expect(&[0x20, 2, 0, code]),
    }
    peer.expect_end();
}

#[test]
fn the_first_packet_must_be_connect() {
    both_ways(Broker::builder, |broker| {
        let mut peer = Peer::open(broker);
        peer.send(b"\xC0\x00");
        peer.expect_end();
    });
}

#[test]
fn a_second_connect_ends_the_connection() {
    each_version(|broker, level| {
        let mut peer = Peer::connect(broker, level, "twice");
        peer.send(&connect(level, "twice", CLEAN, 60, &[], &[]));
        peer.expect_parting(0x82);
    });
}

#[test]
fn an_unknown_version_is_refused() {
    both_ways(Broker::builder, |broker| {
        let mut peer = Peer::open(broker);
        peer.send(b"\x10\x0D\x00\x04MQTT\x09\x02\x00\x3C\x00\x01x");
        expect_refusal(&mut peer, 4, 1);
    });
}

#[test]
fn a_version_can_be_refused() {
    both_ways(
        || {
            Broker::builder()
                .refuse_version(ProtocolVersion::V311)
                .refuse_version(ProtocolVersion::V5)
        },
        |broker| {
            for (level, code) in [(4, 1), (5, 0x84)] {
                let mut peer = Peer::open(broker);
                peer.send(&connect(level, "modern", CLEAN, 60, &[], &[]));
                expect_refusal(&mut peer, level, code);
            }
            Peer::connect(broker, 3, "old");
        },
    );
}

#[test]
fn users_need_the_right_password() {
    let credentials = |name: &str, password: &str| [text(name), text(password)].concat();
    for (flags, rest, accepted) in [
        (0, Vec::new(), false),
        (USER, text("joe"), false),
        (USER | PASSWORD, credentials("joe", "wrong"), false),
        (USER | PASSWORD, credentials("ann", "secret"), false),
        (USER | PASSWORD, credentials("joe", "secret"), true),
        (USER | PASSWORD, credentials("jim", ""), true),
    ] {
        both_ways(
            || Broker::builder().user("joe", "secret").user("jim", ""),
            |broker| {
                for (level, code) in [(3, 5), (4, 5), (5, 0x87)] {
                    let mut peer = Peer::open(broker);
                    peer.send(&connect(level, "id", CLEAN | flags, 60, &[], &rest));
                    if accepted {
                        peer.expect_connack(level, false);
                    } else {
                        expect_refusal(&mut peer, level, code);
                        let line = "Client <unknown> disconnected, not authorised.";
                        broker.wait_for_log(PATIENCE, line).unwrap();
                        assert!(broker.sessions().is_empty());
                    }
                    assert!(
                        broker.log().iter().all(|line| !line.contains("secret")),
                        "{:?}",
                        broker.log()
                    );
                }
            },
        );
    }
}

#[test]
fn anybody_may_come_besides_the_users_if_the_test_says_so() {
    both_ways(
        || Broker::builder().user("joe", "secret").anonymous(true),
        |broker| {
            Peer::connect(broker, 4, "nobody");
        },
    );
}

#[test]
fn an_empty_identifier_needs_a_clean_session() {
    both_ways(Broker::builder, |broker| {
        for (level, flags) in [(3, CLEAN), (3, 0), (4, 0)] {
            let mut peer = Peer::open(broker);
            peer.send(&connect(level, "", flags, 60, &[], &[]));
            expect_refusal(&mut peer, level, 2);
        }
        Peer::connect(broker, 4, "");
        assert!(
            broker
                .connected_clients()
                .iter()
                .all(|name| name.starts_with("auto-"))
        );
    });
}

#[test]
fn mqtt_5_learns_the_identifier_that_it_was_given() {
    both_ways(Broker::builder, |broker| {
        let mut peer = Peer::open(broker);
        peer.send(&connect(5, "", 0, 60, &[], &[]));
        let name = "auto-00000001-0000-4000-8000-000000000000";
        let properties = [b"\x22\x00\x0A\x21\x00\x14\x12", &text(name)[..]].concat();
        peer.expect(&packet(0x20, &[&[0, 0, properties.len() as u8], &properties]));
        assert_eq!(broker.connected_clients(), [name]);
    });
}

#[test]
fn an_authentication_method_is_refused() {
    both_ways(Broker::builder, |broker| {
        let mut peer = Peer::open(broker);
        peer.send(&connect(5, "auth", CLEAN, 60, b"\x15\x00\x01m", &[]));
        expect_refusal(&mut peer, 5, 0x8C);
    });
}

#[test]
fn a_full_broker_refuses() {
    both_ways(
        || Broker::builder().max_connections(1),
        |broker| {
            let _first = Peer::connect(broker, 4, "first");
            for (level, code) in [(4, 3), (5, 0x89)] {
                let mut peer = Peer::open(broker);
                peer.send(&connect(level, "second", CLEAN, 60, &[], &[]));
                expect_refusal(&mut peer, level, code);
            }
        },
    );
}

#[test]
fn a_denied_filter_is_refused_and_the_others_are_not() {
    both_ways(
        || Broker::builder().deny_subscribe("secret/#"),
        |broker| {
            for (level, code) in [(3, 0x80), (4, 0x80), (5, 0x87)] {
                let mut peer = Peer::connect(broker, level, "curious");
                peer.send(&subscribe(
                    level,
                    5,
                    &[("a", 1), ("secret/a", 1), ("secret/#", 0), ("b", 0)],
                ));
                peer.expect(&suback(level, 5, &[1, code, code, 0]));
                broker.publish("secret/a", "x", 0, false).unwrap();
                peer.expect_nothing();
            }
        },
    );
}

#[test]
fn a_denied_message_is_thrown_away() {
    both_ways(
        || Broker::builder().deny_publish("secret/#"),
        |broker| {
            for level in [4, 5] {
                let mut peer = Peer::connect(broker, level, "talker");
                peer.subscribe("#", 0);
                peer.send(&publish(level, 0, "secret/a", 0, "x"));
                peer.send(&publish(level, 0b010, "secret/a", 1, "x"));
                peer.send(&publish(level, 0b100, "secret/a", 2, "x"));
                match level {
                    5 => peer.expect(b"\x40\x03\x00\x01\x87\x50\x03\x00\x02\x87"),
                    _ => {
                        peer.expect(b"\x40\x02\x00\x01\x50\x02\x00\x02");
                        peer.send(&ack(0x62, 2));
                        peer.expect(&ack(0x70, 2));
                    }
                }
                peer.expect_nothing();
                assert!(broker.published().is_empty());
            }
        },
    );
}

#[test]
fn a_client_can_be_sent_away_with_a_reason() {
    each_version(|broker, level| {
        let mut peer = Peer::connect(broker, level, "guest");
        assert!(!broker.disconnect_client_with("stranger", ReasonCode::SERVER_SHUTTING_DOWN));
        assert!(broker.disconnect_client_with("guest", ReasonCode::SERVER_SHUTTING_DOWN));
        peer.expect_parting(0x8B);
    });
}
