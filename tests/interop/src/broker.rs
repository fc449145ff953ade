//! The brokers that the tests run against, and what the tests need of each.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callmq::testing;

use crate::log::Log;
use crate::mosquitto::{self, Mosquitto, PASSWORD, USER};

/// How long a broker may take to get its port back.
const START: Duration = Duration::from_secs(10);

/// Which broker a test starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerKind {
    /// The program.
    Mosquitto,
    /// `callmq::testing::Broker`, which serves a port from a thread of the test.
    Embedded,
}

impl BrokerKind {
    /// Starts a broker that lets everybody in.
    pub fn start(self) -> Box<dyn Broker + Sync> {
        match self {
            Self::Mosquitto => Box::new(Mosquitto::start()),
            Self::Embedded => Box::new(Embedded::start(false)),
        }
    }

    /// Starts a broker that lets nobody in but the user [`USER`] with the password [`PASSWORD`].
    pub fn start_with_password(self) -> Box<dyn Broker + Sync> {
        match self {
            Self::Mosquitto => Box::new(mosquitto::Config::default().password().start()),
            Self::Embedded => Box::new(Embedded::start(true)),
        }
    }
}

/// A running broker on a port of 127.0.0.1, gone when the value is dropped.
pub trait Broker {
    /// The port on 127.0.0.1.
    fn port(&self) -> u16;

    /// Ends the broker as an administrator would.
    fn stop(&mut self);

    /// Ends the broker as a power cut would.
    fn kill(&mut self);

    /// Starts the broker again on the same port, with the same configuration.
    fn restart(&mut self);

    /// The collected log, across restarts.
    fn lines(&self) -> &Log;

    /// Host and port, as `connect` takes them.
    fn address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.port())
    }

    /// What the broker has logged of its clients: ports are `<port>`, client ids that it invented are `auto-<UUID>`.
    fn log(&self) -> Vec<String> {
        self.lines().about_clients()
    }

    /// Waits until the log has a line that contains `text`.
    ///
    /// # Panics
    ///
    /// When there is none within 10 seconds.
    fn wait_for_log(&self, text: &str) {
        self.lines().wait_for(text);
    }

    /// Waits until the log has `count` lines, or for `time`.
    fn wait_for_lines(&self, count: usize, time: Duration) {
        self.lines().wait_for_count(count, time);
    }
}

/// The broker of the crate under test. It shares the codec with the client: what it proves is that it behaves as
/// mosquitto does, where the same test passes with both.
struct Embedded {
    broker: Option<testing::Broker>,
    port: u16,
    password: bool,
    log: Arc<Log>,
}

impl Embedded {
    fn start(password: bool) -> Self {
        let mut embedded = Self {
            broker: None,
            port: 0,
            password,
            log: Arc::default(),
        };
        embedded.launch().unwrap_or_else(|error| panic!("{error}"));
        embedded
    }

    fn launch(&mut self) -> callmq::error::Result<()> {
        self.log.open();
        let log = Arc::clone(&self.log);
        let mut builder = testing::Broker::builder().on_log(move |line| log.push(line.to_owned()));
        if self.password {
            builder = builder.user(USER, PASSWORD);
        }
        let broker = builder.listen((Ipv4Addr::LOCALHOST, self.port))?;
        self.port = broker.port();
        self.broker = Some(broker);
        Ok(())
    }
}

impl Broker for Embedded {
    fn port(&self) -> u16 {
        self.port
    }

    /// It has nothing to put in order: the same as [`kill`](Broker::kill).
    fn stop(&mut self) {
        self.kill();
    }

    fn kill(&mut self) {
        self.broker = None;
        self.log.close();
    }

    fn restart(&mut self) {
        self.kill();
        let deadline = Instant::now() + START;
        while let Err(error) = self.launch() {
            assert!(Instant::now() < deadline, "{error}");
        }
    }

    fn lines(&self) -> &Log {
        &self.log
    }
}

/// Makes two tests of a function that takes a [`BrokerKind`], one with each broker: a failure names the function and
/// the broker.
///
/// ```text
/// on_each_broker!(a_message_arrives);
/// fn a_message_arrives(kind: BrokerKind) {
///     let broker = kind.start();
///     ..
/// }
/// ```
#[macro_export]
macro_rules! on_each_broker {
    ($test:ident) => {
        mod $test {
            #[test]
            fn with_mosquitto() {
                super::$test($crate::BrokerKind::Mosquitto);
            }

            #[test]
            fn with_the_embedded_broker() {
                super::$test($crate::BrokerKind::Embedded);
            }
        }
    };
}
