//! callmq: `publish` in this thread, the loop in another.

use std::sync::Arc;
use std::sync::mpsc::channel;

use callmq::client::Client;
use compare::{Failure, PATIENCE};

use super::Job;
use crate::meter::{Cost, Meter};
use crate::peer::Server;

fn connected(server: &Server) -> Result<Client, Failure> {
    let client = compare::callmq("tls");
    client.tls_set_context(Arc::clone(&server.config));
    client.loop_start()?;
    client.connect(server.address())?;
    client.wait_for_connect(PATIENCE)?;
    Ok(client)
}

pub(crate) fn publish(server: &Server, job: Job) -> Result<Cost, Failure> {
    let client = connected(server)?;
    let (sender, counted) = channel();
    client.on_message(move |_, _| {
        // Nobody waits any more.
        let _ = sender.send(());
    });
    let (topic, payload) = job.count();
    client.publish(topic, payload)?;
    let meter = Meter::start()?;
    for _ in 0..job.messages {
        client.publish("tls", job.payload.as_slice())?;
    }
    counted.recv_timeout(PATIENCE)?;
    meter.stop()
}

pub(crate) fn receive(server: &Server, job: Job) -> Result<Cost, Failure> {
    let client = connected(server)?;
    let (sender, all) = channel();
    let mut left = job.messages;
    client.on_message(move |_, _| {
        left -= 1;
        if left == 0 {
            let _ = sender.send(());
        }
    });
    let meter = Meter::start()?;
    let (topic, payload) = job.send();
    client.publish(topic, payload)?;
    all.recv_timeout(PATIENCE)?;
    meter.stop()
}
