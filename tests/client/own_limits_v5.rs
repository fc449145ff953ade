//! What this client allows the server (MQTT 5.0): announced, and enforced with the right reason.

use callmq::client::{self as mqtt, DisconnectReason, Message};

use crate::support::{Connection, Events, PATIENCE, Peer, ack_packet};
use crate::wire_v5::{CONNACK_V5, accept_v5, field, packet, publish_v5, running_v5};

fn builder() -> mqtt::ClientBuilder {
    mqtt::Client::builder("strict")
        .protocol(mqtt::MQTTv5)
        .reconnect_on_failure(false)
}

/// Reports how each connection ends.
fn endings(client: &mqtt::Client) -> Events<(u8, &'static str)> {
    let events = Events::new();
    let sink = events.sink();
    client.on_disconnect(move |_, flags, code, _| {
        let DisconnectReason::Protocol(error) = flags.reason else {
            panic!("{}", flags.reason)
        };
        assert_eq!(error.reason.value(), code.value());
        sink((code.value(), error.statement));
    });
    events
}

/// The client says why it ends the connection, on the wire and to the application, once.
fn expect_end(
    connection: &mut Connection,
    events: &Events<(u8, &'static str)>,
    what: &str,
    end: (u8, &'static str),
) {
    connection.expect(&[0xe0, 1, end.0]);
    connection.expect_close();
    assert_eq!(events.next(), end, "{what}");
    assert!(events.so_far().is_empty(), "{what}: told twice");
}

fn publish(first: u8, mid: u16) -> Vec<u8> {
    publish_v5(first, "t", mid, &[], "x")
}

#[test]
fn the_limits_stand_in_the_connect() {
    let client = builder()
        .receive_maximum(10)
        .max_packet_size(1000)
        .topic_alias_maximum(5)
        .build();
    let peer = Peer::listen();
    client.connect(peer.address()).unwrap();
    let expected =
        b"\x10\x1e\x00\x04MQTT\x05\x02\x00\x3c\x0b\x21\x00\x0a\x27\x00\x00\x03\xe8\x22\x00\x05\x00\x06strict";
    peer.accept().expect(expected);
    // The properties of the connection come first.
    let properties = [
        mqtt::Property::MaximumPacketSize(20),
        mqtt::Property::ReceiveMaximum(1),
        mqtt::Property::TopicAliasMaximum(2),
    ];
    let options = mqtt::ConnectOptions::new(peer.address()).properties(properties.into());
    client.connect(options).unwrap();
    let mut connection = peer.accept();
    let expected =
        b"\x10\x1e\x00\x04MQTT\x05\x02\x00\x3c\x0b\x27\x00\x00\x00\x14\x21\x00\x01\x22\x00\x02\x00\x06strict";
    connection.expect(expected);
    // And they are what is enforced.
    let events = endings(&client);
    client.loop_start().unwrap();
    connection.send(CONNACK_V5);
    client.wait_for_connect(PATIENCE).unwrap();
    connection.send(&publish_v5(0x30, "t", 0, &[], "more than 20 bytes are too many"));
    let end = (0x95, "MQTT-3.1.2-24");
    expect_end(&mut connection, &events, "too large", end);
}

/// What a server must not do, and what it is told.
///
/// [5.0/MQTT-1.5.4-1] [5.0/MQTT-1.5.5-1] [5.0/MQTT-2.1.3-1] [5.0/MQTT-2.2.1-4] [5.0/MQTT-3.1.2-24] [5.0/MQTT-3.1.2-26]
/// [5.0/MQTT-3.2.0-2] [5.0/MQTT-3.3.1-4] [5.0/MQTT-3.3.2-8] [5.0/MQTT-3.3.4-9] [5.0/MQTT-3.4.2-1] [5.0/MQTT-3.9.3-2]
/// [5.0/MQTT-3.14.2-2] [5.0/MQTT-3.14.4-2] [5.0/MQTT-4.13.1-1] [5.0/MQTT-4.13.2-1]
#[test]
fn each_breach_ends_the_connection_with_its_reason() {
    let too_many = [publish(0x32, 1), publish(0x34, 2), publish(0x32, 3)].concat();
    let aliased = |alias: u8| publish_v5(0x30, "t", 0, &[0x23, 0, alias], "x");
    let breaches: Vec<(&str, Vec<u8>, u8, &'static str)> = vec![
        ("over the Receive Maximum", too_many, 0x93, "MQTT-3.3.4-9"),
        (
            "over the Maximum Packet Size",
            vec![0x30, 0x80, 0x01],
            0x95,
            "MQTT-3.1.2-24",
        ),
        ("over the Topic Alias Maximum", aliased(4), 0x94, "MQTT-3.1.2-26"),
        ("alias 0", aliased(0), 0x94, "MQTT-3.3.2-8"),
        (
            "an alias that stands for nothing",
            publish_v5(0x30, "", 0, &[0x23, 0, 2], "x"),
            0x94,
            "",
        ),
        ("reserved flags", vec![0xd1, 0], 0x81, "MQTT-2.1.3-1"),
        ("QoS 3", vec![0x36, 4, 0, 1, b't', 0], 0x81, "MQTT-3.3.1-4"),
        (
            "text that is none",
            vec![0x30, 4, 0, 1, 0xff, 0],
            0x81,
            "MQTT-1.5.4-1",
        ),
        (
            "a length in a form too long",
            vec![0x30, 0x84, 0x00, 0, 1, b't', 0],
            0x81,
            "MQTT-1.5.5-1",
        ),
        ("a packet of type 0", vec![0x00, 0x00], 0x81, ""),
        ("Packet Identifier 0", publish(0x32, 0), 0x82, "MQTT-2.2.1-3"),
        ("a second CONNACK", CONNACK_V5.to_vec(), 0x82, "MQTT-3.2.0-2"),
        (
            "Subscription Identifier 0",
            publish_v5(0x30, "t", 0, &[0x0b, 0], "x"),
            0x82,
            "",
        ),
        (
            "a property twice",
            publish_v5(0x30, "t", 0, &[1, 1, 1, 1], "x"),
            0x82,
            "",
        ),
        (
            "a property of another packet",
            publish_v5(0x30, "t", 0, &[0x24, 1], "x"),
            0x81,
            "",
        ),
        (
            "PUBACK with a code of another packet",
            vec![0x40, 3, 0, 1, 0x92],
            0x82,
            "MQTT-3.4.2-1",
        ),
        (
            "SUBACK with a code of another packet",
            vec![0x90, 4, 0, 1, 0, 0x11],
            0x82,
            "MQTT-3.9.3-2",
        ),
        (
            "a session expiry in DISCONNECT",
            vec![0xe0, 7, 0x8b, 5, 0x11, 0, 0, 0, 1],
            0x82,
            "MQTT-3.14.2-2",
        ),
        (
            "a packet of clients",
            b"\x82\x07\x00\x01\x00\x00\x01t\x00".to_vec(),
            0x82,
            "",
        ),
    ];
    for (what, bytes, code, statement) in breaches {
        let client = builder()
            .receive_maximum(2)
            .max_packet_size(100)
            .topic_alias_maximum(3)
            .manual_ack(true)
            .build();
        let events = endings(&client);
        let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
        connection.send(&bytes);
        if code == 0x93 {
            connection.expect(&ack_packet(0x50, 2));
        }
        expect_end(&mut connection, &events, what, (code, statement));
        assert!(!client.is_connected(), "{what}");
    }
}

/// A CONNACK that is none: the connection ends with its reason, also before it was accepted.
///
/// [5.0/MQTT-3.2.0-1] [5.0/MQTT-3.2.2-1] [5.0/MQTT-3.2.2-6] [5.0/MQTT-3.2.2-8]
#[test]
fn a_bad_connack_ends_the_connection() {
    let with = |properties: &[u8]| {
        let mut body = vec![0, 0, properties.len() as u8];
        body.extend_from_slice(properties);
        packet(0x20, &body)
    };
    for (what, bytes, code, statement) in [
        ("another packet", vec![0xd0, 0], 0x82, "MQTT-3.2.0-1"),
        ("reserved flags", packet(0x20, &[2, 0, 0]), 0x81, "MQTT-3.2.2-1"),
        (
            "a session with a refusal",
            packet(0x20, &[1, 0x87, 0]),
            0x82,
            "MQTT-3.2.2-6",
        ),
        (
            "a code of another packet",
            packet(0x20, &[0, 0x8e, 0]),
            0x82,
            "MQTT-3.2.2-8",
        ),
        ("Receive Maximum 0", with(&[0x21, 0, 0]), 0x82, ""),
        ("Maximum Packet Size 0", with(&[0x27, 0, 0, 0, 0]), 0x82, ""),
        ("Maximum QoS 2", with(&[0x24, 2]), 0x82, ""),
        ("Retain Available 2", with(&[0x25, 2]), 0x82, ""),
        ("Receive Maximum twice", with(&[0x21, 0, 1, 0x21, 0, 1]), 0x82, ""),
        ("a property of PUBLISH", with(&[0x23, 0, 1]), 0x81, ""),
    ] {
        let client = builder().build();
        let events = endings(&client);
        client.on_connect(|_, _, code, _| assert!(code.is_failure(), "{code}"));
        let peer = Peer::listen();
        client.loop_start().unwrap();
        client.connect(peer.address()).unwrap();
        let mut connection = accept_v5(&peer, &bytes);
        expect_end(&mut connection, &events, what, (code, statement));
        assert_eq!(client.stats().connects, 0);
    }
}

/// [5.0/MQTT-3.1.2-28] [5.0/MQTT-3.1.2-29]
#[test]
fn what_was_not_asked_for_ends_the_connection() {
    let text = [vec![0x1a], field("answers")].concat();
    let mut connack = vec![0, 0, text.len() as u8];
    connack.extend(text);
    let client = builder().build();
    let events = endings(&client);
    let connected = Events::new();
    let sink = connected.sink();
    client.on_connect(move |_, _, _, _| sink(()));
    let peer = Peer::listen();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let mut connection = accept_v5(&peer, &packet(0x20, &connack));
    let end = (0x82, "MQTT-3.1.2-28");
    expect_end(&mut connection, &events, "Response Information", end);
    assert!(connected.so_far().is_empty(), "the CONNACK was no good");

    for answer in [
        vec![0x40, 8, 0, 1, 0, 4, 0x1f, 0, 1, b'r'],
        vec![0x40, 11, 0, 1, 0, 7, 0x26, 0, 1, b'k', 0, 1, b'v'],
    ] {
        let client = builder().build();
        let events = endings(&client);
        client.loop_start().unwrap();
        let quiet = mqtt::Property::RequestProblemInformation(0);
        let options = mqtt::ConnectOptions::new(peer.address()).properties(quiet.into());
        client.connect(options).unwrap();
        let mut connection = accept_v5(&peer, CONNACK_V5);
        client.publish_with("t", "x", 1, false).unwrap();
        connection.expect(&publish(0x32, 1));
        connection.send(&answer);
        let end = (0x82, "MQTT-3.1.2-29");
        expect_end(&mut connection, &events, "a text", end);
    }
}

/// A server that keeps to our Receive Maximum is never punished, however slow the application is; and gets room with
/// each acknowledgement.
///
/// [5.0/MQTT-3.3.4-9]
#[test]
fn a_server_that_keeps_to_the_receive_maximum_is_served_however_slow_the_callbacks_are() {
    let client = builder().receive_maximum(2).build();
    let (go, may_go) = crossbeam_channel::unbounded::<()>();
    client.on_message(move |_, _| {
        // The test lets it go on.
        let _ = may_go.recv_timeout(PATIENCE);
    });
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    for first in (1..40).step_by(2) {
        connection.send(&[publish(0x32, first), publish(0x32, first + 1)].concat());
        // They are read long before the callback is done with the first.
        go.send(()).unwrap();
        go.send(()).unwrap();
        connection.expect(&[ack_packet(0x40, first), ack_packet(0x40, first + 1)].concat());
    }
    assert!(client.is_connected());
    assert_eq!(client.stats().messages_received, 40);
}

#[test]
fn with_acknowledgements_by_hand_the_server_has_as_much_under_way_as_it_may() {
    let client = builder().receive_maximum(3).manual_ack(true).build();
    let events = endings(&client);
    let messages = Events::new();
    let sink = messages.sink();
    client.on_message(move |_, message| sink(message.clone()));
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    for mid in 1..=3 {
        connection.send(&publish(0x32, mid));
    }
    let held: Vec<Message> = (0..3).map(|_| messages.next()).collect();
    // In another order: PUBACKs leave in the order of receipt, and only those that left give room.
    client.ack(&held[1]).unwrap();
    client.ack(&held[0]).unwrap();
    connection.expect(&[ack_packet(0x40, 1), ack_packet(0x40, 2)].concat());
    connection.send(&publish(0x34, 4));
    connection.expect(&ack_packet(0x50, 4));
    connection.send(&publish(0x32, 5));
    messages.next();
    connection.send(&publish(0x32, 6));
    let end = (0x93, "MQTT-3.3.4-9");
    expect_end(&mut connection, &events, "one too many", end);
}
