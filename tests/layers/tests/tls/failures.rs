//! What goes wrong, and what the client says about it.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use callmq::client::{self as mqtt, TlsReason};
use layers::certificates::{Authority, Identity};
use layers::front::{Front, Settings};
use layers::silent::Silent;
use layers::{PATIENCE, eventually};

use crate::{Bench, round_trip, tls_error};

fn bench_with(identity: impl FnOnce(&Authority) -> Identity) -> Bench {
    let mut bench = Bench::new();
    bench.front = Front::new(&bench.broker, Settings::new(identity(&bench.authority)));
    bench
}

#[test]
fn a_certificate_of_an_unknown_ca_is_named_with_its_issuer() {
    let bench = Bench::new();
    let other = Authority::new("Other CA");
    for options in [mqtt::TlsOptions::new().ca_pem(other.pem), mqtt::TlsOptions::new()] {
        let error = bench.refused(options);
        assert_eq!(error.reason, TlsReason::UnknownIssuer);
        assert_eq!(
            error.to_string(),
            "the certificate of localhost (CN=localhost, signed by CN=Test CA) is signed by an unknown issuer: \
             none of the trusted CA certificates has signed it"
        );
    }
}

#[test]
fn an_expired_certificate_is_named_also_in_the_middle_of_the_chain() {
    let bench = bench_with(|authority| authority.issue_between(&["localhost"], -10, -3));
    let error = bench.refused(bench.options());
    assert_eq!(error.reason, TlsReason::Expired);
    let text = error.to_string();
    assert!(
        text.starts_with("the certificate of localhost (CN=localhost, signed by CN=Test CA) has expired"),
        "{text}"
    );

    let bench = bench_with(|authority| authority.issue_between(&["localhost"], 3, 10));
    let error = bench.refused(bench.options());
    assert_eq!(error.reason, TlsReason::NotYetValid);
    assert!(error.to_string().contains(") is not valid yet"), "{error}");
}

#[test]
fn a_certificate_for_other_names_says_which() {
    let bench = bench_with(|authority| authority.issue(&["broker.example.com", "10.0.0.1"]));
    let error = bench.refused(bench.options());
    assert_eq!(error.reason, TlsReason::WrongName);
    let text = error.to_string();
    assert!(
        text.contains("\"localhost\"") && text.contains("broker.example.com"),
        "{text}"
    );
    bench.accepted(bench.options().server_name("broker.example.com"));
    bench.accepted(bench.options().server_name("10.0.0.1"));
    bench.accepted(bench.options().insecure(true));
}

#[test]
fn insecure_means_the_name_only_and_the_dangerous_option_everything() {
    let bench = bench_with(|authority| authority.issue_between(&["elsewhere"], -10, -3));
    assert_eq!(
        bench.refused(bench.options().insecure(true)).reason,
        TlsReason::Expired
    );
    bench
        .front
        .set(Settings::new(bench.authority.issue(&["elsewhere"])));
    let stranger = mqtt::TlsOptions::new().ca_pem(Authority::new("Other CA").pem);
    assert_eq!(
        bench.refused(stranger.insecure(true)).reason,
        TlsReason::UnknownIssuer
    );
    bench.front.set(Settings::new(bench.authority.issue_between(
        &["elsewhere"],
        -10,
        -3,
    )));
    bench.accepted(mqtt::TlsOptions::new().danger_accept_any_certificate());
}

#[test]
fn a_plain_port_spoken_to_with_tls() {
    let bench = Bench::new();
    let client = mqtt::Client::new("wrong-port");
    client.tls_set(bench.options()).unwrap();
    let error = tls_error(client.connect(("localhost", bench.broker.port())).unwrap_err());
    assert_eq!(error.reason, TlsReason::Closed);
    assert!(
        error.to_string().contains("does it speak TLS at this port?"),
        "{error}"
    );
}

#[test]
fn a_port_that_answers_with_something_else() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 mail.example.com ESMTP\r\n").unwrap();
        let _ = io::copy(&mut stream, &mut io::sink());
    });
    let client = mqtt::Client::new("wrong-port");
    client.tls_set(()).unwrap();
    let error = tls_error(client.connect(("localhost", port)).unwrap_err());
    assert_eq!(error.reason, TlsReason::NotTls);
    assert!(
        error
            .to_string()
            .starts_with("localhost does not speak TLS at this port"),
        "{error}"
    );
    server.join().unwrap();
}

#[test]
fn a_tls_port_spoken_to_without() {
    let bench = Bench::new();
    let client = mqtt::Client::new("wrong-port");
    let error = tls_error(
        client
            .connect_and_wait(bench.front.address(), PATIENCE)
            .unwrap_err(),
    );
    assert_eq!(error.reason, TlsReason::TlsExpected);
    assert!(error.to_string().contains("mqtts://"), "{error}");
}

#[test]
fn a_server_that_never_answers_is_given_up_in_time() {
    let server = Silent::listen();
    let client = mqtt::Client::new("silent");
    client.tls_set(()).unwrap();
    let options = mqtt::ConnectOptions::new(("localhost", server.address.port())).connect_timeout(1.0);
    let started = Instant::now();
    match client.connect(options).unwrap_err() {
        mqtt::Error::Io(error) => {
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(
                error
                    .to_string()
                    .contains("did not finish the TLS handshake in time"),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() < PATIENCE / 2);
}

#[test]
fn a_hanging_handshake_ends_with_disconnect_and_with_loop_stop() {
    let server = Silent::listen();
    let client = mqtt::Client::new("hanging");
    client.tls_set(()).unwrap();
    let options = mqtt::ConnectOptions::new(("localhost", server.address.port()));
    server.hangs_until_told(&client, options);
}

#[test]
fn a_server_that_closes_in_the_middle_of_the_handshake() {
    let bench = Bench::new();
    // So many bytes of the server's side come through, then it is gone.
    for allowed in [0, 1, 5, 50, 100, 300, 600] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, target) = (listener.local_addr().unwrap().port(), bench.front.address());
        let relay = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let server = TcpStream::connect(target).unwrap();
            let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let forward = thread::spawn(move || drop(io::copy(&mut from_client, &mut to_server)));
            io::copy(&mut server.take(allowed), &mut client).unwrap();
            let _ = client.shutdown(std::net::Shutdown::Both);
            forward.join().unwrap();
        });
        let client = mqtt::Client::new("cut");
        client.tls_set(bench.options()).unwrap();
        let error = tls_error(client.connect(("localhost", port)).unwrap_err());
        assert_eq!(error.reason, TlsReason::Closed, "{allowed}: {error}");
        relay.join().unwrap();
    }
}

#[test]
fn the_loop_goes_on_until_the_certificate_is_right() {
    let bench = bench_with(|authority| authority.issue_between(&["localhost"], -10, -3));
    let client = mqtt::Client::new("goes-on");
    client.tls_set(bench.options()).unwrap();
    client.reconnect_delay_set(0.01, 0.02).unwrap();
    let (sender, failures) = mpsc::channel();
    client.on_connect_fail(move |_, error| drop(sender.send(error.clone())));
    client.connect_async(bench.url()).unwrap();
    client.loop_start().unwrap();
    for _ in 0..3 {
        let error = tls_error(failures.recv_timeout(PATIENCE).unwrap());
        assert_eq!(error.reason, TlsReason::Expired);
    }
    bench
        .front
        .set(Settings::new(bench.authority.issue(&["localhost"])));
    client.wait_for_connect(PATIENCE).unwrap();
    round_trip(&client);
}

#[test]
fn bytes_that_are_no_records_end_the_connection() {
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, target) = (listener.local_addr().unwrap().port(), bench.front.address());
    let (inject, injections) = mpsc::channel::<()>();
    thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(target).unwrap();
        let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let (mut from_server, mut to_client) = (server, client.try_clone().unwrap());
        thread::spawn(move || drop(io::copy(&mut from_client, &mut to_server)));
        thread::spawn(move || drop(io::copy(&mut from_server, &mut to_client)));
        injections.recv().unwrap();
        // A record of application data that nobody has encrypted.
        (&client)
            .write_all(b"\x17\x03\x03\x00\x20abcdefghijklmnopqrstuvwxyzabcdef")
            .unwrap();
    });
    let client = mqtt::Client::new("injected");
    client.tls_set(bench.options()).unwrap();
    let (sender, ends) = mpsc::channel();
    client.on_disconnect(move |_, flags, _, _| drop(sender.send(flags.reason.clone())));
    client.reconnect_on_failure_set(false);
    client.loop_start().unwrap();
    client.connect_and_wait(("localhost", port), PATIENCE).unwrap();
    inject.send(()).unwrap();
    match ends.recv_timeout(PATIENCE).unwrap() {
        mqtt::DisconnectReason::Lost(mqtt::Error::Tls(error)) => {
            assert_eq!(error.reason, TlsReason::Protocol)
        }
        other => panic!("{other:?}"),
    }
    // The server is told: it sees an alert, not only the end.
    bench.front.handshake();
    assert!(matches!(
        bench.front.next(),
        layers::front::Event::Closed { properly: false }
    ));
    eventually("the loop has ended", || {
        client.loop_stop().is_ok() || !client.is_connected()
    });
}
