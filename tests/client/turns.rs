//! Callbacks that calls of several threads run: each call has its turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use callmq::client as mqtt;
use crossbeam_channel::bounded;

use crate::support::{Events, PATIENCE, Peer, listen};

/// In this time something must not happen.
const WINDOW: Duration = Duration::from_millis(100);

#[test]
fn on_pre_connect_runs_for_each_of_two_connects_at_once() {
    let client = mqtt::Client::new("both");
    let peer = Arc::new(Peer::listen());
    let calls = Arc::new(AtomicU32::new(0));
    let (entered, enter) = bounded(1);
    client.on_pre_connect({
        let (peer, calls) = (Arc::clone(&peer), Arc::clone(&calls));
        move |_| {
            if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                entered.send(()).unwrap();
                // The other one is in its `connect` by now.
                assert!(peer.accept_within(WINDOW).is_none(), "connected without its turn");
            }
        }
    });
    thread::scope(|scope| {
        let first = scope.spawn(|| client.connect(peer.address()));
        enter.recv_timeout(PATIENCE).unwrap();
        client.connect(peer.address()).unwrap();
        // It lost against the other one, which came later.
        assert!(matches!(first.join().unwrap(), Err(mqtt::Error::NotConnected)));
    });
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn on_socket_open_runs_for_each_of_two_connects_at_once() {
    let client = mqtt::Client::new("both");
    let peer = Arc::new(Peer::listen());
    let opened = Events::new();
    let report = opened.sink();
    let (entered, enter) = bounded(1);
    client.on_socket_open({
        let peer = Arc::clone(&peer);
        move |_, socket| {
            report(socket.local_addr());
            if entered.try_send(()).is_ok() {
                let _own = peer.accept();
                let mut other = peer.accept();
                // No CONNECT before its own `on_socket_open`.
                other.expect_silence(WINDOW);
                report(socket.local_addr());
            }
        }
    });
    thread::scope(|scope| {
        let first = scope.spawn(|| client.connect(peer.address()));
        opened.next();
        client.connect(peer.address()).unwrap();
        assert!(first.join().unwrap().is_err());
    });
    drop(enter);
    opened.next();
    // That of the connection that there is.
    assert_eq!(opened.next(), client.socket().unwrap().local_addr());
}

#[test]
fn callbacks_that_connect_themselves_do_not_wait_for_each_other() {
    let client = mqtt::Client::new("tangled");
    let broker = listen();
    let address = ("127.0.0.1", broker.port());
    client.on_pre_connect(move |client| {
        let _ = client.connect(address);
    });
    client.on_socket_open(move |client, _| {
        let _ = client.connect(address);
    });
    let (done, all) = bounded(3);
    for _ in 0..3 {
        let (client, done) = (client.clone(), done.clone());
        thread::spawn(move || {
            for _ in 0..30 {
                let _ = client.connect(address);
            }
            done.send(()).unwrap();
        });
    }
    for _ in 0..3 {
        all.recv_timeout(PATIENCE).expect("the calls wait for each other");
    }
}
