//! What the handshake asks for.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use callmq::client::{self as mqtt, WebSocketReason};
use callmq::testing::Broker;
use callmq::{publish, subscribe};
use layers::PATIENCE;
use layers::raw::{Raw, RawServer};
use layers::websocket::{Frames, WebFront};

use crate::websocket_error;

/// The request of a client that is set up like this and connects there; it is refused.
fn request(path: &str, set_up: impl FnOnce(&mqtt::Client)) -> Raw {
    let server = RawServer::listen();
    let target = format!("{}{path}", server.url());
    request_to(server, target, mqtt::Client::new("asking"), set_up)
}

fn request_to(
    server: RawServer,
    target: impl mqtt::IntoConnect,
    client: mqtt::Client,
    set_up: impl FnOnce(&mqtt::Client),
) -> Raw {
    let (_, server) = server.serve(|server| {
        let mut raw = server.accept();
        raw.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        raw
    });
    set_up(&client);
    let error = websocket_error(client.connect(target).unwrap_err());
    assert_eq!(error.reason, WebSocketReason::Refused(404));
    server.join().unwrap()
}

fn path(raw: &Raw) -> &str {
    raw.request.split(' ').nth(1).unwrap()
}

#[test]
fn the_request_is_that_of_rfc_6455() {
    let raw = request("", |_| {});
    let host = raw.stream.local_addr().unwrap().to_string();
    assert!(
        raw.request.starts_with("GET /mqtt HTTP/1.1\r\n"),
        "{}",
        raw.request
    );
    for (name, value) in [
        ("Host", host.as_str()),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
    ] {
        assert_eq!(raw.header(name), Some(value));
    }
    let key = raw.header("Sec-WebSocket-Key").unwrap();
    assert!(key.len() == 24 && key.ends_with("=="), "{key}");
    assert_ne!(request("", |_| {}).header("Sec-WebSocket-Key"), Some(key));
    assert_eq!(raw.request.lines().count(), 8, "{}", raw.request);
}

/// [3.1.1/MQTT-6.0.0-3] [5.0/MQTT-6.0.0-3]
#[test]
fn the_sub_protocol_is_that_of_the_version() {
    for (version, protocol) in [
        (mqtt::MQTTv31, "mqttv3.1"),
        (mqtt::MQTTv311, "mqtt"),
        (mqtt::MQTTv5, "mqtt"),
    ] {
        let server = RawServer::listen();
        let url = server.url();
        let client = mqtt::Client::builder("asking").protocol(version).build();
        let raw = request_to(server, url, client, |_| {});
        assert_eq!(raw.header("Sec-WebSocket-Protocol"), Some(protocol));
    }
}

#[test]
fn the_path_is_that_of_the_url_or_what_was_set() {
    let set = |client: &mqtt::Client| client.ws_set_options("/ws?a=1", ()).unwrap();
    assert_eq!(path(&request("", set)), "/ws?a=1");
    assert_eq!(path(&request("/", set)), "/");
    assert_eq!(path(&request("/a%20b?token=x", set)), "/a%20b?token=x");
    assert_eq!(path(&request("?token=x", |_| {})), "/?token=x");
}

#[test]
fn headers_are_sent_along_and_may_take_the_place_of_host() {
    let with = |headers: mqtt::Result<mqtt::WebSocketHeaders>| {
        let headers = headers.unwrap();
        request("", |client| client.ws_set_options("/mqtt", headers).unwrap())
    };
    use mqtt::IntoHeaders;
    let pair = ("X-Token", "secret");
    let owned = || HashMap::from([("X-Token".to_owned(), "secret".to_owned())]);
    for headers in [
        [pair].into_headers(),
        vec![pair].into_headers(),
        (&[pair][..]).into_headers(),
        owned().into_headers(),
        owned().into_iter().collect::<Vec<_>>().into_headers(),
        (move || [pair]).into_headers(),
        (move || mqtt::Result::Ok(vec![pair])).into_headers(),
    ] {
        assert!(!format!("{headers:?}").contains("secret"));
        let raw = with(headers);
        assert_eq!(raw.header("X-Token"), Some("secret"));
        assert_eq!(raw.request.matches("X-Token").count(), 1);
    }
    let raw = with([("host", "front.example"), ("Origin", "https://a.example")].into_headers());
    assert_eq!(raw.header("Host"), Some("front.example"));
    assert_eq!(raw.header("Origin"), Some("https://a.example"));
    assert_eq!(raw.request.to_ascii_lowercase().matches("\r\nhost:").count(), 1);
}

#[test]
fn a_function_makes_the_headers_of_each_handshake() {
    let (url, server) = RawServer::listen().serve(|server| {
        [(); 3].map(|()| {
            let mut raw = server.accept();
            raw.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
            raw.header("X-Count").unwrap().to_owned()
        })
    });
    let client = mqtt::Client::new("counting");
    let count = Arc::new(AtomicUsize::new(0));
    // It may use the client.
    let lent = client.clone();
    client
        .ws_set_options("/mqtt", move || {
            assert!(!lent.is_connected());
            [("X-Count", count.fetch_add(1, Ordering::Relaxed).to_string())]
        })
        .unwrap();
    for _ in 0..3 {
        client.connect(url.as_str()).unwrap_err();
    }
    assert_eq!(server.join().unwrap(), ["0", "1", "2"]);
    // The client is lent to itself: this takes it back.
    client.ws_set_options("/mqtt", ()).unwrap();
}

#[test]
fn a_function_that_fails_ends_the_attempt() {
    let server = RawServer::listen();
    let client = mqtt::Client::new("failing");
    client
        .ws_set_options("/", || mqtt::Result::<()>::Err("no token today".into()))
        .unwrap();
    let error = client.connect(server.url()).unwrap_err();
    assert!(matches!(error, mqtt::Error::Other(_)));
    assert_eq!(error.to_string(), "no token today");

    client.ws_set_options("/", || -> () { panic!("boom") }).unwrap();
    let error = websocket_error(client.connect(server.url()).unwrap_err());
    assert_eq!(error.reason, WebSocketReason::Headers);

    client.ws_set_options("/", || [("a", "x\r\nb: c")]).unwrap();
    match client.connect(server.url()).unwrap_err() {
        mqtt::Error::InvalidArgument { argument, .. } => assert_eq!(argument, "headers"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_sent_is_refused_and_changes_nothing() {
    let argument = |result: mqtt::Result<()>| match result {
        Err(mqtt::Error::InvalidArgument { argument, .. }) => argument,
        other => panic!("{other:?}"),
    };
    let raw = request("", |client| {
        client.ws_set_options("/kept", [("X-Kept", "yes")]).unwrap();
        assert_eq!(argument(client.ws_set_options("ws", ())), "path");
        assert_eq!(argument(client.ws_set_options("/", [("a b", "x")])), "headers");
        assert_eq!(
            argument(client.ws_set_options("/", [("Upgrade", "x")])),
            "headers"
        );
        assert_eq!(
            argument(client.ws_set_options("/", [("a", "x\r\ny: z")])),
            "headers"
        );
    });
    assert_eq!(path(&raw), "/kept");
    assert_eq!(raw.header("X-Kept"), Some("yes"));
}

#[test]
fn the_transport_may_be_set_for_all_servers() {
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    let front = WebFront::new(broker.address(), Frames::AsTheyCome);
    let client = mqtt::Client::builder("ported")
        .transport(mqtt::Transport::WebSockets)
        .build();
    client
        .connect_and_wait(("127.0.0.1", front.address().port()), PATIENCE)
        .unwrap();
    let (asked, headers) = front.asked();
    assert_eq!(asked, "/mqtt");
    assert!(headers.contains(&("sec-websocket-protocol".to_owned(), "mqtt".to_owned())));
    client.disconnect().unwrap();
}

#[test]
fn user_and_password_of_a_url_are_those_of_mqtt() {
    let broker = Broker::builder()
        .user("me", "secret")
        .listen("127.0.0.1:0")
        .unwrap();
    let front = WebFront::new(broker.address(), Frames::AsTheyCome);
    let client = mqtt::Client::new("known");
    let url = format!("ws://me:secret@{}/mqtt", front.address());
    client.connect_and_wait(url, PATIENCE).unwrap();
    let (_, headers) = front.asked();
    assert!(headers.iter().all(|(name, _)| name != "authorization"));
    client.disconnect().unwrap();
}

#[test]
fn one_call_publishes_and_receives_over_websocket() {
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    let front = WebFront::new(broker.address(), Frames::AsTheyCome);
    let url = format!("ws://{}/mqtt", front.address());
    publish::Options::new()
        .qos(1)
        .retain(true)
        .single("t", "kept", url.as_str())
        .unwrap();
    let message = subscribe::simple("t", url.as_str()).unwrap();
    assert_eq!(message.payload, "kept");
}
