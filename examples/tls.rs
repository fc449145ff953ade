//! TLS, with a certificate of the client if one is given.
//!
//! Run `cargo run --example tls --features tls -- broker.example.com 8883 ca.pem client.pem client.key`: it connects,
//! sends itself a message, prints it and ends. Without files the CAs of the system are trusted, and the client shows no
//! certificate. A certificate that is not accepted is named, with the reason.

use callmq::client as mqtt;
use std::env;

fn main() -> mqtt::Result<()> {
    env_logger::init();
    let mut args = env::args().skip(1);
    let host = args.next().unwrap_or("localhost".into());
    let port: u16 = args.next().unwrap_or("8883".into()).parse()?;

    let client = mqtt::Client::new("");
    match (args.next(), args.next(), args.next()) {
        (Some(ca), Some(certificate), Some(key)) => client.tls_set((ca, certificate, key))?,
        (Some(ca), ..) => client.tls_set(ca)?,
        _ => client.tls_set(())?,
    }
    let messages = client.messages(10);
    client.loop_start()?;
    client.connect_and_wait((host, port), 5)?;
    client.subscribe(("callmq/examples/tls", 1))?.wait(5)?;
    client.publish_with("callmq/examples/tls", "nobody else can read this", 1, false)?;
    println!("{}", messages.recv(5)?.payload);
    client.disconnect()
}
