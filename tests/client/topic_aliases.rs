//! Topic aliases (MQTT 5.0), as they are on the wire.

use callmq::client::{self as mqtt, ConnectOptions, Error, Message, Property, ServerLimit};
use callmq::testing::Broker;

use crate::support::{Connection, Events, PATIENCE, Peer, bad_argument, broker_has, published, start};
use crate::wire_v5::{CONNACK_V5, accept_v5};

fn builder() -> mqtt::ClientBuilder {
    mqtt::Client::builder("c").protocol(mqtt::MQTTv5)
}

/// CONNACK of a server that accepts up to 10 aliases.
const TEN: &[u8] = b"\x20\x06\x00\x00\x03\x22\x00\x0a";

fn accepted(client: &mqtt::Client, peer: &Peer, connack: &[u8]) -> Connection {
    client.connect(peer.address()).unwrap();
    let connection = accept_v5(peer, connack);
    client.wait_for_connect(PATIENCE).unwrap();
    connection
}

/// A message with an alias of the application's.
fn by_hand(topic: &str, payload: &str, alias: u16) -> Message {
    Message::new(topic, payload).properties(Property::TopicAlias(alias).into())
}

/// Within the server's maximum, from 1 on; off unless it is asked for.
///
/// [5.0/MQTT-3.3.2-8]
#[test]
fn long_topics_are_sent_once() {
    let peer = Peer::listen();
    let client = builder().build();
    let mut connection = accepted(&client, &peer, TEN);
    client.publish("a/topic", "x").unwrap();
    client.publish("a/topic", "y").unwrap();
    connection.expect(b"\x30\x0b\x00\x07a/topic\x00x\x30\x0b\x00\x07a/topic\x00y");

    let client = builder().topic_alias_limit(5).build();
    let mut connection = accepted(&client, &peer, TEN);
    for payload in ["x", "y"] {
        client.publish_with("a/topic", payload, 1, false).unwrap();
    }
    connection.expect(b"\x32\x10\x00\x07a/topic\x00\x01\x03\x23\x00\x01x");
    connection.expect(b"\x32\x09\x00\x00\x00\x02\x03\x23\x00\x01y");
    // The setting of the running client counts from the next connection on.
    client.topic_alias_limit_set(0);
    let mut connection = accepted(&client, &peer, TEN);
    connection.expect(b"\x3a\x0d\x00\x07a/topic\x00\x01\x00x\x3a\x0d\x00\x07a/topic\x00\x02\x00y");
}

/// The next connection knows none of the aliases, also not those of messages that are sent again.
///
/// [5.0/MQTT-3.3.2-7]
#[test]
fn messages_keep_their_topics_for_the_next_connection() {
    let peer = Peer::listen();
    let client = builder().topic_alias_limit(5).build();
    let connection = accepted(&client, &peer, TEN);
    for payload in ["x", "y"] {
        client.publish_with("a/topic", payload, 1, false).unwrap();
    }
    client.publish_message(by_hand("b/topic", "z", 9)).unwrap();
    let by_number = by_hand("", "z", 9).qos(mqtt::QoS::AtLeastOnce);
    client.publish_message(by_number).unwrap();
    drop(connection);
    // To a server that accepts none.
    let mut connection = accepted(&client, &peer, CONNACK_V5);
    connection.expect(b"\x3a\x0d\x00\x07a/topic\x00\x01\x00x");
    connection.expect(b"\x3a\x0d\x00\x07a/topic\x00\x02\x00y");
    assert_eq!(connection.packet()[3..11], *b"\x07b/topic");
}

/// An alias of the application's is checked before anything is sent.
///
/// [5.0/MQTT-3.2.2-18] [5.0/MQTT-3.3.2-9]
#[test]
fn aliases_can_be_set_by_hand() {
    let peer = Peer::listen();
    let client = builder().build();
    assert!(matches!(
        client.publish_message(by_hand("t", "x", 1)),
        Err(Error::NotConnected)
    ));
    let mut connection = accepted(&client, &peer, TEN);
    for (topic, alias) in [("t", 10), ("", 10), ("u", 10), ("", 10)] {
        client.publish_message(by_hand(topic, "x", alias)).unwrap();
    }
    connection.expect(b"\x30\x08\x00\x01t\x03\x23\x00\x0ax\x30\x07\x00\x00\x03\x23\x00\x0ax");
    connection.expect(b"\x30\x08\x00\x01u\x03\x23\x00\x0ax\x30\x07\x00\x00\x03\x23\x00\x0ax");
    let refused = client.publish_message(by_hand("t", "x", 11));
    let limit = ServerLimit::TopicAliasMaximum;
    assert!(
        matches!(refused, Err(Error::NotAllowed(named)) if named == limit),
        "{refused:?}"
    );
    assert_eq!(bad_argument(client.publish_message(by_hand("", "x", 3))), "topic");
    assert_eq!(
        bad_argument(client.publish_message(by_hand("t", "x", 0))),
        "properties"
    );
    assert_eq!(
        bad_argument(client.publish_message(Message::new("", "x"))),
        "topic"
    );
    let none = accepted(&client, &peer, CONNACK_V5);
    let refused = client.publish_message(by_hand("t", "x", 1));
    assert!(matches!(refused, Err(Error::NotAllowed(named)) if named == limit));
    drop(none);
}

#[test]
fn unchecked_aliases_reach_the_server_as_they_are() {
    let peer = Peer::listen();
    let client = builder().unchecked_topic_aliases(true).build();
    let mut connection = accepted(&client, &peer, CONNACK_V5);
    client.publish_message(by_hand("", "x", 700)).unwrap();
    connection.expect(b"\x30\x07\x00\x00\x03\x23\x02\xbcx");
}

/// Every alias up to what CONNECT announced is accepted, and the application sees topics.
///
/// [5.0/MQTT-3.3.2-10]
#[test]
fn received_messages_have_their_topics() {
    for setter in [true, false] {
        let peer = Peer::listen();
        let client = if setter {
            builder()
        } else {
            builder().topic_alias_maximum(2)
        };
        let client = client.build();
        if setter {
            client.topic_alias_maximum_set(2);
        }
        let messages = client.messages(10);
        client.loop_start().unwrap();
        client.connect(peer.address()).unwrap();
        let mut connection = peer.accept();
        connection.expect(b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x03\x22\x00\x02\x00\x01c");
        connection.send(CONNACK_V5);
        connection.send(b"\x30\x08\x00\x01t\x03\x23\x00\x02x\x30\x07\x00\x00\x03\x23\x00\x02y");
        for payload in ["x", "y"] {
            let message = messages.recv(PATIENCE).unwrap();
            assert_eq!(
                (&message.topic[..], &message.payload[..]),
                ("t", payload.as_bytes())
            );
            // It may be passed on as it is.
            assert!(message.properties.is_empty());
        }
    }
}

/// An alias that cannot be resolved ends the connection, with 0x94 to the server and in `on_disconnect`; the client
/// goes on at the next one.
///
/// [5.0/MQTT-3.1.2-26] [5.0/MQTT-3.1.2-27] [5.0/MQTT-3.3.2-8] [5.0/MQTT-4.13.2-1]
#[test]
fn an_alias_that_means_nothing_ends_the_connection() {
    let publish = [
        (0, &b"\x30\x08\x00\x01t\x03\x23\x00\x01x"[..]),
        (5, b"\x30\x08\x00\x01t\x03\x23\x00\x06x"),
        (5, b"\x30\x08\x00\x01t\x03\x23\x00\x00x"),
        (5, b"\x30\x07\x00\x00\x03\x23\x00\x05x"),
    ];
    for (maximum, publish) in publish {
        let peer = Peer::listen();
        let client = builder().topic_alias_maximum(maximum).build();
        client.reconnect_delay_set(0.01, 0.01).unwrap();
        let seen = Events::new();
        let report = seen.sink();
        client.on_disconnect(move |_, _, reason, _| report(reason.value()));
        client.loop_start().unwrap();
        let mut connection = accepted(&client, &peer, TEN);
        connection.send(publish);
        connection.expect(b"\xe0\x01\x94");
        connection.expect_close();
        assert_eq!(seen.next(), 0x94);
        let mut next = peer.accept();
        next.expect_packet(0x10);
        assert!(seen.so_far().is_empty());
    }
}

#[test]
fn both_directions_with_a_broker() {
    let broker = Broker::builder()
        .topic_alias_maximum(3)
        .send_topic_aliases(true)
        .listen("127.0.0.1:0")
        .unwrap();
    let client = builder().topic_alias_limit(10).topic_alias_maximum(4).build();
    let messages = client.messages(200);
    start(&client, &broker);
    client.subscribe("topics/#").unwrap().wait(PATIENCE).unwrap();
    let topic = |number: usize| format!("topics/number/{}", (number * number) % 7);
    for number in 0..100 {
        client
            .publish_with(topic(number), number as u32, number as u8 % 3, false)
            .unwrap();
    }
    let mut received: Vec<_> = (0..100).map(|_| messages.recv(PATIENCE).unwrap()).collect();
    received.sort_by_key(|message| message.payload.decode().unwrap().parse::<usize>().unwrap());
    for (number, message) in received.iter().enumerate() {
        assert_eq!(message.topic, topic(number));
    }
    broker_has(&broker, "the messages", |broker| {
        !published(broker, &topic(1)).is_empty()
    });
    assert!(client.is_connected());
}

#[test]
fn the_announced_maximum_may_be_a_property() {
    let peer = Peer::listen();
    let client = builder().topic_alias_maximum(1).build();
    let properties = Property::TopicAliasMaximum(7).into();
    client
        .connect(ConnectOptions::new(peer.address()).properties(properties))
        .unwrap();
    let mut connection = peer.accept();
    connection.expect(b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x03\x22\x00\x07\x00\x01c");
    connection.send(b"\x20\x03\x00\x00\x00\x30\x08\x00\x01t\x03\x23\x00\x07x");
    let messages = client.messages(1);
    client.wait_for_connect(PATIENCE).unwrap();
    client.loop_start().unwrap();
    assert_eq!(messages.recv(PATIENCE).unwrap().topic, "t");
}
