//! The codec held against bytes that were written by hand from the standards.

mod both_versions;
mod forms;
mod hostile;
mod refusals;
mod round_trip;
mod tables;
mod vectors_v3;
mod vectors_v5;
mod wire;

use bytes::BytesMut;
use callmq::codec::{DecodeError, Decoder, Packet, PacketId, ProtocolVersion};

use wire::{Wire, wire};

/// A packet and its bytes.
struct Vector {
    name: &'static str,
    version: ProtocolVersion,
    packet: Packet,
    wire: Wire,
}

fn vector(name: &'static str, version: ProtocolVersion, packet: Packet, annotated: &str) -> Vector {
    Vector {
        name,
        version,
        packet,
        wire: wire(annotated),
    }
}

fn all_vectors() -> Vec<Vector> {
    let mut vectors = vectors_v3::vectors();
    vectors.extend(vectors_v5::vectors());
    vectors
}

/// Decodes the first packet and returns it with the bytes that are left.
fn decode(version: ProtocolVersion, bytes: &[u8]) -> Result<(Option<Packet>, Vec<u8>), DecodeError> {
    let mut input = BytesMut::from(bytes);
    let packet = Decoder::new(version).decode(&mut input)?;
    Ok((packet, input.to_vec()))
}

fn encode(version: ProtocolVersion, packet: &Packet) -> Vec<u8> {
    let mut out = Vec::new();
    if let Err(error) = packet.encode(version, &mut out) {
        panic!("{packet:?} cannot be encoded: {error}");
    }
    out
}

fn packet_id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

/// [3.1.1/MQTT-2.2.2-1] [3.1.1/MQTT-3.3.2-1] [3.1.1/MQTT-3.6.1-1] [3.1.1/MQTT-3.8.1-1] [3.1.1/MQTT-3.10.1-1]
/// [3.1.1/MQTT-3.14.1-1] [5.0/MQTT-1.5.5-1] [5.0/MQTT-2.1.3-1] [5.0/MQTT-2.2.2-1] [5.0/MQTT-3.3.2-1] [5.0/MQTT-3.6.1-1]
/// [5.0/MQTT-3.8.1-1] [5.0/MQTT-3.8.3-5] [5.0/MQTT-3.10.1-1] [5.0/MQTT-3.14.1-1] [5.0/MQTT-3.15.1-1]
#[test]
fn every_packet_is_written_as_the_standard_says() {
    for Vector {
        name,
        version,
        packet,
        wire,
    } in all_vectors()
    {
        assert_eq!(encode(version, &packet), wire.bytes, "{name} ({version})");
    }
}

#[test]
fn every_packet_is_read_as_the_standard_says() {
    for Vector {
        name,
        version,
        packet,
        wire,
    } in all_vectors()
    {
        assert_eq!(
            decode(version, &wire.bytes),
            Ok((Some(packet), vec![])),
            "{name} ({version})"
        );
    }
}

#[test]
fn every_proper_prefix_asks_for_more_and_keeps_the_bytes() {
    for Vector {
        name, version, wire, ..
    } in all_vectors()
    {
        for end in 0..wire.bytes.len() {
            let prefix = &wire.bytes[..end];
            assert_eq!(
                decode(version, prefix),
                Ok((None, prefix.to_vec())),
                "{name} ({version}), {end} bytes"
            );
        }
    }
}

#[test]
fn one_byte_at_a_time_gives_the_packet_with_its_last_byte() {
    for Vector {
        name,
        version,
        packet,
        wire,
    } in all_vectors()
    {
        let mut decoder = Decoder::new(version);
        let mut input = BytesMut::new();
        for (index, byte) in wire.bytes.iter().enumerate() {
            input.extend_from_slice(&[*byte]);
            let decoded = decoder.decode(&mut input).unwrap();
            let expected = (index + 1 == wire.bytes.len()).then(|| packet.clone());
            assert_eq!(decoded, expected, "{name} ({version}), byte {index}");
        }
    }
}

#[test]
fn packets_in_one_buffer_come_out_one_after_the_other() {
    for version in [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5] {
        let vectors: Vec<Vector> = all_vectors()
            .into_iter()
            .filter(|vector| vector.version == version)
            .collect();
        let mut input = BytesMut::new();
        for vector in &vectors {
            input.extend_from_slice(&vector.wire.bytes);
        }
        let mut decoder = Decoder::new(version);
        for vector in &vectors {
            assert_eq!(
                decoder.decode(&mut input).unwrap().as_ref(),
                Some(&vector.packet),
                "{} ({version})",
                vector.name
            );
        }
        assert_eq!(decoder.decode(&mut input), Ok(None));
        assert!(input.is_empty());
    }
}

#[test]
fn the_decoder_tells_how_many_bytes_are_missing() {
    for Vector { version, wire, .. } in all_vectors() {
        let decoder = Decoder::new(version);
        let whole = wire.bytes.len();
        assert_eq!(decoder.missing_bytes(&[]), 0);
        assert_eq!(decoder.missing_bytes(&wire.bytes), 0);
        // With five bytes every Fixed Header is complete.
        if whole > 5 {
            assert_eq!(decoder.missing_bytes(&wire.bytes[..5]), whole - 5);
        }
    }
}

/// The lengths that are marked in the vectors are those whose change cannot make another packet.
#[test]
fn a_length_that_is_one_too_small_or_too_large_is_an_error() {
    let mut tried = 0;
    for Vector {
        name, version, wire, ..
    } in all_vectors()
    {
        for &(position, size) in &wire.lengths {
            for step in [-1, 1] {
                let Some(changed) = wire::with_length_changed(&wire.bytes, position, size, step) else {
                    continue;
                };
                let decoded = decode(version, &changed);
                let remaining_length_grew = position == 1 && step == 1;
                if remaining_length_grew {
                    assert_eq!(
                        decoded,
                        Ok((None, changed)),
                        "{name} ({version}): longer Remaining Length"
                    );
                } else {
                    assert!(
                        decoded.is_err(),
                        "{name} ({version}): length at {position} changed by {step}: {decoded:?}"
                    );
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 200, "only {tried} lengths were tried");
}

#[test]
fn a_remaining_length_with_a_byte_after_the_last_field_is_an_error() {
    for Vector {
        name,
        version,
        packet,
        wire,
    } in all_vectors()
    {
        // A payload takes all that is there; lists take another entry; the rest ends at a known place.
        let open_ended = matches!(
            packet,
            Packet::Publish(_) | Packet::SubAck(_) | Packet::UnsubAck(_)
        );
        let short_form = version == ProtocolVersion::V5 && wire.lengths.is_empty();
        if open_ended || short_form || wire.bytes[1] >= 0x7F {
            continue;
        }
        let mut longer = wire.bytes.clone();
        longer[1] += 1;
        longer.push(0x00);
        assert!(decode(version, &longer).is_err(), "{name} ({version})");
    }
}
