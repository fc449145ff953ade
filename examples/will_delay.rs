//! The last will with a delay (MQTT 5.0): a short loss of the connection tells nobody, a longer one does.
//!
//! Run `cargo run --example broker` in a terminal, then `cargo run --example will_delay` in a second one. A sensor
//! connects, loses its connection and is back at once, then stays away: the will comes two seconds later. It ends by
//! itself.

use callmq::client as mqtt;
use std::{env, time::Instant};

const TOPIC: &str = "callmq/examples/status/sensor";
const DELAY: u32 = 2;

fn main() -> mqtt::Result<()> {
    env_logger::init();
    let host = env::var("MQTT_HOST").unwrap_or("127.0.0.1".into());
    let port: u16 = env::var("MQTT_PORT").unwrap_or("1883".into()).parse()?;
    let server = (host.as_str(), port);

    let monitor = mqtt::Client::builder("monitor").protocol(mqtt::MQTTv5).build();
    let status = monitor.messages(10);
    monitor.loop_start()?;
    monitor.connect_and_wait(server, 5)?;
    monitor.subscribe((TOPIC, 1))?.wait(5)?;

    // The delay counts while the broker keeps the session: longer than the delay, and not started afresh.
    let sensor = mqtt::Client::builder("sensor")
        .protocol(mqtt::MQTTv5)
        .clean_session(false)
        .session_expiry(60)
        .build();
    let delay = mqtt::Property::WillDelayInterval(DELAY);
    let will = mqtt::Message::new(TOPIC, "gone")
        .qos(mqtt::QoS::AtLeastOnce)
        .properties(delay.into());
    sensor.will_set_message(will)?;
    sensor.loop_start()?;
    sensor.connect_and_wait(server, 5)?;
    sensor
        .publish_with(TOPIC, "here", 1, false)?
        .wait_for_publish(5)?;
    println!("sensor: {}", status.recv(5)?.payload);

    // The connection breaks without DISCONNECT, and another one is made in time: the will is not published.
    sensor.reconnect()?;
    sensor.wait_for_connect(5)?;
    sensor
        .publish_with(TOPIC, "back", 1, false)?
        .wait_for_publish(5)?;
    println!("sensor: {}", status.recv(5)?.payload);

    // It leaves, and wants the will to be published; the broker waits for the delay all the same.
    sensor.disconnect_with(
        mqtt::ReasonCode::DISCONNECT_WITH_WILL_MESSAGE,
        mqtt::Properties::new(),
    )?;
    let left = Instant::now();
    println!("sensor: {}", status.recv(20)?.payload);
    let waited = left.elapsed().as_secs_f64();
    println!(
        "the will came after the delay of {DELAY} s: {}",
        waited > f64::from(DELAY) - 1.1
    );
    monitor.disconnect()
}
