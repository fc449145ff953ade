//! Connections through proxies.

use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use callmq::client as mqtt;

use crate::peer_support::proxies::Proxy;
use crate::support::{Events, PATIENCE, listen};

/// Connects through the proxy that the client was told of, and sends large messages to itself.
fn exchange(client: &mqtt::Client, target: impl mqtt::IntoConnect) {
    let received = Events::new();
    let report = received.sink();
    client.on_message(move |_, message| report(message.payload.len()));
    client.loop_start().unwrap();
    client.connect_and_wait(target, PATIENCE).unwrap();
    client.subscribe(("t", 1)).unwrap().wait(PATIENCE).unwrap();
    for size in [1, 5_000_000] {
        client.publish_with("t", vec![7; size], 1, false).unwrap();
        assert_eq!(received.next(), size);
    }
    client.disconnect().unwrap();
    client.loop_stop().unwrap();
}

#[test]
fn http_connect_has_the_proxy_look_the_name_up() {
    let broker = listen();
    let proxy = Proxy::http(broker.address());
    let client = mqtt::Client::new("http");
    client.proxy_set(proxy.url("http")).unwrap();
    exchange(&client, "broker.invalid:1884");
    assert_eq!(
        proxy.asked(),
        "CONNECT broker.invalid:1884 HTTP/1.1\r\nHost: broker.invalid:1884\r\n\r\n"
    );
    exchange(&client, ("::1", 1));
    assert!(
        proxy
            .asked()
            .starts_with("CONNECT [::1]:1 HTTP/1.1\r\nHost: [::1]:1\r\n")
    );
}

#[test]
fn http_credentials_go_to_the_proxy_and_nowhere_else() {
    let broker = listen();
    let proxy = Proxy::http(broker.address());
    let client = mqtt::Client::new("http");
    let port = proxy.address.port();
    client
        .proxy_set(mqtt::Proxy::http("127.0.0.1", port).credentials("Aladdin", "open sesame"))
        .unwrap();
    exchange(&client, "h");
    // The example of RFC 7617, section 2.
    assert!(
        proxy
            .asked()
            .contains("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n")
    );
}

#[test]
fn http_names_are_looked_up_here_if_asked() {
    let broker = listen();
    let proxy = Proxy::http(broker.address());
    let options = mqtt::ConnectOptions::new(("127.0.0.1", 7))
        .proxy(mqtt::Proxy::http("localhost", proxy.address.port()).resolve_here(true));
    exchange(&mqtt::Client::new("http"), options);
    assert!(proxy.asked().starts_with("CONNECT 127.0.0.1:7 "));
    let options = mqtt::ConnectOptions::new(("localhost", 7))
        .proxy(mqtt::Proxy::http("localhost", proxy.address.port()).resolve_here(true));
    exchange(&mqtt::Client::new("http"), options);
    let asked = proxy.asked();
    assert!(
        asked.starts_with("CONNECT 127.0.0.1:7 ") || asked.starts_with("CONNECT [::1]:7 "),
        "{asked}"
    );
}

#[test]
fn socks5_with_and_without_credentials_and_names() {
    let broker = listen();
    let open = Proxy::socks5(broker.address(), None);
    let client = mqtt::Client::new("socks");
    client.proxy_set(open.url("socks5h")).unwrap();
    exchange(&client, "broker.invalid");
    assert_eq!(open.asked(), "broker.invalid:1883");
    exchange(&client, ("::1", 5));
    assert_eq!(open.asked(), "[::1]:5");
    client.proxy_set(open.url("socks5")).unwrap();
    exchange(&client, "localhost");
    assert!(["127.0.0.1:1883", "[::1]:1883"].contains(&open.asked().as_str()));

    let guarded = Proxy::socks5(broker.address(), Some(("me", "secret")));
    let socks5 = mqtt::Proxy::socks5("127.0.0.1", guarded.address.port());
    client.proxy_set(socks5.credentials("me", "secret")).unwrap();
    exchange(&client, "h");
    assert_eq!(guarded.asked(), "me@h:1883");
}

#[test]
fn one_call_publishes_through_a_proxy() {
    let broker = listen();
    let proxy = Proxy::http(broker.address());
    callmq::publish::Options::new()
        .proxy(proxy.url("http"))
        .single("t", "x", "broker.invalid")
        .unwrap();
    assert!(proxy.asked().starts_with("CONNECT broker.invalid:1883 "));
    let error = callmq::publish::Options::new()
        .proxy("ftp://p")
        .single("t", "x", &broker);
    assert!(matches!(
        error,
        Err(mqtt::Error::InvalidArgument {
            argument: "proxy",
            ..
        })
    ));
}

/// The kind and the text of the error of a connection through this proxy, without the proxy's name.
fn refused(proxy: &Proxy, url: &str) -> (ErrorKind, String) {
    let client = mqtt::Client::new("refused");
    client
        .proxy_set(url.replace("PROXY", &proxy.address.to_string()))
        .unwrap();
    let options = mqtt::ConnectOptions::new("h").connect_timeout(1.0);
    match client.connect(options).unwrap_err() {
        mqtt::Error::Io(error) => {
            let text = error.to_string();
            let name = format!("the proxy {} ", proxy.address);
            let what = text.strip_prefix(&name).unwrap_or_else(|| panic!("{text}"));
            (error.kind(), what.to_owned())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_an_http_proxy_refuses_is_told_in_its_words() {
    let end = b"\r\n\r\n";
    for (script, close, kind, expected) in [
        (
            &[(
                &end[..],
                &b"HTTP/1.1 407 Proxy Authentication Required\r\nA: b\r\n\r\n<html>"[..],
            )][..],
            true,
            ErrorKind::PermissionDenied,
            "refuses to connect to h:1883: 407 Proxy Authentication Required",
        ),
        (
            &[(end, b"HTTP/1.0 403\r\n\r\n")],
            true,
            ErrorKind::PermissionDenied,
            "refuses to connect to h:1883: 403",
        ),
        (
            &[(end, b"HTTP/1.1 502 Bad \x1b[31mGateway\n\n")],
            false,
            ErrorKind::ConnectionRefused,
            "refuses to connect to h:1883: 502 Bad [31mGateway",
        ),
        (
            &[(end, b"SSH-2.0-OpenSSH_9\r\n")],
            false,
            ErrorKind::InvalidData,
            "does not speak HTTP: \"SSH-2.0-OpenSSH_9\"",
        ),
        (
            &[(end, b"HTTP/1.1 200 OK\r\n\r\nmore")],
            false,
            ErrorKind::InvalidData,
            "sends bytes that nobody has asked for behind its answer",
        ),
        (
            &[(end, b"HTTP/1.1 2")],
            true,
            ErrorKind::ConnectionAborted,
            "closed the connection before it answered",
        ),
        (
            &[],
            true,
            ErrorKind::ConnectionAborted,
            "closed the connection before it answered",
        ),
        (
            &[(end, b"HTTP/1.1 200")],
            false,
            ErrorKind::TimedOut,
            "did not connect in time",
        ),
        (
            &[(end, b"")],
            false,
            ErrorKind::TimedOut,
            "did not connect in time",
        ),
    ] {
        let proxy = Proxy::scripted(script, close);
        let (got, text) = refused(&proxy, "http://PROXY");
        // A proxy that closes while it was still being written to may break the connection instead.
        if !(script.is_empty() && text.starts_with("broke the connection")) {
            assert_eq!((got, text.as_str()), (kind, expected));
        }
    }
}

#[test]
fn an_answer_without_end_is_not_read_without_end() {
    static LONG: &[u8] = &[b'x'; 40_000];
    static SCRIPT: &[(&[u8], &[u8])] = &[(b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: "), (b"", LONG)];
    let (kind, text) = refused(&Proxy::scripted(SCRIPT, false), "http://PROXY");
    assert_eq!(
        (kind, text.as_str()),
        (ErrorKind::InvalidData, "sends an answer without end")
    );
}

#[test]
fn what_a_socks5_proxy_refuses_is_told_in_words() {
    let greeting = &b"\x05\x01\x00"[..];
    let request = &b"\x01h\x07\x5b"[..];
    for (script, close, kind, expected) in [
        (
            &[(greeting, &b"\x05\xFF"[..])][..],
            true,
            ErrorKind::PermissionDenied,
            "wants to know who is connecting: give it a user name and a password",
        ),
        (
            &[(greeting, b"HT")],
            true,
            ErrorKind::InvalidData,
            "does not speak SOCKS5",
        ),
        (
            &[(greeting, b"\x05\x02")],
            true,
            ErrorKind::InvalidData,
            "chose a way to authenticate that it was not offered",
        ),
        (
            &[(greeting, b"\x05\x00"), (request, b"\x05\x05\x00\x01")],
            true,
            ErrorKind::ConnectionRefused,
            "cannot connect to h:1883: connection refused",
        ),
        (
            &[
                (greeting, b"\x05\x00"),
                (request, b"\x05\x02\x00\x01\0\0\0\0\0\0"),
            ],
            true,
            ErrorKind::PermissionDenied,
            "cannot connect to h:1883: its rules do not allow it",
        ),
        (
            &[
                (greeting, b"\x05\x00"),
                (request, b"\x05\x99\x00\x01\0\0\0\0\0\0"),
            ],
            true,
            ErrorKind::ConnectionRefused,
            "cannot connect to h:1883: unknown reply 0x99",
        ),
        (
            &[(greeting, b"\x05\x00"), (request, b"\x05\x00\x00\x01\0\0")],
            true,
            ErrorKind::ConnectionAborted,
            "closed the connection before it answered",
        ),
        (
            &[(greeting, b"\x05\x00"), (request, b"\x05")],
            false,
            ErrorKind::TimedOut,
            "did not connect in time",
        ),
    ] {
        let proxy = Proxy::scripted(script, close);
        let (got, text) = refused(&proxy, "socks5h://PROXY");
        assert_eq!((got, text.as_str()), (kind, expected));
    }
    let broker = listen();
    let guarded = Proxy::socks5(broker.address(), Some(("me", "secret")));
    let (kind, text) = refused(&guarded, "socks5h://me:wrong@PROXY");
    assert_eq!(kind, ErrorKind::PermissionDenied);
    assert_eq!(text, "does not accept the user name and the password");
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = mqtt::ConnectOptions::new("h").proxy(format!("http://me:secret@{address}"));
    let error = mqtt::Client::new("nobody").connect(options).unwrap_err();
    let mqtt::Error::Io(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("the proxy {address} cannot be reached: ")),
        "{text}"
    );
    assert!(!text.contains("secret"));
}

#[test]
fn a_hanging_proxy_is_left_with_disconnect() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = mqtt::ConnectOptions::new("h")
        .proxy(mqtt::Proxy::http(
            "127.0.0.1",
            listener.local_addr().unwrap().port(),
        ))
        .connect_timeout(None);
    let client = mqtt::Client::new("hanging");
    let connecting = thread::spawn({
        let client = client.clone();
        move || client.connect(options).unwrap_err()
    });
    let (mut accepted, _) = listener.accept().unwrap();
    accepted.read_exact(&mut [0; 7]).unwrap();
    let started = Instant::now();
    client.disconnect().unwrap_err();
    assert!(matches!(connecting.join().unwrap(), mqtt::Error::NotConnected));
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn the_loop_goes_on_until_the_proxy_lets_it_through() {
    let broker = listen();
    let closed = Proxy::scripted(&[(b"\r\n\r\n", b"HTTP/1.1 503 Busy\r\n\r\n")], true);
    let open = Proxy::http(broker.address());
    let client = mqtt::Client::new("goes-on");
    client.reconnect_delay_set(0.01, 0.02).unwrap();
    client.proxy_set(closed.url("http")).unwrap();
    let (sender, failures) = mpsc::channel();
    client.on_connect_fail(move |_, error| drop(sender.send(error.clone())));
    client.connect_async("h").unwrap();
    client.loop_start().unwrap();
    for _ in 0..2 {
        failures.recv_timeout(PATIENCE).unwrap();
    }
    client.proxy_set(open.url("http")).unwrap();
    client.wait_for_connect(PATIENCE).unwrap();
}

const CHILD: &str = "CALLMQ_TEST_PROXY_TARGET";

#[test]
fn the_environment_is_looked_at_for_each_connection() {
    let name = "proxies::the_environment_is_looked_at_for_each_connection";
    if let Ok(port) = std::env::var(CHILD) {
        let client = mqtt::Client::new("environment");
        client
            .connect_and_wait(("localhost", port.parse().unwrap()), PATIENCE)
            .unwrap();
        client.disconnect().unwrap();
        client.proxy_set(mqtt::Proxy::none()).unwrap();
        client
            .connect_and_wait(("localhost", port.parse().unwrap()), PATIENCE)
            .unwrap();
        return;
    }
    let broker = listen();
    for (exceptions, expected) in [("", true), ("example.com, localhost", false)] {
        let proxy = Proxy::http(broker.address());
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(CHILD, broker.port().to_string())
            .env("mqtt_proxy", proxy.url("http"))
            .env("no_proxy", exceptions)
            .output()
            .unwrap();
        assert!(
            child.status.success(),
            "{}",
            String::from_utf8_lossy(&child.stdout)
        );
        assert_eq!(proxy.was_asked(), expected);
        assert!(!proxy.was_asked(), "once, and not for the connection without");
    }
}
