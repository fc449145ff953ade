//! The texts that `on_log` gets, in the wording of paho-mqtt 1.6.1.
//!
//! Where Python shows that it holds bytes (`b'x'`, or `'b'x''`), the text stands in plain quotes. Control characters in
//! names that a peer chose are escaped, so that one packet is one line. Authentication data is left out.

use std::borrow::Cow;
use std::fmt::Write;
use std::io;

use super::codes::LogLevel;
use crate::codec::{Properties, Property, ProtocolVersion, QoS, ReasonCode, SubscribeOptions};
use crate::error::TlsError;
use crate::session::Trace;

/// The line for a packet that was sent or received on a connection of this version.
pub(crate) fn text(trace: &Trace, version: ProtocolVersion) -> (LogLevel, String) {
    let v5 = version == ProtocolVersion::V5;
    let line = match trace {
        Trace::SentConnect {
            version,
            username,
            password,
            will,
            clean_start,
            keep_alive,
            client_id,
            properties,
        } => {
            let (will_qos, will_retain) = will.unwrap_or_default();
            let mut line = format!(
                "Sending CONNECT (u{}, p{}, wr{}, wq{will_qos}, wf{}, c{}, k{keep_alive}) client_id={}",
                u8::from(*username),
                u8::from(*password),
                u8::from(will_retain),
                u8::from(will.is_some()),
                u8::from(*clean_start),
                quoted(client_id),
            );
            if *version == ProtocolVersion::V5 {
                let _ = write!(line, " properties={}", sent(properties));
            }
            line
        }
        Trace::SentPublish {
            dup,
            qos,
            retain,
            mid,
            topic,
            properties,
            payload_len,
        } => {
            let mut line = publish("Sending", *dup, *qos, *retain, *mid, topic);
            if v5 {
                let _ = write!(
                    line,
                    ", properties={}",
                    properties.as_ref().map_or("None".into(), sent)
                );
            }
            match payload_len {
                0 => line.push_str(" (NULL payload)"),
                length => {
                    let _ = write!(line, ", ... ({length} bytes)");
                }
            }
            line
        }
        Trace::SentSubscribe { mid, subscriptions } => {
            let items = subscriptions
                .iter()
                .map(|(filter, options)| subscription(filter, *options, v5));
            format!("Sending SUBSCRIBE (d0, m{mid}) {}", list(items))
        }
        Trace::SentUnsubscribe { mid, filters } => {
            let none = if v5 { "None " } else { "" };
            format!(
                "Sending UNSUBSCRIBE (d0, m{mid}) {none}{}",
                list(filters.iter().map(|filter| quoted(filter)))
            )
        }
        Trace::SentAck { name, packet_id } => format!("Sending {name} (Mid: {packet_id})"),
        Trace::SentPingReq => "Sending PINGREQ".to_owned(),
        Trace::SentPingResp => "Sending PINGRESP".to_owned(),
        Trace::SentDisconnect { reason, properties } if v5 => {
            let reason = if reason.meaning() == 0 {
                "None"
            } else {
                reason.name()
            };
            format!(
                "Sending DISCONNECT reasonCode={reason} properties={}",
                sent(properties)
            )
        }
        Trace::SentDisconnect { .. } => "Sending DISCONNECT".to_owned(),
        Trace::ReceivedConnAck {
            flags,
            reason,
            properties,
        } if v5 => {
            format!(
                "{} properties={}",
                conn_ack(*flags, reason.name()),
                received(properties)
            )
        }
        Trace::ReceivedConnAck { flags, reason, .. } => conn_ack(*flags, reason.value()),
        Trace::ReceivedPublish {
            dup,
            qos,
            retain,
            mid,
            topic,
            properties,
            payload_len,
        } => {
            let mut line = publish("Received", *dup, *qos, *retain, *mid, topic);
            if v5 {
                let _ = write!(
                    line,
                    ", properties={}",
                    properties.as_ref().map_or("[]".into(), received)
                );
            }
            // Two spaces here, one where it is sent.
            let _ = write!(line, ", ...  ({payload_len} bytes)");
            line
        }
        Trace::ReceivedAck { name, packet_id } => format!("Received {name} (Mid: {packet_id})"),
        Trace::ReceivedSubAck => "Received SUBACK".to_owned(),
        Trace::ReceivedUnsubAck { packet_id } => format!("Received UNSUBACK (Mid: {packet_id})"),
        Trace::ReceivedPingReq => "Received PINGREQ".to_owned(),
        Trace::ReceivedPingResp => "Received PINGRESP".to_owned(),
        Trace::ReceivedDisconnect { reason, properties } => {
            format!("Received DISCONNECT {} {}", reason.name(), received(properties))
        }
        Trace::SentAuth { reason } => format!("Sending AUTH reasonCode={}", reason.name()),
        Trace::ReceivedAuth { reason } => format!("Received AUTH {}", reason.name()),
        Trace::Unrecognised { command } => {
            return (LogLevel::Err, format!("Error: Unrecognised command {command}"));
        }
    };
    (LogLevel::Debug, line)
}

/// The line for a CONNACK that refuses the version, in place of [`text`], if the client goes on with an older one.
pub(crate) fn downgrade(flags: u8, reason: ReasonCode, version: ProtocolVersion) -> (LogLevel, String) {
    let line = format!(
        "{}, attempting downgrade to MQTT v{}.",
        conn_ack(flags, reason.value()),
        if version == ProtocolVersion::V31 {
            "3.1"
        } else {
            "3.1.1"
        }
    );
    (LogLevel::Debug, line)
}

/// The line for a CONNACK that refuses an empty client identifier, in place of [`text`], if the client goes on with one
/// that it makes up.
pub(crate) fn new_client_id(flags: u8, reason: ReasonCode) -> (LogLevel, String) {
    let line = format!(
        "{}, attempting to use non-empty CID",
        conn_ack(flags, reason.value())
    );
    (LogLevel::Debug, line)
}

/// The line for an attempt to reconnect that failed.
pub(crate) fn reconnect_failed() -> (LogLevel, String) {
    (LogLevel::Debug, "Connection failed, retrying".to_owned())
}

/// The line for a socket that can no longer be read or written.
pub(crate) fn socket_failed(error: &io::Error) -> (LogLevel, String) {
    (
        LogLevel::Err,
        format!("failed to receive on socket: {}", os_error(error)),
    )
}

/// The line for a connection that TLS has ended.
pub(crate) fn tls_failed(error: &TlsError) -> (LogLevel, String) {
    (LogLevel::Err, format!("failed to receive on socket: {error}"))
}

/// The line for a callback that failed.
pub(crate) fn callback_failed(callback: &str, error: &str) -> (LogLevel, String) {
    (LogLevel::Err, format!("Caught exception in {callback}: {error}"))
}

/// The line for a callback of a filter that failed.
pub(crate) fn filter_callback_failed(filter: &str, error: &str) -> (LogLevel, String) {
    (
        LogLevel::Err,
        format!("Caught exception in user defined callback function {filter}: {error}"),
    )
}

fn conn_ack(flags: u8, reason: impl std::fmt::Display) -> String {
    format!("Received CONNACK ({flags}, {reason})")
}

fn publish(verb: &str, dup: bool, qos: QoS, retain: bool, mid: u16, topic: &str) -> String {
    format!(
        "{verb} PUBLISH (d{}, q{qos}, r{}, m{mid}), '{}'",
        u8::from(dup),
        u8::from(retain),
        one_line(topic)
    )
}

fn subscription(filter: &str, options: SubscribeOptions, v5: bool) -> String {
    let qos = options.qos;
    if !v5 {
        return format!("({}, {qos})", quoted(filter));
    }
    format!(
        "({}, {{QoS={qos}, noLocal={}, retainAsPublished={}, retainHandling={}}})",
        quoted(filter),
        python_bool(options.no_local),
        python_bool(options.retain_as_published),
        u8::from(options.retain_handling),
    )
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// Properties of a sent packet; the Python client has `None` where the application gave none.
fn sent(properties: &Properties) -> String {
    if properties.is_empty() {
        "None".to_owned()
    } else {
        received(properties)
    }
}

fn received(properties: &Properties) -> String {
    let shown = properties
        .iter()
        .filter(|property| !matches!(property, Property::AuthenticationData(_)));
    one_line(&shown.cloned().collect::<Properties>().to_string()).into_owned()
}

fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// A text as Python's `repr` shows it.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut repr = String::with_capacity(text.len() + 2);
    repr.push(quote);
    for character in text.chars() {
        match character {
            '\\' => repr.push_str("\\\\"),
            _ if character == quote => repr.extend(['\\', character]),
            _ => push_escaped(&mut repr, character),
        }
    }
    repr.push(quote);
    repr
}

/// A text as it is, but for control characters.
fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        push_escaped(&mut line, character);
    }
    Cow::Owned(line)
}

fn push_escaped(line: &mut String, character: char) {
    match character {
        '\t' => line.push_str("\\t"),
        '\n' => line.push_str("\\n"),
        '\r' => line.push_str("\\r"),
        _ if character.is_control() => {
            let _ = write!(line, "\\x{:02x}", u32::from(character));
        }
        _ => line.push(character),
    }
}

/// An error of the system in Python's form, `[Errno 104] Connection reset by peer`.
fn os_error(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        None => text,
        Some(number) => {
            let reason = text
                .strip_suffix(&format!(" (os error {number})"))
                .unwrap_or(&text);
            format!("[Errno {number}] {reason}")
        }
    }
}

#[cfg(test)]
mod tests;
