//! A real server with low limits (MQTT 5.0): what it does not allow is refused here, and the connection stays.
//!
//! The checks of `tests/matrix` run with the limits that brokers have by default, or none; mosquitto can be told lower ones.

use std::time::Duration;

use callmq::client::{Client, Error, Message, MessageInfo, ProtocolVersion, QoS, Result, ServerLimit};
use crossbeam_channel::unbounded;
use interop::Broker;
use interop::mosquitto::Config;

const LIMITS: [&str; 5] = [
    "max_qos 1",
    "retain_available false",
    "max_packet_size 2000",
    "max_keepalive 30",
    "max_inflight_messages 3",
];

/// The error of a call, or else that of the message.
fn refusal(result: Result<MessageInfo>) -> Error {
    result.and_then(|info| info.wait_for_publish(5)).unwrap_err()
}

#[test]
fn what_the_server_does_not_allow_is_refused_and_the_connection_stays() {
    let config = LIMITS
        .iter()
        .fold(Config::default(), |config, line| config.line(*line));
    let broker = config.start();
    let client = Client::builder("limited").protocol(ProtocolVersion::V5).build();
    let (sender, ends) = unbounded();
    client.on_disconnect(move |_, flags, _, _| {
        let _ = sender.send(flags.reason.to_string());
    });
    let (sender, welcomes) = unbounded();
    client.on_connect(move |_, _, _, properties| {
        let _ = sender.send(properties.clone());
    });
    let messages = client.messages(100);
    client.connect_and_wait(broker.address(), 5).unwrap();
    client.loop_start().unwrap();

    let welcome = welcomes.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(welcome.maximum_qos(), Some(QoS::AtLeastOnce));
    assert_eq!(welcome.retain_available(), Some(false));
    assert_eq!(welcome.maximum_packet_size(), Some(2_000));
    assert_eq!(welcome.server_keep_alive(), Some(30));
    assert_eq!(welcome.receive_maximum(), Some(3));

    let message = |payload: &str| Message::new("t", payload).qos(QoS::AtLeastOnce);
    let refused = [
        (message("x").qos(QoS::ExactlyOnce), ServerLimit::MaximumQoS),
        (message("x").retain(true), ServerLimit::RetainAvailable),
        (message(&"x".repeat(2_000)), ServerLimit::MaximumPacketSize),
    ];
    for (message, by) in refused {
        let error = refusal(client.publish_message(message));
        assert!(
            matches!(error, Error::NotAllowed(limit) if limit == by),
            "{error:?} instead of {by:?}"
        );
    }
    // A subscription may ask for more than the server has.
    let granted = client.subscribe(("t", 2)).unwrap().wait(5).unwrap();
    assert_eq!(granted.len(), 1);
    assert!(!granted[0].is_failure(), "{granted:?}");
    // More than the server takes at once; the largest that it takes.
    let payloads = (0..20).map(|_| "y".into()).chain(["z".repeat(1_900)]);
    let infos: Vec<_> = payloads
        .map(|payload: String| client.publish_message(message(&payload)).unwrap())
        .collect();
    for info in infos {
        info.wait_for_publish(5).unwrap();
    }
    for _ in 0..20 {
        assert_eq!(messages.recv(5).unwrap().payload, "y");
    }
    assert_eq!(messages.recv(5).unwrap().payload, "z".repeat(1_900));
    assert_eq!(ends.try_recv().ok(), None);
    assert!(client.is_connected());
}
