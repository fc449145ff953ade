//! An installed mosquitto over TLS (the one that is built from source has none): what it refuses, what the client does, and
//! what each says. `tests/matrix` has the traffic over every way in.
#![cfg(feature = "brokers")]

use std::time::Duration;

use callmq::client::{self as mqtt, TlsOptions, TlsReason};
use interop::Broker;
use interop::mosquitto::{Config, free_port};
use layers::Folder;
use layers::certificates::Authority;

const PATIENCE: Duration = Duration::from_secs(20);

/// Sends a message to itself.
fn exchange(client: &mqtt::Client, url: &str) {
    let messages = client.messages(1);
    client.loop_start().unwrap();
    client.connect_and_wait(url, PATIENCE).unwrap();
    client.subscribe(("t", 1)).unwrap().wait(PATIENCE).unwrap();
    client.publish_with("t", "x", 1, false).unwrap();
    assert_eq!(messages.recv(PATIENCE).unwrap().payload, "x");
    client.disconnect().unwrap();
    client.loop_stop().unwrap();
}

/// The lines of a listener with TLS.
fn listener(config: Config, folder: &Folder, authority: &Authority) -> (Config, u16) {
    let identity = authority.issue(&["localhost"]);
    let port = free_port();
    let config = config
        .line(format!("listener {port} 127.0.0.1"))
        .line(format!(
            "cafile {}",
            folder.file("ca.pem", &authority.pem).display()
        ))
        .line(format!(
            "certfile {}",
            folder.file("server.pem", &identity.certificate).display()
        ))
        .line(format!(
            "keyfile {}",
            folder.file("server.key", &identity.key).display()
        ));
    (config, port)
}

fn refusal(error: mqtt::Error) -> mqtt::TlsError {
    match error {
        mqtt::Error::Tls(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn with_and_without_the_right_ca() {
    let (folder, authority) = (Folder::new(), Authority::new("Test CA"));
    let (config, port) = listener(Config::default(), &folder, &authority);
    let broker = config.start();
    let client = mqtt::Client::new("tls");
    let url = format!("mqtts://localhost:{port}");
    let error = refusal(client.connect(url.as_str()).unwrap_err());
    assert_eq!(error.reason, TlsReason::UnknownIssuer);
    client.tls_set(folder.path().join("ca.pem")).unwrap();
    // Twice: the second handshake resumes the session.
    exchange(&client, &url);
    exchange(&client, &url);
    let error = refusal(client.connect(("localhost", broker.port())).unwrap_err());
    assert_eq!(error.reason, TlsReason::Closed);
    let plain = mqtt::Client::new("plain");
    // It does not say a word: the log has a hint.
    let error = plain.connect_and_wait(("127.0.0.1", port), PATIENCE).unwrap_err();
    assert!(
        matches!(error, mqtt::Error::ConnectionClosed | mqtt::Error::Io(_)),
        "{error:?}"
    );
}

#[test]
fn with_and_without_a_certificate_of_the_client() {
    let (folder, authority) = (Folder::new(), Authority::new("Test CA"));
    let (config, port) = listener(Config::default(), &folder, &authority);
    let _broker = config.line("require_certificate true").start();
    let url = format!("mqtts://localhost:{port}");
    let trusting = TlsOptions::new().ca_pem(authority.pem.as_str());
    let own = authority.issue(&["meter"]);
    let strange = Authority::new("Other CA").issue(&["meter"]);
    let client = mqtt::Client::new("certificate");
    for wrong in [
        trusting.clone(),
        trusting
            .clone()
            .client_certificate_pem(strange.certificate, strange.key),
    ] {
        client.tls_set(wrong).unwrap();
        let error = refusal(client.connect_and_wait(url.as_str(), PATIENCE).unwrap_err());
        assert_eq!(error.reason, TlsReason::ClientCertificate, "{error}");
    }
    client
        .tls_set(trusting.client_certificate_pem(own.certificate, own.key))
        .unwrap();
    exchange(&client, &url);
}
