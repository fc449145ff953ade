//! A peer that costs as little as it can: it acknowledges what it has to, reads over the rest, and sends messages to whoever
//! subscribes to `send/COUNT/BYTES`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Bytes, Message, WebSocket};

/// How the filter begins that asks for messages.
pub const SEND: &str = "send/";

/// What lies over the connection.
#[derive(Clone, Default)]
pub struct Layers {
    tls: Option<Arc<ServerConfig>>,
    websocket: bool,
}

impl Layers {
    pub fn tls(config: Arc<ServerConfig>) -> Self {
        Self {
            tls: Some(config),
            websocket: false,
        }
    }

    pub fn websocket() -> Self {
        Self::default().and_websocket()
    }

    pub fn and_websocket(mut self) -> Self {
        self.websocket = true;
        self
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        match &self.tls {
            None => self.over(stream),
            Some(config) => {
                let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                self.over(StreamOwned::new(connection, stream))
            }
        }
    }

    fn over(&self, stream: impl Read + Write) -> io::Result<()> {
        if self.websocket {
            serve(Frames::accept(stream)?)
        } else {
            serve(stream)
        }
    }
}

/// Serves a free port until the process ends.
pub fn listen(layers: Layers) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let layers = layers.clone();
            thread::spawn(move || layers.serve(stream));
        }
    });
    address
}

/// Serves a unix socket until the process ends.
pub fn listen_unix(path: &Path) {
    let listener = UnixListener::bind(path).expect("a new path");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream));
        }
    });
}

/// Talks MQTT 3.1.1 until the client leaves.
fn serve(mut stream: impl Read + Write) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let mut filled = 0;
    loop {
        let mut start = 0;
        while let Some((header, end)) = packet(&buffer[start..filled]) {
            let (first, body) = (buffer[start], &buffer[start + header..start + end]);
            match first {
                0x10 => stream.write_all(&[0x20, 2, 0, 0])?,
                // PUBLISH with QoS 1: the id is behind the topic.
                0x32 | 0x3a => {
                    let id = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                    stream.write_all(&[0x40, 2, body[id], body[id + 1]])?;
                }
                0x82 => {
                    stream.write_all(&[0x90, 3, body[0], body[1], 0])?;
                    send(&mut stream, &String::from_utf8_lossy(&body[4..body.len() - 1]))?;
                }
                0xc0 => stream.write_all(&[0xd0, 0])?,
                0xe0 => return Ok(()),
                _ => {}
            }
            stream.flush()?;
            start += end;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        match stream.read(&mut buffer[filled..])? {
            0 => return Ok(()),
            count => filled += count,
        }
    }
}

/// Where the body of the first packet begins, and where it ends, if it is there as a whole.
fn packet(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (place, byte) in bytes.get(1..)?.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let end = place + 2 + length;
            return (end <= bytes.len()).then_some((place + 2, end));
        }
    }
    None
}

/// Sends what the filter asks for, in pieces of about 64 KiB.
fn send(stream: &mut impl Write, filter: &str) -> io::Result<()> {
    let wish = filter.strip_prefix(SEND).and_then(|wish| wish.split_once('/'));
    let number = |text: &str| text.parse::<usize>().map_err(io::Error::other);
    let Some((count, bytes)) = wish else {
        return Ok(());
    };
    let (mut left, bytes) = (number(count)?, number(bytes)?);
    let mut publish = vec![0x30];
    let mut length = 3 + bytes;
    while length > 0x7f {
        publish.push(length as u8 | 0x80);
        length >>= 7;
    }
    publish.extend([length as u8, 0, 1, b't']);
    publish.resize(publish.len() + bytes, 7);
    let at_once = (64 * 1024 / publish.len()).max(1);
    let many = publish.repeat(at_once);
    while left > 0 {
        let now = left.min(at_once);
        stream.write_all(&many[..now * publish.len()])?;
        left -= now;
    }
    Ok(())
}

/// The bytes in the messages of a WebSocket.
struct Frames<S> {
    socket: WebSocket<S>,
    rest: Bytes,
}

impl<S: Read + Write> Frames<S> {
    #[expect(clippy::result_large_err, reason = "the library's own type")]
    fn accept(stream: S) -> io::Result<Self> {
        let with_protocol = |request: &Request, mut response: Response| {
            if let Some(protocol) = request.headers().get("Sec-WebSocket-Protocol") {
                let headers = response.headers_mut();
                headers.insert("Sec-WebSocket-Protocol", protocol.clone());
            }
            Ok(response)
        };
        let socket = tungstenite::accept_hdr(stream, with_protocol)
            .map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self {
            socket,
            rest: Bytes::new(),
        })
    }
}

impl<S: Read + Write> Read for Frames<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.socket.read().map_err(io::Error::other)? {
                Message::Binary(bytes) => self.rest = bytes,
                Message::Close(_) => return Ok(0),
                _ => {}
            }
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

impl<S: Read + Write> Write for Frames<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let message = Message::binary(bytes.to_vec());
        self.socket.send(message).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(io::Error::other)
    }
}
