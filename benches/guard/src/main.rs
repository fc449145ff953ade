//! Guards what a message costs: instructions and heap allocations, for messages of 64 bytes sent and received.
//!
//! Counts, not times: they are the same on a busy machine. The client runs in one thread, over a stream in memory, with a
//! clock that stands still; valgrind counts. `bounds.txt` has the most that is allowed.
//!
//! The profile `guard` compiles as a program's release build does that sets nothing, without optimisation across crates:
//! with that there are some five percent fewer instructions.
//!
//! | command | what it does |
//! |---|---|
//! | `callmq-guard` | prints the counts beside their bounds; fails if one is above |
//! | `callmq-guard accept` | writes the bounds anew, a few percent above the counts |
//! | `callmq-guard run JOB BURSTS` | what is counted: so many bursts of 256 messages |

mod bounds;
mod count;
mod jobs;
mod peer;

use std::alloc::System;
use std::{env, process};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use bounds::{Bound, Table, Verdict};
use jobs::JOBS;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] => check(),
        ["accept"] => accept(),
        ["run", job, bursts] => run(job, bursts),
        _ => Err("usage: callmq-guard [accept | run JOB BURSTS]".to_owned()),
    };
    if let Err(error) = done {
        eprintln!("callmq-guard: {error}");
        process::exit(1);
    }
}

fn run(name: &str, bursts: &str) -> Result<(), String> {
    let job = JOBS.into_iter().find(|job| job.name == name);
    let job = job.ok_or_else(|| format!("no such job: {name}"))?;
    let bursts = bursts.parse().map_err(|_| format!("not a number: {bursts}"))?;
    let region = Region::new(ALLOCATOR);
    job.run(bursts).map_err(|error| format!("{name}: {error}"))?;
    let change = region.change();
    println!("allocations: {}", change.allocations + change.reallocations);
    Ok(())
}

fn check() -> Result<(), String> {
    let (table, compiler) = (Table::read()?, bounds::compiler()?);
    if table.compiler != compiler {
        println!(
            "the bounds are those of {}, this is {compiler}: it is allowed more instructions",
            table.compiler
        );
    }
    println!("per message of 64 bytes       instructions (at most)   allocations (at most)");
    let mut verdicts = Vec::new();
    for (job, (name, bound)) in JOBS.into_iter().zip(table.for_compiler(&compiler).bounds) {
        if name != job.name {
            return Err(format!(
                "the bounds of {name} stand where those of {} should",
                job.name
            ));
        }
        let (count, largest) = (count::count(job)?, bound.largest());
        let verdict = bound.judge(count);
        let remark = match verdict {
            Verdict::Kept => "",
            Verdict::Loose => "<- far below",
            Verdict::Broken => "<- ABOVE",
        };
        println!(
            "{name:<28}{:>9.1}{:>13}{:>16.3}{:>10}   {remark}",
            count.instructions,
            format!("({})", largest.instructions),
            count.allocations,
            format!("({})", largest.allocations),
        );
        verdicts.push(verdict);
    }
    if verdicts.contains(&Verdict::Broken) {
        return Err("a message costs more than it may".to_owned());
    }
    if verdicts.contains(&Verdict::Loose) {
        println!(
            "warning: what is far below its bound could grow unnoticed: `callmq-guard accept` tightens the bounds"
        );
    }
    Ok(())
}

fn accept() -> Result<(), String> {
    let mut bounds = Vec::new();
    for job in JOBS {
        bounds.push((job.name.to_owned(), Bound::above(count::count(job)?)));
    }
    let compiler = bounds::compiler()?;
    Table { compiler, bounds }.write()
}
