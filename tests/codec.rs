//! The codec as its users see it.

use bytes::BytesMut;
use callmq::codec::{Decoder, Packet, Properties, ProtocolVersion, Publish, QoS};

#[test]
fn a_publish_survives_the_trip() {
    let bytes = b"\x30\x05\x00\x01thi";
    let mut decoder = Decoder::new(ProtocolVersion::V311);
    let mut input = BytesMut::from(&bytes[..]);
    let packet = decoder.decode(&mut input).unwrap().unwrap();
    let Packet::Publish(Publish {
        ref topic,
        qos,
        ref properties,
        ..
    }) = packet
    else {
        panic!("{packet:?}")
    };
    assert_eq!(topic.as_str(), "t");
    assert_eq!(qos, QoS::AtMostOnce);
    assert_eq!(*properties, Properties::new());
    let mut out = Vec::new();
    packet.encode(ProtocolVersion::V311, &mut out).unwrap();
    assert_eq!(out, bytes);
}
