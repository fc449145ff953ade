//! Enhanced authentication: what a CONNACK does before it is verified, and whose turn it is.

use std::time::Duration;

use super::support::*;
use crate::codec::{Auth, ConnAck, Packet, Property, ProtocolVersion};
use crate::session::*;

fn settings(settings: &mut Settings) {
    settings.version = ProtocolVersion::V5;
    settings.authentication = Some(Box::new(AuthStart {
        method: "M".to_owned(),
        data: Some(AuthData("d".into())),
    }));
}

fn method() -> Properties {
    Properties::new().with(Property::AuthenticationMethod("M".to_owned()))
}

fn auth(reason: u8) -> Packet {
    Packet::Auth(Auth {
        reason: ReasonCode::new(reason),
        properties: method(),
    })
}

fn connected() -> Bench {
    let mut bench = Bench::new(settings);
    bench.session.open(bench.now);
    bench.sent();
    bench.connack(false, ReasonCode::SUCCESS, method()).unwrap();
    bench.session.auth_accept(bench.now).unwrap();
    bench.events();
    bench.session.release(bench.now);
    bench
}

/// A CONNACK that is not verified changes nothing: not the client id, not what was under way, not the timers.
#[test]
fn a_connack_takes_effect_when_it_is_verified() {
    let mut bench = connected();
    bench.session.settings.on_session_lost = OnSessionLost::Discard;
    let (_, track) = bench.tracked("t", "x", 1);
    bench.sent();
    bench.session.closed(bench.now);
    bench.session.open(bench.now);
    bench.sent();
    let properties = method().with(Property::AssignedClientIdentifier("other".to_owned()));
    bench.connack(false, ReasonCode::SUCCESS, properties).unwrap();
    assert!(bench.session.awaits_application());
    assert_eq!(bench.session.link(), Link::Connecting);
    assert_eq!(bench.session.settings.client_id, "c");
    assert_eq!(track.heard(), [Heard::Sent]);
    let deadline = bench.now + Duration::from_secs(10);
    assert_eq!(bench.session.poll_timeout(), Some(deadline));
    assert!(matches!(&bench.events()[..], [Event::Auth { .. }]));
    // No second one, and no answer to it.
    assert!(bench.session.auth_answer(bench.now, None).is_err());
    bench.session.auth_accept(bench.now).unwrap();
    assert_eq!(bench.session.link(), Link::Settling);
    assert_eq!(bench.session.settings.client_id, "other");
    assert_eq!(
        track.heard(),
        [Heard::Sent, Heard::Dropped(DropReason::SessionLost)]
    );
    assert!(matches!(&bench.events()[..], [Event::ConnAck { .. }]));
    assert!(!bench.session.awaits_application());
}

/// A CONNACK in the place of an answer, two of them, and AUTH while ours is due: protocol errors.
///
/// [5.0/MQTT-3.2.0-2] [5.0/MQTT-4.12.0-2]
#[test]
fn a_server_that_does_not_wait_for_its_turn_breaks_the_protocol() {
    let accepts = || {
        Packet::ConnAck(ConnAck {
            session_present: false,
            reason: ReasonCode::SUCCESS,
            properties: method(),
        })
    };
    for (first, second) in [
        (auth(0x18), auth(0x18)),
        (auth(0x18), accepts()),
        (accepts(), accepts()),
        (accepts(), auth(0x18)),
        (accepts(), Packet::PingResp),
    ] {
        let mut bench = Bench::new(settings);
        bench.session.open(bench.now);
        bench.receive(first).unwrap();
        let error = bench.receive(second).unwrap_err();
        assert_eq!(error.reason, ReasonCode::PROTOCOL_ERROR);
    }
}

/// What the application acknowledges late, and what it says before the CONNACK, waits.
///
/// [5.0/MQTT-3.1.2-30]
#[test]
fn only_auth_and_disconnect_leave_before_the_connack() {
    let mut bench = connected();
    bench.session.settings.clean_start = false;
    bench.receive(message("t", "x", 2, 7)).unwrap();
    bench.receive(pubrel(7)).unwrap();
    let ticket = bench.messages().pop().unwrap().ticket.unwrap();
    bench.sent();
    bench.session.closed(bench.now);
    bench.session.open(bench.now);
    bench.sent();
    assert!(bench.session.acknowledge(bench.now, ticket).is_err());
    bench.tracked("t", "0", 0);
    bench.tracked("t", "1", 1);
    bench.subscribe(&[("f", 1)]);
    bench
        .session
        .ping_while_busy(bench.now + Duration::from_secs(100));
    assert_eq!(bench.sent(), b"");
    bench.receive(auth(0x18)).unwrap();
    bench.session.auth_answer(bench.now, None).unwrap();
    assert_eq!(bench.sent(), b"\xf0\x06\x18\x04\x15\x00\x01M");
    bench
        .session
        .disconnect(bench.now, ReasonCode::NORMAL_DISCONNECTION, Properties::new())
        .unwrap();
    assert_eq!(bench.sent(), b"\xe0\x00");
    // After our DISCONNECT nothing is answered.
    bench.receive(auth(0x18)).unwrap();
    assert!(!bench.session.awaits_application());
}

/// One re-authentication at a time, with its own deadline; without a method there is none.
///
/// [5.0/MQTT-4.12.0-7] [5.0/MQTT-4.12.1-1]
#[test]
fn a_reauthentication_has_a_deadline_of_its_own() {
    let mut bench = connected();
    bench.session.reauthenticate(bench.now, None).unwrap();
    assert_eq!(bench.sent(), b"\xf0\x06\x19\x04\x15\x00\x01M");
    assert!(bench.session.reauthenticate(bench.now, None).is_err());
    let deadline = bench.now + Duration::from_secs(10);
    assert_eq!(bench.session.poll_timeout(), Some(deadline));
    assert_eq!(
        bench.session.handle_timeout(deadline - Duration::from_secs(1)),
        Ok(())
    );
    // A step does not extend it.
    bench.receive(auth(0x18)).unwrap();
    bench
        .session
        .auth_answer(deadline - Duration::from_secs(1), None)
        .unwrap();
    assert_eq!(bench.session.handle_timeout(deadline), Err(TimedOut::Auth));
    let mut bench = connected();
    bench.session.reauthenticate(bench.now, None).unwrap();
    // The short form of success.
    let short = Packet::Auth(Auth {
        reason: ReasonCode::SUCCESS,
        properties: Properties::new(),
    });
    bench.receive(short).unwrap();
    bench.session.auth_accept(bench.now).unwrap();
    let next = bench.now + Duration::from_secs(60);
    assert_eq!(bench.session.poll_timeout(), Some(next));
    let mut bench = Bench::connected(|settings| settings.version = ProtocolVersion::V5);
    assert!(bench.session.reauthenticate(bench.now, None).is_err());
    assert_eq!(bench.sent(), b"");
}

/// AUTH obeys the server's Maximum Packet Size.
///
/// [5.0/MQTT-3.2.2-15]
#[test]
fn an_auth_that_is_too_large_for_the_server_is_not_sent() {
    let mut bench = Bench::new(settings);
    bench.session.open(bench.now);
    bench.sent();
    let properties = method().with(Property::MaximumPacketSize(20));
    bench.connack(false, ReasonCode::SUCCESS, properties).unwrap();
    bench.session.auth_accept(bench.now).unwrap();
    let data = |size: usize| Some(AuthData(vec![b'x'; size].into()));
    let refused = bench.session.reauthenticate(bench.now, data(10));
    assert!(matches!(refused, Err(Error::NotAllowed(_))), "{refused:?}");
    assert_eq!(bench.sent(), b"");
    // None is under way.
    bench.session.reauthenticate(bench.now, data(9)).unwrap();
    assert_eq!(bench.sent().len(), 20);
}

#[test]
fn nothing_of_it_is_printed() {
    let mut bench = Bench::new(|all| {
        settings(all);
        all.authentication.as_mut().unwrap().data = Some(AuthData("hush".into()));
    });
    bench.session.open(bench.now);
    let properties = method().with(Property::AuthenticationData("quiet".into()));
    bench.connack(false, ReasonCode::SUCCESS, properties).unwrap();
    let printed =
        format!("{:?} {:?}", bench.session, bench.session.settings) + &format!("{:?}", bench.events());
    assert!(
        !printed.contains("hush") && !printed.contains("quiet"),
        "{printed}"
    );
}
