//! Names, ALPN, resumption, contexts, key logs.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use callmq::client::{self as mqtt, TlsOptions, TlsReason};
use callmq::rustls as tls;
use layers::certificates::{Authority, Identity};
use layers::front::{Front, Settings, TLS12, TLS13};
use layers::{Folder, PATIENCE};

use crate::{Bench, round_trip, tls_error};

#[test]
fn a_server_is_asked_for_its_name_unless_that_is_an_address() {
    let bench = Bench::new();
    let client = mqtt::Client::new("names");
    client.tls_set(bench.options()).unwrap();
    client.connect_and_wait(bench.url(), PATIENCE).unwrap();
    assert_eq!(bench.front.handshake().server_name.as_deref(), Some("localhost"));
    client.disconnect().unwrap();
    bench.front.next();
    client
        .connect_and_wait(("127.0.0.1", bench.front.port()), PATIENCE)
        .unwrap();
    assert_eq!(bench.front.handshake().server_name, None);
    client.disconnect().unwrap();
    bench.front.next();
    bench
        .front
        .set(Settings::new(bench.authority.issue(&["other.example"])));
    client
        .tls_set(bench.options().server_name("other.example"))
        .unwrap();
    client.connect_and_wait(bench.url(), PATIENCE).unwrap();
    assert_eq!(
        bench.front.handshake().server_name.as_deref(),
        Some("other.example")
    );
}

#[test]
fn a_url_alone_trusts_the_system() {
    let bench = Bench::new();
    let client = mqtt::Client::new("url");
    let error = tls_error(client.connect(bench.url()).unwrap_err());
    assert_eq!(error.reason, TlsReason::UnknownIssuer);
    // Without TLS in the URL and without `tls_set` there is none.
    client.connect_and_wait(&bench.broker, PATIENCE).unwrap();
}

#[test]
fn chains_and_servers_that_have_signed_themselves() {
    let bench = Bench::new();
    let middle = bench.authority.intermediate("Middle CA");
    bench.front.set(Settings::new(middle.issue(&["localhost"])));
    let error = bench.refused(bench.options());
    assert!(
        error.to_string().contains("CN=localhost, signed by CN=Middle CA"),
        "{error}"
    );
    bench
        .front
        .set(Settings::new(middle.issue(&["localhost"]).with(&middle.pem)));
    bench.accepted(bench.options());

    for is_ca in [false, true] {
        let own = Identity::self_signed("localhost", is_ca);
        bench.front.set(Settings::new(own.clone()));
        assert_eq!(
            bench.refused(bench.options()).reason,
            TlsReason::UnknownIssuer,
            "{is_ca}"
        );
        bench.accepted(bench.options().ca_pem(own.certificate.as_str()));
        let elsewhere = Identity::self_signed("elsewhere", is_ca);
        bench.front.set(Settings::new(elsewhere.clone()));
        let named = TlsOptions::new().ca_pem(elsewhere.certificate);
        assert_eq!(
            bench.refused(named.clone()).reason,
            TlsReason::WrongName,
            "{is_ca}"
        );
        bench.accepted(named.insecure(true));
    }
}

#[test]
fn alpn_is_offered_and_has_to_fit() {
    let bench = Bench::with(|settings| Settings {
        alpn: vec!["mqtt"],
        ..settings
    });
    bench.accepted(bench.options().alpn(["x-amzn-mqtt-ca", "mqtt"]));
    assert_eq!(bench.front.handshake().alpn.as_deref(), Some("mqtt"));
    let error = bench.refused(bench.options().alpn(["http/1.1"]));
    assert_eq!(error.reason, TlsReason::Protocol);
    assert!(error.to_string().contains("ALPN"), "{error}");
}

#[test]
fn sessions_are_resumed() {
    for versions in [TLS12, TLS13] {
        let bench = Bench::with(|settings| Settings { versions, ..settings });
        let client = mqtt::Client::new("resumed");
        client.tls_set(bench.options()).unwrap();
        client.loop_start().unwrap();
        for expected in [false, true, true] {
            client.connect_and_wait(bench.url(), PATIENCE).unwrap();
            round_trip(&client);
            assert_eq!(bench.front.handshake().resumed, expected);
            client.disconnect().unwrap();
            bench.front.next();
            client.loop_stop().unwrap();
            client.loop_start().unwrap();
        }
    }
}

#[test]
fn a_version_that_the_server_does_not_speak() {
    let bench = Bench::with(|settings| Settings {
        versions: TLS12,
        ..settings
    });
    let error = bench.refused(bench.options().only_tls13(true));
    assert_eq!(error.reason, TlsReason::Protocol);
    bench.accepted(bench.options());
}

#[test]
fn a_context_of_the_users_own() {
    let bench = Bench::new();
    let mut roots = tls::RootCertStore::empty();
    use tls::pki_types::pem::PemObject;
    let ca = tls::pki_types::CertificateDer::from_pem_slice(bench.authority.pem.as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let context = tls::ClientConfig::builder_with_provider(Arc::new(tls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = mqtt::Client::new("context");
    client.tls_set_context(Arc::new(context));
    client.connect_and_wait(bench.url(), PATIENCE).unwrap();
    assert!(matches!(
        client.tls_insecure_set(true),
        Err(mqtt::Error::InvalidState(_))
    ));
    bench
        .front
        .set(Settings::new(Authority::new("Other CA").issue(&["localhost"])));
    let error = tls_error(client.reconnect().unwrap_err());
    assert_eq!(error.reason, TlsReason::UnknownIssuer);
}

#[test]
fn tls_insecure_set_switches_the_check_of_the_name() {
    let bench = Bench::new();
    let front = Front::new(
        &bench.broker,
        Settings::new(bench.authority.issue(&["elsewhere"])),
    );
    let client = mqtt::Client::new("insecure");
    assert!(matches!(
        client.tls_insecure_set(true),
        Err(mqtt::Error::InvalidState(_))
    ));
    client.tls_set(bench.options()).unwrap();
    assert_eq!(
        tls_error(client.connect(front.address()).unwrap_err()).reason,
        TlsReason::WrongName
    );
    client.tls_insecure_set(true).unwrap();
    client.connect_and_wait(front.address(), PATIENCE).unwrap();
    client.tls_insecure_set(false).unwrap();
    assert_eq!(
        tls_error(client.reconnect().unwrap_err()).reason,
        TlsReason::WrongName
    );
}

#[test]
fn secrets_are_not_printed() {
    let identity = Authority::new("Test CA").issue(&["meter"]);
    let options = TlsOptions::new()
        .client_certificate_pem(identity.certificate.as_str(), identity.key.as_str())
        .key_password("hush");
    let printed = format!("{options:#?}");
    assert!(
        !printed.contains("hush") && !printed.contains("PRIVATE KEY"),
        "{printed}"
    );
}

const CHILD: &str = "CALLMQ_TEST_WRITES_SECRETS";

#[test]
fn the_log_of_secrets_needs_the_option_and_the_variable() {
    if let Some(on) = std::env::var_os(CHILD) {
        let bench = Bench::new();
        return bench.accepted(bench.options().key_log(on == "true"));
    }
    let folder = Folder::new();
    for on in [false, true] {
        let file = folder.path().join(format!("secrets-{on}"));
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "settings::the_log_of_secrets_needs_the_option_and_the_variable",
            ])
            .env(CHILD, on.to_string())
            .env("SSLKEYLOGFILE", &file)
            .output()
            .unwrap();
        assert!(
            child.status.success(),
            "{}",
            String::from_utf8_lossy(&child.stdout)
        );
        let secrets = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(secrets.contains("CLIENT_TRAFFIC_SECRET_0"), on);
    }
}

#[test]
fn one_call_publishes_and_receives_over_tls() {
    let bench = Bench::new();
    callmq::publish::Options::new()
        .tls(bench.options())
        .single("t", "x", bench.url())
        .unwrap();
    let error = tls_error(callmq::publish::single("t", "x", bench.url()).unwrap_err());
    assert_eq!(error.reason, TlsReason::UnknownIssuer);
    let error = callmq::publish::Options::new()
        .tls("/no/such/file")
        .single("t", "x", bench.url());
    assert_eq!(tls_error(error.unwrap_err()).reason, TlsReason::Settings);
    assert_eq!(bench.front.handshake().server_name.as_deref(), Some("localhost"));
}
