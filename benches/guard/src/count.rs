//! Counts what one message costs: two runs of a job, of different length, each in a process of its own under valgrind;
//! what connecting and everything else takes that does not depend on the number of messages is in both.

use std::env;
use std::process::Command;

use crate::jobs::Job;
use crate::peer::BURST;

/// Long enough for buffers to have their size and for caches to be filled before the difference begins.
const SHORT: u64 = 32;
const LONG: u64 = SHORT + 128;

/// For one message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Count {
    /// In user space, those of the peer included.
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
}

/// For a whole run.
struct Total {
    instructions: u64,
    allocations: u64,
}

pub(crate) fn count(job: Job) -> Result<Count, String> {
    let (short, long) = (total(job, SHORT)?, total(job, LONG)?);
    let messages = ((LONG - SHORT) * BURST) as f64;
    let each = |short: u64, long: u64| (long as f64 - short as f64) / messages;
    Ok(Count {
        instructions: each(short.instructions, long.instructions),
        allocations: each(short.allocations, long.allocations),
    })
}

fn total(job: Job, bursts: u64) -> Result<Total, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let run = Command::new("valgrind")
        .args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ])
        .arg(program)
        .args(["run", job.name, &bursts.to_string()])
        .output()
        .map_err(|error| format!("valgrind does not start: {error}"))?;
    let (output, report) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    let instructions = number_behind(&report, "refs:");
    let allocations = number_behind(&output, "allocations:");
    match (instructions, allocations) {
        (Some(instructions), Some(allocations)) if run.status.success() => Ok(Total {
            instructions,
            allocations,
        }),
        _ => Err(format!(
            "{} does not run: {}\n{output}{report}",
            job.name, run.status
        )),
    }
}

/// The number behind a key, which may have commas between its digits.
pub(crate) fn number_behind(text: &str, key: &str) -> Option<u64> {
    let (_, rest) = text.split_once(key)?;
    let digits = rest.split_whitespace().next()?.replace(',', "");
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_valgrind_writes_them() {
        let report = "==7== Cachegrind, a high-precision tracing profiler\n==7== I   refs:      1,234,567\n";
        assert_eq!(number_behind(report, "refs:"), Some(1_234_567));
        assert_eq!(number_behind("allocations: 12\n", "allocations:"), Some(12));
        assert_eq!(number_behind("==7== no", "refs:"), None);
    }
}
