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
        settings.username = Some("u".to_owned());
        settings.password = Some(Bytes::from_static(b"p"));
        settings.will = Some(Will {
            topic: crate::topic::TopicName::from_checked("w"),
            payload: Bytes::from_static(b"gone"),
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: Properties::new(),
        });
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
