//! Messages from the server and their acknowledgement.

use super::support::*;
use crate::error::Error;
use crate::session::*;

/// Receives a message of QoS 1 and returns its ticket.
fn at_least_once(bench: &mut Bench, packet_id: u16) -> AckTicket {
    bench.receive(message("t", "x", 1, packet_id)).unwrap();
    ticket(bench)
}

/// Receives a message of QoS 2 to its delivery.
fn exactly_once(bench: &mut Bench, packet_id: u16) -> AckTicket {
    bench.receive(message("t", "x", 2, packet_id)).unwrap();
    bench.receive(pubrel(packet_id)).unwrap();
    bench.sent();
    ticket(bench)
}

fn ticket(bench: &mut Bench) -> AckTicket {
    let messages = bench.messages();
    assert_eq!(messages.len(), 1);
    messages[0].ticket.unwrap()
}

fn acknowledge(bench: &mut Bench, ticket: AckTicket) -> Vec<u8> {
    bench.session.acknowledge(bench.now, ticket).unwrap();
    bench.sent()
}

fn persistent() -> Bench {
    Bench::connected(|settings| settings.clean_start = false)
}

fn reconnect(bench: &mut Bench, session_present: bool) {
    bench.session.closed(bench.now);
    bench.connect(session_present);
}

#[test]
fn qos_0_is_delivered_without_a_ticket() {
    let mut bench = Bench::connected(|_| {});
    bench.receive(message("t", "x", 0, 0)).unwrap();
    let messages = bench.messages();
    assert_eq!((messages.len(), messages[0].ticket), (1, None));
    assert_eq!(bench.sent(), b"");
}

#[test]
fn qos_1_is_acknowledged_when_the_application_is_done() {
    let mut bench = Bench::connected(|_| {});
    let ticket = at_least_once(&mut bench, 258);
    assert_eq!(bench.sent(), b"");
    assert_eq!(
        (bench.session.unacknowledged(), bench.session.unfinished()),
        (1, 1)
    );
    assert_eq!(acknowledge(&mut bench, ticket), b"\x40\x02\x01\x02");
    assert_eq!(bench.session.unfinished(), 0);
    let twice = bench.session.acknowledge(bench.now, ticket);
    assert!(matches!(twice, Err(Error::InvalidState(_))));
}

#[test]
fn after_its_puback_the_same_identifier_is_a_new_message() {
    let mut bench = Bench::connected(|_| {});
    let first = at_least_once(&mut bench, 1);
    acknowledge(&mut bench, first);
    let second = at_least_once(&mut bench, 1);
    assert!(bench.session.acknowledge(bench.now, first).is_err());
    assert_eq!(acknowledge(&mut bench, second), ack_bytes(0x40, 1));
}

/// [3.1.1/MQTT-4.6.0-2]
#[test]
fn pubacks_leave_in_the_order_of_receipt_whatever_the_order_of_the_application() {
    let mut bench = Bench::connected(|_| {});
    let tickets: Vec<_> = (11..=14).map(|id| at_least_once(&mut bench, id)).collect();
    assert_eq!(acknowledge(&mut bench, tickets[2]), b"");
    assert_eq!(acknowledge(&mut bench, tickets[1]), b"");
    let expected = [ack_bytes(0x40, 11), ack_bytes(0x40, 12), ack_bytes(0x40, 13)];
    assert_eq!(acknowledge(&mut bench, tickets[0]), expected.concat());
    assert_eq!(acknowledge(&mut bench, tickets[3]), ack_bytes(0x40, 14));
}

#[test]
fn a_withheld_message_is_not_acknowledged_and_does_not_block_later_ones() {
    let mut bench = Bench::connected(|_| {});
    let tickets: Vec<_> = (1..=3).map(|id| at_least_once(&mut bench, id)).collect();
    assert_eq!(acknowledge(&mut bench, tickets[1]), b"");
    bench.withhold(tickets[0]);
    assert_eq!(bench.sent(), ack_bytes(0x40, 2));
    assert!(bench.session.acknowledge(bench.now, tickets[0]).is_err());
    assert_eq!(acknowledge(&mut bench, tickets[2]), ack_bytes(0x40, 3));
    assert_eq!(bench.session.unfinished(), 0);
}

#[test]
fn qos_2_is_delivered_at_pubrel_and_completed_when_the_application_is_done() {
    let mut bench = Bench::connected(|_| {});
    bench.receive(message("t", "x", 2, 5)).unwrap();
    assert_eq!(bench.sent(), ack_bytes(0x50, 5));
    assert!(bench.events().is_empty());
    bench.receive(pubrel(5)).unwrap();
    assert_eq!(bench.sent(), b"");
    let ticket = ticket(&mut bench);
    assert_eq!(acknowledge(&mut bench, ticket), ack_bytes(0x70, 5));
    assert!(bench.session.acknowledge(bench.now, ticket).is_err());
    assert_eq!(bench.session.unfinished(), 0);
}

#[test]
fn a_repeated_publish_of_qos_2_gets_pubrec_and_is_delivered_once() {
    let mut bench = Bench::connected(|_| {});
    bench.receive(message("t", "x", 2, 5)).unwrap();
    bench.receive(message("t", "x", 2, 5)).unwrap();
    assert_eq!(bench.sent(), [ack_bytes(0x50, 5), ack_bytes(0x50, 5)].concat());
    bench.receive(pubrel(5)).unwrap();
    let ticket = ticket(&mut bench);
    // Also between delivery and PUBCOMP.
    bench.receive(message("t", "x", 2, 5)).unwrap();
    assert_eq!(bench.sent(), ack_bytes(0x50, 5));
    acknowledge(&mut bench, ticket);
    assert!(bench.messages().is_empty());
}

#[test]
fn a_repeated_pubrel_is_ignored_while_the_application_works_and_completed_after() {
    let mut bench = Bench::connected(|_| {});
    let ticket = exactly_once(&mut bench, 5);
    bench.receive(pubrel(5)).unwrap();
    assert_eq!(bench.sent(), b"");
    assert!(bench.messages().is_empty());
    assert_eq!(acknowledge(&mut bench, ticket), ack_bytes(0x70, 5));
    bench.receive(pubrel(5)).unwrap();
    assert_eq!(bench.sent(), ack_bytes(0x70, 5));
    assert!(bench.messages().is_empty());
}

#[test]
fn an_unknown_pubrel_is_completed() {
    let mut bench = Bench::connected(|_| {});
    bench.receive(pubrel(77)).unwrap();
    assert_eq!(bench.sent(), ack_bytes(0x70, 77));
}

#[test]
fn after_pubcomp_the_same_identifier_is_a_new_message() {
    let mut bench = Bench::connected(|_| {});
    let first = exactly_once(&mut bench, 5);
    acknowledge(&mut bench, first);
    let second = exactly_once(&mut bench, 5);
    assert!(bench.session.acknowledge(bench.now, first).is_err());
    assert_eq!(acknowledge(&mut bench, second), ack_bytes(0x70, 5));
}

#[test]
fn a_ticket_ends_with_its_connection() {
    let mut bench = persistent();
    let old = at_least_once(&mut bench, 1);
    reconnect(&mut bench, true);
    assert!(bench.session.acknowledge(bench.now, old).is_err());
    let new = at_least_once(&mut bench, 1);
    assert!(bench.session.acknowledge(bench.now, old).is_err());
    bench.withhold(old);
    assert_eq!(acknowledge(&mut bench, new), ack_bytes(0x40, 1));
}

/// [3.1.1/MQTT-3.1.2-4] [3.1.1/MQTT-4.3.3-2]
#[test]
fn a_message_of_qos_2_survives_the_connection_between_pubrec_and_pubrel() {
    let mut bench = persistent();
    bench.receive(message("t", "x", 2, 5)).unwrap();
    bench.sent();
    reconnect(&mut bench, true);
    bench.receive(message("t", "x", 2, 5)).unwrap();
    assert_eq!(bench.sent(), ack_bytes(0x50, 5));
    bench.receive(pubrel(5)).unwrap();
    let ticket = ticket(&mut bench);
    assert_eq!(acknowledge(&mut bench, ticket), ack_bytes(0x70, 5));
}

#[test]
fn a_message_of_qos_2_that_was_processed_is_not_delivered_again_on_the_next_connection() {
    let mut bench = persistent();
    let ticket = exactly_once(&mut bench, 5);
    bench.session.closed(bench.now);
    // Too late for that connection, but the session knows now.
    assert!(bench.session.acknowledge(bench.now, ticket).is_err());
    bench.connect(true);
    bench.receive(pubrel(5)).unwrap();
    assert_eq!(bench.sent(), ack_bytes(0x70, 5));
    assert!(bench.messages().is_empty());
    assert_eq!(bench.session.unfinished(), 0);
}

#[test]
fn a_message_of_qos_2_still_in_work_is_completed_on_the_next_connection() {
    let mut bench = persistent();
    let ticket = exactly_once(&mut bench, 5);
    reconnect(&mut bench, true);
    bench.receive(pubrel(5)).unwrap();
    assert_eq!(bench.sent(), b"");
    assert!(bench.messages().is_empty());
    assert!(bench.session.acknowledge(bench.now, ticket).is_err());
    assert_eq!(bench.sent(), ack_bytes(0x70, 5));
    assert_eq!(bench.session.unfinished(), 0);
}

#[test]
fn a_withheld_message_of_qos_2_comes_again_on_the_next_connection_only() {
    let mut bench = persistent();
    let ticket_before = exactly_once(&mut bench, 5);
    bench.withhold(ticket_before);
    assert!(bench.session.acknowledge(bench.now, ticket_before).is_err());
    bench.receive(pubrel(5)).unwrap();
    assert_eq!(bench.sent(), b"");
    assert!(bench.messages().is_empty());
    reconnect(&mut bench, true);
    bench.receive(pubrel(5)).unwrap();
    let ticket = ticket(&mut bench);
    assert_eq!(acknowledge(&mut bench, ticket), ack_bytes(0x70, 5));
}

#[test]
fn a_message_of_qos_2_withheld_after_its_connection_comes_again_with_the_next_pubrel() {
    let mut bench = persistent();
    let ticket_before = exactly_once(&mut bench, 5);
    bench.session.closed(bench.now);
    bench.withhold(ticket_before);
    bench.connect(true);
    bench.receive(pubrel(5)).unwrap();
    let ticket = ticket(&mut bench);
    assert_eq!(acknowledge(&mut bench, ticket), ack_bytes(0x70, 5));
}

/// [3.1.1/MQTT-3.2.2-3]
#[test]
fn identifiers_of_qos_2_mean_nothing_in_a_new_session() {
    let mut bench = persistent();
    bench.receive(message("t", "old", 2, 5)).unwrap();
    reconnect(&mut bench, false);
    assert_eq!(bench.session.unfinished(), 0);
    bench.receive(message("t", "new", 2, 5)).unwrap();
    bench.receive(pubrel(5)).unwrap();
    assert_eq!(bench.messages()[0].publish.payload, "new");
}

#[test]
fn nothing_is_acknowledged_after_disconnect() {
    let mut bench = persistent();
    let one = at_least_once(&mut bench, 1);
    let two = exactly_once(&mut bench, 2);
    bench
        .session
        .disconnect(bench.now, ReasonCode::NORMAL_DISCONNECTION, Properties::new())
        .unwrap();
    bench.sent();
    assert!(bench.session.acknowledge(bench.now, one).is_err());
    assert!(bench.session.acknowledge(bench.now, two).is_err());
    bench.receive(pubrel(9)).unwrap();
    assert_eq!(bench.sent(), b"");
    // Messages that are in the same read still arrive.
    bench.receive(message("t", "x", 1, 3)).unwrap();
    assert_eq!(bench.messages().len(), 1);
    reconnect(&mut bench, true);
    bench.receive(pubrel(2)).unwrap();
    assert_eq!(bench.sent(), ack_bytes(0x70, 2));
}

#[test]
fn a_server_that_sends_without_end_is_stopped_at_the_number_of_identifiers() {
    let mut bench = Bench::connected(|_| {});
    for _ in 0..65_535 {
        bench.receive(message("t", "x", 1, 1)).unwrap();
    }
    let error = bench.receive(message("t", "x", 1, 1)).unwrap_err();
    assert_eq!(error.reason, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
    assert_eq!(bench.session.unacknowledged(), 65_535);
}
