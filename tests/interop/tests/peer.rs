//! The scripted peer itself: a test that it lets pass must be one that could have failed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use interop::peer::{CONNACK, Connection, Peer};

fn pair() -> (TcpStream, Connection) {
    let peer = Peer::listen();
    let stream = TcpStream::connect(peer.address()).unwrap();
    (stream, peer.accept())
}

fn failure(step: impl FnOnce()) -> String {
    *catch_unwind(AssertUnwindSafe(step))
        .expect_err("the step fails")
        .downcast::<String>()
        .unwrap()
}

#[test]
fn expected_bytes_are_taken_and_others_are_shown_with_the_place() {
    let (mut client, mut peer) = pair();
    client.write_all(b"\x10\x02ab\x30\x03xyz").unwrap();
    peer.expect(b"\x10\x02ab");
    let message = failure(|| peer.expect(b"\x30\x03xya"));
    assert!(
        message.contains("expected 30 03 78 79 61\n received 30 03 78 79 7a\n"),
        "{message}"
    );
    assert!(message.contains("client 10 02 61 62"), "{message}");
}

#[test]
fn packets_are_read_whole() {
    let (mut client, mut peer) = pair();
    let mut packet = vec![0x30, 0x80, 0x01];
    packet.resize(131, b'x');
    client.write_all(&packet).unwrap();
    client.write_all(b"\xc0\x00").unwrap();
    assert_eq!(peer.expect_packet(0x30), packet);
    assert_eq!(peer.packet(), b"\xc0\x00");
}

#[test]
fn silence_and_the_end_are_told_apart() {
    let (mut client, mut peer) = pair();
    peer.expect_silence(Duration::from_millis(20));
    client.write_all(b"\xe0\x00").unwrap();
    assert!(failure(|| peer.expect_silence(Duration::from_secs(1))).contains("received e0 00"));
    drop(client);
    peer.expect_close();
    assert!(failure(|| peer.expect_silence(Duration::from_secs(1))).contains("has ended"));
}

#[test]
fn a_reset_reaches_the_client_as_an_error() {
    let (mut client, peer) = pair();
    client.write_all(b"unread").unwrap();
    peer.reset();
    assert!(client.read(&mut [0]).is_err());
}

#[test]
fn pieces_arrive_in_order() {
    let (mut client, mut peer) = pair();
    peer.send_in_pieces(CONNACK, 1);
    peer.close_output();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert_eq!(received, CONNACK);
}
