//! MQTT 5.0 as it is on the wire, for scripts of the peer.

use callmq::client as mqtt;

use crate::support::{Connection, PATIENCE, Peer};

/// A CONNACK that accepts, without properties.
pub(crate) const CONNACK_V5: &[u8] = b"\x20\x03\x00\x00\x00";

/// A client of MQTT 5.0 whose loop runs in a thread and that a scripted peer has accepted with this CONNACK.
pub(crate) fn running_v5(client: &mqtt::Client, connack: &[u8]) -> (Peer, Connection) {
    let peer = Peer::listen();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let connection = accept_v5(&peer, connack);
    client.wait_for_connect(PATIENCE).unwrap();
    (peer, connection)
}

/// Waits for the next connection and answers its CONNECT.
pub(crate) fn accept_v5(peer: &Peer, connack: &[u8]) -> Connection {
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(connack);
    connection
}

/// A packet with this first byte and body.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 128, "the length must fit into one byte");
    let mut packet = vec![first, body.len() as u8];
    packet.extend_from_slice(body);
    packet
}

/// Text or bytes with their length in front.
pub(crate) fn field(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let mut field = (bytes.len() as u16).to_be_bytes().to_vec();
    field.extend_from_slice(bytes);
    field
}

/// PUBLISH: `first` is the first byte, with QoS, DUP and RETAIN.
pub(crate) fn publish_v5(first: u8, topic: &str, mid: u16, properties: &[u8], payload: &str) -> Vec<u8> {
    let mut body = field(topic);
    if first & 0b0110 != 0 {
        body.extend_from_slice(&mid.to_be_bytes());
    }
    body.push(properties.len() as u8);
    body.extend_from_slice(properties);
    body.extend_from_slice(payload.as_bytes());
    packet(first, &body)
}

/// SUBACK for this SUBSCRIBE.
pub(crate) fn suback_v5(subscribe: &[u8], codes: &[u8]) -> Vec<u8> {
    let mut body = subscribe[2..4].to_vec();
    body.push(0);
    body.extend_from_slice(codes);
    packet(0x90, &body)
}

/// What a SUBSCRIBE holds: its Subscription Identifier as it is on the wire, and the rest behind the properties.
pub(crate) fn subscribe_parts(subscribe: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let length = usize::from(subscribe[4]);
    let properties = subscribe[5..5 + length].to_vec();
    if let Some(first) = properties.first() {
        assert_eq!(*first, 0x0B, "{subscribe:02x?}");
    }
    (properties, subscribe[5 + length..].to_vec())
}
