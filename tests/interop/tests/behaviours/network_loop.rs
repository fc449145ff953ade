//! Section 3: starting and stopping the loop, and how a connection ends.

use std::thread;
use std::time::Duration;

use callmq::client::Error;
use interop::peer::Peer;

use crate::journal::{AT_ONCE, Journal, timed};
use crate::packets::{
    self, CONNACK, HELD, PUBACK, QOS1, ack, new_client, publish, publish_with, started, stepped, subscribe,
};

const GOODBYE: &str = "disconnect 0: disconnect requested";

#[test]
fn b3_01_a_loop_that_runs_cannot_be_started_again() {
    let client = new_client("b3");
    client.loop_start().unwrap();
    assert!(matches!(client.loop_start(), Err(Error::InvalidState(_))));
}

#[test]
fn b3_02_a_loop_that_does_not_run_cannot_be_stopped() {
    let client = new_client("b3");
    assert!(matches!(client.loop_stop(), Err(Error::InvalidState(_))));
    client.loop_start().unwrap();
    client.loop_stop().unwrap();
    assert!(matches!(client.loop_stop(), Err(Error::InvalidState(_))));
}

#[test]
fn b3_03_loop_stop_returns_at_once_in_every_state() {
    let peer = Peer::listen();
    let client = new_client("b3");
    let stop = |state: &str| {
        let (result, took) = timed(|| client.loop_stop());
        result.unwrap();
        assert!(took < AT_ONCE, "{state}: {took:?}");
    };
    client.loop_start().unwrap();
    stop("before connect");

    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    client.loop_start().unwrap();
    stop("before the CONNACK");

    connection.send(CONNACK);
    client.loop_start().unwrap();
    client.wait_for_connect(5).unwrap();
    stop("connected");

    client.loop_start().unwrap();
    client.reconnect_delay_set(60, 60).unwrap();
    let journal = Journal::of(&client);
    drop(connection);
    journal.wait_for("disconnect");
    stop("waiting for the next attempt");
}

#[test]
fn b3_04_loop_stop_does_not_wait_for_acknowledgements() {
    let peer = Peer::listen();
    let client = new_client("b3");
    let mut connection = started(&client, &peer);
    for qos in [1, 2] {
        client.publish_with("t", "x", qos, false).unwrap();
        connection.packet();
    }
    let (result, took) = timed(|| client.loop_stop());
    result.unwrap();
    assert!(took < AT_ONCE, "{took:?}");
}

#[test]
fn b3_05_loop_stop_leaves_the_connection_open_for_the_next_loop() {
    let peer = Peer::listen();
    let client = new_client("b3");
    let journal = Journal::of(&client);
    let mut connection = started(&client, &peer);
    client.loop_stop().unwrap();
    connection.send(&publish("t", "meanwhile"));
    connection.expect_silence(Duration::from_millis(100));
    assert!(client.is_connected());
    assert_eq!(journal.lines(), ["connect 0"]);
    client.loop_start().unwrap();
    journal.wait_for("message t meanwhile");
}

#[test]
fn b3_06_dropping_the_last_handle_says_goodbye() {
    let peer = Peer::listen();
    let client = new_client("b3");
    let mut connection = started(&client, &peer);
    let other = client.clone();
    drop(client);
    connection.expect_silence(Duration::from_millis(50));
    // paho-mqtt just closes the connection, and the broker publishes the will.
    drop(other);
    connection.expect_goodbye();

    let mut connection = stepped(&new_client("b3"), &peer);
    connection.expect_goodbye();
}

#[test]
fn b3_07_disconnect_after_loop_stop_runs_on_disconnect_in_the_caller() {
    let peer = Peer::listen();
    let client = new_client("b3");
    let journal = Journal::of(&client);
    let mut connection = started(&client, &peer);
    client.loop_stop().unwrap();
    client.disconnect().unwrap();
    // Before disconnect has returned.
    assert_eq!(journal.lines(), ["connect 0", GOODBYE]);
    assert!(journal.entries()[1].in_test_thread);
    connection.expect_goodbye();
    assert!(client.socket().is_none());
}

#[test]
fn b3_08_disconnect_before_loop_stop_runs_on_disconnect_in_the_loop() {
    let peer = Peer::listen();
    let client = new_client("b3");
    let journal = Journal::of(&client);
    let mut connection = started(&client, &peer);
    client.disconnect().unwrap();
    connection.expect_goodbye();
    assert!(!journal.wait_for(GOODBYE).in_test_thread);
    let (result, took) = timed(|| client.loop_stop());
    assert!(
        matches!(result, Ok(()) | Err(Error::InvalidState(_))),
        "{result:?}"
    );
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(journal.lines(), ["connect 0", GOODBYE]);
}

#[test]
fn b3_09_after_disconnect_the_loop_can_be_started_again_without_loop_stop() {
    let peer = Peer::listen();
    let client = new_client("b3");
    let journal = Journal::of(&client);
    let mut connection = started(&client, &peer);
    client.disconnect().unwrap();
    connection.expect_goodbye();
    journal.wait_for(GOODBYE);
    // The loop has ended by itself, but this thread may be quicker than its last steps.
    crate::journal::wait_until("the loop starts", || client.loop_start().is_ok());
    client.connect(peer.address()).unwrap();
    let _second = peer.accept_client();
    journal.wait_for_times("connect 0", 2);
}

#[test]
fn b3_10_loop_stop_in_a_callback_ends_the_loop_and_a_new_one_can_be_started() {
    let peer = Peer::listen();
    let client = new_client("b3");
    let journal = Journal::of(&client);
    let j = journal.clone();
    client.on_message(move |client, message| {
        j.note(format!(
            "message {}: {:?}",
            message.payload,
            client.loop_stop().is_ok()
        ));
    });
    let mut connection = started(&client, &peer);
    connection.send(&publish("t", "stop"));
    journal.wait_for("message stop: true");
    crate::journal::wait_until("the loop starts", || client.loop_start().is_ok());
    connection.send(&publish("t", "again"));
    journal.wait_for("message again: true");
}

#[test]
fn b3_11_on_disconnect_comes_before_the_socket_is_closed_by_us_and_after_it_is_lost() {
    for by_peer in [false, true] {
        let peer = Peer::listen();
        let client = new_client("b3");
        let journal = Journal::of(&client);
        let j = journal.clone();
        client.on_socket_close(move |_, _| j.note("socket_close"));
        let connection = stepped(&client, &peer);
        if by_peer {
            drop(connection);
            client.loop_once(5).unwrap_err();
            assert_eq!(journal.lines()[1..], ["socket_close", LOST]);
        } else {
            client.disconnect().unwrap();
            assert_eq!(journal.lines()[1..], [GOODBYE, "socket_close"]);
        }
    }
}

const LOST: &str = "disconnect 128: connection lost: connection closed by the peer";

#[test]
fn b3_12_input_that_was_not_read_does_not_swallow_the_goodbye() {
    let peer = Peer::listen();
    let client = new_client("b3");
    let mut connection = stepped(&client, &peer);
    // Nobody reads these; closing the socket as it is would make the system answer with a reset.
    for _ in 0..1_000 {
        connection.send(&publish("t", &"x".repeat(100)));
    }
    client.publish("t", "the last words").unwrap();
    client.disconnect().unwrap();
    connection.expect(&publish("t", "the last words"));
    connection.expect_goodbye();
}

#[test]
fn b3_13_a_loop_that_was_started_first_waits_for_connect() {
    let peer = Peer::listen();
    let client = new_client("b3");
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    client.subscribe("t").unwrap();
    client.publish("t", "0").unwrap();
    client.publish_with("t", "1", 1, false).unwrap();
    let mut connection = peer.accept();
    connection.expect(&packets::connect("b3"));
    if HELD {
        connection.send(CONNACK);
    }
    connection.expect(&subscribe(1, &[("t", 0)]));
    connection.expect(&publish("t", "0"));
    connection.expect(&publish_with(QOS1, 3, "t", "1"));
    if !HELD {
        connection.send(CONNACK);
    }
    connection.send(&ack(PUBACK, 3));
    assert!(
        peer.accept_within(Duration::from_millis(1_200)).is_none(),
        "a second connection"
    );
}

#[test]
fn b3_14_connect_may_come_long_after_loop_start() {
    let peer = Peer::listen();
    let client = new_client("b3");
    let journal = Journal::of(&client);
    client.loop_start().unwrap();
    // After one second paho-mqtt's thread has died, and nothing is ever sent.
    thread::sleep(Duration::from_millis(1_200));
    client.connect(peer.address()).unwrap();
    client.publish("t", "x").unwrap();
    let mut connection = peer.accept_client();
    connection.expect(&publish("t", "x"));
    journal.wait_for("connect 0");
}
