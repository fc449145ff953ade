//! Forms that are accepted although the codec writes others, and values that have no form in some versions.

use bytes::{Bytes, BytesMut};
use callmq::codec::{
    Ack, Auth, ConnAck, Connect, Decoder, Disconnect, Packet, Properties, Property, ProtocolVersion, Publish,
    QoS, ReasonCode, SubAck, Subscribe, SubscribeOptions, Subscription, UnsubAck,
};
use callmq::error::Error;
use callmq::topic::TopicName;

use crate::{decode, encode, packet_id, wire};

const V31: ProtocolVersion = ProtocolVersion::V31;
const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;

#[track_caller]
fn read(version: ProtocolVersion, annotated: &str) -> Packet {
    let (packet, rest) = decode(version, &wire(annotated).bytes).unwrap();
    assert!(rest.is_empty());
    packet.unwrap()
}

fn publish(topic: &str) -> Publish {
    Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: TopicName::new(topic).unwrap(),
        packet_id: None,
        properties: Properties::new(),
        payload: Bytes::new(),
    }
}

#[test]
fn longer_forms_of_success_are_read() {
    let ack = Ack::new(packet_id(1));
    assert_eq!(
        read(V5, "40 03 00 01 00    | reason"),
        Packet::PubAck(ack.clone())
    );
    assert_eq!(
        read(V5, "50 04 00 01 00 00 | reason, Property Length"),
        Packet::PubRec(ack.clone())
    );
    assert_eq!(
        read(V5, "70 04 00 01 00 00 | reason, Property Length"),
        Packet::PubComp(ack)
    );
    let disconnect = Disconnect {
        reason: ReasonCode::NORMAL_DISCONNECTION,
        properties: Properties::new(),
    };
    assert_eq!(
        read(V5, "E0 01 00          | reason"),
        Packet::Disconnect(disconnect.clone())
    );
    assert_eq!(
        read(V5, "E0 02 00 00       | reason, Property Length"),
        Packet::Disconnect(disconnect)
    );
    let auth = Auth {
        reason: ReasonCode::SUCCESS,
        properties: Properties::new(),
    };
    assert_eq!(
        read(V5, "F0 02 00 00       | reason, Property Length"),
        Packet::Auth(auth)
    );
}

#[test]
fn a_refusal_of_mqtt_5_in_the_words_of_3_1_1_is_read() {
    let Packet::ConnAck(connack) = read(V5, "20 02 00 01") else {
        panic!("not a CONNACK");
    };
    assert_eq!(connack.reason, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);
    assert_eq!(connack.reason.value(), 1);
    assert!(decode(V5, &[0x20, 0x02, 0x00, 0x00]).is_err(), "only refusals");
    assert!(decode(V5, &[0x20, 0x02, 0x00, 0x06]).is_err(), "only known codes");
    // Where it is written again it has the form of 5.0.
    assert_eq!(
        encode(V5, &Packet::ConnAck(connack)),
        [0x20, 0x03, 0x00, 0x84, 0x00]
    );
}

#[test]
fn an_unknown_return_code_of_mqtt_3_is_a_refusal() {
    let Packet::ConnAck(connack) = read(V311, "20 02 00 C8") else {
        panic!("not a CONNACK");
    };
    assert!(connack.reason.is_failure());
    assert_eq!(connack.reason.value(), 200);
    assert_eq!(encode(V311, &Packet::ConnAck(connack)), [0x20, 0x02, 0x00, 0xC8]);
}

#[test]
fn lengths_that_are_not_minimal_are_read_before_mqtt_5() {
    for version in [V31, V311] {
        assert_eq!(
            read(version, "C0 80 80 00 | PINGREQ, Remaining Length 0"),
            Packet::PingReq
        );
        assert_eq!(
            read(version, "40 82 00 00 01 | PUBACK, Remaining Length 2"),
            Packet::PubAck(Ack::new(packet_id(1)))
        );
    }
}

#[test]
fn mqtt_3_1_may_repeat_requests_with_dup() {
    assert_eq!(read(V31, "6A 02 00 01"), Packet::PubRel(Ack::new(packet_id(1))));
    assert_eq!(read(V31, "8A 06 00 01 00 01 'a' 00").name(), "SUBSCRIBE");
    assert_eq!(read(V31, "AA 05 00 01 00 01 'a'").name(), "UNSUBSCRIBE");
    assert!(decode(V311, &[0x6A, 0x02, 0x00, 0x01]).is_err());
}

#[test]
fn mqtt_3_1_may_leave_out_flagged_credentials() {
    let Packet::Connect(connect) = read(
        V31,
        "10 10 | CONNECT
         00 06 'MQIsdp' 03
         C2    | User Name, Password, Clean Session
         00 3C | Keep Alive
         00 02 'id'",
    ) else {
        panic!("not a CONNECT");
    };
    assert_eq!((connect.username, connect.password), (None, None));
}

#[test]
fn mqtt_3_1_disregards_what_it_does_not_use() {
    let connack = read(V31, "20 02 FE 00 | reserved byte");
    let expected = ConnAck {
        session_present: false,
        reason: ReasonCode::SUCCESS,
        properties: Properties::new(),
    };
    assert_eq!(connack, Packet::ConnAck(expected));
    let Packet::Subscribe(subscribe) = read(V31, "82 06 00 01 00 01 'a' FD | QoS 1, other bits") else {
        panic!("not a SUBSCRIBE");
    };
    assert_eq!(subscribe.subscriptions[0].options, QoS::AtLeastOnce.into());
    let connect = read(
        V31,
        "10 10 00 06 'MQIsdp' 03
         3B    | Will Retain, Will QoS 3, Clean Session, reserved; no Will
         00 3C | Keep Alive
         00 02 'id'",
    );
    let Packet::Connect(connect) = connect else {
        panic!("not a CONNECT");
    };
    assert_eq!(connect.will, None);
}

#[test]
fn a_connect_sets_the_version_of_the_decoder() {
    for version in [V31, V311, V5] {
        let connect = Packet::Connect(Box::new(Connect {
            version,
            bridge: false,
            clean_start: true,
            keep_alive: 0,
            client_id: "id".into(),
            will: None,
            username: None,
            password: None,
            properties: Properties::new(),
        }));
        let ping_in_two_bytes_of_length = [0xC0, 0x80, 0x00];
        for before in [V31, V311, V5] {
            let mut decoder = Decoder::new(before);
            // The packet's own version decides how it is written.
            let mut input = BytesMut::from(&encode(before, &connect)[..]);
            assert_eq!(decoder.decode(&mut input), Ok(Some(connect.clone())));
            assert_eq!(decoder.version(), version);
            input.extend_from_slice(&ping_in_two_bytes_of_length);
            assert_eq!(decoder.decode(&mut input).is_err(), version == V5);
        }
    }
}

#[test]
fn what_only_mqtt_5_has_is_not_written_before() {
    let properties = || Properties::from(Property::UserProperty("k".into(), "v".into()));
    let with_properties = Packet::Publish(Publish {
        properties: properties(),
        ..publish("t")
    });
    assert_eq!(
        encode(V311, &with_properties),
        encode(V311, &Packet::Publish(publish("t")))
    );
    let refused = Packet::PubRec(Ack {
        packet_id: packet_id(1),
        reason: ReasonCode::NOT_AUTHORIZED,
        properties: properties(),
    });
    assert_eq!(encode(V311, &refused), [0x50, 0x02, 0x00, 0x01]);
    let disconnect = Packet::Disconnect(Disconnect {
        reason: ReasonCode::SERVER_BUSY,
        properties: properties(),
    });
    assert_eq!(encode(V311, &disconnect), [0xE0, 0x00]);
    let unsuback = Packet::UnsubAck(UnsubAck {
        packet_id: packet_id(1),
        properties: properties(),
        reasons: vec![ReasonCode::SUCCESS],
    });
    assert_eq!(encode(V311, &unsuback), [0xB0, 0x02, 0x00, 0x01]);
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: packet_id(1),
        properties: properties(),
        subscriptions: vec![Subscription {
            filter: "a".into(),
            options: SubscribeOptions {
                no_local: true,
                retain_as_published: true,
                ..QoS::AtLeastOnce.into()
            },
        }],
    });
    assert_eq!(
        encode(V311, &subscribe),
        [0x82, 0x06, 0x00, 0x01, 0x00, 0x01, b'a', 0x01]
    );
}

#[test]
fn refusals_of_mqtt_5_are_translated_for_mqtt_3() {
    let suback = Packet::SubAck(SubAck {
        packet_id: packet_id(1),
        properties: Properties::new(),
        reasons: vec![ReasonCode::sub_ack(0x87), ReasonCode::GRANTED_QOS_2],
    });
    assert_eq!(encode(V311, &suback), [0x90, 0x04, 0x00, 0x01, 0x80, 0x02]);
    for (reason, code) in [
        (ReasonCode::UNSUPPORTED_PROTOCOL_VERSION, 1),
        (ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, 2),
        (ReasonCode::SERVER_UNAVAILABLE, 3),
        (ReasonCode::BAD_USERNAME_OR_PASSWORD, 4),
        (ReasonCode::NOT_AUTHORIZED, 5),
        (ReasonCode::SERVER_BUSY, 3),
    ] {
        let connack = Packet::ConnAck(ConnAck {
            session_present: false,
            reason,
            properties: Properties::new(),
        });
        assert_eq!(encode(V311, &connack), [0x20, 0x02, 0x00, code], "{reason}");
    }
}

/// [3.1.1/MQTT-2.3.1-1] [3.1.1/MQTT-2.3.1-5] [3.1.1/MQTT-3.1.2-22] [5.0/MQTT-3.3.2-8] [5.0/MQTT-3.3.2-14]
/// [5.0/MQTT-3.8.3-4]
#[test]
fn what_a_receiver_would_refuse_is_not_written() {
    let long = "x".repeat(65_536);
    let will_like = |client_id: &str| {
        Packet::Connect(Box::new(Connect {
            version: V311,
            bridge: false,
            clean_start: true,
            keep_alive: 0,
            client_id: client_id.into(),
            will: None,
            username: None,
            password: Some(Bytes::new()),
            properties: Properties::new(),
        }))
    };
    let subscribe = |filter: &str, no_local| {
        Packet::Subscribe(Subscribe {
            packet_id: packet_id(1),
            properties: Properties::new(),
            subscriptions: vec![Subscription {
                filter: filter.into(),
                options: SubscribeOptions {
                    no_local,
                    ..SubscribeOptions::default()
                },
            }],
        })
    };
    let properties = |property| {
        Packet::Publish(Publish {
            properties: Properties::from(property),
            ..publish("t")
        })
    };
    let cases: Vec<(&str, ProtocolVersion, Packet)> = vec![
        ("client_id", V311, will_like(&long)),
        ("client_id", V311, will_like("a\0")),
        ("password", V311, will_like("a")),
        (
            "topic",
            V311,
            Packet::Publish(Publish {
                topic: TopicName::empty(),
                ..publish("t")
            }),
        ),
        (
            "packet_id",
            V311,
            Packet::Publish(Publish {
                qos: QoS::AtLeastOnce,
                ..publish("t")
            }),
        ),
        (
            "packet_id",
            V311,
            Packet::Publish(Publish {
                packet_id: Some(packet_id(1)),
                ..publish("t")
            }),
        ),
        (
            "dup",
            V311,
            Packet::Publish(Publish {
                dup: true,
                ..publish("t")
            }),
        ),
        ("properties", V5, properties(Property::ReceiveMaximum(1))),
        ("properties", V5, properties(Property::TopicAlias(0))),
        ("properties", V5, properties(Property::SubscriptionIdentifier(0))),
        (
            "properties",
            V5,
            properties(Property::SubscriptionIdentifier(268_435_456)),
        ),
        ("properties", V5, properties(Property::ContentType(long.clone()))),
        ("properties", V5, properties(Property::ContentType("\0".into()))),
        (
            "properties",
            V5,
            properties(Property::CorrelationData(vec![0; 65_536].into())),
        ),
        (
            "properties",
            V5,
            properties(Property::ResponseTopic("a/#".into())),
        ),
        (
            "properties",
            V5,
            properties(Property::UserProperty("a".into(), long.clone())),
        ),
        ("filter", V311, subscribe("", false)),
        ("filter", V311, subscribe("a#", false)),
        ("filter", V311, subscribe(&long, false)),
        ("options", V5, subscribe("$share/g/a", true)),
        (
            "reason",
            V5,
            Packet::PubAck(Ack {
                reason: ReasonCode::SERVER_BUSY,
                ..Ack::new(packet_id(1))
            }),
        ),
        (
            "packet",
            V311,
            Packet::Auth(Auth {
                reason: ReasonCode::SUCCESS,
                properties: Properties::new(),
            }),
        ),
        (
            "properties",
            V5,
            Packet::Auth(Auth {
                reason: ReasonCode::RE_AUTHENTICATE,
                properties: Properties::new(),
            }),
        ),
    ];
    for (expected, version, packet) in cases {
        let mut out = b"before".to_vec();
        match packet.encode(version, &mut out) {
            Err(Error::InvalidArgument { argument, .. }) => {
                assert_eq!(argument, expected, "{}", packet.name())
            }
            other => panic!("{}: {other:?} instead of an invalid {expected}", packet.name()),
        }
        assert_eq!(out, b"before", "{}", packet.name());
    }
}

#[test]
fn payloads_are_slices_of_the_buffer() {
    let mut input = BytesMut::from(&wire("30 07 00 03 'a/b' 'hi' 30 07 00 03 'a/b' 'ho'").bytes[..]);
    let range = input.as_ptr_range();
    let mut decoder = Decoder::new(V311);
    let mut topics = Vec::new();
    for _ in 0..2 {
        let Ok(Some(Packet::Publish(publish))) = decoder.decode(&mut input) else {
            panic!("not a PUBLISH");
        };
        assert!(range.contains(&publish.payload.as_ptr()));
        topics.push(publish.topic);
    }
    // The second name is the first one, not a copy.
    assert_eq!(topics[0].as_str().as_ptr(), topics[1].as_str().as_ptr());
}
