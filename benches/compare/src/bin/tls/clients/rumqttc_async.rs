//! rumqttc's `AsyncClient`: the publisher and the event loop are two tasks of one thread, where it publishes fastest.

use compare::{CAPACITY, Failure, runtime};
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, QoS};

use super::Job;
use super::rumqttc_sync::{is_message, options};
use crate::meter::{Cost, Meter};
use crate::peer::Server;

async fn connected(server: &Server) -> Result<(AsyncClient, EventLoop), Failure> {
    let (client, mut events) = AsyncClient::new(options(server), CAPACITY);
    while !matches!(events.poll().await?, Event::Incoming(Incoming::ConnAck(_))) {}
    Ok((client, events))
}

pub(crate) fn publish(server: &Server, job: Job) -> Result<Cost, Failure> {
    runtime()?.block_on(async {
        let (client, mut events) = connected(server).await?;
        let event_loop = tokio::spawn(async move {
            while !is_message(&events.poll().await?) {}
            Ok::<(), Failure>(())
        });
        let (topic, payload) = job.count();
        client.publish(topic, QoS::AtMostOnce, false, payload).await?;
        let meter = Meter::start()?;
        for _ in 0..job.messages {
            client.publish("tls", QoS::AtMostOnce, false, job.payload).await?;
        }
        event_loop.await??;
        meter.stop()
    })
}

pub(crate) fn receive(server: &Server, job: Job) -> Result<Cost, Failure> {
    runtime()?.block_on(async {
        let (client, mut events) = connected(server).await?;
        let meter = Meter::start()?;
        let (topic, payload) = job.send();
        client.publish(topic, QoS::AtMostOnce, false, payload).await?;
        let mut left = job.messages;
        while left > 0 {
            left -= u32::from(is_message(&events.poll().await?));
        }
        meter.stop()
    })
}
