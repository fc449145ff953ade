//! ejabberd with nothing but its module for MQTT, as a node that no other node can find.

use std::fs;
use std::path::{Path, PathBuf};

use super::CREDENTIALS;
use super::way::{Listeners, Way};
use crate::service::{Start, program, write};

pub(super) fn start(folder: &Path, listeners: &Listeners) -> Result<Start, String> {
    let erl = program("erl", &[])?;
    let modules = modules()?;
    let configuration = format!(
        "hosts: [localhost]
loglevel: info
auth_method: [internal]
certfiles: [{:?}]
ca_file: {:?}
listen:
  - {{port: {}, ip: \"127.0.0.1\", module: mod_mqtt}}
  - {{port: {}, ip: \"127.0.0.1\", module: mod_mqtt, tls: true}}
  - {{port: {}, ip: \"127.0.0.1\", module: ejabberd_http, request_handlers: {{/mqtt: mod_mqtt}}}}
  - {{port: {}, ip: \"127.0.0.1\", module: ejabberd_http, request_handlers: {{/mqtt: mod_mqtt}}, tls: true}}
  - {{port: \"unix:{}\", module: mod_mqtt}}
modules:
  mod_mqtt: {{}}
",
        listeners.key_and_certificate(),
        listeners.ca(),
        listeners.port(Way::Tcp),
        listeners.port(Way::Tls),
        listeners.port(Way::WebSocket),
        listeners.port(Way::SecureWebSocket),
        listeners.socket().display(),
    );
    let (user, password) = CREDENTIALS;
    let register = format!(
        "ejabberd:start(), \
         io:format(\"user: ~p~n\", [ejabberd_auth:try_register(<<\"{user}\">>, <<\"localhost\">>, <<\"{password}\">>)])."
    );
    let mnesia = format!("{:?}", folder.join("mnesia").display().to_string());
    let own = folder.display();
    Ok(Start {
        program: erl,
        arguments: ["-noinput", "-pa"]
            .map(String::from)
            .into_iter()
            .chain([modules.display().to_string()])
            .chain(["-mnesia".into(), "dir".into(), mnesia])
            .chain(["-s".into(), "ejabberd".into(), "-eval".into(), register])
            .collect(),
        environment: vec![
            ("HOME", own.to_string()),
            (
                "EJABBERD_CONFIG_PATH",
                write(folder, "ejabberd.yml", &configuration),
            ),
            ("EJABBERD_LOG_PATH", format!("{own}/ejabberd.log")),
        ],
        ready: "user: ok",
        servers: 1,
    })
}

/// The folder with its compiled modules: Debian puts it into that of the machine's architecture.
fn modules() -> Result<PathBuf, String> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder)
            .map(|entries| {
                entries
                    .filter_map(|entry| entry.ok().map(|entry| entry.path()))
                    .collect()
            })
            .unwrap_or_default()
    };
    let roots = entries(Path::new("/usr/lib"));
    roots
        .iter()
        .flat_map(|folder| entries(folder))
        .chain(roots.iter().cloned())
        .map(|folder| folder.join("ebin"))
        .find(|folder| folder.join("ejabberd.beam").is_file())
        .ok_or_else(|| "there is no ejabberd-*/ebin below /usr/lib".into())
}
