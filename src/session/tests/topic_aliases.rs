//! Topic Aliases (MQTT 5.0) in both directions.

use super::support::*;
use crate::codec::{Packet, Property, ProtocolVersion, Publish};
use crate::error::{Error, ServerLimit};
use crate::session::*;
use crate::topic::TopicName;

/// A session that gives out up to `limit` aliases by itself, not connected.
fn automatic(limit: u16) -> Bench {
    Bench::new(|settings| {
        settings.version = ProtocolVersion::V5;
        settings.topic_alias_limit = limit;
    })
}

/// Connects to a server that accepts aliases up to `maximum`.
fn connect(bench: &mut Bench, maximum: u16) {
    bench.session.open(bench.now);
    bench.sent();
    let properties = Properties::new().with(Property::TopicAliasMaximum(maximum));
    bench.connack(false, ReasonCode::SUCCESS, properties).unwrap();
    bench.events();
    bench.session.release(bench.now);
}

/// A session that announced `maximum` and is connected.
fn receiver(maximum: u16) -> Bench {
    Bench::connected(|settings| {
        settings.version = ProtocolVersion::V5;
        settings.topic_alias_maximum = Some(maximum);
    })
}

fn aliased(topic: &str, alias: u16, qos: u8, packet_id: u16) -> Packet {
    match message(topic, "x", qos, packet_id) {
        Packet::Publish(publish) => Packet::Publish(Publish {
            properties: Property::TopicAlias(alias).into(),
            ..publish
        }),
        other => other,
    }
}

/// The topics of the messages that were delivered, each without an alias.
fn topics(bench: &mut Bench) -> Vec<String> {
    let messages = bench.messages();
    assert!(
        messages
            .iter()
            .all(|message| message.publish.properties.topic_alias().is_none())
    );
    messages
        .iter()
        .map(|message| message.publish.topic.to_string())
        .collect()
}

/// The topics and aliases of the PUBLISH packets of MQTT 5.0 among what was sent, 0 for none.
fn seen(bytes: &[u8]) -> Vec<(String, u16)> {
    let publishes = packets(bytes).into_iter().filter(|(first, _)| first >> 4 == 3);
    let seen = publishes.map(|(first, rest)| {
        let topic_end = 2 + usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        let topic = String::from_utf8(rest[2..topic_end].to_vec()).unwrap();
        let properties = if first & 0b0110 == 0 {
            topic_end
        } else {
            topic_end + 2
        };
        let properties = &rest[properties + 1..][..usize::from(rest[properties])];
        let alias = match *properties {
            [] => 0,
            [.., 0x23, high, low] => u16::from_be_bytes([high, low]),
            _ => panic!("{properties:02x?}"),
        };
        (topic, alias)
    });
    seen.collect()
}

fn sent(bench: &mut Bench) -> Vec<(String, u16)> {
    seen(&bench.sent())
}

fn entries(expected: &[(&str, u16)]) -> Vec<(String, u16)> {
    let entries = expected.iter();
    entries.map(|&(topic, alias)| (topic.to_owned(), alias)).collect()
}

/// Publishes with an alias of the application's.
fn by_hand(bench: &mut Bench, topic: &str, alias: u16, qos: u8) -> Result<Accepted<Tracker>> {
    let message = Outgoing {
        topic,
        payload: PayloadRef::Borrowed(b"x"),
        qos: level(qos),
        retain: false,
        properties: &Property::TopicAlias(alias).into(),
    };
    bench
        .session
        .publish(|| bench.now, &message, |_| Tracker::default())
}

// ---- from the server ----

/// Every alias up to the maximum that we announced, also one that gets another topic.
///
/// [5.0/MQTT-3.3.2-10]
#[test]
fn a_received_alias_stands_for_its_topic() {
    let mut bench = receiver(2);
    for (topic, alias) in [("one", 1), ("two", 2), ("", 1), ("", 2), ("three", 1), ("", 1)] {
        bench.receive(aliased(topic, alias, 0, 0)).unwrap();
    }
    assert_eq!(topics(&mut bench), ["one", "two", "one", "two", "three", "three"]);
}

#[test]
fn the_topic_of_a_stored_message_is_that_of_its_arrival() {
    let mut bench = receiver(1);
    bench.receive(aliased("first", 1, 2, 1)).unwrap();
    bench.receive(aliased("", 1, 2, 2)).unwrap();
    // A repeated PUBLISH is no new message, but sets the alias.
    bench.receive(aliased("second", 1, 2, 1)).unwrap();
    bench.receive(aliased("", 1, 1, 3)).unwrap();
    bench.receive(pubrel(1)).unwrap();
    bench.receive(pubrel(2)).unwrap();
    assert_eq!(topics(&mut bench), ["second", "first", "first"]);
}

/// The server broke the limit that CONNECT announced.
///
/// [5.0/MQTT-3.1.2-26] [5.0/MQTT-3.1.2-27]
#[test]
fn an_alias_that_cannot_be_resolved_breaks_the_protocol() {
    for (maximum, topic, alias, statement) in [
        (0, "t", 1, "MQTT-3.1.2-27"),
        (0, "", 1, "MQTT-3.1.2-27"),
        (2, "t", 3, "MQTT-3.1.2-26"),
        (2, "t", 65_535, "MQTT-3.1.2-26"),
        (2, "t", 0, "MQTT-3.3.2-8"),
        (2, "", 2, ""),
    ] {
        let mut bench = receiver(maximum);
        let error = bench.receive(aliased(topic, alias, 0, 0)).unwrap_err();
        assert_eq!(error.reason, ReasonCode::TOPIC_ALIAS_INVALID);
        assert_eq!(error.statement, statement, "{maximum} {topic} {alias}");
        assert!(bench.messages().is_empty());
    }
}

/// The mappings of the server end with the connection.
///
/// [5.0/MQTT-3.3.2-7]
#[test]
fn a_received_alias_means_nothing_on_the_next_connection() {
    let mut bench = receiver(5);
    bench.receive(aliased("one", 1, 0, 0)).unwrap();
    bench.session.closed(bench.now);
    bench.connect(false);
    assert!(bench.receive(aliased("", 1, 0, 0)).is_err());
}

#[test]
fn connect_announces_how_many_aliases_the_server_may_use() {
    let mut bench = Bench::new(|settings| {
        settings.version = ProtocolVersion::V5;
        settings.topic_alias_maximum = Some(16);
    });
    bench.session.open(bench.now);
    assert_eq!(
        bench.sent(),
        b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x03\x22\x00\x10\x00\x01c"
    );
    // A property that is given comes first, and is what counts.
    let mut bench = Bench::connected(|settings| {
        settings.version = ProtocolVersion::V5;
        settings.topic_alias_maximum = Some(16);
        settings.connect_properties = Property::TopicAliasMaximum(2).into();
    });
    assert!(bench.receive(aliased("t", 2, 0, 0)).is_ok());
    assert!(bench.receive(aliased("t", 3, 0, 0)).is_err());
}

// ---- to the server, by itself ----

#[test]
fn a_topic_is_sent_once_and_then_its_alias() {
    let mut bench = automatic(10);
    connect(&mut bench, 10);
    for qos in [0, 1, 2] {
        bench.publish("a/topic", "x", qos).unwrap();
    }
    let expected: [&[u8]; 3] = [
        b"\x30\x0e\x00\x07a/topic\x03\x23\x00\x01x",
        b"\x32\x09\x00\x00\x00\x02\x03\x23\x00\x01x",
        b"\x34\x09\x00\x00\x00\x03\x03\x23\x00\x01x",
    ];
    assert_eq!(bench.sent(), expected.concat());
}

#[test]
fn properties_stay_and_the_alias_is_the_last() {
    let mut bench = automatic(10);
    connect(&mut bench, 10);
    let properties = Properties::new().with(Property::PayloadFormatIndicator(1));
    for _ in 0..2 {
        let message = Outgoing {
            topic: "a/topic",
            payload: PayloadRef::Borrowed(b"x"),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: &properties,
        };
        bench
            .session
            .publish(|| bench.now, &message, |_| Tracker::default())
            .unwrap();
    }
    let expected: [&[u8]; 2] = [
        b"\x30\x10\x00\x07a/topic\x05\x01\x01\x23\x00\x01x",
        b"\x30\x09\x00\x00\x05\x01\x01\x23\x00\x01x",
    ];
    assert_eq!(bench.sent(), expected.concat());
}

/// Never more than the server allows, none where it allows none; numbers start at 1.
///
/// [5.0/MQTT-3.2.2-17] [5.0/MQTT-3.2.2-18] [5.0/MQTT-3.3.2-8] [5.0/MQTT-3.3.2-9]
#[test]
fn no_alias_is_over_what_the_server_and_the_setting_allow() {
    for (limit, maximum) in [(10, 2), (2, 10), (2, 0), (0, 2), (65_535, 65_535)] {
        let mut bench = automatic(limit);
        connect(&mut bench, maximum);
        for number in 0..20 {
            bench.publish(&format!("topic/{number}"), "x", 0).unwrap();
        }
        let highest = usize::from(limit.min(maximum)).min(20) as u16;
        let aliases: Vec<u16> = sent(&mut bench).iter().map(|(_, alias)| *alias).collect();
        assert_eq!(aliases.iter().max(), Some(&highest), "{limit} {maximum}");
        assert_eq!(aliases.contains(&0), highest == 0);
    }
}

#[test]
fn the_number_that_was_not_used_for_longest_goes_to_the_next_topic() {
    let mut bench = automatic(3);
    connect(&mut bench, 3);
    for topic in [
        "aaaa", "bbbb", "cccc", "aaaa", "dddd", "aaaa", "bbbb", "cccc", "dddd",
    ] {
        bench.publish(topic, "x", 0).unwrap();
    }
    let expected = [
        ("aaaa", 1),
        ("bbbb", 2),
        ("cccc", 3),
        ("", 1),
        // For b, then c, then d: a was used in between.
        ("dddd", 2),
        ("", 1),
        ("bbbb", 3),
        ("cccc", 2),
        ("dddd", 1),
    ];
    assert_eq!(sent(&mut bench), entries(&expected));
}

#[test]
fn a_topic_that_costs_no_more_than_its_alias_gets_none() {
    let mut bench = automatic(3);
    connect(&mut bench, 3);
    for topic in ["abc", "abc", "abcd", "abcd"] {
        bench.publish(topic, "x", 0).unwrap();
    }
    let expected = [("abc", 0), ("abc", 0), ("abcd", 1), ("", 1)];
    assert_eq!(sent(&mut bench), entries(&expected));
}

/// What is sent again, and what waited, has its whole topic on the next connection.
///
/// [5.0/MQTT-3.3.1-1] [5.0/MQTT-3.3.2-7]
#[test]
fn aliases_end_with_the_connection() {
    let mut bench = automatic(5);
    connect(&mut bench, 5);
    bench.publish("a/topic", "x", 1).unwrap();
    bench.publish("a/topic", "y", 1).unwrap();
    assert_eq!(sent(&mut bench), entries(&[("a/topic", 1), ("", 1)]));
    bench.session.closed(bench.now);
    bench.publish("b/topic", "z", 1).unwrap();
    // Another server, perhaps.
    connect(&mut bench, 1);
    let again = bench.sent();
    assert_eq!(seen(&again), entries(&[("a/topic", 1), ("", 1), ("b/topic", 1)]));
    let firsts: Vec<u8> = packets(&again).iter().map(|(first, _)| *first).collect();
    assert_eq!(firsts, [0x3a, 0x3a, 0x32]);
    bench.session.closed(bench.now);
    connect(&mut bench, 0);
    let whole = [("a/topic", 0), ("a/topic", 0), ("b/topic", 0)];
    assert_eq!(sent(&mut bench), entries(&whole));
}

/// The server never saw the packet that would have set the alias: the next connection does not build on it.
#[test]
fn what_did_not_leave_sets_no_alias() {
    let mut bench = automatic(5);
    connect(&mut bench, 5);
    bench.publish("a/topic", "x", 0).unwrap();
    bench.take_unwritten();
    bench.session.closed(bench.now);
    connect(&mut bench, 5);
    bench.publish("a/topic", "y", 0).unwrap();
    assert_eq!(sent(&mut bench), entries(&[("a/topic", 1)]));
}

#[test]
fn a_message_that_is_refused_sets_no_alias() {
    let mut bench = automatic(5);
    bench.session.settings.max_inflight = 1;
    bench.session.settings.queue.max_messages = 1;
    connect(&mut bench, 5);
    bench.publish("first/topic", "x", 1).unwrap();
    bench.publish("second/topic", "x", 1).unwrap();
    assert!(bench.publish("third/topic", "x", 1).is_err());
    bench.publish("third/topic", "x", 0).unwrap();
    let expected = [("first/topic", 1), ("third/topic", 2)];
    assert_eq!(sent(&mut bench), entries(&expected));
}

#[test]
fn the_trace_tells_what_is_on_the_wire() {
    let mut bench = automatic(5);
    bench.session.settings.trace = true;
    connect(&mut bench, 5);
    bench.publish("a/topic", "x", 0).unwrap();
    bench.publish("a/topic", "x", 0).unwrap();
    let told = bench.traces().into_iter().map(|trace| match trace {
        Trace::SentPublish {
            topic, properties, ..
        } => (topic, properties.unwrap().topic_alias()),
        other => panic!("{other:?}"),
    });
    let expected = [
        (TopicName::from_checked("a/topic"), Some(1)),
        (TopicName::empty(), Some(1)),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

// ---- to the server, by hand ----

#[test]
fn the_application_sets_aliases_of_its_own() {
    let mut bench = automatic(0);
    connect(&mut bench, 10);
    for (topic, alias) in [("a", 7), ("", 7), ("b", 7), ("", 7), ("c", 10)] {
        by_hand(&mut bench, topic, alias, 0).unwrap();
    }
    let expected = [("a", 7), ("", 7), ("b", 7), ("", 7), ("c", 10)];
    assert_eq!(sent(&mut bench), entries(&expected));
}

/// An alias that the server does not accept is refused here, and nothing is changed.
///
/// [5.0/MQTT-3.2.2-17] [5.0/MQTT-3.2.2-18] [5.0/MQTT-3.3.2-9]
#[test]
fn an_alias_over_the_servers_maximum_is_refused() {
    for maximum in [0, 4] {
        let mut bench = automatic(0);
        connect(&mut bench, maximum);
        let refused = by_hand(&mut bench, "t", 5, 0);
        let limit = ServerLimit::TopicAliasMaximum;
        assert!(
            matches!(refused, Err(Error::NotAllowed(named)) if named == limit),
            "{refused:?}"
        );
        assert_eq!(bench.sent(), b"");
        let (mid, _) = bench.tracked("t", "x", 1);
        assert_eq!(mid, 1);
    }
}

#[test]
fn an_empty_topic_needs_an_alias_that_was_set_on_this_connection() {
    let mut bench = automatic(0);
    connect(&mut bench, 5);
    let refused = by_hand(&mut bench, "", 1, 1);
    assert!(
        matches!(
            &refused,
            Err(Error::InvalidArgument {
                argument: "topic",
                ..
            })
        ),
        "{refused:?}"
    );
    by_hand(&mut bench, "t", 1, 1).unwrap();
    by_hand(&mut bench, "", 1, 1).unwrap();
    bench.session.closed(bench.now);
    assert!(matches!(by_hand(&mut bench, "t", 1, 1), Err(Error::NotConnected)));
    connect(&mut bench, 5);
    assert!(by_hand(&mut bench, "", 1, 1).is_err());
}

/// A message that waited has its topic on the next connection, whatever the application called it.
///
/// [5.0/MQTT-3.3.2-7]
#[test]
fn an_alias_set_by_hand_is_not_relied_on_before_it_is_written() {
    let mut bench = automatic(0);
    bench.session.settings.max_inflight = 1;
    connect(&mut bench, 5);
    bench.publish("first", "x", 1).unwrap();
    by_hand(&mut bench, "a", 1, 1).unwrap();
    by_hand(&mut bench, "", 1, 1).unwrap();
    // Overtakes those that wait, and the alias with them.
    by_hand(&mut bench, "", 1, 0).unwrap();
    by_hand(&mut bench, "b", 1, 0).unwrap();
    let expected = [("first", 0), ("a", 1), ("b", 1)];
    assert_eq!(sent(&mut bench), entries(&expected));
    bench.receive(puback(1)).unwrap();
    assert_eq!(sent(&mut bench), entries(&[("a", 1)]));
    bench.session.closed(bench.now);
    connect(&mut bench, 0);
    assert_eq!(sent(&mut bench), entries(&[("a", 0)]));
    bench.receive(puback(2)).unwrap();
    assert_eq!(sent(&mut bench), entries(&[("a", 0)]));
}

#[test]
fn aliases_by_hand_and_by_itself_get_along() {
    let mut bench = automatic(2);
    connect(&mut bench, 9);
    bench.publish("auto/1", "x", 0).unwrap();
    by_hand(&mut bench, "hand/1", 1, 0).unwrap();
    bench.publish("auto/1", "x", 0).unwrap();
    bench.publish("auto/2", "x", 0).unwrap();
    by_hand(&mut bench, "", 1, 0).unwrap();
    by_hand(&mut bench, "hand/9", 9, 0).unwrap();
    bench.publish("hand/9", "x", 0).unwrap();
    bench.publish("auto/1", "x", 0).unwrap();
    let expected = [
        ("auto/1", 1),
        ("hand/1", 1),
        ("auto/1", 2),
        // The older one of the two: the application finds its own all the same.
        ("auto/2", 1),
        ("hand/1", 1),
        ("hand/9", 9),
        ("", 9),
        ("", 2),
    ];
    assert_eq!(sent(&mut bench), entries(&expected));
}

#[test]
fn unchecked_aliases_are_sent_as_they_are() {
    let mut bench = automatic(0);
    bench.session.settings.topic_alias_unchecked = true;
    connect(&mut bench, 0);
    by_hand(&mut bench, "", 9, 0).unwrap();
    by_hand(&mut bench, "t", 9, 1).unwrap();
    assert_eq!(sent(&mut bench), entries(&[("", 9), ("t", 9)]));
}

/// What the server makes of the packets, whatever the order of topics, aliases and QoS: each message has its topic.
#[test]
fn a_server_that_follows_the_aliases_finds_every_topic() {
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..40 {
        let mut bench = automatic(random.u16(0..5));
        bench.session.settings.max_inflight = 3;
        let maximum = random.u16(0..7);
        connect(&mut bench, maximum);
        let mut known = std::collections::HashMap::new();
        let mut by_name = std::collections::HashMap::new();
        let mut expected = Vec::new();
        let mut found = Vec::new();
        for step in 0..200 {
            let topic = format!("topic/{}", random.u8(0..9));
            let qos = random.u8(0..2);
            let alias = random.u16(1..8);
            let payload = format!("{step}");
            let message = |topic, properties| Outgoing {
                topic,
                payload: PayloadRef::Borrowed(payload.as_bytes()),
                qos: level(qos),
                retain: false,
                properties,
            };
            let (none, property) = (Properties::new(), Property::TopicAlias(alias).into());
            let track = |_| Tracker::default();
            let meant = match random.u8(0..4) {
                0 => {
                    let done = bench
                        .session
                        .publish(|| bench.now, &message("", &property), track);
                    let meant: Option<&String> = by_name.get(&alias);
                    assert_eq!(done.is_ok(), meant.is_some(), "{done:?}");
                    meant.cloned()
                }
                1 => {
                    let done = bench
                        .session
                        .publish(|| bench.now, &message(&topic, &property), track);
                    assert_eq!(done.is_ok(), alias <= maximum);
                    done.is_ok().then(|| {
                        by_name.insert(alias, topic.clone());
                        topic
                    })
                }
                _ => {
                    bench
                        .session
                        .publish(|| bench.now, &message(&topic, &none), track)
                        .unwrap();
                    Some(topic)
                }
            };
            if let Some(topic) = meant {
                expected.push((payload, topic));
            }
            if random.u8(0..3) == 0 {
                let bytes = bench.sent();
                for ((first, rest), (topic, alias)) in packets(&bytes).into_iter().zip(seen(&bytes)) {
                    assert!(alias <= maximum);
                    let topic = match (alias, topic.is_empty()) {
                        (0, _) => topic,
                        (alias, true) => known.get(&alias).cloned().unwrap(),
                        (alias, false) => {
                            known.insert(alias, topic.clone());
                            topic
                        }
                    };
                    let head = 2
                        + usize::from(rest[1])
                        + if first & 2 == 2 { 2 } else { 0 }
                        + if alias == 0 { 1 } else { 4 };
                    found.push((String::from_utf8(rest[head..].to_vec()).unwrap(), topic));
                    if first & 2 == 2 {
                        let at = 2 + usize::from(rest[1]);
                        let packet_id = u16::from_be_bytes([rest[at], rest[at + 1]]);
                        bench.receive(puback(packet_id)).unwrap();
                    }
                }
            }
        }
        assert!(found.len() > 50, "{}", found.len());
        found
            .iter()
            .for_each(|pair| assert!(expected.contains(pair), "round {round}: {pair:?}"));
    }
}
