//! Filters, wildcards, overlapping and shared subscriptions.

use callmq::testing::Broker;

use crate::peer::*;

#[test]
fn wildcards_match_by_level() {
    for (filter, matching, other) in [
        ("a/+", "a/b", "a/b/c"),
        ("a/#", "a/b/c", "b"),
        ("a/#", "a", "ab"),
        ("+/b", "/b", "b"),
        ("#", "any/thing", "$SYS/x"),
        ("$SYS/#", "$SYS/x", "SYS/x"),
    ] {
        each_version(|broker, level| {
            let mut peer = Peer::connect(broker, level, "wild");
            peer.subscribe(filter, 0);
            peer.send(&publish(level, 0, other, 0, "no"));
            peer.send(&publish(level, 0, matching, 0, "yes"));
            peer.expect(&publish(level, 0, matching, 0, "yes"));
            peer.expect_nothing();
        });
    }
}

#[test]
fn each_filter_gets_its_code() {
    each_version(|broker, level| {
        let mut peer = Peer::connect(broker, level, "three");
        peer.send(&subscribe(level, 0x1234, &[("a", 0), ("b", 2), ("c/#", 1)]));
        peer.expect(&suback(level, 0x1234, &[0, 2, 1]));
        let subscriptions = broker.subscriptions("three");
        let found: Vec<_> = subscriptions
            .iter()
            .map(|s| (s.filter.as_str(), s.options.qos as u8))
            .collect();
        assert_eq!(found, [("a", 0), ("b", 2), ("c/#", 1)]);
    });
}

#[test]
fn nothing_comes_after_unsubscribe() {
    each_version(|broker, level| {
        let mut peer = Peer::connect(broker, level, "leaving");
        peer.subscribe("a", 0);
        peer.send(&unsubscribe(level, 7, "a"));
        match level {
            5 => peer.expect(b"\xB0\x04\x00\x07\x00\x00"),
            _ => peer.expect(b"\xB0\x02\x00\x07"),
        }
        peer.send(&publish(level, 0, "a", 0, "x"));
        peer.expect_nothing();
        assert!(broker.subscriptions("leaving").is_empty());
        // There is no such subscription any more.
        peer.send(&unsubscribe(level, 8, "a"));
        match level {
            5 => peer.expect(b"\xB0\x04\x00\x08\x00\x11"),
            _ => peer.expect(b"\xB0\x02\x00\x08"),
        }
    });
}

#[test]
fn a_second_subscription_to_a_filter_replaces_the_first() {
    each_version(|broker, level| {
        let mut peer = Peer::connect(broker, level, "changing");
        peer.subscribe("t", 2);
        peer.subscribe("t", 0);
        peer.send(&publish(level, 0b010, "t", 3, "x"));
        // Its subscribers get a message before its publisher gets the acknowledgement.
        peer.expect(&publish(level, 0, "t", 0, "x"));
        peer.expect(&ack(0x40, 3));
        peer.expect_nothing();
    });
}

#[test]
fn overlapping_subscriptions_make_one_copy_before_mqtt_5_and_one_each_since() {
    each_version(|broker, level| {
        let mut peer = Peer::connect(broker, level, "overlapping");
        peer.subscribe("a/+", 0);
        peer.subscribe("a/b", 1);
        broker.publish("a/b", "x", 1, false).unwrap();
        peer.expect(&publish(level, 0b010, "a/b", 1, "x"));
        if level == 5 {
            peer.expect(&publish(level, 0, "a/b", 0, "x"));
        }
        peer.send(&ack(0x40, 1));
        peer.expect_nothing();
    });
}

#[test]
fn shared_subscriptions_take_turns() {
    each_version(|broker, level| {
        let mut peers = ["one", "two", "three"].map(|name| Peer::connect(broker, level, name));
        for peer in &mut peers {
            peer.subscribe("$share/workers/jobs/+", 0);
        }
        let mut outsider = Peer::connect(broker, level, "outsider");
        outsider.subscribe("jobs/#", 0);
        let jobs: Vec<_> = (0..6).map(|number| format!("job {number}")).collect();
        for job in &jobs {
            broker.publish("jobs/x", job, 0, false).unwrap();
        }
        for (number, job) in jobs.iter().enumerate() {
            peers[number % 3].expect(&publish(level, 0, "jobs/x", 0, job));
            outsider.expect(&publish(level, 0, "jobs/x", 0, job));
        }
        for peer in &mut peers {
            peer.expect_nothing();
        }
    });
}

#[test]
fn who_is_not_connected_is_left_out_of_a_shared_subscription() {
    both_ways(Broker::builder, |broker| {
        let mut away = Peer::open(broker);
        away.send(&connect(4, "away", 0, 60, &[], &[]));
        away.expect_connack(4, false);
        away.subscribe("$share/g/t", 1);
        let mut present = Peer::connect(broker, 4, "present");
        present.subscribe("$share/g/t", 1);
        away.send(b"\xE0\x00");
        away.expect_end();
        for id in 1..=3 {
            broker.publish("t", "x", 1, false).unwrap();
            present.expect(&publish(4, 0b010, "t", id, "x"));
        }
    });
}

#[test]
fn retained_messages_do_not_go_to_shared_subscriptions() {
    each_version(|broker, level| {
        broker.publish("t", "x", 0, true).unwrap();
        let mut peer = Peer::connect(broker, level, "sharing");
        peer.subscribe("$share/g/t", 0);
        peer.expect_nothing();
    });
}

#[test]
fn a_malformed_filter_ends_the_connection() {
    for filter in ["a/#/b", "a#", "+a", "$share/g", "$share//t"] {
        each_version(|broker, level| {
            let mut peer = Peer::connect(broker, level, "wrong");
            peer.send(&subscribe(level, 1, &[(filter, 0)]));
            peer.expect_parting(0x81);
        });
    }
}
