//! What real brokers do that the standard does not ask for, or forbids, played by a scripted peer: a client has to live
//! with it. The brokers that do so are named; those of the matrix do it there as well. That aedes cuts one packet into many
//! WebSocket frames, and that one frame may have many packets, is in `tests/layers/tests/websocket/frames.rs`.

use std::time::Duration;

use callmq::client::{Client, Error, ProtocolVersion, ServerLimit};
use crossbeam_channel::unbounded;
use interop::peer::{CONNACK, CONNACK_V5, Connection, Peer};

fn client(version: ProtocolVersion) -> Client {
    let client = Client::builder("quirky").protocol(version).build();
    client.reconnect_delay_set(0.05, 0.05).unwrap();
    client.reconnect_jitter_set(0.0).unwrap();
    client
}

fn started(client: &Client, peer: &Peer) -> Connection {
    client.connect(peer.address()).unwrap();
    client.loop_start().unwrap();
    let connection = peer.accept_client();
    client.wait_for_connect(5).unwrap();
    connection
}

#[test]
fn a_connack_of_mqtt_3_answers_a_connect_of_mqtt_5() {
    // NATS, ActiveMQ, aedes 1.
    let peer = Peer::listen();
    let client = client(ProtocolVersion::V5);
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(b"\x20\x02\x00\x01");
    match client.wait_for_connect(5) {
        Err(Error::Refused(code)) => assert_eq!(code.to_string(), "Unsupported protocol version"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_broker_that_does_not_know_the_version_closes_without_an_answer() {
    // RabbitMQ with MQTT 5.0, NATS with MQTT 3.1.
    for version in [ProtocolVersion::V5, ProtocolVersion::V31] {
        let peer = Peer::listen();
        let client = client(version);
        client.connect(peer.address()).unwrap();
        let mut connection = peer.accept();
        connection.expect_packet(0x10);
        drop(connection);
        let result = client.wait_for_connect(5);
        assert!(matches!(result, Err(Error::ConnectionClosed)), "{result:?}");
    }
}

#[test]
fn a_puback_ends_a_message_of_qos_2() {
    // RabbitMQ.
    let peer = Peer::listen();
    let client = client(ProtocolVersion::V311);
    let mut connection = started(&client, &peer);
    let info = client.publish_with("t", "x", 2, false).unwrap();
    connection.expect(b"\x34\x06\x00\x01t\x00\x01x");
    connection.send(b"\x40\x02\x00\x01");
    info.wait_for_publish(5).unwrap();
    // And the id is free again, the connection what it was.
    let info = client.publish_with("t", "y", 1, false).unwrap();
    connection.expect_packet(0x32);
    connection.send(&[0x40, 2, 0, info.mid as u8]);
    info.wait_for_publish(5).unwrap();
    assert!(client.is_connected());
}

#[test]
fn less_is_granted_than_was_asked_for() {
    // NATS and RabbitMQ, which have no QoS 2.
    let peer = Peer::listen();
    let client = client(ProtocolVersion::V311);
    let messages = client.messages(10);
    let mut connection = started(&client, &peer);
    let subscription = client.subscribe(("t", 2)).unwrap();
    connection.expect(b"\x82\x06\x00\x01\x00\x01t\x02");
    connection.send(b"\x90\x03\x00\x01\x01");
    let granted = subscription.wait(5).unwrap();
    assert_eq!(granted.iter().map(|code| code.value()).collect::<Vec<_>>(), [1]);
    connection.send(b"\x32\x06\x00\x01t\x00\x07x");
    assert_eq!(messages.recv(5).unwrap().payload, "x");
    connection.expect(b"\x40\x02\x00\x07");
}

#[test]
fn what_the_connack_says_is_not_there_is_refused_here() {
    // mqttools, ejabberd, aedes: Maximum QoS, Retain, Wildcard Subscription and Shared Subscription Available are 0.
    let peer = Peer::listen();
    let client = client(ProtocolVersion::V5);
    client.connect(peer.address()).unwrap();
    client.loop_start().unwrap();
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(b"\x20\x0b\x00\x00\x08\x24\x00\x25\x00\x28\x00\x2a\x00");
    client.wait_for_connect(5).unwrap();
    let published = |qos, retain| client.publish_with("t", "x", qos, retain)?.wait_for_publish(5);
    let subscribed = |filter: &str| client.subscribe((filter, 0))?.wait(5).map(drop);
    for (result, limit) in [
        (published(1, false), ServerLimit::MaximumQoS),
        (published(0, true), ServerLimit::RetainAvailable),
        (subscribed("t/#"), ServerLimit::WildcardSubscriptionAvailable),
        (subscribed("$share/g/t"), ServerLimit::SharedSubscriptionAvailable),
    ] {
        assert!(
            matches!(&result, Err(Error::NotAllowed(by)) if *by == limit),
            "{result:?} instead of {limit:?}"
        );
    }
    // Nothing of it was sent, and what is there works.
    published(0, false).unwrap();
    connection.expect(b"\x30\x05\x00\x01t\x00x");
    assert!(client.is_connected());
}

#[test]
fn messages_come_for_filters_that_this_connection_has_not_subscribed() {
    // ActiveMQ says that there is no session, and goes on with it.
    let peer = Peer::listen();
    let client = client(ProtocolVersion::V311);
    let messages = client.messages(10);
    let mut connection = started(&client, &peer);
    connection.send(b"\x32\x0a\x00\x05other\x00\x07x");
    assert_eq!(messages.recv(5).unwrap().topic, "other");
    connection.expect(b"\x40\x02\x00\x07");
}

#[test]
fn a_message_comes_again_without_dup() {
    // aedes, rmqtt.
    let peer = Peer::listen();
    let client = client(ProtocolVersion::V311);
    let messages = client.messages(10);
    let mut connection = started(&client, &peer);
    for _ in 0..2 {
        connection.send(b"\x32\x06\x00\x01t\x00\x07x");
        assert!(!messages.recv(5).unwrap().dup);
        connection.expect(b"\x40\x02\x00\x07");
    }
    // Of QoS 2 it is the same message until its PUBREL.
    for _ in 0..2 {
        connection.send(b"\x34\x06\x00\x01t\x00\x08y");
        connection.expect(b"\x50\x02\x00\x08");
    }
    connection.send(b"\x62\x02\x00\x08");
    connection.expect(b"\x70\x02\x00\x08");
    assert_eq!(messages.recv(5).unwrap().payload, "y");
    connection.expect_silence(Duration::from_millis(50));
    assert!(messages.try_recv().unwrap().is_none());
}

#[test]
fn a_pubrec_that_says_the_id_is_in_use_ends_the_message_and_not_the_connection() {
    // rmqtt, to a PUBLISH that is sent again.
    let peer = Peer::listen();
    let client = client(ProtocolVersion::V5);
    let mut connection = started(&client, &peer);
    let info = client.publish_with("t", "x", 2, false).unwrap();
    connection.expect(b"\x34\x07\x00\x01t\x00\x01\x00x");
    connection.send(b"\x50\x03\x00\x01\x91");
    assert!(
        matches!(info.wait_for_publish(5), Err(Error::Rejected(code)) if code.value() == 0x91),
        "{info:?}"
    );
    connection.expect_silence(Duration::from_millis(50));
    assert!(client.is_connected());
}

#[test]
fn a_puback_that_says_nobody_listens_is_a_success() {
    // mosquitto, ejabberd.
    let peer = Peer::listen();
    let client = client(ProtocolVersion::V5);
    let (sender, codes) = unbounded();
    client.on_publish(move |_, _, code, _| {
        let _ = sender.send(code.value());
    });
    let mut connection = started(&client, &peer);
    let info = client.publish_with("t", "x", 1, false).unwrap();
    connection.expect_packet(0x32);
    connection.send(b"\x40\x03\x00\x01\x10");
    info.wait_for_publish(5).unwrap();
    assert_eq!(codes.recv_timeout(Duration::from_secs(5)), Ok(0x10));
}

#[test]
fn a_disconnect_from_the_server_before_mqtt_5_ends_the_connection_only() {
    // The broker of the crate mqtt5.
    let peer = Peer::listen();
    let client = client(ProtocolVersion::V311);
    let (sender, ends) = unbounded();
    client.on_disconnect(move |_, flags, _, _| {
        let _ = sender.send(flags.reason.to_string());
    });
    let mut connection = started(&client, &peer);
    connection.send(b"\xe0\x02\x8e\x00");
    let reason = ends.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(reason.contains("the server broke the protocol"), "{reason}");
    connection.expect_close();
    // And the client comes back.
    let _next = peer.accept_client();
    client.wait_for_connect(5).unwrap();
}

#[test]
fn a_server_may_send_a_number_for_a_topic() {
    // rmqtt, rumqttd.
    let peer = Peer::listen();
    let client = Client::builder("quirky")
        .protocol(ProtocolVersion::V5)
        .topic_alias_maximum(10)
        .build();
    let messages = client.messages(10);
    let mut connection = started(&client, &peer);
    connection.send(b"\x30\x08\x00\x01t\x03\x23\x00\x05x");
    connection.send(b"\x30\x07\x00\x00\x03\x23\x00\x05y");
    for payload in ["x", "y"] {
        let message = messages.recv(5).unwrap();
        assert_eq!(
            (message.topic.as_str(), message.payload.decode().unwrap()),
            ("t", payload)
        );
    }
}

#[test]
fn a_server_that_is_not_available_is_asked_again() {
    // rmqtt, while its cluster elects a leader.
    let peer = Peer::listen();
    let client = client(ProtocolVersion::V5);
    client.connect(peer.address()).unwrap();
    client.loop_start().unwrap();
    for _ in 0..2 {
        let mut connection = peer.accept();
        connection.expect_packet(0x10);
        connection.send(b"\x20\x03\x00\x88\x00");
        connection.expect_close();
    }
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(CONNACK_V5);
    client.wait_for_connect(5).unwrap();
}

#[test]
fn a_session_that_was_lost_is_not_missed() {
    // RabbitMQ and ejabberd, when a client goes on at another node: the subscription is made again.
    let peer = Peer::listen();
    let client = Client::builder("quirky").clean_session(false).build();
    client.reconnect_delay_set(0.05, 0.05).unwrap();
    let mut connection = started(&client, &peer);
    client.subscribe(("t", 1)).unwrap();
    connection.expect(b"\x82\x06\x00\x01\x00\x01t\x01");
    connection.send(b"\x90\x03\x00\x01\x01");
    drop(connection);
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(CONNACK);
    let renewed = connection.expect_packet(0x82);
    assert!(renewed.ends_with(b"\x00\x01t\x01"), "{renewed:02x?}");
}
