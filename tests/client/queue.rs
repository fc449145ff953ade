//! The outgoing queue: its bounds, and what happens when they are met.

use std::thread;
use std::time::{Duration, Instant};

use callmq::client::{self as mqtt, Delivery, DropReason, Error, MessageInfo, OfflineQueue, WhenFull};

use crate::support::{
    Bench, Events, PATIENCE, ack_packet, listen, publish_packet, published, running_with_peer, start,
};

const QUEUE_FULL: Delivery = Delivery::Dropped(DropReason::QueueFull);

/// A client without a connection whose queue holds three messages.
fn bounded(when_full: WhenFull) -> mqtt::Client {
    let client = mqtt::Client::new("bounded");
    client.offline_queue_set(OfflineQueue {
        max_messages: 3,
        when_full,
        ..OfflineQueue::default()
    });
    client
}

fn fill(client: &mqtt::Client) -> Vec<MessageInfo> {
    ["a", "b", "c"]
        .map(|payload| {
            client
                .publish_with(format!("t/{payload}"), payload, 1, false)
                .unwrap()
        })
        .into()
}

/// What arrives once the client connects.
fn arrives(client: &mqtt::Client) -> Vec<String> {
    let broker = listen();
    start(client, &broker);
    client.flush(PATIENCE).unwrap();
    client.loop_stop().unwrap();
    let payloads = broker.published().into_iter().map(|publish| publish.payload);
    payloads
        .map(|payload| String::from_utf8_lossy(&payload).into_owned())
        .collect()
}

#[test]
fn a_full_queue_refuses_and_gives_the_payload_back() {
    let client = bounded(WhenFull::Refuse);
    let infos = fill(&client);
    match client.publish_with("t", vec![1, 2, 3], 1, false) {
        Err(Error::QueueFull { payload }) => assert_eq!(&payload[..], [1, 2, 3]),
        other => panic!("{other:?}"),
    }
    assert!(infos.iter().all(|info| info.delivery() == Delivery::Queued));
    assert_eq!(client.stats().queued_messages, 3);
    assert_eq!(client.stats().messages_dropped, 0, "it was never accepted");
    assert_eq!(arrives(&client), ["a", "b", "c"]);
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let client = mqtt::Client::new("bytes");
    client.offline_queue_set(OfflineQueue {
        max_bytes: 1000,
        ..OfflineQueue::default()
    });
    let info = client.publish_with("t", vec![0; 900], 2, false).unwrap();
    let refused = client.publish_with("t", vec![0; 200], 1, false);
    assert!(matches!(refused, Err(Error::QueueFull { .. })), "{refused:?}");
    client.publish_with("t", vec![0; 50], 1, false).unwrap();
    assert_eq!(info.delivery(), Delivery::Queued);
    let stats = client.stats();
    assert_eq!(stats.queued_messages, 2);
    assert!(
        (950..=1000).contains(&stats.queued_bytes),
        "{}",
        stats.queued_bytes
    );
}

#[test]
fn a_blocking_queue_waits_for_its_deadline_and_then_refuses() {
    let client = bounded(WhenFull::Block(Duration::from_millis(50)));
    fill(&client);
    let started = Instant::now();
    let refused = client.publish_with("t", "x", 1, false);
    assert!(matches!(refused, Err(Error::QueueFull { .. })), "{refused:?}");
    assert!(started.elapsed() >= Duration::from_millis(50));
    assert_eq!(arrives(&client), ["a", "b", "c"]);
}

#[test]
fn a_blocking_queue_takes_the_message_when_there_is_room() {
    let client = bounded(WhenFull::Block(PATIENCE));
    client.max_inflight_messages_set(1).unwrap();
    let (_peer, mut connection) = running_with_peer(&client);
    let sent = client.publish_with("t", "sent", 1, false).unwrap();
    connection.expect(&publish_packet(0x32, "t", sent.mid, "sent"));
    fill(&client);
    let blocked = thread::spawn({
        let client = client.clone();
        move || client.publish_with("t", "waits", 1, false)
    });
    assert!(!blocked.is_finished());
    connection.send(&ack_packet(0x40, sent.mid));
    let info = blocked.join().unwrap().unwrap();
    assert_eq!(info.delivery(), Delivery::Queued);
}

#[test]
fn a_blocking_queue_runs_the_loop_where_nobody_else_does() {
    let broker = listen();
    let client = mqtt::Client::new("pumps");
    client.max_inflight_messages_set(1).unwrap();
    client.offline_queue_set(OfflineQueue {
        max_messages: 2,
        when_full: WhenFull::Block(PATIENCE),
        ..OfflineQueue::default()
    });
    client.connect(&broker).unwrap();
    client.wait_for_connect(PATIENCE).unwrap();
    for number in 0..50 {
        client.publish_with("t", number, 1, false).unwrap();
    }
    client.flush(PATIENCE).unwrap();
    assert_eq!(published(&broker, "t").len(), 50);
}

#[test]
fn inside_a_callback_a_blocking_queue_refuses_at_once() {
    let bench = Bench::new("inside");
    bench.client.max_inflight_messages_set(1).unwrap();
    bench.client.offline_queue_set(OfflineQueue {
        max_messages: 1,
        when_full: WhenFull::Block(Duration::from_secs(3600)),
        ..OfflineQueue::default()
    });
    let seen = Events::new();
    let report = seen.sink();
    bench.client.on_connect(move |client, _, _, _| {
        for _ in 0..3 {
            report(client.publish_with("t", "x", 1, false).is_ok());
        }
    });
    bench.connect();
    assert_eq!(seen.so_far(), [true, true, false], "one is sent, one waits");
}

#[test]
fn the_oldest_message_makes_room() {
    let client = bounded(WhenFull::DropOldest);
    let infos = fill(&client);
    client.publish_with("t/d", "d", 1, false).unwrap();
    assert_eq!(infos[0].delivery(), QUEUE_FULL);
    assert!(matches!(
        infos[0].wait_for_publish(PATIENCE),
        Err(Error::Dropped(DropReason::QueueFull))
    ));
    assert_eq!(infos[1].delivery(), Delivery::Queued);
    assert_eq!(client.stats().messages_dropped, 1);
    assert_eq!(arrives(&client), ["b", "c", "d"]);
    // One that is larger than the whole queue does not drive out the others in vain.
    let client = mqtt::Client::new("large");
    client.offline_queue_set(OfflineQueue {
        max_bytes: 100,
        when_full: WhenFull::DropOldest,
        ..OfflineQueue::default()
    });
    let kept = client.publish_with("t", "kept", 1, false).unwrap();
    assert!(matches!(
        client.publish_with("t", vec![0; 200], 1, false),
        Err(Error::QueueFull { .. })
    ));
    assert_eq!(kept.delivery(), Delivery::Queued);
}

#[test]
fn the_newest_message_is_dropped_and_says_so() {
    let client = bounded(WhenFull::DropNewest);
    let infos = fill(&client);
    let dropped = client.publish_with("t/d", "d", 1, false).unwrap();
    assert_eq!(dropped.delivery(), QUEUE_FULL);
    assert!(!dropped.is_published());
    assert!(infos.iter().all(|info| info.delivery() == Delivery::Queued));
    assert_eq!(client.stats().messages_dropped, 1);
    assert_eq!(arrives(&client), ["a", "b", "c"]);
}

#[test]
fn of_each_topic_the_latest_message_is_kept() {
    let client = bounded(WhenFull::KeepLatest);
    let infos = fill(&client);
    let later = client.publish_with("t/b", "b2", 1, false).unwrap();
    assert_eq!(infos[1].delivery(), Delivery::Dropped(DropReason::Superseded));
    assert_eq!(later.delivery(), Delivery::Queued);
    let refused = client.publish_with("t/d", "d", 1, false);
    assert!(matches!(refused, Err(Error::QueueFull { .. })), "{refused:?}");
    assert_eq!(client.stats().messages_dropped, 1);
    assert_eq!(client.stats().queued_messages, 3);
    let mut arrived = arrives(&client);
    arrived.sort_unstable();
    assert_eq!(arrived, ["a", "b2", "c"]);
}

#[test]
fn messages_of_qos_0_are_kept_if_that_is_asked_for() {
    let client = mqtt::Client::new("keeps");
    client.offline_queue_set(OfflineQueue {
        keep_qos0: true,
        ..OfflineQueue::default()
    });
    let infos: Vec<_> = (0..5)
        .map(|number| client.publish_with("t", number, number % 2, false).unwrap())
        .collect();
    assert!(infos.iter().all(|info| info.delivery() == Delivery::Queued));
    assert_eq!(arrives(&client), ["0", "1", "2", "3", "4"]);
    assert!(infos.iter().all(MessageInfo::is_published));
}

#[test]
fn the_number_of_messages_has_a_setting_of_its_own() {
    let client = mqtt::Client::new("number");
    assert_eq!(client.max_queued_messages(), 100_000);
    client.max_queued_messages_set(1).unwrap();
    client.publish_with("t", "x", 1, false).unwrap();
    assert!(matches!(
        client.publish_with("t", "x", 1, false),
        Err(Error::QueueFull { .. })
    ));
    client.max_queued_messages_set(0).unwrap();
    client.publish_with("t", "x", 1, false).unwrap();
}

#[test]
fn a_peer_that_does_not_read_fills_the_queue_and_not_the_memory() {
    let client = mqtt::Client::new("stalled");
    client.offline_queue_set(OfflineQueue {
        max_messages: 10,
        ..OfflineQueue::default()
    });
    let (_peer, connection) = running_with_peer(&client);
    let mut infos = Vec::new();
    let refused = (0..20_000).find_map(|_| match client.publish("t", vec![0; 64 * 1024]) {
        Ok(info) => {
            infos.push(info);
            None
        }
        Err(error) => Some(error),
    });
    assert!(matches!(refused, Some(Error::QueueFull { .. })), "{refused:?}");
    assert!(client.stats().queued_messages <= 10);
    assert!(
        client.stats().output_bytes < 1_000_000,
        "{}",
        client.stats().output_bytes
    );
    client.reconnect_on_failure_set(false);
    drop(connection);
    crate::support::eventually("every message has ended", || {
        infos.iter().all(|info| info.delivery().is_final())
    });
}
