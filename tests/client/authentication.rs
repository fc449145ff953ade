//! Enhanced authentication (MQTT 5.0, section 4.12), against a peer that speaks bytes: what goes over the line. What the
//! application has a part in is in `authenticators`.

use std::time::{Duration, Instant};

use callmq::client::{self as mqtt, AuthStep, DisconnectReason, Error, ReasonCode};

use crate::support::{Connection, Events, PATIENCE, Peer, callback_failure, eventually};

/// The properties of an authentication.
pub(crate) fn auth_properties(method: Option<&str>, data: Option<&[u8]>) -> Vec<u8> {
    let mut properties = Vec::new();
    for (identifier, value) in [(0x15, method.map(str::as_bytes)), (0x16, data)] {
        if let Some(value) = value {
            properties.push(identifier);
            properties.extend((value.len() as u16).to_be_bytes());
            properties.extend(value);
        }
    }
    assert!(properties.len() < 100, "the lengths must fit into one byte");
    let mut all = vec![properties.len() as u8];
    all.extend(properties);
    all
}

/// AUTH with the method "CR".
pub(crate) fn auth(reason: u8, data: &str) -> Vec<u8> {
    auth_with(reason, Some("CR"), Some(data))
}

pub(crate) fn auth_with(reason: u8, method: Option<&str>, data: Option<&str>) -> Vec<u8> {
    let properties = auth_properties(method, data.map(str::as_bytes));
    let mut packet = vec![0xf0, properties.len() as u8 + 1, reason];
    packet.extend(properties);
    packet
}

/// CONNACK that accepts.
pub(crate) fn connack(method: Option<&str>, data: Option<&str>) -> Vec<u8> {
    let properties = auth_properties(method, data.map(str::as_bytes));
    let mut packet = vec![0x20, properties.len() as u8 + 2, 0, 0];
    packet.extend(properties);
    packet
}

/// What the client reported.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Step(u8, Option<String>),
    Connected(u8),
    Disconnected(u8, String),
}

/// A client of MQTT 5.0 with the method "CR": hello, challenge, response, welcome.
pub(crate) fn client() -> (mqtt::Client, Events<Seen>) {
    let client = mqtt::Client::builder("c").protocol(mqtt::MQTTv5).build();
    client.reconnect_delay_set(0.005, 0.005).unwrap();
    let events = Events::new();
    let report = events.sink();
    client
        .on_auth("CR", move |client, reason, data| {
            assert!(!client.is_connected() || data != Some(b"welcome"));
            let text = data.map(|data| String::from_utf8_lossy(data).into_owned());
            report(Seen::Step(reason.value(), text));
            match data {
                None if reason == ReasonCode::RE_AUTHENTICATE => Ok(AuthStep::send("hello")),
                Some(b"challenge") => Ok(AuthStep::send("response")),
                Some(b"welcome" | b"again") if reason == ReasonCode::SUCCESS => Ok(AuthStep::Done),
                _ => Err(Error::other("not the right server")),
            }
        })
        .unwrap();
    let report = events.sink();
    client.on_connect(move |_, _, reason, _| report(Seen::Connected(reason.value())));
    let report = events.sink();
    client.on_disconnect(move |_, flags, reason, _| {
        report(Seen::Disconnected(reason.value(), flags.reason.to_string()));
    });
    (client, events)
}

fn step(reason: u8, data: &str) -> Seen {
    Seen::Step(reason, Some(data.to_owned()))
}

const START: Seen = Seen::Step(0x19, None);

/// CONNECT of that client.
pub(crate) const CONNECT: &[u8] =
    b"\x10\x1b\x00\x04MQTT\x05\x02\x00\x3c\x0d\x15\x00\x02CR\x16\x00\x05hello\x00\x01c";

pub(crate) fn connecting(client: &mqtt::Client) -> (Peer, Connection) {
    let peer = Peer::listen();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    connection.expect(CONNECT);
    (peer, connection)
}

fn connected() -> (mqtt::Client, Events<Seen>, Peer, Connection) {
    let (client, events) = client();
    let (peer, mut connection) = connecting(&client);
    connection.send(&connack(Some("CR"), Some("welcome")));
    assert_eq!([events.next(), events.next()], [START, step(0, "welcome")]);
    assert_eq!(events.next(), Seen::Connected(0));
    (client, events, peer, connection)
}

/// CONNECT names the method, each AUTH of the client has the reason 0x18 and the same method, and until the CONNACK
/// nothing else is sent, whatever was published and subscribed.
///
/// AUTH carries neither a reason string nor user properties, so they cannot make it too large.
///
/// [5.0/MQTT-3.1.2-30] [5.0/MQTT-3.2.0-1] [5.0/MQTT-3.15.1-1] [5.0/MQTT-3.15.2-1] [5.0/MQTT-3.15.2-2]
/// [5.0/MQTT-3.15.2-3] [5.0/MQTT-4.12.0-2] [5.0/MQTT-4.12.0-3] [5.0/MQTT-4.12.0-5]
#[test]
fn an_exchange_comes_before_everything_else() {
    let (client, events) = client();
    let (_peer, mut connection) = connecting(&client);
    client.publish_with("t", "early", 1, false).unwrap();
    client.subscribe("f").unwrap();
    for _ in 0..2 {
        connection.send(&auth(0x18, "challenge"));
        connection.expect(&auth(0x18, "response"));
    }
    connection.expect_silence(Duration::from_millis(30));
    assert!(!client.is_connected());
    connection.send(&connack(Some("CR"), Some("welcome")));
    connection.expect(b"\x82\x07\x00\x02\x00\x00\x01f\x00");
    connection.expect(b"\x32\x0b\x00\x01t\x00\x01\x00early");
    let seen = events.so_far();
    let expected = [
        START,
        step(0x18, "challenge"),
        step(0x18, "challenge"),
        step(0, "welcome"),
        Seen::Connected(0),
    ];
    assert_eq!(seen, expected);
    client.loop_stop().unwrap();
}

/// The data of the CONNACK prove who the server is: before the authenticator has said so, nothing has taken effect, and
/// where it says no the connection was never made.
///
/// [5.0/MQTT-3.14.4-1] [5.0/MQTT-3.14.4-2] [5.0/MQTT-4.12.0-5]
#[test]
fn a_server_that_proves_nothing_is_left_with_not_authorized() {
    let (client, events) = client();
    let (peer, mut connection) = connecting(&client);
    let mut wrong = connack(Some("CR"), Some("wellcome"));
    // Assigned Client Identifier "evil".
    wrong.extend(b"\x12\x00\x04evil");
    wrong[1] += 7;
    wrong[4] += 7;
    connection.send(&wrong);
    connection.expect(b"\xe0\x01\x87");
    connection.expect_close();
    assert_eq!([events.next(), events.next()], [START, step(0, "wellcome")]);
    let text = "authentication failed: on_auth failed: not the right server";
    assert_eq!(events.next(), Seen::Disconnected(0x87, text.to_owned()));
    assert_eq!(client.client_id(), "c");
    assert_eq!(client.stats().connects, 0);
    // The next attempt is a new exchange.
    let mut connection = peer.accept();
    connection.expect(CONNECT);
    assert_eq!(events.next(), START);
    connection.send(&connack(Some("CR"), Some("welcome")));
    assert_eq!(
        [events.next(), events.next()],
        [step(0, "welcome"), Seen::Connected(0)]
    );
    assert_eq!(
        callback_failure(client.loop_stop()),
        ("on_auth", "not the right server".to_owned())
    );
}

#[test]
fn waiting_for_the_connection_hears_of_it() {
    let (client, _events) = client();
    let peer = Peer::listen();
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    connection.expect(CONNECT);
    connection.send(&connack(Some("CR"), Some("?")));
    match client.wait_for_connect(PATIENCE) {
        Err(Error::Callback { callback, .. }) => assert_eq!(callback, "on_auth"),
        other => panic!("{other:?}"),
    }
    assert!(!client.is_connected());
}

/// Whatever breaks the rules of the exchange is answered with DISCONNECT and its code.
///
/// [5.0/MQTT-3.15.1-1] [5.0/MQTT-3.15.2-1] [5.0/MQTT-4.12.0-2] [5.0/MQTT-4.12.0-5] [5.0/MQTT-4.12.0-6]
/// [5.0/MQTT-4.13.2-1]
#[test]
fn a_server_out_of_step_is_told_so() {
    let cases: [(&str, Vec<u8>, u8); 10] = [
        ("another method", auth_with(0x18, Some("CX"), Some("x")), 0x8c),
        ("no method", auth_with(0x18, None, None), 0x82),
        ("success before CONNACK", auth(0x00, "welcome"), 0x82),
        ("short success before CONNACK", b"\xf0\x00".to_vec(), 0x82),
        ("the client's reason", auth(0x19, "x"), 0x82),
        ("an unknown reason", auth(0x17, "x"), 0x82),
        ("flags", b"\xf1\x00".to_vec(), 0x81),
        (
            "CONNACK of another method",
            connack(Some("CX"), Some("welcome")),
            0x8c,
        ),
        ("CONNACK without method", connack(None, None), 0x82),
        ("not an answer", b"\xd0\x00".to_vec(), 0x82),
    ];
    for (what, bytes, code) in cases {
        let (client, events) = client();
        let (_peer, mut connection) = connecting(&client);
        connection.send(&bytes);
        connection.expect(&[0xe0, 1, code]);
        connection.expect_close();
        assert_eq!(events.next(), START);
        match events.next() {
            Seen::Disconnected(seen, text) => {
                assert_eq!(seen, code, "{what}");
                assert!(
                    text.starts_with("the server broke the protocol"),
                    "{what}: {text}"
                );
            }
            other => panic!("{what}: {other:?}"),
        }
        client.loop_stop().unwrap();
    }
}

/// AUTH that was not asked for: no method in CONNECT, before or after the CONNACK, or no re-authentication under way;
/// in MQTT 3.1.1 there is no such packet.
///
/// [3.1.1/MQTT-4.8.0-1] [5.0/MQTT-4.12.0-6] [5.0/MQTT-4.12.0-7]
#[test]
fn auth_that_was_not_asked_for_ends_the_connection() {
    for (version, accepted) in [
        (mqtt::MQTTv5, false),
        (mqtt::MQTTv5, true),
        (mqtt::MQTTv311, true),
    ] {
        let v5 = version == mqtt::MQTTv5;
        let client = mqtt::Client::builder("c").protocol(version).build();
        let reasons = Events::new();
        let report = reasons.sink();
        client.on_disconnect(move |_, flags, _, _| report(flags.reason));
        let peer = Peer::listen();
        client.loop_start().unwrap();
        client.connect(peer.address()).unwrap();
        let mut connection = peer.accept();
        connection.expect_packet(0x10);
        if accepted {
            connection.send(if v5 {
                b"\x20\x03\x00\x00\x00"
            } else {
                b"\x20\x02\x00\x00"
            });
            client.wait_for_connect(PATIENCE).unwrap();
        }
        assert!(client.reauthenticate().is_err());
        connection.send(&auth(0x18, "challenge"));
        if v5 {
            connection.expect(b"\xe0\x01\x82");
        }
        connection.expect_close();
        assert!(matches!(reasons.next(), DisconnectReason::Protocol(_)));
        client.loop_stop().unwrap();
    }
    let (client, events, _peer, mut connection) = connected();
    connection.send(&auth(0x18, "challenge"));
    connection.expect(b"\xe0\x01\x82");
    connection.expect_close();
    assert!(matches!(events.next(), Seen::Disconnected(0x82, _)));
    drop(client);
}

/// The server gives up: nothing is sent on the connection any more.
///
/// [5.0/MQTT-3.2.2-7]
#[test]
fn a_refusal_in_the_middle_is_a_refusal() {
    let (client, events) = client();
    let (_peer, mut connection) = connecting(&client);
    connection.send(&auth(0x18, "challenge"));
    connection.expect(&auth(0x18, "response"));
    let mut all = b"\x20\x03\x00\x87\x00".to_vec();
    // AUTH behind the refusal is not answered.
    all.extend(auth(0x18, "challenge"));
    connection.send(&all);
    connection.expect_close();
    assert_eq!([events.next(), events.next()], [START, step(0x18, "challenge")]);
    assert_eq!(events.next(), Seen::Connected(0x87));
    assert!(matches!(events.next(), Seen::Disconnected(0x87, _)));
    client.loop_stop().unwrap();
}

/// Re-authentication with 0x19 and the method of the CONNECT, while messages go both ways; success ends it.
///
/// [5.0/MQTT-4.12.1-1]
#[test]
fn other_traffic_goes_on_during_a_reauthentication() {
    let (client, events, _peer, mut connection) = connected();
    let again = client.reauthenticate().unwrap();
    assert_eq!(events.next(), START);
    connection.expect(&auth(0x19, "hello"));
    assert!(!again.is_done());
    assert!(matches!(again.wait(0), Err(Error::Timeout)));
    assert!(matches!(client.reauthenticate(), Err(Error::InvalidState(_))));
    let received = Events::new();
    let report = received.sink();
    client.on_message(move |_, message| report(message.topic.to_string()));
    connection.send(b"\x30\x04\x00\x01t\x00");
    assert_eq!(received.next(), "t");
    client.publish("u", "").unwrap();
    connection.expect(b"\x30\x04\x00\x01u\x00");
    connection.send(&auth(0x18, "challenge"));
    connection.expect(&auth(0x18, "response"));
    connection.send(&auth(0x00, "again"));
    again.wait(PATIENCE).unwrap();
    assert!(again.is_done() && client.is_connected());
    assert_eq!(
        [events.next(), events.next()],
        [step(0x18, "challenge"), step(0, "again")]
    );
    // Over: another one may follow, also one that the server takes without a step.
    let again = client.reauthenticate().unwrap();
    connection.expect(&auth(0x19, "hello"));
    connection.send(&auth(0x00, "again"));
    again.wait(PATIENCE).unwrap();
    client.loop_stop().unwrap();
}

/// A re-authentication that fails, here or there, ends the connection.
///
/// [5.0/MQTT-4.12.1-2]
#[test]
fn a_reauthentication_that_fails_ends_the_connection() {
    // The server proves nothing.
    let (client, events, _peer, mut connection) = connected();
    let again = client.reauthenticate().unwrap();
    connection.expect(&auth(0x19, "hello"));
    connection.send(&auth(0x00, "?"));
    connection.expect(b"\xe0\x01\x87");
    connection.expect_close();
    assert!(matches!(again.wait(PATIENCE), Err(Error::Callback { .. })));
    assert_eq!([events.next(), events.next()], [START, step(0, "?")]);
    assert!(matches!(events.next(), Seen::Disconnected(0x87, _)));
    drop(client);
    // The server is not convinced.
    let (client, _events, _peer, mut connection) = connected();
    let again = client.reauthenticate().unwrap();
    connection.expect(&auth(0x19, "hello"));
    connection.send(b"\xe0\x01\x87");
    connection.expect_close();
    match again.wait(PATIENCE) {
        Err(Error::ServerDisconnect(code)) => assert_eq!(code, 0x87),
        other => panic!("{other:?}"),
    }
    drop(client);
    // Another method.
    let (client, _events, _peer, mut connection) = connected();
    let again = client.reauthenticate().unwrap();
    connection.expect(&auth(0x19, "hello"));
    connection.send(&auth_with(0, Some("CX"), None));
    connection.expect(b"\xe0\x01\x8c");
    connection.expect_close();
    assert!(matches!(again.wait(PATIENCE), Err(Error::Protocol(_))));
    drop(client);
}

/// The CONNACK deadline covers the whole exchange, and a re-authentication gets as long: no step extends it.
#[test]
fn an_exchange_that_goes_on_for_ever_does_not() {
    let (client, events) = client();
    client.connect_timeout_set(0.4).unwrap();
    let (_peer, mut connection) = connecting(&client);
    let begun = Instant::now();
    let mut steps = 0;
    loop {
        std::thread::sleep(Duration::from_millis(30));
        connection.send(&auth(0x18, "challenge"));
        if connection.packet_within(PATIENCE).is_none() {
            break;
        }
        steps += 1;
        assert!(begun.elapsed() < PATIENCE && steps < 60);
    }
    loop {
        match events.next() {
            Seen::Step(..) => {}
            other => {
                assert!(matches!(other, Seen::Disconnected(0x8d, _)), "{other:?}");
                break;
            }
        }
    }
    drop(client);

    let (client, events) = self::client();
    client.connect_timeout_set(0.2).unwrap();
    let (_peer, mut connection) = connecting(&client);
    connection.send(&connack(Some("CR"), Some("welcome")));
    eventually("it is connected", || client.is_connected());
    let again = client.reauthenticate().unwrap();
    connection.expect(&auth(0x19, "hello"));
    connection.expect(b"\xe0\x01\x87");
    connection.expect_close();
    assert!(matches!(again.wait(PATIENCE), Err(Error::Timeout)));
    let text = "authentication failed: timed out".to_owned();
    eventually("it is told", || {
        events.so_far().contains(&Seen::Disconnected(0x87, text.clone()))
    });
}

/// A flood of steps is given up long before the deadline.
#[test]
fn a_storm_of_steps_is_bounded() {
    let (client, events) = client();
    client.connect_timeout_set(600).unwrap();
    let (_peer, mut connection) = connecting(&client);
    for _ in 0..64 {
        connection.send(&auth(0x18, "challenge"));
        connection.expect(&auth(0x18, "response"));
    }
    connection.send(&auth(0x18, "challenge"));
    connection.expect(b"\xe0\x01\x97");
    connection.expect_close();
    eventually("it is told", || {
        matches!(events.so_far().pop(), Some(Seen::Disconnected(0x97, _)))
    });
    // All at once: they are taken one by one, each with its answer.
    let (client, _events) = self::client();
    let (_peer, mut connection) = connecting(&client);
    connection.send(&auth(0x18, "challenge").repeat(65));
    for _ in 0..64 {
        connection.expect(&auth(0x18, "response"));
    }
    connection.expect(b"\xe0\x01\x97");
    drop(client);
}
