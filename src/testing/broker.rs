//! The handle of a broker.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Clock;
use super::builder::BrokerBuilder;
use super::in_process::InProcessStream;
use super::listen::{Server, WAKER};
use super::options::Options;
use super::shared::{LogListener, Shared};
use crate::client::clock::TimeSource;
use crate::client::{ConnectOptions, IntoConnect, IntoPayload, IntoQos, Stream};
use crate::codec::{PacketType, Properties, Publish, ReasonCode, Subscription, TopicName};
use crate::error::{Error, Result};

/// A broker in this process. Dropping it closes its port and all connections, and ends its thread.
///
/// See the [module](super) for what it is meant for.
#[derive(Debug)]
pub struct Broker {
    shared: Arc<Shared>,
    clock: Option<Clock>,
    address: SocketAddr,
    _server: Option<Server>,
}

impl Broker {
    /// Starts a broker without a port, with the default settings: clients in this process connect to it with
    /// `client.connect(&broker)`.
    ///
    /// The broker works inside the calls of its clients, has no thread, and its time is that of [`clock`](Self::clock),
    /// which stands still until the test moves it.
    ///
    /// ```
    /// use callmq::client::Client;
    /// use callmq::testing::Broker;
    ///
    /// let broker = Broker::new();
    /// let client = Client::new("sensor");
    /// client.connect_and_wait(&broker, 1)?;
    /// client.publish_with("house/sensor1", 21.5, 1, true)?.wait_for_publish(1)?;
    /// assert_eq!(broker.retained("house/sensor1").as_deref(), Some(&b"21.5"[..]));
    /// # Ok::<(), callmq::Error>(())
    /// ```
    #[allow(
        clippy::new_without_default,
        reason = "a running broker is not a default value"
    )]
    pub fn new() -> Self {
        Self::builder().in_process()
    }

    /// Starts a broker that serves a TCP address in a thread of its own, with the default settings. Port 0 stands for
    /// any free one: [`port`](Self::port) tells which.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the address is taken or is not one of this machine.
    pub fn listen(address: impl ToSocketAddrs) -> Result<Self> {
        Self::builder().listen(address)
    }

    /// Starts with the settings of a broker.
    pub fn builder() -> BrokerBuilder {
        BrokerBuilder::default()
    }

    pub(super) fn start_in_process(options: Options, clock: Clock, log: Option<LogListener>) -> Self {
        Self {
            shared: Arc::new(Shared::new(options, TimeSource::Manual(clock.clone()), log, None)),
            clock: Some(clock),
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            _server: None,
        }
    }

    pub(super) fn start_listening(
        options: Options,
        time: TimeSource,
        log: Option<LogListener>,
        address: impl ToSocketAddrs,
    ) -> Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let poll = mio::Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKER)?;
        let clock = match &time {
            TimeSource::Manual(clock) => Some(clock.clone()),
            TimeSource::System => None,
        };
        let shared = Arc::new(Shared::new(options, time, log, Some(waker)));
        let server = Server::start(
            Arc::clone(&shared),
            mio::net::TcpListener::from_std(listener),
            poll,
        )?;
        Ok(Self {
            shared,
            clock,
            address,
            _server: Some(server),
        })
    }

    /// The address that the broker serves; `0.0.0.0:0` if it has no port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port that the broker serves; 0 if it has none.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The clock that the broker follows, unless it follows the system's.
    pub fn clock(&self) -> Option<&Clock> {
        self.clock.as_ref()
    }

    /// Opens a connection in this process, also to a broker that serves a port. No packet was exchanged on it yet.
    ///
    /// Clients do this by themselves with `client.connect(&broker)`; a test can play the client with it, byte by byte.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] while the broker is [not reachable](Self::set_reachable).
    pub fn open(&self) -> Result<Arc<dyn Stream>> {
        Ok(InProcessStream::open(&Arc::downgrade(&self.shared))?)
    }

    // ---- acting ----

    /// Publishes a message as if a client had sent it.
    ///
    /// ```
    /// use callmq::testing::Broker;
    ///
    /// let broker = Broker::new();
    /// broker.publish("house/light", "on", 1, true)?;
    /// assert_eq!(broker.retained("house/light").as_deref(), Some(&b"on"[..]));
    /// # Ok::<(), callmq::error::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the topic or the QoS is not one.
    pub fn publish<'a>(
        &self,
        topic: &str,
        payload: impl IntoPayload<'a>,
        qos: impl IntoQos,
        retain: bool,
    ) -> Result<()> {
        let payload = Bytes::from(payload.into_payload());
        self.publish_packet(Publish {
            dup: false,
            qos: qos.into_qos()?,
            retain,
            topic: TopicName::new(topic)?,
            packet_id: None,
            properties: Properties::default(),
            payload,
        })
    }

    /// Publishes a message with properties as if a client had sent it; a packet identifier in it has no meaning.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the topic or a property does not fit.
    pub fn publish_packet(&self, publish: Publish) -> Result<()> {
        crate::topic::check_topic(publish.topic.as_str())?;
        publish.properties.check_for(PacketType::Publish)?;
        self.shared.with(|state| state.publish(&publish));
        Ok(())
    }

    /// Cuts the connection of a client, as a broken network would: no DISCONNECT, and its Will is due. Returns whether
    /// the client was connected.
    pub fn disconnect_client(&self, client_id: &str) -> bool {
        self.shared.with(|state| state.disconnect_client(client_id, None))
    }

    /// Ends the connection of a client; in MQTT 5.0 the client is told the reason. Returns whether it was connected.
    pub fn disconnect_client_with(&self, client_id: &str, reason: ReasonCode) -> bool {
        self.shared
            .with(|state| state.disconnect_client(client_id, Some(reason)))
    }

    /// Sets whether the broker can be reached. While it cannot, all connections are cut as by a broken network and new
    /// ones fail: in process at once, at a port by being closed when they were opened. Sessions stay.
    pub fn set_reachable(&self, reachable: bool) {
        self.shared.with(|state| state.set_reachable(reachable));
    }

    // ---- looking ----

    /// The Client Identifiers of the connected clients, in alphabetical order.
    pub fn connected_clients(&self) -> Vec<String> {
        self.shared.with(|state| state.connected_clients())
    }

    /// The Client Identifiers of all sessions, connected or not, in alphabetical order.
    pub fn sessions(&self) -> Vec<String> {
        self.shared.with(|state| state.sessions())
    }

    /// The subscriptions of a client with what was granted, in alphabetical order of their filters.
    pub fn subscriptions(&self, client_id: &str) -> Vec<Subscription> {
        self.shared.with(|state| state.subscriptions(client_id))
    }

    /// The payload of the message that is retained for a topic.
    pub fn retained(&self, topic: &str) -> Option<Bytes> {
        self.shared.with(|state| state.retained(topic))
    }

    /// The last messages that were published, at most 1,000 with 16 MiB of payload: by clients, by Wills and by the
    /// test, in their order and without their packet identifiers. A message of QoS 2 is published when it is
    /// released.
    pub fn published(&self) -> Vec<Publish> {
        self.shared.with(|state| state.published())
    }

    /// The last 10,000 lines of the log, in the words of mosquitto:
    ///
    /// ```text
    /// New client connected from 127.0.0.1:40112 as foo1 (p2, c1, k60).
    /// Received PUBLISH from foo1 (d0, q0, r0, m0, 'test/topic', ... (3 bytes))
    /// ```
    pub fn log(&self) -> Vec<String> {
        self.shared.with(|state| state.log.lines())
    }

    /// Waits until `condition` holds. It is looked at again whenever something has happened in the broker, and runs
    /// without any lock.
    ///
    /// `limit` is real time, whatever clock the broker follows.
    ///
    /// ```
    /// # use callmq::testing::Broker;
    /// # use std::time::Duration;
    /// let broker = Broker::listen("127.0.0.1:0")?;
    /// let sensor = "sensor".to_owned();
    /// // A client connects elsewhere ..
    /// let found = broker.wait_for(Duration::from_millis(10), |broker| broker.connected_clients().contains(&sensor));
    /// assert!(found.is_err(), "nobody has connected");
    /// # Ok::<(), callmq::error::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] if the limit passes first.
    pub fn wait_for(&self, limit: Duration, condition: impl Fn(&Self) -> bool) -> Result<()> {
        if self.shared.wait_for(limit, || condition(self)) {
            Ok(())
        } else {
            Err(Error::Timeout)
        }
    }

    /// Waits until the log has a line that contains `text`.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] if the limit passes first.
    pub fn wait_for_log(&self, limit: Duration, text: &str) -> Result<()> {
        self.wait_for(limit, |broker| {
            broker.log().iter().any(|line| line.contains(text))
        })
    }
}

/// A client connects to a broker that serves a port through this port, else inside the process. The options that the
/// broker is turned into do not keep it alive: after its end they lead nowhere.
impl IntoConnect for &Broker {
    fn into_connect(self) -> Result<ConnectOptions> {
        if self.port() == 0 {
            let shared = Arc::downgrade(&self.shared);
            return ConnectOptions::connector(move || InProcessStream::open(&shared)).into_connect();
        }
        let host = match self.address.ip() {
            IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            address => address,
        };
        (host, self.port()).into_connect()
    }
}
