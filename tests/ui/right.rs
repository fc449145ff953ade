// The forms beside those that `wrong` holds.

use callmq::client as mqtt;

fn on_publish(_: &mqtt::Client, _mid: u16, _: mqtt::ReasonCode, _: &mqtt::Properties) {}

fn main() -> callmq::Result<()> {
    let client = mqtt::Client::new("python1");
    let mut count = 0;
    client.on_connect(|client, _, _, _| client.subscribe([("house/light", 0), ("house/door", 1)]));
    client.on_message(move |_client, _msg| count += 1);
    client.on_publish(on_publish);
    client.connect(("localhost", 1883))?;
    client.unsubscribe(["house/light", "house/door"])?;
    client.publish_with("house/light", 1.5, 1, false)?.wait_for_publish(2)
}
