//! Wills: when they are published and when not; the Keep Alive.

use std::time::Duration;

use callmq::testing::Broker;

use crate::peer::*;

/// Connect flags: a Will of QoS 0.
const WILL: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;

fn connect_with_will(broker: &Broker, level: u8, flags: u8, keep_alive: u16) -> Peer {
    let mut peer = Peer::open(broker);
    let will = will(level, &[], "will/topic", "gone");
    peer.send(&connect(
        level,
        "mortal",
        flags | CLEAN | WILL,
        keep_alive,
        &[],
        &will,
    ));
    peer.expect_connack(level, false);
    peer
}

fn watch(broker: &Broker, level: u8) -> Peer {
    let mut watcher = Peer::connect(broker, level, "watcher");
    watcher.subscribe("will/topic", 0);
    watcher
}

#[test]
fn a_broken_connection_publishes_the_will() {
    each_version(|broker, level| {
        let mut watcher = watch(broker, level);
        drop(connect_with_will(broker, level, 0, 60));
        watcher.expect(&publish(level, 0, "will/topic", 0, "gone"));
        broker
            .wait_for_log(PATIENCE, "Client mortal closed its connection.")
            .unwrap();
        assert_eq!(broker.retained("will/topic"), None);
    });
}

#[test]
fn disconnect_takes_the_will_back() {
    each_version(|broker, level| {
        let mut watcher = watch(broker, level);
        let mut peer = connect_with_will(broker, level, 0, 60);
        peer.send(b"\xE0\x00");
        peer.expect_end();
        watcher.expect_nothing();
        assert!(broker.published().is_empty());
    });
}

#[test]
fn disconnect_0x04_asks_for_the_will() {
    both_ways(Broker::builder, |broker| {
        let mut watcher = watch(broker, 5);
        let mut peer = connect_with_will(broker, 5, 0, 60);
        peer.send(b"\xE0\x01\x04");
        peer.expect_end();
        watcher.expect(&publish(5, 0, "will/topic", 0, "gone"));
    });
}

#[test]
fn a_protocol_error_publishes_the_will() {
    each_version(|broker, level| {
        let mut watcher = watch(broker, level);
        let mut peer = connect_with_will(broker, level, 0, 60);
        peer.send(b"\x36\x00");
        peer.expect_parting(0x81);
        watcher.expect(&publish(level, 0, "will/topic", 0, "gone"));
    });
}

#[test]
fn a_take_over_publishes_the_will() {
    each_version(|broker, level| {
        let mut watcher = watch(broker, level);
        let _old = connect_with_will(broker, level, 0, 60);
        let _new = Peer::connect(broker, level, "mortal");
        watcher.expect(&publish(level, 0, "will/topic", 0, "gone"));
    });
}

#[test]
fn a_will_may_be_retained() {
    each_version(|broker, level| {
        drop(connect_with_will(broker, level, WILL_RETAIN, 60));
        broker
            .wait_for(PATIENCE, |broker| broker.retained("will/topic").is_some())
            .unwrap();
        let mut late = Peer::connect(broker, level, "late");
        late.subscribe("will/topic", 0);
        late.expect(&publish(level, 0b001, "will/topic", 0, "gone"));
    });
}

#[test]
fn a_silent_client_is_left_after_one_and_a_half_keep_alives() {
    for level in [3, 4, 5] {
        let (broker, clock) = with_clock(Broker::builder());
        let mut watcher = Peer::open(&broker);
        watcher.send(&connect(level, "watcher", CLEAN, 0, &[], &[]));
        watcher.expect_connack(level, false);
        watcher.subscribe("will/topic", 0);
        let mut peer = connect_with_will(&broker, level, 0, 10);
        clock.advance(Duration::from_millis(14_999));
        // Any packet counts.
        peer.expect_nothing();
        clock.advance(Duration::from_millis(14_999));
        assert!(broker.connected_clients().contains(&"mortal".to_owned()));
        clock.advance(Duration::from_millis(1));
        assert_eq!(broker.connected_clients(), ["watcher"]);
        peer.expect_parting(0x8D);
        watcher.expect(&publish(level, 0, "will/topic", 0, "gone"));
        assert!(
            broker
                .log()
                .contains(&"Client mortal has exceeded timeout, disconnecting.".to_owned())
        );
        // A Keep Alive of 0 asks for nothing.
        clock.advance(Duration::from_secs(1_000_000));
        watcher.expect_nothing();
    }
}

#[test]
fn a_connection_without_connect_ends() {
    let (broker, clock) = with_clock(Broker::builder());
    let mut peer = Peer::open(&broker);
    clock.advance(Duration::from_secs(30));
    peer.expect_end();
}

#[test]
fn a_broker_with_a_port_follows_its_clock_too() {
    let clock = callmq::testing::Clock::new();
    let broker = Broker::builder().clock(&clock).listen("127.0.0.1:0").unwrap();
    let mut peer = Peer::connect(&broker, 5, "silent");
    clock.advance(Duration::from_secs(90));
    peer.expect_parting(0x8D);
}

/// A session of 100 s with a Will that waits for `delay` seconds.
fn connect_with_delay(broker: &Broker, clean: u8, delay: u8, session_present: bool) -> Peer {
    let mut peer = Peer::open(broker);
    let will = will(5, &[0x18, 0, 0, 0, delay], "will/topic", "gone");
    peer.send(&connect(
        5,
        "mortal",
        clean | WILL,
        0,
        b"\x11\x00\x00\x00\x64",
        &will,
    ));
    peer.expect_connack(5, session_present);
    peer
}

#[test]
fn a_delayed_will_waits() {
    let (broker, clock) = with_clock(Broker::builder());
    drop(connect_with_delay(&broker, CLEAN, 10, false));
    clock.advance(Duration::from_millis(9_999));
    assert!(broker.published().is_empty());
    clock.advance(Duration::from_millis(1));
    assert_eq!(broker.published().len(), 1);
    clock.advance(Duration::from_secs(10));
    assert_eq!(broker.published().len(), 1);
}

#[test]
fn a_delayed_will_is_forgotten_when_the_client_comes_back() {
    let (broker, clock) = with_clock(Broker::builder());
    drop(connect_with_delay(&broker, CLEAN, 10, false));
    clock.advance(Duration::from_secs(9));
    let _back = connect_with_delay(&broker, 0, 10, true);
    clock.advance(Duration::from_secs(60));
    assert!(broker.published().is_empty());
}

#[test]
fn a_delayed_will_does_not_outlive_its_session() {
    let (broker, clock) = with_clock(Broker::builder());
    drop(connect_with_delay(&broker, CLEAN, 200, false));
    clock.advance(Duration::from_secs(99));
    assert!(broker.published().is_empty());
    // The session ends by itself ..
    clock.advance(Duration::from_secs(1));
    assert_eq!(broker.published().len(), 1);
    drop(connect_with_delay(&broker, CLEAN, 200, false));
    assert_eq!(broker.published().len(), 1);
    // .. or because the client starts afresh.
    let _back = connect_with_delay(&broker, CLEAN, 200, false);
    assert_eq!(broker.published().len(), 2);
}
