//! Making a client.

use super::clock::{Clock, TimeSource};
use super::shared::Shared;
use super::{Client, ProtocolVersion, Transport};
use crate::session::{IncomingLimit, OfflineQueue, Settings};

/// Settings for a new [`Client`], made by [`Client::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder makes no client until `build` is called"]
pub struct ClientBuilder {
    settings: Settings,
    time: TimeSource,
    transport: Transport,
    reconnect_on_failure: bool,
    manual_ack: bool,
    max_packet_size: Option<u32>,
}

impl ClientBuilder {
    pub(super) fn new(client_id: String) -> Self {
        Self {
            settings: Settings {
                client_id,
                ..Settings::default()
            },
            time: TimeSource::System,
            transport: Transport::Tcp,
            reconnect_on_failure: true,
            manual_ack: false,
            max_packet_size: None,
        }
    }

    /// Sets whether the server forgets subscriptions and messages when the connection ends.
    ///
    /// Defaults to `true`. A lasting session needs a client id. In MQTT 5.0 this is Clean Start; how long the session
    /// lasts is the property `SessionExpiryInterval` of
    /// [`ConnectOptions::properties`](super::ConnectOptions::properties).
    pub fn clean_session(mut self, clean: bool) -> Self {
        self.settings.clean_start = clean;
        self
    }

    /// Sets the version of MQTT. Defaults to 3.1.1.
    pub fn protocol(mut self, version: ProtocolVersion) -> Self {
        self.settings.version = version;
        self
    }

    /// Sets what carries the connection. Defaults to TCP, the only one so far: `connect` refuses the others with
    /// [`Error::NotSupported`](super::Error::NotSupported).
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Sets whether the loops connect again after a failure. Defaults to `true`.
    pub fn reconnect_on_failure(mut self, on: bool) -> Self {
        self.reconnect_on_failure = on;
        self
    }

    /// Sets whether the application acknowledges messages itself, see [`Client::ack`]. Defaults to `false`.
    pub fn manual_ack(mut self, on: bool) -> Self {
        self.manual_ack = on;
        self
    }

    /// Sets the bounds of the outgoing queue, see [`OfflineQueue`].
    pub fn offline_queue(mut self, queue: OfflineQueue) -> Self {
        self.settings.queue = queue;
        self
    }

    /// Sets how many encoded bytes may wait for the socket. Defaults to 262,144.
    ///
    /// While the peer is slower than the application and this much waits, `publish` waits for room, and once the peer
    /// takes nothing at all messages go to the queue. Answers to the server count as well: one that does not read them
    /// is not read from either. A packet larger than the limit is sent all the same, alone.
    ///
    /// ```
    /// let client = callmq::client::Client::builder("small").output_limit(16 * 1024).build();
    /// # drop(client);
    /// ```
    pub fn output_limit(mut self, bytes: usize) -> Self {
        self.settings.output_limit = bytes.max(1);
        self
    }

    /// Sets how much of received messages of QoS 2 is kept until the server releases them: see [`IncomingLimit`].
    pub fn incoming_limit(mut self, limit: IncomingLimit) -> Self {
        self.settings.incoming_limit = limit;
        self
    }

    /// Sets the largest packet that is accepted, in bytes.
    ///
    /// A server that sends a larger one is disconnected before any memory is taken for it. Defaults to what the
    /// protocol allows, 268,435,460. The server is not told.
    pub fn max_packet_size(mut self, bytes: u32) -> Self {
        self.max_packet_size = Some(bytes);
        self
    }

    /// Takes the time from a clock that is moved by hand: see [`Clock`].
    ///
    /// Nothing then waits in real time: a turn of the loop does what there is to do and returns, and a call that waits
    /// returns [`Error::Timeout`](super::Error::Timeout) when nothing is left to do.
    #[cfg_attr(not(feature = "testing"), doc(hidden))]
    #[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.time = TimeSource::Manual(clock.clone());
        self
    }

    /// Makes the client. Nothing is connected yet.
    pub fn build(self) -> Client {
        let shared = Shared::new(self.settings, self.time);
        {
            let mut core = shared.lock();
            core.reconnect_on_failure = self.reconnect_on_failure;
            core.manual_ack = self.manual_ack;
            core.max_packet_size = self.max_packet_size;
            core.transport = self.transport;
        }
        Client {
            shared,
            counted: true,
        }
    }
}
