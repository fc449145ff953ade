//! Acknowledging by hand with reason codes (MQTT 5.0), and what the server's reason codes do.

use callmq::client::{self as mqtt, Error, Message, Property, ReasonCode};

use crate::support::{Connection, Events, PATIENCE, ack_packet, bad_argument, running_with_peer};
use crate::wire_v5::{CONNACK_V5, running_v5};

/// A client of MQTT 5.0 that acknowledges by hand, its messages, and its connection.
fn manual() -> (mqtt::Client, Events<Message>, Connection) {
    let client = mqtt::Client::builder("by-hand")
        .protocol(mqtt::MQTTv5)
        .manual_ack(true)
        .build();
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, message| report(message.clone()));
    let (_, connection) = running_v5(&client, CONNACK_V5);
    (client, seen, connection)
}

/// PUBLISH to "t" without properties.
fn publish(qos: u8, packet_id: u8) -> Vec<u8> {
    vec![0x30 | qos << 1, 7, 0, 1, b't', 0, packet_id, 0, b'x']
}

fn why(text: &str) -> mqtt::Properties {
    Property::ReasonString(text.to_owned()).into()
}

/// Refusals by the application, in the order of the messages.
///
/// [5.0/MQTT-3.4.2-1] [5.0/MQTT-4.3.2-4] [5.0/MQTT-4.6.0-2]
#[test]
fn messages_can_be_refused_with_a_reason() {
    let (client, seen, mut connection) = manual();
    for packet_id in 1..=3 {
        connection.send(&publish(1, packet_id));
    }
    let messages = [seen.next(), seen.next(), seen.next()];
    client
        .ack_with(&messages[2], ReasonCode::PAYLOAD_FORMAT_INVALID, why("no"))
        .unwrap();
    client
        .ack_with(
            &messages[1],
            ReasonCode::SUCCESS,
            Property::UserProperty("k".into(), "v".into()).into(),
        )
        .unwrap();
    connection.expect_silence(std::time::Duration::from_millis(20));
    client
        .ack_with(&messages[0], ReasonCode::NOT_AUTHORIZED, mqtt::Properties::new())
        .unwrap();
    connection.expect(b"\x40\x03\x00\x01\x87");
    connection.expect(b"\x40\x0b\x00\x02\x00\x07\x26\x00\x01k\x00\x01v");
    connection.expect(b"\x40\x09\x00\x03\x99\x05\x1f\x00\x02no");
    assert!(matches!(
        client.ack_with(&messages[0], ReasonCode::NOT_AUTHORIZED, why("again")),
        Err(Error::InvalidState(_))
    ));
    assert_eq!(client.stats().unacknowledged, 0);
}

/// Of a message of QoS 2 the application has the last word, which cannot be a refusal.
///
/// [5.0/MQTT-3.7.2-1]
#[test]
fn a_message_of_qos_2_is_accepted_before_it_is_delivered() {
    let (client, seen, mut connection) = manual();
    connection.send(&publish(2, 1));
    connection.expect(&ack_packet(0x50, 1));
    connection.send(&ack_packet(0x62, 1));
    let message = seen.next();
    for reason in [
        ReasonCode::NOT_AUTHORIZED,
        ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
    ] {
        let refused = client.ack_with(&message, reason, mqtt::Properties::new());
        assert_eq!(bad_argument(refused), "reason_code");
    }
    client.ack_with(&message, ReasonCode::SUCCESS, why("ok")).unwrap();
    connection.expect(b"\x70\x09\x00\x01\x00\x05\x1f\x00\x02ok");
}

#[test]
fn what_does_not_belong_into_an_acknowledgement_is_refused() {
    let (client, seen, mut connection) = manual();
    connection.send(&publish(1, 1));
    let message = seen.next();
    let none = mqtt::Properties::new;
    for reason in [
        ReasonCode::NO_MATCHING_SUBSCRIBERS,
        ReasonCode::new(0x92),
        ReasonCode::new(0x82),
    ] {
        assert_eq!(
            bad_argument(client.ack_with(&message, reason, none())),
            "reason_code"
        );
    }
    let misplaced = Property::TopicAlias(1).into();
    assert_eq!(
        bad_argument(client.ack_with(&message, ReasonCode::SUCCESS, misplaced)),
        "properties"
    );
    // Plain success is `ack`.
    client.ack_with(&message, ReasonCode::SUCCESS, none()).unwrap();
    connection.expect(&ack_packet(0x40, 1));

    client.manual_ack_set(false);
    connection.send(&publish(1, 2));
    connection.expect(&ack_packet(0x40, 2));
    let message = seen.next();
    let late = client.ack_with(&message, ReasonCode::NOT_AUTHORIZED, none());
    assert!(matches!(late, Err(Error::InvalidState(_))), "{late:?}");
    let not_received = client.ack_with(&Message::new("t", "x"), ReasonCode::NOT_AUTHORIZED, none());
    assert!(matches!(not_received, Err(Error::InvalidState(_))));
}

#[test]
fn reasons_need_mqtt_5() {
    let client = mqtt::Client::builder("old").manual_ack(true).build();
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, message| report(message.clone()));
    let (_peer, mut connection) = running_with_peer(&client);
    connection.send(b"\x32\x06\x00\x01t\x00\x01x");
    let message = seen.next();
    for (reason, properties) in [
        (ReasonCode::NOT_AUTHORIZED, mqtt::Properties::new()),
        (ReasonCode::SUCCESS, why("x")),
    ] {
        let refused = client.ack_with(&message, reason, properties);
        assert!(matches!(refused, Err(Error::NotSupported(_))), "{refused:?}");
    }
    client
        .ack_with(&message, ReasonCode::SUCCESS, mqtt::Properties::new())
        .unwrap();
    connection.expect(&ack_packet(0x40, 1));
}

/// A refusal ends the message with its reason, and frees its place at once.
///
/// [5.0/MQTT-3.3.4-7] [5.0/MQTT-4.4.0-2]
#[test]
fn a_refusal_by_the_server_lets_the_next_message_go() {
    let client = mqtt::Client::builder("quota").protocol(mqtt::MQTTv5).build();
    let (_peer, mut connection) = running_v5(&client, b"\x20\x06\x00\x00\x03\x21\x00\x01");
    let infos: Vec<_> = [1, 2, 1]
        .iter()
        .map(|&qos| client.publish_with("t", "x", qos, false).unwrap())
        .collect();
    connection.expect(b"\x32\x07\x00\x01t\x00\x01\x00x");
    connection.send(b"\x40\x03\x00\x01\x97");
    connection.expect(b"\x34\x07\x00\x01t\x00\x02\x00x");
    connection.send(b"\x50\x03\x00\x02\x87");
    connection.expect(b"\x32\x07\x00\x01t\x00\x03\x00x");
    connection.send(&ack_packet(0x40, 3));
    for (info, code) in infos.iter().zip([0x97, 0x87]) {
        let refused = info.wait_for_publish(PATIENCE);
        assert!(
            matches!(&refused, Err(Error::Rejected(reason)) if *reason == code),
            "{refused:?}"
        );
    }
    infos[2].wait_for_publish(PATIENCE).unwrap();
}

/// A server that has forgotten the identifier ends the exchange; nothing is sent in answer.
#[test]
fn an_unknown_identifier_ends_the_exchange() {
    let client = mqtt::Client::builder("forgotten").protocol(mqtt::MQTTv5).build();
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    let info = client.publish_with("t", "x", 2, false).unwrap();
    connection.expect(b"\x34\x07\x00\x01t\x00\x01\x00x");
    connection.send(&ack_packet(0x50, 1));
    connection.expect(&ack_packet(0x62, 1));
    connection.send(b"\x70\x03\x00\x01\x92");
    let ended = info.wait_for_publish(PATIENCE);
    assert!(
        matches!(&ended, Err(Error::Rejected(reason)) if *reason == 0x92),
        "{ended:?}"
    );
    connection.send(b"\x62\x03\x00\x09\x92");
    connection.expect(&ack_packet(0x70, 9));
    connection.expect_silence(std::time::Duration::from_millis(20));
}
