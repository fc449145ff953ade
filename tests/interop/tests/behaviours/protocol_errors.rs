//! Section 11: what a broker must not send.

use std::time::Duration;

use callmq::client::{Error, ProtocolVersion};
use interop::peer::Peer;

use crate::VERSION;
use crate::journal::Journal;
use crate::packets::{
    PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBREC, PUBREL, ack, expect_refusal, new_client, publish, soon_back,
    started, stepped,
};

/// Packets that break the protocol, sent after the CONNACK.
const BROKEN: &[(&str, &[u8])] = if matches!(VERSION, ProtocolVersion::V5) {
    BROKEN_V5
} else {
    BROKEN_V3
};

const BROKEN_V3: &[(&str, &[u8])] = &[
    ("PINGRESP with a body", b"\xd0\x01\x00"),
    ("PUBACK of one byte", b"\x40\x01\x00"),
    ("PUBACK of three bytes", b"\x40\x03\x00\x01\x00"),
    ("PUBREL with wrong flags", b"\x60\x02\x00\x01"),
    ("packet id 0", b"\x40\x02\x00\x00"),
    ("SUBACK without codes", b"\x90\x02\x00\x01"),
    ("PUBLISH with an empty topic", b"\x30\x03\x00\x00x"),
    ("PUBLISH with QoS 3", b"\x36\x06\x00\x01t\x00\x01x"),
    ("PUBLISH with a wildcard", b"\x30\x03\x00\x01#"),
    ("a length of five bytes", b"\x30\x80\x80\x80\x80\x01"),
    ("a second CONNACK", b"\x20\x02\x00\x00"),
    ("AUTH", b"\xf0\x00"),
    ("packet type 0", b"\x00\x00"),
    ("SUBSCRIBE", b"\x82\x06\x00\x01\x00\x01t\x00"),
    ("CONNECT", b"\x10\x00"),
];

const BROKEN_V5: &[(&str, &[u8])] = &[
    ("PINGRESP with a body", b"\xd0\x01\x00"),
    ("PUBACK of one byte", b"\x40\x01\x00"),
    ("PUBACK with an unknown code", b"\x40\x03\x00\x01\x7f"),
    (
        "PUBACK with a property of CONNACK",
        b"\x40\x07\x00\x01\x00\x03\x21\x00\x05",
    ),
    ("PUBREL with wrong flags", b"\x60\x02\x00\x01"),
    ("packet id 0", b"\x40\x02\x00\x00"),
    ("SUBACK without codes", b"\x90\x03\x00\x01\x00"),
    ("SUBACK without properties", b"\x90\x02\x00\x01"),
    (
        "PUBLISH with an empty topic and no alias",
        b"\x30\x04\x00\x00\x00x",
    ),
    ("PUBLISH with QoS 3", b"\x36\x07\x00\x01t\x00\x01\x00x"),
    ("PUBLISH with a wildcard", b"\x30\x04\x00\x01#\x00"),
    (
        "PUBLISH with properties that run past it",
        b"\x30\x05\x00\x01t\x09\x01",
    ),
    (
        "PUBLISH with a property twice",
        b"\x30\x09\x00\x01t\x04\x01\x01\x01\x01x",
    ),
    ("a length of five bytes", b"\x30\x80\x80\x80\x80\x01"),
    ("a second CONNACK", b"\x20\x03\x00\x00\x00"),
    ("AUTH that was not asked for", b"\xf0\x00"),
    ("packet type 0", b"\x00\x00"),
    ("SUBSCRIBE", b"\x82\x07\x00\x01\x00\x00\x01t\x00"),
    ("CONNECT", b"\x10\x00"),
];

#[test]
fn b11_01_a_packet_that_breaks_the_protocol_ends_the_connection_once() {
    for (what, packet) in BROKEN {
        let peer = Peer::listen();
        let client = new_client("b11");
        let journal = Journal::of(&client);
        let mut connection = stepped(&client, &peer);
        connection.send(packet);
        let result = client.loop_once(5);
        assert!(matches!(result, Err(Error::Protocol(_))), "{what}: {result:?}");
        expect_refusal(&mut connection);
        let lines = journal.lines();
        assert_eq!(lines.len(), 2, "{what}: {lines:?}");
        let told = lines[1].starts_with("disconnect 129: ") || lines[1].starts_with("disconnect 130: ");
        assert!(
            told && lines[1].contains("the server broke the protocol"),
            "{what}: {lines:?}"
        );
    }
}

#[test]
fn b11_01_a_connack_of_the_wrong_length_ends_the_connection() {
    // One byte is too few, four are too many, and of the first one only a bit is used; a message is no CONNACK.
    for broken in [
        &b"\x20\x01\x00"[..],
        b"\x20\x04\x00\x00\x00\x00",
        b"\x20\x02\x02\x00",
        &publish("t", "x"),
    ] {
        let peer = Peer::listen();
        let client = new_client("b11");
        let journal = Journal::of(&client);
        client.connect(peer.address()).unwrap();
        let mut connection = peer.accept();
        connection.expect_packet(0x10);
        connection.send(broken);
        let result = client.loop_once(5);
        assert!(
            matches!(result, Err(Error::Protocol(_))),
            "{broken:02x?}: {result:?}"
        );
        expect_refusal(&mut connection);
        assert_eq!(journal.count("disconnect"), 1);
        assert_eq!(journal.count("connect 0"), 0);
    }
}

#[test]
fn b11_01_the_loop_connects_again_after_a_protocol_error() {
    let peer = Peer::listen();
    let client = soon_back("b11");
    let journal = Journal::of(&client);
    let mut connection = started(&client, &peer);
    connection.send(b"\xf0\x00");
    expect_refusal(&mut connection);
    let _next = peer.accept_client();
    journal.wait_for_times("connect 0", 2);
}

#[test]
fn b11_02_a_topic_that_runs_past_its_packet_ends_the_connection() {
    let peer = Peer::listen();
    let client = new_client("b11");
    let journal = Journal::of(&client);
    let mut connection = stepped(&client, &peer);
    connection.send(b"\x30\x04\x00\x09tx");
    assert!(matches!(client.loop_once(5), Err(Error::Protocol(_))));
    expect_refusal(&mut connection);
    assert!(
        journal.lines()[1].contains("the server broke the protocol"),
        "{:?}",
        journal.lines()
    );
}

#[test]
fn b11_03_acknowledgements_for_nothing_are_ignored_and_a_release_is_completed() {
    let peer = Peer::listen();
    let client = new_client("b11");
    let journal = Journal::of(&client);
    let mut connection = started(&client, &peer);
    connection.send(&[ack(PUBACK, 7), ack(PUBCOMP, 9)].concat());
    connection.send(&ack(PUBREL, 10));
    connection.expect(&ack(PUBCOMP, 10));
    assert!(client.is_connected());
    assert_eq!(journal.lines(), ["connect 0"]);
}

#[test]
fn b11_03_a_pubrec_for_nothing_does_no_harm() {
    let peer = Peer::listen();
    let client = new_client("b11");
    let mut connection = started(&client, &peer);
    connection.send(&ack(PUBREC, 8));
    // Ignored, as with paho-mqtt, or answered so that the broker can end its side.
    if let Some(answer) = connection.packet_within(Duration::from_millis(100)) {
        assert_eq!(answer, ack(PUBREL, 8));
    }
    assert!(client.is_connected());
}

#[test]
fn b11_04_a_ping_from_the_broker_is_answered() {
    let peer = Peer::listen();
    let client = new_client("b11");
    let mut connection = stepped(&client, &peer);
    connection.send(PINGREQ);
    client.loop_once(5).unwrap();
    connection.expect(PINGRESP);
}
