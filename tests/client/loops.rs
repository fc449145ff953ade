//! The loops: in a thread, in the caller, step by step.

use std::thread;
use std::time::{Duration, Instant};

use callmq::client::{self as mqtt, Error};

use crate::support::{
    BlackHole, Events, PATIENCE, Peer, bad_argument, best_of, connect_to, eventually, listen, publish_packet,
    published, round_trip, running, running_with_peer,
};

#[test]
fn the_thread_waits_for_connect() {
    let broker = listen();
    let client = mqtt::Client::new("early");
    client.loop_start().unwrap();
    client.connect(&broker).unwrap();
    client.wait_for_connect(PATIENCE).unwrap();
    round_trip(&client);
    let connections = broker
        .log()
        .iter()
        .filter(|line| line.starts_with("New connection"))
        .count();
    assert_eq!(connections, 1);
}

#[test]
fn callbacks_run_in_the_thread_of_the_loop() {
    let broker = listen();
    let client = mqtt::Client::new("where");
    let seen = Events::new();
    let report = seen.sink();
    client.on_connect(move |_, _, _, _| {
        let thread = thread::current();
        report((thread.id(), thread.name().map(str::to_owned)));
    });
    client.loop_start().unwrap();
    client.connect(&broker).unwrap();
    let (id, name) = seen.next();
    assert_ne!(id, thread::current().id());
    assert_eq!(name.as_deref(), Some("callmq-where"));
    client.loop_stop().unwrap();

    client.connect(&broker).unwrap();
    client.wait_for_connect(PATIENCE).unwrap();
    assert_eq!(seen.next().0, thread::current().id());
}

#[test]
fn there_is_one_loop_at_a_time() {
    let broker = listen();
    let client = running("one", &broker);
    for (name, result) in [
        ("loop_start", client.loop_start()),
        ("loop_forever", client.loop_forever()),
        ("loop_once", client.loop_once(0)),
        ("loop", client.r#loop()),
        ("loop_read", client.loop_read()),
        ("loop_write", client.loop_write()),
        ("loop_misc", client.loop_misc()),
    ] {
        assert!(
            matches!(result, Err(Error::InvalidState(_))),
            "{name}: {result:?}"
        );
    }
    client.loop_stop().unwrap();
    assert!(matches!(client.loop_stop(), Err(Error::InvalidState(_))));
}

#[test]
fn a_loop_without_a_connection_says_so() {
    let client = mqtt::Client::new("nowhere");
    assert!(matches!(client.loop_once(0), Err(Error::NotConnected)));
    assert!(matches!(client.loop_read(), Err(Error::NotConnected)));
    assert!(matches!(client.loop_write(), Err(Error::NotConnected)));
    assert!(matches!(client.loop_misc(), Err(Error::NotConnected)));
    assert!(matches!(client.loop_stop(), Err(Error::InvalidState(_))));
    assert_eq!(bad_argument(client.loop_forever()), "host");
    assert_eq!(bad_argument(client.loop_once(-1)), "timeout");
}

#[test]
fn after_loop_stop_the_connection_is_there_and_the_next_loop_goes_on() {
    let broker = listen();
    let client = running("pauses", &broker);
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, message| report(message.payload.to_str_lossy().into_owned()));
    client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
    for round in 0..5 {
        client.loop_stop().unwrap();
        assert!(client.is_connected());
        // Without a loop the call writes by itself.
        client.publish("t", round).unwrap();
        client.loop_start().unwrap();
        assert_eq!(seen.next(), round.to_string());
    }
    assert_eq!(client.stats().connects, 1);
}

#[test]
fn loop_forever_ends_with_disconnect_or_loop_stop_from_another_thread() {
    let broker = listen();
    let client = mqtt::Client::new("ends");
    let seen = Events::new();
    let report = seen.sink();
    client.on_connect(move |_, _, _, _| report("connected"));
    let looping = || {
        let client = client.clone();
        thread::spawn(move || client.loop_forever())
    };
    client.connect(&broker).unwrap();
    let thread = looping();
    assert_eq!(seen.next(), "connected");
    client.loop_stop().unwrap();
    thread.join().unwrap().unwrap();
    assert!(client.is_connected());

    let thread = looping();
    eventually("the loop runs", || {
        matches!(client.loop_misc(), Err(Error::InvalidState(_)))
    });
    client
        .publish_with("t", "x", 2, false)
        .unwrap()
        .wait_for_publish(PATIENCE)
        .unwrap();
    client.disconnect().unwrap();
    thread.join().unwrap().unwrap();
    assert!(!client.is_connected());
    assert!(matches!(client.loop_forever(), Err(mqtt::Error::NotConnected)));
}

#[test]
fn loop_start_works_again_after_disconnect() {
    let broker = listen();
    let client = mqtt::Client::new("again");
    for _ in 0..3 {
        client.loop_start().unwrap();
        client.connect_and_wait(&broker, PATIENCE).unwrap();
        client.disconnect().unwrap();
        client.loop_stop().unwrap();
    }
    assert_eq!(client.stats().connects, 3);
}

#[test]
fn loop_once_returns_after_its_timeout_and_before_it_when_something_comes() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("steps");
    let mut connection = connect_to(&client, &peer);
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(50) {
        client.loop_once(0.05).unwrap();
    }
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, _| report(()));
    connection.send(&publish_packet(0x30, "t", 0, "x"));
    let started = Instant::now();
    while seen.so_far().is_empty() {
        client.loop_once(PATIENCE).unwrap();
    }
    assert!(started.elapsed() < PATIENCE / 2);
}

#[test]
fn loop_once_tells_why_the_connection_ended_and_does_not_reconnect() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("steps");
    drop(connect_to(&client, &peer));
    let ended = std::iter::repeat_with(|| client.loop_once(PATIENCE)).find_map(mqtt::Result::err);
    assert!(
        matches!(ended, Some(Error::ConnectionClosed | Error::Io(_))),
        "{ended:?}"
    );
    assert!(matches!(client.loop_once(0), Err(Error::NotConnected)));
    assert!(peer.accept_within(Duration::from_millis(20)).is_none());
}

/// How long `loop_stop` takes in each state, at best of a few tries.
fn stops_at_once(state: &str, prepare: impl Fn(&mqtt::Client) -> Box<dyn std::any::Any>) {
    let took = best_of(5, Duration::from_millis(50), || {
        let client = mqtt::Client::new("stops");
        client.reconnect_jitter_set(0.0).unwrap();
        client.loop_start().unwrap();
        let kept = prepare(&client);
        let started = Instant::now();
        let _ = client.loop_stop();
        let took = started.elapsed();
        // The goodbye of a client that is dropped is not what is measured.
        let _ = client.disconnect();
        drop(client);
        drop(kept);
        took
    });
    assert!(took < Duration::from_millis(50), "{state}: {took:?}");
}

#[test]
fn loop_stop_is_prompt_in_every_state() {
    stops_at_once("waiting for connect", |_| Box::new(()));
    stops_at_once("idle", |client| {
        let peer = Peer::listen();
        Box::new((connect_to(client, &peer), peer))
    });
    stops_at_once("waiting for CONNACK", |client| {
        let peer = Peer::listen();
        client.connect(peer.address()).unwrap();
        Box::new((peer.accept(), peer))
    });
    stops_at_once("a message unacknowledged", |client| {
        let peer = Peer::listen();
        let mut connection = connect_to(client, &peer);
        client.publish_with("t", "x", 1, false).unwrap();
        connection.expect_packet(0x32);
        Box::new((connection, peer))
    });
    stops_at_once("waiting to try again", |client| {
        let seen = Events::new();
        let report = seen.sink();
        client.reconnect_delay_set(60, 60).unwrap();
        client.reconnect_if(move |_, _, _| {
            report(());
            true
        });
        let peer = Peer::listen();
        drop(connect_to(client, &peer));
        seen.next();
        Box::new(peer)
    });
    stops_at_once("connecting to a black hole", |client| {
        let hole = BlackHole::new();
        let seen = Events::new();
        let report = seen.sink();
        client.on_pre_connect(move |_| report(()));
        client.connect_async(hole.address()).unwrap();
        seen.next();
        Box::new(hole)
    });
    stops_at_once("a peer that does not read", |client| {
        let peer = Peer::listen();
        let connection = connect_to(client, &peer);
        client.publish("t", vec![0; 8_000_000]).unwrap();
        Box::new((connection, peer))
    });
    stops_at_once("a full channel", |client| {
        let peer = Peer::listen();
        let messages = client.messages(1);
        let mut connection = connect_to(client, &peer);
        for _ in 0..3 {
            connection.send(&publish_packet(0x30, "t", 0, "x"));
        }
        eventually("the channel is full", || messages.receiver().is_full());
        Box::new((connection, peer, messages))
    });
}

#[test]
fn disconnect_is_prompt_where_the_peer_does_not_answer_or_read() {
    for payload in [1, 8_000_000] {
        let took = best_of(5, Duration::from_millis(50), || {
            let client = mqtt::Client::new("leaves");
            let (_peer, _connection) = running_with_peer(&client);
            client.publish_with("t", vec![0; payload], 1, false).unwrap();
            let started = Instant::now();
            client.disconnect().unwrap();
            client.loop_stop().unwrap_or_default();
            started.elapsed()
        });
        // The peer's end of stream and the last bytes get 20 ms each.
        assert!(took < Duration::from_millis(50), "{payload} bytes: {took:?}");
    }
}

#[test]
fn loop_stop_waits_for_a_callback_that_is_running() {
    let broker = listen();
    let client = running("busy", &broker);
    let (entered, inside) = crossbeam_channel::bounded(1);
    let (leave, left) = crossbeam_channel::bounded::<()>(1);
    client.on_message(move |_, _| {
        entered.send(()).unwrap();
        let _ = left.recv_timeout(PATIENCE);
    });
    client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
    broker.publish("t", "x", 0, false).unwrap();
    inside.recv_timeout(PATIENCE).unwrap();
    let stopping = thread::spawn({
        let client = client.clone();
        move || client.loop_stop()
    });
    assert!(!stopping.is_finished());
    leave.send(()).unwrap();
    stopping.join().unwrap().unwrap();
    assert!(client.loop_once(0).is_ok());
}

#[test]
fn publishing_from_many_threads_while_the_loop_is_started_and_stopped_loses_nothing() {
    let broker = listen();
    let client = running("restless", &broker);
    thread::scope(|scope| {
        for name in ["a", "b"] {
            let client = &client;
            scope.spawn(move || {
                for number in 0..200 {
                    client.publish_with(name, number, 1, false).unwrap();
                }
            });
        }
        for _ in 0..20 {
            client.loop_stop().unwrap();
            client.loop_start().unwrap();
        }
    });
    client.flush(PATIENCE).unwrap();
    let expected: Vec<_> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(published(&broker, "a"), expected);
    assert_eq!(published(&broker, "b"), expected);
}

#[test]
fn a_client_id_that_no_thread_can_be_named_after_is_refused_by_connect_alone() {
    let client = mqtt::Client::new("a\0b");
    client.loop_start().unwrap();
    assert!(matches!(
        client.connect(("127.0.0.1", 1)),
        Err(mqtt::Error::InvalidArgument { .. })
    ));
    client.loop_stop().unwrap();
}
