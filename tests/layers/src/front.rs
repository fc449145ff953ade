//! A TLS server in front of a broker that speaks none: what it decrypts goes on to the broker, and back.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use callmq::testing::Broker;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};

use crate::PATIENCE;
use crate::certificates::Identity;

/// TLS 1.2 only, and TLS 1.3 only.
pub static TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
pub static TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// What the server got to know in a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    pub server_name: Option<String>,
    pub alpn: Option<String>,
    pub resumed: bool,
    pub has_client_certificate: bool,
}

/// What a connection came to.
#[derive(Debug)]
pub enum Event {
    Handshake(Handshake),
    /// The handshake failed.
    Failed(String),
    /// The client closed the connection: in the way of TLS, or not.
    Closed {
        properly: bool,
    },
}

/// The settings of a server.
#[derive(Clone)]
pub struct Settings {
    pub identity: Identity,
    /// Whose certificates clients have to show.
    pub client_authority: Option<String>,
    pub alpn: Vec<&'static str>,
    pub versions: &'static [&'static SupportedProtocolVersion],
    /// After each so many bytes from the broker, new keys (TLS 1.3).
    pub new_keys_after: Option<usize>,
}

impl Settings {
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            client_authority: None,
            alpn: Vec::new(),
            versions: rustls::ALL_VERSIONS,
            new_keys_after: None,
        }
    }

    /// The settings as the library has them.
    pub fn config(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.versions)
            .unwrap();
        let builder = match &self.client_authority {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
                    .unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let mut config = builder
            .with_single_cert(self.identity.chain(), self.identity.private_key())
            .unwrap();
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// The server: it listens until the process ends.
pub struct Front {
    address: SocketAddr,
    now: Arc<Mutex<(Settings, Arc<ServerConfig>)>>,
    events: Receiver<Event>,
}

impl Front {
    pub fn new(broker: &Broker, settings: Settings) -> Self {
        Self::before(broker.address(), settings)
    }

    /// In front of a server that is not a broker itself.
    pub fn before(target: SocketAddr, settings: Settings) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let config = settings.config();
        let now = Arc::new(Mutex::new((settings, config)));
        let (sender, events) = mpsc::channel();
        let current = Arc::clone(&now);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (settings, config) = current.lock().unwrap().clone();
                let sender = sender.clone();
                thread::spawn(move || serve(client, target, &settings, config, &sender));
            }
        });
        Self { address, now, events }
    }

    /// Other settings for the connections to come.
    pub fn set(&self, settings: Settings) {
        let config = settings.config();
        *self.now.lock().unwrap() = (settings, config);
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next event.
    pub fn next(&self) -> Event {
        self.events.recv_timeout(PATIENCE).expect("nothing happened")
    }

    /// The next event, which is a handshake that succeeded.
    pub fn handshake(&self) -> Handshake {
        match self.next() {
            Event::Handshake(handshake) => handshake,
            other => panic!("{other:?}"),
        }
    }
}

fn serve(
    mut client: TcpStream,
    target: SocketAddr,
    settings: &Settings,
    config: Arc<ServerConfig>,
    events: &Sender<Event>,
) {
    let mut connection = ServerConnection::new(config).unwrap();
    client.set_nodelay(true).unwrap();
    while connection.is_handshaking() {
        if let Err(error) = connection.complete_io(&mut client) {
            // The alert.
            let _ = connection.write_tls(&mut client);
            let _ = events.send(Event::Failed(error.to_string()));
            return;
        }
    }
    let handshake = Handshake {
        server_name: connection.server_name().map(str::to_owned),
        alpn: connection
            .alpn_protocol()
            .map(|name| String::from_utf8(name.to_vec()).unwrap()),
        resumed: connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        has_client_certificate: connection.peer_certificates().is_some(),
    };
    let _ = events.send(Event::Handshake(handshake));
    let broker = TcpStream::connect(target).unwrap();
    broker.set_nodelay(true).unwrap();
    let connection = Arc::new(Mutex::new(connection));
    let back = {
        let (connection, client) = (Arc::clone(&connection), client.try_clone().unwrap());
        let (broker, new_keys_after) = (broker.try_clone().unwrap(), settings.new_keys_after);
        thread::spawn(move || send(&connection, broker, client, new_keys_after))
    };
    let properly = receive(&connection, &mut client, broker);
    let _ = events.send(Event::Closed { properly });
    let _ = back.join();
}

/// From the client to the broker: whether the client said goodbye.
fn receive(connection: &Mutex<ServerConnection>, client: &mut TcpStream, mut broker: TcpStream) -> bool {
    let mut records = vec![0; 64 * 1024];
    // Something may have come together with the end of the handshake.
    let mut left: &[u8] = &[];
    let properly = 'connection: loop {
        loop {
            let mut connection = connection.lock().unwrap();
            let Ok(state) = connection.process_new_packets() else {
                break 'connection false;
            };
            let mut plain = vec![0; state.plaintext_bytes_to_read()];
            connection.reader().read_exact(&mut plain).unwrap();
            let more = !left.is_empty();
            if more {
                connection.read_tls(&mut left).unwrap();
            }
            drop(connection);
            if broker.write_all(&plain).is_err() {
                break 'connection false;
            }
            if state.peer_has_closed() {
                break 'connection true;
            }
            if !more {
                break;
            }
        }
        let Ok(count @ 1..) = client.read(&mut records) else {
            break false;
        };
        left = &records[..count];
    };
    let _ = broker.shutdown(Shutdown::Write);
    properly
}

/// From the broker to the client.
fn send(
    connection: &Mutex<ServerConnection>,
    mut broker: TcpStream,
    mut client: TcpStream,
    new_keys_after: Option<usize>,
) {
    let mut plain = vec![0; 32 * 1024];
    let mut since = 0;
    while let Ok(count @ 1..) = broker.read(&mut plain) {
        let mut connection = connection.lock().unwrap();
        since += count;
        if new_keys_after.is_some_and(|most| since >= most) {
            since = 0;
            connection.refresh_traffic_keys().unwrap();
        }
        connection.writer().write_all(&plain[..count]).unwrap();
        if flush(&mut connection, &mut client).is_err() {
            return;
        }
    }
    let mut connection = connection.lock().unwrap();
    connection.send_close_notify();
    let _ = flush(&mut connection, &mut client);
    let _ = client.shutdown(Shutdown::Write);
}

fn flush(connection: &mut ServerConnection, client: &mut TcpStream) -> io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(client)?;
    }
    Ok(())
}
