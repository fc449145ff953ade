//! What goes through any kind of layer.

use std::sync::mpsc::{self, Receiver};
use std::thread;

use callmq::client as mqtt;

use crate::PATIENCE;

const THREADS: usize = 4;
const EACH: usize = 3_000;

/// A payload that shows where it was cut or mixed up.
pub fn pattern(size: usize, seed: usize) -> Vec<u8> {
    (0..size)
        .map(|index| (index / 7 * 31 + index + seed) as u8)
        .collect()
}

/// What arrives at this client.
pub fn messages(client: &mqtt::Client) -> Receiver<mqtt::Message> {
    let (sender, messages) = mpsc::channel();
    client.on_message(move |_, message| drop(sender.send(message.clone())));
    messages
}

/// Floods both directions from several threads: all messages come back whole, and in the order of their thread.
pub fn flood(url: impl mqtt::IntoConnect, set: impl FnOnce(&mqtt::Client)) {
    let client = mqtt::Client::builder("flood").output_limit(64 * 1024).build();
    set(&client);
    let messages = messages(&client);
    client.loop_start().unwrap();
    client.connect_and_wait(url, PATIENCE).unwrap();
    client.subscribe(("flood/#", 1)).unwrap().wait(PATIENCE).unwrap();
    let body = |number: usize| pattern(number % 500 * 3, number);
    let senders: Vec<_> = (0..THREADS)
        .map(|thread| {
            let client = client.clone();
            thread::spawn(move || {
                for number in 0..EACH {
                    let mut payload = (number as u32).to_be_bytes().to_vec();
                    payload.extend(body(number));
                    client
                        .publish_with(format!("flood/{thread}"), payload, 1, false)
                        .unwrap();
                }
            })
        })
        .collect();
    let mut next = [0; THREADS];
    for _ in 0..THREADS * EACH {
        let message = messages.recv_timeout(PATIENCE).unwrap();
        let thread: usize = message.topic.strip_prefix("flood/").unwrap().parse().unwrap();
        let number = next[thread];
        let (head, rest) = message.payload.split_at(4);
        assert_eq!(head, (number as u32).to_be_bytes(), "in order");
        assert!(rest == body(number));
        next[thread] += 1;
    }
    for sender in senders {
        sender.join().unwrap();
    }
    client.disconnect().unwrap();
    client.loop_stop().unwrap();
}

/// Lends payloads, most of them large, from several threads at once: all come back whole, and in the order of their
/// thread.
pub fn lend(url: impl mqtt::IntoConnect, set: impl FnOnce(&mqtt::Client)) {
    const SIZES: [usize; 8] = [40_000, 5, 32_768, 300_000, 0, 70_000, 100_000, 32_767];
    let client = mqtt::Client::new("lend");
    set(&client);
    let messages = messages(&client);
    client.loop_start().unwrap();
    client.connect_and_wait(url, PATIENCE).unwrap();
    client.subscribe("lend/#").unwrap().wait(PATIENCE).unwrap();
    let payloads: Vec<_> = (0..40)
        .map(|number| pattern(SIZES[number % SIZES.len()], number))
        .collect();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (client, payloads) = (&client, &payloads);
            scope.spawn(move || {
                for payload in payloads {
                    client
                        .publish(format!("lend/{thread}"), payload.as_slice())
                        .unwrap();
                }
            });
        }
        let mut next = [0; THREADS];
        for _ in 0..THREADS * payloads.len() {
            let message = messages.recv_timeout(PATIENCE).unwrap();
            let thread: usize = message.topic.strip_prefix("lend/").unwrap().parse().unwrap();
            assert!(
                message.payload == payloads[next[thread]][..],
                "message {}",
                next[thread]
            );
            next[thread] += 1;
        }
    });
    client.disconnect().unwrap();
    client.loop_stop().unwrap();
}
