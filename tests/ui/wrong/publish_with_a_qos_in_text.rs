// says: `&str` is not a Quality of Service
// says: write 0, 1, 2 or for example `QoS::AtLeastOnce`

fn main() -> callmq::Result<()> {
    let client = callmq::Client::new("python1");
    client.publish_with("house/light", "on", "1", false)?;
    Ok(())
}
