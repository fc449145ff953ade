use super::*;
use crate::codec::{RetainHandling, TopicName};

const V31: ProtocolVersion = ProtocolVersion::V31;
const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;

fn debug(trace: &Trace, version: ProtocolVersion) -> String {
    let (level, line) = text(trace, version);
    assert_eq!(level, LogLevel::Debug);
    line
}

fn connect(client_id: &str, version: ProtocolVersion, properties: Properties) -> Trace {
    Trace::SentConnect {
        version,
        username: false,
        password: false,
        will: None,
        clean_start: true,
        keep_alive: 60,
        client_id: client_id.to_owned(),
        properties,
    }
}

fn sent_publish(qos: QoS, retain: bool, mid: u16, topic: &str, payload_len: usize) -> Trace {
    Trace::SentPublish {
        dup: false,
        qos,
        retain,
        mid,
        topic: TopicName::from_checked(topic),
        properties: None,
        payload_len,
    }
}

fn received_publish(qos: QoS, mid: u16, topic: &str, payload_len: usize) -> Trace {
    Trace::ReceivedPublish {
        dup: false,
        qos,
        retain: false,
        mid,
        topic: TopicName::from_checked(topic),
        properties: None,
        payload_len,
    }
}

fn conn_ack(flags: u8, reason: ReasonCode, properties: Properties) -> Trace {
    Trace::ReceivedConnAck {
        flags,
        reason,
        properties,
    }
}

fn subscribe(mid: u16, list: &[(&str, SubscribeOptions)]) -> Trace {
    let subscriptions = list
        .iter()
        .map(|(filter, options)| ((*filter).to_owned(), *options))
        .collect();
    Trace::SentSubscribe { mid, subscriptions }
}

fn unsubscribe(mid: u16, filters: &[&str]) -> Trace {
    Trace::SentUnsubscribe {
        mid,
        filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
    }
}

#[test]
fn sent_connect() {
    assert_eq!(
        debug(&connect("python1", V311, Properties::new()), V311),
        "Sending CONNECT (u0, p0, wr0, wq0, wf0, c1, k60) client_id='python1'"
    );
    assert_eq!(
        debug(&connect("", V31, Properties::new()), V31),
        "Sending CONNECT (u0, p0, wr0, wq0, wf0, c1, k60) client_id=''"
    );
    let everything = Trace::SentConnect {
        version: V311,
        username: true,
        password: true,
        will: Some((QoS::ExactlyOnce, true)),
        clean_start: false,
        keep_alive: 0,
        client_id: "x".to_owned(),
        properties: Properties::new(),
    };
    assert_eq!(
        debug(&everything, V311),
        "Sending CONNECT (u1, p1, wr1, wq2, wf1, c0, k0) client_id='x'"
    );
}

#[test]
fn sent_connect_of_version_5() {
    assert_eq!(
        debug(&connect("probe5", V5, Properties::new()), V5),
        "Sending CONNECT (u0, p0, wr0, wq0, wf0, c1, k60) client_id='probe5' properties=None"
    );
    let properties = Properties::from([
        Property::SessionExpiryInterval(5),
        Property::AuthenticationMethod("m".to_owned()),
        Property::AuthenticationData("hush".into()),
    ]);
    assert_eq!(
        debug(&connect("probe5", V5, properties), V5),
        "Sending CONNECT (u0, p0, wr0, wq0, wf0, c1, k60) client_id='probe5' \
         properties=[SessionExpiryInterval : 5, AuthenticationMethod : m]"
    );
}

#[test]
fn received_connack() {
    for (flags, reason, expected) in [
        (0, 0, "Received CONNACK (0, 0)"),
        (1, 0, "Received CONNACK (1, 0)"),
        (0, 5, "Received CONNACK (0, 5)"),
        (0, 77, "Received CONNACK (0, 77)"),
    ] {
        let trace = conn_ack(flags, ReasonCode::from_connack_v3(reason), Properties::new());
        assert_eq!(debug(&trace, V311), expected);
    }
    let properties = Properties::from([Property::TopicAliasMaximum(10), Property::ReceiveMaximum(20)]);
    assert_eq!(
        debug(&conn_ack(0, ReasonCode::SUCCESS, properties), V5),
        "Received CONNACK (0, Success) properties=[ReceiveMaximum : 20, TopicAliasMaximum : 10]"
    );
}

#[test]
fn connack_that_the_client_answers_with_another_connect() {
    assert_eq!(
        downgrade(0, ReasonCode::from_connack_v3(1), ProtocolVersion::V31),
        (
            LogLevel::Debug,
            "Received CONNACK (0, 1), attempting downgrade to MQTT v3.1.".to_owned()
        )
    );
    assert_eq!(
        new_client_id(0, ReasonCode::from_connack_v3(2)),
        (
            LogLevel::Debug,
            "Received CONNACK (0, 2), attempting to use non-empty CID".to_owned()
        )
    );
}

#[test]
fn disconnect() {
    let sent = |reason, properties| Trace::SentDisconnect { reason, properties };
    let normal = sent(ReasonCode::NORMAL_DISCONNECTION, Properties::new());
    assert_eq!(debug(&normal, V311), "Sending DISCONNECT");
    assert_eq!(
        debug(&normal, V5),
        "Sending DISCONNECT reasonCode=None properties=None"
    );
    let told = sent(
        ReasonCode::DISCONNECT_WITH_WILL_MESSAGE,
        Properties::from([Property::ReasonString("x".to_owned())]),
    );
    assert_eq!(
        debug(&told, V5),
        "Sending DISCONNECT reasonCode=Disconnect with will message properties=[ReasonString : x]"
    );
    let received = Trace::ReceivedDisconnect {
        reason: ReasonCode::disconnect(0x8B),
        properties: Properties::new(),
    };
    assert_eq!(
        debug(&received, V5),
        "Received DISCONNECT Server shutting down []"
    );
}

#[test]
fn subscribe_and_suback() {
    let plain = |qos: QoS| SubscribeOptions::from(qos);
    assert_eq!(
        debug(&subscribe(1, &[("house/sensor1", plain(QoS::AtMostOnce))]), V311),
        "Sending SUBSCRIBE (d0, m1) [('house/sensor1', 0)]"
    );
    let two = subscribe(
        3,
        &[("v", plain(QoS::AtMostOnce)), ("w", plain(QoS::ExactlyOnce))],
    );
    assert_eq!(
        debug(&two, V31),
        "Sending SUBSCRIBE (d0, m3) [('v', 0), ('w', 2)]"
    );
    assert_eq!(
        debug(&subscribe(1, &[("t", plain(QoS::AtLeastOnce))]), V5),
        "Sending SUBSCRIBE (d0, m1) [('t', {QoS=1, noLocal=False, retainAsPublished=False, retainHandling=0})]"
    );
    let all = SubscribeOptions {
        qos: QoS::AtMostOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    assert_eq!(
        debug(&subscribe(1, &[("t", all)]), V5),
        "Sending SUBSCRIBE (d0, m1) [('t', {QoS=0, noLocal=True, retainAsPublished=True, retainHandling=2})]"
    );
    assert_eq!(debug(&Trace::ReceivedSubAck, V311), "Received SUBACK");
}

#[test]
fn unsubscribe_and_unsuback() {
    assert_eq!(
        debug(&unsubscribe(21, &["v", "w"]), V311),
        "Sending UNSUBSCRIBE (d0, m21) ['v', 'w']"
    );
    assert_eq!(
        debug(&unsubscribe(4, &["t"]), V5),
        "Sending UNSUBSCRIBE (d0, m4) None ['t']"
    );
    assert_eq!(
        debug(&Trace::ReceivedUnsubAck { packet_id: 20 }, V311),
        "Received UNSUBACK (Mid: 20)"
    );
}

#[test]
fn sent_publish_lines() {
    assert_eq!(
        debug(
            &sent_publish(QoS::AtMostOnce, false, 1, "house/sensor1", 16),
            V311
        ),
        "Sending PUBLISH (d0, q0, r0, m1), 'house/sensor1', ... (16 bytes)"
    );
    assert_eq!(
        debug(&sent_publish(QoS::AtMostOnce, true, 17, "t", 0), V311),
        "Sending PUBLISH (d0, q0, r1, m17), 't' (NULL payload)"
    );
    assert_eq!(
        debug(&sent_publish(QoS::AtLeastOnce, false, 2, "t", 1), V5),
        "Sending PUBLISH (d0, q1, r0, m2), 't', properties=None, ... (1 bytes)"
    );
    assert_eq!(
        debug(&sent_publish(QoS::AtLeastOnce, false, 2, "t", 0), V5),
        "Sending PUBLISH (d0, q1, r0, m2), 't', properties=None (NULL payload)"
    );
    let again = Trace::SentPublish {
        dup: true,
        qos: QoS::ExactlyOnce,
        retain: false,
        mid: 65_535,
        topic: TopicName::from_checked("t"),
        properties: Some(Properties::from([Property::MessageExpiryInterval(9)])),
        payload_len: 3,
    };
    assert_eq!(
        debug(&again, V5),
        "Sending PUBLISH (d1, q2, r0, m65535), 't', properties=[MessageExpiryInterval : 9], ... (3 bytes)"
    );
}

#[test]
fn received_publish_lines() {
    assert_eq!(
        debug(&received_publish(QoS::AtMostOnce, 0, "house/sensor1", 16), V311),
        "Received PUBLISH (d0, q0, r0, m0), 'house/sensor1', ...  (16 bytes)"
    );
    assert_eq!(
        debug(&received_publish(QoS::AtMostOnce, 0, "t", 0), V311),
        "Received PUBLISH (d0, q0, r0, m0), 't', ...  (0 bytes)"
    );
    assert_eq!(
        debug(&received_publish(QoS::AtLeastOnce, 1, "t", 1), V5),
        "Received PUBLISH (d0, q1, r0, m1), 't', properties=[], ...  (1 bytes)"
    );
}

#[test]
fn acknowledgements() {
    for name in ["PUBACK", "PUBREC", "PUBREL", "PUBCOMP"] {
        let sent = Trace::SentAck { name, packet_id: 3 };
        assert_eq!(debug(&sent, V311), format!("Sending {name} (Mid: 3)"));
        let received = Trace::ReceivedAck { name, packet_id: 3 };
        assert_eq!(debug(&received, V5), format!("Received {name} (Mid: 3)"));
    }
}

#[test]
fn pings() {
    for (trace, expected) in [
        (Trace::SentPingReq, "Sending PINGREQ"),
        (Trace::SentPingResp, "Sending PINGRESP"),
        (Trace::ReceivedPingReq, "Received PINGREQ"),
        (Trace::ReceivedPingResp, "Received PINGRESP"),
    ] {
        assert_eq!(debug(&trace, V311), expected);
    }
}

#[test]
fn failures() {
    assert_eq!(
        text(&Trace::Unrecognised { command: 240 }, V311),
        (LogLevel::Err, "Error: Unrecognised command 240".to_owned())
    );
    assert_eq!(
        reconnect_failed(),
        (LogLevel::Debug, "Connection failed, retrying".to_owned())
    );
    assert_eq!(
        callback_failed("on_message", "boom"),
        (LogLevel::Err, "Caught exception in on_message: boom".to_owned())
    );
    assert_eq!(
        filter_callback_failed("a/+", "boom"),
        (
            LogLevel::Err,
            "Caught exception in user defined callback function a/+: boom".to_owned()
        )
    );
    let (level, line) = socket_failed(&io::Error::new(io::ErrorKind::UnexpectedEof, "cut off"));
    assert_eq!(
        (level, &line[..]),
        (LogLevel::Err, "failed to receive on socket: cut off")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn system_errors_have_their_number_in_front() {
    let (_, line) = socket_failed(&io::Error::from_raw_os_error(104));
    assert_eq!(
        line,
        "failed to receive on socket: [Errno 104] Connection reset by peer"
    );
}

#[test]
fn texts_are_quoted_as_python_does() {
    for (text, expected) in [
        ("café/x", "'café/x'"),
        ("it's", "\"it's\""),
        ("say \"hi\"", "'say \"hi\"'"),
        ("both ' and \"", "'both \\' and \"'"),
        ("back\\slash", "'back\\\\slash'"),
        ("a\tb\nc\rd\u{1}\u{85}", "'a\\tb\\nc\\rd\\x01\\x85'"),
    ] {
        assert_eq!(quoted(text), expected);
    }
}

#[test]
fn a_topic_stands_as_it_is_but_stays_on_one_line() {
    let line = |topic| debug(&received_publish(QoS::AtMostOnce, 0, topic, 1), V311);
    assert_eq!(
        line("it's"),
        "Received PUBLISH (d0, q0, r0, m0), 'it's', ...  (1 bytes)"
    );
    assert_eq!(
        line("back\\slash"),
        "Received PUBLISH (d0, q0, r0, m0), 'back\\slash', ...  (1 bytes)"
    );
    assert_eq!(
        line("a\nb\u{7f}"),
        "Received PUBLISH (d0, q0, r0, m0), 'a\\nb\\x7f', ...  (1 bytes)"
    );
}
