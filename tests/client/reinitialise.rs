//! `reinitialise`: a client as if it had just been made.

use callmq::client as mqtt;
use mqtt::{Delivery, DropReason, Error};

#[test]
fn settings_are_those_of_a_new_client() {
    let client = mqtt::Client::builder("old")
        .protocol(mqtt::MQTTv5)
        .transport(mqtt::Transport::Unix)
        .build();
    client.username_pw_set("user", "secret");
    client.will_set("t", "gone", 0, false).unwrap();
    client.keepalive_set(5).unwrap();
    client.max_inflight_messages_set(1).unwrap();
    client.connect_timeout_set(1).unwrap();

    client.reinitialise("new", true).unwrap();
    let new = mqtt::Client::new("new");
    assert_eq!(client.client_id(), "new");
    assert_eq!(client.protocol(), new.protocol());
    assert_eq!(client.transport(), new.transport());
    assert_eq!(
        (client.username(), client.will_topic(), client.host()),
        (None, None, None)
    );
    assert_eq!(client.keepalive(), new.keepalive());
    assert_eq!(client.max_inflight_messages(), new.max_inflight_messages());
    assert_eq!(client.connect_timeout(), new.connect_timeout());
}

#[test]
fn unfinished_messages_end() {
    let client = mqtt::Client::new("old");
    let info = client.publish_with("t", "x", 1, false).unwrap();
    client.reinitialise("new", true).unwrap();
    assert_eq!(info.delivery(), Delivery::Dropped(DropReason::Discarded));
    assert_eq!(client.stats().queued_messages, 0);
}

#[test]
fn a_client_whose_loop_runs_refuses() {
    let client = mqtt::Client::new("old");
    client.loop_start().unwrap();
    assert!(matches!(
        client.reinitialise("new", true),
        Err(Error::InvalidState(_))
    ));
    assert_eq!(client.client_id(), "old");
}
