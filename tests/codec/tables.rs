//! The standard's two tables, turned the other way round: which packets carry a property, and a reason code.

use bytes::Bytes;
use callmq::codec::{
    Ack, Auth, Connect, Disconnect, Packet, PacketType, Properties, Property, ProtocolVersion, QoS,
    ReasonCode,
};

use crate::{decode, packet_id};

const V5: ProtocolVersion = ProtocolVersion::V5;

const PACKETS: [PacketType; 15] = [
    PacketType::Connect,
    PacketType::ConnAck,
    PacketType::Publish,
    PacketType::PubAck,
    PacketType::PubRec,
    PacketType::PubRel,
    PacketType::PubComp,
    PacketType::Subscribe,
    PacketType::SubAck,
    PacketType::Unsubscribe,
    PacketType::UnsubAck,
    PacketType::PingReq,
    PacketType::PingResp,
    PacketType::Disconnect,
    PacketType::Auth,
];

/// One of each kind, with its identifier, its name and the packets of table 2-4.
fn property_table() -> Vec<(u8, Property, &'static str, &'static str)> {
    let text = || String::from("t");
    let bytes = || Bytes::from_static(b"b");
    vec![
        (
            1,
            Property::PayloadFormatIndicator(1),
            "PayloadFormatIndicator",
            "PUBLISH Will",
        ),
        (
            2,
            Property::MessageExpiryInterval(1),
            "MessageExpiryInterval",
            "PUBLISH Will",
        ),
        (3, Property::ContentType(text()), "ContentType", "PUBLISH Will"),
        (
            8,
            Property::ResponseTopic(text()),
            "ResponseTopic",
            "PUBLISH Will",
        ),
        (
            9,
            Property::CorrelationData(bytes()),
            "CorrelationData",
            "PUBLISH Will",
        ),
        (
            11,
            Property::SubscriptionIdentifier(1),
            "SubscriptionIdentifier",
            "PUBLISH SUBSCRIBE",
        ),
        (
            17,
            Property::SessionExpiryInterval(1),
            "SessionExpiryInterval",
            "CONNECT CONNACK DISCONNECT",
        ),
        (
            18,
            Property::AssignedClientIdentifier(text()),
            "AssignedClientIdentifier",
            "CONNACK",
        ),
        (19, Property::ServerKeepAlive(1), "ServerKeepAlive", "CONNACK"),
        (
            21,
            Property::AuthenticationMethod(text()),
            "AuthenticationMethod",
            "CONNECT CONNACK AUTH",
        ),
        (
            22,
            Property::AuthenticationData(bytes()),
            "AuthenticationData",
            "CONNECT CONNACK AUTH",
        ),
        (
            23,
            Property::RequestProblemInformation(1),
            "RequestProblemInformation",
            "CONNECT",
        ),
        (24, Property::WillDelayInterval(1), "WillDelayInterval", "Will"),
        (
            25,
            Property::RequestResponseInformation(1),
            "RequestResponseInformation",
            "CONNECT",
        ),
        (
            26,
            Property::ResponseInformation(text()),
            "ResponseInformation",
            "CONNACK",
        ),
        (
            28,
            Property::ServerReference(text()),
            "ServerReference",
            "CONNACK DISCONNECT",
        ),
        (
            31,
            Property::ReasonString(text()),
            "ReasonString",
            "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH",
        ),
        (
            33,
            Property::ReceiveMaximum(1),
            "ReceiveMaximum",
            "CONNECT CONNACK",
        ),
        (
            34,
            Property::TopicAliasMaximum(1),
            "TopicAliasMaximum",
            "CONNECT CONNACK",
        ),
        (35, Property::TopicAlias(1), "TopicAlias", "PUBLISH"),
        (36, Property::MaximumQoS(1), "MaximumQoS", "CONNACK"),
        (37, Property::RetainAvailable(1), "RetainAvailable", "CONNACK"),
        (
            38,
            Property::UserProperty(text(), text()),
            "UserProperty",
            "CONNECT CONNACK PUBLISH Will PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK \
             DISCONNECT AUTH",
        ),
        (
            39,
            Property::MaximumPacketSize(1),
            "MaximumPacketSize",
            "CONNECT CONNACK",
        ),
        (
            40,
            Property::WildcardSubscriptionAvailable(1),
            "WildcardSubscriptionAvailable",
            "CONNACK",
        ),
        (
            41,
            Property::SubscriptionIdentifierAvailable(1),
            "SubscriptionIdentifierAvailable",
            "CONNACK",
        ),
        (
            42,
            Property::SharedSubscriptionAvailable(1),
            "SharedSubscriptionAvailable",
            "CONNACK",
        ),
    ]
}

#[test]
fn properties_stand_where_the_standard_lists_them() {
    let table = property_table();
    assert_eq!(table.len(), 27);
    for (identifier, property, name, packets) in table {
        assert_eq!(property.identifier(), identifier);
        assert_eq!(property.name(), name);
        let mut properties = Properties::from(property);
        if identifier == 22 {
            // Authentication Data needs a method.
            properties.push(Property::AuthenticationMethod("m".into()));
        }
        let listed = |place: &str| packets.split_whitespace().any(|packet| packet == place);
        for packet in PACKETS {
            // PINGREQ and PINGRESP have no properties: nobody asks.
            if matches!(packet, PacketType::PingReq | PacketType::PingResp) {
                continue;
            }
            let checked = properties.check_for(packet);
            assert_eq!(
                checked.is_ok(),
                listed(packet.name()),
                "{name} in {packet}: {checked:?}"
            );
            if let Err(error) = checked {
                assert!(error.to_string().contains(name), "{error}");
            }
        }
        assert_eq!(
            properties.check_for_will().is_ok(),
            listed("Will"),
            "{name} in the Will"
        );
    }
}

#[test]
fn only_two_properties_may_stand_twice() {
    for (_, property, name, packets) in property_table() {
        let twice = Properties::from([
            property.clone(),
            property,
            Property::AuthenticationMethod("m".into()),
        ]);
        for packet in PACKETS {
            let listed = packets.split_whitespace().any(|listed| listed == packet.name());
            if !listed || packet == PacketType::Connect {
                continue;
            }
            let mut twice = twice.clone();
            if !matches!(packet, PacketType::ConnAck | PacketType::Auth) || name == "AuthenticationMethod" {
                twice = twice
                    .into_iter()
                    .filter(|property| property.name() == name)
                    .take(2)
                    .collect();
            }
            let allowed =
                name == "UserProperty" || (name == "SubscriptionIdentifier" && packet == PacketType::Publish);
            assert_eq!(
                twice.check_for(packet).is_ok(),
                allowed,
                "{name} twice in {packet}"
            );
        }
    }
}

/// MQTT 5.0, section 2.4, and the lists of the packets where they name more (0x91 in PUBACK ..).
const REASONS: &[(u8, &str)] = &[
    (
        0x00,
        "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH",
    ),
    (0x01, "SUBACK"),
    (0x02, "SUBACK"),
    (0x04, "DISCONNECT"),
    (0x10, "PUBACK PUBREC"),
    (0x11, "UNSUBACK"),
    (0x18, "AUTH"),
    (0x19, "AUTH"),
    (0x80, "CONNACK PUBACK PUBREC SUBACK UNSUBACK DISCONNECT"),
    (0x81, "CONNACK DISCONNECT"),
    (0x82, "CONNACK DISCONNECT"),
    (0x83, "CONNACK PUBACK PUBREC SUBACK UNSUBACK DISCONNECT"),
    (0x84, "CONNACK"),
    (0x85, "CONNACK"),
    (0x86, "CONNACK"),
    (0x87, "CONNACK PUBACK PUBREC SUBACK UNSUBACK DISCONNECT"),
    (0x88, "CONNACK"),
    (0x89, "CONNACK DISCONNECT"),
    (0x8A, "CONNACK"),
    (0x8B, "DISCONNECT"),
    (0x8C, "CONNACK DISCONNECT"),
    (0x8D, "DISCONNECT"),
    (0x8E, "DISCONNECT"),
    (0x8F, "SUBACK UNSUBACK DISCONNECT"),
    (0x90, "CONNACK PUBACK PUBREC DISCONNECT"),
    (0x91, "PUBACK PUBREC SUBACK UNSUBACK"),
    (0x92, "PUBREL PUBCOMP"),
    (0x93, "DISCONNECT"),
    (0x94, "DISCONNECT"),
    (0x95, "CONNACK DISCONNECT"),
    (0x96, "DISCONNECT"),
    (0x97, "CONNACK PUBACK PUBREC SUBACK DISCONNECT"),
    (0x98, "DISCONNECT"),
    (0x99, "CONNACK PUBACK PUBREC DISCONNECT"),
    (0x9A, "CONNACK DISCONNECT"),
    (0x9B, "CONNACK DISCONNECT"),
    (0x9C, "CONNACK DISCONNECT"),
    (0x9D, "CONNACK DISCONNECT"),
    (0x9E, "SUBACK DISCONNECT"),
    (0x9F, "CONNACK DISCONNECT"),
    (0xA0, "DISCONNECT"),
    (0xA1, "SUBACK DISCONNECT"),
    (0xA2, "SUBACK DISCONNECT"),
];

/// [5.0/MQTT-3.2.2-8] [5.0/MQTT-3.4.2-1] [5.0/MQTT-3.5.2-1] [5.0/MQTT-3.6.2-1] [5.0/MQTT-3.7.2-1] [5.0/MQTT-3.9.3-2]
/// [5.0/MQTT-3.11.3-2] [5.0/MQTT-3.14.2-1] [5.0/MQTT-3.15.2-1]
#[test]
fn reason_codes_stand_where_the_standard_lists_them() {
    for code in 0..=0xFF {
        let listed = REASONS
            .iter()
            .find(|(listed, _)| *listed == code)
            .map_or("", |(_, packets)| packets);
        let bytes: [(&str, &[u8]); 9] = [
            ("CONNACK", &[0x20, 0x03, 0x00, code, 0x00]),
            ("PUBACK", &[0x40, 0x03, 0x00, 0x01, code]),
            ("PUBREC", &[0x50, 0x04, 0x00, 0x01, code, 0x00]),
            ("PUBREL", &[0x62, 0x03, 0x00, 0x01, code]),
            ("PUBCOMP", &[0x70, 0x03, 0x00, 0x01, code]),
            ("SUBACK", &[0x90, 0x04, 0x00, 0x01, 0x00, code]),
            ("UNSUBACK", &[0xB0, 0x04, 0x00, 0x01, 0x00, code]),
            ("DISCONNECT", &[0xE0, 0x01, code]),
            ("AUTH", &[0xF0, 0x06, code, 0x04, 0x15, 0x00, 0x01, b'm']),
        ];
        for (packet, bytes) in bytes {
            let expected = listed.split_whitespace().any(|listed| listed == packet);
            let decoded = decode(V5, bytes);
            assert_eq!(decoded.is_ok(), expected, "{code:#04x} in {packet}: {decoded:?}");
        }
    }
}

/// No packet leaves with a code that its receiver would have to refuse.
///
/// [5.0/MQTT-3.4.2-1] [5.0/MQTT-3.5.2-1] [5.0/MQTT-3.6.2-1] [5.0/MQTT-3.7.2-1] [5.0/MQTT-3.14.2-1] [5.0/MQTT-3.15.2-1]
#[test]
fn only_listed_reason_codes_are_written() {
    for code in 0..=0xFF {
        let listed = REASONS
            .iter()
            .find(|(listed, _)| *listed == code)
            .map_or("", |(_, packets)| packets);
        let reason = ReasonCode::new(code);
        let ack = || Ack {
            reason,
            ..Ack::new(packet_id(1))
        };
        let method = Properties::from(Property::AuthenticationMethod("m".into()));
        for packet in [
            Packet::PubAck(ack()),
            Packet::PubRec(ack()),
            Packet::PubRel(ack()),
            Packet::PubComp(ack()),
            Packet::Disconnect(Disconnect {
                reason,
                properties: Properties::new(),
            }),
            Packet::Auth(Auth {
                reason,
                properties: method,
            }),
        ] {
            let expected = listed.split_whitespace().any(|listed| listed == packet.name());
            let mut out = Vec::new();
            let written = packet.encode(V5, &mut out);
            assert_eq!(written.is_ok(), expected, "{code:#04x} in {}", packet.name());
            assert_eq!(out.is_empty(), !expected);
        }
    }
}

#[test]
fn every_listed_reason_code_has_a_name() {
    for (code, _) in REASONS {
        assert_ne!(ReasonCode::new(*code).name(), "Unknown reason", "{code:#04x}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let secret = Property::AuthenticationData(Bytes::from_static(b"hush"));
    assert_eq!(format!("{secret:?}"), "AuthenticationData(..)");
    let pair = Property::UserProperty("a".into(), "1".into());
    assert_eq!(format!("{pair:?}"), r#"UserProperty("a", "1")"#);
    assert_eq!(format!("{:?}", Property::TopicAlias(7)), "TopicAlias(7)");
    let connect = Connect {
        version: ProtocolVersion::V5,
        bridge: false,
        clean_start: true,
        keep_alive: 60,
        client_id: "c".into(),
        will: None,
        username: Some("me".into()),
        password: Some(Bytes::from_static(b"hush")),
        properties: secret.into(),
    };
    let packet = Packet::Connect(Box::new(connect));
    for printed in [format!("{packet:?}"), format!("{packet:#?}")] {
        assert!(!printed.contains("hush"), "{printed}");
        assert!(printed.contains(r#""me""#) && printed.contains("AuthenticationData : .."));
    }
}

#[test]
fn properties_print_like_those_of_paho() {
    let properties = Properties::new()
        .with(Property::UserProperty("a".into(), "1".into()))
        .with(Property::TopicAliasMaximum(10))
        .with(Property::ReceiveMaximum(20))
        .with(Property::UserProperty("b".into(), "2".into()))
        .with(Property::AuthenticationData(Bytes::from_static(b"hush")))
        .with(Property::CorrelationData(Bytes::from_static(b"\x00x")))
        .with(Property::AuthenticationMethod("m".into()));
    let text = "[CorrelationData : b'\\x00x', AuthenticationMethod : m, AuthenticationData : .., ReceiveMaximum : 20, \
                TopicAliasMaximum : 10, UserProperty : [('a', '1'), ('b', '2')]]";
    assert_eq!(properties.to_string(), text);
    assert_eq!(format!("{properties:?}"), text);
    assert_eq!(Properties::new().to_string(), "[]");
    let identifiers: Properties = [3, 1].map(Property::SubscriptionIdentifier).into();
    assert_eq!(identifiers.to_string(), "[SubscriptionIdentifier : [3, 1]]");
}

#[test]
fn getters_find_the_property_of_their_name() {
    let all: Properties = property_table()
        .into_iter()
        .map(|(_, property, ..)| property)
        .collect();
    assert_eq!(all.payload_format_indicator(), Some(1));
    assert_eq!(all.message_expiry_interval(), Some(1));
    assert_eq!(all.content_type(), Some("t"));
    assert_eq!(all.response_topic(), Some("t"));
    assert_eq!(all.correlation_data(), Some(&Bytes::from_static(b"b")));
    assert_eq!(all.subscription_identifiers().collect::<Vec<_>>(), [1]);
    assert_eq!(all.session_expiry_interval(), Some(1));
    assert_eq!(all.assigned_client_identifier(), Some("t"));
    assert_eq!(all.server_keep_alive(), Some(1));
    assert_eq!(all.authentication_method(), Some("t"));
    assert_eq!(all.authentication_data(), Some(&Bytes::from_static(b"b")));
    assert_eq!(all.request_problem_information(), Some(true));
    assert_eq!(all.will_delay_interval(), Some(1));
    assert_eq!(all.request_response_information(), Some(true));
    assert_eq!(all.response_information(), Some("t"));
    assert_eq!(all.server_reference(), Some("t"));
    assert_eq!(all.reason_string(), Some("t"));
    assert_eq!(all.receive_maximum(), Some(1));
    assert_eq!(all.topic_alias_maximum(), Some(1));
    assert_eq!(all.topic_alias(), Some(1));
    assert_eq!(all.maximum_qos(), Some(QoS::AtLeastOnce));
    assert_eq!(all.retain_available(), Some(true));
    assert_eq!(all.user_properties().collect::<Vec<_>>(), [("t", "t")]);
    assert_eq!(all.maximum_packet_size(), Some(1));
    assert_eq!(all.wildcard_subscription_available(), Some(true));
    assert_eq!(all.subscription_identifier_available(), Some(true));
    assert_eq!(all.shared_subscription_available(), Some(true));
    let none = Properties::new();
    assert_eq!((none.receive_maximum(), none.reason_string()), (None, None));
    assert_eq!((none.len(), none.is_empty()), (0, true));
}

#[test]
fn set_replaces_and_remove_removes_all_of_a_kind() {
    let user = |name: &str| Property::UserProperty(name.into(), String::new());
    let mut properties = Properties::from([user("a"), Property::TopicAlias(1), user("b")]);
    properties.set(Property::TopicAlias(2));
    properties.set(user("c"));
    assert_eq!(properties, Properties::from([user("c"), Property::TopicAlias(2)]));
    properties.set(Property::ContentType("t".into()));
    assert_eq!(
        properties.iter().next_back(),
        Some(&Property::ContentType("t".into()))
    );
    assert!(properties.remove(0x26));
    assert!(!properties.remove(0x26));
    assert_eq!(properties.len(), 2);
    properties.clear();
    assert!(properties.is_empty());
}
