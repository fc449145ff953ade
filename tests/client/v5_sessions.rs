//! Sessions of MQTT 5.0: clean start, session expiry, session present, and what becomes of messages.

use callmq::client::{self as mqtt, CleanStart, ConnectOptions, Error, ReasonCode};
use callmq::testing::Broker;
use std::time::Duration;

use crate::support::{
    Connection, Events, PATIENCE, Peer, ack_packet, bad_argument, broker_has, eventually, listen, start,
};
use crate::wire_v5::CONNACK_V5;

/// Flags and properties of a CONNECT of MQTT 5.0 with the client id "c" and no user.
fn connect(flags: u8, properties: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x10, 14 + properties.len() as u8];
    packet.extend_from_slice(b"\x00\x04MQTT\x05");
    packet.extend_from_slice(&[flags, 0, 60, properties.len() as u8]);
    packet.extend_from_slice(properties);
    packet.extend_from_slice(b"\x00\x01c");
    packet
}

fn builder() -> mqtt::ClientBuilder {
    mqtt::Client::builder("c").protocol(mqtt::MQTTv5)
}

/// Connects without a loop.
fn connected(client: &mqtt::Client, peer: &Peer, expected: &[u8]) -> Connection {
    client.connect(peer.address()).unwrap();
    accept(client, peer, expected, CONNACK_V5)
}

fn accept(client: &mqtt::Client, peer: &Peer, expected: &[u8], connack: &[u8]) -> Connection {
    let mut connection = peer.accept();
    connection.expect(expected);
    connection.send(connack);
    client.wait_for_connect(PATIENCE).unwrap();
    connection
}

const CLEAN: u8 = 0b10;
const HOUR: [u8; 5] = [0x11, 0x00, 0x00, 0x0e, 0x10];
const FOR_EVER: [u8; 5] = [0x11, 0xff, 0xff, 0xff, 0xff];

/// A session that is to be there later is given a time; no other is.
#[test]
fn clean_start_and_session_expiry_come_in_sane_pairs() {
    let peer = Peer::listen();
    let to = || ConnectOptions::new(peer.address());
    for (client, options, flags, properties) in [
        // Nothing said: as with paho-mqtt.
        (builder(), to(), CLEAN, &[][..]),
        (builder().clean_session(true), to(), CLEAN, &[]),
        (builder().clean_session(false), to(), 0, &FOR_EVER),
        (builder(), to().clean_start(false), 0, &FOR_EVER),
        (builder(), to().clean_start(true), CLEAN, &[]),
        // What is set counts.
        (
            builder().clean_session(false).session_expiry(3600),
            to(),
            0,
            &HOUR,
        ),
        (builder().clean_session(false).session_expiry(0), to(), 0, &[]),
        (
            builder().clean_session(false),
            to().session_expiry(3600),
            0,
            &HOUR,
        ),
        (builder().session_expiry(3600), to(), CLEAN, &HOUR),
        (
            builder().session_expiry(None),
            to().session_expiry(3599.5),
            CLEAN,
            &HOUR,
        ),
        (
            builder().session_expiry(Duration::MAX),
            to().clean_start(CleanStart::FirstOnly),
            CLEAN,
            &FOR_EVER,
        ),
        (
            builder().session_expiry(5),
            to().session_expiry(6)
                .properties(mqtt::Property::SessionExpiryInterval(3600).into()),
            CLEAN,
            &HOUR,
        ),
    ] {
        let client = client.build();
        client.connect(options).unwrap();
        peer.accept().expect(&connect(flags, properties));
    }
}

#[test]
fn the_session_expiry_can_be_set_for_the_next_connection() {
    let peer = Peer::listen();
    let client = builder().build();
    client.connect(peer.address()).unwrap();
    peer.accept().expect(&connect(CLEAN, &[]));
    client.session_expiry_set(3600).unwrap();
    client.reconnect().unwrap();
    peer.accept().expect(&connect(CLEAN, &HOUR));
    client.session_expiry_set(None).unwrap();
    client.reconnect().unwrap();
    peer.accept().expect(&connect(CLEAN, &FOR_EVER));
}

#[test]
fn a_session_expiry_that_cannot_be_is_refused_before_anything_is_sent() {
    assert_eq!(
        bad_argument(builder().build().session_expiry_set(-1)),
        "session_expiry"
    );
    let client = builder().session_expiry(-1).build();
    assert_eq!(bad_argument(client.connect("127.0.0.1")), "session_expiry");
    let options = ConnectOptions::new("127.0.0.1").session_expiry(-1);
    assert_eq!(bad_argument(builder().build().connect(options)), "session_expiry");
    // Settings of MQTT 5.0 with MQTT 3.
    let v3 = || mqtt::Client::builder("c");
    for (client, argument) in [
        (v3().session_expiry(5), "session_expiry"),
        (v3().topic_alias_limit(5), "topic_alias_limit"),
        (v3().topic_alias_maximum(5), "topic_alias_maximum"),
    ] {
        assert_eq!(bad_argument(client.build().connect("127.0.0.1")), argument);
    }
    let options = ConnectOptions::new("127.0.0.1").session_expiry(5);
    assert_eq!(
        bad_argument(v3().build().connect_async(options)),
        "session_expiry"
    );
}

/// As paho-mqtt, but a refusal does not count: no session was begun.
#[test]
fn the_first_connection_starts_afresh_until_one_is_accepted() {
    let peer = Peer::listen();
    let client = builder().session_expiry(3600).build();
    client.connect(peer.address()).unwrap();
    let mut refused = peer.accept();
    refused.expect(&connect(CLEAN, &HOUR));
    refused.send(b"\x20\x03\x00\x88\x00");
    let result = client.wait_for_connect(PATIENCE);
    assert!(matches!(result, Err(Error::Refused(code)) if code == 0x88));

    client.reconnect().unwrap();
    drop(accept(&client, &peer, &connect(CLEAN, &HOUR), CONNACK_V5));
    client.reconnect().unwrap();
    drop(accept(
        &client,
        &peer,
        &connect(0, &HOUR),
        b"\x20\x03\x01\x00\x00",
    ));
    // `connect` begins again.
    drop(connected(&client, &peer, &connect(CLEAN, &HOUR)));
    // With the options of a call that is over nothing is left of them.
    let options = ConnectOptions::new(peer.address()).clean_start(true);
    client.connect(options).unwrap();
    drop(accept(&client, &peer, &connect(CLEAN, &HOUR), CONNACK_V5));
    client.reconnect().unwrap();
    drop(accept(&client, &peer, &connect(CLEAN, &HOUR), CONNACK_V5));
    drop(connected(&client, &peer, &connect(CLEAN, &HOUR)));
    client.reconnect().unwrap();
    drop(accept(&client, &peer, &connect(0, &HOUR), CONNACK_V5));
}

/// The server has a session that it was told to forget. It hears why, once, and so does the application.
///
/// [5.0/MQTT-3.2.2-4] [5.0/MQTT-4.13.2-1]
#[test]
fn a_session_that_was_to_be_forgotten_ends_the_connection() {
    let peer = Peer::listen();
    let client = builder().build();
    client.reconnect_on_failure_set(false);
    let seen = Events::new();
    let report = seen.sink();
    client.on_connect(move |_, flags, reason, _| report(format!("connected {flags:?} {reason}")));
    let report = seen.sink();
    client.on_disconnect(move |_, _, reason, _| report(format!("disconnected {:#x}", reason.value())));
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    connection.expect(&connect(CLEAN, &[]));
    connection.send(b"\x20\x03\x01\x00\x00");
    connection.expect(b"\xe0\x01\x82");
    connection.expect_close();
    assert_eq!(seen.next(), "disconnected 0x82");
    assert!(matches!(client.loop_stop(), Err(Error::Protocol(error)) if error.statement == "MQTT-3.2.2-4"));
    assert!(seen.so_far().is_empty());
}

/// A program that asks for its session accepts the one that an earlier run of it has left.
///
/// [5.0/MQTT-3.2.2-4]
#[test]
fn a_fresh_client_takes_up_the_session_of_an_earlier_one() {
    let broker = listen();
    let first = builder().clean_session(false).build();
    start(&first, &broker);
    first.subscribe(("kept/#", 1)).unwrap().wait(PATIENCE).unwrap();
    first.disconnect().unwrap();
    drop(first);
    let sender = mqtt::Client::new("sender");
    start(&sender, &broker);
    let sent = sender.publish_with("kept/a", "while away", 1, false).unwrap();
    sent.wait_for_publish(PATIENCE).unwrap();

    let second = builder().clean_session(false).build();
    let messages = second.messages(5);
    second.loop_start().unwrap();
    assert!(
        second
            .connect_and_wait(&broker, PATIENCE)
            .unwrap()
            .session_present
    );
    assert_eq!(messages.recv(PATIENCE).unwrap().payload, "while away");
}

/// The goodbye that ends a session, and the one that must not begin one.
#[test]
fn the_goodbye_can_end_the_session() {
    let broker = listen();
    let client = builder().clean_session(false).build();
    start(&client, &broker);
    let expiry = |seconds| mqtt::Property::SessionExpiryInterval(seconds).into();
    client
        .disconnect_with(ReasonCode::NORMAL_DISCONNECTION, expiry(0))
        .unwrap();
    broker_has(&broker, "no client", |broker| {
        broker.connected_clients().is_empty()
    });
    let flags = client.connect_and_wait(&broker, PATIENCE).unwrap();
    assert!(!flags.session_present);

    let client = builder().build();
    start(&client, &broker);
    let refused = client.disconnect_with(ReasonCode::NORMAL_DISCONNECTION, expiry(60));
    assert_eq!(bad_argument(refused), "properties");
    assert!(client.is_connected());
    client
        .disconnect_with(ReasonCode::NORMAL_DISCONNECTION, expiry(0))
        .unwrap();
}

/// The server's word on the expiry is in the properties of `on_connect`.
#[test]
fn the_expiry_that_the_server_chose_is_told() {
    let peer = Peer::listen();
    let client = builder().clean_session(false).build();
    let seen = Events::new();
    let report = seen.sink();
    client.on_connect(move |_, _, _, properties| report(properties.session_expiry_interval()));
    client.connect(peer.address()).unwrap();
    drop(accept(
        &client,
        &peer,
        &connect(0, &FOR_EVER),
        b"\x20\x08\x00\x00\x05\x11\x00\x00\x00\x0a",
    ));
    assert_eq!(seen.next(), Some(10));
}

/// What the application chose for the messages of a lost session happens to them, and it is told of each.
///
/// [5.0/MQTT-3.2.2-5] [5.0/MQTT-4.4.0-1]
#[test]
fn the_policy_for_a_lost_session_is_a_setting() {
    let broker = Broker::builder().listen("127.0.0.1:0").unwrap();
    for by_builder in [true, false] {
        let peer = Peer::listen();
        let client = if by_builder {
            builder().on_session_lost(mqtt::OnSessionLost::ResendQos1Only)
        } else {
            builder()
        };
        let client = client.clean_session(false).build();
        if !by_builder {
            client.on_session_lost_set(mqtt::OnSessionLost::ResendQos1Only);
        }
        let mut connection = connected(&client, &peer, &connect(0, &FOR_EVER));
        let once = client.publish_with("t", "1", 1, false).unwrap();
        let twice = client.publish_with("t", "2", 2, false).unwrap();
        connection.expect(b"\x32\x07\x00\x01t\x00\x01\x001\x34\x07\x00\x01t\x00\x02\x002");
        drop(connection);

        client.reconnect().unwrap();
        let mut connection = accept(&client, &peer, &connect(0, &FOR_EVER), CONNACK_V5);
        connection.expect(b"\x3a\x07\x00\x01t\x00\x01\x001");
        connection.send(&ack_packet(0x40, 1));
        once.wait_for_publish(PATIENCE).unwrap();
        let lost = twice.wait_for_publish(PATIENCE);
        assert!(
            matches!(lost, Err(Error::Dropped(mqtt::DropReason::SessionLost))),
            "{lost:?}"
        );
        let stats = client.stats();
        assert_eq!((stats.messages_dropped, stats.messages_resent), (1, 1));
    }
    drop(broker);
}

#[test]
fn subscriptions_are_renewed_as_the_builder_says() {
    let broker = listen();
    for (policy, renewed) in [
        (mqtt::Resubscribe::Never, false),
        (mqtt::Resubscribe::IfSessionLost, true),
    ] {
        let client = builder().resubscribe(policy).build();
        start(&client, &broker);
        client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
        client.reconnect().unwrap();
        client.wait_for_connect(PATIENCE).unwrap();
        let messages = client.messages(2);
        client.subscribe("end").unwrap().wait(PATIENCE).unwrap();
        client.publish("t", "x").unwrap();
        client.publish("end", "x").unwrap();
        let first = messages.recv(PATIENCE).unwrap().topic;
        assert_eq!(first == "t", renewed);
        client.disconnect().unwrap();
        eventually("the client is gone", || broker.connected_clients().is_empty());
    }
}
