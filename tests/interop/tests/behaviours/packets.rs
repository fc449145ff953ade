//! Packets as bytes, put together by hand, and clients that are connected to a scripted peer.

use callmq::client::Client;
use interop::peer::{CONNACK, Connection, Peer};

/// CONNECT of MQTT 3.1.1 with a clean session and a keep alive of 60 s.
pub fn connect(client_id: &str) -> Vec<u8> {
    packet(0x10, &[b"\x00\x04MQTT\x04\x02\x00\x3c", &text(client_id)[..]])
}

pub fn publish(topic: &str, payload: &str) -> Vec<u8> {
    packet(0x30, &[&text(topic), payload.as_bytes()])
}

/// PUBLISH of QoS 1 or 2; `flags` are the lower four bits: DUP 8, QoS 1 2, QoS 2 4, RETAIN 1.
pub fn publish_with(flags: u8, mid: u16, topic: &str, payload: &str) -> Vec<u8> {
    packet(
        0x30 | flags,
        &[&text(topic), &mid.to_be_bytes(), payload.as_bytes()],
    )
}

pub fn subscribe(mid: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = mid.to_be_bytes().to_vec();
    for (filter, qos) in filters {
        body.extend(text(filter));
        body.push(*qos);
    }
    packet(0x82, &[&body])
}

pub fn suback(mid: u16, codes: &[u8]) -> Vec<u8> {
    packet(0x90, &[&mid.to_be_bytes(), codes])
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK: a packet with nothing but a packet id.
pub fn ack(first: u8, mid: u16) -> Vec<u8> {
    packet(first, &[&mid.to_be_bytes()])
}

pub const PUBACK: u8 = 0x40;
pub const PUBREC: u8 = 0x50;
pub const PUBREL: u8 = 0x62;
pub const PUBCOMP: u8 = 0x70;
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

/// A client that comes back soon after a loss, always after the same delay.
pub fn soon_back(client_id: &str) -> Client {
    let client = Client::new(client_id);
    client.reconnect_delay_set(0.05, 0.05).unwrap();
    client.reconnect_jitter_set(0.0).unwrap();
    client
}
