//! What MQTT 3.1.1 and 5.0 say of the fields of packets, in both.

use bytes::Bytes;
use callmq::codec::{
    Connect, Packet, Properties, Property, ProtocolVersion, Publish, QoS, Subscribe, SubscribeOptions,
    Subscription, Unsubscribe, Will,
};
use callmq::error::Error;
use callmq::topic::TopicName;

use crate::{decode, encode, packet_id};

const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;

fn connect(version: ProtocolVersion) -> Connect {
    Connect {
        version,
        bridge: false,
        clean_start: false,
        keep_alive: 0x0102,
        client_id: "id".into(),
        will: None,
        username: None,
        password: None,
        properties: Properties::new(),
    }
}

fn publish(topic: &str, properties: Properties) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: TopicName::new(topic).unwrap(),
        packet_id: None,
        properties,
        payload: Bytes::new(),
    })
}

fn subscribe(filter: &str) -> Packet {
    Packet::Subscribe(Subscribe {
        packet_id: packet_id(1),
        properties: Properties::new(),
        subscriptions: vec![Subscription {
            filter: filter.into(),
            options: SubscribeOptions::default(),
        }],
    })
}

fn unsubscribe(filter: &str) -> Packet {
    Packet::Unsubscribe(Unsubscribe {
        packet_id: packet_id(1),
        properties: Properties::new(),
        filters: vec![filter.into()],
    })
}

fn will(qos: QoS, retain: bool) -> Will {
    Will {
        topic: TopicName::new("w/t").unwrap(),
        payload: Bytes::from_static(b"gone"),
        qos,
        retain,
        properties: Properties::new(),
    }
}

/// Name, version, flags, keep alive, then exactly the fields that the flags name, in their order; and what has no flags is
/// not written: a Password without User Name before 5.0.
///
/// [3.1.1/MQTT-3.1.2-1] [3.1.1/MQTT-3.1.2-2] [3.1.1/MQTT-3.1.2-3] [3.1.1/MQTT-3.1.2-9] [3.1.1/MQTT-3.1.2-11]
/// [3.1.1/MQTT-3.1.2-13] [3.1.1/MQTT-3.1.2-14] [3.1.1/MQTT-3.1.2-15] [3.1.1/MQTT-3.1.2-18] [3.1.1/MQTT-3.1.2-19]
/// [3.1.1/MQTT-3.1.2-20] [3.1.1/MQTT-3.1.2-21] [3.1.1/MQTT-3.1.2-22] [3.1.1/MQTT-3.1.3-1] [3.1.1/MQTT-3.1.3-3]
/// [5.0/MQTT-3.1.2-1] [5.0/MQTT-3.1.2-2] [5.0/MQTT-3.1.2-3] [5.0/MQTT-3.1.2-9] [5.0/MQTT-3.1.2-11] [5.0/MQTT-3.1.2-12]
/// [5.0/MQTT-3.1.2-13] [5.0/MQTT-3.1.2-16] [5.0/MQTT-3.1.2-17] [5.0/MQTT-3.1.2-18] [5.0/MQTT-3.1.2-19]
/// [5.0/MQTT-3.1.3-1] [5.0/MQTT-3.1.3-3]
#[test]
fn the_flags_of_connect_say_what_follows() {
    let wills = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]
        .into_iter()
        .flat_map(|qos| [false, true].map(|retain| Some((qos, retain))))
        .chain([None]);
    let mut tried = 0;
    for wanted in wills {
        for choice in 0..16 {
            let version = if choice & 1 == 0 { V311 } else { V5 };
            let username = (choice & 2 != 0).then_some("user");
            let password = (choice & 4 != 0).then_some("secret");
            let clean_start = choice & 8 != 0;
            let packet = Packet::Connect(Box::new(Connect {
                clean_start,
                will: wanted.map(|(qos, retain)| will(qos, retain)),
                username: username.map(str::to_owned),
                password: password.map(|text| Bytes::from_static(text.as_bytes())),
                ..connect(version)
            }));
            if version == V311 && password.is_some() && username.is_none() {
                let refused = packet.encode(version, &mut Vec::new());
                assert!(matches!(
                    refused,
                    Err(Error::InvalidArgument {
                        argument: "password",
                        ..
                    })
                ));
                continue;
            }
            let mut flags = if clean_start { 0b0000_0010 } else { 0 };
            let mut payload = b"\x00\x02id".to_vec();
            if let Some((qos, retain)) = wanted {
                flags |= 0b0000_0100 | (qos as u8) << 3 | if retain { 0b0010_0000 } else { 0 };
                // Before 5.0 a Will has no properties, and no length of them.
                payload.extend_from_slice(if version == V5 { b"\x00" } else { b"" });
                payload.extend_from_slice(b"\x00\x03w/t\x00\x04gone");
            }
            if username.is_some() {
                flags |= 0b1000_0000;
                payload.extend_from_slice(b"\x00\x04user");
            }
            if password.is_some() {
                flags |= 0b0100_0000;
                payload.extend_from_slice(b"\x00\x06secret");
            }
            let level = if version == V5 { 5 } else { 4 };
            let mut expected = vec![0x10, 0, 0, 4, b'M', b'Q', b'T', b'T', level, flags, 1, 2];
            expected.extend_from_slice(if version == V5 { b"\x00" } else { b"" });
            expected.extend(payload);
            expected[1] = expected.len() as u8 - 2;
            assert_eq!(encode(version, &packet), expected, "{packet:?}");
            tried += 1;
        }
    }
    assert_eq!(tried, 7 * 14);
}

/// Every packet of a client in which `text` stands in each place that takes one.
fn with_text(version: ProtocolVersion, text: &str) -> Vec<(&'static str, Packet)> {
    let connect = || connect(version);
    let boxed = |connect| Packet::Connect(Box::new(connect));
    let mut packets = vec![
        (
            "Client Identifier",
            boxed(Connect {
                client_id: text.into(),
                ..connect()
            }),
        ),
        (
            "User Name",
            boxed(Connect {
                username: Some(text.into()),
                ..connect()
            }),
        ),
        ("SUBSCRIBE", subscribe(text)),
        ("UNSUBSCRIBE", unsubscribe(text)),
    ];
    // Names of topics are checked when they are made.
    if let Ok(topic) = TopicName::new(text) {
        packets.push(("PUBLISH", publish(text, Properties::new())));
        let mut will = will(QoS::AtMostOnce, false);
        will.topic = topic;
        packets.push((
            "Will Topic",
            boxed(Connect {
                will: Some(will),
                ..connect()
            }),
        ));
    }
    if version == V5 {
        for (name, property) in [
            ("Response Topic", Property::ResponseTopic(text.into())),
            ("Content Type", Property::ContentType(text.into())),
            ("name of a pair", Property::UserProperty(text.into(), "v".into())),
            ("value of a pair", Property::UserProperty("k".into(), text.into())),
        ] {
            packets.push((name, publish("t", property.into())));
        }
    }
    packets
}

/// A text is written as it is, in UTF-8, also with U+FEFF, which stays, and with characters beyond the first 65,536; and is
/// read as it was written. That it is UTF-8 without surrogates is in the type `str`.
///
/// [3.1.1/MQTT-1.5.3-1] [3.1.1/MQTT-1.5.3-3] [3.1.1/MQTT-3.1.3-4] [3.1.1/MQTT-3.1.3-10] [3.1.1/MQTT-3.1.3-11]
/// [3.1.1/MQTT-3.3.2-1] [3.1.1/MQTT-3.8.3-1] [3.1.1/MQTT-3.10.3-1] [5.0/MQTT-1.5.4-1] [5.0/MQTT-1.5.4-3]
/// [5.0/MQTT-1.5.7-1] [5.0/MQTT-3.1.3-4] [5.0/MQTT-3.1.3-11] [5.0/MQTT-3.1.3-12] [5.0/MQTT-3.3.2-1] [5.0/MQTT-3.3.2-13]
/// [5.0/MQTT-3.3.2-19] [5.0/MQTT-3.8.3-1] [5.0/MQTT-3.10.3-1]
#[test]
fn texts_are_utf_8_as_they_are() {
    let text = "\u{FEFF}a\u{FEFF}é\u{1F980}";
    let bytes = b"\x00\x0d\xEF\xBB\xBFa\xEF\xBB\xBF\xC3\xA9\xF0\x9F\xA6\x80";
    for (version, places) in [(V311, 6), (V5, 10)] {
        let packets = with_text(version, text);
        assert_eq!(packets.len(), places);
        for (name, packet) in packets {
            let encoded = encode(version, &packet);
            let places = encoded.windows(bytes.len()).filter(|part| part == bytes);
            assert_eq!(places.count(), 1, "{name} ({version})");
            assert_eq!(decode(version, &encoded), Ok((Some(packet), vec![])), "{name}");
        }
    }
}

/// [3.1.1/MQTT-1.5.3-2] [3.1.1/MQTT-4.7.3-2] [5.0/MQTT-1.5.4-2] [5.0/MQTT-1.5.7-1] [5.0/MQTT-4.7.3-2]
#[test]
fn u_0000_is_never_written() {
    assert!(TopicName::new("a\0b").is_err());
    for (version, places) in [(V311, 4), (V5, 8)] {
        let packets = with_text(version, "a\0b");
        assert_eq!(packets.len(), places);
        for (name, packet) in packets {
            let mut out = Vec::new();
            let refused = packet.encode(version, &mut out);
            assert!(
                matches!(refused, Err(Error::InvalidArgument { .. })),
                "{name} ({version}): {refused:?}"
            );
            assert!(out.is_empty());
        }
    }
}

/// What the server says in properties is text or an error, wherever it stands.
///
/// [5.0/MQTT-1.5.4-1] [5.0/MQTT-1.5.4-2] [5.0/MQTT-1.5.7-1] [5.0/MQTT-3.3.2-13] [5.0/MQTT-3.3.2-19]
#[test]
fn properties_that_are_no_text_are_refused() {
    // Not UTF-8, a surrogate, U+0000.
    for (bad, statement) in [
        (&b"\xC3\x28"[..], "MQTT-1.5.4-1"),
        (b"\xED\xA0\x80", "MQTT-1.5.4-1"),
        (b"a\x00", "MQTT-1.5.4-2"),
    ] {
        let text = |identifier: u8| {
            let mut property = vec![identifier, 0, bad.len() as u8];
            property.extend_from_slice(bad);
            property
        };
        let with = |head: &[u8], property: &[u8], tail: &[u8]| {
            let mut packet = vec![head[0], 0];
            packet.extend_from_slice(&head[1..]);
            packet.push(property.len() as u8);
            packet.extend_from_slice(property);
            packet.extend_from_slice(tail);
            packet[1] = packet.len() as u8 - 2;
            packet
        };
        let pair_name = [&text(0x26)[..], b"\x00\x01v"].concat();
        let pair_value = [b"\x26\x00\x01k", &text(0)[1..]].concat();
        let texts = |identifiers: &[u8]| -> Vec<Vec<u8>> {
            let texts = identifiers.iter().map(|&identifier| text(identifier));
            texts.chain([pair_name.clone(), pair_value.clone()]).collect()
        };
        // Response Topic, Content Type; Assigned Client Identifier and others; Reason String.
        for (head, identifiers, tail) in [
            (&b"\x30\x00\x01t"[..], &[0x08, 0x03][..], &b""[..]),
            (b"\x20\x00\x00", &[0x12, 0x1F, 0x1A, 0x1C, 0x15], b""),
            (b"\x40\x00\x01\x00", &[0x1F], b""),
            (b"\x50\x00\x01\x00", &[0x1F], b""),
            (b"\x62\x00\x01\x00", &[0x1F], b""),
            (b"\x70\x00\x01\x00", &[0x1F], b""),
            (b"\x90\x00\x01", &[0x1F], b"\x00"),
            (b"\xB0\x00\x01", &[0x1F], b"\x00"),
            (b"\xE0\x00", &[0x1F, 0x1C], b""),
            (b"\xF0\x00", &[0x15, 0x1F], b""),
        ] {
            for property in texts(identifiers) {
                let bytes = with(head, &property, tail);
                let error = decode(V5, &bytes).unwrap_err();
                assert_eq!(error.statement, statement, "{bytes:02x?}");
            }
        }
    }
}

/// At least one filter, each one allowed; and no more than 65,535 bytes of text.
///
/// [3.1.1/MQTT-3.8.3-3] [3.1.1/MQTT-3.10.3-2] [3.1.1/MQTT-4.7.3-1] [3.1.1/MQTT-4.7.3-3] [5.0/MQTT-3.8.3-2]
/// [5.0/MQTT-3.10.3-2] [5.0/MQTT-4.7.3-1] [5.0/MQTT-4.7.3-3]
#[test]
fn requests_have_filters_and_those_have_a_length() {
    let longest = "x".repeat(65_535);
    let too_long = "x".repeat(65_536);
    assert!(TopicName::new(&too_long).is_err() && TopicName::new("").is_err());
    for version in [V311, V5] {
        let none = [
            Packet::Subscribe(Subscribe {
                packet_id: packet_id(1),
                properties: Properties::new(),
                subscriptions: vec![],
            }),
            Packet::Unsubscribe(Unsubscribe {
                packet_id: packet_id(1),
                properties: Properties::new(),
                filters: vec![],
            }),
        ];
        let bad = ["", &too_long]
            .into_iter()
            .flat_map(|filter| [subscribe(filter), unsubscribe(filter)]);
        for packet in none.into_iter().chain(bad) {
            let refused = packet.encode(version, &mut Vec::new());
            assert!(
                matches!(refused, Err(Error::InvalidArgument { .. })),
                "{}: {refused:?}",
                packet.name()
            );
        }
        for packet in [
            subscribe(&longest),
            unsubscribe(&longest),
            publish(&longest, Properties::new()),
        ] {
            let encoded = encode(version, &packet);
            assert_eq!(decode(version, &encoded), Ok((Some(packet), vec![])));
        }
    }
}
