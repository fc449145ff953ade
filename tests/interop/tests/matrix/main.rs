//! The same checks with every broker in every version of the protocol that it speaks.
//!
//! A test starts one broker and goes through its versions side by side. Each check has client ids and topics of its own,
//! so none sees what another does. What a broker is known to get wrong, or to do without, stands in `faults.rs`, with
//! the words that the check then fails with: a check that fails otherwise fails the test, and so does a fault that is
//! gone. The table of results is printed whether or not the test passes.
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

use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use callmq::client::ProtocolVersion::{self, V5, V31, V311};
use interop::{Brand, Running};

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
    /// In which versions there is such a thing.
    versions: &'static [ProtocolVersion],
    run: fn(&Site) -> Outcome,
}

const ALL: &[ProtocolVersion] = &[V31, V311, V5];
const ONLY_5: &[ProtocolVersion] = &[V5];

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
    .map(|(name, versions, run)| Check { name, versions, run })
    .collect()
}

/// A row as the files write it.
type Row = (&'static str, &'static [ProtocolVersion], fn(&Site) -> Outcome);

/// What came of one check with one broker in one version.
enum Verdict {
    Passed,
    /// It failed as the table of faults says it does.
    Fault(&'static Known),
    Failed(String),
    /// The version has no such thing.
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
    let checks = checks();
    let versions = brand.versions();
    let columns: Vec<Vec<Verdict>> = thread::scope(|scope| {
        let threads: Vec<_> = versions
            .iter()
            .map(|&version| {
                let (broker, checks) = (&broker, &checks);
                scope.spawn(move || {
                    let verdict = |(number, check)| verdict(broker, version, number, check);
                    checks.iter().enumerate().map(verdict).collect()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let refusals = refusals::failures(&broker);
    let report = report(brand, versions, &checks, &columns, [started, start.elapsed()]);
    // Past libtest, which keeps what a passing test prints to itself.
    let _ = std::io::stderr().write_all(report.as_bytes());
    let failures: Vec<_> = columns
        .iter()
        .zip(versions)
        .flat_map(|(column, version)| {
            let checks = &checks;
            column
                .iter()
                .zip(checks)
                .filter_map(move |(verdict, check)| match verdict {
                    Verdict::Failed(why) => Some(format!("{} in {version:?}: {why}", check.name)),
                    _ => None,
                })
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

fn verdict(broker: &Running, version: ProtocolVersion, number: usize, check: &Check) -> Verdict {
    if !check.versions.contains(&version) {
        return Verdict::None;
    }
    if let Ok(only) = std::env::var("CALLMQ_CHECK") {
        if !check.name.contains(&only) {
            return Verdict::None;
        }
    }
    let site = Site::new(broker, version, number);
    let start = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (check.run)(&site)))
        .unwrap_or_else(|_| Err(Failure::new("it panicked, see above")));
    if start.elapsed() > Duration::from_secs(5) {
        eprintln!("{} in {version:?}: {:?}", check.name, start.elapsed());
    }
    let known = faults::of(broker.brand(), version, check.name);
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
    versions: &[ProtocolVersion],
    checks: &[Check],
    columns: &[Vec<Verdict>],
    [started, all]: [Duration; 2],
) -> String {
    let mut text = format!("\n{brand:<34}");
    for version in versions {
        let _ = write!(text, "{:>12}", version.to_string());
    }
    text.push('\n');
    let mut faults: Vec<&Known> = Vec::new();
    for (row, check) in checks.iter().enumerate() {
        let cells: Vec<_> = columns.iter().map(|column| &column[row]).collect();
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
    for (column, version) in columns.iter().zip(versions) {
        let count = |is: fn(&Verdict) -> bool| column.iter().filter(|verdict| is(verdict)).count();
        let _ = write!(
            text,
            "; {version}: {} passed, {} known faults, {} failed",
            count(|verdict| matches!(verdict, Verdict::Passed)),
            count(|verdict| matches!(verdict, Verdict::Fault(_))),
            count(|verdict| matches!(verdict, Verdict::Failed(_))),
        );
    }
    let _ = writeln!(text, "; served after {started:.1?}, all took {all:.1?}");
    text
}
