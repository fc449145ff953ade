//! Callbacks that return an error or panic.

use std::cell::Cell;
use std::sync::Mutex;

use callmq::client::{self as mqtt, Error, LogLevel};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use crate::support::{
    Bench, Events, PATIENCE, ack_packet, callback_failure, listen, publish_packet, round_trip, running,
    running_with_peer, start,
};

fn fail() -> mqtt::Result<()> {
    Err(Error::other("sour milk"))
}

#[test]
fn the_caller_of_loop_once_gets_the_error_and_may_go_on() {
    let bench = Bench::new("once");
    bench.connect();
    bench.client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
    bench.client.on_message(|_, _| fail());
    bench.broker.publish("t", "x", 0, false).unwrap();
    let failure = callback_failure(bench.client.loop_once(0));
    assert_eq!(failure, ("on_message", "sour milk".to_owned()));
    bench.client.on_message(|_, message| {
        if message.payload == "x" {
            panic!("cup {} broke", 7);
        }
    });
    bench.broker.publish("t", "x", 0, false).unwrap();
    bench.broker.publish("t", "fine", 0, false).unwrap();
    let failure = callback_failure(bench.client.loop_once(0));
    assert_eq!(failure, ("on_message", "panicked: cup 7 broke".to_owned()));
    bench.settle();
    assert!(bench.client.is_connected());
    assert_eq!(bench.client.stats().messages_received, 3);
}

#[test]
fn the_error_has_the_sources_of_what_was_returned() {
    let bench = Bench::new("sources");
    bench
        .client
        .on_connect(|client, _, _, _| client.connect(("127.0.0.1", 0)));
    bench.client.connect(&bench.broker).unwrap();
    let failed = std::iter::repeat_with(|| bench.client.loop_once(0))
        .take(10)
        .find(mqtt::Result::is_err);
    let (callback, message) = callback_failure(failed.unwrap());
    assert_eq!(callback, "on_connect");
    assert!(message.contains("port"), "{message}");
}

#[test]
fn loop_forever_returns_the_error_and_goes_on_when_it_is_called_again() {
    let broker = listen();
    let client = mqtt::Client::new("forever");
    client.on_message(|client, message| match message.payload.to_str_lossy().as_ref() {
        "fail" => fail(),
        "panic" => panic!("ouch"),
        _ => client.disconnect(),
    });
    client.connect(&broker).unwrap();
    client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
    broker.publish("t", "fail", 0, false).unwrap();
    assert_eq!(
        callback_failure(client.loop_forever()),
        ("on_message", "sour milk".to_owned())
    );
    assert!(client.is_connected());
    broker.publish("t", "panic", 0, false).unwrap();
    assert_eq!(
        callback_failure(client.loop_forever()),
        ("on_message", "panicked: ouch".to_owned())
    );
    assert!(client.is_connected());
    broker.publish("t", "enough", 0, false).unwrap();
    client.loop_forever().unwrap();
}

#[test]
fn a_thread_goes_on_and_loop_stop_returns_the_first_error() {
    let broker = listen();
    let client = running("thread", &broker);
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, message| {
        report(message.payload.to_str_lossy().into_owned());
        if message.payload == "panic" {
            panic!("ouch");
        }
        fail()
    });
    client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
    for payload in ["panic", "fail", "again"] {
        broker.publish("t", payload, 0, false).unwrap();
        assert_eq!(seen.next(), payload);
    }
    assert!(client.is_connected());
    assert_eq!(
        callback_failure(client.loop_stop()),
        ("on_message", "panicked: ouch".to_owned())
    );
    assert!(client.is_connected());
}

thread_local! {
    /// Dropped when its thread ends.
    static ALIVE: Cell<Option<Sender<()>>> = const { Cell::new(None) };
}

#[test]
fn what_a_thread_ended_with_is_not_told_by_the_next_loop() {
    for thread in [false, true] {
        let broker = listen();
        let client = running("ends", &broker);
        let (alive, ended) = bounded(0);
        let alive = Mutex::new(Some(alive));
        client.on_publish(move |client, _, _, _| {
            ALIVE.set(alive.lock().unwrap().take());
            client.disconnect()?;
            fail()
        });
        client.publish_with("t", "x", 1, false).unwrap();
        assert_eq!(ended.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
        if thread {
            start(&client, &broker);
            client.loop_stop().unwrap();
        } else {
            client.on_connect(|client, _, _, _| client.disconnect());
            client.connect(&broker).unwrap();
            client.loop_forever().unwrap();
        }
    }
}

#[test]
fn a_message_whose_callback_failed_is_not_acknowledged() {
    let client = mqtt::Client::new("keeps");
    let filter_fails = || fail();
    client.on_message(|_, message| if message.payload == "bad" { fail() } else { Ok(()) });
    client
        .message_callback_add("filtered", move |_, _| filter_fails())
        .unwrap();
    let (_peer, mut connection) = running_with_peer(&client);
    connection.send(&publish_packet(0x32, "t", 1, "bad"));
    connection.send(&publish_packet(0x32, "filtered", 2, "x"));
    connection.send(&publish_packet(0x32, "t", 3, "good"));
    connection.expect(&ack_packet(0x40, 3));
    // QoS 2: the failure is known at the release, and that is not confirmed.
    connection.send(&publish_packet(0x34, "t", 4, "bad"));
    connection.expect(&ack_packet(0x50, 4));
    connection.send(&ack_packet(0x62, 4));
    connection.send(&publish_packet(0x34, "t", 5, "good"));
    connection.expect(&ack_packet(0x50, 5));
    connection.send(&ack_packet(0x62, 5));
    connection.expect(&ack_packet(0x70, 5));
    callback_failure(client.loop_stop());
}

#[test]
fn what_on_message_does_holds_for_the_next_message_of_the_same_read() {
    for qos in [0, 1, 2] {
        let client = mqtt::Client::new("run");
        client.suppress_exceptions_set(qos == 0);
        let seen = Events::new();
        let (report, replaced, filtered) = (seen.sink(), seen.sink(), seen.sink());
        client.on_message(
            move |client, message| match message.payload.to_str_lossy().as_ref() {
                "panic" => panic!("ouch"),
                "replace" => {
                    let replaced = replaced.clone();
                    client.on_message(move |_, message| replaced(format!("replaced {}", message.payload)));
                }
                "filter" => {
                    let filtered = filtered.clone();
                    let report = move |_: &_, message: &mqtt::Message| {
                        filtered(format!("filtered {}", message.payload))
                    };
                    client.message_callback_add("t", report).unwrap();
                }
                text => report(text.to_owned()),
            },
        );
        let (_peer, mut connection) = running_with_peer(&client);
        // The Topic Name is known then.
        connection.send(&publish_packet(0x30, "t", 0, "first"));
        let payloads = ["a", "panic", "b", "filter", "c"];
        let packets = |first, payloads: &[&str]| -> Vec<u8> {
            let packets = (1..).zip(payloads);
            packets
                .flat_map(|(mid, payload)| publish_packet(first, "t", mid, payload))
                .collect()
        };
        let acks = |first, mids: &[u16]| {
            mids.iter()
                .flat_map(|&mid| ack_packet(first, mid))
                .collect::<Vec<_>>()
        };
        connection.send(&packets(0x30 | qos << 1, &payloads));
        if qos == 2 {
            connection.expect(&acks(0x50, &[1, 2, 3, 4, 5]));
            connection.send(&acks(0x62, &[1, 2, 3, 4, 5]));
        }
        for text in ["first", "a", "b", "filtered c"] {
            assert_eq!(seen.next(), text);
        }
        match qos {
            0 => {}
            1 => connection.expect(&acks(0x40, &[1, 3, 4, 5])),
            _ => connection.expect(&acks(0x70, &[1, 3, 4, 5])),
        }
        client.message_callback_remove("t");
        connection.send(&packets(0x30, &["replace", "d", "e"]));
        for text in ["replaced d", "replaced e"] {
            assert_eq!(seen.next(), text);
        }
        let ended = client.loop_stop();
        if qos > 0 {
            assert_eq!(
                callback_failure(ended),
                ("on_message", "panicked: ouch".to_owned())
            );
        }
    }
}

#[test]
fn a_message_that_was_not_acknowledged_comes_again_with_the_next_connection() {
    let broker = listen();
    let client = mqtt::Client::builder("retries").clean_session(false).build();
    client.reconnect_delay_set(0.01, 0.01).unwrap();
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |client, message| {
        report((message.payload.to_str_lossy().into_owned(), message.dup));
        if !message.dup {
            client.user_data_set(());
            return fail();
        }
        Ok(())
    });
    start(&client, &broker);
    client.subscribe(("t", 1)).unwrap().wait(PATIENCE).unwrap();
    broker.publish("t", "x", 1, false).unwrap();
    assert_eq!(seen.next(), ("x".to_owned(), false));
    assert!(broker.disconnect_client("retries"));
    assert_eq!(seen.next(), ("x".to_owned(), true));
    assert_eq!(callback_failure(client.loop_stop()).0, "on_message");
}

#[test]
fn suppressed_errors_are_only_logged() {
    let bench = Bench::new("quiet");
    bench.connect();
    bench.client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
    let lines = Events::new();
    let report = lines.sink();
    bench
        .client
        .on_log(move |_, level, line| report((level, line.to_owned())));
    bench.client.suppress_exceptions_set(true);
    bench.client.on_message(|_, _| fail());
    bench.broker.publish("t", "x", 0, false).unwrap();
    bench.settle();
    let lines = lines.so_far();
    let error = lines.iter().find(|(level, _)| *level == LogLevel::Err);
    let (_, line) = error.unwrap_or_else(|| panic!("{lines:?}"));
    assert!(
        line.contains("on_message") && line.contains("sour milk"),
        "{line}"
    );
    bench.client.suppress_exceptions_set(false);
    bench.broker.publish("t", "x", 0, false).unwrap();
    assert_eq!(callback_failure(bench.client.loop_once(0)).0, "on_message");
}

#[test]
fn each_callback_is_named_in_its_error() {
    type Register = fn(&mqtt::Client);
    let callbacks: [(&str, Register); 6] = [
        ("on_connect", |client| {
            client.on_connect(|_, _, _, _| fail());
        }),
        ("on_subscribe", |client| {
            client.on_subscribe(|_, _, _, _| fail());
        }),
        ("on_unsubscribe", |client| {
            client.on_unsubscribe(|_, _, _, _| fail());
        }),
        ("on_publish", |client| {
            client.on_publish(|_, _, _, _| fail());
        }),
        ("message callback", |client| {
            client.message_callback_add("t", |_, _| fail()).unwrap()
        }),
        ("on_disconnect", |client| {
            client.on_disconnect(|_, _, _, _| fail());
        }),
    ];
    for (name, register) in callbacks {
        let broker = listen();
        let client = mqtt::Client::new("named");
        register(&client);
        start(&client, &broker);
        client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
        client.unsubscribe("u").unwrap().wait(PATIENCE).unwrap();
        round_trip(&client);
        // Its own message is back.
        client.unsubscribe("t").unwrap().wait(PATIENCE).unwrap();
        let _ = client.disconnect();
        let (callback, message) = callback_failure(client.loop_stop());
        assert_eq!((callback, message.as_str()), (name, "sour milk"));
    }
}

#[test]
fn an_error_before_connecting_gives_the_attempt_up() {
    let broker = listen();
    let client = mqtt::Client::new("before");
    client.on_pre_connect(|_| fail());
    assert_eq!(
        callback_failure(client.connect(&broker)),
        ("on_pre_connect", "sour milk".to_owned())
    );
    assert!(!client.is_connected());
    client.on_pre_connect(|_| {});
    client.on_socket_open(|_, _| -> () { panic!("no") });
    assert_eq!(
        callback_failure(client.connect(&broker)),
        ("on_socket_open", "panicked: no".to_owned())
    );
    client.on_socket_open(|_, _| {});
    client.connect_and_wait(&broker, PATIENCE).unwrap();
}

#[test]
fn nobody_waits_for_ever_for_what_a_callback_broke() {
    let broker = listen();
    let client = running("waits", &broker);
    client.on_publish(|_, _, _, _| -> () { panic!("ouch") });
    let info = client.publish_with("t", "x", 2, false).unwrap();
    info.wait_for_publish(PATIENCE).unwrap();
    client.flush(PATIENCE).unwrap();
    assert_eq!(callback_failure(client.loop_stop()).0, "on_publish");
}

#[test]
fn a_panic_in_on_log_harms_nobody() {
    let bench = Bench::new("logs");
    bench.client.on_log(|_, _, _| panic!("no paper"));
    bench.connect();
    round_trip(&bench.client);
    bench.settle();
}
