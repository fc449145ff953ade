//! nats-server with JetStream, which keeps the sessions of its MQTT clients.

use std::path::Path;

use super::CREDENTIALS;
use super::way::{Listeners, Way};
use crate::service::{Start, program, write};

/// A server listens for MQTT with TLS or without: there are two, which know nothing of each other.
pub(super) fn start(folder: &Path, listeners: &Listeners) -> Result<Start, String> {
    let server = program("nats-server", &["/usr/sbin"])?;
    let [certificate, key] = listeners.certificate();
    let secure = format!("  tls {{\n    cert_file: {certificate:?}\n    key_file: {key:?}\n  }}\n");
    let servers = [
        ([Way::Tcp, Way::WebSocket], "", "  no_tls: true\n"),
        ([Way::Tls, Way::SecureWebSocket], &*secure, &*secure),
    ];
    let [plain, secure] = servers.map(|(ways, tls, websocket)| {
        let own = listeners.own[usize::from(ways[0].is_secure())];
        let (name, [mqtt, ws]) = (format!("nats-{own}"), ways.map(|way| listeners.port(way)));
        let (user, password) = CREDENTIALS;
        let configuration = format!(
            "server_name: {name}
listen: \"127.0.0.1:{own}\"
max_payload: 6000000
jetstream {{
  store_dir: {:?}
}}
mqtt {{
  listen: \"127.0.0.1:{mqtt}\"
{tls}}}
websocket {{
  listen: \"127.0.0.1:{ws}\"
{websocket}}}
authorization {{
  users = [ {{user: {user}, password: {password}}} ]
}}
",
            folder.join(&name).display().to_string(),
        );
        write(folder, &format!("{name}.conf"), &configuration)
    });
    let server = server.display();
    Ok(Start {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), format!("{server} -c {plain} & {server} -c {secure}")],
        environment: Vec::new(),
        ready: "Server is ready",
        servers: 2,
    })
}
