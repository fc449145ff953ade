//! What the tests share: brokers, clients, and waiting for events with a deadline.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use callmq::client as mqtt;
use callmq::testing::{Broker, Clock};
use crossbeam_channel::{Receiver, Sender, unbounded};

pub(crate) use crate::peer_support::peer::{CONNACK, Connection, Peer};

/// How long anything may take on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A broker on a free port.
pub(crate) fn listen() -> Broker {
    Broker::listen("127.0.0.1:0").unwrap()
}

/// A client whose loop runs in a thread and that the broker has accepted.
pub(crate) fn running(client_id: &str, broker: &Broker) -> mqtt::Client {
    let client = mqtt::Client::new(client_id);
    start(&client, broker);
    client
}

/// Connects to the broker, with the loop in a thread.
pub(crate) fn start(client: &mqtt::Client, broker: &Broker) {
    client.loop_start().unwrap();
    client.connect_and_wait(broker, PATIENCE).unwrap();
}

/// A client whose loop runs in a thread and that a scripted peer has accepted.
pub(crate) fn running_with_peer(client: &mqtt::Client) -> (Peer, Connection) {
    let peer = Peer::listen();
    client.loop_start().unwrap();
    let connection = connect_to(client, &peer);
    (peer, connection)
}

/// Connects to the peer, which accepts.
pub(crate) fn connect_to(client: &mqtt::Client, peer: &Peer) -> Connection {
    client.connect(peer.address()).unwrap();
    let connection = peer.accept_client();
    client.wait_for_connect(PATIENCE).unwrap();
    connection
}

/// A message goes to the server, and its acknowledgement comes back.
pub(crate) fn round_trip(client: &mqtt::Client) {
    let info = client.publish_with("t", "x", 1, false).unwrap();
    info.wait_for_publish(PATIENCE).unwrap();
}

/// PUBLISH as it is on the wire: `first` is the first byte, with QoS, DUP and RETAIN.
pub(crate) fn publish_packet(first: u8, topic: &str, mid: u16, payload: &str) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(topic.as_bytes());
    if first & 0b0110 != 0 {
        body.extend_from_slice(&mid.to_be_bytes());
    }
    body.extend_from_slice(payload.as_bytes());
    assert!(body.len() < 128, "the length must fit into one byte");
    let mut packet = vec![first, body.len() as u8];
    packet.extend(body);
    packet
}

/// PUBACK (`0x40`), PUBREC (`0x50`), PUBREL (`0x62`), PUBCOMP (`0x70`).
pub(crate) fn ack_packet(first: u8, mid: u16) -> Vec<u8> {
    let [high, low] = mid.to_be_bytes();
    vec![first, 2, high, low]
}

/// A server that can be reached but never answers, not even to the attempt to connect: its queue is full.
pub(crate) struct BlackHole {
    _listener: socket2::Socket,
    _queued: Vec<socket2::Socket>,
    address: SocketAddr,
}

impl BlackHole {
    pub(crate) fn new() -> Self {
        let socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let listener = socket();
        listener
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        for _ in 0..4 {
            let filler = socket();
            // Those that find no room in the queue go on trying, and keep it full.
            let _ = filler.connect_timeout(&address.into(), Duration::from_millis(20));
            queued.push(filler);
        }
        Self {
            _listener: listener,
            _queued: queued,
            address,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A client and a broker without sockets and threads, on one clock that is moved by hand.
pub(crate) struct Bench {
    pub(crate) broker: Broker,
    pub(crate) client: mqtt::Client,
    pub(crate) clock: Clock,
}

impl Bench {
    pub(crate) fn new(client_id: &str) -> Self {
        Self::with(|clock| mqtt::Client::builder(client_id).clock(clock))
    }

    pub(crate) fn with(builder: impl FnOnce(&Clock) -> mqtt::ClientBuilder) -> Self {
        let clock = Clock::new();
        Self {
            broker: Broker::builder().clock(&clock).in_process(),
            client: builder(&clock).build(),
            clock,
        }
    }

    /// Connects and steps until the broker has accepted.
    pub(crate) fn connect(&self) {
        self.client.connect(&self.broker).unwrap();
        self.step_until("the connection is accepted", || self.client.is_connected());
    }

    /// Steps the client's loop until the condition holds.
    pub(crate) fn step_until(&self, what: &str, condition: impl Fn() -> bool) {
        for _ in 0..200 {
            if condition() {
                return;
            }
            self.client.loop_once(0).unwrap();
        }
        panic!("stepped 200 times, but not yet: {what}");
    }

    /// Steps until nothing is left to do, as far as a client can tell.
    pub(crate) fn settle(&self) {
        for _ in 0..20 {
            self.client.loop_once(0).unwrap();
        }
    }

    pub(crate) fn advance(&self, seconds: f64) {
        self.clock.advance(Duration::from_secs_f64(seconds));
    }
}

/// What callbacks report, in order.
pub(crate) struct Events<T> {
    sender: Sender<T>,
    receiver: Receiver<T>,
}

impl<T: Send + std::fmt::Debug + 'static> Events<T> {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = unbounded();
        Self { sender, receiver }
    }

    /// A function that reports an event.
    pub(crate) fn sink(&self) -> impl Fn(T) + Clone + Send + Sync + 'static {
        let sender = self.sender.clone();
        move |event| {
            // Without a receiver the test is over.
            let _ = sender.send(event);
        }
    }

    /// The next event.
    #[track_caller]
    pub(crate) fn next(&self) -> T {
        match self.receiver.recv_timeout(PATIENCE) {
            Ok(event) => event,
            Err(_) => panic!("no event within {PATIENCE:?}"),
        }
    }

    /// The next event, if one comes within this time.
    pub(crate) fn next_within(&self, time: Duration) -> Option<T> {
        self.receiver.recv_timeout(time).ok()
    }

    /// The events up to now.
    pub(crate) fn so_far(&self) -> Vec<T> {
        self.receiver.try_iter().collect()
    }
}

/// Waits until the condition holds.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// What no try may exceed, or twice the limit, on however busy a machine: something else was waited for.
const FAR_TOO_LONG: Duration = Duration::from_secs(1);

/// How long the call takes at best, of so many tries or until one is below the limit: other work on the machine can hold up
/// some of the tries, but not all of them, and none of them for as long as a time-out of the client would.
#[track_caller]
pub(crate) fn best_of(tries: usize, limit: Duration, call: impl Fn() -> Duration) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..tries {
        let took = call();
        assert!(took < FAR_TOO_LONG.max(2 * limit), "{took:?}");
        best = best.min(took);
        if best < limit {
            break;
        }
    }
    best
}

/// Whatever hangs, the ways to leave a client are prompt. `prepare` makes a client in that state, and what that takes.
#[track_caller]
pub(crate) fn holds_nobody_up<T>(prepare: impl Fn() -> (mqtt::Client, T)) {
    type End = fn(mqtt::Client);
    let ends: [(&str, End); 3] = [
        ("loop_stop", |client| client.loop_stop().unwrap()),
        ("disconnect", |client| {
            let connected = client.is_connected();
            assert_eq!(client.disconnect().is_ok(), connected);
        }),
        ("drop", drop),
    ];
    let limit = Duration::from_millis(100);
    for (name, end) in ends {
        let took = best_of(5, limit, || {
            let (client, _kept) = prepare();
            let started = Instant::now();
            end(client);
            started.elapsed()
        });
        assert!(took < limit, "{name}: {took:?}");
    }
}

/// What a loop or a call reports where it must fail.
#[track_caller]
pub(crate) fn callback_failure(result: mqtt::Result<()>) -> (&'static str, String) {
    match result {
        Err(mqtt::Error::Callback { callback, message }) => (callback, message.to_string()),
        other => panic!("no callback failed: {other:?}"),
    }
}

/// The argument that an error names.
#[track_caller]
pub(crate) fn bad_argument<T: std::fmt::Debug>(result: mqtt::Result<T>) -> &'static str {
    match result {
        Err(mqtt::Error::InvalidArgument { argument, .. }) => argument,
        other => panic!("no argument was refused: {other:?}"),
    }
}

/// Waits until the broker's state is as expected.
#[track_caller]
pub(crate) fn broker_has(broker: &Broker, what: &str, condition: impl Fn(&Broker) -> bool) {
    assert!(
        broker.wait_for(PATIENCE, condition).is_ok(),
        "the broker never had {what}; its log:\n{}",
        broker.log().join("\n")
    );
}

/// The payloads that were published to a topic, as text.
pub(crate) fn published(broker: &Broker, topic: &str) -> Vec<String> {
    let published = broker.published();
    let of_topic = published.iter().filter(|publish| publish.topic == topic);
    of_topic
        .map(|publish| String::from_utf8_lossy(&publish.payload).into_owned())
        .collect()
}
