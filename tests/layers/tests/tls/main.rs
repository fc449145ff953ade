//! The client over TLS.

#[cfg(unix)]
mod external_loop;
mod failures;
mod identity;
mod settings;
mod traffic;

use callmq::client as mqtt;
use callmq::testing::Broker;
use layers::PATIENCE;
use layers::certificates::Authority;
use layers::front::{Front, Settings};
use layers::traffic::messages;

/// A broker behind TLS, with a certificate for `localhost` and 127.0.0.1.
struct Bench {
    authority: Authority,
    broker: Broker,
    front: Front,
}

impl Bench {
    fn new() -> Self {
        Self::with(|settings| settings)
    }

    fn with(change: impl FnOnce(Settings) -> Settings) -> Self {
        let authority = Authority::new("Test CA");
        let broker = Broker::builder()
            .max_queued(100_000)
            .listen("127.0.0.1:0")
            .unwrap();
        let settings = change(Settings::new(authority.issue(&["localhost", "127.0.0.1"])));
        let front = Front::new(&broker, settings);
        Self {
            authority,
            broker,
            front,
        }
    }

    /// What a client of this server is told about TLS.
    fn options(&self) -> mqtt::TlsOptions {
        mqtt::TlsOptions::new().ca_pem(self.authority.pem.as_str())
    }

    fn url(&self) -> String {
        format!("mqtts://localhost:{}", self.front.port())
    }

    /// The error of a client with these options.
    fn refused(&self, options: mqtt::TlsOptions) -> mqtt::TlsError {
        let client = mqtt::Client::new("refused");
        client.tls_set(options).unwrap();
        tls_error(client.connect_and_wait(self.url(), PATIENCE).unwrap_err())
    }

    /// Connects with these options, and sends a message to and fro.
    fn accepted(&self, options: mqtt::TlsOptions) {
        let client = mqtt::Client::new("accepted");
        client.tls_set(options).unwrap();
        client.loop_start().unwrap();
        client.connect_and_wait(self.url(), PATIENCE).unwrap();
        round_trip(&client);
        client.disconnect().unwrap();
        client.loop_stop().unwrap();
    }
}

fn tls_error(error: mqtt::Error) -> mqtt::TlsError {
    match error {
        mqtt::Error::Tls(error) => error,
        other => panic!("{other:?}"),
    }
}

/// Sends a message to itself.
fn round_trip(client: &mqtt::Client) {
    let messages = messages(client);
    client
        .subscribe(("there/and/back", 1))
        .unwrap()
        .wait(PATIENCE)
        .unwrap();
    client.publish_with("there/and/back", "hello", 1, false).unwrap();
    assert_eq!(messages.recv_timeout(PATIENCE).unwrap().payload, "hello");
}
