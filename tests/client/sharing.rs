//! Several threads with one client, and what one of them leaves to the other.

use std::thread;
use std::time::{Duration, Instant};

use callmq::client::{self as mqtt, Error};
use callmq::testing::Clock;
use crossbeam_channel::bounded;

use crate::support::{
    Events, PATIENCE, Peer, ack_packet, connect_to, eventually, publish_packet, running_with_peer,
};

#[test]
fn a_call_that_waits_lets_a_step_of_another_thread_pass() {
    let client = mqtt::Client::new("shared");
    let peer = Peer::listen();
    let mut connection = connect_to(&client, &peer);
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, _| report(()));
    let info = client.publish_with("t", "x", 1, false).unwrap();
    let waiting = thread::spawn({
        let info = info.clone();
        move || info.wait_for_publish(PATIENCE)
    });
    connection.send(&publish_packet(0x30, "t", 0, "x"));
    // That call drives.
    seen.next();
    let (done, steps) = bounded(1);
    thread::spawn({
        let client = client.clone();
        move || done.send((0..20).try_for_each(|_| client.loop_once(0.001)))
    });
    let stepped = steps.recv_timeout(PATIENCE / 2);
    assert!(matches!(stepped, Ok(Ok(()))), "{stepped:?}");
    connection.send(&ack_packet(0x40, info.mid));
    waiting.join().unwrap().unwrap();
}

#[test]
fn what_a_thread_ended_with_is_for_loop_stop_and_not_for_the_next_step() {
    let client = mqtt::Client::new("ends");
    client.reconnect_on_failure_set(false);
    drop(running_with_peer(&client));
    let deadline = Instant::now() + PATIENCE;
    let stepped = loop {
        match client.loop_once(0) {
            // The thread has not ended yet.
            Err(Error::InvalidState(_)) if Instant::now() < deadline => thread::yield_now(),
            other => break other,
        }
    };
    assert!(matches!(stepped, Err(Error::NotConnected)), "{stepped:?}");
    assert!(matches!(client.loop_stop(), Err(Error::ConnectionClosed)));
    assert!(matches!(client.loop_stop(), Err(Error::InvalidState(_))));
}

#[test]
fn dropping_the_last_handle_waits_a_second_for_a_callback() {
    let client = mqtt::Client::new("held");
    let (_peer, mut connection) = running_with_peer(&client);
    let (entered, enter) = bounded(1);
    let (leave, left) = bounded::<()>(0);
    client.on_message(move |_, _| {
        entered.send(()).unwrap();
        let _ = left.recv();
    });
    connection.send(&publish_packet(0x30, "t", 0, "x"));
    enter.recv_timeout(PATIENCE).unwrap();
    let start = Instant::now();
    drop(client);
    let took = start.elapsed();
    assert!(
        took > Duration::from_millis(900) && took < Duration::from_millis(1_800),
        "{took:?}"
    );
    // The loop says goodbye when the callback has returned.
    drop(leave);
    connection.expect_goodbye();
}

#[test]
fn with_a_clock_moved_by_hand_a_call_that_waits_for_the_thread_times_out_by_that_clock() {
    let clock = Clock::new();
    let client = mqtt::Client::builder("by-hand").clock(&clock).build();
    let (leave, left) = bounded::<()>(0);
    // The thread is held, so that it does not wake the call.
    client.on_pre_connect(move |_| {
        let _ = left.recv();
    });
    client.connect_async("127.0.0.1").unwrap();
    client.loop_start().unwrap();
    let waiting = thread::spawn({
        let client = client.clone();
        move || client.wait_for_connect(3600)
    });
    eventually("the time is over", || {
        clock.advance(Duration::from_secs(600));
        waiting.is_finished()
    });
    assert!(matches!(waiting.join().unwrap(), Err(Error::Timeout)));
    client.disconnect().unwrap_err();
    drop(leave);
}
