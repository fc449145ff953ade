//! What goes through, in whatever frames.

use callmq::client as mqtt;
use callmq::testing::Broker;
use layers::PATIENCE;
use layers::raw::*;
use layers::traffic::{flood, lend, messages, pattern};
use layers::websocket::{Event, Frames, WebFront};

/// [3.1.1/MQTT-6.0.0-2] [5.0/MQTT-6.0.0-2]
#[test]
fn packets_need_not_begin_and_end_with_frames() {
    let publish = |text: &str| [&[0x30, text.len() as u8 + 3, 0, 1, b't'], text.as_bytes()].concat();
    let (url, server) = RawServer::listen().serve(move |server| {
        let mut raw = server.accept();
        raw.send(raw.good_answer());
        raw.next_packet();
        // Several in one frame, with half of the next behind them.
        let [first, second, third] = ["one", "two", "three"].map(publish);
        raw.send_frame(BINARY, [CONNACK, &first, &second, &third[..4]].concat());
        raw.send_frame(PING, "between");
        raw.expect_frame(PONG, "between");
        // The rest of it byte by byte, in fragments of a message, with empty ones and with control frames in between.
        raw.send_frame(BINARY_BEGUN, "");
        for byte in &third[4..] {
            raw.send_frame(CONTINUED, [*byte]);
            raw.send_frame(PONG, "nobody asked");
            raw.send_frame(CONTINUED, "");
        }
        raw.send_frame(CONTINUED_TO_THE_END, "");
        // Frames that arrive byte by byte.
        for byte in frame(BINARY, &publish("four")) {
            raw.send([byte]);
        }
        raw
    });
    let client = mqtt::Client::new("unaligned");
    let messages = messages(&client);
    client.loop_start().unwrap();
    client.connect_and_wait(url, PATIENCE).unwrap();
    for text in ["one", "two", "three", "four"] {
        let message = messages.recv_timeout(PATIENCE).unwrap();
        assert_eq!(message.payload, text.as_bytes());
    }
    drop(server.join().unwrap());
}

#[test]
fn a_ping_is_answered_while_nothing_else_is_to_be_written() {
    let (url, server) = RawServer::listen().serve(|server| {
        let mut raw = server.accept().accept_client();
        for payload in [&b""[..], b"still there?", &[7; 125]] {
            raw.send_frame(PING, payload);
            raw.expect_frame(PONG, payload);
        }
        raw
    });
    let client = mqtt::Client::new("idle");
    client.loop_start().unwrap();
    client.connect_and_wait(url, PATIENCE).unwrap();
    drop(server.join().unwrap());
}

#[test]
fn a_frame_of_5_mb_is_one_message() {
    const SIZE: usize = 5_000_000;
    let (url, server) = RawServer::listen().serve(|server| {
        let mut raw = server.accept().accept_client();
        let rest = SIZE + 3;
        let length = [
            rest & 0x7F | 0x80,
            rest >> 7 & 0x7F | 0x80,
            rest >> 14 & 0x7F | 0x80,
            rest >> 21,
        ];
        let head = [&[0x30][..], &length.map(|byte| byte as u8), b"\x00\x01t"].concat();
        raw.send_frame(BINARY, [head, pattern(SIZE, 1)].concat());
        raw
    });
    let client = mqtt::Client::new("large");
    let messages = messages(&client);
    client.loop_start().unwrap();
    client.connect_and_wait(url, PATIENCE).unwrap();
    let message = messages.recv_timeout(PATIENCE).unwrap();
    assert!(message.payload == pattern(SIZE, 1)[..]);
    drop(server.join().unwrap());
}

#[test]
fn messages_of_every_size_go_both_ways_in_frames_of_every_kind() {
    for frames in [
        Frames::AsTheyCome,
        Frames::Messages(1),
        Frames::Messages(130),
        Frames::Fragments(1_000),
    ] {
        let broker = Broker::listen("127.0.0.1:0").unwrap();
        let front = WebFront::new(broker.address(), frames);
        let client = mqtt::Client::new("sizes");
        let messages = messages(&client);
        client.loop_start().unwrap();
        let url = format!("ws://{}", front.address());
        client.connect_and_wait(url, PATIENCE).unwrap();
        client.subscribe(("t", 2)).unwrap().wait(PATIENCE).unwrap();
        let largest = match frames {
            Frames::Messages(1) => 10_000,
            _ => 1_000_000,
        };
        let sizes = [0, 1, 100, 125, 126, 65_515, 65_536, 70_000, 1_000_000];
        for (number, size) in sizes.into_iter().filter(|size| *size <= largest).enumerate() {
            let payload = pattern(size, number);
            client
                .publish_with("t", &payload, (number % 3) as u8, false)
                .unwrap();
            let message = messages.recv_timeout(PATIENCE).unwrap();
            assert!(message.payload == payload[..], "{frames:?} {size}");
        }
        client.disconnect().unwrap();
        client.loop_stop().unwrap();
        front.asked();
        assert!(matches!(front.next(), Event::Closed(_)), "{frames:?}");
    }
}

#[test]
fn without_a_loop_calls_write_at_once() {
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    let front = WebFront::new(broker.address(), Frames::AsTheyCome);
    let client = mqtt::Client::new("no-loop");
    let url = format!("ws://{}", front.address());
    client.connect_and_wait(url, PATIENCE).unwrap();
    let info = client.publish("t", "x").unwrap();
    assert!(info.is_published());
    let large = client.publish_with("t", pattern(3_000_000, 0), 1, false).unwrap();
    large.wait_for_publish(PATIENCE).unwrap();
    client.disconnect().unwrap();
    front.asked();
    assert!(matches!(front.next(), Event::Closed(_)));
}

#[test]
fn both_directions_flooded_from_several_threads_with_pings_in_between() {
    let broker = Broker::builder()
        .max_queued(100_000)
        .listen("127.0.0.1:0")
        .unwrap();
    let front = WebFront::new(broker.address(), Frames::Fragments(3_000));
    flood(format!("ws://{}", front.address()), |_| {});
}

#[test]
fn large_payloads_that_are_only_lent_are_whole() {
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    let front = WebFront::new(broker.address(), Frames::AsTheyCome);
    lend(format!("ws://{}", front.address()), |_| {});
}

#[test]
fn a_server_that_pings_and_reads_late_gets_its_answer_and_everything_else() {
    let (url, server) = RawServer::listen().serve(|server| {
        let mut raw = server.accept().accept_client();
        // The client fills the line meanwhile: nothing is read until it has taken in this message.
        raw.send_frame(PING, "late");
        raw.send_frame(BINARY, b"\x30\x04\x00\x01tx");
        let mut pongs = 0;
        let mut data = 0;
        while data < 300 * 30_000 {
            match raw.next_frame() {
                (BINARY, payload) => data += payload.len(),
                (PONG, payload) => {
                    assert_eq!(payload, b"late");
                    pongs += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(pongs, 1);
    });
    let client = mqtt::Client::builder("late").output_limit(100_000).build();
    let messages = messages(&client);
    client.loop_start().unwrap();
    client.connect_and_wait(url, PATIENCE).unwrap();
    for number in 0..300 {
        client.publish("t", pattern(30_000, number)).unwrap();
    }
    messages.recv_timeout(PATIENCE).unwrap();
    client.flush(PATIENCE).unwrap();
    server.join().unwrap();
}
