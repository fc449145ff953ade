//! Guards what a message costs: instructions and heap allocations, for messages of 64 bytes sent and received; and what
//! an idle client costs: the stack of its thread.
//!
//! Counts, not times: they are the same on a busy machine. For the messages the client runs in one thread, over a stream in
//! memory, with a clock that stands still; valgrind counts. `bounds.txt` has the most that is allowed.
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
mod stack;

use std::alloc::System;
use std::{env, process};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use bounds::{Bound, DepthBound, Table, Verdict};
use jobs::JOBS;
use stack::{IDLE, Stack};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] => check(),
        ["accept"] => accept(),
        ["run", job, bursts] => run(job, bursts),
        ["stack", idle] => stack::run(idle),
        _ => Err("usage: callmq-guard [accept | run JOB BURSTS | stack KIND]".to_owned()),
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
            "the bounds are those of {}, this is {compiler}: it is allowed more instructions and stack",
            table.compiler
        );
    }
    let table = table.for_compiler(&compiler);
    println!("per message of 64 bytes       instructions (at most)   allocations (at most)");
    let mut verdicts = Vec::new();
    for (job, (name, bound)) in JOBS.into_iter().zip(table.bounds) {
        if name != job.name {
            return Err(misplaced(&name, job.name));
        }
        let (count, largest) = (count::count(job)?, bound.largest());
        let verdict = bound.judge(count);
        println!(
            "{name:<28}{:>9.1}{:>13}{:>16.3}{:>10}   {}",
            count.instructions,
            format!("({})", largest.instructions),
            count.allocations,
            format!("({})", largest.allocations),
            remark(verdict),
        );
        verdicts.push(verdict);
    }
    println!("\nper idle client              bytes of stack (at most)");
    for (idle, (name, bound)) in IDLE.into_iter().zip(table.stacks) {
        if name != idle.name() {
            return Err(misplaced(&name, idle.name()));
        }
        match stack::measure(idle)? {
            Stack::Depth(depth) => {
                let (largest, verdict) = (format!("({})", bound.largest()), bound.judge(depth));
                println!("{name:<28}{depth:>9}{largest:>13}   {}", remark(verdict));
                verdicts.push(verdict);
            }
            Stack::NotMeasured(reason) => println!("{name:<28}not measured: {reason}"),
        }
    }
    if verdicts.contains(&Verdict::Broken) {
        return Err("a message or an idle client costs more than it may".to_owned());
    }
    if verdicts.contains(&Verdict::Loose) {
        println!(
            "warning: what is far below its bound could grow unnoticed: `callmq-guard accept` tightens the bounds"
        );
    }
    Ok(())
}

fn misplaced(name: &str, expected: &str) -> String {
    format!("the bounds of {name} stand where those of {expected} should")
}

fn remark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Kept => "",
        Verdict::Loose => "<- far below",
        Verdict::Broken => "<- ABOVE",
    }
}

fn accept() -> Result<(), String> {
    let mut stacks = Vec::new();
    for idle in IDLE {
        match stack::measure(idle)? {
            Stack::Depth(depth) => stacks.push((idle.name().to_owned(), DepthBound::above(depth))),
            Stack::NotMeasured(reason) => return Err(format!("{} is not measured: {reason}", idle.name())),
        }
    }
    let mut bounds = Vec::new();
    for job in JOBS {
        bounds.push((job.name.to_owned(), Bound::above(count::count(job)?)));
    }
    let compiler = bounds::compiler()?;
    let table = Table {
        compiler,
        stacks,
        bounds,
    };
    table.write()
}
