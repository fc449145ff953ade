//! RabbitMQ with nothing but its plugins for MQTT, and with an Erlang port mapper of its own, which ends with it.

use std::path::Path;

use super::CREDENTIALS;
use super::way::{Listeners, Way};
use crate::service::{Start, program, write};

pub(super) fn start(folder: &Path, listeners: &Listeners) -> Result<Start, String> {
    // The script of the same name in /usr/sbin changes the user; this one does not.
    let server = "/usr/lib/rabbitmq/bin/rabbitmq-server";
    if !Path::new(server).is_file() {
        return Err(format!("there is no {server}"));
    }
    let epmd = program("epmd", &["/usr/lib/erlang/bin"])?;
    let (user, password) = CREDENTIALS;
    let [certificate, key] = listeners.certificate();
    let configuration = format!(
        "mqtt.listeners.tcp.1 = 127.0.0.1:{}
mqtt.listeners.ssl.1 = 127.0.0.1:{}
ssl_options.cacertfile = {}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_none
web_mqtt.tcp.ip = 127.0.0.1
web_mqtt.tcp.port = {}
web_mqtt.ssl.ip = 127.0.0.1
web_mqtt.ssl.port = {}
web_mqtt.ssl.certfile = {certificate}
web_mqtt.ssl.keyfile = {key}
mqtt.allow_anonymous = false
default_user = {user}
default_pass = {password}
listeners.tcp = none
log.console = true
log.file = false
",
        listeners.port(Way::Tcp),
        listeners.port(Way::Tls),
        listeners.ca(),
        listeners.port(Way::WebSocket),
        listeners.port(Way::SecureWebSocket),
    );
    let own = folder.display();
    let [mapper, distribution] = listeners.own;
    let command = format!(
        "{} -port {mapper} -address 127.0.0.1 & exec {server}",
        epmd.display()
    );
    Ok(Start {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), command],
        environment: vec![
            ("HOME", own.to_string()),
            ("ERL_EPMD_PORT", mapper.to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_NODENAME", "callmq@localhost".into()),
            ("RABBITMQ_DIST_PORT", distribution.to_string()),
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}".into(),
            ),
            ("RABBITMQ_MNESIA_BASE", format!("{own}/mnesia")),
            ("RABBITMQ_LOG_BASE", format!("{own}/log")),
            ("RABBITMQ_PID_FILE", format!("{own}/pid")),
            (
                "RABBITMQ_ENABLED_PLUGINS_FILE",
                write(folder, "plugins", "[rabbitmq_mqtt,rabbitmq_web_mqtt].\n"),
            ),
            (
                "RABBITMQ_CONFIG_FILE",
                write(folder, "rabbitmq.conf", &configuration),
            ),
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null".into()),
        ],
        ready: "Server startup complete",
        servers: 1,
    })
}
