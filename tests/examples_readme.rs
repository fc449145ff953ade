//! `examples/README.md` shows each tutorial script beside its port: what it shows is what the files contain.
//!
//! After a change to an example, `CALLMQ_WRITE=1 cargo test --test examples_readme` writes the page anew.

use std::path::PathBuf;
use std::{env, fs};

/// One pair of scripts on the page.
struct Section<'a> {
    script: &'a str,
    example: &'a str,
    python: &'a str,
    rust: &'a str,
}

#[test]
fn the_page_shows_the_examples_as_they_are() {
    let page = fs::read_to_string(examples().join("README.md")).unwrap();
    let mut wanted = page.clone();
    for section in sections(&page) {
        let source = code(section.example);
        wanted = wanted.replace(section.rust, &source);
        let row = |start: String, lines: usize, rust: usize| {
            format!("{start} {lines} | [`{0}`]({0}) | {rust} |", section.example)
        };
        let start = format!("| `{}` |", section.script);
        let shown = page.lines().find(|line| line.starts_with(&start));
        let shown = shown.unwrap_or_else(|| panic!("the table has no row for {}", section.script));
        wanted = wanted.replace(
            shown,
            &row(start, lines(section.python, "#"), lines(&source, "//")),
        );
    }
    if env::var_os("CALLMQ_WRITE").is_some() {
        fs::write(examples().join("README.md"), wanted).unwrap();
        return;
    }
    for (number, (shown, wanted)) in page.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(
            shown,
            wanted,
            "examples/README.md, line {}; see the head of this test",
            number + 1
        );
    }
    assert_eq!(page, wanted);
}

#[test]
fn the_page_has_every_port() {
    let page = fs::read_to_string(examples().join("README.md")).unwrap();
    let shown: Vec<String> = sections(&page)
        .iter()
        .map(|section| section.example.to_string())
        .collect();
    let files = fs::read_dir(examples())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_port =
        |name: &String| name.starts_with('t') && name[1..].starts_with(|c: char| c.is_ascii_digit());
    let mut ports: Vec<String> = files.filter(is_port).collect();
    ports.sort();
    let mut sorted = shown.clone();
    sorted.sort();
    assert_eq!(sorted, ports);
}

fn examples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The sections of the page, each with its two blocks of code.
fn sections(page: &str) -> Vec<Section<'_>> {
    let section = |text| -> Option<Section<'_>> {
        let (script, text): (&str, &str) = str::split_once(text, "` and `")?;
        let (example, text) = text.split_once("`\n")?;
        let (_, text) = text.split_once("```python\n")?;
        let (python, text) = text.split_once("```\n")?;
        let (_, text) = text.split_once("```rust\n")?;
        let (rust, _) = text.split_once("```\n")?;
        Some(Section {
            script,
            example,
            python,
            rust,
        })
    };
    page.split("\n## `")
        .skip(1)
        .map(|text| section(text).expect("a section has two scripts"))
        .collect()
}

/// An example without the comment at its head.
fn code(example: &str) -> String {
    let source = fs::read_to_string(examples().join(example)).unwrap();
    source
        .lines()
        .skip_while(|line| line.starts_with("//!"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// How many lines are neither blank nor a comment.
fn lines(code: &str, comment: &str) -> usize {
    code.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(comment))
        .count()
}
