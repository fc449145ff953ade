//! Each port of a tutorial script prints and sends what the Python script did.
//!
//! A port runs as a program of its own against a fresh broker, through the recording proxy; its output, the broker's log
//! and the packets in both directions are held against the transcript of the Python program. What is meant to differ is
//! in [`DIFFERENCES`]; anything else fails.
//!
//! The transcripts were recorded with mosquitto. The crate's own broker gets no table: it sends and logs the same.

use std::process::Command;
use std::thread;
use std::time::Duration;

use interop::program::example;
use interop::transcript::Transcript;
use interop::{BrokerKind, on_each_broker, run};

/// What is meant to differ between a Python script and its port.
const DIFFERENCES: &[Difference] = &[
    Difference {
        transcripts: LOGGING,
        change: Change::Output("client_id=b'python1'", "client_id='python1'"),
        reason: "text prints as text: b'..' is how Python prints bytes",
    },
    Difference {
        transcripts: &["002_d_subscribe_no_on_message", "002_e_on_message_with_log"],
        change: Change::Output("[(b'house/sensor1', 0)]", "[('house/sensor1', 0)]"),
        reason: "text prints as text",
    },
    Difference {
        transcripts: &[
            "002_c_publish",
            "002_d_subscribe_no_on_message",
            "002_e_on_message_with_log",
        ],
        change: Change::Output("'b'house/sensor1''", "'house/sensor1'"),
        reason: "text prints as text",
    },
    Difference {
        transcripts: &["003_subscriber"],
        change: Change::Output("message retain flag= 0", "message retain flag= false"),
        reason: "the retain flag is a bool, as in paho-mqtt 2",
    },
    Difference {
        transcripts: &["000_send_data", "000_received_data", "000_send_data_fast"],
        change: Change::Goodbye("send_data123"),
        reason: GOODBYE,
    },
    Difference {
        transcripts: &["001_send", "001_receive_forever"],
        change: Change::Goodbye("foo2"),
        reason: GOODBYE,
    },
    Difference {
        transcripts: &["001_receive_loop_start"],
        change: Change::Goodbye("foo1"),
        reason: GOODBYE,
    },
    Difference {
        transcripts: &["003_publisher", "003_subscriber"],
        change: Change::Goodbye("publisher-1"),
        reason: GOODBYE,
    },
    Difference {
        transcripts: &["004_test_topic"],
        change: Change::Goodbye("auto-<UUID>"),
        reason: GOODBYE,
    },
    Difference {
        transcripts: &["002_g_loop_start_before_connect"],
        change: Change::SameOnTheWireAs("002_h_connect_before_loop_start"),
        reason: "a loop that was started first waits for connect: one connection instead of two, and the message arrives",
    },
];

const LOGGING: &[&str] = &[
    "002_a_no_loop",
    "002_b_loop_start_stop",
    "002_c_publish",
    "002_d_subscribe_no_on_message",
    "002_e_on_message_with_log",
];

const GOODBYE: &str = "dropping the last handle sends DISCONNECT; in Python the connection just breaks off";

struct Difference {
    transcripts: &'static [&'static str],
    change: Change,
    #[allow(dead_code, reason = "for those who read the table")]
    reason: &'static str,
}

enum Change {
    /// The left text is the right one in the port's output.
    Output(&'static str, &'static str),
    /// The client with this id says goodbye at its end.
    Goodbye(&'static str),
    /// The broker sees what the recording of another script shows.
    SameOnTheWireAs(&'static str),
}

impl Change {
    fn apply(&self, transcript: &mut Transcript) {
        match self {
            Self::Output(python, rust) => {
                for line in &mut transcript.stdout {
                    line.text = line.text.replace(python, rust);
                }
            }
            Self::Goodbye(client) => {
                let breaks_off = format!("Client {client} closed its connection.");
                if let Some(at) = transcript.broker.iter().position(|line| *line == breaks_off) {
                    let goodbye = [
                        format!("Received DISCONNECT from {client}"),
                        format!("Client {client} disconnected."),
                    ];
                    transcript.broker.splice(at..=at, goodbye);
                }
                // A receiver's transcript has the sender in the broker's log only.
                if transcript.ends != "killed" {
                    let close = transcript.packets.len() - 1;
                    transcript.packets.insert(close, "1 > DISCONNECT e000".into());
                }
            }
            Self::SameOnTheWireAs(other) => {
                let other = Transcript::load(other);
                (transcript.broker, transcript.packets) = (other.broker, other.packets);
            }
        }
    }
}

/// The transcript of a script, with what is meant to differ.
fn expected(name: &str) -> Transcript {
    let mut transcript = Transcript::load(name);
    for difference in DIFFERENCES
        .iter()
        .filter(|difference| difference.transcripts.contains(&name))
    {
        let before = transcript.clone();
        difference.change.apply(&mut transcript);
        assert_ne!(
            before, transcript,
            "{name}: a difference in the table changes nothing"
        );
    }
    transcript
}

/// How long the broker is held back. On a busy machine more than that may pass between two lines of a program, so a
/// difference counts when it is there with the longer delay as well.
const DELAYS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(250)];

fn port(transcript: &Transcript) -> Command {
    let mut command = Command::new(example(&transcript.example));
    command.env("MQTT_SLEEP", "3");
    command
}

fn alone(kind: BrokerKind, name: &str, message: Option<(&str, &str)>) -> Vec<String> {
    let transcript = expected(name);
    let run = |delay| run::alone(kind, &transcript, port(&transcript), delay, message).compare(&transcript);
    again_if_different(run)
}

fn pair(kind: BrokerKind, receiver: &str, sender: &str) -> Vec<String> {
    let (receiver, sender) = (expected(receiver), expected(sender));
    again_if_different(|delay| {
        let sent = (&sender, port(&sender));
        let (received, sent) = run::pair(kind, (&receiver, port(&receiver)), sent, delay);
        [received.compare(&receiver), sent.compare(&sender)].concat()
    })
}

fn again_if_different(run: impl Fn(Duration) -> Vec<String>) -> Vec<String> {
    let mut differences = Vec::new();
    for delay in DELAYS {
        differences = run(delay);
        if differences.is_empty() {
            break;
        }
    }
    differences
}

/// How one script is run.
type Case = (&'static str, fn(BrokerKind) -> Vec<String>);

const CASES: &[Case] = &[
    ("000_send_data", |kind| {
        pair(kind, "000_received_data", "000_send_data")
    }),
    ("000_send_data_fast", |kind| {
        alone(kind, "000_send_data_fast", None)
    }),
    ("001_send", |kind| pair(kind, "001_receive_forever", "001_send")),
    ("001_receive_loop_start", |kind| {
        alone(kind, "001_receive_loop_start", Some(("test/topic", "bar")))
    }),
    ("002_a_no_loop", |kind| alone(kind, "002_a_no_loop", None)),
    ("002_b_loop_start_stop", |kind| {
        alone(kind, "002_b_loop_start_stop", None)
    }),
    ("002_c_publish", |kind| alone(kind, "002_c_publish", None)),
    ("002_d_subscribe_no_on_message", |kind| {
        alone(kind, "002_d_subscribe_no_on_message", None)
    }),
    ("002_e_on_message_with_log", |kind| {
        alone(kind, "002_e_on_message_with_log", None)
    }),
    ("002_f_on_message_no_log", |kind| {
        alone(kind, "002_f_on_message_no_log", None)
    }),
    ("002_g_loop_start_before_connect", |kind| {
        alone(kind, "002_g_loop_start_before_connect", None)
    }),
    ("002_h_connect_before_loop_start", |kind| {
        alone(kind, "002_h_connect_before_loop_start", None)
    }),
    ("002_i_wait_loop", |kind| alone(kind, "002_i_wait_loop", None)),
    ("003_publisher", |kind| {
        pair(kind, "003_subscriber", "003_publisher")
    }),
    ("004_test_topic", |kind| alone(kind, "004_test_topic", None)),
];

on_each_broker!(each_port_does_what_its_python_script_did);

/// One test for all of them: the programs mostly sleep, so they all run at the same time.
fn each_port_does_what_its_python_script_did(kind: BrokerKind) {
    let runs: Vec<_> = CASES
        .iter()
        .map(|(name, run)| (name, thread::spawn(move || run(kind))))
        .collect();
    let mut failed = String::new();
    for (name, run) in runs {
        let differences = run
            .join()
            .unwrap_or_else(|_| vec!["it did not run, see above".into()]);
        println!(
            "{name} with {kind:?}: {}",
            if differences.is_empty() {
                "as recorded"
            } else {
                "differs"
            }
        );
        for difference in differences {
            failed += &format!("{name} with {kind:?}: {difference}\n");
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

#[test]
fn each_difference_names_a_transcript_that_it_changes() {
    for name in DIFFERENCES.iter().flat_map(|difference| difference.transcripts) {
        expected(name);
    }
}
