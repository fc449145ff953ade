//! Publishing, and what becomes of a message.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use callmq::client::{self as mqtt, Delivery, DropReason, Error, Message, QoS, ReasonCode};
use callmq::testing::Broker;
use crossbeam_channel::{TryRecvError, select};

use crate::support::{
    Bench, CONNACK, Events, PATIENCE, Peer, ack_packet, bad_argument, broker_has, connect_to, eventually,
    listen, publish_packet, published, running, running_with_peer, start,
};

#[test]
fn without_a_loop_a_message_is_written_and_told_before_the_call_returns() {
    let bench = Bench::new("no-loop");
    let seen = Events::new();
    let report = seen.sink();
    bench
        .client
        .on_publish(move |_, mid, reason, _| report((mid, reason.value(), thread::current().id())));
    bench.connect();
    let info = bench.client.publish("t", "x").unwrap();
    assert_eq!(seen.so_far(), [(info.mid, 0, thread::current().id())]);
    assert_eq!(info.delivery(), Delivery::Acknowledged(ReasonCode::SUCCESS));
    assert_eq!(published(&bench.broker, "t"), ["x"]);
}

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
fn payloads_are_text_bytes_numbers_or_nothing() {
    let bench = Bench::new("forms");
    bench.connect();
    let client = &bench.client;
    client.publish("t", "text").unwrap();
    client.publish("t", String::from("owned")).unwrap();
    client.publish("t", b"bytes").unwrap();
    client.publish("t", vec![0x41, 0x42]).unwrap();
    client.publish("t", 42).unwrap();
    client.publish("t", 21.5).unwrap();
    client.publish("t", ()).unwrap();
    client.publish("t", None::<&str>).unwrap();
    client
        .publish_message(Message::new("t", "message").qos(QoS::AtLeastOnce).retain(true))
        .unwrap();
    let expected = ["text", "owned", "bytes", "AB", "42", "21.5", "", "", "message"];
    assert_eq!(published(&bench.broker, "t"), expected);
    assert_eq!(bench.broker.retained("t").as_deref(), Some(&b"message"[..]));
}

/// [3.1.1/MQTT-3.3.1-4] [3.1.1/MQTT-3.3.2-2] [3.1.1/MQTT-4.7.1-1] [3.1.1/MQTT-4.7.3-1] [3.1.1/MQTT-4.7.3-2]
/// [3.1.1/MQTT-4.7.3-3] [5.0/MQTT-3.3.1-4]
#[test]
fn wrong_arguments_are_named_and_nothing_is_sent() {
    let bench = Bench::new("strict");
    bench.connect();
    let client = &bench.client;
    let long = "x".repeat(65_536);
    for topic in ["", "a/+", "#", "a\0b", &long] {
        assert_eq!(bad_argument(client.publish(topic, "x")), "topic", "{:.20}", topic);
    }
    assert_eq!(bad_argument(client.publish_with("t", "x", 3, false)), "qos");
    assert_eq!(bad_argument(client.publish_with("t", "x", -1, false)), "qos");
    assert_eq!(bad_argument(client.publish("t", vec![0; 268_435_456])), "payload");
    let properties = mqtt::Properties::from([mqtt::Property::MessageExpiryInterval(1)]);
    let result = client.publish_message(Message::new("t", "x").properties(properties));
    assert!(matches!(result, Err(Error::NotSupported(_))), "{result:?}");
    assert_eq!(client.stats().messages_sent, 0);
    assert!(bench.broker.published().is_empty());
}

#[test]
fn each_message_of_a_stream_has_its_own_topic_and_flags() {
    let client = mqtt::Client::new("heads");
    let (_peer, mut connection) = running_with_peer(&client);
    // An empty message on an empty topic is like no message before it, also where there was none.
    assert_eq!(bad_argument(client.publish("", "")), "topic");
    for (topic, payload, retain) in [
        ("a", "", false),
        ("a", "", false),
        ("a", "", true),
        ("b", "", true),
        ("b", "x", true),
        ("b", "y", true),
        ("ab", "y", false),
        ("a", "by", false),
        ("a", "by", false),
    ] {
        client.publish_with(topic, payload, 0, retain).unwrap();
        connection.expect(&publish_packet(0x30 | u8::from(retain), topic, 0, payload));
        assert_eq!(bad_argument(client.publish_with("", payload, 0, retain)), "topic");
        assert_eq!(
            bad_argument(client.publish_with("#", payload, 0, retain)),
            "topic"
        );
    }
}

#[test]
fn a_message_of_qos_0_is_refused_without_a_connection() {
    let client = mqtt::Client::new("offline");
    assert!(matches!(client.publish("t", "x"), Err(Error::NotConnected)));
    client.loop_start().unwrap();
    assert!(matches!(client.publish("t", "x"), Err(Error::NotConnected)));
}

#[test]
fn messages_accepted_before_connecting_are_sent_in_their_order() {
    let broker = listen();
    let client = mqtt::Client::new("early");
    let infos: Vec<_> = (0..50)
        .map(|number| client.publish_with("t", number, 1, false).unwrap())
        .collect();
    start(&client, &broker);
    for info in infos {
        info.wait_for_publish(PATIENCE).unwrap();
    }
    let expected: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(published(&broker, "t"), expected);
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
fn the_window_is_kept_and_an_acknowledgement_makes_room() {
    let client = mqtt::Client::new("window");
    client.max_inflight_messages_set(2).unwrap();
    assert_eq!(client.max_inflight_messages(), 2);
    let (_peer, mut connection) = running_with_peer(&client);
    let infos: Vec<_> = (0..5)
        .map(|number| client.publish_with("t", number, 1, false).unwrap())
        .collect();
    let mids: Vec<_> = infos.iter().map(|info| info.mid).collect();
    connection.expect(&publish_packet(0x32, "t", mids[0], "0"));
    connection.expect(&publish_packet(0x32, "t", mids[1], "1"));
    assert_eq!((client.stats().inflight, client.stats().queued_messages), (2, 3));
    // A message of QoS 0 needs no place in the window.
    client.publish("t", "direct").unwrap();
    connection.expect(&publish_packet(0x30, "t", 0, "direct"));
    for (number, mid) in mids.iter().enumerate() {
        connection.send(&ack_packet(0x40, *mid));
        if let Some(next) = mids.get(number + 2) {
            connection.expect(&publish_packet(0x32, "t", *next, &(number + 2).to_string()));
        }
    }
    client.flush(PATIENCE).unwrap();
    assert!(infos.iter().all(mqtt::MessageInfo::is_published));
    assert!(matches!(
        client.max_inflight_messages_set(1),
        Err(Error::InvalidState(_))
    ));
}

/// [3.1.1/MQTT-3.3.1-1] [3.1.1/MQTT-4.4.0-1] [3.1.1/MQTT-4.6.0-1]
#[test]
fn unfinished_messages_are_sent_again_in_order_with_dup_only_where_they_were_sent() {
    let client = mqtt::Client::builder("again").clean_session(false).build();
    client.max_inflight_messages_set(2).unwrap();
    client.reconnect_delay_set(0.01, 0.01).unwrap();
    let (peer, mut connection) = running_with_peer(&client);
    let infos: Vec<_> = ["a", "b", "c"]
        .map(|payload| client.publish_with("t", payload, 2, false).unwrap())
        .into();
    let mids: Vec<_> = infos.iter().map(|info| info.mid).collect();
    connection.expect(&publish_packet(0x34, "t", mids[0], "a"));
    connection.expect(&publish_packet(0x34, "t", mids[1], "b"));
    // The first one gets as far as PUBREL.
    connection.send(&ack_packet(0x50, mids[0]));
    connection.expect(&ack_packet(0x62, mids[0]));
    drop(connection);

    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(b"\x20\x02\x01\x00");
    connection.expect(&ack_packet(0x62, mids[0]));
    connection.expect(&publish_packet(0x3c, "t", mids[1], "b"));
    connection.send(&ack_packet(0x70, mids[0]));
    connection.expect(&publish_packet(0x34, "t", mids[2], "c"));
    for mid in &mids[1..] {
        connection.send(&ack_packet(0x50, *mid));
        connection.expect(&ack_packet(0x62, *mid));
        connection.send(&ack_packet(0x70, *mid));
    }
    for info in infos {
        info.wait_for_publish(PATIENCE).unwrap();
    }
}

#[test]
fn what_is_published_in_on_connect_comes_behind_what_is_sent_again() {
    let client = mqtt::Client::builder("order").clean_session(false).build();
    client.wait_for_connack_set(true);
    client.on_connect(|client, _, _, _| client.publish("t", "hello"));
    client.publish_with("t", "kept", 1, false).unwrap();
    let peer = Peer::listen();
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    client.loop_start().unwrap();
    connection.send(CONNACK);
    let first = connection.packet();
    let second = connection.packet();
    assert_eq!((first[0], second[0]), (0x32, 0x30), "{first:02x?} {second:02x?}");
}

#[test]
fn nothing_is_sent_before_the_answer_where_that_is_asked_for() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("polite");
    client.wait_for_connack_set(true);
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    client.subscribe("t").unwrap();
    let info = client.publish("t", "x").unwrap();
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.expect_silence(std::time::Duration::from_millis(20));
    assert_eq!(info.delivery(), Delivery::Queued);
    connection.send(CONNACK);
    let mut first_bytes = [connection.packet()[0], connection.packet()[0]];
    first_bytes.sort_unstable();
    assert_eq!(first_bytes, [0x30, 0x82]);
}

#[test]
fn subscribe_and_publish_follow_connect_at_once_before_mqtt_5() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("eager");
    client.connect(peer.address()).unwrap();
    client.subscribe("t").unwrap();
    client.publish("t", "x").unwrap();
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.expect(b"\x82\x06\x00\x01\x00\x01t\x00");
    connection.expect(b"\x30\x04\x00\x01tx");
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

#[test]
fn threads_that_publish_under_a_lock_which_on_publish_takes_finish() {
    let broker = listen();
    let client = running("locks", &broker);
    let lock = Arc::new(Mutex::new(0));
    let told = Arc::clone(&lock);
    client.on_publish(move |_, _, _, _| *told.lock().unwrap() += 1);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (client, lock) = (client.clone(), Arc::clone(&lock));
            thread::spawn(move || {
                for number in 0..200 {
                    let _locked = lock.lock().unwrap();
                    client.publish_with("t", number, number % 3, false).unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    eventually("every message is told", || *lock.lock().unwrap() == 800);
    broker_has(&broker, "every message", |broker| broker.published().len() == 800);
}

#[test]
fn a_large_message_comes_back_whole() {
    let broker = listen();
    let client = running("large", &broker);
    let messages = client.messages(1);
    client.subscribe(("t", 1)).unwrap().wait(PATIENCE).unwrap();
    let payload: Vec<u8> = (0..2_000_000u32).map(|number| (number % 251) as u8).collect();
    client.publish_with("t", &payload, 1, false).unwrap();
    let message = messages.recv(PATIENCE).unwrap();
    assert!(message.payload == payload.as_slice());
}

#[test]
fn ids_count_up_and_are_free_again_when_a_message_is_finished() {
    let bench = Bench::new("ids");
    bench.connect();
    let first = bench.client.publish("t", "x").unwrap();
    let second = bench.client.publish_with("t", "x", 1, false).unwrap();
    let third = bench.client.subscribe("t").unwrap();
    assert_eq!((first.mid, second.mid, third.mid), (1, 2, 3));
    let infos: Vec<_> = (0..200)
        .map(|_| bench.client.publish_with("t", "x", 1, false).unwrap())
        .collect();
    bench.client.flush(PATIENCE).unwrap();
    assert!(infos.iter().all(mqtt::MessageInfo::is_published));
}

#[test]
fn a_connection_made_again_by_hand_sends_what_is_left() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("by-hand");
    let mut connection = connect_to(&client, &peer);
    let info = client.publish_with("t", "x", 1, false).unwrap();
    connection.expect(&publish_packet(0x32, "t", info.mid, "x"));
    drop(connection);
    let ended = std::iter::repeat_with(|| client.loop_once(PATIENCE)).find_map(Result::err);
    assert!(matches!(ended, Some(Error::ConnectionClosed)), "{ended:?}");
    assert!(matches!(client.loop_once(0), Err(Error::NotConnected)));
    let mut connection = connect_to(&client, &peer);
    client.loop_once(0).unwrap();
    connection.expect(&publish_packet(0x3a, "t", info.mid, "x"));
    connection.send(&ack_packet(0x40, info.mid));
    info.wait_for_publish(PATIENCE).unwrap();
}

#[test]
fn what_a_lost_session_means_for_unfinished_messages_is_a_policy() {
    use mqtt::OnSessionLost::{Discard, Resend, ResendQos1Only};
    for (policy, qos1, qos2) in [
        (Resend, true, true),
        (ResendQos1Only, true, false),
        (Discard, false, false),
    ] {
        let client = mqtt::Client::new("policy");
        client.on_session_lost_set(policy);
        client.reconnect_delay_set(0.01, 0.01).unwrap();
        let (peer, mut connection) = running_with_peer(&client);
        let one = client.publish_with("t", "one", 1, false).unwrap();
        let two = client.publish_with("t", "two", 2, false).unwrap();
        connection.expect_packet(0x32);
        connection.expect_packet(0x34);
        drop(connection);
        let mut connection = peer.accept_client();
        for (info, sent_again, dup) in [(&one, qos1, 0x3a), (&two, qos2, 0x3c)] {
            if sent_again {
                connection.expect_packet(dup);
            } else {
                let lost = Error::Dropped(DropReason::SessionLost);
                let result = info.wait_for_publish(PATIENCE).unwrap_err();
                assert_eq!(result.to_string(), lost.to_string(), "{policy:?}");
            }
        }
        client.drop_out_messages();
    }
}

#[test]
fn what_the_server_sends_is_not_held_up_by_a_flood() {
    let client = mqtt::Client::new("flood");
    let heard = Arc::new(AtomicBool::new(false));
    let hears = Arc::clone(&heard);
    client.on_message(move |_, _| hears.store(true, Ordering::SeqCst));
    let (_peer, mut connection) = running_with_peer(&client);
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !enough.load(Ordering::SeqCst) {
                    let _ = client.publish("flood", "drop");
                }
            });
        }
        connection.discard(1_000_000);
        connection.send(&publish_packet(0x30, "other", 0, "way"));
        let deadline = Instant::now() + PATIENCE;
        while !heard.load(Ordering::SeqCst) && Instant::now() < deadline {
            connection.discard(10_000);
        }
        enough.store(true, Ordering::SeqCst);
    });
    assert!(heard.load(Ordering::SeqCst), "the loop does nothing but write");
}
