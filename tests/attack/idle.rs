//! What a client leaves behind, and what it does when there is nothing to do. Counted in a process of its own, in which no
//! other test runs. Linux only: the counts are those of `/proc`.

#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use callmq::client::{Client, Error};
use callmq::testing::Broker;

use crate::support::peer::Peer;
use crate::tools::{LONG, dead_port, ends, within};

/// Names the test that the process is to run.
const CHILD: &str = "CALLMQ_ATTACK_CHILD";

/// Runs `work` in a process of its own: `name` is the test that calls this.
fn in_a_process(name: &str, work: fn()) {
    if std::env::var(CHILD).is_ok_and(|child| child == name) {
        work();
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--test-threads=1", "--nocapture"])
        .env(CHILD, name)
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// How often the threads of clients were woken so far.
fn wakes() -> u64 {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        if fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("callmq-")) {
            let status = fs::read_to_string(task.join("status")).unwrap();
            let line = status
                .lines()
                .find(|line| line.starts_with("voluntary_ctxt_switches"))
                .unwrap();
            sum += line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
        }
    }
    sum
}

/// The processor time that the process has used so far, in hundredths of a second.
fn ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn settled(what: &str, count: impl Fn() -> usize, limit: usize) {
    let deadline = Instant::now() + LONG;
    while count() > limit {
        assert!(Instant::now() < deadline, "{} {what}, and not {limit}", count());
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until the threads of clients have done nothing for a while.
fn at_rest() {
    let deadline = Instant::now() + LONG;
    loop {
        let before = wakes();
        thread::sleep(Duration::from_millis(100));
        if wakes() == before {
            return;
        }
        assert!(Instant::now() < deadline, "no rest");
    }
}

#[test]
fn connections_and_failures_leave_no_descriptor_and_no_thread() {
    in_a_process(
        "idle::connections_and_failures_leave_no_descriptor_and_no_thread",
        || {
            let broker = Broker::listen("127.0.0.1:0").unwrap();
            let address = ("127.0.0.1", broker.port());
            let refusing = Peer::listen();
            let dead = dead_port();
            let before = (descriptors(), threads());
            let round = |number: usize| {
                let client = Client::new(format!("c{number}"));
                client.reconnect_delay_set(60, 60).unwrap();
                let ended = ends(&client);
                match number % 8 {
                    0 => {
                        client.connect_and_wait(address, LONG).unwrap();
                        client.disconnect().unwrap();
                    }
                    1 => {
                        client.loop_start().unwrap();
                        client.connect_and_wait(address, LONG).unwrap();
                        client
                            .publish_with("t", "x", 1, false)
                            .unwrap()
                            .wait_for_publish(LONG)
                            .unwrap();
                    }
                    2 => assert!(matches!(client.connect(dead), Err(Error::Io(_)))),
                    3 => {
                        client.connect_async(dead).unwrap();
                        client.loop_start().unwrap();
                        client.loop_stop().unwrap();
                    }
                    4 => {
                        client.connect(refusing.address()).unwrap();
                        let mut connection = refusing.accept();
                        connection.expect_packet(0x10);
                        connection.send(b"\x20\x02\x00\x05");
                        client.loop_start().unwrap();
                        ended.recv_timeout(LONG).unwrap();
                    }
                    5 => {
                        client.connect(refusing.address()).unwrap();
                        drop(refusing.accept());
                        client.loop_start().unwrap();
                        ended.recv_timeout(LONG).unwrap();
                    }
                    6 => {
                        client.loop_start().unwrap();
                        client.connect_and_wait(address, LONG).unwrap();
                        client.reconnect().unwrap();
                        client.disconnect().unwrap();
                        client.loop_stop().unwrap();
                    }
                    _ => {
                        client.on_socket_open(|client, _| {
                            let _ = client.disconnect();
                        });
                        assert!(client.connect(address).is_err());
                    }
                }
            };
            (0..200).for_each(round);
            settled("descriptors", descriptors, before.0);
            settled("threads", threads, before.1);
        },
    );
}

#[test]
fn large_payloads_that_the_publisher_writes_itself_do_not_wake_the_loop() {
    in_a_process(
        "idle::large_payloads_that_the_publisher_writes_itself_do_not_wake_the_loop",
        || {
            let client = Client::new("large");
            let peer = Peer::listen();
            client.loop_start().unwrap();
            client.connect(peer.address()).unwrap();
            let mut connection = peer.accept_client();
            client.wait_for_connect(LONG).unwrap();
            at_rest();

            let payload = vec![b'x'; 32 * 1024];
            let before = wakes();
            for _ in 0..50 {
                // The second follows at once, so that it is one of a burst.
                client.publish("t", payload.as_slice()).unwrap();
                client.publish("t", payload.as_slice()).unwrap();
                connection.expect_packet(0x30);
                connection.expect_packet(0x30);
            }
            assert_eq!(
                wakes() - before,
                0,
                "wake-ups where there is room for all of them"
            );

            let before = wakes();
            for _ in 0..300 {
                client.publish("t", payload.as_slice()).unwrap();
            }
            let woken = wakes() - before;
            assert!(woken < 30, "{woken} wake-ups where nobody reads");
            for _ in 0..300 {
                connection.expect_packet(0x30);
            }
        },
    );
}

#[test]
fn the_thread_that_pings_ends_with_the_last_client() {
    in_a_process("idle::the_thread_that_pings_ends_with_the_last_client", || {
        let before = threads();
        let client = Client::new("a");
        client.loop_start().unwrap();
        assert!(threads() > before);
        drop(client);
        settled("threads", threads, before);
    });
}

#[test]
fn clients_with_nothing_to_do_do_nothing() {
    in_a_process("idle::clients_with_nothing_to_do_do_nothing", || {
        let broker = Broker::listen("127.0.0.1:0").unwrap();
        let address = ("127.0.0.1", broker.port());
        let connected = Client::new("connected");
        connected.loop_start().unwrap();
        connected.connect_and_wait(address, LONG).unwrap();
        connected.subscribe("t").unwrap().wait(LONG).unwrap();

        let waiting = Client::new("back-off");
        waiting.reconnect_delay_set(60, 60).unwrap();
        waiting.connect_async(dead_port()).unwrap();
        waiting.loop_start().unwrap();

        let new = Client::new("new");
        new.loop_start().unwrap();

        let ended = Client::new("ended");
        ended.loop_start().unwrap();
        ended.connect_and_wait(address, LONG).unwrap();
        ended.disconnect().unwrap();

        let full = Client::new("full");
        let messages = full.messages(1);
        full.loop_start().unwrap();
        full.connect_and_wait(address, LONG).unwrap();
        full.subscribe("full").unwrap().wait(LONG).unwrap();
        for _ in 0..10 {
            broker.publish("full", "x", 0, false).unwrap();
        }

        let inline = Client::new("inline");
        inline.connect_and_wait(address, LONG).unwrap();

        at_rest();
        let before = (wakes(), ticks());
        // In this time nothing may happen.
        thread::sleep(Duration::from_millis(700));
        let after = (wakes(), ticks());
        assert_eq!(after.0 - before.0, 0, "wake-ups");
        assert!(
            after.1 - before.1 <= 1,
            "{} hundredths of a second of work",
            after.1 - before.1
        );
        drop(messages);
        within(LONG, move || drop((connected, waiting, new, ended, full, inline)));
    });
}
