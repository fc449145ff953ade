use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::thread;

use mio::{Events, Poll, Token};

use super::*;

fn pair() -> (Socket, TcpStream) {
    let (listener, address) = listen();
    let socket = dial(&tcp(address), &patient()).unwrap();
    (socket, listener.accept().unwrap().0)
}

/// Writes until the system takes no more; returns how much it took.
fn fill(socket: &Socket) -> usize {
    let bytes = vec![7; 256 * 1024];
    let mut written = 0;
    loop {
        match socket.write_vectored(&[IoSlice::new(&bytes)]) {
            Ok(count) => written += count,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return written;
            }
        }
    }
}

#[test]
fn slices_arrive_in_their_order() {
    let (socket, mut peer) = pair();
    let slices = [
        IoSlice::new(b"head"),
        IoSlice::new(b""),
        IoSlice::new(b", payload"),
        IoSlice::new(b", next"),
    ];
    assert_eq!(socket.write_vectored(&slices).unwrap(), 19);
    let mut arrived = [0; 19];
    peer.read_exact(&mut arrived).unwrap();
    assert_eq!(&arrived, b"head, payload, next");
}

#[test]
fn reading_does_not_block_and_sees_the_end() {
    let (socket, mut peer) = pair();
    let mut buffer = [0; 16];
    assert_eq!(
        socket.read(&mut buffer).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    peer.write_all(b"abc").unwrap();
    assert!(socket.wait_readable(LONG).unwrap());
    assert_eq!(socket.read(&mut buffer).unwrap(), 3);
    assert_eq!(&buffer[..3], b"abc");
    drop(peer);
    assert!(socket.wait_readable(LONG).unwrap());
    assert_eq!(socket.read(&mut buffer).unwrap(), 0);
}

#[test]
fn after_a_half_close_the_peer_sees_the_end_and_can_still_answer() {
    let (socket, mut peer) = pair();
    socket.write_vectored(&[IoSlice::new(b"good")]).unwrap();
    assert_eq!(socket.write_last(b"bye").unwrap(), 3);
    socket.shutdown_write().unwrap();
    let mut said = String::new();
    peer.read_to_string(&mut said).unwrap();
    assert_eq!(said, "goodbye");
    peer.write_all(b"well").unwrap();
    assert!(socket.wait_readable(LONG).unwrap());
    let mut buffer = [0; 16];
    assert_eq!(socket.read(&mut buffer).unwrap(), 4);
}

#[test]
fn a_wait_for_bytes_ends_with_its_time() {
    let (socket, _peer) = pair();
    assert!(!socket.wait_readable(Duration::ZERO).unwrap());
    assert!(!socket.wait_readable(Duration::from_millis(5)).unwrap());
    assert!(socket.wait_writable(Duration::ZERO).unwrap());
}

#[test]
fn a_full_line_is_waited_for() {
    let (socket, mut peer) = pair();
    let written = fill(&socket);
    assert!(!socket.wait_writable(Duration::from_millis(5)).unwrap());
    let reader = thread::spawn(move || {
        peer.read_exact(&mut vec![0; written]).unwrap();
        peer
    });
    assert!(socket.wait_writable(LONG).unwrap());
    assert!(socket.write_vectored(&[IoSlice::new(b"more")]).unwrap() > 0);
    reader.join().unwrap();
}

#[test]
fn a_poll_reports_edges_and_waiting_beside_it_does_not_disturb_them() {
    let (mut socket, mut peer) = pair();
    assert!(socket.is_pollable());
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(4);
    socket.register(poll.registry(), Token(3)).unwrap();

    poll.poll(&mut events, Some(LONG)).unwrap();
    assert!(
        events
            .iter()
            .any(|event| event.token() == Token(3) && event.is_writable())
    );

    peer.write_all(b"abc").unwrap();
    assert!(socket.wait_readable(LONG).unwrap());
    poll.poll(&mut events, Some(LONG)).unwrap();
    assert!(
        events
            .iter()
            .any(|event| event.token() == Token(3) && event.is_readable())
    );
    poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
    assert!(
        events.is_empty(),
        "nothing new has come, although the bytes are not read yet"
    );
}

#[cfg(unix)]
#[test]
fn the_descriptor_and_the_addresses_are_those_of_the_connection() {
    use std::os::fd::AsRawFd;

    let (socket, peer) = pair();
    assert_eq!(socket.local_addr().unwrap(), peer.peer_addr().unwrap());
    assert_eq!(socket.peer_addr().unwrap(), peer.local_addr().unwrap());
    let Endpoint::Tcp(stream) = &socket.endpoint else {
        panic!()
    };
    assert_eq!(socket.as_raw_fd(), Some(stream.as_raw_fd()));
}
