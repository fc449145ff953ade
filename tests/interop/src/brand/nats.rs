//! nats-server with JetStream, which keeps the sessions of its MQTT clients.

use std::path::Path;

use super::service::{Start, program, write};
use super::{CREDENTIALS, Ports};

pub(super) fn start(folder: &Path, ports: &Ports) -> Result<Start, String> {
    let program = program("nats-server", &["/usr/sbin"])?;
    let (user, password) = CREDENTIALS;
    let configuration = format!(
        "server_name: callmq
listen: \"127.0.0.1:{}\"
jetstream {{
  store_dir: \"{}\"
}}
mqtt {{
  listen: \"127.0.0.1:{}\"
}}
authorization {{
  users = [ {{user: {user}, password: {password}}} ]
}}
",
        ports.own[0],
        folder.join("jetstream").display(),
        ports.mqtt
    );
    Ok(Start {
        program,
        arguments: vec!["-c".into(), write(folder, "nats.conf", &configuration)],
        environment: Vec::new(),
        ready: "Server is ready",
    })
}
