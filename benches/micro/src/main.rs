//! Times the codec and the session alone, without a client, a socket or a thread, and counts their heap allocations.
//!
//! `cargo run --release --package callmq-micro` runs all of it, with `-- WORD` the cases with this word in their names.
//! Times and allocations are those of one message or packet. What is done once for a burst of messages, as taking the
//! output, is shared out among them.

mod decoding;
mod encoding;
mod flows;

/// The lower floors of the crate, compiled in: the session is private.
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    clippy::all,
    reason = "they are checked where they belong, and the client is not there to use them"
)]
#[path = "../../../src"]
mod floors {
    pub(crate) mod codec;
    pub(crate) mod error;
    pub(crate) mod on_demand;
    pub(crate) mod reason_code;
    pub(crate) mod session;
    pub(crate) mod topic;
}
// They name each other from the root of the crate.
use floors::{codec, error, on_demand, reason_code, session, topic};

use std::alloc::System;
use std::error::Error;
use std::time::Duration;
use std::{env, process};

use criterion::Criterion;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TOPIC: &str = "bench/pub/topic";

/// What is done once for a burst is done once for so many messages: not more than the output has room for.
const BURST: usize = 128;

/// Allocations are counted over so many messages, after as many: buffers have their size then.
const COUNTED: usize = 100 * BURST;

/// Something to be measured: what is done for one message.
struct Case {
    name: String,
    step: Box<dyn FnMut() -> Result<(), Box<dyn Error>>>,
}

impl Case {
    fn new<E: Error + 'static>(
        name: impl Into<String>,
        mut step: impl FnMut() -> Result<(), E> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            step: Box::new(move || Ok(step()?)),
        }
    }

    /// Allocations per message.
    fn allocations(&mut self) -> Result<f64, Box<dyn Error>> {
        (0..COUNTED).try_for_each(|_| (self.step)())?;
        let region = Region::new(ALLOCATOR);
        (0..COUNTED).try_for_each(|_| (self.step)())?;
        let change = region.change();
        Ok((change.allocations + change.reallocations) as f64 / COUNTED as f64)
    }
}

fn main() {
    let word = env::args().nth(1).unwrap_or_default();
    let cases = [encoding::cases(), decoding::cases(), flows::cases()];
    let mut cases: Vec<_> = cases.into_iter().flatten().collect();
    cases.retain(|case| case.name.contains(&word));

    println!("heap allocations per message");
    for case in &mut cases {
        match case.allocations() {
            Ok(count) => println!("{:<40}{count:>8.3}", case.name),
            Err(error) => {
                eprintln!("callmq-micro: {}: {error}", case.name);
                process::exit(1);
            }
        }
    }
    println!();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1));
    for case in &mut cases {
        criterion.bench_function(&case.name, |bencher| bencher.iter(|| (case.step)()));
    }
}

fn qos(level: u8) -> codec::QoS {
    codec::QoS::try_from(level).unwrap_or_default()
}
