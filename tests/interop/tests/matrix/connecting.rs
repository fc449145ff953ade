//! Connecting, and how connections end.

use std::thread;
use std::time::Duration;

use callmq::client::{Client, DisconnectReason, Error, ReasonCode};
use interop::proxy::Event;
use interop::{Brand, Proxy};

use crate::site::{Outcome, Site, endings, ensure, expect, granted, publish, same, told};
use crate::{ALL, EVERY_WAY, ONLY_5, Row};

pub const CHECKS: &[Row] = &[
    ("connect", EVERY_WAY, connect),
    ("wrong password", EVERY_WAY, wrong_password),
    ("no password", ALL, no_password),
    ("empty client id", ALL, empty_client_id),
    ("keep alive of 1 s", ALL, |site| keep_alive(site, 1)),
    ("keep alive of 2 s", ALL, |site| keep_alive(site, 2)),
    ("take-over", ALL, take_over),
    ("take-over says so", ONLY_5, take_over_says_so),
    ("reconnect", ALL, reconnect),
];

fn connect(site: &Site) -> Outcome {
    let client = site.client("a");
    let ends = endings(&client);
    let flags = site.join(&client)?;
    ensure!(!flags.session_present, "a session of a client that is new");
    ensure!(client.is_connected(), "not connected");
    client.disconnect()?;
    let (code, flags) = told("the end", &ends)?;
    same("code", code.value(), 0)?;
    ensure!(
        matches!(flags.reason, DisconnectReason::Requested),
        "ended because of {}",
        flags.reason
    );
    Ok(())
}

/// The code of the CONNACK for users who are not let in.
fn refused(site: &Site) -> u8 {
    match (site.broker().brand(), site.is_v5()) {
        // Bad user name or password; the others say "not authorized".
        (Brand::Aedes | Brand::RabbitMq, false) => 4,
        (Brand::Aedes, true) => ReasonCode::BAD_USERNAME_OR_PASSWORD.value(),
        (_, false) => 5,
        (_, true) => ReasonCode::NOT_AUTHORIZED.value(),
    }
}

fn wrong_password(site: &Site) -> Outcome {
    let client = site.stranger("a");
    client.username_pw_set(site.broker().brand().user(), "wrong");
    expect_refusal(site, &client)
}

fn no_password(site: &Site) -> Outcome {
    expect_refusal(site, &site.stranger("a"))
}

fn expect_refusal(site: &Site, client: &Client) -> Outcome {
    let ends = endings(client);
    match client.connect_and_wait(site.options(), 5) {
        Err(Error::Refused(code)) => same("code", code.value(), refused(site))?,
        other => ensure!(false, "{other:?} instead of a refusal"),
    }
    let (code, flags) = told("the end", &ends)?;
    same("code of on_disconnect", code.value(), refused(site))?;
    ensure!(
        matches!(flags.reason, DisconnectReason::Refused(_)),
        "ended because of {}",
        flags.reason
    );
    Ok(())
}

fn empty_client_id(site: &Site) -> Outcome {
    let client = site.known(
        Client::builder("")
            .protocol(site.version)
            .reconnect_on_failure(false)
            .build(),
    );
    let messages = client.messages(10);
    site.join(&client)?;
    if site.is_v5() {
        ensure!(
            !client.client_id().is_empty(),
            "the assigned client id is not kept"
        );
    }
    let topic = site.topic("t");
    granted(client.subscribe((&*topic, 1))?.wait(5)?, 1)?;
    publish(&client, &topic, "x", 1)?;
    expect(&messages, "x").map(drop)
}

/// The application is silent for longer than two keep alives.
fn keep_alive(site: &Site, seconds: u16) -> Outcome {
    let proxy = Proxy::start(site.broker().port(), Duration::ZERO);
    let client = site.client("a");
    let ends = endings(&client);
    site.join_with(&client, site.through(&proxy).keep_alive(seconds))?;
    thread::sleep(Duration::from_millis(u64::from(seconds) * 2_000 + 700));
    if let Ok((_, flags)) = ends.try_recv() {
        ensure!(false, "ended because of {}", flags.reason);
    }
    let count = |packet: &[u8]| {
        let is = |event: &Event| matches!(event, Event::FromClient(p) | Event::FromBroker(p) if p == packet);
        proxy.records().iter().filter(|record| is(&record.event)).count()
    };
    let (asked, answered) = (count(b"\xc0\x00"), count(b"\xd0\x00"));
    ensure!(asked >= 2, "{asked} PINGREQ in two keep alives");
    ensure!(answered + 1 >= asked, "{answered} answers to {asked} PINGREQ");
    Ok(())
}

fn take_over(site: &Site) -> Outcome {
    let (old, ends) = taken_over(site)?;
    let (_, flags) = told("the end of the first", &ends)?;
    ensure!(
        matches!(
            flags.reason,
            DisconnectReason::Server(_) | DisconnectReason::Lost(_)
        ),
        "ended because of {}",
        flags.reason
    );
    ensure!(!old.is_connected(), "the first is still connected");
    Ok(())
}

fn take_over_says_so(site: &Site) -> Outcome {
    let (_old, ends) = taken_over(site)?;
    let (code, flags) = told("the end of the first", &ends)?;
    ensure!(
        matches!(flags.reason, DisconnectReason::Server(_)) && flags.is_disconnect_packet_from_server,
        "ended because of {}",
        flags.reason
    );
    same("code", code, ReasonCode::SESSION_TAKEN_OVER)
}

type Ends = crossbeam_channel::Receiver<(ReasonCode, callmq::client::DisconnectFlags)>;

/// A client, after a second one has come with its id and works, and how the first one ends.
fn taken_over(site: &Site) -> Outcome<(Client, Ends)> {
    let old = site.client("twin");
    let ends = endings(&old);
    site.join(&old)?;
    let (new, messages) = site.listener("twin", &site.topic("t"), 1)?;
    publish(&new, &site.topic("t"), "x", 1)?;
    expect(&messages, "x")?;
    Ok((old, ends))
}

/// A connection that breaks comes back, and so does the subscription.
fn reconnect(site: &Site) -> Outcome {
    let proxy = Proxy::start(site.broker().port(), Duration::ZERO);
    let client = site.known(site.builder("a").reconnect_on_failure(true).build());
    client.reconnect_delay_set(0.05, 1)?;
    let (sender, subscribed) = crossbeam_channel::unbounded();
    client.on_subscribe(move |_, _, _, _| {
        let _ = sender.send(());
    });
    let messages = client.messages(10);
    let ends = endings(&client);
    site.join_with(&client, site.through(&proxy))?;
    let topic = site.topic("t");
    client.subscribe((&*topic, 1))?.wait(5)?;
    told("the subscription", &subscribed)?;
    proxy.cut();
    told("the loss", &ends)?;
    told("the renewed subscription", &subscribed)?;
    publish(&client, &topic, "again", 1)?;
    expect(&messages, "again").map(drop)
}
