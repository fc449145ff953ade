//! Statements of the standards that only the whole client can keep, against a peer that speaks bytes.

use std::time::Duration;

use callmq::client::{self as mqtt, DisconnectReason};

use crate::support::{Connection, Events, PATIENCE, Peer, ack_packet, publish_packet};
use crate::wire_v5::{CONNACK_V5, accept_v5, packet, publish_v5, running_v5};

const VERSIONS: [mqtt::ProtocolVersion; 2] = [mqtt::MQTTv311, mqtt::MQTTv5];

/// A client of this version that the peer has accepted.
fn started(version: mqtt::ProtocolVersion, change: impl FnOnce(&mqtt::Client)) -> (mqtt::Client, Connection) {
    let client = mqtt::Client::builder("c").protocol(version).build();
    client.reconnect_on_failure_set(false);
    change(&client);
    client.loop_start().unwrap();
    let peer = Peer::listen();
    client.connect(peer.address()).unwrap();
    let connection = peer.accept_client();
    client.wait_for_connect(PATIENCE).unwrap();
    (client, connection)
}

/// PUBLISH to "t" as the version writes it.
fn publish(version: mqtt::ProtocolVersion, first: u8, mid: u16, payload: &str) -> Vec<u8> {
    if version == mqtt::MQTTv5 {
        publish_v5(first, "t", mid, &[], payload)
    } else {
        publish_packet(first, "t", mid, payload)
    }
}

/// What is received with DUP is passed on without it: as the message that it is, or as its payload.
///
/// [3.1.1/MQTT-3.3.1-3] [5.0/MQTT-3.3.1-3]
#[test]
fn dup_is_not_passed_on() {
    for version in VERSIONS {
        let (client, mut connection) = started(version, |client| {
            client.on_message(|client, message| {
                assert!(message.dup);
                client.publish_message(message.clone())?;
                client.publish_with("t", &message.payload, 2, false)
            });
        });
        connection.send(&publish(version, 0x3a, 7, "x"));
        let mut sent: Vec<Vec<u8>> = (0..3).map(|_| connection.packet()).collect();
        sent.sort();
        let expected = [
            publish(version, 0x32, 1, "x"),
            publish(version, 0x34, 2, "x"),
            ack_packet(0x40, 7),
        ];
        assert_eq!(sent, expected);
        client.loop_stop().unwrap();
    }
}

/// Each message is acknowledged by its QoS although nobody here wants it: no callback, no subscription, no channel.
///
/// [3.1.1/MQTT-3.3.4-1] [3.1.1/MQTT-4.5.0-2] [5.0/MQTT-3.3.4-1] [5.0/MQTT-4.5.0-2]
#[test]
fn messages_that_nobody_wants_are_acknowledged() {
    for version in VERSIONS {
        let (client, mut connection) = started(version, |_| {});
        connection.send(&publish(version, 0x30, 0, "x"));
        connection.send(&publish(version, 0x32, 1, "x"));
        connection.expect(&ack_packet(0x40, 1));
        connection.send(&publish(version, 0x34, 2, "x"));
        connection.expect(&ack_packet(0x50, 2));
        connection.send(&ack_packet(0x62, 2));
        connection.expect(&ack_packet(0x70, 2));
        client.loop_stop().unwrap();
    }
}

/// What ends the connection.
fn endings(client: &mqtt::Client) -> Events<(u8, &'static str)> {
    let events = Events::new();
    let report = events.sink();
    client.on_disconnect(move |_, flags, _, _| {
        let DisconnectReason::Protocol(error) = flags.reason else {
            panic!("{}", flags.reason)
        };
        report((error.reason.value(), error.statement));
    });
    events
}

/// A server that breaks MQTT 3.1.1 is left, without DISCONNECT: that would take the Will back.
///
/// [3.1.1/MQTT-1.5.3-1] [3.1.1/MQTT-1.5.3-2] [3.1.1/MQTT-2.2.2-2] [3.1.1/MQTT-2.3.1-1] [3.1.1/MQTT-3.3.1-2]
/// [3.1.1/MQTT-3.3.1-4] [3.1.1/MQTT-3.3.2-2] [3.1.1/MQTT-3.6.1-1] [3.1.1/MQTT-3.9.3-2] [3.1.1/MQTT-4.8.0-1]
#[test]
fn each_breach_of_3_1_1_closes_the_connection() {
    let breaches: [(&str, &[u8], &str); 15] = [
        ("not UTF-8", b"\x30\x04\x00\x02\xc3\x28", "MQTT-1.5.3-1"),
        ("a surrogate", b"\x30\x05\x00\x03\xed\xa0\x80", "MQTT-1.5.3-1"),
        ("U+0000", b"\x30\x04\x00\x02t\x00", "MQTT-1.5.3-2"),
        ("flags of PINGRESP", b"\xd1\x00", "MQTT-2.2.2-2"),
        ("flags of PUBACK", b"\x42\x02\x00\x01", "MQTT-2.2.2-2"),
        ("flags of PUBREL", b"\x60\x02\x00\x01", "MQTT-3.6.1-1"),
        ("type 0", b"\x00\x00", ""),
        ("type 15", b"\xf0\x00", ""),
        ("identifier 0", b"\x32\x05\x00\x01t\x00\x00", "MQTT-2.3.1-1"),
        ("DUP with QoS 0", b"\x38\x03\x00\x01t", "MQTT-3.3.1-2"),
        ("QoS 3", b"\x36\x05\x00\x01t\x00\x01", "MQTT-3.3.1-4"),
        ("a wildcard", b"\x30\x05\x00\x03t/#", "MQTT-3.3.2-2"),
        ("a code of SUBACK", b"\x90\x03\x00\x01\x03", "MQTT-3.9.3-2"),
        ("a second CONNACK", b"\x20\x02\x00\x00", ""),
        ("a packet of clients", b"\xa2\x05\x00\x01\x00\x01t", ""),
    ];
    for (what, bytes, statement) in breaches {
        let mut events = None;
        let (client, mut connection) = started(mqtt::MQTTv311, |client| events = Some(endings(client)));
        connection.send(bytes);
        connection.expect_close();
        let events = events.unwrap();
        assert_eq!(events.next().1, statement, "{what}");
        assert!(events.so_far().is_empty(), "{what}");
        assert!(!client.is_connected());
    }
}

/// Before its CONNACK nothing else may come from a server, and it may not say that it has a session that was not asked
/// for, or that it has one and refuses.
///
/// [3.1.1/MQTT-3.2.0-1] [3.1.1/MQTT-3.2.2-1] [3.1.1/MQTT-3.2.2-4] [3.1.1/MQTT-4.8.0-1]
#[test]
fn a_connack_of_3_1_1_that_is_none_closes_the_connection() {
    for (what, bytes, statement) in [
        ("another packet", &b"\xd0\x00"[..], "MQTT-3.2.0-1"),
        ("a message", b"\x30\x03\x00\x01t", "MQTT-3.2.0-1"),
        ("a session", b"\x20\x02\x01\x00", "MQTT-3.2.2-1"),
        ("a session with a refusal", b"\x20\x02\x01\x05", "MQTT-3.2.2-4"),
        ("reserved flags", b"\x20\x02\x02\x00", ""),
    ] {
        let client = mqtt::Client::new("c");
        client.reconnect_on_failure_set(false);
        let events = endings(&client);
        client.on_connect(|_, _, code, _| assert!(code.is_failure()));
        let peer = Peer::listen();
        client.loop_start().unwrap();
        client.connect(peer.address()).unwrap();
        let mut connection = accept_v5(&peer, bytes);
        connection.expect_close();
        assert_eq!(events.next().1, statement, "{what}");
        assert!(!client.is_connected());
    }
}

/// A server that breaks MQTT 5.0 is told so with the reason of its breach, here those of the Fixed Header, and of packets
/// that the other tests leave out.
///
/// [5.0/MQTT-2.1.3-1] [5.0/MQTT-3.5.2-1] [5.0/MQTT-3.6.1-1] [5.0/MQTT-3.6.2-1] [5.0/MQTT-3.7.2-1] [5.0/MQTT-3.11.3-2]
/// [5.0/MQTT-3.14.1-1] [5.0/MQTT-3.14.2-1] [5.0/MQTT-3.15.1-1] [5.0/MQTT-4.13.1-1] [5.0/MQTT-4.13.2-1]
#[test]
fn each_breach_of_5_0_is_answered_with_its_reason() {
    for (what, bytes, end) in [
        ("flags of PUBACK", packet(0x41, &[0, 1]), (0x81, "MQTT-2.1.3-1")),
        ("flags of PUBREL", packet(0x60, &[0, 1]), (0x81, "MQTT-3.6.1-1")),
        ("flags of DISCONNECT", packet(0xe1, &[]), (0x81, "MQTT-3.14.1-1")),
        ("flags of AUTH", packet(0xf2, &[]), (0x81, "MQTT-3.15.1-1")),
        (
            "a code of PUBREC",
            packet(0x50, &[0, 1, 0x92]),
            (0x82, "MQTT-3.5.2-1"),
        ),
        (
            "a code of PUBREL",
            packet(0x62, &[0, 1, 0x80]),
            (0x82, "MQTT-3.6.2-1"),
        ),
        (
            "a code of PUBCOMP",
            packet(0x70, &[0, 1, 0x10]),
            (0x82, "MQTT-3.7.2-1"),
        ),
        (
            "a code of UNSUBACK",
            packet(0xb0, &[0, 1, 0, 0x01]),
            (0x82, "MQTT-3.11.3-2"),
        ),
        (
            "a code of DISCONNECT",
            packet(0xe0, &[0x18]),
            (0x82, "MQTT-3.14.2-1"),
        ),
    ] {
        let client = mqtt::Client::builder("c").protocol(mqtt::MQTTv5).build();
        client.reconnect_on_failure_set(false);
        let events = endings(&client);
        let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
        connection.send(&bytes);
        connection.expect(&[0xe0, 1, end.0]);
        connection.expect_close();
        assert_eq!(events.next(), end, "{what}");
        assert!(events.so_far().is_empty(), "{what}");
    }
}

/// A connection on which something fails that is nobody's breach is closed: the room for what is received is used up, the
/// server is silent, its stream breaks off.
///
/// [3.1.1/MQTT-3.1.2-24] [3.1.1/MQTT-3.12.4-1] [3.1.1/MQTT-4.8.0-2] [5.0/MQTT-3.12.4-1]
#[test]
fn what_fails_for_a_moment_closes_the_connection() {
    for version in VERSIONS {
        type Fail = fn(&mut Connection, mqtt::ProtocolVersion);
        let failures: [(&str, Fail); 3] = [
            ("no room", |connection, version| {
                connection.send(&publish(version, 0x34, 1, "kept"));
                connection.expect(&ack_packet(0x50, 1));
                connection.send(&publish(version, 0x34, 2, "too much"));
            }),
            ("silence", |connection, _| connection.expect(b"\xc0\x00")),
            ("the end in the middle of a packet", |connection, _| {
                connection.send(b"\x30\x10\x00");
                connection.close_output();
            }),
        ];
        for (what, fail) in failures {
            let ended = Events::new();
            let report = ended.sink();
            let client = mqtt::Client::builder("c")
                .protocol(version)
                .incoming_limit(mqtt::IncomingLimit {
                    max_bytes: 6,
                    ..mqtt::IncomingLimit::default()
                })
                .build();
            client.reconnect_on_failure_set(false);
            client.on_disconnect(move |_, flags, _, _| report(flags.reason.to_string()));
            client.ping_timeout_set(Duration::from_millis(20)).unwrap();
            client.loop_start().unwrap();
            let peer = Peer::listen();
            let keep_alive = if what == "silence" { 1 } else { 60 };
            client.connect(("127.0.0.1", peer.port(), keep_alive)).unwrap();
            let mut connection = peer.accept_client();
            client.wait_for_connect(PATIENCE).unwrap();
            fail(&mut connection, version);
            // In 5.0 there is a word for it.
            while connection.packet_within(PATIENCE).is_some_and(|packet| {
                assert_eq!((packet[0], version), (0xe0, mqtt::MQTTv5), "{what}");
                true
            }) {}
            connection.expect_close();
            ended.next();
            assert!(ended.so_far().is_empty(), "{what}");
            assert!(!client.is_connected(), "{what}");
        }
    }
}
