//! A WebSocket server in front of a broker that speaks none. The frames are tungstenite's, in the role of a server.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use tungstenite::handshake::server::{Request, Response};
use tungstenite::http::HeaderValue;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use crate::PATIENCE;

/// What the server got to know.
#[derive(Debug)]
pub enum Event {
    /// The handshake: the path with its query, and the headers.
    Asked {
        path: String,
        headers: Vec<(String, String)>,
    },
    /// The client closed with this code; none is without a close frame.
    Closed(Option<u16>),
}

/// How bytes from the broker are put into frames.
#[derive(Clone, Copy, Debug)]
pub enum Frames {
    /// What was read at once, as one message.
    AsTheyCome,
    /// Each message has so many bytes.
    Messages(usize),
    /// One message without end, in fragments of so many bytes, with pings in between.
    Fragments(usize),
}

/// The server: it listens until the process ends.
pub struct WebFront {
    address: SocketAddr,
    events: Receiver<Event>,
}

impl WebFront {
    pub fn new(target: SocketAddr, frames: Frames) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, events) = mpsc::channel();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                thread::spawn(move || serve(client, target, frames, &sender));
            }
        });
        Self { address, events }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next event.
    pub fn next(&self) -> Event {
        self.events.recv_timeout(PATIENCE).expect("nothing happened")
    }

    /// The next event, which is a handshake: the path, and the headers.
    pub fn asked(&self) -> (String, Vec<(String, String)>) {
        match self.next() {
            Event::Asked { path, headers } => (path, headers),
            other => panic!("{other:?}"),
        }
    }
}

/// One of the two halves of a connection. Each frame goes out in one call of `write`.
struct Half {
    reader: TcpStream,
    writer: Arc<Mutex<TcpStream>>,
}

impl Read for Half {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl Write for Half {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.lock().unwrap().write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[expect(clippy::result_large_err, reason = "the library's own type")]
fn serve(client: TcpStream, target: SocketAddr, frames: Frames, events: &Sender<Event>) {
    client.set_nodelay(true).unwrap();
    let config = WebSocketConfig::default().write_buffer_size(0);
    let asked = |request: &Request, mut response: Response| {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = request.headers().iter();
        let _ = events.send(Event::Asked {
            path: request.uri().to_string(),
            headers: headers
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
        });
        if let Some(protocol) = request.headers().get("Sec-WebSocket-Protocol") {
            let headers = response.headers_mut();
            headers.insert("Sec-WebSocket-Protocol", protocol.clone());
        }
        Ok(response)
    };
    let Ok(socket) = tungstenite::accept_hdr_with_config(client, asked, Some(config)) else {
        return;
    };
    let client = socket.into_inner();
    let writer = Arc::new(Mutex::new(client.try_clone().unwrap()));
    let half = || {
        let half = Half {
            reader: client.try_clone().unwrap(),
            writer: Arc::clone(&writer),
        };
        WebSocket::from_raw_socket(half, Role::Server, Some(config))
    };
    let broker = TcpStream::connect(target).unwrap();
    broker.set_nodelay(true).unwrap();
    let back = {
        let (broker, half) = (broker.try_clone().unwrap(), half());
        thread::spawn(move || drop(send(broker, half, frames)))
    };
    let code = receive(half(), &broker);
    let _ = events.send(Event::Closed(code));
    let _ = broker.shutdown(Shutdown::Write);
    let _ = back.join();
}

/// From the client to the broker: the code that the client closes with.
fn receive(mut client: WebSocket<Half>, mut broker: &TcpStream) -> Option<u16> {
    loop {
        match client.read().ok()? {
            Message::Binary(bytes) => broker.write_all(&bytes).ok()?,
            Message::Close(frame) => {
                let _ = client.flush();
                return frame.map(|frame| frame.code.into());
            }
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// From the broker to the client.
fn send(mut broker: TcpStream, mut client: WebSocket<Half>, frames: Frames) -> tungstenite::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    let mut begun = false;
    while let Ok(count @ 1..) = broker.read(&mut buffer) {
        let bytes = &buffer[..count];
        match frames {
            Frames::AsTheyCome => client.send(Message::binary(bytes.to_vec()))?,
            Frames::Messages(size) => {
                for part in bytes.chunks(size) {
                    client.send(Message::binary(part.to_vec()))?;
                }
            }
            Frames::Fragments(size) => {
                for part in bytes.chunks(size) {
                    let kind = if begun { Data::Continue } else { Data::Binary };
                    begun = true;
                    let frame = Frame::message(part.to_vec(), OpCode::Data(kind), false);
                    client.send(Message::Frame(frame))?;
                    client.send(Message::Ping(b"still there?".to_vec().into()))?;
                }
            }
        }
    }
    client.close(None)
}
