//! An event loop of the user's own: `socket`, `loop_read`, `loop_write`, `loop_misc`.

use std::sync::{Arc, Mutex};

use callmq::client as mqtt;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::support::{CONNACK, Connection, PATIENCE, Peer};

/// A connected client that nobody drives but the test, and the messages that it has received.
struct Driven {
    client: mqtt::Client,
    connection: Connection,
    poll: Poll,
    received: Arc<Mutex<Vec<String>>>,
}

impl Driven {
    fn new() -> Self {
        let peer = Peer::listen();
        let client = mqtt::Client::new("external");
        let received = Arc::new(Mutex::new(Vec::new()));
        let texts = Arc::clone(&received);
        client.on_message(move |_, message| texts.lock().unwrap().push(message.payload.to_string()));
        client.connect(peer.address()).unwrap();
        let mut connection = peer.accept();
        connection.expect_packet(0x10);
        let poll = Poll::new().unwrap();
        let descriptor = client.socket().unwrap().raw_fd().unwrap();
        let interest = Interest::READABLE;
        poll.registry()
            .register(&mut SourceFd(&descriptor), Token(1), interest)
            .unwrap();
        let mut driven = Self {
            client,
            connection,
            poll,
            received,
        };
        driven.receive(CONNACK);
        assert!(driven.client.is_connected());
        driven
    }

    /// The peer sends, and the event loop reports once that there is something to read.
    fn receive(&mut self, bytes: &[u8]) {
        self.connection.send(bytes);
        let mut events = Events::with_capacity(4);
        self.poll.poll(&mut events, Some(PATIENCE)).unwrap();
        assert!(!events.is_empty(), "nothing arrived");
        self.client.loop_read().unwrap();
    }

    fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}

/// Messages `0`, `1` .. of QoS 0.
fn messages(count: u8) -> Vec<u8> {
    (0..count)
        .flat_map(|number| [0x30, 4, 0, 1, b't', b'0' + number])
        .collect()
}

#[test]
fn one_report_is_enough_for_everything_that_was_read() {
    let mut driven = Driven::new();
    driven.receive(&messages(5));
    assert_eq!(driven.received(), ["0", "1", "2", "3", "4"]);
}

#[test]
fn so_it_is_where_each_packet_is_logged() {
    let mut driven = Driven::new();
    driven.client.on_log(|_, _, _| {});
    driven.receive(&messages(5));
    assert_eq!(driven.received(), ["0", "1", "2", "3", "4"]);
}

#[test]
fn loop_misc_goes_on_with_what_a_full_channel_held_up() {
    let mut driven = Driven::new();
    let channel = driven.client.messages(1);
    driven.receive(&messages(4));
    for number in 0..4 {
        let message = channel.try_recv().unwrap();
        assert_eq!(
            message.map(|message| message.payload.to_string()),
            Some(number.to_string())
        );
        driven.client.loop_misc().unwrap();
    }
    assert!(channel.try_recv().unwrap().is_none());
    assert_eq!(driven.received().len(), 4);
}
