//! Going back to the first server of a list when it can be reached again.

use std::net::TcpListener;
use std::time::Duration;

use callmq::client::{self as mqtt, ConnectOptions, DisconnectReason};
use callmq::testing::Broker;

use crate::support::{
    BlackHole, CONNACK, Connection, Events, PATIENCE, Peer, eventually, holds_nobody_up, listen, published,
    round_trip,
};

/// Long enough for some looks at the first server.
const WHILE: Duration = Duration::from_millis(60);

/// A port at which nobody listens.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn options(first: u16, second: u16) -> ConnectOptions {
    let list = ConnectOptions::new(("127.0.0.1", first)).server(("127.0.0.1", second));
    list.return_to_first(0.01)
}

/// A client that goes on at once or never, and why its connections ended.
fn client(builder: mqtt::ClientBuilder) -> (mqtt::Client, Events<DisconnectReason>) {
    let client = builder.build();
    client.reconnect_delay_set(600, 600).unwrap();
    let ended = Events::new();
    let report = ended.sink();
    client.on_disconnect(move |_, flags, _, _| report(flags.reason));
    client.loop_start().unwrap();
    (client, ended)
}

fn port(client: &mqtt::Client) -> Option<u16> {
    client.server().and_then(|server| server.port())
}

/// A connection without a packet: somebody has looked.
fn expect_look(peer: &Peer) {
    peer.accept().expect_close();
}

/// A client that is connected to the second of two peers: nobody listens at the port of the first yet.
fn at_the_second(builder: mqtt::ClientBuilder) -> (mqtt::Client, Events<DisconnectReason>, u16, Connection) {
    let (first, second) = (closed_port(), Peer::listen());
    let (client, ended) = client(builder);
    client.connect(options(first, second.port())).unwrap();
    let connection = second.accept_client();
    client.wait_for_connect(PATIENCE).unwrap();
    (client, ended, first, connection)
}

/// With a DISCONNECT, and without a delay.
#[test]
fn the_client_says_goodbye_and_moves() {
    for builder in [
        mqtt::Client::builder("c"),
        mqtt::Client::builder("c").protocol(mqtt::MQTTv5),
    ] {
        let (client, ended, port_of_first, mut connection) = at_the_second(builder);
        connection.expect_silence(WHILE);
        assert!(ended.so_far().is_empty());
        let first = Peer::listen_on(port_of_first);
        expect_look(&first);
        connection.expect_goodbye();
        let _back = first.accept_client();
        assert!(matches!(ended.next(), DisconnectReason::ReturnToFirst));
        client.wait_for_connect(PATIENCE).unwrap();
        assert_eq!(port(&client), Some(port_of_first));
        assert!(
            first.accept_within(WHILE).is_none(),
            "there is nothing more to look for"
        );
        client.loop_stop().unwrap();
    }
}

/// Published by one thread all the while, with a session that outlives its connections and without.
#[test]
fn nothing_is_lost_on_the_way_back() {
    for builder in [
        mqtt::Client::builder("c"),
        mqtt::Client::builder("c").clean_session(false),
        mqtt::Client::builder("c")
            .protocol(mqtt::MQTTv5)
            .session_expiry(600),
    ] {
        let (port_of_first, second) = (closed_port(), listen());
        let (client, ended) = client(builder);
        client.connect(options(port_of_first, second.port())).unwrap();
        client.wait_for_connect(PATIENCE).unwrap();
        client.subscribe(("back", 1)).unwrap().wait(PATIENCE).unwrap();
        let mut first = None;
        let mut infos = Vec::new();
        // No more than the brokers remember.
        for number in 0..900 {
            if number == 100 {
                first = Some(Broker::listen(("127.0.0.1", port_of_first)).unwrap());
            }
            infos.push(client.publish_with("t", number, 1 + number % 2, false).unwrap());
        }
        let first = first.unwrap();
        eventually("it is back", || port(&client) == Some(port_of_first));
        for info in &infos {
            info.wait_for_publish(PATIENCE).unwrap();
        }
        assert!(matches!(ended.next(), DisconnectReason::ReturnToFirst));
        let arrived = [published(&second, "t"), published(&first, "t")].concat();
        for number in 0..infos.len() {
            assert!(arrived.contains(&number.to_string()), "{number}");
        }
        eventually("the subscription is renewed", || {
            !first.subscriptions("c").is_empty()
        });
        client.disconnect().unwrap();
    }
}

/// The look goes through, and then the first server refuses: the second has the client again at once.
#[test]
fn a_first_server_that_refuses_gets_another_chance_later() {
    let (port_of_first, second) = (closed_port(), Peer::listen());
    let (client, ended) = client(mqtt::Client::builder("c"));
    client.connect(options(port_of_first, second.port())).unwrap();
    let mut connection = second.accept_client();
    client.wait_for_connect(PATIENCE).unwrap();
    let first = Peer::listen_on(port_of_first);
    for _ in 0..2 {
        expect_look(&first);
        connection.expect_goodbye();
        let mut refused = first.accept();
        refused.expect_packet(0x10);
        refused.send(b"\x20\x02\x00\x03");
        connection = second.accept_client();
        assert!(matches!(ended.next(), DisconnectReason::ReturnToFirst));
        assert!(matches!(ended.next(), DisconnectReason::Refused(_)));
    }
    expect_look(&first);
    let mut back = first.accept();
    back.expect_packet(0x10);
    back.send(CONNACK);
    assert!(matches!(ended.next(), DisconnectReason::ReturnToFirst));
    client.loop_stop().unwrap();
}

/// A callback sees the DISCONNECT on its way, and wants no other connection.
#[test]
fn disconnect_on_the_way_back_is_the_end() {
    let (client, ended, port_of_first, mut connection) = at_the_second(mqtt::Client::builder("c"));
    client.on_log(move |client, _, line| {
        if line.contains("Sending DISCONNECT") {
            client.disconnect().unwrap();
        }
    });
    let first = Peer::listen_on(port_of_first);
    expect_look(&first);
    connection.expect_goodbye();
    assert!(matches!(ended.next(), DisconnectReason::ReturnToFirst));
    assert!(first.accept_within(WHILE).is_none());
    // The thread has ended by itself.
    let _ = client.loop_stop();
}

#[test]
fn without_a_loop_and_without_being_asked_the_client_stays() {
    let (port_of_first, second) = (closed_port(), Peer::listen());
    let (asked, _) = client(mqtt::Client::builder("c"));
    asked.connect(options(port_of_first, second.port())).unwrap();
    let _connection = second.accept_client();
    asked.wait_for_connect(PATIENCE).unwrap();
    asked.loop_stop().unwrap();
    let (unasked, _) = client(mqtt::Client::builder("d"));
    let never = options(port_of_first, second.port()).return_to_first(None);
    unasked.connect(never).unwrap();
    let _connection = second.accept_client();
    unasked.wait_for_connect(PATIENCE).unwrap();
    let first = Peer::listen_on(port_of_first);
    asked.loop_once(0.03).unwrap();
    assert!(first.accept_within(WHILE).is_none());
    // The loop looks at once: the time is over.
    asked.loop_start().unwrap();
    expect_look(&first);
}

/// The first server is silent: the look goes on as long as the connect time-out allows, and nobody waits for it.
#[test]
fn a_look_that_hangs_holds_nobody_up() {
    holds_nobody_up(|| {
        let (hole, second) = (BlackHole::new(), listen());
        let (client, _) = client(mqtt::Client::builder("c"));
        client
            .connect(options(hole.address().port(), second.port()).connect_timeout(0.4))
            .unwrap();
        client.wait_for_connect(PATIENCE).unwrap();
        round_trip(&client);
        assert!(client.is_connected());
        (client, (hole, second))
    });
}
