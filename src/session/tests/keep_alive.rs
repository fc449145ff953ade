//! Deadlines: CONNACK, PINGREQ, PINGRESP.

use std::time::Duration;

use super::support::*;
use crate::codec::{Packet, ProtocolVersion};
use crate::session::*;

const SECOND: Duration = Duration::from_secs(1);
const PINGREQ: &[u8] = b"\xc0\x00";

/// Moves the time to the session's next deadline and lets it act; returns how long that took.
fn next_deadline(bench: &mut Bench) -> (Duration, Result<(), TimedOut>) {
    let deadline = bench.session.poll_timeout().expect("a deadline");
    let wait = deadline - bench.now;
    // Just before it nothing happens.
    if wait > Duration::from_nanos(1) {
        let before = deadline - Duration::from_nanos(1);
        assert_eq!(bench.session.handle_timeout(before), Ok(()));
        assert_eq!(bench.take_unwritten(), b"");
    }
    bench.now = deadline;
    (wait, bench.session.handle_timeout(deadline))
}

#[test]
fn the_connack_has_a_deadline_of_its_own() {
    let mut bench = Bench::new(|settings| settings.keep_alive = 5);
    assert_eq!(bench.session.poll_timeout(), None);
    bench.session.open(bench.now);
    bench.sent();
    bench.session.received_bytes(bench.now + SECOND, 1);
    assert_eq!(next_deadline(&mut bench), (10 * SECOND, Err(TimedOut::ConnAck)));
}

/// [3.1.1/MQTT-3.1.2-23] [5.0/MQTT-3.1.2-20]
#[test]
fn a_silent_connection_is_pinged_after_the_keep_alive_and_again_after_the_answer() {
    let mut bench = Bench::connected(|_| {});
    for _ in 0..3 {
        assert_eq!(next_deadline(&mut bench), (60 * SECOND, Ok(())));
        assert_eq!(bench.sent(), PINGREQ);
        bench.session.received_bytes(bench.now, 2);
        bench.receive(Packet::PingResp).unwrap();
    }
}

#[test]
fn a_connection_that_only_sends_is_pinged() {
    let mut bench = Bench::connected(|_| {});
    for _ in 0..5 {
        bench.after(10 * SECOND).publish("t", "x", 0).unwrap();
        bench.sent();
    }
    assert_eq!(next_deadline(&mut bench), (10 * SECOND, Ok(())));
    assert_eq!(bench.sent(), PINGREQ);
}

/// [3.1.1/MQTT-3.1.2-23] [5.0/MQTT-3.1.2-20]
#[test]
fn a_connection_that_only_receives_is_pinged() {
    let mut bench = Bench::connected(|_| {});
    for _ in 0..5 {
        let now = bench.after(10 * SECOND).now;
        bench.session.received_bytes(now, 1);
    }
    assert_eq!(next_deadline(&mut bench), (10 * SECOND, Ok(())));
    assert_eq!(bench.sent(), PINGREQ);
}

#[test]
fn traffic_in_both_directions_puts_the_ping_off_and_part_of_a_packet_counts() {
    let mut bench = Bench::connected(|_| {});
    bench.after(40 * SECOND);
    bench.session.received_bytes(bench.now, 1);
    bench.publish("t", "x", 0).unwrap();
    let packet = bench.take_unwritten();
    bench.session.wrote(bench.now, packet.len() - 1);
    assert_eq!(next_deadline(&mut bench).0, 60 * SECOND);
}

/// [3.1.1/MQTT-3.12.4-1] [5.0/MQTT-3.12.4-1]
#[test]
fn no_second_ping_while_one_is_outstanding_and_no_answer_is_an_error() {
    let mut bench = Bench::connected(|_| {});
    next_deadline(&mut bench).1.unwrap();
    bench.sent();
    assert_eq!(next_deadline(&mut bench), (60 * SECOND, Err(TimedOut::PingResp)));
    assert_eq!(bench.sent(), b"");
}

#[test]
fn the_answer_may_take_longer_while_bytes_arrive() {
    let mut bench = Bench::connected(|settings| settings.ping_timeout = Some(7 * SECOND));
    next_deadline(&mut bench).1.unwrap();
    bench.sent();
    bench.session.received_bytes(bench.now + 3 * SECOND, 1);
    assert_eq!(next_deadline(&mut bench), (10 * SECOND, Err(TimedOut::PingResp)));
}

/// A PINGRESP may be behind a long message, which takes longer than the Keep Alive to arrive: the server still has to hear
/// of us.
///
/// [3.1.1/MQTT-3.1.2-23] [5.0/MQTT-3.1.2-20]
#[test]
fn the_server_hears_of_us_also_while_the_answer_takes_its_time() {
    for version in [ProtocolVersion::V311, ProtocolVersion::V5] {
        let mut bench = Bench::connected(|settings| settings.version = version);
        next_deadline(&mut bench).1.unwrap();
        assert_eq!(bench.sent(), PINGREQ);
        for _ in 0..3 {
            // The message arrives, a little each second, and the socket takes what we send.
            for _ in 0..59 {
                let now = bench.after(SECOND).now;
                bench.session.received_bytes(now, 1);
                bench.session.handle_timeout(now).unwrap();
                assert_eq!(bench.sent(), b"");
            }
            let now = bench.after(SECOND).now;
            bench.session.handle_timeout(now).unwrap();
            assert_eq!(bench.sent(), PINGREQ);
        }
        // Other packets do as well; then silence ends it.
        bench.after(SECOND);
        bench.session.received_bytes(bench.now, 1);
        bench.publish("t", "x", 0).unwrap();
        bench.sent();
        assert_eq!(next_deadline(&mut bench), (60 * SECOND, Err(TimedOut::PingResp)));
        assert_eq!(bench.sent(), b"");
    }
}

/// One PINGREQ is enough where the socket takes nothing; and a long time for the answer is no licence for silence.
#[test]
fn a_ping_that_waits_for_the_socket_is_not_repeated_at_once() {
    let mut bench = Bench::connected(|settings| settings.ping_timeout = Some(200 * SECOND));
    for _ in 0..4 {
        assert_eq!(next_deadline(&mut bench), (60 * SECOND, Ok(())));
        assert_eq!(bench.take_unwritten(), PINGREQ);
    }
    assert_eq!(next_deadline(&mut bench), (20 * SECOND, Err(TimedOut::PingResp)));
}

#[test]
fn a_keep_alive_of_zero_means_no_pings() {
    let bench = Bench::connected(|settings| settings.keep_alive = 0);
    assert_eq!(bench.session.poll_timeout(), None);
}

#[test]
fn there_are_no_deadlines_once_the_connection_is_being_closed() {
    let mut bench = Bench::connected(|_| {});
    let reason = ReasonCode::NORMAL_DISCONNECTION;
    bench
        .session
        .disconnect(bench.now, reason, Properties::new())
        .unwrap();
    assert_eq!(bench.session.poll_timeout(), None);
    bench.session.closed(bench.now);
    assert_eq!(bench.session.poll_timeout(), None);
}

#[test]
fn a_ping_of_the_server_is_answered() {
    let mut bench = Bench::connected(|_| {});
    bench.receive(Packet::PingReq).unwrap();
    assert_eq!(bench.sent(), b"\xd0\x00");
}

#[test]
fn an_answer_without_a_question_is_ignored() {
    let mut bench = Bench::connected(|_| {});
    bench.receive(Packet::PingResp).unwrap();
    assert_eq!(next_deadline(&mut bench), (60 * SECOND, Ok(())));
}

#[test]
fn a_ping_that_is_not_written_yet_is_not_asked_for_twice() {
    let mut bench = Bench::connected(|_| {});
    assert_eq!(next_deadline(&mut bench).1, Ok(()));
    // Whoever looks after slow callbacks may come between the PINGREQ and its write.
    bench.session.ping_while_busy(bench.now);
    assert_eq!(bench.sent(), PINGREQ);
    bench.after(60 * SECOND);
    bench.session.ping_while_busy(bench.now);
    assert_eq!(bench.sent(), PINGREQ);
}
