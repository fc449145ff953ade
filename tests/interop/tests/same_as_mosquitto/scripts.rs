//! What both brokers are told.

use crate::Talk;
use crate::packets::{
    CLEAN, DUP, KEPT, PLAIN, PUBACK, PUBCOMP, PUBREC, PUBREL, Packets, RETAIN, V5, V311, ack, framed,
};

/// Makes requests, with packets of one version.
pub type Script = fn(&mut Talk, Packets);

pub type Versions = &'static [Packets];
const BOTH: Versions = &[V311, V5];
/// Those whose bytes are of a version of their own.
const ONCE: Versions = &[V311];

/// What is played, in which versions, by its title.
pub const SCRIPTS: &[(&str, Versions, Script)] = &[
    ("QoS of subscriptions and messages", BOTH, |talk, p| {
        talk.open("sub", &p.connect("sub", CLEAN));
        talk.send("sub", &p.subscribe(1, &[("t/0", 0), ("t/1", 1), ("t/2", 2)]));
        talk.open("pub", &p.connect("pub", CLEAN));
        for topic in ["t/0", "t/1", "t/2"] {
            talk.send("pub", &p.publish(topic, "zero", 0, 0, PLAIN));
            talk.send("pub", &p.publish(topic, "one", 1, 7, PLAIN));
            talk.send("pub", &p.publish(topic, "two", 2, 8, PLAIN));
            talk.send("pub", &ack(PUBREL, 8));
        }
        // Of QoS 1: "one" to t/1, "one" and "two" to it and to t/2.
        talk.send("sub", &ack(PUBACK, 1));
        talk.send("sub", &ack(PUBACK, 2));
        talk.send("sub", &ack(PUBACK, 3));
        talk.send("sub", &ack(PUBREC, 4));
        talk.send("sub", &ack(PUBCOMP, 4));
        talk.send("sub", b"\xe0\x00");
    }),
    ("a message of QoS 2 that is sent twice", BOTH, |talk, p| {
        talk.open("a", &p.connect("a", CLEAN));
        talk.send("a", &p.subscribe(1, &[("t", 0)]));
        talk.send("a", &p.publish("t", "x", 2, 5, PLAIN));
        talk.send("a", &p.publish("t", "x", 2, 5, DUP));
        talk.send("a", &ack(PUBREL, 5));
        talk.send("a", &ack(PUBREL, 5));
    }),
    ("wildcards", BOTH, |talk, p| {
        talk.open("a", &p.connect("a", CLEAN));
        talk.send("a", &p.subscribe(1, &[("a/+/c", 0), ("b/#", 1), ("+", 0)]));
        for topic in ["a/b/c", "a//c", "a/b/d", "b", "b/c/d", "/b", "c", "$x"] {
            talk.send("a", &p.publish(topic, "x", 0, 0, PLAIN));
        }
        talk.send("a", &p.unsubscribe(2, &["b/#", "never"]));
        talk.send("a", &p.publish("b/c", "x", 0, 0, PLAIN));
    }),
    ("two subscriptions that match", BOTH, |talk, p| {
        talk.open("a", &p.connect("a", CLEAN));
        talk.send("a", &p.subscribe(1, &[("t/#", 0), ("t/+", 1)]));
        talk.send("a", &p.subscribe(2, &[("t/+", 0)]));
        talk.send("a", &p.publish("t/x", "x", 1, 9, PLAIN));
    }),
    ("retained messages", BOTH, |talk, p| {
        talk.open("a", &p.connect("a", CLEAN));
        talk.send("a", &p.publish("t/1", "old", 0, 0, RETAIN));
        talk.send("a", &p.publish("t/1", "new", 1, 3, RETAIN));
        talk.send("a", &p.subscribe(1, &[("t/+", 1)]));
        talk.send("a", &p.publish("t/1", "newer", 0, 0, RETAIN));
        talk.send("a", &p.subscribe(2, &[("t/+", 0)]));
        talk.send("a", &p.publish("t/1", "", 0, 0, RETAIN));
        talk.send("a", &p.subscribe(3, &[("t/+", 0)]));
    }),
    ("a session that outlives its connection", BOTH, |talk, p| {
        talk.open("a", &p.connect("a", KEPT));
        talk.send("a", &p.subscribe(1, &[("t", 2)]));
        talk.open("b", &p.connect("b", CLEAN));
        talk.send("b", &p.publish("t", "unanswered", 1, 1, PLAIN));
        talk.send("b", &p.publish("t", "half", 2, 2, PLAIN));
        talk.send("b", &ack(PUBREL, 2));
        talk.send("a", &ack(PUBREC, 2));
        talk.cut("a");
        talk.send("b", &p.publish("t", "meanwhile", 1, 3, PLAIN));
        talk.send("b", &p.publish("t", "not kept", 0, 0, PLAIN));
        talk.open("a", &p.connect("a", KEPT));
        talk.send("a", &ack(PUBACK, 1));
        talk.send("a", &ack(PUBCOMP, 2));
        talk.send("a", &ack(PUBACK, 3));
        talk.send("a", b"\xe0\x00");
        talk.open("a", &p.connect("a", CLEAN));
        talk.send("b", &p.publish("t", "nobody", 1, 4, PLAIN));
    }),
    ("a Will", BOTH, |talk, p| {
        talk.open("a", &p.connect("a", CLEAN));
        talk.send("a", &p.subscribe(1, &[("will", 1)]));
        talk.open("b", &p.connect_with_will("b", "will", "gone"));
        talk.cut("b");
        talk.open("b", &p.connect_with_will("b", "will", "gone"));
        talk.send("b", b"\xe0\x00");
        talk.send("a", &p.subscribe(2, &[("will", 0)]));
    }),
    ("a client that takes over", BOTH, |talk, p| {
        talk.open("first", &p.connect("twin", CLEAN));
        talk.open("second", &p.connect("twin", CLEAN));
        talk.send("first", b"");
    }),
    ("MQTT 3.1", ONCE, |talk, p| {
        talk.open("a", b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01a");
        talk.send("a", &p.subscribe(1, &[("t", 1)]));
        talk.send("a", &p.publish("t", "x", 1, 1, PLAIN));
        talk.send("a", &ack(PUBACK, 1));
    }),
    ("no client identifier", BOTH, |talk, p| {
        talk.open("clean", &p.connect("", CLEAN));
        talk.open("kept", &p.connect("", KEPT));
    }),
    ("an unknown version", ONCE, |talk, _| {
        talk.open("a", b"\x10\x0d\x00\x04MQTT\x09\x02\x00\x3c\x00\x01a");
    }),
    (
        "shared subscriptions and the broker's own topics",
        BOTH,
        |talk, p| {
            talk.open("a", &p.connect("a", CLEAN));
            talk.open("b", &p.connect("b", CLEAN));
            talk.send("a", &p.subscribe(1, &[("$share/g/t", 0)]));
            talk.send("b", &p.subscribe(1, &[("$share/g/t", 0)]));
            talk.send("b", &p.publish("t", "1", 0, 0, PLAIN));
            talk.send("b", &p.publish("t", "2", 0, 0, PLAIN));
            talk.send("b", &p.publish("t", "3", 0, 0, PLAIN));
            talk.send("a", &p.unsubscribe(2, &["$share/g/t"]));
            talk.send("b", &p.publish("t", "4", 0, 0, PLAIN));
            talk.send("a", &p.subscribe(3, &[("#", 0)]));
        },
    ),
    ("packets that break the rules", ONCE, |talk, p| {
        for packet in [
            &b"\x30\x03\x00\x01+"[..],                        // PUBLISH to a wildcard
            b"\x36\x05\x00\x01t\x00\x01",                     // PUBLISH with QoS 3
            b"\x32\x05\x00\x01t\x00\x00",                     // PUBLISH with packet identifier 0
            b"\x30\x04\x00\x09t\x00",                         // PUBLISH with a topic that runs past it
            b"\x82\x06\x00\x01\x00\x01t\x03",                 // SUBSCRIBE with QoS 3
            b"\x82\x02\x00\x01",                              // SUBSCRIBE to nothing
            b"\x80\x06\x00\x01\x00\x01t\x00",                 // SUBSCRIBE with wrong flags
            b"\x82\x07\x00\x01\x00\x02#t\x00",                // SUBSCRIBE to no filter
            b"\xa2\x02\x00\x01",                              // UNSUBSCRIBE from nothing
            b"\x60\x02\x00\x01",                              // PUBREL with wrong flags
            b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a", // a second CONNECT
            b"\x00\x00",                                      // no packet at all
        ] {
            talk.open("a", &p.connect("a", CLEAN));
            talk.send("a", packet);
            if talk.connections.contains_key("a") {
                talk.cut("a");
            }
        }
    }),
    ("a first packet that is not CONNECT", BOTH, |talk, _| {
        talk.open("a", b"\xc0\x00");
    }),
    ("acknowledgements for nothing", BOTH, |talk, p| {
        talk.open("a", &p.connect("a", CLEAN));
        for first in [PUBACK, PUBREC, PUBREL, PUBCOMP] {
            talk.send("a", &ack(first, 9));
        }
    }),
    ("MQTT 5", ONCE, |talk, _| {
        talk.open("a", &V5.connect("a", CLEAN));
        // Nobody listens: PUBACK and PUBREC say so.
        talk.send("a", &V5.publish("t", "x", 1, 1, PLAIN));
        talk.send("a", &V5.publish("t", "x", 2, 2, PLAIN));
        talk.send("a", &framed(PUBREL, b"\x00\x02"));
        // With a Subscription Identifier; the second one without the own messages.
        talk.send("a", &framed(0x82, b"\x00\x03\x02\x0b\x07\x00\x01t\x01"));
        talk.send("a", &framed(0x82, b"\x00\x04\x00\x00\x01u\x05"));
        talk.send("a", &V5.publish("t", "x", 1, 3, PLAIN));
        talk.send("a", &V5.publish("u", "x", 1, 4, PLAIN));
        talk.send("a", &framed(0xa2, b"\x00\x05\x00\x00\x01t\x00\x01v"));
        talk.send("a", b"\xe0\x00");
    }),
];
