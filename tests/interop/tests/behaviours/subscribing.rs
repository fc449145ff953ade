//! Section 7: subscribing, and what arrives.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use callmq::client::{Error, Message};
use crossbeam_channel::bounded;
use interop::peer::Peer;
use interop::{BrokerKind, on_each_broker};

use crate::journal::Journal;
use crate::packets::{
    DUP, PUBACK, PUBCOMP, PUBREC, PUBREL, QOS1, QOS2, RETAIN, ack, expect_refusal, new_client, publish,
    publish_bytes, publish_with, started, stepped, suback, subscribe,
};

#[test]
fn b7_01_a_filter_a_filter_with_qos_and_a_list_are_one_packet_each() {
    let peer = Peer::listen();
    let client = new_client("b7");
    let mut connection = stepped(&client, &peer);
    assert_eq!(client.subscribe("t").unwrap().mid, 1);
    connection.expect(&subscribe(1, &[("t", 0)]));
    client.subscribe(("t", 1)).unwrap();
    connection.expect(&subscribe(2, &[("t", 1)]));
    client.subscribe([("a", 0), ("b", 2)]).unwrap();
    connection.expect(&subscribe(3, &[("a", 0), ("b", 2)]));
}

#[test]
fn b7_02_on_subscribe_gets_one_code_for_each_filter() {
    let peer = Peer::listen();
    let client = new_client("b7");
    let journal = Journal::of(&client);
    let mut connection = started(&client, &peer);
    client.subscribe("t").unwrap();
    connection.send(&suback(1, &[0]));
    client.subscribe([("a", 0), ("b", 2), ("c", 1)]).unwrap();
    connection.send(&suback(2, &[0, 2, 128]));
    journal.wait_for("subscribe 2");
    assert_eq!(
        journal.lines()[1..],
        ["subscribe 1 [0]", "subscribe 2 [0, 2, 128]"]
    );
}

#[test]
fn b7_03_wrong_filters_are_refused_and_change_nothing() {
    let peer = Peer::listen();
    let client = new_client("b7");
    let mut connection = stepped(&client, &peer);
    for filter in ["", "a/#/b", "a+", "a#", "a\0b", &"x".repeat(65_536)] {
        let result = client.subscribe(filter);
        assert!(
            matches!(result, Err(Error::InvalidArgument { .. })),
            "{filter:?}: {result:?}"
        );
        let result = client.unsubscribe(filter);
        assert!(
            matches!(result, Err(Error::InvalidArgument { .. })),
            "{filter:?}: {result:?}"
        );
        assert!(
            client.message_callback_add(filter, |_, _| {}).is_err(),
            "{filter:?}"
        );
    }
    assert!(matches!(
        client.subscribe(("t", 3)),
        Err(Error::InvalidArgument { .. })
    ));
    assert!(matches!(
        client.subscribe(Vec::<&str>::new()),
        Err(Error::InvalidArgument { .. })
    ));
    connection.expect_silence(Duration::from_millis(50));
    assert_eq!(client.subscribe("t").unwrap().mid, 1);
}

#[test]
fn b7_04_on_message_gets_every_field() {
    let peer = Peer::listen();
    let client = new_client("b7");
    let (sender, messages) = bounded::<Message>(10);
    client.on_message(move |_, message| drop(sender.send(message.clone())));
    let mut connection = started(&client, &peer);
    connection.send(&publish_bytes(RETAIN, "t1", b"\xff"));
    connection.send(&publish_with(DUP | QOS1, 77, "t2", "x"));
    let first = messages.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!((&*first.topic, &first.payload[..]), ("t1", &b"\xff"[..]));
    assert_eq!(
        (first.qos as u8, first.retain, first.dup, first.mid),
        (0, true, false, 0)
    );
    let second = messages.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!((&*second.topic, &second.payload[..]), ("t2", &b"x"[..]));
    assert_eq!(
        (second.qos as u8, second.retain, second.dup, second.mid),
        (1, false, true, 77)
    );
}

#[test]
fn b7_05_a_message_is_acknowledged_when_on_message_has_returned() {
    let peer = Peer::listen();
    let client = new_client("b7");
    let journal = Journal::new();
    let (go_on, wait) = bounded::<()>(0);
    let j = journal.clone();
    client.on_message(move |_, message| {
        j.note(format!("message {}", message.payload));
        wait.recv_timeout(Duration::from_secs(5)).unwrap();
    });
    let mut connection = started(&client, &peer);

    connection.send(&publish_with(QOS1, 7, "t", "one"));
    journal.wait_for("message one");
    connection.expect_silence(Duration::from_millis(50));
    go_on.send(()).unwrap();
    connection.expect(&ack(PUBACK, 7));

    connection.send(&publish_with(QOS2, 8, "t", "two"));
    connection.expect(&ack(PUBREC, 8));
    assert_eq!(journal.lines(), ["message one"]);
    connection.send(&ack(PUBREL, 8));
    journal.wait_for("message two");
    connection.expect_silence(Duration::from_millis(50));
    go_on.send(()).unwrap();
    connection.expect(&ack(PUBCOMP, 8));
}

#[test]
fn b7_05_a_message_of_qos_2_that_is_sent_twice_is_delivered_once() {
    let peer = Peer::listen();
    let client = new_client("b7");
    let journal = Journal::of(&client);
    let mut connection = started(&client, &peer);
    connection.send(&publish_with(QOS2, 8, "t", "x"));
    connection.expect(&ack(PUBREC, 8));
    connection.send(&publish_with(DUP | QOS2, 8, "t", "x"));
    connection.expect(&ack(PUBREC, 8));
    connection.send(&ack(PUBREL, 8));
    connection.expect(&ack(PUBCOMP, 8));
    connection.send(&publish("t", "end"));
    journal.wait_for("message t end");
    assert_eq!(journal.lines(), ["connect 0", "message t x", "message t end"]);
}

#[test]
fn b7_06_filter_callbacks_come_first_and_on_message_gets_the_rest() {
    let peer = Peer::listen();
    let client = new_client("b7");
    let journal = Journal::of(&client);
    for filter in ["a/#", "a/+", "a/b", "c"] {
        let j = journal.clone();
        client
            .message_callback_add(filter, move |_, message| {
                j.note(format!("{filter} got {}", message.topic))
            })
            .unwrap();
    }
    client.message_callback_remove("c");
    client.message_callback_remove("unknown");
    let mut connection = started(&client, &peer);
    connection.send(&[publish("a/b", "x"), publish("a", "x"), publish("c", "x")].concat());
    journal.wait_for("message c");
    assert_eq!(
        journal.lines()[1..],
        [
            "a/b got a/b",
            "a/+ got a/b",
            "a/# got a/b",
            "a/# got a",
            "message c x"
        ]
    );
}

on_each_broker!(b7_07_only_what_was_retained_before_the_subscription_has_the_retain_flag);
fn b7_07_only_what_was_retained_before_the_subscription_has_the_retain_flag(kind: BrokerKind) {
    let broker = kind.start();
    let client = new_client("b7");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let s = Arc::clone(&seen);
    client.on_message(move |_, message| {
        s.lock()
            .unwrap()
            .push((message.payload.to_string(), message.retain))
    });
    client.connect_and_wait(broker.address(), 5).unwrap();
    client.loop_start().unwrap();
    client
        .publish_with("t", "before", 1, true)
        .unwrap()
        .wait_for_publish(5)
        .unwrap();
    client.subscribe(("t", 1)).unwrap().wait(5).unwrap();
    client
        .publish_with("t", "after", 1, true)
        .unwrap()
        .wait_for_publish(5)
        .unwrap();
    crate::journal::wait_until("both are here", || seen.lock().unwrap().len() == 2);
    assert_eq!(
        *seen.lock().unwrap(),
        [("before".into(), true), ("after".into(), false)]
    );
}

#[test]
fn b7_08_a_topic_that_is_not_utf_8_ends_the_connection() {
    let peer = Peer::listen();
    let client = new_client("b7");
    let journal = Journal::of(&client);
    let mut connection = stepped(&client, &peer);
    // paho-mqtt hands it on, and reading message.topic raises.
    connection.send(b"\x30\x06\x00\x03\xff\xfe\xfdx");
    assert!(matches!(client.loop_once(5), Err(Error::Protocol(_))));
    expect_refusal(&mut connection);
    assert_eq!(journal.count("message"), 0);
}
