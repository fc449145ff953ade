//! How connections end: by `disconnect`, by the server, by a loop that gives up.

use std::time::{Duration, Instant};

use callmq::client::{self as mqtt, DisconnectReason, Error, ReasonCode};

use crate::support::{
    BlackHole, Events, PATIENCE, Peer, bad_argument, best_of, broker_has, connect_to, listen, running,
    running_with_peer, start,
};

/// [3.1.1/MQTT-3.14.1-1] [3.1.1/MQTT-3.14.4-1] [3.1.1/MQTT-3.14.4-2]
#[test]
fn disconnect_says_goodbye_behind_everything_that_was_written() {
    for with_loop in [false, true] {
        let peer = Peer::listen();
        let client = mqtt::Client::new("leaves");
        let seen = Events::new();
        let report = seen.sink();
        client.on_disconnect(move |client, flags, reason, _| {
            assert!(matches!(flags.reason, DisconnectReason::Requested));
            report((reason.value(), client.is_connected()));
        });
        if with_loop {
            client.loop_start().unwrap();
        }
        let mut connection = connect_to(&client, &peer);
        client.publish("t", "last").unwrap();
        client.disconnect().unwrap();
        assert!(!client.is_connected());
        connection.expect(b"\x30\x07\x00\x01tlast");
        connection.expect_goodbye();
        assert_eq!(seen.next(), (0, false));
        assert!(matches!(client.disconnect(), Err(Error::NotConnected)));
        assert!(matches!(client.publish("t", "x"), Err(Error::NotConnected)));
        assert_eq!(seen.so_far(), []);
    }
}

/// No callback comes between the two.
#[test]
fn the_end_of_the_stream_comes_with_the_disconnect() {
    for with_loop in [false, true] {
        let peer = Peer::listen();
        let client = mqtt::Client::new("leaves-at-once");
        let (goodbye, heard) = std::sync::mpsc::channel();
        let in_callback = Events::new();
        let report = in_callback.sink();
        client.on_disconnect(move |_, _, _, _| report(heard.recv_timeout(PATIENCE).is_ok()));
        if with_loop {
            client.loop_start().unwrap();
        }
        let mut connection = connect_to(&client, &peer);
        let other_side = std::thread::spawn(move || {
            connection.expect_goodbye();
            goodbye.send(()).unwrap();
        });
        client.disconnect().unwrap();
        assert!(in_callback.next(), "with a loop: {with_loop}");
        other_side.join().unwrap();
    }
}

/// The wait for the server's end of the stream ends with that.
#[test]
fn disconnect_takes_no_longer_than_the_server_does() {
    for with_loop in [false, true] {
        let prompt = Duration::from_millis(10);
        let took = best_of(20, prompt, || {
            let peer = Peer::listen();
            let client = mqtt::Client::new("in-a-hurry");
            if with_loop {
                client.loop_start().unwrap();
            }
            let mut connection = connect_to(&client, &peer);
            let other_side = std::thread::spawn(move || connection.expect_goodbye());
            let started = Instant::now();
            client.disconnect().unwrap();
            if with_loop {
                client.loop_stop().unwrap();
            }
            let took = started.elapsed();
            other_side.join().unwrap();
            took
        });
        assert!(took < prompt, "with a loop: {with_loop}: {took:?}");
    }
}

#[test]
fn disconnect_before_any_connection_is_an_error() {
    let client = mqtt::Client::new("never");
    assert!(matches!(client.disconnect(), Err(Error::NotConnected)));
    assert_eq!(bad_argument(client.reconnect()), "host");
}

#[test]
fn a_reason_for_the_goodbye_needs_mqtt_5() {
    let broker = listen();
    let client = running("says-why", &broker);
    let with_will = ReasonCode::DISCONNECT_WITH_WILL_MESSAGE;
    let result = client.disconnect_with(with_will, mqtt::Properties::new());
    assert!(matches!(result, Err(Error::NotSupported(_))), "{result:?}");
    client
        .disconnect_with(ReasonCode::NORMAL_DISCONNECTION, mqtt::Properties::new())
        .unwrap();

    let client = mqtt::Client::builder("says-why-5").protocol(mqtt::MQTTv5).build();
    client.will_set("w", "gone", 0, false).unwrap();
    start(&client, &broker);
    client
        .disconnect_with(with_will, mqtt::Properties::new())
        .unwrap();
    broker_has(&broker, "the will", |broker| {
        broker.published().iter().any(|publish| publish.topic == "w")
    });
}

/// MQTT 5.0, sections 3.14.2.1 and 3.14.2.2.5.
#[test]
fn what_only_a_server_says_in_a_disconnect_is_refused() {
    let broker = listen();
    let client = mqtt::Client::builder("no-server").protocol(mqtt::MQTTv5).build();
    start(&client, &broker);
    // No matching subscribers, Not authorized, Server shutting down, Session taken over, Server moved; no code at all.
    for code in [0x10, 0x87, 0x8b, 0x8e, 0x9d, 0x01] {
        let result = client.disconnect_with(ReasonCode::new(code), mqtt::Properties::new());
        assert_eq!(bad_argument(result), "reason_code", "{code:#x}");
    }
    let elsewhere = mqtt::Property::ServerReference("elsewhere".to_owned());
    let result = client.disconnect_with(ReasonCode::UNSPECIFIED_ERROR, elsewhere.into());
    assert_eq!(bad_argument(result), "properties");
    assert!(client.is_connected());
    client
        .disconnect_with(ReasonCode::UNSPECIFIED_ERROR, mqtt::Properties::new())
        .unwrap();
}

/// [3.1.1/MQTT-3.1.2-24] [3.1.1/MQTT-4.8.0-1] [3.1.1/MQTT-4.8.0-2]
#[test]
fn on_disconnect_is_called_once_whatever_ends_the_connection() {
    type End = fn(&mqtt::Client, crate::support::Connection);
    type Expected = fn(&DisconnectReason) -> bool;
    let ends: [(&str, End, Expected); 5] = [
        (
            "the peer closes",
            |_, connection| drop(connection),
            |reason| {
                matches!(
                    reason,
                    DisconnectReason::Lost(Error::ConnectionClosed | Error::Io(_))
                )
            },
        ),
        (
            "the peer closes its direction",
            |_, mut connection| {
                connection.close_output();
                while connection.packet_within(PATIENCE).is_some() {}
            },
            |reason| matches!(reason, DisconnectReason::Lost(Error::ConnectionClosed)),
        ),
        (
            "garbage",
            |_, mut connection| connection.send(b"\xf0\x00"),
            |reason| matches!(reason, DisconnectReason::Protocol(_)),
        ),
        (
            "half a packet, then the end",
            |_, mut connection| connection.send(b"\x30\x7f\x00"),
            |reason| {
                matches!(
                    reason,
                    DisconnectReason::Lost(Error::ConnectionClosed | Error::Io(_))
                )
            },
        ),
        (
            "disconnect",
            |client, _connection| client.disconnect().unwrap(),
            |reason| matches!(reason, DisconnectReason::Requested),
        ),
    ];
    for (name, end, expected) in ends {
        let client = mqtt::Client::new("once");
        client.reconnect_on_failure_set(false);
        let seen = Events::new();
        let report = seen.sink();
        client.on_disconnect(move |client, flags, _, _| report((flags.reason, client.is_connected())));
        let (_peer, connection) = running_with_peer(&client);
        end(&client, connection);
        let (reason, connected) = seen.next();
        assert!(expected(&reason), "{name}: {reason:?}");
        assert!(!connected, "{name}");
        // With the loop at its end nothing can follow.
        let _ = client.loop_stop();
        assert!(seen.so_far().is_empty(), "{name}");
        assert!(!client.is_connected(), "{name}");
    }
}

#[test]
fn disconnect_ends_an_attempt_that_another_thread_is_making() {
    let hole = BlackHole::new();
    let client = mqtt::Client::new("interrupted");
    let seen = Events::new();
    let report = seen.sink();
    client.on_pre_connect(move |_| report(()));
    client.connect_timeout_set(60).unwrap();
    let connecting = std::thread::spawn({
        let (client, address) = (client.clone(), hole.address());
        move || client.connect(address)
    });
    seen.next();
    let started = Instant::now();
    assert!(matches!(client.disconnect(), Err(Error::NotConnected)));
    assert!(matches!(connecting.join().unwrap(), Err(Error::NotConnected)));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn the_goodbye_of_a_server_of_mqtt_5_is_told_with_its_reason() {
    let broker = listen();
    let client = mqtt::Client::builder("dismissed").protocol(mqtt::MQTTv5).build();
    client.reconnect_on_failure_set(false);
    let seen = Events::new();
    let report = seen.sink();
    client.on_disconnect(move |client, flags, reason, _| {
        report((
            flags.is_disconnect_packet_from_server,
            reason,
            client.is_connected(),
        ));
    });
    start(&client, &broker);
    assert!(broker.disconnect_client_with("dismissed", ReasonCode::SERVER_SHUTTING_DOWN));
    assert_eq!(seen.next(), (true, ReasonCode::SERVER_SHUTTING_DOWN, false));
    let result = client.loop_stop();
    assert!(
        matches!(&result, Err(Error::ServerDisconnect(code)) if *code == 0x8b),
        "{result:?}"
    );
    assert!(seen.so_far().is_empty());
}

#[test]
fn a_loop_that_is_stopped_as_it_ends_by_itself_tells_why_it_would_have() {
    let broker = listen();
    let client = mqtt::Client::builder("dismissed").protocol(mqtt::MQTTv5).build();
    client.reconnect_on_failure_set(false);
    let seen = Events::new();
    let report = seen.sink();
    client.on_disconnect(move |client, _, _, _| {
        report(client.loop_stop().is_ok());
    });
    start(&client, &broker);
    assert!(broker.disconnect_client_with("dismissed", ReasonCode::SERVER_SHUTTING_DOWN));
    assert!(seen.next());
    let result = client.loop_stop();
    assert!(
        matches!(&result, Err(Error::ServerDisconnect(code)) if *code == 0x8b),
        "{result:?}"
    );
}
