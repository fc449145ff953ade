// says: `&str` is neither a QoS nor `SubscribeOptions`
// says: for two filters write a list, ["a", "b"]

fn main() -> callmq::Result<()> {
    let client = callmq::Client::new("python1");
    client.subscribe(("house/light", "house/door"))?;
    Ok(())
}
