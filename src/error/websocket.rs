//! Why a WebSocket failed.

use std::fmt;
use std::sync::Arc;

/// Why a WebSocket could not be opened, or was closed.
///
/// Prints as one line with what the server said: the status and the beginning of its answer, or its close code and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebSocketError {
    /// The kind of failure, to decide by.
    pub reason: WebSocketReason,
    text: Arc<str>,
}

/// The kinds of failures of WebSocket (RFC 6455).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WebSocketReason {
    /// The server refused the upgrade with this HTTP status: 401 and 403 want other credentials (a header), 404 another
    /// path. Redirects, 301 to 308, are not followed: connect to where they point.
    Refused(u16),
    /// The server does not speak HTTP at this port, or speaks TLS and the client does not.
    NotHttp,
    /// The server's answer to the upgrade is not one of WebSocket.
    BadAnswer,
    /// The server took the upgrade, but not for MQTT: it named no sub-protocol, or another one than it was asked for.
    SubProtocol,
    /// The server closed the connection in the middle of the handshake. Many do where they do not speak WebSocket.
    HandshakeEnded,
    /// The application's function that makes the headers panicked.
    Headers,
    /// The server closed the WebSocket with this code (RFC 6455, section 7.4): 1000 is a normal closure, 1001 one of a
    /// server that goes away. 1005 stands for a close frame without a code.
    Closed(u16),
    /// The server sent text, and MQTT is binary.
    Text,
    /// The server broke the rules of WebSocket.
    Protocol,
}

impl WebSocketError {
    #[cfg_attr(
        not(feature = "websocket"),
        allow(dead_code, reason = "tests have it all the same")
    )]
    pub(crate) fn new(reason: WebSocketReason, text: impl Into<Arc<str>>) -> Self {
        Self {
            reason,
            text: text.into(),
        }
    }
}

impl fmt::Display for WebSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for WebSocketError {}
