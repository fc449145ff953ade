//! rumqttc's `AsyncClient`: the publisher and the event loop are two tasks of one thread, where it publishes fastest.

use compare::{CAPACITY, Failure, runtime};
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, Outgoing, QoS};
use tokio::task;

use super::rumqttc_sync::network_options;
use crate::pace::{Load, Next, Pace, now};
use crate::record::{Outcome, Record};

fn client(port: u16) -> (AsyncClient, EventLoop) {
    let (client, mut events) = AsyncClient::new(MqttOptions::new("latency", "127.0.0.1", port), CAPACITY);
    events.set_network_options(network_options());
    (client, events)
}

pub(crate) fn publish(port: u16, load: Load) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let (client, mut events) = client(port);
        let event_loop = tokio::spawn(async move {
            // The peer leaves after the last message.
            while let Ok(event) = events.poll().await {
                if matches!(event, Event::Outgoing(Outgoing::Disconnect)) {
                    return;
                }
            }
        });
        let mut pace = Pace::new(load);
        loop {
            match pace.next() {
                Next::Send(payload) => client.publish("latency", QoS::AtMostOnce, false, payload).await?,
                Next::Wait => task::yield_now().await,
                Next::End(payload) => {
                    client.publish("latency", QoS::AtMostOnce, false, payload).await?;
                    client.disconnect().await?;
                    return Ok(event_loop.await?);
                }
            }
        }
    })
}

pub(crate) fn receive(port: u16) -> Result<Outcome, Failure> {
    runtime()?.block_on(async {
        let (client, mut events) = client(port);
        client.subscribe("latency", QoS::AtMostOnce).await?;
        let mut record = Record::new()?;
        loop {
            if let Event::Incoming(Incoming::Publish(message)) = events.poll().await? {
                if let Some(outcome) = record.arrived(&message.payload, now()) {
                    return Ok(outcome);
                }
            }
        }
    })
}
