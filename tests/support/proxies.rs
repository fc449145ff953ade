//! Proxies that do what a test says: HTTP CONNECT and SOCKS5, byte by byte, without the crate's code.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of this")]

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);

/// A proxy that listens until the process ends.
#[derive(Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    asked: Receiver<String>,
}

impl Proxy {
    /// Speaks HTTP CONNECT, and connects to `target` whatever it is asked for.
    pub fn http(target: SocketAddr) -> Self {
        Self::serve(move |client, asked| {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte)?;
                head.extend(byte);
            }
            asked(String::from_utf8(head).unwrap());
            let server = TcpStream::connect(target)?;
            // In pieces.
            client.write_all(b"HTTP/1.1 200 Connection est")?;
            client.write_all(b"ablished\r\nVia: test\r\n\r\n")?;
            Ok(Some(server))
        })
    }

    /// Speaks SOCKS5, and connects to `target` whatever it is asked for. With credentials it wants them. What it was
    /// asked for is told as `name:port` or `address:port`, behind the credentials and an `@` if it got some.
    pub fn socks5(target: SocketAddr, credentials: Option<(&'static str, &'static str)>) -> Self {
        Self::serve(move |client, asked| {
            let [version, count] = read(client)?;
            assert_eq!(version, 5);
            let methods = read_vec(client, usize::from(count))?;
            let mut who = String::new();
            if let Some((username, password)) = credentials {
                if !methods.contains(&2) {
                    client.write_all(&[5, 0xFF])?;
                    return Ok(None);
                }
                client.write_all(&[5, 2])?;
                let [version, length] = read(client)?;
                assert_eq!(version, 1);
                let given = String::from_utf8(read_vec(client, usize::from(length))?).unwrap();
                let [length] = read(client)?;
                let secret = String::from_utf8(read_vec(client, usize::from(length))?).unwrap();
                let good = given == username && secret == password;
                client.write_all(&[1, u8::from(!good)])?;
                if !good {
                    return Ok(None);
                }
                who = format!("{given}@");
            } else {
                assert!(methods.contains(&0));
                client.write_all(&[5, 0])?;
            }
            let [5, 1, 0, kind] = read(client)? else {
                panic!("no request")
            };
            let host = match kind {
                1 => Ipv4Addr::from(read::<4>(client)?).to_string(),
                3 => {
                    let [length] = read(client)?;
                    String::from_utf8(read_vec(client, usize::from(length))?).unwrap()
                }
                4 => format!("[{}]", std::net::Ipv6Addr::from(read::<16>(client)?)),
                other => panic!("address of kind {other}"),
            };
            let port = u16::from_be_bytes(read(client)?);
            asked(format!("{who}{host}:{port}"));
            let server = TcpStream::connect(target)?;
            // Answers with a name, which is as good as an address.
            client.write_all(b"\x05\x00\x00\x03\x05bound\x12\x34")?;
            Ok(Some(server))
        })
    }

    /// Reads until it has what ends with `until`, answers with `answer`, closes if it is told so, else keeps silent.
    pub fn scripted(script: &[(&'static [u8], &'static [u8])], close: bool) -> Self {
        let script = script.to_vec();
        Self::serve(move |client, _| {
            for (until, answer) in &script {
                let mut heard = Vec::new();
                while !heard.ends_with(until) {
                    let mut byte = [0];
                    client.read_exact(&mut byte)?;
                    heard.extend(byte);
                }
                client.write_all(answer)?;
            }
            if !close {
                io::copy(client, &mut io::sink())?;
            }
            Ok(None)
        })
    }

    fn serve(
        handshake: impl Fn(&mut TcpStream, &dyn Fn(String)) -> io::Result<Option<TcpStream>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, asked) = mpsc::channel();
        let handshake = Arc::new(handshake);
        thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                let (sender, handshake) = (sender.clone(), Arc::clone(&handshake));
                thread::spawn(move || {
                    client.set_nodelay(true).unwrap();
                    let asked = |what| drop(sender.send(what));
                    if let Ok(Some(server)) = handshake(&mut client, &asked) {
                        relay(client, server);
                    }
                });
            }
        });
        Self { address, asked }
    }

    /// What it was asked for next.
    pub fn asked(&self) -> String {
        self.asked.recv_timeout(DEADLINE).expect("nobody asked the proxy")
    }

    /// Whether it was asked for something that the test has not seen.
    pub fn was_asked(&self) -> bool {
        self.asked.try_recv().is_ok()
    }

    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }
}

fn relay(client: TcpStream, server: TcpStream) {
    let one_way = |mut from: TcpStream, mut to: TcpStream| {
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        })
    };
    one_way(client.try_clone().unwrap(), server.try_clone().unwrap());
    one_way(server, client);
}

fn read<const N: usize>(from: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_vec(from: &mut TcpStream, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}
