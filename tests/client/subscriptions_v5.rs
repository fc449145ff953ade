//! Subscription Options, shared subscriptions, Subscription Identifiers.

use callmq::client::{self as mqtt, Error, Properties, Property, QoS, RetainHandling, SubscribeOptions};
use callmq::testing::Broker;

use crate::support::{Bench, Connection, Events, PATIENCE, bad_argument, broker_has, listen, start};
use crate::wire_v5::{
    CONNACK_V5, accept_v5, field, packet, publish_v5, running_v5, suback_v5, subscribe_parts,
};

/// A CONNACK of a server that does not support Subscription Identifiers.
const CONNACK_WITHOUT_IDENTIFIERS: &[u8] = b"\x20\x05\x00\x00\x02\x29\x00";

fn v5(client_id: &str) -> mqtt::Client {
    let client = mqtt::Client::builder(client_id).protocol(mqtt::MQTTv5).build();
    client.reconnect_delay_set(0.01, 0.01).unwrap();
    client
}

/// A bench whose client speaks MQTT 5.0, connected.
fn bench_v5(client_id: &str) -> Bench {
    let bench = Bench::with(|clock| {
        mqtt::Client::builder(client_id)
            .protocol(mqtt::MQTTv5)
            .clock(clock)
    });
    bench.connect();
    bench
}

/// Registers a callback of `subscribe_with` that reports its name, and grants what it asks for. Returns the identifier.
fn subscribe_with(
    client: &mqtt::Client,
    connection: &mut Connection,
    filter: &'static str,
    seen: &Events<&'static str>,
) -> Vec<u8> {
    let report = seen.sink();
    client.subscribe_with(filter, move |_, _| report(filter)).unwrap();
    granted(connection, filter)
}

/// Grants the next SUBSCRIBE, which is for this filter. Returns its properties.
fn granted(connection: &mut Connection, filter: &str) -> Vec<u8> {
    let request = connection.expect_packet(0x82);
    let (identifier, filters) = subscribe_parts(&request);
    assert_eq!(filters, [&field(filter)[..], b"\x00"].concat(), "{filter}");
    connection.send(&suback_v5(&request, &[0]));
    identifier
}

/// What was reported for a message; it is followed by one that marks the end.
fn reported(
    connection: &mut Connection,
    seen: &Events<&'static str>,
    topic: &str,
    ids: &[&[u8]],
) -> Vec<&'static str> {
    connection.send(&publish_v5(0x30, topic, 0, &ids.concat(), "x"));
    connection.send(&publish_v5(0x30, "end", 0, b"", "x"));
    let mut names = Vec::new();
    loop {
        match seen.next() {
            "end" => return names,
            name => names.push(name),
        }
    }
}

fn watch_the_rest(client: &mqtt::Client, seen: &Events<&'static str>) {
    let report = seen.sink();
    client.on_message(move |_, message| {
        report(if message.topic == "end" {
            "end"
        } else {
            "on_message"
        })
    });
}

/// The reserved bits stay 0 with all options set.
///
/// [5.0/MQTT-3.8.3-5]
#[test]
fn options_are_on_the_wire() {
    let client = v5("options");
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    let options = |no_local, retain_as_published, retain_handling| SubscribeOptions {
        qos: QoS::ExactlyOnce,
        no_local,
        retain_as_published,
        retain_handling,
    };
    for (options, byte) in [
        (options(true, false, RetainHandling::SendOnSubscribe), 0x06),
        (options(false, true, RetainHandling::SendOnSubscribe), 0x0A),
        (options(false, false, RetainHandling::SendIfNew), 0x12),
        (options(true, true, RetainHandling::DoNotSend), 0x2E),
    ] {
        client.subscribe(("t", options)).unwrap();
        let request = connection.expect_packet(0x82);
        assert_eq!(request[4..], [0, 0, 1, b't', byte], "{options:?}");
    }
}

#[test]
fn the_server_obeys_the_options() {
    let bench = bench_v5("obeyed");
    let seen = Events::new();
    let report = seen.sink();
    let client = &bench.client;
    client.on_message(move |_, message| report((message.topic.to_string(), message.retain)));
    bench.broker.publish("kept/1", "x", 0, true).unwrap();
    let no_local = SubscribeOptions {
        no_local: true,
        ..SubscribeOptions::default()
    };
    let silent = SubscribeOptions {
        retain_handling: RetainHandling::DoNotSend,
        retain_as_published: true,
        ..SubscribeOptions::default()
    };
    client.subscribe([("own", no_local), ("kept/#", silent)]).unwrap();
    bench.settle();
    client.publish("own", "mine").unwrap();
    bench.broker.publish("own", "another's", 0, false).unwrap();
    bench.broker.publish("kept/2", "x", 0, true).unwrap();
    bench.settle();
    assert_eq!(
        seen.so_far(),
        [("own".to_owned(), false), ("kept/2".to_owned(), true)]
    );
}

#[test]
fn options_of_mqtt_5_are_refused_by_name_before() {
    let bench = Bench::new("old");
    bench.connect();
    let plain = SubscribeOptions::default();
    for (options, name) in [
        (
            SubscribeOptions {
                no_local: true,
                ..plain
            },
            "no_local",
        ),
        (
            SubscribeOptions {
                retain_as_published: true,
                ..plain
            },
            "retain_as_published",
        ),
        (
            SubscribeOptions {
                retain_handling: RetainHandling::SendIfNew,
                ..plain
            },
            "retain_handling",
        ),
    ] {
        for result in [
            bench.client.subscribe(("t", options)),
            bench.client.subscribe_with(("t", options), |_, _| {}),
        ] {
            match result {
                Err(Error::NotSupported(what)) => assert!(what.starts_with(name), "{what}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
    let user = Properties::from(Property::UserProperty("a".into(), "b".into()));
    assert!(matches!(
        bench.client.subscribe_with_properties("t", user.clone()),
        Err(Error::NotSupported(_))
    ));
    assert!(matches!(
        bench.client.unsubscribe_with_properties("t", user),
        Err(Error::NotSupported(_))
    ));
    assert!(bench.broker.subscriptions("old").is_empty());
}

/// [5.0/MQTT-3.8.3-4] [5.0/MQTT-4.8.2-1] [5.0/MQTT-4.8.2-2]
#[test]
fn a_malformed_shared_subscription_is_refused_here() {
    let bench = bench_v5("strict");
    let client = &bench.client;
    for filter in [
        "$share/g",
        "$share/g/",
        "$share//a",
        "$share/g+/a",
        "$share/#/a",
        "$share/g/a/#/b",
    ] {
        assert_eq!(bad_argument(client.subscribe(filter)), "filter", "{filter}");
        assert_eq!(
            bad_argument(client.subscribe_with(filter, |_, _| {})),
            "filter",
            "{filter}"
        );
        assert_eq!(
            bad_argument(client.message_callback_add(filter, |_, _| {})),
            "filter",
            "{filter}"
        );
        assert_eq!(bad_argument(client.unsubscribe(filter)), "filter", "{filter}");
    }
    let no_local = SubscribeOptions {
        no_local: true,
        ..SubscribeOptions::default()
    };
    assert_eq!(
        bad_argument(client.subscribe(("$share/g/a", no_local))),
        "options"
    );
    bench.settle();
    assert!(bench.broker.subscriptions("strict").is_empty());
    assert!(client.is_connected());
}

#[test]
fn workers_share_the_messages_and_their_callbacks_match_the_plain_topic() {
    let broker = listen();
    let seen = Events::new();
    let workers: Vec<_> = [
        ("one", mqtt::MQTTv5),
        ("two", mqtt::MQTTv5),
        ("three", mqtt::MQTTv311),
    ]
    .into_iter()
    .map(|(name, version)| {
        let worker = mqtt::Client::builder(name).protocol(version).build();
        start(&worker, &broker);
        let report = seen.sink();
        let subscribed = worker.subscribe_with(("$share/workers/jobs/+", 1), move |_, message| {
            report((name, message.topic.to_string()))
        });
        assert_eq!(subscribed.unwrap().wait(PATIENCE).unwrap()[0].value(), 1);
        worker
    })
    .collect();
    for job in 0..6 {
        broker.publish(&format!("jobs/{job}"), "x", 1, false).unwrap();
    }
    let mut done: Vec<_> = (0..6).map(|_| seen.next()).collect();
    done.sort_unstable_by(|a, b| a.1.cmp(&b.1));
    let topics: Vec<_> = done.iter().map(|(_, topic)| topic.as_str()).collect();
    assert_eq!(
        topics,
        ["jobs/0", "jobs/1", "jobs/2", "jobs/3", "jobs/4", "jobs/5"],
        "each job once"
    );
    for worker in ["one", "two", "three"] {
        assert_eq!(
            done.iter().filter(|(name, _)| *name == worker).count(),
            2,
            "{done:?}"
        );
    }
    drop(workers);
}

#[test]
fn callbacks_of_shared_filters_are_removed_by_either_spelling() {
    let bench = Bench::new("spelling");
    let seen = Events::new();
    let client = &bench.client;
    client.subscribe("#").unwrap();
    let report = seen.sink();
    client.on_message(move |_, _| report("on_message"));
    bench.connect();
    let heard = || {
        bench.broker.publish("a/x", "", 0, false).unwrap();
        bench.settle();
        seen.so_far()
    };
    let add = |filter: &'static str| {
        let report = seen.sink();
        client
            .message_callback_add(filter, move |_, _| report(filter))
            .unwrap();
    };
    for spelling in ["$share/g/a/+", "a/+"] {
        add("$share/g/a/+");
        assert_eq!(heard(), ["$share/g/a/+"]);
        client.message_callback_remove(spelling);
        assert_eq!(heard(), ["on_message"], "{spelling}");
    }
    add("a/+");
    client.message_callback_remove("$share/g/a/+");
    assert_eq!(heard(), ["on_message"]);
    // Where both are there each is removed by its own.
    add("a/+");
    add("$share/g/a/+");
    client.message_callback_remove("$share/h/b/+");
    client.message_callback_remove("a/+");
    assert_eq!(heard(), ["$share/g/a/+"]);
}

/// One copy with several identifiers, and several copies with one each: each callback once for each of its copies.
#[test]
fn overlapping_subscriptions_are_told_apart_by_their_identifiers() {
    let client = v5("overlap");
    let seen = Events::new();
    watch_the_rest(&client, &seen);
    let report = seen.sink();
    client
        .message_callback_add("a/#", move |_, _| report("added"))
        .unwrap();
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    let level = subscribe_with(&client, &mut connection, "a/+", &seen);
    let all = subscribe_with(&client, &mut connection, "+/b", &seen);
    assert_ne!(level, all);
    assert_eq!((level.len(), all.len()), (5, 5), "they are from 134,217,728 on");
    let mut of = |topic: &str, ids: &[&[u8]]| reported(&mut connection, &seen, topic, ids);
    assert_eq!(of("a/b", &[&level, &all]), ["a/+", "added", "+/b"]);
    assert_eq!(of("a/b", &[&all, &level]), ["a/+", "added", "+/b"]);
    assert_eq!(of("a/b", &[&level]), ["a/+", "added"]);
    assert_eq!(of("a/b", &[&all]), ["added", "+/b"]);
    assert_eq!(
        of("a/b", &[&level, &level]),
        ["a/+", "added"],
        "the same one twice"
    );
    // Without identifiers, and with unknown ones, the filters decide.
    assert_eq!(of("a/b", &[]), ["a/+", "added", "+/b"]);
    assert_eq!(of("a/b", &[b"\x0B\x07"]), ["a/+", "added", "+/b"]);
    assert_eq!(of("a/b", &[b"\x0B\x07", &all]), ["added", "+/b"]);
    // One that is known, but for something else.
    assert_eq!(of("b/b", &[&level]), ["+/b"]);
    assert_eq!(of("c/c", &[&level]), ["on_message"]);
}

#[test]
fn with_a_broker_each_callback_gets_each_of_its_copies_once() {
    let bench = bench_v5("copies");
    let seen = Events::new();
    let client = &bench.client;
    for filter in ["a/+", "a/#", "+/b"] {
        let report = seen.sink();
        client.subscribe_with(filter, move |_, _| report(filter)).unwrap();
    }
    let report = seen.sink();
    client
        .subscribe_with(["a/b", "#", "a/c"], move |_, _| report("list"))
        .unwrap();
    bench.settle();
    bench.broker.publish("a/b", "x", 0, false).unwrap();
    bench.settle();
    let mut names = seen.so_far();
    names.sort_unstable();
    // The broker sends one copy for each of the five subscriptions.
    assert_eq!(names, ["+/b", "a/#", "a/+", "list", "list"]);
}

#[test]
fn an_identifier_of_the_application_is_left_to_it() {
    let client = v5("own");
    let seen = Events::new();
    watch_the_rest(&client, &seen);
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    let level = subscribe_with(&client, &mut connection, "a/+", &seen);
    let seven = Properties::from(Property::SubscriptionIdentifier(7));
    client.subscribe_with_properties("a/b", seven.clone()).unwrap();
    assert_eq!(granted(&mut connection, "a/b"), b"\x0B\x07");
    // Its copy is not for the callback, which has one of its own.
    assert_eq!(
        reported(&mut connection, &seen, "a/b", &[b"\x0B\x07"]),
        ["on_message"]
    );
    assert_eq!(reported(&mut connection, &seen, "a/b", &[&level]), ["a/+"]);
    // The filter of the callback itself: the server knows it by the new identifier.
    client.subscribe_with_properties("a/+", seven).unwrap();
    assert_eq!(granted(&mut connection, "a/+"), b"\x0B\x07");
    assert_eq!(reported(&mut connection, &seen, "a/x", &[b"\x0B\x07"]), ["a/+"]);
    for reserved in [134_217_728, 268_435_455] {
        let reserved = Properties::from(Property::SubscriptionIdentifier(reserved));
        assert_eq!(
            bad_argument(client.subscribe_with_properties("t", reserved)),
            "properties"
        );
    }
    let foreign = Properties::from(Property::TopicAlias(1));
    assert_eq!(
        bad_argument(client.subscribe_with_properties("t", foreign.clone())),
        "properties"
    );
    assert_eq!(
        bad_argument(client.unsubscribe_with_properties("t", foreign)),
        "properties"
    );
}

/// [5.0/MQTT-3.3.4-6]
#[test]
fn a_message_of_ours_has_no_subscription_identifier() {
    let bench = bench_v5("plain");
    let seven = Properties::from(Property::SubscriptionIdentifier(7));
    let message = mqtt::Message::new("t", "x").properties(seven);
    assert_eq!(bad_argument(bench.client.publish_message(message)), "properties");
    bench.settle();
    assert!(bench.broker.published().is_empty());
}

/// [5.0/MQTT-3.8.1-1] [5.0/MQTT-3.10.1-1]
#[test]
fn user_properties_go_with_a_request() {
    let client = v5("user");
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    let user = || Properties::from(Property::UserProperty("a".into(), "b".into()));
    let info = client.subscribe_with_properties("t", user()).unwrap();
    let pair = b"\x07\x26\x00\x01a\x00\x01b";
    let [high, low] = info.mid.to_be_bytes();
    connection.expect(&packet(
        0x82,
        &[&[high, low][..], pair, b"\x00\x01t\x00"].concat(),
    ));
    let info = client.unsubscribe_with_properties("t", user()).unwrap();
    let [high, low] = info.mid.to_be_bytes();
    connection.expect(&packet(0xA2, &[&[high, low][..], pair, b"\x00\x01t"].concat()));
}

#[test]
fn a_second_callback_of_a_filter_keeps_its_identifier() {
    let client = v5("second");
    let seen = Events::new();
    watch_the_rest(&client, &seen);
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    let first = subscribe_with(&client, &mut connection, "a/+", &seen);
    let second = subscribe_with(&client, &mut connection, "a/+", &seen);
    assert_eq!(first, second);
    assert_eq!(reported(&mut connection, &seen, "a/b", &[&first]), ["a/+", "a/+"]);
    client.message_callback_remove("a/+");
    assert_eq!(reported(&mut connection, &seen, "a/b", &[&first]), ["on_message"]);
}

#[test]
fn one_filter_of_a_list_gets_an_identifier_of_its_own() {
    let client = v5("list");
    let seen = Events::new();
    watch_the_rest(&client, &seen);
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    let report = seen.sink();
    let list = ["a/+", "b/#"];
    client.subscribe_with(list, move |_, _| report("list")).unwrap();
    let request = connection.expect_packet(0x82);
    connection.send(&suback_v5(&request, &[0, 0]));
    let (both, _) = subscribe_parts(&request);
    let one = subscribe_with(&client, &mut connection, "a/+", &seen);
    assert_ne!(one, both);
    assert_eq!(reported(&mut connection, &seen, "a/b", &[&one]), ["list", "a/+"]);
    assert_eq!(reported(&mut connection, &seen, "b/c", &[&both]), ["list"]);
    client.subscribe_with(["b/#", "a/+", "b/#"], |_, _| {}).unwrap();
    let (again, _) = subscribe_parts(&connection.expect_packet(0x82));
    assert!(again != both && again != one);
    client.subscribe_with(["a/+", "b/#"], |_, _| {}).unwrap();
    assert_eq!(
        subscribe_parts(&connection.expect_packet(0x82)).0,
        again,
        "the same two"
    );
}

#[test]
fn renewed_subscriptions_keep_their_identifiers() {
    let client = v5("renewed");
    let seen = Events::new();
    watch_the_rest(&client, &seen);
    let (peer, mut connection) = running_v5(&client, CONNACK_V5);
    let level = subscribe_with(&client, &mut connection, "a/+", &seen);
    let all = subscribe_with(&client, &mut connection, "a/#", &seen);
    drop(connection);
    let mut connection = accept_v5(&peer, CONNACK_V5);
    assert_eq!(granted(&mut connection, "a/+"), level);
    assert_eq!(granted(&mut connection, "a/#"), all);
    assert_eq!(reported(&mut connection, &seen, "a/b", &[&all]), ["a/#"]);
}

#[test]
fn a_server_without_identifiers_gets_none_and_the_next_one_does() {
    let client = v5("without");
    let seen = Events::new();
    watch_the_rest(&client, &seen);
    let (peer, mut connection) = running_v5(&client, CONNACK_WITHOUT_IDENTIFIERS);
    assert_eq!(subscribe_with(&client, &mut connection, "a/+", &seen), b"");
    assert_eq!(reported(&mut connection, &seen, "a/b", &[]), ["a/+"]);
    drop(connection);
    let mut connection = accept_v5(&peer, CONNACK_V5);
    let level = granted(&mut connection, "a/+");
    assert_eq!(level.len(), 5);
    assert_eq!(reported(&mut connection, &seen, "a/b", &[&level]), ["a/+"]);
    drop(connection);
    let mut connection = accept_v5(&peer, CONNACK_WITHOUT_IDENTIFIERS);
    assert_eq!(granted(&mut connection, "a/+"), b"");
    assert_eq!(reported(&mut connection, &seen, "a/b", &[]), ["a/+"]);
}

#[test]
fn before_the_connection_a_request_waits_with_its_identifier() {
    let client = v5("early");
    let seen = Events::new();
    watch_the_rest(&client, &seen);
    let report = seen.sink();
    client.subscribe_with("a/+", move |_, _| report("a/+")).unwrap();
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    let level = granted(&mut connection, "a/+");
    assert_eq!(level.len(), 5);
    assert_eq!(reported(&mut connection, &seen, "a/b", &[&level]), ["a/+"]);
}

/// Servers have prefixes of their own: such a message matches no filter by its topic.
#[test]
fn an_identifier_finds_the_callback_of_a_special_filter() {
    let client = v5("special");
    let seen = Events::new();
    watch_the_rest(&client, &seen);
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    let only = subscribe_with(&client, &mut connection, "$exclusive/a", &seen);
    assert_eq!(reported(&mut connection, &seen, "a", &[&only]), ["$exclusive/a"]);
    assert_eq!(reported(&mut connection, &seen, "a", &[]), ["on_message"]);
    let shared = subscribe_with(&client, &mut connection, "$share/g/b/+", &seen);
    assert_eq!(
        reported(&mut connection, &seen, "b/c", &[&shared]),
        ["$share/g/b/+"]
    );
}

#[test]
fn mqtt_3_knows_no_identifiers() {
    let broker = listen();
    let seen = Events::new();
    let client = mqtt::Client::new("three");
    start(&client, &broker);
    let report = seen.sink();
    client
        .subscribe_with(["a/+", "a/#"], move |_, _| report("once"))
        .unwrap()
        .wait(PATIENCE)
        .unwrap();
    broker.publish("a/b", "x", 0, false).unwrap();
    assert_eq!(seen.next(), "once");
    client.flush(PATIENCE).unwrap();
    client.subscribe("mark").unwrap().wait(PATIENCE).unwrap();
    assert!(seen.so_far().is_empty(), "one copy, one call");
}

#[test]
fn a_broker_that_refuses_identifiers_still_grants_the_subscription() {
    let broker = Broker::builder()
        .subscription_identifiers(false)
        .listen("127.0.0.1:0")
        .unwrap();
    let client = v5("refused");
    start(&client, &broker);
    let seen = Events::new();
    let report = seen.sink();
    let info = client.subscribe_with("a/+", move |_, message| report(message.topic.to_string()));
    assert_eq!(info.unwrap().wait(PATIENCE).unwrap()[0].value(), 0);
    broker_has(&broker, "the subscription", |broker| {
        broker.subscriptions("refused").len() == 1
    });
    broker.publish("a/b", "x", 0, false).unwrap();
    assert_eq!(seen.next(), "a/b");
}
