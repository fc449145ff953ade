//! Messages of QoS 1 and 2 until they are finished: the window, and what is sent again.

use callmq::client::{self as mqtt, DropReason, Error};

use crate::support::{
    Bench, CONNACK, PATIENCE, Peer, ack_packet, connect_to, publish_packet, running_with_peer,
};

#[test]
fn the_window_is_kept_and_an_acknowledgement_makes_room() {
    let client = mqtt::Client::new("window");
    client.max_inflight_messages_set(2).unwrap();
    assert_eq!(client.max_inflight_messages(), 2);
    let (_peer, mut connection) = running_with_peer(&client);
    let infos: Vec<_> = (0..5)
        .map(|number| client.publish_with("t", number, 1, false).unwrap())
        .collect();
    let mids: Vec<_> = infos.iter().map(|info| info.mid).collect();
    connection.expect(&publish_packet(0x32, "t", mids[0], "0"));
    connection.expect(&publish_packet(0x32, "t", mids[1], "1"));
    assert_eq!((client.stats().inflight, client.stats().queued_messages), (2, 3));
    // A message of QoS 0 needs no place in the window.
    client.publish("t", "direct").unwrap();
    connection.expect(&publish_packet(0x30, "t", 0, "direct"));
    for (number, mid) in mids.iter().enumerate() {
        connection.send(&ack_packet(0x40, *mid));
        if let Some(next) = mids.get(number + 2) {
            connection.expect(&publish_packet(0x32, "t", *next, &(number + 2).to_string()));
        }
    }
    client.flush(PATIENCE).unwrap();
    assert!(infos.iter().all(mqtt::MessageInfo::is_published));
    assert!(matches!(
        client.max_inflight_messages_set(1),
        Err(Error::InvalidState(_))
    ));
}

/// [3.1.1/MQTT-3.3.1-1] [3.1.1/MQTT-4.4.0-1] [3.1.1/MQTT-4.6.0-1]
#[test]
fn unfinished_messages_are_sent_again_in_order_with_dup_only_where_they_were_sent() {
    let client = mqtt::Client::builder("again").clean_session(false).build();
    client.max_inflight_messages_set(2).unwrap();
    client.reconnect_delay_set(0.01, 0.01).unwrap();
    let (peer, mut connection) = running_with_peer(&client);
    let infos: Vec<_> = ["a", "b", "c"]
        .map(|payload| client.publish_with("t", payload, 2, false).unwrap())
        .into();
    let mids: Vec<_> = infos.iter().map(|info| info.mid).collect();
    connection.expect(&publish_packet(0x34, "t", mids[0], "a"));
    connection.expect(&publish_packet(0x34, "t", mids[1], "b"));
    // The first one gets as far as PUBREL.
    connection.send(&ack_packet(0x50, mids[0]));
    connection.expect(&ack_packet(0x62, mids[0]));
    drop(connection);

    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(b"\x20\x02\x01\x00");
    connection.expect(&ack_packet(0x62, mids[0]));
    connection.expect(&publish_packet(0x3c, "t", mids[1], "b"));
    connection.send(&ack_packet(0x70, mids[0]));
    connection.expect(&publish_packet(0x34, "t", mids[2], "c"));
    for mid in &mids[1..] {
        connection.send(&ack_packet(0x50, *mid));
        connection.expect(&ack_packet(0x62, *mid));
        connection.send(&ack_packet(0x70, *mid));
    }
    for info in infos {
        info.wait_for_publish(PATIENCE).unwrap();
    }
}

#[test]
fn what_is_published_in_on_connect_comes_behind_what_is_sent_again() {
    let client = mqtt::Client::builder("order").clean_session(false).build();
    client.wait_for_connack_set(true);
    client.on_connect(|client, _, _, _| client.publish("t", "hello"));
    client.publish_with("t", "kept", 1, false).unwrap();
    let peer = Peer::listen();
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    client.loop_start().unwrap();
    connection.send(CONNACK);
    let first = connection.packet();
    let second = connection.packet();
    assert_eq!((first[0], second[0]), (0x32, 0x30), "{first:02x?} {second:02x?}");
}

#[test]
fn a_connection_made_again_by_hand_sends_what_is_left() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("by-hand");
    let mut connection = connect_to(&client, &peer);
    let info = client.publish_with("t", "x", 1, false).unwrap();
    connection.expect(&publish_packet(0x32, "t", info.mid, "x"));
    drop(connection);
    let ended = std::iter::repeat_with(|| client.loop_once(PATIENCE)).find_map(Result::err);
    assert!(matches!(ended, Some(Error::ConnectionClosed)), "{ended:?}");
    assert!(matches!(client.loop_once(0), Err(Error::NotConnected)));
    let mut connection = connect_to(&client, &peer);
    client.loop_once(0).unwrap();
    connection.expect(&publish_packet(0x3a, "t", info.mid, "x"));
    connection.send(&ack_packet(0x40, info.mid));
    info.wait_for_publish(PATIENCE).unwrap();
}

#[test]
fn what_a_lost_session_means_for_unfinished_messages_is_a_policy() {
    use mqtt::OnSessionLost::{Discard, Resend, ResendQos1Only};
    for (policy, qos1, qos2) in [
        (Resend, true, true),
        (ResendQos1Only, true, false),
        (Discard, false, false),
    ] {
        let client = mqtt::Client::new("policy");
        client.on_session_lost_set(policy);
        client.reconnect_delay_set(0.01, 0.01).unwrap();
        let (peer, mut connection) = running_with_peer(&client);
        let one = client.publish_with("t", "one", 1, false).unwrap();
        let two = client.publish_with("t", "two", 2, false).unwrap();
        connection.expect_packet(0x32);
        connection.expect_packet(0x34);
        drop(connection);
        let mut connection = peer.accept_client();
        for (info, sent_again, dup) in [(&one, qos1, 0x3a), (&two, qos2, 0x3c)] {
            if sent_again {
                connection.expect_packet(dup);
            } else {
                let lost = Error::Dropped(DropReason::SessionLost);
                let result = info.wait_for_publish(PATIENCE).unwrap_err();
                assert_eq!(result.to_string(), lost.to_string(), "{policy:?}");
            }
        }
        client.drop_out_messages();
    }
}

#[test]
fn ids_count_up_and_are_free_again_when_a_message_is_finished() {
    let bench = Bench::new("ids");
    bench.connect();
    let first = bench.client.publish("t", "x").unwrap();
    let second = bench.client.publish_with("t", "x", 1, false).unwrap();
    let third = bench.client.subscribe("t").unwrap();
    assert_eq!((first.mid, second.mid, third.mid), (1, 2, 3));
    let infos: Vec<_> = (0..200)
        .map(|_| bench.client.publish_with("t", "x", 1, false).unwrap())
        .collect();
    bench.client.flush(PATIENCE).unwrap();
    assert!(infos.iter().all(mqtt::MessageInfo::is_published));
}
