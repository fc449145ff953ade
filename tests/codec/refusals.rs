//! What a receiver must refuse: bytes, reason and the number of the statement.

use bytes::BytesMut;
use callmq::codec::{Decoder, ProtocolVersion, ReasonCode};

use crate::{decode, wire};

const V31: ProtocolVersion = ProtocolVersion::V31;
const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;

/// Each line: versions, reason, number of the statement, bytes, what is wrong with them.
#[track_caller]
fn assert_refused(table: &str) {
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (head, annotated) = line.split_once('|').expect("a column for the bytes");
        let mut head = head.split_whitespace();
        let versions: &[ProtocolVersion] = match head.next() {
            Some("all") => &[V31, V311, V5],
            Some("3.x") => &[V31, V311],
            Some("3.1.1") => &[V311],
            Some("3.1.1+") => &[V311, V5],
            Some("5.0") => &[V5],
            other => panic!("versions {other:?}"),
        };
        let reason = match head.next() {
            Some("malformed") => ReasonCode::MALFORMED_PACKET,
            Some("protocol") => ReasonCode::PROTOCOL_ERROR,
            Some("version") => ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
            Some("alias") => ReasonCode::TOPIC_ALIAS_INVALID,
            other => panic!("reason {other:?}"),
        };
        let statement = match head.next() {
            Some("-") => String::new(),
            Some(number) => format!("MQTT-{number}"),
            None => panic!("no statement in {line}"),
        };
        for &version in versions {
            let error = match decode(version, &wire(annotated).bytes) {
                Err(error) => error,
                Ok(other) => panic!("{line} ({version}): {other:?}"),
            };
            assert_eq!(
                (error.reason, error.statement),
                (reason, statement.as_str()),
                "{line} ({version}): {error}"
            );
        }
    }
}

/// [3.1.1/MQTT-2.2.2-2] [3.1.1/MQTT-3.3.1-2] [3.1.1/MQTT-3.3.1-4] [5.0/MQTT-1.5.5-1] [5.0/MQTT-2.1.3-1]
/// [5.0/MQTT-3.3.1-2] [5.0/MQTT-3.3.1-4] [5.0/MQTT-3.14.1-1] [5.0/MQTT-3.15.1-1]
#[test]
fn fixed_headers() {
    assert_refused(
        "
        all    malformed -        | 00 | type 0
        3.x    malformed -        | F0 | AUTH
        3.x    malformed 2.2.2-2  | 11 | CONNECT
        5.0    malformed 2.1.3-1  | 11 | CONNECT
        3.x    malformed 2.2.2-2  | 28 | CONNACK
        5.0    malformed 2.1.3-1  | 41 | PUBACK
        5.0    malformed 2.1.3-1  | 52 | PUBREC
        all    malformed 3.6.1-1  | 60 | PUBREL
        3.1.1+ malformed 3.6.1-1  | 6A | PUBREL with DUP
        3.x    malformed 2.2.2-2  | 74 | PUBCOMP
        all    malformed 3.8.1-1  | 80 | SUBSCRIBE
        3.1.1+ malformed 3.8.1-1  | 8A | SUBSCRIBE with DUP
        3.x    malformed 2.2.2-2  | 92 | SUBACK
        all    malformed 3.10.1-1 | A0 | UNSUBSCRIBE
        5.0    malformed 2.1.3-1  | B1 | UNSUBACK
        3.x    malformed 2.2.2-2  | C1 | PINGREQ
        5.0    malformed 2.1.3-1  | D2 | PINGRESP
        all    malformed 3.14.1-1 | E1 | DISCONNECT
        5.0    malformed 3.15.1-1 | F1 | AUTH
        all    malformed 3.3.1-4  | 36 | PUBLISH with QoS 3
        all    malformed 3.3.1-4  | 3E | PUBLISH with QoS 3 and DUP
        all    malformed 3.3.1-2  | 38 | PUBLISH with QoS 0 and DUP
        3.x    malformed 2.2.2-2  | 'HTTP' | another protocol
        all    malformed -        | 30 FF FF FF FF | five bytes of length
        all    malformed -        | 30 80 80 80 80 01 | five bytes of length
        5.0    malformed 1.5.5-1  | C0 80 00 | PINGREQ, two bytes for 0
        5.0    malformed 1.5.5-1  | 40 82 80 80 00 | PUBACK, four bytes for 2
        all    malformed -        | C0 01 00 | PINGREQ with a body
        all    malformed -        | D0 01 00 | PINGRESP with a body
        3.x    malformed -        | E0 01 00 | DISCONNECT with a body
        ",
    );
}

/// [3.1.1/MQTT-1.5.3-1] [3.1.1/MQTT-1.5.3-2] [5.0/MQTT-1.5.4-1] [5.0/MQTT-1.5.4-2] [5.0/MQTT-1.5.7-1]
#[test]
fn texts() {
    assert_refused(
        "
        3.x    malformed 1.5.3-1  | 30 04 00 02 C3 28 | not UTF-8
        5.0    malformed 1.5.4-1  | 30 05 00 02 C3 28 00 | not UTF-8
        3.x    malformed 1.5.3-1  | 30 05 00 03 ED A0 80 | a surrogate
        5.0    malformed 1.5.4-1  | 30 06 00 03 ED A0 80 00 | a surrogate
        3.x    malformed 1.5.3-1  | 30 04 00 02 C0 80 | U+0000, too long
        3.x    malformed 1.5.3-2  | 30 05 00 03 'a' 00 'b' | U+0000
        5.0    malformed 1.5.4-2  | 30 06 00 03 'a' 00 'b' 00 | U+0000
        3.x    malformed 1.5.3-1  | 82 06 00 01 00 01 FF 00 | a filter
        5.0    malformed 1.5.4-2  | 82 07 00 01 00 00 01 00 00 | a filter
        3.x    malformed 1.5.3-1  | A2 05 00 01 00 01 FF | a filter
        all    malformed 1.5.3-1  | 10 0D 00 04 'MQTT' 04 02 00 00 00 01 FF | Client Identifier
        all    malformed 1.5.3-2  | 10 0D 00 04 'MQTT' 04 02 00 00 00 01 00 | Client Identifier
        all    malformed 1.5.3-1  | 10 10 00 04 'MQTT' 04 82 00 00 00 01 'a' 00 01 80 | User Name
        5.0    malformed 1.5.4-1  | 30 0B 00 01 't' 07 26 00 01 80 00 01 'v' | the name of a pair
        5.0    malformed 1.5.4-2  | 30 0B 00 01 't' 07 26 00 01 'k' 00 01 00 | the value of a pair
        ",
    );
}

#[test]
fn connects() {
    assert_refused(
        "
        all    version   3.1.2-1  | 10 0D 00 04 'MQTX' 04 02 00 00 00 01 'a' | name
        all    version   3.1.2-1  | 10 0D 00 04 'mqtt' 04 02 00 00 00 01 'a' | name
        all    version   3.1.2-2  | 10 0D 00 04 'MQTT' 06 02 00 00 00 01 'a' | level 6
        all    version   3.1.2-2  | 10 0D 00 04 'MQTT' 00 02 00 00 00 01 'a' | level 0
        all    version   3.1.2-2  | 10 0D 00 04 'MQTT' 03 02 00 00 00 01 'a' | level 3
        all    version   3.1.2-2  | 10 0D 00 04 'MQTT' 86 02 00 00 00 01 'a' | level 6, bridge
        all    version   3.1.2-2  | 10 0F 00 06 'MQIsdp' 04 02 00 00 00 01 'a' | level 4
        all    malformed 3.1.2-3  | 10 0D 00 04 'MQTT' 04 03 00 00 00 01 'a' | reserved flag
        all    malformed 3.1.2-3  | 10 0E 00 04 'MQTT' 05 03 00 00 00 00 01 'a' | reserved flag
        all    malformed 3.1.2-13 | 10 0D 00 04 'MQTT' 04 0A 00 00 00 01 'a' | Will QoS
        all    malformed 3.1.2-11 | 10 0E 00 04 'MQTT' 05 0A 00 00 00 00 01 'a' | Will QoS
        all    malformed 3.1.2-15 | 10 0D 00 04 'MQTT' 04 22 00 00 00 01 'a' | Will Retain
        all    malformed 3.1.2-13 | 10 0E 00 04 'MQTT' 05 22 00 00 00 00 01 'a' | Will Retain
        all    malformed 3.1.2-14 | 10 12 00 04 'MQTT' 04 1E 00 00 00 01 'a' 00 01 'w' 00 00 | Will QoS 3
        all    malformed 3.1.2-14 | 10 14 00 06 'MQIsdp' 03 1E 00 00 00 01 'a' 00 01 'w' 00 00 | Will QoS 3
        all    malformed 3.1.2-12 | 10 14 00 04 'MQTT' 05 1E 00 00 00 00 01 'a' 00 00 01 'w' 00 00 | Will QoS 3
        all    malformed 3.1.2-22 | 10 10 00 04 'MQTT' 04 42 00 00 00 01 'a' 00 01 'p' | Password alone
        all    malformed 3.1.2-22 | 10 12 00 06 'MQIsdp' 03 42 00 00 00 01 'a' 00 01 'p' | Password alone
        all    malformed 4.7.1-1  | 10 12 00 04 'MQTT' 04 06 00 00 00 01 'a' 00 01 '#' 00 00 | Will Topic
        all    malformed 4.7.0-1  | 10 14 00 04 'MQTT' 05 06 00 00 00 00 01 'a' 00 00 01 '+' 00 00 | Will Topic
        all    protocol  4.7.3-1  | 10 11 00 04 'MQTT' 04 06 00 00 00 01 'a' 00 00 00 00 | empty Will Topic
        all    malformed -        | 10 0D 00 04 'MQTT' 04 06 00 00 00 01 'a' | no Will
        all    malformed -        | 10 0D 00 04 'MQTT' 04 82 00 00 00 01 'a' | no User Name
        all    malformed -        | 10 0A 00 04 'MQTT' 04 02 00 00 | no Client Identifier
        all    malformed -        | 10 10 00 04 'MQTT' 04 02 00 00 00 01 'a' 00 01 'u' | no flag
        all    malformed 2.2.2-1  | 10 0A 00 04 'MQTT' 05 02 00 00 | no Property Length
        ",
    );
}

/// [3.1.1/MQTT-3.2.2-4] [5.0/MQTT-3.2.2-1] [5.0/MQTT-3.2.2-6] [5.0/MQTT-3.2.2-8]
#[test]
fn connacks() {
    assert_refused(
        "
        3.1.1  malformed -        | 20 02 02 00 | reserved flag
        5.0    malformed 3.2.2-1  | 20 03 80 00 00 | reserved flag
        3.1.1  protocol  3.2.2-4  | 20 02 01 05 | a session with a refusal
        5.0    protocol  3.2.2-6  | 20 03 01 87 00 | a session with a refusal
        5.0    protocol  3.2.2-6  | 20 02 01 01 | a session with a refusal of MQTT 3
        5.0    protocol  3.2.2-8  | 20 03 00 01 00 | not a code of CONNACK
        5.0    protocol  3.2.2-8  | 20 03 00 8E 00 | not a code of CONNACK
        5.0    malformed 2.2.2-1  | 20 02 00 00 | no Property Length
        3.x    malformed -        | 20 03 00 00 00 | a byte too many
        all    malformed -        | 20 01 00 | a byte too few
        ",
    );
}

/// [3.1.1/MQTT-2.3.1-1] [3.1.1/MQTT-3.3.2-2] [3.1.1/MQTT-4.7.3-1] [5.0/MQTT-2.2.1-4] [5.0/MQTT-2.2.2-1]
/// [5.0/MQTT-3.3.2-2]
#[test]
fn publishes() {
    assert_refused(
        "
        3.x    protocol  2.3.1-1  | 32 05 00 01 't' 00 00 | Packet Identifier 0
        5.0    protocol  2.2.1-3  | 34 06 00 01 't' 00 00 00 | Packet Identifier 0
        all    malformed -        | 32 04 00 01 't' 00 | half a Packet Identifier
        3.x    protocol  4.7.3-1  | 30 02 00 00 | empty Topic Name
        5.0    protocol  4.7.3-1  | 30 03 00 00 00 | empty Topic Name, no Topic Alias
        3.x    malformed 3.3.2-2  | 30 05 00 03 'a/#' | wildcard
        5.0    malformed 3.3.2-2  | 30 06 00 03 'a/+' 00 | wildcard
        all    malformed -        | 30 04 00 05 'ab' | the Topic Name passes the end
        all    malformed -        | 30 01 00 | half a length
        all    malformed -        | 30 00 | nothing
        5.0    malformed 2.2.2-1  | 30 03 00 01 't' | no Property Length
        5.0    malformed -        | 30 05 00 01 't' 02 01 | properties past the end
        ",
    );
}

/// [5.0/MQTT-3.4.2-1] [5.0/MQTT-3.5.2-1] [5.0/MQTT-3.6.2-1] [5.0/MQTT-3.7.2-1]
#[test]
fn acknowledgements() {
    assert_refused(
        "
        3.x    protocol  2.3.1-6  | 40 02 00 00 | Packet Identifier 0
        5.0    protocol  2.2.1-5  | 70 02 00 00 | Packet Identifier 0
        3.x    protocol  2.3.1-7  | 90 03 00 00 00 | Packet Identifier 0
        5.0    protocol  2.2.1-6  | B0 04 00 00 00 00 | Packet Identifier 0
        3.x    malformed -        | 40 03 00 01 00 | a reason before 5.0
        all    malformed -        | 50 01 00 | half a Packet Identifier
        5.0    protocol  3.4.2-1  | 40 03 00 01 92 | not a code of PUBACK
        5.0    protocol  3.5.2-1  | 50 03 00 01 8F | not a code of PUBREC
        5.0    protocol  3.6.2-1  | 62 03 00 01 10 | not a code of PUBREL
        5.0    protocol  3.7.2-1  | 70 03 00 01 80 | not a code of PUBCOMP
        5.0    malformed -        | 40 05 00 01 00 00 00 | a byte too many
        ",
    );
}

/// [3.1.1/MQTT-3.9.3-2] [5.0/MQTT-3.9.3-2] [5.0/MQTT-3.11.3-2]
#[test]
fn subscriptions() {
    assert_refused(
        "
        3.x    protocol  2.3.1-1  | 82 06 00 00 00 01 'a' 00 | Packet Identifier 0
        5.0    protocol  2.2.1-3  | 82 07 00 00 00 00 01 'a' 00 | Packet Identifier 0
        3.x    protocol  3.8.3-3  | 82 02 00 01 | no filter
        5.0    protocol  3.8.3-2  | 82 03 00 01 00 | no filter
        3.x    protocol  3-8.3-4  | 82 06 00 01 00 01 'a' 03 | QoS 3
        5.0    protocol  -        | 82 07 00 01 00 00 01 'a' 03 | QoS 3
        3.1.1  malformed 3-8.3-4  | 82 06 00 01 00 01 'a' 04 | reserved bit
        5.0    malformed 3.8.3-5  | 82 07 00 01 00 00 01 'a' 40 | reserved bit
        5.0    malformed 3.8.3-5  | 82 07 00 01 00 00 01 'a' 80 | reserved bit
        5.0    protocol  -        | 82 07 00 01 00 00 01 'a' 30 | Retain Handling 3
        5.0    protocol  3.8.3-4  | 82 10 00 01 00 00 0A '$share/g/a' 04 | No Local
        all    malformed -        | 82 05 00 01 00 01 'a' | no options
        3.x    malformed 4.7.3-1  | 82 05 00 01 00 00 00 | empty filter
        5.0    malformed 4.7.3-1  | 82 06 00 01 00 00 00 00 | empty filter
        3.x    malformed 4.7.1-2  | 82 08 00 01 00 03 '#/a' 00 | filter
        5.0    malformed 4.7.1-1  | 82 08 00 01 00 00 02 'a#' 00 | filter
        3.x    malformed 4.7.1-3  | 82 07 00 01 00 02 'a+' 00 | filter
        5.0    malformed 4.7.1-2  | 82 0A 00 01 00 00 04 'a/b+' 00 | filter
        5.0    malformed 4.8.2-1  | 82 0F 00 01 00 00 09 '$share//a' 00 | no name
        5.0    malformed 4.8.2-2  | 82 10 00 01 00 00 0A '$share/+/a' 00 | wildcard
        5.0    malformed 4.8.2-2  | 82 0F 00 01 00 00 09 '$share/g/' 00 | no filter
        5.0    malformed 4.8.2-2  | 82 0E 00 01 00 00 08 '$share/g' 00 | no filter
        5.0    malformed 4.7.1-1  | 82 11 00 01 00 00 0B '$share/g/a#' 00 | filter
        3.x    protocol  2.3.1-1  | A2 05 00 00 00 01 'a' | Packet Identifier 0
        3.x    protocol  3.10.3-2 | A2 02 00 01 | no filter
        5.0    protocol  3.10.3-2 | A2 03 00 01 00 | no filter
        3.x    malformed 4.7.1-2  | A2 06 00 01 00 02 'a#' | filter
        3.x    protocol  3.9.3-2  | 90 03 00 01 03 | not a code of SUBACK
        3.x    protocol  3.9.3-2  | 90 03 00 01 87 | not a code of SUBACK before 5.0
        5.0    protocol  3.9.3-2  | 90 04 00 01 00 03 | not a code of SUBACK
        3.x    protocol  3.8.4-5  | 90 02 00 01 | no code
        5.0    protocol  3.8.4-6  | 90 03 00 01 00 | no code
        5.0    protocol  3.11.3-2 | B0 04 00 01 00 10 | not a code of UNSUBACK
        5.0    protocol  3.11.3-1 | B0 03 00 01 00 | no code
        5.0    malformed 2.2.2-1  | B0 02 00 01 | no Property Length
        3.x    malformed -        | B0 03 00 01 00 | a code before 5.0
        ",
    );
}

/// [5.0/MQTT-2.2.2-1] [5.0/MQTT-3.14.2-1] [5.0/MQTT-3.15.2-1]
#[test]
fn disconnects_and_authentication() {
    assert_refused(
        "
        5.0    protocol  3.14.2-1 | E0 01 01 | not a code of DISCONNECT
        5.0    protocol  3.14.2-1 | E0 01 84 | not a code of DISCONNECT
        5.0    malformed -        | E0 03 00 00 00 | a byte too many
        5.0    protocol  3.15.2-1 | F0 02 01 00 | not a code of AUTH
        5.0    malformed 2.2.2-1  | F0 01 00 | no Property Length
        5.0    protocol  -        | F0 02 18 00 | no method
        5.0    protocol  -        | F0 06 18 04 16 00 01 'd' | data without method
        5.0    protocol  -        | 20 07 00 00 04 16 00 01 'd' | data without method
        ",
    );
}

#[test]
fn properties() {
    assert_refused(
        "
        5.0    malformed -        | 30 06 00 01 't' 02 00 00 | identifier 0
        5.0    malformed -        | 30 06 00 01 't' 02 7F 00 | identifier 0x7F
        5.0    malformed -        | 30 07 00 01 't' 03 81 02 00 | identifier of two bytes
        5.0    malformed 1.5.5-1  | 30 07 00 01 't' 03 81 00 01 | identifier, not minimal
        5.0    malformed 1.5.5-1  | 30 06 00 01 't' 80 00 'x' | Property Length, not minimal
        5.0    malformed -        | 30 07 00 01 't' 03 21 00 01 | Receive Maximum in PUBLISH
        5.0    malformed -        | 40 06 00 01 00 02 01 00 | Payload Format Indicator in PUBACK
        5.0    protocol  -        | 30 08 00 01 't' 04 01 00 01 00 | Payload Format Indicator twice
        5.0    protocol  -        | 30 0A 00 01 't' 06 23 00 01 23 00 01 | Topic Alias twice
        5.0    protocol  -        | 82 0B 00 01 04 0B 01 0B 02 00 01 'a' 00 | Subscription Identifier twice in SUBSCRIBE
        5.0    protocol  -        | 30 06 00 01 't' 02 01 02 | Payload Format Indicator 2
        5.0    protocol  -        | 30 06 00 01 't' 02 0B 00 | Subscription Identifier 0
        5.0    alias     3.3.2-8  | 30 07 00 01 't' 03 23 00 00 | Topic Alias 0
        5.0    malformed 3.3.2-14 | 30 08 00 01 't' 04 08 00 01 '#' | Response Topic
        5.0    protocol  -        | 20 06 00 00 03 21 00 00 | Receive Maximum 0
        5.0    protocol  -        | 20 08 00 00 05 27 00 00 00 00 | Maximum Packet Size 0
        5.0    protocol  -        | 20 05 00 00 02 24 02 | Maximum QoS 2
        5.0    protocol  -        | 20 05 00 00 02 25 02 | Retain Available 2
        5.0    protocol  -        | 20 05 00 00 02 28 02 | Wildcard Subscription Available 2
        5.0    protocol  -        | 20 05 00 00 02 29 FF | Subscription Identifier Available 255
        5.0    protocol  -        | 20 05 00 00 02 2A 02 | Shared Subscription Available 2
        all    protocol  -        | 10 10 00 04 'MQTT' 05 02 00 00 02 17 02 00 01 'a' | Request Problem Information 2
        all    protocol  -        | 10 10 00 04 'MQTT' 05 02 00 00 02 19 02 00 01 'a' | Request Response Information 2
        all    malformed -        | 10 13 00 04 'MQTT' 05 02 00 00 05 18 00 00 00 01 00 01 'a' | Will Delay Interval of CONNECT
        all    malformed -        | 10 16 00 04 'MQTT' 05 06 00 00 00 00 01 'a' 03 23 00 01 00 01 'w' 00 00 | Topic Alias of the Will
        ",
    );
}

#[test]
fn packets_over_the_limit() {
    for (version, statement) in [(V31, ""), (V311, ""), (V5, "MQTT-3.1.2-24")] {
        let mut decoder = Decoder::new(version);
        decoder.set_max_packet_size(10);
        let mut fits = BytesMut::from(&wire("30 08 00 01 't' 00 'full'").bytes[..]);
        assert!(matches!(decoder.decode(&mut fits), Ok(Some(_))));
        // The Fixed Header suffices.
        let mut input = BytesMut::from(&[0x30, 0x09][..]);
        let error = decoder.decode(&mut input).unwrap_err();
        assert_eq!(
            (error.reason, error.statement),
            (ReasonCode::PACKET_TOO_LARGE, statement)
        );
    }
}
