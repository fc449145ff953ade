//! HTTP CONNECT.

use std::io;

use super::{Destination, Proxy};
use crate::transport::answer::{Answer, NoAnswer};
use crate::transport::talk::{Talk, printable};

/// Has the proxy connect to `destination`.
pub(super) fn ask(proxy: &Proxy, destination: &Destination, talk: &mut Talk<'_>) -> io::Result<()> {
    let mut request = format!("CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n");
    if let Some((username, password)) = &proxy.credentials {
        let credentials = base64(format!("{username}:{password}").as_bytes());
        request.push_str(&format!("Proxy-Authorization: Basic {credentials}\r\n"));
    }
    request.push_str("\r\n");
    talk.write_all(request.as_bytes())?;
    let answer = Answer::read(talk).map_err(|error| match error {
        NoAnswer::NotHttp(bytes) => {
            let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let what = format!("does not speak HTTP: {:?}", printable(line));
            proxy.refusal(io::ErrorKind::InvalidData, what)
        }
        NoAnswer::Endless => proxy.refusal(io::ErrorKind::InvalidData, "sends an answer without end"),
        NoAnswer::Failed(error) => error,
    })?;
    let kind = match answer.status {
        200..300 if answer.rest.is_empty() => return Ok(()),
        // The server speaks only when it is spoken to.
        200..300 => {
            let what = "sends bytes that nobody has asked for behind its answer";
            return Err(proxy.refusal(io::ErrorKind::InvalidData, what));
        }
        401 | 403 | 407 => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::ConnectionRefused,
    };
    let Answer { status, reason, .. } = answer;
    let what = format!("refuses to connect to {destination}: {status} {reason}");
    Err(proxy.refusal(kind, what.trim_end()))
}

/// See RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits: usize, index| {
            bits << 8 | usize::from(*group.get(index).unwrap_or(&0))
        });
        for digit in 0..4 {
            let letter = ALPHABET
                .get(bits >> (18 - 6 * digit) & 0x3F)
                .filter(|_| digit <= group.len());
            text.push(char::from(*letter.unwrap_or(&b'=')));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, section 10.
    #[test]
    fn base64_of_the_standards_examples() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xFB, 0xFF, 0xFE]), "+//+");
    }
}
