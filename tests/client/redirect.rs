//! Servers that end a connection: with each code, and with the name of another server.

use std::time::Duration;

use callmq::client::{self as mqtt, Callback, DisconnectReason, Retry};

use crate::support::{Connection, Events, PATIENCE, Peer, running_with_peer};

const ACCEPTED: &[u8] = b"\x20\x03\x00\x00\x00";
const SECOND: Duration = Duration::from_secs(1);

fn client() -> mqtt::Client {
    let client = mqtt::Client::builder("c").protocol(mqtt::MQTTv5).build();
    client.reconnect_delay_set(0.005, 0.005).unwrap();
    client
}

/// Waits for a connection, and reads its CONNECT.
fn accept(peer: &Peer) -> (Connection, Vec<u8>) {
    let mut connection = peer.accept();
    let mut connect = connection.expect_packet(0x10);
    // Clean Start is for the first connection only.
    connect[9] &= !2;
    (connection, connect)
}

/// CONNACK or DISCONNECT with a Server Reference.
fn to(first: u8, code: u8, reference: &str) -> Vec<u8> {
    let mut properties = vec![0x1c];
    properties.extend((reference.len() as u16).to_be_bytes());
    properties.extend(reference.bytes());
    let mut body = if first == 0x20 { vec![0, code] } else { vec![code] };
    body.push(properties.len() as u8);
    body.extend(properties);
    let mut packet = vec![first, body.len() as u8];
    packet.extend(body);
    packet
}

fn name(peer: &Peer) -> String {
    format!("127.0.0.1:{}", peer.port())
}

/// Codes of MQTT 5.0, sections 3.2.2.2 and 3.14.2.1, without success.
const CONNACK_CODES: [u8; 21] = [
    0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a,
    0x9b, 0x9c, 0x9d, 0x9f,
];
const DISCONNECT_CODES: [u8; 29] = [
    0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97,
    0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2, 0x8c,
];
/// After these, coming back soon would change nothing, or do harm.
const SLOW: [u8; 20] = [
    0x84, 0x85, 0x8a, 0x8c, 0x8e, 0x8f, 0x90, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9d, 0x9e, 0x9f,
    0xa1, 0xa2, 0xff,
];
/// These are not, of those above, hopeless; these two are, though an attempt comes soon.
const SLOW_NOT_PERMANENT: [u8; 4] = [0x96, 0x97, 0x98, 0x9f];
const SOON_BUT_PERMANENT: [u8; 2] = [0x86, 0x87];

/// Each code of a CONNACK and of a DISCONNECT is reported once and in full, nothing is sent after it, and the loop goes on.
///
/// [5.0/MQTT-3.2.2-7] [5.0/MQTT-3.2.2-8] [5.0/MQTT-3.14.2-1] [5.0/MQTT-4.13.2-1]
#[test]
fn each_code_that_ends_a_connection() {
    let client = client();
    let asked = Events::new();
    let report = asked.sink();
    client.reconnect_if(move |_, reason, _| {
        report((
            reason.reason_code().value(),
            reason.retry_default(),
            reason.is_permanent(),
        ));
        true
    });
    let told = Events::new();
    let report = told.sink();
    client.on_disconnect(move |_, flags, code, _| {
        let by_disconnect = matches!(flags.reason, DisconnectReason::Server(_));
        report((code.value(), by_disconnect));
    });
    let peer = Peer::listen();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let refused = CONNACK_CODES.iter().map(|&code| (code, false));
    let ended = DISCONNECT_CODES.iter().map(|&code| (code, true));
    for (code, by_disconnect) in refused.chain(ended) {
        let (mut connection, _) = accept(&peer);
        if by_disconnect {
            connection.send(ACCEPTED);
            connection.send(&[0xe0, 1, code]);
        } else {
            connection.send(&[0x20, 3, 0, code, 0]);
        }
        connection.expect_close();
        assert_eq!(told.next(), (code, by_disconnect));
        let slow = SLOW.contains(&code);
        let retry = if slow { Retry::Slow } else { Retry::Backoff };
        let permanent = slow && !SLOW_NOT_PERMANENT.contains(&code) || SOON_BUT_PERMANENT.contains(&code);
        assert_eq!(asked.next(), (code, retry, permanent), "{code:#04x}");
    }
    client.disconnect().ok();
    client.loop_stop().unwrap();
}

/// How long the loop waits: the longest delay where coming back soon is of no use.
#[test]
fn hopeless_codes_wait_for_the_longest_delay() {
    for (code, waits) in [(0x89, false), (0x85, true), (0x8e, true)] {
        let client = client();
        client.reconnect_delay_set(0.01, 600).unwrap();
        let (peer, mut connection) = {
            let peer = Peer::listen();
            client.loop_start().unwrap();
            client.connect(peer.address()).unwrap();
            let (connection, _) = accept(&peer);
            (peer, connection)
        };
        if code == 0x8e {
            connection.send(ACCEPTED);
            connection.send(&[0xe0, 1, code]);
        } else {
            connection.send(&[0x20, 3, 0, code, 0]);
        }
        connection.expect_close();
        let again = peer.accept_within(if waits { SECOND / 5 } else { PATIENCE });
        assert_eq!(again.is_none(), waits, "{code:#04x}");
        client.loop_stop().unwrap();
    }
}

/// 0x9C in a CONNACK and in a DISCONNECT: the server named gets one connection, with the credentials; the next attempt
/// goes to the first one again.
#[test]
fn another_server_for_now() {
    for in_connack in [true, false] {
        let (first, second) = (Peer::listen(), Peer::listen());
        let client = client();
        client.username_pw_set("me", "secret");
        let asked = Events::new();
        let report = asked.sink();
        client.on_redirect(move |client, redirect| {
            assert!(!client.is_connected());
            let servers: Vec<_> = redirect.servers.iter().map(ToString::to_string).collect();
            report((redirect.reason_code.value(), redirect.is_permanent, servers));
            true
        });
        client.reconnect_if(|_, reason, _| {
            assert!(!matches!(reason.reason_code().value(), 0x9c), "it was followed");
            true
        });
        client.loop_start().unwrap();
        client.connect(first.address()).unwrap();
        let (mut connection, connect) = accept(&first);
        let reference = format!("127.0.0.1:1 {}", name(&second));
        if in_connack {
            connection.send(&to(0x20, 0x9c, &reference));
        } else {
            connection.send(ACCEPTED);
            client.wait_for_connect(PATIENCE).unwrap();
            connection.send(&to(0xe0, 0x9c, &reference));
        }
        connection.expect_close();
        let expected = vec!["127.0.0.1:1".to_owned(), name(&second)];
        assert_eq!(asked.next(), (0x9c, false, expected));
        let (mut connection, again) = accept(&second);
        assert_eq!(connect, again, "the same CONNECT, with user name and password");
        connection.send(ACCEPTED);
        client.wait_for_connect(PATIENCE).unwrap();
        drop(connection);
        let _back = accept(&first);
        client.loop_stop().unwrap();
    }
}

/// 0x9D: from then on, until `connect` is called.
#[test]
fn another_server_for_good() {
    let (first, second) = (Peer::listen(), Peer::listen());
    let client = client();
    client.on_redirect(|_, redirect| redirect.is_permanent);
    client.loop_start().unwrap();
    client
        .connect(format!("mqtt://me:secret@{}", name(&first)))
        .unwrap();
    let (mut connection, connect) = accept(&first);
    connection.send(&to(0x20, 0x9d, &name(&second)));
    for _ in 0..3 {
        let (mut connection, again) = accept(&second);
        assert_eq!(connect, again, "the credentials of the URL go along");
        connection.send(ACCEPTED);
        client.wait_for_connect(PATIENCE).unwrap();
    }
    client.connect(first.address()).unwrap();
    let _ = accept(&first);
    client.loop_stop().unwrap();
}

/// Without the callback, where it says no, fails or was taken back, and where the reference makes no sense: a refusal as
/// any other.
#[test]
fn not_without_being_asked_for() {
    let second = Peer::listen();
    type Prepare = fn(&mqtt::Client);
    let cases: [(Prepare, &str, bool); 5] = [
        (|_| {}, "", false),
        (
            |client| {
                client.on_redirect(|_, _| false);
            },
            "",
            false,
        ),
        (
            |client| {
                client.on_redirect(|_, _| panic!("where to?"));
            },
            "",
            true,
        ),
        (
            |client| {
                client.on_redirect(|_, _| true);
                client.callback_clear(Callback::OnRedirect);
            },
            "",
            false,
        ),
        (
            |client| {
                client.on_redirect(|_, _| panic!("there is nothing to ask"));
            },
            "mqtt://h user@h h:x",
            false,
        ),
    ];
    for (prepare, reference, fails) in cases {
        let client = client();
        prepare(&client);
        let reasons = Events::new();
        let report = reasons.sink();
        client.reconnect_if(move |_, reason, _| {
            report(reason.reason_code().value());
            true
        });
        let first = Peer::listen();
        client.loop_start().unwrap();
        client.connect(first.address()).unwrap();
        let (mut connection, _) = accept(&first);
        let named = name(&second);
        let reference = if reference.is_empty() { &named } else { reference };
        connection.send(&to(0x20, 0x9c, reference));
        connection.expect_close();
        assert_eq!(reasons.next(), 0x9c);
        let _again = accept(&first);
        assert!(second.accept_within(Duration::ZERO).is_none());
        assert_eq!(client.loop_stop().is_err(), fails);
    }
}

/// Two servers that send the client to each other: three hops, then it waits as after any failure.
#[test]
fn a_chain_of_servers_is_bounded() {
    let (first, second) = (Peer::listen(), Peer::listen());
    let client = client();
    client.on_redirect(|_, _| true);
    let waits = Events::new();
    let report = waits.sink();
    client.reconnect_if(move |_, reason, attempts| {
        report((reason.reason_code().value(), attempts));
        true
    });
    client.loop_start().unwrap();
    client.connect(first.address()).unwrap();
    // With 0x9D the last server that was followed is the one that is tried again.
    for (round, a, b) in [(0, &first, &second), (1, &second, &first)] {
        for (here, there) in [(a, b), (b, a), (a, b), (b, a)] {
            assert!(waits.so_far().is_empty());
            let (mut connection, _) = accept(here);
            connection.send(&to(0x20, 0x9d, &name(there)));
            connection.expect_close();
        }
        assert_eq!(waits.next(), (0x9d, round));
    }
    drop(client);
}

/// A server of MQTT 3.1.1 cannot send anybody anywhere.
#[test]
fn a_client_of_mqtt_3_is_never_sent_away() {
    let client = mqtt::Client::new("c");
    client.reconnect_delay_set(0.005, 0.005).unwrap();
    client.on_redirect(|_, _| true);
    let (peer, connection) = running_with_peer(&client);
    drop(connection);
    let _again = peer.accept_client();
    client.loop_stop().unwrap();
}
