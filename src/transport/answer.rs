//! What an HTTP server answers, up to the empty line: for requests that end in something else than HTTP.

use std::io;

use super::talk::{Talk, printable};

/// The longest head that is read.
const LONGEST: usize = 16 * 1024;

/// The head of an answer (RFC 9112, section 4).
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The words behind the status.
    pub(super) reason: String,
    #[cfg_attr(not(feature = "websocket"), expect(dead_code))]
    headers: Vec<(String, String)>,
    /// What has come behind the head.
    pub(super) rest: Vec<u8>,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The peer says something else: the beginning of it.
    NotHttp(Vec<u8>),
    /// The head has no end.
    Endless,
    /// As of [`Talk::read`]; `UnexpectedEof` where the stream ends before the head does.
    Failed(io::Error),
}

impl Answer {
    /// Reads up to the empty line that ends the head, and what came together with it.
    pub(super) fn read(talk: &mut Talk<'_>) -> Result<Self, NoAnswer> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 1024];
        loop {
            let count = talk.read(&mut buffer).map_err(NoAnswer::Failed)?;
            if count == 0 {
                return Err(NoAnswer::Failed(io::ErrorKind::UnexpectedEof.into()));
            }
            bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
            if let Some(end) = end_of_head(&bytes) {
                let rest = bytes.split_off(end);
                return Self::parse(&bytes, rest).ok_or(NoAnswer::NotHttp(bytes));
            }
            // Something else than a server of HTTP may speak without end, and without lines.
            let first = bytes.get(..5).unwrap_or(&bytes);
            if !b"HTTP/".starts_with(first) {
                return Err(NoAnswer::NotHttp(bytes));
            }
            if bytes.len() > LONGEST {
                return Err(NoAnswer::Endless);
            }
        }
    }

    fn parse(head: &[u8], rest: Vec<u8>) -> Option<Self> {
        let mut lines = head.split(|&byte| byte == b'\n');
        let mut words = lines.next()?.splitn(3, |&byte| byte == b' ');
        let version = words.next()?;
        let status = std::str::from_utf8(words.next()?).ok()?.trim().parse().ok()?;
        if !version.starts_with(b"HTTP/1.") || status < 100 {
            return None;
        }
        let reason = words.next().map(printable).unwrap_or_default();
        let header = |line: &[u8]| {
            let line = String::from_utf8_lossy(line);
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        };
        Some(Self {
            status,
            reason,
            headers: lines.filter_map(header).collect(),
            rest,
        })
    }

    /// The values of the headers of this name.
    #[cfg(feature = "websocket")]
    pub(super) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let of_name = move |header: &&(String, String)| header.0.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(of_name)
            .map(|header| header.1.as_str())
    }

    /// The value of the header of this name, if there is just one.
    #[cfg(feature = "websocket")]
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers(name);
        values.next().filter(|_| values.next().is_none())
    }
}

/// Where the head ends, if all of it is there.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let find = |end: &[u8]| {
        let at = bytes.windows(end.len()).position(|window| window == end)?;
        Some(at + end.len())
    };
    // Whichever comes first: the body may have the other.
    [find(b"\r\n\r\n"), find(b"\n\n")].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_a_status_and_headers() {
        let head =
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket \r\nX:1\r\nx: 2\r\nno header\r\n\r\n";
        let answer = Answer::parse(head, b"rest".to_vec()).unwrap();
        assert_eq!(
            (answer.status, answer.reason.as_str()),
            (101, "Switching Protocols")
        );
        assert_eq!(answer.rest, b"rest");
        #[cfg(feature = "websocket")]
        {
            assert_eq!(answer.header("Upgrade"), Some("WebSocket"));
            assert_eq!(answer.headers("X").collect::<Vec<_>>(), ["1", "2"]);
            assert_eq!(answer.header("X"), None);
            assert_eq!(answer.header("Location"), None);
        }
    }

    #[test]
    fn what_is_no_answer_of_http_is_none() {
        for head in [
            "",
            "\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "HTTP/1.1 OK\r\n\r\n",
            "HTTP/1.1 99 x\r\n\r\n",
            "HTTP/1.1 70000 x\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
        ] {
            assert!(Answer::parse(head.as_bytes(), Vec::new()).is_none(), "{head:?}");
        }
        assert_eq!(
            Answer::parse(b"HTTP/1.0 204\n\n", Vec::new()).unwrap().status,
            204
        );
    }

    #[test]
    fn a_head_ends_with_the_first_empty_line() {
        assert_eq!(end_of_head(b"a\r\n\r\nb"), Some(5));
        assert_eq!(end_of_head(b"a\n\nb\r\n\r\n"), Some(3));
        assert_eq!(end_of_head(b"a\r\n\r"), None);
    }
}
