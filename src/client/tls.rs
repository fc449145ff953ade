//! TLS under its paho names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::shared::Core;
use super::{Client, Server};
use crate::error::{Error, Result};
use crate::transport::{TlsConfig, TlsOptions};

/// What a client was told about TLS.
#[derive(Debug, Default)]
pub(crate) struct TlsSettings {
    /// For every server.
    set: Option<Arc<TlsConfig>>,
    /// For servers whose URL asks for TLS, while nothing is set.
    default: Option<Arc<TlsConfig>>,
}

/// TLS. Needs the feature `tls`.
impl Client {
    /// Speaks TLS with every server from the next connection on. Verifies by default, as paho-mqtt does.
    ///
    /// | Python | Rust |
    /// |---|---|
    /// | `tls_set()` | `tls_set(())` |
    /// | `tls_set("ca.pem")` | the same |
    /// | `tls_set("ca.pem", "cert.pem", "key.pem")` | `tls_set(("ca.pem", "cert.pem", "key.pem"))` |
    /// | `keyfile_password=".."`, `alpn_protocols=[..]`, `cert_reqs=ssl.CERT_NONE` | [`TlsOptions`] |
    /// | `ciphers=".."` | [`tls_set_context`](Self::tls_set_context) |
    ///
    /// The port stays 1883 unless another is given; URLs with `mqtts://` have 8883, and speak TLS with the CAs of the
    /// system where nothing is set. May be called again, with other options. Files are read now, to find mistakes, and
    /// when they have changed again at each connection.
    ///
    /// A handshake that fails ends the attempt to connect with [`Error::Tls`], which says which certificate is not accepted
    /// and why. Streams of your own and unix sockets get TLS as well, and need [`TlsOptions::server_name`].
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] for files that cannot be read or used; nothing is changed then.
    ///
    /// ```no_run
    /// use callmq::client::Client;
    ///
    /// # fn main() -> callmq::Result<()> {
    /// let client = Client::new("meter");
    /// client.tls_set(("ca.pem", "meter.pem", "meter.key"))?;
    /// client.connect(("broker.example.com", 8883))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tls_set(&self, options: impl IntoTls) -> Result<()> {
        let config = TlsConfig::new(options.into_tls());
        config.check()?;
        self.shared().lock().tls.set = Some(Arc::new(config));
        Ok(())
    }

    /// Speaks TLS with every server as this configuration says: for keys in hardware, ciphers, verifiers of your own and
    /// whatever else [`rustls`] can do. Takes effect at the next connection.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use callmq::client::Client;
    /// use callmq::rustls::{ClientConfig, RootCertStore, crypto::ring};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
    ///     .with_safe_default_protocol_versions()?
    ///     .with_root_certificates(RootCertStore::empty())
    ///     .with_no_client_auth();
    /// Client::new("meter").tls_set_context(Arc::new(config));
    /// # Ok(())
    /// # }
    /// ```
    pub fn tls_set_context(&self, config: Arc<rustls::ClientConfig>) {
        self.shared().lock().tls.set = Some(Arc::new(TlsConfig::given(config)));
    }

    /// Sets whether the name in the server's certificate does not matter, as [`TlsOptions::insecure`] does. Comes after
    /// [`tls_set`](Self::tls_set), and takes effect at the next connection.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidState`] before `tls_set`, and after [`tls_set_context`](Self::tls_set_context): there the
    /// configuration decides.
    pub fn tls_insecure_set(&self, on: bool) -> Result<()> {
        let mut core = self.shared().lock();
        let set = core.tls.set.as_ref();
        let set = set.ok_or(Error::InvalidState("tls_set comes before tls_insecure_set"))?;
        let set = set.with_insecure(on).ok_or(Error::InvalidState(
            "the configuration given to tls_set_context decides how servers are verified",
        ))?;
        core.tls.set = Some(Arc::new(set));
        Ok(())
    }
}

impl TlsSettings {
    /// Whether every server is spoken to with TLS.
    #[cfg(feature = "srv")]
    pub(super) fn is_set(&self) -> bool {
        self.set.is_some()
    }
}

impl Core {
    /// How to speak TLS with a server, if at all.
    pub(super) fn tls_for(&mut self, server: &Server) -> Option<Arc<TlsConfig>> {
        let settings = &mut self.tls;
        match &settings.set {
            Some(set) => Some(Arc::clone(set)),
            None if server.parts().scheme.tls => {
                let default = || Arc::new(TlsConfig::new(TlsOptions::default()));
                Some(Arc::clone(settings.default.get_or_insert_with(default)))
            }
            None => None,
        }
    }
}

/// What [`Client::tls_set`] takes: nothing, `()`, for the CAs of the system; the path of a file with CA certificates; that
/// and the paths of the client's certificate and key; or [`TlsOptions`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how to speak TLS",
    label = "not for TLS",
    note = "write (), \"ca.pem\", (\"ca.pem\", \"cert.pem\", \"key.pem\") or `TlsOptions`"
)]
pub trait IntoTls {
    /// Converts it.
    fn into_tls(self) -> TlsOptions;
}

impl IntoTls for TlsOptions {
    fn into_tls(self) -> TlsOptions {
        self
    }
}

impl IntoTls for &TlsOptions {
    fn into_tls(self) -> TlsOptions {
        self.clone()
    }
}

impl IntoTls for () {
    fn into_tls(self) -> TlsOptions {
        TlsOptions::new()
    }
}

macro_rules! files {
    ($($path:ty),*) => {$(
        impl IntoTls for $path {
            fn into_tls(self) -> TlsOptions {
                TlsOptions::new().ca_file(self)
            }
        }
    )*};
}

files!(&str, String, &String, &Path, PathBuf, &PathBuf);

impl<A: Into<PathBuf>, C: Into<PathBuf>, K: Into<PathBuf>> IntoTls for (A, C, K) {
    fn into_tls(self) -> TlsOptions {
        let (authorities, certificate, key) = self;
        TlsOptions::new()
            .ca_file(authorities)
            .client_certificate(certificate, key)
    }
}
