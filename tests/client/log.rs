//! `on_log`.

use callmq::client::{self as mqtt, LogLevel};

use crate::support::{Bench, Events, PATIENCE};

fn logging(client: &mqtt::Client) -> Events<(LogLevel, String)> {
    let lines = Events::new();
    let report = lines.sink();
    client.on_log(move |_, level, line| report((level, line.to_owned())));
    lines
}

#[test]
fn each_packet_is_a_line_in_the_words_of_paho() {
    let bench = Bench::new("logs");
    let lines = logging(&bench.client);
    bench.connect();
    bench.client.subscribe(("t", 1)).unwrap().wait(PATIENCE).unwrap();
    bench.client.publish_with("t", "x", 1, false).unwrap();
    bench.settle();
    bench.advance(60.0);
    bench.settle();
    bench.client.unsubscribe("t").unwrap().wait(PATIENCE).unwrap();
    bench.client.disconnect().unwrap();
    let lines = lines.so_far();
    assert!(
        lines.iter().all(|(level, _)| *level == LogLevel::Debug),
        "{lines:?}"
    );
    let lines: Vec<_> = lines.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "Sending CONNECT (u0, p0, wr0, wq0, wf0, c1, k60) client_id='logs'",
            "Received CONNACK (0, 0)",
            "Sending SUBSCRIBE (d0, m1) [('t', 1)]",
            "Received SUBACK",
            "Sending PUBLISH (d0, q1, r0, m2), 't', ... (1 bytes)",
            "Received PUBLISH (d0, q1, r0, m1), 't', ...  (1 bytes)",
            "Sending PUBACK (Mid: 1)",
            "Received PUBACK (Mid: 2)",
            "Sending PINGREQ",
            "Received PINGRESP",
            "Sending UNSUBSCRIBE (d0, m3) ['t']",
            "Received UNSUBACK (Mid: 3)",
            "Sending DISCONNECT",
        ]
    );
}

#[test]
fn what_on_log_causes_is_not_logged() {
    let bench = Bench::new("recursive");
    let lines = Events::new();
    let report = lines.sink();
    bench.client.on_log(move |client, _, line| {
        report(line.to_owned());
        let _ = client.publish("log", line);
    });
    bench.connect();
    bench.client.publish("t", "x").unwrap();
    bench.settle();
    let lines = lines.so_far();
    let sent = lines
        .iter()
        .filter(|line| line.starts_with("Sending PUBLISH"))
        .count();
    assert_eq!(sent, 1, "{lines:?}");
    assert_eq!(crate::support::published(&bench.broker, "t"), ["x"]);
    assert!(!crate::support::published(&bench.broker, "log").is_empty());
}

#[test]
fn on_log_may_replace_itself_and_calls_of_other_threads_run_it_there() {
    let bench = Bench::new("replaced");
    let lines = Events::new();
    let (first, second) = (lines.sink(), lines.sink());
    bench.client.on_log(move |client, _, _| {
        first(("first", std::thread::current().id()));
        let second = second.clone();
        client.on_log(move |_, _, _| second(("second", std::thread::current().id())));
    });
    bench.connect();
    lines.so_far();
    let thread = std::thread::spawn({
        let client = bench.client.clone();
        move || {
            client.publish("t", "x").unwrap();
            std::thread::current().id()
        }
    });
    let id = thread.join().unwrap();
    assert_eq!(lines.so_far(), [("second", id)]);
}

#[test]
fn secrets_are_not_logged() {
    let bench = Bench::new("secret");
    let lines = logging(&bench.client);
    bench.client.username_pw_set("user", "very-secret");
    bench.connect();
    bench.client.publish("t", "payload-too").unwrap();
    let text = format!("{:?}", lines.so_far());
    assert!(text.contains("u1, p1"), "{text}");
    assert!(
        !text.contains("very-secret") && !text.contains("payload-too"),
        "{text}"
    );
}
