//! The end of a client: flushing, and dropping the last handle.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use callmq::client::{self as mqtt, Delivery, DropReason, Error};

use crate::support::{
    Bench, Connection, Events, PATIENCE, Peer, ack_packet, best_of, broker_has, connect_to, eventually,
    listen, publish_packet, published, round_trip, running, running_with_peer,
};

#[test]
fn dropping_the_last_handle_delivers_what_was_accepted_and_says_goodbye() {
    for with_loop in [false, true] {
        let peer = Peer::listen();
        let client = mqtt::Client::new("leaves");
        if with_loop {
            client.loop_start().unwrap();
        }
        let mut connection = connect_to(&client, &peer);
        let first = client.publish("t", "0").unwrap();
        let second = client.publish_with("t", "1", 1, false).unwrap();
        let dropping = thread::spawn(move || drop(client));
        connection.expect(&publish_packet(0x30, "t", 0, "0"));
        connection.expect(&publish_packet(0x32, "t", second.mid, "1"));
        connection.send(&ack_packet(0x40, second.mid));
        connection.expect_goodbye();
        dropping.join().unwrap();
        assert!(first.is_published() && second.is_published());
    }
}

#[test]
fn a_clone_keeps_the_client_alive_and_a_weak_handle_does_not() {
    let broker = listen();
    let client = running("handles", &broker);
    let clone = client.clone();
    let weak = client.downgrade();
    drop(client);
    assert!(clone.is_connected());
    let again = weak.upgrade().unwrap();
    drop(clone);
    round_trip(&again);
    drop(again);
    assert!(weak.upgrade().is_none());
    broker_has(&broker, "the goodbye", |broker| {
        broker.connected_clients().is_empty()
    });
    let log = broker.log().join("\n");
    assert!(log.contains("Received DISCONNECT from handles"), "{log}");
}

#[test]
fn closures_and_what_they_hold_are_freed() {
    let broker = listen();
    let held = Arc::new(());
    for with_loop in [false, true] {
        let client = mqtt::Client::new("frees");
        for _ in 0..2 {
            let (a, b, c) = (Arc::clone(&held), Arc::clone(&held), Arc::clone(&held));
            client.on_message(move |_, _| drop(Arc::clone(&a)));
            client.on_disconnect(move |_, _, _, _| drop(Arc::clone(&b)));
            client
                .message_callback_add("t", move |_, _| drop(Arc::clone(&c)))
                .unwrap();
        }
        let user_data = Arc::clone(&held);
        client.user_data_set(user_data);
        if with_loop {
            client.loop_start().unwrap();
        }
        client.connect_and_wait(&broker, PATIENCE).unwrap();
        drop(client);
        eventually("everything is freed", || Arc::strong_count(&held) == 1);
    }
}

#[test]
fn the_last_handle_may_be_dropped_in_a_callback() {
    let broker = listen();
    let client = mqtt::Client::new("inside");
    let (give, given) = crossbeam_channel::bounded(1);
    client.on_message(move |client, _| {
        let last = given.try_recv().ok();
        client.publish_with("u", "bye", 1, false).unwrap();
        drop(last);
    });
    client.loop_start().unwrap();
    client.connect_and_wait(&broker, PATIENCE).unwrap();
    client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
    let weak = client.downgrade();
    give.send(client).unwrap();
    broker.publish("t", "x", 0, false).unwrap();
    broker_has(&broker, "the goodbye", |broker| {
        broker.connected_clients().is_empty()
    });
    assert_eq!(published(&broker, "u"), ["bye"]);
    assert!(weak.upgrade().is_none());
    let log = broker.log().join("\n");
    assert!(log.contains("Received DISCONNECT from inside"), "{log}");
}

#[test]
fn a_message_that_cannot_be_delivered_ends_with_the_client() {
    let client = mqtt::Client::new("never");
    let info = client.publish_with("t", "x", 1, false).unwrap();
    let finished = info.finished();
    drop(client);
    assert_eq!(info.delivery(), Delivery::Dropped(DropReason::ClientDropped));
    assert!(matches!(
        info.wait_for_publish(PATIENCE),
        Err(Error::Dropped(DropReason::ClientDropped))
    ));
    assert!(finished.try_recv().unwrap().is_err());
}

#[test]
fn the_drop_does_not_wait_for_ever_for_a_peer_that_does_not_answer() {
    let client = mqtt::Client::new("bounded");
    let (_peer, mut connection) = running_with_peer(&client);
    let info = client.publish_with("t", "x", 1, false).unwrap();
    connection.expect_packet(0x32);
    let started = Instant::now();
    drop(client);
    let took = started.elapsed();
    assert!(
        took >= Duration::from_millis(900) && took < Duration::from_secs(5),
        "{took:?}"
    );
    connection.expect_goodbye();
    assert_eq!(info.delivery(), Delivery::Dropped(DropReason::ClientDropped));
}

#[test]
fn an_idle_client_is_dropped_at_once() {
    let took = best_of(5, Duration::from_millis(50), || {
        let client = mqtt::Client::new("idle");
        let peer = Peer::listen();
        client.loop_start().unwrap();
        let connection = connect_to(&client, &peer);
        let answering = thread::spawn(move || {
            let mut connection = connection;
            connection.expect_goodbye();
        });
        let started = Instant::now();
        drop(client);
        let took = started.elapsed();
        answering.join().unwrap();
        took
    });
    assert!(took < Duration::from_millis(50), "{took:?}");
}

#[test]
fn the_drop_hands_out_the_last_callbacks() {
    let broker = listen();
    let seen = Events::new();
    let client = mqtt::Client::new("last-words");
    let report = seen.sink();
    client.on_publish(move |_, _, _, _| report("on_publish"));
    let report = seen.sink();
    client.on_disconnect(move |client, _, _, _| {
        assert!(!client.is_connected());
        report("on_disconnect");
    });
    client.connect_and_wait(&broker, PATIENCE).unwrap();
    client.publish_with("t", "x", 2, false).unwrap();
    drop(client);
    assert_eq!(seen.so_far(), ["on_publish", "on_disconnect"]);
}

#[test]
fn flush_returns_when_everything_is_finished() {
    let client = mqtt::Client::new("flushes");
    client.flush(0).unwrap();
    let (_peer, mut connection) = running_with_peer(&client);
    let info = client.publish_with("t", "x", 2, false).unwrap();
    assert!(matches!(client.flush(0.02), Err(Error::Timeout)));
    connection.expect_packet(0x34);
    let flushing = thread::spawn({
        let client = client.clone();
        move || client.flush(PATIENCE)
    });
    connection.send(&ack_packet(0x50, info.mid));
    connection.expect(&ack_packet(0x62, info.mid));
    connection.send(&ack_packet(0x70, info.mid));
    flushing.join().unwrap().unwrap();
    assert!(info.is_published());
}

#[test]
fn flush_runs_the_loop_where_nobody_else_does() {
    let bench = Bench::new("flushes");
    bench.connect();
    let infos: Vec<_> = (0..100)
        .map(|number| bench.client.publish_with("t", number, number % 3, false).unwrap())
        .collect();
    bench.client.flush(PATIENCE).unwrap();
    assert!(infos.iter().all(mqtt::MessageInfo::is_published));
    assert_eq!(bench.client.stats().inflight, 0);
}

#[test]
fn flush_without_a_connection_says_so() {
    let client = mqtt::Client::new("nowhere");
    client.publish_with("t", "x", 1, false).unwrap();
    assert!(matches!(client.flush(PATIENCE), Err(Error::NotConnected)));
}

#[test]
fn disconnect_in_a_callback_ends_the_connection_of_a_stalled_peer_within_the_call() {
    /// In each of these calls `on_publish` runs, with nobody else to move the bytes.
    type Call = fn(&mqtt::Client, &mut Connection);
    let calls: [Call; 3] = [
        |client, _| drop(client.publish("t", "x").unwrap()),
        |client, connection| {
            let info = client.publish_with("t", "x", 1, false).unwrap();
            connection.send(&ack_packet(0x40, info.mid));
            info.wait_for_publish(PATIENCE).unwrap();
        },
        |client, connection| {
            let info = client.publish_with("t", "x", 1, false).unwrap();
            connection.send(&ack_packet(0x40, info.mid));
            client.loop_once(PATIENCE).unwrap();
        },
    ];
    for call in calls {
        let client = mqtt::Client::new("stalled");
        let peer = Peer::listen();
        let mut connection = connect_to(&client, &peer);
        let ended = Events::new();
        let report = ended.sink();
        client.on_disconnect(move |_, flags, _, _| report(flags.reason.to_string()));
        client.on_publish(|client, _, _, _| {
            // More than the system takes; the peer does not read.
            client.publish("t", vec![0; 64 << 20])?;
            client.disconnect()
        });
        call(&client, &mut connection);
        assert_eq!(ended.so_far(), ["disconnect requested"]);
        assert!(client.socket().is_none());
    }
}
