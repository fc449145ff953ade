//! aedes, served by a script of a few lines.

use std::path::Path;

use super::CREDENTIALS;
use super::way::{Listeners, Way};
use crate::service::{Start, program};

pub(super) fn start(_: &Path, listeners: &Listeners) -> Result<Start, String> {
    let (user, password) = CREDENTIALS;
    // With limits of its own, so that there is something to announce and to obey.
    let options = r#"{"topicAliasMaximum": 10, "receiveMaximum": 5, "keepaliveLimit": 60,
        "maximumPacketSize": 6000000, "responseInformation": "callmq/answers"}"#;
    let [certificate, key] = listeners.certificate();
    let settings = format!(
        r#"{{"tcp": {}, "tls": {}, "ws": {}, "wss": {}, "unix": {:?}, "certificate": {certificate:?}, "key": {key:?},
            "user": "{user}", "password": "{password}", "options": {options}}}"#,
        listeners.port(Way::Tcp),
        listeners.port(Way::Tls),
        listeners.port(Way::WebSocket),
        listeners.port(Way::SecureWebSocket),
        listeners.socket().display().to_string(),
    );
    with_settings(settings)
}

/// How the script is started, if the packages that it needs are beside it. `settings` is its argument, in JSON.
pub(crate) fn with_settings(settings: String) -> Result<Start, String> {
    let node = program("node", &[]).or_else(|_| program("nodejs", &[]))?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("aedes");
    for package in ["aedes", "aedes-persistence-redis"] {
        if !folder
            .join("node_modules")
            .join(package)
            .join("package.json")
            .is_file()
        {
            return Err(format!(
                "there is no node_modules/{package} in {}",
                folder.display()
            ));
        }
    }
    Ok(Start {
        program: node,
        arguments: vec![folder.join("server.mjs").display().to_string(), settings],
        environment: Vec::new(),
        ready: "callmq: ready",
        servers: 1,
    })
}
