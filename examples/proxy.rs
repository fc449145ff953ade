//! A broker that is reached through a proxy.
//!
//! Run `cargo run --example proxy -- socks5h://me:secret@proxy.example.com:1080 mqtt://broker.example.com`: it connects,
//! sends itself a message, prints it and ends. An `http://` proxy is asked with CONNECT. With `socks5://` the name of the
//! broker is looked up here, with the others at the proxy. Without a proxy those of the environment count (`mqtt_proxy`,
//! `no_proxy`), which takes no line of code.

use callmq::client as mqtt;
use std::env;

fn main() -> mqtt::Result<()> {
    env_logger::init();
    let mut args = env::args().skip(1);
    let proxy = args.next();
    let broker = args.next().unwrap_or("localhost".into());

    let client = mqtt::Client::new("");
    if let Some(proxy) = proxy {
        client.proxy_set(proxy)?;
    }
    let messages = client.messages(10);
    client.loop_start()?;
    client.connect_and_wait(broker, 5)?;
    client.subscribe(("callmq/examples/proxy", 1))?.wait(5)?;
    client.publish_with("callmq/examples/proxy", "hello from behind the proxy", 1, false)?;
    println!("{}", messages.recv(5)?.payload);
    client.disconnect()
}
