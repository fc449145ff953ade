//! Connecting and disconnecting.

use std::time::{Duration, Instant};

use callmq::client::{self as mqtt, ConnectOptions, DisconnectReason, Error, ReasonCode};
use callmq::testing::Broker;

use crate::support::{
    BlackHole, CONNACK, Events, PATIENCE, Peer, bad_argument, connect_to, eventually, listen, running,
    running_with_peer,
};

#[test]
fn a_server_is_named_in_many_ways() {
    let broker = listen();
    let port = broker.port();
    let nobody = Peer::listen().port();
    let connects = |name: &str, client: &mqtt::Client| {
        client
            .wait_for_connect(PATIENCE)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        client.disconnect().unwrap();
    };
    let client = mqtt::Client::new("many-ways");
    client.connect(("127.0.0.1", port)).unwrap();
    connects("host and port", &client);
    client.connect(("localhost", port, 30)).unwrap();
    connects("host, port and keep alive", &client);
    client.connect(format!("127.0.0.1:{port}")).unwrap();
    connects("text", &client);
    client.connect(format!("mqtt://127.0.0.1:{port}")).unwrap();
    connects("URL", &client);
    client
        .connect([("127.0.0.1", nobody), ("127.0.0.1", port)])
        .unwrap();
    connects("list whose first server is not there", &client);
    client
        .connect(ConnectOptions::new("127.0.0.1").port(port))
        .unwrap();
    connects("options", &client);
    client.connect(&broker).unwrap();
    connects("broker of this process", &client);
    assert_eq!(client.stats().connects, 7);
}

#[test]
fn a_server_that_cannot_be_one_is_refused_and_changes_nothing() {
    let broker = listen();
    let client = running("unchanged", &broker);
    assert_eq!(bad_argument(client.connect("")), "host");
    assert_eq!(bad_argument(client.connect(("127.0.0.1", 0))), "port");
    assert_eq!(bad_argument(client.connect(Vec::<String>::new())), "servers");
    assert_eq!(
        bad_argument(client.connect(ConnectOptions::new("h").keep_alive(65_536))),
        "keep_alive"
    );
    assert_eq!(
        bad_argument(client.connect(ConnectOptions::new("h").clean_start(true))),
        "clean_start"
    );
    assert!(client.is_connected());
    assert_eq!(client.host().as_deref(), Some("127.0.0.1"));
}

#[test]
fn connect_writes_connect_and_does_not_wait_for_the_answer() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("probe");
    client.connect(peer.address()).unwrap();
    assert!(!client.is_connected());
    let mut connection = peer.accept();
    connection.expect(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05probe");
    connection.send(CONNACK);
    client.wait_for_connect(PATIENCE).unwrap();
    assert!(client.is_connected());
}

#[test]
fn connect_carries_what_was_set() {
    let peer = Peer::listen();
    let client = mqtt::Client::builder("id").clean_session(false).build();
    client.username_pw_set("user", "pw");
    client.will_set("w", "gone", 1, true).unwrap();
    client.connect(("127.0.0.1", peer.port(), 10)).unwrap();
    let mut connection = peer.accept();
    // User name, password, will retain, will QoS 1, will; no clean session; keep alive 10.
    connection
        .expect(b"\x10\x21\x00\x04MQTT\x04\xec\x00\x0a\x00\x02id\x00\x01w\x00\x04gone\x00\x04user\x00\x02pw");

    let client = mqtt::Client::builder("old").protocol(mqtt::MQTTv31).build();
    client.enable_bridge_mode();
    client.connect(peer.address()).unwrap();
    peer.accept()
        .expect(b"\x10\x11\x00\x06MQIsdp\x83\x02\x00\x3c\x00\x03old");
}

#[test]
fn on_connect_is_told_whether_the_server_has_a_session() {
    let broker = listen();
    let client = mqtt::Client::builder("kept").clean_session(false).build();
    let seen = Events::new();
    let report = seen.sink();
    client.on_connect(move |client, flags, reason, _| {
        report((
            client.is_connected(),
            flags.session_present,
            reason.value(),
            reason.to_string(),
        ));
    });
    client.loop_start().unwrap();
    let flags = client.connect_and_wait(&broker, PATIENCE).unwrap();
    assert!(!flags.session_present);
    assert_eq!(seen.next(), (true, false, 0, "Success".to_owned()));
    let flags = client.connect_and_wait(&broker, PATIENCE).unwrap();
    assert!(flags.session_present);
    assert_eq!(seen.next(), (true, true, 0, "Success".to_owned()));
}

#[test]
fn a_refusal_is_told_once_with_its_code_and_is_what_waiting_returns() {
    let broker = Broker::builder().anonymous(false).listen("127.0.0.1:0").unwrap();
    for protocol in [mqtt::MQTTv311, mqtt::MQTTv5] {
        let client = mqtt::Client::builder("stranger").protocol(protocol).build();
        let seen = Events::new();
        let report = seen.sink();
        client.on_connect(move |client, _, reason, _| report(("on_connect", reason, client.is_connected())));
        let report = seen.sink();
        client.on_disconnect(move |client, flags, reason, _| {
            assert!(matches!(flags.reason, DisconnectReason::Refused(code) if code == reason));
            assert!(!flags.is_disconnect_packet_from_server);
            report(("on_disconnect", reason, client.is_connected()));
        });
        client.connect(&broker).unwrap();
        let result = client.wait_for_connect(PATIENCE);
        assert!(matches!(result, Err(Error::Refused(code)) if code == ReasonCode::NOT_AUTHORIZED));
        let code = ReasonCode::NOT_AUTHORIZED;
        assert_eq!(
            seen.so_far(),
            [("on_connect", code, false), ("on_disconnect", code, false)]
        );
    }
}

/// [3.1.1/MQTT-3.2.2-5]
#[test]
fn a_refused_client_tries_again_and_gets_in_when_it_may() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("patient");
    client.reconnect_delay_set(0.01, 0.01).unwrap();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    for _ in 0..3 {
        let mut connection = peer.accept();
        connection.expect_packet(0x10);
        // Server unavailable.
        connection.send(b"\x20\x02\x00\x03");
        connection.expect_close();
    }
    let _connection = peer.accept_client();
    client.wait_for_connect(PATIENCE).unwrap();
}

#[test]
fn disconnect_in_on_connect_after_a_refusal_ends_the_loop() {
    let broker = Broker::builder().anonymous(false).listen("127.0.0.1:0").unwrap();
    let client = mqtt::Client::new("gives-up");
    client.on_connect(|client, _, reason, _| if reason != 0 { client.disconnect() } else { Ok(()) });
    client.connect(&broker).unwrap();
    client.loop_forever().unwrap();
    assert_eq!(
        broker
            .log()
            .iter()
            .filter(|line| line.contains("Sending CONNACK"))
            .count(),
        1
    );
}

#[test]
fn nobody_listening_is_an_io_error_of_connect_and_of_no_callback() {
    let port = Peer::listen().port();
    let client = mqtt::Client::new("lonely");
    let seen = Events::new();
    let report = seen.sink();
    client.on_connect_fail(move |_, _| report("on_connect_fail"));
    let report = seen.sink();
    client.on_disconnect(move |_, _, _, _| report("on_disconnect"));
    match client.connect(("127.0.0.1", port)) {
        Err(Error::Io(error)) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused),
        other => panic!("{other:?}"),
    }
    assert!(matches!(client.reconnect(), Err(Error::Io(_))));
    assert!(!client.is_connected());
    assert_eq!(seen.so_far(), Vec::<&str>::new());
}

#[test]
fn connecting_gives_up_after_its_timeout() {
    let hole = BlackHole::new();
    let client = mqtt::Client::new("patient");
    client.connect_timeout_set(0.1).unwrap();
    let started = Instant::now();
    match client.connect(hole.address()) {
        Err(Error::Io(error)) => assert_eq!(error.kind(), std::io::ErrorKind::TimedOut),
        other => panic!("{other:?}"),
    }
    let took = started.elapsed();
    assert!(
        took >= Duration::from_millis(100) && took < Duration::from_secs(3),
        "{took:?}"
    );
}

#[test]
fn a_peer_that_never_answers_connect_is_given_up() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("ignored");
    client.connect_timeout_set(0.1).unwrap();
    client.connect(peer.address()).unwrap();
    let connection = peer.accept();
    let result = client.wait_for_connect(PATIENCE);
    assert!(matches!(result, Err(Error::KeepAliveTimeout)), "{result:?}");
    drop(connection);
}

#[test]
fn waiting_for_the_connection_has_a_deadline_and_needs_one_to_wait_for() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("waits");
    assert!(matches!(
        client.wait_for_connect(PATIENCE),
        Err(Error::NotConnected)
    ));
    client.connect(peer.address()).unwrap();
    assert!(matches!(client.wait_for_connect(0.02), Err(Error::Timeout)));
    assert!(matches!(client.wait_for_connect(0), Err(Error::Timeout)));
    assert_eq!(bad_argument(client.wait_for_connect(-1)), "timeout");
    client.loop_start().unwrap();
    assert!(matches!(
        client.connect_and_wait(peer.address(), 0.02),
        Err(Error::Timeout)
    ));
}

#[test]
fn a_second_connect_ends_the_first_connection() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("twice");
    let seen = Events::new();
    let report = seen.sink();
    client.on_disconnect(move |client, _, reason, _| report((reason.value(), client.is_connected())));
    client.loop_start().unwrap();
    let mut first = connect_to(&client, &peer);
    client.connect(peer.address()).unwrap();
    let mut second = peer.accept_client();
    assert_eq!(seen.next(), (0, false));
    // Without a word, or with DISCONNECT: the first one is closed.
    while first.packet_within(PATIENCE).is_some() {}
    eventually("the second connection is accepted", || client.is_connected());
    client.publish("t", "x").unwrap();
    second.expect(b"\x30\x04\x00\x01tx");
    assert_eq!(seen.so_far(), []);
}

#[test]
fn reconnect_uses_what_connect_was_told() {
    let broker = listen();
    let client = mqtt::Client::new("again");
    client.host_set(&broker).unwrap();
    client.reconnect().unwrap();
    client.wait_for_connect(PATIENCE).unwrap();
    client.reconnect().unwrap();
    client.wait_for_connect(PATIENCE).unwrap();
    assert_eq!(client.stats().connects, 2);
    assert!(matches!(client.host_set("h"), Err(Error::InvalidState(_))));
}

#[test]
fn connect_async_leaves_the_connecting_to_the_loop() {
    let broker = listen();
    let client = mqtt::Client::new("later");
    client.connect_async(&broker).unwrap();
    assert!(!client.is_connected());
    assert!(matches!(
        client.wait_for_connect(PATIENCE),
        Err(Error::NotConnected)
    ));
    client.loop_start().unwrap();
    client.wait_for_connect(PATIENCE).unwrap();
    assert_eq!(bad_argument(client.connect_async("")), "host");
}

#[test]
fn the_first_attempt_after_connect_async_fails_loop_forever_unless_it_is_to_be_repeated() {
    let peer = Peer::listen();
    let port = peer.port();
    drop(peer);
    let client = mqtt::Client::new("async");
    client.reconnect_delay_set(0.01, 0.01).unwrap();
    client.connect_async(("127.0.0.1", port)).unwrap();
    assert!(matches!(client.loop_forever(), Err(Error::Io(_))));

    client.connect_async(("127.0.0.1", port)).unwrap();
    let fails = Events::new();
    let report = fails.sink();
    client.on_connect_fail(move |client, error| {
        report(error.clone());
        if client.stats().connects == 0 {
            Ok(())
        } else {
            client.disconnect()
        }
    });
    let looping = std::thread::spawn({
        let client = client.clone();
        move || client.loop_forever_with(true)
    });
    assert!(matches!(fails.next(), Error::Io(_)));
    assert!(matches!(fails.next(), Error::Io(_)));
    let peer = Peer::listen_on(port);
    let mut connection = peer.accept_client();
    eventually("the client is in", || client.is_connected());
    client.disconnect().unwrap();
    connection.expect_goodbye();
    looping.join().unwrap().unwrap();
}

/// [3.1.1/MQTT-3.1.2-2]
#[test]
fn a_server_of_mqtt_3_1_gets_mqtt_3_1() {
    let broker = Broker::builder()
        .refuse_version(mqtt::MQTTv311)
        .listen("127.0.0.1:0")
        .unwrap();
    let client = mqtt::Client::new("falls-back");
    let codes = Events::new();
    let report = codes.sink();
    client.on_connect(move |_, _, reason, _| report(reason.value()));
    client.loop_start().unwrap();
    client.connect(&broker).unwrap();
    assert_eq!(codes.next(), 0);
    assert_eq!(client.protocol(), mqtt::MQTTv31);
}

/// [3.1.1/MQTT-3.1.3-8]
#[test]
fn where_an_empty_client_id_is_rejected_one_is_made() {
    let peer = Peer::listen();
    let client = mqtt::Client::default();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    connection.expect(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00");
    connection.send(b"\x20\x02\x00\x02");
    let mut connection = peer.accept();
    let connect = connection.expect_packet(0x10);
    assert_eq!(connect.len(), 2 + 12 + 22);
    connection.send(CONNACK);
    client.wait_for_connect(PATIENCE).unwrap();
    assert_eq!(client.client_id().as_bytes(), &connect[14..]);
}

/// [3.1.1/MQTT-3.1.3-7]
#[test]
fn a_lasting_session_needs_a_client_id() {
    let client = mqtt::Client::builder("").clean_session(false).build();
    assert_eq!(bad_argument(client.connect(("127.0.0.1", 1883))), "client_id");
}

#[test]
fn garbage_in_place_of_the_answer_ends_the_connection_with_its_reason() {
    let client = mqtt::Client::new("confused");
    client.reconnect_on_failure_set(false);
    let peer = Peer::listen();
    for garbage in [
        &b"\x30\x04\x00\x01tx"[..],
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x20\x02\x02\x00",
    ] {
        client.connect(peer.address()).unwrap();
        let mut connection = peer.accept();
        connection.expect_packet(0x10);
        connection.send(garbage);
        let result = client.wait_for_connect(PATIENCE);
        assert!(
            matches!(result, Err(Error::Protocol(_))),
            "{}: {result:?}",
            garbage.escape_ascii()
        );
    }
}

#[test]
fn a_connection_that_the_peer_has_ended_is_closed_before_the_next_attempt() {
    let client = mqtt::Client::new("lets-go");
    client.reconnect_delay_set(60, 60).unwrap();
    let (_peer, mut connection) = running_with_peer(&client);
    connection.close_output();
    connection.expect_close();
}

#[test]
fn two_clients_with_one_id_keep_growing_apart() {
    let broker = listen();
    let first = running("same", &broker);
    let second = running("same", &broker);
    // Each throws the other one out; with delays from 1 s on there are few attempts, not one after the other.
    eventually("one is thrown out", || {
        !(first.is_connected() && second.is_connected())
    });
    let connections = broker
        .log()
        .iter()
        .filter(|line| line.starts_with("New connection"))
        .count();
    assert!(connections <= 4, "{connections}");
}
