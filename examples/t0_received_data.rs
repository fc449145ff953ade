//! Tutorial 0, the receiver: prints which light command arrives.
//!
//! Run `cargo run --example t0_received_data`, then `t0_send_data` in a second terminal. Options 1 and 2
//! there show up here as `CMD : light_on` and `CMD : light_off`. It never ends by itself: Ctrl-C.
use callmq::client as mqtt;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::{env, sync::LazyLock};

static COMMANDS: LazyLock<(Sender<String>, Receiver<String>)> = LazyLock::new(unbounded);

#[allow(dead_code)] // The Python script does not use it either.
const PUB_TOPIC: &str = "/api/blaze";
const SUB_TOPIC: &str = "/api/minipc";

fn on_connect(_: &mqtt::Client, _: mqtt::ConnectFlags, _: mqtt::ReasonCode, _: &mqtt::Properties) {
    println!("[ info ] connected");
}

fn on_message(_: &mqtt::Client, message: &mqtt::Message) -> mqtt::Result<()> {
    let cmd = message.payload.decode()?;
    println!("[ message ]  {cmd}");
    let _ = COMMANDS.0.send(cmd.to_string());
    Ok(())
}

#[allow(dead_code)] // Never set, as in the Python script.
fn on_publish(_: &mqtt::Client, _result: u16, _: mqtt::ReasonCode, _: &mqtt::Properties) {
    println!("[ publish ] Data is Published");
}

fn main() -> mqtt::Result<()> {
    let host = env::var("MQTT_HOST").unwrap_or("127.0.0.1".into());
    let port: u16 = env::var("MQTT_PORT").unwrap_or("1883".into()).parse()?;
    let mqtt_client = mqtt::Client::builder("received_data123")
        .clean_session(true)
        .build();
    mqtt_client.on_connect(on_connect);
    mqtt_client.on_message(on_message);
    mqtt_client.connect((host, port))?;
    mqtt_client.subscribe(SUB_TOPIC)?;
    mqtt_client.loop_start()?;
    // Python asks the queue again and again; a channel waits.
    for cmd in &COMMANDS.1 {
        println!("CMD : {cmd}");
        if cmd == "light_on" {
            println!("light is on");
        }
    }
    Ok(())
}
