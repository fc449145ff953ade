//! Checks the structure of `src`: imports go down only, `lib.rs` has no logic, files stay small, nothing panics.
//! Files of tests stay small as well.

mod source;

use std::fs;
use std::path::{Path, PathBuf};

use source::{Token, forbidden, tokens, used_modules, without_tests};

/// The floors from the ground up: each module, and which of those below it may use.
const FLOORS: [(&str, &[&str]); 12] = [
    ("on_demand", &[]),
    ("reason_code", &[]),
    ("error", &["reason_code"]),
    ("topic", &["error"]),
    ("codec", &["error", "reason_code", "topic"]),
    (
        "session",
        &["codec", "error", "on_demand", "reason_code", "topic"],
    ),
    ("transport", &["error", "on_demand"]),
    (
        "client",
        &[
            "codec",
            "error",
            "on_demand",
            "reason_code",
            "session",
            "topic",
            "transport",
        ],
    ),
    ("one_shot", &["client", "error"]),
    ("publish", &["client", "error", "one_shot"]),
    ("subscribe", &["client", "error", "one_shot"]),
    ("testing", &["client", "codec", "error", "reason_code", "topic"]),
];

/// The longest file, without its tests.
const MAX_LINES: usize = 600;

/// Places that may panic, each with its reason: (file, word, reason).
const MAY_PANIC: [(&str, &str, &str); 0] = [];

/// A file of the crate, or of its tests.
struct File {
    /// From `src` or from `tests`, with `/`.
    path: String,
    source: String,
}

impl File {
    /// The path of its module: `["client", "convert"]` for `client/convert/mod.rs` and for `client/convert.rs`.
    fn module(&self) -> Vec<&str> {
        let path = self.path.trim_end_matches(".rs");
        path.split('/')
            .filter(|part| !matches!(*part, "lib" | "mod"))
            .collect()
    }

    fn is_test(&self) -> bool {
        self.module().contains(&"tests")
    }

    fn tokens(&self) -> Vec<Token<'_>> {
        without_tests(&tokens(&self.source))
    }

    /// What it uses and may not: one line each.
    fn bad_imports(&self) -> Vec<String> {
        let module = self.module();
        let Some(own) = module.first().copied() else {
            return Vec::new();
        };
        let Some((_, allowed)) = FLOORS.iter().find(|(name, _)| *name == own) else {
            return vec![format!("src/{}: the module `{own}` has no floor", self.path)];
        };
        used_modules(&module, &self.tokens())
            .into_iter()
            .filter(|used| used.text != own && !allowed.contains(&used.text))
            .map(|used| format!("src/{}:{}: `{own}` uses `{}`", self.path, used.line, used.text))
            .collect()
    }

    fn bad_words(&self) -> Vec<String> {
        let allowed = |word: &str| {
            MAY_PANIC
                .iter()
                .any(|(path, allowed, _)| *path == self.path && *allowed == word)
        };
        forbidden(&self.tokens())
            .into_iter()
            .filter(|word| !allowed(word.text))
            .map(|word| format!("src/{}:{}: `{}`", self.path, word.line, word.text))
            .collect()
    }

    /// How many lines hold something that is not a test. Documentation counts.
    fn lines(&self) -> usize {
        let marker = self.source.find("#[cfg(test)]\nmod tests");
        self.source[..marker.unwrap_or(self.source.len())].lines().count()
    }
}

fn files() -> Vec<File> {
    files_in("src")
}

fn files_in(folder: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap();
                files.push(File {
                    path: name.to_str().unwrap().replace('\\', "/"),
                    source: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 50, "the sources were not found");
    files
}

fn product() -> Vec<File> {
    files().into_iter().filter(|file| !file.is_test()).collect()
}

fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn the_floors_stand_on_each_other() {
    for (at, (module, below)) in FLOORS.iter().enumerate() {
        for name in *below {
            let found = FLOORS.iter().position(|(other, _)| other == name);
            assert!(found.is_some_and(|found| found < at), "{module} may use {name}");
        }
    }
    let used = |module: &str| FLOORS.iter().find(|(name, _)| *name == module).unwrap().1;
    assert!(!used("session").contains(&"transport") && !used("transport").contains(&"session"));
}

#[test]
fn imports_go_down_only() {
    none(product().iter().flat_map(File::bad_imports).collect());
}

#[test]
fn the_root_of_the_crate_has_no_logic() {
    let files = files();
    let root = files.iter().find(|file| file.path == "lib.rs").unwrap();
    let logic = [
        "fn",
        "impl",
        "struct",
        "enum",
        "trait",
        "static",
        "const",
        "macro_rules",
        "type",
        "union",
    ];
    let tokens = root.tokens();
    none(
        tokens
            .iter()
            .filter(|token| logic.contains(&token.text))
            .map(|token| format!("src/lib.rs:{}: `{}`", token.line, token.text))
            .collect(),
    );
    assert!(
        tokens.iter().any(|token| token.text == "client"),
        "the reader lost its way"
    );
}

#[test]
fn no_file_is_too_long() {
    let long = |folder| {
        let long = files_in(folder)
            .into_iter()
            .filter(|file| file.lines() > MAX_LINES);
        long.map(move |file| format!("{folder}/{}: {} lines", file.path, file.lines()))
    };
    none(long("src").chain(long("tests")).collect());
}

#[test]
fn nothing_is_unsafe_and_nothing_panics_on_purpose() {
    none(product().iter().flat_map(File::bad_words).collect());
}

#[test]
fn each_log_line_names_its_target() {
    let mut lines = 0;
    let mut complaints = Vec::new();
    for file in product() {
        let target = match file.module().first() {
            Some(&"testing") => "target: \"callmq::testing\"",
            _ => "target: \"callmq\"",
        };
        for call in file.source.split("log::").skip(1) {
            let Some((name, arguments)) = call.split_once("!(") else {
                continue;
            };
            if name.chars().all(|letter| letter.is_ascii_lowercase()) {
                lines += 1;
                let arguments = arguments.trim_start();
                if !arguments.starts_with(target) {
                    let shown = arguments.lines().next().unwrap_or_default();
                    complaints.push(format!("src/{}: log::{name}!({shown}", file.path));
                }
            }
        }
    }
    assert!(lines > 10, "the log lines were not found");
    none(complaints);
}

// ---- the checks can fail ----

fn file(path: &str, source: &str) -> File {
    File {
        path: path.to_owned(),
        source: source.to_owned(),
    }
}

#[test]
fn an_import_that_goes_up_is_found_in_every_form() {
    for (path, source) in [
        ("codec/connect.rs", "use crate::client::Client;"),
        ("codec/connect.rs", "use crate::{error::Error, client::Client};"),
        (
            "codec/connect.rs",
            "use crate::{error::{Error, Result}, topic, client};",
        ),
        ("codec/connect.rs", "use super::super::client::Client;"),
        ("codec/mod.rs", "use super::client::Client;"),
        ("topic.rs", "use super::codec::QoS;"),
        (
            "codec/connect.rs",
            "fn f() { let x = crate::session::Session::new(); }",
        ),
        (
            "codec/connect.rs",
            "mod inner { use super::super::super::client; }",
        ),
        ("session/mod.rs", "use crate::transport::Socket;"),
        ("transport/socket.rs", "pub(in crate::session) fn f() {}"),
        ("publish.rs", "use crate::session::Session;"),
        ("client/mod.rs", "use crate::testing::Broker;"),
        (
            "client/mod.rs",
            "#[cfg(test)]\nuse crate::codec::QoS;\nuse crate::testing::Broker;",
        ),
        ("elsewhere.rs", "use std::fmt;"),
    ] {
        assert_eq!(file(path, source).bad_imports().len(), 1, "{path}: {source}");
    }
}

#[test]
fn imports_that_go_down_are_fine() {
    for (path, source) in [
        (
            "codec/connect.rs",
            "use super::property::Scope; use super::{PacketType, client};",
        ),
        ("codec/connect.rs", "mod inner { use super::super::client; }"),
        (
            "client/convert/connect.rs",
            "use crate::{codec::QoS, session::{self, Session}, error::Result};",
        ),
        (
            "client/mod.rs",
            "// use crate::testing::Broker;\n/* crate::testing /* crate::testing */ */",
        ),
        (
            "client/mod.rs",
            r##"const X: &str = "crate::testing"; const Y: &str = r#"" crate::testing"#;"##,
        ),
        (
            "client/mod.rs",
            "const Q: char = '\"'; const L: &'static str = \"'\"; // crate::testing",
        ),
        (
            "client/mod.rs",
            "#[cfg(test)]\nmod tests { use crate::testing::Broker; fn f() {} }",
        ),
        ("client/mod.rs", "pub(crate) use crate::client::shared::Shared;"),
    ] {
        assert_eq!(
            file(path, source).bad_imports(),
            Vec::<String>::new(),
            "{path}: {source}"
        );
    }
}

#[test]
fn words_that_panic_are_found_with_their_line() {
    let planted = file(
        "client/mod.rs",
        "fn f() {\n    x.unwrap();\n    x\n        .expect(\"y\");\n    unsafe { g() }\n}",
    );
    assert_eq!(
        planted.bad_words(),
        [
            "src/client/mod.rs:2: `unwrap`",
            "src/client/mod.rs:4: `expect`",
            "src/client/mod.rs:5: `unsafe`"
        ]
    );
    let harmless = "/// x.unwrap()\nfn expect() { y.unwrap_or(1); f(\"panic!\"); }\n#[cfg(test)]\nmod tests { fn f() { x.unwrap() } }";
    assert!(file("client/mod.rs", harmless).bad_words().is_empty());
    for word in ["panic", "unreachable", "todo", "unimplemented", "dbg"] {
        let planted = file("a.rs", &format!("fn f() {{ {word}!() }}"));
        assert_eq!(planted.bad_words(), [format!("src/a.rs:1: `{word}`")]);
    }
}
