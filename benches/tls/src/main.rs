//! Throughput over TLS: messages of 1 KiB with QoS 0, published and received. Ours and rumqttc, in one run.
//!
//! `cargo run --release --manifest-path benches/tls/Cargo.toml` lets the clients take turns, round by round, and prints the
//! medians with the least and the most of the rounds.
//!
//! | option | meaning |
//! |---|---|
//! | `--rounds N` | 5 |
//! | `--messages N` | so many in each run; 400000 |
//!
//! All clients have the same configuration of rustls, with the ciphers of ring, and the same peer: TLS 1.3, in a process of
//! its own. The clock runs, and the processor time of the client's process counts, over one connection: from before the
//! first `publish` until the peer's word that it has all messages; or from before the request for messages until the callback
//! has the last one, or the event in a client without callbacks.

mod clients;
mod meter;
mod peer;

use std::error::Error;
use std::{env, process};

use bench_peer::PROCESS_ARGUMENT;
use lexopt::{Arg, Parser, ValueExt};

use clients::{CLIENTS, Client, Job};
use meter::Cost;
use peer::Server;

type Failure = Box<dyn Error + Send + Sync>;

struct Options {
    rounds: usize,
    messages: u32,
}

/// A way that messages go.
struct Direction {
    name: &'static str,
    run: fn(&Client) -> fn(&Server, Job) -> Result<Cost, Failure>,
}

const DIRECTIONS: [Direction; 2] = [
    Direction {
        name: "publish",
        run: |client| client.publish,
    },
    Direction {
        name: "receive",
        run: |client| client.receive,
    },
];

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        [PROCESS_ARGUMENT, certificate, key] => peer::run(certificate, key),
        _ => compare(),
    };
    if let Err(error) = done {
        eprintln!("callmq-tls: {error}");
        process::exit(1);
    }
}

fn compare() -> Result<(), Failure> {
    let options = options()?;
    let server = Server::start()?;
    println!("TLS, QoS 0, 1 KiB\n");
    println!(
        "| job | client | messages/s | of the rounds | callmq has | CPU us per message | of the rounds |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|");
    for direction in &DIRECTIONS {
        let mut costs = vec![Vec::new(); CLIENTS.len()];
        for _ in 0..options.rounds {
            for (client, costs) in CLIENTS.iter().zip(&mut costs) {
                let cost = (direction.run)(client)(&server, Job::new(options.messages));
                costs.push(cost.map_err(|error| format!("{}: {error}", client.name))?);
            }
        }
        print(direction, &costs, options.messages);
    }
    Ok(())
}

fn options() -> Result<Options, Failure> {
    let (mut rounds, mut messages) = (5, 400_000);
    let mut parser = Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("rounds") => rounds = parser.value()?.parse()?,
            Arg::Long("messages") => messages = parser.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Options { rounds, messages })
}

fn print(direction: &Direction, costs: &[Vec<Cost>], messages: u32) {
    let messages = f64::from(messages);
    let summaries = costs.iter().map(|costs| {
        let rate = Summary::of(costs.iter().map(|cost| messages / cost.seconds));
        let processor = Summary::of(costs.iter().map(|cost| cost.processor * 1e6 / messages));
        (rate, processor)
    });
    let mut ours = None;
    for (client, (rate, processor)) in CLIENTS.iter().zip(summaries) {
        let ours = *ours.get_or_insert(rate.median);
        println!(
            "| {} | {} | {:.0} | {:.0} to {:.0} | {:.2} x | {:.2} | {:.2} to {:.2} |",
            direction.name,
            client.name,
            rate.median,
            rate.least,
            rate.most,
            ours / rate.median,
            processor.median,
            processor.least,
            processor.most,
        );
    }
}

/// What the rounds came to.
#[derive(Clone, Copy, Debug, Default)]
struct Summary {
    least: f64,
    median: f64,
    most: f64,
}

impl Summary {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        Self {
            least: at(0),
            median: at(values.len() / 2),
            most: at(values.len().saturating_sub(1)),
        }
    }
}
