//! Messages as a channel.

use std::thread;
use std::time::Duration;

use callmq::client::{self as mqtt, Error};
use crossbeam_channel::{bounded, select};

use crate::support::{
    Bench, Events, PATIENCE, Peer, ack_packet, connect_to, eventually, listen, publish_packet, running,
    running_with_peer,
};

fn texts(messages: impl Iterator<Item = mqtt::Message>) -> Vec<String> {
    messages
        .map(|message| message.payload.to_str_lossy().into_owned())
        .collect()
}

#[test]
fn messages_can_be_iterated() {
    let broker = listen();
    let client = running("iterates", &broker);
    let messages = client.messages(10);
    client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
    for number in 0..5 {
        client.publish("t", number).unwrap();
    }
    assert_eq!(texts((&messages).into_iter().take(3)), ["0", "1", "2"]);
    assert_eq!(texts(messages.take(2)), ["3", "4"]);
}

#[test]
fn the_iterator_ends_with_the_client() {
    let broker = listen();
    let client = running("ends", &broker);
    let messages = client.messages(10);
    client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
    client.publish("t", "last").unwrap();
    eventually("the message is there", || !messages.receiver().is_empty());
    drop(client);
    assert_eq!(texts((&messages).into_iter()), ["last"]);
    assert!(matches!(messages.recv(PATIENCE), Err(Error::NotConnected)));
    assert!(matches!(messages.try_recv(), Err(Error::NotConnected)));
}

#[test]
fn receiving_has_a_deadline() {
    let client = mqtt::Client::new("waits");
    let messages = client.messages(1);
    assert!(matches!(messages.recv(0.01), Err(Error::Timeout)));
    assert!(matches!(messages.recv(0), Err(Error::Timeout)));
    assert!(messages.try_recv().unwrap().is_none());
    assert!(matches!(
        messages.recv(-1),
        Err(Error::InvalidArgument {
            argument: "timeout",
            ..
        })
    ));
}

#[test]
fn messages_can_be_selected_among_other_channels() {
    let broker = listen();
    let client = running("selects", &broker);
    let messages = client.messages(10);
    client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
    let (stop, stopped) = bounded(1);
    let worker = thread::spawn(move || {
        let mut count = 0;
        loop {
            select! {
                recv(messages.receiver()) -> message => {
                    assert_eq!(message.unwrap().topic, "t");
                    count += 1;
                    stop.send(count).unwrap();
                }
                default(PATIENCE) => return count,
            }
            if count == 2 {
                return count;
            }
        }
    });
    client.publish("t", "1").unwrap();
    assert_eq!(stopped.recv_timeout(PATIENCE).unwrap(), 1);
    client.publish("t", "2").unwrap();
    assert_eq!(worker.join().unwrap(), 2);
}

#[test]
fn each_channel_and_the_callbacks_get_every_message() {
    let broker = listen();
    let client = running("both", &broker);
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, message| report(message.payload.to_str_lossy().into_owned()));
    let first = client.messages(10);
    let second = client.messages(10);
    client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
    for payload in ["a", "b"] {
        client.publish("t", payload).unwrap();
    }
    assert_eq!(texts(first.take(2)), ["a", "b"]);
    assert_eq!(texts(second.take(2)), ["a", "b"]);
    assert_eq!((seen.next(), seen.next()), ("a".to_owned(), "b".to_owned()));
}

#[test]
fn a_slow_reader_holds_the_sender_up_and_loses_nothing() {
    for qos in [0, 1, 2] {
        let broker = listen();
        let client = mqtt::Client::new("slow");
        let messages = client.messages(1);
        client.loop_start().unwrap();
        client.connect_and_wait(&broker, PATIENCE).unwrap();
        client.subscribe(("t", qos)).unwrap().wait(PATIENCE).unwrap();
        for number in 0..300 {
            broker.publish("t", number, qos, false).unwrap();
        }
        let expected: Vec<_> = (0..300).map(|number| number.to_string()).collect();
        assert_eq!(texts(messages.take(300)), expected, "QoS {qos}");
    }
}

#[test]
fn a_message_is_acknowledged_when_it_is_in_the_channel() {
    let client = mqtt::Client::new("acks");
    let messages = client.messages(1);
    let (_peer, mut connection) = running_with_peer(&client);
    connection.send(&publish_packet(0x32, "t", 1, "in"));
    connection.expect(&ack_packet(0x40, 1));
    connection.send(&publish_packet(0x32, "t", 2, "waits"));
    connection.expect_silence(Duration::from_millis(20));
    assert_eq!(messages.recv(PATIENCE).unwrap().payload, "in");
    connection.expect(&ack_packet(0x40, 2));
    assert_eq!(messages.recv(PATIENCE).unwrap().payload, "waits");
}

#[test]
fn a_channel_that_is_dropped_holds_nobody_up() {
    let client = mqtt::Client::new("drops");
    let full = client.messages(1);
    let kept = client.messages(100);
    let (_peer, mut connection) = running_with_peer(&client);
    for number in 0..10 {
        connection.send(&publish_packet(0x30, "t", 0, &number.to_string()));
    }
    eventually("the loop is held up", || full.receiver().is_full());
    drop(full);
    let expected: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(texts(kept.take(10)), expected);
}

#[test]
fn a_loop_that_is_stopped_while_the_channel_is_full_goes_on_later_without_a_gap() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("pauses");
    let messages = client.messages(1);
    client.loop_start().unwrap();
    let mut connection = connect_to(&client, &peer);
    for number in 0..5 {
        connection.send(&publish_packet(0x30, "t", 0, &number.to_string()));
    }
    eventually("the channel is full", || messages.receiver().is_full());
    client.loop_stop().unwrap();
    client.loop_start().unwrap();
    assert_eq!(texts(messages.take(5)), ["0", "1", "2", "3", "4"]);
}

#[test]
fn pings_go_on_while_a_channel_is_full() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("pings");
    let messages = client.messages(1);
    client.loop_start().unwrap();
    client.connect(("127.0.0.1", peer.port(), 1)).unwrap();
    let mut connection = peer.accept_client();
    for number in 0..3 {
        connection.send(&publish_packet(0x30, "t", 0, &number.to_string()));
    }
    connection.expect(b"\xc0\x00");
    connection.send(b"\xd0\x00");
    assert_eq!(texts(messages.take(3)), ["0", "1", "2"]);
    assert!(client.is_connected());
}

#[test]
fn disconnect_ends_the_connection_although_a_channel_is_full() {
    let client = mqtt::Client::new("leaves");
    let messages = client.messages(1);
    let closed = Events::new();
    let report = closed.sink();
    client
        .on_disconnect(move |client, flags, _, _| report((client.is_connected(), flags.reason.to_string())));
    let (_peer, mut connection) = running_with_peer(&client);
    for number in 0..5 {
        connection.send(&publish_packet(0x30, "t", 0, &number.to_string()));
    }
    eventually("the channel is full", || messages.receiver().is_full());
    client.disconnect().unwrap();
    assert_eq!(closed.next(), (false, "disconnect requested".to_owned()));
    client.loop_stop().unwrap();

    // The same, where the loop was stopped before.
    assert!(messages.try_recv().unwrap().is_some());
    client.loop_start().unwrap();
    let (_peer, mut connection) = {
        let peer = Peer::listen();
        let connection = connect_to(&client, &peer);
        (peer, connection)
    };
    for number in 0..5 {
        connection.send(&publish_packet(0x30, "t", 0, &number.to_string()));
    }
    eventually("the channel is full", || messages.receiver().is_full());
    client.loop_stop().unwrap();
    client.disconnect().unwrap();
    assert_eq!(closed.next(), (false, "disconnect requested".to_owned()));
}

#[test]
fn another_connection_is_followed_although_a_channel_is_full() {
    let client = mqtt::Client::new("moves");
    let messages = client.messages(1);
    let (_peer, mut connection) = running_with_peer(&client);
    for number in 0..5 {
        connection.send(&publish_packet(0x30, "t", 0, &number.to_string()));
    }
    eventually("the channel is full", || messages.receiver().is_full());
    let other = Peer::listen();
    let _connection = connect_to(&client, &other);
    assert!(client.is_connected());
}

#[test]
fn a_message_that_waited_for_room_is_acknowledged_although_nothing_follows_it() {
    let bench = Bench::new("patient");
    let channel = bench.client.messages(1);
    bench.connect();
    bench.client.subscribe(("t", 1)).unwrap();
    bench.settle();
    for payload in ["first", "second"] {
        bench.broker.publish("t", payload, 1, false).unwrap();
    }
    bench.settle();
    assert_eq!(bench.client.stats().unacknowledged, 1);
    assert_eq!(channel.try_recv().unwrap().unwrap().payload, "first");
    bench.settle();
    assert_eq!(channel.try_recv().unwrap().unwrap().payload, "second");
    assert_eq!(bench.client.stats().unacknowledged, 0);
}

#[test]
fn messages_that_are_kept_stay_what_they_were() {
    let broker = listen();
    let client = running("keeps", &broker);
    let (sender, kept) = bounded(10_000);
    client.on_message(move |_, message| sender.send(message.clone()).unwrap());
    client.subscribe(("t/#", 2)).unwrap().wait(PATIENCE).unwrap();
    // More topics than are remembered, each of them several times, in turns and in a row.
    let topic = |number: usize| format!("t/{}", if number % 200 < 100 { number % 40 } else { 7 });
    let text = |number: usize| "x".repeat(number % 90) + &number.to_string();
    for number in 0..2_000 {
        let qos = [0, 1, 1, 0, 0, 1, 1, 1][number / 10 % 8];
        client
            .publish_with(topic(number), text(number), qos, number % 3 == 0)
            .unwrap();
    }
    // Those of QoS 0 wait for no acknowledgement: they may overtake the others.
    let mut next = [0, 10];
    for _ in 0..2_000 {
        let message = kept.recv_timeout(PATIENCE).unwrap();
        let qos = usize::from(u8::from(message.qos));
        let number: usize = message
            .payload
            .to_str_lossy()
            .trim_start_matches('x')
            .parse()
            .unwrap();
        assert_eq!(
            (message.topic.as_str(), &*message.payload),
            (&*topic(number), text(number).as_bytes())
        );
        assert_eq!(
            (message.mid > 0, qos),
            (qos > 0, [0, 1, 1, 0, 0, 1, 1, 1][number / 10 % 8])
        );
        assert!(number >= next[qos], "{number} after {}", next[qos]);
        next[qos] = number + 1;
    }
    eventually("all are acknowledged", || client.stats().unacknowledged == 0);
}
