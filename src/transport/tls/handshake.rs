//! The handshake, on the thread that dials.

use std::io;

use super::records::{Ready, Records};
use super::{Tls, TlsConfig};
use crate::error::{TlsError, TlsReason};
use crate::transport::talk::Talk;

/// Makes the layer for a connection to `host`. Blocks as `talk` does.
///
/// # Errors
///
/// Those of `talk`; a [`TlsError`] inside an [`io::Error`] for everything else.
pub(in crate::transport) fn handshake(
    config: &TlsConfig,
    host: Option<&str>,
    talk: &mut Talk<'_>,
) -> io::Result<Tls> {
    let result = shake_hands(config, host, talk);
    let error = result
        .as_ref()
        .err()
        .and_then(|error| error.get_ref()?.downcast_ref::<TlsError>());
    if error.is_some_and(|error| error.reason == TlsReason::UnknownIssuer) {
        // The certificates of the system may have changed: the next attempt looks at them again.
        config.forget();
    }
    result
}

fn shake_hands(config: &TlsConfig, host: Option<&str>, talk: &mut Talk<'_>) -> io::Result<Tls> {
    let name = config.name(host)?;
    let host = name.to_str().into_owned();
    let client = config.client_config()?;
    let mut records = Records::new(client, name)
        .map_err(|error| TlsError::new(TlsReason::Settings, error.to_string()))
        .map_err(io::Error::other)?;
    loop {
        let ready = records.step(&mut []);
        let replies = records.take_replies();
        let Some(ready) = ready else {
            // The peer gets to know why, if it still listens.
            let _ = talk.write_all(&replies);
            return Err(records
                .failure()
                .unwrap_or_else(|| io::ErrorKind::InvalidData.into()));
        };
        talk.write_all(&replies).map_err(|error| explain(error, &host))?;
        match ready {
            Ready::Write => break,
            Ready::Record(_) => {}
            Ready::Blocked => {
                let mut room = records.take_room();
                let result = talk.read(&mut room);
                records.give_back(room, *result.as_ref().unwrap_or(&0));
                if result.map_err(|error| explain(error, &host))? == 0 {
                    return Err(closed(&host));
                }
            }
        }
    }
    log::debug!(
        target: "callmq",
        "TLS with {host}: {}{}{}",
        records.version().and_then(|version| version.as_str()).unwrap_or("an unknown version"),
        if records.is_resumed() { ", resumed" } else { "" },
        match records.alpn_protocol() {
            Some(protocol) => format!(", protocol {:?}", String::from_utf8_lossy(protocol)),
            None => String::new(),
        }
    );
    Ok(Tls::new(records))
}

/// Says in which step the network failed.
fn explain(error: io::Error, host: &str) -> io::Error {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            closed(host)
        }
        io::ErrorKind::TimedOut => {
            let text =
                format!("{host} did not finish the TLS handshake in time: does it speak TLS at this port?");
            io::Error::new(io::ErrorKind::TimedOut, text)
        }
        _ => error,
    }
}

fn closed(host: &str) -> io::Error {
    let text =
        format!("{host} closed the connection during the TLS handshake: does it speak TLS at this port?");
    io::Error::new(
        io::ErrorKind::ConnectionReset,
        TlsError::new(TlsReason::Closed, text),
    )
}
