//! Two servers: the client moves to the second when the first goes away, and back when that is there again.
//!
//! Run `cargo run --example server_list`: it needs nothing, has both brokers in this process, and ends by itself. With
//! brokers of your own the list would be `["one.example.com", "two.example.com:1884"]`.

use callmq::client::{self as mqtt, ConnectOptions, Server};
use callmq::testing::Broker;
use crossbeam_channel::{Receiver, unbounded};
use std::time::Duration;

/// Waits for the next connection.
fn connected(connections: &Receiver<Option<Server>>) -> mqtt::Result<()> {
    let patience = Duration::from_secs(5);
    let server = connections.recv_timeout(patience).map_err(mqtt::Error::other)?;
    println!("connected to {}", server.expect("it is connected"));
    Ok(())
}

fn main() -> mqtt::Result<()> {
    env_logger::init();
    let first = Broker::listen("127.0.0.1:0")?;
    let second = Broker::listen("127.0.0.1:0")?;
    let address = first.address();
    println!(
        "the first server is {address}, the second one {}",
        second.address()
    );

    let client = mqtt::Client::new("traveller");
    let (sender, connections) = unbounded();
    // Called for each server that is tried: the place for credentials that only this one knows.
    client.on_pre_connect(|client| println!("  trying {}", client.server().expect("there is one")));
    client.on_connect(move |client, _, _, _| Ok(sender.send(client.server())?));
    client.on_disconnect(|_, flags, _, _| println!("  {}", flags.reason));
    client.on_message(|_, message| println!("  got {}", message.payload));
    client.loop_start()?;
    let servers = ConnectOptions::new(address).server(second.address());
    client.connect(servers.return_to_first(0.5))?;
    connected(&connections)?;
    client.subscribe(("news", 1))?.wait(5)?;

    println!("the first server goes away");
    drop(first);
    connected(&connections)?;
    // The second one has never heard of the subscription: the client renews it by itself.
    client.publish_with("news", "a message of the second server", 1, false)?;
    client.flush(5)?;

    println!("the first server is there again");
    let first = Broker::listen(address)?;
    connected(&connections)?;
    client.publish_with("news", "a message of the first server", 1, false)?;
    client.flush(5)?;
    client.disconnect()?;
    drop((first, second));
    Ok(())
}
