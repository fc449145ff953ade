//! aedes, served by a script of a few lines.

use std::path::Path;

use super::service::{Start, program};
use super::{CREDENTIALS, Ports};

pub(super) fn start(_: &Path, ports: &Ports) -> Result<Start, String> {
    let node = program("node", &[]).or_else(|_| program("nodejs", &[]))?;
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("aedes");
    if !package.join("node_modules/aedes/package.json").is_file() {
        return Err(format!("there is no node_modules/aedes in {}", package.display()));
    }
    let (user, password) = CREDENTIALS;
    // With limits of its own, so that there is something to announce and to obey.
    let options = r#"{"topicAliasMaximum": 10, "receiveMaximum": 5, "keepaliveLimit": 60,
        "maximumPacketSize": 2000000, "responseInformation": "callmq/answers"}"#;
    let settings = format!(
        r#"{{"tcp": {}, "user": "{user}", "password": "{password}", "options": {options}}}"#,
        ports.mqtt
    );
    Ok(Start {
        program: node,
        arguments: vec![package.join("server.mjs").display().to_string(), settings],
        environment: Vec::new(),
        ready: "callmq: ready",
    })
}
