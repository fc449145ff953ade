use std::io::{IoSlice, Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use super::*;

fn target(listener: &TcpListener) -> Target {
    let address = listener.local_addr().unwrap();
    Target::Tcp {
        host: address.ip().to_string(),
        port: address.port(),
    }
}

#[test]
fn bytes_go_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = dial(&target(&listener), &DialOptions::default(), &Cancel::default()).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    assert_eq!(
        socket
            .write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cd")])
            .unwrap(),
        4
    );
    let mut buffer = [0; 4];
    peer.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"abcd");
    peer.write_all(b"x").unwrap();
    assert!(socket.wait_readable(Duration::from_secs(5)).unwrap());
    assert_eq!(socket.read(&mut buffer).unwrap(), 1);
}
