// says: closure is expected to take 4 arguments, but it takes 3 arguments
// says: on_connect

use callmq::client as mqtt;

fn main() {
    let client = mqtt::Client::new("python1");
    client.on_connect(|client, flags, rc| println!("{rc}"));
}
