//! What is so before MQTT 5.0 only:
//!
//! - b2_18, b2_19: a refusal that tells the version or the client id is not wanted has a second attempt. MQTT 5.0 lets the
//!   server choose a client id.
//! - b2_23: the default is MQTT 3.1.1, and a lasting session needs a client id.
//! - b4_11: the program that is run speaks MQTT 3.1.1.
//! - b6_07: requests follow CONNECT at once. In MQTT 5.0 they wait until the CONNACK has told what the server allows:
//!   `only_v5.rs`.

use callmq::client::{self as mqtt, Error};
use interop::peer::Peer;
#[cfg(unix)]
use interop::{BrokerKind, on_each_broker};

use crate::journal::{AT_ONCE, Journal, timed};
use crate::packets::{
    self, CONNACK, QOS1, QOS2, builder, new_client, publish, publish_with, soon_back, stepped, subscribe,
};

#[test]
fn b2_18_a_server_that_does_not_know_mqtt_3_1_1_is_asked_again_with_3_1() {
    let peer = Peer::listen();
    let client = new_client("b2");
    let journal = Journal::of(&client);
    client.connect(peer.address()).unwrap();
    client.loop_start().unwrap();
    let mut first = peer.accept();
    first.expect(&packets::connect("b2"));
    first.send(&[0x20, 2, 0, 1]);
    let (mut second, took) = timed(|| peer.accept());
    second.expect(b"\x10\x10\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x02b2");
    second.send(CONNACK);
    journal.wait_for("connect 0");
    assert!(took < AT_ONCE, "the second attempt waited {took:?}");
    assert_eq!(journal.lines(), ["connect 0"]);
}

#[test]
fn b2_19_an_empty_client_id_that_is_refused_is_replaced_by_a_random_one() {
    let peer = Peer::listen();
    let client = soon_back("");
    let journal = Journal::of(&client);
    client.connect(peer.address()).unwrap();
    client.loop_start().unwrap();
    let mut first = peer.accept();
    first.expect(&packets::connect(""));
    first.send(&[0x20, 2, 0, 2]);
    let mut second = peer.accept();
    let connect = second.expect_packet(0x10);
    let id = &connect[14..];
    assert!(
        (1..=23).contains(&id.len()) && id.iter().all(u8::is_ascii_alphanumeric),
        "{connect:02x?}"
    );
    second.send(CONNACK);
    journal.wait_for("connect 0");
    assert_eq!(journal.lines(), ["connect 0"]);
    drop(second);
    // It is kept from then on.
    peer.accept().expect(&connect);
}

#[test]
fn b2_23_a_client_has_a_clean_session_sixty_seconds_and_mqtt_3_1_1_by_default() {
    let peer = Peer::listen();
    let client = new_client("b2");
    client.connect(peer.address()).unwrap();
    peer.accept()
        .expect(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02b2");

    let nameless = builder("").clean_session(false).build();
    let error = nameless.connect(peer.address()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::InvalidArgument {
                argument: "client_id",
                ..
            }
        ),
        "{error:?}"
    );

    let stepped_by_hand = builder("b2").protocol(mqtt::MQTTv31).build();
    let _connection = stepped(&stepped_by_hand, &peer);
}

#[cfg(unix)]
on_each_broker!(b4_11_a_signal_ends_the_program_without_a_goodbye);
#[cfg(unix)]
fn b4_11_a_signal_ends_the_program_without_a_goodbye(kind: BrokerKind) {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::time::Duration;

    use interop::program::{Program, example};

    let broker = kind.start();
    let program = Program::start(
        &mut Command::new(example("t1_receive_forever")),
        broker.port(),
        Vec::new(),
    );
    broker.wait_for_log("Sending SUBACK to foo1");
    // Not SIGINT: whoever runs the tests in the background of a shell has it ignored, and their children with it.
    let ended = Command::new("sh")
        .args(["-c", &format!("kill -TERM {}", program.id())])
        .status()
        .unwrap();
    assert!(ended.success());
    assert_eq!(program.wait(Duration::from_secs(5)).status.signal(), Some(15));
    broker.wait_for_log("Client foo1 closed its connection.");
}

#[test]
fn b6_07_between_connect_and_connack_everything_is_written_at_once() {
    let peer = Peer::listen();
    let client = new_client("b6");
    client.connect(peer.address()).unwrap();
    client.publish("t", "0").unwrap();
    client.publish_with("t", "1", 1, false).unwrap();
    client.subscribe("t").unwrap();
    client.publish_with("t", "2", 2, false).unwrap();
    let mut connection = peer.accept();
    connection.expect(&packets::connect("b6"));
    connection.expect(&publish("t", "0"));
    connection.expect(&publish_with(QOS1, 2, "t", "1"));
    connection.expect(&subscribe(3, &[("t", 0)]));
    connection.expect(&publish_with(QOS2, 4, "t", "2"));
}
