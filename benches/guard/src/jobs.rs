//! What is counted: one client sends or receives messages, all of it in one thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use callmq::Result;
use callmq::client::{Client, ConnectOptions};
use callmq::testing::Clock;

use crate::peer::{BURST, PAYLOAD, Peer, Role, TOPIC};

/// A way that messages take through the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) name: &'static str,
    path: Path,
    qos: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    /// Published in bursts, which are written together.
    Burst,
    /// Published one by one, each with a write of its own.
    Single,
    /// Received by `on_message`.
    Receive,
}

impl Job {
    const fn new(name: &'static str, path: Path, qos: u8) -> Self {
        Self { name, path, qos }
    }
}

/// All of them. Their names stand in the table of bounds.
pub(crate) const JOBS: [Job; 7] = [
    Job::new("publish-0", Path::Burst, 0),
    Job::new("publish-1", Path::Burst, 1),
    Job::new("publish-2", Path::Burst, 2),
    Job::new("publish-0-single", Path::Single, 0),
    Job::new("receive-0", Path::Receive, 0),
    Job::new("receive-1", Path::Receive, 1),
    Job::new("receive-2", Path::Receive, 2),
];

impl Job {
    /// Connects, moves so many bursts of messages, and disconnects.
    pub(crate) fn run(self, bursts: u64) -> Result<()> {
        match self.path {
            Path::Burst => self.publish_bursts(bursts),
            Path::Single => self.publish_singly(bursts),
            Path::Receive => self.receive(bursts),
        }
    }

    /// In a callback `publish` only appends, as it does beside a loop that is busy; what was appended is written when
    /// the callback returns.
    fn publish_bursts(self, bursts: u64) -> Result<()> {
        let left = AtomicU64::new(bursts);
        let client = connected(Role::Sink)?;
        client.on_message(move |client, _| {
            if left.load(Ordering::Relaxed) == 0 {
                return client.disconnect();
            }
            left.fetch_sub(1, Ordering::Relaxed);
            for _ in 0..BURST {
                client.publish_with(TOPIC, PAYLOAD.as_slice(), self.qos, false)?;
            }
            Ok(())
        });
        client.subscribe(TOPIC)?;
        client.loop_forever()
    }

    fn publish_singly(self, bursts: u64) -> Result<()> {
        let client = connected(Role::Sink)?;
        for _ in 0..bursts * BURST {
            client.publish_with(TOPIC, PAYLOAD.as_slice(), self.qos, false)?;
        }
        client.disconnect()
    }

    fn receive(self, bursts: u64) -> Result<()> {
        let client = connected(Role::Source {
            qos: self.qos,
            bursts,
        })?;
        let received = AtomicU64::new(0);
        client.on_message(move |client, message| {
            let count = received.load(Ordering::Relaxed) + message.payload.len() as u64;
            received.store(count, Ordering::Relaxed);
            if count == bursts * BURST * PAYLOAD.len() as u64 {
                return client.disconnect();
            }
            Ok(())
        });
        client.subscribe((TOPIC, self.qos))?;
        client.loop_forever()
    }
}

/// A client of the default settings that is connected to a peer. Its clock stands still: nothing becomes due because
/// the machine is slow.
fn connected(role: Role) -> Result<Client> {
    let client = Client::builder("guard").clock(&Clock::new()).build();
    client.connect(ConnectOptions::connector(move || Ok(Arc::new(Peer::new(role)))))?;
    while !client.is_connected() {
        client.loop_once(0)?;
    }
    Ok(client)
}
