//! Subscribing, and which callback gets a message.

use callmq::client::{self as mqtt, Error, QoS, Resubscribe, SubscribeOptions};
use callmq::testing::Broker;

use crate::support::{
    Bench, CONNACK, Events, PATIENCE, Peer, ack_packet, bad_argument, broker_has, connect_to, eventually,
    listen, publish_packet, running, running_with_peer, start,
};

fn subscribes(broker: &Broker) -> usize {
    broker
        .log()
        .iter()
        .filter(|line| line.starts_with("Received SUBSCRIBE"))
        .count()
}

fn filters(broker: &Broker, client_id: &str) -> Vec<(String, u8)> {
    let subscriptions = broker.subscriptions(client_id).into_iter();
    subscriptions
        .map(|subscription| (subscription.filter, subscription.options.qos as u8))
        .collect()
}

/// Waits until the second connection is there and what the client does by itself then is done.
fn back_again(client: &mqtt::Client) {
    eventually("it is back", || client.stats().connects == 2);
    client.loop_stop().unwrap();
}

#[test]
fn filters_come_alone_with_a_qos_or_in_a_list() {
    let bench = Bench::new("forms");
    bench.connect();
    let client = &bench.client;
    let codes = |request: mqtt::SubscribeInfo| -> Vec<u8> {
        let codes = request.wait(PATIENCE).unwrap();
        codes.iter().map(|code| code.value()).collect()
    };
    assert_eq!(codes(client.subscribe("a").unwrap()), [0]);
    assert_eq!(codes(client.subscribe(("b", 1)).unwrap()), [1]);
    assert_eq!(codes(client.subscribe([("c", 0), ("d", 2)]).unwrap()), [0, 2]);
    assert_eq!(codes(client.subscribe(["e", "f"]).unwrap()), [0, 0]);
    assert_eq!(
        codes(client.subscribe(vec![("g/#", QoS::AtLeastOnce)]).unwrap()),
        [1]
    );
    let options = SubscribeOptions::from(QoS::ExactlyOnce);
    assert_eq!(codes(client.subscribe(("h", options)).unwrap()), [2]);
    let granted: Vec<_> = filters(&bench.broker, "forms")
        .into_iter()
        .map(|(_, qos)| qos)
        .collect();
    assert_eq!(granted, [0, 1, 0, 2, 0, 0, 1, 2]);
    assert_eq!(subscribes(&bench.broker), 6, "a list is one packet");
}

/// [3.1.1/MQTT-3.8.3-3] [3.1.1/MQTT-3-8.3-4] [3.1.1/MQTT-3.10.3-2] [3.1.1/MQTT-4.7.1-2] [3.1.1/MQTT-4.7.1-3]
/// [3.1.1/MQTT-4.7.3-1] [3.1.1/MQTT-4.7.3-2] [3.1.1/MQTT-4.7.3-3]
#[test]
fn wrong_filters_are_named_and_nothing_is_sent() {
    let bench = Bench::new("strict");
    bench.connect();
    let client = &bench.client;
    for filter in ["", "a/#/b", "a+", "#b", "a\0b", &"x".repeat(65_536)] {
        assert_eq!(bad_argument(client.subscribe(filter)), "filter", "{filter:.20}");
        assert_eq!(bad_argument(client.unsubscribe(filter)), "filter", "{filter:.20}");
        assert_eq!(
            bad_argument(client.message_callback_add(filter, |_, _| {})),
            "filter",
            "{filter:.20}"
        );
        assert_eq!(
            bad_argument(client.subscribe_with(filter, |_, _| {})),
            "filter",
            "{filter:.20}"
        );
    }
    assert_eq!(bad_argument(client.subscribe(("a", 3))), "qos");
    assert!(matches!(
        client.subscribe(Vec::<String>::new()),
        Err(Error::InvalidArgument { .. })
    ));
    assert!(matches!(
        client.unsubscribe(Vec::<String>::new()),
        Err(Error::InvalidArgument { .. })
    ));
    assert_eq!(subscribes(&bench.broker), 0);
}

#[test]
fn on_subscribe_and_on_unsubscribe_get_the_id_of_the_request_and_its_codes() {
    let broker = listen();
    let client = running("told", &broker);
    let seen = Events::new();
    let report = seen.sink();
    client.on_subscribe(move |_, mid, codes, _| {
        report((
            "subscribed",
            mid,
            codes.iter().map(|code| code.value()).collect::<Vec<_>>(),
        ));
    });
    let report = seen.sink();
    client.on_unsubscribe(move |_, mid, codes, _| {
        report((
            "unsubscribed",
            mid,
            codes.iter().map(|code| code.value()).collect(),
        ));
    });
    let request = client.subscribe([("a", 1), ("b", 2)]).unwrap();
    assert_eq!(seen.next(), ("subscribed", request.mid, vec![1, 2]));
    assert!(request.is_answered());
    let request = client.unsubscribe(["a", "b"]).unwrap();
    assert_eq!(seen.next(), ("unsubscribed", request.mid, vec![]));
    assert!(request.wait(PATIENCE).unwrap().is_empty());
    assert!(filters(&broker, "told").is_empty());
}

#[test]
fn a_request_can_be_waited_for_with_a_deadline_and_in_select() {
    let client = mqtt::Client::new("waits");
    let (_peer, mut connection) = running_with_peer(&client);
    let request = client.subscribe(("t", 1)).unwrap();
    assert!(!request.is_answered());
    assert!(matches!(request.wait(0.02), Err(Error::Timeout)));
    let finished = request.finished();
    connection.expect_packet(0x82);
    connection.send(&[0x90, 3, 0, request.mid as u8, 0x80]);
    assert!(finished.recv_timeout(PATIENCE).unwrap().is_ok());
    let codes = request.wait(PATIENCE).unwrap();
    assert!(codes[0].is_failure());
}

#[test]
fn a_message_has_everything_that_came_with_it() {
    let client = mqtt::Client::new("looks");
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, message| report(message.clone()));
    let (_peer, mut connection) = running_with_peer(&client);
    connection.send(&publish_packet(0x3b, "a/b", 513, "x"));
    let message = seen.next();
    assert_eq!((message.topic.as_str(), message.mid), ("a/b", 513));
    assert_eq!(
        (message.qos, message.retain, message.dup),
        (QoS::AtLeastOnce, true, true)
    );
    assert_eq!(message.payload, "x");
    connection.expect(&ack_packet(0x40, 513));
    connection.send(&publish_packet(0x30, "t", 0, ""));
    let message = seen.next();
    assert_eq!(
        (message.mid, message.qos, message.retain, message.dup),
        (0, QoS::AtMostOnce, false, false)
    );
    assert!(message.payload.is_empty());
}

#[test]
fn a_message_of_qos_2_is_handed_out_once_at_its_release() {
    let client = mqtt::Client::new("exactly");
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, message| report(message.payload.to_str_lossy().into_owned()));
    let (_peer, mut connection) = running_with_peer(&client);
    connection.send(&publish_packet(0x34, "t", 7, "x"));
    connection.expect(&ack_packet(0x50, 7));
    connection.send(&publish_packet(0x3c, "t", 7, "x"));
    connection.expect(&ack_packet(0x50, 7));
    assert_eq!(seen.so_far(), Vec::<String>::new());
    connection.send(&ack_packet(0x62, 7));
    connection.expect(&ack_packet(0x70, 7));
    connection.send(&ack_packet(0x62, 7));
    connection.expect(&ack_packet(0x70, 7));
    assert_eq!(seen.so_far(), ["x"]);
}

#[test]
fn a_subscription_made_offline_is_sent_with_the_connection() {
    for protocol in [mqtt::MQTTv311, mqtt::MQTTv5] {
        let broker = listen();
        let client = mqtt::Client::builder("early").protocol(protocol).build();
        let first = client.subscribe([("a", 1), ("b", 0)]).unwrap();
        let second = client.subscribe("c").unwrap();
        client.unsubscribe("b").unwrap();
        start(&client, &broker);
        broker_has(&broker, "the subscriptions", |broker| {
            filters(broker, "early") == [("a".to_owned(), 1), ("c".to_owned(), 0)]
        });
        second.wait(PATIENCE).unwrap();
        first.wait(PATIENCE).unwrap();
    }
}

#[test]
fn subscriptions_are_renewed_when_the_server_has_lost_the_session() {
    for (policy, clean, expected) in [
        (Resubscribe::IfSessionLost, true, true),
        (Resubscribe::IfSessionLost, false, false),
        (Resubscribe::Always, false, true),
        (Resubscribe::Never, true, false),
    ] {
        let broker = listen();
        let client = mqtt::Client::builder("renews").clean_session(clean).build();
        client.resubscribe_set(policy);
        client.reconnect_delay_set(0.01, 0.01).unwrap();
        start(&client, &broker);
        client
            .subscribe([("a", 1), ("b", 2), ("gone", 0)])
            .unwrap()
            .wait(PATIENCE)
            .unwrap();
        client.unsubscribe("gone").unwrap().wait(PATIENCE).unwrap();
        assert!(broker.disconnect_client("renews"));
        back_again(&client);
        client.subscribe("mark").unwrap().wait(PATIENCE).unwrap();
        let renewed = subscribes(&broker) - 2;
        assert_eq!(
            renewed > 0,
            expected,
            "{policy:?}, clean {clean}: {:#?}",
            broker.log()
        );
        let kept = filters(&broker, "renews");
        let gone_with_the_session = clean && !expected;
        let expected = if gone_with_the_session { 1 } else { 3 };
        assert_eq!(kept.len(), expected, "{policy:?}, clean {clean}: {kept:?}");
    }
}

#[test]
fn a_filter_that_the_server_refused_is_not_asked_for_again() {
    let broker = Broker::builder()
        .deny_subscribe("secret/#")
        .listen("127.0.0.1:0")
        .unwrap();
    let client = mqtt::Client::new("refused");
    client.reconnect_delay_set(0.01, 0.01).unwrap();
    start(&client, &broker);
    let codes = client
        .subscribe(["open", "secret/t"])
        .unwrap()
        .wait(PATIENCE)
        .unwrap();
    assert_eq!(
        codes.iter().map(|code| code.value()).collect::<Vec<_>>(),
        [0, 128]
    );
    assert!(broker.disconnect_client("refused"));
    back_again(&client);
    client.subscribe("mark").unwrap().wait(PATIENCE).unwrap();
    let log = broker.log().join("\n");
    assert_eq!(log.matches("\topen (QoS 0)").count(), 2, "{log}");
    assert_eq!(log.matches("secret/t (QoS 0)").count(), 1, "{log}");
}

#[test]
fn a_renewed_subscription_has_no_callback_but_its_messages_come() {
    let client = mqtt::Client::new("quiet");
    client.reconnect_delay_set(0.01, 0.01).unwrap();
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, message| report(message.payload.to_str_lossy().into_owned()));
    let (peer, mut connection) = running_with_peer(&client);
    client.subscribe(("t", 1)).unwrap();
    connection.expect_packet(0x82);
    connection.send(b"\x90\x03\x00\x01\x01");
    drop(connection);
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(CONNACK);
    let request = connection.expect_packet(0x82);
    assert!(request.ends_with(b"\x00\x01t\x01"), "{request:02x?}");
    connection.send(&[0x90, 3, request[2], request[3], 1]);
    connection.send(&publish_packet(0x30, "t", 0, "x"));
    assert_eq!(seen.next(), "x");
}

#[test]
fn callbacks_of_filters_come_before_on_message() {
    let bench = Bench::new("filters");
    let seen = Events::new();
    let report = |name: &'static str| {
        let sink = seen.sink();
        move |_: &mqtt::Client, message: &mqtt::Message| sink((name, message.topic.to_string()))
    };
    let client = &bench.client;
    client.on_message(report("on_message"));
    client.message_callback_add("a/#", report("a/#")).unwrap();
    client.message_callback_add("a/+", report("replaced")).unwrap();
    client.message_callback_add("a/+", report("a/+")).unwrap();
    client.message_callback_add("a/b", report("a/b")).unwrap();
    client
        .message_callback_add("$share/group/s", report("s"))
        .unwrap();
    client.message_callback_add("gone", report("gone")).unwrap();
    client.message_callback_remove("gone");
    client.message_callback_remove("never there");
    client.subscribe("#").unwrap();
    bench.connect();
    let of = |topic: &str| {
        client.publish(topic, "x").unwrap();
        bench.settle();
        let names: Vec<_> = seen.so_far().into_iter().map(|(name, _)| name).collect();
        names
    };
    assert_eq!(of("a/b"), ["a/b", "a/+", "a/#"]);
    assert_eq!(of("a/b/c"), ["a/#"]);
    assert_eq!(of("a"), ["a/#"]);
    assert_eq!(of("s"), ["s"]);
    assert_eq!(of("gone"), ["on_message"]);
    assert_eq!(of("b"), ["on_message"]);
}

#[test]
fn subscribe_with_subscribes_and_calls_the_callback() {
    let bench = Bench::new("with");
    let seen = Events::new();
    let client = &bench.client;
    let report = seen.sink();
    client.on_message(move |_, _| report("on_message"));
    let report = seen.sink();
    client.subscribe_with("a", move |_, _| report("first")).unwrap();
    let report = seen.sink();
    client
        .subscribe_with([("a", 1), ("b", 1)], move |_, _| report("second"))
        .unwrap();
    bench.connect();
    bench.settle();
    let of = |topic: &str| {
        client.publish(topic, "x").unwrap();
        bench.settle();
        let mut names = seen.so_far();
        names.sort_unstable();
        names
    };
    assert_eq!(of("a"), ["first", "second"], "they stand side by side");
    assert_eq!(of("b"), ["second"]);
    client.message_callback_remove("a");
    assert_eq!(of("a"), ["on_message"]);
    client.unsubscribe("b").unwrap();
    assert_eq!(of("b"), Vec::<&str>::new());
}

#[test]
fn a_filters_callback_may_remove_and_replace_itself() {
    let bench = Bench::new("itself");
    let seen = Events::new();
    let client = &bench.client;
    client.subscribe("#").unwrap();
    let (first, second, rest) = (seen.sink(), seen.sink(), seen.sink());
    client.on_message(move |_, _| rest("on_message"));
    client
        .message_callback_add("t", move |client, _| {
            first("first");
            let second = second.clone();
            client.message_callback_add("t", move |client, _| {
                second("second");
                client.message_callback_remove("t");
            })
        })
        .unwrap();
    bench.connect();
    for _ in 0..3 {
        client.publish("t", "x").unwrap();
        bench.settle();
    }
    assert_eq!(seen.so_far(), ["first", "second", "on_message"]);
}

#[test]
fn unsubscribing_stops_the_messages() {
    let bench = Bench::new("stops");
    let seen = Events::new();
    let report = seen.sink();
    bench
        .client
        .on_message(move |_, message| report(message.topic.to_string()));
    bench.connect();
    bench
        .client
        .subscribe(["a", "b"])
        .unwrap()
        .wait(PATIENCE)
        .unwrap();
    bench.client.unsubscribe("a").unwrap().wait(PATIENCE).unwrap();
    for topic in ["a", "b"] {
        bench.broker.publish(topic, "x", 0, false).unwrap();
    }
    bench.settle();
    assert_eq!(seen.so_far(), ["b"]);
}

#[test]
fn a_request_without_an_answer_ends_when_the_client_is_gone() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("gone");
    let connection = connect_to(&client, &peer);
    let request = client.subscribe("t").unwrap();
    drop(client);
    drop(connection);
    assert!(matches!(request.wait(PATIENCE), Err(Error::Dropped(_))));
    assert!(request.is_answered() || request.finished().try_recv().is_ok());
}
