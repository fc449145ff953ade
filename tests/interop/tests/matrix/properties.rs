//! What MQTT 5.0 added to packets: properties, limits, reason codes.

use std::time::Duration;

use callmq::client::{Client, ConnectOptions, Message, Properties, Property, QoS, ReasonCode};
use crossbeam_channel::{Receiver, unbounded};
use interop::Proxy;
use interop::proxy::Event;

use crate::site::{Outcome, Site, deliver, endings, ensure, expect, granted, publish, same, told, welcomes};
use crate::{ONLY_5, Row};

pub const CHECKS: &[Row] = &[
    ("properties of a message", ONLY_5, of_a_message),
    ("assigned client id", ONLY_5, assigned_client_id),
    ("server keep alive", ONLY_5, server_keep_alive),
    ("request and response", ONLY_5, request_and_response),
    ("response information", ONLY_5, response_information),
    ("receive maximum of the client", ONLY_5, own_receive_maximum),
    ("receive maximum of the server", ONLY_5, servers_receive_maximum),
    ("maximum packet of the client", ONLY_5, own_maximum_packet_size),
    (
        "maximum packet of the server",
        ONLY_5,
        servers_maximum_packet_size,
    ),
    ("subscription identifiers", ONLY_5, subscription_identifiers),
    ("topic aliases", ONLY_5, topic_aliases),
    ("reason: no subscribers", ONLY_5, no_subscribers),
    ("reason: no subscription", ONLY_5, no_subscription),
];

fn of_a_message(site: &Site) -> Outcome {
    let topic = site.topic("t");
    let (client, messages) = site.listener("a", &topic, 1)?;
    let sent = Properties::default()
        .with(Property::PayloadFormatIndicator(1))
        .with(Property::ContentType("text/plain".into()))
        .with(Property::ResponseTopic(site.topic("answers")))
        .with(Property::CorrelationData(b"\x00\x01\xff".to_vec().into()))
        .with(Property::UserProperty("name".into(), "value 1".into()))
        .with(Property::UserProperty("name".into(), "value 2".into()));
    deliver(&client, Message::new(&topic, "x").properties(sent.clone()), 1)?;
    let received = expect(&messages, "x")?.properties;
    same(
        "Payload Format Indicator",
        received.payload_format_indicator(),
        sent.payload_format_indicator(),
    )?;
    same("Content Type", received.content_type(), sent.content_type())?;
    same("Response Topic", received.response_topic(), sent.response_topic())?;
    same(
        "Correlation Data",
        received.correlation_data(),
        sent.correlation_data(),
    )?;
    same(
        "User Properties",
        received.user_properties().collect::<Vec<_>>(),
        sent.user_properties().collect::<Vec<_>>(),
    )
}

fn assigned_client_id(site: &Site) -> Outcome {
    let client = callmq::Client::builder("")
        .protocol(site.version)
        .reconnect_on_failure(false)
        .build();
    let client = site.known(client);
    let assigned = welcomed(site, &client, site.options())?;
    let assigned = assigned.assigned_client_identifier().unwrap_or_default();
    ensure!(!assigned.is_empty(), "no Assigned Client Identifier");
    same("client id", client.client_id(), assigned)
}

/// The brokers of the matrix that have a setting for it want a sign of life once a minute.
fn server_keep_alive(site: &Site) -> Outcome {
    let welcome = welcomed(site, &site.client("a"), site.options().keep_alive(600))?;
    same("Server Keep Alive", welcome.server_keep_alive(), Some(60))
}

/// Connects, and returns the properties of the CONNACK.
fn welcomed(site: &Site, client: &Client, options: ConnectOptions) -> Outcome<Properties> {
    let welcomes = welcomes(client);
    site.join_with(client, options)?;
    told("the CONNACK", &welcomes)
}

fn no_subscribers(site: &Site) -> Outcome {
    let client = site.client("a");
    let (sender, codes) = unbounded();
    client.on_publish(move |_, _, code, _| {
        let _ = sender.send(code.value());
    });
    site.join(&client)?;
    let topic = site.topic("nobody");
    publish(&client, &topic, "x", 1)?;
    same("code of PUBACK", told("PUBACK", &codes)?, 0x10)?;
    granted(client.subscribe((&*topic, 1))?.wait(5)?, 1)?;
    publish(&client, &topic, "x", 1)?;
    same("code with a subscriber", told("PUBACK", &codes)?, 0)
}

fn no_subscription(site: &Site) -> Outcome {
    let client = site.joined("a")?;
    let codes = client.unsubscribe(site.topic("never"))?.wait(5)?;
    let codes: Vec<u8> = codes.into_iter().map(ReasonCode::value).collect();
    same("codes of UNSUBACK", codes, [0x11])
}

/// A client that answers requests, and the response topics that it was told.
fn worker(site: &Site, questions: &str) -> Outcome<(Client, Receiver<String>)> {
    let worker = site.client("b");
    let (sender, topics) = unbounded();
    worker.on_message(move |worker, question| {
        let _ = sender.send(
            question
                .properties
                .response_topic()
                .unwrap_or_default()
                .to_owned(),
        );
        worker.reply(question, format!("{}!", question.payload))
    });
    site.join(&worker)?;
    granted(worker.subscribe((questions, 1))?.wait(5)?, 1)?;
    Ok((worker, topics))
}

fn ask(client: &Client, questions: &str, number: u8) -> Outcome {
    let question = Message::new(questions, number).qos(QoS::AtLeastOnce);
    let answer = client.request_message(question, 5)?;
    same("answer", answer.payload.to_str_lossy(), format!("{number}!"))
}

fn request_and_response(site: &Site) -> Outcome {
    let questions = site.topic("questions");
    let (_worker, topics) = worker(site, &questions)?;
    let client = site.joined("a")?;
    for number in 0..3 {
        ask(&client, &questions, number)?;
    }
    same("questions", topics.len(), 3)
}

/// The broker says what response topics may be made from.
fn response_information(site: &Site) -> Outcome {
    let questions = site.topic("questions");
    let (_worker, topics) = worker(site, &questions)?;
    let client = site.client("a");
    let wanted = Properties::default().with(Property::RequestResponseInformation(1));
    let welcome = welcomed(site, &client, site.options().properties(wanted))?;
    let Some(information) = welcome.response_information() else {
        return Err(crate::Failure::new("no Response Information"));
    };
    ask(&client, &questions, 7)?;
    let topic = told("the response topic", &topics)?;
    ensure!(
        topic.starts_with(information),
        "{topic} is not made from {information}"
    );
    Ok(())
}

/// A message that is larger than the broker takes is refused, and the connection stays.
fn servers_maximum_packet_size(site: &Site) -> Outcome {
    let client = site.client("a");
    let ends = endings(&client);
    let welcome = welcomed(site, &client, site.options())?;
    let allowed = welcome.maximum_packet_size().unwrap_or(u32::MAX);
    ensure!(allowed < 10_000_000, "{allowed} is no limit");
    let topic = site.topic("t");
    let result = deliver(&client, Message::new(&topic, vec![b'x'; allowed as usize]), 1);
    ensure!(result.is_err(), "it was published");
    publish(&client, &topic, "small", 1)?;
    ensure!(ends.is_empty(), "the connection has ended");
    Ok(())
}

/// No more messages than the client has allowed are on their way to it.
fn own_receive_maximum(site: &Site) -> Outcome {
    let topic = site.topic("t");
    let proxy = Proxy::start(site.broker().port(), Duration::ZERO);
    let client = site.known(site.builder("a").manual_ack(true).build());
    let messages = client.messages(100);
    let two = Properties::default().with(Property::ReceiveMaximum(2));
    site.join_with(&client, site.through(&proxy).properties(two))?;
    granted(client.subscribe((&*topic, 1))?.wait(5)?, 1)?;
    let speaker = site.joined("b")?;
    for number in 0..10 {
        publish(&speaker, &topic, &number.to_string(), 1)?;
    }
    // A client that obeys the standard ends the connection when more come.
    while let Ok(message) = messages.recv(2) {
        let _ = client.ack(&message);
        if &message.payload == "9" {
            break;
        }
    }
    let most = most_unacknowledged(&proxy, true);
    ensure!(
        most <= 2,
        "{most} at once, and 2 are allowed: {:#?}",
        proxy.records()
    );
    ensure!(client.is_connected(), "the client has ended the connection");
    let publishes = |event: &Event| matches!(event, Event::FromBroker(packet) if packet[0] >> 4 == 3);
    let count = proxy
        .records()
        .iter()
        .filter(|record| publishes(&record.event))
        .count();
    same("messages", count, 10)
}

/// No more messages than the broker has allowed are on their way to it.
fn servers_receive_maximum(site: &Site) -> Outcome {
    let proxy = Proxy::start(site.broker().port(), Duration::from_millis(5));
    let client = site.client("a");
    client.max_inflight_messages_set(100)?;
    let welcome = welcomed(site, &client, site.through(&proxy))?;
    let allowed = welcome.receive_maximum().unwrap_or(u16::MAX);
    ensure!(allowed < 50, "{allowed} is no limit");
    let topic = site.topic("t");
    let infos = (0..50)
        .map(|number| client.publish_with(&topic, number, 1 + number % 2, false))
        .collect::<Result<Vec<_>, _>>()?;
    for info in infos {
        info.wait_for_publish(5)?;
    }
    let most = most_unacknowledged(&proxy, false);
    same("at once", most, usize::from(allowed))
}

/// How many messages of QoS 1 and 2 were on their way at the same time, in one direction.
fn most_unacknowledged(proxy: &Proxy, to_client: bool) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for record in proxy.records() {
        let (packet, by_sender) = match &record.event {
            Event::FromBroker(packet) => (packet, to_client),
            Event::FromClient(packet) => (packet, !to_client),
            _ => continue,
        };
        match (by_sender, packet[0]) {
            (true, 0x32..=0x3d) => now += 1,
            // PUBACK and PUBCOMP.
            (false, 0x40 | 0x70) => now = now.saturating_sub(1),
            _ => {}
        }
        most = most.max(now);
    }
    most
}

/// A message that is larger than the client has allowed does not come, and those after it do [MQTT-3.1.2-25].
fn own_maximum_packet_size(site: &Site) -> Outcome {
    let topic = site.topic("t");
    let proxy = Proxy::start(site.broker().port(), Duration::ZERO);
    let client = site.client("a");
    let messages = client.messages(10);
    let small = Properties::default().with(Property::MaximumPacketSize(500));
    site.join_with(&client, site.through(&proxy).properties(small))?;
    granted(client.subscribe((&*topic, 1))?.wait(5)?, 1)?;
    let speaker = site.joined("b")?;
    publish(&speaker, &topic, &"x".repeat(1_000), 1)?;
    publish(&speaker, &topic, "small", 1)?;
    let came = messages.recv(2);
    let sizes = proxy
        .records()
        .into_iter()
        .filter_map(|record| match record.event {
            Event::FromBroker(packet) => Some(packet.len()),
            _ => None,
        });
    let largest = sizes.max().unwrap_or_default();
    ensure!(largest <= 500, "a packet of {largest} bytes came");
    same("payload", came?.payload.to_str_lossy(), "small")
}

/// Each callback is called for what its filter matches, however many copies the broker sends.
fn subscription_identifiers(site: &Site) -> Outcome {
    let client = site.joined("a")?;
    let (sender, seen) = unbounded();
    for (name, filter) in [("all", site.topic("#")), ("one", site.topic("t/1"))] {
        let sender = sender.clone();
        let callback = move |_: &Client, message: &Message| {
            let identified = message.properties.subscription_identifiers().count() > 0;
            let _ = sender.send((name, message.payload.to_string(), identified));
        };
        granted(client.subscribe_with((filter, 1), callback)?.wait(5)?, 1)?;
    }
    for (topic, payload) in [("t/1", "both"), ("t/2", "first"), ("end", "end")] {
        publish(&client, &site.topic(topic), payload, 1)?;
    }
    let mut calls = Vec::new();
    while calls.last().is_none_or(|(_, payload)| payload != "end") {
        let (name, payload, identified) = told("a call", &seen)?;
        ensure!(identified, "no Subscription Identifier");
        calls.push((name, payload));
    }
    calls.sort();
    let calls: Vec<_> = calls.iter().map(|(name, payload)| (*name, &**payload)).collect();
    same(
        "calls",
        calls,
        [("all", "both"), ("all", "end"), ("all", "first"), ("one", "both")],
    )
}

/// A topic goes over the wire once, and then as a number.
fn topic_aliases(site: &Site) -> Outcome {
    let (one, two) = (site.topic("t/1"), site.topic("t/2"));
    let (_listener, messages) = site.listener("a", &site.topic("t/#"), 1)?;
    let proxy = Proxy::start(site.broker().port(), Duration::ZERO);
    let client = site.known(site.builder("b").topic_alias_limit(2).build());
    let welcome = welcomed(site, &client, site.through(&proxy))?;
    let maximum = welcome.topic_alias_maximum().unwrap_or(0);
    ensure!(maximum >= 2, "{maximum} aliases allowed");
    for topic in [&one, &two, &one, &two, &one] {
        publish(&client, topic, topic, 1)?;
        let message = expect(&messages, topic)?;
        same("topic", message.topic.as_str(), &**topic)?;
    }
    let nameless = |event: &Event| matches!(event, Event::FromClient(packet) if packet[0] >> 4 == 3 && packet[2..4] == [0, 0]);
    let count = proxy
        .records()
        .iter()
        .filter(|record| nameless(&record.event))
        .count();
    same("messages without a topic", count, 3)
}
