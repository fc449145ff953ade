//! Clusters of real brokers: a node is killed under load and started again, and the clients go on at the others by
//! themselves.
//!
//! Each worker has its own part of the topics, and begins at a node of its own; what it gets is published at another one.
//! (Shared subscriptions would divide the work too, but neither of these clusters has them: NATS takes `$share/..` for an
//! ordinary filter, aedes refuses it. `examples.rs` has them, with mosquitto.)
//!
//! With QoS 1, what is acknowledged must arrive; what comes twice is counted. The figures are printed. A broker that loses
//! messages that it has acknowledged stands in [`known_loss`], with a bound.
#![cfg(feature = "brokers")]

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use callmq::client::{Client, ProtocolVersion};
use interop::Cluster;

/// How long anything may take on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// After so many messages at each worker the next thing happens.
const STRETCH: usize = 300;

/// How many messages of one publisher are on their way at most.
const WINDOW: usize = 20;

/// The pause after each ten messages of a publisher: the load is not to depend on how fast the machine is.
const PACE: Duration = Duration::from_millis(10);

/// After such a silence of a broker that is known to lose messages, no more are waited for.
const SILENCE: Duration = Duration::from_secs(3);

#[test]
fn nats_loses_a_node() {
    loses_a_node(Cluster::nats());
}

#[test]
fn aedes_loses_a_node() {
    loses_a_node(Cluster::aedes());
}

/// How many messages of one publisher a cluster may lose with the node that has acknowledged them.
fn known_loss(cluster: &Cluster) -> usize {
    match cluster.version {
        // aedes sends the PUBACK before it stores the message (`case 1` of enqueuePublish in its lib/handlers/publish.js).
        // It does so with up to 100 messages of a client at a time (its option `concurrency`).
        ProtocolVersion::V5 => 100 + WINDOW,
        _ => 0,
    }
}

/// The node of the first worker is killed and started again. One of the publishers is there, too.
fn loses_a_node(mut cluster: Cluster) {
    let start = Instant::now();
    let nodes = cluster.size();
    for node in 0..nodes {
        serves_sessions(&cluster, node);
    }
    let workers: Vec<_> = (0..nodes).map(|number| Worker::start(&cluster, number)).collect();
    let stop = AtomicBool::new(false);
    let lost_node = cluster.node_of(&workers[0].client);
    let (killed, published) = thread::scope(|scope| {
        // The publishers end also where something fails here.
        let stopping = Stopping(&stop);
        let publishers: Vec<_> = (0..nodes)
            .map(|number| {
                let client = client(&cluster, &format!("publisher-{number}"));
                connect(&client, cluster.servers(number + 1));
                let is_there = cluster.node_of(&client) == lost_node;
                let stop = &stop;
                scope.spawn(move || (publish(&client, &topic(number), stop), is_there))
            })
            .collect();
        let further = |what: &str| {
            for worker in &workers {
                let so_far = worker.journal.update(|journal| journal.deliveries.len());
                worker.wait(what, |journal| journal.deliveries.len() >= so_far + STRETCH);
            }
        };
        further("messages at first");
        let killed = Instant::now();
        cluster.kill(lost_node);
        workers[0].wait("a message after the end of its node", |journal| {
            journal.first_after(killed).is_some()
        });
        further("messages without the node");
        cluster.restart(lost_node);
        further("messages with the node again");
        drop(stopping);
        let published: Vec<_> = publishers
            .into_iter()
            .map(|publisher| publisher.join().unwrap())
            .collect();
        (killed, published)
    });
    let mut report = format!("\n{}, in {}\n", cluster.name, cluster.version);
    let mut faults = Vec::new();
    for (number, (worker, &(published, publisher_was_there))) in workers.iter().zip(&published).enumerate() {
        // The node that was away knows the session, and whatever waits in it comes now.
        let flags = worker
            .client
            .connect_and_wait(cluster.servers(lost_node).remove(0), PATIENCE)
            .unwrap();
        assert!(flags.session_present, "worker {number}: the session is gone");
        let allowed = if publisher_was_there {
            known_loss(&cluster)
        } else {
            0
        };
        let lost = worker.wait_for_all(published, allowed);
        worker.journal.update(|journal| {
            let twice = journal.deliveries.len() + lost - published;
            let _ = write!(
                report,
                "  worker {number}: {published} published, {lost} lost, {twice} twice"
            );
            if number == 0 {
                let first = journal.first_after(killed).expect("it was waited for");
                let after = first.duration_since(killed);
                let _ = write!(
                    report,
                    "; the first message {after:.2?} after the end of its node"
                );
            }
            report.push('\n');
        });
        if lost > allowed {
            faults.push(format!("worker {number} has lost {lost} of {published} messages"));
        }
    }
    let _ = writeln!(report, "  in all {:.1?}", start.elapsed());
    // Past libtest, which keeps what a passing test prints to itself.
    let _ = std::io::stderr().write_all(report.as_bytes());
    assert!(
        faults.is_empty(),
        "{}\n{}",
        faults.join("\n"),
        cluster.log_tail(20)
    );
}

/// Stops the publishers at its end.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What the worker with this number has to do.
fn topic(worker: usize) -> String {
    format!("work/{worker}")
}

/// A client with a lasting session.
fn client(cluster: &Cluster, id: &str) -> Client {
    let builder = Client::builder(id).protocol(cluster.version).clean_session(false);
    let client = match cluster.version {
        ProtocolVersion::V5 => builder.session_expiry(600).build(),
        _ => builder.build(),
    };
    client.reconnect_delay_set(0.1, 1).unwrap();
    client
}

/// Connects to the first of the servers, or to one that comes after it, now and whenever it is necessary.
fn connect(client: &Client, servers: Vec<String>) {
    client.connect_async(servers).unwrap();
    client.loop_start().unwrap();
    if let Err(error) = client.wait_for_connect(PATIENCE) {
        panic!("{}: {error}; {:?}", client.client_id(), client.stats());
    }
}

/// Waits until a node does what the test needs: at first the nodes have to find each other.
fn serves_sessions(cluster: &Cluster, node: usize) {
    let client = client(cluster, &format!("probe-{node}"));
    connect(&client, vec![cluster.servers(node).remove(0)]);
    client.subscribe(("probe", 1)).unwrap().wait(PATIENCE).unwrap();
    client.disconnect().unwrap();
}

/// Publishes numbers until it is told to stop. Returns how many, when all are acknowledged.
fn publish(client: &Client, topic: &str, stop: &AtomicBool) -> usize {
    let mut waiting = VecDeque::new();
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        waiting.push_back(client.publish_with(topic, count as u64, 1, false).unwrap());
        count += 1;
        if waiting.len() == WINDOW {
            waiting.pop_front().unwrap().wait_for_publish(PATIENCE).unwrap();
        }
        if count % 10 == 0 {
            thread::sleep(PACE);
        }
    }
    for info in waiting {
        info.wait_for_publish(PATIENCE).unwrap();
    }
    count
}

/// What happened to a worker.
#[derive(Debug, Default)]
struct Journal {
    connects: Vec<Instant>,
    /// When a number came.
    deliveries: Vec<(Instant, usize)>,
}

impl Journal {
    /// When the first message came over a connection that was made after this.
    fn first_after(&self, moment: Instant) -> Option<Instant> {
        let connected = *self.connects.iter().find(|at| **at > moment)?;
        let later = self.deliveries.iter().find(|(at, _)| *at > connected);
        later.map(|(at, _)| *at)
    }

    /// How many of the numbers below `published` have not come.
    fn missing(&self, published: usize) -> usize {
        let mut came = vec![false; published];
        for &(_, number) in &self.deliveries {
            came[number] = true;
        }
        came.into_iter().filter(|came| !came).count()
    }
}

/// A journal that can be waited for.
#[derive(Debug, Default)]
struct Shared {
    journal: Mutex<Journal>,
    changed: Condvar,
}

impl Shared {
    fn update<T>(&self, change: impl FnOnce(&mut Journal) -> T) -> T {
        let result = change(&mut self.journal.lock().unwrap());
        self.changed.notify_all();
        result
    }

    /// Waits until the journal fulfils a condition; returns whether it does.
    fn wait(&self, time: Duration, condition: impl Fn(&Journal) -> bool) -> bool {
        let journal = self.journal.lock().unwrap();
        let open = |journal: &mut Journal| !condition(journal);
        let (journal, _) = self.changed.wait_timeout_while(journal, time, open).unwrap();
        condition(&journal)
    }
}

struct Worker {
    number: usize,
    client: Client,
    journal: Arc<Shared>,
}

impl Worker {
    fn start(cluster: &Cluster, number: usize) -> Self {
        let client = client(cluster, &format!("worker-{number}"));
        let journal = Arc::new(Shared::default());
        let connected = Arc::clone(&journal);
        client.on_connect(move |_, _, _, _| {
            connected.update(|journal| journal.connects.push(Instant::now()));
        });
        let delivered = Arc::clone(&journal);
        client.on_message(move |_, message| {
            let number: usize = message.payload.decode()?.parse()?;
            delivered.update(|journal| journal.deliveries.push((Instant::now(), number)));
            Ok(())
        });
        connect(&client, cluster.servers(number));
        let granted = client
            .subscribe((topic(number), 1))
            .unwrap()
            .wait(PATIENCE)
            .unwrap();
        assert_eq!(granted[0].value(), 1);
        Self {
            number,
            client,
            journal,
        }
    }

    fn wait(&self, what: &str, condition: impl Fn(&Journal) -> bool) {
        if !self.journal.wait(PATIENCE, condition) {
            let state = self.journal.update(|journal| {
                let (connects, last) = (journal.connects.len(), journal.deliveries.last());
                format!(
                    "{connects} connects, {} deliveries, the last {last:?}",
                    journal.deliveries.len()
                )
            });
            let (number, stats) = (self.number, self.client.stats());
            panic!("worker {number}: {what}: not within {PATIENCE:?}; {state}; {stats:?}");
        }
    }

    /// Waits until all numbers have come, or as many as may be and no more; returns how many have not.
    fn wait_for_all(&self, published: usize, allowed: usize) -> usize {
        let missing = |journal: &Journal| journal.missing(published);
        self.journal.wait(PATIENCE, |journal| missing(journal) <= allowed);
        loop {
            let before = self.journal.update(|journal| missing(journal));
            if before == 0 || !self.journal.wait(SILENCE, |journal| missing(journal) < before) {
                return before;
            }
        }
    }
}
