//! Packets as bytes in the version under test, put together by hand, and clients that are connected to a scripted peer.

use callmq::client::{Client, ClientBuilder, ProtocolVersion};
use interop::peer::{self, Connection, Peer};

use crate::VERSION;

const V5: bool = matches!(VERSION, ProtocolVersion::V5);

/// A client of the version under test.
pub fn new_client(client_id: &str) -> Client {
    builder(client_id).build()
}

pub fn builder(client_id: &str) -> ClientBuilder {
    Client::builder(client_id).protocol(VERSION)
}

/// Whether requests wait for the CONNACK, instead of following CONNECT at once.
pub const HELD: bool = V5;

/// What a server says in its CONNACK to those whom it does not know.
pub const NOT_AUTHORIZED: u8 = if V5 { 0x87 } else { 5 };

/// A CONNACK that accepts the connection and has no session.
pub const CONNACK: &[u8] = if V5 { peer::CONNACK_V5 } else { peer::CONNACK };
/// The same with a session.
pub const CONNACK_WITH_SESSION: &[u8] = if V5 {
    b"\x20\x03\x01\x00\x00"
} else {
    b"\x20\x02\x01\x00"
};

/// The length of the properties of a packet that has none.
const NO_PROPERTIES: &[u8] = if V5 { b"\x00" } else { b"" };

/// CONNECT with a clean session and a keep alive of 60 s.
pub fn connect(client_id: &str) -> Vec<u8> {
    let level = [VERSION as u8, 0x02];
    packet(
        0x10,
        &[
            b"\x00\x04MQTT",
            &level,
            b"\x00\x3c",
            NO_PROPERTIES,
            &text(client_id),
        ],
    )
}

pub fn publish(topic: &str, payload: &str) -> Vec<u8> {
    publish_bytes(0, topic, payload.as_bytes())
}

/// PUBLISH of QoS 0 with these flags.
pub fn publish_bytes(flags: u8, topic: &str, payload: &[u8]) -> Vec<u8> {
    packet(0x30 | flags, &[&text(topic), NO_PROPERTIES, payload])
}

/// PUBLISH of QoS 1 or 2; `flags` are the lower four bits: DUP 8, QoS 1 2, QoS 2 4, RETAIN 1.
pub fn publish_with(flags: u8, mid: u16, topic: &str, payload: &str) -> Vec<u8> {
    packet(
        0x30 | flags,
        &[
            &text(topic),
            &mid.to_be_bytes(),
            NO_PROPERTIES,
            payload.as_bytes(),
        ],
    )
}

pub fn subscribe(mid: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = [&mid.to_be_bytes(), NO_PROPERTIES].concat();
    for (filter, qos) in filters {
        body.extend(text(filter));
        body.push(*qos);
    }
    packet(0x82, &[&body])
}

pub fn suback(mid: u16, codes: &[u8]) -> Vec<u8> {
    packet(0x90, &[&mid.to_be_bytes(), NO_PROPERTIES, codes])
}

/// UNSUBACK for one filter.
pub fn unsuback(mid: u16) -> Vec<u8> {
    let code: &[u8] = if V5 { &[0] } else { &[] };
    packet(0xb0, &[&mid.to_be_bytes(), NO_PROPERTIES, code])
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP with nothing but a packet id.
pub fn ack(first: u8, mid: u16) -> Vec<u8> {
    packet(first, &[&mid.to_be_bytes()])
}

pub const PUBACK: u8 = 0x40;
pub const PUBREC: u8 = 0x50;
pub const PUBREL: u8 = 0x62;
pub const PUBCOMP: u8 = 0x70;
pub const RETAIN: u8 = 1;
pub const DUP: u8 = 8;
pub const QOS1: u8 = 2;
pub const QOS2: u8 = 4;
pub const PINGREQ: &[u8] = b"\xc0\x00";
pub const PINGRESP: &[u8] = b"\xd0\x00";

fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    assert!(body.len() < 128, "a longer packet needs a longer length");
    [&[first, body.len() as u8], &body[..]].concat()
}

/// Connects a client without any loop: the test steps it. The CONNACK is handled.
pub fn stepped(client: &Client, peer: &Peer) -> Connection {
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(CONNACK);
    client.loop_once(5).unwrap();
    assert!(client.is_connected());
    connection
}

/// Connects a client and starts its loop. The CONNACK is handled.
pub fn started(client: &Client, peer: &Peer) -> Connection {
    client.connect(peer.address()).unwrap();
    client.loop_start().unwrap();
    let connection = peer.accept_client();
    client.wait_for_connect(5).unwrap();
    connection
}

/// Expects the end of the connection after the peer broke the protocol; in MQTT 5.0 the client says so first.
pub fn expect_refusal(connection: &mut Connection) {
    if V5 {
        let goodbye = connection.packet();
        let (malformed, protocol_error) = (0x81, 0x82);
        assert!(
            goodbye[..2] == [0xe0, goodbye.len() as u8 - 2]
                && [malformed, protocol_error].contains(&goodbye[2]),
            "{goodbye:02x?}"
        );
    }
    connection.expect_close();
}

/// A client that comes back soon after a loss, always after the same delay.
pub fn soon_back(client_id: &str) -> Client {
    let client = new_client(client_id);
    client.reconnect_delay_set(0.05, 0.05).unwrap();
    client.reconnect_jitter_set(0.0).unwrap();
    client
}
