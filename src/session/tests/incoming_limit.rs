//! How much of received messages of QoS 2 is kept.

use bytes::Bytes;

use super::support::*;
use crate::codec::{Packet, Property, Publish};
use crate::session::*;

/// Topic `t` and nine bytes of payload.
const SIZE: usize = 10;

fn limited(max_messages: u16, max_bytes: usize) -> Bench {
    Bench::connected(|settings| {
        settings.clean_start = false;
        settings.incoming_limit = IncomingLimit {
            max_messages,
            max_bytes,
        };
    })
}

fn receive(bench: &mut Bench, packet_id: u16) -> Result<(), ReasonCode> {
    let received = bench.receive(message("t", "ninebytes", 2, packet_id));
    received.map_err(|error| error.reason)
}

fn release(bench: &mut Bench, packet_id: u16) -> AckTicket {
    bench.receive(pubrel(packet_id)).unwrap();
    bench.messages()[0].ticket.unwrap()
}

#[test]
fn one_message_too_many_is_refused_and_not_acknowledged() {
    let mut bench = limited(3, 1000);
    (1..=3).for_each(|id| receive(&mut bench, id).unwrap());
    bench.sent();
    assert_eq!(receive(&mut bench, 4), Err(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED));
    assert_eq!(bench.sent(), b"");
    assert_eq!(bench.session.unacknowledged(), 3);
}

#[test]
fn one_byte_too_many_is_refused() {
    let mut bench = limited(1000, 3 * SIZE - 1);
    (1..=2).for_each(|id| receive(&mut bench, id).unwrap());
    assert_eq!(receive(&mut bench, 3), Err(ReasonCode::QUOTA_EXCEEDED));

    let mut bench = limited(1000, 3 * SIZE);
    (1..=3).for_each(|id| receive(&mut bench, id).unwrap());
}

#[test]
fn a_message_that_comes_again_counts_once() {
    let mut bench = limited(2, 2 * SIZE);
    for id in [1, 2, 1, 2, 1] {
        receive(&mut bench, id).unwrap();
    }
    assert!(receive(&mut bench, 3).is_err());
}

#[test]
fn one_message_is_taken_however_large_it_is() {
    for mut bench in [limited(0, 1000), limited(1000, 0)] {
        receive(&mut bench, 1).unwrap();
        assert!(receive(&mut bench, 2).is_err());
    }
}

#[test]
fn what_the_server_has_released_makes_room_at_once() {
    let mut bench = limited(1, SIZE);
    receive(&mut bench, 1).unwrap();
    assert!(receive(&mut bench, 2).is_err());
    let first = release(&mut bench, 1);
    receive(&mut bench, 2).unwrap();
    assert!(receive(&mut bench, 3).is_err());
    bench.session.acknowledge(bench.now, first).unwrap();
    assert!(receive(&mut bench, 3).is_err());
    let second = release(&mut bench, 2);
    bench.session.acknowledge(bench.now, second).unwrap();
    receive(&mut bench, 3).unwrap();
    assert!(receive(&mut bench, 4).is_err());
}

#[test]
fn a_server_that_goes_on_with_a_fresh_quota_keeps_to_the_limit() {
    let mut bench = limited(3, 3 * SIZE);
    (1..=3).for_each(|id| receive(&mut bench, id).unwrap());
    bench.session.closed(bench.now);
    bench.connect(true);
    // In one read: the application has none of them yet.
    (1..=3).for_each(|id| bench.receive(pubrel(id)).unwrap());
    (4..=6).for_each(|id| receive(&mut bench, id).unwrap());
    let tickets = bench
        .messages()
        .into_iter()
        .map(|received| received.ticket.unwrap());
    for ticket in tickets {
        bench.session.acknowledge(bench.now, ticket).unwrap();
    }
    assert_eq!(receive(&mut bench, 7), Err(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED));
    assert_eq!(bench.session.unacknowledged(), 3);
}

#[test]
fn what_the_application_failed_on_is_kept_and_counts() {
    let mut bench = limited(1, SIZE);
    receive(&mut bench, 1).unwrap();
    let ticket = release(&mut bench, 1);
    bench.withhold(ticket);
    assert!(receive(&mut bench, 2).is_err());
    bench.session.closed(bench.now);
    bench.connect(true);
    assert!(receive(&mut bench, 2).is_err());
    let ticket = release(&mut bench, 1);
    bench.session.acknowledge(bench.now, ticket).unwrap();
    receive(&mut bench, 2).unwrap();
    assert!(receive(&mut bench, 3).is_err());
}

#[test]
fn a_session_that_the_server_lost_makes_room() {
    let mut bench = limited(2, 2 * SIZE);
    (1..=2).for_each(|id| receive(&mut bench, id).unwrap());
    bench.session.closed(bench.now);
    bench.connect(false);
    (3..=4).for_each(|id| receive(&mut bench, id).unwrap());
    assert!(receive(&mut bench, 5).is_err());
}

#[test]
fn what_is_kept_does_not_hold_the_buffer_that_it_was_read_into() {
    let mut bench = limited(2, 2 * SIZE);
    let buffer = Bytes::from(vec![b'x'; 64 * 1024]);
    let Packet::Publish(publish) = message("t", "", 2, 1) else {
        unreachable!("a PUBLISH");
    };
    let publish = Publish {
        payload: buffer.slice(..9),
        ..publish
    };
    bench.receive(Packet::Publish(publish)).unwrap();
    assert!(buffer.is_unique());
}

#[test]
fn mqtt_5_tells_the_server_the_number() {
    let properties = |messages, version, own: &[Property]| {
        let settings = Settings {
            version,
            connect_properties: own.iter().cloned().collect(),
            incoming_limit: IncomingLimit {
                max_messages: messages,
                ..IncomingLimit::default()
            },
            ..settings()
        };
        settings.check().unwrap();
        match settings.connect_packet() {
            Packet::Connect(connect) => connect.properties.receive_maximum(),
            other => panic!("{other:?}"),
        }
    };
    let own = [Property::ReceiveMaximum(7)];
    assert_eq!(properties(20, ProtocolVersion::V5, &[]), Some(20));
    assert_eq!(properties(0, ProtocolVersion::V5, &[]), Some(1));
    assert_eq!(properties(20, ProtocolVersion::V5, &own), Some(7));
    assert_eq!(properties(u16::MAX, ProtocolVersion::V5, &[]), None);
    assert_eq!(properties(20, ProtocolVersion::V311, &[]), None);
}
