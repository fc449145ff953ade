//! Whatever bytes come: no panic, no growth, and what is accepted is a packet that could have been sent.

use bytes::BytesMut;
use callmq::codec::{Decoder, Packet, ProtocolVersion};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::round_trip::any_versioned_packet;
use crate::{Vector, all_vectors, decode, encode};

const VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5];

/// Decodes all packets of `bytes`. Each must survive being written and read again.
fn swallow(version: ProtocolVersion, bytes: &[u8]) {
    let mut decoder = Decoder::new(version);
    decoder.set_max_packet_size(LIMIT);
    let mut input = BytesMut::from(bytes);
    let capacity = input.capacity();
    loop {
        let before = input.len();
        let decoded = decoder.decode(&mut input);
        assert!(input.capacity() <= capacity, "the buffer grew");
        match decoded {
            Ok(Some(packet)) => {
                let taken = before - input.len();
                assert!(taken >= 2, "a packet of {taken} bytes");
                assert!(taken <= LIMIT as usize, "a packet over the limit");
                assert_is_writable(decoder.version(), packet);
            }
            Ok(None) => {
                assert_eq!(input.len(), before, "an incomplete packet was taken");
                return;
            }
            Err(_) => return,
        }
    }
}

const LIMIT: u32 = 1000;

fn assert_is_writable(version: ProtocolVersion, packet: Packet) {
    // Before MQTT 5.0 no CONNACK has 0x80; it is written as the code that MQTT 3 has for other failures.
    if matches!(&packet, Packet::ConnAck(connack) if connack.reason.value() == 0x80) {
        return;
    }
    let bytes = encode(version, &packet);
    match decode(version, &bytes) {
        Ok((Some(again), rest)) => {
            assert_eq!(again, packet);
            assert!(rest.is_empty());
        }
        other => panic!("{packet:?} is written as {bytes:02x?} and read as {other:?}"),
    }
}

#[test]
fn every_byte_of_every_vector_may_be_anything() {
    for vector in all_vectors() {
        for at in 0..vector.wire.bytes.len().min(120) {
            let mut bytes = vector.wire.bytes.clone();
            for value in 0..=0xFF {
                bytes[at] = value;
                swallow(vector.version, &bytes);
            }
        }
    }
}

#[test]
fn every_vector_may_come_in_any_version() {
    for vector in all_vectors() {
        for version in VERSIONS {
            swallow(version, &vector.wire.bytes);
        }
    }
}

/// A PUBLISH with a known Topic Name may take a shortcut, which must lead to the same place.
#[test]
fn a_packet_that_comes_again_is_the_same_packet() {
    let publishes = |vector: &Vector| matches!(vector.packet, Packet::Publish(_));
    for vector in all_vectors().into_iter().filter(publishes) {
        let bytes = &vector.wire.bytes;
        let mut decoder = Decoder::new(vector.version);
        for _ in 0..3 {
            let mut input = BytesMut::from(&bytes[..]);
            assert_eq!(
                decoder.decode(&mut input),
                Ok(Some(vector.packet.clone())),
                "{}",
                vector.name
            );
            assert!(input.is_empty());
        }
        // And whatever is done to it, a decoder that knows the name answers as one that does not.
        for at in 0..bytes.len().min(30) {
            for value in 0..=0xFF {
                let mut changed = bytes.clone();
                changed[at] = value;
                let mut knows = BytesMut::from(&changed[..]);
                let mut fresh = knows.clone();
                assert_eq!(
                    decoder.decode(&mut knows),
                    Decoder::new(vector.version).decode(&mut fresh),
                    "{}: byte {at} is {value:#04x}",
                    vector.name
                );
                assert_eq!(knows, fresh);
                decoder = decoder_for(&vector);
            }
        }
    }
}

/// A decoder that has seen the packet.
fn decoder_for(vector: &Vector) -> Decoder {
    let mut decoder = Decoder::new(vector.version);
    let _ = decoder.decode(&mut BytesMut::from(&vector.wire.bytes[..]));
    decoder
}

#[test]
fn a_huge_announcement_costs_nothing() {
    for version in VERSIONS {
        // 256 MiB, within the protocol's limit: asks for more.
        let mut input = BytesMut::from(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F][..]);
        let capacity = input.capacity();
        assert_eq!(Decoder::new(version).decode(&mut input), Ok(None));
        assert_eq!(input.capacity(), capacity);
        let mut decoder = Decoder::new(version);
        decoder.set_max_packet_size(LIMIT);
        assert!(decoder.decode(&mut input).is_err());
        assert_eq!(input.capacity(), capacity);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..200)) {
        for version in VERSIONS {
            swallow(version, &bytes);
        }
    }

    #[test]
    fn random_bodies_do_no_harm(first in any::<u8>(), body in vec(prop_oneof![0..4u8, any::<u8>()], 0..127)) {
        let mut bytes = vec![first, body.len() as u8];
        bytes.extend(body);
        for version in VERSIONS {
            swallow(version, &bytes);
        }
    }

    #[test]
    fn mutated_packets_do_no_harm(
        (version, packet) in any_versioned_packet(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encode(version, &packet);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        swallow(version, &bytes);
    }
}
