// says: `(&str, &str)` does not say where to connect
// says: not a server
// says: write "host", ("host", 1883), ("host", 1883, 60)

fn main() -> callmq::Result<()> {
    let client = callmq::Client::new("python1");
    client.connect(("localhost", "1883"))
}
