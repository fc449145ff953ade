//! mosquitto, with limits of its own, so that there is something to announce and to obey.

use super::way::{Listeners, Way};
use crate::broker::Broker;
use crate::mosquitto::{Config, program};
use crate::vendored;

/// Starts it with a listener for each of the ways.
pub(super) fn start(listeners: &Listeners, ways: &[Way]) -> Result<Box<dyn Broker + Sync>, String> {
    let mut config = Config::default()
        .password()
        .line("max_inflight_messages 5")
        .line("max_keepalive 60")
        .line("max_packet_size 6000000");
    if ways.contains(&Way::Tls) && vendored::is(program()) {
        return Err("the mosquitto that is built from source has no TLS and no WebSocket".into());
    }
    for &way in ways {
        if way == Way::Tcp {
            continue;
        }
        config = match way {
            Way::Unix => config.line(format!("listener 0 {}", listeners.socket().display())),
            _ => config.line(format!("listener {} 127.0.0.1", listeners.port(way))),
        };
        if matches!(way, Way::WebSocket | Way::SecureWebSocket) {
            config = config.line("protocol websockets");
        }
        if way.is_secure() {
            let [certificate, key] = listeners.certificate();
            config = config
                .line(format!("cafile {}", listeners.ca()))
                .line(format!("certfile {certificate}"))
                .line(format!("keyfile {key}"));
        }
        if way == Way::ClientCertificate {
            config = config.line("require_certificate true");
        }
    }
    Ok(Box::new(config.start()))
}
