//! The table of bounds: what a message and an idle client may cost.

use std::fs;
use std::process::Command;

use crate::count::Count;

/// New bounds are so much above the counts that they are made from: for what a compiler's next version, or code that was
/// moved, changes without anybody's doing.
const HEADROOM: f64 = 1.06;

/// Buffers that grow once in a while are no allocation of a message.
const STRAY_ALLOCATIONS: f64 = 0.005;

/// Another compiler makes other code: it may need so much more.
const OTHER_COMPILER: f64 = 1.15;

/// A count this far below its bound asks for a tighter one.
const SLACK: f64 = 0.90;

/// How a count stands to its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Kept,
    /// So far below that the bound would not notice a loss.
    Loose,
    Broken,
}

/// The largest counts that are allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound(Count);

impl Bound {
    /// A bound that the count just keeps.
    pub(crate) fn above(count: Count) -> Self {
        Self(Count {
            instructions: (count.instructions * HEADROOM).ceil(),
            allocations: ((count.allocations + STRAY_ALLOCATIONS) * 100.0).ceil() / 100.0,
        })
    }

    pub(crate) fn largest(self) -> Count {
        self.0
    }

    pub(crate) fn judge(self, count: Count) -> Verdict {
        let bound = self.0;
        // Other processors have other instructions.
        let comparable = cfg!(target_arch = "x86_64");
        if count.allocations > bound.allocations || comparable && count.instructions > bound.instructions {
            Verdict::Broken
        } else if count.allocations + 0.1 < bound.allocations
            || comparable && count.instructions < bound.instructions * SLACK
        {
            Verdict::Loose
        } else {
            Verdict::Kept
        }
    }
}

/// The deepest stack that an idle client may have, in bytes more than any thread has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DepthBound(f64);

impl DepthBound {
    /// A bound that this depth just keeps.
    pub(crate) fn above(depth: u64) -> Self {
        Self((depth as f64 * HEADROOM).ceil())
    }

    pub(crate) fn largest(self) -> f64 {
        self.0
    }

    pub(crate) fn judge(self, depth: u64) -> Verdict {
        if depth as f64 > self.0 {
            Verdict::Broken
        } else if (depth as f64) < self.0 * SLACK {
            Verdict::Loose
        } else {
            Verdict::Kept
        }
    }
}

/// All bounds, and which compiler they were made with.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    pub(crate) compiler: String,
    pub(crate) stacks: Vec<(String, DepthBound)>,
    pub(crate) bounds: Vec<(String, Bound)>,
}

impl Table {
    pub(crate) fn read() -> Result<Self, String> {
        let text = fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}"))?;
        Self::parse(&text).ok_or_else(|| format!("{FILE}: not a table of bounds"))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let compiler = lines.next()?.to_owned();
        let (mut stacks, mut bounds) = (Vec::new(), Vec::new());
        for line in lines {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                [name, depth] => stacks.push((name.to_owned(), DepthBound(depth.parse().ok()?))),
                [name, instructions, allocations] => {
                    let count = Count {
                        instructions: instructions.parse().ok()?,
                        allocations: allocations.parse().ok()?,
                    };
                    bounds.push((name.to_owned(), Bound(count)));
                }
                _ => return None,
            }
        }
        Some(Self {
            compiler,
            stacks,
            bounds,
        })
    }

    pub(crate) fn write(&self) -> Result<(), String> {
        fs::write(FILE, self.to_text()).map_err(|error| format!("{FILE}: {error}"))
    }

    fn to_text(&self) -> String {
        let mut text = format!("{HEAD}{}\n", self.compiler);
        for (name, DepthBound(depth)) in &self.stacks {
            text += &format!("{name:<18}{depth:>12}\n");
        }
        for (name, Bound(count)) in &self.bounds {
            text += &format!(
                "{name:<18}{:>12}{:>13.2}\n",
                count.instructions, count.allocations
            );
        }
        text
    }

    /// The table, as it applies to what this compiler makes.
    pub(crate) fn for_compiler(mut self, compiler: &str) -> Self {
        if self.compiler != compiler {
            for (_, DepthBound(depth)) in &mut self.stacks {
                *depth = (*depth * OTHER_COMPILER).ceil();
            }
            for (_, Bound(count)) in &mut self.bounds {
                count.instructions = (count.instructions * OTHER_COMPILER).ceil();
            }
        }
        self
    }
}

/// The compiler that `cargo` uses, as it names itself.
pub(crate) fn compiler() -> Result<String, String> {
    let output = Command::new("rustc").arg("--version").output();
    let output = output.map_err(|error| format!("rustc does not start: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A line for the compiler, one for each kind of idle client, with its stack, and one for each job: its name,
/// instructions, allocations.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bounds.txt");

const HEAD: &str = "\
# The most that a message of 64 bytes and an idle client may cost.
# `cargo run --profile guard --package callmq-guard -- accept` writes this table anew, a few percent above
# what is counted then. The compiler, for each kind of idle client the bytes of stack that its thread has
# more than any thread, and for each job instructions and allocations:
";

#[cfg(test)]
mod tests {
    use super::*;

    fn count(instructions: f64, allocations: f64) -> Count {
        Count {
            instructions,
            allocations,
        }
    }

    #[test]
    fn a_count_is_judged_by_both_of_its_numbers() {
        let bound = Bound::above(count(200.0, 1.0));
        assert_eq!(bound.largest(), count(212.0, 1.01));
        assert_eq!(bound.judge(count(200.0, 1.0)), Verdict::Kept);
        assert_eq!(bound.judge(count(200.0, 2.0)), Verdict::Broken);
        assert_eq!(bound.judge(count(200.0, 0.0)), Verdict::Loose);
        if cfg!(target_arch = "x86_64") {
            assert_eq!(bound.judge(count(213.0, 1.0)), Verdict::Broken);
            assert_eq!(bound.judge(count(180.0, 1.0)), Verdict::Loose);
        }
    }

    #[test]
    fn the_depth_of_a_stack_is_judged() {
        let bound = DepthBound::above(8000);
        assert_eq!(bound.largest(), 8480.0);
        assert_eq!(bound.judge(8480), Verdict::Kept);
        assert_eq!(bound.judge(8481), Verdict::Broken);
        assert_eq!(bound.judge(7600), Verdict::Loose);
    }

    #[test]
    fn every_job_has_a_bound() {
        let table = Table::read().unwrap();
        let names: Vec<_> = table.bounds.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, crate::jobs::JOBS.map(|job| job.name));
        let names: Vec<_> = table.stacks.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, crate::stack::IDLE.map(crate::stack::Idle::name));
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let table = Table {
            compiler: "rustc 1.85.0 (4d91de4e4 2025-02-17)".to_owned(),
            stacks: vec![("stack-connected".to_owned(), DepthBound(8480.0))],
            bounds: vec![("publish-0".to_owned(), Bound(count(120.0, 0.01)))],
        };
        assert_eq!(Table::parse(&table.to_text()).as_ref(), Some(&table));
        for line in ["a", "a x", "a 1 x", "a 1 2 3"] {
            assert_eq!(Table::parse(&format!("rustc\n{line}")), None, "{line}");
        }
    }

    #[test]
    fn another_compiler_may_need_more_instructions_and_stack_but_no_more_allocations() {
        let table = || Table {
            compiler: "rustc 1.85.0".to_owned(),
            stacks: vec![("stack-connected".to_owned(), DepthBound(8000.0))],
            bounds: vec![("publish-0".to_owned(), Bound(count(200.0, 0.01)))],
        };
        assert_eq!(table().for_compiler("rustc 1.85.0"), table());
        let other = table().for_compiler("rustc 1.99.0");
        assert_eq!(other.bounds[0].1.largest(), count(230.0, 0.01));
        assert_eq!(other.stacks[0].1.largest(), 9200.0);
    }
}
