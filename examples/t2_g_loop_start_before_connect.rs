//! Tutorial 2, script 6: the loop is started before `connect`.
//!
//! Run `cargo run --example t2_g_loop_start_before_connect`. It prints `connected OK`. With paho-mqtt the
//! message is lost here; this loop waits for `connect`, and the broker gets it.
use callmq::client as mqtt;
use std::{env, thread::sleep, time::Duration};

fn on_connect(_: &mqtt::Client, _: mqtt::ConnectFlags, rc: mqtt::ReasonCode, _: &mqtt::Properties) {
    if rc == 0 {
        println!("connected OK");
    } else {
        println!("Bad connection Returned code= {}", rc.value());
    }
}

fn main() -> mqtt::Result<()> {
    let broker = env::var("MQTT_HOST").unwrap_or("127.0.0.1".into());
    let port: u16 = env::var("MQTT_PORT").unwrap_or("1883".into()).parse()?;
    let client = mqtt::Client::new("python1"); // create new instance
    client.on_connect(on_connect); // bind call back function
    println!("Connecting to broker  {broker}");
    client.loop_start()?; // Start loop
    client.connect((broker, port))?; // connect to broker
    client.publish("house/main-light", "off")?;
    sleep(Duration::from_secs(4));
    client.loop_stop()?; // Stop loop
    client.disconnect() // disconnect
}
