// says: function is expected to take 2 arguments, but it takes 3 arguments
// says: on_message

use callmq::client as mqtt;

fn on_message(client: &mqtt::Client, userdata: (), msg: &mqtt::Message) {
    println!("{}", msg.payload);
}

fn main() {
    let client = mqtt::Client::new("python1");
    client.on_message(on_message);
}
