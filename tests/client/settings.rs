//! Settings, stored values, counters.

use std::sync::mpsc;
use std::thread;

use callmq::client::{self as mqtt, ConnectOptions, IntoConnect};
use callmq::testing::Broker;

use crate::support::{Bench, PATIENCE, bad_argument, listen, start};

#[test]
fn a_new_client_has_the_settings_of_paho() {
    let client = mqtt::Client::new("new");
    assert_eq!(client.client_id(), "new");
    assert_eq!((client.keepalive(), client.max_inflight_messages()), (60, 20));
    assert_eq!((client.host(), client.username()), (None, None));
    assert_eq!((client.will_topic(), client.will_payload()), (None, None));
    assert_eq!(client.protocol(), mqtt::MQTTv311);
    assert_eq!(client.transport(), mqtt::Transport::Tcp);
    assert_eq!(client.connect_timeout().as_secs(), 5);
    assert!(!client.is_connected() && !client.want_write() && client.socket().is_none());
    assert_eq!(client.stats(), mqtt::Stats::default());
    assert_eq!(mqtt::Client::default().client_id(), "");
}

#[test]
fn host_port_and_transport_are_set_while_there_is_no_connection() {
    let broker = listen();
    let client = mqtt::Client::new("set");
    let state = |result: mqtt::Result<()>| matches!(result, Err(mqtt::Error::InvalidState(_)));
    assert!(state(client.port_set(1884)), "there is no host yet");
    client.host_set("127.0.0.1").unwrap();
    assert_eq!(bad_argument(client.port_set(0)), "port");
    client.port_set(broker.port()).unwrap();
    assert_eq!(client.port(), Some(broker.port()));

    client.transport_set(mqtt::Transport::WebSockets).unwrap();
    assert_eq!(client.transport(), mqtt::Transport::WebSockets);
    #[cfg(not(feature = "websocket"))]
    assert!(matches!(client.connect("h"), Err(mqtt::Error::NotSupported(_))));
    client.transport_set(mqtt::Transport::Tcp).unwrap();

    client.reconnect().unwrap();
    assert!(state(client.port_set(1884)) && state(client.host_set("h")));
    assert!(state(client.transport_set(mqtt::Transport::Tcp)));
    let elsewhere = ConnectOptions::connector(|| Err(std::io::ErrorKind::NotFound.into()));
    let client = mqtt::Client::new("stream");
    client.host_set(elsewhere).unwrap();
    assert!(state(client.port_set(1884)), "a stream has no port");
}

#[test]
fn a_host_is_not_set_if_a_connection_comes_while_it_is_converted() {
    struct Connecting<'a>(&'a mqtt::Client, &'a Broker);

    impl IntoConnect for Connecting<'_> {
        fn into_connect(self) -> mqtt::Result<ConnectOptions> {
            self.0.connect(self.1)?;
            "elsewhere".into_connect()
        }
    }

    let broker = listen();
    let client = mqtt::Client::new("late");
    let set = client.host_set(Connecting(&client, &broker));
    assert!(matches!(set, Err(mqtt::Error::InvalidState(_))), "{set:?}");
    assert_eq!(client.port(), Some(broker.port()));
}

#[test]
fn user_data_is_stored_by_type() {
    struct Device {
        name: &'static str,
    }
    let bench = Bench::new("data");
    bench.client.user_data_set(Device { name: "boiler" });
    bench.client.on_connect(|client, _, _, _| {
        let device = client.user_data_get::<Device>().ok_or("no device")?;
        assert_eq!(device.name, "boiler");
        client.user_data_set(42u8);
        Ok(())
    });
    bench.connect();
    assert_eq!(*bench.client.user_data_get::<u8>().unwrap(), 42);
    assert!(bench.client.user_data_get::<Device>().is_none());
}

#[test]
fn credentials_are_set_together_and_cleared_together() {
    let client = mqtt::Client::new("user");
    client.username_pw_set("user", "secret");
    assert_eq!(client.username().as_deref(), Some("user"));
    let text = format!("{client:?}");
    assert!(text.contains("user") && !text.contains("secret"), "{text}");
    client.username_pw_set(None, "secret");
    assert_eq!(client.username(), None);
}

#[test]
fn stats_count_what_went_over_the_line() {
    let broker = listen();
    let client = mqtt::Client::new("counts");
    start(&client, &broker);
    client.subscribe(("t", 1)).unwrap().wait(PATIENCE).unwrap();
    let messages = client.messages(10);
    for qos in [0, 1, 2] {
        client.publish_with("t", "x", qos, false).unwrap();
    }
    client.flush(PATIENCE).unwrap();
    for _ in 0..3 {
        messages.recv(PATIENCE).unwrap();
    }
    client.loop_stop().unwrap();
    let stats = client.stats();
    assert!(stats.connected);
    assert_eq!(
        (stats.connects, stats.messages_sent, stats.messages_received),
        (1, 3, 3)
    );
    assert_eq!(
        (
            stats.messages_acknowledged,
            stats.messages_resent,
            stats.messages_dropped
        ),
        (2, 0, 0)
    );
    assert_eq!(
        (stats.queued_messages, stats.inflight, stats.output_bytes),
        (0, 0, 0)
    );
    // CONNECT, SUBSCRIBE, 3 PUBLISH, PUBREL, 2 PUBACK for what came back.
    assert_eq!(stats.packets_sent, 8);
    // CONNACK, SUBACK, PUBACK, PUBREC, PUBCOMP, 3 PUBLISH.
    assert_eq!(stats.packets_received, 8);
    assert!(stats.bytes_sent > 40 && stats.bytes_received > 30, "{stats:?}");
}

#[test]
fn a_client_crosses_threads_and_is_two_words() {
    fn crosses_threads<T: Send + Sync + 'static>() {}
    crosses_threads::<mqtt::Client>();
    crosses_threads::<mqtt::WeakClient>();
    crosses_threads::<mqtt::MessageInfo>();
    crosses_threads::<mqtt::SubscribeInfo>();
    crosses_threads::<mqtt::Messages>();
    crosses_threads::<mqtt::Message>();
    crosses_threads::<mqtt::Error>();
    assert!(size_of::<mqtt::Client>() <= 16);
}

#[test]
fn what_makes_no_connect_packet_is_refused_and_changes_nothing() {
    let long = "x".repeat(65_536);
    let client = mqtt::Client::builder("v5").protocol(mqtt::MQTTv5).build();
    client.host_set(("first", 7, 20)).unwrap();
    let other = || ConnectOptions::new("second").keep_alive(30);

    let misplaced = mqtt::Property::TopicAlias(1);
    let with_property = || other().properties(misplaced.clone().into());
    assert_eq!(bad_argument(client.host_set(with_property())), "properties");
    assert_eq!(bad_argument(client.connect_async(with_property())), "properties");
    client.username_pw_set("user", long.as_str());
    assert_eq!(bad_argument(client.connect_async(other())), "password");
    client.username_pw_set(long.as_str(), None);
    assert_eq!(bad_argument(client.connect(other())), "username");
    // One of the servers needs what was set.
    let mixed = ["mqtt://me@second", "second"];
    assert_eq!(bad_argument(client.connect_async(mixed)), "username");

    assert_eq!(
        (client.host().as_deref(), client.port()),
        (Some("first"), Some(7))
    );
    assert_eq!(client.keepalive(), 20);
    // The credentials of a URL take the place of those that no packet can carry.
    client.host_set("mqtt://me@third").unwrap();
    assert_eq!(client.host().as_deref(), Some("third"));
}

#[test]
fn a_refused_connect_gives_no_random_client_id() {
    let client = mqtt::Client::builder("").protocol(mqtt::MQTTv31).build();
    client.username_pw_set("x".repeat(65_536).as_str(), None);
    assert_eq!(bad_argument(client.connect_async("host")), "username");
    assert_eq!((client.client_id(), client.host()), (String::new(), None));
    client.username_pw_set(None, None);
    client.connect_async("host").unwrap();
    assert_eq!(client.client_id().len(), 22);
}

/// Asks a client something when it is dropped.
struct AsksWhenDropped(mqtt::Client, mpsc::Sender<u16>);

impl Drop for AsksWhenDropped {
    fn drop(&mut self) {
        let _ = self.1.send(self.0.keepalive());
    }
}

/// A client, and a connector that has a handle of it.
fn owned_by_its_connector(answers: mpsc::Sender<u16>) -> (mqtt::Client, ConnectOptions) {
    let client = mqtt::Client::new("owned");
    let owner = AsksWhenDropped(client.clone(), answers);
    let connector = ConnectOptions::connector(move || {
        let _ = &owner;
        Err(std::io::ErrorKind::ConnectionRefused.into())
    });
    (client, connector)
}

#[test]
fn a_connector_may_use_the_client_when_it_is_dropped() {
    type Replace = fn(&mqtt::Client);
    let replace: [Replace; 2] = [
        |client| client.host_set("host").unwrap(),
        |client| client.reinitialise("new", true).unwrap(),
    ];
    for replace in replace {
        let (sender, answers) = mpsc::channel();
        let thread = thread::spawn(move || {
            let (client, connector) = owned_by_its_connector(sender);
            client.host_set(connector).unwrap();
            replace(&client);
        });
        assert_eq!(answers.recv_timeout(PATIENCE), Ok(60));
        thread.join().unwrap();
    }
}

#[test]
fn a_refused_connector_may_use_the_client_when_it_is_dropped() {
    let (sender, answers) = mpsc::channel();
    let thread = thread::spawn(move || {
        let (client, connector) = owned_by_its_connector(sender);
        assert_eq!(
            bad_argument(client.host_set(connector.clean_start(true))),
            "clean_start"
        );
    });
    assert_eq!(answers.recv_timeout(PATIENCE), Ok(60));
    thread.join().unwrap();
}
