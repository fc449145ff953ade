//! What becomes of a published message, and how the publisher hears of it.

use std::thread;

use callmq::client::{self as mqtt, Delivery, DropReason, Error, QoS, ReasonCode};
use callmq::testing::Broker;
use crossbeam_channel::{TryRecvError, select};

use crate::support::{
    Bench, Events, PATIENCE, ack_packet, bad_argument, listen, publish_packet, published, running_with_peer,
    start,
};

#[test]
fn a_message_is_queued_then_sent_then_acknowledged() {
    for qos in [1, 2] {
        let bench = Bench::new("stages");
        let info = bench.client.publish_with("t", "x", qos, false).unwrap();
        assert_eq!(info.delivery(), Delivery::Queued);
        bench.connect();
        bench.step_until("it is sent", || info.delivery() != Delivery::Queued);
        assert_eq!(info.delivery(), Delivery::Sent);
        assert!(!info.is_published());
        bench.step_until("it is acknowledged", || info.is_published());
        assert_eq!(info.delivery(), Delivery::Acknowledged(ReasonCode::SUCCESS));
        assert_eq!(published(&bench.broker, "t"), ["x"]);
        info.wait_for_publish(0).unwrap();
        assert!(info.finished().recv().unwrap().is_ok());
    }
}

#[test]
fn on_publish_comes_with_the_acknowledgement() {
    let client = mqtt::Client::new("told");
    let seen = Events::new();
    let report = seen.sink();
    client.on_publish(move |_, mid, reason, _| report((mid, reason.value())));
    let (_peer, mut connection) = running_with_peer(&client);
    let info = client.publish_with("t", "x", 2, true).unwrap();
    connection.expect(&publish_packet(0x35, "t", info.mid, "x"));
    connection.send(&ack_packet(0x50, info.mid));
    connection.expect(&ack_packet(0x62, info.mid));
    assert_eq!(seen.so_far(), []);
    connection.send(&ack_packet(0x70, info.mid));
    assert_eq!(seen.next(), (info.mid, 0));
    let info = client.publish_with("t", "y", 1, false).unwrap();
    connection.expect(&publish_packet(0x32, "t", info.mid, "y"));
    connection.send(&ack_packet(0x40, info.mid));
    assert_eq!(seen.next(), (info.mid, 0));
}

#[test]
fn waiting_for_a_message_runs_the_loop_where_nobody_else_does() {
    let broker = listen();
    let client = mqtt::Client::new("waits");
    client.connect(&broker).unwrap();
    for qos in [0, 1, 2] {
        let info = client.publish_with("t", qos, qos, false).unwrap();
        info.wait_for_publish(PATIENCE).unwrap();
        assert!(info.is_published());
    }
    assert_eq!(published(&broker, "t"), ["0", "1", "2"]);
}

#[test]
fn waiting_has_a_deadline_and_an_end_without_a_connection() {
    let client = mqtt::Client::new("unanswered");
    let (_peer, mut connection) = running_with_peer(&client);
    let info = client.publish_with("t", "x", 1, false).unwrap();
    assert!(matches!(info.wait_for_publish(0.02), Err(Error::Timeout)));
    assert_eq!(bad_argument(info.wait_for_publish(-1)), "timeout");
    connection.expect_packet(0x32);
    client.loop_stop().unwrap();
    client.disconnect().unwrap();
    assert!(matches!(
        info.wait_for_publish(PATIENCE),
        Err(Error::NotConnected)
    ));
    assert_eq!(
        info.delivery(),
        Delivery::Sent,
        "it is kept for the next connection"
    );
}

#[test]
fn all_who_wait_for_one_message_are_woken() {
    let client = mqtt::Client::new("three");
    let (_peer, mut connection) = running_with_peer(&client);
    let info = client.publish_with("t", "x", 1, false).unwrap();
    let channel = info.finished();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let info = info.clone();
            thread::spawn(move || info.wait_for_publish(PATIENCE))
        })
        .collect();
    connection.expect(&publish_packet(0x32, "t", info.mid, "x"));
    connection.send(&ack_packet(0x40, info.mid));
    for waiting in waiting {
        waiting.join().unwrap().unwrap();
    }
    select! {
        recv(channel) -> outcome => assert!(outcome.unwrap().is_ok()),
        default(PATIENCE) => panic!("the channel was not told"),
    }
}

#[test]
fn each_channel_gets_the_outcome() {
    let bench = Bench::new("channels");
    bench.connect();
    let info = bench.client.publish_with("t", "x", 1, false).unwrap();
    let channels = [info.finished(), info.clone().finished(), info.finished()];
    for channel in &channels {
        assert!(matches!(channel.try_recv(), Err(TryRecvError::Empty)));
    }
    bench.step_until("the message is acknowledged", || info.is_published());
    for channel in &channels {
        assert!(channel.try_recv().unwrap().is_ok());
    }
}

#[test]
fn asking_for_the_outcome_of_qos_0_neither_waits_nor_writes() {
    let bench = Bench::new("asks");
    bench.connect();
    // The loop of the user writes.
    bench.client.on_socket_register_write(|_, _| ());
    let info = bench.client.publish("t", "x").unwrap();
    let channels = [info.finished(), info.finished()];
    for channel in &channels {
        assert!(matches!(channel.try_recv(), Err(TryRecvError::Empty)));
    }
    assert_eq!(info.delivery(), Delivery::Sent);
    bench.client.loop_write().unwrap();
    for channel in &channels {
        assert!(channel.try_recv().unwrap().is_ok());
    }
    assert!(info.finished().try_recv().unwrap().is_ok());
}

#[test]
fn the_outcome_of_qos_0_can_be_asked_for_in_a_callback() {
    for lost in [false, true] {
        let bench = Bench::new("asks-inside");
        let seen = Events::new();
        let report = seen.sink();
        bench.client.on_connect(move |client, _, _, _| {
            let channel = client.publish("t", "x")?.finished();
            assert!(matches!(channel.try_recv(), Err(TryRecvError::Empty)));
            report(channel);
            if lost {
                client.connect_async("elsewhere")?;
            }
            Ok(())
        });
        bench.client.connect(&bench.broker).unwrap();
        for _ in 0..20 {
            // Ends with an error where the connection does.
            let _ = bench.client.loop_once(0);
        }
        let outcome = seen.next().try_recv().unwrap();
        if lost {
            assert!(matches!(outcome, Err(Error::Dropped(DropReason::ConnectionLost))));
        } else {
            assert!(outcome.is_ok());
        }
    }
}

#[test]
fn messages_can_be_taken_back() {
    let client = mqtt::Client::new("regrets");
    client.max_inflight_messages_set(1).unwrap();
    let (_peer, mut connection) = running_with_peer(&client);
    let sent = client.publish_with("t", "sent", 1, true).unwrap();
    let queued = client.publish_with("u", "queued", 2, false).unwrap();
    connection.expect_packet(0x33);
    let waiting = thread::spawn({
        let queued = queued.clone();
        move || queued.wait_for_publish(PATIENCE)
    });
    let taken = client.drop_out_messages();
    let taken: Vec<_> = taken
        .iter()
        .map(|message| {
            (
                message.topic.as_str(),
                message.payload.to_str_lossy(),
                message.qos,
                message.retain,
            )
        })
        .collect();
    assert_eq!(
        taken,
        [
            ("t", "sent".into(), QoS::AtLeastOnce, true),
            ("u", "queued".into(), QoS::ExactlyOnce, false)
        ]
    );
    for info in [&sent, &queued] {
        assert_eq!(info.delivery(), Delivery::Dropped(DropReason::Discarded));
    }
    assert!(matches!(
        waiting.join().unwrap(),
        Err(Error::Dropped(DropReason::Discarded))
    ));
    assert_eq!(client.stats().messages_dropped, 2);
    // The window is free again, and the late answer does no harm.
    let next = client.publish_with("t", "next", 1, false).unwrap();
    connection.expect_packet(0x32);
    connection.send(&ack_packet(0x40, next.mid));
    next.wait_for_publish(PATIENCE).unwrap();
}

#[test]
fn a_message_of_qos_0_that_was_not_written_is_dropped_with_the_connection() {
    let client = mqtt::Client::new("unlucky");
    client.reconnect_on_failure_set(false);
    let (_peer, connection) = running_with_peer(&client);
    // More than the system takes while the peer does not read.
    let infos: Vec<_> = (0..8)
        .map(|_| client.publish("t", vec![0; 4_000_000]).unwrap())
        .collect();
    let last = infos.last().unwrap();
    assert!(!last.delivery().is_final());
    let finished = thread::spawn({
        let last = last.clone();
        move || last.wait_for_publish(PATIENCE)
    });
    drop(connection);
    assert!(matches!(
        finished.join().unwrap(),
        Err(Error::Dropped(DropReason::ConnectionLost))
    ));
    assert_eq!(last.delivery(), Delivery::Dropped(DropReason::ConnectionLost));
}

#[test]
fn a_message_that_the_server_refuses_says_so() {
    let broker = Broker::builder()
        .deny_publish("secret/#")
        .listen("127.0.0.1:0")
        .unwrap();
    let client = mqtt::Client::builder("refused").protocol(mqtt::MQTTv5).build();
    let seen = Events::new();
    let report = seen.sink();
    client.on_publish(move |_, mid, reason, _| report((mid, reason.value())));
    start(&client, &broker);
    let info = client.publish_with("secret/t", "x", 1, false).unwrap();
    assert!(matches!(
        info.wait_for_publish(PATIENCE),
        Err(Error::Rejected(code)) if code == ReasonCode::NOT_AUTHORIZED
    ));
    assert!(!info.is_published());
    assert_eq!(
        info.delivery(),
        Delivery::Acknowledged(ReasonCode::NOT_AUTHORIZED)
    );
    assert_eq!(seen.next(), (info.mid, 135));
}
