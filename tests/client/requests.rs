//! Request and response, with the broker of `callmq::testing`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use callmq::client::{self as mqtt, DropReason, Error, Message, Properties, Property, QoS};
use callmq::testing::Broker;

use crate::support::{
    Bench, Events, PATIENCE, bad_argument, broker_has, callback_failure, eventually, listen, start,
};

fn v5(client_id: &str) -> mqtt::Client {
    let client = mqtt::Client::builder(client_id).protocol(mqtt::MQTTv5).build();
    client.reconnect_delay_set(0.01, 0.01).unwrap();
    client
}

fn started(client_id: &str, broker: &Broker) -> mqtt::Client {
    let client = v5(client_id);
    start(&client, broker);
    client
}

/// A client that answers requests on `double` with twice their number.
fn doubler(broker: &Broker) -> mqtt::Client {
    let client = started("doubler", broker);
    let subscribed = client.subscribe_with(("double", 2), |client, request| {
        let number: u64 = request.payload.decode()?.parse()?;
        client.reply(request, 2 * number)
    });
    subscribed.unwrap().wait(PATIENCE).unwrap();
    client
}

fn bench(client_id: &str) -> Bench {
    Bench::with(|clock| {
        mqtt::Client::builder(client_id)
            .protocol(mqtt::MQTTv5)
            .clock(clock)
    })
}

/// Reports what a request ended with.
fn outcome(seen: &Events<String>) -> impl FnOnce(&mqtt::Client, mqtt::Result<&Message>) + Send + 'static {
    let report = seen.sink();
    move |_, response| {
        report(match response {
            Ok(response) => format!("{}", response.payload),
            Err(error) => error.to_string(),
        });
    }
}

fn not_called(_: &mqtt::Client, response: mqtt::Result<&Message>) {
    panic!("called with {response:?}");
}

#[test]
fn a_request_gets_its_response() {
    let broker = listen();
    let doubler = doubler(&broker);
    let client = started("asks", &broker);
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, message| report(message.topic.to_string()));
    let messages = client.messages(10);
    for (qos, number) in [(QoS::AtMostOnce, 1), (QoS::AtLeastOnce, 2), (QoS::ExactlyOnce, 3)] {
        let request = Message::new("double", number).qos(qos);
        let response = client.request_message(request, PATIENCE).unwrap();
        assert_eq!(response.payload, (2 * number).to_string().as_str());
        assert_eq!(
            response.qos,
            qos.min(QoS::AtLeastOnce),
            "the reply has that of the request"
        );
        assert_eq!(Some(response.topic.as_str()), client.response_topic().as_deref());
    }
    assert_eq!(client.request("double", 21, PATIENCE).unwrap().payload, "42");
    let topic = client.response_topic().unwrap();
    assert!(topic.starts_with("callmq/response/asks/"), "{topic}");
    assert_eq!(
        broker.subscriptions("asks").len(),
        1,
        "one subscription serves all"
    );
    assert_eq!((client.stats().requests, client.stats().late_responses), (0, 0));
    assert!(
        messages.try_recv().unwrap().is_none() && seen.so_far().is_empty(),
        "nobody else gets them"
    );
    drop(doubler);
}

#[test]
fn many_requests_of_many_threads_get_each_their_own() {
    let broker = listen();
    let doubler = doubler(&broker);
    let client = started("asks", &broker);
    let threads: Vec<_> = (0..8u64)
        .map(|thread| {
            let client = client.clone();
            thread::spawn(move || {
                for number in (0..40).map(|number| 100 * thread + number) {
                    let request = Message::new("double", number).qos(QoS::AtLeastOnce);
                    let response = client.request_message(request, PATIENCE).unwrap();
                    assert_eq!(response.payload, (2 * number).to_string().as_str());
                }
            })
        })
        .collect();
    let seen = Events::new();
    for number in 1000..1200u64 {
        let report = seen.sink();
        let request = Message::new("double", number).qos(QoS::AtLeastOnce);
        let asked = client.request_message_with(request, PATIENCE, move |_, response| {
            report(response.map(|response| response.payload == (2 * number).to_string().as_str()));
        });
        asked.unwrap();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    for _ in 0..200 {
        assert!(seen.next().unwrap());
    }
    assert_eq!((client.stats().requests, client.stats().late_responses), (0, 0));
    drop(doubler);
}

#[test]
fn without_a_loop_the_call_drives_it_from_any_thread() {
    let broker = listen();
    let doubler = doubler(&broker);
    let client = v5("alone");
    client.connect(&broker).unwrap();
    assert_eq!(client.request("double", 1, PATIENCE).unwrap().payload, "2");
    thread::scope(|scope| {
        for number in 0..4u64 {
            let client = &client;
            scope.spawn(move || {
                let response = client.request("double", number, PATIENCE).unwrap();
                assert_eq!(response.payload, (2 * number).to_string().as_str());
            });
        }
    });
    drop(doubler);
}

#[test]
fn inside_a_callback_waiting_is_refused_and_a_closure_is_not() {
    let broker = listen();
    let doubler = doubler(&broker);
    let client = v5("inside");
    let seen = Events::new();
    let (blocked, answered) = (seen.sink(), seen.sink());
    client.on_connect(move |client, _, _, _| {
        blocked(format!("{:?}", client.request("double", 1, 1).map(drop)));
        let answered = answered.clone();
        client.request_with("double", 2, PATIENCE, move |client, response| {
            let number = response?.payload.decode()?.to_owned();
            let more = answered.clone();
            answered(number.clone());
            client.request_with("double", number, PATIENCE, move |client, response| {
                more(response?.payload.decode()?.to_owned());
                more(format!("{:?}", client.request("double", 1, 1).map(drop)));
                Ok(())
            })
        })
    });
    start(&client, &broker);
    for expected in [
        "Err(WouldDeadlock(\"request\"))",
        "4",
        "8",
        "Err(WouldDeadlock(\"request\"))",
    ] {
        assert_eq!(seen.next(), expected);
    }
    assert_eq!(client.stats().requests, 0, "those that were refused left nothing");
    drop(doubler);
}

#[test]
fn before_mqtt_5_there_is_neither() {
    let bench = Bench::new("old");
    bench.connect();
    let client = &bench.client;
    let named = |result: mqtt::Result<()>| match result {
        Err(Error::NotSupported(what)) => assert!(what.contains("MQTT 5.0"), "{what}"),
        other => panic!("{other:?}"),
    };
    named(client.request("t", "x", 1).map(drop));
    named(client.request_with("t", "x", 1, not_called));
    let properties = Properties::from(Property::ResponseTopic("r".into()));
    let request = Message::new("t", "x").properties(properties);
    named(client.reply(&request, "y").map(drop));
    bench.settle();
    assert!(bench.broker.subscriptions("old").is_empty() && bench.broker.published().is_empty());
}

#[test]
fn what_cannot_be_a_request_is_refused_before_anything_is_sent() {
    let bench = bench("strict");
    bench.connect();
    let client = &bench.client;
    let with = |property| Message::new("t", "x").properties(Properties::from(property));
    for (message, argument) in [
        (Message::new("t/#", "x"), "topic"),
        (Message::new("", "x"), "topic"),
        (with(Property::ResponseTopic("r".into())), "properties"),
        (with(Property::CorrelationData("r".into())), "properties"),
        (with(Property::SubscriptionIdentifier(1)), "properties"),
        (with(Property::ServerKeepAlive(1)), "properties"),
    ] {
        let refused = client.request_message_with(message.clone(), 1, not_called);
        assert_eq!(bad_argument(refused), argument, "{message:?}");
        assert_eq!(bad_argument(client.request_message(message, 1)), argument);
    }
    assert_eq!(bad_argument(client.response_topic_set("r/+")), "topic");
    bench.settle();
    assert!(bench.broker.subscriptions("strict").is_empty());
    assert_eq!(client.stats().requests, 0);
}

/// Nothing is published to a Response Topic with wildcards.
///
/// [5.0/MQTT-3.3.2-14]
#[test]
fn only_a_request_can_be_replied_to() {
    let bench = bench("replies");
    bench.connect();
    let client = &bench.client;
    assert_eq!(
        bad_argument(client.reply(&Message::new("t", "x"), "y")),
        "request"
    );
    let topic = |topic: &str| {
        let properties = Properties::from(Property::ResponseTopic(topic.into()));
        Message::new("t", "x")
            .properties(properties)
            .qos(QoS::AtLeastOnce)
    };
    assert_eq!(bad_argument(client.reply(&topic("a/+"), "y")), "topic");
    assert_eq!(bad_argument(client.reply(&topic(""), "y")), "topic");
    assert_eq!(
        bad_argument(client.reply_with(&topic("r"), "y", 3, Properties::new())),
        "qos"
    );
    let data = Properties::from(Property::CorrelationData("other".into()));
    assert_eq!(
        bad_argument(client.reply_with(&topic("r"), "y", 0, data)),
        "properties"
    );
    assert!(bench.broker.published().is_empty());
    // Correlation Data is not a must, and the QoS is that of the request, unless another one is wanted.
    client.reply(&topic("r"), "one").unwrap();
    let user = Property::UserProperty("a".into(), "b".into());
    client
        .reply_with(&topic("r"), "two", 0, Properties::from(user.clone()))
        .unwrap();
    bench.settle();
    let published = bench.broker.published();
    let told: Vec<_> = published
        .iter()
        .map(|publish| {
            (
                publish.topic.as_str(),
                publish.qos,
                &publish.payload[..],
                publish.properties.len(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("r", QoS::AtLeastOnce, &b"one"[..], 0),
            ("r", QoS::AtMostOnce, &b"two"[..], 1)
        ]
    );
}

#[test]
fn a_time_out_leaves_nothing_behind() {
    let broker = listen();
    let client = started("waits", &broker);
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, message| report(message.payload.to_str_lossy().into_owned()));
    let late = started("late", &broker);
    let requests = late.messages(10);
    late.subscribe(("slow", 1)).unwrap().wait(PATIENCE).unwrap();
    let request = Message::new("slow", "x").qos(QoS::AtLeastOnce);
    assert!(matches!(
        client.request_message(request, 0.05),
        Err(Error::Timeout)
    ));
    assert_eq!(client.stats().requests, 0);
    let request = requests.recv(PATIENCE).unwrap();
    assert_eq!(
        request.properties.message_expiry_interval(),
        Some(1),
        "rounded up"
    );
    late.reply(&request, "too late").unwrap();
    eventually("it came", || client.stats().late_responses == 1);
    assert!(seen.so_far().is_empty(), "it is not for `on_message`");
}

#[test]
fn time_outs_of_closures_come_from_the_loop_with_and_without_connection() {
    let bench = bench("clock");
    let seen = Events::new();
    let client = &bench.client;
    bench.connect();
    client.request_with("t", "x", 5, outcome(&seen)).unwrap();
    client.request_with("t", "x", 3, outcome(&seen)).unwrap();
    client.request_with("t", "x", None, outcome(&seen)).unwrap();
    bench.settle();
    assert_eq!(bench.broker.published().len(), 3);
    bench.advance(2.9);
    bench.settle();
    assert!(seen.so_far().is_empty());
    bench.advance(0.1);
    bench.settle();
    assert_eq!(seen.so_far(), ["timed out"]);
    bench.advance(40.0);
    bench.settle();
    assert_eq!(seen.so_far(), ["timed out"]);
    assert_eq!(client.stats().requests, 1);
    let other = v5("never there");
    other.request_with("t", "x", 0.02, outcome(&seen)).unwrap();
    other.loop_start().unwrap();
    assert_eq!(seen.next(), "timed out");
}

#[test]
fn a_closure_is_called_once_also_when_the_client_goes() {
    for connected in [true, false] {
        let broker = listen();
        let client = v5("goes");
        if connected {
            start(&client, &broker);
        }
        let seen = Events::new();
        let report = seen.sink();
        let again = seen.sink();
        client
            .request_with("t", "x", None, move |client, response| {
                assert!(matches!(response, Err(Error::Dropped(DropReason::ClientDropped))));
                report("dropped");
                // Nobody would ever call this one.
                if client.request_with("t", "x", None, |_, _| {}).is_err() {
                    again("refused");
                }
            })
            .unwrap();
        drop(client);
        assert_eq!(seen.so_far(), ["dropped", "refused"], "connected: {connected}");
    }
}

#[test]
fn disconnect_ends_the_requests() {
    let broker = listen();
    let client = started("leaves", &broker);
    let seen = Events::new();
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let request = Message::new("t", "x").qos(qos);
        client
            .request_message_with(request, None, outcome(&seen))
            .unwrap();
    }
    let waiting = {
        let client = client.clone();
        thread::spawn(move || client.request("t", "x", None))
    };
    broker_has(&broker, "three requests", |broker| broker.published().len() == 3);
    client.disconnect().unwrap();
    assert!(matches!(waiting.join().unwrap(), Err(Error::NotConnected)));
    for _ in 0..2 {
        assert_eq!(seen.next(), Error::NotConnected.to_string());
    }
    assert_eq!(client.stats().requests, 0);
}

#[test]
fn without_connection_and_loop_there_is_nothing_to_wait_for() {
    let client = v5("offline");
    assert!(matches!(client.request("t", "x", 5), Err(Error::NotConnected)));
    assert_eq!(client.stats().requests, 0);
}

#[test]
fn a_request_waits_for_the_connection_that_a_loop_makes() {
    let broker = listen();
    let doubler = doubler(&broker);
    let client = v5("early");
    client.loop_start().unwrap();
    let waiting = {
        let client = client.clone();
        thread::spawn(move || client.request("double", 4, PATIENCE))
    };
    eventually("it waits", || client.stats().requests == 1);
    client.connect(&broker).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap().payload, "8");
    drop(doubler);
}

#[test]
fn a_request_that_waits_ends_when_the_client_falls_back_to_an_older_version() {
    let broker = Broker::builder()
        .refuse_version(mqtt::MQTTv5)
        .listen("127.0.0.1:0")
        .unwrap();
    let client = mqtt::Client::builder("falls-back")
        .protocol(mqtt::MQTTv5)
        .fallback(true)
        .build();
    let seen = Events::new();
    client.request_with("double", 1, None, outcome(&seen)).unwrap();
    start(&client, &broker);
    let told = seen.next();
    assert!(told.contains("MQTT 5.0"), "{told}");
    assert!(broker.published().is_empty());
}

#[test]
fn a_refused_response_topic_is_reported_and_asked_for_again() {
    let broker = Broker::builder()
        .deny_subscribe("callmq/#")
        .listen("127.0.0.1:0")
        .unwrap();
    let doubler = doubler(&broker);
    let client = started("refused", &broker);
    for _ in 0..2 {
        match client.request("double", 1, PATIENCE) {
            Err(Error::Rejected(reason)) => assert_eq!(reason, "Not authorized"),
            other => panic!("{other:?}"),
        }
    }
    let seen = Events::new();
    client.request_with("double", 1, None, outcome(&seen)).unwrap();
    assert!(seen.next().contains("Not authorized"));
    let asked = broker
        .log()
        .iter()
        .filter(|line| line.contains("callmq/response/refused"))
        .count();
    assert!(asked >= 3, "{asked}");
    client.response_topic_set("mine").unwrap();
    assert_eq!(client.request("double", 1, PATIENCE).unwrap().payload, "2");
    assert_eq!(client.response_topic().as_deref(), Some("mine"));
    drop(doubler);
}

#[test]
fn the_response_topic_stays_while_requests_wait_and_the_old_one_is_left() {
    let bench = bench("moves");
    bench.connect();
    let client = &bench.client;
    let seen = Events::new();
    client.response_topic_set("first").unwrap();
    client.request_with("t", "x", 5, outcome(&seen)).unwrap();
    bench.settle();
    assert!(matches!(
        client.response_topic_set("second"),
        Err(Error::InvalidState(_))
    ));
    bench.advance(5.0);
    bench.settle();
    client.response_topic_set("second").unwrap();
    client.request_with("t", "x", 5, outcome(&seen)).unwrap();
    bench.settle();
    let filters: Vec<_> = bench
        .broker
        .subscriptions("moves")
        .into_iter()
        .map(|s| s.filter)
        .collect();
    assert_eq!(filters, ["second"]);
}

#[test]
fn the_number_of_requests_is_bounded() {
    let bench = bench("many");
    let client = &bench.client;
    client.max_requests_set(2);
    for _ in 0..2 {
        client.request_with("t", "x", 1, |_, _| {}).unwrap();
    }
    match client.request_with("t", "third", 1, not_called) {
        Err(Error::QueueFull { payload }) => assert_eq!(payload, "third"),
        other => panic!("{other:?}"),
    }
    assert_eq!(client.stats().requests, 2);
}

#[test]
fn a_closure_that_fails_is_reported_to_the_loop() {
    let bench = bench("fails");
    bench.connect();
    let client = &bench.client;
    let failing = |_: &mqtt::Client, response: mqtt::Result<&Message>| response.map(drop);
    client.request_with("t", "x", 1, failing).unwrap();
    bench.settle();
    bench.advance(1.0);
    let (callback, message) = callback_failure(client.loop_once(0));
    assert_eq!((callback, message.as_str()), ("request callback", "timed out"));
}

#[test]
fn reinitialise_ends_the_requests_and_starts_afresh() {
    let bench = bench("first");
    bench.connect();
    let client = &bench.client;
    let seen = Events::new();
    client.request_with("t", "x", None, outcome(&seen)).unwrap();
    bench.settle();
    client.reinitialise("second", true).unwrap();
    assert_eq!(seen.so_far(), [Error::Dropped(DropReason::Discarded).to_string()]);
    assert_eq!(client.response_topic(), None);
    assert_eq!(client.stats().requests, 0);
}

#[test]
fn responses_are_acknowledged_also_where_the_application_does_it_for_messages() {
    let broker = listen();
    let doubler = doubler(&broker);
    let client = mqtt::Client::builder("manual")
        .protocol(mqtt::MQTTv5)
        .manual_ack(true)
        .build();
    start(&client, &broker);
    for number in 0..3u64 {
        let request = Message::new("double", number).qos(QoS::AtLeastOnce);
        client.request_message(request, PATIENCE).unwrap();
    }
    eventually("all are acknowledged", || client.stats().unacknowledged == 0);
    drop(doubler);
}

#[test]
fn waiting_for_a_response_costs_others_nothing() {
    let broker = listen();
    let client = started("both", &broker);
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    client.on_message(move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
    let waiting = {
        let client = client.clone();
        thread::spawn(move || client.request("nobody", "x", 0.3))
    };
    for _ in 0..10 {
        broker.publish("t", "x", 0, false).unwrap();
    }
    eventually("they came", || calls.load(Ordering::Relaxed) == 10);
    assert!(matches!(waiting.join().unwrap(), Err(Error::Timeout)));
    thread::yield_now();
    assert!(client.flush(Duration::from_secs(5)).is_ok());
}
