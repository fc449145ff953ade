//! The broker's handle: what a test sees and does, and how the broker ends.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use callmq::client::{IntoConnect, Waker};
use callmq::error::Error;
use callmq::testing::Broker;

use crate::peer::*;

#[test]
fn the_log_reads_like_mosquittos() {
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    let mut subscriber = Peer::connect(&broker, 4, "foo1");
    subscriber.subscribe("test/topic", 0);
    let mut publisher = Peer::open(&broker);
    let will_and_user = [text("w/t"), text("bye"), text("joe")].concat();
    publisher.send(&connect(
        5,
        "foo2",
        0x86,
        30,
        &[],
        &[vec![0], will_and_user].concat(),
    ));
    publisher.expect_connack(5, false);
    publisher.send(&publish(5, 0b100, "test/topic", 7, "bar"));
    publisher.send(&ack(0x62, 7));
    subscriber.expect(&publish(4, 0, "test/topic", 0, "bar"));
    publisher.send(b"\xE0\x00");
    publisher.expect(b"\x50\x02\x00\x07\x70\x02\x00\x07");
    publisher.expect_end();
    drop(subscriber);
    broker
        .wait_for_log(PATIENCE, "Client foo1 closed its connection.")
        .unwrap();
    let log: Vec<_> = broker
        .log()
        .into_iter()
        .map(|line| without_ports(&line))
        .collect();
    let expected = [
        "New connection from 127.0.0.1:<port> on port <port>.",
        "New client connected from 127.0.0.1:<port> as foo1 (p2, c1, k60).",
        "No will message specified.",
        "Sending CONNACK to foo1 (0, 0)",
        "Received SUBSCRIBE from foo1",
        "\ttest/topic (QoS 0)",
        "foo1 0 test/topic",
        "Sending SUBACK to foo1",
        "New connection from 127.0.0.1:<port> on port <port>.",
        "New client connected from 127.0.0.1:<port> as foo2 (p5, c1, k30, u'joe').",
        "Will message specified (3 bytes) (r0, q0).",
        "\tw/t",
        "Sending CONNACK to foo2 (0, 0)",
        "Received PUBLISH from foo2 (d0, q2, r0, m7, 'test/topic', ... (3 bytes))",
        "Sending PUBREC to foo2 (m7, rc0)",
        "Received PUBREL from foo2 (Mid: 7)",
        "Sending PUBLISH to foo1 (d0, q0, r0, m0, 'test/topic', ... (3 bytes))",
        "Sending PUBCOMP to foo2 (m7)",
        "Received DISCONNECT from foo2",
        "Client foo2 disconnected.",
        "Client foo1 closed its connection.",
    ];
    assert_eq!(log, expected);
}

/// Replaces ports, as far as the log has any, by `<port>`.
fn without_ports(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let digits =
            |text: &str| text.len() > 3 && text.trim_end_matches('.').bytes().all(|b| b.is_ascii_digit());
        match word.rsplit_once(':') {
            Some((host, port)) if digits(port) => format!("{host}:<port>"),
            None if digits(word) => "<port>.".to_owned(),
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_log_listener_gets_each_line_and_may_use_the_broker() {
    let slot: Arc<Mutex<Option<Broker>>> = Arc::default();
    let seen: Arc<Mutex<Vec<(String, usize)>>> = Arc::default();
    let broker = {
        let (slot, seen) = (Arc::clone(&slot), Arc::clone(&seen));
        Broker::builder().on_log(move |line| {
            let clients = slot
                .try_lock()
                .ok()
                .and_then(|broker| Some(broker.as_ref()?.connected_clients().len()));
            seen.lock().unwrap().push((line.to_owned(), clients.unwrap_or(0)));
        })
    }
    .in_process();
    let stream = broker.open().unwrap();
    *slot.lock().unwrap() = Some(broker);
    stream.write(&connect(4, "logged", CLEAN, 60, &[], &[])).unwrap();
    let seen = seen.lock().unwrap();
    let lines: Vec<_> = seen.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "New connection from in-process.",
            "New client connected from in-process as logged (p2, c1, k60).",
            "No will message specified.",
            "Sending CONNACK to logged (0, 0)",
        ]
    );
    assert_eq!(seen.last().unwrap().1, 1);
}

#[test]
fn a_waker_may_own_its_stream() {
    let broker = Broker::new();
    for _ in 0..2 {
        let stream = broker.open().unwrap();
        let owned = Mutex::new(Some(Arc::clone(&stream)));
        stream.set_waker(Waker::new(move || drop(owned.lock().unwrap().take())));
        stream.write(&connect(4, "own", CLEAN, 60, &[], &[])).unwrap();
    }
    assert!(broker.connected_clients().is_empty());
    // Dropped with its waker, and not under a lock.
    let stream = broker.open().unwrap();
    let owned = Arc::clone(&stream);
    stream.set_waker(Waker::new(move || {
        let _ = &owned;
    }));
    stream.set_waker(Waker::new(|| ()));
    drop(stream);
    assert!(broker.log().len() > 3);
}

#[test]
fn only_the_latest_messages_are_kept_for_the_test() {
    let broker = Broker::new();
    for number in 0..1_500 {
        broker.publish("t", number, 0, false).unwrap();
    }
    let published = broker.published();
    assert_eq!((published.len(), &published[0].payload[..]), (1_000, &b"500"[..]));
    for _ in 0..5 {
        broker.publish("t", vec![0; 5 << 20], 0, false).unwrap();
    }
    assert_eq!(broker.published().len(), 3);
}

#[test]
fn the_handle_may_be_shared_between_threads() {
    fn assert_shared<T: Send + Sync>() {}
    assert_shared::<Broker>();
}

#[test]
fn publishing_checks_its_arguments() {
    let broker = Broker::new();
    assert!(matches!(
        broker.publish("a/#", "x", 0, false),
        Err(Error::InvalidArgument { .. })
    ));
    assert!(matches!(
        broker.publish("a", "x", 3, false),
        Err(Error::InvalidArgument { .. })
    ));
    assert!(broker.published().is_empty());
    broker.publish("a", 42, 1, false).unwrap();
    assert_eq!(broker.published()[0].payload, "42");
}

#[test]
fn waiting_ends_with_the_condition_or_the_limit() {
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    let begin = Instant::now();
    let waited = broker.wait_for(Duration::from_millis(20), |_| false);
    assert!(matches!(waited, Err(Error::Timeout)));
    assert!(begin.elapsed() >= Duration::from_millis(20));
    let address = broker.address();
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        std::io::Write::write_all(&mut stream, &connect(4, "late", CLEAN, 60, &[], &[])).unwrap();
        stream
    });
    broker
        .wait_for(PATIENCE, |broker| broker.connected_clients() == ["late"])
        .unwrap();
    drop(client.join().unwrap());
    broker
        .wait_for(PATIENCE, |broker| broker.connected_clients().is_empty())
        .unwrap();
}

#[test]
fn dropping_the_broker_frees_its_port_at_once() {
    // On a busy machine a thread may have to wait for its turn, and the port may be taken by somebody else: one try of
    // several must do.
    let tries: Vec<_> = (0..5).map(|_| time_to_drop()).collect();
    let prompt = |time: &Option<Duration>| time.is_some_and(|time| time < Duration::from_millis(50));
    assert!(tries.iter().any(prompt), "{tries:?}");
}

/// How long it takes to drop a broker with clients; `None` if its port is still in use then.
fn time_to_drop() -> Option<Duration> {
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    let address = broker.address();
    let mut peers: Vec<_> = (0..20)
        .map(|n| Peer::connect(&broker, 4, &format!("peer {n}")))
        .collect();
    let begin = Instant::now();
    drop(broker);
    let taken = begin.elapsed();
    for peer in &mut peers {
        peer.expect_end();
    }
    Broker::listen(address).ok().map(|_| taken)
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    assert!(matches!(Broker::listen(broker.address()), Err(Error::Io(_))));
}

#[test]
fn streams_end_with_their_broker() {
    let broker = Broker::new();
    let stream = broker.open().unwrap();
    drop(broker);
    assert_eq!(stream.read(&mut [0; 10]).unwrap(), 0);
    assert_eq!(stream.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    stream.shutdown().unwrap();
}

#[test]
fn a_stream_has_nothing_until_it_wakes() {
    let broker = Broker::new();
    let mut publisher = Peer::connect(&broker, 4, "publisher");
    let stream = broker.open().unwrap();
    let woken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&woken);
    stream.set_waker(Waker::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    }));
    let mut buffer = [0; 100];
    assert_eq!(
        stream.read(&mut buffer).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    stream.write(&connect(4, "sleeper", CLEAN, 60, &[], &[])).unwrap();
    stream.write(&subscribe(4, 1, &[("t", 0)])).unwrap();
    assert_eq!(stream.read(&mut buffer).unwrap(), 9, "CONNACK and SUBACK");
    let before = woken.load(Ordering::Relaxed);
    publisher.expect_nothing();
    assert_eq!(woken.load(Ordering::Relaxed), before, "nothing for this stream");
    publisher.send(&publish(4, 0, "t", 0, "x"));
    assert_eq!(woken.load(Ordering::Relaxed), before + 1);
    assert_eq!(stream.read(&mut buffer).unwrap(), 6);
    broker.disconnect_client("sleeper");
    assert_eq!(woken.load(Ordering::Relaxed), before + 2);
    assert_eq!(stream.read(&mut buffer).unwrap(), 0);
}

#[test]
fn a_broker_with_a_port_serves_streams_as_well() {
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    let mut socket = Peer::connect(&broker, 4, "socket");
    socket.subscribe("t", 0);
    let stream = broker.open().unwrap();
    stream.write(&connect(4, "stream", CLEAN, 60, &[], &[])).unwrap();
    stream.write(&publish(4, 0, "t", 0, "x")).unwrap();
    socket.expect(&publish(4, 0, "t", 0, "x"));
}

#[test]
fn an_unreachable_broker_keeps_its_sessions() {
    both_ways(Broker::builder, |broker| {
        let mut peer = Peer::open(broker);
        peer.send(&connect(4, "stays", 0, 60, &[], &[]));
        peer.expect_connack(4, false);
        broker.set_reachable(false);
        peer.expect_end();
        match broker.port() {
            0 => assert!(matches!(broker.open(), Err(Error::Io(_)))),
            _ => Peer::open(broker).expect_end(),
        }
        broker.set_reachable(true);
        let mut peer = Peer::open(broker);
        peer.send(&connect(4, "stays", 0, 60, &[], &[]));
        peer.expect_connack(4, true);
    });
}

#[test]
fn a_client_finds_the_broker_by_reference() {
    let broker = Broker::listen("0.0.0.0:0").unwrap();
    let servers: Vec<_> = (&broker)
        .into_connect()
        .unwrap()
        .servers()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(servers, [format!("127.0.0.1:{}", broker.port())]);
    let servers: Vec<_> = (&Broker::new())
        .into_connect()
        .unwrap()
        .servers()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(servers, ["custom stream"]);
}
