// says: a callback cannot return `usize`
// says: its closure or function returns `usize`
// says: a callback returns nothing or `callmq::client::Result<..>`: end its last line with `;` or with `Ok(())`

use callmq::client as mqtt;

fn main() {
    let client = mqtt::Client::new("python1");
    client.on_message(|_client, msg| msg.payload.len());
}
