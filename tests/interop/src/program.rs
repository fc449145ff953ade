//! Runs the example programs of the crate, as a user does from a shell.

use std::collections::HashMap;
use std::env;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The built example `name` of the crate.
///
/// # Panics
///
/// When the examples cannot be built, or there is none of this name.
pub fn example(name: &str) -> &'static Path {
    static EXAMPLES: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
    let examples = EXAMPLES.get_or_init(build_examples);
    examples
        .get(name)
        .unwrap_or_else(|| panic!("there is no example {name}"))
}

/// Asks cargo to build all examples, which costs nothing after `cargo test --workspace`, and where they are.
fn build_examples() -> HashMap<String, PathBuf> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "build",
            "--package",
            "callmq",
            "--examples",
            "--message-format",
            "json",
        ])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .output()
        .expect("cargo runs");
    let messages = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "the examples do not build:\n{}\n{messages}",
        String::from_utf8_lossy(&output.stderr)
    );
    let paths = messages.lines().filter_map(|line| {
        let (_, path) = line.split_once(r#""executable":""#)?;
        let path = PathBuf::from(path.split_once('"')?.0.replace(r"\\", r"\"));
        Some((path.file_stem()?.to_str()?.to_string(), path))
    });
    paths.collect()
}

/// A piece of input, and how long after the piece before it comes.
pub type Input = (Duration, String);

/// A program that runs against the broker on a port of 127.0.0.1.
#[derive(Debug)]
pub struct Program {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

/// What a program left behind.
#[derive(Debug)]
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// Starts a program; `input` is typed into it as time goes by.
    pub fn start(command: &mut Command, port: u16, input: Vec<Input>) -> Self {
        let mut child = command
            .env("MQTT_HOST", "127.0.0.1")
            .env("MQTT_PORT", port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        thread::spawn(move || {
            for (pause, text) in input {
                thread::sleep(pause);
                // A program that has ended does not read any more.
                let _ = stdin.write_all(text.as_bytes());
            }
        });
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the program to end by itself.
    ///
    /// # Panics
    ///
    /// When it has not ended after `time`.
    pub fn wait(mut self, time: Duration) -> Outcome {
        let deadline = Instant::now() + time;
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                let outcome = self.kill();
                panic!(
                    "the program runs for ever; it printed:\n{}{}",
                    outcome.stdout, outcome.stderr
                );
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.outcome()
    }

    /// Ends the program where it stands.
    pub fn kill(mut self) -> Outcome {
        let _ = self.child.kill();
        self.outcome()
    }

    fn outcome(&mut self) -> Outcome {
        let text = |thread: Option<JoinHandle<String>>| {
            thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
        };
        let status = self.child.wait().unwrap();
        Outcome {
            status,
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
