//! Large payloads that are only lent: written from where they are, whole and in their place.

use std::iter::repeat_with;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use callmq::client as mqtt;
use callmq::error::{DropReason, Error};

use crate::support::*;

/// Payloads small and large, more than the system takes while nobody reads; each of one byte that tells its number.
fn mixed() -> Vec<Vec<u8>> {
    let sizes = [
        5, 40_000, 32_768, 3, 1_000_000, 600_000, 1, 300_000, 32_767, 262_144,
    ];
    let sizes = sizes.iter().cycle().take(40).enumerate();
    sizes.map(|(number, &size)| vec![number as u8; size]).collect()
}

/// Expects these payloads next. They are read in another thread while `publish` runs.
fn expect_while(mut connection: Connection, expected: Vec<Vec<u8>>, publish: impl FnOnce()) -> Connection {
    let reader = thread::spawn(move || {
        for (number, payload) in expected.iter().enumerate() {
            let packet = connection.expect_packet(0x30);
            assert!(packet.ends_with(payload), "message {number} is another one");
            assert!(
                packet.len() <= payload.len() + 8,
                "message {number} is longer than it was"
            );
        }
        connection
    });
    publish();
    reader.join().unwrap()
}

#[test]
fn they_are_whole_and_in_order_while_a_loop_runs() {
    let client = mqtt::Client::new("loop");
    let (_peer, connection) = running_with_peer(&client);
    let payloads = mixed();
    expect_while(connection, payloads.clone(), || {
        for payload in &payloads {
            client.publish("t", payload.as_slice()).unwrap();
        }
    });
}

#[test]
fn they_are_whole_and_in_order_where_the_caller_writes() {
    let client = mqtt::Client::new("caller");
    let peer = Peer::listen();
    client.connect(peer.address()).unwrap();
    let connection = peer.accept_client();
    while !client.is_connected() {
        client.loop_once(1).unwrap();
    }
    let payloads = mixed();
    expect_while(connection, payloads.clone(), || {
        for payload in &payloads {
            client.publish("t", payload.as_slice()).unwrap();
        }
        while client.want_write() {
            client.loop_once(1).unwrap();
        }
    });
}

#[test]
fn they_are_whole_when_threads_publish_through_one_client() {
    let client = mqtt::Client::new("threads");
    let (_peer, mut connection) = running_with_peer(&client);
    let payloads = mixed();
    let publishers = ["a", "b", "c"].map(|topic| {
        let (client, payloads) = (client.clone(), payloads.clone());
        thread::spawn(move || {
            for payload in &payloads {
                client.publish(topic, payload.as_slice()).unwrap();
            }
        })
    });
    let mut next = [0; 3];
    for packet in repeat_with(|| connection.expect_packet(0x30)).take(3 * payloads.len()) {
        // The topic has one byte; before it come the first byte, one to four of length, and two.
        let start = packet.iter().skip(1).position(|byte| byte & 0x80 == 0).unwrap() + 4;
        let number = &mut next[usize::from(packet[start] - b'a')];
        assert_eq!(packet[start + 1..], payloads[*number], "message {number}");
        *number += 1;
    }
    for publisher in publishers {
        publisher.join().unwrap();
    }
}

#[test]
fn on_publish_hears_of_each_in_order() {
    let client = mqtt::Client::new("told");
    let seen = Events::new();
    let report = seen.sink();
    client.on_publish(move |_, mid, _, _| report(mid));
    let (_peer, connection) = running_with_peer(&client);
    let payloads = mixed();
    expect_while(connection, payloads.clone(), || {
        for payload in &payloads {
            let info = client.publish("t", payload.as_slice()).unwrap();
            assert_eq!(seen.next(), info.mid);
        }
    });
}

#[test]
fn inside_a_callback_they_follow_what_was_published_before() {
    let client = mqtt::Client::new("inside");
    let payloads = mixed();
    let published = payloads.clone();
    client.on_message(move |client, _| {
        for payload in &published {
            client.publish("t", payload.as_slice())?;
        }
        Ok(())
    });
    let (_peer, mut connection) = running_with_peer(&client);
    connection.send(&publish_packet(0x30, "go", 0, ""));
    expect_while(connection, payloads, || {});
}

#[test]
fn a_topic_alias_and_a_log_line_are_for_them_as_for_others() {
    let client = mqtt::Client::builder("alias").protocol(mqtt::MQTTv5).build();
    client.topic_alias_limit_set(1);
    let seen = Events::new();
    let report = seen.sink();
    client.on_log(move |_, _, line| report(line.to_owned()));
    let peer = Peer::listen();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(b"\x20\x06\0\0\x03\x22\0\x01");
    client.wait_for_connect(PATIENCE).unwrap();
    let payload = vec![7; 100_000];
    for head in [&b"\0\x0Ba/long/name\x03\x23\0\x01"[..], b"\0\0\x03\x23\0\x01"] {
        client.publish("a/long/name", payload.as_slice()).unwrap();
        let packet = connection.expect_packet(0x30);
        assert_eq!(packet[4..], [head, &payload].concat());
    }
    let lines = seen.so_far();
    let sent = lines.iter().filter(|line| line.contains("Sending PUBLISH"));
    assert_eq!(sent.count(), 2);
}

#[test]
fn one_that_was_cut_off_by_the_end_of_the_connection_is_dropped() {
    let client = mqtt::Client::new("cut");
    client.reconnect_on_failure_set(false);
    let (_peer, connection) = running_with_peer(&client);
    let payload = vec![1; 16_000_000];
    // More than the system takes while the peer does not read.
    let info = client.publish("t", payload.as_slice()).unwrap();
    assert!(!info.is_published());
    drop(connection);
    assert!(matches!(
        info.wait_for_publish(PATIENCE),
        Err(Error::Dropped(DropReason::ConnectionLost))
    ));
}

#[test]
fn one_that_was_cut_off_leaves_nothing_for_the_next_connection() {
    let client = mqtt::Client::new("again");
    client.reconnect_delay_set(0.001, 0.001).unwrap();
    let (peer, mut connection) = running_with_peer(&client);
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        for byte in 1..=3 {
            let (client, enough) = (&client, &enough);
            scope.spawn(move || {
                for size in [600_000, 10, 40_000].into_iter().cycle() {
                    if enough.load(Ordering::SeqCst) {
                        return;
                    }
                    // Refused where there is no connection.
                    let _ = client.publish("t", vec![byte; size].as_slice());
                }
            });
        }
        for round in 0..30 {
            for _ in 0..round % 4 {
                let packet = connection.expect_packet(0x30);
                let payload = &packet[packet.len() - 10..];
                assert!(
                    packet[packet.len().min(8)..]
                        .iter()
                        .all(|byte| *byte == payload[0])
                );
            }
            connection.discard(round * 10_000 + 1);
            drop(connection);
            connection = peer.accept_client();
        }
        enough.store(true, Ordering::SeqCst);
        // They may wait for room.
        drop(connection);
    });
}
