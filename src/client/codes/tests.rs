use super::*;
use crate::error::{DecodeError, ServerLimit};

#[test]
fn errors_have_the_numbers_of_the_python_client() {
    let io = |kind: std::io::ErrorKind| Error::from(std::io::Error::from(kind));
    for (error, code) in [
        (Error::argument("topic", "x"), 3),
        (Error::InvalidState("x"), 3),
        (Error::WouldDeadlock("x"), 3),
        (Error::NotSupported("x"), 10),
        (Error::NotConnected, 4),
        (
            Error::QueueFull {
                payload: bytes::Bytes::new(),
            },
            15,
        ),
        (Error::Timeout, -1),
        (Error::Dropped(DropReason::QueueFull), 15),
        (Error::Dropped(DropReason::ConnectionLost), 7),
        (
            Error::Dropped(DropReason::NotAllowed(ServerLimit::RetainAvailable)),
            10,
        ),
        (Error::NotAllowed(ServerLimit::MaximumQoS), 10),
        (Error::Dropped(DropReason::ClientDropped), 13),
        (Error::Refused(ReasonCode::NOT_AUTHORIZED.into()), 5),
        (Error::ServerDisconnect(ReasonCode::SERVER_BUSY.into()), 7),
        (io(std::io::ErrorKind::ConnectionReset), 7),
        (io(std::io::ErrorKind::BrokenPipe), 7),
        (io(std::io::ErrorKind::ConnectionRefused), 14),
        (Error::ConnectionClosed, 7),
        (Error::KeepAliveTimeout, 16),
        (Error::Protocol(DecodeError::malformed("x", "")), 2),
        (
            Error::Callback {
                callback: "on_message",
                message: "x".into(),
            },
            13,
        ),
        (Error::from("x"), 13),
    ] {
        assert_eq!(error.code(), code, "{error:?}");
    }
}

#[test]
fn error_texts() {
    assert_eq!(
        error_string(MQTT_ERR_NO_CONN),
        "The client is not currently connected."
    );
    assert_eq!(MQTT_ERR_QUEUE_SIZE.to_string(), "Message queue full.");
    for unknown in [-1, 13, 17, i32::MAX] {
        assert_eq!(error_string(unknown), "Unknown error.");
    }
    let texts: std::collections::HashSet<_> = (0..17).map(error_string).collect();
    assert_eq!(texts.len(), 17);
}

#[test]
fn connack_texts_are_the_same_for_both_generations_of_codes() {
    for (v3, v5) in [
        (0, 0),
        (1, 0x84),
        (2, 0x85),
        (3, 0x88),
        (4, 0x86),
        (5, 0x87),
        (6, 0x80),
    ] {
        assert_eq!(connack_string(v3), connack_string(ReasonCode::new(v5)));
        assert_eq!(convert_connack_rc_to_reason_code(v3), ReasonCode::new(v5));
    }
    assert_eq!(
        connack_string(CONNACK_REFUSED_IDENTIFIER_REJECTED),
        "Connection Refused: identifier rejected."
    );
    assert_eq!(ConnackCode::Accepted.to_string(), "Connection Accepted.");
    assert_eq!(connack_string(255), "Connection Refused: unknown reason.");
    assert_eq!(
        convert_connack_rc_to_reason_code(-1),
        ReasonCode::UNSPECIFIED_ERROR
    );
}

#[test]
fn reason_codes_compare_with_the_constants_of_the_python_client() {
    assert_eq!(ReasonCode::from_connack_v3(5), CONNACK_REFUSED_NOT_AUTHORIZED);
    assert_ne!(ReasonCode::from_connack_v3(4), CONNACK_REFUSED_NOT_AUTHORIZED);
    assert_eq!(ReasonCode::SUCCESS, CONNACK_ACCEPTED);
    assert_eq!(ReasonCode::NORMAL_DISCONNECTION, MQTT_ERR_SUCCESS);
    assert_eq!(ReasonCode::KEEP_ALIVE_TIMEOUT, MQTT_ERR_KEEPALIVE);
    assert_ne!(ReasonCode::UNSPECIFIED_ERROR, MQTT_ERR_SUCCESS);
}

#[test]
fn disconnect_codes() {
    for (code, value, name) in [
        (MQTT_ERR_SUCCESS, 0, "Normal disconnection"),
        (MQTT_ERR_KEEPALIVE, 141, "Keep alive timeout"),
        (MQTT_ERR_PROTOCOL, 130, "Protocol error"),
        (MQTT_ERR_CONN_LOST, 128, "Unspecified error"),
        (MQTT_ERR_CONN_REFUSED, 128, "Unspecified error"),
    ] {
        let reason = convert_disconnect_error_code_to_reason_code(code);
        assert_eq!((reason.value(), reason.name()), (value, name));
    }
}

#[test]
fn log_levels() {
    assert_eq!(format!("{} {:?}", MQTT_LOG_DEBUG, MQTT_LOG_ERR), "16 Err");
    assert!(MQTT_LOG_DEBUG == 16 && MQTT_LOG_INFO < MQTT_LOG_ERR);
    for (level, expected) in [
        (LogLevel::Info, log::Level::Info),
        (LogLevel::Notice, log::Level::Info),
        (LogLevel::Warning, log::Level::Warn),
        (LogLevel::Err, log::Level::Error),
        (LogLevel::Debug, log::Level::Debug),
    ] {
        assert_eq!(log::Level::from(level), expected);
    }
}

#[test]
fn names_of_transports() {
    assert_eq!("websockets".parse::<Transport>().unwrap(), Transport::WebSockets);
    assert_eq!("TCP".parse::<Transport>().unwrap(), Transport::default());
    assert!("udp".parse::<Transport>().is_err());
}

#[test]
fn packets_have_their_first_byte_as_number() {
    let all = [
        CONNECT,
        CONNACK,
        PUBLISH,
        PUBACK,
        PUBREC,
        PUBREL,
        PUBCOMP,
        SUBSCRIBE,
        SUBACK,
        UNSUBSCRIBE,
        UNSUBACK,
        PINGREQ,
        PINGRESP,
        DISCONNECT,
        AUTH,
    ];
    for (number, kind) in (1..).zip(all) {
        assert_eq!(kind, number << 4);
    }
    assert_eq!(MessageType::from(PacketType::PubRel), PUBREL);
    assert_eq!(MessageType::from(PacketType::PingResp), 0xD0);
}

#[test]
fn states_of_messages_and_modes_have_their_numbers() {
    let states = [
        mqtt_ms_invalid,
        mqtt_ms_publish,
        mqtt_ms_wait_for_puback,
        mqtt_ms_wait_for_pubrec,
        mqtt_ms_resend_pubrel,
        mqtt_ms_wait_for_pubrel,
        mqtt_ms_resend_pubcomp,
        mqtt_ms_wait_for_pubcomp,
        mqtt_ms_send_pubrec,
        mqtt_ms_queued,
    ];
    for (number, state) in (0..).zip(states) {
        assert_eq!(state, number);
    }
    assert_eq!((MQTT_CLIENT.value(), MQTT_BRIDGE.value()), (0, 1));
}

#[test]
fn the_version_is_that_of_the_manifest() {
    let manifest = include_str!("../../../Cargo.toml");
    assert!(manifest.contains(&format!("\nversion = \"{VERSION}\"\n")));
}
