//! Connecting again: when, how often, and with what.

use std::time::Duration;

use callmq::client::{self as mqtt, DisconnectReason, Error};

use crate::support::{
    Bench, CONNACK, Events, PATIENCE, Peer, ack_packet, bad_argument, eventually, listen, publish_packet,
    running_with_peer, start,
};

/// A client that loops in a thread on a clock moved by hand, and its attempts to connect.
fn attempts() -> (Bench, Events<()>) {
    let bench = Bench::new("tries");
    let attempts = Events::new();
    let report = attempts.sink();
    bench.client.reconnect_jitter_set(0.0).unwrap();
    bench.client.loop_start().unwrap();
    bench.client.connect(&bench.broker).unwrap();
    eventually("it is connected", || bench.client.is_connected());
    bench.client.on_pre_connect(move |_| report(()));
    (bench, attempts)
}

#[test]
fn the_delays_double_and_start_again_after_a_good_connection() {
    let (bench, attempts) = attempts();
    let pause = Events::new();
    let report = pause.sink();
    bench.client.reconnect_if(move |_, _, attempts| {
        report(attempts);
        true
    });
    bench.broker.set_reachable(false);
    for (number, seconds) in [1.0, 2.0, 4.0, 8.0].into_iter().enumerate() {
        assert_eq!(pause.next(), number as u32);
        bench.advance(seconds - 0.01);
        assert_eq!(
            attempts.next_within(Duration::from_millis(15)),
            None,
            "too early, {seconds}"
        );
        bench.advance(0.01);
        attempts.next();
    }
    assert_eq!(pause.next(), 4);
    bench.broker.set_reachable(true);
    bench.advance(16.0);
    attempts.next();
    eventually("it is back", || bench.client.is_connected());
    // Thrown out at once: that was no good connection, and the delay keeps growing.
    assert!(bench.broker.disconnect_client("tries"));
    assert_eq!(pause.next(), 5);
    bench.advance(32.0);
    attempts.next();
    eventually("it is back", || bench.client.is_connected());
    bench.advance(50.0);
    assert!(bench.broker.disconnect_client("tries"));
    assert_eq!(pause.next(), 0);
    bench.advance(1.0);
    attempts.next();
    eventually("it is back", || bench.client.is_connected());
    assert_eq!(bench.client.stats().connects, 4);
}

#[test]
fn delays_and_jitter_have_ranges() {
    let client = mqtt::Client::new("ranges");
    assert_eq!(bad_argument(client.reconnect_delay_set(-1, 1)), "timeout");
    assert_eq!(bad_argument(client.reconnect_delay_set(None, 1)), "delay");
    assert_eq!(bad_argument(client.reconnect_jitter_set(1.1)), "part");
    assert_eq!(bad_argument(client.reconnect_jitter_set(f64::NAN)), "part");
    client.reconnect_jitter_set(1.0).unwrap();
}

#[test]
fn each_failed_attempt_is_told_with_its_reason() {
    let peer = Peer::listen();
    let port = peer.port();
    let client = mqtt::Client::new("fails");
    client.reconnect_delay_set(0.005, 0.005).unwrap();
    let fails = Events::new();
    let report = fails.sink();
    client.on_connect_fail(move |client, error| report((error.clone(), client.is_connected())));
    client.loop_start().unwrap();
    let connection = crate::support::connect_to(&client, &peer);
    drop((connection, peer));
    for _ in 0..3 {
        let (error, connected) = fails.next();
        assert!(matches!(&error, Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused));
        assert!(!connected);
    }
    let peer = Peer::listen_on(port);
    let _connection = peer.accept_client();
    client.wait_for_connect(PATIENCE).unwrap();
}

#[test]
fn reconnect_if_decides_with_the_reason() {
    let client = mqtt::Client::new("decides");
    client.reconnect_delay_set(0.005, 0.005).unwrap();
    let asked = Events::new();
    let report = asked.sink();
    client.reconnect_if(move |client, reason, attempts| {
        assert!(!client.is_connected());
        report((reason.to_string(), attempts));
        attempts < 1
    });
    let (peer, connection) = running_with_peer(&client);
    drop(connection);
    assert_eq!(
        asked.next(),
        ("connection lost: connection closed by the peer".to_owned(), 0)
    );
    drop(peer.accept_client());
    let (_, attempts) = asked.next();
    assert_eq!(attempts, 1);
    // The loop ends with that reason.
    let result = client.loop_stop();
    assert!(
        matches!(result, Err(Error::ConnectionClosed | Error::Io(_))),
        "{result:?}"
    );
    assert!(peer.accept_within(Duration::from_millis(20)).is_none());
}

#[test]
fn loop_forever_returns_the_reason_where_it_is_not_to_reconnect() {
    let peer = Peer::listen();
    let client = mqtt::Client::builder("once").reconnect_on_failure(false).build();
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(b"\x20\x02\x00\x05");
    let result = client.loop_forever();
    assert!(
        matches!(&result, Err(Error::Refused(code)) if *code == 5),
        "{result:?}"
    );
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(b"\x20\x02\x00\x00\xff");
    drop(connection);
    let result = client.loop_forever();
    assert!(matches!(result, Err(Error::Protocol(_))), "{result:?}");
}

#[test]
fn disconnect_ends_the_attempts() {
    for with_attempt in [false, true] {
        let (bench, attempts) = attempts();
        let pause = Events::new();
        let report = pause.sink();
        bench.client.reconnect_if(move |_, _, _| {
            report(());
            true
        });
        bench.broker.set_reachable(false);
        pause.next();
        if with_attempt {
            bench.advance(1.0);
            attempts.next();
            pause.next();
        }
        assert!(matches!(bench.client.disconnect(), Err(Error::NotConnected)));
        bench.advance(1000.0);
        assert_eq!(attempts.next_within(Duration::from_millis(15)), None);
        // The thread has ended by itself.
        let _ = bench.client.loop_stop();
    }
}

#[test]
fn fresh_credentials_can_be_set_before_each_attempt() {
    let client = mqtt::Client::new("token");
    client.reconnect_delay_set(0.005, 0.005).unwrap();
    let mut token = 0;
    client.on_pre_connect(move |client| {
        token += 1;
        client.username_pw_set("u", format!("token-{token}").as_str());
    });
    let peer = Peer::listen();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    for token in 1..=3 {
        let mut connection = peer.accept();
        let connect = connection.expect_packet(0x10);
        assert!(
            connect.ends_with(format!("token-{token}").as_bytes()),
            "{}",
            connect.escape_ascii()
        );
    }
}

#[test]
fn messages_published_while_the_connection_is_away_come_with_the_next_one() {
    let broker = listen();
    let client = mqtt::Client::new("away");
    client.reconnect_delay_set(0.02, 0.02).unwrap();
    start(&client, &broker);
    broker.set_reachable(false);
    eventually("it has noticed", || !client.is_connected());
    let infos: Vec<_> = (0..10)
        .map(|number| client.publish_with("t", number, 2, false).unwrap())
        .collect();
    assert!(matches!(client.publish("t", "lost"), Err(Error::NotConnected)));
    broker.set_reachable(true);
    for info in infos {
        info.wait_for_publish(PATIENCE).unwrap();
    }
    let expected: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(crate::support::published(&broker, "t"), expected);
}

#[test]
fn nothing_of_one_connection_reaches_the_next() {
    let client = mqtt::Client::new("clean");
    client.reconnect_delay_set(0.005, 0.005).unwrap();
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, message| report(message.payload.to_str_lossy().into_owned()));
    let (peer, mut connection) = running_with_peer(&client);
    // The end of this packet never comes.
    connection.send(&publish_packet(0x30, "t", 0, "half")[..5]);
    drop(connection);
    let mut connection = peer.accept_client();
    connection.send(&publish_packet(0x32, "t", 9, "whole"));
    assert_eq!(seen.next(), "whole");
    connection.expect(&ack_packet(0x40, 9));
}

#[test]
fn a_manual_connect_during_the_wait_for_the_next_attempt_is_the_next_attempt() {
    let client = mqtt::Client::new("impatient");
    client.reconnect_delay_set(600, 600).unwrap();
    let seen = Events::new();
    let report = seen.sink();
    client.on_disconnect(move |_, flags, _, _| report(flags.reason));
    let (peer, connection) = running_with_peer(&client);
    drop(connection);
    assert!(matches!(seen.next(), DisconnectReason::Lost(_)));
    client.reconnect().unwrap();
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(CONNACK);
    client.wait_for_connect(PATIENCE).unwrap();
    assert!(peer.accept_within(Duration::from_millis(20)).is_none());
}
