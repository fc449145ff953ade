//! Servers found by SRV records. The name server is one of the tests' own, and so are the servers.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use callmq::client::{self as mqtt, ConnectOptions, Error};

use crate::peer_support::name_server::{NameServer, Reply};
use crate::support::{Events, PATIENCE, Peer, bad_argument, best_of, holds_nobody_up, listen};

const HERE: &str = "127.0.0.1";

fn options(names: &NameServer) -> ConnectOptions {
    ConnectOptions::srv("example.com").name_server(names.address)
}

fn client() -> mqtt::Client {
    let client = mqtt::Client::new("c");
    client.reconnect_delay_set(0.005, 0.005).unwrap();
    client
}

fn failure(result: mqtt::Result<()>) -> (ErrorKind, String) {
    match result {
        Err(Error::Io(error)) => (error.kind(), error.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_servers_of_a_domain_are_a_list_in_order_of_priority() {
    let (second, first) = (Peer::listen(), listen());
    let names = NameServer::new(Reply::Records(vec![
        (20, 0, second.port(), "localhost"),
        (10, 5, first.port(), HERE),
    ]));
    let client = client();
    let options = options(&names).keep_alive(77);
    assert!(options.servers().is_empty());
    client.connect_and_wait(options, PATIENCE).unwrap();
    assert_eq!(client.keepalive(), 77);
    assert_eq!(client.server().unwrap().port(), Some(first.port()));
    assert_eq!(names.asked(), ["_mqtt._tcp.example.com"]);
    client.loop_start().unwrap();
    first.set_reachable(false);
    second.accept_client();
}

#[test]
fn the_records_are_looked_up_again_at_each_attempt() {
    let peers = [Peer::listen(), Peer::listen(), Peer::listen()];
    let of = |peer: &Peer| Reply::Records(vec![(0, 0, peer.port(), HERE)]);
    let names = NameServer::new(of(&peers[0]));
    let client = client();
    client.loop_start().unwrap();
    client.connect_async(options(&names)).unwrap();
    for pair in peers.windows(2) {
        let connection = pair[0].accept_client();
        names.set(of(&pair[1]));
        drop(connection);
    }
    // Where nobody answers any more, the last ones count.
    let connection = peers[2].accept_client();
    names.set(Reply::Code(2));
    drop(connection);
    peers[2].accept_client();
    client.loop_stop().unwrap();
}

#[test]
fn servers_that_are_named_come_after_those_that_are_looked_up() {
    let (found, named) = (Peer::listen(), Peer::listen());
    let names = NameServer::new(Reply::Records(vec![(0, 0, found.port(), HERE)]));
    let client = client();
    let both = || options(&names).server(named.address());
    client.connect(both()).unwrap();
    assert_eq!(client.server().unwrap().port(), Some(found.port()));
    names.set(Reply::Code(3));
    client.connect(both()).unwrap();
    assert_eq!(client.server().unwrap().port(), Some(named.port()));
}

#[test]
fn what_the_name_server_says_is_the_error() {
    let cases: [(Reply, ErrorKind, &str); 5] = [
        (Reply::Code(3), ErrorKind::NotFound, "there is no such name"),
        (
            Reply::Records(Vec::new()),
            ErrorKind::NotFound,
            "it has no SRV record",
        ),
        (
            Reply::Records(vec![(0, 0, 0, "")]),
            ErrorKind::NotFound,
            "does not have this service",
        ),
        (
            Reply::Records(vec![(0, 0, 1883, "not a host")]),
            ErrorKind::InvalidData,
            "name no host",
        ),
        (Reply::Code(5), ErrorKind::Other, "it does not answer (Refused)"),
    ];
    for (reply, kind, text) in cases {
        let names = NameServer::new(reply);
        let (got, message) = failure(client().connect(options(&names)));
        assert_eq!(got, kind, "{message}");
        assert!(
            message.contains("_mqtt._tcp.example.com") && message.contains(text),
            "{message}"
        );
    }
}

/// Half of the time-out is for the look-up.
#[test]
fn silence_leaves_time_for_a_server_that_is_named() {
    let names = NameServer::new(Reply::Silence);
    let peer = Peer::listen();
    let limited = || options(&names).connect_timeout(0.4);
    let limit = Duration::from_millis(390);
    let took = best_of(5, limit, || {
        let client = client();
        let started = Instant::now();
        let result = client.connect(limited().server(peer.address()));
        let took = started.elapsed();
        if took < limit {
            result.unwrap();
        }
        took
    });
    assert!(took >= Duration::from_millis(190) && took < limit, "{took:?}");
    let (kind, message) = failure(client().connect(limited()));
    assert_eq!(kind, ErrorKind::TimedOut, "{message}");
    assert!(message.contains(&names.address.to_string()), "{message}");
}

#[test]
fn a_name_server_that_is_silent_holds_nobody_up() {
    holds_nobody_up(|| {
        let names = NameServer::new(Reply::Silence);
        let client = client();
        client
            .connect_async(options(&names).connect_timeout(600))
            .unwrap();
        client.loop_start().unwrap();
        while names.asked().is_empty() {
            std::thread::yield_now();
        }
        (client, names)
    });
}

#[test]
fn each_failed_look_up_is_a_failed_attempt() {
    let names = NameServer::new(Reply::Code(3));
    let client = client();
    let told = Events::new();
    let report = told.sink();
    client.on_connect_fail(move |_, error| report(format!("{error:#}")));
    client.connect_async(options(&names)).unwrap();
    client.loop_start().unwrap();
    for _ in 0..3 {
        let message = told.next();
        assert!(message.ends_with("there is no such name"), "{message}");
    }
    let peer = Peer::listen();
    names.set(Reply::Records(vec![(0, 0, peer.port(), HERE)]));
    peer.accept_client();
    client.loop_stop().unwrap();
}

/// The forms of `connect_srv`, and what is no domain. Of the name servers of this machine it is not known whether they
/// answer, and what.
#[test]
fn domains_are_checked_before_anybody_is_asked() {
    let client = client();
    let long = "abcdefgh.".repeat(30);
    for domain in [
        "",
        ".",
        "127.0.0.1",
        "::1",
        "[::1]",
        "a..b",
        "mqtt://h",
        "h:1883",
        "höst",
        &long,
    ] {
        assert_eq!(bad_argument(client.connect_srv(domain)), "domain", "{domain}");
    }
    assert_eq!(bad_argument(client.connect_srv(("", 60))), "domain");
    assert_eq!(
        bad_argument(client.connect_srv(("example.com", Duration::from_secs(70_000)))),
        "keep_alive"
    );
    let unix = mqtt::Client::builder("c")
        .transport(mqtt::Transport::Unix)
        .build();
    assert_eq!(bad_argument(unix.connect_srv("example.com")), "host");
    assert_eq!(client.keepalive(), 60);
}
