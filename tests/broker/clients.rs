//! The crate's client and this broker together: in process, step by step, with one clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use callmq::client::{Client, Error, IntoQos, MQTTv5, MQTTv31, MQTTv311};
use callmq::testing::{Broker, Clock};

/// What a client's callbacks told, in their order.
type Told = Arc<Mutex<Vec<String>>>;

fn client(client_id: &str, clock: &Clock, protocol: callmq::client::ProtocolVersion) -> (Client, Told) {
    let told = Told::default();
    let client = Client::builder(client_id)
        .clean_session(false)
        .protocol(protocol)
        .clock(clock)
        .build();
    let log = Arc::clone(&told);
    client.on_connect(move |_, flags, reason, _| {
        log.lock()
            .unwrap()
            .push(format!("connect {reason} {}", flags.session_present));
    });
    let log = Arc::clone(&told);
    client.on_message(move |_, message| {
        log.lock()
            .unwrap()
            .push(format!("{} {} q{}", message.topic, message.payload, message.qos));
    });
    let log = Arc::clone(&told);
    client.on_disconnect(move |_, _, reason, _| log.lock().unwrap().push(format!("disconnect {reason}")));
    (client, told)
}

/// Steps until nothing more happens; the last step's result.
fn step(client: &Client) -> Result<(), Error> {
    (0..20).try_for_each(|_| client.loop_once(0))
}

fn take(told: &Told) -> Vec<String> {
    std::mem::take(&mut *told.lock().unwrap())
}

#[test]
fn a_client_steps_through_each_qos_without_a_thread() {
    for protocol in [MQTTv31, MQTTv311, MQTTv5] {
        let clock = Clock::new();
        let broker = Broker::builder().clock(&clock).in_process();
        let (client, told) = client("stepping", &clock, protocol);
        client.connect(&broker).unwrap();
        step(&client).unwrap();
        client.subscribe(("t/#", 2)).unwrap();
        step(&client).unwrap();
        for qos in 0..3 {
            let info = client
                .publish_with(format!("t/{qos}"), "x", qos.into_qos().unwrap(), false)
                .unwrap();
            step(&client).unwrap();
            assert!(info.is_published());
        }
        assert_eq!(
            take(&told),
            ["connect Success false", "t/0 x q0", "t/1 x q1", "t/2 x q2"]
        );
        client.disconnect().unwrap();
        assert!(broker.connected_clients().is_empty());
        assert_eq!(broker.log().last().unwrap(), "Client stepping disconnected.");
    }
}

#[test]
fn a_client_comes_back_to_its_session_after_its_delay() {
    let clock = Clock::new();
    let broker = Broker::builder().clock(&clock).in_process();
    let (client, told) = client("back", &clock, MQTTv311);
    client.connect(&broker).unwrap();
    step(&client).unwrap();
    client.subscribe(("t", 1)).unwrap();
    step(&client).unwrap();
    broker.set_reachable(false);
    assert!(step(&client).is_err());
    broker.publish("t", "meanwhile", 1, false).unwrap();
    assert!(client.reconnect().is_err());
    broker.set_reachable(true);
    client.reconnect().unwrap();
    step(&client).unwrap();
    let told = take(&told);
    assert_eq!(told.first().unwrap(), "connect Success false");
    assert_eq!(told[told.len() - 2..], ["connect Success true", "t meanwhile q1"]);
}

#[test]
fn a_client_keeps_its_connection_alive_by_the_clock_of_the_test() {
    let clock = Clock::new();
    let broker = Broker::builder().clock(&clock).in_process();
    let (client, told) = client("alive", &clock, MQTTv311);
    client.connect(&broker).unwrap();
    step(&client).unwrap();
    for _ in 0..60 {
        clock.advance(Duration::from_secs(60));
        step(&client).unwrap();
    }
    let pings = broker
        .log()
        .iter()
        .filter(|line| *line == "Received PINGREQ from alive")
        .count();
    assert_eq!(pings, 60);
    // An hour of silence is too long for both.
    clock.advance(Duration::from_secs(3600));
    assert!(broker.connected_clients().is_empty());
    assert!(step(&client).is_err());
    assert_eq!(take(&told).len(), 2);
}

#[test]
fn a_refused_client_is_told() {
    let clock = Clock::new();
    let broker = Broker::builder().clock(&clock).user("joe", "secret").in_process();
    for (protocol, password, answer) in [
        (MQTTv311, "wrong", "connect Not authorized false"),
        (MQTTv5, "wrong", "connect Not authorized false"),
        (MQTTv5, "secret", "connect Success false"),
    ] {
        let (client, told) = client("joe", &clock, protocol);
        client.username_pw_set("joe", password);
        client.connect(&broker).unwrap();
        let _ = step(&client);
        assert_eq!(take(&told)[0], answer);
    }
}
