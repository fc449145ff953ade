//! What a check has at hand: clients, topics and waiting, all of them its own.

use std::fmt;
use std::time::{Duration, Instant};

use callmq::client::{
    Client, ClientBuilder, ConnectFlags, ConnectOptions, DisconnectFlags, Message, Messages, Properties,
    ProtocolVersion, ReasonCode,
};
use crossbeam_channel::{Receiver, unbounded};
use interop::mosquitto::PASSWORD;
use interop::{Proxy, Running, Way};

use crate::Column;

/// How long a check waits for something that must happen.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How long a session lasts that is to outlive its connection.
const LASTING: Duration = Duration::from_secs(120);

/// What a check returns.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a check failed.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Fails the check unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::site::Failure::new(format!($($what)+)));
        }
    };
}
pub(crate) use ensure;

/// Fails the check unless two values are equal.
pub fn same<A: PartialEq<B> + fmt::Debug, B: fmt::Debug>(what: &str, is: A, should: B) -> Outcome {
    ensure!(is == should, "{what}: {is:?} instead of {should:?}");
    Ok(())
}

/// Where a check takes place.
pub struct Site<'a> {
    broker: &'a Running,
    pub version: ProtocolVersion,
    way: Way,
    number: usize,
}

impl<'a> Site<'a> {
    pub fn new(broker: &'a Running, column: Column, number: usize) -> Self {
        Self {
            broker,
            version: column.version,
            way: column.way,
            number,
        }
    }

    pub fn is_v5(&self) -> bool {
        self.version == ProtocolVersion::V5
    }

    pub fn broker(&self) -> &Running {
        self.broker
    }

    /// A topic that no other check uses.
    pub fn topic(&self, name: &str) -> String {
        format!(
            "v{}/w{}/c{}/{name}",
            self.version as u8, self.way as u8, self.number
        )
    }

    /// A client id that no other check uses, and that MQTT 3.1 allows.
    pub fn id(&self, name: &str) -> String {
        format!("v{}w{}c{}{name}", self.version as u8, self.way as u8, self.number)
    }

    /// A client as the check wants it. It does not reconnect, unless it is told to.
    pub fn builder(&self, name: &str) -> ClientBuilder {
        Client::builder(self.id(name))
            .protocol(self.version)
            .reconnect_on_failure(false)
    }

    /// A client without a name and a password.
    pub fn stranger(&self, name: &str) -> Client {
        let client = self.builder(name).build();
        self.broker.equip(&client, self.way);
        client
    }

    /// Gives a client the name and the password that the broker wants.
    pub fn known(&self, client: Client) -> Client {
        self.broker.equip(&client, self.way);
        client.username_pw_set(self.broker.brand().user(), PASSWORD);
        client
    }

    pub fn client(&self, name: &str) -> Client {
        self.known(self.builder(name).build())
    }

    /// Where the broker is.
    pub fn options(&self) -> ConnectOptions {
        self.broker.target(self.way)
    }

    /// Where the broker is, seen through a proxy, which is by TCP.
    pub fn through(&self, proxy: &Proxy) -> ConnectOptions {
        ConnectOptions::new(("127.0.0.1", proxy.port()))
    }

    /// The settings of a client whose session outlives its connections.
    pub fn lasting(&self, name: &str) -> ClientBuilder {
        let builder = self.builder(name).clean_session(false);
        if self.is_v5() {
            builder.session_expiry(LASTING)
        } else {
            builder
        }
    }

    /// Connects a client and starts its loop.
    pub fn join(&self, client: &Client) -> Outcome<ConnectFlags> {
        self.join_with(client, self.options())
    }

    pub fn join_with(&self, client: &Client, options: ConnectOptions) -> Outcome<ConnectFlags> {
        let flags = client.connect_and_wait(options, DEADLINE)?;
        client.loop_start()?;
        Ok(flags)
    }

    /// A client that is connected.
    pub fn joined(&self, name: &str) -> Outcome<Client> {
        let client = self.client(name);
        self.join(&client)?;
        Ok(client)
    }

    /// A client that is connected and subscribed, and what it receives.
    pub fn listener(&self, name: &str, filter: &str, qos: u8) -> Outcome<(Client, Messages)> {
        let client = self.client(name);
        let messages = client.messages(5_000);
        self.join(&client)?;
        granted(client.subscribe((filter, qos))?.wait(DEADLINE)?, qos)?;
        Ok((client, messages))
    }
}

/// Fails unless a subscription was granted with at least QoS 0, and with this one.
pub fn granted(codes: Vec<ReasonCode>, qos: u8) -> Outcome {
    let codes: Vec<u8> = codes.into_iter().map(ReasonCode::value).collect();
    same("granted", codes, [qos])
}

/// Publishes and waits until the broker has it.
pub fn publish(client: &Client, topic: &str, payload: &str, qos: u8) -> Outcome {
    deliver(client, Message::new(topic, payload), qos)
}

/// Publishes a message and waits until the broker has it.
pub fn deliver(client: &Client, message: Message, qos: u8) -> Outcome {
    client
        .publish_message(message.qos(qos.try_into()?))?
        .wait_for_publish(DEADLINE)?;
    Ok(())
}

/// Waits for the next message.
pub fn next(messages: &Messages) -> Outcome<Message> {
    messages
        .recv(DEADLINE)
        .map_err(|error| Failure::new(format!("no message: {error}")))
}

/// Waits for the next message, and checks its payload.
pub fn expect(messages: &Messages, payload: &str) -> Outcome<Message> {
    let message = next(messages)?;
    same("payload", message.payload.to_str_lossy(), payload)?;
    Ok(message)
}

/// Waits for messages and checks their payloads.
pub fn expect_all(messages: &Messages, payloads: &[&str]) -> Outcome {
    for payload in payloads {
        expect(messages, payload)?;
    }
    Ok(())
}

/// How the connection of a client ended; one for each.
pub fn endings(client: &Client) -> Receiver<(ReasonCode, DisconnectFlags)> {
    let (sender, endings) = unbounded();
    client.on_disconnect(move |_, flags, code, _| {
        let _ = sender.send((code, flags));
    });
    endings
}

/// The properties of each CONNACK.
pub fn welcomes(client: &Client) -> Receiver<Properties> {
    let (sender, welcomes) = unbounded();
    client.on_connect(move |_, _, _, properties| {
        let _ = sender.send(properties.clone());
    });
    welcomes
}

/// Waits for what a callback tells.
pub fn told<T>(what: &str, receiver: &Receiver<T>) -> Outcome<T> {
    receiver
        .recv_timeout(DEADLINE)
        .map_err(|_| Failure::new(format!("{what}: not within {DEADLINE:?}")))
}

/// Waits until a condition holds.
pub fn until(what: &str, condition: impl Fn() -> bool) -> Outcome {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        ensure!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
