// says: `Vec<&str>` is not a payload
// says: other types: publish their text, `value.to_string()`

fn main() -> callmq::Result<()> {
    let client = callmq::Client::new("python1");
    client.publish("house/light", vec!["on"])?;
    Ok(())
}
