//! Calls that wait: for messages, for answers, for room; and messages that always end.

use std::thread;
use std::time::Duration;

use callmq::client::{Client, Delivery, DropReason, Error, OfflineQueue, WhenFull};
use crossbeam_channel::bounded;

use crate::support::peer::Peer;
use crate::tools::{AT_ONCE, LONG, dead_port, fastest, packet, publish, tell, timed, within};

/// A client that is connected to a peer.
fn connected(peer: &Peer) -> (Client, crate::support::peer::Connection) {
    connect(Client::new("a"), peer)
}

fn connect(client: Client, peer: &Peer) -> (Client, crate::support::peer::Connection) {
    client.connect(peer.address()).unwrap();
    let connection = peer.accept_client();
    client.wait_for_connect(LONG).unwrap();
    (client, connection)
}

#[test]
fn several_threads_wait_with_nobody_driving() {
    let peer = Peer::listen();
    let (client, mut connection) = connected(&peer);
    let infos: Vec<_> = (0..8)
        .map(|_| client.publish_with("t", "x", 1, false).unwrap())
        .collect();
    thread::scope(|scope| {
        let waiting: Vec<_> = infos
            .iter()
            .map(|info| scope.spawn(move || info.wait_for_publish(LONG)))
            .collect();
        for info in &infos {
            connection.expect_packet(0x32);
            connection.send(&packet(0x40, &info.mid.to_be_bytes()));
        }
        for waiting in waiting {
            waiting.join().unwrap().unwrap();
        }
    });
}

#[test]
fn one_that_waits_goes_on_by_itself_when_the_loop_is_stopped() {
    let peer = Peer::listen();
    let (client, mut connection) = connected(&peer);
    client.loop_start().unwrap();
    let info = client.publish_with("t", "x", 1, false).unwrap();
    connection.expect_packet(0x32);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| info.wait_for_publish(LONG));
        client.loop_stop().unwrap();
        connection.send(&packet(0x40, &info.mid.to_be_bytes()));
        waiting.join().unwrap().unwrap();
    });
    // And the other way round: one drives, and a loop is started.
    let info = client.publish_with("t", "x", 1, false).unwrap();
    connection.expect_packet(0x32);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| info.wait_for_publish(LONG));
        client.loop_start().unwrap();
        connection.send(&packet(0x40, &info.mid.to_be_bytes()));
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn what_others_do_to_a_message_reaches_the_one_that_waits_for_it() {
    let peer = Peer::listen();
    for looping in [false, true] {
        let (client, mut connection) = connected(&peer);
        if looping {
            client.loop_start().unwrap();
        }
        let info = client.publish_with("t", "x", 1, false).unwrap();
        connection.expect_packet(0x32);
        let dropped = within(LONG, {
            let (client, info) = (client.clone(), info.clone());
            move || {
                let waiting = thread::spawn(move || info.wait_for_publish(None));
                // Nothing tells that it waits: by now it will, in one way or the other. If not, the test is easier.
                thread::sleep(Duration::from_millis(20));
                assert_eq!(client.drop_out_messages().len(), 1);
                waiting.join().unwrap()
            }
        });
        assert!(
            matches!(dropped, Err(Error::Dropped(DropReason::Discarded))),
            "{dropped:?}"
        );
    }
}

#[test]
fn one_that_waits_for_a_queued_message_hears_that_another_took_its_place() {
    let client = Client::new("a");
    client.offline_queue_set(OfflineQueue {
        max_messages: 1,
        when_full: WhenFull::DropOldest,
        ..OfflineQueue::default()
    });
    client.reconnect_delay_set(60, 60).unwrap();
    client.connect_async(dead_port()).unwrap();
    client.loop_start().unwrap();
    let info = client.publish_with("t", "1", 1, false).unwrap();
    let result = within(LONG, move || {
        let waiting = thread::spawn(move || info.wait_for_publish(None));
        // As above.
        thread::sleep(Duration::from_millis(20));
        client.publish_with("t", "2", 1, false).unwrap();
        waiting.join().unwrap()
    });
    assert!(
        matches!(result, Err(Error::Dropped(DropReason::QueueFull))),
        "{result:?}"
    );
}

/// Each message and request ends when its client does, whoever still holds its handle.
#[test]
fn everything_ends_with_the_client() {
    let peer = Peer::listen();
    for looping in [false, true] {
        let (client, mut connection) = connected(&peer);
        client.max_inflight_messages_set(1).unwrap_err();
        if looping {
            client.loop_start().unwrap();
        }
        let subscription = client.subscribe("t").unwrap();
        let sent = client.publish_with("t", "x", 2, false).unwrap();
        let queued: Vec<_> = (0..30)
            .map(|_| client.publish_with("t", "x", 1, false).unwrap())
            .collect();
        let zero = client.publish("t", "x").unwrap();
        let finished = [sent.finished(), queued[29].finished(), subscription.finished()];
        connection.expect_packet(0x82);
        let taken = timed(|| drop(client));
        assert!(taken < Duration::from_millis(1500), "{taken:?}");
        for receiver in finished {
            let outcome = receiver.recv_timeout(LONG).unwrap();
            assert!(
                matches!(outcome, Err(Error::Dropped(DropReason::ClientDropped))),
                "{outcome:?}"
            );
        }
        assert!(subscription.is_answered());
        assert_eq!(
            zero.delivery(),
            Delivery::Acknowledged(callmq::client::ReasonCode::SUCCESS)
        );
        let waited = within(LONG, move || queued[0].wait_for_publish(None));
        assert!(
            matches!(waited, Err(Error::Dropped(DropReason::ClientDropped))),
            "{waited:?}"
        );
    }
    // Never connected.
    let client = Client::new("a");
    let info = client.publish_with("t", "x", 1, false).unwrap();
    let request = client.subscribe("t").unwrap();
    drop(client);
    assert_eq!(info.delivery(), Delivery::Dropped(DropReason::ClientDropped));
    assert!(matches!(
        request.wait(None),
        Err(Error::Dropped(DropReason::ClientDropped))
    ));
}

#[test]
fn the_last_handle_may_go_inside_a_callback() {
    for looping in [true, false] {
        let peer = Peer::listen();
        let (client, mut connection) = connected(&peer);
        let unfinished = client.publish_with("t", "x", 2, false).unwrap();
        let receiver = unfinished.finished();
        connection.expect_packet(0x34);
        let (give, mut given) = bounded(1);
        client.on_message(move |_, _| {
            // The last handle of the user.
            drop(std::mem::replace(&mut given, bounded(1).1).try_recv().ok());
        });
        if looping {
            client.loop_start().unwrap();
        }
        give.send(client).unwrap();
        connection.send(&publish(b"end"));
        if looping {
            let _ = within(LONG, move || receiver.recv());
        } else {
            let result = within(LONG, move || unfinished.wait_for_publish(LONG));
            assert!(result.is_err());
            assert!(receiver.try_recv().is_ok(), "the message has ended");
        }
        connection.expect_goodbye();
    }
}

#[test]
fn flushing_while_others_publish_returns() {
    let peer = Peer::listen();
    for looping in [false, true] {
        let (client, mut connection) = connected(&peer);
        if looping {
            client.loop_start().unwrap();
        }
        let reading = thread::spawn(move || {
            while connection
                .packet_within(LONG)
                .is_some_and(|packet| packet[0] != 0xe0)
            {}
        });
        within(LONG, move || {
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        for _ in 0..300 {
                            let info = client.publish("t", "x").unwrap();
                            info.wait_for_publish(LONG).unwrap();
                        }
                    });
                }
                scope.spawn(|| {
                    for _ in 0..300 {
                        client.flush(LONG).unwrap();
                    }
                });
            });
            client.disconnect().unwrap();
        });
        reading.join().unwrap();
    }
}

/// What a call waits for may happen just before it goes to sleep, and be the last thing to happen: once in some ten
/// thousand times here.
#[test]
fn a_call_that_drives_does_not_sleep_through_what_it_waits_for() {
    const ROUNDS: usize = 10_000;
    const PATIENCE: Duration = Duration::from_secs(4);
    let peer = Peer::listen();
    let (client, mut connection) = connected(&peer);
    let reading = thread::spawn(move || {
        while connection
            .packet_within(LONG)
            .is_some_and(|packet| packet[0] != 0xe0)
        {}
    });
    let round = std::sync::Barrier::new(4);
    let mut longest = Duration::ZERO;
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    round.wait();
                    for _ in 0..2 {
                        client.publish("t", "x").unwrap();
                    }
                }
            });
        }
        for _ in 0..ROUNDS {
            round.wait();
            longest = longest.max(timed(|| client.flush(PATIENCE).unwrap()));
        }
    });
    assert!(longest < PATIENCE / 2, "{longest:?}");
    client.disconnect().unwrap();
    reading.join().unwrap();
}

#[test]
fn a_full_channel_is_left_at_once_in_every_way() {
    for how in ["loop_stop", "disconnect", "drop"] {
        let taken = fastest(|| {
            let peer = Peer::listen();
            let (client, mut connection) = connected(&peer);
            let messages = client.messages(1);
            client.loop_start().unwrap();
            for _ in 0..3 {
                connection.send(&publish(b"x"));
            }
            // One message is in the channel, the loop holds the next.
            while messages.receiver().is_empty() {
                thread::yield_now();
            }
            let taken = timed(|| match how {
                "loop_stop" => client.loop_stop().unwrap(),
                "disconnect" => client.disconnect().unwrap(),
                _ => drop(client),
            });
            if how != "loop_stop" {
                connection.expect(b"\xe0\x00");
            }
            taken
        });
        assert!(taken < AT_ONCE, "{how} took {taken:?}");
    }
}

#[test]
fn stepping_with_a_full_channel_waits_as_long_as_was_asked() {
    let peer = Peer::listen();
    let (client, mut connection) = connected(&peer);
    let messages = client.messages(1);
    connection.send(&[publish(b"1"), publish(b"2"), publish(b"3")].concat());
    for _ in 0..5 {
        client.loop_once(0.01).unwrap();
    }
    let taken = timed(|| client.loop_once(0.2).unwrap());
    assert!(taken > Duration::from_millis(150), "did not wait: {taken:?}");
    for expected in [b"1", b"2", b"3"] {
        assert_eq!(&messages.try_recv().unwrap().unwrap().payload[..], expected);
        client.loop_once(0.01).unwrap();
    }
}

#[test]
fn a_slow_on_connect_does_not_cost_the_connection() {
    let peer = Peer::listen();
    let client = Client::new("a");
    let (leave, left) = bounded::<()>(0);
    client.on_connect(move |_, _, _, _| {
        let _ = left.recv();
    });
    client.loop_start().unwrap();
    let (host, port) = peer.address();
    client.connect((host, port, 1)).unwrap();
    let mut connection = peer.accept_client();
    connection.expect(b"\xc0\x00");
    leave.send(()).unwrap();
}

#[test]
fn a_stalled_peer_does_not_hold_up_the_end() {
    for looping in [true, false] {
        for how in ["disconnect", "loop_stop", "disconnect and loop_stop"] {
            if !looping && how != "disconnect" {
                continue;
            }
            let taken = fastest(|| {
                let peer = Peer::listen();
                let (client, connection) = connected(&peer);
                let ended = crate::tools::ends(&client);
                if looping {
                    client.loop_start().unwrap();
                }
                // Until neither the system nor the output takes more.
                let payload = vec![0; 1 << 20];
                while client.stats().output_bytes < 100_000 {
                    if client.publish("t", &payload).is_err() {
                        break;
                    }
                }
                let taken = timed(|| match how {
                    "disconnect" => {
                        client.disconnect().unwrap();
                        let (reason, _) = ended.recv_timeout(LONG).unwrap();
                        assert!(matches!(reason, callmq::client::DisconnectReason::Requested));
                    }
                    "loop_stop" => client.loop_stop().unwrap(),
                    _ => {
                        client.disconnect().unwrap();
                        client.loop_stop().unwrap();
                    }
                });
                drop(connection);
                taken
            });
            assert!(taken < AT_ONCE, "looping: {looping}, {how}: {taken:?}");
        }
    }
}

#[test]
fn stopping_waits_for_one_callback_and_not_for_all_that_are_due() {
    let taken = fastest(|| {
        let peer = Peer::listen();
        let (client, mut connection) = connected(&peer);
        let (entered, enter) = bounded(1);
        client.on_message(move |_, _| {
            tell(&entered);
            // The pace of the callbacks: all that are due would take a second.
            thread::sleep(Duration::from_millis(5));
        });
        let received = client.messages(1000);
        connection.send(&publish(b"x").repeat(200));
        client.loop_start().unwrap();
        enter.recv_timeout(LONG).unwrap();
        let taken = timed(|| client.loop_stop().unwrap());
        // The others come later, in their order, and none is lost.
        client.on_message(|_, _| {});
        client.loop_start().unwrap();
        for _ in 0..200 {
            received.recv(LONG).unwrap();
        }
        taken
    });
    assert!(taken < AT_ONCE, "{taken:?}");
}

#[test]
fn callbacks_that_are_slower_than_the_publisher_do_not_hold_up_reading() {
    let peer = Peer::listen();
    // So that not too many callbacks are due at once.
    let client = Client::builder("a").output_limit(16 * 1024).build();
    let (client, mut connection) = connect(client, &peer);
    // The pace: slower than the publisher.
    client.on_publish(|_, _, _, _| thread::sleep(Duration::from_micros(50)));
    let received = client.messages(10);
    client.loop_start().unwrap();
    let (stop, stopped) = bounded::<()>(0);
    let reading = thread::spawn(move || {
        let mut count = 0;
        while connection
            .packet_within(LONG)
            .is_some_and(|packet| packet[0] != 0xe0)
        {
            count += 1;
            if count % 500 == 0 {
                connection.send(&publish(b"in"));
            }
        }
    });
    let flooding = thread::spawn({
        let client = client.clone();
        move || {
            while stopped.try_recv() == Err(crossbeam_channel::TryRecvError::Empty) {
                let _ = client.publish("t", "x");
            }
        }
    });
    received.recv(LONG).unwrap();
    drop(stop);
    flooding.join().unwrap();
    client.loop_stop().unwrap();
    client.disconnect().unwrap();
    reading.join().unwrap();
}

#[test]
fn with_a_clock_moved_by_hand_nothing_waits_for_ever() {
    use callmq::testing::Broker;
    let queue = OfflineQueue {
        max_messages: 1,
        when_full: WhenFull::Block(Duration::from_secs(3)),
        ..OfflineQueue::default()
    };
    let broker = Broker::new();
    let client = Client::builder("a")
        .clock(broker.clock().unwrap())
        .offline_queue(queue)
        .build();
    within(LONG, move || {
        // No room, and nobody who would make some.
        client.publish_with("t", "1", 1, false).unwrap();
        let full = client.publish_with("t", "2", 1, false);
        assert!(matches!(full, Err(Error::QueueFull { .. })), "{full:?}");
        // With a connection there is: the call drives by itself.
        client.connect(&broker).unwrap();
        client.wait_for_connect(1).unwrap();
        for _ in 0..100 {
            client.publish_with("t", "3", 1, false).unwrap();
        }
        client.flush(1).unwrap();
        // And with a loop in a thread of its own.
        client.loop_start().unwrap();
        client
            .publish_with("t", "4", 2, false)
            .unwrap()
            .wait_for_publish(LONG)
            .unwrap();
        client.loop_stop().unwrap();
    });
}

#[test]
fn a_flood_does_not_keep_a_stepping_client_from_pinging() {
    let peer = Peer::listen();
    let client = Client::new("a");
    // The pace: all messages would take four seconds.
    client.on_message(|_, _| thread::sleep(Duration::from_millis(1)));
    let (host, port) = peer.address();
    client.connect((host, port, 1)).unwrap();
    let mut connection = peer.accept_client();
    client.wait_for_connect(LONG).unwrap();
    // More than the client can handle in this time: there is always something to read.
    connection.send(&publish(b"x").repeat(4000));
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_millis(1400) {
        client.loop_once(0.1).unwrap();
    }
    // The last turn may have begun before the ping was due.
    client.loop_once(0.1).unwrap();
    assert!(client.stats().messages_received < 4000);
    connection.expect(b"\xc0\x00");
}
