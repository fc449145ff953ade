//! Packets of MQTT 3.1 and 3.1.1.

use bytes::Bytes;
use callmq::codec::{
    Ack, ConnAck, Connect, Disconnect, Packet, Properties, ProtocolVersion, Publish, QoS, ReasonCode, SubAck,
    Subscribe, SubscribeOptions, Subscription, UnsubAck, Unsubscribe, Will,
};
use callmq::topic::TopicName;

use crate::{Vector, packet_id, vector};

const V31: ProtocolVersion = ProtocolVersion::V31;
const V311: ProtocolVersion = ProtocolVersion::V311;

pub(crate) fn vectors() -> Vec<Vector> {
    let mut vectors = connect_vectors();
    vectors.extend(connack_vectors());
    vectors.extend(publish_vectors());
    for version in [V31, V311] {
        vectors.extend(ack_vectors(version));
        vectors.extend(subscribe_vectors(version));
        vectors.extend(empty_vectors(version));
    }
    vectors
}

fn connect(version: ProtocolVersion, client_id: &str) -> Connect {
    Connect {
        version,
        bridge: false,
        clean_start: true,
        keep_alive: 60,
        client_id: client_id.into(),
        will: None,
        username: None,
        password: None,
        properties: Properties::new(),
    }
}

fn connect_vectors() -> Vec<Vector> {
    vec![
        vector(
            "CONNECT of 3.1 with a long identifier",
            V31,
            Packet::Connect(Box::new(connect(V31, "an-identifier-of-30-characters"))),
            "10 [2C]                             | CONNECT, Remaining Length 44
             [0006] 'MQIsdp'                     | protocol name
             03                                  | protocol level
             02                                  | Connect Flags: Clean Session
             00 3C                               | Keep Alive 60
             [001E] 'an-identifier-of-30-characters' | Client Identifier",
        ),
        vector(
            "CONNECT, minimal",
            V311,
            Packet::Connect(Box::new(connect(V311, "a"))),
            "10 [0D]        | CONNECT, Remaining Length 13
             [0004] 'MQTT'  | protocol name
             04             | protocol level
             02             | Connect Flags: Clean Session
             00 3C          | Keep Alive 60
             [0001] 'a'     | Client Identifier",
        ),
        vector(
            "CONNECT without Client Identifier",
            V311,
            Packet::Connect(Box::new(connect(V311, ""))),
            "10 [0C]        | CONNECT, Remaining Length 12
             [0004] 'MQTT'  | protocol name
             04             | protocol level
             02             | Connect Flags: Clean Session
             00 3C          | Keep Alive 60
             [0000]         | Client Identifier",
        ),
        vector(
            "CONNECT of a bridge with everything",
            V311,
            Packet::Connect(Box::new(Connect {
                bridge: true,
                clean_start: false,
                keep_alive: 65535,
                will: Some(Will {
                    topic: TopicName::new("w/t").unwrap(),
                    payload: Bytes::from_static(&[0x00, 0xFF]),
                    qos: QoS::AtLeastOnce,
                    retain: true,
                    properties: Properties::new(),
                }),
                username: Some("user".into()),
                password: Some(Bytes::from_static(b"pw")),
                ..connect(V311, "id")
            })),
            "10 [21]           | CONNECT, Remaining Length 33
             [0004] 'MQTT'     | protocol name
             84                | protocol level 4, bridge
             EC                | Connect Flags: User Name, Password, Will Retain, Will QoS 1, Will
             FF FF             | Keep Alive 65535
             [0002] 'id'       | Client Identifier
             [0003] 'w/t'      | Will Topic
             [0002] 00 FF      | Will Message
             [0004] 'user'     | User Name
             [0002] 'pw'       | Password",
        ),
        vector(
            "CONNECT with an empty Will Message and an empty User Name",
            V311,
            Packet::Connect(Box::new(Connect {
                keep_alive: 0,
                will: Some(Will {
                    topic: TopicName::new("w").unwrap(),
                    payload: Bytes::new(),
                    qos: QoS::ExactlyOnce,
                    retain: false,
                    properties: Properties::new(),
                }),
                username: Some(String::new()),
                ..connect(V311, "id")
            })),
            "10 [15]           | CONNECT, Remaining Length 21
             [0004] 'MQTT'     | protocol name
             04                | protocol level
             96                | Connect Flags: User Name, Will QoS 2, Will, Clean Session
             00 00             | Keep Alive 0
             [0002] 'id'       | Client Identifier
             [0001] 'w'        | Will Topic
             [0000]            | Will Message
             [0000]            | User Name",
        ),
    ]
}

fn connack_vectors() -> Vec<Vector> {
    let connack = |session_present, code| {
        Packet::ConnAck(ConnAck {
            session_present,
            reason: ReasonCode::from_connack_v3(code),
            properties: Properties::new(),
        })
    };
    vec![
        vector(
            "CONNACK",
            V31,
            connack(false, 0),
            "20 [02] | CONNACK, Remaining Length 2
             00      | reserved
             00      | accepted",
        ),
        vector(
            "CONNACK with a session",
            V311,
            connack(true, 0),
            "20 [02] | CONNACK, Remaining Length 2
             01      | Session Present
             00      | accepted",
        ),
        vector(
            "CONNACK 1",
            V311,
            connack(false, 1),
            "20 [02] 00 01 | unacceptable protocol version",
        ),
        vector(
            "CONNACK 2",
            V311,
            connack(false, 2),
            "20 [02] 00 02 | identifier rejected",
        ),
        vector(
            "CONNACK 3",
            V311,
            connack(false, 3),
            "20 [02] 00 03 | server unavailable",
        ),
        vector(
            "CONNACK 4",
            V31,
            connack(false, 4),
            "20 [02] 00 04 | bad user name or password",
        ),
        vector(
            "CONNACK 5",
            V311,
            connack(false, 5),
            "20 [02] 00 05 | not authorized",
        ),
    ]
}

fn publish_vectors() -> Vec<Vector> {
    let publish = |topic: &str, payload: &'static [u8]| Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: TopicName::new(topic).unwrap(),
        packet_id: None,
        properties: Properties::new(),
        payload: Bytes::from_static(payload),
    };
    vec![
        vector(
            "PUBLISH QoS 0",
            V311,
            Packet::Publish(publish("a/b", b"hi")),
            "30 07         | PUBLISH, Remaining Length 7
             00 03 'a/b'   | Topic Name
             'hi'          | payload",
        ),
        vector(
            "PUBLISH QoS 0 of 3.1, retained, empty",
            V31,
            Packet::Publish(Publish {
                retain: true,
                ..publish("a/b", b"")
            }),
            "31 05         | PUBLISH, RETAIN, Remaining Length 5
             00 03 'a/b'   | Topic Name",
        ),
        vector(
            "PUBLISH QoS 1",
            V311,
            Packet::Publish(Publish {
                qos: QoS::AtLeastOnce,
                packet_id: Some(packet_id(1)),
                ..publish("t", b"x")
            }),
            "32 06         | PUBLISH, QoS 1, Remaining Length 6
             00 01 't'     | Topic Name
             00 01         | Packet Identifier
             'x'           | payload",
        ),
        vector(
            "PUBLISH QoS 2, again, retained, empty",
            V311,
            Packet::Publish(Publish {
                dup: true,
                qos: QoS::ExactlyOnce,
                retain: true,
                packet_id: Some(packet_id(0xFFFE)),
                ..publish("t", b"")
            }),
            "3D [05]       | PUBLISH, DUP, QoS 2, RETAIN, Remaining Length 5
             [0001] 't'    | Topic Name
             FF FE         | Packet Identifier",
        ),
        vector(
            "PUBLISH with a Remaining Length of one byte, the largest",
            V311,
            Packet::Publish(publish("t", &[0x61; 124])),
            "30 7F         | PUBLISH, Remaining Length 127
             00 01 't'     | Topic Name
             61*124        | payload",
        ),
        vector(
            "PUBLISH with a Remaining Length of two bytes",
            V311,
            Packet::Publish(publish("t", &[0x61; 125])),
            "30 80 01      | PUBLISH, Remaining Length 128
             00 01 't'     | Topic Name
             61*125        | payload",
        ),
        vector(
            "PUBLISH with a Remaining Length of three bytes",
            V311,
            Packet::Publish(publish("t", &[0x61; 16_381])),
            "30 80 80 01   | PUBLISH, Remaining Length 16384
             00 01 't'     | Topic Name
             61*16381      | payload",
        ),
        vector(
            "PUBLISH with U+FEFF in the Topic Name",
            V311,
            Packet::Publish(publish("\u{FEFF}\u{1F980}", b"")),
            "30 09         | PUBLISH, Remaining Length 9
             00 07 EF BB BF F0 9F A6 80 | Topic Name: a mark that stays, and a crab",
        ),
    ]
}

fn ack_vectors(version: ProtocolVersion) -> Vec<Vector> {
    let ack = || Ack::new(packet_id(0x1234));
    vec![
        vector(
            "PUBACK",
            version,
            Packet::PubAck(ack()),
            "40 [02] 12 34 | Packet Identifier",
        ),
        vector(
            "PUBREC",
            version,
            Packet::PubRec(ack()),
            "50 [02] 12 34 | Packet Identifier",
        ),
        vector(
            "PUBREL",
            version,
            Packet::PubRel(ack()),
            "62 [02] 12 34 | Packet Identifier",
        ),
        vector(
            "PUBCOMP",
            version,
            Packet::PubComp(ack()),
            "70 [02] 12 34 | Packet Identifier",
        ),
    ]
}

fn subscribe_vectors(version: ProtocolVersion) -> Vec<Vector> {
    let subscription = |filter: &str, qos: QoS| Subscription {
        filter: filter.into(),
        options: SubscribeOptions::from(qos),
    };
    vec![
        vector(
            "SUBSCRIBE",
            version,
            Packet::Subscribe(Subscribe {
                packet_id: packet_id(10),
                properties: Properties::new(),
                subscriptions: vec![
                    subscription("a/+/#", QoS::AtLeastOnce),
                    subscription("c/d", QoS::ExactlyOnce),
                    subscription("+", QoS::AtMostOnce),
                ],
            }),
            "82 [14]          | SUBSCRIBE, Remaining Length 20
             00 0A            | Packet Identifier
             [0005] 'a/+/#'   | Topic Filter
             01               | QoS 1
             [0003] 'c/d'     | Topic Filter
             02               | QoS 2
             [0001] '+'       | Topic Filter
             00               | QoS 0",
        ),
        vector(
            "SUBACK",
            version,
            Packet::SubAck(SubAck {
                packet_id: packet_id(10),
                properties: Properties::new(),
                reasons: [0x00, 0x01, 0x02, 0x80].map(ReasonCode::sub_ack).into(),
            }),
            "90 06           | SUBACK, Remaining Length 6
             00 0A           | Packet Identifier
             00 01 02 80     | QoS 0, QoS 1, QoS 2, failure",
        ),
        vector(
            "UNSUBSCRIBE",
            version,
            Packet::Unsubscribe(Unsubscribe {
                packet_id: packet_id(0x0100),
                properties: Properties::new(),
                filters: vec!["a/b".into(), "#".into()],
            }),
            "A2 [0A]          | UNSUBSCRIBE, Remaining Length 10
             01 00            | Packet Identifier
             [0003] 'a/b'     | Topic Filter
             [0001] '#'       | Topic Filter",
        ),
        vector(
            "UNSUBACK",
            version,
            Packet::UnsubAck(UnsubAck {
                packet_id: packet_id(0x0100),
                properties: Properties::new(),
                reasons: vec![],
            }),
            "B0 [02]          | UNSUBACK, Remaining Length 2
             01 00            | Packet Identifier",
        ),
    ]
}

fn empty_vectors(version: ProtocolVersion) -> Vec<Vector> {
    vec![
        vector("PINGREQ", version, Packet::PingReq, "C0 [00] | PINGREQ"),
        vector("PINGRESP", version, Packet::PingResp, "D0 [00] | PINGRESP"),
        vector(
            "DISCONNECT",
            version,
            Packet::Disconnect(Disconnect {
                reason: ReasonCode::NORMAL_DISCONNECTION,
                properties: Properties::new(),
            }),
            "E0 [00] | DISCONNECT",
        ),
    ]
}
