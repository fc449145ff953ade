//! Wrong programs, and what the compiler says about them: each file in `wrong` begins with the phrases that have to be
//! in its message. Phrases, because the rest of a message differs from compiler to compiler. And a program that is
//! right: what the README shows.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::{env, fs};

static LIBRARY: LazyLock<Library> = LazyLock::new(Library::build);

/// A compiled library: its file, and the folder of what it depends on.
struct Library {
    file: PathBuf,
    dependencies: PathBuf,
}

impl Library {
    /// Builds the crate as a user has it, without the features of its tests.
    fn build() -> Self {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--lib", "--message-format", "json"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let messages = text(&output.stdout);
        let file = messages
            .lines()
            .filter(|line| line.contains(r#""name":"callmq""#))
            .flat_map(|line| line.split('"'))
            .find(|word| word.ends_with(".rmeta"))
            .map(|path| PathBuf::from(path.replace(r"\\", r"\")))
            .expect("cargo names the library");
        let dependencies = file.parent().expect("the library has a folder").to_path_buf();
        Self { file, dependencies }
    }

    /// Checks a program that uses the library.
    fn check(&self, program: &Path) -> Output {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut library = std::ffi::OsString::from("callmq=");
        library.push(&self.file);
        let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join(program.file_name().expect("a file"));
        Command::new(rustc)
            .args(["--edition", "2024", "--crate-type", "bin", "--emit", "metadata"])
            .args(["--cap-lints", "allow", "--color", "never", "--extern"])
            .arg(library)
            .arg("-L")
            .arg(&self.dependencies)
            .arg("-o")
            .arg(output.with_extension("rmeta"))
            .arg(program)
            .output()
            .expect("rustc")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui")
}

#[test]
fn the_right_column_of_the_readmes_table_compiles() {
    let output = LIBRARY.check(&folder().join("readme_table.rs"));
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn messages_about_wrong_programs_say_what_to_write() {
    let mut complaints = Vec::new();
    let mut programs = 0;
    for entry in fs::read_dir(folder().join("wrong")).expect("the folder") {
        let program = entry.expect("an entry").path();
        let source = fs::read_to_string(&program).expect("a program");
        let phrases: Vec<_> = source
            .lines()
            .filter_map(|line| line.strip_prefix("// says: "))
            .collect();
        assert!(!phrases.is_empty(), "{program:?} names no phrase");
        let output = LIBRARY.check(&program);
        let message = text(&output.stderr);
        let missing: Vec<_> = phrases
            .iter()
            .filter(|phrase| !message.contains(**phrase))
            .collect();
        if output.status.success() || !missing.is_empty() {
            complaints.push(format!("{program:?} lacks {missing:#?} in:\n{message}"));
        }
        programs += 1;
    }
    assert!(programs > 10, "the programs were not found");
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}
