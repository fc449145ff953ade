//! The brokers that the other tests run against: found or built, started, restarted, ended.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use interop::mosquitto::Config;
use interop::{Broker, BrokerKind, on_each_broker, vendored};

const CONNECT: &[u8] = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05probe";

fn connack(broker: &dyn Broker) -> [u8; 4] {
    let mut stream = TcpStream::connect(broker.address()).unwrap();
    stream.write_all(CONNECT).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    answer
}

on_each_broker!(a_broker_accepts_connections_and_its_log_is_masked);
fn a_broker_accepts_connections_and_its_log_is_masked(kind: BrokerKind) {
    let broker = kind.start();
    assert_eq!(connack(&*broker), [0x20, 2, 0, 0]);
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

on_each_broker!(a_broker_with_a_password_lets_nobody_in_without);
fn a_broker_with_a_password_lets_nobody_in_without(kind: BrokerKind) {
    let broker = kind.start_with_password();
    assert_eq!(connack(&*broker), [0x20, 2, 0, 5]);
    broker.wait_for_log("Client <unknown> disconnected, not authorised.");
    assert!(
        broker.log()[0].starts_with("New connection"),
        "the log tells only of the test's own connection"
    );
}

/// Nobody serves the port. Somebody else's test may get it for a moment.
fn assert_gone(address: (&str, u16)) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "the broker is still there");
        thread::sleep(Duration::from_millis(20));
    }
}

on_each_broker!(a_broker_comes_back_on_the_same_port);
fn a_broker_comes_back_on_the_same_port(kind: BrokerKind) {
    let mut broker = kind.start();
    let address = broker.address();
    broker.kill();
    assert_gone(address);
    broker.restart();
    assert_eq!(broker.address(), address);
    assert_eq!(connack(&*broker), [0x20, 2, 0, 0]);
}

on_each_broker!(a_broker_ends_with_its_value);
fn a_broker_ends_with_its_value(kind: BrokerKind) {
    let broker = kind.start();
    let address = broker.address();
    drop(broker);
    assert_gone(address);
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
