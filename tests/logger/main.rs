//! What goes to the `log` crate. A program of its own, because a process has one logger.

use std::cell::RefCell;
use std::sync::{Mutex, Once, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use callmq::client as mqtt;
use callmq::testing::Broker;
use log::{Level, LevelFilter};

const PATIENCE: Duration = Duration::from_secs(20);

/// What was logged by callmq, in this process.
static LINES: Mutex<Vec<(Level, String)>> = Mutex::new(Vec::new());

struct Collector;

thread_local! {
    /// A client that the logger asks something each time it is asked itself.
    static ASKS: RefCell<Option<mqtt::Client>> = const { RefCell::new(None) };
}

impl log::Log for Collector {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        ASKS.with_borrow(|client| client.as_ref().map(mqtt::Client::is_connected));
        metadata.target() == "callmq"
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = (record.level(), record.args().to_string());
            LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    fn flush(&self) {}
}

fn collect() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_boxed_logger(Box::new(Collector)).unwrap();
        log::set_max_level(LevelFilter::Debug);
    });
}

fn logged(level: Level, text: &str) -> bool {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines
        .iter()
        .any(|(found, line)| *found == level && line.contains(text))
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn listen() -> Broker {
    Broker::listen("127.0.0.1:0").unwrap()
}

#[test]
fn packets_are_logged_at_debug_unless_that_is_switched_off() {
    collect();
    let broker = listen();
    let client = mqtt::Client::new("chatty");
    client.connect_and_wait(&broker, PATIENCE).unwrap();
    assert!(logged(Level::Debug, "client_id='chatty'"));
    assert!(logged(Level::Debug, "Received CONNACK (0, 0)"));
    client.disable_logger();
    client.publish("quiet", "x").unwrap();
    assert!(!logged(Level::Debug, "'quiet'"));
    client.enable_logger();
    client.publish("loud", "x").unwrap();
    assert!(logged(Level::Debug, "'loud'"));
    assert!(!logged(Level::Debug, "'quiet'"));
}

#[test]
fn a_logger_may_call_the_client() {
    collect();
    let broker = listen();
    let client = mqtt::Client::new("asked");
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        ASKS.set(Some(client.clone()));
        client.connect_and_wait(&broker, PATIENCE).unwrap();
        client.enable_logger();
        client.publish("t", "x").unwrap();
        client.disconnect().unwrap();
        ASKS.set(None);
        drop(client);
        done.send(()).unwrap();
    });
    ended
        .recv_timeout(PATIENCE)
        .expect("the logger is asked under a lock");
}

#[test]
fn the_logger_and_on_log_do_not_depend_on_each_other() {
    collect();
    let broker = listen();
    let client = mqtt::Client::new("both");
    let (sender, lines) = crossbeam_channel::unbounded();
    client.on_log(move |_, _, line| {
        let _ = sender.send(line.to_owned());
    });
    client.disable_logger();
    client.connect_and_wait(&broker, PATIENCE).unwrap();
    assert!(lines.try_iter().any(|line| line.contains("client_id='both'")));
    assert!(!logged(Level::Debug, "client_id='both'"));
}

#[test]
fn a_server_that_hangs_up_without_a_word_may_speak_tls() {
    collect();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || drop(listener.accept().unwrap()));
    let client = mqtt::Client::new("hung-up");
    client.connect_and_wait(address, PATIENCE).unwrap_err();
    eventually("the hint is logged", || {
        logged(Level::Warn, "perhaps it speaks TLS at this port")
    });
}

#[test]
fn connections_and_their_ends_are_logged_at_info() {
    collect();
    let broker = listen();
    let client = mqtt::Client::new("comes-and-goes");
    client.loop_start().unwrap();
    client.connect_and_wait(&broker, PATIENCE).unwrap();
    // The waiter may be ahead of the logger.
    eventually("the connection is logged", || {
        logged(Level::Info, "comes-and-goes: connected")
    });
    assert!(broker.disconnect_client("comes-and-goes"));
    eventually("the loss is logged", || {
        logged(Level::Info, "connection closed by the peer")
    });
}

#[test]
fn messages_that_a_server_does_not_allow_are_logged_once() {
    collect();
    let broker = Broker::builder()
        .retain(false)
        .wildcard_subscriptions(false)
        .listen("127.0.0.1:0")
        .unwrap();
    let client = mqtt::Client::builder("early").protocol(mqtt::MQTTv5).build();
    for _ in 0..17 {
        client.publish_with("t", "x", 1, true).unwrap();
    }
    client.subscribe("early/#").unwrap();
    client.loop_start().unwrap();
    client.connect_and_wait(&broker, PATIENCE).unwrap();
    eventually("the messages are logged", || {
        logged(
            Level::Warn,
            "17 messages were dropped: the server keeps no retained messages",
        )
    });
    eventually("the subscription is logged", || {
        logged(
            Level::Warn,
            "not subscribed to 'early/#': the server takes no filters with wildcards",
        )
    });
}

#[test]
fn a_failing_callback_is_logged_at_error() {
    collect();
    let broker = listen();
    let client = mqtt::Client::new("fails");
    client.on_connect(|_, _, _, _| Err::<(), _>(mqtt::Error::other("no coffee")));
    client.connect_and_wait(&broker, PATIENCE).unwrap();
    assert!(logged(Level::Error, "no coffee"));
    assert!(logged(Level::Error, "on_connect"));
}

#[test]
fn a_callback_that_holds_the_loop_is_named_in_a_warning() {
    collect();
    let broker = listen();
    let client = mqtt::Client::new("slow");
    // As long as the warning needs to be due.
    client.on_unsubscribe(|_, _, _, _| thread::sleep(Duration::from_millis(1_050)));
    client.loop_start().unwrap();
    client.connect_and_wait(&broker, PATIENCE).unwrap();
    client.unsubscribe("t").unwrap();
    eventually("the warning", || {
        logged(Level::Warn, "on_unsubscribe held the network loop for 1.")
    });
}

#[test]
fn what_the_user_should_change_is_a_warning() {
    collect();
    let client = mqtt::Client::new("windows");
    client.subscribe("a\\b").unwrap();
    assert!(logged(Level::Warn, "backslash"));
    drop(client);
    let client = mqtt::Client::new("unfinished");
    client.publish_with("t", "x", 1, false).unwrap();
    drop(client);
    assert!(logged(Level::Warn, "1 messages that were not delivered"));
}

/// What becomes of messages under way when the server has no session any more.
#[test]
fn messages_of_a_lost_session_are_counted_in_a_warning() {
    use mqtt::OnSessionLost::{Discard, Resend};
    collect();
    for (name, policy, warning) in [
        (
            "keeps",
            Resend,
            "keeps: no session at the server, 2 messages are sent again",
        ),
        (
            "drops",
            Discard,
            "drops: no session at the server, 2 messages under way are dropped",
        ),
    ] {
        let peer = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = peer.local_addr().unwrap().port();
        let client = mqtt::Client::new(name);
        client.on_session_lost_set(policy);
        client.connect(("127.0.0.1", port)).unwrap();
        for qos in [1, 2] {
            client.publish_with("t", "x", qos, false).unwrap();
        }
        let broker = listen();
        client.connect(&broker).unwrap();
        client.wait_for_connect(PATIENCE).unwrap();
        eventually("the warning", || logged(Level::Warn, warning));
    }
}

#[test]
fn passwords_are_never_logged() {
    collect();
    let broker = listen();
    let client = mqtt::Client::new("secret");
    client.username_pw_set("somebody", "very-secret");
    client.connect_and_wait(&broker, PATIENCE).unwrap();
    let url = format!("mqtt://somebody:very-secret@127.0.0.1:{}", broker.port());
    client.connect_and_wait(url, PATIENCE).unwrap();
    for level in [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace] {
        assert!(!logged(level, "very-secret"));
    }
}
