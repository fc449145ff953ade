//! Tutorial 2, script 8: waits until a flag says that the connection is there.
//!
//! Run `cargo run --example t2_i_wait_loop`. It prints `In wait loop` (unless the broker answers at once),
//! `connected OK`, then `in Main Loop`.
use callmq::client as mqtt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::{env, thread::sleep, time::Duration};

static CONNECTED_FLAG: AtomicBool = AtomicBool::new(false); // create flag

fn on_connect(_: &mqtt::Client, _: mqtt::ConnectFlags, rc: mqtt::ReasonCode, _: &mqtt::Properties) {
    if rc == 0 {
        CONNECTED_FLAG.store(true, Relaxed); // set flag
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
    client.connect((broker, port))?; // connect to broker
    client.loop_start()?; // Start loop
    while !CONNECTED_FLAG.load(Relaxed) {
        // wait in loop
        println!("In wait loop");
        sleep(Duration::from_secs(1));
    }
    println!("in Main Loop");
    client.publish("house/main-light", "off")?;
    sleep(Duration::from_secs(4));
    client.loop_stop()?; // Stop loop
    client.disconnect() // disconnect
}
