//! Handshakes that fail, and what the client says about it.

use std::io;
use std::sync::mpsc;
use std::time::Instant;

use callmq::client::{self as mqtt, WebSocketReason};
use callmq::testing::Broker;
use layers::PATIENCE;
use layers::raw::{Raw, RawServer};
use layers::silent::Silent;

use crate::websocket_error;

/// What the client says where the server answers like this and closes.
fn refused(answer: impl FnOnce(&Raw) -> String + Send + 'static) -> mqtt::WebSocketError {
    let (url, server) = RawServer::listen().serve(|server| {
        let mut raw = server.accept();
        raw.send(answer(&raw));
        raw.close();
    });
    let error = mqtt::Client::new("refused").connect(url).unwrap_err();
    server.join().unwrap();
    websocket_error(error)
}

#[test]
fn an_upgrade_that_is_refused_is_told_with_the_servers_words() {
    for (answer, status, text) in [
        (
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 14\r\n\r\nlog in\x1B first\r\nand more",
            401,
            "refuses the upgrade: 401 Unauthorized: \"log in first\"",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\n\r\n",
            403,
            "refuses the upgrade: 403 Forbidden",
        ),
        (
            "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n7\r\nnothing\r\n0\r\n\r\n",
            404,
            "refuses the upgrade: 404 Not Found: \"nothing0\"",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: ws://elsewhere/mqtt\r\nContent-Length: 0\r\n\r\n",
            302,
            "refuses the upgrade: 302 Found, and points to ws://elsewhere/mqtt, which is not followed",
        ),
        (
            "HTTP/1.0 501 Not Implemented\r\nServer: old\r\n\r\n<html>no</html>",
            501,
            "refuses the upgrade: 501 Not Implemented: \"<html>no</html>\"",
        ),
        (
            "HTTP/1.1 200\r\nContent-Length: 1000000\r\n\r\nhello",
            200,
            "refuses the upgrade: 200: \"hello\"",
        ),
    ] {
        let error = refused(|_| answer.to_owned());
        assert_eq!(error.reason, WebSocketReason::Refused(status));
        let told = error.to_string();
        assert!(told.starts_with("127.0.0.1:"), "{told}");
        assert!(told.ends_with(text), "{told}");
    }
    let long = refused(|_| format!("HTTP/1.1 500 No\r\n\r\n{}", "x".repeat(100_000)));
    assert!(long.to_string().len() < 300, "{long}");
}

#[test]
fn an_answer_that_is_not_one_to_this_request_is_refused() {
    for (from, to, text) in [
        ("Upgrade: websocket", "Upgrade: h2c", "header Upgrade"),
        ("Upgrade: websocket\r\n", "", "header Upgrade"),
        ("Connection: Upgrade", "Connection: close", "Connection"),
        ("Connection: Upgrade\r\n", "", "Connection"),
        (
            "Sec-WebSocket-Accept: ",
            "Sec-WebSocket-Accept: x",
            "Sec-WebSocket-Accept",
        ),
        ("Sec-WebSocket-Accept: ", "X: ", "Sec-WebSocket-Accept"),
        (
            "\r\n\r\n",
            "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            "extensions",
        ),
    ] {
        let error = refused(move |raw| raw.good_answer().replace(from, to));
        assert_eq!(error.reason, WebSocketReason::BadAnswer, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    let endless = refused(|_| format!("HTTP/1.1 101 x\r\nX: {}", "x".repeat(100_000)));
    assert_eq!(endless.reason, WebSocketReason::BadAnswer, "{endless}");
    assert!(endless.to_string().contains("without end"), "{endless}");
}

#[test]
fn a_server_that_does_not_agree_to_mqtt_is_refused() {
    for (protocol, text) in [
        ("", "its answer has no sub-protocol"),
        (
            "Sec-WebSocket-Protocol: chat\r\n",
            "\"chat\": \"mqtt\" was asked for",
        ),
        ("Sec-WebSocket-Protocol: MQTT\r\n", "\"MQTT\""),
        ("Sec-WebSocket-Protocol: mqtt, chat\r\n", "\"mqtt, chat\""),
        (
            "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Protocol: chat\r\n",
            "\"mqtt, chat\"",
        ),
    ] {
        let error = refused(move |raw| {
            raw.good_answer()
                .replace("Sec-WebSocket-Protocol: mqtt\r\n", protocol)
        });
        assert_eq!(error.reason, WebSocketReason::SubProtocol, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn servers_may_write_their_headers_as_http_allows() {
    let (url, server) = RawServer::listen().serve(|server| {
        let mut raw = server.accept();
        let answer = raw
            .good_answer()
            .replace("Upgrade: websocket", "UPGRADE:WebSocket")
            .replace(
                "Connection: Upgrade",
                "connection: keep-alive, upgrade \r\nServer: x",
            );
        // One byte at a time.
        for byte in answer.bytes() {
            raw.send([byte]);
        }
        raw.next_packet()
    });
    mqtt::Client::new("lenient").connect(url).unwrap();
    assert_eq!(server.join().unwrap()[0], 0x10);
}

#[test]
fn ports_that_do_not_speak_websocket() {
    let error = refused(|_| "220 mail.example.com ESMTP\r\n".to_owned());
    assert_eq!(error.reason, WebSocketReason::NotHttp);
    let told = error.to_string();
    assert!(
        told.ends_with("does not speak HTTP: \"220 mail.example.com ESMTP\""),
        "{told}"
    );

    // Alert: unexpected message.
    let error = refused(|_| "\x15\x03\x01\x00\x02\x02\x0A".to_owned());
    assert_eq!(error.reason, WebSocketReason::NotHttp);
    assert!(error.to_string().contains("use wss://"), "{error}");

    // A broker without WebSocket.
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", broker.address());
    let error = websocket_error(mqtt::Client::new("wrong-port").connect(url).unwrap_err());
    assert_eq!(error.reason, WebSocketReason::HandshakeEnded);
    assert!(
        error
            .to_string()
            .contains("does it speak WebSocket at this port?"),
        "{error}"
    );
}

#[test]
fn a_server_that_closes_at_each_byte_of_its_answer() {
    let (sender, lengths) = mpsc::channel();
    for cut in 0.. {
        let sender = sender.clone();
        let error = refused(move |raw| {
            let answer = raw.good_answer();
            sender.send(answer.len()).unwrap();
            answer[..cut].to_owned()
        });
        assert_eq!(error.reason, WebSocketReason::HandshakeEnded, "{cut}: {error}");
        if lengths.recv().unwrap() == cut + 1 {
            return;
        }
    }
}

#[test]
fn a_server_that_never_answers_is_given_up_in_time() {
    let server = Silent::listen();
    let url = format!("ws://{}", server.address);
    let started = Instant::now();
    let options = mqtt::ConnectOptions::new(url).connect_timeout(1.0);
    match mqtt::Client::new("silent").connect(options).unwrap_err() {
        mqtt::Error::Io(error) => {
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            let text = error.to_string();
            assert!(
                text.contains("did not answer the WebSocket upgrade in time"),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() < PATIENCE / 2);
}

#[test]
fn a_refusal_whose_body_never_comes_is_told_in_time() {
    let (url, server) = RawServer::listen().serve(|server| {
        let mut raw = server.accept();
        raw.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nwait");
        raw.expect_end();
    });
    let options = mqtt::ConnectOptions::new(url).connect_timeout(1.0);
    let error = websocket_error(mqtt::Client::new("patient").connect(options).unwrap_err());
    assert_eq!(error.reason, WebSocketReason::Refused(403));
    assert!(error.to_string().ends_with("Forbidden: \"wait\""), "{error}");
    server.join().unwrap();
}

#[test]
fn a_hanging_handshake_ends_with_disconnect_and_with_loop_stop() {
    let server = Silent::listen();
    let url = format!("ws://{}", server.address);
    server.hangs_until_told(&mqtt::Client::new("hanging"), mqtt::ConnectOptions::new(url));
}

#[test]
fn the_loop_goes_on_until_the_upgrade_is_taken() {
    let (url, server) = RawServer::listen().serve(|server| {
        for _ in 0..3 {
            let mut raw = server.accept();
            raw.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        }
        server.accept().accept_client()
    });
    let client = mqtt::Client::new("goes-on");
    client.reconnect_delay_set(0.01, 0.02).unwrap();
    let (sender, failures) = mpsc::channel();
    client.on_connect_fail(move |_, error| drop(sender.send(error.clone())));
    client.connect_async(url).unwrap();
    client.loop_start().unwrap();
    for _ in 0..3 {
        let error = websocket_error(failures.recv_timeout(PATIENCE).unwrap());
        assert_eq!(error.reason, WebSocketReason::Refused(503));
    }
    client.wait_for_connect(PATIENCE).unwrap();
    server.join().unwrap();
}
