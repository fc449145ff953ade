//! Request and response (MQTT 5.0): one client answers, another one asks.
//!
//! Run `cargo run --example broker` in a terminal, then `cargo run --example request_response` in a second one. It asks
//! once and waits, asks five times without waiting, asks where nobody answers, and ends by itself.

use callmq::client as mqtt;
use crossbeam_channel::unbounded;
use std::{env, time::Duration};

const TOPIC: &str = "callmq/examples/square";

/// A client of MQTT 5.0 whose loop runs in a thread.
fn connected(name: &str) -> mqtt::Result<mqtt::Client> {
    let host = env::var("MQTT_HOST").unwrap_or("127.0.0.1".into());
    let port: u16 = env::var("MQTT_PORT").unwrap_or("1883".into()).parse()?;
    let client = mqtt::Client::builder(name).protocol(mqtt::MQTTv5).build();
    client.loop_start()?;
    // A broker that has a place for responses says where, to who asks. Otherwise the client makes up a topic.
    let ask = mqtt::Property::RequestResponseInformation(1);
    let options = mqtt::ConnectOptions::new(host).port(port).properties(ask.into());
    client.connect_and_wait(options, 5)?;
    Ok(client)
}

fn main() -> mqtt::Result<()> {
    env_logger::init();

    // Who answers: a request says where the response goes, `reply` sends it there.
    let server = connected("square-server")?;
    let answer = |client: &mqtt::Client, request: &mqtt::Message| {
        let number: i64 = request.payload.decode()?.parse()?;
        client.reply(request, number * number)
    };
    server.subscribe_with((TOPIC, 1), answer)?.wait(5)?;

    // Who asks, and waits for the response.
    let client = connected("square-client")?;
    let response = client.request(TOPIC, 12, 5)?;
    println!("12 squared is {}", response.payload);
    println!(
        "responses come on {}",
        response.topic.rsplit_once('/').map_or("", |(base, _)| base)
    );

    // Many at once, without waiting: each closure is called once, with the response or with an error.
    let (sender, responses) = unbounded();
    for number in 1..=5 {
        let sender = sender.clone();
        // QoS 1: the request is kept, and sent again, if the connection breaks.
        let request = mqtt::Message::new(TOPIC, number).qos(mqtt::QoS::AtLeastOnce);
        client.request_message_with(request, 5, move |_client, response| {
            let square = response?.payload.decode()?.to_owned();
            sender.send((number, square))?;
            Ok(())
        })?;
    }
    let mut squares: Vec<_> = (1..=5)
        .map(|_| responses.recv_timeout(Duration::from_secs(5)))
        .collect::<Result<_, _>>()
        .map_err(mqtt::Error::other)?;
    squares.sort();
    for (number, square) in squares {
        println!("{number} squared is {square}");
    }

    // Nobody there: the time-out ends it.
    match client.request("callmq/examples/nobody", "anybody?", 0.2) {
        Ok(response) => println!("somebody answers: {}", response.payload),
        Err(error) => println!("nobody answers: {error}"),
    }
    client.disconnect()?;
    server.disconnect()
}
