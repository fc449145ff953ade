//! Section 4: what the calls that run the loop return, and when.

use std::thread;
use std::time::Duration;

use callmq::client::Error;
use interop::peer::Peer;

use crate::journal::{AT_ONCE, Journal, timed};
use crate::packets::{
    CONNACK, HELD, PUBACK, QOS1, ack, builder, new_client, publish, publish_with, soon_back, started, stepped,
};

const LOST: &str = "disconnect 128: connection lost: connection closed by the peer";

#[test]
fn b4_01_loop_without_a_connection_says_so() {
    let peer = Peer::listen();
    let client = new_client("b4");
    assert!(
        matches!(client.loop_once(1), Err(Error::NotConnected)),
        "before connect"
    );

    let mut connection = stepped(&client, &peer);
    client.disconnect().unwrap();
    connection.expect_goodbye();
    assert!(
        matches!(client.loop_once(1), Err(Error::NotConnected)),
        "after disconnect"
    );

    drop(stepped(&client, &peer));
    client.loop_once(5).unwrap_err();
    let (result, took) = timed(|| client.r#loop());
    assert!(matches!(result, Err(Error::NotConnected)), "after a loss");
    assert!(took < AT_ONCE, "{took:?}");
}

#[test]
fn b4_02_the_parts_of_a_loop_without_a_connection_say_so() {
    let client = new_client("b4");
    assert!(matches!(client.loop_read(), Err(Error::NotConnected)));
    assert!(matches!(client.loop_write(), Err(Error::NotConnected)));
    assert!(matches!(client.loop_misc(), Err(Error::NotConnected)));
}

#[test]
fn b4_03_loop_returns_after_its_timeout_when_nothing_comes() {
    let peer = Peer::listen();
    let client = new_client("b4");
    let _connection = stepped(&client, &peer);
    let (result, took) = timed(|| client.loop_once(0.2));
    result.unwrap();
    assert!(
        took >= Duration::from_millis(200) && took < Duration::from_secs(1),
        "{took:?}"
    );
    let (result, took) = timed(|| client.r#loop());
    result.unwrap();
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(2),
        "{took:?}"
    );
}

#[test]
fn b4_04_a_negative_timeout_is_refused() {
    let client = new_client("b4");
    assert!(matches!(
        client.loop_once(-1),
        Err(Error::InvalidArgument {
            argument: "timeout",
            ..
        })
    ));
}

#[test]
fn b4_05_one_loop_handles_one_packet() {
    let peer = Peer::listen();
    let client = new_client("b4");
    let journal = Journal::of(&client);
    let mut connection = stepped(&client, &peer);
    connection.send(&[publish("t", "1"), publish("t", "2"), publish("t", "3")].concat());
    for count in 1..=3 {
        client.loop_once(5).unwrap();
        assert_eq!(journal.count("message"), count);
    }
    // Or as many as there are unfinished messages of QoS 1 and 2.
    for mid in 1..=3 {
        client.publish_with("t", "x", 1, false).unwrap();
        connection.expect(&publish_with(QOS1, mid, "t", "x"));
    }
    connection.send(&[ack(PUBACK, 1), ack(PUBACK, 2), ack(PUBACK, 3)].concat());
    client.loop_once(5).unwrap();
    assert_eq!(journal.count("publish"), 3);
}

#[test]
fn b4_06_loop_waits_for_a_packet_whatever_was_written_before() {
    let peer = Peer::listen();
    let client = new_client("b4");
    let journal = Journal::of(&client);
    let mut connection = stepped(&client, &peer);
    for mid in 1..=3 {
        // In paho-mqtt this leaves a wake-up byte behind, and the next loop() returns before the answer.
        client.publish_with("t", "x", 1, false).unwrap();
        connection.expect(&publish_with(QOS1, mid, "t", "x"));
        thread::scope(|scope| {
            scope.spawn(|| {
                // In this time the call may not return.
                thread::sleep(Duration::from_millis(100));
                connection.send(&ack(PUBACK, mid));
            });
            client.loop_once(5).unwrap();
        });
        assert_eq!(journal.lines().last().unwrap(), &format!("publish {mid}"));
    }
}

#[test]
fn b4_06_the_first_loop_waits_for_the_connack() {
    let peer = Peer::listen();
    let client = new_client("b4");
    let journal = Journal::of(&client);
    client.connect(peer.address()).unwrap();
    client.publish("t", "x").unwrap();
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    thread::scope(|scope| {
        scope.spawn(|| {
            // In this time the call may not return.
            thread::sleep(Duration::from_millis(100));
            connection.send(CONNACK);
        });
        client.r#loop().unwrap();
    });
    let expected = ["publish 1", "connect 0"];
    if HELD {
        assert!(journal.lines().iter().rev().eq(expected), "{:?}", journal.lines());
    } else {
        assert_eq!(journal.lines(), expected);
    }
}

#[test]
fn b4_07_loop_returns_why_the_connection_was_lost() {
    let peer = Peer::listen();
    let client = new_client("b4");
    let journal = Journal::of(&client);
    drop(stepped(&client, &peer));
    assert!(matches!(client.loop_once(5), Err(Error::ConnectionClosed)));
    assert_eq!(journal.lines(), ["connect 0", LOST]);
}

#[test]
fn b4_08_loop_forever_ends_well_after_disconnect_in_a_callback() {
    let peer = Peer::listen();
    let client = new_client("b4");
    client.on_connect(|client, _, _, _| client.disconnect());
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept_client();
    // paho-mqtt returns "connection lost" here.
    client.loop_forever().unwrap();
    connection.expect_goodbye();
}

#[test]
fn b4_09_disconnect_from_another_thread_ends_loop_forever_at_once() {
    let peer = Peer::listen();
    let client = new_client("b4");
    let journal = Journal::of(&client);
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept_client();
    let looping = client.clone();
    let thread = thread::spawn(move || looping.loop_forever());
    journal.wait_for("connect 0");
    client.disconnect().unwrap();
    let (result, took) = timed(|| thread.join().unwrap());
    result.unwrap();
    assert!(took < AT_ONCE, "{took:?}");
    connection.expect_goodbye();
    assert_eq!(
        journal.lines(),
        ["connect 0", "disconnect 0: disconnect requested"]
    );
}

#[test]
fn b4_10_loop_forever_returns_a_loss_when_it_is_not_to_reconnect() {
    let peer = Peer::listen();
    let client = builder("b4").reconnect_on_failure(false).build();
    let journal = Journal::of(&client);
    client.connect(peer.address()).unwrap();
    drop(peer.accept_client());
    assert!(matches!(client.loop_forever(), Err(Error::ConnectionClosed)));
    assert_eq!(journal.lines().last().unwrap(), LOST);
}

#[test]
fn b4_12_disconnect_while_waiting_for_the_next_attempt_ends_loop_forever() {
    let peer = Peer::listen();
    let client = soon_back("b4");
    client.reconnect_delay_set(60, 60).unwrap();
    let journal = Journal::of(&client);
    client.connect(peer.address()).unwrap();
    let looping = client.clone();
    let thread = thread::spawn(move || looping.loop_forever());
    let connection = peer.accept_client();
    journal.wait_for("connect 0");
    drop(connection);
    journal.wait_for(LOST);
    assert!(matches!(client.disconnect(), Err(Error::NotConnected)));
    let (result, took) = timed(|| thread.join().unwrap());
    result.unwrap();
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(journal.lines(), ["connect 0", LOST]);
}

#[test]
fn b4_12_the_same_with_a_loop_that_was_started() {
    let peer = Peer::listen();
    let client = new_client("b4");
    client.reconnect_delay_set(60, 60).unwrap();
    let journal = Journal::of(&client);
    drop(started(&client, &peer));
    journal.wait_for(LOST);
    client.disconnect().unwrap_err();
    let (_, took) = timed(|| client.loop_stop());
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(journal.lines(), ["connect 0", LOST]);
}
