//! Drives callmq for a benchmark that compares MQTT clients side by side.
//!
//! `callmq-driver JOB --port P ..` connects to a load peer, does one job through the public API as the documentation
//! recommends it, and prints what it measured as one line of JSON. The jobs:
//!
//! | job | what is measured |
//! |---|---|
//! | `pub` | N messages published on `bench/pub/topic`, from T threads, until the peer has them (QoS 0: it answers on `done`) or all are acknowledged |
//! | `sub` | N messages received from `src` |
//! | `rtt` | N round trips: a message on `req`, one on `resp` comes back |
//! | `conn` | N times: make a client, connect, wait for the CONNACK, disconnect, drop |
//! | `idle` | memory and wake-ups of one idle client, then of K |
//!
//! With `--loop caller` no loop is started in `rtt` and `conn`: the calling thread drives.

mod args;
mod measure;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{process, thread};

use callmq::client::{Client, OfflineQueue, WhenFull};
use callmq::{Error, Result};

use args::{Args, Job};
use measure::{Gate, Meter, Report, Resources};

/// So many messages may wait in the queue: `publish` waits for room when there are more.
const QUEUED: usize = 10_000;

fn main() {
    let args = match Args::parse() {
        Ok(args) => args,
        Err(error) => fail(&error.to_string()),
    };
    let done = match args.job {
        Job::Publish => publish(&args),
        Job::Subscribe => subscribe(&args),
        Job::RoundTrip => round_trip(&args),
        Job::Connect => connect(&args),
        Job::Idle => idle(&args),
    };
    if let Err(error) = done {
        fail(&error.to_string());
    }
}

fn fail(message: &str) -> ! {
    eprintln!("callmq-driver: {message}");
    process::exit(1);
}

/// A client of the default settings, its connection accepted; its loop runs, unless the calls of the job are to drive.
fn connected(args: &Args, number: usize) -> Result<Client> {
    let client = Client::builder(format!("callmq-{number}"))
        .offline_queue(OfflineQueue {
            max_messages: QUEUED,
            when_full: WhenFull::Block(args.timeout),
            ..OfflineQueue::default()
        })
        .build();
    if args.inflight > 0 {
        client.max_inflight_messages_set(args.inflight)?;
    }
    if !args.calls_drive || !matches!(args.job, Job::Connect | Job::RoundTrip) {
        client.loop_start()?;
    }
    client.connect((args.host.as_str(), args.port))?;
    client.wait_for_connect(args.timeout)?;
    Ok(client)
}

fn publish(args: &Args) -> Result<()> {
    let client = connected(args, 0)?;
    let (done, acked) = (Arc::new(Gate::default()), Arc::new(AtomicU64::new(0)));
    let finished = Arc::clone(&done);
    if args.qos == 0 {
        client.on_message(move |_, _| finished.open());
    } else {
        let (count, n) = (Arc::clone(&acked), args.n);
        client.on_publish(move |_, _, _, _| {
            if count.fetch_add(1, Ordering::Relaxed) + 1 == n {
                finished.open();
            }
        });
    }
    client.subscribe("done")?.wait(args.timeout)?;

    let payload = vec![b'x'; args.size];
    let send = |count: u64| -> Result<()> {
        for _ in 0..count {
            client.publish_with("bench/pub/topic", payload.as_slice(), args.qos, false)?;
        }
        Ok(())
    };
    let threads = args.threads.max(1);
    let share = args.n / threads;
    let meter = Meter::start();
    if threads == 1 {
        send(args.n)?;
    } else {
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| send(share))).collect();
            send(args.n - share * (threads - 1))?;
            others.into_iter().try_for_each(|other| {
                other
                    .join()
                    .unwrap_or(Err(Error::InvalidState("a thread panicked")))
            })
        })?;
    }
    let complete = done.wait(args.timeout);
    let measured = meter.stop();
    Report::new(args, &measured)
        .number("msgs_per_s", args.n as f64 / measured.seconds)
        .flag("complete", complete)
        .count("acked", acked.load(Ordering::Relaxed))
        .print();
    client.disconnect()
}

fn subscribe(args: &Args) -> Result<()> {
    let client = connected(args, 0)?;
    let (done, bytes) = (Arc::new(Gate::default()), Arc::new(AtomicU64::new(0)));
    let received = Arc::new(AtomicU64::new(0));
    let (finished, total, count, n) = (
        Arc::clone(&done),
        Arc::clone(&bytes),
        Arc::clone(&received),
        args.n,
    );
    let (mut messages, mut sum) = (0, 0);
    client.on_message(move |_, message| {
        messages += 1;
        sum += message.payload.len() as u64;
        if messages >= n {
            count.store(messages, Ordering::Relaxed);
            total.store(sum, Ordering::Relaxed);
            finished.open();
        }
    });
    let meter = Meter::start();
    client.subscribe(("src", args.qos))?;
    let complete = done.wait(args.timeout);
    let measured = meter.stop();
    let count = received.load(Ordering::Relaxed);
    Report::new(args, &measured)
        .number("msgs_per_s", count as f64 / measured.seconds)
        .flag("complete", complete)
        .count("received", count)
        .count("recv_bytes", bytes.load(Ordering::Relaxed))
        .print();
    // The last acknowledgements are to go out as well.
    thread::sleep(Duration::from_millis(20));
    client.disconnect()
}

fn round_trip(args: &Args) -> Result<()> {
    let client = connected(args, 0)?;
    let (sender, arrivals) = std::sync::mpsc::channel();
    client.on_message(move |_, _| {
        let _ = sender.send(Instant::now());
    });
    client.subscribe("resp")?.wait(args.timeout)?;
    let payload = vec![b'x'; args.size];
    let trip = || -> Result<Duration> {
        let start = Instant::now();
        client.publish("req", payload.as_slice())?;
        let arrival = if args.calls_drive {
            loop {
                client.loop_once(args.timeout)?;
                if let Ok(arrival) = arrivals.try_recv() {
                    break arrival;
                }
            }
        } else {
            arrivals.recv_timeout(args.timeout).map_err(|_| Error::Timeout)?
        };
        Ok(arrival.saturating_duration_since(start))
    };
    for _ in 0..args.n / 10 {
        trip()?;
    }
    let meter = Meter::start();
    let trips = (0..args.n).map(|_| trip()).collect::<Result<Vec<_>>>()?;
    let measured = meter.stop();
    Report::new(args, &measured)
        .number("msgs_per_s", args.n as f64 / measured.seconds)
        .flag("complete", true)
        .latency(trips)
        .print();
    client.disconnect()
}

fn connect(args: &Args) -> Result<()> {
    let meter = Meter::start();
    for _ in 0..args.n {
        let client = connected(args, 0)?;
        client.disconnect()?;
        if !args.calls_drive {
            client.loop_stop()?;
        }
    }
    let measured = meter.stop();
    Report::new(args, &measured)
        .number("msgs_per_s", args.n as f64 / measured.seconds)
        .flag("complete", true)
        .print();
    Ok(())
}

fn idle(args: &Args) -> Result<()> {
    let base = Resources::now();
    let mut clients = vec![connected(args, 0)?];
    thread::sleep(Duration::from_secs(1));
    let one = Resources::now();
    let meter = Meter::start();
    thread::sleep(args.seconds);
    let first = meter.stop();

    for number in 1..args.clients {
        clients.push(connected(args, number)?);
    }
    thread::sleep(Duration::from_millis(500));
    let all = Resources::now();
    let meter = Meter::start();
    thread::sleep(args.seconds);
    let second = meter.stop();

    let further = (args.clients.max(2) - 1) as f64;
    Report::new(args, &first)
        .flag("complete", true)
        .count("rss_base_kb", base.resident_kb)
        .count("rss_one_kb", one.resident_kb)
        .count("threads_base", base.threads)
        .count("threads_one", one.threads)
        .number(
            "rss_per_client_kb",
            all.resident_kb.saturating_sub(one.resident_kb) as f64 / further,
        )
        .number(
            "threads_per_client",
            all.threads.saturating_sub(one.threads) as f64 / further,
        )
        .number("cpu_all", second.user + second.system)
        .count("vol_ctx_all", second.voluntary)
        .count("clients", args.clients as u64)
        .print();
    clients.iter().try_for_each(Client::disconnect)
}
