//! Lists of servers: whose turn it is, how much time each gets, what is set for each, and what the next one is told.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use callmq::client::{self as mqtt, ConnectOptions, DisconnectReason, Error, OnSessionLost, ServerOrder};
use callmq::testing::Broker;

use crate::peer_support::peer::CONNACK_V5;
use crate::support::{
    BlackHole, Connection, Events, PATIENCE, Peer, best_of, eventually, holds_nobody_up, listen, published,
};

const SECOND: Duration = Duration::from_secs(1);

/// A client that waits for ever between two rounds.
fn patient(client_id: &str) -> mqtt::Client {
    let client = mqtt::Client::new(client_id);
    client.reconnect_delay_set(600, 600).unwrap();
    client
}

/// A port at which nobody listens.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn list(ports: &[u16]) -> Vec<(&'static str, u16)> {
    ports.iter().map(|&port| ("127.0.0.1", port)).collect()
}

/// The ports of the servers that are tried, in order.
fn tried(client: &mqtt::Client) -> Events<u16> {
    let tried = Events::new();
    let report = tried.sink();
    client.on_pre_connect(move |client| report(client.server().and_then(|server| server.port()).unwrap()));
    tried
}

fn refuse(peer: &Peer, code: u8) {
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(&[0x20, 2, 0, code]);
    connection.expect_close();
}

/// The user name in a CONNECT of MQTT 3.1.1 with the client id `c` and no password.
fn username(connection: &mut Connection) -> String {
    let connect = connection.expect_packet(0x10);
    let from = 2 + 10 + 3;
    assert_eq!(connect[9] & 0xc0, 0x80, "a user name and no password");
    String::from_utf8(connect[from + 2..].to_vec()).unwrap()
}

#[test]
fn a_silent_server_gets_its_share_of_the_time_and_no_more() {
    let holes = [BlackHole::new(), BlackHole::new()];
    let peer = Peer::listen();
    let ports = [holes[0].address().port(), holes[1].address().port(), peer.port()];
    let options = ConnectOptions::new(("127.0.0.1", ports[0]))
        .server(("127.0.0.1", ports[1]))
        .server(("127.0.0.1", ports[2]))
        .connect_timeout(0.9);
    let limit = Duration::from_millis(890);
    let took = best_of(3, limit, || {
        let client = mqtt::Client::new("c");
        let tried = tried(&client);
        let started = Instant::now();
        let result = client.connect(options.clone());
        let took = started.elapsed();
        if took < limit {
            result.unwrap();
            assert_eq!(tried.so_far(), ports);
            assert_eq!(client.server().unwrap().port(), Some(peer.port()));
        }
        took
    });
    assert!(took >= Duration::from_millis(590) && took < limit, "{took:?}");
}

#[test]
fn the_time_of_all_servers_together_is_that_of_one_attempt() {
    let holes = [BlackHole::new(), BlackHole::new(), BlackHole::new()];
    let client = mqtt::Client::new("c");
    client.connect_timeout_set(0.3).unwrap();
    let ports: Vec<_> = holes.iter().map(|hole| hole.address().port()).collect();
    let started = Instant::now();
    let result = client.connect(list(&ports));
    let took = started.elapsed();
    assert!(
        matches!(&result, Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut),
        "{result:?}"
    );
    assert!(took >= Duration::from_millis(300) && took < SECOND, "{took:?}");
}

#[test]
fn what_a_server_leaves_of_its_time_the_others_get() {
    let (closed, hole) = (closed_port(), BlackHole::new());
    let client = mqtt::Client::new("c");
    client.connect_timeout_set(0.4).unwrap();
    let started = Instant::now();
    client
        .connect(list(&[closed, hole.address().port()]))
        .unwrap_err();
    assert!(
        started.elapsed() >= Duration::from_millis(390),
        "{:?}",
        started.elapsed()
    );
}

/// The callback may take as long as it likes.
#[test]
fn the_time_of_on_pre_connect_does_not_count() {
    let (closed, peer) = (closed_port(), Peer::listen());
    let client = mqtt::Client::new("c");
    client.connect_timeout_set(0.1).unwrap();
    client.on_pre_connect(|_| std::thread::sleep(Duration::from_millis(150)));
    client.connect(list(&[closed, peer.port()])).unwrap();
}

/// A server that cannot be reached, one that refuses, one that hangs up: the next one follows without a delay, then the
/// loop waits.
#[test]
fn the_servers_of_a_round_follow_without_a_delay() {
    let closed = closed_port();
    let peers = [Peer::listen(), Peer::listen()];
    let client = patient("c");
    let tried = tried(&client);
    let asked = Events::new();
    let report = asked.sink();
    client.reconnect_if(move |_, reason, attempts| {
        report((matches!(reason, DisconnectReason::Refused(_)), attempts));
        true
    });
    client.loop_start().unwrap();
    let ports = [peers[0].port(), closed, peers[1].port()];
    client.connect(list(&ports)).unwrap();
    refuse(&peers[0], 3);
    assert_eq!(asked.next(), (true, 0));
    drop(peers[1].accept());
    assert_eq!(asked.next(), (false, 0));
    assert!(peers[0].accept_within(Duration::from_millis(50)).is_none());
    assert_eq!(tried.so_far(), ports);
    client.loop_stop().unwrap();
}

#[test]
fn a_round_that_failed_is_told_once_and_the_delays_double() {
    let ports = [closed_port(), closed_port()];
    let client = mqtt::Client::new("c");
    client.reconnect_delay_set(0.001, 0.002).unwrap();
    let tried = tried(&client);
    let told = Events::new();
    let report = told.sink();
    client.on_connect_fail(move |client, error| {
        report((client.server().unwrap().port().unwrap(), error.to_string()))
    });
    let asked = Events::new();
    let report = asked.sink();
    client.reconnect_if(move |_, _, attempts| {
        report(attempts);
        attempts < 3
    });
    client.connect_async(list(&ports)).unwrap();
    client.loop_start().unwrap();
    assert_eq!(
        [asked.next(), asked.next(), asked.next(), asked.next()],
        [0, 1, 2, 3]
    );
    client.loop_stop().unwrap_err();
    assert_eq!(tried.so_far(), [ports; 4].concat());
    assert_eq!(told.so_far().len(), 4);
}

#[test]
fn a_server_that_refused_is_tried_last_the_next_time() {
    let peers = [Peer::listen(), Peer::listen()];
    let client = mqtt::Client::new("c");
    let tried = tried(&client);
    let ports = [peers[0].port(), peers[1].port()];
    client.connect(list(&ports)).unwrap();
    let mut connection = peers[0].accept();
    connection.expect_packet(0x10);
    connection.send(&[0x20, 2, 0, 3]);
    // Without a loop nobody reconnects but the user.
    assert!(matches!(
        client.wait_for_connect(PATIENCE),
        Err(Error::Refused(_))
    ));
    client.reconnect().unwrap();
    assert_eq!(tried.so_far(), ports);
}

/// User name by name, and in the URL.
#[test]
fn each_server_has_its_own_credentials() {
    let peers = [Peer::listen(), Peer::listen(), Peer::listen()];
    let client = patient("c");
    let first = peers[0].port();
    client.on_pre_connect(move |client| {
        let server = client.server().unwrap();
        let name = if server.port() == Some(first) {
            "anna"
        } else {
            "bert"
        };
        client.username_pw_set(name, None);
    });
    client.loop_start().unwrap();
    let named = format!("mqtt://carl@127.0.0.1:{}", peers[2].port());
    let options = ConnectOptions::new(peers[0].address())
        .server(peers[1].address())
        .server(named);
    client.connect(options).unwrap();
    for (peer, name) in peers.iter().zip(["anna", "bert", "carl"]) {
        let mut connection = peer.accept();
        assert_eq!(username(&mut connection), name);
        connection.send(&[0x20, 2, 0, 5]);
        connection.expect_close();
    }
    client.loop_stop().unwrap();
}

#[test]
fn a_callback_that_fails_gives_the_attempt_up() {
    let peers = [Peer::listen(), Peer::listen()];
    let client = mqtt::Client::new("c");
    client.on_pre_connect(|_| Err::<(), _>(Error::other("no token")));
    assert!(client.connect(list(&[peers[0].port(), peers[1].port()])).is_err());
    assert!(
        peers
            .iter()
            .all(|peer| peer.accept_within(Duration::ZERO).is_none())
    );
}

/// In whatever state: connecting, connected, disconnected.
#[test]
fn the_server_of_the_last_try_can_be_asked_for() {
    let broker = listen();
    let client = patient("c");
    assert!(client.server().is_none());
    let ended = Events::new();
    let report = ended.sink();
    client.on_disconnect(move |client, _, _, _| report(client.server().unwrap().port()));
    client.connect(list(&[closed_port(), broker.port()])).unwrap();
    assert_eq!(client.server().unwrap().port(), Some(broker.port()));
    client.disconnect().unwrap();
    assert_eq!(ended.next(), Some(broker.port()));
    client.connect(("127.0.0.1", closed_port())).unwrap_err();
    assert_ne!(client.server().unwrap().port(), Some(broker.port()));
}

#[test]
fn by_chance_the_servers_share_the_clients() {
    let peers = [Peer::listen(), Peer::listen()];
    let mut counts = [0, 0];
    for _ in 0..40 {
        let client = mqtt::Client::new("c");
        let options = ConnectOptions::new(peers[0].address()).server(peers[1].address());
        client.connect(options.server_order(ServerOrder::Random)).unwrap();
        let port = client.server().unwrap().port();
        counts[usize::from(port == Some(peers[1].port()))] += 1;
    }
    assert!(counts.iter().all(|&count| count > 3), "{counts:?}");
}

/// Connects to the first of two brokers, and lets that one go away.
fn fail_over(builder: mqtt::ClientBuilder) -> (mqtt::Client, Broker, Broker) {
    let (first, second) = (listen(), listen());
    let client = builder.build();
    client.reconnect_delay_set(600, 600).unwrap();
    client.loop_start().unwrap();
    client.connect(list(&[first.port(), second.port()])).unwrap();
    client.wait_for_connect(PATIENCE).unwrap();
    assert_eq!(client.server().unwrap().port(), Some(first.port()));
    client.subscribe(("news/#", 1)).unwrap().wait(PATIENCE).unwrap();
    (client, first, second)
}

fn versions() -> [mqtt::ClientBuilder; 3] {
    [
        mqtt::Client::builder("c"),
        mqtt::Client::builder("c").clean_session(false),
        mqtt::Client::builder("c")
            .protocol(mqtt::MQTTv5)
            .session_expiry(600),
    ]
}

/// The second server does not know the session: subscriptions are renewed, and what waits is sent.
#[test]
fn the_next_server_gets_subscriptions_and_messages() {
    for builder in versions() {
        let (client, first, second) = fail_over(builder);
        let got = Events::new();
        let report = got.sink();
        client.on_message(move |_, message| report(message.payload.to_str_lossy().into_owned()));
        let flags = Events::new();
        let report = flags.sink();
        client.on_connect(move |_, flags, _, _| report(flags.session_present));
        first.set_reachable(false);
        let info = client.publish_with("t", "kept", 2, false).unwrap();
        assert!(!flags.next(), "it has no session");
        info.wait_for_publish(PATIENCE).unwrap();
        assert_eq!(published(&second, "t"), ["kept"]);
        eventually("the subscription is renewed", || {
            !second.subscriptions("c").is_empty()
        });
        second.publish("news/x", "fresh", 1, false).unwrap();
        assert_eq!(got.next(), "fresh");
        client.disconnect().unwrap();
        client.loop_stop().ok();
    }
}

/// What the first server did not acknowledge is sent to the second one, or given up, as `on_session_lost_set` says.
#[test]
fn what_was_not_acknowledged_goes_to_the_next_server_as_the_policy_says() {
    for builder in versions() {
        for (policy, arrive) in [
            (OnSessionLost::Resend, &["one", "two"][..]),
            (OnSessionLost::ResendQos1Only, &["one"]),
            (OnSessionLost::Discard, &[]),
        ] {
            let (first, second) = (Peer::listen(), listen());
            let client = builder.clone().build();
            client.reconnect_delay_set(600, 600).unwrap();
            client.on_session_lost_set(policy);
            client.loop_start().unwrap();
            client.connect(list(&[first.port(), second.port()])).unwrap();
            let mut connection = first.accept_client();
            let infos = [
                client.publish_with("t", "one", 1, false).unwrap(),
                client.publish_with("t", "two", 2, false).unwrap(),
            ];
            connection.expect_packet(0x32);
            connection.expect_packet(0x34);
            drop(connection);
            for info in infos {
                let delivered = info.wait_for_publish(PATIENCE).is_ok();
                let expected = if info.mid == 1 { "one" } else { "two" };
                assert_eq!(delivered, arrive.contains(&expected), "{policy:?}");
            }
            client.flush(PATIENCE).unwrap();
            assert_eq!(published(&second, "t"), arrive, "{policy:?}");
        }
    }
}

/// A second server that shares the sessions of the first, as the nodes of a cluster do.
#[test]
fn a_server_that_knows_the_session_is_not_told_again() {
    let (first, second) = (Peer::listen(), Peer::listen());
    let client = mqtt::Client::builder("c").clean_session(false).build();
    client.loop_start().unwrap();
    client.connect(list(&[first.port(), second.port()])).unwrap();
    let mut connection = first.accept_client();
    let subscribed = client.subscribe(("a", 1)).unwrap();
    connection.expect_packet(0x82);
    connection.send(&[0x90, 3, 0, 1, 1]);
    subscribed.wait(PATIENCE).unwrap();
    client.publish_with("t", "x", 1, false).unwrap();
    connection.expect_packet(0x32);
    drop(connection);
    let mut connection = second.accept();
    assert_eq!(connection.expect_packet(0x10)[9] & 2, 0, "no clean session");
    connection.send(&[0x20, 2, 1, 0]);
    connection.expect(b"\x3a\x06\x00\x01t\x00\x02x");
    connection.expect_silence(Duration::from_millis(20));
}

/// Clean Start is for the first connection of all, not for the first one with each server.
#[test]
fn the_next_server_gets_no_clean_start_of_its_own() {
    let (first, second) = (Peer::listen(), Peer::listen());
    let client = mqtt::Client::builder("c").protocol(mqtt::MQTTv5).build();
    client.loop_start().unwrap();
    client.connect(list(&[first.port(), second.port()])).unwrap();
    let mut connection = first.accept();
    assert_eq!(connection.expect_packet(0x10)[9] & 2, 2);
    connection.send(CONNACK_V5);
    client.wait_for_connect(PATIENCE).unwrap();
    drop(connection);
    assert_eq!(second.accept().expect_packet(0x10)[9] & 2, 0);
}

/// The version that a server may not know is tried there again, not at the next one.
#[test]
fn an_older_version_is_for_the_server_that_does_not_know_the_newer() {
    let (first, second) = (Peer::listen(), Peer::listen());
    let client = mqtt::Client::builder("c")
        .protocol(mqtt::MQTTv5)
        .fallback(true)
        .build();
    client.reconnect_delay_set(600, 600).unwrap();
    client.loop_start().unwrap();
    client.connect(list(&[first.port(), second.port()])).unwrap();
    let level = |connection: &mut Connection| connection.expect_packet(0x10)[8];
    let mut connection = first.accept();
    assert_eq!(level(&mut connection), 5);
    drop(connection);
    let mut connection = first.accept();
    assert_eq!(level(&mut connection), 4);
    drop(connection);
    assert_eq!(level(&mut second.accept()), 5);
    client.loop_stop().unwrap();
}

/// A look-up that hangs, the way to a server that is silent: ended at once, whatever the time-out.
#[test]
fn a_list_of_dead_servers_holds_nobody_up() {
    let holes = [BlackHole::new(), BlackHole::new()];
    let ports: Vec<_> = holes.iter().map(|hole| hole.address().port()).collect();
    holds_nobody_up(|| {
        let client = mqtt::Client::new("c");
        client.connect_timeout_set(600).unwrap();
        let tried = tried(&client);
        client.connect_async(list(&ports)).unwrap();
        client.loop_start().unwrap();
        tried.next();
        (client, tried)
    });
}
