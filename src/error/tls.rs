//! Why TLS failed.

use std::fmt;
use std::sync::Arc;

/// Why a connection with TLS could not be made or was lost, or what is wrong with the settings of TLS.
///
/// Prints as one line that names the certificate, file or server and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsError {
    /// The kind of failure, to decide by.
    pub reason: TlsReason,
    text: Arc<str>,
}

/// The kinds of failures of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsReason {
    /// Nobody that is trusted has signed the server's certificate: name the right CA.
    UnknownIssuer,
    /// A certificate of the server has expired.
    Expired,
    /// A certificate of the server is not valid yet; perhaps the clock of this machine is wrong.
    NotYetValid,
    /// The server's certificate is for other names than the one that was connected to.
    WrongName,
    /// The server's certificate is not accepted for another reason.
    BadCertificate,
    /// The server wants a certificate of the client, or does not accept the one that it got.
    ClientCertificate,
    /// The server does not speak TLS at this port: it has answered with something else.
    NotTls,
    /// The server speaks TLS at this port, and the client does not.
    TlsExpected,
    /// The server closed the connection in the middle of the handshake. Many do where they do not speak TLS.
    Closed,
    /// The settings cannot be used: a file, a certificate, a key or its password.
    Settings,
    /// The two sides cannot agree, or one of them broke the protocol.
    Protocol,
}

impl TlsError {
    pub(crate) fn new(reason: TlsReason, text: impl Into<Arc<str>>) -> Self {
        Self {
            reason,
            text: text.into(),
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for TlsError {}
