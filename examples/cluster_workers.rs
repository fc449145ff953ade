//! Workers of a cluster: they share the jobs wherever they are connected, and go on elsewhere when a node ends.
//!
//! Run `MQTT_SERVERS=one:1883,two:1883,three:1883 cargo run --example cluster_workers` with the nodes of your cluster, or
//! without `MQTT_SERVERS` while `cargo run --example broker` serves 127.0.0.1:1883. End the node that a worker is at: it
//! says where it is then, and no wall is forgotten if the cluster keeps its sessions. A number behind the command is how
//! many walls there are (100).

use callmq::client as mqtt;
use crossbeam_channel::unbounded;
use std::{collections::HashSet, env, thread, time::Duration};

const WALLS: &str = "callmq/examples/walls";
const PAINTERS: usize = 3;

/// A client of MQTT 5.0 that begins at one of the servers, and goes on at the next one when it has to.
fn connected(name: &str, first: usize) -> mqtt::Result<mqtt::Client> {
    let servers = env::var("MQTT_SERVERS").unwrap_or("127.0.0.1:1883".into());
    let mut servers: Vec<&str> = servers.split(',').collect();
    let first = first % servers.len();
    servers.rotate_left(first);
    // While it is on its way, the cluster keeps what comes for it.
    let client = mqtt::Client::builder(name)
        .protocol(mqtt::MQTTv5)
        .session_expiry(60)
        .build();
    client.on_connect(|client, _flags, _code, _properties| {
        if let Some(server) = client.server() {
            println!("{} is at {server}", client.client_id());
        }
    });
    client.loop_start()?;
    client.connect_and_wait(servers, 5)?;
    Ok(client)
}

/// What a painter subscribes to. Where the cluster can share a subscription, it gives each wall to one that is there;
/// otherwise each painter has walls of its own.
fn share(painter: &mqtt::Client, number: usize) -> String {
    match painter.connection_info() {
        Some(info) if info.shared_subscription_available => format!("$share/painters/{WALLS}/+"),
        _ => format!("{WALLS}/{number}"),
    }
}

fn main() -> mqtt::Result<()> {
    env_logger::init();
    let walls: usize = env::args().nth(1).unwrap_or("100".into()).parse()?;
    let (sender, painted) = unbounded();
    let mut painters = Vec::new();
    for number in 0..PAINTERS {
        let name = format!("painter-{number}");
        let painter = connected(&name, number)?;
        let painted = sender.clone();
        // The wall is acknowledged when this has returned; until then it belongs to the cluster.
        let paint = move |_client: &mqtt::Client, wall: &mqtt::Message| {
            let wall: usize = wall.payload.decode()?.parse()?;
            println!("{name} paints wall {wall}");
            painted.send(wall)?;
            Ok(())
        };
        let filter = share(&painter, number);
        let codes = painter.subscribe_with((filter.as_str(), 1), paint)?.wait(5)?;
        println!("{} subscribes to {filter}: {}", painter.client_id(), codes[0]);
        painters.push(painter);
    }

    // At another node than the first painter.
    let office = connected("office", 1)?;
    for wall in 0..walls {
        office.publish_with(format!("{WALLS}/{}", wall % PAINTERS), wall as u64, 1, false)?;
        thread::sleep(Duration::from_millis(20));
    }
    office.flush(60)?;

    let (mut done, mut twice) = (HashSet::new(), 0);
    while done.len() < walls {
        let wall = painted
            .recv_timeout(Duration::from_secs(60))
            .map_err(mqtt::Error::other)?;
        if !done.insert(wall) {
            twice += 1;
        }
    }
    println!("{walls} walls painted, {twice} of them twice");
    for painter in painters {
        painter.disconnect()?;
    }
    office.disconnect()
}
