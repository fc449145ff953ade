// says: type mismatch in function arguments
// says: Client, u16, ReasonCode, &
// says: on_publish

use callmq::client as mqtt;

fn on_publish(client: &mqtt::Client, mid: i32, rc: mqtt::ReasonCode, properties: &mqtt::Properties) {}

fn main() {
    let client = mqtt::Client::new("python1");
    client.on_publish(on_publish);
}
