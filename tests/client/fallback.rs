//! Servers without MQTT 5.0, each with its own way to say so.

use callmq::client::{
    self as mqtt, ConnectOptions, Error, Message, Properties, Property, QoS, SubscribeOptions,
};

use crate::support::{CONNACK, Connection, Events, PATIENCE, Peer, bad_argument, eventually};

/// The level in a CONNECT.
const LEVEL: usize = 8;

fn client(fallback: bool) -> mqtt::Client {
    let client = mqtt::Client::builder("c")
        .protocol(mqtt::MQTTv5)
        .fallback(fallback)
        .build();
    client.reconnect_delay_set(0.005, 0.005).unwrap();
    client
}

fn accept(peer: &Peer, level: u8) -> Connection {
    let mut connection = peer.accept();
    let connect = connection.expect_packet(0x10);
    assert_eq!(connect[LEVEL], level, "{connect:02x?}");
    connection
}

/// The ways to refuse MQTT 5.0: in the words of 3.1.1, in those of 5.0. Without `fallback` it is reported as what it is,
/// with the meaning of 5.0; with it the next CONNECT is one of 3.1.1, at once and for good.
///
/// [5.0/MQTT-3.1.2-2]
#[test]
fn a_refused_version() {
    for refusal in [&b"\x20\x02\x00\x01"[..], b"\x20\x03\x00\x84\x00"] {
        let client = client(false);
        let codes = Events::new();
        let report = codes.sink();
        client.on_connect(move |_, _, code, _| report(code.to_string()));
        let peer = Peer::listen();
        client.connect(peer.address()).unwrap();
        accept(&peer, 5).send(refusal);
        match client.wait_for_connect(PATIENCE) {
            Err(Error::Refused(code)) => assert_eq!(code.name(), "Unsupported protocol version"),
            other => panic!("{other:?}"),
        }
        assert_eq!(codes.next(), "Unsupported protocol version");
        client.reconnect().unwrap();
        drop(accept(&peer, 5));
        drop(client);

        let client = self::client(true);
        let codes = Events::new();
        let report = codes.sink();
        client.on_connect(move |client, _, code, _| report((client.protocol(), code.value())));
        client.loop_start().unwrap();
        client.connect(peer.address()).unwrap();
        assert_eq!(client.protocol(), mqtt::MQTTv5);
        accept(&peer, 5).send(refusal);
        for _ in 0..2 {
            let mut connection = accept(&peer, 4);
            connection.send(CONNACK);
            assert_eq!(codes.next(), (mqtt::MQTTv311, 0));
            eventually("it is connected", || client.is_connected());
        }
        let connection = accept(&peer, 4);
        // A new `connect` asks again, and the loop is not to come before it.
        client.reconnect_delay_set(600, 600).unwrap();
        drop(connection);
        client.connect(peer.address()).unwrap();
        assert_eq!(client.protocol(), mqtt::MQTTv5);
        let mut connection = accept(&peer, 5);
        connection.send(b"\x20\x03\x00\x00\x00");
        client.wait_for_connect(PATIENCE).unwrap();
        client.loop_stop().unwrap();
    }
}

#[test]
fn a_call_of_connect_that_is_refused_changes_nothing() {
    let client = client(true);
    client.loop_start().unwrap();
    let peer = Peer::listen();
    client.connect(peer.address()).unwrap();
    accept(&peer, 5).send(b"\x20\x02\x00\x01");
    let mut connection = accept(&peer, 4);
    connection.send(CONNACK);
    client.wait_for_connect(PATIENCE).unwrap();
    client.username_pw_set("x".repeat(65_536).as_str(), None);
    assert_eq!(bad_argument(client.connect(peer.address())), "username");
    assert_eq!(bad_argument(client.connect_async(peer.address())), "username");
    assert_eq!((client.protocol(), client.is_connected()), (mqtt::MQTTv311, true));
    client.publish("t", "x").unwrap();
    connection.expect(b"\x30\x04\x00\x01tx");
}

/// Older and older: the fallback of paho from 3.1.1 to 3.1 comes after ours.
#[test]
fn down_to_3_1() {
    let client = client(true);
    let peer = Peer::listen();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    for _ in 0..2 {
        let mut connection = peer.accept();
        connection.expect_packet(0x10);
        connection.send(b"\x20\x02\x00\x01");
    }
    let mut connection = peer.accept();
    let connect = connection.expect_packet(0x10);
    assert_eq!(&connect[2..11], b"\x00\x06MQIsdp\x03");
    connection.send(CONNACK);
    client.wait_for_connect(PATIENCE).unwrap();
    assert_eq!(client.protocol(), mqtt::MQTTv31);
    client.loop_stop().unwrap();
}

/// A server that hangs up, or answers in what is no MQTT 5.0, gets one connection with 3.1.1; after it, 5.0 is tried
/// again: the server may only have been restarting.
#[test]
fn a_server_that_does_not_answer() {
    let answers: [&[u8]; 4] = [
        b"",
        b"\x20\x02\x00\x00",
        b"\x20\x03\x00\x00",
        b"HTTP/1.1 400 Bad Request\r\n",
    ];
    for (index, answer) in answers.into_iter().enumerate() {
        for fallback in [true, false] {
            let client = client(fallback);
            let peer = Peer::listen();
            client.loop_start().unwrap();
            client.connect(peer.address()).unwrap();
            for _ in 0..2 {
                let mut connection = accept(&peer, 5);
                connection.send(answer);
                if index == 2 {
                    // Cut off in the middle.
                    connection.close_output();
                }
                drop(connection);
                let mut connection = accept(&peer, if fallback { 4 } else { 5 });
                if fallback {
                    connection.send(CONNACK);
                    client.wait_for_connect(PATIENCE).unwrap();
                    assert_eq!(client.protocol(), mqtt::MQTTv311);
                }
            }
            drop(accept(&peer, 5));
            client.loop_stop().unwrap();
        }
    }
}

#[test]
fn other_refusals_and_later_losses_are_not_about_the_version() {
    let client = client(true);
    let peer = Peer::listen();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    for refusal in [
        &b"\x20\x02\x00\x05"[..],
        b"\x20\x03\x00\x87\x00",
        b"\x20\x02\x00\x02",
    ] {
        accept(&peer, 5).send(refusal);
    }
    for _ in 0..2 {
        let mut connection = accept(&peer, 5);
        connection.send(b"\x20\x03\x00\x00\x00");
        client.wait_for_connect(PATIENCE).unwrap();
        connection.send(b"\x30\x00");
    }
    drop(accept(&peer, 5));
    client.loop_stop().unwrap();
}

/// Without a loop that reconnects, the next `reconnect` is the one that falls back.
#[test]
fn without_a_loop_the_next_reconnect_falls_back() {
    let client = client(false);
    client.fallback_set(true);
    let peer = Peer::listen();
    client.connect(peer.address()).unwrap();
    accept(&peer, 5).send(b"\x20\x02\x00\x01");
    client.wait_for_connect(PATIENCE).unwrap_err();
    client.reconnect().unwrap();
    let mut connection = accept(&peer, 4);
    connection.send(CONNACK);
    client.wait_for_connect(PATIENCE).unwrap();
}

/// An authenticator cannot do its work with 3.1.1: rather no connection than one without it.
#[test]
fn not_with_an_authenticator() {
    let client = client(true);
    client
        .on_auth("M", |_, _, _| mqtt::AuthStep::send("hello"))
        .unwrap();
    let peer = Peer::listen();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    accept(&peer, 5).send(b"\x20\x02\x00\x01");
    drop(accept(&peer, 5));
    drop(accept(&peer, 5));
    assert_eq!(client.protocol(), mqtt::MQTTv5);
    client.loop_stop().unwrap();
}

/// What only MQTT 5.0 has is left out, and counted; the messages and the subscriptions themselves are sent, and a session
/// that was to last does.
#[test]
fn what_3_1_1_does_not_have_is_left_out() {
    let client = client(true);
    let properties = Properties::new().with(Property::ContentType("text".to_owned()));
    let will = Message::new("w", "gone").properties(Properties::new().with(Property::WillDelayInterval(5)));
    client.will_set_message(will).unwrap();
    let message = Message::new("t", "x")
        .qos(QoS::AtLeastOnce)
        .properties(properties);
    let info = client.publish_message(message.clone()).unwrap();
    client.publish_with("t", "plain", 1, false).unwrap();
    let options = SubscribeOptions {
        qos: QoS::AtLeastOnce,
        no_local: true,
        ..SubscribeOptions::default()
    };
    client.subscribe(("f", options)).unwrap();
    let received = Events::new();
    let report = received.sink();
    client
        .subscribe_with("g", move |_, message: &Message| {
            report(message.payload.to_string())
        })
        .unwrap();
    let peer = Peer::listen();
    let options = ConnectOptions::new(peer.address()).properties(
        Properties::new()
            .with(Property::SessionExpiryInterval(60))
            .with(Property::TopicAliasMaximum(9)),
    );
    client.loop_start().unwrap();
    client.connect(options).unwrap();
    accept(&peer, 5).send(b"\x20\x02\x00\x01");
    let mut connection = peer.accept();
    connection.expect(b"\x10\x16\x00\x04MQTT\x04\x04\x00\x3c\x00\x01c\x00\x01w\x00\x04gone");
    connection.send(CONNACK);
    let mut sent = Vec::new();
    for _ in 0..4 {
        sent.push(connection.packet());
    }
    sent.sort();
    let expected: [&[u8]; 4] = [
        b"\x32\x06\x00\x01t\x00\x01x",
        b"\x32\x0a\x00\x01t\x00\x02plain",
        b"\x82\x06\x00\x03\x00\x01f\x01",
        b"\x82\x06\x00\x04\x00\x01g\x00",
    ];
    assert_eq!(sent, expected);
    connection.send(b"\x40\x02\x00\x01\x90\x03\x00\x03\x01\x90\x03\x00\x04\x00\x30\x05\x00\x01gok");
    info.wait_for_publish(PATIENCE).unwrap();
    assert_eq!(received.next(), "ok");
    assert_eq!(client.stats().messages_without_properties, 1);
    // From now on it is a client of 3.1.1, which says what it does not have.
    assert!(client.publish_message(message).is_err());
    client.loop_stop().unwrap();
}
