//! The ways into a broker, and where a broker listens for each.

use std::fmt;
use std::path::PathBuf;

use callmq::client::{Client, ConnectOptions, TlsOptions};
use layers::Folder;
use layers::certificates::{Authority, Identity};

use crate::mosquitto::free_port;

/// How a client reaches a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Tcp,
    Tls,
    /// TLS, and the broker wants a certificate of the client.
    ClientCertificate,
    Unix,
    WebSocket,
    SecureWebSocket,
}

impl Way {
    pub const ALL: &[Self] = &[
        Self::Tcp,
        Self::Tls,
        Self::ClientCertificate,
        Self::Unix,
        Self::WebSocket,
        Self::SecureWebSocket,
    ];

    /// Whether it goes through TLS.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::ClientCertificate | Self::SecureWebSocket)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::ClientCertificate => "TLS+cert",
            Self::Unix => "unix",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
        })
    }
}

/// Where one broker listens: ports of 127.0.0.1 that are free when it is started, and a socket and certificates in a
/// folder that is gone when the value is.
pub(super) struct Listeners {
    ports: [u16; Way::ALL.len()],
    /// Ports that the broker needs for itself.
    pub(super) own: [u16; 2],
    /// Where the broker has its WebSocket.
    path: &'static str,
    folder: Folder,
    /// Whose certificate the broker shows, and wants to see.
    authority: Authority,
    client: Identity,
}

impl Listeners {
    pub(super) fn new(path: &'static str) -> Self {
        let (folder, authority) = (Folder::new(), Authority::new("Test CA"));
        let server = authority.issue(&["localhost", "127.0.0.1"]);
        folder.file("ca.pem", &authority.pem);
        folder.file("server.pem", &server.certificate);
        folder.file("server.key", &server.key);
        folder.file("both.pem", &(server.key + &server.certificate));
        Self {
            ports: std::array::from_fn(|_| free_port()),
            own: std::array::from_fn(|_| free_port()),
            path,
            client: authority.issue(&["client"]),
            folder,
            authority,
        }
    }

    /// The port for a way in that is by TCP.
    pub(super) fn port(&self, way: Way) -> u16 {
        self.ports[way as usize]
    }

    /// Another port for MQTT over plain TCP, which the broker has chosen itself.
    pub(super) fn set_port(&mut self, port: u16) {
        self.ports[Way::Tcp as usize] = port;
    }

    /// The unix socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// The CA's certificate.
    pub(super) fn ca(&self) -> String {
        self.file("ca.pem")
    }

    /// The server's certificate, and its key.
    pub(super) fn certificate(&self) -> [String; 2] {
        [self.file("server.pem"), self.file("server.key")]
    }

    /// Both in one file.
    pub(super) fn key_and_certificate(&self) -> String {
        self.file("both.pem")
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// What `connect` takes.
    pub(super) fn target(&self, way: Way) -> ConnectOptions {
        let (port, path) = (self.port(way), self.path);
        match way {
            Way::Tcp => ConnectOptions::new(("127.0.0.1", port)),
            Way::Tls | Way::ClientCertificate => ConnectOptions::new(format!("mqtts://127.0.0.1:{port}")),
            Way::Unix => ConnectOptions::unix(self.socket()),
            Way::WebSocket => ConnectOptions::new(format!("ws://127.0.0.1:{port}{path}")),
            Way::SecureWebSocket => ConnectOptions::new(format!("wss://127.0.0.1:{port}{path}")),
        }
    }

    /// Gives a client the certificates that the way needs.
    pub(super) fn equip(&self, client: &Client, way: Way) {
        if !way.is_secure() {
            return;
        }
        let mut options = TlsOptions::new().ca_pem(self.authority.pem.as_str());
        if way == Way::ClientCertificate {
            let Identity { certificate, key } = &self.client;
            options = options.client_certificate_pem(certificate.as_str(), key.as_str());
        }
        client.tls_set(options).expect("the certificates are good");
    }
}
