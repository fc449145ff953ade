//! `callmq::publish` and `callmq::subscribe`: everything in one call.

use std::thread;
use std::time::{Duration, Instant};

use callmq::client::{self as mqtt, Error, Message, QoS, ReasonCode};
use callmq::testing::Broker;
use callmq::{publish, subscribe};

use crate::support::{Events, PATIENCE, Peer, broker_has, listen, published};

/// Waits until the one client of the broker has subscribed to the filter.
fn subscribed(broker: &Broker, filter: &str) {
    broker_has(broker, "the subscription", |broker| {
        let clients = broker.connected_clients();
        let mut subscriptions = clients.iter().flat_map(|client| broker.subscriptions(client));
        subscriptions.any(|subscription| subscription.filter == filter)
    });
}

#[test]
fn a_single_message_is_with_the_broker_when_the_call_returns() {
    for broker in [listen(), Broker::new()] {
        publish::single("house/light", "on", &broker).unwrap();
        assert_eq!(published(&broker, "house/light"), ["on"]);
        let log = broker.log().join("\n");
        assert!(log.contains("Received DISCONNECT"), "{log}");
    }
}

#[test]
fn several_messages_arrive_in_their_order() {
    let broker = listen();
    publish::multiple([("t", "1"), ("t", "2"), ("t", "3")], &broker).unwrap();
    let mixed = [("t", 4, 2, true), ("t", 5, 0, false), ("t", 6, 1, false)];
    publish::multiple(mixed, &broker).unwrap();
    publish::multiple(vec![Message::new("t", "7").qos(QoS::AtLeastOnce)], &broker).unwrap();
    assert_eq!(published(&broker, "t"), ["1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(broker.retained("t").as_deref(), Some(&b"4"[..]));
}

#[test]
fn more_messages_than_the_window_holds_arrive_as_well() {
    let broker = listen();
    publish::multiple((0..500).map(|number| ("t", number, number % 3)), &broker).unwrap();
    let expected: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    assert_eq!(published(&broker, "t"), expected);
}

#[test]
fn a_large_message_is_written_whole() {
    let broker = listen();
    publish::single("t", vec![b'x'; 3_000_000], &broker).unwrap();
    broker_has(&broker, "the message", |broker| !broker.published().is_empty());
    assert_eq!(broker.published()[0].payload.len(), 3_000_000);
}

#[test]
fn options_say_how_to_publish() {
    let broker = Broker::builder()
        .anonymous(false)
        .user("user", "secret")
        .listen("127.0.0.1:0")
        .unwrap();
    let options = publish::Options::new()
        .client_id("once")
        .auth("user", "secret")
        .will("w", "gone", 1, true)
        .protocol(mqtt::MQTTv5)
        .timeout(PATIENCE)
        .qos(2)
        .retain(true);
    options.single("t", "x", &broker).unwrap();
    let publish = &broker.published()[0];
    assert_eq!(publish.qos, QoS::ExactlyOnce);
    assert_eq!(broker.retained("t").as_deref(), Some(&b"x"[..]));
    let log = broker.log().join("\n");
    assert!(log.contains("as once (p5, c1, k60, u'user')"), "{log}");
    assert_eq!(published(&broker, "w"), Vec::<String>::new(), "it said goodbye");
    assert!(!format!("{options:?}").contains("secret"));
}

#[test]
fn a_url_may_name_the_user() {
    let broker = Broker::builder()
        .anonymous(false)
        .user("user", "secret")
        .listen("127.0.0.1:0")
        .unwrap();
    let url = format!("mqtt://user:secret@127.0.0.1:{}", broker.port());
    publish::single("t", "x", url).unwrap();
    assert_eq!(published(&broker, "t"), ["x"]);
}

#[test]
fn wrong_arguments_are_refused_before_anything_is_connected() {
    let broker = listen();
    let many = |messages: &[(&'static str, &'static str, i32)]| publish::multiple(messages.to_vec(), &broker);
    let argument = |result: mqtt::Result<()>| match result {
        Err(Error::InvalidArgument { argument, .. }) => argument,
        other => panic!("{other:?}"),
    };
    assert_eq!(argument(publish::single("a/+", "x", &broker)), "topic");
    assert_eq!(argument(publish::single("t", "x", "")), "host");
    assert_eq!(argument(many(&[])), "messages");
    assert_eq!(argument(many(&[("t", "good", 1), ("t", "bad", 3)])), "qos");
    let options = publish::Options::new().qos(3).timeout(-1);
    assert_eq!(
        argument(options.single("t", "x", &broker)),
        "qos",
        "the first mistake"
    );
    let options = publish::Options::new().timeout(-1);
    assert_eq!(argument(options.single("t", "x", &broker)), "timeout");
    let options = publish::Options::new().will("w/#", "x", 0, false);
    assert_eq!(argument(options.single("t", "x", &broker)), "topic");
    let properties = [mqtt::Property::MessageExpiryInterval(5)];
    let message = Message::new("t", "x").properties(mqtt::Properties::from(properties));
    let result = publish::multiple([message], &broker);
    assert!(matches!(result, Err(Error::NotSupported(_))), "{result:?}");

    let argument = |result: mqtt::Result<Vec<Message>>| match result {
        Err(Error::InvalidArgument { argument, .. }) => argument,
        other => panic!("{other:?}"),
    };
    assert_eq!(argument(subscribe::simple_n("a/#/b", 1, &broker)), "filter");
    assert_eq!(argument(subscribe::simple_n("a", 0, &broker)), "count");
    assert_eq!(argument(subscribe::simple_n(("a", 3), 1, &broker)), "qos");
    assert_eq!(
        broker
            .log()
            .iter()
            .filter(|line| line.contains("New connection"))
            .count(),
        0
    );
}

#[test]
fn a_refused_connection_is_the_error() {
    let broker = Broker::builder().anonymous(false).listen("127.0.0.1:0").unwrap();
    let refused = |result: mqtt::Result<()>| match result {
        Err(Error::Refused(code)) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(publish::single("t", "x", &broker)),
        ReasonCode::NOT_AUTHORIZED
    );
    assert_eq!(
        refused(subscribe::simple("t", &broker).map(drop)),
        ReasonCode::NOT_AUTHORIZED
    );
    assert_eq!(
        refused(subscribe::callback(|_, _| {}, "t", &broker)),
        ReasonCode::NOT_AUTHORIZED
    );
}

#[test]
fn a_broker_that_is_not_there_is_the_error() {
    let port = listen().port();
    let result = publish::single("t", "x", ("127.0.0.1", port));
    assert!(matches!(result, Err(Error::Io(_))), "{result:?}");
}

#[test]
fn a_message_that_the_server_refuses_is_the_error() {
    let broker = Broker::builder()
        .deny_publish("secret/#")
        .listen("127.0.0.1:0")
        .unwrap();
    let options = publish::Options::new().protocol(mqtt::MQTTv5).qos(1);
    let result = options.single("secret/t", "x", &broker);
    assert!(
        matches!(&result, Err(Error::Rejected(code)) if *code == ReasonCode::NOT_AUTHORIZED),
        "{result:?}"
    );
}

#[test]
fn a_silent_peer_is_given_up_in_time() {
    let peer = Peer::listen();
    let started = Instant::now();
    let address = peer.address();
    let publish = move || {
        publish::Options::new()
            .timeout(0.2)
            .qos(1)
            .single("t", "x", address)
    };
    let publishing = thread::spawn(publish);
    // It connects, but nobody accepts the client.
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    assert!(matches!(
        publishing.join().unwrap(),
        Err(Error::Timeout | Error::KeepAliveTimeout)
    ));
    // Here it accepts, but does not acknowledge.
    let publishing = thread::spawn(publish);
    let mut connection = peer.accept_client();
    connection.expect_packet(0x32);
    assert!(matches!(publishing.join().unwrap(), Err(Error::Timeout)));
    connection.expect_goodbye();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn the_true_reason_of_a_lost_connection_is_the_error() {
    let peer = Peer::listen();
    let publishing = thread::spawn({
        let address = peer.address();
        move || publish::Options::new().qos(1).single("t", "x", address)
    });
    let mut connection = peer.accept_client();
    connection.expect_packet(0x32);
    drop(connection);
    let result = publishing.join().unwrap();
    assert!(matches!(result, Err(Error::ConnectionClosed)), "{result:?}");

    let receiving = thread::spawn({
        let address = peer.address();
        move || subscribe::simple("t", address)
    });
    let mut connection = peer.accept_client();
    connection.expect_packet(0x82);
    // No packet begins like this.
    connection.send(b"\x00\x00");
    let result = receiving.join().unwrap();
    assert!(matches!(result, Err(Error::Protocol(_))), "{result:?}");
}

#[test]
fn simple_returns_the_retained_message_or_passes_over_it() {
    let broker = listen();
    broker.publish("t", "kept", 1, true).unwrap();
    let message = subscribe::simple(("t", 1), &broker).unwrap();
    assert_eq!((message.topic.as_str(), message.retain), ("t", true));
    assert_eq!(message.payload, "kept");

    thread::scope(|scope| {
        let receiving = scope.spawn(|| subscribe::Options::new().retained(false).simple("t", &broker));
        subscribed(&broker, "t");
        broker.publish("t", "fresh", 0, false).unwrap();
        assert_eq!(receiving.join().unwrap().unwrap().payload, "fresh");
    });
}

#[test]
fn simple_n_returns_messages_of_several_topics_in_order() {
    let broker = listen();
    thread::scope(|scope| {
        let receiving = scope.spawn(|| subscribe::simple_n(["a", "b"], 3, &broker));
        subscribed(&broker, "b");
        for (topic, payload) in [
            ("a", "1"),
            ("b", "2"),
            ("c", "not asked for"),
            ("a", "3"),
            ("b", "4"),
        ] {
            broker.publish(topic, payload, 0, false).unwrap();
        }
        let messages = receiving.join().unwrap().unwrap();
        let payloads: Vec<_> = messages
            .iter()
            .map(|message| message.payload.to_str_lossy())
            .collect();
        assert_eq!(payloads, ["1", "2", "3"]);
    });
}

#[test]
fn messages_that_are_not_returned_stay_with_the_server() {
    let broker = listen();
    let options = subscribe::Options::new()
        .client_id("lasting")
        .clean_session(false);
    broker.publish("t/0", "first", 1, true).unwrap();
    assert_eq!(options.simple(("t/#", 1), &broker).unwrap().payload, "first");
    for number in 1..=5 {
        broker.publish(&format!("t/{number}"), number, 1, false).unwrap();
    }
    let fresh = options.retained(false);
    let payloads = |count| {
        let messages = fresh.simple_n(("t/#", 1), count, &broker).unwrap();
        let texts = messages
            .iter()
            .map(|message| message.payload.to_str_lossy().into_owned());
        texts.collect::<Vec<_>>()
    };
    assert_eq!(payloads(2), ["1", "2"]);
    assert_eq!(payloads(3), ["3", "4", "5"]);
}

#[test]
fn simple_gives_up_when_no_message_comes() {
    let broker = listen();
    let started = Instant::now();
    let result = subscribe::Options::new().timeout(0.1).simple("t", &broker);
    assert!(matches!(result, Err(Error::Timeout)), "{result:?}");
    let took = started.elapsed();
    assert!(
        took >= Duration::from_millis(100) && took < Duration::from_secs(5),
        "{took:?}"
    );
}

#[test]
fn a_refused_filter_is_the_error() {
    let broker = Broker::builder()
        .deny_subscribe("secret/#")
        .listen("127.0.0.1:0")
        .unwrap();
    for options in [
        subscribe::Options::new(),
        subscribe::Options::new().protocol(mqtt::MQTTv5),
    ] {
        let result = options.simple(["open", "secret/t"], &broker);
        assert!(
            matches!(&result, Err(Error::Rejected(code)) if code.is_failure()),
            "{result:?}"
        );
        let result = options.callback(|_, _| {}, "secret/t", &broker);
        assert!(
            matches!(&result, Err(Error::Rejected(code)) if code.is_failure()),
            "{result:?}"
        );
    }
}

#[test]
fn the_callback_gets_messages_until_it_disconnects() {
    let broker = listen();
    let seen = Events::new();
    let report = seen.sink();
    thread::scope(|scope| {
        let receiving = scope.spawn(|| {
            let callback = move |client: &mqtt::Client, message: &Message| {
                report(message.payload.to_str_lossy().into_owned());
                if message.payload == "last" {
                    client.disconnect()?;
                }
                Ok(())
            };
            subscribe::callback(callback, ("t", 1), &broker)
        });
        subscribed(&broker, "t");
        for payload in ["first", "second", "last"] {
            broker.publish("t", payload, 1, false).unwrap();
        }
        receiving.join().unwrap().unwrap();
        assert_eq!(seen.so_far(), ["first", "second", "last"]);
    });
}

#[test]
fn the_callback_may_disconnect_at_a_message_that_comes_before_the_answer() {
    let peer = Peer::listen();
    let receiving = thread::spawn({
        let address = peer.address();
        move || subscribe::callback(|client, _| client.disconnect(), "t", address)
    });
    let mut connection = peer.accept_client();
    connection.expect_packet(0x82);
    connection.send(b"\x30\x04\x00\x01tx");
    connection.expect_goodbye();
    receiving.join().unwrap().unwrap();
}

#[test]
fn the_callbacks_failure_is_the_error() {
    let broker = listen();
    broker.publish("t", "x", 0, true).unwrap();
    let result = subscribe::callback(|_, _| Err::<(), _>(Error::other("enough")), "t", &broker);
    match result {
        Err(Error::Callback { callback, message }) => {
            assert_eq!((callback, &*message), ("on_message", "enough"));
        }
        other => panic!("{other:?}"),
    }
    let failing = |client: &mqtt::Client, _: &Message| {
        client.disconnect()?;
        Err::<(), _>(Error::other("and out"))
    };
    let result = subscribe::callback(failing, "t", &broker);
    assert!(matches!(result, Err(Error::Callback { .. })), "{result:?}");
}

#[test]
fn the_callback_goes_on_after_a_lost_connection() {
    let broker = listen();
    let seen = Events::new();
    let report = seen.sink();
    thread::scope(|scope| {
        let receiving = scope.spawn(|| {
            let callback = move |client: &mqtt::Client, message: &Message| {
                client.reconnect_delay_set(0.01, 0.01)?;
                report(message.payload.to_str_lossy().into_owned());
                if message.payload == "last" {
                    client.disconnect()
                } else {
                    Ok(())
                }
            };
            let options = subscribe::Options::new().client_id("stays");
            options.callback(callback, "t", &broker)
        });
        subscribed(&broker, "t");
        broker.publish("t", "first", 0, false).unwrap();
        assert_eq!(seen.next(), "first");
        assert!(broker.disconnect_client("stays"));
        subscribed(&broker, "t");
        broker.publish("t", "last", 0, false).unwrap();
        assert_eq!(seen.next(), "last");
        receiving.join().unwrap().unwrap();
    });
}
