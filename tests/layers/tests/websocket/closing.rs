//! How connections end: close frames, and breaches of the rules.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use callmq::client::{self as mqtt, DisconnectReason, ReasonCode, WebSocketReason};
use layers::PATIENCE;
use layers::raw::*;

use crate::{ends, websocket_error};

/// What the client says where the server sends these bytes, and the close frame that it answers with.
fn after(bytes: Vec<u8>) -> (mqtt::WebSocketError, Vec<u8>) {
    let (url, server) = RawServer::listen().serve(|server| {
        let mut raw = server.accept().accept_client();
        raw.send(bytes);
        let (first, payload) = raw.next_frame();
        assert_eq!(first, CLOSE);
        raw.expect_end();
        payload
    });
    let client = mqtt::Client::new("after");
    let ends = ends(&client);
    client.loop_start().unwrap();
    client.connect(url).unwrap();
    let reason = ends.recv_timeout(PATIENCE).unwrap();
    let told = server.join().unwrap();
    match reason {
        DisconnectReason::Lost(error) => (websocket_error(error), told),
        other => panic!("{other:?}"),
    }
}

fn code(code: u16) -> Vec<u8> {
    code.to_be_bytes().to_vec()
}

#[test]
fn a_close_frame_is_reported_with_its_code_and_answered() {
    for (payload, reported, answer, text) in [
        (vec![], 1005, 1000, "closed by the server without a code"),
        (
            code(1000),
            1000,
            1000,
            "closed by the server with code 1000 (normal closure)",
        ),
        (
            [&code(1001)[..], b"restart\r\nat 5"].concat(),
            1001,
            1001,
            "closed by the server with code 1001 (going away): \"restartat 5\"",
        ),
        (
            [&code(1008)[..], "ä".as_bytes(), b"\xFF"].concat(),
            1008,
            1008,
            "closed by the server with code 1008 (policy violation): \"ä\u{FFFD}\"",
        ),
        (code(4321), 4321, 4321, "closed by the server with code 4321"),
    ] {
        let (error, told) = after(frame(CLOSE, &payload));
        assert_eq!(error.reason, WebSocketReason::Closed(reported));
        assert_eq!(error.to_string(), text);
        assert_eq!(told, code(answer));
    }
}

/// [3.1.1/MQTT-6.0.0-1] [5.0/MQTT-6.0.0-1]
#[test]
fn a_text_frame_closes_the_connection() {
    // A PUBLISH is no better in text.
    let (error, told) = after(frame(TEXT, b"\x30\x04\x00\x01tx"));
    assert_eq!(error.reason, WebSocketReason::Text);
    assert_eq!(
        error.to_string(),
        "the server sent text, and MQTT is binary [MQTT-6.0.0-1]"
    );
    assert_eq!(told, code(1003));
}

#[test]
fn breaches_of_the_rules_close_the_connection() {
    let masked = b"\x82\x84\x01\x02\x03\x04abcd".to_vec();
    let within = [frame(BINARY_BEGUN, b"\x30"), frame(BINARY, b"\x00")].concat();
    let endless = b"\x82\x7F\x80\x00\x00\x00\x00\x00\x00\x00".to_vec();
    for (bytes, text) in [
        (masked, "a frame that is masked"),
        (within, "in the middle of another"),
        (endless, "a length that is not allowed"),
        (frame(CONTINUED_TO_THE_END, b"x"), "continues nothing"),
        (frame(BINARY | 0x40, b"x"), "an extension"),
        (frame(BINARY | 0x10, b""), "an extension"),
        (frame(0x83, b"x"), "a kind that does not exist"),
        (frame(0x8B, b""), "a kind that does not exist"),
        (frame(PING & 0x0F, b"x"), "a control frame in fragments"),
        (frame(PING, &[7; 126]), "too long"),
        (frame(CLOSE, b"\x03"), "half a code"),
    ] {
        let (error, told) = after(bytes);
        assert_eq!(error.reason, WebSocketReason::Protocol, "{error}");
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(told, code(1002));
    }
}

#[test]
fn what_came_before_the_close_frame_is_handled_first() {
    let (url, server) = RawServer::listen().serve(|server| {
        let mut raw = server.accept();
        raw.send(raw.good_answer());
        raw.next_packet();
        raw.send_frame(BINARY, b"\x20\x03\x00\x00\x00");
        // DISCONNECT: server shutting down.
        let last = [frame(BINARY, b"\xE0\x02\x8B\x00"), frame(CLOSE, &code(1001))];
        raw.send(last.concat());
        raw
    });
    let client = mqtt::Client::builder("last-words").protocol(mqtt::MQTTv5).build();
    let ends = ends(&client);
    client.loop_start().unwrap();
    client.connect(url).unwrap();
    match ends.recv_timeout(PATIENCE).unwrap() {
        DisconnectReason::Server(reason) => assert_eq!(reason.code, ReasonCode::SERVER_SHUTTING_DOWN),
        other => panic!("{other:?}"),
    }
    server.join().unwrap();
}

#[test]
fn a_server_that_closes_without_a_close_frame() {
    let (url, server) = RawServer::listen().serve(|server| {
        let mut raw = server.accept().accept_client();
        // In the middle of a frame.
        raw.send(&frame(BINARY, b"\x30\x04\x00\x01tx")[..5]);
        raw.close();
    });
    let client = mqtt::Client::new("gone");
    let ends = ends(&client);
    client.loop_start().unwrap();
    client.connect(url).unwrap();
    match ends.recv_timeout(PATIENCE).unwrap() {
        DisconnectReason::Lost(mqtt::Error::ConnectionClosed) => {}
        other => panic!("{other:?}"),
    }
    server.join().unwrap();
}

#[test]
fn disconnect_says_goodbye_in_mqtt_and_in_websocket() {
    let (url, server) = RawServer::listen().serve(|server| {
        let mut raw = server.accept().accept_client();
        raw.expect_frame(BINARY, b"\xE0\x00");
        raw.expect_frame(CLOSE, code(1000));
        // Both are at liberty to go on; the client waits for a moment.
        raw.send_frame(PING, "nobody answers");
        raw.send_frame(CLOSE, code(1000));
        raw.expect_end();
    });
    let client = mqtt::Client::new("polite");
    let ends = ends(&client);
    client.loop_start().unwrap();
    client.connect_and_wait(url, PATIENCE).unwrap();
    client.disconnect().unwrap();
    assert!(matches!(
        ends.recv_timeout(PATIENCE).unwrap(),
        DisconnectReason::Requested
    ));
    server.join().unwrap();
}

#[test]
fn a_frame_may_announce_what_it_likes() {
    let (url, server) = RawServer::listen().serve(|server| {
        let mut raw = server.accept().accept_client();
        // A frame of half an exabyte, in it a PUBLISH of 200 MB.
        raw.send(b"\x82\x7F\x07\x00\x00\x00\x00\x00\x00\x00\x30\x80\xC2\xD7\x2F\x00\x01t");
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut raw.stream, &mut rest);
    });
    let client = mqtt::Client::builder("small").max_packet_size(1_000).build();
    let ends = ends(&client);
    client.loop_start().unwrap();
    client.connect(url).unwrap();
    match ends.recv_timeout(PATIENCE).unwrap() {
        DisconnectReason::Protocol(error) => assert_eq!(error.reason, ReasonCode::PACKET_TOO_LARGE),
        other => panic!("{other:?}"),
    }
    server.join().unwrap();
}

/// A server that sends pings without end, and reads nothing.
fn flooding() -> (String, thread::JoinHandle<()>) {
    RawServer::listen().serve(|server| {
        let mut raw = server.accept().accept_client();
        let pings = frame(PING, &[7; 125]).repeat(100);
        while raw.stream.write_all(&pings).is_ok() {}
    })
}

#[test]
fn pings_without_end_do_not_keep_the_loop_from_stopping() {
    let (url, server) = flooding();
    let client = mqtt::Client::new("flooded");
    client.loop_start().unwrap();
    client.connect_and_wait(url, PATIENCE).unwrap();
    let started = Instant::now();
    client.loop_stop().unwrap();
    assert!(started.elapsed() < Duration::from_secs(2));
    drop(client);
    server.join().unwrap();
}

#[test]
fn pings_without_end_do_not_keep_a_turn_of_the_loop_from_ending() {
    let (url, server) = flooding();
    let client = mqtt::Client::new("flooded");
    client.connect(url).unwrap();
    while !client.is_connected() {
        client.loop_once(0.1).unwrap();
    }
    let started = Instant::now();
    for _ in 0..10 {
        client.loop_once(0.01).unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(5));
    client.disconnect().unwrap();
    drop(client);
    server.join().unwrap();
}
