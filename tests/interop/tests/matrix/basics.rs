//! Messages: each QoS, retained, wildcards, unsubscribing.

use callmq::client::{Error, Message};

use crate::site::{DEADLINE, Outcome, Site, deliver, ensure, expect, expect_all, granted, publish, same};
use crate::{ALL, EVERY_WAY, Row};

pub const CHECKS: &[Row] = &[
    ("QoS 0", EVERY_WAY, |site| round_trip(site, 0)),
    ("QoS 1", EVERY_WAY, |site| round_trip(site, 1)),
    ("QoS 2", EVERY_WAY, |site| round_trip(site, 2)),
    ("QoS 2 is published", ALL, qos_2_is_published),
    ("lower QoS of the two", ALL, lower_qos),
    ("retained", EVERY_WAY, retained),
    ("retained is cleared", ALL, retained_is_cleared),
    ("wildcards", ALL, wildcards),
    ("$ topics", ALL, dollar_topics),
    ("unsubscribe", ALL, unsubscribe),
    ("empty payload", ALL, empty_payload),
];

fn round_trip(site: &Site, qos: u8) -> Outcome {
    let topic = site.topic("t");
    let (listener, messages) = site.listener("a", &topic, qos)?;
    let speaker = site.joined("b")?;
    publish(&speaker, &topic, "from b", qos)?;
    let message = expect(&messages, "from b")?;
    same("topic", message.topic.as_str(), &*topic)?;
    same("QoS", message.qos as u8, qos)?;
    ensure!(!message.retain && !message.dup, "{message:?}");
    // Also what a client sends itself.
    publish(&listener, &topic, "from a", qos)?;
    expect(&messages, "from a").map(drop)
}

/// Whatever the broker hands on: the message has its end, and the client stays connected.
fn qos_2_is_published(site: &Site) -> Outcome {
    let topic = site.topic("t");
    let (client, messages) = site.listener("a", &topic, 0)?;
    publish(&client, &topic, "x", 2)?;
    expect(&messages, "x")?;
    publish(&client, &topic, "y", 0)?;
    expect(&messages, "y").map(drop)
}

fn lower_qos(site: &Site) -> Outcome {
    let topic = site.topic("t");
    let (client, messages) = site.listener("a", &topic, 1)?;
    publish(&client, &topic, "zero", 0)?;
    same("QoS", expect(&messages, "zero")?.qos as u8, 0)?;
    let (_low, messages) = site.listener("b", &topic, 0)?;
    publish(&client, &topic, "one", 1)?;
    same("QoS", expect(&messages, "one")?.qos as u8, 0)
}

fn retained(site: &Site) -> Outcome {
    let topic = site.topic("t");
    let speaker = site.joined("a")?;
    deliver(&speaker, Message::new(&topic, "old").retain(true), 1)?;
    deliver(&speaker, Message::new(&topic, "kept").retain(true), 1)?;
    let (_listener, messages) = site.listener("b", &topic, 1)?;
    let message = expect(&messages, "kept")?;
    ensure!(message.retain, "a message from the store has no RETAIN flag");
    deliver(&speaker, Message::new(&topic, "live").retain(true), 1)?;
    let message = expect(&messages, "live")?;
    ensure!(!message.retain, "a live message has the RETAIN flag");
    deliver(&speaker, Message::new(&topic, "").retain(true), 1)
}

fn retained_is_cleared(site: &Site) -> Outcome {
    let (topic, filter) = (site.topic("t/x"), site.topic("t/#"));
    let speaker = site.joined("a")?;
    deliver(&speaker, Message::new(&topic, "kept").retain(true), 1)?;
    deliver(&speaker, Message::new(&topic, "").retain(true), 1)?;
    let (_listener, messages) = site.listener("b", &filter, 1)?;
    publish(&speaker, &site.topic("t/end"), "end", 1)?;
    expect(&messages, "end").map(drop)
}

fn wildcards(site: &Site) -> Outcome {
    let speaker = site.joined("a")?;
    let (plus, of_plus) = site.listener("b", &site.topic("+/x"), 1)?;
    let (hash, of_hash) = site.listener("c", &site.topic("#"), 1)?;
    for name in ["1/x", "1/y", "2/x", "1/2/x", "end/x"] {
        publish(&speaker, &site.topic(name), name, 1)?;
    }
    expect_all(&of_plus, &["1/x", "2/x", "end/x"])?;
    expect_all(&of_hash, &["1/x", "1/y", "2/x", "1/2/x", "end/x"])?;
    drop((plus, hash));
    Ok(())
}

/// A wildcard in front does not match topics that begin with `$` [MQTT-4.7.2-1].
fn dollar_topics(site: &Site) -> Outcome {
    let rest = site.topic("t");
    let (client, messages) = site.listener("a", &format!("+/{rest}"), 1)?;
    let hidden = client.publish_with(format!("$callmq/{rest}"), "hidden", 1, false)?;
    match hidden.wait_for_publish(DEADLINE) {
        // A broker may keep these topics to itself.
        Ok(()) | Err(Error::Rejected(_)) => {}
        Err(error) => return Err(error.into()),
    }
    publish(&client, &format!("callmq/{rest}"), "seen", 1)?;
    expect(&messages, "seen").map(drop)
}

fn unsubscribe(site: &Site) -> Outcome {
    let (one, two) = (site.topic("1"), site.topic("2"));
    let (client, messages) = site.listener("a", &one, 1)?;
    granted(client.subscribe((&*two, 1))?.wait(5)?, 1)?;
    publish(&client, &one, "before", 1)?;
    expect(&messages, "before")?;
    let codes = client.unsubscribe(&one)?.wait(5)?;
    ensure!(codes.iter().all(|code| !code.is_failure()), "refused: {codes:?}");
    publish(&client, &one, "after", 1)?;
    publish(&client, &two, "end", 1)?;
    expect(&messages, "end").map(drop)
}

fn empty_payload(site: &Site) -> Outcome {
    let topic = site.topic("t");
    let (client, messages) = site.listener("a", &topic, 1)?;
    publish(&client, &topic, "", 1)?;
    expect(&messages, "").map(drop)
}
