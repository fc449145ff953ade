//! Tutorial 2, script 3b: subscribes, but has no `on_message`.
//!
//! Run `cargo run --example t2_d_subscribe_no_on_message`. The log shows that the message comes back; nobody
//! prints it.
use callmq::client as mqtt;
use std::{env, thread::sleep, time::Duration};

fn on_log(_: &mqtt::Client, _level: mqtt::LogLevel, buf: &str) {
    println!("log: {buf}");
}

fn on_connect(_: &mqtt::Client, _: mqtt::ConnectFlags, rc: mqtt::ReasonCode, _: &mqtt::Properties) {
    if rc == 0 {
        println!("connected OK");
    } else {
        println!("Bad connection Returned code= {}", rc.value());
    }
}

fn on_disconnect(_: &mqtt::Client, _: mqtt::DisconnectFlags, rc: mqtt::ReasonCode, _: &mqtt::Properties) {
    println!("DisConnected result code {}", rc.value());
}

fn main() -> mqtt::Result<()> {
    let broker = env::var("MQTT_HOST").unwrap_or("127.0.0.1".into());
    let port: u16 = env::var("MQTT_PORT").unwrap_or("1883".into()).parse()?;
    let client = mqtt::Client::new("python1"); // create new instance
    client.on_connect(on_connect); // bind call back function
    client.on_disconnect(on_disconnect);
    client.on_log(on_log);
    println!("Connecting to broker  {broker}");
    client.connect((broker, port))?; // connect to broker
    client.loop_start()?; // Start loop
    client.subscribe("house/sensor1")?;
    client.publish("house/sensor1", "my first message")?;
    sleep(Duration::from_secs(4));
    client.loop_stop()?; // Stop loop
    client.disconnect() // disconnect
}
