//! The examples of MQTT 5.0 run to their end against a real mosquitto and against the crate's own broker, and print what
//! they promise.

#[path = "../../support/proxies.rs"]
mod proxies;

use std::process::Command;
use std::time::Duration;

use interop::mosquitto::Config;
use interop::program::{Program, example};
use interop::{Broker, BrokerKind, on_each_broker};
use proxies::Proxy;

/// Runs an example against a broker of its own. Returns what it printed.
fn printed(kind: BrokerKind, name: &str) -> String {
    let broker = kind.start();
    let program = Program::start(&mut Command::new(example(name)), broker.address().1, Vec::new());
    let outcome = program.wait(Duration::from_secs(60));
    assert!(
        outcome.status.success(),
        "{name}: {}\n{}{}\nthe broker's log:\n{}",
        outcome.status,
        outcome.stdout,
        outcome.stderr,
        broker.log().join("\n")
    );
    outcome.stdout
}

on_each_broker!(request_response);
fn request_response(kind: BrokerKind) {
    let text = printed(kind, "request_response");
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "12 squared is 144",
            "responses come on callmq/response/square-client",
            "1 squared is 1",
            "2 squared is 4",
            "3 squared is 9",
            "4 squared is 16",
            "5 squared is 25",
            "nobody answers: timed out",
        ]
    );
}

on_each_broker!(shared_workers);
fn shared_workers(kind: BrokerKind) {
    let text = printed(kind, "shared_workers");
    for job in 1..=9 {
        let done = format!(" got paint wall {job} on callmq/examples/jobs/{job}");
        assert_eq!(text.matches(&done).count(), 1, "{text}");
    }
    for worker in 1..=3 {
        assert!(text.contains(&format!("worker-{worker} got ")), "{text}");
    }
    assert!(text.ends_with("9 jobs, each done once\n"), "{text}");
}

on_each_broker!(topic_aliases);
fn topic_aliases(kind: BrokerKind) {
    let text = printed(kind, "topic_aliases");
    let bytes: Vec<u64> = text
        .lines()
        .filter_map(|line| line.strip_suffix(" bytes")?.rsplit(' ').next()?.parse().ok())
        .collect();
    assert!(bytes.len() == 2 && bytes[1] * 4 < bytes[0], "{text}");
    assert_eq!(text.matches("the last reading is 99").count(), 2, "{text}");
}

on_each_broker!(manual_ack);
fn manual_ack(kind: BrokerKind) {
    let text = printed(kind, "manual_ack");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..2], ["packed: 3 screws", "packed: 1 hammer"]);
    assert!(lines[2].starts_with("refused: "), "{text}");
    assert_eq!(lines[3..], ["packed: 12 nails", "left unacknowledged: 0"]);
}

on_each_broker!(will_delay);
fn will_delay(kind: BrokerKind) {
    let text = printed(kind, "will_delay");
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "sensor: here",
            "sensor: back",
            "sensor: gone",
            "the will came after the delay of 2 s: true",
        ]
    );
}

on_each_broker!(proxy);
fn proxy(kind: BrokerKind) {
    let broker = kind.start();
    let port = broker.address().1;
    let proxy = Proxy::socks5(([127, 0, 0, 1], port).into(), Some(("me", "secret")));
    let mut command = Command::new(example("proxy"));
    // Only the proxy knows where that name leads.
    command
        .arg(format!("socks5h://me:secret@{}", proxy.address))
        .arg("mqtt://broker.invalid:7");
    let outcome = Program::start(&mut command, port, Vec::new()).wait(Duration::from_secs(60));
    assert_eq!(
        outcome.stdout, "hello from behind the proxy\n",
        "{}",
        outcome.stderr
    );
    assert_eq!(proxy.asked(), "me@broker.invalid:7");
}

/// mosquitto knows no clusters: two ways to it stand for two nodes that share their sessions. One of them ends while the
/// workers work.
#[test]
fn cluster_workers() {
    const WALLS: usize = 150;
    let broker = Config::default().start();
    let nodes = [(); 2].map(|()| interop::Proxy::start(broker.port(), Duration::ZERO));
    let servers = nodes.each_ref().map(|node| format!("127.0.0.1:{}", node.port()));
    let mut command = Command::new(example("cluster_workers"));
    command
        .env("MQTT_SERVERS", servers.join(","))
        .arg(WALLS.to_string());
    let program = Program::start(&mut command, broker.port(), Vec::new());
    broker.wait_for_log("Sending PUBLISH to painter-2");
    let [first, _second] = nodes;
    first.end();
    let outcome = program.wait(Duration::from_secs(120));
    let text = outcome.stdout;
    assert!(
        outcome.status.success(),
        "{}\n{text}{}\nthe broker's log:\n{}",
        outcome.status,
        outcome.stderr,
        broker.log().join("\n")
    );
    for wall in 0..WALLS {
        assert!(text.contains(&format!(" paints wall {wall}\n")), "{wall}: {text}");
    }
    // The painters with even numbers were at the node that ended.
    for (painter, nodes) in [
        ("painter-0", &servers[..]),
        ("painter-1", &servers[1..]),
        ("painter-2", &servers),
    ] {
        assert!(text.contains(&format!("{painter} paints ")), "{text}");
        let subscribed = format!("{painter} subscribes to $share/painters/callmq/examples/walls/+: ");
        assert!(text.contains(&subscribed), "{text}");
        let been_at: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix(painter)?.strip_prefix(" is at "))
            .collect();
        assert_eq!(been_at, nodes, "{text}");
    }
    assert!(text.contains(&format!("\n{WALLS} walls painted, ")), "{text}");
}
