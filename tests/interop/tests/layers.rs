//! A real mosquitto over unix sockets and, where it is installed (the one that is built here has no TLS), over TLS.
#![cfg(unix)]

use std::sync::mpsc;
use std::time::Duration;

use callmq::client as mqtt;
use interop::mosquitto::Config;
use layers::Folder;

const PATIENCE: Duration = Duration::from_secs(20);

/// Sends messages to itself, with every QoS.
fn exchange(client: &mqtt::Client, target: impl mqtt::IntoConnect) {
    let (sender, messages) = mpsc::channel();
    client.on_message(move |_, message| {
        let _ = sender.send(message.payload.len());
    });
    client.loop_start().unwrap();
    client.connect_and_wait(target, PATIENCE).unwrap();
    client.subscribe(("t", 2)).unwrap().wait(PATIENCE).unwrap();
    for (size, qos) in [(1, 0), (300, 1), (5_000_000, 2), (0, 1)] {
        client.publish_with("t", vec![7; size], qos, false).unwrap();
        assert_eq!(messages.recv_timeout(PATIENCE).unwrap(), size);
    }
    client.disconnect().unwrap();
    client.loop_stop().unwrap();
}

#[test]
fn over_a_unix_socket() {
    let folder = Folder::new();
    let path = folder.path().join("s");
    let _broker = Config::default()
        .line(format!("listener 0 {}", path.display()))
        .start();
    exchange(&mqtt::Client::new("unix"), mqtt::ConnectOptions::unix(&path));
}

#[cfg(feature = "brokers")]
mod tls {
    use callmq::client::{TlsOptions, TlsReason};
    use interop::mosquitto::free_port;
    use layers::certificates::Authority;

    use super::*;

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
        exchange(&client, url.as_str());
        exchange(&client, url.as_str());

        use interop::broker::Broker;
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
        exchange(&client, url.as_str());
    }
}
