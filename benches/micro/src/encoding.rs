//! Packets to bytes.

use std::hint::black_box;

use bytes::Bytes;

use crate::codec::{Ack, Packet, PacketId, Properties, Property, ProtocolVersion, Publish, TopicName};
use crate::{Case, TOPIC, qos};

pub(crate) fn cases() -> Vec<Case> {
    let plain = |level, size| publish(level, size, Properties::new());
    let properties = [
        Property::ContentType("text/plain".to_owned()),
        Property::MessageExpiryInterval(60),
    ];
    let properties = properties.into_iter().collect();
    let (v3, v5) = (ProtocolVersion::V311, ProtocolVersion::V5);
    vec![
        encode("PUBLISH QoS 0, empty", v3, plain(0, 0)),
        encode("PUBLISH QoS 0, 64 B", v3, plain(0, 64)),
        encode("PUBLISH QoS 0, 1 KiB", v3, plain(0, 1 << 10)),
        encode("PUBLISH QoS 0, 64 KiB", v3, plain(0, 64 << 10)),
        encode("PUBLISH QoS 1, 64 B", v3, plain(1, 64)),
        encode(
            "PUBLISH QoS 0, 64 B, 2 properties",
            v5,
            publish(0, 64, properties),
        ),
        encode("PUBACK", v3, Packet::PubAck(Ack::new(PacketId::MIN))),
    ]
}

fn encode(name: &str, version: ProtocolVersion, packet: Packet) -> Case {
    let mut out = Vec::new();
    Case::new(format!("encode {name}"), move || {
        out.clear();
        black_box(&packet).encode(version, &mut out)
    })
}

fn publish(level: u8, size: usize, properties: Properties) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        qos: qos(level),
        retain: false,
        topic: TopicName::from_checked(TOPIC),
        packet_id: (level > 0).then_some(PacketId::MIN),
        properties,
        payload: Bytes::from(vec![b'x'; size]),
    })
}
