//! Message Expiry Interval: counted down while a message waits here.

use std::time::Duration;

use callmq::client::{self as mqtt, Delivery, DropReason, Error, Message, Property};

use crate::support::{Bench, PATIENCE, connect_to};
use crate::wire_v5::{CONNACK_V5, accept_v5, publish_v5};

fn builder() -> mqtt::ClientBuilder {
    mqtt::Client::builder("fleeting").protocol(mqtt::MQTTv5)
}

fn message(payload: &str, seconds: u32) -> Message {
    Message::new("t", payload)
        .qos(mqtt::QoS::AtLeastOnce)
        .properties(Property::MessageExpiryInterval(seconds).into())
}

const EXPIRED: Delivery = Delivery::Dropped(DropReason::Expired);

#[test]
fn what_is_left_of_the_time_is_sent_and_what_is_over_is_not() {
    let bench = Bench::with(|clock| builder().clock(clock));
    let short = bench.client.publish_message(message("short", 3)).unwrap();
    let long = bench.client.publish_message(message("long", 10)).unwrap();
    bench.advance(3.5);
    bench.connect();
    bench.settle();
    assert_eq!(short.delivery(), EXPIRED);
    assert!(long.is_published());
    let published = bench.broker.published();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].properties.message_expiry_interval(), Some(6));
    // What leaves at once has all of its time.
    bench.client.publish_message(message("now", 3)).unwrap();
    bench.settle();
    let published = bench.broker.published();
    assert_eq!(published[1].properties.message_expiry_interval(), Some(3));
    assert_eq!(bench.client.stats().messages_dropped, 1);
    assert_eq!(bench.client.stats().queued_messages, 0);
}

#[test]
fn a_stepping_loop_ends_a_message_when_its_time_is_due() {
    let bench = Bench::with(|clock| builder().clock(clock));
    bench.connect();
    bench.broker.disconnect_client("fleeting");
    while bench.client.is_connected() {
        // It reports the loss.
        let _ = bench.client.loop_once(0);
    }
    let info = bench.client.publish_message(message("x", 5)).unwrap();
    bench.advance(4.9);
    let _ = bench.client.loop_once(0);
    assert_eq!(info.delivery(), Delivery::Queued);
    bench.advance(0.1);
    let _ = bench.client.loop_once(0);
    assert_eq!(info.delivery(), EXPIRED);
    assert_eq!(bench.client.stats().queued_messages, 0);
}

#[test]
fn a_loop_without_a_connection_ends_a_message_on_time_and_wakes_who_waits() {
    let client = builder().build();
    client.loop_start().unwrap();
    let info = client.publish_message(message("x", 1)).unwrap();
    let finished = info.finished();
    let waited = info.wait_for_publish(PATIENCE);
    assert!(
        matches!(waited, Err(Error::Dropped(DropReason::Expired))),
        "{waited:?}"
    );
    let outcome = finished.recv_timeout(Duration::from_secs(1)).unwrap();
    assert!(matches!(outcome, Err(Error::Dropped(DropReason::Expired))));
    client.loop_stop().unwrap();
}

#[test]
fn a_loop_that_waits_to_reconnect_ends_a_message_on_time() {
    let client = builder().build();
    // The attempts fail; the next one is far away.
    client.reconnect_delay_set(3600, 3600).unwrap();
    let peer = crate::support::Peer::listen();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let connection = accept_v5(&peer, CONNACK_V5);
    client.wait_for_connect(PATIENCE).unwrap();
    drop((connection, peer));
    crate::support::eventually("the loss is known", || !client.is_connected());
    let info = client.publish_message(message("x", 1)).unwrap();
    let waited = info.wait_for_publish(PATIENCE);
    assert!(
        matches!(waited, Err(Error::Dropped(DropReason::Expired))),
        "{waited:?}"
    );
    client.loop_stop().unwrap();
}

/// [5.0/MQTT-4.3.3-7]
#[test]
fn a_message_that_was_sent_is_sent_again_whatever_its_time() {
    let client = builder().build();
    client.reconnect_delay_set(Duration::from_millis(10), 1).unwrap();
    let peer = crate::support::Peer::listen();
    client.loop_start().unwrap();
    client.connect(peer.address()).unwrap();
    let mut connection = accept_v5(&peer, CONNACK_V5);
    client.wait_for_connect(PATIENCE).unwrap();
    let mut exactly_once = message("x", 1);
    exactly_once.qos = mqtt::QoS::ExactlyOnce;
    let info = client.publish_message(exactly_once).unwrap();
    let one_second = [2, 0, 0, 0, 1];
    connection.expect(&publish_v5(0x34, "t", info.mid, &one_second, "x"));
    drop(connection);
    let mut connection = accept_v5(&peer, CONNACK_V5);
    connection.expect(&publish_v5(0x3c, "t", info.mid, &one_second, "x"));
    assert_eq!(info.delivery(), Delivery::Sent);
}

#[test]
fn an_expiry_is_refused_before_version_5() {
    let client = mqtt::Client::new("old");
    let result = client.publish_message(message("x", 1));
    assert!(matches!(result, Err(Error::NotSupported(_))), "{result:?}");
    let peer = crate::support::Peer::listen();
    let mut connection = connect_to(&client, &peer);
    assert!(client.publish_message(message("x", 1)).is_err());
    connection.expect_silence(Duration::from_millis(20));
}
