//! Finds the tests, and the statements that their doc comments name.

use std::fs;
use std::path::{Path, PathBuf};

/// A statement that a test names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub(crate) version: String,
    pub(crate) id: String,
    /// From the root of the crate, with `/`.
    pub(crate) path: String,
    /// The function's name.
    pub(crate) test: String,
}

/// What was found in the sources.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) found: Vec<Found>,
    /// What is not written as it should be.
    pub(crate) complaints: Vec<String>,
    /// How many tests there are.
    pub(crate) tests: usize,
}

/// Folders that are not read, and why.
const PASSED_OVER: [(&str, &str); 2] = [
    ("tests/broker", "what binds servers"),
    ("tests/requirements", "examples of what is right and wrong"),
];

impl Sources {
    /// Reads all sources below `root`.
    pub(crate) fn read(root: &Path) -> Self {
        let mut files: Vec<PathBuf> = Vec::new();
        let mut folders = vec![root.join("src"), root.join("tests")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let inside = path.strip_prefix(root).unwrap();
                let passed_over = PASSED_OVER.iter().any(|(folder, _)| inside == Path::new(folder));
                if path.is_dir() && !passed_over {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    files.push(path);
                }
            }
        }
        files.sort();
        let mut sources = Self::default();
        for path in files {
            let source = fs::read_to_string(&path).unwrap();
            sources.add(path.strip_prefix(root).unwrap(), &source);
        }
        sources
    }

    /// Reads one file.
    pub(crate) fn add(&mut self, path: &Path, source: &str) {
        let path = path.to_str().unwrap().replace('\\', "/");
        let mut named = Vec::new();
        for (test, doc) in tests(source) {
            self.tests += 1;
            for number in numbers(&doc) {
                match number {
                    Ok((version, id)) => named.push(Found {
                        version,
                        id,
                        path: path.clone(),
                        test: test.clone(),
                    }),
                    Err(id) => self.complaints.push(format!(
                        "{path}: {test}: write [3.1.1/{id}] or [5.0/{id}], each number with brackets of its own"
                    )),
                }
            }
        }
        // What has the right form has to be at the right place.
        let mut elsewhere: Vec<_> = numbers(source).into_iter().flatten().collect();
        for found in &named {
            if let Some(at) = elsewhere
                .iter()
                .position(|(version, id)| *version == found.version && *id == found.id)
            {
                elsewhere.swap_remove(at);
            }
        }
        for (version, id) in elsewhere {
            self.complaints.push(format!(
                "{path}: [{version}/{id}] is not in the doc comment of a test"
            ));
        }
        named.sort();
        named.dedup();
        self.found.extend(named);
    }
}

/// The functions that are marked as tests, each with its doc comment.
fn tests(source: &str) -> Vec<(String, String)> {
    let mut tests = Vec::new();
    let mut doc = String::new();
    let mut is_test = false;
    let mut in_attribute = false;
    for line in source.lines().map(str::trim) {
        if in_attribute || line.starts_with("#[") {
            is_test |= line == "#[test]";
            in_attribute = !line.ends_with(']');
        } else if let Some(text) = line.strip_prefix("///") {
            doc.push_str(text);
            doc.push('\n');
        } else {
            if let Some(rest) = line.strip_prefix("fn ").filter(|_| is_test) {
                let name = rest.split(['(', '<']).next().unwrap_or_default();
                tests.push((name.to_owned(), doc.clone()));
            }
            doc.clear();
            is_test = false;
        }
    }
    tests
}

/// The numbers of statements in a text: version and number, or the number alone where it is not written as it should be.
fn numbers(text: &str) -> Vec<Result<(String, String), String>> {
    let mut numbers = Vec::new();
    for (at, _) in text.match_indices("MQTT-") {
        let id: String = text[at..]
            .char_indices()
            .take_while(|&(position, letter)| {
                position < 5 || letter.is_ascii_digit() || matches!(letter, '.' | '-')
            })
            .map(|(_, letter)| letter)
            .collect();
        let id = id.trim_end_matches(['.', '-']).to_owned();
        if id.len() <= "MQTT-".len() {
            // "an MQTT-client"
            continue;
        }
        let before = &text[..at];
        let version = ["3.1.1", "5.0"]
            .into_iter()
            .find(|version| before.ends_with(&format!("[{version}/")));
        let closed = text[at + id.len()..].starts_with(']');
        numbers.push(match version.filter(|_| closed) {
            Some(version) => Ok((version.to_owned(), id)),
            None => Err(id),
        });
    }
    numbers
}
