//! Against listeners on the loopback; names come from resolvers made here, so that nothing leaves the machine.

mod cancel;
mod custom;
mod descriptors;
mod dial;
mod socket;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Type};

use super::dial::dial_with;
use super::endpoint::Endpoint;
use super::{Cancel, DialOptions, Socket, Target};

/// Long enough never to pass in a test that works.
const LONG: Duration = Duration::from_secs(20);

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn tcp(address: SocketAddr) -> Target {
    Target::Tcp {
        host: address.ip().to_string(),
        port: address.port(),
    }
}

fn named() -> Target {
    Target::Tcp {
        host: "broker.test".to_owned(),
        port: 1,
    }
}

fn patient() -> DialOptions {
    DialOptions {
        connect_timeout: LONG,
        ..DialOptions::default()
    }
}

fn dial(target: &Target, options: &DialOptions) -> io::Result<Socket> {
    super::dial(target, options, &Cancel::default())
}

/// Dials a name that has these addresses.
fn dial_addresses(addresses: Vec<SocketAddr>, options: &DialOptions) -> io::Result<Socket> {
    dial_with(move |_, _| Ok(addresses), &named(), options, &Cancel::default())
}

/// A port of the loopback that is taken but refuses connections while the value lives.
struct Refusing {
    socket: socket2::Socket,
}

impl Refusing {
    fn new() -> Self {
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // So that a test can bind to the same port as well.
        socket.set_reuse_address(true).unwrap();
        socket
            .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
            .unwrap();
        Self { socket }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap().as_socket().unwrap()
    }
}

/// A port of the loopback that answers nothing, because its backlog is full and nobody accepts.
struct BlackHole {
    listener: socket2::Socket,
    _fill: Vec<TcpStream>,
}

impl BlackHole {
    fn new() -> Self {
        let listener = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener
            .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
            .unwrap();
        listener.listen(0).unwrap();
        let mut hole = Self {
            listener,
            _fill: Vec::new(),
        };
        // Full as soon as a connection is not taken within a time in which a loopback surely takes it.
        while let Ok(stream) = TcpStream::connect_timeout(&hole.address(), Duration::from_millis(100)) {
            hole._fill.push(stream);
        }
        hole
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap().as_socket().unwrap()
    }
}

#[test]
fn types_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Socket>();
    shared::<Cancel>();
    shared::<Target>();
    shared::<DialOptions>();
    shared::<super::Waker>();
}
