//! Each normative statement of MQTT 3.1.1 and 5.0 that binds a client has a test, or a reason why it has none.
//!
//! `statements.txt` lists them. A test says in its doc comment which of them it proves:
//!
//! ```text
//! /// [3.1.1/MQTT-3.3.1-1] [5.0/MQTT-3.3.1-1]
//! #[test]
//! fn a_message_that_is_sent_again_has_dup() {
//! ```
//!
//! The version is always there, since the two standards number different statements alike. Each number has brackets of its
//! own. What counts is the doc comment of a function that is marked as a test, in `src` and in `tests`; not in
//! `tests/broker`, which is about the broker of `callmq::testing`, and so about what binds servers.
//!
//! `docs/requirements.md` shows what was found, and is checked here too. This writes it anew:
//!
//! ```text
//! CALLMQ_WRITE_REQUIREMENTS=1 cargo test --test requirements
//! ```

mod sources;
mod statements;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use sources::{Found, Sources};
use statements::{Statement, Why, parse};
use table::Counts;

/// Set, it makes the test write the table instead of comparing it.
const WRITE: &str = "CALLMQ_WRITE_REQUIREMENTS";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn statements() -> Vec<Statement> {
    let list = fs::read_to_string(root().join("tests/requirements/statements.txt")).unwrap();
    parse(&list).unwrap_or_else(|error| panic!("statements.txt: {error}"))
}

/// What is wrong: one line each.
fn complaints(statements: &[Statement], sources: &Sources) -> Vec<String> {
    let mut complaints = sources.complaints.clone();
    for found in &sources.found {
        if !statements.iter().any(|statement| statement.is(found)) {
            complaints.push(format!(
                "{}: {} names [{}/{}], which is not in statements.txt",
                found.path, found.test, found.version, found.id
            ));
        }
    }
    for statement in statements {
        let tested = sources.found.iter().any(|found| statement.is(found));
        let name = statement.name();
        match (&statement.why, tested) {
            (None, false) => complaints.push(format!("{name} has neither a test nor a reason why not")),
            (Some(_), true) => complaints.push(format!("{name} has a test, so it needs no reason")),
            (None, true) | (Some(_), false) => {}
        }
    }
    complaints
}

#[test]
fn each_statement_has_a_test_or_a_reason() {
    let statements = statements();
    let sources = Sources::read(&root());
    assert!(sources.tests > 500, "the tests were not found");
    for version in ["3.1.1", "5.0"] {
        println!("MQTT {version}: {}", Counts::of(version, &statements, &sources));
    }
    let complaints = complaints(&statements, &sources);
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn the_table_is_current() {
    // A package of the crate comes without these tests, which are in the table.
    if !root().join("tests/interop").exists() {
        return;
    }
    let path = root().join("docs/requirements.md");
    let table = table::write(&statements(), &Sources::read(&root()));
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, &table).unwrap();
    }
    let written = fs::read_to_string(&path)
        .unwrap_or_default()
        .replace("\r\n", "\n");
    assert!(
        written == table,
        "docs/requirements.md is not current; this writes it anew:\n    {WRITE}=1 cargo test --test requirements"
    );
}

/// Files that the table names are there, and so are those that name it.
#[test]
fn the_links_of_the_table_lead_somewhere() {
    let table = table::write(&statements(), &Sources::read(&root()));
    let links = table
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let mut followed = 0;
    for link in links.filter(|link| !link.starts_with("../tests/interop")) {
        assert!(root().join("docs").join(link).exists(), "{link}");
        followed += 1;
    }
    assert!(followed > 250);
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains("](docs/requirements.md)"));
}

// ---- the checks can fail ----

const LIST: &str = "# comment\n\n3.1.1 | MQTT-1 | one\n5.0 | MQTT-1 | another\n5.0 | MQTT-2 | two | cannot be\n\
                    5.0 | MQTT-3 | three | pending: not yet\n";

fn check(list: &str, source: &str) -> Vec<String> {
    let mut sources = Sources::default();
    sources.add(Path::new("tests/a.rs"), source);
    complaints(&parse(list).unwrap(), &sources)
}

const GOOD: &str = "/// Says what.\n///\n/// [3.1.1/MQTT-1] [5.0/MQTT-1]\n#[test]\nfn both() {\n}\n";

#[test]
fn what_is_right_is_accepted_in_each_form() {
    assert_eq!(check(LIST, GOOD), [""; 0]);
    for source in [
        "    /// Proves [3.1.1/MQTT-1], [5.0/MQTT-1].\n    #[test]\n    fn indented() {\n    }\n",
        "/// [5.0/MQTT-1]\n#[cfg(unix)]\n#[test]\nfn a() {}\n\n#[test]\n/// [3.1.1/MQTT-1]\nfn b() {}\n",
        "/// [3.1.1/MQTT-1] [5.0/MQTT-1]\n#[test]\n#[allow(\n    x,\n    reason = \"\"\n)]\nfn a() {}\n",
        "// MQTT-9 and [MQTT-9.9-9] in a comment are for the reader.\n/// [3.1.1/MQTT-1] [5.0/MQTT-1]\n#[test]\nfn a() {}\n",
    ] {
        assert_eq!(check(LIST, source), [""; 0], "{source}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (list, source, expected) in [
        (
            LIST,
            "/// [5.0/MQTT-1]\n#[test]\nfn one() {\n}\n".to_owned(),
            "3.1.1/MQTT-1 has neither",
        ),
        (
            LIST,
            GOOD.replace("[5.0/MQTT-1]", "[5.0/MQTT-1] [5.0/MQTT-2]"),
            "5.0/MQTT-2 has a test",
        ),
        (
            LIST,
            GOOD.replace("[5.0/MQTT-1]", "[5.0/MQTT-1] [5.0/MQTT-3]"),
            "5.0/MQTT-3 has a test",
        ),
        (
            LIST,
            GOOD.replace("[5.0/MQTT-1]", "[5.0/MQTT-1] [3.1.1/MQTT-2]"),
            "tests/a.rs: both names [3.1.1/MQTT-2]",
        ),
        (
            LIST,
            GOOD.replace("[5.0/MQTT-1]", "[5.0/MQTT-1] [MQTT-1]"),
            "tests/a.rs: both: write [3.1.1/MQTT-1] or [5.0/MQTT-1]",
        ),
        (
            LIST,
            GOOD.replace("[5.0/MQTT-1]", "[5.0/MQTT-1, 5.0/MQTT-1]"),
            "tests/a.rs: both: write",
        ),
        (
            LIST,
            GOOD.replace("[5.0/MQTT-1]", "[5.0/MQTT-1] [3.1/MQTT-1]"),
            "tests/a.rs: both: write",
        ),
        (
            LIST,
            format!("{GOOD}/// [5.0/MQTT-1]\nfn no_test() {{\n}}\n"),
            "tests/a.rs: [5.0/MQTT-1] is not in the doc comment of a test",
        ),
        (
            LIST,
            format!("{GOOD}// [5.0/MQTT-1]\n#[test]\nfn no_doc() {{\n}}\n"),
            "tests/a.rs: [5.0/MQTT-1] is not in the doc comment of a test",
        ),
    ] {
        let complaints = check(list, &source);
        assert!(
            complaints.iter().any(|complaint| complaint.starts_with(expected)),
            "{complaints:?} instead of {expected}"
        );
    }
    for (list, expected) in [
        ("3.1.1 | MQTT-1", "line 1"),
        ("3.1 | MQTT-1 | one", "line 1"),
        ("5.0 | 1 | one", "line 1"),
        ("5.0 | MQTT-1 | one |", "line 1"),
        ("5.0 | MQTT-1 | one | pending:", "line 1"),
        ("5.0 | MQTT-1 | one\n5.0 | MQTT-1 | one", "line 2"),
    ] {
        let error = parse(list).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn pending_statements_are_counted_apart() {
    let mut sources = Sources::default();
    sources.add(Path::new("tests/a.rs"), GOOD);
    let statements = parse(LIST).unwrap();
    let counts = Counts::of("5.0", &statements, &sources);
    assert_eq!(
        counts.to_string(),
        "3 statements: 1 with a test, 1 with a reason, 1 pending"
    );
    let table = table::write(&statements, &sources);
    for row in [
        "| MQTT-1 | another | [both](../tests/a.rs) |",
        "| MQTT-2 | two | no test: cannot be |",
        "| MQTT-3 | three | **pending**: not yet |",
    ] {
        assert!(table.contains(row), "{table}");
    }
}
