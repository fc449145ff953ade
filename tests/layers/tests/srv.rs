//! SRV records of servers that speak TLS.

#[path = "../../support/name_server.rs"]
mod name_server;

use callmq::client::{self as mqtt, ConnectOptions};
use callmq::testing::Broker;
use layers::PATIENCE;
use layers::certificates::Authority;
use layers::front::{Front, Settings};
use name_server::{NameServer, Reply};

/// The name of the service is another one, and the certificate is for the host that the record names.
#[test]
fn with_tls_the_secure_service_is_looked_up() {
    let authority = Authority::new("Test CA");
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    let front = Front::new(&broker, Settings::new(authority.issue(&["localhost"])));
    let records = |target| Reply::Records(vec![(0, 0, front.port(), target)]);
    let names = NameServer::new(records("localhost"));
    let client = mqtt::Client::new("srv");
    client
        .tls_set(mqtt::TlsOptions::new().ca_pem(authority.pem.as_str()))
        .unwrap();
    let options = ConnectOptions::srv("example.com").name_server(names.address);
    client.connect_and_wait(&options, PATIENCE).unwrap();
    assert_eq!(names.asked(), ["_secure-mqtt._tcp.example.com"]);
    names.set(records("127.0.0.1"));
    let error = client.connect(&options).unwrap_err();
    assert!(
        matches!(&error, mqtt::Error::Tls(error) if error.reason == mqtt::TlsReason::WrongName),
        "{error:?}"
    );
}
