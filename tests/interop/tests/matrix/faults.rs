//! What brokers are known to get wrong or to do without. The client does not work around any of it.

use callmq::client::ProtocolVersion::{self, V5, V31, V311};
use interop::Brand::{self, Aedes, Ejabberd, Embedded, Mosquitto, Nats, RabbitMq};
use interop::Way::{self, SecureWebSocket, WebSocket};

use crate::Column;

/// A check that a broker is known to fail.
pub struct Known {
    pub brand: Brand,
    pub versions: &'static [ProtocolVersion],
    /// By which ways in.
    pub ways: &'static [Way],
    pub check: &'static str,
    /// What the check then says; another failure is not this one.
    pub says: &'static str,
    /// What the broker does.
    pub why: &'static str,
    /// Whether the check passes now and then.
    pub sometimes: bool,
}

/// A fault that shows at each run.
const fn always(
    brand: Brand,
    versions: &'static [ProtocolVersion],
    check: &'static str,
    says: &'static str,
    why: &'static str,
) -> Known {
    Known {
        brand,
        versions,
        ways: Way::ALL,
        check,
        says,
        why,
        sometimes: false,
    }
}

/// A fault that shows only where events come close together, or only in some releases of the broker.
const fn now_and_then(
    brand: Brand,
    versions: &'static [ProtocolVersion],
    check: &'static str,
    says: &'static str,
    why: &'static str,
) -> Known {
    let mut known = always(brand, versions, check, says, why);
    known.sometimes = true;
    known
}

impl Known {
    /// Only by these ways in.
    const fn over(mut self, ways: &'static [Way]) -> Self {
        self.ways = ways;
        self
    }
}

const V3: &[ProtocolVersion] = &[V31, V311];

#[rustfmt::skip]
static KNOWN: &[Known] = &[
    // mosquitto 2.0.11; the one on the machine may be another
    now_and_then(Mosquitto, &[V5], "response information", "no Response Information",
        "has none"),
    now_and_then(Mosquitto, &[V5], "take-over says so", "connection lost",
        "closes the connection without a DISCONNECT"),
    now_and_then(Mosquitto, V3, "1,000 of QoS 2", "instead of",
        "with max_inflight_messages below the client's window, takes later messages before those that wait there"),
    now_and_then(Mosquitto, &[V5], "receive maximum of the client", "at once, and 2 are allowed",
        "sends more than the client has allowed"),

    now_and_then(Mosquitto, &[V5], "5 MB", "timed out",
        "sends large messages over WebSocket a little at a time (eclipse-mosquitto/mosquitto#2252)").over(&[WebSocket, SecureWebSocket]),

    // callmq::testing::Broker
    always(Embedded, &[V5], "maximum packet of the server", "is no limit",
        "has none"),
    always(Embedded, &[V5], "response information", "no Response Information",
        "has none"),
    always(Embedded, &[V5], "server keep alive", "None",
        "has none"),

    // ejabberd 23.01
    always(Ejabberd, &[V5], "maximum packet of the server", "is no limit",
        "has none"),
    always(Ejabberd, &[V5], "response information", "no Response Information",
        "has none"),
    always(Ejabberd, &[V5], "message expiry", "short-lived",
        "delivers what has expired"),
    always(Ejabberd, &[V5], "rest of a message's expiry", "Some(60)",
        "does not count the time down"),
    always(Ejabberd, &[V5], "shared subscriptions", "the server has no shared subscriptions",
        "has none, and says so in its CONNACK"),
    always(Ejabberd, &[V5], "server keep alive", "Some(600)",
        "has none, and repeats what the client said"),
    always(Ejabberd, &[V5], "reason: no subscription", "[0] instead",
        "says 0 instead of 0x11"),
    always(Ejabberd, &[V5], "receive maximum of the server", "is no limit",
        "has none"),
    always(Ejabberd, &[V5], "maximum packet of the client", "a packet of 10",
        "sends larger packets than the client has allowed"),

    // aedes 2.0.0-beta.1
    always(Aedes, &[V5], "will delay", "the will did not come",
        "never publishes a will that has a delay"),
    always(Aedes, &[V5], "receive maximum of the client", "at once, and 2 are allowed",
        "sends more than the client has allowed"),
    always(Aedes, &[V5], "maximum packet of the client", "a packet of 10",
        "sends larger packets than the client has allowed"),
    always(Aedes, &[V5], "subscription identifiers", "calls: ",
        "sends one copy with one of two identifiers (against MQTT-3.3.4-3)"),
    always(Aedes, &[V5], "shared subscriptions", "the server has no shared subscriptions",
        "has none, and says so in its CONNACK"),
    always(Aedes, &[V5], "reason: no subscribers", "0 instead of 16",
        "does not tell"),

    // nats-server 2.9.10
    always(Nats, &[V311], "QoS 2", "[1] instead",
        "has QoS 0 and 1"),
    always(Nats, &[V311], "QoS 2 is published", "not connected",
        "ends the connection at a PUBLISH of QoS 2"),
    always(Nats, &[V311], "1,000 of QoS 2", "[1] instead",
        "has QoS 0 and 1"),
    always(Nats, &[V311], "$ topics", "hidden",
        "lets a wildcard in front match them"),
    now_and_then(Nats, &[V311], "keep alive of 1 s", "connection lost",
        "waits for one second, not for one and a half"),
    now_and_then(Nats, &[V311], "session after a broken connection", "instead of \"1\"",
        "sends what was under way on the old connection again after 30 seconds (ack_wait), and later messages before it"),

    // RabbitMQ 3.10.8
    always(RabbitMq, V3, "QoS 2", "[1] instead",
        "grants QoS 1, and answers PUBLISH of QoS 2 with PUBACK"),
    always(RabbitMq, V3, "1,000 of QoS 2", "[1] instead",
        "grants QoS 1, and answers PUBLISH of QoS 2 with PUBACK"),
    always(RabbitMq, V3, "$ topics", "hidden",
        "lets a wildcard in front match them"),
    always(RabbitMq, V3, "wrong password", "closed by the server with code 1002",
        "closes a WebSocket without a CONNACK").over(&[WebSocket, SecureWebSocket]),
];

/// The known fault of a broker in a check.
pub fn of(brand: Brand, column: Column, check: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| {
        known.brand == brand
            && known.check == check
            && known.versions.contains(&column.version)
            && known.ways.contains(&column.way)
    })
}
