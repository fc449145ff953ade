// says: `&str` is not a time-out
// says: write seconds (`2`, `0.5`), a `Duration`, or `None` for no limit

fn main() -> callmq::Result<()> {
    let client = callmq::Client::new("python1");
    client.publish("house/light", "on")?.wait_for_publish("2 s")
}
