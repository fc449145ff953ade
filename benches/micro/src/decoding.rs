//! Bytes to packets.

use std::hint::black_box;

use bytes::Bytes;

use crate::codec::{Decoder, ProtocolVersion};
use crate::{Case, TOPIC};

pub(crate) fn cases() -> Vec<Case> {
    let plain = |qos, size| publish(qos, TOPIC, &[], size);
    // With a Message Expiry Interval.
    let property = publish(0, TOPIC, &[5, 0x02, 0, 0, 0, 60], 64);
    let topics = |count| -> Vec<u8> {
        let names = (0..count).map(|number| format!("{TOPIC}/{number}"));
        names.flat_map(|name| publish(0, &name, &[], 64)).collect()
    };
    let (v3, v5) = (ProtocolVersion::V311, ProtocolVersion::V5);
    vec![
        decode("PUBLISH QoS 0, empty", v3, plain(0, 0)),
        decode("PUBLISH QoS 0, 64 B", v3, plain(0, 64)),
        decode("PUBLISH QoS 0, 1 KiB", v3, plain(0, 1 << 10)),
        decode("PUBLISH QoS 0, 64 KiB", v3, plain(0, 64 << 10)),
        decode("PUBLISH QoS 1, 64 B", v3, plain(1, 64)),
        decode("PUBLISH QoS 0, 64 B, 1 property", v5, property),
        // Names of the last messages are remembered, some 16 of them.
        decode("PUBLISH QoS 0, 64 B, 4 topics", v3, topics(4)),
        decode("PUBLISH QoS 0, 64 B, 16 topics", v3, topics(16)),
        decode("PUBLISH QoS 0, 64 B, 1000 topics", v3, topics(1000)),
        decode("PUBACK", v3, vec![0x40, 2, 0, 1]),
    ]
}

/// Decodes the packets in `input` one after the other, again and again.
fn decode(name: &str, version: ProtocolVersion, input: Vec<u8>) -> Case {
    let input = Bytes::from(input);
    let mut decoder = Decoder::new(version);
    let mut rest = 0..input.len();
    Case::new(format!("decode {name}"), move || {
        if rest.is_empty() {
            rest = 0..input.len();
        }
        decoder.decode_part(black_box(&input), &mut rest).map(drop)
    })
}

/// A PUBLISH; of MQTT 5.0 if it has `properties`, their length included.
fn publish(qos: u8, topic: &str, properties: &[u8], size: usize) -> Vec<u8> {
    let packet_id: &[u8] = if qos == 0 { &[] } else { &[0, 1] };
    let mut packet = vec![0x30 | qos << 1];
    let mut length = 2 + topic.len() + packet_id.len() + properties.len() + size;
    while length >= 0x80 {
        packet.push(length as u8 | 0x80);
        length >>= 7;
    }
    packet.push(length as u8);
    packet.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    packet.extend_from_slice(topic.as_bytes());
    packet.extend_from_slice(packet_id);
    packet.extend_from_slice(properties);
    packet.resize(packet.len() + size, b'x');
    packet
}
