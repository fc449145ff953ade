//! Publishing: what is accepted, and how it leaves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use callmq::client::{self as mqtt, Delivery, Error, Message, QoS, ReasonCode};

use crate::support::{
    Bench, CONNACK, Events, PATIENCE, Peer, bad_argument, broker_has, eventually, listen, publish_packet,
    published, running, running_with_peer, start,
};

#[test]
fn without_a_loop_a_message_is_written_and_told_before_the_call_returns() {
    let bench = Bench::new("no-loop");
    let seen = Events::new();
    let report = seen.sink();
    bench
        .client
        .on_publish(move |_, mid, reason, _| report((mid, reason.value(), thread::current().id())));
    bench.connect();
    let info = bench.client.publish("t", "x").unwrap();
    assert_eq!(seen.so_far(), [(info.mid, 0, thread::current().id())]);
    assert_eq!(info.delivery(), Delivery::Acknowledged(ReasonCode::SUCCESS));
    assert_eq!(published(&bench.broker, "t"), ["x"]);
}

#[test]
fn payloads_are_text_bytes_numbers_or_nothing() {
    let bench = Bench::new("forms");
    bench.connect();
    let client = &bench.client;
    client.publish("t", "text").unwrap();
    client.publish("t", String::from("owned")).unwrap();
    client.publish("t", b"bytes").unwrap();
    client.publish("t", vec![0x41, 0x42]).unwrap();
    client.publish("t", 42).unwrap();
    client.publish("t", 21.5).unwrap();
    client.publish("t", ()).unwrap();
    client.publish("t", None::<&str>).unwrap();
    client
        .publish_message(Message::new("t", "message").qos(QoS::AtLeastOnce).retain(true))
        .unwrap();
    let expected = ["text", "owned", "bytes", "AB", "42", "21.5", "", "", "message"];
    assert_eq!(published(&bench.broker, "t"), expected);
    assert_eq!(bench.broker.retained("t").as_deref(), Some(&b"message"[..]));
}

/// [3.1.1/MQTT-3.3.1-4] [3.1.1/MQTT-3.3.2-2] [3.1.1/MQTT-4.7.1-1] [3.1.1/MQTT-4.7.3-1] [3.1.1/MQTT-4.7.3-2]
/// [3.1.1/MQTT-4.7.3-3] [5.0/MQTT-3.3.1-4]
#[test]
fn wrong_arguments_are_named_and_nothing_is_sent() {
    let bench = Bench::new("strict");
    bench.connect();
    let client = &bench.client;
    let long = "x".repeat(65_536);
    for topic in ["", "a/+", "#", "a\0b", &long] {
        assert_eq!(bad_argument(client.publish(topic, "x")), "topic", "{:.20}", topic);
    }
    assert_eq!(bad_argument(client.publish_with("t", "x", 3, false)), "qos");
    assert_eq!(bad_argument(client.publish_with("t", "x", -1, false)), "qos");
    assert_eq!(bad_argument(client.publish("t", vec![0; 268_435_456])), "payload");
    let properties = mqtt::Properties::from([mqtt::Property::MessageExpiryInterval(1)]);
    let result = client.publish_message(Message::new("t", "x").properties(properties));
    assert!(matches!(result, Err(Error::NotSupported(_))), "{result:?}");
    assert_eq!(client.stats().messages_sent, 0);
    assert!(bench.broker.published().is_empty());
}

#[test]
fn each_message_of_a_stream_has_its_own_topic_and_flags() {
    let client = mqtt::Client::new("heads");
    let (_peer, mut connection) = running_with_peer(&client);
    // An empty message on an empty topic is like no message before it, also where there was none.
    assert_eq!(bad_argument(client.publish("", "")), "topic");
    for (topic, payload, retain) in [
        ("a", "", false),
        ("a", "", false),
        ("a", "", true),
        ("b", "", true),
        ("b", "x", true),
        ("b", "y", true),
        ("ab", "y", false),
        ("a", "by", false),
        ("a", "by", false),
    ] {
        client.publish_with(topic, payload, 0, retain).unwrap();
        connection.expect(&publish_packet(0x30 | u8::from(retain), topic, 0, payload));
        assert_eq!(bad_argument(client.publish_with("", payload, 0, retain)), "topic");
        assert_eq!(
            bad_argument(client.publish_with("#", payload, 0, retain)),
            "topic"
        );
    }
}

#[test]
fn a_message_of_qos_0_is_refused_without_a_connection() {
    let client = mqtt::Client::new("offline");
    assert!(matches!(client.publish("t", "x"), Err(Error::NotConnected)));
    client.loop_start().unwrap();
    assert!(matches!(client.publish("t", "x"), Err(Error::NotConnected)));
}

#[test]
fn messages_accepted_before_connecting_are_sent_in_their_order() {
    let broker = listen();
    let client = mqtt::Client::new("early");
    let infos: Vec<_> = (0..50)
        .map(|number| client.publish_with("t", number, 1, false).unwrap())
        .collect();
    start(&client, &broker);
    for info in infos {
        info.wait_for_publish(PATIENCE).unwrap();
    }
    let expected: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(published(&broker, "t"), expected);
}

#[test]
fn nothing_is_sent_before_the_answer_where_that_is_asked_for() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("polite");
    client.wait_for_connack_set(true);
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    client.subscribe("t").unwrap();
    let info = client.publish("t", "x").unwrap();
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.expect_silence(Duration::from_millis(20));
    assert_eq!(info.delivery(), Delivery::Queued);
    connection.send(CONNACK);
    let mut first_bytes = [connection.packet()[0], connection.packet()[0]];
    first_bytes.sort_unstable();
    assert_eq!(first_bytes, [0x30, 0x82]);
}

#[test]
fn subscribe_and_publish_follow_connect_at_once_before_mqtt_5() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("eager");
    client.connect(peer.address()).unwrap();
    client.subscribe("t").unwrap();
    client.publish("t", "x").unwrap();
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.expect(b"\x82\x06\x00\x01\x00\x01t\x00");
    connection.expect(b"\x30\x04\x00\x01tx");
}

#[test]
fn threads_that_publish_under_a_lock_which_on_publish_takes_finish() {
    let broker = listen();
    let client = running("locks", &broker);
    let lock = Arc::new(Mutex::new(0));
    let told = Arc::clone(&lock);
    client.on_publish(move |_, _, _, _| *told.lock().unwrap() += 1);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (client, lock) = (client.clone(), Arc::clone(&lock));
            thread::spawn(move || {
                for number in 0..200 {
                    let _locked = lock.lock().unwrap();
                    client.publish_with("t", number, number % 3, false).unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    eventually("every message is told", || *lock.lock().unwrap() == 800);
    broker_has(&broker, "every message", |broker| broker.published().len() == 800);
}

#[test]
fn a_large_message_comes_back_whole() {
    let broker = listen();
    let client = running("large", &broker);
    let messages = client.messages(1);
    client.subscribe(("t", 1)).unwrap().wait(PATIENCE).unwrap();
    let payload: Vec<u8> = (0..2_000_000u32).map(|number| (number % 251) as u8).collect();
    client.publish_with("t", &payload, 1, false).unwrap();
    let message = messages.recv(PATIENCE).unwrap();
    assert!(message.payload == payload.as_slice());
}

#[test]
fn what_the_server_sends_is_not_held_up_by_a_flood() {
    let client = mqtt::Client::new("flood");
    let heard = Arc::new(AtomicBool::new(false));
    let hears = Arc::clone(&heard);
    client.on_message(move |_, _| hears.store(true, Ordering::SeqCst));
    let (_peer, mut connection) = running_with_peer(&client);
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !enough.load(Ordering::SeqCst) {
                    let _ = client.publish("flood", "drop");
                }
            });
        }
        connection.discard(1_000_000);
        connection.send(&publish_packet(0x30, "other", 0, "way"));
        let deadline = Instant::now() + PATIENCE;
        while !heard.load(Ordering::SeqCst) && Instant::now() < deadline {
            connection.discard(10_000);
        }
        enough.store(true, Ordering::SeqCst);
    });
    assert!(heard.load(Ordering::SeqCst), "the loop does nothing but write");
}
