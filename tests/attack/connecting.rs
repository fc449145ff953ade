//! Connections opened, replaced and ended while something else goes on.

use std::time::Duration;

use callmq::client::{Client, DisconnectReason, Error};
use crossbeam_channel::bounded;

use crate::support::peer::Peer;
use crate::tools::{
    AT_ONCE, BlackHole, LONG, dead_port, ends, fastest, messages, publish, tell, timed, within,
};

#[test]
fn a_slow_on_socket_open_does_not_lose_the_answer() {
    let peer = Peer::listen();
    let client = Client::new("a");
    // While it runs, the loop looks for work several times.
    client.on_socket_open(|_, _| std::thread::sleep(Duration::from_millis(100)));
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let _connection = peer.accept_client();
    client.wait_for_connect(3).unwrap();
}

#[test]
fn a_connection_replaced_under_a_running_loop_is_read() {
    let peer = Peer::listen();
    let client = Client::new("a");
    let (ended, received) = (ends(&client), messages(&client));
    client.connect(peer.address()).unwrap();
    client.loop_start().unwrap();
    let mut connection = peer.accept_client();
    client.wait_for_connect(LONG).unwrap();
    for round in 0..20u8 {
        client.reconnect().unwrap();
        let before = std::mem::replace(&mut connection, peer.accept_client());
        client.wait_for_connect(3).unwrap();
        connection.send(&publish(&[round]));
        assert_eq!(received.recv_timeout(LONG).unwrap(), [round]);
        let (reason, connected) = ended.recv_timeout(LONG).unwrap();
        assert!(
            matches!(reason, DisconnectReason::Requested) && !connected,
            "{reason:?} {connected}"
        );
        drop(before);
    }
    assert!(ended.is_empty());
}

#[test]
fn the_end_of_the_stream_right_behind_a_message_is_seen() {
    let peer = Peer::listen();
    let client = Client::new("a");
    client.reconnect_on_failure_set(false);
    let ended = ends(&client);
    let (entered, enter) = bounded(0);
    let (leave, left) = bounded::<()>(0);
    client.on_message(move |_, _| {
        let _ = entered.send(());
        let _ = left.recv();
    });
    client.connect(peer.address()).unwrap();
    client.loop_start().unwrap();
    let mut connection = peer.accept_client();
    connection.send(&publish(b"1"));
    enter.recv_timeout(LONG).unwrap();
    // While the loop is held, a message and the end arrive together.
    connection.send(&publish(b"2"));
    drop(connection);
    leave.send(()).unwrap();
    enter.recv_timeout(LONG).unwrap();
    leave.send(()).unwrap();
    let (reason, _) = ended.recv_timeout(Duration::from_secs(3)).unwrap();
    assert!(
        matches!(reason, DisconnectReason::Lost(Error::ConnectionClosed)),
        "{reason:?}"
    );
}

#[test]
fn a_broken_connection_is_closed_at_once_also_while_the_loop_waits_to_try_again() {
    let peer = Peer::listen();
    let client = Client::new("a");
    client.reconnect_delay_set(60, 60).unwrap();
    let ended = ends(&client);
    client.connect(peer.address()).unwrap();
    client.loop_start().unwrap();
    let mut connection = peer.accept_client();
    connection.send(b"\xff\xff\xff\xff\xff");
    let (reason, connected) = ended.recv_timeout(LONG).unwrap();
    assert!(matches!(reason, DisconnectReason::Protocol(_)) && !connected);
    connection.expect_close();
}

#[test]
fn waiting_right_after_the_loop_was_started_waits() {
    let peer = Peer::listen();
    for _ in 0..50 {
        let client = Client::new("a");
        client.connect_async(peer.address()).unwrap();
        client.loop_start().unwrap();
        let waiting = within(LONG, {
            let client = client.clone();
            move || client.wait_for_connect(0.005)
        });
        // Either there was enough time, or not; never "nobody would connect".
        assert!(!matches!(waiting, Err(Error::NotConnected)), "{waiting:?}");
        drop(peer.accept());
        client.disconnect().ok();
    }
}

#[test]
fn one_thread_may_wait_for_the_connection_that_another_opens() {
    let peer = Peer::listen();
    let client = Client::new("a");
    let (entered, enter) = bounded(0);
    let (leave, left) = bounded::<()>(0);
    client.on_pre_connect(move |_| {
        let _ = entered.send(());
        let _ = left.recv();
    });
    std::thread::scope(|scope| {
        let connecting = scope.spawn(|| client.connect(peer.address()));
        enter.recv_timeout(LONG).unwrap();
        let waiting = scope.spawn(|| client.wait_for_connect(LONG));
        leave.send(()).unwrap();
        connecting.join().unwrap().unwrap();
        let _connection = peer.accept_client();
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn disconnecting_inside_on_socket_open_closes_the_socket() {
    let peer = Peer::listen();
    let client = Client::new("a");
    client.on_socket_open(|client, _| drop(client.disconnect()));
    let result = client.connect(peer.address());
    assert!(matches!(result, Err(Error::NotConnected)), "{result:?}");
    peer.accept().expect_close();
    assert!(!client.is_connected());
    assert!(client.socket().is_none());
}

#[test]
fn without_a_loop_the_end_of_the_old_connection_is_told_also_when_the_new_one_fails() {
    let peer = Peer::listen();
    let client = Client::new("a");
    let ended = ends(&client);
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept_client();
    client.wait_for_connect(LONG).unwrap();
    assert!(client.connect(dead_port()).is_err());
    let (reason, connected) = ended.try_recv().expect("on_disconnect has run");
    assert!(matches!(reason, DisconnectReason::Requested) && !connected);
    connection.expect_close();
}

#[test]
fn a_refusal_of_the_old_connection_does_not_end_the_new_one() {
    let peer = Peer::listen();
    let other = Peer::listen();
    let client = Client::new("a");
    let (entered, enter) = bounded(1);
    let (leave, left) = bounded::<()>(1);
    client.on_connect(move |_, _, code, _| {
        if code.is_failure() {
            let _ = entered.send(());
            let _ = left.recv();
        }
    });
    let ended = ends(&client);
    client.connect(peer.address()).unwrap();
    client.loop_start().unwrap();
    let mut refused = peer.accept();
    refused.expect_packet(0x10);
    refused.send(b"\x20\x02\x00\x05");
    enter.recv_timeout(LONG).unwrap();
    // `on_connect` runs for the refusal when another thread connects elsewhere.
    client.connect(other.address()).unwrap();
    leave.send(()).unwrap();
    let mut connection = other.accept_client();
    client.wait_for_connect(LONG).unwrap();
    let _ = ended.recv_timeout(LONG).unwrap();
    assert!(ended.is_empty());
    client.publish("t", "here").unwrap();
    connection.expect(&publish(b"here"));
}

#[test]
fn dialing_can_be_ended_at_once() {
    let hole = BlackHole::new();
    // The loop's attempt, by `loop_stop`.
    let stop = fastest(|| {
        let client = Client::new("a");
        client.connect_async(hole.address()).unwrap();
        let (dialing, dials) = bounded(1);
        client.on_pre_connect(move |_| tell(&dialing));
        client.loop_start().unwrap();
        dials.recv_timeout(LONG).unwrap();
        timed(|| drop(client.loop_stop()))
    });
    assert!(stop < AT_ONCE, "loop_stop took {stop:?}");
    // The loop's attempt, by dropping the client.
    let dropping = fastest(|| {
        let client = Client::new("a");
        client.connect_async(hole.address()).unwrap();
        let (dialing, dials) = bounded(1);
        client.on_pre_connect(move |_| tell(&dialing));
        client.loop_start().unwrap();
        dials.recv_timeout(LONG).unwrap();
        timed(|| drop(client))
    });
    assert!(dropping < AT_ONCE, "drop took {dropping:?}");
    // The attempt of another thread, by `disconnect`.
    let disconnect = fastest(|| {
        let client = Client::new("a");
        let (dialing, dials) = bounded(1);
        client.on_pre_connect(move |_| tell(&dialing));
        let connecting = std::thread::spawn({
            let (client, address) = (client.clone(), hole.address());
            move || client.connect(address)
        });
        dials.recv_timeout(LONG).unwrap();
        timed(|| {
            assert!(matches!(client.disconnect(), Err(Error::NotConnected)));
            let result = connecting.join().unwrap();
            assert!(matches!(result, Err(Error::NotConnected)), "{result:?}");
        })
    });
    assert!(disconnect < AT_ONCE, "disconnect took {disconnect:?}");
}

#[test]
fn back_off_can_be_ended_at_once() {
    for how in ["loop_stop", "disconnect", "drop"] {
        let taken = fastest(|| {
            let client = Client::new("a");
            client.reconnect_delay_set(60, 60).unwrap();
            let (failing, fails) = bounded(1);
            client.on_connect_fail(move |_, _| tell(&failing));
            client.connect_async(dead_port()).unwrap();
            client.loop_start().unwrap();
            fails.recv_timeout(LONG).unwrap();
            timed(|| match how {
                "loop_stop" => client.loop_stop().unwrap(),
                "disconnect" => {
                    let _ = client.disconnect();
                    client.loop_stop().unwrap();
                }
                _ => drop(client),
            })
        });
        assert!(taken < AT_ONCE, "{how} took {taken:?}");
    }
}

#[test]
fn connecting_while_the_loop_dials_takes_over() {
    let hole = BlackHole::new();
    let peer = Peer::listen();
    let client = Client::new("a");
    let (dialing, dials) = bounded(1);
    client.on_pre_connect(move |_| tell(&dialing));
    client.connect_async(hole.address()).unwrap();
    client.loop_start().unwrap();
    dials.recv_timeout(LONG).unwrap();
    client.connect(peer.address()).unwrap();
    let _connection = peer.accept_client();
    client.wait_for_connect(LONG).unwrap();
    assert!(
        peer.accept_within(Duration::from_millis(50)).is_none(),
        "a second connection"
    );
}

#[test]
fn connect_async_twice_connects_once_to_the_second() {
    let first = Peer::listen();
    let second = Peer::listen();
    let client = Client::new("a");
    client.connect_async(first.address()).unwrap();
    client.connect_async(second.address()).unwrap();
    client.loop_start().unwrap();
    let _connection = second.accept_client();
    client.wait_for_connect(LONG).unwrap();
    assert!(first.accept_within(Duration::from_millis(20)).is_none());
}

#[test]
fn loops_exclude_each_other() {
    let peer = Peer::listen();
    let client = Client::new("a");
    client.connect(peer.address()).unwrap();
    let results: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| client.loop_start())).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert_eq!(
        results.iter().filter(|result| result.is_ok()).count(),
        1,
        "{results:?}"
    );
    assert!(matches!(client.loop_start(), Err(Error::InvalidState(_))));
    assert!(matches!(client.loop_forever(), Err(Error::InvalidState(_))));
    assert!(matches!(client.loop_once(0), Err(Error::InvalidState(_))));
    within(LONG, {
        let client = client.clone();
        move || client.loop_stop()
    })
    .unwrap();
    assert!(matches!(client.loop_stop(), Err(Error::InvalidState(_))));
    drop(peer.accept());
}

#[test]
fn loop_forever_is_stopped_from_another_thread_in_each_state() {
    let hole = BlackHole::new();
    for state in ["dialing", "back-off", "connecting", "connected"] {
        let peer = Peer::listen();
        let mut connections = Vec::new();
        let taken = fastest(|| {
            let client = Client::new("a");
            client.reconnect_delay_set(60, 60).unwrap();
            let (reached, reach) = bounded(1);
            match state {
                "dialing" => {
                    client.on_pre_connect(move |_| tell(&reached));
                    client.connect_async(hole.address()).unwrap();
                }
                "back-off" => {
                    client.on_connect_fail(move |_, _| tell(&reached));
                    client.connect_async(dead_port()).unwrap();
                }
                "connecting" => {
                    client.on_socket_open(move |_, _| tell(&reached));
                    client.connect_async(peer.address()).unwrap();
                }
                _ => {
                    client.on_connect(move |_, _, _, _| tell(&reached));
                    client.connect(peer.address()).unwrap();
                    connections.push(peer.accept_client());
                }
            }
            let forever = std::thread::spawn({
                let client = client.clone();
                move || client.loop_forever_with(true)
            });
            reach.recv_timeout(LONG).unwrap();
            timed(|| {
                client.loop_stop().unwrap();
                forever.join().unwrap().unwrap();
            })
        });
        assert!(taken < AT_ONCE, "{state}: {taken:?}");
    }
}

#[test]
fn a_peer_that_never_answers_is_given_up_by_the_loop() {
    let peer = Peer::listen();
    let client = Client::new("a");
    client.connect_timeout_set(0.2).unwrap();
    client.reconnect_delay_set(60, 60).unwrap();
    let ended = ends(&client);
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    let (reason, connected) = ended.recv_timeout(LONG).unwrap();
    assert!(
        matches!(reason, DisconnectReason::KeepAlive) && !connected,
        "{reason:?}"
    );
    connection.expect_close();
    assert!(ended.is_empty());
}
