//! Settings, stored values, counters.

use callmq::client as mqtt;

use crate::support::{Bench, PATIENCE, listen, start};

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
