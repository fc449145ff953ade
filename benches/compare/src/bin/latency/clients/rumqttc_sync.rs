//! rumqttc's `Client`: `publish` in this thread, its event loop in another.

use std::thread;

use compare::{CAPACITY, Failure};
use rumqttc::{Client, Connection, Event, Incoming, MqttOptions, NetworkOptions, Outgoing, QoS};

use crate::pace::{Load, Next, Pace, now};
use crate::record::{Outcome, Record};

/// Without Nagle's algorithm, which keeps messages back for milliseconds. It is on by default; for throughput that is
/// better.
pub(super) fn network_options() -> NetworkOptions {
    let mut options = NetworkOptions::new();
    options.set_tcp_nodelay(true);
    options
}

fn client(port: u16) -> (Client, Connection) {
    let (client, mut connection) = Client::new(MqttOptions::new("latency", "127.0.0.1", port), CAPACITY);
    connection.eventloop.set_network_options(network_options());
    (client, connection)
}

pub(crate) fn publish(port: u16, load: Load) -> Result<(), Failure> {
    let (client, mut connection) = client(port);
    let event_loop = thread::spawn(move || {
        for event in connection.iter() {
            // The peer leaves after the last message.
            if matches!(event, Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(_)) {
                return;
            }
        }
    });
    let mut pace = Pace::new(load);
    loop {
        match pace.next() {
            Next::Send(payload) => client.publish("latency", QoS::AtMostOnce, false, payload)?,
            Next::Wait => thread::yield_now(),
            Next::End(payload) => {
                client.publish("latency", QoS::AtMostOnce, false, payload)?;
                client.disconnect()?;
                return event_loop.join().map_err(|_| "the event loop panicked".into());
            }
        }
    }
}

pub(crate) fn receive(port: u16) -> Result<Outcome, Failure> {
    let (client, mut connection) = client(port);
    client.subscribe("latency", QoS::AtMostOnce)?;
    let mut record = Record::new()?;
    for event in connection.iter() {
        if let Event::Incoming(Incoming::Publish(message)) = event? {
            if let Some(outcome) = record.arrived(&message.payload, now()) {
                return Ok(outcome);
            }
        }
    }
    Err("the event loop ended".into())
}
