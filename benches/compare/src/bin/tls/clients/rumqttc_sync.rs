//! rumqttc's `Client`: `publish` in this thread, its event loop in another.

use std::sync::Arc;
use std::thread;

use compare::{CAPACITY, Failure};
use rumqttc::{Client, Connection, Event, Incoming, MqttOptions, QoS, TlsConfiguration, Transport};

use super::Job;
use crate::meter::{Cost, Meter};
use crate::peer::Server;

pub(super) fn options(server: &Server) -> MqttOptions {
    let (host, port) = server.address();
    let mut options = MqttOptions::new("tls", host, port);
    let config = TlsConfiguration::Rustls(Arc::clone(&server.config));
    options.set_transport(Transport::Tls(config));
    options
}

pub(super) fn is_message(event: &Event) -> bool {
    matches!(event, Event::Incoming(Incoming::Publish(_)))
}

/// The next event; an error where the connection ends.
fn next(connection: &mut Connection) -> Result<Event, Failure> {
    let event = connection.iter().next();
    Ok(event.ok_or("the event loop ended")??)
}

fn connected(server: &Server) -> Result<(Client, Connection), Failure> {
    let (client, mut connection) = Client::new(options(server), CAPACITY);
    while !matches!(next(&mut connection)?, Event::Incoming(Incoming::ConnAck(_))) {}
    Ok((client, connection))
}

pub(crate) fn publish(server: &Server, job: Job) -> Result<Cost, Failure> {
    let (client, mut connection) = connected(server)?;
    let event_loop = thread::spawn(move || -> Result<(), Failure> {
        while !is_message(&next(&mut connection)?) {}
        Ok(())
    });
    let (topic, payload) = job.count();
    client.publish(topic, QoS::AtMostOnce, false, payload)?;
    let meter = Meter::start()?;
    for _ in 0..job.messages {
        client.publish("tls", QoS::AtMostOnce, false, job.payload)?;
    }
    event_loop.join().map_err(|_| "the event loop panicked")??;
    meter.stop()
}

pub(crate) fn receive(server: &Server, job: Job) -> Result<Cost, Failure> {
    let (client, mut connection) = connected(server)?;
    let meter = Meter::start()?;
    let (topic, payload) = job.send();
    client.publish(topic, QoS::AtMostOnce, false, payload)?;
    let mut left = job.messages;
    while left > 0 {
        left -= u32::from(is_message(&next(&mut connection)?));
    }
    meter.stop()
}
