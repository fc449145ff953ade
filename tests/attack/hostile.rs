//! Peers that break the protocol, break off, or say nothing: each connection ends once, for the true reason, and the loop
//! goes on.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use callmq::client::{self as mqtt, Client, DisconnectReason, Error};
use crossbeam_channel::Receiver;

use crate::tools::{LONG, ends, messages, packet};

/// A peer that serves one connection of the client after the other.
struct Server {
    listener: TcpListener,
}

impl Server {
    fn listen() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // `accept` has a deadline of its own: a system's blocking one has none.
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    fn address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.listener.local_addr().unwrap().port())
    }

    fn accept(&self) -> TcpStream {
        let deadline = Instant::now() + LONG;
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_micros(200)),
                Err(error) => panic!("nobody connected: {error}"),
            }
        };
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }
}

/// The next packet of the client.
fn read_packet(stream: &mut TcpStream) -> Vec<u8> {
    let mut packet = vec![0; 2];
    stream.read_exact(&mut packet).unwrap();
    // All packets here are short.
    let length = usize::from(packet[1]);
    packet.resize(2 + length, 0);
    stream.read_exact(&mut packet[2..]).unwrap();
    packet
}

/// Ends the peer's direction, and waits until the client has closed as well. So nothing becomes a reset.
fn finish(mut stream: TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "not closed"),
    }
}

/// A client whose loop connects again at once.
fn eager(server: &Server, version: mqtt::ProtocolVersion) -> (Client, Receiver<(DisconnectReason, bool)>) {
    let client = Client::builder("a").protocol(version).build();
    client.reconnect_delay_set(0.001, 0.001).unwrap();
    let ended = ends(&client);
    client.on_connect(|client, _, code, _| {
        if !code.is_failure() {
            client.subscribe(("t", 2))?;
        }
        Ok(())
    });
    client.connect_async(server.address()).unwrap();
    client.loop_start().unwrap();
    (client, ended)
}

fn end_of(ended: &Receiver<(DisconnectReason, bool)>) -> DisconnectReason {
    let (reason, connected) = ended.recv_timeout(LONG).expect("on_disconnect");
    assert!(!connected);
    reason
}

/// Answers the next CONNECT with these bytes and no more: the connection ends, which is told once.
fn ends_once(server: &Server, bytes: &[u8], ended: &Receiver<(DisconnectReason, bool)>) {
    let mut stream = server.accept();
    read_packet(&mut stream);
    let _ = stream.write_all(bytes);
    finish(stream);
    end_of(ended);
    assert!(ended.is_empty(), "told twice");
}

/// What a server sends in a session, packet by packet; the second answers the client's SUBSCRIBE of this id.
fn session(version: mqtt::ProtocolVersion, subscribe: [u8; 2]) -> Vec<Vec<u8>> {
    let v5: &[u8] = if version == mqtt::MQTTv5 { b"\x00" } else { b"" };
    let [high, low] = subscribe;
    vec![
        packet(0x20, &[b"\x00\x00", v5].concat()),
        packet(0x90, &[&[high, low][..], v5, b"\x02"].concat()),
        packet(0x30, &[b"\x00\x01t", v5, b"0"].concat()),
        packet(0x32, &[b"\x00\x01t\x00\x07", v5, b"1"].concat()),
        packet(0x34, &[b"\x00\x01t\x00\x08", v5, b"2"].concat()),
        packet(0x62, b"\x00\x08"),
        packet(0xd0, b""),
        packet(0x30, &[b"\x00\x01t", v5, &[b'x'; 200][..]].concat()),
    ]
}

#[test]
fn a_session_that_breaks_off_anywhere_ends_once_and_the_loop_goes_on() {
    for version in [mqtt::MQTTv311, mqtt::MQTTv5] {
        let server = Server::listen();
        let (client, ended) = eager(&server, version);
        let received = messages(&client);
        let total = session(version, [0, 0]).concat().len();
        for cut in 0..=total {
            let mut stream = server.accept();
            read_packet(&mut stream);
            let connack = session(version, [0, 0])[0].clone();
            let mut subscribe = [0, 0];
            stream.write_all(&connack[..cut.min(connack.len())]).unwrap();
            if cut >= connack.len() {
                let packet = read_packet(&mut stream);
                assert_eq!(packet[0], 0x82);
                subscribe = [packet[2], packet[3]];
            }
            let packets = session(version, subscribe);
            let bytes = packets.concat();
            stream.write_all(&bytes[cut.min(connack.len())..cut]).unwrap();
            finish(stream);

            let reason = end_of(&ended);
            assert!(
                matches!(reason, DisconnectReason::Lost(Error::ConnectionClosed)),
                "{version} cut at {cut}: {reason:?}"
            );
            // Whole packets were handled.
            let mut position = 0;
            let mut whole = 0;
            for packet in &packets {
                position += packet.len();
                whole += usize::from(position <= cut);
            }
            let messages = [0, 0, 0, 1, 2, 2, 3, 3, 4][whole];
            assert_eq!(received.try_iter().count(), messages, "{version} cut at {cut}");
        }
        assert!(ended.is_empty());
    }
}

#[test]
fn a_session_with_any_byte_changed_ends_once_and_the_loop_goes_on() {
    for version in [mqtt::MQTTv311, mqtt::MQTTv5] {
        let server = Server::listen();
        let (_client, ended) = eager(&server, version);
        // The long last packet has nothing new.
        let whole = session(version, [0, 1])[..7].concat();
        for position in 0..whole.len() {
            for change in [0x01, 0x80, 0xff] {
                if (position, change) == (3, 0x01) && version == mqtt::MQTTv311 {
                    // A refusal of the version: the client tries an older one, and tells nobody.
                    continue;
                }
                let mut bytes = whole.clone();
                bytes[position] ^= change;
                ends_once(&server, &bytes, &ended);
            }
        }
    }
}

#[test]
fn random_bytes_end_the_connection_once() {
    for version in [mqtt::MQTTv311, mqtt::MQTTv5] {
        // One for each client: the last attempt of one that has gone may still wait to be accepted.
        let server = Server::listen();
        let (_client, ended) = eager(&server, version);
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for round in 0..300 {
            let mut bytes = if round % 2 == 0 {
                session(version, [0, 1])[0].clone()
            } else {
                Vec::new()
            };
            for _ in 0..round % 50 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                bytes.push(random as u8);
            }
            ends_once(&server, &bytes, &ended);
        }
    }
}

/// [3.1.1/MQTT-3.3.1-4] [3.1.1/MQTT-3.3.2-2] [3.1.1/MQTT-4.8.0-1]
#[test]
fn each_breach_is_told_as_one_and_the_connection_closed() {
    let server = Server::listen();
    let client = Client::builder("a").max_packet_size(1000).build();
    client.reconnect_delay_set(0.001, 0.001).unwrap();
    let ended = ends(&client);
    client.connect_async(server.address()).unwrap();
    client.loop_start().unwrap();
    let breaches: [(&str, &[u8]); 9] = [
        (
            "a length of five bytes",
            b"\x20\x02\x00\x00\x30\xff\xff\xff\xff\x01",
        ),
        (
            "a packet that is too large",
            b"\x20\x02\x00\x00\x30\xff\xff\xff\x7f",
        ),
        ("the first packet is a PUBLISH", b"\x30\x04\x00\x01tx"),
        ("two CONNACKs", b"\x20\x02\x00\x00\x20\x02\x00\x00"),
        ("QoS 3", b"\x20\x02\x00\x00\x36\x06\x00\x01t\x00\x01x"),
        ("a topic with a wildcard", b"\x20\x02\x00\x00\x30\x04\x00\x01#x"),
        (
            "packet identifier 0",
            b"\x20\x02\x00\x00\x32\x06\x00\x01t\x00\x00x",
        ),
        (
            "a packet of a client",
            b"\x20\x02\x00\x00\x82\x06\x00\x01\x00\x01t\x00",
        ),
        ("a session without one asked for", b"\x20\x02\x01\x00"),
    ];
    for (what, bytes) in breaches {
        let mut stream = server.accept();
        read_packet(&mut stream);
        stream.write_all(bytes).unwrap();
        // The client closes by itself: our direction stays open.
        let reason = end_of(&ended);
        assert!(
            matches!(reason, DisconnectReason::Protocol(_)),
            "{what}: {reason:?}"
        );
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(
                error.kind(),
                std::io::ErrorKind::ConnectionReset,
                "{what}: not closed"
            ),
        }
    }
    assert!(ended.is_empty());
}

#[test]
fn refusals_are_told_with_their_code_and_tried_again() {
    let server = Server::listen();
    let (_client, ended) = eager(&server, mqtt::MQTTv311);
    for code in [2, 3, 4, 5] {
        let mut stream = server.accept();
        read_packet(&mut stream);
        stream.write_all(&[0x20, 2, 0, code]).unwrap();
        let reason = end_of(&ended);
        assert!(
            matches!(&reason, DisconnectReason::Refused(told) if told.value() == code),
            "{code}: {reason:?}"
        );
        finish(stream);
    }
    assert!(ended.is_empty());
}

#[test]
fn a_peer_that_closes_before_it_says_anything_is_told_and_tried_again() {
    let server = Server::listen();
    let (client, ended) = eager(&server, mqtt::MQTTv311);
    for _ in 0..20 {
        // With CONNECT unread this is a reset, or the end of the stream where it was not there yet.
        drop(server.accept());
        let reason = end_of(&ended);
        assert!(matches!(reason, DisconnectReason::Lost(_)), "{reason:?}");
    }
    client.loop_stop().unwrap();
}

#[test]
fn an_answer_that_comes_in_single_bytes_is_an_answer() {
    let server = Server::listen();
    let (client, ended) = eager(&server, mqtt::MQTTv311);
    let received = messages(&client);
    let mut stream = server.accept();
    stream.set_nodelay(true).unwrap();
    read_packet(&mut stream);
    let packets = session(mqtt::MQTTv311, [0, 1]);
    for byte in packets.concat() {
        stream.write_all(&[byte]).unwrap();
    }
    for expected in [1, 1, 1, 200] {
        assert_eq!(received.recv_timeout(LONG).unwrap().len(), expected);
    }
    assert!(ended.is_empty());
}

#[test]
fn a_missing_ping_answer_ends_the_connection() {
    let server = Server::listen();
    let client = Client::new("a");
    client.reconnect_delay_set(60, 60).unwrap();
    client.ping_timeout_set(0.1).unwrap();
    let ended = ends(&client);
    let (host, port) = server.address();
    client.connect((host, port, 1)).unwrap();
    client.loop_start().unwrap();
    let mut stream = server.accept();
    read_packet(&mut stream);
    stream.write_all(b"\x20\x02\x00\x00").unwrap();
    assert_eq!(read_packet(&mut stream), b"\xc0\x00");
    assert!(matches!(end_of(&ended), DisconnectReason::KeepAlive));
    assert!(ended.recv_timeout(Duration::from_millis(20)).is_err());
}

#[test]
fn a_peer_that_asks_without_reading_the_answers_is_not_read_any_more() {
    let server = Server::listen();
    let client = Client::new("asked");
    client.loop_start().unwrap();
    client.connect(server.address()).unwrap();
    let mut stream = server.accept();
    read_packet(&mut stream);
    stream.write_all(b"\x20\x02\x00\x00").unwrap();
    client.wait_for_connect(LONG).unwrap();

    // PINGREQs, until the client takes no more.
    stream.set_nonblocking(true).unwrap();
    let pings = b"\xc0\x00".repeat(32 * 1024);
    let (mut sent, mut last) = (0, Instant::now());
    while last.elapsed() < Duration::from_millis(300) && sent < 256 << 20 {
        // Whole packets: an odd number of bytes is made even.
        match stream.write(&pings[sent % 2..]) {
            Ok(count) => (sent, last) = (sent + count, Instant::now()),
            Err(_) => std::thread::yield_now(),
        }
    }
    assert!(sent < 256 << 20, "the client reads on and on");
    assert!(client.stats().output_bytes < 1 << 20, "{:?}", client.stats());

    // Each is answered once the peer reads.
    stream.set_nonblocking(false).unwrap();
    let mut answers = 0;
    let mut scratch = vec![0; 64 * 1024];
    while answers < sent / 2 * 2 {
        answers += stream.read(&mut scratch).unwrap();
    }
    assert!(client.is_connected());
}
