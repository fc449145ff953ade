// says: function is expected to take 4 arguments, but it takes 0 arguments
// says: on_connect

use callmq::client as mqtt;

fn connect_msg() {
    println!("Connected to Broker");
}

fn main() {
    let client = mqtt::Client::new("publisher-1");
    client.on_connect(connect_msg);
}
