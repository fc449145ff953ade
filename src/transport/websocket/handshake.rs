//! The opening handshake, on the thread that dials (RFC 6455, section 4).

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use super::{WebSocket, WebSocketConfig};
use crate::error::{WebSocketError, WebSocketReason};
use crate::transport::answer::{Answer, NoAnswer};
use crate::transport::talk::{Talk, printable};

/// So much of the body of a refusal is read.
const BODY: usize = 512;

/// How a server of TLS answers: with an alert.
const TLS_ALERT: &[u8] = &[0x15, 0x03];

/// Makes the layer for a connection to the server that HTTP calls `authority`. Blocks as `talk` does.
///
/// # Errors
///
/// Those of `talk`, and of the function that makes the headers; a [`WebSocketError`] inside an [`io::Error`] for everything
/// else.
pub(in crate::transport) fn handshake(
    config: &WebSocketConfig,
    authority: &str,
    talk: &mut Talk<'_>,
) -> io::Result<WebSocket> {
    let key = generate_key();
    let request = request(config, authority, &key)?;
    talk.write_all(request.as_bytes())
        .map_err(|error| explain(error, authority))?;
    let answer = Answer::read(talk).map_err(|error| no_answer(error, authority))?;
    if answer.status != 101 {
        return Err(refusal(answer, authority, talk));
    }
    verify(&answer, config, authority, &key)?;
    log::debug!(target: "callmq", "WebSocket with {authority}: sub-protocol {}", config.protocol);
    Ok(WebSocket::new(answer.rest))
}

fn request(config: &WebSocketConfig, authority: &str, key: &str) -> io::Result<String> {
    let headers = match &config.headers {
        None => Vec::new(),
        // A function of the user's own: its panic is the end of the attempt, not of the thread.
        Some(make) => catch_unwind(AssertUnwindSafe(|| make()))
            .map_err(|_| {
                let text = "the function that makes the headers panicked".to_owned();
                error(io::ErrorKind::Other, WebSocketReason::Headers, text)
            })?
            .map_err(io::Error::other)?,
    };
    let mut request = format!("GET {} HTTP/1.1\r\n", config.path);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request.push_str(&format!("Host: {authority}\r\n"));
    }
    request.push_str(&format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: {}\r\n",
        config.protocol
    ));
    for (name, value) in &headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    Ok(request)
}

/// Checks an answer that takes the upgrade, in the order of RFC 6455, section 4.1.
fn verify(answer: &Answer, config: &WebSocketConfig, authority: &str, key: &str) -> io::Result<()> {
    let bad = |what: &str| {
        let text = format!("{authority} takes the upgrade, but its answer {what}");
        Err(error(
            io::ErrorKind::InvalidData,
            WebSocketReason::BadAnswer,
            text,
        ))
    };
    let is_websocket = |value: &str| value.eq_ignore_ascii_case("websocket");
    if !answer.header("Upgrade").is_some_and(is_websocket) {
        return bad("does not name WebSocket in the header Upgrade");
    }
    let mut tokens = answer.headers("Connection").flat_map(|value| value.split(','));
    if !tokens.any(|token| token.trim().eq_ignore_ascii_case("upgrade")) {
        return bad("has no header Connection: Upgrade");
    }
    if answer.header("Sec-WebSocket-Accept") != Some(derive_accept_key(key.as_bytes()).as_str()) {
        return bad("was made for another request (Sec-WebSocket-Accept)");
    }
    if answer
        .headers("Sec-WebSocket-Extensions")
        .any(|value| !value.is_empty())
    {
        return bad("has extensions that nobody has asked for");
    }
    // The server takes it for something else than MQTT otherwise [MQTT-6.0.0-4].
    if answer.header("Sec-WebSocket-Protocol") != Some(config.protocol) {
        let named: Vec<_> = answer.headers("Sec-WebSocket-Protocol").collect();
        let text = match named.as_slice() {
            [] => format!("{authority} does not say that it speaks MQTT: its answer has no sub-protocol"),
            _ => format!(
                "{authority} does not speak MQTT, but {:?}: {:?} was asked for",
                printable(named.join(", ").as_bytes()),
                config.protocol
            ),
        };
        return Err(error(
            io::ErrorKind::InvalidData,
            WebSocketReason::SubProtocol,
            text,
        ));
    }
    Ok(())
}

/// The server does not take the upgrade: with its words.
fn refusal(answer: Answer, authority: &str, talk: &mut Talk<'_>) -> io::Error {
    let kind = match answer.status {
        401 | 403 => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::ConnectionRefused,
    };
    let mut text = format!(
        "{authority} refuses the upgrade: {} {}",
        answer.status, answer.reason
    );
    text.truncate(text.trim_end().len());
    if let (300..400, Some(location)) = (answer.status, answer.header("Location")) {
        let location = printable(location.as_bytes());
        text.push_str(&format!(", and points to {location}, which is not followed"));
    }
    let reason = WebSocketReason::Refused(answer.status);
    match body(answer, talk) {
        Ok(body) if body.is_empty() => {}
        Ok(body) => text.push_str(&format!(": {body:?}")),
        Err(cancelled) => return cancelled,
    }
    error(kind, reason, text)
}

/// The beginning of what the server says in the body. One that does not send what it announces costs the time that is left.
fn body(answer: Answer, talk: &mut Talk<'_>) -> io::Result<String> {
    let announced = answer.header("Content-Length").map(|length| length.parse().ok());
    // Up to the end of the stream where it does not say.
    let size = announced.flatten().unwrap_or(BODY).min(BODY);
    let is_chunked = answer
        .headers("Transfer-Encoding")
        .any(|value| value.contains("chunked"));
    let mut body = answer.rest;
    let mut buffer = [0; BODY];
    while body.len() < size && !(is_chunked && body.ends_with(b"\r\n")) {
        match talk.read(&mut buffer) {
            Ok(count @ 1..) => body.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Ok(0) | Err(_) => break,
        }
    }
    body.truncate(BODY);
    let text = match is_chunked {
        // Behind the size of the first chunk.
        true => body.splitn(2, |&byte| byte == b'\n').nth(1).unwrap_or_default(),
        false => body.get(..size).unwrap_or(&body),
    };
    Ok(printable(text))
}

fn no_answer(problem: NoAnswer, authority: &str) -> io::Error {
    let (reason, text) = match problem {
        NoAnswer::Failed(error) => return explain(error, authority),
        NoAnswer::Endless => {
            let text = format!("{authority} answers the upgrade without end");
            (WebSocketReason::BadAnswer, text)
        }
        NoAnswer::NotHttp(bytes) if bytes.starts_with(TLS_ALERT) => {
            let text = format!("{authority} speaks TLS at this port: use wss:// or tls_set");
            (WebSocketReason::NotHttp, text)
        }
        NoAnswer::NotHttp(bytes) => {
            let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let text = format!("{authority} does not speak HTTP: {:?}", printable(line));
            (WebSocketReason::NotHttp, text)
        }
    };
    error(io::ErrorKind::InvalidData, reason, text)
}

/// Says in which step the network failed.
fn explain(problem: io::Error, authority: &str) -> io::Error {
    const ASK: &str = "does it speak WebSocket at this port?";
    match problem.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => {
            let text = format!("{authority} closed the connection during the WebSocket handshake: {ASK}");
            error(
                io::ErrorKind::ConnectionReset,
                WebSocketReason::HandshakeEnded,
                text,
            )
        }
        io::ErrorKind::TimedOut => {
            let text = format!("{authority} did not answer the WebSocket upgrade in time: {ASK}");
            io::Error::new(io::ErrorKind::TimedOut, text)
        }
        _ => problem,
    }
}

fn error(kind: io::ErrorKind, reason: WebSocketReason, text: String) -> io::Error {
    io::Error::new(kind, WebSocketError::new(reason, text))
}
