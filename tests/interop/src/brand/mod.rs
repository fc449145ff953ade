//! The brokers of other makers, and what is known of each: with mosquitto and the crate's own they make the matrix that
//! `tests/matrix` goes through.
//!
//! Each is started by the test that needs it, from the package named in [`Brand::package`], on free ports of 127.0.0.1,
//! with a configuration and a folder of its own, and listens for all the [ways in](Way) that it has. All let in the same
//! user, and nobody else.

pub(crate) mod aedes;
mod ejabberd;
mod mosquitto;
mod nats;
mod rabbitmq;
mod way;

use std::fmt;
use std::path::Path;

use callmq::client::ProtocolVersion::{self, V5, V31, V311};
use callmq::client::{Client, ConnectOptions};

use crate::broker::{Broker, BrokerKind};
use crate::mosquitto::{PASSWORD, USER};
use crate::service::{self, Service, Start};
use way::Listeners;
pub use way::Way;

/// A broker by its maker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Brand {
    /// The one that is always there.
    Mosquitto,
    /// `callmq::testing::Broker`.
    Embedded,
    /// In Erlang. A user's name has a host in it.
    Ejabberd,
    /// In JavaScript.
    Aedes,
    /// In Go: 3.1.1 without QoS 2.
    Nats,
    /// In Erlang: 3.1.1, QoS 2 becomes QoS 1.
    RabbitMq,
}

impl Brand {
    /// The versions of the protocol that it speaks.
    pub fn versions(self) -> &'static [ProtocolVersion] {
        match self {
            Self::Mosquitto | Self::Embedded | Self::Aedes => &[V31, V311, V5],
            Self::Ejabberd => &[V311, V5],
            Self::Nats => &[V311],
            Self::RabbitMq => &[V31, V311],
        }
    }

    /// The ways into it that a test can take. A mosquitto that is built from source has no TLS and no WebSocket: those need
    /// the feature `brokers`, as the other brokers do.
    pub fn ways(self) -> &'static [Way] {
        use Way::{SecureWebSocket, Tcp, Tls, Unix, WebSocket};
        match self {
            Self::Mosquitto if cfg!(feature = "brokers") => Way::ALL,
            Self::Mosquitto => &[Tcp, Unix],
            Self::Embedded => &[Tcp],
            Self::Ejabberd | Self::Aedes => &[Tcp, Tls, Unix, WebSocket, SecureWebSocket],
            Self::Nats | Self::RabbitMq => &[Tcp, Tls, WebSocket, SecureWebSocket],
        }
    }

    /// Where it has its WebSocket.
    fn path(self) -> &'static str {
        match self {
            Self::RabbitMq => "/ws",
            _ => "/mqtt",
        }
    }

    /// What to install, and how.
    pub fn package(self) -> &'static str {
        match self {
            Self::Mosquitto => "apt-get install mosquitto",
            Self::Embedded => "nothing",
            Self::Ejabberd => "apt-get install --no-install-recommends ejabberd",
            Self::Aedes => "apt-get install nodejs npm, then npm ci --prefix tests/interop/aedes",
            Self::Nats => "apt-get install --no-install-recommends nats-server",
            Self::RabbitMq => "apt-get install --no-install-recommends rabbitmq-server",
        }
    }

    /// The name of the user who is let in with [`PASSWORD`].
    pub fn user(self) -> &'static str {
        match self {
            // It has many hosts, and a user is one of a host's.
            Self::Ejabberd => "alice@localhost",
            _ => USER,
        }
    }

    /// Starts the broker.
    ///
    /// # Panics
    ///
    /// When it is not installed, with the command that installs it, or when it does not start, with what it said.
    pub fn start(self) -> Running {
        let start: fn(&Path, &Listeners) -> Result<Start, String> = match self {
            Self::Mosquitto => {
                let listeners = Listeners::new(self.path());
                let broker = mosquitto::start(&listeners, self.ways());
                let broker = broker.unwrap_or_else(|what| panic!("{}", self.missing(&what)));
                return Running::of(self, broker, listeners);
            }
            Self::Embedded => {
                let broker = BrokerKind::Embedded.start_with_password();
                return Running::of(self, broker, Listeners::new(self.path()));
            }
            Self::Ejabberd => ejabberd::start,
            Self::Aedes => aedes::start,
            Self::Nats => nats::start,
            Self::RabbitMq => rabbitmq::start,
        };
        let mut failures = Vec::new();
        // Somebody else may take a port between our release and the broker's bind.
        for _ in 0..3 {
            let listeners = Listeners::new(self.path());
            match Service::start(&self.to_string(), |folder| start(folder, &listeners)) {
                Ok(service) => {
                    return Running {
                        brand: self,
                        listeners,
                        process: Process::Service(service),
                    };
                }
                Err(service::Failure::NotInstalled(what)) => panic!("{}", self.missing(&what)),
                Err(service::Failure::NotStarted(said)) => failures.push(said),
            }
        }
        panic!("{self} does not start:\n{}", failures.join("\n"));
    }

    fn missing(self, what: &str) -> String {
        format!(
            "This test needs {self}, and {what}. Install it ({}), or run the tests without the feature `brokers`, then \
             only mosquitto and the crate's own broker are tested.",
            self.package()
        )
    }
}

impl fmt::Display for Brand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Mosquitto => "mosquitto",
            Self::Embedded => "embedded",
            Self::Ejabberd => "ejabberd",
            Self::Aedes => "aedes",
            Self::Nats => "nats-server",
            Self::RabbitMq => "rabbitmq",
        })
    }
}

/// A broker that runs until the value is dropped.
pub struct Running {
    brand: Brand,
    listeners: Listeners,
    process: Process,
}

enum Process {
    Own(Box<dyn Broker + Sync>),
    Service(Service),
}

impl Running {
    fn of(brand: Brand, broker: Box<dyn Broker + Sync>, mut listeners: Listeners) -> Self {
        listeners.set_port(broker.port());
        Self {
            brand,
            listeners,
            process: Process::Own(broker),
        }
    }

    /// Which one it is.
    pub fn brand(&self) -> Brand {
        self.brand
    }

    /// The port for MQTT over TCP.
    pub fn port(&self) -> u16 {
        self.listeners.port(Way::Tcp)
    }

    /// How to connect by this way.
    pub fn target(&self, way: Way) -> ConnectOptions {
        self.listeners.target(way)
    }

    /// Gives a client the certificates that this way needs.
    pub fn equip(&self, client: &Client, way: Way) {
        self.listeners.equip(client, way);
    }

    /// The last of what the broker has logged.
    pub fn log_tail(&self, lines: usize) -> String {
        match &self.process {
            Process::Own(broker) => broker.lines().tail(lines),
            Process::Service(service) => service.log().tail(lines),
        }
    }
}

/// The users' password, with the name that the brokers use who know no hosts.
const CREDENTIALS: (&str, &str) = (USER, PASSWORD);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_broker_is_reported_with_the_command_that_installs_it() {
        let missing = Service::start("test", |_| {
            service::program("no-such-broker", &[]).map(|_| unreachable!())
        });
        let Err(service::Failure::NotInstalled(what)) = missing else {
            panic!("it was found");
        };
        let message = Brand::Nats.missing(&what);
        assert!(message.contains("no-such-broker"), "{message}");
        assert!(
            message.contains("apt-get install --no-install-recommends nats-server"),
            "{message}"
        );
    }
}
