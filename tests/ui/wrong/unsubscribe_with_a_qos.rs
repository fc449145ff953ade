// says: `(&str, {integer})` is not a Topic Filter or a list of them
// says: write "a/b" or a list, ["a", "b"]

fn main() -> callmq::Result<()> {
    let client = callmq::Client::new("python1");
    client.unsubscribe(("house/light", 1))?;
    Ok(())
}
