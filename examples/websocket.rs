//! MQTT over WebSocket.
//!
//! Run `cargo run --example websocket --features websocket,tls`, with `MQTT_URL` in the environment if the broker is not at
//! ws://localhost:8080/mqtt: it connects, sends itself a message, prints it and ends. `wss://` is WebSocket over TLS. With
//! `MQTT_TOKEN` in the environment each handshake has a header `Authorization` with that token.

use callmq::client as mqtt;
use std::env;

fn main() -> mqtt::Result<()> {
    env_logger::init();
    let url = env::var("MQTT_URL").unwrap_or("ws://localhost:8080/mqtt".into());

    let client = mqtt::Client::new("");
    // A function is called at each handshake: the token may be another one by then.
    client.ws_set_options("/mqtt", || {
        let token = env::var("MQTT_TOKEN").ok();
        token
            .map(|token| ("Authorization", format!("Bearer {token}")))
            .into_iter()
            .collect::<Vec<_>>()
    })?;
    let messages = client.messages(10);
    client.loop_start()?;
    client.connect_and_wait(url, 5)?;
    client.subscribe(("callmq/examples/websocket", 1))?.wait(5)?;
    client.publish_with("callmq/examples/websocket", "hello through a web port", 1, false)?;
    println!("{}", messages.recv(5)?.payload);
    client.disconnect()
}
