//! Packets that come in runs.

use bytes::Bytes;

use super::support::*;
use crate::codec::{Decoder, ProtocolVersion};
use crate::session::*;

/// What came over one connection.
struct Input {
    decoder: Decoder,
    bytes: Bytes,
    range: std::ops::Range<usize>,
}

impl Input {
    /// `packets` behind one with the same Topic Name, which is known then.
    fn new(packets: &[Vec<u8>]) -> Self {
        let bytes = Bytes::from([publish_bytes(0, "t", 0, "first"), packets.concat()].concat());
        let mut range = 0..bytes.len();
        let mut decoder = Decoder::new(ProtocolVersion::V311);
        decoder.decode_part(&bytes, &mut range).unwrap();
        Self {
            decoder,
            bytes,
            range,
        }
    }

    fn run(&mut self, bench: &mut Bench, limit: usize) -> Result<usize, DecodeError> {
        let run = self.decoder.plain_run(&self.bytes, &mut self.range);
        bench.session.handle_messages(bench.now, run, limit)
    }
}

/// The payloads and tickets of the messages in runs.
fn handed_out(bench: &mut Bench) -> Vec<(String, Option<AckTicket>)> {
    let mut messages = Vec::new();
    for event in bench.events() {
        let Event::Messages(mut run) = event else {
            panic!("{event:?}");
        };
        while !run.is_empty() {
            let (packet, buffer, start, ticket) = run.next().unwrap();
            assert_eq!(packet.topic, b"t");
            let payload = &buffer[start..][packet.payload()];
            messages.push((String::from_utf8_lossy(payload).into(), ticket));
        }
        assert!(run.next().is_none());
    }
    messages
}

#[test]
fn messages_are_handed_out_and_acknowledged_together() {
    let mut bench = Bench::connected(|_| {});
    let before = at_least_once(&mut bench, 5);
    let mut input = Input::new(&[
        publish_bytes(0, "t", 0, "a"),
        publish_bytes(0b0010, "t", 7, "b"),
        publish_bytes(0b1010, "t", 9, "c"),
        publish_bytes(0, "t", 0, "d"),
    ]);
    let received = bench.session.counters();
    assert_eq!(input.run(&mut bench, 3).unwrap(), 3);
    assert_eq!(input.run(&mut bench, 3).unwrap(), 1);
    let messages = handed_out(&mut bench);
    let payloads: Vec<_> = messages.iter().map(|(payload, _)| payload.as_str()).collect();
    assert_eq!(payloads, ["a", "b", "c", "d"]);
    let counters = bench.session.counters();
    assert_eq!(counters.packets_received - received.packets_received, 4);
    assert_eq!(counters.messages_received, [2, 3, 0]);
    // In the order of receipt, whatever the order of the tickets; once more does nothing.
    let tickets: Vec<_> = messages.iter().filter_map(|(_, ticket)| *ticket).collect();
    let [first, second] = tickets[..] else {
        panic!("{tickets:?}");
    };
    let tickets = [second, first, first, before];
    bench.session.acknowledge_all(tickets.into_iter());
    let expected = [5, 7, 9].map(|packet_id| ack_bytes(0x40, packet_id));
    assert_eq!(bench.sent(), expected.concat());
    assert_eq!(bench.session.unacknowledged(), 0);
}

/// PUBREL for each of them.
fn release(bench: &mut Bench, packet_ids: impl Iterator<Item = u16>) {
    let count = packet_ids.size_hint().0;
    assert_eq!(
        bench.session.handle_releases(bench.now, packet_ids.map(id)),
        count
    );
}

#[test]
fn messages_of_qos_2_are_kept_and_released_together() {
    let mut bench = Bench::connected(|_| {});
    let mut input = Input::new(&[
        publish_bytes(0b0100, "t", 8, "a"),
        publish_bytes(0b0100, "t", 9, ""),
        publish_bytes(0b1100, "t", 8, "again"),
        publish_bytes(0b0010, "t", 7, "b"),
    ]);
    assert_eq!(input.run(&mut bench, 10).unwrap(), 3);
    assert_eq!(
        bench.sent(),
        [8, 9, 8].map(|packet_id| ack_bytes(0x50, packet_id)).concat()
    );
    assert_eq!(input.run(&mut bench, 10).unwrap(), 1);
    release(&mut bench, [9, 8, 9].into_iter());
    let messages = handed_out(&mut bench);
    let payloads: Vec<_> = messages.iter().map(|(payload, _)| payload.as_str()).collect();
    assert_eq!(payloads, ["b", "", "a"]);
    assert_eq!(bench.session.counters().messages_received, [0, 1, 2]);
    assert_eq!(bench.sent(), b"");
    let tickets = messages.iter().rev().filter_map(|(_, ticket)| *ticket);
    bench.session.acknowledge_all(tickets);
    let expected = [ack_bytes(0x70, 8), ack_bytes(0x70, 9), ack_bytes(0x40, 7)];
    assert_eq!(bench.sent(), expected.concat());
    assert_eq!(bench.session.unacknowledged(), 0);
}

#[test]
fn messages_that_were_kept_in_another_way_are_released_in_their_turn() {
    let mut bench = Bench::connected(|_| {});
    let plain = |id, text| publish_bytes(0b0100, "t", id, text);
    let mut input = Input::new(&[plain(1, "a"), plain(2, "b")]);
    assert_eq!(input.run(&mut bench, 10).unwrap(), 2);
    bench.receive(message("t", "c", 2, 3)).unwrap();
    let mut input = Input::new(&[plain(4, "d"), plain(5, "e")]);
    assert_eq!(input.run(&mut bench, 10).unwrap(), 2);
    bench.sent();
    // 9 was never sent: its exchange ends at once.
    release(&mut bench, [1, 2, 3, 9, 4, 5].into_iter());
    assert_eq!(bench.sent(), ack_bytes(0x70, 9));
    let mut order = Vec::new();
    let mut tickets = Vec::new();
    for event in bench.events() {
        match event {
            Event::Message(received) => {
                order.push(String::from_utf8_lossy(&received.publish.payload).into_owned());
                tickets.extend(received.ticket);
            }
            Event::Messages(mut run) => {
                while let Some((packet, buffer, start, ticket)) = run.next() {
                    order.push(String::from_utf8_lossy(&buffer[start..][packet.payload()]).into_owned());
                    tickets.extend(ticket);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(order, ["a", "b", "c", "d", "e"]);
    bench.session.acknowledge_all(tickets.into_iter());
    let expected = (1..=5).map(|packet_id| ack_bytes(0x70, packet_id));
    assert_eq!(bench.sent(), expected.collect::<Vec<_>>().concat());
    assert_eq!(bench.session.unacknowledged(), 0);
}

#[test]
fn a_kept_message_outlives_connections_and_a_stream_of_others() {
    let mut bench = Bench::connected(|settings| settings.clean_start = false);
    let stays = publish_bytes(0b0100, "t", 60_000, "stays");
    assert_eq!(Input::new(&[stays]).run(&mut bench, 1).unwrap(), 1);
    let payload = "x".repeat(100);
    for _ in 0..20 {
        let packets: Vec<_> = (1..=100)
            .map(|id| publish_bytes(0b0100, "t", id, &payload))
            .collect();
        assert_eq!(Input::new(&packets).run(&mut bench, 100).unwrap(), 100);
        release(&mut bench, 1..=100);
        let messages = handed_out(&mut bench);
        assert!(messages.iter().all(|(text, _)| *text == payload));
        bench
            .session
            .acknowledge_all(messages.iter().filter_map(|(_, ticket)| *ticket));
    }
    bench.session.closed(bench.now);
    bench.connect(true);
    assert_eq!(bench.session.unacknowledged(), 1);
    release(&mut bench, std::iter::once(60_000));
    let messages = handed_out(&mut bench);
    assert_eq!(messages[0].0, "stays");
    // The application fails on it: it comes again.
    bench.withhold_message(messages[0].1.unwrap(), "stays");
    bench.session.closed(bench.now);
    bench.connect(true);
    release(&mut bench, std::iter::once(60_000));
    assert_eq!(bench.messages()[0].publish.payload, "stays");
}

#[test]
fn what_is_kept_in_packets_has_the_same_bound() {
    let packets = [(1, "12345"), (2, "6789"), (3, "0")];
    let packets = packets.map(|(packet_id, payload)| publish_bytes(0b0100, "t", packet_id, payload));
    for (max_messages, max_bytes, reason) in [
        (2, 100, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED),
        (9, 12, ReasonCode::QUOTA_EXCEEDED),
    ] {
        let mut bench = Bench::connected(|settings| {
            settings.incoming_limit = IncomingLimit {
                max_messages,
                max_bytes,
            };
        });
        let error = Input::new(&packets).run(&mut bench, 3).unwrap_err();
        assert_eq!(error.reason, reason);
        // Two of them fit, of 6 and 5 bytes with their topics.
        assert_eq!(bench.session.unacknowledged(), 2);
        release(&mut bench, 1..=1);
        assert_eq!(Input::new(&packets[2..]).run(&mut bench, 1).unwrap(), 1);
    }
}

#[test]
fn before_a_message_that_is_one_too_many_the_others_are_handed_out() {
    let mut bench = Bench::connected(|_| {});
    for _ in 0..65_533 {
        bench.receive(message("t", "x", 1, 1)).unwrap();
    }
    bench.events();
    let mut input = Input::new(&["a", "b", "c", "d"].map(|payload| publish_bytes(0b0010, "t", 2, payload)));
    let error = input.run(&mut bench, 4).unwrap_err();
    assert_eq!(error.reason, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
    let messages = handed_out(&mut bench);
    assert_eq!(messages.len(), 2);
    assert_eq!((&*messages[0].0, &*messages[1].0), ("a", "b"));
}

#[test]
fn there_is_no_run_where_each_packet_is_logged_or_without_a_connection() {
    let mut input = Input::new(&[publish_bytes(0, "t", 0, "a")]);
    let mut bench = Bench::connected(|settings| settings.trace = true);
    assert_eq!(input.run(&mut bench, 1).unwrap(), 0);
    let mut bench = Bench::new(|_| {});
    assert_eq!(input.run(&mut bench, 1).unwrap(), 0);
    let mut bench = Bench::connected(|_| {});
    assert_eq!(input.run(&mut bench, 1).unwrap(), 1);
}

/// Receives a message of QoS 1 and returns its ticket.
fn at_least_once(bench: &mut Bench, packet_id: u16) -> AckTicket {
    bench.receive(message("t", "x", 1, packet_id)).unwrap();
    bench.messages()[0].ticket.unwrap()
}
