// says: a callback cannot return `Result<(), std::fmt::Error>`
// says: turn an error of another type into ours with `.map_err(callmq::client::Error::other)?`

use callmq::client as mqtt;

fn on_message(_: &mqtt::Client, msg: &mqtt::Message) -> Result<(), std::fmt::Error> {
    println!("{}", msg.payload);
    Ok(())
}

fn main() {
    let client = mqtt::Client::new("python1");
    client.on_message(on_message);
}
