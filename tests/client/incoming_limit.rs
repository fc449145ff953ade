//! More received messages of QoS 2 than the client is to keep until they are released.

use callmq::client::{self as mqtt, IncomingLimit};

use crate::support::{CONNACK, Connection, Events, PATIENCE, Peer, ack_packet, eventually, publish_packet};

/// A CONNACK that accepts the connection and has the session.
const RESUMED: &[u8] = b"\x20\x02\x01\x00";

/// A client that keeps a session and two of the messages that `message` makes, and connects again at once.
fn small(version: mqtt::ProtocolVersion) -> mqtt::Client {
    let client = mqtt::Client::builder("small")
        .clean_session(false)
        .protocol(version)
        .incoming_limit(IncomingLimit {
            max_bytes: 25,
            ..IncomingLimit::default()
        })
        .build();
    client.reconnect_delay_set(0.01, 0.01).unwrap();
    client
}

fn message(mid: u16) -> Vec<u8> {
    publish_packet(0x34, "t", mid, &format!("message {mid}"))
}

fn messages(client: &mqtt::Client) -> Events<String> {
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, message| report(message.payload.to_string()));
    seen
}

fn ends(client: &mqtt::Client) -> Events<String> {
    let ended = Events::new();
    let report = ended.sink();
    client.on_disconnect(move |_, flags, _, _| report(flags.reason.to_string()));
    ended
}

fn accept(peer: &Peer, connack: &[u8]) -> Connection {
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(connack);
    connection
}

/// [3.1.1/MQTT-4.8.0-2]
#[test]
fn the_connection_ends_for_that_reason_and_nothing_is_lost() {
    let client = small(mqtt::MQTTv311);
    let (seen, ended) = (messages(&client), ends(&client));
    let peer = Peer::listen();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let mut connection = accept(&peer, CONNACK);
    connection.send(&(1..=5).flat_map(message).collect::<Vec<_>>());
    // The acknowledgements of those that are kept still leave; no DISCONNECT, which MQTT 3 has no reason for.
    connection.expect(&[ack_packet(0x50, 1), ack_packet(0x50, 2)].concat());
    connection.expect_close();
    let reason = ended.next();
    assert!(reason.contains("incoming_limit"), "{reason}");
    assert_eq!(client.stats().unacknowledged, 2);

    // So the server need not begin again: it releases the first two, and goes on with the others.
    let mut connection = accept(&peer, RESUMED);
    for mids in [[1, 2], [3, 4]] {
        for mid in mids {
            if mid > 2 {
                connection.send(&message(mid));
                connection.expect(&ack_packet(0x50, mid));
            }
        }
        for mid in mids {
            connection.send(&ack_packet(0x62, mid));
            assert_eq!(seen.next(), format!("message {mid}"));
            connection.expect(&ack_packet(0x70, mid));
        }
    }
    assert_eq!((client.stats().unacknowledged, ended.so_far().len()), (0, 0));
}

#[test]
fn in_mqtt_5_the_server_is_told_why() {
    let client = small(mqtt::MQTTv5);
    let ended = ends(&client);
    let peer = Peer::listen();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let mut connection = accept(&peer, b"\x20\x03\x00\x00\x00");
    for mid in 1..=3 {
        // The properties are empty.
        connection.send(&publish_packet(0x34, "t", mid, &format!("\0message {mid}")));
    }
    connection.expect(&[ack_packet(0x50, 1), ack_packet(0x50, 2)].concat());
    // Quota exceeded
    let disconnect = connection.expect_packet(0xe0);
    assert_eq!(disconnect[2], 0x97);
    connection.expect_close();
    assert!(ended.next().contains("incoming_limit"));
}

#[test]
fn what_waits_for_an_acknowledgement_by_hand_is_not_kept() {
    let client = small(mqtt::MQTTv311);
    client.manual_ack_set(true);
    let seen = messages(&client);
    let peer = Peer::listen();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let mut connection = accept(&peer, CONNACK);
    for mid in 1..=20 {
        connection.send(&message(mid));
        connection.expect(&ack_packet(0x50, mid));
        connection.send(&ack_packet(0x62, mid));
        assert_eq!(seen.next(), format!("message {mid}"));
    }
    assert_eq!(client.stats().unacknowledged, 20);
    assert!(client.is_connected());
}

#[test]
fn a_message_that_found_a_channel_full_when_its_connection_ended_is_delivered_by_the_next() {
    let client = mqtt::Client::builder("full").clean_session(false).build();
    let channel = client.messages(1);
    let peer = Peer::listen();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let mut connection = accept(&peer, CONNACK);
    connection.send(&publish_packet(0x30, "t", 0, "first"));
    connection.send(&message(1));
    connection.expect(&ack_packet(0x50, 1));
    connection.send(&ack_packet(0x62, 1));
    // The loop has taken the second one, too, and waits for room.
    eventually("both are received", || client.stats().messages_received == 2);
    eventually("the channel is full", || channel.receiver().is_full());
    client.disconnect().unwrap();
    client.loop_stop().unwrap();

    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let mut connection = accept(&peer, RESUMED);
    connection.send(&ack_packet(0x62, 1));
    let next = || channel.recv(PATIENCE).unwrap().payload.to_string();
    assert_eq!(next(), "first");
    assert_eq!(next(), "message 1");
    connection.expect(&ack_packet(0x70, 1));
}
