//! callmq beside other clients: what the programs have in common. Each lets the clients take turns, round by round, and
//! prints the medians.

use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

use callmq::client::{Client, OfflineQueue, WhenFull};
use lexopt::{Arg, Parser, ValueExt};
use tokio::runtime::{Builder, Runtime};

pub type Failure = Box<dyn Error + Send + Sync>;

/// The clients that are compared.
pub const CLIENTS: [&str; 3] = ["callmq", "rumqttc, threads", "rumqttc, async"];

/// One for each of [`CLIENTS`].
pub type Each<T> = [T; CLIENTS.len()];

/// Longer than a run takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// So many requests may wait for the event loop of rumqttc.
pub const CAPACITY: usize = 1000;

/// A client of callmq whose `publish` waits for room.
pub fn callmq(client_id: &str) -> Client {
    let queue = OfflineQueue {
        when_full: WhenFull::Block(PATIENCE),
        ..OfflineQueue::default()
    };
    Client::builder(client_id).offline_queue(queue).build()
}

/// One thread for all tasks: there rumqttc publishes fastest.
pub fn runtime() -> Result<Runtime, Failure> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// Reads the command line: `--rounds`, 5 if it is not there, and the other option that a program has.
pub fn options<T: FromStr<Err: Into<Failure>>>(name: &str, default: T) -> Result<(usize, T), Failure> {
    let (mut rounds, mut other) = (5, default);
    let mut parser = Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("rounds") => rounds = parser.value()?.parse()?,
            Arg::Long(long) if long == name => other = parser.value()?.parse()?,
            unexpected => return Err(unexpected.unexpected().into()),
        }
    }
    Ok((rounds, other))
}

/// Lets the clients take turns: what came of all runs of each. `run` is given the client's place among [`CLIENTS`].
pub fn rounds<T>(
    count: usize,
    mut run: impl FnMut(usize) -> Result<T, Failure>,
) -> Result<Each<Vec<T>>, Failure> {
    let mut all: Each<Vec<T>> = Default::default();
    for _ in 0..count {
        for (number, (name, outcomes)) in CLIENTS.iter().zip(&mut all).enumerate() {
            outcomes.push(run(number).map_err(|error| format!("{name}: {error}"))?);
        }
    }
    Ok(all)
}

/// A figure of all runs of a client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    pub least: f64,
    pub median: f64,
    pub most: f64,
}

impl Summary {
    pub fn of<T>(outcomes: &[T], figure: impl Fn(&T) -> f64) -> Self {
        let mut values: Vec<f64> = outcomes.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        Self {
            least: at(0),
            median: at(values.len() / 2),
            most: at(values.len().saturating_sub(1)),
        }
    }
}
