//! From the errors of the TLS library to those of this crate: which certificate, and why.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

use super::certificate::Certificate;
use super::verify;
use crate::error::{TlsError, TlsReason};

/// Why a connection can no longer be used.
#[derive(Debug)]
pub(super) enum Failure {
    Tls(TlsError),
    Io(io::Error),
}

impl Failure {
    /// The failure of a connection to the server of this name, on the thread that noticed it.
    pub(super) fn new(error: Error, name: &str) -> Self {
        Self::Tls(explain(&error, name, verify::take_refused()))
    }

    pub(super) fn to_error(&self) -> io::Error {
        match self {
            Self::Tls(error) => io::Error::new(io::ErrorKind::InvalidData, error.clone()),
            Self::Io(error) => match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(error.kind(), error.to_string()),
            },
        }
    }
}

/// `refused` is the certificate that was not accepted, as far as it could be read.
fn explain(error: &Error, name: &str, refused: Option<Certificate>) -> TlsError {
    match error {
        Error::InvalidCertificate(why) => {
            let (reason, why) = explain_certificate(why);
            let whose = match refused {
                Some(certificate) => format!("the certificate of {name} ({certificate})"),
                None => format!("the certificate of {name}"),
            };
            TlsError::new(reason, format!("{whose} {why}"))
        }
        Error::AlertReceived(alert) => explain_alert(*alert, name),
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => {
            // What is no record at all comes from a server that speaks something else.
            let text = format!("{name} does not speak TLS at this port, or not correctly: {error}");
            TlsError::new(TlsReason::NotTls, text)
        }
        other => TlsError::new(TlsReason::Protocol, format!("with {name}: {other}")),
    }
}

fn explain_certificate(error: &CertificateError) -> (TlsReason, String) {
    use CertificateError as Kind;

    let reason = match error {
        Kind::UnknownIssuer => {
            let text = "is signed by an unknown issuer: none of the trusted CA certificates has signed it";
            return (TlsReason::UnknownIssuer, text.to_owned());
        }
        Kind::Expired | Kind::ExpiredContext { .. } => TlsReason::Expired,
        Kind::NotValidYet | Kind::NotValidYetContext { .. } => TlsReason::NotYetValid,
        Kind::NotValidForName | Kind::NotValidForNameContext { .. } => TlsReason::WrongName,
        _ => TlsReason::BadCertificate,
    };
    // These texts of the library begin with the word itself.
    let text = error.to_string();
    let why = match text.strip_prefix("certificate ") {
        Some(rest) if rest.starts_with("not valid") => format!("is {rest}"),
        Some(rest) if rest.starts_with("expired") => format!("has {rest}"),
        _ => format!("is not accepted: {text}"),
    };
    (reason, why)
}

fn explain_alert(alert: AlertDescription, name: &str) -> TlsError {
    use AlertDescription as Alert;

    let word = alert.as_str().unwrap_or("unknown alert");
    let (reason, why) = match alert {
        Alert::CertificateRequired => (TlsReason::ClientCertificate, "wants a certificate of this client"),
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => (
            TlsReason::ClientCertificate,
            "does not accept the certificate of this client",
        ),
        Alert::HandshakeFailure => {
            let why = "refuses the handshake: nothing in common, or it wants a certificate of this client";
            (TlsReason::Protocol, why)
        }
        Alert::ProtocolVersion => (TlsReason::Protocol, "speaks neither TLS 1.2 nor TLS 1.3"),
        Alert::NoApplicationProtocol => (
            TlsReason::Protocol,
            "speaks none of the protocols that ALPN offers",
        ),
        Alert::UnrecognisedName => (
            TlsReason::WrongName,
            "does not know the name that it was asked for (SNI)",
        ),
        _ => (TlsReason::Protocol, "ended the connection"),
    };
    TlsError::new(reason, format!("{name} {why} (alert {word})"))
}
