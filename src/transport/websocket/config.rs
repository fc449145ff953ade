//! How to ask for a WebSocket.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;

/// Makes the headers of a handshake: names and values, which were checked. It runs on the thread that connects.
pub(crate) type Headers = Arc<dyn Fn() -> Result<Vec<(String, String)>> + Send + Sync>;

/// How to ask for a WebSocket.
#[derive(Clone)]
pub(crate) struct WebSocketConfig {
    /// The path, possibly with a query, as it is sent.
    pub(crate) path: String,
    /// The sub-protocol to ask for, and to accept.
    pub(crate) protocol: &'static str,
    /// What is sent in addition; none for nothing.
    pub(crate) headers: Option<Headers>,
}

/// Headers and the query of the path may have secrets.
impl fmt::Debug for WebSocketConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketConfig")
            .field("path", &self.path.split('?').next())
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

/// # Errors
///
/// What is wrong with the path.
pub(crate) fn check_path(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("must begin with /");
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err("must be of visible ASCII characters, others percent-encoded, without a fragment");
    }
    Ok(())
}

/// # Errors
///
/// What is wrong with one of the headers.
pub(crate) fn check_headers(headers: &[(String, String)]) -> Result<(), &'static str> {
    for (name, value) in headers {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            return Err("must have names as HTTP allows them");
        }
        let name = name.to_ascii_lowercase();
        if RESERVED.contains(&name.as_str()) || name.starts_with("sec-websocket-") {
            return Err("must not be those of the handshake itself");
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err("must have values without control characters");
        }
    }
    Ok(())
}

/// Headers that the handshake has, or that would give it a body.
const RESERVED: [&str; 4] = ["connection", "content-length", "transfer-encoding", "upgrade"];
