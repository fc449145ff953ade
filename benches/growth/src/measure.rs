//! Measures one point of a curve, in a process of its own.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bench_peer::wire::{self, Input, put_publish};
use callmq::client::{Client, OfflineQueue, WhenFull};
use callmq::error::{Error, Result};
use callmq::topic::FilterMap;
use stats_alloc::Region;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The payload where its size is not what is varied.
const PAYLOAD: [u8; 64] = [b'x'; 64];

const TOPIC: &str = "bench/pub/topic";

/// Where the peer is, and how long a time is to be measured at least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bench {
    pub(crate) port: u16,
    pub(crate) time: Duration,
}

/// What was measured at a point: plot, line, value.
pub(crate) type Values = Vec<(&'static str, &'static str, f64)>;

impl Bench {
    pub(crate) fn measure(self, curve: &str, x: u64) -> Result<Values> {
        match curve {
            "size" => self.size(x),
            "window" => self.window(x),
            "threads" => self.threads(x),
            "clients" => self.clients(x),
            "filters" => self.filters(x),
            "queued" => self.queued(x),
            _ => Err(Error::InvalidState("no such curve")),
        }
    }

    fn size(self, size: u64) -> Result<Values> {
        let payload = vec![b'x'; size as usize];
        let (client, counted) = self.counting_client()?;
        let publish = self.per_message(|count| {
            client.publish("peer/count", count)?;
            for _ in 0..count {
                client.publish(TOPIC, payload.as_slice())?;
            }
            wait(&counted)
        })?;
        let client = self.connect(Client::new("receive"))?;
        let received = Received::by(&client);
        let receive =
            self.per_message(|count| received.order(&client, count, format!("{count} {size} 1 1")))?;
        Ok(vec![
            ("size", "publish", publish),
            ("size", "receive", receive),
            ("size", "publish without a client", self.raw_publish(&payload)?),
        ])
    }

    /// The limit: encoded before, written in blocks.
    fn raw_publish(self, payload: &[u8]) -> Result<f64> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.write_all(b"\x10\x0D\0\x04MQTT\x04\x02\0\0\0\x01r")?;
        let (mut block, mut ends) = (Vec::new(), Vec::new());
        while block.len() < 64 * 1024 {
            put_publish(&mut block, TOPIC.as_bytes(), payload);
            ends.push(block.len());
        }
        let mut input = Input::default();
        self.per_message(|count| {
            let mut order = Vec::new();
            put_publish(&mut order, b"peer/count", count.to_string().as_bytes());
            stream.write_all(&order)?;
            let mut left = count as usize;
            while left > 0 {
                let now = left.min(ends.len());
                stream.write_all(&block[..ends[now - 1]])?;
                left -= now;
            }
            loop {
                while let Some(packet) = input.next_packet()? {
                    if packet.first >> 4 == wire::PUBLISH {
                        return Ok(());
                    }
                }
                if !input.fill(&mut stream)? {
                    return Err(Error::ConnectionClosed);
                }
            }
        })
    }

    fn window(self, window: u64) -> Result<Values> {
        let mut values = Vec::new();
        for (line, qos) in [("QoS 1", 1), ("QoS 2", 2)] {
            let client = bounded(line);
            client.max_inflight_messages_set(window as u16)?;
            let client = self.connect(client)?;
            let finished = Finished::of(&client);
            let time = self.per_message(|count| finished.after(count, || publish(&client, qos, count)))?;
            values.push(("window", line, time));
        }
        Ok(values)
    }

    fn threads(self, threads: u64) -> Result<Values> {
        let (client, counted) = self.counting_client()?;
        let at_most_once = self.per_message(|count| {
            let each = count.div_ceil(threads);
            client.publish("peer/count", each * threads)?;
            in_threads(threads, || publish(&client, 0, each))?;
            wait(&counted)
        })?;
        let client = self.connect(bounded("threads"))?;
        let finished = Finished::of(&client);
        let at_least_once = self.per_message(|count| {
            let each = count.div_ceil(threads);
            finished.after(each * threads, || {
                in_threads(threads, || publish(&client, 1, each))
            })
        })?;
        Ok(vec![
            ("threads", "QoS 0", at_most_once),
            ("threads", "QoS 1", at_least_once),
        ])
    }

    fn clients(self, further: u64) -> Result<Values> {
        let first = self.connect(Client::new("first"))?;
        let before = resident_bytes();
        let start = Instant::now();
        let clients = (0..further).map(|number| self.connect(Client::new(format!("further-{number}"))));
        let clients = clients.collect::<Result<Vec<_>>>()?;
        let connect = start.elapsed().as_secs_f64() / further as f64;
        let memory = (resident_bytes() - before) / further as f64;
        for client in clients.iter().chain([&first]) {
            client.disconnect()?;
        }
        Ok(vec![
            ("clients-memory", "resident", memory / 1024.0),
            ("clients-connect", "connect", connect * 1e6),
        ])
    }

    /// The topics are always as many; each matches one filter.
    fn filters(self, filters: u64) -> Result<Values> {
        let topics = 1000;
        let names = (0..filters).map(|group| format!("site/{group}/+"));
        let client = self.connect(Client::new("filters"))?;
        let received = Received::by(&client);
        let mut map = FilterMap::new();
        for name in names {
            let count = received.counter();
            client.message_callback_add(&name, move |_, _| count())?;
            map.insert(&name, ())?;
        }
        let receive = self
            .per_message(|count| received.order(&client, count, format!("{count} 64 {topics} {filters}")))?;

        let topics: Vec<String> = (0..topics)
            .map(|number| format!("site/{}/{number}", number * filters / topics))
            .collect();
        let lookup = self.per_message(|count| {
            let mut topics = topics.iter().cycle();
            let found = (0..count).map(|_| topics.next().map_or(0, |topic| map.iter_match(topic).count()));
            if found.sum::<usize>() as u64 != count {
                return Err(Error::InvalidState("a topic does not match its filter"));
            }
            Ok(())
        })?;
        Ok(vec![
            ("filters", "received and handed out", receive),
            ("filters", "FilterMap alone", lookup),
        ])
    }

    fn queued(self, messages: u64) -> Result<Values> {
        let client = Client::builder("queued")
            .offline_queue(OfflineQueue {
                max_messages: 0,
                max_bytes: usize::MAX,
                ..OfflineQueue::default()
            })
            .build();
        let finished = Finished::of(&client);
        let (heap, resident) = (Region::new(crate::ALLOCATOR), resident_bytes());
        let start = Instant::now();
        publish(&client, 1, messages)?;
        let queue = start.elapsed().as_secs_f64();
        let (heap, resident) = (heap.change(), resident_bytes() - resident);

        let start = Instant::now();
        finished.after(messages, || {
            client.loop_start()?;
            client.connect((Ipv4Addr::LOCALHOST, self.port))
        })?;
        let drain = start.elapsed().as_secs_f64();

        let each = |sum: f64| sum / messages as f64;
        let live = heap.bytes_allocated as f64 - heap.bytes_deallocated as f64;
        let mut values = vec![
            ("queued-memory", "heap", each(live)),
            ("queued-time", "publish", each(queue) * 1e9),
            ("queued-time", "connect and drain", each(drain) * 1e9),
        ];
        // Memory comes in pages: a few messages take all of one or nothing.
        if messages >= 1000 {
            values.push(("queued-memory", "resident", each(resident)));
        }
        Ok(values)
    }

    /// Runs with more and more messages until it takes long enough: nanoseconds for each.
    fn per_message(self, mut run: impl FnMut(u64) -> Result<()>) -> Result<f64> {
        let mut count = 100;
        loop {
            let start = Instant::now();
            run(count)?;
            let took = start.elapsed();
            if took >= self.time {
                return Ok(took.as_secs_f64() * 1e9 / count as f64);
            }
            let missing = self.time.as_secs_f64() / took.as_secs_f64();
            count = (count as f64 * (missing * 1.2).clamp(1.5, 10.0)) as u64;
        }
    }

    /// Starts the client's loop and connects.
    fn connect(self, client: Client) -> Result<Client> {
        client.loop_start()?;
        client.connect((Ipv4Addr::LOCALHOST, self.port))?;
        client.wait_for_connect(PATIENCE)?;
        Ok(client)
    }

    /// A client, and where it says that the peer has counted all messages.
    fn counting_client(self) -> Result<(Client, Receiver<()>)> {
        let client = self.connect(bounded("counted"))?;
        let (sender, counted) = channel();
        client.on_message(move |_, _| {
            // Nobody waits any more.
            let _ = sender.send(());
        });
        client.subscribe("counted")?.wait(PATIENCE)?;
        Ok((client, counted))
    }
}

/// A client whose `publish` waits while the queue is full: also messages of QoS 0 go there if the peer does not read.
fn bounded(name: &str) -> Client {
    let queue = OfflineQueue {
        max_messages: 10_000,
        when_full: WhenFull::Block(PATIENCE),
        ..OfflineQueue::default()
    };
    Client::builder(name).offline_queue(queue).build()
}

fn publish(client: &Client, qos: u8, count: u64) -> Result<()> {
    for _ in 0..count {
        client.publish_with(TOPIC, PAYLOAD.as_slice(), qos, false)?;
    }
    Ok(())
}

fn in_threads(count: u64, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(&work)).collect();
        threads.into_iter().try_for_each(|thread| {
            let panicked = Error::InvalidState("a thread panicked");
            thread.join().unwrap_or(Err(panicked))
        })
    })
}

fn wait(sign: &Receiver<()>) -> Result<()> {
    sign.recv_timeout(PATIENCE).map_err(|_| Error::Timeout)
}

/// Counts down, and gives a sign at 0.
#[derive(Clone)]
struct Countdown {
    left: Arc<AtomicU64>,
    sign: Sender<()>,
}

impl Countdown {
    fn new() -> (Self, Receiver<()>) {
        let (sign, signs) = channel();
        let left = Arc::new(AtomicU64::new(0));
        (Self { left, sign }, signs)
    }

    fn count(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Nobody waits any more.
            let _ = self.sign.send(());
        }
    }
}

/// Waits for messages that the client publishes to be acknowledged.
struct Finished(Countdown, Receiver<()>);

impl Finished {
    fn of(client: &Client) -> Self {
        let (countdown, signs) = Countdown::new();
        let counted = countdown.clone();
        client.on_publish(move |_, _, _, _| counted.count());
        Self(countdown, signs)
    }

    fn after(&self, count: u64, publish: impl FnOnce() -> Result<()>) -> Result<()> {
        self.0.left.store(count, Ordering::Relaxed);
        publish()?;
        wait(&self.1)
    }
}

/// Waits for messages that the peer sends.
struct Received(Countdown, Receiver<()>);

impl Received {
    fn by(client: &Client) -> Self {
        let (countdown, signs) = Countdown::new();
        let counted = countdown.clone();
        client.on_message(move |_, _| counted.count());
        Self(countdown, signs)
    }

    /// For a callback of its own.
    fn counter(&self) -> impl Fn() + Send + 'static {
        let counted = self.0.clone();
        move || counted.count()
    }

    fn order(&self, client: &Client, count: u64, order: String) -> Result<()> {
        self.0.left.store(count, Ordering::Relaxed);
        client.publish("peer/send", order)?;
        wait(&self.1)
    }
}

/// The memory of this process.
fn resident_bytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    number.unwrap_or(0.0) * 1024.0
}
