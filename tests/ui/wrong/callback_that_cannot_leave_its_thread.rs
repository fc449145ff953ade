// says: `Rc<Cell<i32>>` cannot be sent between threads safely
// says: on_message

use callmq::client as mqtt;
use std::cell::Cell;
use std::rc::Rc;

fn main() {
    let client = mqtt::Client::new("python1");
    let count = Rc::new(Cell::new(0));
    client.on_message(move |_client, _msg| count.set(count.get() + 1));
}
