//! The rules by which a run is held against a transcript.
//!
//! The lines of one thread keep their order, and a cause comes before its effect; apart from that the lines of the main
//! thread and those of the network thread may interleave. The broker's log and the packets are compared as they are:
//! with the broker held back they have one order.

use crate::program::Outcome;
use crate::proxy::{Event, Record};
use crate::transcript::{Line, Thread};

/// The first line that starts with the left text is printed before the first one that starts with the right text.
const CAUSES: [(&str, &str); 8] = [
    ("log: Sending CONNECT", "log: Received CONNACK"),
    ("log: Received CONNACK", "connected OK"),
    ("log: Sending SUBSCRIBE", "log: Received SUBACK"),
    ("log: Sending PUBLISH", "log: Received PUBLISH"),
    ("log: Received PUBLISH", "message received"),
    ("connected OK", "in Main Loop"),
    ("[ message ]  light_on", "CMD : light_on"),
    ("[ message ]  light_off", "CMD : light_off"),
];

/// Holds a program's output against the recorded one.
pub fn stdout(expected: &[Line], actual: &str) -> Result<(), String> {
    let lines: Vec<&str> = actual.lines().collect();
    let mut open: Vec<&Line> = expected.iter().collect();
    for (number, &line) in lines.iter().enumerate() {
        let phase = open.first().map(|line| line.phase);
        // The next line of the main thread or the next one of the network thread.
        let next = [Thread::Main, Thread::Loop].into_iter().find_map(|thread| {
            let next = open
                .iter()
                .position(|line| line.thread == thread && Some(line.phase) == phase)?;
            (open[next].text == line).then_some(next)
        });
        match next {
            Some(next) => drop(open.remove(next)),
            None => return Err(difference("stdout", number, &texts(expected), &lines)),
        }
    }
    if !open.is_empty() {
        return Err(difference("stdout", lines.len(), &texts(expected), &lines));
    }
    for (cause, effect) in CAUSES {
        let first = |start: &str| lines.iter().position(|line| line.starts_with(start));
        if let (Some(cause_at), Some(effect_at)) = (first(cause), first(effect)) {
            if cause_at > effect_at {
                return Err(format!(
                    "stdout: {effect:?} is printed before {cause:?}:\n{actual}"
                ));
            }
        }
    }
    Ok(())
}

/// Holds the broker's log against the recorded one.
pub fn broker(expected: &[String], actual: &[String]) -> Result<(), String> {
    exactly("the broker's log", expected, actual)
}

/// Holds the packets against the recorded ones.
///
/// What still arrives after the client has sent DISCONNECT or closed its direction does not count: it is up to the
/// moment when the broker notices. Nor does who closes last.
pub fn packets(expected: &[String], actual: &[Record]) -> Result<(), String> {
    let mut over = Vec::new();
    let mut seen = Vec::new();
    for record in actual {
        let ended = over.contains(&record.connection);
        match &record.event {
            Event::FromBroker(_) if ended => continue,
            Event::ClosedByBroker => continue,
            Event::FromClient(packet) if packet[0] == 0xe0 => over.push(record.connection),
            Event::ClosedByClient => over.push(record.connection),
            _ => {}
        }
        seen.push(record.to_string());
    }
    exactly("the packets", expected, &seen)
}

/// Holds the exit status against the recorded one.
pub fn status(expected: &str, outcome: &Outcome) -> Result<(), String> {
    if outcome
        .status
        .code()
        .is_some_and(|code| code.to_string() == expected)
    {
        return Ok(());
    }
    Err(format!(
        "{} instead of exit status {expected}; stderr:\n{}",
        outcome.status, outcome.stderr
    ))
}

fn exactly(what: &str, expected: &[String], actual: &[String]) -> Result<(), String> {
    if expected == actual {
        return Ok(());
    }
    let number = expected
        .iter()
        .zip(actual)
        .take_while(|(expected, actual)| expected == actual)
        .count();
    Err(difference(what, number, expected, actual))
}

fn texts(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| line.text.clone()).collect()
}

fn difference(what: &str, number: usize, expected: &[String], actual: &[impl AsRef<str>]) -> String {
    let expected: String = expected.iter().map(|line| format!("    {line}\n")).collect();
    let actual: String = actual
        .iter()
        .map(|line| format!("    {}\n", line.as_ref()))
        .collect();
    format!(
        "{what}, line {}: expected\n{expected}but there was\n{actual}",
        number + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Vec<Line> {
        let line = |thread, phase, text: &str| Line {
            thread,
            phase,
            text: text.into(),
        };
        vec![
            line(Thread::Main, 0, "log: Sending CONNECT"),
            line(Thread::Main, 0, "log: Sending PUBLISH"),
            line(Thread::Loop, 0, "log: Received CONNACK"),
            line(Thread::Loop, 0, "connected OK"),
            line(Thread::Main, 1, "log: Sending DISCONNECT"),
        ]
    }

    #[test]
    fn threads_may_interleave() {
        let lines = [
            "log: Sending CONNECT",
            "log: Received CONNACK",
            "log: Sending PUBLISH",
            "connected OK",
            "log: Sending DISCONNECT",
        ];
        assert_eq!(stdout(&expected(), &lines.join("\n")), Ok(()));
    }

    #[test]
    fn an_effect_before_its_cause_is_a_difference() {
        let lines = [
            "log: Received CONNACK",
            "log: Sending CONNECT",
            "log: Sending PUBLISH",
            "connected OK",
            "log: Sending DISCONNECT",
        ];
        assert!(
            stdout(&expected(), &lines.join("\n"))
                .unwrap_err()
                .contains("is printed before")
        );
    }

    #[test]
    fn a_line_of_a_later_phase_comes_last() {
        let lines = [
            "log: Sending CONNECT",
            "log: Sending PUBLISH",
            "log: Received CONNACK",
            "log: Sending DISCONNECT",
            "connected OK",
        ];
        assert!(stdout(&expected(), &lines.join("\n")).is_err());
    }

    #[test]
    fn a_missing_and_a_surplus_line_are_differences() {
        let lines = [
            "log: Sending CONNECT",
            "log: Sending PUBLISH",
            "log: Received CONNACK",
            "connected OK",
        ];
        assert!(stdout(&expected(), &lines.join("\n")).is_err());
        let surplus = "log: Sending CONNECT\nlog: Sending CONNECT";
        assert!(stdout(&expected(), surplus).is_err());
    }

    #[test]
    fn what_arrives_after_the_goodbye_does_not_count() {
        let record = |event| Record { connection: 1, event };
        let seen = [
            record(Event::Open),
            record(Event::FromClient(vec![0xe0, 0])),
            record(Event::FromBroker(vec![0x20, 2, 0, 0])),
            record(Event::ClosedByClient),
            record(Event::ClosedByBroker),
        ];
        let expected = ["1 open", "1 > DISCONNECT e000", "1 close"].map(String::from);
        assert_eq!(packets(&expected, &seen), Ok(()));
        assert!(packets(&expected[..2], &seen).is_err());
    }
}
