// says: this method takes 1 argument but 2 arguments were supplied

fn main() -> callmq::Result<()> {
    let client = callmq::Client::new("python1");
    client.connect("localhost", 1883)
}
