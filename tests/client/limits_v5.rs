//! What a server allows, as it says in its CONNACK (MQTT 5.0): told to the application, and kept to.

use callmq::client::{self as mqtt, Delivery, DisconnectReason, DropReason, Error, QoS, ServerLimit};
use callmq::testing::Broker;

use crate::support::{Bench, Connection, Events, PATIENCE, Peer, ack_packet, bad_argument};
use crate::wire_v5::{CONNACK_V5, accept_v5, field, packet, publish_v5, running_v5};

fn client() -> mqtt::Client {
    builder().build()
}

fn builder() -> mqtt::ClientBuilder {
    mqtt::Client::builder("limited").protocol(mqtt::MQTTv5)
}

/// A CONNACK that accepts, with these properties.
fn connack(properties: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 0, properties.len() as u8];
    body.extend_from_slice(properties);
    packet(0x20, &body)
}

fn property(identifier: u8, text: &str) -> Vec<u8> {
    let mut property = vec![identifier];
    property.extend(field(text));
    property
}

#[track_caller]
fn not_allowed<T: std::fmt::Debug>(result: mqtt::Result<T>) -> ServerLimit {
    match result {
        Err(Error::NotAllowed(limit)) => limit,
        other => panic!("{other:?}"),
    }
}

/// A message of QoS 1 still goes through.
fn works(client: &mqtt::Client, connection: &mut Connection) {
    let info = client.publish_with("t", "ok", 1, false).unwrap();
    connection.expect(&publish_v5(0x32, "t", info.mid, &[], "ok"));
    connection.send(&ack_packet(0x40, info.mid));
    info.wait_for_publish(PATIENCE).unwrap();
}

/// [5.0/MQTT-3.1.3-6] [5.0/MQTT-3.1.3-7]
#[test]
fn what_the_server_announced_can_be_read() {
    let properties = [
        b"\x11\x00\x00\x00\x07\x21\x00\x08\x24\x01\x25\x00\x27\x00\x00\x01\x00".to_vec(),
        property(0x12, "assigned"),
        b"\x22\x00\x09".to_vec(),
        property(0x1f, "welcome"),
        [vec![0x26], field("k"), field("v")].concat(),
        b"\x28\x00\x29\x00\x2a\x00\x13\x00\x0a".to_vec(),
        property(0x1a, "answers/here"),
        property(0x1c, "elsewhere"),
    ];
    let client = mqtt::Client::builder("").protocol(mqtt::MQTTv5).build();
    assert_eq!(client.connection_info(), None);
    let in_callback = Events::new();
    let sink = in_callback.sink();
    client.on_connect(move |client, _, _, _| sink(client.connection_info()));
    let peer = Peer::listen();
    client.loop_start().unwrap();
    let asking = mqtt::Property::RequestResponseInformation(1);
    let options = mqtt::ConnectOptions::new(peer.address()).properties(asking.into());
    client.connect(options).unwrap();
    let connection = accept_v5(&peer, &connack(&properties.concat()));
    let info = in_callback.next().unwrap();
    assert_eq!(
        (info.client_id.as_str(), info.session_present),
        ("assigned", false)
    );
    assert_eq!((info.keep_alive, info.session_expiry_interval), (10, 7));
    assert_eq!((info.receive_maximum, info.maximum_qos), (8, QoS::AtLeastOnce));
    assert_eq!(
        (info.retain_available, info.maximum_packet_size),
        (false, Some(256))
    );
    assert_eq!(info.topic_alias_maximum, 9);
    assert!(!info.wildcard_subscription_available && !info.shared_subscription_available);
    assert!(!info.subscription_identifier_available);
    assert_eq!(info.response_information.as_deref(), Some("answers/here"));
    assert_eq!(info.server_reference.as_deref(), Some("elsewhere"));
    assert_eq!(info.reason_string.as_deref(), Some("welcome"));
    let own: Vec<_> = info.properties.user_properties().collect();
    assert_eq!(own, [("k", "v")]);
    assert_eq!(client.connection_info(), Some(info));
    drop(connection);
    // Another connection has limits of its own, and the name that was assigned.
    let mut connection = peer.accept();
    assert!(connection.expect_packet(0x10).ends_with(&field("assigned")));
    connection.send(CONNACK_V5);
    let info = in_callback.next().unwrap();
    assert_eq!(
        (info.maximum_qos, info.receive_maximum),
        (QoS::ExactlyOnce, 65_535)
    );
    assert_eq!((info.keep_alive, info.maximum_packet_size), (60, None));
    client.disconnect().unwrap();
    connection.expect_goodbye();
    client.loop_stop().unwrap();
    assert_eq!(client.connection_info(), None);
    // So has a new `connect`: it is the same client, and may go on with what it has.
    client.connect(peer.address()).unwrap();
    let mut connection = peer.accept();
    assert!(connection.expect_packet(0x10).ends_with(&field("assigned")));
}

#[test]
fn before_version_5_there_are_no_limits_but_those_of_the_version() {
    for (clean, expiry) in [(true, 0), (false, u32::MAX)] {
        let bench = Bench::with(|clock| mqtt::Client::builder("old").clean_session(clean).clock(clock));
        bench.connect();
        let info = bench.client.connection_info().unwrap();
        assert_eq!((info.client_id.as_str(), info.keep_alive), ("old", 60));
        assert_eq!(info.session_expiry_interval, expiry);
        assert_eq!(
            (info.maximum_qos, info.retain_available),
            (QoS::ExactlyOnce, true)
        );
        assert!(info.wildcard_subscription_available && !info.subscription_identifier_available);
        assert!(info.properties.is_empty());
    }
}

/// [5.0/MQTT-3.2.2-11] [5.0/MQTT-3.2.2-14] [5.0/MQTT-3.2.2-15]
#[test]
fn a_message_that_the_server_does_not_allow_is_refused_and_the_connection_is_not_harmed() {
    let limits = connack(b"\x24\x01\x25\x00\x27\x00\x00\x00\x14");
    let client = client();
    let (_peer, mut connection) = running_v5(&client, &limits);
    let refused = client.publish_with("t", "x", 2, false);
    assert_eq!(not_allowed(refused), ServerLimit::MaximumQoS);
    let refused = client.publish_with("t", "x", 1, true);
    assert_eq!(not_allowed(refused), ServerLimit::RetainAvailable);
    let refused = client.publish("t", "longer than this server allows");
    assert_eq!(not_allowed(refused), ServerLimit::MaximumPacketSize);
    works(&client, &mut connection);
    assert_eq!(client.stats().messages_dropped, 0);
    let error = client.publish_with("t", "x", 2, false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "not sent: the QoS is above the server's Maximum QoS"
    );
}

#[test]
fn the_broker_of_the_tests_and_the_client_agree_about_every_limit() {
    let broker = Broker::builder()
        .max_qos(QoS::AtLeastOnce)
        .retain(false)
        .max_packet_size(100)
        .wildcard_subscriptions(false)
        .shared_subscriptions(false)
        .subscription_identifiers(false);
    let bench = Bench::with(|clock| builder().clock(clock));
    let broker = broker.clock(&bench.clock).in_process();
    bench.client.connect(&broker).unwrap();
    bench.step_until("connected", || bench.client.is_connected());
    for (qos, retain, size) in [(2, false, 1), (0, true, 1), (1, false, 200)] {
        not_allowed(bench.client.publish_with("t", "x".repeat(size), qos, retain));
    }
    for filter in ["a/+", "$share/group/a"] {
        not_allowed(bench.client.subscribe(filter));
    }
    let identifier = mqtt::Property::SubscriptionIdentifier(1).into();
    let refused = bench.client.subscribe_with_properties("a", identifier);
    assert_eq!(not_allowed(refused), ServerLimit::SubscriptionIdentifierAvailable);
    bench.client.subscribe("a").unwrap().wait(PATIENCE).unwrap();
    bench.client.publish_with("a", "x", 1, false).unwrap();
    bench.settle();
    assert!(bench.client.is_connected());
    assert_eq!(bench.client.stats().messages_received, 1);
}

/// [5.0/MQTT-3.2.2-11] [5.0/MQTT-3.2.2-14] [5.0/MQTT-3.2.2-15]
#[test]
fn messages_from_before_the_connack_that_the_server_does_not_allow_end_with_the_reason() {
    let client = client();
    let two = client.publish_with("t", "two", 2, false).unwrap();
    let keep = client.publish_with("t", "keep", 1, true).unwrap();
    let large = client.publish_with("t", "x".repeat(100), 1, false).unwrap();
    let good = client.publish_with("t", "ok", 1, false).unwrap();
    // A loop that will connect: without one there is nothing to wait for.
    client.loop_start().unwrap();
    let waiter = std::thread::spawn({
        let two = two.clone();
        move || two.wait_for_publish(PATIENCE)
    });
    let limits = connack(b"\x24\x01\x25\x00\x27\x00\x00\x00\x14");
    let peer = Peer::listen();
    client.connect(peer.address()).unwrap();
    let mut connection = accept_v5(&peer, &limits);
    connection.expect(&publish_v5(0x32, "t", good.mid, &[], "ok"));
    connection.send(&ack_packet(0x40, good.mid));
    good.wait_for_publish(PATIENCE).unwrap();
    for (info, limit) in [
        (&two, ServerLimit::MaximumQoS),
        (&keep, ServerLimit::RetainAvailable),
        (&large, ServerLimit::MaximumPacketSize),
    ] {
        let why = DropReason::NotAllowed(limit);
        assert_eq!(info.delivery(), Delivery::Dropped(why));
        let outcome = info.finished().recv_timeout(PATIENCE).unwrap();
        assert!(matches!(outcome, Err(Error::Dropped(found)) if found == why));
    }
    assert!(matches!(
        waiter.join().unwrap(),
        Err(Error::Dropped(DropReason::NotAllowed(_)))
    ));
    assert_eq!(client.stats().messages_dropped, 3);
    works(&client, &mut connection);
}

/// [5.0/MQTT-3.2.2-11]
#[test]
fn a_message_above_the_maximum_qos_goes_with_that_if_it_is_wanted() {
    let client = builder().lower_qos(true).build();
    let before = client.publish_with("t", "before", 2, false).unwrap();
    let (_peer, mut connection) = running_v5(&client, &connack(b"\x24\x01"));
    connection.expect(&publish_v5(0x32, "t", before.mid, &[], "before"));
    connection.send(&ack_packet(0x40, before.mid));
    before.wait_for_publish(PATIENCE).unwrap();
    let now = client.publish_with("t", "now", 2, false).unwrap();
    connection.expect(&publish_v5(0x32, "t", now.mid, &[], "now"));
    connection.send(&ack_packet(0x40, now.mid));
    now.wait_for_publish(PATIENCE).unwrap();
    assert!(before.is_published() && now.is_published());
    assert_eq!(client.stats().messages_dropped, 0);
    // A server of QoS 0 only: written is all that can be told.
    let client = builder().lower_qos(true).build();
    let before = client.publish_with("t", "before", 2, false).unwrap();
    let (_peer, mut connection) = running_v5(&client, &connack(b"\x24\x00"));
    connection.expect(&publish_v5(0x30, "t", 0, &[], "before"));
    before.wait_for_publish(PATIENCE).unwrap();
    let now = client.publish_with("t", "now", 1, false).unwrap();
    connection.expect(&publish_v5(0x30, "t", 0, &[], "now"));
    now.wait_for_publish(PATIENCE).unwrap();
}

#[test]
fn a_subscription_from_before_the_connack_that_the_server_does_not_allow_ends_with_the_reason() {
    let client = client();
    let wild = client.subscribe(["a", "b/#"]).unwrap();
    let plain = client.subscribe("c").unwrap();
    let (_peer, mut connection) = running_v5(&client, &connack(b"\x28\x00"));
    let request = connection.expect_packet(0x82);
    assert_eq!(request[5..], [field("c"), vec![0]].concat());
    connection.send(&packet(0x90, &[request[2], request[3], 0, 0]));
    plain.wait(PATIENCE).unwrap();
    let limit = ServerLimit::WildcardSubscriptionAvailable;
    let refused = wild.wait(PATIENCE).unwrap_err();
    assert!(matches!(refused, Error::Dropped(DropReason::NotAllowed(found)) if found == limit));
    assert!(refused.to_string().contains("wildcards"), "{refused}");
    assert_eq!(not_allowed(client.subscribe("d/+")), limit);
    let refused = client.subscribe_with("d/+", |_, message| assert_ne!(message.topic, "d/e"));
    assert_eq!(not_allowed(refused), limit);
    // The callback of a call that failed is gone.
    connection.send(&publish_v5(0x30, "d/e", 0, &[], "x"));
    works(&client, &mut connection);
}

/// [5.0/MQTT-3.14.2-3] [5.0/MQTT-3.14.2-4] [5.0/MQTT-3.14.4-2]
#[test]
fn a_disconnect_leaves_out_what_has_no_room() {
    let client = client();
    let (_peer, mut connection) = running_v5(&client, &connack(b"\x27\x00\x00\x00\x10"));
    let properties = [
        mqtt::Property::ReasonString("short".to_owned()),
        mqtt::Property::UserProperty("long".to_owned(), "text".to_owned()),
    ];
    let reason = mqtt::ReasonCode::DISCONNECT_WITH_WILL_MESSAGE;
    client.disconnect_with(reason, properties.into()).unwrap();
    connection.expect(b"\xe0\x0a\x04\x08\x1f\x00\x05short");
    connection.expect_close();
}

/// The server answers a Will that is above its limits, and the answer is told.
#[test]
fn a_will_above_the_limits_gets_what_the_server_answers() {
    for code in [0x9a, 0x9b] {
        let client = client();
        client.will_set("t", "gone", 2, true).unwrap();
        let events = Events::new();
        let sink = events.sink();
        client.on_connect(move |_, _, code, _| sink(("connect", code.value(), String::new())));
        let sink = events.sink();
        client.on_disconnect(move |_, flags, code, properties| {
            assert!(matches!(flags.reason, DisconnectReason::Refused(_)));
            sink((
                "disconnect",
                code.value(),
                properties.reason_string().unwrap_or_default().to_owned(),
            ));
        });
        let peer = Peer::listen();
        client.connect(peer.address()).unwrap();
        let mut connection = peer.accept();
        let connect = connection.expect_packet(0x10);
        assert_eq!(connect[9] & 0b0011_1100, 0b0011_0100, "a Will, QoS 2, retained");
        connection.send(&packet(0x20, &[0, code, 7, 0x1f, 0, 4, b'n', b'o', b'p', b'e']));
        let refused = client.wait_for_connect(PATIENCE);
        assert!(
            matches!(&refused, Err(Error::Refused(found)) if found.value() == code),
            "{refused:?}"
        );
        let text = refused.unwrap_err().to_string();
        assert!(text.ends_with("not supported (nope)"), "{text}");
        assert_eq!(events.next(), ("connect", code, String::new()));
        assert_eq!(events.next(), ("disconnect", code, "nope".to_owned()));
    }
}

#[test]
fn settings_of_version_5_are_refused_before_it() {
    let old = || mqtt::Client::builder("old");
    for (client, argument) in [
        (old().receive_maximum(5), "receive_maximum"),
        (old().lower_qos(true), "lower_qos"),
    ] {
        assert_eq!(bad_argument(client.build().connect("127.0.0.1")), argument);
    }
    for (client, argument) in [
        (builder().receive_maximum(0), "receive_maximum"),
        (builder().max_packet_size(0), "max_packet_size"),
        (old().max_packet_size(0), "max_packet_size"),
    ] {
        assert_eq!(bad_argument(client.build().connect("127.0.0.1")), argument);
    }
}

/// What a server says in words stands behind its code, wherever an error tells of it.
#[test]
fn the_words_of_a_server_are_in_the_errors() {
    let client = client();
    let ended = Events::new();
    let sink = ended.sink();
    client.on_disconnect(move |_, flags, _, _| sink(flags.reason.to_string()));
    client.reconnect_on_failure_set(false);
    let (_peer, mut connection) = running_v5(&client, CONNACK_V5);
    let words = property(0x1f, "not on a sunday");
    for qos in [1, 2] {
        let info = client.publish_with("t", "x", qos, false).unwrap();
        connection.expect(&publish_v5(0x30 | qos << 1, "t", info.mid, &[], "x"));
        let finished = info.finished();
        let [high, low] = info.mid.to_be_bytes();
        let first = if qos == 1 { 0x40 } else { 0x50 };
        let mut body = vec![high, low, 0x97, words.len() as u8];
        body.extend_from_slice(&words);
        connection.send(&packet(first, &body));
        let expected = "refused by the server: Quota exceeded (not on a sunday)";
        let refused = info.wait_for_publish(PATIENCE).unwrap_err();
        assert_eq!(refused.to_string(), expected);
        assert!(matches!(refused, Error::Rejected(reason) if reason == 0x97));
        let told = finished.recv_timeout(PATIENCE).unwrap();
        assert_eq!(told.unwrap_err().to_string(), expected);
        assert_eq!(
            info.delivery(),
            Delivery::Acknowledged(mqtt::ReasonCode::QUOTA_EXCEEDED)
        );
    }
    let mut body = vec![0x8b, words.len() as u8];
    body.extend_from_slice(&words);
    connection.send(&packet(0xe0, &body));
    let expected = "disconnected by the server: Server shutting down (not on a sunday)";
    assert_eq!(ended.next(), expected);
    let error = client.loop_stop().unwrap_err();
    assert_eq!(error.to_string(), expected);
    match error {
        Error::ServerDisconnect(reason) => {
            assert_eq!(reason.code, mqtt::ReasonCode::SERVER_SHUTTING_DOWN);
            assert_eq!(reason.text.as_deref(), Some("not on a sunday"));
        }
        other => panic!("{other:?}"),
    }
}
