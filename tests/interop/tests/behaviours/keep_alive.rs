//! Section 10: keeping the connection alive.

use std::time::{Duration, Instant};

use callmq::client::{Client, Error};
use interop::peer::Peer;
use interop::{BrokerKind, on_each_broker};

use crate::journal::Journal;
use crate::packets::{PINGREQ, PINGRESP, new_client, soon_back};

/// Connects with a keep alive, and starts the loop.
fn started(client: &Client, peer: &Peer, keep_alive: u16) -> interop::peer::Connection {
    let (host, port) = peer.address();
    client.connect((host, port, keep_alive)).unwrap();
    client.loop_start().unwrap();
    let connection = peer.accept_client();
    client.wait_for_connect(5).unwrap();
    connection
}

#[test]
fn b10_01_a_client_that_only_publishes_still_pings() {
    let peer = Peer::listen();
    let client = new_client("b10");
    let mut connection = started(&client, &peer, 1);
    let start = Instant::now();
    let ping = loop {
        client.publish("t", "x").unwrap();
        let packet = connection.packet();
        if packet == PINGREQ {
            break start.elapsed();
        }
        // The pace of the messages: never silent for as long as the keep alive.
        std::thread::sleep(Duration::from_millis(20));
    };
    // Nothing came from the peer for a second.
    assert!(
        ping > Duration::from_millis(500) && ping < Duration::from_millis(1_600),
        "{ping:?}"
    );
}

#[test]
fn b10_01_a_client_that_only_receives_still_pings() {
    let peer = Peer::listen();
    let client = new_client("b10");
    let mut connection = started(&client, &peer, 1);
    let start = Instant::now();
    let ping = loop {
        connection.send(&crate::packets::publish("t", "x"));
        if connection
            .packet_within(Duration::from_millis(20))
            .is_some_and(|packet| packet == PINGREQ)
        {
            break start.elapsed();
        }
        assert!(start.elapsed() < Duration::from_secs(3), "no ping");
    };
    assert!(
        ping > Duration::from_millis(500) && ping < Duration::from_millis(1_600),
        "{ping:?}"
    );
}

#[test]
fn b10_02_a_keep_alive_of_zero_turns_pings_off() {
    let peer = Peer::listen();
    let client = new_client("b10");
    let mut connection = started(&client, &peer, 0);
    connection.expect_silence(Duration::from_millis(2_500));
    assert!(client.is_connected());
}

#[test]
fn b10_03_a_ping_without_an_answer_ends_the_connection_once() {
    let peer = Peer::listen();
    let client = soon_back("b10");
    let journal = Journal::of(&client);
    let mut connection = started(&client, &peer, 1);
    connection.expect(PINGREQ);
    connection.send(PINGRESP);
    connection.expect(PINGREQ);
    let asked = Instant::now();
    connection.expect_close();
    let took = asked.elapsed();
    assert!(
        took > Duration::from_millis(800) && took < Duration::from_millis(1_800),
        "{took:?}"
    );
    let _next = peer.accept_client();
    journal.wait_for_times("connect 0", 2);
    // paho-mqtt calls on_disconnect twice here.
    assert_eq!(
        journal.lines(),
        [
            "connect 0",
            "disconnect 141: no answer from the server within the time allowed",
            "connect 0"
        ]
    );
}

on_each_broker!(b10_04_without_a_loop_the_broker_gives_the_client_up);
fn b10_04_without_a_loop_the_broker_gives_the_client_up(kind: BrokerKind) {
    let broker = kind.start();
    let client = new_client("b10");
    let journal = Journal::of(&client);
    let (host, port) = broker.address();
    client.connect((host, port, 1)).unwrap();
    broker.wait_for_log("Client b10 has exceeded timeout, disconnecting.");
    // What the broker had said is still there, and comes first.
    client.loop_once(5).unwrap();
    let result = (0..3).map(|_| client.loop_once(5)).find(Result::is_err);
    let lost = |error: &Error| {
        matches!(
            error,
            Error::ConnectionClosed | Error::KeepAliveTimeout | Error::Io(_) | Error::ServerDisconnect(_)
        )
    };
    assert!(
        result
            .as_ref()
            .is_some_and(|result| result.as_ref().is_err_and(lost)),
        "{result:?}"
    );
    assert_eq!(journal.lines()[0], "connect 0");
    assert_eq!(journal.count("disconnect"), 1);
}
