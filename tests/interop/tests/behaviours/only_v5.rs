//! What is so in MQTT 5.0 only.

use std::time::Duration;

use interop::peer::Peer;

use crate::packets::{self, CONNACK, QOS1, QOS2, new_client, publish, publish_with, subscribe};

#[test]
fn b6_07_between_connect_and_connack_everything_waits() {
    let peer = Peer::listen();
    let client = new_client("b6");
    client.connect(peer.address()).unwrap();
    client.publish("t", "0").unwrap();
    client.publish_with("t", "1", 1, false).unwrap();
    client.subscribe("t").unwrap();
    client.publish_with("t", "2", 2, false).unwrap();
    let mut connection = peer.accept();
    connection.expect(&packets::connect("b6"));
    connection.expect_silence(Duration::from_millis(50));
    connection.send(CONNACK);
    client.loop_once(5).unwrap();
    // Subscriptions first, so that their answers are not missed.
    connection.expect(&subscribe(3, &[("t", 0)]));
    connection.expect(&publish("t", "0"));
    connection.expect(&publish_with(QOS1, 2, "t", "1"));
    connection.expect(&publish_with(QOS2, 4, "t", "2"));
}
