//! A broker's log: collected line by line, without what differs from run to run.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// What the broker has written, across its restarts.
#[derive(Debug, Default)]
pub struct Log {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    closed: bool,
}

impl Log {
    /// Prepares for a new process; returns how many lines there are from earlier ones.
    pub(crate) fn open(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.closed = false;
        state.lines.len()
    }

    pub(crate) fn read(&self, from: impl Read) {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            self.push(line);
        }
        self.close();
    }

    pub(crate) fn push(&self, line: String) {
        self.state.lock().unwrap().lines.push(line);
        self.changed.notify_all();
    }

    /// The process has ended: nobody needs to wait for more.
    pub(crate) fn close(&self) {
        self.state.lock().unwrap().closed = true;
        self.changed.notify_all();
    }

    /// Waits until the lines fulfil a condition, the broker ends, or the time is over; returns whether they do.
    pub(crate) fn wait(&self, time: Duration, condition: impl Fn(&[String]) -> bool) -> bool {
        let state = self.state.lock().unwrap();
        let open = |state: &mut State| !state.closed && !condition(&state.lines);
        let (state, _) = self.changed.wait_timeout_while(state, time, open).unwrap();
        condition(&state.lines)
    }

    /// Waits until there is a line that contains `text`.
    ///
    /// # Panics
    ///
    /// When there is none within 10 seconds.
    pub(crate) fn wait_for(&self, text: &str) {
        if !self.wait(Duration::from_secs(10), |lines| {
            lines.iter().any(|line| mask(line).contains(text))
        }) {
            panic!("the broker's log has no line with {text:?}:\n{}", self.text());
        }
    }

    /// Waits until there are `count` lines about clients, or for `time`.
    pub(crate) fn wait_for_count(&self, count: usize, time: Duration) {
        self.wait(time, |lines| {
            lines.iter().filter(|line| !is_about_itself(line)).count() >= count
        });
    }

    /// What the broker has logged of its clients: ports are `<port>`, client ids that it invented are `auto-<UUID>`.
    pub(crate) fn about_clients(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state
            .lines
            .iter()
            .filter(|line| !is_about_itself(line))
            .map(|line| mask(line))
            .collect()
    }

    pub(crate) fn text(&self) -> String {
        self.state.lock().unwrap().lines.join("\n")
    }

    /// The last lines.
    pub(crate) fn tail(&self, count: usize) -> String {
        let lines = &self.state.lock().unwrap().lines;
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    pub(crate) fn forget(&self) {
        self.state.lock().unwrap().lines.clear();
    }
}

/// Whether a line tells of the broker's own start and end.
fn is_about_itself(line: &str) -> bool {
    const STARTS: [&str; 6] = [
        "mosquitto version ",
        "Config loaded ",
        "Opening ",
        "Saving in-memory ",
        "Warning: ",
        "Error: ",
    ];
    STARTS.iter().any(|start| line.starts_with(start))
}

/// Replaces what differs from run to run.
fn mask(line: &str) -> String {
    let mut text = line.to_string();
    for before in ["127.0.0.1:", "on port "] {
        if let Some((left, right)) = text.split_once(before) {
            text = format!(
                "{left}{before}<port>{}",
                right.trim_start_matches(|c: char| c.is_ascii_digit())
            );
        }
    }
    let Some((left, right)) = text.split_once("auto-") else {
        return text;
    };
    match right
        .get(..36)
        .filter(|id| id.chars().all(|c| c.is_ascii_hexdigit() || c == '-'))
    {
        Some(_) => format!("{left}auto-<UUID>{}", &right[36..]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_invented_client_ids_are_masked() {
        let line = "New client connected from 127.0.0.1:40312 as auto-7D1C0D4E-9D3A-0B44-6A4B-3A1F86C6B8B1 (p2, c1, k60).";
        assert_eq!(
            mask(line),
            "New client connected from 127.0.0.1:<port> as auto-<UUID> (p2, c1, k60)."
        );
        let line = "New connection from 127.0.0.1:40312 on port 1883.";
        assert_eq!(mask(line), "New connection from 127.0.0.1:<port> on port <port>.");
        assert_eq!(
            mask("Received SUBSCRIBE from auto-pilot"),
            "Received SUBSCRIBE from auto-pilot"
        );
    }
}
