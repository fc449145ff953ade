//! Latency under load: how long a message takes from `publish` to the wire, and from the wire to the callback, while so
//! many are sent as half of what the client can do. Ours and the fastest other client's, in one run.
//!
//! `cargo run --release --manifest-path benches/latency/Cargo.toml` first lets every client publish and receive as fast as it
//! can. Then each runs at half of its own most, and at half of the least of all: the same load for everybody. Rounds
//! take turns among the clients; the medians are printed.
//!
//! | option | meaning |
//! |---|---|
//! | `--rounds N` | 5 |
//! | `--time SECONDS` | how long each run is; 2 |
//!
//! Messages have 64 bytes and QoS 0, and carry the time of their sending. From publish to the wire: from just before the
//! call of `publish` until a blocking `read` of the peer has returned with the message. From the wire to the callback:
//! from just before the peer's `write` until the callback's first look at the clock, or the event's in a client without
//! callbacks. The peer is a thread of the same process, so that both ends have one clock. A sender that falls behind catches up;
//! the rate that was reached is printed.

mod clients;
mod pace;
mod record;
mod wire;

use std::error::Error;
use std::process;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use clients::{CLIENTS, Client};
use pace::Load;
use record::Outcome;

type Failure = Box<dyn Error + Send + Sync>;

struct Options {
    rounds: usize,
    time: Duration,
}

/// A way that messages go.
struct Direction {
    name: &'static str,
    run: fn(&Client, Load) -> Result<Outcome, Failure>,
}

const DIRECTIONS: [Direction; 2] = [
    Direction {
        name: "from publish to the wire",
        run: publish,
    },
    Direction {
        name: "from the wire to the callback",
        run: receive,
    },
];

fn publish(client: &Client, load: Load) -> Result<Outcome, Failure> {
    let server = wire::sink()?;
    (client.publish)(server.port, load)?;
    server.finish()
}

fn receive(client: &Client, load: Load) -> Result<Outcome, Failure> {
    let server = wire::source(load)?;
    let outcome = (client.receive)(server.port)?;
    server.finish()?;
    Ok(outcome)
}

fn main() {
    let done = options().and_then(|options| {
        DIRECTIONS
            .iter()
            .try_for_each(|direction| compare(direction, &options))
    });
    if let Err(error) = done {
        eprintln!("callmq-latency: {error}");
        process::exit(1);
    }
}

fn options() -> Result<Options, Failure> {
    let (mut rounds, mut seconds) = (5, 2.0);
    let mut parser = Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("rounds") => rounds = parser.value()?.parse()?,
            Arg::Long("time") => seconds = parser.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    let time = Duration::try_from_secs_f64(seconds)?;
    Ok(Options { rounds, time })
}

fn compare(direction: &Direction, options: &Options) -> Result<(), Failure> {
    let time = options.time;
    let most = rounds(direction, options, |_| Load { rate: None, time })?;
    let most: Vec<f64> = most
        .iter()
        .map(|outcomes| median(outcomes, |outcome| outcome.rate))
        .collect();
    let least = most.iter().copied().fold(f64::INFINITY, f64::min);
    let half = |most: f64| Load {
        rate: Some(most / 2.0),
        time,
    };
    println!("{}, 64 bytes, QoS 0\n", direction.name);
    println!("| client | load | messages/s | p50 us | p99 us | p99.9 us | p99.9 of the rounds |");
    println!("|---|---|--:|--:|--:|--:|--:|");
    let own = rounds(direction, options, |number| half(most[number]))?;
    print("half of its most", &own);
    let same = rounds(direction, options, |_| half(least))?;
    print("half of the least", &same);
    println!();
    Ok(())
}

/// Runs all clients in turn: the outcomes of each.
fn rounds(
    direction: &Direction,
    options: &Options,
    load: impl Fn(usize) -> Load,
) -> Result<Vec<Vec<Outcome>>, Failure> {
    let mut outcomes = vec![Vec::new(); CLIENTS.len()];
    for _ in 0..options.rounds {
        for (number, client) in CLIENTS.iter().enumerate() {
            let outcome = (direction.run)(client, load(number));
            outcomes[number].push(outcome.map_err(|error| format!("{}: {error}", client.name))?);
        }
    }
    Ok(outcomes)
}

fn print(load: &str, outcomes: &[Vec<Outcome>]) {
    for (client, outcomes) in CLIENTS.iter().zip(outcomes) {
        let last = |outcome: &Outcome| outcome.p999;
        println!(
            "| {} | {load} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} to {:.1} |",
            client.name,
            median(outcomes, |outcome| outcome.rate),
            median(outcomes, |outcome| outcome.p50),
            median(outcomes, |outcome| outcome.p99),
            median(outcomes, last),
            outcomes.iter().map(last).fold(f64::INFINITY, f64::min),
            outcomes.iter().map(last).fold(0.0, f64::max),
        );
    }
}

fn median(outcomes: &[Outcome], value: impl Fn(&Outcome) -> f64) -> f64 {
    let mut values: Vec<f64> = outcomes.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
