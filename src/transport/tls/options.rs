//! What the user can say about TLS.

use std::fmt;
use std::path::PathBuf;

use super::verify::Ask;

/// How to speak TLS: whom to trust, and who the client is.
///
/// Without anything said, servers are trusted whose certificate a CA of the system has signed, for the name that was
/// connected to. TLS 1.3 and 1.2 are spoken. Files are read when the options are set and looked at again at each
/// connection, so that certificates can be replaced while the program runs.
///
/// ```no_run
/// use callmq::client::{Client, TlsOptions};
///
/// # fn main() -> callmq::Result<()> {
/// let client = Client::new("meter");
/// client.tls_set(
///     TlsOptions::new()
///         .ca_file("ca.pem")
///         .client_certificate("meter.pem", "meter.key")
///         .key_password("secret")
///         .alpn(["mqtt"]),
/// )?;
/// client.connect("mqtts://broker.example.com")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct TlsOptions {
    pub(super) authorities: Vec<Pem>,
    pub(super) native_roots: Option<bool>,
    pub(super) identity: Option<(Pem, Pem)>,
    pub(super) key_password: Option<String>,
    pub(super) alpn: Vec<Vec<u8>>,
    pub(super) server_name: Option<String>,
    pub(super) ask: Ask,
    pub(super) only_tls13: bool,
    pub(super) key_log: bool,
}

/// Where PEM text is.
#[derive(Clone)]
pub(super) enum Pem {
    File(PathBuf),
    Text(Vec<u8>),
}

impl TlsOptions {
    /// Trusts the CAs of the system.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the CA certificates of a PEM file, one or many, in place of those of the system. May be called more than
    /// once.
    ///
    /// A certificate that a server has signed itself can stand there as well.
    #[must_use]
    #[doc(alias = "ca_certs")]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.authorities.push(Pem::File(path.into()));
        self
    }

    /// As [`ca_file`](Self::ca_file), with the text itself.
    #[must_use]
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities.push(Pem::Text(pem.into()));
        self
    }

    /// Sets whether the CAs of the system are trusted. Defaults to `true` unless a CA is named.
    ///
    /// They are those that OpenSSL would use (also by `SSL_CERT_FILE` and `SSL_CERT_DIR`), on macOS and Windows those of
    /// the system's store.
    #[must_use]
    pub fn native_roots(mut self, on: bool) -> Self {
        self.native_roots = Some(on);
        self
    }

    /// Shows the server a certificate of the client: the PEM files of the certificate, with those that lead to its CA
    /// behind it, and of its private key.
    ///
    /// The key may be in PKCS#8, also encrypted (see [`key_password`](Self::key_password)), SEC1 or PKCS#1 form. Both may
    /// be in one file.
    #[must_use]
    #[doc(alias = "certfile")]
    #[doc(alias = "keyfile")]
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((Pem::File(certificate.into()), Pem::File(key.into())));
        self
    }

    /// As [`client_certificate`](Self::client_certificate), with the texts themselves.
    #[must_use]
    pub fn client_certificate_pem(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.identity = Some((Pem::Text(certificate.into()), Pem::Text(key.into())));
        self
    }

    /// Sets the password of the client's private key, if that is encrypted: PKCS#8 with PBES2, which is what OpenSSL
    /// makes since 1.1. Older forms are refused, with the command that converts them.
    #[must_use]
    #[doc(alias = "keyfile_password")]
    pub fn key_password(mut self, password: impl Into<String>) -> Self {
        self.key_password = Some(password.into());
        self
    }

    /// Offers these protocols to the server (ALPN), the best first. Some cloud brokers want it to share one port.
    #[must_use]
    #[doc(alias = "alpn_protocols")]
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        let protocols = protocols.into_iter();
        self.alpn = protocols.map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// Asks for this name (SNI), and wants it in the server's certificate, in place of the host that is connected to. A
    /// name or an IP address.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Sets whether the name in the server's certificate does not matter; who has signed it does. Defaults to `false`.
    ///
    /// Anybody with a certificate of a trusted CA can then play the server: with the CAs of the system that is anybody.
    #[must_use]
    pub fn insecure(mut self, on: bool) -> Self {
        self.ask = if on { Ask::NotTheName } else { Ask::Everything };
        self
    }

    /// Accepts whatever certificate a server shows: the connection is encrypted, but anybody may be at its other end and
    /// read everything. For tests.
    #[must_use]
    #[doc(alias = "cert_reqs")]
    #[doc(alias = "CERT_NONE")]
    pub fn danger_accept_any_certificate(mut self) -> Self {
        self.ask = Ask::Nothing;
        self
    }

    /// Speaks TLS 1.3 only. Defaults to `false`.
    #[must_use]
    #[doc(alias = "tls_version")]
    pub fn only_tls13(mut self, on: bool) -> Self {
        self.only_tls13 = on;
        self
    }

    /// Writes the secrets of each connection to the file that the environment variable `SSLKEYLOGFILE` names, so that
    /// Wireshark and the like can read what was recorded. Defaults to `false`: the variable alone does nothing.
    #[must_use]
    pub fn key_log(mut self, on: bool) -> Self {
        self.key_log = on;
        self
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("authorities", &self.authorities)
            .field("native_roots", &self.native_roots)
            .field("identity", &self.identity)
            .field("server_name", &self.server_name)
            .field("ask", &self.ask)
            // Not the password.
            .finish_non_exhaustive()
    }
}

impl Pem {
    /// What it is called in errors.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Text(_) => "the PEM text given".to_owned(),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            // It may be a private key.
            Self::Text(_) => f.write_str("(text)"),
        }
    }
}
