//! Throughput over TLS: messages of 1 KiB with QoS 0, published and received. Ours and rumqttc, in one run.
//!
//! `cargo run --release --manifest-path benches/compare/Cargo.toml --bin tls` lets the clients take turns, round by
//! round, and prints the medians with the least and the most of the rounds.
//!
//! | option | meaning |
//! |---|---|
//! | `--rounds N` | 5 |
//! | `--messages N` | so many in each run; 400000 |
//!
//! All clients have the same configuration of rustls, with the ciphers of ring, and the same peer: TLS 1.3, in a
//! process of its own. The clock runs, and the processor time of the client's process counts, over one connection:
//! from before the first `publish` until the peer's word that it has all messages; or from before the request for
//! messages until the callback has the last one, or the event in a client without callbacks.

mod clients;
mod meter;
mod peer;

use std::{env, process};

use bench_peer::PROCESS_ARGUMENT;
use compare::{CLIENTS, Each, Failure, Summary, options, rounds};

use clients::{Job, PUBLISH, RECEIVE, Run};
use meter::Cost;
use peer::Server;

/// The ways that messages go.
const DIRECTIONS: [(&str, Each<Run>); 2] = [("publish", PUBLISH), ("receive", RECEIVE)];

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        [PROCESS_ARGUMENT, certificate, key] => peer::run(certificate, key),
        _ => compare(),
    };
    if let Err(error) = done {
        eprintln!("tls: {error}");
        process::exit(1);
    }
}

fn compare() -> Result<(), Failure> {
    let (count, messages) = options("messages", 400_000)?;
    let server = Server::start()?;
    println!("TLS, QoS 0, 1 KiB\n");
    println!(
        "| job | client | messages/s | of the rounds | callmq has | CPU us per message | of the rounds |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|");
    for (name, runs) in DIRECTIONS {
        let costs = rounds(count, |client| runs[client](&server, Job::new(messages)))?;
        print(name, &costs, messages);
    }
    Ok(())
}

fn print(direction: &str, costs: &Each<Vec<Cost>>, messages: u32) {
    let messages = f64::from(messages);
    let rates = costs
        .each_ref()
        .map(|costs| Summary::of(costs, |cost| messages / cost.seconds));
    let ours = rates[0].median;
    for (client, (rate, costs)) in CLIENTS.iter().zip(rates.iter().zip(costs)) {
        let processor = Summary::of(costs, |cost| cost.processor * 1e6 / messages);
        println!(
            "| {direction} | {client} | {:.0} | {:.0} to {:.0} | {:.2} x | {:.2} | {:.2} to {:.2} |",
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
