//! From the input to the session: packets are taken apart and handed on.

use std::time::Instant;

use super::driver::Driver;
use super::shared::{Closing, Core};
use crate::codec::{Packet, PacketType};
use crate::error::DecodeError;
use crate::session::Link;

/// At most this many packets are handled under one lock, and so many messages acknowledged together. With 1024 a server
/// whose window is 1000 waits until they are all handed out, and a tenth less is received ..
pub(super) const BATCH: usize = 256;

/// .. or, where they are acknowledgements, this many. They take less time, and those of a window of messages come
/// together: if the messages that take its place leave together, too, so do the next ones. With 256 a window of 1000
/// falls into four parts that go to and fro one by one, and a fifth less is published.
const ACKS: usize = 1024;

/// The types of packets that come in runs.
const PUBLISH: u8 = PacketType::Publish as u8;
const PUBACK: u8 = PacketType::PubAck as u8;
const PUBREL: u8 = PacketType::PubRel as u8;
const PUBCOMP: u8 = PacketType::PubComp as u8;

/// Why the peer's bytes end the connection.
pub(super) enum Failed {
    Decode(DecodeError),
    Session(DecodeError),
}

/// Takes packets off the input, at most `limit`, and feeds the session.
pub(super) fn handle_packets(
    core: &mut Core,
    driver: &mut Driver,
    now: Instant,
    limit: usize,
) -> std::result::Result<bool, Failed> {
    let mut handled = 0;
    while handled < limit.min(BATCH) {
        if core.session.link() == Link::Closed
            || matches!(core.closing.as_deref(), Some(Closing::ByUs { .. }))
        {
            driver.undecoded = false;
            return Ok(handled > 0);
        }
        if core.session.awaits_application() {
            return Ok(handled > 0);
        }
        let run = handle_run(core, driver, now, limit - handled).map_err(Failed::Session)?;
        if run > 0 {
            handled += run;
            continue;
        }
        match driver.input.decode(&mut driver.decoder) {
            Ok(None) => {
                driver.undecoded = false;
                return Ok(handled > 0);
            }
            Ok(Some(packet)) => {
                let pause = matches!(
                    packet,
                    Packet::ConnAck(_) | Packet::Disconnect(_) | Packet::Auth(_)
                );
                core.session.handle_packet(now, packet).map_err(Failed::Session)?;
                handled += 1;
                if pause {
                    // `on_connect` and `on_auth` run before anything that came behind it.
                    return Ok(true);
                }
            }
            Err(error) => return Err(Failed::Decode(error)),
        }
    }
    Ok(true)
}

/// Takes packets of one kind off the input, as long as they are as simple as most are. Returns how many there were.
fn handle_run(
    core: &mut Core,
    driver: &mut Driver,
    now: Instant,
    limit: usize,
) -> std::result::Result<usize, DecodeError> {
    let (input, decoder) = (&mut driver.input, &driver.decoder);
    match input.next_type() {
        PUBLISH => {
            let limit = limit.min(BATCH);
            core.session.handle_messages(now, input.plain_run(decoder), limit)
        }
        PUBREL => {
            let run = std::iter::from_fn(|| match input.next_type() {
                PUBREL => input.decode_short_ack(decoder),
                _ => None,
            });
            let packet_ids = run.map(|ack| ack.packet_id).take(limit.min(ACKS));
            Ok(core.session.handle_releases(now, packet_ids))
        }
        PUBACK..=PUBCOMP => {
            let run = std::iter::from_fn(|| match input.next_type() {
                PUBREL => None,
                _ => input.decode_short_ack(decoder),
            });
            core.session.handle_acks(now, run.take(limit.min(ACKS)))
        }
        _ => Ok(0),
    }
}
