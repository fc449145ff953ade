// says: `{integer}` does not say what to subscribe to
// says: write "a/b", ("a/b", 1)

fn main() -> callmq::Result<()> {
    let client = callmq::Client::new("python1");
    client.subscribe(1)?;
    Ok(())
}
