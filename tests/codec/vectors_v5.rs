//! Packets of MQTT 5.0.

use bytes::Bytes;
use callmq::codec::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, Properties, Property, ProtocolVersion, Publish, QoS,
    ReasonCode, RetainHandling, SubAck, Subscribe, SubscribeOptions, Subscription, UnsubAck, Unsubscribe,
    Will,
};
use callmq::topic::TopicName;

use crate::{Vector, packet_id, vector};

const V5: ProtocolVersion = ProtocolVersion::V5;

pub(crate) fn vectors() -> Vec<Vector> {
    let mut vectors = connect_vectors();
    vectors.extend(connack_vectors());
    vectors.extend(publish_vectors());
    vectors.extend(ack_vectors());
    vectors.extend(subscribe_vectors());
    vectors.extend(end_vectors());
    vectors
}

fn connect(client_id: &str) -> Connect {
    Connect {
        version: V5,
        bridge: false,
        clean_start: true,
        keep_alive: 10,
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
            "CONNECT, minimal",
            V5,
            Packet::Connect(Box::new(connect("a"))),
            "10 [0E]        | CONNECT, Remaining Length 14
             [0004] 'MQTT'  | protocol name
             05             | protocol version
             02             | Connect Flags: Clean Start
             00 0A          | Keep Alive 10
             [00]           | Property Length
             [0001] 'a'     | Client Identifier",
        ),
        vector(
            "CONNECT with a Password alone",
            V5,
            Packet::Connect(Box::new(Connect {
                clean_start: false,
                password: Some(Bytes::from_static(b"token")),
                ..connect("")
            })),
            "10 [14]          | CONNECT, Remaining Length 20
             [0004] 'MQTT'    | protocol name
             05               | protocol version
             40               | Connect Flags: Password
             00 0A            | Keep Alive 10
             [00]             | Property Length
             00 00            | Client Identifier
             [0005] 'token'   | Password",
        ),
        vector(
            "CONNECT with everything",
            V5,
            Packet::Connect(Box::new(Connect {
                username: Some("u".into()),
                password: Some(Bytes::from_static(b"p")),
                will: Some(Will {
                    topic: TopicName::new("w").unwrap(),
                    payload: Bytes::from_static(b"gone"),
                    qos: QoS::ExactlyOnce,
                    retain: true,
                    properties: Properties::from([
                        Property::WillDelayInterval(5),
                        Property::PayloadFormatIndicator(1),
                        Property::MessageExpiryInterval(0x0001_0000),
                        Property::ContentType("t".into()),
                        Property::ResponseTopic("r".into()),
                        Property::CorrelationData(Bytes::from_static(&[0x00])),
                        Property::UserProperty("k".into(), "v".into()),
                    ]),
                }),
                properties: Properties::from([
                    Property::SessionExpiryInterval(0xFFFF_FFFF),
                    Property::ReceiveMaximum(20),
                    Property::MaximumPacketSize(0x0010_0000),
                    Property::TopicAliasMaximum(10),
                    Property::RequestResponseInformation(1),
                    Property::RequestProblemInformation(0),
                    Property::UserProperty("k".into(), "v".into()),
                    Property::UserProperty("k".into(), "".into()),
                    Property::AuthenticationMethod("m".into()),
                    Property::AuthenticationData(Bytes::from_static(&[0xFF])),
                ]),
                ..connect("id")
            })),
            "10 [67]             | CONNECT, Remaining Length 103
             [0004] 'MQTT'       | protocol name
             05                  | protocol version
             F6                  | Connect Flags: User Name, Password, Will Retain, Will QoS 2, Will, Clean Start
             00 0A               | Keep Alive 10
             [29]                | Property Length 41
             11 FF FF FF FF      | Session Expiry Interval: for ever
             21 00 14            | Receive Maximum 20
             27 00 10 00 00      | Maximum Packet Size 1 MiB
             22 00 0A            | Topic Alias Maximum 10
             19 01               | Request Response Information
             17 00               | Request Problem Information
             26 [0001] 'k' [0001] 'v' | User Property
             26 [0001] 'k' [0000]     | User Property, the same name again
             15 [0001] 'm'       | Authentication Method
             16 [0001] FF        | Authentication Data
             [0002] 'id'         | Client Identifier
             [1F]                | Will Property Length 31
             18 00 00 00 05      | Will Delay Interval 5
             01 01               | Payload Format Indicator: UTF-8
             02 00 01 00 00      | Message Expiry Interval 65536
             03 [0001] 't'       | Content Type
             08 [0001] 'r'       | Response Topic
             09 [0001] 00        | Correlation Data
             26 [0001] 'k' [0001] 'v' | User Property
             [0001] 'w'          | Will Topic
             [0004] 'gone'       | Will Payload
             [0001] 'u'          | User Name
             [0001] 'p'          | Password",
        ),
    ]
}

fn connack_vectors() -> Vec<Vector> {
    vec![
        vector(
            "CONNACK, minimal",
            V5,
            Packet::ConnAck(ConnAck {
                session_present: true,
                reason: ReasonCode::SUCCESS,
                properties: Properties::new(),
            }),
            "20 [03]  | CONNACK, Remaining Length 3
             01       | Session Present
             00       | Success
             [00]     | Property Length",
        ),
        vector(
            "CONNACK with everything",
            V5,
            Packet::ConnAck(ConnAck {
                session_present: false,
                reason: ReasonCode::SUCCESS,
                properties: Properties::from([
                    Property::SessionExpiryInterval(60),
                    Property::ReceiveMaximum(1),
                    Property::MaximumQoS(1),
                    Property::RetainAvailable(0),
                    Property::MaximumPacketSize(0xFFFF_FFFF),
                    Property::AssignedClientIdentifier("auto".into()),
                    Property::TopicAliasMaximum(0),
                    Property::ReasonString("ok".into()),
                    Property::UserProperty("".into(), "".into()),
                    Property::WildcardSubscriptionAvailable(1),
                    Property::SubscriptionIdentifierAvailable(0),
                    Property::SharedSubscriptionAvailable(1),
                    Property::ServerKeepAlive(30),
                    Property::ResponseInformation("r/".into()),
                    Property::ServerReference("b".into()),
                    Property::AuthenticationMethod("m".into()),
                    Property::AuthenticationData(Bytes::new()),
                ]),
            }),
            "20 [41]             | CONNACK, Remaining Length 65
             00                  | no session
             00                  | Success
             [3E]                | Property Length 62
             11 00 00 00 3C      | Session Expiry Interval 60
             21 00 01            | Receive Maximum 1
             24 01               | Maximum QoS 1
             25 00               | Retain Available: no
             27 FF FF FF FF      | Maximum Packet Size
             12 [0004] 'auto'    | Assigned Client Identifier
             22 00 00            | Topic Alias Maximum 0
             1F [0002] 'ok'      | Reason String
             26 [0000] [0000]    | User Property
             28 01               | Wildcard Subscription Available
             29 00               | Subscription Identifier Available: no
             2A 01               | Shared Subscription Available
             13 00 1E            | Server Keep Alive 30
             1A [0002] 'r/'      | Response Information
             1C [0001] 'b'       | Server Reference
             15 [0001] 'm'       | Authentication Method
             16 [0000]           | Authentication Data",
        ),
        vector(
            "CONNACK with a refusal",
            V5,
            Packet::ConnAck(ConnAck {
                session_present: false,
                reason: ReasonCode::NOT_AUTHORIZED,
                properties: Properties::new(),
            }),
            "20 [03]  | CONNACK, Remaining Length 3
             00       | no session
             87       | Not authorized
             [00]     | Property Length",
        ),
    ]
}

fn publish_vectors() -> Vec<Vector> {
    let publish = |topic: TopicName, payload: &'static [u8]| Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic,
        packet_id: None,
        properties: Properties::new(),
        payload: Bytes::from_static(payload),
    };
    vec![
        vector(
            "PUBLISH QoS 0",
            V5,
            Packet::Publish(publish(TopicName::new("a/b").unwrap(), b"hi")),
            "30 08        | PUBLISH, Remaining Length 8
             00 03 'a/b'  | Topic Name
             00           | Property Length
             'hi'         | payload",
        ),
        vector(
            "PUBLISH with a Topic Alias alone",
            V5,
            Packet::Publish(Publish {
                properties: Properties::from(Property::TopicAlias(10)),
                ..publish(TopicName::empty(), b"x")
            }),
            "30 07        | PUBLISH, Remaining Length 7
             00 00        | Topic Name
             [03]         | Property Length
             23 00 0A     | Topic Alias 10
             'x'          | payload",
        ),
        vector(
            "PUBLISH QoS 2 with everything",
            V5,
            Packet::Publish(Publish {
                dup: true,
                qos: QoS::ExactlyOnce,
                retain: true,
                packet_id: Some(packet_id(0x0102)),
                properties: Properties::from([
                    Property::PayloadFormatIndicator(0),
                    Property::MessageExpiryInterval(1),
                    Property::TopicAlias(0xFFFF),
                    Property::ResponseTopic("r/1".into()),
                    Property::CorrelationData(Bytes::from_static(&[1, 2, 3])),
                    Property::UserProperty("a".into(), "b".into()),
                    Property::SubscriptionIdentifier(1),
                    Property::SubscriptionIdentifier(268_435_455),
                    Property::SubscriptionIdentifier(128),
                    Property::ContentType("text".into()),
                ]),
                ..publish(TopicName::new("t").unwrap(), b"")
            }),
            "3D [34]             | PUBLISH, DUP, QoS 2, RETAIN, Remaining Length 52
             [0001] 't'          | Topic Name
             01 02               | Packet Identifier
             [2E]                | Property Length 46
             01 00               | Payload Format Indicator: bytes
             02 00 00 00 01      | Message Expiry Interval 1
             23 FF FF            | Topic Alias 65535
             08 [0003] 'r/1'     | Response Topic
             09 [0003] 01 02 03  | Correlation Data
             26 [0001] 'a' [0001] 'b' | User Property
             0B 01               | Subscription Identifier 1
             0B FF FF FF 7F      | Subscription Identifier 268435455
             0B 80 01            | Subscription Identifier 128
             03 [0004] 'text'    | Content Type",
        ),
        vector(
            "PUBLISH with a Property Length of two bytes",
            V5,
            Packet::Publish(Publish {
                properties: Properties::from(Property::UserProperty("a".repeat(60), "b".repeat(63))),
                ..publish(TopicName::new("t").unwrap(), b"x")
            }),
            "30 86 01         | PUBLISH, Remaining Length 134
             00 01 't'        | Topic Name
             80 01            | Property Length 128
             26               | User Property
             [003C] 61*60     | name
             [003F] 62*63     | value
             'x'              | payload",
        ),
    ]
}

fn ack_vectors() -> Vec<Vector> {
    let ack = |reason| Ack {
        packet_id: packet_id(0x1234),
        reason,
        properties: Properties::new(),
    };
    let success = || ack(ReasonCode::SUCCESS);
    let with_reason_string = |reason| Ack {
        properties: Properties::from(Property::ReasonString("no".into())),
        ..ack(reason)
    };
    vec![
        vector(
            "PUBACK",
            V5,
            Packet::PubAck(success()),
            "40 02 12 34 | Packet Identifier; Success",
        ),
        vector(
            "PUBREC",
            V5,
            Packet::PubRec(success()),
            "50 02 12 34 | Packet Identifier; Success",
        ),
        vector(
            "PUBREL",
            V5,
            Packet::PubRel(success()),
            "62 02 12 34 | Packet Identifier; Success",
        ),
        vector(
            "PUBCOMP",
            V5,
            Packet::PubComp(success()),
            "70 02 12 34 | Packet Identifier; Success",
        ),
        vector(
            "PUBACK, nobody listens",
            V5,
            Packet::PubAck(ack(ReasonCode::NO_MATCHING_SUBSCRIBERS)),
            "40 03 12 34 10 | Packet Identifier, No matching subscribers",
        ),
        vector(
            "PUBREC, refused",
            V5,
            Packet::PubRec(ack(ReasonCode::QUOTA_EXCEEDED)),
            "50 03 12 34 97 | Packet Identifier, Quota exceeded",
        ),
        vector(
            "PUBREL, unknown",
            V5,
            Packet::PubRel(ack(ReasonCode::PACKET_IDENTIFIER_NOT_FOUND)),
            "62 03 12 34 92 | Packet Identifier, Packet Identifier not found",
        ),
        vector(
            "PUBCOMP, unknown, in words",
            V5,
            Packet::PubComp(with_reason_string(ReasonCode::PACKET_IDENTIFIER_NOT_FOUND)),
            "70 [09]        | PUBCOMP, Remaining Length 9
             12 34          | Packet Identifier
             92             | Packet Identifier not found
             [05]           | Property Length
             1F [0002] 'no' | Reason String",
        ),
        vector(
            "PUBACK, success in words",
            V5,
            Packet::PubAck(Ack {
                properties: Properties::from([
                    Property::ReasonString("ok".into()),
                    Property::UserProperty("k".into(), "v".into()),
                ]),
                ..success()
            }),
            "40 [10]        | PUBACK, Remaining Length 16
             12 34          | Packet Identifier
             00             | Success
             [0C]           | Property Length
             1F [0002] 'ok' | Reason String
             26 [0001] 'k' [0001] 'v' | User Property",
        ),
        vector(
            "PUBREC, success in words",
            V5,
            Packet::PubRec(with_reason_string(ReasonCode::SUCCESS)),
            "50 [09] 12 34 00    | PUBREC, Packet Identifier, Success
             [05] 1F [0002] 'no' | Reason String",
        ),
        vector(
            "PUBREL in words",
            V5,
            Packet::PubRel(with_reason_string(ReasonCode::SUCCESS)),
            "62 [09] 12 34 00    | PUBREL, Packet Identifier, Success
             [05] 1F [0002] 'no' | Reason String",
        ),
    ]
}

fn subscribe_vectors() -> Vec<Vector> {
    let subscription = |filter: &str, options| Subscription {
        filter: filter.into(),
        options,
    };
    vec![
        vector(
            "SUBSCRIBE",
            V5,
            Packet::Subscribe(Subscribe {
                packet_id: packet_id(1),
                properties: Properties::new(),
                subscriptions: vec![subscription("a", SubscribeOptions::default())],
            }),
            "82 [07]     | SUBSCRIBE, Remaining Length 7
             00 01       | Packet Identifier
             [00]        | Property Length
             [0001] 'a'  | Topic Filter
             00          | Subscription Options: none",
        ),
        vector(
            "SUBSCRIBE with everything",
            V5,
            Packet::Subscribe(Subscribe {
                packet_id: packet_id(2),
                properties: Properties::from([
                    Property::SubscriptionIdentifier(300),
                    Property::UserProperty("k".into(), "v".into()),
                ]),
                subscriptions: vec![
                    subscription(
                        "a/#",
                        SubscribeOptions {
                            qos: QoS::ExactlyOnce,
                            no_local: true,
                            retain_as_published: true,
                            retain_handling: RetainHandling::DoNotSend,
                        },
                    ),
                    subscription(
                        "$share/g/b",
                        SubscribeOptions {
                            qos: QoS::AtLeastOnce,
                            no_local: false,
                            retain_as_published: false,
                            retain_handling: RetainHandling::SendIfNew,
                        },
                    ),
                ],
            }),
            "82 [20]             | SUBSCRIBE, Remaining Length 32
             00 02               | Packet Identifier
             [0A]                | Property Length
             0B AC 02            | Subscription Identifier 300
             26 [0001] 'k' [0001] 'v' | User Property
             [0003] 'a/#'        | Topic Filter
             2E                  | Retain Handling 2, Retain As Published, No Local, QoS 2
             [000A] '$share/g/b' | Topic Filter
             11                  | Retain Handling 1, QoS 1",
        ),
        vector(
            "SUBACK",
            V5,
            Packet::SubAck(SubAck {
                packet_id: packet_id(2),
                properties: Properties::from(Property::ReasonString("x".into())),
                reasons: [
                    0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2,
                ]
                .map(ReasonCode::sub_ack)
                .into(),
            }),
            "90 13           | SUBACK, Remaining Length 19
             00 02           | Packet Identifier
             [04]            | Property Length
             1F [0001] 'x'   | Reason String
             00 01 02        | granted
             80 83 87 8F 91 97 9E A1 A2 | refused for all reasons that there are",
        ),
        vector(
            "UNSUBSCRIBE",
            V5,
            Packet::Unsubscribe(Unsubscribe {
                packet_id: packet_id(3),
                properties: Properties::from(Property::UserProperty("k".into(), "v".into())),
                filters: vec!["a/+".into(), "b".into()],
            }),
            "A2 [12]         | UNSUBSCRIBE, Remaining Length 18
             00 03           | Packet Identifier
             [07]            | Property Length
             26 [0001] 'k' [0001] 'v' | User Property
             [0003] 'a/+'    | Topic Filter
             [0001] 'b'      | Topic Filter",
        ),
        vector(
            "UNSUBACK",
            V5,
            Packet::UnsubAck(UnsubAck {
                packet_id: packet_id(3),
                properties: Properties::new(),
                reasons: [0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]
                    .map(ReasonCode::new)
                    .into(),
            }),
            "B0 0A           | UNSUBACK, Remaining Length 10
             00 03           | Packet Identifier
             00              | Property Length
             00 11           | Success, No subscription existed
             80 83 87 8F 91  | refused for all reasons that there are",
        ),
    ]
}

fn end_vectors() -> Vec<Vector> {
    let disconnect = |reason, properties| Packet::Disconnect(Disconnect { reason, properties });
    let auth = |reason, properties| Packet::Auth(Auth { reason, properties });
    vec![
        vector("PINGREQ", V5, Packet::PingReq, "C0 [00] | PINGREQ"),
        vector("PINGRESP", V5, Packet::PingResp, "D0 [00] | PINGRESP"),
        vector(
            "DISCONNECT",
            V5,
            disconnect(ReasonCode::NORMAL_DISCONNECTION, Properties::new()),
            "E0 00 | DISCONNECT, Normal disconnection",
        ),
        vector(
            "DISCONNECT with Will",
            V5,
            disconnect(ReasonCode::DISCONNECT_WITH_WILL_MESSAGE, Properties::new()),
            "E0 01 04 | DISCONNECT, Disconnect with Will Message",
        ),
        vector(
            "DISCONNECT with everything",
            V5,
            disconnect(
                ReasonCode::SERVER_MOVED,
                Properties::from([
                    Property::SessionExpiryInterval(0),
                    Property::ReasonString("bye".into()),
                    Property::UserProperty("k".into(), "v".into()),
                    Property::ServerReference("other".into()),
                ]),
            ),
            "E0 [1C]            | DISCONNECT, Remaining Length 28
             9D                 | Server moved
             [1A]               | Property Length
             11 00 00 00 00     | Session Expiry Interval 0
             1F [0003] 'bye'    | Reason String
             26 [0001] 'k' [0001] 'v' | User Property
             1C [0005] 'other'  | Server Reference",
        ),
        vector(
            "AUTH",
            V5,
            auth(ReasonCode::SUCCESS, Properties::new()),
            "F0 00 | AUTH, Success",
        ),
        vector(
            "AUTH with everything",
            V5,
            auth(
                ReasonCode::CONTINUE_AUTHENTICATION,
                Properties::from([
                    Property::AuthenticationMethod("SCRAM".into()),
                    Property::AuthenticationData(Bytes::from_static(&[0xDE, 0xAD])),
                    Property::ReasonString("go".into()),
                    Property::UserProperty("k".into(), "v".into()),
                ]),
            ),
            "F0 [1B]            | AUTH, Remaining Length 27
             18                 | Continue authentication
             [19]               | Property Length
             15 [0005] 'SCRAM'  | Authentication Method
             16 [0002] DE AD    | Authentication Data
             1F [0002] 'go'     | Reason String
             26 [0001] 'k' [0001] 'v' | User Property",
        ),
        vector(
            "AUTH again",
            V5,
            auth(
                ReasonCode::RE_AUTHENTICATE,
                Properties::from(Property::AuthenticationMethod("m".into())),
            ),
            "F0 [06]            | AUTH, Remaining Length 6
             19                 | Re-authenticate
             [04]               | Property Length
             15 [0001] 'm'      | Authentication Method",
        ),
    ]
}
