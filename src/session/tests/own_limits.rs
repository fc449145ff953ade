//! What we allow the server (MQTT 5.0): it is announced in the CONNECT, and a server that breaks it is told so.

use super::support::*;
use crate::codec::{Ack, ConnAck, Packet, Property, ProtocolVersion, SubAck, UnsubAck};
use crate::error::DecodeError;
use crate::session::*;

fn v5(settings: &mut Settings) {
    settings.version = ProtocolVersion::V5;
}

fn few(settings: &mut Settings) {
    v5(settings);
    settings.receive_maximum = Some(3);
}

/// The properties in the CONNECT.
fn announced(change: impl FnOnce(&mut Settings)) -> Vec<u8> {
    let mut bench = Bench::new(change);
    bench.session.open(bench.now);
    let connect = bench.sent();
    let (_, rest) = packets(&connect)[0];
    rest[11..11 + usize::from(rest[10])].to_vec()
}

#[track_caller]
fn refused(result: Result<(), DecodeError>) -> (u8, &'static str) {
    let error = result.unwrap_err();
    (error.reason.value(), error.statement)
}

const TOO_MANY: (u8, &str) = (0x93, "MQTT-3.3.4-9");

#[test]
fn the_settings_are_announced_behind_the_properties_and_properties_come_first() {
    let all = |settings: &mut Settings| {
        v5(settings);
        settings.receive_maximum = Some(0x102);
        settings.max_packet_size = Some(0x0304_0506);
        settings.topic_alias_maximum = Some(0x708);
    };
    assert_eq!(announced(all), b"\x21\x01\x02\x27\x03\x04\x05\x06\x22\x07\x08");
    let given = announced(|settings| {
        all(settings);
        settings.connect_properties = [
            Property::TopicAliasMaximum(1),
            Property::ReceiveMaximum(2),
            Property::MaximumPacketSize(3),
        ]
        .into();
    });
    assert_eq!(given, b"\x22\x00\x01\x21\x00\x02\x27\x00\x00\x00\x03");
    assert_eq!(announced(v5), b"");
    let before = |settings: &mut Settings| settings.max_packet_size = Some(100);
    let mut bench = Bench::new(before);
    bench.session.open(bench.now);
    assert_eq!(bench.sent(), CONNECT);
}

#[test]
fn the_bound_of_what_is_kept_bounds_what_is_announced() {
    for (limit, set, expected) in [
        (10, None, &b"\x21\x00\x0a"[..]),
        (10, Some(5), b"\x21\x00\x05"),
        (10, Some(20), b"\x21\x00\x0a"),
        (u16::MAX, Some(20), b"\x21\x00\x14"),
    ] {
        let properties = announced(|settings| {
            v5(settings);
            settings.incoming_limit.max_messages = limit;
            settings.receive_maximum = set;
        });
        assert_eq!(properties, expected);
    }
}

/// [5.0/MQTT-3.3.4-9]
#[test]
fn a_server_over_our_receive_maximum_breaks_the_protocol() {
    let mut bench = Bench::connected(few);
    bench.receive(message("t", "a", 1, 1)).unwrap();
    bench.receive(message("t", "b", 2, 2)).unwrap();
    bench.receive(message("t", "c", 1, 3)).unwrap();
    // Those of QoS 0 do not count.
    bench.receive(message("t", "d", 0, 0)).unwrap();
    assert_eq!(refused(bench.receive(message("t", "e", 1, 4))), TOO_MANY);
    let mut bench = Bench::connected(|settings| {
        v5(settings);
        settings.connect_properties = Property::ReceiveMaximum(1).into();
    });
    bench.receive(message("t", "a", 2, 1)).unwrap();
    assert_eq!(refused(bench.receive(message("t", "b", 2, 2))), TOO_MANY);
}

#[test]
fn each_answer_gives_the_server_room_as_soon_as_it_is_in_the_output() {
    let mut bench = Bench::connected(few);
    for round in 0..100u16 {
        let [one, two, three] = [1, 2, 3].map(|number| 3 * round + number);
        bench.receive(message("t", "a", 1, one)).unwrap();
        bench.receive(message("t", "b", 1, two)).unwrap();
        bench.receive(message("t", "c", 2, three)).unwrap();
        let received = bench.messages();
        // The socket takes nothing meanwhile.
        for message in received {
            bench
                .session
                .acknowledge(bench.now, message.ticket.unwrap())
                .unwrap();
        }
        bench.receive(pubrel(three)).unwrap();
        let ticket = bench.messages()[0].ticket.unwrap();
        bench.session.acknowledge(bench.now, ticket).unwrap();
    }
    assert_eq!(bench.session.wire.unanswered, 0);
}

#[test]
fn an_acknowledgement_that_waits_for_an_earlier_one_gives_no_room_yet() {
    let mut bench = Bench::connected(few);
    for packet_id in 1..=3 {
        bench.receive(message("t", "x", 1, packet_id)).unwrap();
    }
    let received = bench.messages();
    bench
        .session
        .acknowledge(bench.now, received[1].ticket.unwrap())
        .unwrap();
    assert_eq!(bench.sent(), b"");
    assert_eq!(bench.session.wire.unanswered, 3);
    bench
        .session
        .acknowledge(bench.now, received[0].ticket.unwrap())
        .unwrap();
    bench.receive(message("t", "x", 1, 4)).unwrap();
    bench.receive(message("t", "x", 1, 5)).unwrap();
    assert_eq!(refused(bench.receive(message("t", "x", 1, 6))), TOO_MANY);
}

#[test]
fn a_withheld_message_stays_under_way_for_the_server() {
    let mut bench = Bench::connected(few);
    for packet_id in 1..=3 {
        bench.receive(message("t", "x", 1, packet_id)).unwrap();
    }
    for received in bench.messages() {
        bench.withhold(received.ticket.unwrap());
    }
    assert_eq!(bench.sent(), b"");
    assert_eq!(refused(bench.receive(message("t", "x", 1, 4))), TOO_MANY);
}

#[test]
fn a_repeated_message_of_qos_2_counts_once() {
    let mut bench = Bench::connected(few);
    for _ in 0..10 {
        bench.receive(message("t", "x", 2, 1)).unwrap();
    }
    bench.receive(message("t", "x", 2, 2)).unwrap();
    bench.receive(message("t", "x", 2, 3)).unwrap();
    assert_eq!(refused(bench.receive(message("t", "x", 2, 4))), TOO_MANY);
}

/// The count starts afresh with each connection (MQTT 5.0, section 4.9): also for what the server goes on with.
#[test]
fn a_connection_that_resumes_messages_of_qos_2_has_the_whole_quota() {
    let mut bench = Bench::new(|settings| {
        few(settings);
        settings.clean_start = false;
    });
    bench.connect(false);
    for packet_id in 1..=3 {
        bench.receive(message("t", "x", 2, packet_id)).unwrap();
    }
    bench.session.closed(bench.now);
    bench.connect(true);
    assert_eq!(bench.session.wire.unanswered, 0);
    // One is repeated, two go on with PUBREL: there is room for two more, and our PUBCOMPs give no more than that.
    bench.receive(message("t", "x", 2, 1)).unwrap();
    bench.receive(pubrel(2)).unwrap();
    bench.receive(pubrel(3)).unwrap();
    for received in bench.messages() {
        bench
            .session
            .acknowledge(bench.now, received.ticket.unwrap())
            .unwrap();
    }
    for packet_id in 4..=6 {
        bench.receive(message("t", "x", 2, packet_id)).unwrap();
    }
    assert_eq!(refused(bench.receive(message("t", "x", 2, 7))), TOO_MANY);
}

#[test]
fn before_version_5_there_is_no_receive_maximum() {
    let mut bench = Bench::connected(|settings| settings.receive_maximum = Some(1));
    for packet_id in 1..=10 {
        bench.receive(message("t", "x", 1, packet_id)).unwrap();
    }
}

// ---- what was not asked for ----

/// [5.0/MQTT-3.1.2-28]
#[test]
fn response_information_comes_only_if_it_was_asked_for() {
    for (asked, accepted) in [(None, false), (Some(0), false), (Some(1), true)] {
        let mut bench = Bench::new(|settings| {
            v5(settings);
            settings
                .connect_properties
                .extend(asked.map(Property::RequestResponseInformation));
        });
        bench.session.open(bench.now);
        let information = Property::ResponseInformation("r".to_owned());
        let result = bench.connack(false, ReasonCode::SUCCESS, information.into());
        if accepted {
            result.unwrap();
        } else {
            assert_eq!(refused(result), (0x82, "MQTT-3.1.2-28"));
            // The server takes us for connected, and is told.
            assert_eq!(bench.session.link(), Link::Settling);
            let reason = ReasonCode::disconnect(0x82);
            bench.sent();
            bench
                .session
                .disconnect(bench.now, reason, Properties::new())
                .unwrap();
            assert_eq!(bench.sent(), b"\xe0\x01\x82");
        }
    }
}

/// [5.0/MQTT-3.1.2-29]
#[test]
fn reason_strings_and_user_properties_come_only_if_they_are_wanted() {
    let texts: [Properties; 2] = [
        Property::ReasonString("r".to_owned()).into(),
        Property::UserProperty("k".to_owned(), "v".to_owned()).into(),
    ];
    for properties in texts {
        let ack = || Ack {
            packet_id: id(1),
            reason: ReasonCode::SUCCESS,
            properties: properties.clone(),
        };
        let packets = [
            Packet::PubAck(ack()),
            Packet::PubRec(ack()),
            Packet::PubRel(ack()),
            Packet::PubComp(ack()),
            Packet::SubAck(SubAck {
                packet_id: id(1),
                properties: properties.clone(),
                reasons: vec![ReasonCode::sub_ack(0)],
            }),
            Packet::UnsubAck(UnsubAck {
                packet_id: id(1),
                properties: properties.clone(),
                reasons: vec![ReasonCode::SUCCESS],
            }),
        ];
        for packet in packets {
            let name = packet.name();
            let mut bench = Bench::connected(|settings| {
                v5(settings);
                settings.connect_properties = Property::RequestProblemInformation(0).into();
            });
            assert_eq!(
                refused(bench.receive(packet.clone())),
                (0x82, "MQTT-3.1.2-29"),
                "{name}"
            );
            let mut bench = Bench::connected(v5);
            bench.receive(packet).unwrap();
        }
    }
}

#[test]
fn connack_publish_and_disconnect_may_have_texts_in_any_case() {
    let mut bench = Bench::new(|settings| {
        v5(settings);
        settings.connect_properties = Property::RequestProblemInformation(0).into();
    });
    bench.session.open(bench.now);
    let reason = || Properties::from(Property::ReasonString("r".to_owned()));
    bench.connack(false, ReasonCode::SUCCESS, reason()).unwrap();
    let Packet::Publish(mut publish) = message("t", "x", 0, 0) else {
        panic!("not a PUBLISH")
    };
    publish
        .properties
        .push(Property::UserProperty("k".to_owned(), "v".to_owned()));
    bench.receive(Packet::Publish(publish)).unwrap();
    let goodbye = Disconnect {
        reason: ReasonCode::SERVER_BUSY,
        properties: reason(),
    };
    bench.receive(Packet::Disconnect(goodbye)).unwrap();
}

/// [5.0/MQTT-3.14.2-2]
#[test]
fn a_server_does_not_set_the_session_expiry_in_disconnect() {
    let mut bench = Bench::connected(v5);
    let goodbye = Disconnect {
        reason: ReasonCode::SERVER_BUSY,
        properties: Property::SessionExpiryInterval(5).into(),
    };
    let result = bench.receive(Packet::Disconnect(goodbye));
    assert_eq!(refused(result), (0x82, "MQTT-3.14.2-2"));
    assert_eq!(bench.session.link(), Link::Open);
}

/// [5.0/MQTT-3.2.0-2]
#[test]
fn a_second_connack_breaks_the_protocol() {
    let mut bench = Bench::connected(v5);
    let again = Packet::ConnAck(ConnAck {
        session_present: false,
        reason: ReasonCode::SUCCESS,
        properties: Properties::new(),
    });
    assert_eq!(refused(bench.receive(again)), (0x82, "MQTT-3.2.0-2"));
}
