use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::*;

/// Dials on a thread with a resolver that first reports that it runs, then blocks until the returned sender is dropped.
fn dial_and_hang(cancel: &Cancel) -> (thread::JoinHandle<io::Error>, mpsc::Sender<()>) {
    let (release, blocked) = mpsc::channel::<()>();
    let (running, wait_until_running) = mpsc::channel();
    let resolver = move |_: &str, _: u16| {
        running.send(()).unwrap();
        let _ = blocked.recv();
        Ok(vec![])
    };
    let cancel = cancel.clone();
    let dialer = thread::spawn(move || dial_with(resolver, &named(), &patient(), &cancel).unwrap_err());
    wait_until_running.recv().unwrap();
    (dialer, release)
}

/// Blocks until a connection to `peer` is being made.
fn wait_until_connecting(peer: SocketAddr) {
    // Elsewhere the cancellation may come before the attempt: then less is tested.
    if cfg!(target_os = "linux") {
        // The remote address as it stands in the table, then the state SYN_SENT.
        let entry = format!(" 0100007F:{:04X} 02 ", peer.port());
        let started = Instant::now();
        while !std::fs::read_to_string("/proc/net/tcp").unwrap().contains(&entry) {
            assert!(started.elapsed() < LONG / 2, "no attempt to connect to {peer}");
            thread::yield_now();
        }
    }
}

#[test]
fn a_look_up_that_hangs_is_cancelled() {
    let cancel = Cancel::default();
    let (dialer, release) = dial_and_hang(&cancel);
    let started = Instant::now();
    cancel.cancel();
    assert_eq!(dialer.join().unwrap().kind(), ErrorKind::Interrupted);
    assert!(started.elapsed() < LONG / 2);
    drop(release);
}

#[test]
fn an_attempt_to_connect_is_cancelled() {
    let hole = BlackHole::new();
    let cancel = Cancel::default();
    let (address, canceller) = (hole.address(), cancel.clone());
    let dialer = thread::spawn(move || super::super::dial(&tcp(address), &patient(), &cancel).unwrap_err());
    wait_until_connecting(address);
    let started = Instant::now();
    canceller.cancel();
    assert_eq!(dialer.join().unwrap().kind(), ErrorKind::Interrupted);
    assert!(started.elapsed() < LONG / 2);
}

#[test]
fn all_attempts_that_share_the_handle_are_cancelled() {
    let cancel = Cancel::default();
    let attempts = [dial_and_hang(&cancel), dial_and_hang(&cancel)];
    cancel.cancel();
    for (dialer, _release) in attempts {
        assert_eq!(dialer.join().unwrap().kind(), ErrorKind::Interrupted);
    }
}

#[test]
fn later_attempts_are_cancelled_too() {
    let (_listener, address) = listen();
    let cancel = Cancel::default();
    cancel.cancel();
    assert!(cancel.is_cancelled());
    for _ in 0..2 {
        let error = super::super::dial(&tcp(address), &patient(), &cancel).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted);
    }
    super::super::dial(&tcp(address), &patient(), &Cancel::default()).unwrap();
}
