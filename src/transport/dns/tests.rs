//! Name servers of all kinds, each a script of raw bytes; and the judgement of messages that come from anywhere.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use proptest::prelude::*;

use super::*;

const NAME: &str = "_mqtt._tcp.example.com";
const LONG: Duration = Duration::from_secs(20);

/// `name` as it is in a message.
fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> = labels
        .flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat())
        .collect();
    bytes.push(0);
    bytes
}

/// A record whose owner is `owner`, in wire form.
fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = owner.to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend(b"\x00\x01\x00\x00\x00\x3c");
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

/// A pointer to the name of the question.
const ASKED: &[u8] = b"\xc0\x0c";

fn srv(owner: &[u8], priority: u16, port: u16, target: &str) -> Vec<u8> {
    let numbers = [priority, 0, port].map(u16::to_be_bytes).concat();
    record(owner, 33, &[numbers, wire(target)].concat())
}

/// The answer to `query`, with these flags (the second of its bytes has the code).
fn answer(query: &[u8], flags: [u8; 2], records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = query[..2].to_vec();
    bytes.extend(flags);
    bytes.extend(b"\x00\x01");
    bytes.extend((records.len() as u16).to_be_bytes());
    bytes.extend(b"\x00\x00\x00\x00");
    bytes.extend(&query[12..]);
    bytes.extend(records.concat());
    bytes
}

const GOOD: [u8; 2] = [0x81, 0x80];

fn one(query: &[u8]) -> Vec<Vec<u8>> {
    vec![answer(query, GOOD, &[srv(ASKED, 1, 1883, "one.example.com")])]
}

fn found() -> Vec<Place> {
    vec![("one.example.com".to_owned(), 1883)]
}

/// A name server on a free port, that answers each datagram with those that the script makes of it.
struct NameServer {
    address: SocketAddr,
    asked: mpsc::Receiver<Vec<u8>>,
    _socket: UdpSocket,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    fn new(script: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        Self::on(socket, script)
    }

    fn on(socket: UdpSocket, script: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let address = socket.local_addr().unwrap();
        let (sender, asked) = mpsc::channel();
        let own = socket.try_clone().unwrap();
        let thread = thread::spawn(move || {
            let mut buffer = [0; 600];
            // An empty datagram is the end.
            while let Ok((count @ 1.., from)) = own.recv_from(&mut buffer) {
                let _ = sender.send(buffer[..count].to_vec());
                for answer in script(&buffer[..count]) {
                    let _ = own.send_to(&answer, from);
                }
            }
        });
        Self {
            address,
            asked,
            _socket: socket,
            thread: Some(thread),
        }
    }

    fn look_up(&self) -> io::Result<Vec<Place>> {
        self.look_up_within(LONG)
    }

    fn look_up_within(&self, timeout: Duration) -> io::Result<Vec<Place>> {
        look_up_srv(NAME, &[self.address], timeout, &Cancel::default())
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let ender = UdpSocket::bind("127.0.0.1:0").unwrap();
        ender.send_to(&[], self.address).unwrap();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

// ---- what is asked, and what is found ----

/// See RFC 1035, section 4.1.
#[test]
fn a_query_asks_for_one_name_and_has_an_id_of_its_own() {
    let server = NameServer::new(one);
    let mut ids = Vec::new();
    for _ in 0..4 {
        assert_eq!(server.look_up().unwrap(), found());
        let query = server.asked.recv().unwrap();
        assert_eq!(query[2..12], *b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00");
        assert_eq!(query[12..], [wire(NAME), b"\x00\x21\x00\x01".to_vec()].concat());
        ids.push(query[..2].to_vec());
    }
    ids.dedup();
    assert!(ids.len() > 1, "{ids:?}");
}

#[test]
fn records_come_in_order_of_priority_whatever_their_name_is_written_like() {
    let server = NameServer::new(|query| {
        let owner = wire(&NAME.to_uppercase());
        let records = [
            srv(&owner, 2, 3, "c.test"),
            srv(ASKED, 1, 2, "b.test"),
            srv(&owner, 0, 1, "a.test"),
            srv(&wire("other.example.com"), 0, 1, "not.asked.for"),
        ];
        vec![answer(query, GOOD, &records)]
    });
    let expected = [("a.test", 1), ("b.test", 2), ("c.test", 3)];
    let expected = expected.map(|(host, port)| (host.to_owned(), port));
    assert_eq!(server.look_up().unwrap(), expected);
}

#[test]
fn another_name_for_the_name_is_followed_within_the_answer() {
    let server = NameServer::new(|query| {
        let records = [
            srv(&wire("real.example.net"), 1, 1883, "one.example.com"),
            record(&wire("alias.example.net"), 5, &wire("real.example.net")),
            record(ASKED, 5, &wire("alias.example.net")),
        ];
        vec![answer(query, GOOD, &records)]
    });
    assert_eq!(server.look_up().unwrap(), found());
}

#[test]
fn names_that_stand_for_each_other_have_no_record() {
    let server = NameServer::new(|query| {
        let records = [
            record(ASKED, 5, &wire("a.test")),
            record(&wire("a.test"), 5, &wire(NAME)),
        ];
        vec![answer(query, GOOD, &records)]
    });
    assert!(error(&server).1.ends_with("it has no SRV record"));
}

// ---- what goes wrong ----

fn error(server: &NameServer) -> (io::ErrorKind, String) {
    let error = server.look_up_within(Duration::from_millis(400)).unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn each_failure_is_told_apart() {
    type Script = fn(&[u8]) -> Vec<Vec<u8>>;
    let cases: [(Script, io::ErrorKind, &str); 10] = [
        (
            |query| vec![answer(query, [0x81, 0x83], &[])],
            io::ErrorKind::NotFound,
            "there is no such name",
        ),
        (
            |query| vec![answer(query, GOOD, &[])],
            io::ErrorKind::NotFound,
            "it has no SRV record",
        ),
        (
            |query| vec![answer(query, GOOD, &[srv(ASKED, 0, 0, "")])],
            io::ErrorKind::NotFound,
            "the domain says that it does not have this service",
        ),
        (
            |query| vec![answer(query, [0x81, 0x82], &[])],
            io::ErrorKind::Other,
            "it does not answer (ServerFailure)",
        ),
        (
            // Without the question.
            |query| vec![[&query[..2], b"\x81\x85\x00\x00\x00\x00\x00\x00\x00\x00"].concat()],
            io::ErrorKind::Other,
            "it does not answer (Refused)",
        ),
        (
            // A name that points to itself.
            |query| {
                let at = query.len() as u8;
                vec![answer(query, GOOD, &[record(&[0xc0, at], 33, b"\x00")])]
            },
            io::ErrorKind::InvalidData,
            "its answer is malformed",
        ),
        (
            |query| {
                let whole = one(query).remove(0);
                vec![whole[..whole.len() - 1].to_vec()]
            },
            io::ErrorKind::InvalidData,
            "its answer is malformed",
        ),
        (
            |_| {
                vec![
                    b"garbage that has nothing to do with it".to_vec(),
                    Vec::new(),
                    vec![0],
                ]
            },
            io::ErrorKind::TimedOut,
            "timed out",
        ),
        (
            |query| {
                let mut other = one(query).remove(0);
                other[1] ^= 1;
                let mut itself = query.to_vec();
                itself.extend(b"\x00");
                let mut question = one(query).remove(0);
                question[13] = b'x';
                vec![other, itself, question]
            },
            io::ErrorKind::TimedOut,
            "timed out",
        ),
        (
            |_| vec![vec![7; 20]; 3 * STRAY],
            io::ErrorKind::InvalidData,
            "it answers what it was not asked",
        ),
    ];
    for (script, kind, text) in cases {
        let server = NameServer::new(script);
        let (got, message) = error(&server);
        assert!(
            message.starts_with("could not look up _mqtt._tcp.example.com: "),
            "{message}"
        );
        assert!(message.ends_with(text), "{message} / {text}");
        if kind != io::ErrorKind::NotFound {
            assert!(message.contains(&server.address.to_string()), "{message}");
        }
        assert_eq!(got, kind, "{message}");
    }
}

#[test]
fn the_answer_counts_whatever_comes_before_it() {
    let server = NameServer::new(|query| {
        let mut forged = answer(query, GOOD, &[srv(ASKED, 0, 1, "evil.test")]);
        forged[0] ^= 0x80;
        [vec![forged, b"?".to_vec(), query.to_vec()], one(query)].concat()
    });
    assert_eq!(server.look_up().unwrap(), found());
}

#[test]
fn names_that_cannot_be_asked_for_are_refused_before() {
    let long_label = format!("{}.com", "a".repeat(64));
    let long_name = "abcdefgh.".repeat(40);
    for name in [
        "",
        ".",
        "a..b",
        "a.",
        "h\u{f6}st",
        "a\\.b",
        &long_label,
        &long_name,
    ] {
        assert_eq!(
            check_name(name).unwrap_err().kind(),
            io::ErrorKind::InvalidInput,
            "{name}"
        );
    }
    check_name(NAME).unwrap();
}

// ---- several name servers, and time ----

#[test]
fn a_name_server_that_fails_is_followed_by_the_next() {
    let silent = NameServer::new(|_| Vec::new());
    let failing = NameServer::new(|query| vec![answer(query, [0x81, 0x82], &[])]);
    // Nobody is there.
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let good = NameServer::new(one);
    let servers = [gone, failing.address, silent.address, good.address];
    let found_by = look_up_srv(NAME, &servers, Duration::from_secs(2), &Cancel::default());
    assert_eq!(found_by.unwrap(), found());
}

#[test]
fn a_lost_datagram_is_sent_again() {
    let answers = std::sync::atomic::AtomicBool::new(false);
    let server = NameServer::new(move |query| {
        if answers.swap(true, std::sync::atomic::Ordering::Relaxed) {
            one(query)
        } else {
            Vec::new()
        }
    });
    assert_eq!(
        server.look_up_within(Duration::from_millis(600)).unwrap(),
        found()
    );
}

#[test]
fn silence_ends_with_the_time() {
    let server = NameServer::new(|_| Vec::new());
    let started = Instant::now();
    let error = server.look_up_within(Duration::from_millis(200)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(190) && took < LONG / 4, "{took:?}");
    assert_eq!(server.asked.try_iter().count(), ROUNDS);
}

#[test]
fn cancelling_ends_a_look_up_at_once() {
    let server = NameServer::new(|_| Vec::new());
    let cancel = Cancel::default();
    let address = server.address;
    let looking = thread::spawn({
        let cancel = cancel.clone();
        move || look_up_srv(NAME, &[address], LONG, &cancel)
    });
    server.asked.recv_timeout(LONG).unwrap();
    let started = Instant::now();
    cancel.cancel();
    assert_eq!(
        looking.join().unwrap().unwrap_err().kind(),
        io::ErrorKind::Interrupted
    );
    assert!(started.elapsed() < LONG / 20);
}

// ---- TCP ----

/// A name server whose answers do not fit into a datagram. By TCP it sends what `script` makes of the query.
fn by_tcp(script: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> (NameServer, JoinHandle<()>) {
    // The same port for both.
    let (socket, listener) = (0..100)
        .find_map(|_| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let socket = UdpSocket::bind(listener.local_addr().unwrap()).ok()?;
            Some((socket, listener))
        })
        .unwrap();
    let server = NameServer::on(socket, |query| {
        let whole = answer(query, [0x83, 0x80], &[srv(ASKED, 1, 1883, "cut.example.com")]);
        vec![whole[..whole.len() - 5].to_vec()]
    });
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query).unwrap();
        stream.write_all(&script(&query)).unwrap();
    });
    (server, thread)
}

fn with_length(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

#[test]
fn an_answer_that_was_cut_off_is_asked_for_by_tcp() {
    let (server, thread) = by_tcp(|query| {
        let mut records: Vec<_> = (0..1500).map(|n| srv(ASKED, 2, n, "two.example.com")).collect();
        records.push(srv(ASKED, 1, 1883, "one.example.com"));
        with_length(&answer(query, GOOD, &records))
    });
    let places = server.look_up().unwrap();
    assert_eq!(places[0], found()[0]);
    assert_eq!(places.len(), 32);
    thread.join().unwrap();
}

#[test]
fn by_tcp_too_an_answer_may_be_anything() {
    type Script = fn(&[u8]) -> Vec<u8>;
    let cases: [(Script, io::ErrorKind); 5] = [
        (|_| Vec::new(), io::ErrorKind::UnexpectedEof),
        (|_| vec![0xff, 0xff, 1, 2, 3], io::ErrorKind::UnexpectedEof),
        (|_| vec![0, 0], io::ErrorKind::InvalidData),
        (
            |query| with_length(&answer(query, [0x83, 0x80], &[])),
            io::ErrorKind::InvalidData,
        ),
        (
            |query| {
                let mut other = answer(query, GOOD, &[]);
                other[0] ^= 1;
                with_length(&other)
            },
            io::ErrorKind::InvalidData,
        ),
    ];
    for (script, kind) in cases {
        let (server, thread) = by_tcp(script);
        let result = ask(server.address, NAME, LONG, &Cancel::default());
        let error = result.map_or_else(|error| error, Answer::into_error);
        assert_eq!(error.kind(), kind, "{error}");
        thread.join().unwrap();
    }
}

// ---- anything at all ----

proptest! {
    /// Neither panics nor hangs, and takes nothing for an answer that is none.
    #[test]
    fn any_message_is_judged(
        mut message in proptest::collection::vec(any::<u8>(), 0..200),
        kinds in proptest::collection::vec(any::<u8>(), 0..8),
        flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..4),
    ) {
        let query = Query::new(NAME).unwrap();
        let _ = query.judge(&message);
        // Records of all kinds with anything in them.
        let records: Vec<_> = kinds.iter().map(|&kind| record(ASKED, kind.into(), &message)).collect();
        let mut whole = answer(query.bytes(), GOOD, &records);
        let _ = query.judge(&whole);
        for (at, flip) in flips {
            let at = at % whole.len();
            whole[at] ^= flip;
            let _ = query.judge(&whole);
        }
        message.splice(0..0, query.bytes()[..2].iter().copied());
        prop_assert!(!matches!(query.judge(&message), Answer::Records(_)));
    }
}
