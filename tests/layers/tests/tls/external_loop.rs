//! An event loop of the user's own, which sees the socket and not what the layer keeps.

use std::time::{Duration, Instant};

use callmq::client as mqtt;
use layers::PATIENCE;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::{Bench, messages};

#[test]
fn each_report_of_the_socket_is_good_for_all_that_has_arrived() {
    let bench = Bench::new();
    let client = mqtt::Client::new("external");
    client.tls_set(bench.options()).unwrap();
    let messages = messages(&client);
    client.connect_and_wait(bench.url(), PATIENCE).unwrap();
    client.subscribe(("t", 0)).unwrap().wait(PATIENCE).unwrap();
    let descriptor = client.socket().unwrap().raw_fd().unwrap();
    let mut poll = Poll::new().unwrap();
    let both = Interest::READABLE | Interest::WRITABLE;
    poll.registry()
        .register(&mut SourceFd(&descriptor), Token(0), both)
        .unwrap();
    let mut events = Events::with_capacity(4);
    // Each more than the client has room for in one read, and less than the layer reads at once; and large ones.
    for size in [5_000, 15_000, 60_000, 2_000_000] {
        let publisher = mqtt::Client::new("publisher");
        publisher.connect_and_wait(&bench.broker, PATIENCE).unwrap();
        publisher.publish("t", vec![7; size]).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(message) = messages.try_recv() {
                assert_eq!(message.payload.len(), size);
                break;
            }
            assert!(Instant::now() < deadline, "{size}");
            poll.poll(&mut events, Some(Duration::from_millis(500))).unwrap();
            // Only what is reported, as with edge-triggered polls: until nothing more comes.
            if !events.is_empty() {
                client.loop_read().unwrap();
                while client.want_write() {
                    client.loop_write().unwrap();
                }
            }
        }
    }
}
