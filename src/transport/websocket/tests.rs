//! Frames in memory, and the layer over a stream that takes what a test allows. What goes over the wire is tested with
//! servers, in `tests/layers`.

#[path = "../../../tests/support/frame.rs"]
mod frame;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use frame::frame;

use super::frames::Frames;
use super::{WebSocket, check_headers, check_path};
use crate::transport::endpoint::Endpoint;
use crate::transport::options::Target;
use crate::transport::socket::Socket;
use crate::transport::{Stream, Waker};

const FIN: u8 = 0x80;
const CONTINUE: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Takes a frame of a client off the front: its first byte and its payload.
fn take_frame(bytes: &mut Vec<u8>) -> (u8, Vec<u8>) {
    let (length, at) = match bytes[1] {
        126 | 127 => panic!("not masked"),
        0xFE => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
        0xFF => panic!("longer than it should be"),
        length => (usize::from(length & 0x7F), 2),
    };
    let mask = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    let payload = bytes[at + 4..at + 4 + length].iter().zip(mask.iter().cycle());
    let payload = payload.map(|(byte, mask)| byte ^ mask).collect();
    let first = bytes[0];
    bytes.drain(..at + 4 + length);
    (first, payload)
}

/// What comes out of these bytes where they arrive in pieces of at most `size`.
fn decode(frames: &mut Frames, bytes: &[u8], size: usize) -> Vec<u8> {
    let mut plain = Vec::new();
    for piece in bytes.chunks(size) {
        let mut piece = piece.to_vec();
        let count = frames.decode(&mut piece);
        plain.extend_from_slice(&piece[..count]);
    }
    plain
}

proptest! {
    #[test]
    fn however_the_bytes_arrive_the_payloads_come_out(
        parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<bool>(), any::<bool>()), 0..20),
        size in 1_usize..400,
    ) {
        let (mut wire, mut expected, mut within) = (Vec::new(), Vec::new(), false);
        for (payload, last, ping) in &parts {
            let opcode = if within { CONTINUE } else { BINARY };
            within = !last;
            wire.extend(frame(if *last { FIN | opcode } else { opcode }, payload));
            expected.extend(payload);
            if *ping {
                wire.extend(frame(FIN | PING, &payload[..payload.len().min(125)]));
                wire.extend(frame(FIN | PONG, b"nobody asked"));
            }
        }
        let mut frames = Frames::new(Vec::new());
        prop_assert_eq!(decode(&mut frames, &wire, size), expected);
        prop_assert!(!frames.has_ended());
        prop_assert_eq!(frames.has_answers(), parts.iter().any(|part| part.2));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1_usize..50) {
        let mut frames = Frames::new(Vec::new());
        let plain = decode(&mut frames, &bytes, size);
        prop_assert!(plain.len() <= bytes.len());
        if frames.has_ended() {
            let _ = frames.end();
            frames.append_answers();
            prop_assert!(!frames.outgoing.is_empty());
        }
    }
}

#[test]
fn what_comes_before_a_breach_is_handed_out_and_nothing_behind_it() {
    let mut frames = Frames::new(Vec::new());
    let wire = [
        frame(FIN | BINARY, b"good"),
        frame(FIN | TEXT, b"bad"),
        frame(FIN | BINARY, b"late"),
    ];
    assert_eq!(decode(&mut frames, &wire.concat(), 1000), b"good");
    for _ in 0..2 {
        let error = frames.end().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
    let error = frames.encode(&[IoSlice::new(b"x")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server sent text, and MQTT is binary [MQTT-6.0.0-1]"
    );
}

/// A stream over which the test has power: what is to be read, and how much may be written.
#[derive(Default)]
struct Line {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    reads: VecDeque<Vec<u8>>,
    room: usize,
    written: Vec<u8>,
    is_shut: bool,
}

impl Line {
    fn arrive(&self, bytes: Vec<u8>) {
        self.state.lock().unwrap().reads.push_back(bytes);
    }

    fn allow(&self, room: usize) {
        self.state.lock().unwrap().room = room;
    }

    /// What was written since the last call.
    fn written(&self) -> Vec<u8> {
        std::mem::take(&mut self.state.lock().unwrap().written)
    }
}

impl Stream for Line {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        let Some(mut bytes) = state.reads.pop_front() else {
            return Err(ErrorKind::WouldBlock.into());
        };
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        if count < bytes.len() {
            bytes.drain(..count);
            state.reads.push_front(bytes);
        }
        Ok(count)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        let count = state.room.min(bytes.len());
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        state.room -= count;
        state.written.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn shutdown(&self) -> io::Result<()> {
        self.state.lock().unwrap().is_shut = true;
        Ok(())
    }

    fn set_waker(&self, _: Waker) {}
}

fn over(line: &Arc<Line>, early: &[u8]) -> Socket {
    let mut socket = Socket::plain(Endpoint::custom(Arc::clone(line) as Arc<dyn Stream>));
    socket.add(WebSocket::new(early.to_vec()));
    socket
}

fn kind(result: io::Result<usize>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn a_write_that_is_cut_goes_on_where_it_was_and_counts_when_all_is_out() {
    let line = Arc::new(Line::default());
    let socket = over(&line, b"");
    line.allow(5);
    let slices = [IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b", two")];
    assert_eq!(kind(socket.write_vectored(&slices)), ErrorKind::WouldBlock);
    // An answer waits until the frame is out.
    line.arrive(frame(FIN | PING, b"?"));
    assert_eq!(kind(socket.read(&mut [0; 64])), ErrorKind::WouldBlock);
    assert!(socket.has_answers());
    line.allow(1000);
    assert_eq!(socket.write(b"one, two, three").unwrap(), 8);
    assert!(!socket.has_answers());
    assert_eq!(socket.write(b", three").unwrap(), 7);
    let mut written = line.written();
    assert_eq!(take_frame(&mut written), (FIN | BINARY, b"one, two".to_vec()));
    assert_eq!(take_frame(&mut written), (FIN | PONG, b"?".to_vec()));
    assert_eq!(take_frame(&mut written), (FIN | BINARY, b", three".to_vec()));
    assert!(written.is_empty());
}

#[test]
fn an_answer_that_is_cut_goes_on_with_the_next_write() {
    let line = Arc::new(Line::default());
    let socket = over(&line, b"");
    line.arrive(frame(FIN | PING, b"first"));
    line.arrive(frame(FIN | PING, b"second"));
    assert_eq!(kind(socket.read(&mut [0; 64])), ErrorKind::WouldBlock);
    line.allow(3);
    assert_eq!(socket.flush().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(socket.has_answers());
    line.allow(1000);
    assert_eq!(socket.write(b"data").unwrap(), 4);
    assert!(!socket.has_answers());
    let mut written = line.written();
    // Only the last ping is answered.
    assert_eq!(take_frame(&mut written), (FIN | PONG, b"second".to_vec()));
    assert_eq!(take_frame(&mut written), (FIN | BINARY, b"data".to_vec()));
    assert!(written.is_empty());
}

#[test]
fn a_peer_that_pings_and_does_not_read_gets_no_pile_of_answers() {
    let line = Arc::new(Line::default());
    let socket = over(&line, b"");
    for number in 0..1000_u32 {
        line.arrive(frame(FIN | PING, &number.to_be_bytes()));
        assert_eq!(kind(socket.read(&mut [0; 64])), ErrorKind::WouldBlock);
        line.allow(usize::from(number == 0));
        assert_eq!(socket.flush().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    line.allow(usize::MAX);
    socket.flush().unwrap();
    let mut written = line.written();
    assert_eq!(take_frame(&mut written), (FIN | PONG, vec![0, 0, 0, 0]));
    assert_eq!(take_frame(&mut written), (FIN | PONG, vec![0, 0, 3, 231]));
    assert!(written.is_empty());
}

#[test]
fn large_writes_are_cut_into_frames_of_64_kib() {
    let line = Arc::new(Line::default());
    let socket = over(&line, b"");
    line.allow(usize::MAX);
    let payload: Vec<u8> = (0..200_000_u32).map(|index| (index / 3) as u8).collect();
    let mut left = &payload[..];
    while !left.is_empty() {
        let (front, back) = left.split_at(left.len() / 2);
        let count = socket
            .write_vectored(&[IoSlice::new(front), IoSlice::new(back)])
            .unwrap();
        left = &left[count..];
    }
    let (mut written, mut arrived) = (line.written(), Vec::new());
    let mut frames = 0;
    while !written.is_empty() {
        let (first, part) = take_frame(&mut written);
        assert_eq!(first, FIN | BINARY);
        assert!(part.len() <= 65_536);
        arrived.extend(part);
        frames += 1;
    }
    assert!(arrived == payload);
    assert_eq!(frames, 4);
}

#[test]
fn what_came_with_the_handshake_comes_first() {
    let line = Arc::new(Line::default());
    let early = frame(FIN | BINARY, b"early");
    let (front, back) = early.split_at(3);
    let socket = over(&line, front);
    assert!(socket.has_more());
    line.arrive(back.to_vec());
    let mut buffer = [0; 2];
    let mut arrived = Vec::new();
    for _ in 0..10 {
        match socket.read(&mut buffer) {
            Ok(count) => arrived.extend_from_slice(&buffer[..count]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert_eq!(arrived, b"early");
    assert!(!socket.has_more());
}

#[test]
fn the_end_behind_data_is_told_by_the_next_read() {
    let line = Arc::new(Line::default());
    let socket = over(&line, b"");
    line.allow(1000);
    let bye = [&1001_u16.to_be_bytes()[..], b"bye\r\n\x1B"].concat();
    line.arrive([frame(FIN | BINARY, b"last"), frame(FIN | CLOSE, &bye)].concat());
    let mut buffer = [0; 64];
    assert_eq!(socket.read(&mut buffer).unwrap(), 4);
    assert!(socket.has_more(), "the socket does not report it again");
    let error = socket.read(&mut buffer).unwrap_err();
    assert_eq!(
        error.to_string(),
        "closed by the server with code 1001 (going away): \"bye\""
    );
    let mut written = line.written();
    let echo = 1001_u16.to_be_bytes().to_vec();
    assert_eq!(take_frame(&mut written), (FIN | CLOSE, echo));
    // Whoever writes meanwhile gets the same error.
    assert_eq!(
        socket.write(b"x").unwrap_err().to_string(),
        "closed by the server with code 1001 (going away): \"bye\""
    );
}

#[test]
fn a_goodbye_is_said_before_the_stream_is_shut_and_the_answer_to_it_is_the_end() {
    let line = Arc::new(Line::default());
    let socket = over(&line, b"");
    line.allow(1000);
    socket.shutdown_write().unwrap();
    assert!(line.state.lock().unwrap().is_shut);
    let mut written = line.written();
    let normal = 1000_u16.to_be_bytes().to_vec();
    assert_eq!(take_frame(&mut written), (FIN | CLOSE, normal.clone()));
    assert_eq!(kind(socket.write(b"x")), ErrorKind::BrokenPipe);
    line.arrive(frame(FIN | BINARY, b"late"));
    assert_eq!(socket.read(&mut [0; 64]).unwrap(), 4);
    line.arrive(frame(FIN | PING, b"not answered any more"));
    line.arrive(frame(FIN | CLOSE, &normal));
    assert_eq!(socket.read(&mut [0; 64]).unwrap(), 0);
    assert!(line.written().is_empty());
}

#[test]
fn control_frames_without_end_do_not_keep_the_reader() {
    let line = Arc::new(Line::default());
    let socket = over(&line, b"");
    let pings = frame(FIN | PING, &[7; 125]).repeat(10_000);
    line.arrive(pings);
    let mut reads = 0;
    loop {
        assert_eq!(kind(socket.read(&mut [0; 4096])), ErrorKind::WouldBlock);
        reads += 1;
        if !socket.has_more() {
            break;
        }
    }
    assert!(reads > 3, "{reads}");
}

#[test]
fn headers_and_paths_that_cannot_be_sent_are_refused() {
    for path in ["/", "/mqtt", "/a%20b?x=1&y=[2]"] {
        check_path(path).unwrap();
    }
    for path in ["", "mqtt", "/a b", "/#a", "/a\r\n", "/ä"] {
        check_path(path).unwrap_err();
    }
    let check = |name: &str, value: &str| check_headers(&[(name.to_owned(), value.to_owned())]);
    for (name, value) in [
        ("Authorization", "Bearer x"),
        ("X_1", ""),
        ("Host", "h"),
        ("a", "ä\t"),
    ] {
        check(name, value).unwrap();
    }
    for (name, value) in [
        ("", "x"),
        ("a b", "x"),
        ("a:", "x"),
        ("ä", "x"),
        ("a", "x\r\ny: z"),
        ("a", "\0"),
        ("UPGRADE", "x"),
        ("connection", "close"),
        ("Sec-WebSocket-Protocol", "x"),
        ("Content-Length", "1"),
    ] {
        check(name, value).unwrap_err();
    }
}

#[test]
fn the_port_is_left_out_where_http_has_it() {
    let authority = |host: &str, port, tls| {
        let host = host.to_owned();
        Target::Tcp { host, port }.authority(tls)
    };
    assert_eq!(authority("h", 80, false), "h");
    assert_eq!(authority("h", 443, true), "h");
    assert_eq!(authority("h", 443, false), "h:443");
    assert_eq!(authority("fe80::1%eth0", 80, true), "[fe80::1]:80");
    assert_eq!(authority("127.0.0.1", 8080, false), "127.0.0.1:8080");
    #[cfg(unix)]
    assert_eq!(Target::Unix("/s".into()).authority(false), "localhost");
}
