//! callmq: `publish` in this thread, the loop in another.

use std::net::Ipv4Addr;
use std::sync::mpsc::channel;
use std::thread;

use callmq::client::Client;
use compare::{Failure, PATIENCE};

use crate::pace::{Load, Next, Pace, now};
use crate::record::{Outcome, Record};

fn connected(port: u16) -> Result<Client, Failure> {
    let client = compare::callmq("latency");
    client.loop_start()?;
    client.connect((Ipv4Addr::LOCALHOST, port))?;
    client.wait_for_connect(PATIENCE)?;
    Ok(client)
}

pub(crate) fn publish(port: u16, load: Load) -> Result<(), Failure> {
    let client = connected(port)?;
    let mut pace = Pace::new(load);
    loop {
        match pace.next() {
            Next::Send(payload) => drop(client.publish("latency", payload.as_slice())?),
            Next::Wait => thread::yield_now(),
            Next::End(payload) => {
                client
                    .publish("latency", payload.as_slice())?
                    .wait_for_publish(PATIENCE)?;
                return Ok(());
            }
        }
    }
}

pub(crate) fn receive(port: u16) -> Result<Outcome, Failure> {
    let client = connected(port)?;
    let (sender, outcomes) = channel();
    let mut record = Record::new()?;
    client.on_message(move |_, message| {
        if let Some(outcome) = record.arrived(&message.payload, now()) {
            // Nobody waits any more.
            let _ = sender.send(outcome);
        }
    });
    client.subscribe("latency")?;
    Ok(outcomes.recv_timeout(PATIENCE)?)
}
