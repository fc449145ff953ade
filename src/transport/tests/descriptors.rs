//! Counts what the process holds, and so has to run in a process of its own.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::ErrorKind;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::*;

const CHILD: &str = "CALLMQ_TEST_COUNTS_DESCRIPTORS";

#[test]
fn failed_attempts_leave_no_descriptor_and_no_thread() {
    if std::env::var_os(CHILD).is_some() {
        return count();
    }
    let name = "transport::tests::descriptors::failed_attempts_leave_no_descriptor_and_no_thread";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("200 attempts counted"), "{text}{errors}");
}

fn count() {
    let refusing = Refusing::new();
    let hole = BlackHole::new();
    let hasty = DialOptions {
        connect_timeout: Duration::from_millis(2),
        ..DialOptions::default()
    };
    // The first attempt pays for what the process opens once.
    dial(&tcp(refusing.address()), &patient()).unwrap_err();
    let (descriptors, threads) = (entries("/proc/self/fd"), entries("/proc/self/task"));
    let mut hanging = Vec::new();
    for _ in 0..40 {
        let error = dial_addresses(vec![refusing.address(), refusing.address()], &patient()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);

        let error = dial_addresses(vec![hole.address(), refusing.address()], &hasty).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);

        let error = dial_addresses(vec![], &patient()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);

        let (release, error) = cancel_a_look_up();
        assert_eq!(error.kind(), ErrorKind::Interrupted);
        hanging.push(release);

        let cancel = Cancel::default();
        let canceller = cancel.clone();
        let dialer = thread::spawn({
            let target = tcp(hole.address());
            move || super::super::dial(&target, &patient(), &cancel).unwrap_err()
        });
        canceller.cancel();
        assert_eq!(dialer.join().unwrap().kind(), ErrorKind::Interrupted);

        assert_eq!(entries("/proc/self/fd"), descriptors);
    }
    // The threads of the look-ups that hang are all that is left, and they end by themselves.
    drop(hanging);
    let started = Instant::now();
    while entries("/proc/self/task") > threads {
        assert!(started.elapsed() < LONG / 2, "threads are left behind");
        thread::yield_now();
    }
    assert_eq!(entries("/proc/self/fd"), descriptors);
    println!("200 attempts counted");
}

/// The look-up goes on until the returned sender is dropped.
fn cancel_a_look_up() -> (mpsc::Sender<()>, io::Error) {
    let (release, blocked) = mpsc::channel::<()>();
    let (running, wait_until_running) = mpsc::channel();
    let cancel = Cancel::default();
    let canceller = cancel.clone();
    let dialer = thread::spawn(move || {
        let resolver = move |_: &str, _: u16| {
            running.send(()).unwrap();
            let _ = blocked.recv();
            Ok(vec![])
        };
        dial_with(resolver, &named(), &patient(), &cancel).unwrap_err()
    });
    wait_until_running.recv().unwrap();
    canceller.cancel();
    (release, dialer.join().unwrap())
}

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).unwrap().count()
}
