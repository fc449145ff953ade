//! Authenticators of the application, those that fail among them, and SCRAM.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use callmq::client::{
    self as mqtt, AuthStep, Authenticator, Callback, ConnectOptions, Error, Properties, Property, ReasonCode,
};

use crate::authentication::{CONNECT, Seen, auth, auth_properties, auth_with, client, connack, connecting};
use crate::support::{Events, PATIENCE, Peer, bad_argument, callback_failure};

/// The method as a type, and what goes wrong in it.
struct Failing {
    at: &'static str,
    log: Arc<Mutex<Vec<&'static str>>>,
}

impl Authenticator for Failing {
    fn method(&self) -> &str {
        "CR"
    }

    fn start(&mut self) -> mqtt::Result<Option<bytes::Bytes>> {
        self.log.lock().unwrap().push("start");
        match self.at {
            "start" => Err(Error::other("no token")),
            "nothing" => Ok(None),
            _ => Ok(Some("hello".into())),
        }
    }

    fn step(&mut self, reason: ReasonCode, _data: Option<&[u8]>) -> mqtt::Result<AuthStep> {
        self.log.lock().unwrap().push("step");
        match self.at {
            "panic" => panic!("at the disco"),
            "long" => Ok(AuthStep::send(vec![0; 65_536])),
            "done" => Ok(AuthStep::Done),
            "endless" => Ok(AuthStep::Continue(None)),
            _ if reason == ReasonCode::SUCCESS => Ok(AuthStep::Done),
            _ => Ok(AuthStep::Continue(None)),
        }
    }
}

fn failing(at: &'static str) -> (mqtt::Client, Arc<Mutex<Vec<&'static str>>>) {
    let client = mqtt::Client::builder("c").protocol(mqtt::MQTTv5).build();
    let log = Arc::default();
    let authenticator = Failing {
        at,
        log: Arc::clone(&log),
    };
    client.authenticator_set(authenticator).unwrap();
    (client, log)
}

#[test]
fn an_authenticator_that_cannot_start_gives_the_attempt_up() {
    let (client, log) = failing("start");
    let peer = Peer::listen();
    assert_eq!(
        callback_failure(client.connect(peer.address())),
        ("on_auth", "no token".to_owned())
    );
    assert!(peer.accept_within(Duration::from_millis(20)).is_none());
    assert_eq!(*log.lock().unwrap(), ["start"]);
    // Without data and without a step, as for a ticket of the network's.
    let (client, log) = failing("nothing");
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    connection.expect(b"\x10\x13\x00\x04MQTT\x05\x02\x00\x3c\x05\x15\x00\x02CR\x00\x01c");
    connection.send(&auth_with(0x18, Some("CR"), None));
    client.loop_once(PATIENCE).unwrap();
    connection.expect(&auth_with(0x18, Some("CR"), None));
    connection.send(&connack(Some("CR"), None));
    client.wait_for_connect(PATIENCE).unwrap();
    assert_eq!(*log.lock().unwrap(), ["start", "step", "step"]);
}

/// An authenticator that fails ends the connection and is reported as any callback.
#[test]
fn a_failing_step_ends_the_connection() {
    for (at, reply, message) in [
        ("panic", auth(0x18, "x"), "panicked: at the disco"),
        ("done", auth(0x18, "x"), "done, but the server wants another step"),
        (
            "endless",
            connack(Some("CR"), None),
            "another step, but the server is done",
        ),
    ] {
        let (client, _) = failing(at);
        let peer = Peer::listen();
        client.connect(peer.address()).unwrap();
        let mut connection = peer.accept();
        connection.expect(CONNECT);
        connection.send(&reply);
        assert_eq!(
            callback_failure(client.loop_once(PATIENCE)),
            ("on_auth", message.to_owned())
        );
        connection.expect(b"\xe0\x01\x87");
        connection.expect_close();
        assert!(!client.is_connected());
    }
    // Data that no packet can carry.
    let (client, _) = failing("long");
    let peer = Peer::listen();
    let reasons = Events::new();
    let report = reasons.sink();
    client.on_disconnect(move |_, flags, _, _| report(flags.reason.to_string()));
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    connection.expect(CONNECT);
    connection.send(&auth(0x18, "x"));
    client.loop_start().unwrap();
    connection.expect(b"\xe0\x01\x87");
    let reason = reasons.next();
    assert!(reason.contains("longer than 65,535 bytes"), "{reason}");
}

/// The callback may do what any other may: here it disconnects, takes itself back, and asks for what would wait.
///
/// [5.0/MQTT-3.1.2-30]
#[test]
fn the_callback_may_call_anything() {
    let client = mqtt::Client::builder("c").protocol(mqtt::MQTTv5).build();
    client
        .on_auth("CR", |client, reason, _| {
            assert!(matches!(client.loop_once(0), Err(Error::WouldDeadlock(_))));
            if reason == ReasonCode::RE_AUTHENTICATE {
                return AuthStep::send("hello");
            }
            assert!(matches!(client.reauthenticate(), Err(Error::NotConnected)));
            client.publish_with("t", "", 1, false).unwrap();
            client.callback_clear(Callback::OnAuth);
            client.disconnect().unwrap();
            AuthStep::send("too late")
        })
        .unwrap();
    let peer = Peer::listen();
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    connection.expect(CONNECT);
    connection.send(&auth(0x18, "challenge"));
    client.loop_forever().unwrap();
    connection.expect_goodbye();
    // Without an authenticator, CONNECT names no method; one by hand goes out as it is, but cannot be answered for.
    let options = ConnectOptions::new(peer.address())
        .properties(Properties::new().with(Property::AuthenticationMethod("CR".to_owned())));
    client.connect(options).unwrap();
    let mut connection = peer.accept();
    connection.expect(b"\x10\x13\x00\x04MQTT\x05\x02\x00\x3c\x05\x15\x00\x02CR\x00\x01c");
    connection.send(&auth(0x18, "challenge"));
    client.loop_once(PATIENCE).unwrap_err();
    connection.expect(b"\xe0\x01\x87");
}

/// A method that is given twice, a method that is none, and MQTT 3: refused before anything is sent.
#[test]
fn what_cannot_be_sent_is_refused() {
    let (client, _) = client();
    for method in ["", "a\0b", &"x".repeat(65_536)] {
        assert_eq!(
            bad_argument(client.on_auth(method, |_, _, _| AuthStep::Done)),
            "method"
        );
    }
    assert!(matches!(client.reauthenticate(), Err(Error::NotConnected)));
    let peer = Peer::listen();
    let twice = ConnectOptions::new(peer.address())
        .properties(Properties::new().with(Property::AuthenticationMethod("CR".to_owned())));
    assert_eq!(bad_argument(client.connect(twice)), "properties");
    let old = mqtt::Client::new("c");
    old.on_auth("CR", |_, _, _| AuthStep::Done).unwrap();
    assert_eq!(bad_argument(old.connect(peer.address())), "authenticator");
    assert!(matches!(old.reauthenticate(), Err(Error::NotConnected)));
    old.callback_clear(Callback::OnAuth);
    old.connect(peer.address()).unwrap();
}

#[test]
fn secrets_are_in_no_line_and_no_debug_output() {
    let (client, events) = client();
    let lines = Events::new();
    let report = lines.sink();
    client.on_log(move |_, _, line| report(line.to_owned()));
    let (_peer, mut connection) = connecting(&client);
    connection.send(&auth(0x18, "challenge"));
    connection.expect(&auth(0x18, "response"));
    connection.send(&connack(Some("CR"), Some("welcome")));
    while events.next() != Seen::Connected(0) {}
    let lines = lines.so_far();
    assert!(lines.contains(&"Received AUTH Continue authentication".to_owned()));
    assert!(lines.contains(&"Sending AUTH reasonCode=Continue authentication".to_owned()));
    for secret in ["hello", "challenge", "response", "welcome"] {
        assert!(!lines.iter().any(|line| line.contains(secret)), "{lines:?}");
    }
    assert_eq!(format!("{:?}", AuthStep::send("response")), "Continue(Some(..))");
    assert!(!format!("{client:?}").contains("hello"));
}

/// The example of RFC 7677 through the whole client: the proof goes out, the server's signature decides.
///
/// [5.0/MQTT-4.12.0-3] [5.0/MQTT-4.12.0-5]
#[test]
fn scram_convinces_both_sides() {
    const METHOD: Option<&str> = Some("SCRAM-SHA-256");
    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    for (signature, is_right) in [
        ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", true),
        ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", false),
    ] {
        let client = mqtt::Client::builder("c").protocol(mqtt::MQTTv5).build();
        let scram = mqtt::Scram::sha256("user", "pencil").unwrap();
        client
            .authenticator_set(scram.nonces(|| NONCE.to_owned()))
            .unwrap();
        // The iterations take their time where nothing is optimised.
        client.connect_timeout_set(PATIENCE).unwrap();
        let peer = Peer::listen();
        client.connect(peer.address()).unwrap();
        client.loop_start().unwrap();
        let mut connection = peer.accept();
        let mut connect = b"\x10\x40\x00\x04MQTT\x05\x02\x00\x3c".to_vec();
        connect.extend(auth_properties(METHOD, Some(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")));
        connect.extend(b"\x00\x01c");
        connect[1] = connect.len() as u8 - 2;
        connection.expect(&connect);
        let challenge = format!("r={SERVER_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        connection.send(&long_auth(METHOD, &challenge));
        let proof = format!("c=biws,r={SERVER_NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        connection.expect(&long_auth(METHOD, &proof));
        connection.send(&connack(METHOD, Some(signature)));
        if is_right {
            client.wait_for_connect(PATIENCE).unwrap();
            client.loop_stop().unwrap();
        } else {
            connection.expect(b"\xe0\x01\x87");
            assert!(client.wait_for_connect(PATIENCE).is_err());
            assert_eq!(callback_failure(client.loop_stop()).0, "on_auth");
        }
    }
}

/// AUTH 0x18 whose lengths take two bytes or one, as they come.
fn long_auth(method: Option<&str>, data: &str) -> Vec<u8> {
    let length = |length: usize| {
        if length < 128 {
            vec![length as u8]
        } else {
            vec![length as u8 | 0x80, (length >> 7) as u8]
        }
    };
    let mut properties = auth_properties(method, None).split_off(1);
    properties.push(0x16);
    properties.extend((data.len() as u16).to_be_bytes());
    properties.extend(data.as_bytes());
    let mut body = vec![0x18];
    body.extend(length(properties.len()));
    body.extend(properties);
    let mut packet = vec![0xf0];
    packet.extend(length(body.len()));
    packet.extend(body);
    packet
}
