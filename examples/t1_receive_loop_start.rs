//! Tutorial 1, the receiver: waits for messages for ten seconds.
//!
//! Run `cargo run --example t1_receive_loop_start`, then `cargo run --example t1_send` in a second terminal.
//! This one prints `topic test/topic | payload bar | qos 0` and ends after ten seconds.
use callmq::client as mqtt_client;
use mqtt_client::{Client, ConnectFlags, Message, Properties, ReasonCode, Result};
use std::{env, thread::sleep, time::Duration};

const TOPIC: &str = "test/topic";

fn mqtt_on_connect(client: &Client, _: ConnectFlags, rc: ReasonCode, _: &Properties) -> Result<()> {
    // rc code expected => 0
    println!("Connected with result code {}", rc.value());
    client.subscribe(TOPIC)?;
    println!("Subscribed to {TOPIC}");
    Ok(())
}

fn mqtt_on_message(_: &Client, message: &Message) -> Result<()> {
    let payload = message.payload.decode()?;
    println!("------------------");
    println!("Incomming message");
    println!(
        "topic {} | payload {} | qos {}",
        message.topic, payload, message.qos
    );
    Ok(())
}

fn main() -> Result<()> {
    let server_ip = env::var("MQTT_HOST").unwrap_or("127.0.0.1".into());
    let server_port: u16 = env::var("MQTT_PORT").unwrap_or("1883".into()).parse()?;

    let client = mqtt_client::Client::new("foo1");
    client.on_connect(mqtt_on_connect);
    client.on_message(mqtt_on_message);
    client.connect((server_ip, server_port))?;

    client.loop_start()?;
    let seconds: f64 = env::var("MQTT_SLEEP").unwrap_or("10".into()).parse()?;
    sleep(Duration::from_secs_f64(seconds));
    client.loop_stop()
}
