//! Request and response as they are on the wire, and over lost connections.

use std::thread::{self, JoinHandle};

use callmq::client::{self as mqtt, ConnectOptions, Error, Message, Property, QoS, Resubscribe};

use crate::support::{Connection, Events, PATIENCE, Peer};
use crate::wire_v5::{
    CONNACK_V5, accept_v5, field, packet, publish_v5, running_v5, suback_v5, subscribe_parts,
};

fn v5(client_id: &str) -> mqtt::Client {
    let client = mqtt::Client::builder(client_id).protocol(mqtt::MQTTv5).build();
    client.reconnect_delay_set(0.01, 0.01).unwrap();
    client
}

/// Makes a request in a thread of its own.
fn ask(client: &mqtt::Client, message: Message) -> JoinHandle<mqtt::Result<Message>> {
    let client = client.clone();
    thread::spawn(move || client.request_message(message, PATIENCE))
}

/// A request as it is on the wire.
#[derive(Debug)]
struct Request {
    mid: u16,
    expiry: Vec<u8>,
    response_topic: String,
    correlation: Vec<u8>,
    payload: Vec<u8>,
}

/// Reads a PUBLISH to `t`, whose properties are Message Expiry Interval, Response Topic and Correlation Data.
fn expect_request(connection: &mut Connection, first: u8) -> Request {
    let publish = connection.expect_packet(first);
    let mut rest = &publish[2..];
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at(count);
        rest = left;
        taken.to_vec()
    };
    let number = |bytes: &[u8]| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
    assert_eq!(take(3), b"\x00\x01t");
    let mid = if first & 0b0110 != 0 {
        number(&take(2)) as u16
    } else {
        0
    };
    let length = usize::from(take(1)[0]);
    let expiry = take(5);
    assert_eq!(expiry[0], 0x02);
    assert_eq!(take(1), [0x08]);
    let topic = number(&take(2));
    let response_topic = String::from_utf8(take(topic)).unwrap();
    assert_eq!(take(1), [0x09]);
    let data = number(&take(2));
    let correlation = take(data);
    assert_eq!(length, 5 + 3 + topic + 3 + data);
    Request {
        mid,
        expiry: expiry[1..].to_vec(),
        response_topic,
        correlation,
        payload: rest.to_vec(),
    }
}

fn response(first: u8, request: &Request, mid: u16, payload: &str) -> Vec<u8> {
    let correlation = [b"\x09", &field(&request.correlation)[..]].concat();
    publish_v5(first, &request.response_topic, mid, &correlation, payload)
}

/// Expects the SUBSCRIBE to the response topic. Returns it, and the topic.
fn expect_subscribe(connection: &mut Connection) -> (Vec<u8>, String) {
    let subscribe = connection.expect_packet(0x82);
    let (properties, filter) = subscribe_parts(&subscribe);
    assert!(properties.is_empty());
    assert_eq!(filter.last(), Some(&1), "QoS 1");
    let topic = String::from_utf8(filter[2..filter.len() - 1].to_vec()).unwrap();
    (subscribe, topic)
}

/// The Response Topic is a topic without wildcards.
///
/// [5.0/MQTT-3.3.2-13] [5.0/MQTT-3.3.2-14]
#[test]
fn a_request_leaves_when_its_response_topic_is_granted() {
    let client = v5("me");
    let seen = Events::new();
    let report = seen.sink();
    client.on_subscribe(move |_, _, _, _| report(()));
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    let asked = ask(&client, Message::new("t", "one"));
    let (subscribe, topic) = expect_subscribe(&mut connection);
    connection.expect_silence(std::time::Duration::from_millis(50));
    connection.send(&suback_v5(&subscribe, &[1]));
    let first = expect_request(&mut connection, 0x30);
    assert_eq!((first.payload.as_slice(), first.mid), (&b"one"[..], 0));
    assert_eq!(first.response_topic, topic);
    assert!(topic.starts_with("callmq/response/me/") && !topic.contains(['+', '#']));
    assert_eq!(first.correlation.len(), 16);
    assert_eq!(first.expiry, [0, 0, 0, PATIENCE.as_secs() as u8]);
    // The next one needs no SUBSCRIBE; the responses come in the other order, one of them twice.
    let again = ask(&client, Message::new("t", "two").qos(QoS::AtLeastOnce));
    let second = expect_request(&mut connection, 0x32);
    assert_ne!(first.correlation, second.correlation);
    connection.send(&response(0x32, &second, 7, "2"));
    connection.expect(b"\x40\x02\x00\x07");
    connection.send(&response(0x30, &second, 0, "2"));
    connection.send(&response(0x30, &first, 0, "1"));
    assert_eq!(again.join().unwrap().unwrap().payload, "2");
    assert_eq!(asked.join().unwrap().unwrap().payload, "1");
    assert_eq!(client.stats().late_responses, 1);
    assert!(
        seen.so_far().is_empty(),
        "the subscription is the client's own affair"
    );
}

#[test]
fn a_response_without_correlation_data_or_with_another_is_nobodys() {
    let client = v5("me");
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, message| report(message.payload.to_str_lossy().into_owned()));
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    let asked = ask(&client, Message::new("t", "x"));
    let (subscribe, topic) = expect_subscribe(&mut connection);
    connection.send(&suback_v5(&subscribe, &[1]));
    let request = expect_request(&mut connection, 0x30);
    let mut forged = request.correlation.clone();
    forged[15] ^= 1;
    connection.send(&publish_v5(0x30, &topic, 0, b"", "none"));
    connection.send(&publish_v5(0x30, &topic, 0, b"\x09\x00\x02ab", "short"));
    connection.send(&publish_v5(
        0x30,
        &topic,
        0,
        &[b"\x09", &field(&forged)[..]].concat(),
        "forged",
    ));
    connection.send(&publish_v5(0x30, "elsewhere", 0, b"", "a message"));
    assert_eq!(seen.next(), "a message");
    assert!(!asked.is_finished());
    connection.send(&response(0x30, &request, 0, "right"));
    assert_eq!(asked.join().unwrap().unwrap().payload, "right");
    assert_eq!(client.stats().late_responses, 3);
    assert!(seen.so_far().is_empty());
}

#[test]
fn the_response_topic_is_made_from_what_the_server_offers() {
    let client = v5("me");
    let peer = Peer::listen();
    client.loop_start().unwrap();
    let (host, port) = peer.address();
    let options = ConnectOptions::new(host)
        .port(port)
        .properties(Property::RequestResponseInformation(1).into());
    client.connect(options).unwrap();
    let mut connection = peer.accept();
    connection.expect(b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x02\x19\x01\x00\x02me");
    connection.send(&packet(0x20, b"\x00\x00\x0a\x1a\x00\x07resp/7/"));
    let asked = ask(&client, Message::new("t", "x"));
    let (subscribe, topic) = expect_subscribe(&mut connection);
    assert!(topic.starts_with("resp/7/") && topic.len() > 20, "{topic}");
    connection.send(&suback_v5(&subscribe, &[0]));
    let request = expect_request(&mut connection, 0x30);
    assert_eq!(request.response_topic, topic);
    connection.send(&response(0x30, &request, 0, "y"));
    assert_eq!(asked.join().unwrap().unwrap().payload, "y");
    drop(connection);
    // Another server, another offer.
    let mut connection = accept_v5(&peer, &packet(0x20, b"\x00\x00\x07\x1a\x00\x04else"));
    let left = connection.expect_packet(0xA2);
    assert!(left.ends_with(topic.as_bytes()), "{left:02x?}");
    connection.send(&packet(0xB0, &[left[2], left[3], 0, 0]));
    let asked = ask(&client, Message::new("t", "x"));
    let (subscribe, topic) = expect_subscribe(&mut connection);
    assert!(topic.starts_with("else/"), "{topic}");
    connection.send(&suback_v5(&subscribe, &[0]));
    let request = expect_request(&mut connection, 0x30);
    connection.send(&response(0x30, &request, 0, "z"));
    assert_eq!(asked.join().unwrap().unwrap().payload, "z");
}

#[test]
fn when_the_connection_is_lost_requests_of_qos_1_go_on_waiting() {
    let client = v5("me");
    let (peer, mut connection) = running_v5(&client, CONNACK_V5);
    let fast = ask(&client, Message::new("t", "0"));
    let (subscribe, topic) = expect_subscribe(&mut connection);
    connection.send(&suback_v5(&subscribe, &[1]));
    expect_request(&mut connection, 0x30);
    let safe = ask(&client, Message::new("t", "1").qos(QoS::AtLeastOnce));
    let before = expect_request(&mut connection, 0x32);
    // A later packet shows that the writer knows what it has written.
    client.unsubscribe("mark").unwrap();
    let mark = connection.expect_packet(0xA2);
    connection.send(&packet(0xB0, &[mark[2], mark[3], 0, 0x11]));
    drop(connection);
    assert!(matches!(
        fast.join().unwrap(),
        Err(Error::ConnectionClosed | Error::Io(_))
    ));
    let mut connection = accept_v5(&peer, CONNACK_V5);
    // Its response topic is renewed, and it is sent again: in this order, for the response may come at once.
    let (subscribe, renewed) = expect_subscribe(&mut connection);
    assert_eq!(renewed, topic);
    let request = expect_request(&mut connection, 0x3A);
    assert_eq!(
        (request.mid, &request.correlation),
        (before.mid, &before.correlation)
    );
    // One that is made meanwhile waits for the SUBACK.
    let next = ask(&client, Message::new("t", "2"));
    connection.expect_silence(std::time::Duration::from_millis(50));
    connection.send(&suback_v5(&subscribe, &[1]));
    let second = expect_request(&mut connection, 0x30);
    connection.send(&response(0x30, &request, 0, "one"));
    connection.send(&response(0x30, &second, 0, "two"));
    assert_eq!(safe.join().unwrap().unwrap().payload, "one");
    assert_eq!(next.join().unwrap().unwrap().payload, "two");
}

#[test]
fn the_response_topic_is_renewed_also_where_subscriptions_are_not() {
    let client = v5("me");
    client.resubscribe_set(Resubscribe::Never);
    let (peer, mut connection) = running_v5(&client, CONNACK_V5);
    client.subscribe("other").unwrap();
    let other = connection.expect_packet(0x82);
    connection.send(&suback_v5(&other, &[0]));
    let safe = ask(&client, Message::new("t", "1").qos(QoS::AtLeastOnce));
    let (subscribe, topic) = expect_subscribe(&mut connection);
    connection.send(&suback_v5(&subscribe, &[1]));
    let request = expect_request(&mut connection, 0x32);
    connection.send(&packet(0x40, &request.mid.to_be_bytes()));
    let unanswered = ask(&client, Message::new("t", "2").qos(QoS::AtLeastOnce));
    expect_request(&mut connection, 0x32);
    drop(connection);
    let mut connection = accept_v5(&peer, CONNACK_V5);
    let (subscribe, renewed) = expect_subscribe(&mut connection);
    assert_eq!(renewed, topic);
    let again = expect_request(&mut connection, 0x3A);
    connection.send(&suback_v5(&subscribe, &[1]));
    connection.send(&response(0x30, &request, 0, "one"));
    connection.send(&response(0x30, &again, 0, "two"));
    assert_eq!(safe.join().unwrap().unwrap().payload, "one");
    assert_eq!(unanswered.join().unwrap().unwrap().payload, "two");
}

#[test]
fn a_connection_lost_before_the_suback_costs_no_request() {
    let client = v5("me");
    let (peer, mut connection) = running_v5(&client, CONNACK_V5);
    let asked = ask(&client, Message::new("t", "0"));
    expect_subscribe(&mut connection);
    drop(connection);
    let mut connection = accept_v5(&peer, CONNACK_V5);
    let (subscribe, _) = expect_subscribe(&mut connection);
    connection.send(&suback_v5(&subscribe, &[1]));
    let request = expect_request(&mut connection, 0x30);
    connection.send(&response(0x30, &request, 0, "x"));
    assert_eq!(asked.join().unwrap().unwrap().payload, "x");
}

#[test]
fn a_request_that_the_server_refuses_ends_at_once() {
    let client = v5("me");
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    let asked = ask(&client, Message::new("t", "1").qos(QoS::AtLeastOnce));
    let (subscribe, _) = expect_subscribe(&mut connection);
    connection.send(&suback_v5(&subscribe, &[1]));
    let request = expect_request(&mut connection, 0x32);
    let [high, low] = request.mid.to_be_bytes();
    connection.send(&packet(0x40, &[high, low, 0x87]));
    match asked.join().unwrap() {
        Err(Error::Rejected(reason)) => assert_eq!(reason.value(), 0x87),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_that_the_queue_drops_ends() {
    let queue = mqtt::OfflineQueue {
        max_messages: 1,
        when_full: mqtt::WhenFull::DropNewest,
        ..mqtt::OfflineQueue::default()
    };
    let builder = mqtt::Client::builder("me").protocol(mqtt::MQTTv5);
    let client = builder.offline_queue(queue).build();
    // One message may be under way, and one waits behind it.
    let (_peer, mut connection) = running_v5(&client, b"\x20\x06\x00\x00\x03\x21\x00\x01");
    let first = ask(&client, Message::new("t", "1").qos(QoS::AtLeastOnce));
    let (subscribe, _) = expect_subscribe(&mut connection);
    connection.send(&suback_v5(&subscribe, &[1]));
    let request = expect_request(&mut connection, 0x32);
    client.publish_with("t", "2", 1, false).unwrap();
    match ask(&client, Message::new("t", "3").qos(QoS::AtLeastOnce))
        .join()
        .unwrap()
    {
        Err(Error::Dropped(mqtt::DropReason::QueueFull)) => {}
        other => panic!("{other:?}"),
    }
    connection.send(&response(0x30, &request, 0, "one"));
    assert_eq!(first.join().unwrap().unwrap().payload, "one");
}

#[test]
fn a_request_whose_message_is_taken_back_ends() {
    let client = v5("me");
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    let asked = ask(&client, Message::new("t", "1").qos(QoS::AtLeastOnce));
    let (subscribe, _) = expect_subscribe(&mut connection);
    connection.send(&suback_v5(&subscribe, &[1]));
    expect_request(&mut connection, 0x32);
    assert_eq!(client.drop_out_messages().len(), 1);
    assert!(matches!(
        asked.join().unwrap(),
        Err(Error::Dropped(mqtt::DropReason::Discarded))
    ));
}

/// The reply carries the Correlation Data of the request as it came.
#[test]
fn a_reply_goes_where_the_request_says() {
    let client = v5("answers");
    client.on_message(|client, request| client.reply(request, "pong"));
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    connection.send(&publish_v5(
        0x32,
        "t",
        5,
        b"\x08\x00\x01r\x09\x00\x03\x00\xff\x01",
        "ping",
    ));
    connection.expect(&publish_v5(0x32, "r", 1, b"\x09\x00\x03\x00\xff\x01", "pong"));
    connection.expect(b"\x40\x02\x00\x05");
    connection.send(&publish_v5(0x30, "t", 0, b"\x08\x00\x01r", "ping"));
    connection.expect(&publish_v5(0x30, "r", 0, b"", "pong"));
}
