//! Tutorial 4: connects, publishes and subscribes in one program.
//!
//! Run `cargo run --example t4_test_topic`. It prints `Connected with result code 0` and ends after four
//! seconds. Its own message does not come back: the PUBLISH has left before `on_connect` subscribes.
use callmq::client as mqtt;
use mqtt::{Client, ConnectFlags, Message, Properties, ReasonCode};
use std::{env, thread::sleep, time::Duration};

fn on_connect(client: &Client, _: ConnectFlags, rc: ReasonCode, _: &Properties) -> mqtt::Result<()> {
    println!("Connected with result code {}", rc.value());
    client.subscribe("test/topic")?;
    Ok(())
}

fn on_message(_: &Client, msg: &Message) -> mqtt::Result<()> {
    let payload = msg.payload.decode()?;
    println!("Received message: {payload} on topic {}", msg.topic);
    Ok(())
}

fn main() -> mqtt::Result<()> {
    let host = env::var("MQTT_HOST").unwrap_or("127.0.0.1".into());
    let port: u16 = env::var("MQTT_PORT").unwrap_or("1883".into()).parse()?;

    let client = mqtt::Client::default();
    client.on_connect(on_connect);
    client.on_message(on_message);

    client.connect((host, port, 60))?;

    client.loop_start()?;

    client.publish("test/topic", "Hello MQTT")?;

    sleep(Duration::from_secs(4));
    client.loop_stop()
}
