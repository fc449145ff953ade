//! HTTP CONNECT.

use std::io;

use super::{Destination, Proxy, printable};
use crate::transport::talk::Talk;

/// The longest answer that is read.
const LONGEST: usize = 16 * 1024;

/// Has the proxy connect to `destination`.
pub(super) fn ask(proxy: &Proxy, destination: &Destination, talk: &mut Talk<'_>) -> io::Result<()> {
    let mut request = format!("CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n");
    if let Some((username, password)) = &proxy.credentials {
        let credentials = base64(format!("{username}:{password}").as_bytes());
        request.push_str(&format!("Proxy-Authorization: Basic {credentials}\r\n"));
    }
    request.push_str("\r\n");
    talk.write_all(request.as_bytes())?;
    let answer = read_answer(proxy, talk)?;
    let line = answer.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut words = line.splitn(3, |&byte| byte == b' ');
    let is_http = words
        .next()
        .is_some_and(|version| version.starts_with(b"HTTP/1."));
    let status = words
        .next()
        .and_then(|status| std::str::from_utf8(status).ok()?.trim().parse().ok());
    let Some(status @ 100u16..) = status.filter(|_| is_http) else {
        let what = format!("does not speak HTTP: {:?}", printable(line));
        return Err(proxy.refusal(io::ErrorKind::InvalidData, what));
    };
    let kind = match status {
        200..300 => return Ok(()),
        401 | 403 | 407 => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::ConnectionRefused,
    };
    let reason = words.next().map(printable).unwrap_or_default();
    let what = format!("refuses to connect to {destination}: {status} {reason}");
    Err(proxy.refusal(kind, what.trim_end()))
}

/// Reads up to the empty line, which ends the answer: the server speaks only when it is spoken to.
fn read_answer(proxy: &Proxy, talk: &mut Talk<'_>) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = talk.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if let Some(end) = end_of_head(&answer) {
            let refused = !answer.starts_with(b"HTTP/1.1 2") && !answer.starts_with(b"HTTP/1.0 2");
            if end < answer.len() && !refused {
                let what = "sends bytes that nobody has asked for behind its answer";
                return Err(proxy.refusal(io::ErrorKind::InvalidData, what));
            }
            return Ok(answer);
        }
        // Something else than a proxy may speak without end, and without lines.
        let first = answer.get(..5).unwrap_or(&answer);
        if !b"HTTP/".starts_with(first) {
            return Ok(answer);
        }
        if answer.len() > LONGEST {
            return Err(proxy.refusal(io::ErrorKind::InvalidData, "sends an answer without end"));
        }
    }
}

/// Where the head ends, if all of it is there.
fn end_of_head(answer: &[u8]) -> Option<usize> {
    let find = |end: &[u8]| {
        let at = answer.windows(end.len()).position(|window| window == end)?;
        Some(at + end.len())
    };
    find(b"\r\n\r\n").or_else(|| find(b"\n\n"))
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
