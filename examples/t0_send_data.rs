//! Tutorial 0, the sender: a menu that switches a light.
//!
//! Run `cargo run --example t0_received_data` in one terminal and `cargo run --example t0_send_data` in
//! another. Options 1 and 2 show up there; option 3 ends this program.
use callmq::client as mqtt;
use mqtt::{Client, ConnectFlags, Message, Properties, ReasonCode};
use std::env;
use std::io::{Write, stdin, stdout};

const SUB_TOPIC: &str = "/api/blaze";
const PUB_TOPIC: &str = "/api/minipc";

fn on_connect(client: &Client, _: ConnectFlags, _: ReasonCode, _: &Properties) -> mqtt::Result<()> {
    client.subscribe(SUB_TOPIC)?;
    Ok(())
}

fn on_message(_: &Client, message: &Message) -> mqtt::Result<()> {
    println!("[ message ] {}", message.payload.decode()?);
    Ok(())
}

#[allow(dead_code)] // Never set, as in the Python script.
fn on_publish(_: &Client, _result: u16, _: ReasonCode, _: &Properties) {
    println!("[ publish ] Data is Published");
}

fn main() -> mqtt::Result<()> {
    let host = env::var("MQTT_HOST").unwrap_or("127.0.0.1".into());
    let port: u16 = env::var("MQTT_PORT").unwrap_or("1883".into()).parse()?;
    let mqtt_client = mqtt::Client::builder("send_data123").clean_session(true).build();
    mqtt_client.on_connect(on_connect);
    mqtt_client.on_message(on_message);
    mqtt_client.connect((host, port))?;
    mqtt_client.loop_start()?;

    loop {
        print!("\n1) Turn ON Light\n2)Turn OFF Light\n3)Exit\nEnter your option :");
        stdout().flush()?;
        let mut cmd = String::new();
        stdin().read_line(&mut cmd)?;
        let cmd: i32 = cmd.trim().parse()?;
        if cmd == 1 {
            mqtt_client.publish(PUB_TOPIC, "light_on")?;
        } else if cmd == 2 {
            mqtt_client.publish(PUB_TOPIC, "light_off")?;
        } else {
            break;
        }
    }
    mqtt_client.loop_stop()
}
