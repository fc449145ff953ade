//! The broker that the other tests run against: found or built, started, restarted, ended.

use std::io::{Read, Write};
use std::net::TcpStream;

use interop::mosquitto::{Config, Mosquitto};
use interop::vendored;

const CONNECT: &[u8] = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05probe";

fn connack(broker: &Mosquitto) -> [u8; 4] {
    let mut stream = TcpStream::connect(broker.address()).unwrap();
    stream.write_all(CONNECT).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn a_broker_accepts_connections_and_its_log_is_masked() {
    let broker = Mosquitto::start();
    assert_eq!(connack(&broker), [0x20, 2, 0, 0]);
    broker.wait_for_log("Client probe closed its connection.");
    let expected = [
        "New connection from 127.0.0.1:<port> on port <port>.",
        "New client connected from 127.0.0.1:<port> as probe (p2, c1, k60).",
        "No will message specified.",
        "Sending CONNACK to probe (0, 0)",
        "Client probe closed its connection.",
    ];
    assert_eq!(broker.log(), expected);
}

#[test]
fn a_broker_with_a_password_lets_nobody_in_without() {
    let broker = Config::default().password().start();
    assert_eq!(connack(&broker), [0x20, 2, 0, 5]);
    broker.wait_for_log("Client <unknown> disconnected, not authorised.");
    assert!(
        broker.log()[0].starts_with("New connection"),
        "the log tells only of the test's own connection"
    );
}

#[test]
fn a_broker_comes_back_on_the_same_port() {
    let mut broker = Mosquitto::start();
    let address = broker.address();
    broker.kill();
    assert!(TcpStream::connect(address).is_err(), "the broker is still there");
    broker.restart();
    assert_eq!(broker.address(), address);
    assert_eq!(connack(&broker), [0x20, 2, 0, 0]);
}

#[test]
fn a_broker_ends_with_its_value() {
    let broker = Mosquitto::start();
    let address = broker.address();
    drop(broker);
    assert!(TcpStream::connect(address).is_err(), "the broker is still there");
}

#[test]
fn a_broker_built_from_source_does_the_same() {
    let program = vendored::mosquitto().unwrap();
    let broker = Config::default().program(program.clone()).start();
    assert_eq!(connack(&broker), [0x20, 2, 0, 0]);
    broker.wait_for_log("Client probe closed its connection.");
    assert_eq!(
        broker.log()[1],
        "New client connected from 127.0.0.1:<port> as probe (p2, c1, k60)."
    );
    let broker = Config::default().program(program).password().start();
    assert_eq!(connack(&broker), [0x20, 2, 0, 5]);
}
