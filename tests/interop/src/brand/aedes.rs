//! aedes, served by a script of a few lines.

use std::path::Path;

use super::CREDENTIALS;
use super::service::{Start, program};
use super::way::{Listeners, Way};

pub(super) fn start(_: &Path, listeners: &Listeners) -> Result<Start, String> {
    let node = program("node", &[]).or_else(|_| program("nodejs", &[]))?;
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("aedes");
    if !package.join("node_modules/aedes/package.json").is_file() {
        return Err(format!("there is no node_modules/aedes in {}", package.display()));
    }
    let (user, password) = CREDENTIALS;
    // With limits of its own, so that there is something to announce and to obey.
    let options = r#"{"topicAliasMaximum": 10, "receiveMaximum": 5, "keepaliveLimit": 60,
        "maximumPacketSize": 6000000, "responseInformation": "callmq/answers"}"#;
    let [certificate, key] = listeners.certificate();
    let settings = format!(
        r#"{{"tcp": {}, "tls": {}, "unix": {:?}, "certificate": {certificate:?}, "key": {key:?},
            "user": "{user}", "password": "{password}", "options": {options}}}"#,
        listeners.port(Way::Tcp),
        listeners.port(Way::Tls),
        listeners.socket().display().to_string(),
    );
    Ok(Start {
        program: node,
        arguments: vec![package.join("server.mjs").display().to_string(), settings],
        environment: Vec::new(),
        ready: "callmq: ready",
        servers: 1,
    })
}
