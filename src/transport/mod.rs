//! Byte streams to a server: finding it, connecting with one deadline, reading and writing without blocking.
//!
//! Owns everything between a [`Target`] and a connected [`Socket`]: the name look-up, the race of its addresses, the
//! options of the socket, the readiness of the stream. Knows nothing of MQTT, never retries after a loss, and has no
//! thread of its own (apart from the one that looks up a name). The client's network loop is its only caller.
//!
//! ```text
//! Target --dial--> look-up --> race of addresses --> Socket <--register-- the loop's Poll
//!                     ^              ^
//!                     +--- Cancel ---+
//! ```
//!
//! A [`Socket`] is an endpoint (TCP, a unix socket, a stream of the user's own) and the layers that change the bytes on
//! their way (TLS, WebSocket, or one over the other). Their handshakes, and that of a proxy, are steps of [`dial()`], under
//! the same deadline and the same [`Cancel`].

mod answer;
mod cancel;
mod dial;
#[cfg(feature = "srv")]
mod dns;
mod endpoint;
mod layer;
mod lookup;
mod options;
#[cfg(any(feature = "tls", feature = "websocket"))]
mod outgoing;
mod proxy;
mod race;
mod socket;
mod stream;
mod talk;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
#[cfg(unix)]
mod unix;
mod wait;
#[cfg(feature = "websocket")]
mod websocket;

pub(crate) use cancel::Cancel;
pub(crate) use dial::dial;
#[cfg(feature = "srv")]
pub(crate) use dns::{check_name, look_up_srv};
pub(crate) use options::{Connector, DialOptions, Target};
pub(crate) use proxy::{Proxy, ProxyKind};
pub(crate) use socket::Socket;
pub use stream::{Stream, Waker};
#[cfg(feature = "tls")]
pub(crate) use tls::TlsConfig;
#[cfg(feature = "tls")]
pub use tls::TlsOptions;
#[cfg(feature = "websocket")]
pub(crate) use websocket::{Headers, WebSocketConfig, check_headers, check_path};
