//! The server's side: the peer of the other benchmarks behind TLS, in a process of its own.

use std::io;
use std::sync::Arc;

use bench_peer::Peer;
use compare::Failure;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// Whom the certificate is for.
const HOST: &str = "localhost";

/// The running peer, and how clients speak TLS with it.
pub(crate) struct Server {
    peer: Peer,
    pub(crate) config: Arc<ClientConfig>,
}

impl Server {
    pub(crate) fn start() -> Result<Self, Failure> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([HOST.to_owned()])?;
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone())?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // All users of the machine can see the key: it is for this run only.
        let peer = Peer::start(&[&cert.pem(), &signing_key.serialize_pem()])?;
        Ok(Self {
            peer,
            config: Arc::new(config),
        })
    }

    pub(crate) fn address(&self) -> (&'static str, u16) {
        (HOST, self.peer.port())
    }
}

/// What the peer's process does.
pub(crate) fn run(certificate: &str, key: &str) -> Result<(), Failure> {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let config = Arc::new(config);
    Peer::run(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    })?;
    Ok(())
}
