//! Traces: one per packet, in the order in which things happen.

use super::support::*;
use crate::codec::{Packet, ProtocolVersion};
use crate::session::*;
use crate::topic::TopicName;

#[test]
fn every_packet_is_traced_in_its_place() {
    let mut bench = Bench::new(|settings| settings.trace = true);
    bench.session.open(bench.now);
    bench.accept(false);
    bench.session.release(bench.now);
    bench.publish("t", "0", 0).unwrap();
    bench.publish("t", "2", 2).unwrap();
    bench.subscribe(&[("f", 1)]);
    bench.unsubscribe(&["f"]);
    bench.receive(pubrec(2)).unwrap();
    bench.receive(pubcomp(2)).unwrap();
    bench.receive(suback(3, &[1])).unwrap();
    bench.receive(unsuback(4)).unwrap();
    bench.receive(Packet::PingReq).unwrap();
    bench.receive(Packet::PingResp).unwrap();
    bench
        .session
        .disconnect(bench.now, ReasonCode::NORMAL_DISCONNECTION, Properties::new())
        .unwrap();
    let sent_publish = |mid, qos| Trace::SentPublish {
        dup: false,
        qos: level(qos),
        retain: false,
        mid,
        topic: TopicName::from_checked("t"),
        properties: None,
        payload_len: 1,
    };
    let ack = |name| Trace::ReceivedAck { name, packet_id: 2 };
    let expected = [
        Trace::SentConnect {
            version: ProtocolVersion::V311,
            username: false,
            password: false,
            will: None,
            clean_start: true,
            keep_alive: 60,
            client_id: "c".to_owned(),
            properties: Properties::new(),
        },
        Trace::ReceivedConnAck {
            flags: 0,
            reason: ReasonCode::SUCCESS,
            properties: Properties::new(),
        },
        sent_publish(1, 0),
        sent_publish(2, 2),
        Trace::SentSubscribe {
            mid: 3,
            subscriptions: vec![("f".to_owned(), subscription("f", 1).options)],
        },
        Trace::SentUnsubscribe {
            mid: 4,
            filters: vec!["f".to_owned()],
        },
        ack("PUBREC"),
        Trace::SentAck {
            name: "PUBREL",
            packet_id: 2,
        },
        ack("PUBCOMP"),
        Trace::ReceivedSubAck,
        Trace::ReceivedUnsubAck { packet_id: 4 },
        Trace::ReceivedPingReq,
        Trace::SentPingResp,
        Trace::ReceivedPingResp,
        Trace::SentDisconnect {
            reason: ReasonCode::NORMAL_DISCONNECTION,
            properties: Properties::new(),
        },
    ];
    assert_eq!(bench.traces(), expected);
}

#[test]
fn a_received_packet_is_traced_before_the_event_that_it_causes() {
    let mut bench = Bench::connected(|settings| settings.trace = true);
    bench.events();
    bench.receive(message("t", "x", 1, 3)).unwrap();
    let events = bench.events();
    let [Event::Trace(trace), Event::Message(_)] = &events[..] else {
        panic!("{events:?}")
    };
    let expected = Trace::ReceivedPublish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        mid: 3,
        topic: TopicName::from_checked("t"),
        properties: None,
        payload_len: 1,
    };
    assert_eq!(*trace, expected);
}

#[test]
fn a_packet_that_breaks_the_protocol_is_traced_all_the_same() {
    let mut bench = Bench::connected(|settings| settings.trace = true);
    bench.events();
    let goodbye = Packet::Disconnect(Disconnect {
        reason: ReasonCode::NORMAL_DISCONNECTION,
        properties: Properties::new(),
    });
    assert!(bench.receive(goodbye).is_err());
    assert_eq!(bench.traces(), [Trace::Unrecognised { command: 224 }]);
}

#[test]
fn messages_sent_again_are_traced_behind_the_connack() {
    let mut bench = Bench::connected(|settings| settings.trace = true);
    bench.publish("t", "x", 1).unwrap();
    bench.sent();
    bench.session.closed(bench.now);
    bench.session.open(bench.now);
    bench.events();
    bench.accept(false);
    let events = bench.events();
    assert!(matches!(
        events[..],
        [
            Event::Trace(Trace::ReceivedConnAck { .. }),
            Event::ConnAck { .. },
            Event::Trace(Trace::SentPublish {
                dup: true,
                mid: 1,
                ..
            }),
        ]
    ));
}

#[test]
fn nothing_is_traced_unless_it_is_asked_for() {
    let mut bench = Bench::new(|_| {});
    bench.session.open(bench.now);
    bench.accept(false);
    bench.publish("t", "x", 1).unwrap();
    assert!(bench.traces().is_empty());
}
