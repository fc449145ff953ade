//! Tutorial 3, the publisher: one message, and one pass of the loop.
//!
//! Run `cargo run --example t3_subscriber`, then `cargo run --example t3_publisher` in a second terminal.
//! This one prints `Message Published`, then `Connected to Broker`.
use callmq::client as mqtt;
use std::env;

// function
fn connect_msg(_: &mqtt::Client, _: mqtt::ConnectFlags, _: mqtt::ReasonCode, _: &mqtt::Properties) {
    println!("Connected to Broker");
}

// function
fn publish_msg(_: &mqtt::Client, _mid: u16, _: mqtt::ReasonCode, _: &mqtt::Properties) {
    println!("Message Published");
}

fn main() -> mqtt::Result<()> {
    let host = env::var("MQTT_HOST").unwrap_or("127.0.0.1".into());
    let port: u16 = env::var("MQTT_PORT").unwrap_or("1883".into()).parse()?;

    // Creating client
    let client = mqtt::Client::new("publisher-1");

    // Connecting callback functions
    client.on_connect(connect_msg);
    client.on_publish(publish_msg);

    // Connect to broker
    client.connect((host, port))?;

    // if you experience Socket error then replace above statement with following one
    // client.connect(("127.0.0.1", 1883, 60))?;

    // Publish a message with topic
    let _ret = client.publish("house/light", "on")?;

    // Run a loop
    client.r#loop()
}
