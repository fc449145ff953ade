//! Stepping: no sockets, no threads, no waiting; time is moved by hand.

use std::time::{Duration, Instant};

use callmq::client::{self as mqtt, Error};

use crate::support::{Bench, Events, bad_argument, published};

#[test]
fn a_whole_session_step_by_step() {
    let bench = Bench::new("stepper");
    let seen = Events::new();
    let report = seen.sink();
    bench.client.on_connect(move |client, _, reason, _| {
        report(format!("connected {}", reason.value()));
        client.subscribe(("t", 2))
    });
    let report = seen.sink();
    bench
        .client
        .on_subscribe(move |_, mid, codes, _| report(format!("subscribed {mid} {}", codes[0].value())));
    let report = seen.sink();
    bench
        .client
        .on_message(move |_, message| report(format!("{} {}", message.payload, message.qos as u8)));
    let report = seen.sink();
    bench
        .client
        .on_publish(move |_, mid, _, _| report(format!("published {mid}")));
    let report = seen.sink();
    bench
        .client
        .on_disconnect(move |_, _, reason, _| report(format!("disconnected {}", reason.value())));

    bench.client.connect(&bench.broker).unwrap();
    bench.settle();
    for qos in 0..3 {
        bench.client.publish_with("t", "x", qos, false).unwrap();
        bench.settle();
    }
    bench.client.disconnect().unwrap();
    assert!(matches!(bench.client.loop_once(0), Err(Error::NotConnected)));
    let events = seen.so_far();
    assert_eq!(events[..2], ["connected 0", "subscribed 1 2"]);
    assert_eq!(events[2..4], ["published 2", "x 0"]);
    assert_eq!(events.last().unwrap(), "disconnected 0");
    let count = |wanted: &str| events.iter().filter(|event| *event == wanted).count();
    assert_eq!(
        [count("x 0"), count("x 1"), count("x 2")],
        [1, 1, 1],
        "{events:?}"
    );
    assert_eq!([count("published 3"), count("published 4")], [1, 1], "{events:?}");
}

#[test]
fn each_run_takes_the_same_course() {
    let run = || {
        let bench = Bench::new("same");
        let lines = Events::new();
        let report = lines.sink();
        bench
            .client
            .on_log(move |_, level, line| report((level, line.to_owned())));
        bench.client.subscribe([("a/#", 1), ("b", 2)]).unwrap();
        bench.connect();
        for number in 0..30 {
            let topic = if number % 2 == 0 { "a/x" } else { "b" };
            bench
                .client
                .publish_with(topic, number, number % 3, false)
                .unwrap();
            bench.advance(0.5);
            bench.client.loop_once(0).unwrap();
        }
        bench.client.flush(0).unwrap_or_default();
        bench.settle();
        bench.broker.disconnect_client("same");
        while bench.client.loop_once(0).is_ok() {}
        (lines.so_far(), bench.broker.log())
    };
    let first = run();
    assert!(first.0.len() > 100, "{first:?}");
    assert_eq!(first, run());
}

#[test]
fn waiting_takes_no_time_where_time_stands_still() {
    let bench = Bench::new("still");
    let started = Instant::now();
    bench.connect();
    bench.client.loop_once(3600).unwrap();
    bench.client.r#loop().unwrap();
    let info = bench.client.publish_with("t", "x", 1, false).unwrap();
    info.wait_for_publish(3600).unwrap();
    bench.client.subscribe("t").unwrap().wait(None).unwrap();
    bench.broker.set_reachable(false);
    assert!(bench.client.loop_once(3600).is_err());
    assert!(matches!(
        bench.client.wait_for_connect(3600),
        Err(Error::ConnectionClosed | Error::Io(_))
    ));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_year_passes_in_a_moment() {
    let bench = Bench::new("year");
    bench.connect();
    let hour = 3600.0;
    bench.client.publish_with("t", "start", 1, true).unwrap();
    for _ in 0..365 {
        // The broker would throw out a client that is silent for one and a half keep alives.
        for _ in 0..3 {
            bench.advance(60.0);
            bench.settle();
        }
    }
    assert!(bench.client.is_connected());
    bench.advance(24.0 * hour);
    while bench.client.loop_once(0).is_ok() {}
    assert!(!bench.client.is_connected());
}

#[test]
fn the_will_is_published_when_the_client_is_cut_off_and_not_when_it_leaves() {
    for leaves in [false, true] {
        let bench = Bench::new("mortal");
        bench.client.will_set("will", "gone", 1, true).unwrap();
        assert_eq!(bench.client.will_topic().as_deref(), Some("will"));
        assert_eq!(bench.client.will_payload().as_deref(), Some(&b"gone"[..]));
        bench.connect();
        if leaves {
            bench.client.disconnect().unwrap();
        } else {
            assert!(bench.broker.disconnect_client("mortal"));
        }
        let expected: &[&str] = if leaves { &[] } else { &["gone"] };
        assert_eq!(published(&bench.broker, "will"), expected);
    }
}

#[test]
fn a_will_is_checked_and_can_be_taken_back() {
    let bench = Bench::new("wills");
    let client = &bench.client;
    assert_eq!(bad_argument(client.will_set("", "x", 0, false)), "topic");
    assert_eq!(bad_argument(client.will_set("a/#", "x", 0, false)), "topic");
    assert_eq!(bad_argument(client.will_set("t", "x", 3, false)), "qos");
    assert_eq!(
        bad_argument(client.will_set("t", vec![0; 65_536], 0, false)),
        "payload"
    );
    assert_eq!(client.will_topic(), None);
    client.will_set("t", "x", 0, false).unwrap();
    client.will_clear();
    bench.connect();
    assert!(bench.broker.disconnect_client("wills"));
    assert!(bench.broker.published().is_empty());
}

#[test]
fn without_on_connect_nothing_has_to_be_set_up_for_a_step_to_work() {
    let bench = Bench::with(|clock| mqtt::Client::builder("").clock(clock).protocol(mqtt::MQTTv5));
    bench.connect();
    bench.settle();
    assert!(bench.client.is_connected());
    assert_eq!(bench.broker.connected_clients().len(), 1);
}
