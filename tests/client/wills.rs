//! Wills with the properties of MQTT 5.0.

use callmq::client::{self as mqtt, Message, Properties, Property, QoS};

use crate::support::{Bench, Peer, bad_argument, published};

/// A will with all its properties, and what is not one of them.
///
/// [3.1.1/MQTT-4.7.1-1] [5.0/MQTT-3.1.2-9] [5.0/MQTT-3.1.3-1] [5.0/MQTT-3.3.2-14] [5.0/MQTT-4.7.0-1]
#[test]
fn a_will_has_properties() {
    let client = mqtt::Client::builder("c").protocol(mqtt::MQTTv5).build();
    let properties = Properties::new()
        .with(Property::WillDelayInterval(5))
        .with(Property::PayloadFormatIndicator(1))
        .with(Property::MessageExpiryInterval(6))
        .with(Property::ContentType("c".to_owned()))
        .with(Property::ResponseTopic("r".to_owned()))
        .with(Property::CorrelationData("d".into()))
        .with(Property::UserProperty("k".to_owned(), "v".to_owned()));
    let will = |properties| {
        Message::new("w", "gone")
            .qos(QoS::AtLeastOnce)
            .retain(true)
            .properties(properties)
    };
    client.will_set_message(will(properties)).unwrap();
    let peer = Peer::listen();
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    let mut connect = b"\x10\x00\x00\x04MQTT\x05\x2e\x00\x3c\x00\x00\x01c".to_vec();
    connect.extend(
        b"\x1f\x18\x00\x00\x00\x05\x01\x01\x02\x00\x00\x00\x06\x03\x00\x01c\x08\x00\x01r\x09\x00\x01d",
    );
    connect.extend(b"\x26\x00\x01k\x00\x01v\x00\x01w\x00\x04gone");
    connect[1] = connect.len() as u8 - 2;
    connection.expect(&connect);
    for wrong in [
        Property::TopicAlias(1),
        Property::SessionExpiryInterval(1),
        Property::PayloadFormatIndicator(2),
        Property::ResponseTopic("a/#".to_owned()),
    ] {
        let result = client.will_set_message(will(wrong.clone().into()));
        assert_eq!(bad_argument(result.clone()), "properties");
        let name = format!("{wrong:?}");
        let name = name.split('(').next().unwrap();
        let text = result.unwrap_err().to_string();
        assert!(text.contains(name) || text.contains("Response Topic"), "{text}");
    }
    let old = mqtt::Client::new("c");
    let result = old.will_set_message(will(Property::WillDelayInterval(1).into()));
    assert_eq!(bad_argument(result), "properties");
    old.will_set_message(("w", "gone", 1)).unwrap();
    assert_eq!(old.will_payload().unwrap(), "gone");
    assert_eq!(bad_argument(old.will_set_message(("w/#", ""))), "topic");
    assert_eq!(
        bad_argument(old.will_set_message(("w", vec![0; 65_536]))),
        "payload"
    );
}

/// A will with a delay is published only if the client does not come back in time.
#[test]
fn a_delayed_will_gives_the_client_time_to_come_back() {
    let bench = Bench::with(|clock| {
        mqtt::Client::builder("c")
            .protocol(mqtt::MQTTv5)
            .session_expiry(100)
            .clock(clock)
    });
    let delay = Properties::new().with(Property::WillDelayInterval(10));
    let will = Message::new("will", "gone").properties(delay);
    bench.client.will_set_message(will).unwrap();
    bench.connect();
    assert!(bench.broker.disconnect_client("c"));
    bench.advance(9.0);
    assert_eq!(published(&bench.broker, "will"), [""; 0]);
    bench.client.loop_once(0).ok();
    bench.client.reconnect().unwrap();
    bench.step_until("it is back", || bench.client.is_connected());
    bench.advance(9.0);
    assert_eq!(published(&bench.broker, "will"), [""; 0]);
    assert!(bench.broker.disconnect_client("c"));
    bench.advance(11.0);
    assert_eq!(published(&bench.broker, "will"), ["gone"]);
}
