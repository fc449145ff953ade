//! Topic aliases (MQTT 5.0): a number of two bytes in the place of a long topic.
//!
//! Run `cargo run --example broker` in a terminal, then `cargo run --example topic_aliases` in a second one. The same
//! readings are published without and with aliases, and the bytes on the wire compared. It ends by itself.

use callmq::client as mqtt;
use std::env;

const TOPICS: [&str; 2] = [
    "callmq/examples/plant/hall-7/machine-12/bearing-3/temperature",
    "callmq/examples/plant/hall-7/machine-12/bearing-3/vibration",
];
const READINGS: usize = 100;

/// Connects a client whose loop runs in a thread.
fn connect(client: &mqtt::Client) -> mqtt::Result<()> {
    let host = env::var("MQTT_HOST").unwrap_or("127.0.0.1".into());
    let port: u16 = env::var("MQTT_PORT").unwrap_or("1883".into()).parse()?;
    client.loop_start()?;
    client.connect_and_wait((host, port), 5)?;
    Ok(())
}

/// Publishes the readings with this many aliases at most. Returns how many bytes that took.
fn publish(aliases: u16) -> mqtt::Result<u64> {
    let sensor = mqtt::Client::builder("sensor")
        .protocol(mqtt::MQTTv5)
        .topic_alias_limit(aliases)
        .build();
    connect(&sensor)?;
    let before = sensor.stats().bytes_sent;
    for reading in 0..READINGS {
        for topic in TOPICS {
            sensor.publish_with(topic, reading, 1, false)?;
        }
    }
    sensor.flush(5)?;
    let bytes = sensor.stats().bytes_sent - before;
    sensor.disconnect()?;
    Ok(bytes)
}

fn main() -> mqtt::Result<()> {
    env_logger::init();

    // The other direction: the broker may use aliases, too. Messages always have their topic.
    let monitor = mqtt::Client::builder("monitor")
        .protocol(mqtt::MQTTv5)
        .topic_alias_maximum(10)
        .build();
    let messages = monitor.messages(4 * READINGS);
    connect(&monitor)?;
    monitor.subscribe(("callmq/examples/plant/#", 1))?.wait(5)?;

    println!("{} messages without aliases: {} bytes", 2 * READINGS, publish(0)?);
    // The topic is sent once; how many aliases the broker allows is in its CONNACK.
    println!("{} messages with aliases: {} bytes", 2 * READINGS, publish(10)?);

    let mut last = [0; 2];
    for _ in 0..4 * READINGS {
        let message = messages.recv(5)?;
        for (topic, last) in TOPICS.iter().zip(&mut last) {
            if message.topic == *topic {
                *last = message.payload.decode()?.parse()?;
            }
        }
    }
    for (topic, last) in TOPICS.iter().zip(last) {
        println!("{topic}: the last reading is {last}");
    }
    monitor.disconnect()
}
