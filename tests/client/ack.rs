//! Acknowledging by hand.

use std::thread;

use callmq::client::{self as mqtt, Error, Message};

use crate::support::{Events, PATIENCE, ack_packet, connect_to, publish_packet, running_with_peer};

/// A client that acknowledges by hand, and the messages that it has received.
fn manual() -> (mqtt::Client, Events<Message>) {
    let client = mqtt::Client::builder("by-hand").manual_ack(true).build();
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, message| report(message.clone()));
    (client, seen)
}

#[test]
fn nothing_is_acknowledged_until_the_application_does() {
    let (client, seen) = manual();
    let (_peer, mut connection) = running_with_peer(&client);
    connection.send(&publish_packet(0x32, "t", 1, "one"));
    connection.send(&publish_packet(0x34, "t", 2, "two"));
    connection.expect(&ack_packet(0x50, 2));
    connection.send(&ack_packet(0x62, 2));
    let (one, two) = (seen.next(), seen.next());
    connection.expect_silence(std::time::Duration::from_millis(20));
    assert_eq!(client.stats().unacknowledged, 2);
    // From any thread, long after the callback has returned.
    let acknowledging = thread::spawn({
        let client = client.clone();
        move || client.ack(&one)
    });
    acknowledging.join().unwrap().unwrap();
    connection.expect(&ack_packet(0x40, 1));
    client.ack(&two).unwrap();
    connection.expect(&ack_packet(0x70, 2));
    assert_eq!(client.stats().unacknowledged, 0);
}

/// [3.1.1/MQTT-4.6.0-2]
#[test]
fn acknowledgements_leave_in_the_order_of_the_messages() {
    let (client, seen) = manual();
    let (_peer, mut connection) = running_with_peer(&client);
    for mid in 1..=3 {
        connection.send(&publish_packet(0x32, "t", mid, "x"));
    }
    let messages = [seen.next(), seen.next(), seen.next()];
    client.ack(&messages[2]).unwrap();
    client.ack(&messages[1]).unwrap();
    connection.expect_silence(std::time::Duration::from_millis(20));
    client.ack(&messages[0]).unwrap();
    for mid in 1..=3 {
        connection.expect(&ack_packet(0x40, mid));
    }
}

#[test]
fn an_acknowledgement_belongs_to_its_connection() {
    let (client, seen) = manual();
    let (peer, mut connection) = running_with_peer(&client);
    connection.send(&publish_packet(0x32, "t", 1, "x"));
    let first = seen.next();
    let mut connection = {
        drop(connection);
        connect_to(&client, &peer)
    };
    connection.send(&publish_packet(0x3a, "t", 1, "x"));
    let again = seen.next();
    assert!(matches!(client.ack(&first), Err(Error::InvalidState(_))));
    client.ack(&again).unwrap();
    connection.expect(&ack_packet(0x40, 1));
}

#[test]
fn after_the_end_of_its_connection_a_message_is_not_said_to_be_acknowledged() {
    let (client, seen) = manual();
    let (_peer, mut connection) = running_with_peer(&client);
    connection.send(&publish_packet(0x32, "t", 1, "x"));
    connection.send(&publish_packet(0x34, "t", 2, "x"));
    connection.expect(&ack_packet(0x50, 2));
    connection.send(&ack_packet(0x62, 2));
    let messages = [seen.next(), seen.next()];
    client.disconnect().unwrap();
    client.loop_stop().unwrap();
    // Also where it is asked again.
    for message in messages.iter().chain(&messages) {
        match client.ack(message) {
            Err(Error::InvalidState(why)) => assert!(why.contains("connection"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_needs_no_acknowledgement_cannot_be_acknowledged() {
    let (client, seen) = manual();
    let (_peer, mut connection) = running_with_peer(&client);
    connection.send(&publish_packet(0x30, "t", 0, "x"));
    connection.send(&publish_packet(0x32, "t", 1, "x"));
    let invalid = |message: &Message| {
        let result = client.ack(message);
        assert!(matches!(result, Err(Error::InvalidState(_))), "{result:?}");
    };
    invalid(&seen.next());
    invalid(&Message::new("t", "made here"));
    let message = seen.next();
    client.ack(&message).unwrap();
    invalid(&message);
    connection.expect(&ack_packet(0x40, 1));

    client.manual_ack_set(false);
    connection.send(&publish_packet(0x32, "t", 2, "x"));
    connection.expect(&ack_packet(0x40, 2));
    invalid(&seen.next());
}

#[test]
fn messages_of_a_channel_can_be_acknowledged_too() {
    let client = mqtt::Client::new("channel");
    client.manual_ack_set(true);
    let messages = client.messages(10);
    let (_peer, mut connection) = running_with_peer(&client);
    connection.send(&publish_packet(0x32, "t", 7, "x"));
    let message = messages.recv(PATIENCE).unwrap();
    client.ack(&message).unwrap();
    connection.expect(&ack_packet(0x40, 7));
}
