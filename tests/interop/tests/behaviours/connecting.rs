//! Section 2: connecting, and being refused.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::Duration;

use callmq::client::{ConnectOptions, Error, ProtocolVersion};
use interop::mosquitto::{PASSWORD, USER, free_port};
use interop::peer::Peer;
use interop::{BrokerKind, on_each_broker};
use socket2::{Domain, Socket, Type};

use crate::VERSION;
use crate::journal::{AT_ONCE, Journal, timed, wait_until};
use crate::packets::{NOT_AUTHORIZED, builder, new_client, soon_back, started};

/// What a journal has of a connection that is refused.
fn refused() -> [String; 2] {
    [
        format!("connect {NOT_AUTHORIZED}"),
        format!("disconnect {NOT_AUTHORIZED}: connection refused by the server: Not authorized"),
    ]
}

#[test]
fn b2_01_connect_to_a_closed_port_fails_at_once_without_callbacks() {
    let client = new_client("b2");
    let journal = Journal::of(&client);
    let (result, took) = timed(|| client.connect(("127.0.0.1", free_port())));
    let error = result.unwrap_err();
    assert!(
        matches!(&error, Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused),
        "{error:?}"
    );
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(journal.lines(), [""; 0]);
}

#[test]
fn b2_02_a_name_that_nobody_knows_is_an_error_of_connect() {
    let client = new_client("b2");
    let journal = Journal::of(&client);
    let error = client.connect("no-such-host.invalid").unwrap_err();
    assert!(matches!(error, Error::Io(_)), "{error:?}");
    assert_eq!(journal.lines(), [""; 0]);
}

#[test]
fn b2_03_a_server_that_does_not_answer_is_given_up_after_the_connect_timeout() {
    // A queue of connections that is full: the system drops further SYNs without an answer.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queue.push(stream);
    }

    let client = new_client("b2");
    assert_eq!(client.connect_timeout(), Duration::from_secs(5));
    client.connect_timeout_set(0.2).unwrap();
    let (result, took) = timed(|| client.connect(("127.0.0.1", address.port())));
    let error = result.unwrap_err();
    assert!(
        matches!(&error, Error::Io(error) if error.kind() == ErrorKind::TimedOut),
        "{error:?}"
    );
    assert!(
        took >= Duration::from_millis(200) && took < Duration::from_secs(2),
        "{took:?}"
    );
}

#[test]
fn b2_04_all_addresses_of_a_name_are_tried() {
    let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).ok();
    let addresses: Vec<_> = ("localhost", 1883).to_socket_addrs().unwrap().collect();
    for listener in [Some(v4), v6].into_iter().flatten() {
        let address = listener.local_addr().unwrap();
        // A machine may have no IPv6, or not under this name.
        if addresses.iter().any(|known| known.ip() == address.ip()) {
            new_client("b2").connect(("localhost", address.port())).unwrap();
        }
    }
}

#[test]
fn b2_05_wrong_arguments_are_named_and_change_nothing() {
    let client = new_client("b2");
    let journal = Journal::of(&client);
    let argument = |error: Error| match error {
        Error::InvalidArgument { argument, .. } => argument,
        error => panic!("{error:?}"),
    };
    assert_eq!(argument(client.connect("").unwrap_err()), "host");
    assert_eq!(argument(client.connect(("127.0.0.1", 0)).unwrap_err()), "port");
    let options = ConnectOptions::new("127.0.0.1").keep_alive(-1);
    assert_eq!(argument(client.connect(options).unwrap_err()), "keep_alive");
    let options = ConnectOptions::new("127.0.0.1").keep_alive(65_536);
    assert_eq!(argument(client.connect(options).unwrap_err()), "keep_alive");
    if VERSION != ProtocolVersion::V5 {
        let options = ConnectOptions::new("127.0.0.1").clean_start(true);
        assert_eq!(argument(client.connect(options).unwrap_err()), "clean_start");
    }
    assert_eq!(journal.lines(), [""; 0]);
    assert!(
        matches!(client.reconnect(), Err(Error::InvalidArgument { .. })),
        "a refused call left a host behind"
    );
}

#[test]
fn b2_06_loop_forever_repairs_a_connect_that_failed() {
    let client = soon_back("b2");
    let journal = Journal::of(&client);
    let port = free_port();
    client.connect(("127.0.0.1", port)).unwrap_err();
    let looping = client.clone();
    let thread = thread::spawn(move || looping.loop_forever());
    journal.wait_for_times("connect_fail", 2);
    let peer = Peer::listen_on(port);
    let _connection = peer.accept_client();
    journal.wait_for("connect 0");
    client.disconnect().unwrap();
    thread.join().unwrap().unwrap();
}

#[test]
fn b2_07_connect_async_tries_at_once_and_then_with_doubling_delays() {
    let client = new_client("b2");
    client.reconnect_delay_set(0.3, 10).unwrap();
    client.reconnect_jitter_set(0.0).unwrap();
    let journal = Journal::of(&client);
    client.connect_async(("127.0.0.1", free_port())).unwrap();
    client.loop_start().unwrap();
    let attempts = journal.wait_for_times("connect_fail", 3);
    let gap = |n: usize| (attempts[n + 1].at - attempts[n].at).as_secs_f64();
    // paho-mqtt waits for the first delay and then for the second one without an attempt between.
    assert!((0.3..0.8).contains(&gap(0)), "{}", gap(0));
    assert!((0.6..1.3).contains(&gap(1)), "{}", gap(1));
}

#[test]
fn b2_08_loop_forever_returns_the_failure_of_the_first_attempt_unless_told_to_retry() {
    let client = soon_back("b2");
    let journal = Journal::of(&client);
    let port = free_port();
    client.connect_async(("127.0.0.1", port)).unwrap();
    let error = client.loop_forever().unwrap_err();
    assert!(
        matches!(&error, Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused),
        "{error:?}"
    );
    assert_eq!(journal.lines(), ["connect_fail"]);

    client.connect_async(("127.0.0.1", port)).unwrap();
    let looping = client.clone();
    let thread = thread::spawn(move || looping.loop_forever_with(true));
    journal.wait_for_times("connect_fail", 3);
    let peer = Peer::listen_on(port);
    let _connection = peer.accept_client();
    journal.wait_for("connect 0");
    client.disconnect().unwrap();
    thread.join().unwrap().unwrap();
}

#[test]
fn b2_09_reconnect_and_loop_forever_without_connect_say_so_at_once() {
    let client = new_client("b2");
    assert!(matches!(
        client.reconnect(),
        Err(Error::InvalidArgument { argument: "host", .. })
    ));
    let (result, took) = timed(|| client.loop_forever());
    assert!(matches!(
        result,
        Err(Error::InvalidArgument { argument: "host", .. })
    ));
    assert!(took < AT_ONCE, "{took:?}");
}

#[test]
fn b2_10_connect_while_connected_replaces_the_connection() {
    let peer = Peer::listen();
    let client = new_client("b2");
    let journal = Journal::of(&client);
    let mut first = started(&client, &peer);
    client.connect(peer.address()).unwrap();
    // No DISCONNECT: the broker treats it as a loss, as with paho-mqtt.
    first.expect_close();
    let _second = peer.accept_client();
    journal.wait_for_times("connect 0", 2);
    // Unlike with paho-mqtt each connection's end is told, once.
    assert_eq!(
        journal.lines(),
        ["connect 0", "disconnect 0: disconnect requested", "connect 0"]
    );

    client.reconnect().unwrap();
    let _third = peer.accept_client();
    journal.wait_for_times("connect 0", 3);
}

#[test]
fn b2_11_connect_works_again_after_disconnect_and_loop_stop() {
    let peer = Peer::listen();
    let client = new_client("b2");
    let journal = Journal::of(&client);
    let mut first = started(&client, &peer);
    client.disconnect().unwrap();
    first.expect_goodbye();
    client.loop_stop().unwrap();
    let _second = started(&client, &peer);
    journal.wait_for_times("connect 0", 2);
}

on_each_broker!(b2_12_wrong_credentials_are_told_to_both_callbacks);
fn b2_12_wrong_credentials_are_told_to_both_callbacks(kind: BrokerKind) {
    let broker = kind.start_with_password();
    for credentials in [None, Some((USER, "wrong")), Some(("bob", PASSWORD))] {
        let client = new_client("b2");
        let journal = Journal::of(&client);
        if let Some((user, password)) = credentials {
            client.username_pw_set(user, password);
        }
        client.connect(broker.address()).unwrap();
        client.loop_start().unwrap();
        journal.wait_for("disconnect");
        assert_eq!(journal.lines()[..2], refused());
    }
    let client = new_client("b2");
    client.username_pw_set(USER, PASSWORD);
    client.connect_and_wait(broker.address(), 5).unwrap();
}

on_each_broker!(b2_13_a_started_loop_tries_again_after_a_refusal);
fn b2_13_a_started_loop_tries_again_after_a_refusal(kind: BrokerKind) {
    let broker = kind.start_with_password();
    let client = soon_back("b2");
    let journal = Journal::of(&client);
    client.connect(broker.address()).unwrap();
    client.loop_start().unwrap();
    journal.wait_for_times("disconnect", 3);
    client.loop_stop().unwrap();
    let lines = journal.lines();
    assert!(lines.chunks(2).all(|pair| pair == refused()), "{lines:?}");
}

on_each_broker!(b2_14_a_stepped_loop_returns_the_refusal_and_does_not_try_again);
fn b2_14_a_stepped_loop_returns_the_refusal_and_does_not_try_again(kind: BrokerKind) {
    let broker = kind.start_with_password();
    let client = new_client("b2");
    let journal = Journal::of(&client);
    client.connect(broker.address()).unwrap();
    assert!(matches!(client.loop_once(5), Err(Error::Refused(code)) if code.value() == NOT_AUTHORIZED));
    for _ in 0..3 {
        assert!(matches!(client.loop_once(0.05), Err(Error::NotConnected)));
    }
    assert_eq!(journal.lines(), refused());
}

on_each_broker!(b2_15_loop_forever_returns_the_refusal_when_it_is_not_to_reconnect);
fn b2_15_loop_forever_returns_the_refusal_when_it_is_not_to_reconnect(kind: BrokerKind) {
    let broker = kind.start_with_password();
    let client = builder("b2").reconnect_on_failure(false).build();
    let journal = Journal::of(&client);
    client.connect(broker.address()).unwrap();
    assert!(matches!(client.loop_forever(), Err(Error::Refused(code)) if code.value() == NOT_AUTHORIZED));
    assert_eq!(journal.lines(), refused());
}

on_each_broker!(b2_16_disconnect_in_on_connect_ends_the_attempts_after_a_refusal);
fn b2_16_disconnect_in_on_connect_ends_the_attempts_after_a_refusal(kind: BrokerKind) {
    let broker = kind.start_with_password();
    let client = soon_back("b2");
    let journal = Journal::of(&client);
    let j = journal.clone();
    client.on_connect(move |client, _, code, _| {
        j.note(format!("connect {}", code.value()));
        let _ = client.disconnect();
    });
    client.connect(broker.address()).unwrap();
    client.loop_forever().unwrap();
    // The true reason, where paho-mqtt says 0.
    assert_eq!(journal.lines(), refused());
}

#[test]
fn b2_17_on_disconnect_gets_the_code_of_the_refusal() {
    for code in 2..=5 {
        let peer = Peer::listen();
        let client = new_client("b2");
        let journal = Journal::of(&client);
        client.connect(peer.address()).unwrap();
        let mut connection = peer.accept();
        connection.expect_packet(0x10);
        connection.send(&[0x20, 2, 0, code]);
        assert!(matches!(client.loop_once(5), Err(Error::Refused(refused)) if refused.value() == code));
        let lines = journal.lines();
        assert_eq!(lines[0], format!("connect {code}"));
        assert!(
            lines[1].starts_with(&format!("disconnect {code}: connection refused")),
            "{lines:?}"
        );
    }
}

#[test]
fn b2_20_a_server_that_never_answers_connect_is_given_up() {
    let peer = Peer::listen();
    let client = soon_back("b2");
    let journal = Journal::of(&client);
    // The answer has the same time as the connecting; with paho-mqtt it has the keep alive, a minute.
    client.connect_timeout_set(0.3).unwrap();
    client.connect(peer.address()).unwrap();
    client.loop_start().unwrap();
    let mut silent = peer.accept();
    silent.expect_packet(0x10);
    let ((), took) = timed(|| silent.expect_close());
    assert!(
        took > Duration::from_millis(200) && took < Duration::from_secs(2),
        "{took:?}"
    );
    let _second = peer.accept();
    assert_eq!(
        journal.lines(),
        ["disconnect 141: no answer from the server within the time allowed"]
    );
}

on_each_broker!(b2_21_two_clients_with_one_id_do_not_throw_each_other_out_for_ever);
fn b2_21_two_clients_with_one_id_do_not_throw_each_other_out_for_ever(kind: BrokerKind) {
    let broker = kind.start();
    let clients = [new_client("twin"), new_client("twin")];
    let journals = clients.each_ref().map(Journal::of);
    for client in &clients {
        client.reconnect_delay_set(0.05, 120).unwrap();
        client.connect(broker.address()).unwrap();
        client.loop_start().unwrap();
    }
    // The time in which the losses are counted.
    thread::sleep(Duration::from_secs(2));
    let losses: usize = journals.iter().map(|journal| journal.count("disconnect")).sum();
    // With a delay that starts again after each CONNACK there would be about forty. A client that a server of MQTT 5.0
    // has told why does not come back soon.
    assert!(
        (1..=14).contains(&losses),
        "{losses} losses: {:#?}",
        journals[0].lines()
    );
}

on_each_broker!(b2_22_on_connect_is_told_whether_the_server_has_a_session);
fn b2_22_on_connect_is_told_whether_the_server_has_a_session(kind: BrokerKind) {
    let broker = kind.start();
    for (attempt, expected) in [(1, "connect 0"), (2, "connect 0 session")] {
        let client = builder("b2").clean_session(false).build();
        let journal = Journal::of(&client);
        let flags = client.connect_and_wait(broker.address(), 5).unwrap();
        assert_eq!(flags.session_present, attempt == 2);
        assert_eq!(journal.lines(), [expected]);
        client.disconnect().unwrap();
        wait_until("the broker notices", || {
            broker
                .log()
                .iter()
                .filter(|l| *l == "Client b2 disconnected.")
                .count()
                == attempt
        });
    }
}
