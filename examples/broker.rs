//! A broker to try the other examples with: `cargo run --example broker`.
//!
//! It serves 127.0.0.1:1883, or the port in MQTT_PORT, and prints what it does. Ctrl-C ends it. It keeps everything in
//! memory and is not meant for production.

use std::io::Write;

use callmq::testing::Broker;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init();
    let port = match std::env::var("MQTT_PORT") {
        Ok(port) => port.parse()?,
        Err(_) => 1883,
    };
    let broker = Broker::builder()
        .send_topic_aliases(true)
        .response_information("responses")
        .on_log(|line| {
            // Who reads the log may stop reading it: no reason to stop the broker.
            let _ = writeln!(std::io::stdout(), "{line}");
        })
        .listen(("127.0.0.1", port))
        .map_err(|error| format!("cannot serve 127.0.0.1:{port}: {error:#}"))?;
    println!("Serving {}, Ctrl-C ends it.", broker.address());
    loop {
        std::thread::park();
    }
}
