//! Latency under load: how long a message takes from `publish` to the wire, and from the wire to the callback, while so
//! many are sent as half of what the client can do. Ours and the fastest other client's, in one run.
//!
//! `cargo run --release --manifest-path benches/compare/Cargo.toml --bin latency` first lets every client publish and
//! receive as fast as it can. Then each runs at half of its own most, and at half of the least of all: the same load
//! for everybody. Rounds take turns among the clients; the medians are printed.
//!
//! | option | meaning |
//! |---|---|
//! | `--rounds N` | 5 |
//! | `--time SECONDS` | how long each run is; 2 |
//!
//! Messages have 64 bytes and QoS 0, and carry the time of their sending. From publish to the wire: from just before
//! the call of `publish` until a blocking `read` of the peer has returned with the message. From the wire to the
//! callback: from just before the peer's `write` until the callback's first look at the clock, or the event's in a
//! client without callbacks. The peer is a thread of the same process, so that both ends have one clock. A sender
//! that falls behind catches up; the rate that was reached is printed.

mod clients;
mod pace;
mod record;
mod wire;

use std::process;
use std::time::Duration;

use compare::{CLIENTS, Each, Failure, Summary, options, rounds};

use clients::{PUBLISH, RECEIVE};
use pace::Load;
use record::Outcome;

/// A way that messages go.
struct Direction {
    name: &'static str,
    /// Given the client's place among [`CLIENTS`].
    run: fn(usize, Load) -> Result<Outcome, Failure>,
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

fn publish(client: usize, load: Load) -> Result<Outcome, Failure> {
    let server = wire::sink()?;
    PUBLISH[client](server.port, load)?;
    server.finish()
}

fn receive(client: usize, load: Load) -> Result<Outcome, Failure> {
    let server = wire::source(load)?;
    let outcome = RECEIVE[client](server.port)?;
    server.finish()?;
    Ok(outcome)
}

fn main() {
    if let Err(error) = compare() {
        eprintln!("latency: {error}");
        process::exit(1);
    }
}

fn compare() -> Result<(), Failure> {
    let (count, seconds) = options("time", 2.0)?;
    let time = Duration::try_from_secs_f64(seconds)?;
    for Direction { name, run } in DIRECTIONS {
        let most = rounds(count, |client| run(client, Load { rate: None, time }))?;
        let most = most.map(|outcomes| Summary::of(&outcomes, |outcome| outcome.rate).median);
        let least = most.iter().copied().fold(f64::INFINITY, f64::min);
        let half = |most: f64| Load {
            rate: Some(most / 2.0),
            time,
        };
        println!("{name}, 64 bytes, QoS 0\n");
        println!("| client | load | messages/s | p50 us | p99 us | p99.9 us | p99.9 of the rounds |");
        println!("|---|---|--:|--:|--:|--:|--:|");
        print(
            "half of its most",
            &rounds(count, |client| run(client, half(most[client])))?,
        );
        print(
            "half of the least",
            &rounds(count, |client| run(client, half(least)))?,
        );
        println!();
    }
    Ok(())
}

fn print(load: &str, outcomes: &Each<Vec<Outcome>>) {
    for (client, outcomes) in CLIENTS.iter().zip(outcomes) {
        let last = Summary::of(outcomes, |outcome| outcome.p999);
        println!(
            "| {client} | {load} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} to {:.1} |",
            Summary::of(outcomes, |outcome| outcome.rate).median,
            Summary::of(outcomes, |outcome| outcome.p50).median,
            Summary::of(outcomes, |outcome| outcome.p99).median,
            last.median,
            last.least,
            last.most,
        );
    }
}
