//! What outlives a connection. In MQTT 3.1 a CONNACK does not say whether there is a session.

use std::thread;
use std::time::Duration;

use callmq::client::ProtocolVersion::V31;
use callmq::client::{Client, ConnectOptions, Message, Messages, Properties, Property, ReasonCode};
use interop::Proxy;

use crate::site::{
    Outcome, Site, deliver, endings, ensure, expect, expect_all, granted, next, publish, told,
};
use crate::{ALL, EVERY_WAY, ONLY_5, Row};

pub const CHECKS: &[Row] = &[
    ("session is kept", EVERY_WAY, is_kept),
    ("session over reconnect", EVERY_WAY, goes_on),
    (
        "session after a broken connection",
        ALL,
        survives_a_broken_connection,
    ),
    ("session is thrown away", ALL, is_thrown_away),
    ("session expiry", ONLY_5, expires),
    (
        "session ends with the connection",
        ONLY_5,
        ends_with_the_connection,
    ),
    ("session expiry at the end", ONLY_5, expires_as_told_at_the_end),
    ("message expiry", ONLY_5, messages_expire),
    ("rest of a message's expiry", ONLY_5, remaining_expiry),
];

/// A client that has subscribed with QoS 1 in a lasting session, and is gone.
fn left(site: &Site, topic: &str, options: ConnectOptions) -> Outcome {
    let client = site.known(site.lasting("a").build());
    let ends = endings(&client);
    let flags = site.join_with(&client, options)?;
    ensure!(!flags.session_present, "a session of a client that is new");
    granted(client.subscribe((topic, 1))?.wait(5)?, 1)?;
    client.disconnect()?;
    told("the end", &ends).map(drop)
}

/// The client comes again, as a program that has been started anew would; whether there is a session.
fn back(site: &Site) -> Outcome<(Client, Messages, bool)> {
    let client = site.known(site.lasting("a").build());
    let messages = client.messages(100);
    let flags = site.join(&client)?;
    Ok((client, messages, flags.session_present))
}

fn is_kept(site: &Site) -> Outcome {
    let topic = site.topic("t");
    left(site, &topic, site.options())?;
    let speaker = site.joined("b")?;
    for payload in ["1", "2", "3"] {
        publish(&speaker, &topic, payload, 1)?;
    }
    let (_client, messages, present) = back(site)?;
    ensure!(present || site.version == V31, "no session present");
    expect_all(&messages, &["1", "2", "3"])?;
    // And the subscription is still there.
    publish(&speaker, &topic, "4", 1)?;
    expect(&messages, "4").map(drop)
}

/// The client leaves without a word, and connects again. What it had not acknowledged comes again then.
fn goes_on(site: &Site) -> Outcome {
    let topic = site.topic("t");
    let client = site.known(site.lasting("a").build());
    let messages = client.messages(100);
    let (sender, welcomes) = crossbeam_channel::unbounded();
    client.on_connect(move |_, flags, _, _| {
        let _ = sender.send(flags.session_present);
    });
    site.join(&client)?;
    granted(client.subscribe((&*topic, 1))?.wait(5)?, 1)?;
    ensure!(
        !told("the first CONNACK", &welcomes)?,
        "a session of a client that is new"
    );
    publish(&client, &topic, "before", 1)?;
    expect(&messages, "before")?;
    client.reconnect()?;
    let present = told("the second CONNACK", &welcomes)?;
    ensure!(present || site.version == V31, "no session present");
    publish(&client, &topic, "after", 1)?;
    while next(&messages)?.payload.to_str_lossy() != "after" {}
    Ok(())
}

/// The client comes back by itself, and gets what it has missed.
fn survives_a_broken_connection(site: &Site) -> Outcome {
    let topic = site.topic("t");
    let proxy = Proxy::start(site.broker().port(), Duration::ZERO);
    let client = site.known(site.lasting("a").reconnect_on_failure(true).build());
    // Time enough for the others to publish.
    client.reconnect_delay_set(0.5, 0.5)?;
    let (messages, ends) = (client.messages(100), endings(&client));
    let (sender, welcomes) = crossbeam_channel::unbounded();
    client.on_connect(move |_, flags, _, _| {
        let _ = sender.send(flags.session_present);
    });
    site.join_with(&client, site.through(&proxy))?;
    granted(client.subscribe((&*topic, 1))?.wait(5)?, 1)?;
    ensure!(
        !told("the first CONNACK", &welcomes)?,
        "a session of a client that is new"
    );
    let speaker = site.joined("b")?;
    proxy.cut();
    told("the loss", &ends)?;
    for payload in ["1", "2", "3"] {
        publish(&speaker, &topic, payload, 1)?;
    }
    // What a client publishes meanwhile waits, too.
    let info = client.publish_with(site.topic("u"), "waited", 1, false)?;
    let present = told("the second CONNACK", &welcomes)?;
    ensure!(present || site.version == V31, "no session present");
    expect_all(&messages, &["1", "2", "3"])?;
    info.wait_for_publish(5)?;
    Ok(())
}

fn is_thrown_away(site: &Site) -> Outcome {
    let topic = site.topic("t");
    left(site, &topic, site.options())?;
    let client = site.client("a");
    let messages = client.messages(10);
    let flags = site.join(&client)?;
    ensure!(!flags.session_present, "the session is still present");
    publish(&client, &topic, "lost", 1)?;
    let end = site.topic("end");
    granted(client.subscribe((&*end, 1))?.wait(5)?, 1)?;
    publish(&client, &end, "end", 1)?;
    expect(&messages, "end").map(drop)
}

fn expires(site: &Site) -> Outcome {
    left(site, &site.topic("t"), site.options().session_expiry(1))?;
    thread::sleep(Duration::from_millis(2_500));
    let (_, _, present) = back(site)?;
    ensure!(!present, "an expired session is present");
    Ok(())
}

/// DISCONNECT may take back what CONNECT asked for.
fn expires_as_told_at_the_end(site: &Site) -> Outcome {
    let client = site.known(site.lasting("a").build());
    let ends = endings(&client);
    site.join(&client)?;
    let at_once = Properties::default().with(Property::SessionExpiryInterval(0));
    client.disconnect_with(ReasonCode::NORMAL_DISCONNECTION, at_once)?;
    told("the end", &ends)?;
    let (_, _, present) = back(site)?;
    ensure!(!present, "a session that was given up is present");
    Ok(())
}

fn ends_with_the_connection(site: &Site) -> Outcome {
    left(site, &site.topic("t"), site.options().session_expiry(0))?;
    let (_, _, present) = back(site)?;
    ensure!(
        !present,
        "a session that was to end with its connection is present"
    );
    Ok(())
}

fn expiring(topic: &str, payload: &str, seconds: u32) -> Message {
    Message::new(topic, payload)
        .properties(Properties::default().with(Property::MessageExpiryInterval(seconds)))
}

fn messages_expire(site: &Site) -> Outcome {
    let topic = site.topic("t");
    left(site, &topic, site.options())?;
    let speaker = site.joined("b")?;
    deliver(&speaker, expiring(&topic, "short-lived", 1), 1)?;
    deliver(&speaker, expiring(&topic, "long-lived", 60), 1)?;
    thread::sleep(Duration::from_millis(2_500));
    let (_client, messages, _) = back(site)?;
    expect(&messages, "long-lived").map(drop)
}

fn remaining_expiry(site: &Site) -> Outcome {
    let topic = site.topic("t");
    left(site, &topic, site.options())?;
    let speaker = site.joined("b")?;
    deliver(&speaker, expiring(&topic, "x", 60), 1)?;
    thread::sleep(Duration::from_millis(1_500));
    let (_client, messages, _) = back(site)?;
    let rest = expect(&messages, "x")?.properties.message_expiry_interval();
    ensure!(
        rest.is_some_and(|rest| (50..60).contains(&rest)),
        "{rest:?} of 60 seconds left"
    );
    Ok(())
}
