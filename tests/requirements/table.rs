//! The table of statements and tests.

use std::fmt::{self, Write as _};

use crate::{Sources, Statement, Why};

/// How many statements have what.
pub(crate) struct Counts {
    statements: usize,
    tests: usize,
    reasons: usize,
    pending: usize,
}

impl Counts {
    pub(crate) fn of(version: &str, statements: &[Statement], sources: &Sources) -> Self {
        let of_version = || statements.iter().filter(|statement| statement.version == version);
        let tested = |statement: &&Statement| sources.found.iter().any(|found| statement.is(found));
        let count = |has: fn(&Statement) -> bool| of_version().filter(|statement| has(statement)).count();
        Self {
            statements: of_version().count(),
            tests: of_version().filter(tested).count(),
            reasons: count(|statement| matches!(statement.why, Some(Why::Reason(_)))),
            pending: count(|statement| matches!(statement.why, Some(Why::Pending(_)))),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} statements: {} with a test, {} with a reason, {} pending",
            self.statements, self.tests, self.reasons, self.pending
        )
    }
}

const HEAD: &str = "\
# What the standards ask of a client

Each normative statement of MQTT 3.1.1 and 5.0 that binds a client, and each one that binds a server where a client has to
notice the breach: what it asks of this client, and the tests that prove it. The numbers are those of the standards; the
words are ours. Where no test can be, there is the reason. **Pending** is what this client does not have yet.

This page is made from `tests/requirements/statements.txt` and from the doc comments of the tests; `tests/requirements`
fails where a statement has neither test nor reason, and where this page is not current.
";

/// The page.
pub(crate) fn write(statements: &[Statement], sources: &Sources) -> String {
    let mut page = HEAD.to_owned();
    for version in ["3.1.1", "5.0"] {
        let counts = Counts::of(version, statements, sources);
        let _ = write!(page, "\n## MQTT {version}\n\n{counts}.\n\n");
        page.push_str("| statement | what it asks of this client | tests |\n|---|---|---|\n");
        for statement in statements.iter().filter(|statement| statement.version == version) {
            let last = match &statement.why {
                Some(Why::Reason(reason)) => format!("no test: {reason}"),
                Some(Why::Pending(missing)) => format!("**pending**: {missing}"),
                None => tests(statement, sources),
            };
            let _ = writeln!(page, "| {} | {} | {last} |", statement.id, statement.demand);
        }
    }
    page
}

fn tests(statement: &Statement, sources: &Sources) -> String {
    let tests = sources.found.iter().filter(|found| statement.is(found));
    let links = tests.map(|found| format!("[{}](../{})", found.test, found.path));
    links.collect::<Vec<_>>().join(", ")
}
