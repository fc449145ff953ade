use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use super::super::{Connector, Stream, Waker};
use super::*;

/// A stream that does what the test has prepared.
#[derive(Default)]
struct Script {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    reads: VecDeque<io::Result<&'static str>>,
    /// How much each write may take; an error is returned. Nothing prepared means no room.
    writes: VecDeque<io::Result<usize>>,
    written: Vec<u8>,
    shut: bool,
    waker: Option<Waker>,
}

impl Script {
    fn wake(&self) {
        let waker = self.state.lock().unwrap().waker.clone();
        waker.unwrap().wake();
    }

    fn allow(&self, writes: impl IntoIterator<Item = io::Result<usize>>) {
        self.state.lock().unwrap().writes.extend(writes);
    }

    fn arrive(&self, reads: impl IntoIterator<Item = io::Result<&'static str>>) {
        self.state.lock().unwrap().reads.extend(reads);
    }

    fn written(&self) -> Vec<u8> {
        self.state.lock().unwrap().written.clone()
    }
}

impl Stream for Script {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self
            .state
            .lock()
            .unwrap()
            .reads
            .pop_front()
            .unwrap_or(Err(ErrorKind::WouldBlock.into()))?;
        buffer[..bytes.len()].copy_from_slice(bytes.as_bytes());
        Ok(bytes.len())
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!bytes.is_empty());
        let mut state = self.state.lock().unwrap();
        let room = state
            .writes
            .pop_front()
            .unwrap_or(Err(ErrorKind::WouldBlock.into()))?;
        let count = room.min(bytes.len());
        state.written.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn shutdown(&self) -> io::Result<()> {
        self.state.lock().unwrap().shut = true;
        Ok(())
    }

    fn set_waker(&self, waker: Waker) {
        assert!(
            self.state.lock().unwrap().waker.replace(waker).is_none(),
            "set twice"
        );
    }
}

/// A socket made by a connector, and the stream behind it.
fn connected() -> (Socket, Arc<Script>) {
    let script = Arc::new(Script::default());
    let stream = Arc::clone(&script);
    let connector: Connector = Arc::new(move || Ok(Arc::clone(&stream) as Arc<dyn Stream>));
    let socket = dial(&Target::Custom(connector), &patient()).unwrap();
    (socket, script)
}

fn counting() -> (Arc<AtomicUsize>, Arc<dyn Fn() + Send + Sync>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let wake = Arc::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    (count, wake)
}

#[test]
fn a_connector_makes_the_socket() {
    let (mut socket, _script) = connected();
    assert!(!socket.is_pollable());
    assert_eq!((socket.local_addr(), socket.peer_addr()), (None, None));
    #[cfg(unix)]
    assert_eq!(socket.as_raw_fd(), None);
    let poll = mio::Poll::new().unwrap();
    socket.register(poll.registry(), mio::Token(0)).unwrap();
}

#[test]
fn an_error_of_the_connector_is_passed_on_and_an_interruption_is_not() {
    let calls = AtomicUsize::new(0);
    let connector: Connector = Arc::new(move || {
        Err(match calls.fetch_add(1, Ordering::SeqCst) {
            0 => ErrorKind::Interrupted.into(),
            _ => io::Error::new(ErrorKind::BrokenPipe, "no modem"),
        })
    });
    let error = dial(&Target::Custom(connector), &patient()).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::BrokenPipe, "no modem")
    );
}

#[test]
fn a_connector_does_not_run_when_cancelled() {
    let connector: Connector = Arc::new(|| panic!("it ran"));
    let cancel = Cancel::default();
    cancel.cancel();
    let error = super::super::dial(&Target::Custom(connector), &patient(), &cancel).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
}

#[test]
fn slices_are_written_in_their_order_until_there_is_no_room() {
    let (socket, script) = connected();
    let slices = [
        IoSlice::new(b""),
        IoSlice::new(b"one"),
        IoSlice::new(b"two"),
        IoSlice::new(b"three"),
    ];

    script.allow([Ok(9), Ok(9), Ok(9)]);
    assert_eq!(socket.write_vectored(&slices).unwrap(), 11);
    // A short write ends the call, so that nothing is written out of turn.
    script.allow([Ok(9), Ok(2), Ok(9)]);
    assert_eq!(socket.write_vectored(&slices).unwrap(), 5);
    assert_eq!(script.written(), b"onetwothreeonetw");

    script.state.lock().unwrap().writes.clear();
    script.allow([Ok(9)]);
    assert_eq!(socket.write_vectored(&slices).unwrap(), 3);
    assert_eq!(
        socket.write_vectored(&slices).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert_eq!(socket.write_vectored(&[IoSlice::new(b"")]).unwrap(), 0);
}

#[test]
fn an_error_after_some_bytes_waits_for_the_next_write() {
    let (socket, script) = connected();
    let slices = [IoSlice::new(b"one"), IoSlice::new(b"two")];
    script.allow([
        Ok(3),
        Err(ErrorKind::BrokenPipe.into()),
        Err(ErrorKind::BrokenPipe.into()),
    ]);
    assert_eq!(socket.write_vectored(&slices).unwrap(), 3);
    assert_eq!(
        socket.write_vectored(&slices).unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
}

#[test]
fn a_stream_that_takes_nothing_is_an_error() {
    let (socket, script) = connected();
    script.allow([Ok(0)]);
    assert_eq!(
        socket.write_vectored(&[IoSlice::new(b"a")]).unwrap_err().kind(),
        ErrorKind::WriteZero
    );
}

#[test]
fn interruptions_are_retried_and_time_outs_are_would_block() {
    let (socket, script) = connected();
    let mut buffer = [0; 8];
    script.arrive([
        Err(ErrorKind::Interrupted.into()),
        Ok("abc"),
        Err(ErrorKind::TimedOut.into()),
        Ok(""),
    ]);
    assert_eq!(socket.read(&mut buffer).unwrap(), 3);
    assert_eq!(&buffer[..3], b"abc");
    assert_eq!(
        socket.read(&mut buffer).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert_eq!(socket.read(&mut buffer).unwrap(), 0);

    script.allow([
        Err(ErrorKind::Interrupted.into()),
        Ok(1),
        Err(ErrorKind::TimedOut.into()),
    ]);
    assert_eq!(socket.write_vectored(&[IoSlice::new(b"ab")]).unwrap(), 1);
    assert_eq!(
        socket.write_vectored(&[IoSlice::new(b"b")]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
}

#[cfg(unix)]
#[test]
fn a_connection_that_the_system_gave_up_is_an_error() {
    let (socket, script) = connected();
    script.arrive([Err(io::Error::from_raw_os_error(libc::ETIMEDOUT))]);
    assert_eq!(socket.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn the_waker_is_called_once_at_once_and_then_for_each_wake() {
    let (socket, script) = connected();
    // Nobody is told yet.
    script.wake();
    let (count, wake) = counting();
    socket.set_waker(wake);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    script.wake();
    assert_eq!(count.load(Ordering::SeqCst), 2);

    let (later, wake) = counting();
    socket.set_waker(wake);
    script.wake();
    assert_eq!(
        (count.load(Ordering::SeqCst), later.load(Ordering::SeqCst)),
        (2, 2)
    );
}

#[test]
fn one_wake_ends_one_wait_in_each_direction() {
    let (socket, script) = connected();
    assert!(!socket.wait_readable(Duration::ZERO).unwrap());
    assert!(!socket.wait_writable(Duration::from_millis(2)).unwrap());
    // A wake before the wait counts: it may have come after the read that would have blocked.
    script.wake();
    assert!(socket.wait_readable(Duration::ZERO).unwrap());
    assert!(socket.wait_writable(Duration::ZERO).unwrap());
    assert!(!socket.wait_readable(Duration::ZERO).unwrap());
    assert!(!socket.wait_writable(Duration::ZERO).unwrap());
}

#[test]
fn a_wake_from_another_thread_ends_a_wait() {
    fn wait(socket: &Socket) {
        let started = Instant::now();
        assert!(socket.wait_readable(LONG).unwrap());
        assert!(started.elapsed() < LONG / 2, "went on until its time was over");
    }
    let (ping, ping_script) = connected();
    let (pong, pong_script) = connected();
    // So many that some of the waits have begun when the wake comes.
    let rounds = 200;
    let other = thread::spawn(move || {
        for _ in 0..rounds {
            wait(&ping);
            pong_script.wake();
        }
    });
    for _ in 0..rounds {
        ping_script.wake();
        wait(&pong);
    }
    other.join().unwrap();
}

#[test]
fn shutdown_reaches_the_stream_once() {
    let (socket, script) = connected();
    socket.shutdown_write().unwrap();
    assert!(std::mem::take(&mut script.state.lock().unwrap().shut));
    socket.shutdown_write().unwrap();
    assert!(!script.state.lock().unwrap().shut);
}

#[test]
fn a_stream_that_keeps_its_waker_is_dropped_with_the_socket() {
    let script = Arc::new(Script::default());
    let stream = Arc::downgrade(&script);
    let socket = Socket::plain(Endpoint::custom(script));
    let (count, wake) = counting();
    socket.set_waker(wake);
    let waker = stream
        .upgrade()
        .unwrap()
        .state
        .lock()
        .unwrap()
        .waker
        .clone()
        .unwrap();
    drop(socket);
    assert!(stream.upgrade().is_none());
    // A waker that was kept elsewhere wakes nobody any more, and keeps nothing of the client alive.
    waker.wake();
    assert_eq!((count.load(Ordering::SeqCst), Arc::strong_count(&count)), (1, 1));
}

#[test]
fn a_stream_or_a_connector_that_panics_is_an_error() {
    struct Broken;

    impl Stream for Broken {
        fn read(&self, _: &mut [u8]) -> io::Result<usize> {
            panic!("read")
        }

        fn write(&self, _: &[u8]) -> io::Result<usize> {
            panic!("write")
        }

        fn shutdown(&self) -> io::Result<()> {
            panic!("shutdown")
        }

        fn set_waker(&self, _: Waker) {}
    }

    let socket = Socket::plain(Endpoint::custom(Arc::new(Broken)));
    assert_eq!(socket.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::Other);
    assert_eq!(
        socket.write_vectored(&[IoSlice::new(b"x")]).unwrap_err().kind(),
        ErrorKind::Other
    );
    assert_eq!(socket.shutdown_write().unwrap_err().kind(), ErrorKind::Other);

    let connector: Connector = Arc::new(|| panic!("connector"));
    let target = Target::Custom(connector);
    let result = dial(&target, &DialOptions::default());
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Other);
}
