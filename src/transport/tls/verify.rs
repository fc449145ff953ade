//! Deciding whether a server is the one that was meant.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::certificate::Certificate;

/// What is asked of a server's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ask {
    /// That a trusted CA has signed it, and that it is for the server's name.
    #[default]
    Everything,
    /// That a trusted CA has signed it.
    NotTheName,
    /// Nothing.
    Nothing,
}

/// Verifies certificates, and remembers those that it refuses for the error.
#[derive(Debug)]
pub(super) struct Verifier {
    ask: Ask,
    provider: Arc<CryptoProvider>,
    /// `None` if nothing is asked.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// What the user named as trusted: a server may show one of these itself.
    named: Vec<CertificateDer<'static>>,
}

impl Verifier {
    pub(super) fn new(
        ask: Ask,
        provider: Arc<CryptoProvider>,
        chain: Option<Arc<WebPkiServerVerifier>>,
        named: Vec<CertificateDer<'static>>,
    ) -> Self {
        Self {
            ask,
            provider,
            chain,
            named,
        }
    }

    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        let Some(chain) = &self.chain else {
            return Ok(());
        };
        let verified = chain.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        match verified.map(drop) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.ask == Ask::NotTheName => Ok(()),
            // A certificate that is its own CA is not taken for a server's by the library.
            Err(Error::InvalidCertificate(CertificateError::Other(_) | CertificateError::UnknownIssuer))
                if self.named.iter().any(|named| named == end_entity) =>
            {
                self.verify_named(end_entity, name, now)
            }
            // Which certificate could be one's own CA does not matter where it is not trusted anyway.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if Certificate::read(end_entity).is_some_and(|certificate| certificate.is_self_signed()) =>
            {
                Err(CertificateError::UnknownIssuer.into())
            }
            result => result,
        }
    }

    /// The server has shown a certificate that the user has named as trusted.
    fn verify_named(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let read = Certificate::read(certificate).ok_or(CertificateError::BadEncoding)?;
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if seconds > read.not_after {
            return Err(CertificateError::Expired.into());
        }
        if seconds < read.not_before {
            return Err(CertificateError::NotValidYet.into());
        }
        match self.ask {
            Ask::Everything => rustls::client::verify_server_name(&parsed, name),
            Ask::NotTheName | Ask::Nothing => Ok(()),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let result = self.verify(end_entity, intermediates, name, ocsp, now);
        if let Err(error) = &result {
            let culprit = culprit(error, end_entity, intermediates, now);
            REFUSED.with_borrow_mut(|refused| *refused = culprit);
        }
        result.map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The certificate of the chain that the error is about.
fn culprit(
    error: &Error,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
) -> Option<Certificate> {
    use CertificateError as Kind;

    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let mut chain = std::iter::once(end_entity)
        .chain(intermediates)
        .filter_map(|certificate| Certificate::read(certificate));
    match error {
        Error::InvalidCertificate(Kind::Expired | Kind::ExpiredContext { .. }) => {
            chain.find(|certificate| certificate.not_after < now)
        }
        Error::InvalidCertificate(Kind::NotValidYet | Kind::NotValidYetContext { .. }) => {
            chain.find(|certificate| certificate.not_before > now)
        }
        // The issuer that is missing is that of the last one.
        Error::InvalidCertificate(Kind::UnknownIssuer) => chain.next_back(),
        _ => chain.next(),
    }
}

/// The certificate that the last verification on this thread refused.
pub(super) fn take_refused() -> Option<Certificate> {
    REFUSED.with_borrow_mut(Option::take)
}

thread_local! {
    /// The library's error does not say which certificate it is about, and is made on the thread that handles it.
    static REFUSED: RefCell<Option<Certificate>> = const { RefCell::new(None) };
}
