//! Section 5: losing the connection and getting it back.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use callmq::client::{Error, OnSessionLost};
use interop::peer::Peer;
use interop::{BrokerKind, Proxy, on_each_broker};

use crate::journal::{AT_ONCE, Journal, timed, wait_until};
use crate::packets::{
    CONNACK, CONNACK_WITH_SESSION, DUP, PUBACK, PUBCOMP, PUBREC, PUBREL, QOS1, QOS2, ack, builder,
    new_client, publish, publish_with, soon_back, started, stepped, suback, subscribe,
};

const LOST: &str = "disconnect 128: connection lost: connection closed by the peer";

/// How long the peer waits for each of `count` connections, which `each` then ends.
fn gaps(peer: &Peer, count: usize, mut each: impl FnMut(interop::peer::Connection)) -> Vec<f64> {
    each(peer.accept());
    let mut last = Instant::now();
    let mut gaps = Vec::new();
    for _ in 1..count {
        let connection = peer.accept();
        gaps.push(last.elapsed().as_secs_f64());
        each(connection);
        last = Instant::now();
    }
    gaps
}

/// Not less than each delay, and on a busy machine not much more.
fn assert_delays(gaps: &[f64], delays: &[f64]) {
    let fits = |(gap, delay): (&f64, &f64)| (*delay..2.0 * delay + 0.3).contains(gap);
    assert!(
        gaps.len() == delays.len() && gaps.iter().zip(delays).all(fits),
        "waited {gaps:.3?} instead of {delays:?}"
    );
}

on_each_broker!(b5_01_a_broker_that_dies_is_noticed_at_once_and_told_once);
fn b5_01_a_broker_that_dies_is_noticed_at_once_and_told_once(kind: BrokerKind) {
    let mut broker = kind.start();
    let client = new_client("b5");
    client.reconnect_delay_set(60, 60).unwrap();
    let journal = Journal::of(&client);
    client.connect(broker.address()).unwrap();
    client.loop_start().unwrap();
    journal.wait_for("connect 0");
    broker.kill();
    let (_, took) = timed(|| journal.wait_for("disconnect 128: connection lost"));
    assert!(took < AT_ONCE, "{took:?}");
    // When the loop has ended there is nothing left to tell.
    client.loop_stop().unwrap();
    assert_eq!(journal.count("disconnect"), 1);
}

#[test]
fn b5_02_the_delay_doubles_up_to_the_longest() {
    let peer = Peer::listen();
    let client = new_client("b5");
    client.reconnect_delay_set(0.1, 0.8).unwrap();
    client.reconnect_jitter_set(0.0).unwrap();
    let journal = Journal::of(&client);
    let j = journal.clone();
    client.on_log(move |_, level, line| {
        if line == "Connection failed, retrying" {
            j.note(format!("log {}", level.value()));
        }
    });
    let connection = started(&client, &peer);
    drop((peer, connection));
    let lost = journal.wait_for(LOST);
    let failures = journal.wait_for_times("connect_fail", 5);
    let times: Vec<_> = [lost].iter().chain(&failures).map(|entry| entry.at).collect();
    let gaps: Vec<_> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64())
        .collect();
    assert_delays(&gaps, &[0.1, 0.2, 0.4, 0.8, 0.8]);
    journal.wait_for_times("log 16", 5);
    assert_eq!(
        journal.lines()[2..6],
        ["connect_fail", "log 16", "connect_fail", "log 16"]
    );
}

on_each_broker!(b5_03_a_broker_that_returns_is_found_at_the_next_attempt);
fn b5_03_a_broker_that_returns_is_found_at_the_next_attempt(kind: BrokerKind) {
    let mut broker = kind.start();
    let client = soon_back("b5");
    let journal = Journal::of(&client);
    client.connect(broker.address()).unwrap();
    client.loop_start().unwrap();
    journal.wait_for("connect 0");
    broker.kill();
    journal.wait_for("connect_fail");
    broker.restart();
    journal.wait_for_times("connect 0", 2);
    assert!(client.is_connected());
}

#[test]
fn b5_04_the_delay_starts_again_only_after_a_good_connection() {
    let peer = Peer::listen();
    let client = new_client("b5");
    client.reconnect_delay_set(0.1, 10).unwrap();
    client.reconnect_jitter_set(0.0).unwrap();
    client.connect(peer.address()).unwrap();
    client.loop_start().unwrap();
    // TCP alone does not count.
    let delays = gaps(&peer, 4, drop);
    assert_delays(&delays, &[0.1, 0.2, 0.4]);
    drop(client);

    let client = new_client("b5");
    client.reconnect_delay_set(0.1, 10).unwrap();
    client.reconnect_jitter_set(0.0).unwrap();
    client.connect(peer.address()).unwrap();
    client.loop_start().unwrap();
    // Nor does a connection that is accepted and thrown out at once, which paho-mqtt takes for a good one.
    let delays = gaps(&peer, 4, |mut connection| {
        connection.expect_packet(0x10);
        connection.send(CONNACK);
        wait_until("it is connected", || client.is_connected());
    });
    assert_delays(&delays, &[0.1, 0.2, 0.4]);
}

#[test]
fn b5_05_the_delays_can_be_set() {
    let peer = Peer::listen();
    let client = new_client("b5");
    client.reconnect_delay_set(0.2, 0.5).unwrap();
    client.reconnect_jitter_set(0.0).unwrap();
    client.connect(peer.address()).unwrap();
    client.loop_start().unwrap();
    assert_delays(&gaps(&peer, 5, drop), &[0.2, 0.4, 0.5, 0.5]);
}

#[test]
fn b5_06_the_wait_is_ended_at_once_by_disconnect_and_by_loop_stop() {
    for stop in [true, false] {
        let peer = Peer::listen();
        let client = new_client("b5");
        client.reconnect_delay_set(60, 60).unwrap();
        let journal = Journal::of(&client);
        drop(started(&client, &peer));
        journal.wait_for(LOST);
        let ((), took) = timed(|| {
            if !stop {
                assert!(matches!(client.disconnect(), Err(Error::NotConnected)));
            }
            let _ = client.loop_stop();
        });
        assert!(took < AT_ONCE, "{took:?}");
        assert!(peer.accept_within(Duration::from_millis(100)).is_none());
    }
}

on_each_broker!(b5_07_on_connect_tells_after_each_reconnection_whether_there_is_a_session);
fn b5_07_on_connect_tells_after_each_reconnection_whether_there_is_a_session(kind: BrokerKind) {
    for (clean, second) in [(true, "connect 0"), (false, "connect 0 session")] {
        let broker = kind.start();
        let proxy = Proxy::start(broker.port(), Duration::ZERO);
        let client = builder("b5").clean_session(clean).build();
        client.reconnect_delay_set(0.05, 0.05).unwrap();
        let journal = Journal::of(&client);
        client.connect(("127.0.0.1", proxy.port())).unwrap();
        client.loop_start().unwrap();
        journal.wait_for("connect 0");
        proxy.cut();
        journal.wait_for_times("connect", 2);
        assert_eq!(journal.lines(), ["connect 0", LOST, second]);
    }
}

on_each_broker!(b5_07_a_broker_that_restarted_has_no_session);
fn b5_07_a_broker_that_restarted_has_no_session(kind: BrokerKind) {
    let mut broker = kind.start();
    let client = builder("b5").clean_session(false).build();
    client.reconnect_delay_set(0.05, 0.05).unwrap();
    let journal = Journal::of(&client);
    client.connect(broker.address()).unwrap();
    client.loop_start().unwrap();
    journal.wait_for("connect 0");
    broker.kill();
    broker.restart();
    journal.wait_for_times("connect 0", 2);
    assert_eq!(journal.lines().last().unwrap(), "connect 0");
}

/// A subscriber that is cut off while somebody publishes, and what it gets.
fn messages_around_a_loss(kind: BrokerKind, clean: bool) -> Vec<String> {
    let broker = kind.start();
    let proxy = Proxy::start(broker.port(), Duration::ZERO);
    let client = builder("b5").clean_session(clean).build();
    client.reconnect_delay_set(0.3, 0.3).unwrap();
    let journal = Journal::of(&client);
    client.connect(("127.0.0.1", proxy.port())).unwrap();
    client.loop_start().unwrap();
    client.subscribe(("t", 1)).unwrap();
    journal.wait_for("subscribe 1 [1]");
    proxy.cut();
    journal.wait_for(LOST);

    let other = new_client("other");
    other.connect_and_wait(broker.address(), 5).unwrap();
    other
        .publish_with("t", "meanwhile", 1, false)
        .unwrap()
        .wait_for_publish(5)
        .unwrap();
    journal.wait_for_times("connect 0", 2);
    if clean {
        // The renewed subscription.
        journal.wait_for("subscribe 2 [1]");
    }
    other
        .publish_with("t", "afterwards", 1, false)
        .unwrap()
        .wait_for_publish(5)
        .unwrap();
    journal.wait_for("message t afterwards");
    journal
        .lines()
        .into_iter()
        .filter(|line| line.starts_with("message"))
        .collect()
}

on_each_broker!(b5_08_a_clean_session_misses_messages_but_not_its_subscriptions);
fn b5_08_a_clean_session_misses_messages_but_not_its_subscriptions(kind: BrokerKind) {
    // With paho-mqtt the subscription is gone as well.
    assert_eq!(messages_around_a_loss(kind, true), ["message t afterwards"]);
}

on_each_broker!(b5_08_a_kept_session_delivers_what_was_published_meanwhile);
fn b5_08_a_kept_session_delivers_what_was_published_meanwhile(kind: BrokerKind) {
    assert_eq!(
        messages_around_a_loss(kind, false),
        ["message t meanwhile", "message t afterwards"]
    );
}

#[test]
fn b5_09_publish_while_disconnected_keeps_qos_1_and_2_and_refuses_qos_0() {
    let peer = Peer::listen();
    let client = new_client("b5");
    client.reconnect_delay_set(0.2, 0.2).unwrap();
    let journal = Journal::of(&client);
    drop(started(&client, &peer));
    journal.wait_for(LOST);

    assert!(matches!(client.publish("t", "lost"), Err(Error::NotConnected)));
    let first = client.publish_with("t", "one", 1, false).unwrap();
    let second = client.publish_with("t", "two", 2, false).unwrap();
    let third = client.publish_with("t", "three", 1, false).unwrap();

    let mut connection = peer.accept_client();
    connection.expect(&publish_with(QOS1, first.mid, "t", "one"));
    connection.expect(&publish_with(QOS2, second.mid, "t", "two"));
    connection.expect(&publish_with(QOS1, third.mid, "t", "three"));
    connection.send(&ack(PUBACK, first.mid));
    journal.wait_for(&format!("publish {}", first.mid));
    assert_eq!(journal.lines()[..3], ["connect 0", LOST, "connect 0"]);
}

#[test]
fn b5_10_the_info_of_a_message_that_was_kept_tells_its_end() {
    let peer = Peer::listen();
    let client = new_client("b5");
    client.reconnect_delay_set(0.2, 0.2).unwrap();
    let journal = Journal::of(&client);
    drop(started(&client, &peer));
    journal.wait_for(LOST);
    let info = client.publish_with("t", "x", 1, false).unwrap();
    assert!(!info.is_published());
    let mut connection = peer.accept_client();
    connection.expect(&publish_with(QOS1, info.mid, "t", "x"));
    connection.send(&ack(PUBACK, info.mid));
    // In paho-mqtt it keeps the "no connection" of the call for ever.
    info.wait_for_publish(5).unwrap();
    assert!(info.is_published());
}

#[test]
fn b5_11_subscribe_while_disconnected_is_accepted() {
    let peer = Peer::listen();
    let client = new_client("b5");
    client.reconnect_delay_set(0.2, 0.2).unwrap();
    let journal = Journal::of(&client);
    drop(started(&client, &peer));
    journal.wait_for(LOST);
    // paho-mqtt refuses it.
    let info = client.subscribe(("t", 1)).unwrap();
    let mut connection = peer.accept_client();
    connection.expect(&subscribe(info.mid, &[("t", 1)]));
    connection.send(&suback(info.mid, &[1]));
    info.wait(5).unwrap();
}

#[test]
fn b5_12_unacknowledged_messages_are_sent_again_in_order_and_with_dup() {
    let peer = Peer::listen();
    let client = soon_back("b5");
    let mut connection = started(&client, &peer);
    for (mid, flags) in [(1, QOS1), (2, QOS2), (3, QOS1)] {
        client
            .publish_with("t", mid, i32::from(flags / 2), false)
            .unwrap();
        connection.expect(&publish_with(flags, mid, "t", &mid.to_string()));
    }
    drop(connection);
    let mut connection = peer.accept_client();
    for (mid, flags) in [(1, QOS1), (2, QOS2), (3, QOS1)] {
        connection.expect(&publish_with(DUP | flags, mid, "t", &mid.to_string()));
    }
}

#[test]
fn b5_12_a_message_of_qos_2_that_was_received_is_only_released_where_the_session_was_kept() {
    let received = |answer: &[u8]| {
        let peer = Peer::listen();
        let client = builder("b5").clean_session(false).build();
        client.reconnect_delay_set(0.05, 0.05).unwrap();
        let mut connection = started(&client, &peer);
        client.publish_with("t", "x", 2, false).unwrap();
        connection.expect(&publish_with(QOS2, 1, "t", "x"));
        connection.send(&ack(PUBREC, 1));
        connection.expect(&ack(PUBREL, 1));
        drop(connection);
        let mut connection = peer.accept();
        connection.expect_packet(0x10);
        connection.send(answer);
        (client, connection)
    };
    let (_client, mut connection) = received(CONNACK_WITH_SESSION);
    connection.expect(&ack(PUBREL, 1));
    connection.send(&ack(PUBCOMP, 1));
    // A server without the session does not know the message: it is published again, for that server the first time.
    let (_client, mut connection) = received(CONNACK);
    let again = connection.packet();
    assert!(
        again[0] & 0xf0 == 0x30 && again[1..] == publish_with(QOS2, 1, "t", "x")[1..],
        "{again:02x?}"
    );
}

#[test]
fn b5_12_what_becomes_of_unacknowledged_messages_can_be_chosen() {
    let peer = Peer::listen();
    let client = soon_back("b5");
    client.on_session_lost_set(OnSessionLost::Discard);
    let mut connection = started(&client, &peer);
    let info = client.publish_with("t", "x", 1, false).unwrap();
    connection.expect(&publish_with(QOS1, 1, "t", "x"));
    drop(connection);
    let mut connection = peer.accept_client();
    assert!(matches!(info.wait_for_publish(5), Err(Error::Dropped(_))));
    connection.expect_silence(Duration::from_millis(50));
}

#[test]
fn b5_13_is_connected_is_true_between_connack_and_on_disconnect() {
    let peer = Peer::listen();
    let client = new_client("b5");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let s = Arc::clone(&seen);
    client.on_connect(move |client, _, _, _| s.lock().unwrap().push(client.is_connected()));
    let s = Arc::clone(&seen);
    client.on_disconnect(move |client, _, _, _| s.lock().unwrap().push(client.is_connected()));
    assert!(!client.is_connected());
    client.connect(peer.address()).unwrap();
    assert!(!client.is_connected(), "before the CONNACK");
    drop(peer.accept_client());
    client.loop_once(5).unwrap();
    assert!(client.is_connected());
    client.loop_once(5).unwrap_err();
    // In paho-mqtt it is still true inside on_disconnect, and until the next attempt.
    assert_eq!(*seen.lock().unwrap(), [true, false]);
    assert!(!client.is_connected());

    let _connection = stepped(&client, &peer);
    client.disconnect().unwrap();
    assert_eq!(*seen.lock().unwrap(), [true, false, true, false]);
}

#[test]
fn b5_14_without_a_loop_publish_notices_a_dead_peer() {
    let peer = Peer::listen();
    let client = new_client("b5");
    let journal = Journal::of(&client);
    let j = journal.clone();
    client.on_log(move |_, level, line| {
        if level.value() == 8 {
            j.note(format!("log {line}"));
        }
    });
    let mut connection = stepped(&client, &peer);
    client.publish("t", "unread").unwrap();
    connection.expect(&publish("t", "unread")[..4]);
    connection.reset();
    // A first write may still succeed.
    wait_until("publish fails", || client.publish("t", "x").is_err());
    assert!(matches!(client.publish("t", "x"), Err(Error::NotConnected)));
    assert_eq!(journal.count("disconnect 128: connection lost"), 1);
    journal.wait_for("log failed to receive on socket: ");
}
