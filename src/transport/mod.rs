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
//! What changes the bytes on their way (TLS, WebSocket) is a layer between the socket and the decoder; it belongs
//! beside [`Socket`], not in it. Another kind of endpoint (a unix socket) is one more variant of [`Socket`] and of
//! [`Target`]; a proxy is one more step of [`dial()`], under the same deadline and the same [`Cancel`].

mod cancel;
mod dial;
mod lookup;
mod options;
mod race;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod wait;

pub(crate) use cancel::Cancel;
pub(crate) use dial::dial;
pub(crate) use options::{Connector, DialOptions, Target};
pub(crate) use socket::Socket;
pub use stream::{Stream, Waker};
