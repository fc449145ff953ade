//! Certificates of the client.

use callmq::client::{self as mqtt, TlsOptions, TlsReason};
use layers::certificates::Authority;
use layers::front::{Settings, TLS12, TLS13};
use layers::{Folder, PATIENCE};

use crate::{Bench, tls_error};

/// A server that wants certificates of this CA.
fn demanding(clients: &Authority, versions: &'static [&'static rustls::SupportedProtocolVersion]) -> Bench {
    Bench::with(|settings| Settings {
        client_authority: Some(clients.pem.clone()),
        versions,
        ..settings
    })
}

#[test]
fn a_client_shows_its_certificate() {
    let clients = Authority::new("Client CA");
    let folder = Folder::new();
    let identity = clients.issue(&["meter"]);
    let certificate = folder.file("meter.pem", &identity.certificate);
    let key = folder.file("meter.key", &identity.key);
    let both = folder.file("both.pem", &format!("{}{}", identity.certificate, identity.key));
    for versions in [TLS12, TLS13] {
        let bench = demanding(&clients, versions);
        bench.accepted(bench.options().client_certificate(&certificate, &key));
        assert!(bench.front.handshake().has_client_certificate);
        bench.front.next();
        bench.accepted(bench.options().client_certificate(&both, &both));
        bench.accepted(
            bench
                .options()
                .client_certificate_pem(identity.certificate.as_str(), identity.key.as_str()),
        );

        let ca = folder.file("ca.pem", &bench.authority.pem);
        let client = mqtt::Client::new("as-in-python");
        client.tls_set((&ca, &certificate, &key)).unwrap();
        client.connect_and_wait(bench.url(), PATIENCE).unwrap();
    }
}

#[test]
fn a_server_that_wants_a_certificate_and_gets_none_or_a_wrong_one() {
    let clients = Authority::new("Client CA");
    let stranger = Authority::new("Other CA").issue(&["meter"]);
    let expired = clients.issue_between(&["meter"], -10, -3);
    // TLS 1.2 tells in the handshake, TLS 1.3 only afterwards: the CONNACK is waited for.
    for versions in [TLS12, TLS13] {
        let bench = demanding(&clients, versions);
        let error = bench.refused(bench.options());
        let text = error.to_string();
        assert!(text.contains("certificate of this client"), "{text}");
        for wrong in [&stranger, &expired] {
            let options = bench
                .options()
                .client_certificate_pem(wrong.certificate.as_str(), wrong.key.as_str());
            let error = bench.refused(options);
            assert_eq!(error.reason, TlsReason::ClientCertificate, "{error}");
            assert!(
                error
                    .to_string()
                    .starts_with("localhost does not accept the certificate"),
                "{error}"
            );
        }
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = Folder::new();
    let authority = Authority::new("Test CA");
    let (one, two) = (authority.issue(&["one"]), authority.issue(&["two"]));
    let certificate = folder.file("one.pem", &one.certificate);
    let key = folder.file("one.key", &one.key);
    let other_key = folder.file("two.key", &two.key);
    let empty = folder.file("empty.pem", "nothing\n");
    let broken = folder.file(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
    );
    let garbage = folder.file(
        "garbage.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let missing = folder.path().join("missing.pem");
    let client = mqtt::Client::new("files");
    for (options, expected) in [
        (TlsOptions::new().ca_file(&missing), "missing.pem: No such file"),
        (TlsOptions::new().ca_file(&empty), "no certificate in PEM form in"),
        (
            TlsOptions::new().ca_file(&broken),
            "broken.pem is not correct PEM",
        ),
        (TlsOptions::new().ca_file(&garbage), "garbage.pem cannot be used"),
        (
            TlsOptions::new().client_certificate(&missing, &key),
            "missing.pem: No such file",
        ),
        (
            TlsOptions::new().client_certificate(&key, &key),
            "no certificate in PEM form in",
        ),
        (
            TlsOptions::new().client_certificate(&certificate, &certificate),
            "no private key in PEM form in it",
        ),
        (
            TlsOptions::new().client_certificate(&certificate, &other_key),
            "two.key",
        ),
        (TlsOptions::new().server_name("not a name"), "\"not a name\""),
    ] {
        let error = tls_error(client.tls_set(options).unwrap_err());
        assert_eq!(error.reason, TlsReason::Settings, "{error}");
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
    // Nothing was set.
    assert!(matches!(
        client.tls_insecure_set(true),
        Err(mqtt::Error::InvalidState(_))
    ));
}

#[test]
fn files_are_read_again_at_each_connection() {
    let folder = Folder::new();
    let bench = Bench::new();
    let ca = folder.file("ca.pem", &bench.authority.pem);
    let client = mqtt::Client::new("rotation");
    client.tls_set(&ca).unwrap();
    client.connect_and_wait(bench.url(), PATIENCE).unwrap();

    let next = Authority::new("Next CA");
    bench.front.set(Settings::new(next.issue(&["localhost"])));
    let error = tls_error(client.reconnect().unwrap_err());
    assert_eq!(error.reason, TlsReason::UnknownIssuer);
    folder.file("ca.pem", &format!("{}{}", bench.authority.pem, next.pem));
    client.reconnect().unwrap();
    client.wait_for_connect(PATIENCE).unwrap();
    // Both of the file are trusted.
    bench
        .front
        .set(Settings::new(bench.authority.issue(&["localhost"])));
    client.reconnect().unwrap();
    client.wait_for_connect(PATIENCE).unwrap();

    std::fs::remove_file(&ca).unwrap();
    let error = tls_error(client.reconnect().unwrap_err());
    assert_eq!(error.reason, TlsReason::Settings);
}
