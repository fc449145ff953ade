//! Manual acknowledgement: a message is acknowledged when its work is done, in another thread, and not before.
//!
//! Run `cargo run --example broker` in a terminal, then `cargo run --example manual_ack` in a second one. Four orders
//! come, one of them cannot be read and is refused with a reason (MQTT 5.0). It ends by itself.

use callmq::client as mqtt;
use std::{env, thread};

const TOPIC: &str = "callmq/examples/orders";

fn main() -> mqtt::Result<()> {
    env_logger::init();
    let host = env::var("MQTT_HOST").unwrap_or("127.0.0.1".into());
    let port: u16 = env::var("MQTT_PORT").unwrap_or("1883".into()).parse()?;

    let client = mqtt::Client::builder("warehouse")
        .protocol(mqtt::MQTTv5)
        .manual_ack(true)
        .build();
    // Beside callbacks: a channel that the worker reads at its own pace.
    let orders = client.messages(10);
    client.loop_start()?;
    client.connect_and_wait((host, port), 5)?;
    client.subscribe((TOPIC, 1))?.wait(5)?;

    let worker = {
        let client = client.clone();
        thread::spawn(move || -> mqtt::Result<()> {
            for _ in 0..4 {
                let order = orders.recv(5)?;
                match order.payload.decode() {
                    Ok(text) => {
                        println!("packed: {text}");
                        // The broker would send the order again if we ended before this.
                        client.ack(&order)?;
                    }
                    Err(error) => {
                        println!("refused: {error}");
                        // It is finished all the same; the code and the text are for those who look into it.
                        let why = mqtt::Property::ReasonString("not UTF-8".into());
                        client.ack_with(&order, mqtt::ReasonCode::PAYLOAD_FORMAT_INVALID, why.into())?;
                    }
                }
            }
            Ok(())
        })
    };

    for order in [&b"3 screws"[..], b"1 hammer", b"\xff\xfe", b"12 nails"] {
        client.publish_with(TOPIC, order, 1, false)?;
    }
    worker
        .join()
        .unwrap_or(Err(mqtt::Error::other("the worker panicked")))?;
    client.flush(5)?;
    println!("left unacknowledged: {}", client.stats().unacknowledged);
    client.disconnect()
}
