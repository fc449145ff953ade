//! Section 9: callbacks that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use callmq::client::{Client, Error, Result};
use interop::mosquitto::free_port;
use interop::peer::Peer;
use interop::{BrokerKind, Proxy, on_each_broker};

use crate::journal::Journal;
use crate::packets::{
    PUBACK, QOS1, ack, builder, new_client, publish, publish_with, soon_back, started, stepped, suback,
    unsuback,
};

/// Fails as a callback can: with an error, or with a panic.
fn boom(panics: bool) -> Result<()> {
    if panics {
        panic!("boom")
    } else {
        Err("boom".into())
    }
}

/// How the log names such a failure.
fn caught(callback: &str, panics: bool) -> String {
    let what = match callback {
        "filter" => "user defined callback function t/+",
        name => name,
    };
    format!(
        "log Caught exception in {what}: {}boom",
        if panics { "panicked: " } else { "" }
    )
}

/// The lines of the log about callbacks that failed, and what the callbacks of the journal were told.
fn watched(client: &Client) -> Journal {
    let journal = Journal::of(client);
    let j = journal.clone();
    client.on_log(move |_, level, line| {
        if level.value() == 8 {
            j.note(format!("log {line}"));
        }
    });
    journal
}

fn is_failure(result: &Result<()>, of: &str) -> bool {
    matches!(result, Err(Error::Callback { callback, message }) if callback.contains(of) && message.contains("boom"))
}

#[test]
fn b9_01_a_callback_that_fails_is_logged_and_the_loop_goes_on() {
    let callbacks = [
        "on_connect",
        "on_subscribe",
        "on_unsubscribe",
        "on_message",
        "on_publish",
        "filter",
    ];
    for (callback, panics) in callbacks
        .into_iter()
        .flat_map(|callback| [(callback, false), (callback, true)])
    {
        let peer = Peer::listen();
        let client = soon_back("b9");
        let journal = watched(&client);
        match callback {
            "on_connect" => drop(client.on_connect(move |_, _, _, _| boom(panics))),
            "on_subscribe" => drop(client.on_subscribe(move |_, _, _, _| boom(panics))),
            "on_unsubscribe" => drop(client.on_unsubscribe(move |_, _, _, _| boom(panics))),
            "on_message" => drop(client.on_message(move |_, _| boom(panics))),
            "on_publish" => drop(client.on_publish(move |_, _, _, _| boom(panics))),
            _ => client
                .message_callback_add("t/+", move |_, _| boom(panics))
                .unwrap(),
        }
        let mut connection = started(&client, &peer);
        client.subscribe("t").unwrap();
        client.unsubscribe("t").unwrap();
        client.publish("t", "x").unwrap();
        connection.send(&[suback(1, &[0]), unsuback(2), publish("t/x", "x")].concat());
        journal.wait_for(&caught(callback, panics));

        // Nothing is stuck, and the connection is what it was.
        let info = client.publish_with("t", "alive", 1, false).unwrap();
        connection.send(&ack(PUBACK, info.mid));
        info.wait_for_publish(5)
            .unwrap_or_else(|error| panic!("{callback}: {error}"));
        assert!(client.is_connected());
        assert_eq!(journal.count("disconnect"), 0);
        let result = client.loop_stop();
        assert!(
            is_failure(&result, if callback == "filter" { "" } else { callback }),
            "{callback}: {result:?}"
        );
    }
}

#[test]
fn b9_01_an_on_disconnect_that_fails_does_not_end_the_loop() {
    for panics in [false, true] {
        let peer = Peer::listen();
        let client = soon_back("b9");
        let journal = watched(&client);
        client.on_disconnect(move |_, _, _, _| boom(panics));
        drop(started(&client, &peer));
        journal.wait_for(&caught("on_disconnect", panics));
        let _next = peer.accept_client();
        journal.wait_for_times("connect 0", 2);
        assert!(is_failure(&client.loop_stop(), "on_disconnect"));
    }
}

#[test]
fn b9_02_after_a_failure_every_call_does_what_it_says() {
    let peer = Peer::listen();
    let client = new_client("b9");
    let journal = watched(&client);
    client.on_message(|_, _| boom(true));
    let mut connection = started(&client, &peer);
    connection.send(&publish("t", "x"));
    journal.wait_for(&caught("on_message", true));
    // In paho-mqtt the thread is dead, publish and disconnect return 0, and nothing is sent.
    assert!(matches!(client.loop_start(), Err(Error::InvalidState(_))));
    client.publish("t", "alive").unwrap();
    connection.expect(&publish("t", "alive"));
    assert!(is_failure(&client.loop_stop(), "on_message"));
    client.loop_start().unwrap();
    client.publish("t", "again").unwrap();
    connection.expect(&publish("t", "again"));
    client.disconnect().unwrap();
    connection.expect_goodbye();
}

#[test]
fn b9_03_the_caller_of_a_loop_gets_the_failure_and_the_connection_stays() {
    for panics in [false, true] {
        let peer = Peer::listen();
        let client = new_client("b9");
        let journal = watched(&client);
        client.on_message(move |_, message| {
            if &message.payload == "bad" {
                boom(panics)
            } else {
                Ok(())
            }
        });
        let mut connection = stepped(&client, &peer);
        connection.send(&publish("t", "bad"));
        assert!(is_failure(&client.loop_once(5), "on_message"));
        connection.send(&publish("t", "bad"));
        assert!(is_failure(&client.loop_forever(), "on_message"));
        assert!(client.is_connected());
        connection.send(&publish("t", "good"));
        client.loop_once(5).unwrap();
        assert_eq!(journal.count("disconnect"), 0);
    }
}

#[test]
fn b9_04_a_message_whose_callback_failed_is_not_handled_again() {
    let peer = Peer::listen();
    let client = new_client("b9");
    let journal = Journal::new();
    let j = journal.clone();
    client.on_message(move |_, message| {
        j.note(message.payload.to_string());
        boom(false)
    });
    let mut connection = stepped(&client, &peer);
    connection.send(&[publish("t", "1"), publish("t", "2")].concat());
    client.loop_once(5).unwrap_err();
    client.loop_once(5).unwrap_err();
    client.loop_once(0.05).unwrap();
    // paho-mqtt handles the packet once more.
    assert_eq!(journal.lines(), ["1", "2"]);
}

on_each_broker!(b9_05_a_message_whose_callback_failed_is_not_acknowledged_and_comes_again);
fn b9_05_a_message_whose_callback_failed_is_not_acknowledged_and_comes_again(kind: BrokerKind) {
    let broker = kind.start();
    let proxy = Proxy::start(broker.port(), Duration::ZERO);
    let client = builder("b9").clean_session(false).build();
    client.reconnect_delay_set(0.05, 0.05).unwrap();
    let journal = Journal::of(&client);
    let attempts = Arc::new(AtomicUsize::new(0));
    let j = journal.clone();
    client.on_message(move |_, message| {
        j.note(format!("got {} dup={}", message.payload, message.dup));
        boom_first(&attempts)
    });
    client.connect(("127.0.0.1", proxy.port())).unwrap();
    client.loop_start().unwrap();
    client.subscribe(("t", 1)).unwrap().wait(5).unwrap();
    client
        .publish_with("t", "x", 1, false)
        .unwrap()
        .wait_for_publish(5)
        .unwrap();
    journal.wait_for("got x dup=false");
    proxy.cut();
    journal.wait_for("got x dup=true");
    broker.wait_for_log("Received PUBACK from b9");
    assert!(is_failure(&client.loop_stop(), "on_message"));
}

fn boom_first(attempts: &AtomicUsize) -> Result<()> {
    if attempts.fetch_add(1, Ordering::Relaxed) == 0 {
        boom(false)
    } else {
        Ok(())
    }
}

#[test]
fn b9_06_an_on_publish_that_fails_does_not_take_the_message_back() {
    for panics in [false, true] {
        let peer = Peer::listen();
        let client = new_client("b9");
        let journal = watched(&client);
        client.on_publish(move |_, _, _, _| boom(panics));
        let mut connection = stepped(&client, &peer);
        // In paho-mqtt the exception comes out of publish.
        let info = client.publish("t", "x").unwrap();
        assert!(info.is_published());
        connection.expect(&publish("t", "x"));
        journal.wait_for(&caught("on_publish", panics));
        assert!(is_failure(&client.loop_once(0.05), "on_publish"));
    }
}

#[test]
fn b9_07_an_on_disconnect_that_fails_comes_out_of_disconnect_and_the_socket_is_closed() {
    for panics in [false, true] {
        let peer = Peer::listen();
        let client = new_client("b9");
        client.on_disconnect(move |_, _, _, _| boom(panics));
        let mut connection = stepped(&client, &peer);
        assert!(is_failure(&client.disconnect(), "on_disconnect"));
        // paho-mqtt leaves it open.
        connection.expect_goodbye();
        assert!(!client.is_connected());
    }
}

#[test]
fn b9_08_an_on_connect_fail_that_fails_does_not_end_the_attempts() {
    for panics in [false, true] {
        let client = soon_back("b9");
        let journal = watched(&client);
        client.on_connect_fail(move |_, _| boom(panics));
        let port = free_port();
        client.connect_async(("127.0.0.1", port)).unwrap();
        client.loop_start().unwrap();
        journal.wait_for_times(&caught("on_connect_fail", panics), 2);
        let peer = Peer::listen_on(port);
        let _connection = peer.accept_client();
        journal.wait_for("connect 0");
    }
}

#[test]
fn b9_09_an_on_log_that_panics_does_no_harm() {
    let peer = Peer::listen();
    let client = new_client("b9");
    let calls = Arc::new(AtomicUsize::new(0));
    let c = Arc::clone(&calls);
    client.on_log(move |_, _, _| {
        c.fetch_add(1, Ordering::Relaxed);
        panic!("boom");
    });
    let mut connection = stepped(&client, &peer);
    client.publish("t", "x").unwrap();
    connection.expect(&publish("t", "x"));
    client.disconnect().unwrap();
    connection.expect_goodbye();
    assert_eq!(
        calls.load(Ordering::Relaxed),
        4,
        "CONNECT, CONNACK, PUBLISH, DISCONNECT"
    );
}

#[test]
fn b9_10_an_on_socket_open_that_fails_comes_out_of_connect_and_nothing_is_sent() {
    for panics in [false, true] {
        let peer = Peer::listen();
        let client = new_client("b9");
        client.on_socket_open(move |_, _| boom(panics));
        assert!(is_failure(&client.connect(peer.address()), "on_socket_open"));
        peer.accept().expect_close();
        client.on_pre_connect(move |_| boom(panics));
        assert!(is_failure(&client.connect(peer.address()), "on_pre_connect"));
        assert!(peer.accept_within(Duration::from_millis(50)).is_none());
    }
}

#[test]
fn b9_11_suppressed_failures_are_logged_and_messages_are_acknowledged() {
    let peer = Peer::listen();
    let client = new_client("b9");
    client.suppress_exceptions_set(true);
    let journal = watched(&client);
    client.on_message(|_, _| boom(true));
    let mut connection = started(&client, &peer);
    connection.send(&publish_with(QOS1, 7, "t", "x"));
    connection.expect(&ack(PUBACK, 7));
    journal.wait_for(&caught("on_message", true));
    client.loop_stop().unwrap();
}
