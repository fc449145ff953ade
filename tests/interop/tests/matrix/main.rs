//! The same checks with every broker in every version of the protocol that it speaks and, where it matters, over every way
//! into it.
//!
//! A test starts one broker and goes through its versions and ways side by side. Each check has client ids and topics of
//! its own, so none sees what another does. What a broker is known to get wrong, or to do without, stands in
//! `faults.rs`, with the words that the check then fails with: a check that fails otherwise fails the test, and so
//! does a fault that is gone. The table of results is printed whether or not the test passes.
//!
//! Without the feature `brokers` there are mosquitto and the crate's own broker, which need no installation.

mod basics;
mod connecting;
mod faults;
mod properties;
mod refusals;
mod sessions;
mod site;
mod subscriptions;
mod volume;
mod wills;

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use callmq::client::ProtocolVersion::{self, V5};
use interop::{Brand, Running, Way};

use faults::Known;
use site::{Failure, Outcome, Site};

#[test]
fn mosquitto() {
    run(Brand::Mosquitto);
}

#[test]
fn the_embedded_broker() {
    run(Brand::Embedded);
}

#[cfg(feature = "brokers")]
mod others {
    use super::{Brand, run};

    #[test]
    fn ejabberd() {
        run(Brand::Ejabberd);
    }

    #[test]
    fn aedes() {
        run(Brand::Aedes);
    }

    #[test]
    fn nats_server() {
        run(Brand::Nats);
    }

    #[test]
    fn rabbitmq() {
        run(Brand::RabbitMq);
    }
}

/// One row of the matrix.
struct Check {
    /// What is checked.
    name: &'static str,
    scope: Scope,
    run: fn(&Site) -> Outcome,
}

/// Where a check is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// In every version, by TCP.
    All,
    /// In MQTT 5.0 only: before it there was no such thing.
    Only5,
    /// In every version by TCP, and in the latest by each other way in.
    EveryWay,
}

use Scope::{All as ALL, EveryWay as EVERY_WAY, Only5 as ONLY_5};

/// One column of the matrix.
#[derive(Clone, Copy)]
struct Column {
    version: ProtocolVersion,
    way: Way,
}

impl Column {
    fn has(self, scope: Scope) -> bool {
        match scope {
            Scope::All => self.way == Way::Tcp,
            Scope::Only5 => self.way == Way::Tcp && self.version == V5,
            Scope::EveryWay => true,
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.way {
            Way::Tcp => f.pad(&self.version.to_string()),
            way => way.fmt(f),
        }
    }
}

/// The versions of a broker, and the other ways into it with the latest of them.
fn columns(brand: Brand) -> Vec<Column> {
    let versions = brand.versions().iter().map(|&version| (version, Way::Tcp));
    let latest = brand.versions().last().copied().expect("it speaks one");
    let others = brand.ways().iter().filter(|&&way| way != Way::Tcp);
    versions
        .chain(others.map(|&way| (latest, way)))
        .map(|(version, way)| Column { version, way })
        .collect()
}

/// The rows of the matrix, from all files.
fn checks() -> Vec<Check> {
    [
        connecting::CHECKS,
        basics::CHECKS,
        wills::CHECKS,
        volume::CHECKS,
        sessions::CHECKS,
        subscriptions::CHECKS,
        properties::CHECKS,
    ]
    .concat()
    .into_iter()
    .map(|(name, scope, run)| Check { name, scope, run })
    .collect()
}

/// A row as the files write it.
type Row = (&'static str, Scope, fn(&Site) -> Outcome);

/// What came of one check with one broker in one version.
enum Verdict {
    Passed,
    /// It failed as the table of faults says it does.
    Fault(&'static Known),
    Failed(String),
    /// It is not for this column.
    None,
}

/// Goes through the checks with one broker.
///
/// # Panics
///
/// When a check fails that is not known to, or passes that is known to fail.
fn run(brand: Brand) {
    let start = Instant::now();
    let broker = brand.start();
    let started = start.elapsed();
    let (checks, columns) = (checks(), columns(brand));
    let verdicts: Vec<Vec<Verdict>> = thread::scope(|scope| {
        let threads: Vec<_> = columns
            .iter()
            .map(|&column| {
                let (broker, checks) = (&broker, &checks);
                scope.spawn(move || {
                    let verdict = |(number, check)| verdict(broker, column, number, check);
                    checks.iter().enumerate().map(verdict).collect()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let refusals = refusals::failures(&broker);
    let report = report(brand, &columns, &checks, &verdicts, [started, start.elapsed()]);
    // Past libtest, which keeps what a passing test prints to itself.
    let _ = std::io::stderr().write_all(report.as_bytes());
    let failures: Vec<_> = verdicts
        .iter()
        .zip(&columns)
        .flat_map(|(verdicts, column)| {
            let failure = move |(verdict, check): (&Verdict, &Check)| match verdict {
                Verdict::Failed(why) => Some(format!("{} in {column}: {why}", check.name)),
                _ => None,
            };
            verdicts.iter().zip(&checks).filter_map(failure)
        })
        .chain(refusals)
        .collect();
    assert!(
        failures.is_empty(),
        "{brand}:\n{}\n\nthe end of its log:\n{}",
        failures.join("\n"),
        broker.log_tail(60)
    );
}

fn verdict(broker: &Running, column: Column, number: usize, check: &Check) -> Verdict {
    if !column.has(check.scope) {
        return Verdict::None;
    }
    if let Ok(only) = std::env::var("CALLMQ_CHECK") {
        if !check.name.contains(&only) {
            return Verdict::None;
        }
    }
    let site = Site::new(broker, column, number);
    let start = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (check.run)(&site)))
        .unwrap_or_else(|_| Err(Failure::new("it panicked, see above")));
    if start.elapsed() > Duration::from_secs(5) {
        eprintln!("{} in {column}: {:?}", check.name, start.elapsed());
    }
    let known = faults::of(broker.brand(), column, check.name);
    match (outcome, known) {
        (Ok(()), None) => Verdict::Passed,
        (Ok(()), Some(known)) if known.sometimes => Verdict::Passed,
        (Ok(()), Some(known)) => {
            Verdict::Failed(format!("passes, and the table of faults says: {}", known.why))
        }
        (Err(failure), Some(known)) if failure.text().contains(known.says) => Verdict::Fault(known),
        (Err(failure), _) => Verdict::Failed(failure.text().to_owned()),
    }
}

/// The table of one broker, and its faults.
fn report(
    brand: Brand,
    columns: &[Column],
    checks: &[Check],
    verdicts: &[Vec<Verdict>],
    [started, all]: [Duration; 2],
) -> String {
    let mut text = format!("\n{brand:<34}");
    for column in columns {
        let _ = write!(text, "{column:>12}");
    }
    text.push('\n');
    let mut faults: Vec<&Known> = Vec::new();
    for (row, check) in checks.iter().enumerate() {
        let cells: Vec<_> = verdicts.iter().map(|column| &column[row]).collect();
        if cells.iter().all(|cell| matches!(cell, Verdict::None)) {
            continue;
        }
        let _ = write!(text, "  {:<32}", check.name);
        for cell in cells {
            let cell = match cell {
                Verdict::Passed => "ok".into(),
                Verdict::Failed(_) => "FAILED".into(),
                Verdict::None => String::new(),
                Verdict::Fault(known) => {
                    let known = *known;
                    let number = faults.iter().position(|fault| std::ptr::eq(*fault, known));
                    let number = number.unwrap_or_else(|| {
                        faults.push(known);
                        faults.len() - 1
                    });
                    format!("({})", number + 1)
                }
            };
            let _ = write!(text, "{cell:>12}");
        }
        text.push('\n');
    }
    for (number, fault) in faults.iter().enumerate() {
        let _ = writeln!(text, "  ({}) {}: {}", number + 1, fault.check, fault.why);
    }
    let _ = write!(text, "  in all");
    for (verdicts, column) in verdicts.iter().zip(columns) {
        let count = |is: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| is(verdict)).count();
        let _ = write!(
            text,
            "; {column}: {} passed, {} known faults, {} failed",
            count(|verdict| matches!(verdict, Verdict::Passed)),
            count(|verdict| matches!(verdict, Verdict::Fault(_))),
            count(|verdict| matches!(verdict, Verdict::Failed(_))),
        );
    }
    let _ = writeln!(text, "; served after {started:.1?}, all took {all:.1?}");
    text
}
