//! Section 8: what callbacks may call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use callmq::client::Error;
use crossbeam_channel::bounded;
use interop::peer::{Connection, Peer};

use crate::journal::{AT_ONCE, Journal, timed};
use crate::packets::{
    self, CONNACK, HELD, PUBACK, QOS1, ack, new_client, publish, publish_with, soon_back, started, stepped,
    suback, subscribe,
};

const GOODBYE: &str = "disconnect 0: disconnect requested";

#[test]
fn b8_01_what_a_callback_sends_leaves_when_it_has_returned() {
    let peer = Peer::listen();
    let client = new_client("b8");
    let (inside, entered) = bounded(0);
    let (go_on, wait) = bounded::<()>(0);
    client.on_message(move |client, _| {
        client.subscribe("t")?;
        client.publish("t", "x")?;
        client.disconnect()?;
        inside.send(()).unwrap();
        wait.recv_timeout(Duration::from_secs(5)).unwrap();
        Ok(())
    });
    let mut connection = started(&client, &peer);
    connection.send(&publish("t", "go"));
    entered.recv_timeout(Duration::from_secs(5)).unwrap();
    connection.expect_silence(Duration::from_millis(50));
    go_on.send(()).unwrap();
    connection.expect(&subscribe(1, &[("t", 0)]));
    connection.expect(&publish("t", "x"));
    connection.expect_goodbye();
}

#[test]
fn b8_02_publish_in_on_publish_does_not_call_on_publish_inside_itself() {
    let peer = Peer::listen();
    let client = new_client("b8");
    let journal = Journal::new();
    let depth = Arc::new(AtomicUsize::new(0));
    let j = journal.clone();
    client.on_publish(move |client, mid, _, _| {
        j.note(format!(
            "{mid} at depth {}",
            depth.fetch_add(1, Ordering::Relaxed)
        ));
        if mid < 4 {
            client.publish("t", mid)?;
        }
        depth.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    });
    let mut connection = stepped(&client, &peer);
    client.publish("t", 0).unwrap();
    // All of it before the outer publish has returned.
    assert_eq!(
        journal.lines(),
        ["1 at depth 0", "2 at depth 0", "3 at depth 0", "4 at depth 0"]
    );
    for payload in ["0", "1", "2", "3"] {
        connection.expect(&publish("t", payload));
    }
}

#[test]
fn b8_03_a_subscription_of_on_connect_goes_first_and_messages_keep_the_order_in_which_they_were_accepted() {
    let peer = Peer::listen();
    let client = new_client("b8");
    client.on_connect(|client, _, _, _| {
        client.publish_with("t", "third", 1, false)?;
        client.subscribe("t")?;
        Ok(())
    });
    client.publish_with("t", "first", 1, false).unwrap();
    client.publish_with("t", "second", 1, false).unwrap();
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept_client();
    client.loop_once(5).unwrap();
    connection.expect(&subscribe(4, &[("t", 0)]));
    // paho-mqtt lets the new one overtake those that waited.
    connection.expect(&publish_with(QOS1, 1, "t", "first"));
    connection.expect(&publish_with(QOS1, 2, "t", "second"));
    connection.expect(&publish_with(QOS1, 3, "t", "third"));
}

#[test]
fn b8_04_a_stepped_loop_sends_what_its_callbacks_queued() {
    let peer = Peer::listen();
    let client = new_client("b8");
    client.on_message(|client, _| client.publish("t", "answer"));
    let mut connection = stepped(&client, &peer);
    connection.send(&publish("t", "question"));
    client.loop_once(5).unwrap();
    // In paho-mqtt it may wait for the next loop().
    assert!(!client.want_write());
    connection.expect(&publish("t", "answer"));
}

#[test]
fn b8_05_disconnect_in_a_callback_ends_the_loop() {
    for callback in ["on_connect", "on_message", "on_publish", "on_subscribe"] {
        let peer = Peer::listen();
        let client = soon_back("b8");
        let journal = Journal::of(&client);
        match callback {
            "on_connect" => drop(client.on_connect(|client, _, _, _| client.disconnect())),
            "on_message" => drop(client.on_message(|client, _| client.disconnect())),
            "on_publish" => drop(client.on_publish(|client, _, _, _| client.disconnect())),
            _ => drop(client.on_subscribe(|client, _, _, _| client.disconnect())),
        }
        client.connect(peer.address()).unwrap();
        client.subscribe("t").unwrap();
        client.publish_with("t", "x", 1, false).unwrap();
        let mut connection = peer.accept();
        connection.expect(&packets::connect("b8"));
        let requests = |connection: &mut Connection| {
            connection.expect(&subscribe(1, &[("t", 0)]));
            connection.expect(&publish_with(QOS1, 2, "t", "x"));
        };
        if !HELD {
            requests(&mut connection);
        }
        connection.send(CONNACK);
        match callback {
            "on_message" => connection.send(&publish("t", "x")),
            "on_publish" => connection.send(&ack(PUBACK, 2)),
            "on_subscribe" => connection.send(&suback(1, &[0])),
            _ => {}
        }
        client
            .loop_forever()
            .unwrap_or_else(|error| panic!("{callback}: {error}"));
        if HELD && callback != "on_connect" {
            requests(&mut connection);
        }
        connection.expect_goodbye();
        assert_eq!(journal.lines().last().unwrap(), GOODBYE, "{callback}");
        assert!(
            peer.accept_within(Duration::from_millis(150)).is_none(),
            "{callback}: it connected again"
        );
    }
}

#[test]
fn b8_06_publish_in_on_disconnect_is_refused_or_kept_for_the_next_connection() {
    let peer = Peer::listen();
    let client = new_client("b8");
    let journal = Journal::new();
    let j = journal.clone();
    client.on_disconnect(move |client, _, _, _| {
        assert!(!client.is_connected());
        j.note(format!("{:?}", client.publish("t", "lost").err()));
        client.publish_with("t", "kept", 1, false)?;
        Ok(())
    });
    let mut connection = started(&client, &peer);
    client.disconnect().unwrap();
    connection.expect_goodbye();
    journal.wait_for("Some(NotConnected)");
    let (_, took) = timed(|| client.loop_stop());
    assert!(took < AT_ONCE, "{took:?}");
    let mut connection = started(&client, &peer);
    let packet = connection.packet();
    assert_eq!(packet[1..5], publish_with(QOS1, 1, "t", "kept")[1..5]);
    assert!(packet.ends_with(b"kept") && packet[0] == 0x32, "{packet:02x?}");
}

#[test]
fn b8_07_calls_that_wait_for_the_loop_are_refused_in_a_callback() {
    let peer = Peer::listen();
    let client = new_client("b8");
    let journal = Journal::new();
    let j = journal.clone();
    client.on_message(move |client, _| {
        let info = client.publish_with("t", "x", 1, false)?;
        let request = client.subscribe("t")?;
        let refused = [
            info.wait_for_publish(5).unwrap_err(),
            request.wait(5).unwrap_err(),
            client.flush(5).unwrap_err(),
            client.loop_once(5).unwrap_err(),
            client.loop_forever().unwrap_err(),
            client.connect_and_wait("127.0.0.1", 5).unwrap_err(),
        ];
        let would_deadlock = |error: &Error| matches!(error, Error::WouldDeadlock(_));
        assert!(refused.iter().all(would_deadlock), "{refused:?}");
        j.note("refused");
        Ok(())
    });
    let mut connection = started(&client, &peer);
    connection.send(&publish("t", "go"));
    let (_, took) = timed(|| journal.wait_for("refused"));
    assert!(took < AT_ONCE, "{took:?}");
    connection.expect(&publish_with(QOS1, 1, "t", "x"));
}

#[test]
fn b8_08_publish_in_on_log_does_not_log_for_ever() {
    let peer = Peer::listen();
    let client = new_client("b8");
    let journal = Journal::new();
    let j = journal.clone();
    client.on_log(move |client, _, line| {
        j.note(line);
        let _ = client.publish("log", line);
    });
    let mut connection = stepped(&client, &peer);
    client.publish("t", "x").unwrap();
    let sent = |line: &String| line.starts_with("Sending PUBLISH (d0, q0, r0, m");
    let of_t: Vec<String> = journal
        .lines()
        .into_iter()
        .filter(|line| sent(line) && line.contains("'t'"))
        .collect();
    assert_eq!(of_t.len(), 1, "{of_t:?}");
    // And those lines of the log that had to wait for the CONNACK.
    let all = journal.lines().iter().filter(|line| sent(line)).count();
    assert!(all <= if HELD { 3 } else { 1 }, "{:#?}", journal.lines());
    let mut packets = Vec::new();
    while let Some(packet) = connection.packet_within(Duration::from_millis(100)) {
        packets.push(packet);
    }
    assert!(packets.contains(&publish("t", "x")), "{packets:02x?}");
    assert!(packets.contains(&publish("log", &of_t[0])), "{packets:02x?}");
}

#[test]
fn b8_09_any_thread_may_call_while_a_callback_runs() {
    let peer = Peer::listen();
    let client = new_client("b8");
    let (inside, entered) = bounded(0);
    let (go_on, wait) = bounded::<()>(0);
    client.on_message(move |_, _| {
        inside.send(()).unwrap();
        wait.recv_timeout(Duration::from_secs(5)).unwrap();
    });
    let mut connection = started(&client, &peer);
    connection.send(&publish("t", "go"));
    entered.recv_timeout(Duration::from_secs(5)).unwrap();
    let other = client.clone();
    let (info, took) = timed(|| {
        thread::spawn(move || other.publish_with("t", "x", 1, false))
            .join()
            .unwrap()
    });
    assert!(took < AT_ONCE, "{took:?}");
    go_on.send(()).unwrap();
    connection.expect(&publish_with(QOS1, info.unwrap().mid, "t", "x"));
}
