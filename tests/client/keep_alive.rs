//! Keep alive.

use std::time::Duration;

use callmq::client::{self as mqtt, DisconnectReason, Error};
use callmq::testing::Broker;
use crossbeam_channel::bounded;

use crate::support::{
    Bench, Events, PATIENCE, Peer, ack_packet, bad_argument, connect_to, publish_packet, running_with_peer,
};

fn pings(bench: &Bench) -> usize {
    pings_at(&bench.broker)
}

fn pings_at(broker: &Broker) -> usize {
    broker
        .log()
        .iter()
        .filter(|line| line.starts_with("Received PINGREQ"))
        .count()
}

#[test]
fn a_ping_is_sent_when_nothing_was_for_the_keep_alive() {
    let bench = Bench::new("pings");
    bench.connect();
    bench.advance(59.9);
    bench.settle();
    assert_eq!(pings(&bench), 0);
    bench.advance(0.1);
    bench.settle();
    assert_eq!(pings(&bench), 1);
    for _ in 0..60 {
        bench.advance(60.0);
        bench.settle();
    }
    assert_eq!(pings(&bench), 61);
    assert!(bench.client.is_connected());
}

/// The server's word counts, on its connection: the next server may leave it to the client.
///
/// [5.0/MQTT-3.1.2-21] [5.0/MQTT-3.2.2-21]
#[test]
fn a_server_of_mqtt_5_may_choose_the_keep_alive() {
    let bench = Bench::with(|clock| mqtt::Client::builder("told").protocol(mqtt::MQTTv5).clock(clock));
    let demanding = Broker::builder()
        .server_keep_alive(10)
        .clock(&bench.clock)
        .in_process();
    bench.client.connect(&demanding).unwrap();
    bench.step_until("the connection is accepted", || bench.client.is_connected());
    let in_force = || bench.client.connection_info().map(|info| info.keep_alive);
    assert_eq!((in_force(), bench.client.keepalive()), (Some(10), 60));
    for expected in 1..=3 {
        bench.advance(10.0);
        bench.settle();
        assert_eq!(pings_at(&demanding), expected);
    }

    bench.connect();
    assert_eq!(in_force(), Some(60));
    bench.advance(59.9);
    bench.settle();
    assert_eq!(pings(&bench), 0);
    bench.advance(0.1);
    bench.settle();
    assert_eq!(pings(&bench), 1);
}

#[test]
fn one_direction_alone_does_not_keep_the_connection_alive() {
    let bench = Bench::new("talks");
    bench.connect();
    // QoS 0: nothing comes back.
    for _ in 0..4 {
        bench.advance(20.0);
        bench.client.publish("t", "x").unwrap();
        bench.settle();
    }
    assert_eq!(pings(&bench), 1, "the broker was silent for a minute");
}

#[test]
fn a_keep_alive_of_0_sends_no_pings() {
    let bench = Bench::new("quiet");
    bench.client.keepalive_set(0).unwrap();
    assert_eq!(bench.client.keepalive(), 0);
    bench.connect();
    bench.advance(100_000.0);
    bench.settle();
    assert_eq!(pings(&bench), 0);
    assert!(matches!(
        bench.client.keepalive_set(1),
        Err(Error::InvalidState(_))
    ));
}

/// [3.1.1/MQTT-3.12.4-1]
#[test]
fn a_peer_that_stops_answering_is_given_up() {
    for (timeout, allowed) in [(None, 10), (Some(Duration::from_secs(3)), 3)] {
        let clock = callmq::testing::Clock::new();
        let client = mqtt::Client::builder("deserted").clock(&clock).build();
        client.ping_timeout_set(timeout).unwrap();
        let seen = Events::new();
        let report = seen.sink();
        client.on_disconnect(move |client, flags, reason, _| {
            report((flags.reason, reason.value(), client.is_connected()));
        });
        let peer = Peer::listen();
        client.connect(("127.0.0.1", peer.port(), 10)).unwrap();
        let mut connection = peer.accept_client();
        crate::support::eventually("it is in", || {
            client.loop_once(0).unwrap();
            client.is_connected()
        });
        clock.advance(Duration::from_secs(10));
        client.loop_once(0).unwrap();
        connection.expect(b"\xc0\x00");
        clock.advance(Duration::from_secs(allowed) - Duration::from_millis(1));
        client.loop_once(0).unwrap();
        assert!(client.is_connected());
        clock.advance(Duration::from_millis(1));
        let ended = (0..5).find_map(|_| client.loop_once(0).err());
        assert!(matches!(ended, Some(Error::KeepAliveTimeout)), "{ended:?}");
        let (reason, code, connected) = seen.next();
        assert!(matches!(reason, DisconnectReason::KeepAlive));
        assert_eq!((code, connected), (141, false));
        assert!(seen.so_far().is_empty());
    }
}

/// [3.1.1/MQTT-3.1.2-23]
#[test]
fn a_slow_callback_does_not_stop_the_pings() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("slow");
    let (leave, left) = bounded::<()>(1);
    client.on_message(move |_, _| {
        let _ = left.recv_timeout(PATIENCE);
    });
    client.loop_start().unwrap();
    client.connect(("127.0.0.1", peer.port(), 1)).unwrap();
    let mut connection = peer.accept_client();
    client.wait_for_connect(PATIENCE).unwrap();
    connection.send(b"\x30\x04\x00\x01tx");
    for _ in 0..2 {
        connection.expect(b"\xc0\x00");
        connection.send(b"\xd0\x00");
    }
    assert!(client.is_connected());
    leave.send(()).unwrap();
    client.loop_stop().unwrap();
    assert!(client.is_connected());
}

#[test]
fn what_was_handed_out_is_acknowledged_while_the_next_callback_holds_the_loop() {
    let client = mqtt::Client::new("held-up");
    let (leave, left) = bounded::<()>(0);
    client.on_message(move |_, message| {
        if message.payload == "slow" {
            let _ = left.recv_timeout(PATIENCE);
        }
    });
    let (_peer, mut connection) = running_with_peer(&client);
    // They come in one read.
    let messages = [
        publish_packet(0x34, "t", 1, "fast"),
        ack_packet(0x62, 1),
        publish_packet(0x32, "t", 2, "fast"),
        publish_packet(0x32, "t", 3, "slow"),
        publish_packet(0x32, "t", 4, "fast"),
    ];
    connection.send(&messages.concat());
    connection.expect(&[ack_packet(0x50, 1), ack_packet(0x70, 1), ack_packet(0x40, 2)].concat());
    leave.send(()).unwrap();
    connection.expect(&[ack_packet(0x40, 3), ack_packet(0x40, 4)].concat());
    assert_eq!(client.stats().unacknowledged, 0);
}

#[test]
fn what_is_published_while_a_callback_holds_the_loop_leaves_all_the_same() {
    let client = mqtt::Client::new("held");
    let (leave, left) = bounded::<()>(1);
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, _| {
        report(());
        let _ = left.recv_timeout(PATIENCE);
    });
    let (_peer, mut connection) = running_with_peer(&client);
    connection.send(b"\x30\x04\x00\x01tx");
    seen.next();
    for _ in 0..3 {
        client.publish("u", "y").unwrap();
    }
    for _ in 0..3 {
        connection.expect(b"\x30\x04\x00\x01uy");
    }
    leave.send(()).unwrap();
}

#[test]
fn times_have_ranges() {
    let client = mqtt::Client::new("ranges");
    assert_eq!(bad_argument(client.ping_timeout_set(-1)), "timeout");
    assert_eq!(bad_argument(client.ping_timeout_set(0)), "timeout");
    client.ping_timeout_set(None).unwrap();
    assert_eq!(bad_argument(client.connect_timeout_set(0)), "timeout");
    assert_eq!(bad_argument(client.connect_timeout_set(None)), "timeout");
    client.connect_timeout_set(2.5).unwrap();
    assert_eq!(client.connect_timeout(), Duration::from_millis(2500));
    let peer = Peer::listen();
    let _connection = connect_to(&client, &peer);
    assert!(matches!(
        client.connect_timeout_set(1),
        Err(Error::InvalidState(_))
    ));
}
