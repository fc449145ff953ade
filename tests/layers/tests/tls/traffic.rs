//! What goes through.

use callmq::client as mqtt;
use layers::PATIENCE;
use layers::front::{Event, Settings, TLS12, TLS13};
use layers::traffic::{flood, lend, messages, pattern};

use crate::Bench;

#[test]
fn messages_of_every_size_go_both_ways_in_both_versions() {
    for versions in [TLS12, TLS13] {
        let bench = Bench::with(|settings| Settings { versions, ..settings });
        let client = mqtt::Client::new("sizes");
        client.tls_set(bench.options()).unwrap();
        let messages = messages(&client);
        client.loop_start().unwrap();
        client.connect_and_wait(bench.url(), PATIENCE).unwrap();
        client.subscribe(("t", 2)).unwrap().wait(PATIENCE).unwrap();
        for (number, size) in [0, 1, 100, 16_384, 16_385, 40_000, 65_536, 1_000_000, 5_000_000]
            .into_iter()
            .enumerate()
        {
            let payload = pattern(size, number);
            client
                .publish_with("t", &payload, (number % 3) as u8, false)
                .unwrap();
            let message = messages.recv_timeout(PATIENCE).unwrap();
            assert!(message.payload == payload[..], "{size}");
        }
        client.disconnect().unwrap();
        client.loop_stop().unwrap();
    }
}

#[test]
fn without_a_loop_calls_write_at_once() {
    let bench = Bench::new();
    let client = mqtt::Client::new("no-loop");
    client.tls_set(bench.options()).unwrap();
    client.connect_and_wait(bench.url(), PATIENCE).unwrap();
    let info = client.publish("t", "x").unwrap();
    assert!(info.is_published());
    let large = client.publish_with("t", pattern(3_000_000, 0), 1, false).unwrap();
    large.wait_for_publish(PATIENCE).unwrap();
    client.disconnect().unwrap();
    bench.front.handshake();
    assert!(matches!(bench.front.next(), Event::Closed { properly: true }));
}

#[test]
fn both_directions_flooded_from_several_threads() {
    // New keys again and again: each side has to tell the other.
    let bench = Bench::with(|settings| Settings {
        new_keys_after: Some(100_000),
        ..settings
    });
    flood(bench.url(), |client| client.tls_set(bench.options()).unwrap());
}

#[test]
fn large_payloads_that_are_only_lent_are_whole() {
    let bench = Bench::new();
    lend(bench.url(), |client| client.tls_set(bench.options()).unwrap());
}

#[test]
fn what_a_slow_server_takes_late_arrives_whole() {
    let bench = Bench::new();
    let receiver = mqtt::Client::new("receiver");
    let messages = messages(&receiver);
    receiver.loop_start().unwrap();
    receiver.connect_and_wait(&bench.broker, PATIENCE).unwrap();
    receiver.subscribe(("t", 0)).unwrap().wait(PATIENCE).unwrap();

    let client = mqtt::Client::builder("sender").output_limit(100_000).build();
    client.tls_set(bench.options()).unwrap();
    client.loop_start().unwrap();
    client.connect_and_wait(bench.url(), PATIENCE).unwrap();
    // Far more than the sockets take at once: writes stop in the middle of records, and go on.
    for number in 0..300 {
        let payload = pattern(30_000 + number * 137, number);
        client.publish_with("t", payload, 1, false).unwrap();
    }
    client.flush(PATIENCE).unwrap();
    for number in 0..300 {
        let message = messages.recv_timeout(PATIENCE).unwrap();
        assert!(
            message.payload == pattern(30_000 + number * 137, number)[..],
            "{number}"
        );
    }
}
