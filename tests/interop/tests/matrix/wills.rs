//! Wills: published when a client is lost, and not when it says goodbye.

use std::time::{Duration, Instant};

use callmq::client::{Client, Message, Messages, Properties, Property, QoS, ReasonCode};
use interop::Proxy;
use interop::proxy::Event;

use crate::site::{Outcome, Site, endings, ensure, expect, publish, same, told, until};
use crate::{ALL, ONLY_5, Row};

pub const CHECKS: &[Row] = &[
    ("will", ALL, will),
    ("no will after disconnect", ALL, no_will),
    ("properties of a will", ONLY_5, properties_of_a_will),
    ("will delay", ONLY_5, will_delay),
    ("will delay, and back in time", ONLY_5, back_before_the_will),
    ("disconnect with will", ONLY_5, disconnect_with_will),
];

/// A will that is published, or not, when `end` has been done to the connection.
fn with_will(site: &Site, end: impl FnOnce(&Client, &Proxy) -> Outcome) -> Outcome<(Client, Messages)> {
    let topic = site.topic("will");
    let (listener, messages) = site.listener("a", &topic, 1)?;
    let proxy = Proxy::start(site.broker().port(), Duration::ZERO);
    let mortal = site.client("b");
    mortal.will_set(&topic, "gone", 1, false)?;
    site.join_with(&mortal, site.through(&proxy))?;
    end(&mortal, &proxy)?;
    Ok((listener, messages))
}

fn will(site: &Site) -> Outcome {
    let (_listener, messages) = with_will(site, |_, proxy| {
        proxy.cut();
        Ok(())
    })?;
    expect(&messages, "gone").map(drop)
}

fn no_will(site: &Site) -> Outcome {
    let (listener, messages) = with_will(site, |client, proxy| {
        client.disconnect()?;
        // The broker has seen it when it has closed its side.
        until("the end of the connection", || {
            proxy
                .records()
                .iter()
                .any(|record| record.event == Event::ClosedByBroker)
        })
    })?;
    publish(&listener, &site.topic("will"), "end", 1)?;
    expect(&messages, "end").map(drop)
}

/// A client with a will that is cut off, and what a listener gets of it.
fn cut_off(site: &Site, properties: Properties) -> Outcome<(Client, Messages)> {
    let topic = site.topic("will");
    let (listener, messages) = site.listener("a", &topic, 1)?;
    let proxy = Proxy::start(site.broker().port(), Duration::ZERO);
    let mortal = site.known(site.lasting("b").build());
    let will = Message::new(&topic, "gone").qos(QoS::AtLeastOnce);
    mortal.will_set_message(will.properties(properties))?;
    let ends = endings(&mortal);
    site.join_with(&mortal, site.through(&proxy))?;
    proxy.cut();
    told("the loss", &ends)?;
    Ok((listener, messages))
}

fn properties_of_a_will(site: &Site) -> Outcome {
    let properties = Properties::default()
        .with(Property::ContentType("text/plain".into()))
        .with(Property::UserProperty("name".into(), "value".into()));
    let (_listener, messages) = cut_off(site, properties)?;
    let received = expect(&messages, "gone")?.properties;
    same("Content Type", received.content_type(), Some("text/plain"))?;
    let user: Vec<_> = received.user_properties().collect();
    same("User Properties", user, [("name", "value")])
}

fn will_delay(site: &Site) -> Outcome {
    let start = Instant::now();
    let (_listener, messages) = cut_off(site, Properties::default().with(Property::WillDelayInterval(2)))?;
    let Ok(message) = messages.recv(5) else {
        return Err(crate::Failure::new("the will did not come"));
    };
    same("payload", message.payload.to_str_lossy(), "gone")?;
    // Brokers look at their clocks once a second.
    let waited = start.elapsed();
    ensure!(waited >= Duration::from_secs(1), "it came after {waited:?}");
    Ok(())
}

fn back_before_the_will(site: &Site) -> Outcome {
    let (listener, messages) = cut_off(site, Properties::default().with(Property::WillDelayInterval(2)))?;
    let back = site.known(site.lasting("b").build());
    site.join(&back)?;
    if let Ok(message) = messages.recv(4) {
        ensure!(false, "{} came", message.payload);
    }
    publish(&listener, &site.topic("will"), "end", 1)?;
    expect(&messages, "end").map(drop)
}

/// A DISCONNECT that asks for the will.
fn disconnect_with_will(site: &Site) -> Outcome {
    let topic = site.topic("will");
    let (listener, messages) = site.listener("a", &topic, 1)?;
    let mortal = site.client("b");
    mortal.will_set(&topic, "gone", 1, false)?;
    site.join(&mortal)?;
    mortal.disconnect_with(ReasonCode::DISCONNECT_WITH_WILL_MESSAGE, Properties::default())?;
    let ends = Duration::from_secs(2);
    if let Ok(message) = messages.recv(ends) {
        return same("payload", message.payload.to_str_lossy(), "gone");
    }
    publish(&listener, &topic, "end", 1)?;
    same(
        "payload",
        expect(&messages, "end")?.payload.to_str_lossy(),
        "gone",
    )
}
