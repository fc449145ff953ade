//! Input that is not MQTT: the broker parts from its sender and serves the others.

use callmq::testing::Broker;
use proptest::prelude::*;

use crate::peer::*;

#[test]
fn malformed_packets_end_the_connection_with_the_reason() {
    for (bytes, reason) in [
        (&b"\x00\x00"[..], 0x81),            // reserved packet type
        (b"\x80\x00", 0x81),                 // SUBSCRIBE with wrong flags
        (b"\x36\x00", 0x81),                 // QoS 3
        (b"\x30\xFF\xFF\xFF\xFF\x01", 0x81), // Remaining Length of five bytes
        (b"\x30\x01\x00", 0x81),             // a topic without its length
        (b"\x40\x01\x00", 0x81),             // half an identifier
        (b"\x20\x00", 0x81),                 // CONNACK without anything
        (b"\xD0\x00", 0x82),                 // PINGRESP to a server
    ] {
        each_version(|broker, level| {
            let mut peer = Peer::connect(broker, level, "wrong");
            let mut other = Peer::connect(broker, level, "other");
            peer.send(bytes);
            peer.expect_parting(reason);
            other.expect_nothing();
            broker
                .wait_for(PATIENCE, |broker| broker.connected_clients() == ["other"])
                .unwrap();
        });
    }
}

#[test]
fn what_follows_the_end_is_not_handled() {
    each_version(|broker, level| {
        let mut peer = Peer::connect(broker, level, "late");
        let bytes = [b"\xE0\x00".to_vec(), publish(level, 1, "t", 0, "too late")];
        peer.send(&bytes.concat());
        peer.expect_end();
        assert!(broker.published().is_empty());
    });
}

/// Bytes from fragments that look like MQTT, so that they get past the first check.
fn almost_mqtt() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        (3u8..=5, any::<u8>()).prop_map(|(level, flags)| connect(
            level,
            "x",
            flags,
            1,
            &[],
            &text("w").repeat(4)
        )),
        Just(connect(5, "x", CLEAN, 1, &[], &[])),
        Just(connect(4, "x", 0, 1, &[], &[])),
        (any::<u8>(), any::<u16>()).prop_map(|(flags, id)| publish(4, flags & 0xF, "t", id, "x")),
        (any::<u8>(), any::<u16>()).prop_map(|(flags, id)| publish(5, flags & 0xF, "t", id, "x")),
        (any::<u8>(), any::<u16>()).prop_map(|(first, id)| ack(first, id)),
        any::<u8>().prop_map(|options| subscribe(5, 1, &[("#", options)])),
        any::<u8>().prop_map(|options| subscribe(4, 1, &[("$share/g/t", options)])),
        Just(unsubscribe(4, 1, "#")),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(fragment, 0..12).prop_map(|fragments| fragments.concat())
}

proptest! {
    #[test]
    fn no_input_breaks_the_broker(inputs in proptest::collection::vec(almost_mqtt(), 1..6)) {
        let broker = Broker::new();
        let mut watcher = Peer::connect(&broker, 5, "watcher");
        for input in &inputs {
            let stream = broker.open().unwrap();
            let mut rest = &input[..];
            while !rest.is_empty() {
                let piece = rest.len().min(7);
                match stream.write(&rest[..piece]) {
                    Ok(count) => rest = &rest[count..],
                    Err(_) => break,
                }
            }
            while matches!(stream.read(&mut [0; 100]), Ok(1..)) {}
        }
        // The others do not notice.
        watcher.expect_nothing();
        prop_assert!(broker.connected_clients().contains(&"watcher".to_owned()));
    }
}
