//! Tutorial 3, the subscriber: prints what arrives for the light in the house.
//!
//! Run `cargo run --example t3_subscriber`, then `cargo run --example t3_publisher` in a second terminal.
//! This one prints the message, its topic, QoS and retain flag. It never ends by itself: Ctrl-C.
use callmq::client as mqtt; // import the client
use std::env;

// Function to process recieved message
fn process_message(_: &mqtt::Client, message: &mqtt::Message) -> mqtt::Result<()> {
    println!("message received  {}", message.payload.decode()?);
    println!("message topic= {}", message.topic);
    println!("message qos= {}", message.qos);
    println!("message retain flag= {}", message.retain);
    Ok(())
}

fn main() -> mqtt::Result<()> {
    let broker_address = env::var("MQTT_HOST").unwrap_or("127.0.0.1".into());
    let port: u16 = env::var("MQTT_PORT").unwrap_or("1883".into()).parse()?;

    // Create client
    let client = mqtt::Client::new("subscriber-1");

    // Assign callback function
    client.on_message(process_message);

    // Connect to broker
    client.connect((broker_address, port, 60))?;

    // Subscriber to topic
    client.subscribe("house/light")?;

    // Run loop
    client.loop_forever()
}
