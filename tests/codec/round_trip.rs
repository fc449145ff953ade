//! Arbitrary packets come back as they were sent.

use bytes::Bytes;
use callmq::codec::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketId, Properties, Property, ProtocolVersion,
    Publish, QoS, ReasonCode, RetainHandling, SubAck, Subscribe, SubscribeOptions, Subscription, UnsubAck,
    Unsubscribe, Will,
};
use callmq::topic::TopicName;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::{decode, encode};

fn any_version() -> impl Strategy<Value = ProtocolVersion> {
    select(vec![
        ProtocolVersion::V31,
        ProtocolVersion::V311,
        ProtocolVersion::V5,
    ])
}

fn any_text() -> impl Strategy<Value = String> {
    "[^\0]{0,12}"
}

fn any_bytes(longest: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..=longest).prop_map(Bytes::from)
}

fn any_topic() -> impl Strategy<Value = TopicName> {
    "[^\0+#]{1,20}".prop_map(|name| TopicName::new(name).unwrap())
}

fn any_filter() -> impl Strategy<Value = String> {
    "(\\+|[a-z\u{E4}]{0,3})(/(\\+|[a-z]{0,3})){1,3}(/#)?|#|\\+"
}

fn any_qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn any_packet_id() -> impl Strategy<Value = PacketId> {
    any::<PacketId>()
}

fn flag() -> impl Strategy<Value = u8> {
    0..=1u8
}

/// Properties that may stand in some packet: any choice of `kinds` in any order, and User Properties.
fn any_properties(
    version: ProtocolVersion,
    kinds: Vec<BoxedStrategy<Property>>,
) -> BoxedStrategy<Properties> {
    if version != ProtocolVersion::V5 {
        return Just(Properties::new()).boxed();
    }
    let user = (any_text(), any_text()).prop_map(|(name, value)| Property::UserProperty(name, value));
    let count = kinds.len();
    (subsequence(kinds, 0..=count), vec(user, 0..3))
        .prop_flat_map(|(kinds, user)| (kinds, Just(user)))
        .prop_map(|(mut list, user)| {
            list.extend(user);
            list
        })
        .prop_shuffle()
        .prop_map(Properties::from)
        .boxed()
}

fn message_properties() -> Vec<BoxedStrategy<Property>> {
    vec![
        flag().prop_map(Property::PayloadFormatIndicator).boxed(),
        any::<u32>().prop_map(Property::MessageExpiryInterval).boxed(),
        any_text().prop_map(Property::ContentType).boxed(),
        any_topic()
            .prop_map(|topic| Property::ResponseTopic(topic.as_str().into()))
            .boxed(),
        any_bytes(300).prop_map(Property::CorrelationData).boxed(),
    ]
}

fn limit_properties() -> Vec<BoxedStrategy<Property>> {
    vec![
        any::<u32>().prop_map(Property::SessionExpiryInterval).boxed(),
        (1..=u16::MAX).prop_map(Property::ReceiveMaximum).boxed(),
        (1..=u32::MAX).prop_map(Property::MaximumPacketSize).boxed(),
        any::<u16>().prop_map(Property::TopicAliasMaximum).boxed(),
        any_text().prop_map(Property::AuthenticationMethod).boxed(),
    ]
}

fn any_connect(version: ProtocolVersion) -> impl Strategy<Value = Packet> {
    let mut will_kinds = message_properties();
    will_kinds.push(any::<u32>().prop_map(Property::WillDelayInterval).boxed());
    let will = (
        any_topic(),
        any_bytes(200),
        any_qos(),
        any::<bool>(),
        any_properties(version, will_kinds),
    )
        .prop_map(|(topic, payload, qos, retain, properties)| Will {
            topic,
            payload,
            qos,
            retain,
            properties,
        });
    let mut kinds = limit_properties();
    kinds.push(flag().prop_map(Property::RequestResponseInformation).boxed());
    kinds.push(flag().prop_map(Property::RequestProblemInformation).boxed());
    (
        (any::<bool>(), any::<bool>(), any::<u16>(), any_text()),
        option::of(will),
        option::of(any_text()),
        option::of(any_bytes(20)),
        any_properties(version, kinds),
    )
        .prop_map(
            move |((bridge, clean_start, keep_alive, client_id), will, username, password, properties)| {
                let password = password.filter(|_| username.is_some() || version == ProtocolVersion::V5);
                Packet::Connect(Box::new(Connect {
                    version,
                    bridge,
                    clean_start,
                    keep_alive,
                    client_id,
                    will,
                    username,
                    password,
                    properties,
                }))
            },
        )
}

fn any_connack(version: ProtocolVersion) -> impl Strategy<Value = Packet> {
    let mut kinds = limit_properties();
    kinds.extend([
        flag().prop_map(Property::MaximumQoS).boxed(),
        flag().prop_map(Property::RetainAvailable).boxed(),
        any_text().prop_map(Property::AssignedClientIdentifier).boxed(),
        any_text().prop_map(Property::ReasonString).boxed(),
        flag().prop_map(Property::WildcardSubscriptionAvailable).boxed(),
        flag().prop_map(Property::SubscriptionIdentifierAvailable).boxed(),
        flag().prop_map(Property::SharedSubscriptionAvailable).boxed(),
        any::<u16>().prop_map(Property::ServerKeepAlive).boxed(),
        any_text().prop_map(Property::ResponseInformation).boxed(),
        any_text().prop_map(Property::ServerReference).boxed(),
    ]);
    let reason = if version == ProtocolVersion::V5 {
        select(vec![0x00, 0x80, 0x87, 0x9F])
            .prop_map(ReasonCode::new)
            .boxed()
    } else {
        (0..0x80u8).prop_map(ReasonCode::from_connack_v3).boxed()
    };
    (any::<bool>(), reason, any_properties(version, kinds)).prop_map(
        |(session_present, reason, properties)| {
            Packet::ConnAck(ConnAck {
                session_present: session_present && !reason.is_failure(),
                reason,
                properties,
            })
        },
    )
}

fn any_publish(version: ProtocolVersion) -> impl Strategy<Value = Packet> {
    let mut kinds = message_properties();
    kinds.push((1..=u16::MAX).prop_map(Property::TopicAlias).boxed());
    for _ in 0..2 {
        kinds.push(
            (1..=268_435_455u32)
                .prop_map(Property::SubscriptionIdentifier)
                .boxed(),
        );
    }
    (
        any::<bool>(),
        any_qos(),
        any::<bool>(),
        any_topic(),
        any_packet_id(),
        any_properties(version, kinds),
        any_bytes(300),
    )
        .prop_map(|(dup, qos, retain, topic, packet_id, properties, payload)| {
            let acknowledged = qos != QoS::AtMostOnce;
            Packet::Publish(Publish {
                dup: dup && acknowledged,
                qos,
                retain,
                topic,
                packet_id: acknowledged.then_some(packet_id),
                properties,
                payload,
            })
        })
}

fn reason_string() -> Vec<BoxedStrategy<Property>> {
    vec![any_text().prop_map(Property::ReasonString).boxed()]
}

fn any_ack(version: ProtocolVersion) -> impl Strategy<Value = Packet> {
    let wrap = select(vec![
        (Packet::PubAck as fn(Ack) -> Packet, 0x97),
        (Packet::PubRec, 0x10),
        (Packet::PubRel, 0x92),
        (Packet::PubComp, 0x92),
    ]);
    let properties = any_properties(version, reason_string());
    (wrap, any::<bool>(), any_packet_id(), properties).prop_map(
        move |((wrap, code), other_than_success, packet_id, properties)| {
            let other = other_than_success && version == ProtocolVersion::V5;
            wrap(Ack {
                packet_id,
                reason: ReasonCode::new(if other { code } else { 0 }),
                properties,
            })
        },
    )
}

fn any_subscribe(version: ProtocolVersion) -> impl Strategy<Value = Packet> {
    let v5 = version == ProtocolVersion::V5;
    let retain_handling = select(vec![
        RetainHandling::SendOnSubscribe,
        RetainHandling::SendIfNew,
        RetainHandling::DoNotSend,
    ]);
    let options = (any_qos(), any::<bool>(), any::<bool>(), retain_handling).prop_map(
        move |(qos, no_local, retain_as_published, retain_handling)| {
            if v5 {
                SubscribeOptions {
                    qos,
                    no_local,
                    retain_as_published,
                    retain_handling,
                }
            } else {
                qos.into()
            }
        },
    );
    let subscription = (any_filter(), options).prop_map(|(filter, options)| Subscription { filter, options });
    let identifier = (1..=268_435_455u32)
        .prop_map(Property::SubscriptionIdentifier)
        .boxed();
    (
        any_packet_id(),
        any_properties(version, vec![identifier]),
        vec(subscription, 1..5),
    )
        .prop_map(|(packet_id, properties, subscriptions)| {
            Packet::Subscribe(Subscribe {
                packet_id,
                properties,
                subscriptions,
            })
        })
}

fn any_suback(version: ProtocolVersion) -> impl Strategy<Value = Packet> {
    let code = if version == ProtocolVersion::V5 {
        select(vec![0x00, 0x01, 0x02, 0x80, 0x8F, 0xA2])
    } else {
        select(vec![0x00, 0x01, 0x02, 0x80])
    };
    (
        any_packet_id(),
        any_properties(version, reason_string()),
        vec(code.prop_map(ReasonCode::sub_ack), 1..200),
    )
        .prop_map(|(packet_id, properties, reasons)| {
            Packet::SubAck(SubAck {
                packet_id,
                properties,
                reasons,
            })
        })
}

fn any_unsubscribe(version: ProtocolVersion) -> impl Strategy<Value = Packet> {
    (
        any_packet_id(),
        any_properties(version, vec![]),
        vec(any_filter(), 1..5),
    )
        .prop_map(|(packet_id, properties, filters)| {
            Packet::Unsubscribe(Unsubscribe {
                packet_id,
                properties,
                filters,
            })
        })
}

fn any_unsuback(version: ProtocolVersion) -> impl Strategy<Value = Packet> {
    let reasons = if version == ProtocolVersion::V5 {
        vec(select(vec![0x00, 0x11, 0x87]).prop_map(ReasonCode::new), 1..5).boxed()
    } else {
        Just(vec![]).boxed()
    };
    (any_packet_id(), any_properties(version, reason_string()), reasons).prop_map(
        |(packet_id, properties, reasons)| {
            Packet::UnsubAck(UnsubAck {
                packet_id,
                properties,
                reasons,
            })
        },
    )
}

fn any_disconnect(version: ProtocolVersion) -> impl Strategy<Value = Packet> {
    let code = if version == ProtocolVersion::V5 {
        select(vec![0x00, 0x04, 0x8E, 0x9D])
    } else {
        select(vec![0x00])
    };
    let mut kinds = reason_string();
    kinds.push(any::<u32>().prop_map(Property::SessionExpiryInterval).boxed());
    kinds.push(any_text().prop_map(Property::ServerReference).boxed());
    (
        code.prop_map(ReasonCode::disconnect),
        any_properties(version, kinds),
    )
        .prop_map(|(reason, properties)| Packet::Disconnect(Disconnect { reason, properties }))
}

fn any_auth() -> impl Strategy<Value = Packet> {
    let mut kinds = reason_string();
    kinds.push(any_bytes(300).prop_map(Property::AuthenticationData).boxed());
    (
        select(vec![0x00, 0x18, 0x19]),
        any_text(),
        any_properties(ProtocolVersion::V5, kinds),
    )
        .prop_map(|(code, method, properties)| {
            Packet::Auth(Auth {
                reason: ReasonCode::new(code),
                properties: properties.with(Property::AuthenticationMethod(method)),
            })
        })
}

/// A packet of any kind that the version has.
fn any_packet(version: ProtocolVersion) -> impl Strategy<Value = Packet> {
    let auth = if version == ProtocolVersion::V5 {
        any_auth().boxed()
    } else {
        Just(Packet::PingReq).boxed()
    };
    prop_oneof![
        any_connect(version),
        any_connack(version),
        any_publish(version),
        any_ack(version),
        any_subscribe(version),
        any_suback(version),
        any_unsubscribe(version),
        any_unsuback(version),
        select(vec![Packet::PingReq, Packet::PingResp]),
        any_disconnect(version),
        auth,
    ]
}

pub(crate) fn any_versioned_packet() -> impl Strategy<Value = (ProtocolVersion, Packet)> {
    any_version().prop_flat_map(|version| (Just(version), any_packet(version)))
}

/// The numbers on the wire: packets compare codes by meaning.
fn codes(packet: &Packet) -> Vec<(u8, &'static str)> {
    let reasons = match packet {
        Packet::ConnAck(connack) => vec![connack.reason],
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            vec![ack.reason]
        }
        Packet::SubAck(suback) => suback.reasons.clone(),
        Packet::UnsubAck(unsuback) => unsuback.reasons.clone(),
        Packet::Disconnect(disconnect) => vec![disconnect.reason],
        Packet::Auth(auth) => vec![auth.reason],
        _ => vec![],
    };
    reasons
        .iter()
        .map(|reason| (reason.value(), reason.name()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_packet_comes_back_as_it_was((version, packet) in any_versioned_packet()) {
        let bytes = encode(version, &packet);
        let (decoded, rest) = decode(version, &bytes).unwrap();
        prop_assert!(rest.is_empty());
        let decoded = decoded.unwrap();
        prop_assert_eq!(codes(&decoded), codes(&packet));
        prop_assert_eq!(decoded, packet);
    }

    #[test]
    fn an_incomplete_packet_asks_for_more((version, packet) in any_versioned_packet(), cut in any::<prop::sample::Index>()) {
        let bytes = encode(version, &packet);
        let prefix = &bytes[..cut.index(bytes.len())];
        prop_assert_eq!(decode(version, prefix), Ok((None, prefix.to_vec())));
    }
}
