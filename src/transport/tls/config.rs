//! From the user's options to the library's configuration.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, KeyLogFile, RootCertStore};

use super::key::read_key;
use super::options::{Pem, TlsOptions};
use super::verify::{Ask, Verifier};
use crate::error::{TlsError, TlsReason};

/// How a client speaks TLS, over all of its connections.
pub(crate) struct TlsConfig {
    kind: Kind,
}

enum Kind {
    Options {
        options: TlsOptions,
        hasher: RandomState,
        built: Mutex<Option<Built>>,
    },
    /// The user's own.
    Given(Arc<ClientConfig>),
}

/// What was made from the options. Sessions can be resumed only as long as it stays the same.
struct Built {
    /// Of the contents of the files.
    fingerprint: u64,
    config: Arc<ClientConfig>,
}

/// The contents of what the options name.
#[derive(Hash)]
struct Contents {
    authorities: Vec<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

impl TlsConfig {
    /// Nothing is read yet.
    pub(crate) fn new(options: TlsOptions) -> Self {
        Self {
            kind: Kind::Options {
                options,
                hasher: RandomState::new(),
                built: Mutex::default(),
            },
        }
    }

    pub(crate) fn given(config: Arc<ClientConfig>) -> Self {
        Self {
            kind: Kind::Given(config),
        }
    }

    /// Reads the files, and finds the mistakes.
    pub(crate) fn check(&self) -> Result<(), TlsError> {
        if let Kind::Options { options, .. } = &self.kind {
            if let Some(name) = &options.server_name {
                server_name(name)?;
            }
        }
        self.client_config().map(drop)
    }

    /// The same with another answer to `tls_insecure_set`; `None` if the user's own configuration decides that.
    pub(crate) fn with_insecure(&self, on: bool) -> Option<Self> {
        match &self.kind {
            Kind::Options { options, .. } => Some(Self::new(options.clone().insecure(on))),
            Kind::Given(_) => None,
        }
    }

    /// The name that the server of this host has to show.
    pub(super) fn name(&self, host: Option<&str>) -> Result<ServerName<'static>, TlsError> {
        let given = match &self.kind {
            Kind::Options { options, .. } => options.server_name.as_deref(),
            Kind::Given(_) => None,
        };
        match given.or(host) {
            Some(name) => server_name(name),
            None => Err(TlsError::new(
                TlsReason::Settings,
                "a server without a host's name needs one in the options (server_name)",
            )),
        }
    }

    /// The configuration for the next connection: another one than before if a file has changed.
    pub(super) fn client_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let (options, hasher, built) = match &self.kind {
            Kind::Given(config) => return Ok(Arc::clone(config)),
            Kind::Options {
                options,
                hasher,
                built,
            } => (options, hasher, built),
        };
        let contents = Contents::read(options)?;
        let fingerprint = hasher.hash_one(&contents);
        if let Some(built) = lock(built)
            .as_ref()
            .filter(|built| built.fingerprint == fingerprint)
        {
            return Ok(Arc::clone(&built.config));
        }
        let config = Arc::new(build(options, &contents)?);
        *lock(built) = Some(Built {
            fingerprint,
            config: Arc::clone(&config),
        });
        Ok(config)
    }

    /// Has the next connection read everything again, also the certificates of the system.
    pub(super) fn forget(&self) {
        if let Kind::Options { built, .. } = &self.kind {
            *lock(built) = None;
        }
    }
}

fn lock(built: &Mutex<Option<Built>>) -> MutexGuard<'_, Option<Built>> {
    built.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Contents {
    fn read(options: &TlsOptions) -> Result<Self, TlsError> {
        let authorities = options.authorities.iter().map(read).collect::<Result<_, _>>()?;
        let (certificate, key) = match &options.identity {
            Some((certificate, key)) => (Some(read(certificate)?), Some(read(key)?)),
            None => (None, None),
        };
        Ok(Self {
            authorities,
            certificate,
            key,
        })
    }
}

fn read(pem: &Pem) -> Result<Vec<u8>, TlsError> {
    match pem {
        Pem::File(path) => {
            std::fs::read(path).map_err(|error| settings(format!("cannot read {}: {error}", path.display())))
        }
        Pem::Text(text) => Ok(text.clone()),
    }
}

fn build(options: &TlsOptions, contents: &Contents) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let versions: &[_] = if options.only_tls13 {
        &[&rustls::version::TLS13]
    } else {
        rustls::ALL_VERSIONS
    };
    let (chain, named) = if options.ask == Ask::Nothing {
        (None, Vec::new())
    } else {
        let (roots, named) = trusted(options, contents)?;
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let chain = chain
            .build()
            .map_err(|error| settings(format!("the trusted certificates: {error}")))?;
        (Some(chain), named)
    };
    let verifier = Verifier::new(options.ask, Arc::clone(&provider), chain, named);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| settings(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match (&options.identity, &contents.certificate, &contents.key) {
        (Some((certificate_pem, key_pem)), Some(certificate), Some(key)) => {
            let chain = certificates(certificate_pem, certificate)?;
            let key = read_key(key, options.key_password.as_deref())
                .map_err(|error| settings(format!("{}: {error}", key_pem.name())))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                let (certificate, key) = (certificate_pem.name(), key_pem.name());
                settings(format!(
                    "the certificate {certificate} with the key {key}: {error}"
                ))
            })?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols.clone_from(&options.alpn);
    if options.key_log {
        config.key_log = Arc::new(KeyLogFile::new());
    }
    Ok(config)
}

/// Whom to trust, and those that the user has named.
fn trusted(
    options: &TlsOptions,
    contents: &Contents,
) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsError> {
    let mut roots = RootCertStore::empty();
    let mut named = Vec::new();
    for (pem, text) in options.authorities.iter().zip(&contents.authorities) {
        for certificate in certificates(pem, text)? {
            roots.add(certificate.clone()).map_err(|error| {
                settings(format!("a certificate in {} cannot be used: {error}", pem.name()))
            })?;
            named.push(certificate);
        }
    }
    if options.native_roots.unwrap_or(options.authorities.is_empty()) {
        let native = rustls_native_certs::load_native_certs();
        let (added, ignored) = roots.add_parsable_certificates(native.certs);
        for error in &native.errors {
            log::warn!(target: "callmq", "a trusted certificate of the system cannot be read: {error}");
        }
        log::debug!(target: "callmq", "{added} trusted certificates of the system, {ignored} that cannot be used");
    }
    if roots.is_empty() {
        let text = "there is no certificate to trust: the system has none, so name one (ca_file)";
        return Err(settings(text.to_owned()));
    }
    Ok((roots, named))
}

/// The certificates of a PEM text, at least one.
fn certificates(pem: &Pem, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.map_err(|error| settings(format!("{} is not correct PEM: {error}", pem.name())))?;
    if found.is_empty() {
        return Err(settings(format!(
            "there is no certificate in PEM form in {}",
            pem.name()
        )));
    }
    Ok(found)
}

/// A name or an address, possibly with a zone, in the form that stands in certificates.
fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    let without_zone = bare.split_once('%').map_or(bare, |(address, _)| address);
    ServerName::try_from(without_zone.to_owned())
        .map_err(|_| settings(format!("{host:?} is not a name that a certificate can have")))
}

fn settings(text: String) -> TlsError {
    TlsError::new(TlsReason::Settings, text)
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Options { options, .. } => options.fmt(f),
            Kind::Given(_) => f.write_str("(a configuration of the user's own)"),
        }
    }
}
