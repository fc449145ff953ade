//! Large payloads, slow readers, and floods from many threads.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use callmq::client::{Client, Delivery, Error, OfflineQueue, WhenFull};
use crossbeam_channel::{RecvTimeoutError, bounded};

use crate::support::peer::{CONNACK, Peer};
use crate::tools::{LONG, messages, packet, publish, within};

/// Reads one packet: its first byte and its body.
fn read_packet(stream: &mut impl Read) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    let first = byte[0];
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        stream.read_exact(&mut byte).ok()?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((first, body))
}

/// A listener whose connections take in little before they push back.
fn narrow_listener() -> TcpListener {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&address.into()).unwrap();
    socket.listen(8).unwrap();
    socket.into()
}

fn address(listener: &TcpListener) -> (&'static str, u16) {
    ("127.0.0.1", listener.local_addr().unwrap().port())
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    let (first, _) = read_packet(&mut stream).unwrap();
    assert_eq!(first, 0x10);
    stream.write_all(CONNACK).unwrap();
    stream
}

fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index.wrapping_mul(31) + seed + index / 251) as u8)
        .collect()
}

#[test]
fn five_megabytes_arrive_whole_in_every_way_of_driving() {
    let payload = pattern(5 << 20, 3);
    for way in ["thread", "once"] {
        let peer = Peer::listen();
        let client = Client::new("a");
        let received = messages(&client);
        client.connect(peer.address()).unwrap();
        if way == "thread" {
            client.loop_start().unwrap();
        }
        let mut connection = peer.accept_client();
        let sending = thread::spawn({
            let bytes = [publish(&payload), publish(b"behind")].concat();
            move || {
                connection.send(&bytes);
                connection
            }
        });
        let deadline = Instant::now() + LONG;
        while received.len() < 2 && Instant::now() < deadline {
            match way {
                "once" => {
                    let _ = client.loop_once(0.1);
                }
                _ => thread::yield_now(),
            }
        }
        assert!(received.recv_timeout(LONG).unwrap() == payload, "{way}");
        assert_eq!(received.recv_timeout(LONG).unwrap(), b"behind", "{way}");
        sending.join().unwrap();
    }
}

#[test]
fn five_megabytes_leave_whole_to_a_slow_reader() {
    let payload = pattern(5 << 20, 7);
    for looping in [true, false] {
        let listener = narrow_listener();
        let client = Client::new("a");
        client.connect(address(&listener)).unwrap();
        let mut stream = accept(&listener);
        client.wait_for_connect(LONG).unwrap();
        if looping {
            client.loop_start().unwrap();
        }
        let reading = thread::spawn(move || {
            let mut packets = Vec::new();
            let mut reader = SlowReader(&mut stream);
            for _ in 0..3 {
                packets.push(read_packet(&mut reader).unwrap());
            }
            stream
                .write_all(&[packet(0x40, &[0, 1]), packet(0x40, &[0, 2])].concat())
                .unwrap();
            (packets, stream)
        });
        let before = client.publish("t", payload.clone()).unwrap();
        let info = client.publish_with("t", &payload, 1, false).unwrap();
        let after = client.publish("t", "behind").unwrap();
        info.wait_for_publish(LONG).unwrap();
        assert!(before.is_published() && after.is_published());
        let (packets, _stream) = within(LONG, move || reading.join().unwrap());
        assert!(packets[0].1[3..] == payload, "QoS 0");
        assert!(packets[1].1[5..] == payload, "QoS 1");
        assert_eq!(packets[2].1, b"\x00\x01tbehind");
    }
}

/// Takes a few KiB at a time.
struct SlowReader<'a>(&'a mut TcpStream);

impl Read for SlowReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let size = buffer.len().min(6000);
        self.0.read(&mut buffer[..size])
    }
}

/// Four threads publish QoS 0, four QoS 1, while messages flood in: nothing is lost, and each thread's order is kept.
#[test]
fn floods_in_both_directions_lose_nothing_and_keep_each_threads_order() {
    const COUNT: u32 = 2000;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = Client::new("a");
    client.offline_queue_set(OfflineQueue {
        when_full: WhenFull::Block(LONG),
        ..OfflineQueue::default()
    });
    let received = messages(&client);
    client.connect(address(&listener)).unwrap();
    client.loop_start().unwrap();
    let mut stream = accept(&listener);
    client.wait_for_connect(LONG).unwrap();

    let output = Arc::new(Mutex::new(stream.try_clone().unwrap()));
    let flooding = thread::spawn({
        let output = Arc::clone(&output);
        move || {
            for number in 0..4 * COUNT {
                output
                    .lock()
                    .unwrap()
                    .write_all(&publish(&number.to_be_bytes()))
                    .unwrap();
            }
        }
    });
    let reading = thread::spawn(move || {
        let mut by_thread: HashMap<u8, Vec<u32>> = HashMap::new();
        let mut total = 0;
        let mut reader = std::io::BufReader::new(&mut stream);
        while total < 8 * COUNT {
            let (first, body) = read_packet(&mut reader).expect("no end");
            if first & 0xf0 != 0x30 {
                continue;
            }
            let at = if first & 0x06 == 0 {
                3
            } else {
                output
                    .lock()
                    .unwrap()
                    .write_all(&packet(0x40, &body[3..5]))
                    .unwrap();
                5
            };
            let number = u32::from_be_bytes(body[at + 1..at + 5].try_into().unwrap());
            by_thread.entry(body[at]).or_default().push(number);
            total += 1;
        }
        by_thread
    });
    let infos: Vec<_> = thread::scope(|scope| {
        let publishers: Vec<_> = (0..8u8)
            .map(|thread| {
                let client = &client;
                scope.spawn(move || {
                    let qos = thread / 4;
                    let publish = |number: u32| {
                        let payload = [&[thread][..], &number.to_be_bytes()].concat();
                        client.publish_with("t", payload, qos, false).unwrap()
                    };
                    (0..COUNT).map(publish).collect::<Vec<_>>()
                })
            })
            .collect();
        publishers
            .into_iter()
            .flat_map(|publisher| publisher.join().unwrap())
            .collect()
    });
    let by_thread = within(LONG, move || reading.join().unwrap());
    let expected: Vec<u32> = (0..COUNT).collect();
    for thread in 0..8 {
        assert!(by_thread[&thread] == expected, "thread {thread}");
    }
    client.flush(LONG).unwrap();
    assert!(infos.iter().all(|info| info.is_published()));
    flooding.join().unwrap();
    for number in 0..4 * COUNT {
        assert_eq!(received.recv_timeout(LONG).unwrap(), number.to_be_bytes());
    }
}

/// The same without any loop: the publishers write by themselves, and nobody drives.
#[test]
fn threads_that_publish_without_a_loop_lose_nothing_and_keep_their_order() {
    const COUNT: u32 = 2000;
    let listener = narrow_listener();
    let client = Client::new("a");
    client.connect(address(&listener)).unwrap();
    let mut stream = accept(&listener);
    client.wait_for_connect(LONG).unwrap();
    let reading = thread::spawn(move || {
        let mut by_thread: HashMap<u8, Vec<u32>> = HashMap::new();
        let mut reader = std::io::BufReader::new(&mut stream);
        for _ in 0..4 * COUNT {
            let (_, body) = read_packet(&mut reader).expect("no end");
            let number = u32::from_be_bytes(body[4..8].try_into().unwrap());
            by_thread.entry(body[3]).or_default().push(number);
        }
        by_thread
    });
    thread::scope(|scope| {
        for thread in 0..4u8 {
            let client = &client;
            scope.spawn(move || {
                for number in 0..COUNT {
                    let payload = [&[thread][..], &number.to_be_bytes()].concat();
                    client.publish("t", payload).unwrap();
                }
            });
        }
    });
    let by_thread = within(LONG, move || reading.join().unwrap());
    let expected: Vec<u32> = (0..COUNT).collect();
    for thread in 0..4 {
        assert!(by_thread[&thread] == expected, "thread {thread}");
    }
}

/// Under a peer that takes a little now and then, what waits stays within the bounds that were set.
#[test]
fn a_peer_that_hardly_reads_does_not_let_the_output_grow() {
    let listener = narrow_listener();
    let client = Client::new("a");
    client.offline_queue_set(OfflineQueue {
        max_messages: 100,
        max_bytes: 1 << 20,
        ..OfflineQueue::default()
    });
    client.connect(address(&listener)).unwrap();
    client.loop_start().unwrap();
    let mut stream = accept(&listener);
    client.wait_for_connect(LONG).unwrap();
    let (stop, stopped) = bounded::<()>(0);
    let reading = thread::spawn(move || {
        let mut some = vec![0; 8000];
        while stopped.recv_timeout(Duration::from_millis(10)) == Err(RecvTimeoutError::Timeout) {
            let _count = stream.read(&mut some).unwrap();
        }
        stream
    });
    let payload = vec![7; 10_000];
    let mut largest = 0;
    let mut refused = 0;
    let mut infos = Vec::new();
    let end = Instant::now() + Duration::from_millis(1200);
    while Instant::now() < end {
        match client.publish("t", &payload) {
            Ok(info) => infos.push(info),
            Err(Error::QueueFull { payload: back }) => {
                assert!(back[..] == payload[..]);
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
        let stats = client.stats();
        largest = largest.max(stats.output_bytes);
        assert!(stats.queued_messages <= 100);
    }
    drop(stop);
    assert!(
        largest < 1_000_000,
        "{largest} bytes in the output, {refused} refused"
    );
    // Dropped in the middle of it: each message ends.
    let taken = Instant::now();
    drop(client);
    assert!(
        taken.elapsed() < Duration::from_millis(1500),
        "{:?}",
        taken.elapsed()
    );
    for info in &infos {
        assert!(info.delivery().is_final(), "{:?}", info.delivery());
    }
    let _ = reading.join();
}

#[test]
fn a_stalled_peer_holds_each_policy_up_only_briefly() {
    for policy in [
        WhenFull::Refuse,
        WhenFull::DropNewest,
        WhenFull::DropOldest,
        WhenFull::KeepLatest,
    ] {
        let listener = narrow_listener();
        let client = Client::new("a");
        client.offline_queue_set(OfflineQueue {
            max_messages: 50,
            when_full: policy,
            ..OfflineQueue::default()
        });
        client.connect(address(&listener)).unwrap();
        client.loop_start().unwrap();
        let stream = accept(&listener);
        client.wait_for_connect(LONG).unwrap();
        let payload = vec![7; 20_000];
        let mut infos = Vec::new();
        let mut longest = Duration::ZERO;
        let mut refused = 0;
        for number in 0..1000 {
            let start = Instant::now();
            // The topics differ, so that the latest of each does not find a place by itself.
            match client.publish(format!("t/{number}"), &payload) {
                Ok(info) => infos.push(info),
                Err(Error::QueueFull { payload: back }) => {
                    assert_eq!(back.len(), payload.len());
                    refused += 1;
                }
                Err(error) => panic!("{policy:?}: {error}"),
            }
            longest = longest.max(start.elapsed());
        }
        let stats = client.stats();
        assert!(stats.queued_messages <= 50, "{policy:?}");
        assert!(
            longest < Duration::from_millis(500),
            "{policy:?}: a call took {longest:?}"
        );
        let dropped = infos
            .iter()
            .filter(|info| matches!(info.delivery(), Delivery::Dropped(_)))
            .count();
        match policy {
            WhenFull::Refuse | WhenFull::KeepLatest => assert!(refused > 0 && dropped == 0, "{policy:?}"),
            _ => assert!(refused == 0 && dropped > 0, "{policy:?}: {refused} {dropped}"),
        }
        // The loop can be stopped, and the connection ended, at once.
        let start = Instant::now();
        client.loop_stop().unwrap();
        assert!(
            start.elapsed() < Duration::from_millis(500),
            "{:?}",
            start.elapsed()
        );
        drop(stream);
    }
}

/// The peer sends and does not read, until our answers fill the line and the client stops reading; then it reads.
#[test]
fn a_client_that_stopped_reading_goes_on_when_its_answers_leave() {
    const COUNT: u32 = 200_000;
    let listener = narrow_listener();
    let client = Client::new("a");
    client.connect(address(&listener)).unwrap();
    client.loop_start().unwrap();
    let mut stream = accept(&listener);
    client.wait_for_connect(LONG).unwrap();
    let sending = thread::spawn({
        let mut output = stream.try_clone().unwrap();
        move || {
            let some = packet(0x32, b"\x00\x01t\x00\x01x").repeat(1000);
            for _ in 0..COUNT / 1000 {
                output.write_all(&some).unwrap();
            }
        }
    });
    // Other threads publish all the while, so that the output is hardly ever empty.
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    let _ = client.publish("t", "x");
                }
            });
        }
        scope.spawn(|| {
            // In this time the answers, which nobody reads, may not pile up.
            thread::sleep(Duration::from_millis(300));
            assert!(client.stats().output_bytes < 1_000_000);
            let mut answers = 0;
            let mut reader = std::io::BufReader::new(&mut stream);
            while answers < COUNT {
                let (first, _) = read_packet(&mut reader).expect("no end");
                answers += u32::from(first == 0x40);
            }
        });
    });
    within(LONG, move || sending.join().unwrap());
    assert_eq!(client.stats().messages_received, u64::from(COUNT));
}
