//! Tutorial 1, the sender: the shortest program that publishes, without any loop.
//!
//! Run `cargo run --example t1_receive_forever`, then `cargo run --example t1_send` in a second terminal. It
//! prints nothing; the receiver shows the message.
use callmq::client as mqtt_client;
use std::env;

const TOPIC: &str = "test/topic";

fn main() -> mqtt_client::Result<()> {
    let server_ip = env::var("MQTT_HOST").unwrap_or("127.0.0.1".into());
    let server_port: u16 = env::var("MQTT_PORT").unwrap_or("1883".into()).parse()?;

    let client = mqtt_client::Client::new("foo2");
    client.connect((server_ip, server_port))?;
    client.publish(TOPIC, "bar")?;
    Ok(())
}
