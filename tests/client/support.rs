//! What the tests share: brokers, clients, and waiting for events with a deadline.

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
        move |event| drop(sender.send(event))
    }

    /// The next event.
    #[track_caller]
    pub(crate) fn next(&self) -> T {
        match self.receiver.recv_timeout(PATIENCE) {
            Ok(event) => event,
            Err(_) => panic!("no event within {PATIENCE:?}"),
        }
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

/// The text of an error, with its sources.
pub(crate) fn text(error: &mqtt::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
