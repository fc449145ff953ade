//! A shared subscription: three workers divide the jobs among them.
//!
//! Run `cargo run --example broker` in a terminal, then `cargo run --example shared_workers` in a second one. Each job is
//! printed once, by the worker that got it. It ends when all are done.

use callmq::client as mqtt;
use crossbeam_channel::unbounded;
use std::{env, time::Duration};

const JOBS: usize = 9;

/// A client of MQTT 5.0 whose loop runs in a thread.
fn connected(name: &str) -> mqtt::Result<mqtt::Client> {
    let host = env::var("MQTT_HOST").unwrap_or("127.0.0.1".into());
    let port: u16 = env::var("MQTT_PORT").unwrap_or("1883".into()).parse()?;
    let client = mqtt::Client::builder(name).protocol(mqtt::MQTTv5).build();
    client.loop_start()?;
    client.connect_and_wait((host, port), 5)?;
    Ok(client)
}

fn main() -> mqtt::Result<()> {
    env_logger::init();
    let (sender, done) = unbounded();
    let mut workers = Vec::new();
    for name in ["worker-1", "worker-2", "worker-3"] {
        let worker = connected(name)?;
        let done = sender.clone();
        // The broker gives each message to one of those that subscribe with the same group. Its topic is the plain one.
        let work = move |_client: &mqtt::Client, job: &mqtt::Message| {
            done.send((name, job.topic.to_string(), job.payload.decode()?.to_owned()))?;
            Ok(())
        };
        let codes = worker
            .subscribe_with(("$share/painters/callmq/examples/jobs/+", 1), work)?
            .wait(5)?;
        // A broker may refuse shared subscriptions.
        println!("{name} subscribes: {}", codes[0]);
        workers.push(worker);
    }

    let office = connected("office")?;
    for number in 1..=JOBS {
        let topic = format!("callmq/examples/jobs/{number}");
        office.publish_with(topic, format!("paint wall {number}"), 1, false)?;
    }
    office.flush(5)?;

    for _ in 0..JOBS {
        let (worker, topic, job) = done
            .recv_timeout(Duration::from_secs(5))
            .map_err(mqtt::Error::other)?;
        println!("{worker} got {job} on {topic}");
    }
    println!("{JOBS} jobs, each done once");
    for worker in workers {
        worker.disconnect()?;
    }
    office.disconnect()
}
