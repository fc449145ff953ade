//! CONNECT, CONNACK, DISCONNECT, and the state between.

use super::support::*;
use crate::codec::{Packet, ProtocolVersion, QoS, ReasonCode, Will};
use crate::error::Error;
use crate::session::*;

#[test]
fn opening_writes_connect_and_nothing_else() {
    let mut bench = Bench::new(|_| {});
    assert_eq!(bench.session.link(), Link::Closed);
    bench.session.open(bench.now);
    assert_eq!(bench.session.link(), Link::Connecting);
    assert_eq!(bench.sent(), CONNECT);
}

/// [3.1.1/MQTT-3.1.2-1] [3.1.1/MQTT-3.1.2-2]
#[test]
fn connect_of_mqtt_3_1_names_mqisdp_and_level_3_with_the_bridge_bit() {
    let mut bench = Bench::new(|settings| {
        settings.version = ProtocolVersion::V31;
        settings.bridge = true;
        settings.clean_start = false;
        settings.keep_alive = 258;
    });
    bench.session.open(bench.now);
    assert_eq!(bench.sent(), b"\x10\x0f\x00\x06MQIsdp\x83\x00\x01\x02\x00\x01c");
}

#[test]
fn connect_carries_will_user_name_and_password() {
    let mut bench = Bench::new(|settings| {
        settings.credentials = Some(Box::new(Credentials {
            username: "u".to_owned(),
            password: Some(Bytes::from_static(b"p")),
        }));
        settings.will = Some(Box::new(Will {
            topic: crate::topic::TopicName::from_checked("w"),
            payload: Bytes::from_static(b"gone"),
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: Properties::new(),
        }));
    });
    bench.session.open(bench.now);
    // Flags: user name, password, will retain, will QoS 1, will, clean session.
    let expected = b"\x10\x1c\x00\x04MQTT\x04\xee\x00\x3c\x00\x01c\x00\x01w\x00\x04gone\x00\x01u\x00\x01p";
    assert_eq!(bench.sent(), expected);
}

#[test]
fn the_connack_settles_the_connection_and_release_opens_it() {
    let mut bench = Bench::new(|_| {});
    bench.session.open(bench.now);
    bench.accept(false);
    assert_eq!(bench.session.link(), Link::Settling);
    assert!(matches!(
        bench.events()[..],
        [Event::ConnAck { session_present: false, reason, .. }] if reason == ReasonCode::SUCCESS
    ));
    bench.session.release(bench.now);
    assert_eq!(bench.session.link(), Link::Open);
    bench.session.closed(bench.now);
    assert_eq!(bench.session.link(), Link::Closed);
}

#[test]
fn disconnect_is_written_behind_everything_and_ends_sending() {
    let mut bench = Bench::connected(|_| {});
    bench.publish("t", "x", 0).unwrap();
    bench
        .session
        .disconnect(bench.now, ReasonCode::NORMAL_DISCONNECTION, Properties::new())
        .unwrap();
    assert_eq!(bench.session.link(), Link::Disconnecting);
    assert_eq!(bench.take_unwritten(), b"\x30\x04\x00\x01tx\xe0\x00");
    assert!(matches!(bench.publish("t", "x", 0), Err(Error::NotConnected)));
    bench.tracked("t", "x", 1);
    bench.subscribe(&[("f", 0)]);
    bench.receive(message("t", "x", 2, 9)).unwrap();
    bench.receive(Packet::PingReq).unwrap();
    assert_eq!(bench.sent(), b"");
}

#[test]
fn disconnecting_twice_or_without_a_connection_is_refused() {
    let mut bench = Bench::new(|_| {});
    let reason = ReasonCode::NORMAL_DISCONNECTION;
    let refused = bench.session.disconnect(bench.now, reason, Properties::new());
    assert!(matches!(refused, Err(Error::NotConnected)));
    bench.connect(false);
    bench
        .session
        .disconnect(bench.now, reason, Properties::new())
        .unwrap();
    let refused = bench.session.disconnect(bench.now, reason, Properties::new());
    assert!(matches!(refused, Err(Error::NotConnected)));
    assert_eq!(bench.sent(), b"\xe0\x00");
}

#[test]
fn messages_of_qos_0_that_wait_for_room_leave_before_disconnect() {
    let mut bench = Bench::connected(|_| {});
    let payload = "x".repeat(30_000);
    for _ in 0..20 {
        bench.publish("t", &payload, 0).unwrap();
    }
    assert!(bench.session.queued() > 5);
    let reason = ReasonCode::NORMAL_DISCONNECTION;
    bench
        .session
        .disconnect(bench.now, reason, Properties::new())
        .unwrap();
    let sent = bench.sent();
    assert_eq!(publishes(&sent).len(), 20);
    assert!(sent.ends_with(b"\xe0\x00"));
}

#[test]
fn after_a_refusal_nothing_is_sent() {
    let mut bench = Bench::new(|_| {});
    bench.tracked("t", "x", 1);
    bench.session.open(bench.now);
    bench.sent();
    let reason = ReasonCode::from_connack_v3(5);
    bench.connack(false, reason, Properties::new()).unwrap();
    assert!(matches!(
        bench.events()[..],
        [Event::ConnAck { reason, .. }] if reason.value() == 5
    ));
    bench.session.release(bench.now);
    bench.subscribe(&[("f", 0)]);
    assert!(matches!(bench.publish("t", "x", 0), Err(Error::NotConnected)));
    assert_eq!(bench.sent(), b"");
    assert_eq!(bench.session.poll_timeout(), None);
}

/// [3.1.1/MQTT-3.2.0-1]
#[test]
fn the_first_packet_has_to_be_a_connack() {
    for packet in [Packet::PingResp, message("t", "x", 0, 0), suback(1, &[0])] {
        let mut bench = Bench::new(|_| {});
        bench.session.open(bench.now);
        let error = bench.receive(packet).unwrap_err();
        assert_eq!(error.statement, "MQTT-3.2.0-1");
        assert_eq!(error.reason, ReasonCode::PROTOCOL_ERROR);
        assert!(bench.events().is_empty());
    }
}

#[test]
fn a_second_connack_breaks_the_protocol() {
    let mut bench = Bench::connected(|_| {});
    assert!(
        bench
            .connack(false, ReasonCode::SUCCESS, Properties::new())
            .is_err()
    );
}

/// [3.1.1/MQTT-3.2.2-1]
#[test]
fn a_session_that_was_not_asked_for_breaks_the_protocol() {
    let mut bench = Bench::new(|_| {});
    bench.session.open(bench.now);
    let error = bench
        .connack(true, ReasonCode::SUCCESS, Properties::new())
        .unwrap_err();
    assert_eq!(error.statement, "MQTT-3.2.2-1");
    let mut bench = Bench::new(|settings| settings.clean_start = false);
    bench.session.open(bench.now);
    bench
        .connack(true, ReasonCode::SUCCESS, Properties::new())
        .unwrap();
}

#[test]
fn packets_that_servers_do_not_send_break_the_protocol() {
    let subscribe = Packet::Subscribe(crate::codec::Subscribe {
        packet_id: id(1),
        properties: Properties::new(),
        subscriptions: vec![subscription("f", 0)],
    });
    let disconnect = Packet::Disconnect(Disconnect {
        reason: ReasonCode::NORMAL_DISCONNECTION,
        properties: Properties::new(),
    });
    for packet in [subscribe, disconnect] {
        let mut bench = Bench::connected(|_| {});
        let error = bench.receive(packet).unwrap_err();
        assert_eq!(error.reason, ReasonCode::PROTOCOL_ERROR);
    }
}

#[test]
fn opening_again_ends_the_connection_before() {
    let mut bench = Bench::connected(|settings| settings.report_qos0 = true);
    bench.publish("t", "lost", 0).unwrap();
    bench.session.open(bench.now);
    assert_eq!(bench.sent(), CONNECT);
    assert!(bench.published().is_empty());
    assert_eq!(bench.session.counters().dropped, 1);
}

#[test]
fn positions_start_at_zero_on_each_connection() {
    let mut bench = Bench::connected(|_| {});
    assert_eq!(bench.session.written(), CONNECT.len() as u64);
    bench.session.closed(bench.now);
    bench.session.open(bench.now);
    assert_eq!(bench.session.written(), 0);
    assert_eq!(bench.sent().len() as u64, bench.session.written());
}

#[test]
fn what_comes_after_the_end_is_ignored() {
    let mut bench = Bench::connected(|_| {});
    bench.session.closed(bench.now);
    bench.receive(message("t", "x", 1, 1)).unwrap();
    bench.session.wrote(bench.now, 10);
    bench.session.handle_timeout(bench.now).unwrap();
    assert!(bench.events().is_empty());
    assert_eq!(bench.sent(), b"");
}

#[test]
fn the_session_moves_between_threads_and_its_events_are_small() {
    fn is_send<T: Send>() {}
    is_send::<Session<Tracker>>();
    is_send::<Event>();
    assert!(std::mem::size_of::<Event>() <= 96);
}
