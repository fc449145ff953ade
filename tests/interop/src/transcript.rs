//! Reads the recorded transcripts: what a Python program printed, what the broker logged, which packets there were.
//!
//! ```text
//! # what was recorded
//!
//! [run]
//! example = t0_send_data         the port
//! script = 000_send_data.py      the original
//! stdin = 1.0 1                  a line of input, and how many seconds after the one before it was typed
//! ends = 0                       the exit status, or "killed"
//!
//! [stdout]
//! main | a line that the main thread printed
//! loop | a line that the network thread printed
//! ----                           what follows comes after all of the above
//!
//! [broker]
//! the lines of the broker's log
//!
//! [packets]
//! 1 open                         the number of the TCP connection
//! 1 > CONNECT 1010..             client to broker
//! 1 < CONNACK 20020000           broker to client
//! 1 close
//! ```

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::program::Input;

/// A recorded run of a Python program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    pub name: String,
    pub example: String,
    pub script: String,
    pub stdin: Vec<Input>,
    pub ends: String,
    pub stdout: Vec<Line>,
    pub broker: Vec<String>,
    pub packets: Vec<String>,
}

/// A line of a program's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub thread: Thread,
    /// Lines of a later phase come after all lines of an earlier one.
    pub phase: usize,
    pub text: String,
}

/// Who printed a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thread {
    Main,
    Loop,
}

impl Transcript {
    /// Reads `transcripts/NAME.txt` of this package.
    ///
    /// # Panics
    ///
    /// When it is missing or not in the format.
    pub fn load(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("transcripts")
            .join(format!("{name}.txt"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        Self::parse(name, &text)
    }

    fn parse(name: &str, text: &str) -> Self {
        let mut transcript = Self {
            name: name.into(),
            ..Self::default()
        };
        let mut section = "";
        let mut phase = 0;
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            match (section, line) {
                (_, "[run]" | "[stdout]" | "[broker]" | "[packets]") => section = line,
                ("[run]", _) => transcript.parse_run(line),
                ("[stdout]", "----") => phase += 1,
                ("[stdout]", _) => {
                    let (thread, text) = line
                        .split_once(" |")
                        .unwrap_or_else(|| panic!("{name}: {line:?}"));
                    let thread = if thread == "main" {
                        Thread::Main
                    } else {
                        Thread::Loop
                    };
                    let text = text.strip_prefix(' ').unwrap_or(text).to_string();
                    transcript.stdout.push(Line { thread, phase, text });
                }
                ("[broker]", _) => transcript.broker.push(line.into()),
                ("[packets]", _) => transcript.packets.push(line.into()),
                _ => panic!("{name}: a line outside of the sections: {line:?}"),
            }
        }
        transcript
    }

    fn parse_run(&mut self, line: &str) {
        let (key, value) = line
            .split_once(" = ")
            .unwrap_or_else(|| panic!("{}: {line:?}", self.name));
        match key {
            "example" => self.example = value.into(),
            "script" => self.script = value.into(),
            "ends" => self.ends = value.into(),
            "stdin" => {
                let (pause, text) = value
                    .split_once(' ')
                    .unwrap_or_else(|| panic!("{}: {line:?}", self.name));
                let pause = Duration::from_secs_f64(pause.parse().expect("seconds"));
                self.stdin.push((pause, format!("{text}\n")));
            }
            _ => panic!("{}: {line:?}", self.name),
        }
    }
}
