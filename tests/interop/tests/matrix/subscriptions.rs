//! What MQTT 5.0 added to subscriptions.

use callmq::client::{Message, QoS, RetainHandling, SubscribeOptions};

use crate::site::{DEADLINE, Outcome, Site, deliver, ensure, expect, granted, publish, same};
use crate::{ONLY_5, Row};

pub const CHECKS: &[Row] = &[
    ("no local", ONLY_5, no_local),
    ("retain as published", ONLY_5, retain_as_published),
    ("retain handling", ONLY_5, retain_handling),
    ("shared subscriptions", ONLY_5, shared),
];

const QOS_1: SubscribeOptions = SubscribeOptions {
    qos: QoS::AtLeastOnce,
    no_local: false,
    retain_as_published: false,
    retain_handling: RetainHandling::SendOnSubscribe,
};

fn no_local(site: &Site) -> Outcome {
    let topic = site.topic("t");
    let client = site.client("a");
    let messages = client.messages(10);
    site.join(&client)?;
    let options = SubscribeOptions {
        no_local: true,
        ..QOS_1
    };
    granted(client.subscribe((&*topic, options))?.wait(5)?, 1)?;
    let other = site.joined("b")?;
    publish(&client, &topic, "own", 1)?;
    publish(&other, &topic, "foreign", 1)?;
    expect(&messages, "foreign").map(drop)
}

fn retain_as_published(site: &Site) -> Outcome {
    let topic = site.topic("t");
    let client = site.client("a");
    let messages = client.messages(10);
    site.join(&client)?;
    let options = SubscribeOptions {
        retain_as_published: true,
        ..QOS_1
    };
    granted(client.subscribe((&*topic, options))?.wait(5)?, 1)?;
    deliver(&client, Message::new(&topic, "live").retain(true), 1)?;
    ensure!(expect(&messages, "live")?.retain, "the RETAIN flag was not kept");
    deliver(&client, Message::new(&topic, "").retain(true), 1)
}

/// 0: at each subscription, 1: at a new one, 2: never.
fn retain_handling(site: &Site) -> Outcome {
    let topic = site.topic("t");
    let speaker = site.joined("a")?;
    deliver(&speaker, Message::new(&topic, "kept").retain(true), 1)?;
    let client = site.client("b");
    let messages = client.messages(10);
    site.join(&client)?;
    let mut number = 0;
    let mut subscribe = |retain_handling, kept: bool| {
        number += 1;
        let options = SubscribeOptions {
            retain_handling,
            ..QOS_1
        };
        granted(client.subscribe((&*topic, options))?.wait(5)?, 1)?;
        if kept {
            expect(&messages, "kept")?;
        }
        // Nothing else came before this.
        let end = format!("end {number}");
        publish(&speaker, &topic, &end, 1)?;
        expect(&messages, &end).map(drop)
    };
    subscribe(RetainHandling::DoNotSend, false)?;
    subscribe(RetainHandling::SendIfNew, false)?;
    subscribe(RetainHandling::SendOnSubscribe, true)?;
    client.unsubscribe(&topic)?.wait(5)?;
    subscribe(RetainHandling::SendIfNew, true)?;
    deliver(&speaker, Message::new(&topic, "").retain(true), 1)
}

/// Two workers get each message once between them, and both get some.
fn shared(site: &Site) -> Outcome {
    let topic = site.topic("work");
    let filter = format!("$share/workers/{topic}");
    let (_one, of_one) = site.listener("a", &filter, 1)?;
    let (_two, of_two) = site.listener("b", &filter, 1)?;
    let speaker = site.joined("c")?;
    for number in 0..20 {
        publish(&speaker, &topic, &number.to_string(), 1)?;
    }
    let mut seen = Vec::new();
    let (mut first, mut second) = (0, 0);
    while seen.len() < 20 {
        let message = crossbeam_channel::select! {
            recv(of_one.receiver()) -> message => { first += 1; message? }
            recv(of_two.receiver()) -> message => { second += 1; message? }
            default(DEADLINE) => return Err(crate::Failure::new(format!("only {seen:?} of 20 arrived"))),
        };
        seen.push(message.payload.to_string().parse::<u32>()?);
    }
    seen.sort_unstable();
    same("work", seen, (0..20).collect::<Vec<_>>())?;
    ensure!(first > 0 && second > 0, "one did it all: {first} and {second}");
    Ok(())
}
