//! Section 6: publishing, and `on_publish`.

use std::thread;
use std::time::Duration;

use callmq::client::{Client, Error};
use interop::peer::Peer;

use crate::journal::{AT_ONCE, Journal, timed};
use crate::packets::{
    self, CONNACK, CONNACK_WITH_SESSION, PUBACK, PUBCOMP, PUBREC, PUBREL, QOS1, QOS2, ack, builder,
    new_client, publish, publish_with, started, stepped, suback, subscribe,
};

#[test]
fn b6_01_publish_returns_the_mid_and_what_became_of_the_message() {
    let peer = Peer::listen();
    let client = new_client("b6");
    let _connection = stepped(&client, &peer);
    let info = client.publish("t", "x").unwrap();
    assert_eq!(info.mid, 1);
    assert!(info.is_published());
    assert!(!client.publish_with("t", "x", 1, false).unwrap().is_published());
}

#[test]
fn b6_02_one_counter_numbers_messages_and_requests() {
    let peer = Peer::listen();
    let client = builder("b6").clean_session(false).build();
    let connection = stepped(&client, &peer);
    assert_eq!(client.publish("t", "x").unwrap().mid, 1);
    assert_eq!(client.subscribe("t").unwrap().mid, 2);
    assert_eq!(client.publish_with("t", "x", 2, false).unwrap().mid, 3);
    assert_eq!(client.unsubscribe("t").unwrap().mid, 4);

    // Reconnecting does not start it again.
    drop(connection);
    client.loop_once(5).unwrap_err();
    let mut connection = peer_with_session(&client, &peer);
    assert_eq!(client.publish("t", "x").unwrap().mid, 5);
    connection.expect(&publish("t", "x"));
}

/// Connects again, to a server that has the session.
fn peer_with_session(client: &Client, peer: &Peer) -> interop::peer::Connection {
    client.reconnect().unwrap();
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(CONNACK_WITH_SESSION);
    client.loop_once(5).unwrap();
    // The unfinished message and requests.
    while connection.packet_within(Duration::from_millis(100)).is_some() {}
    connection
}

#[test]
fn b6_02_the_counter_goes_from_65535_to_1() {
    let peer = Peer::listen();
    let client = new_client("b6");
    let mut connection = stepped(&client, &peer);
    thread::scope(|scope| {
        let reader = scope.spawn(|| connection.discard(65_535 * publish("t", "").len()));
        for mid in 1..=65_535 {
            assert_eq!(client.publish("t", ()).unwrap().mid, mid);
        }
        reader.join().unwrap();
    });
    let info = client.publish_with("t", "x", 1, false).unwrap();
    assert_eq!(info.mid, 1);
    connection.expect(&publish_with(QOS1, 1, "t", "x"));
}

#[test]
fn b6_03_on_publish_comes_when_written_at_puback_and_at_pubcomp() {
    let peer = Peer::listen();
    let client = new_client("b6");
    let journal = Journal::of(&client);
    let mut connection = stepped(&client, &peer);
    client.publish("t", "0").unwrap();
    assert_eq!(journal.count("publish"), 1);

    client.publish_with("t", "1", 1, false).unwrap();
    assert_eq!(journal.count("publish"), 1);
    connection.send(&ack(PUBACK, 2));
    client.loop_once(5).unwrap();
    assert_eq!(journal.lines().last().unwrap(), "publish 2");

    client.publish_with("t", "2", 2, false).unwrap();
    connection.send(&ack(PUBREC, 3));
    client.loop_once(5).unwrap();
    assert_eq!(journal.count("publish"), 2);
    connection.send(&ack(PUBCOMP, 3));
    client.loop_once(5).unwrap();
    assert_eq!(journal.lines().last().unwrap(), "publish 3");

    connection.expect(&publish("t", "0"));
    connection.expect(&publish_with(QOS1, 2, "t", "1"));
    connection.expect(&publish_with(QOS2, 3, "t", "2"));
    connection.expect(&ack(PUBREL, 3));
}

#[test]
fn b6_04_without_a_loop_on_publish_runs_before_publish_returns() {
    let peer = Peer::listen();
    let client = new_client("b6");
    let journal = Journal::of(&client);
    let _connection = stepped(&client, &peer);
    client.publish("t", "x").unwrap();
    assert_eq!(journal.lines(), ["connect 0", "publish 1"]);
    assert!(journal.entries()[1].in_test_thread);
}

#[test]
fn b6_05_with_a_loop_on_publish_runs_in_the_loop() {
    let peer = Peer::listen();
    let client = new_client("b6");
    let journal = Journal::of(&client);
    let _connection = started(&client, &peer);
    for _ in 0..20 {
        client.publish("t", "x").unwrap();
    }
    let entries = journal.wait_for_times("publish", 20);
    assert!(entries.iter().all(|entry| !entry.in_test_thread));
}

#[test]
fn b6_06_publish_before_connect_keeps_qos_1_and_2_for_the_first_connack() {
    let peer = Peer::listen();
    let client = new_client("b6");
    let journal = Journal::of(&client);
    assert!(matches!(client.publish("t", "lost"), Err(Error::NotConnected)));
    let first = client.publish_with("t", "one", 1, false).unwrap();
    let second = client.publish_with("t", "two", 2, false).unwrap();

    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    connection.expect(&packets::connect("b6"));
    connection.expect_silence(Duration::from_millis(50));
    connection.send(CONNACK);
    client.loop_once(5).unwrap();
    connection.expect(&publish_with(QOS1, first.mid, "t", "one"));
    connection.expect(&publish_with(QOS2, second.mid, "t", "two"));
    connection.send(&ack(PUBACK, first.mid));
    client.loop_once(5).unwrap();
    assert_eq!(
        journal.lines(),
        ["connect 0".into(), format!("publish {}", first.mid)]
    );
}

/// Publishes 25 messages of QoS 1, and expects that 20 of them leave.
fn fill_window(client: &Client, connection: &mut interop::peer::Connection, first: u16) {
    for mid in first..first + 25 {
        client.publish_with("t", mid, 1, false).unwrap();
    }
    for mid in first..first + 20 {
        connection.expect(&publish_with(QOS1, mid, "t", &mid.to_string()));
    }
    connection.expect_silence(Duration::from_millis(50));
}

#[test]
fn b6_08_twenty_messages_are_on_their_way_and_the_others_follow_in_order() {
    let peer = Peer::listen();
    let client = new_client("b6");
    let mut connection = started(&client, &peer);
    fill_window(&client, &mut connection, 1);
    for mid in [2, 1, 20, 7, 3] {
        connection.send(&ack(PUBACK, mid));
    }
    for mid in 21..=25 {
        connection.expect(&publish_with(QOS1, mid, "t", &mid.to_string()));
    }
    // QoS 0 is never held up.
    client.publish("t", "x").unwrap();
    connection.expect(&publish("t", "x"));
}

#[test]
fn b6_08_the_queue_has_a_limit_and_the_payload_comes_back() {
    let client = new_client("b6");
    client.max_queued_messages_set(2).unwrap();
    client.publish_with("t", "one", 1, false).unwrap();
    client.publish_with("t", "two", 2, false).unwrap();
    match client.publish_with("t", "three", 1, false) {
        Err(Error::QueueFull { payload }) => assert_eq!(payload, "three"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn b6_08b_received_messages_do_not_widen_the_window() {
    let peer = Peer::listen();
    let client = new_client("b6");
    let journal = Journal::of(&client);
    let mut connection = started(&client, &peer);
    for mid in 1..=5 {
        connection.send(&publish_with(QOS2, mid, "t", "x"));
        connection.expect(&ack(PUBREC, mid));
        connection.send(&ack(PUBREL, mid));
        connection.expect(&ack(PUBCOMP, mid));
    }
    journal.wait_for_times("message", 5);
    fill_window(&client, &mut connection, 1);
}

#[test]
fn b6_09_payloads_are_text_bytes_numbers_or_nothing() {
    let peer = Peer::listen();
    let client = new_client("b6");
    let mut connection = stepped(&client, &peer);
    client.publish("t", "caf\u{e9}").unwrap();
    client.publish("t", String::from("owned")).unwrap();
    client.publish("t", b"bytes").unwrap();
    client.publish("t", vec![98, 121]).unwrap();
    client.publish("t", 42).unwrap();
    client.publish("t", 3.5).unwrap();
    client.publish("t", 1.0).unwrap();
    client.publish("t", ()).unwrap();
    client.publish("t", None::<&str>).unwrap();
    for payload in ["caf\u{e9}", "owned", "bytes", "by", "42", "3.5", "1.0", "", ""] {
        connection.expect(&publish("t", payload));
    }
}

#[test]
fn b6_10_wait_for_publish_says_when_its_time_is_over() {
    let peer = Peer::listen();
    let client = new_client("b6");
    let mut connection = started(&client, &peer);
    let info = client.publish_with("t", "x", 1, false).unwrap();
    // paho-mqtt just returns.
    let (result, took) = timed(|| info.wait_for_publish(0.1));
    assert!(matches!(result, Err(Error::Timeout)), "{result:?}");
    assert!(
        took >= Duration::from_millis(100) && took < Duration::from_millis(100) + AT_ONCE,
        "{took:?}"
    );
    assert!(!info.is_published());
    connection.send(&ack(PUBACK, 1));
    info.wait_for_publish(5).unwrap();
    assert!(info.is_published());
}

#[test]
fn b6_11_wrong_arguments_are_named_and_change_nothing() {
    let peer = Peer::listen();
    let client = new_client("b6");
    let mut connection = stepped(&client, &peer);
    let argument = |result: callmq::client::Result<callmq::client::MessageInfo>| match result {
        Err(Error::InvalidArgument { argument, .. }) => argument,
        other => panic!("{other:?}"),
    };
    for topic in ["", "a/+", "#", "a\0b", &"x".repeat(65_536)] {
        assert_eq!(argument(client.publish(topic, "x")), "topic");
    }
    assert_eq!(argument(client.publish_with("t", "x", 3, false)), "qos");
    assert_eq!(argument(client.publish("t", vec![0; 268_435_456])), "payload");
    // Nothing was sent, and no mid was used.
    connection.expect_silence(Duration::from_millis(50));
    assert_eq!(client.publish("t", "x").unwrap().mid, 1);
    // A request waits for its answer.
    let request = client.subscribe("t").unwrap();
    connection.expect(&publish("t", "x"));
    connection.expect(&subscribe(2, &[("t", 0)]));
    connection.send(&suback(2, &[0]));
    assert_eq!(request.wait(5).unwrap().len(), 1);
}
