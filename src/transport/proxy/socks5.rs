//! SOCKS5.

use std::io;
use std::net::IpAddr;

use super::{Destination, Proxy};
use crate::transport::talk::Talk;

const VERSION: u8 = 0x05;
const CONNECT: u8 = 0x01;
const NO_AUTHENTICATION: u8 = 0x00;
const USERNAME_PASSWORD: u8 = 0x02;
const NO_METHOD: u8 = 0xFF;
const IPV4: u8 = 0x01;
const NAME: u8 = 0x03;
const IPV6: u8 = 0x04;

/// Has the proxy connect to `destination`.
pub(super) fn ask(proxy: &Proxy, destination: &Destination, talk: &mut Talk<'_>) -> io::Result<()> {
    let methods: &[u8] = match proxy.credentials {
        Some(_) => &[VERSION, 2, NO_AUTHENTICATION, USERNAME_PASSWORD],
        None => &[VERSION, 1, NO_AUTHENTICATION],
    };
    talk.write_all(methods)?;
    let mut chosen = [0; 2];
    talk.read_exact(&mut chosen)?;
    match (chosen, &proxy.credentials) {
        ([VERSION, NO_AUTHENTICATION], _) => {}
        ([VERSION, USERNAME_PASSWORD], Some((username, password))) => {
            authenticate(proxy, username, password, talk)?;
        }
        ([VERSION, NO_METHOD], credentials) => {
            let what = match credentials {
                Some(_) => "takes no user name with a password",
                None => "wants to know who is connecting: give it a user name and a password",
            };
            return Err(proxy.refusal(io::ErrorKind::PermissionDenied, what));
        }
        ([VERSION, _], _) => {
            let what = "chose a way to authenticate that it was not offered";
            return Err(proxy.refusal(io::ErrorKind::InvalidData, what));
        }
        _ => return Err(proxy.refusal(io::ErrorKind::InvalidData, "does not speak SOCKS5")),
    }
    talk.write_all(&request(proxy, destination)?)?;
    let mut head = [0; 4];
    talk.read_exact(&mut head)?;
    let [version, reply, _, kind] = head;
    if version != VERSION {
        return Err(proxy.refusal(io::ErrorKind::InvalidData, "does not speak SOCKS5"));
    }
    if reply != 0 {
        let (kind, why) = explain(reply);
        return Err(proxy.refusal(kind, format!("cannot connect to {destination}: {why}")));
    }
    // The address that it connects from, which nobody needs, and its port.
    let length = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => {
            let mut length = [0];
            talk.read_exact(&mut length)?;
            usize::from(length[0])
        }
        _ => {
            return Err(proxy.refusal(
                io::ErrorKind::InvalidData,
                "answers with an unknown kind of address",
            ));
        }
    };
    talk.read_exact(&mut vec![0; length + 2])
}

/// See RFC 1929.
fn authenticate(proxy: &Proxy, username: &str, password: &str, talk: &mut Talk<'_>) -> io::Result<()> {
    let mut request = vec![0x01];
    for text in [username, password] {
        push_short(&mut request, text).ok_or_else(|| {
            proxy.refusal(
                io::ErrorKind::InvalidInput,
                "takes user names and passwords of 1 to 255 bytes",
            )
        })?;
    }
    talk.write_all(&request)?;
    let mut answer = [0; 2];
    talk.read_exact(&mut answer)?;
    if answer[1] == 0 {
        Ok(())
    } else {
        Err(proxy.refusal(
            io::ErrorKind::PermissionDenied,
            "does not accept the user name and the password",
        ))
    }
}

fn request(proxy: &Proxy, destination: &Destination) -> io::Result<Vec<u8>> {
    let mut request = vec![VERSION, CONNECT, 0];
    let port = match destination {
        Destination::Name(host, port) => {
            request.push(NAME);
            push_short(&mut request, host)
                .ok_or_else(|| proxy.refusal(io::ErrorKind::InvalidInput, "takes names of 1 to 255 bytes"))?;
            *port
        }
        Destination::Address(address) => {
            match address.ip() {
                IpAddr::V4(ip) => {
                    request.push(IPV4);
                    request.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    request.push(IPV6);
                    request.extend_from_slice(&ip.octets());
                }
            }
            address.port()
        }
    };
    request.extend_from_slice(&port.to_be_bytes());
    Ok(request)
}

/// A text behind its length of one byte.
fn push_short(request: &mut Vec<u8>, text: &str) -> Option<()> {
    let length = u8::try_from(text.len()).ok().filter(|&length| length > 0)?;
    request.push(length);
    request.extend_from_slice(text.as_bytes());
    Some(())
}

fn explain(reply: u8) -> (io::ErrorKind, String) {
    let (kind, why) = match reply {
        0x01 => (io::ErrorKind::ConnectionRefused, "general failure"),
        0x02 => (io::ErrorKind::PermissionDenied, "its rules do not allow it"),
        0x03 => (io::ErrorKind::ConnectionRefused, "network unreachable"),
        0x04 => (io::ErrorKind::ConnectionRefused, "host unreachable"),
        0x05 => (io::ErrorKind::ConnectionRefused, "connection refused"),
        0x06 => (io::ErrorKind::ConnectionRefused, "TTL expired"),
        0x07 => (io::ErrorKind::Unsupported, "it does not know the command"),
        0x08 => (
            io::ErrorKind::ConnectionRefused,
            "it does not know this kind of address",
        ),
        _ => {
            return (
                io::ErrorKind::ConnectionRefused,
                format!("unknown reply {reply:#04x}"),
            );
        }
    };
    (kind, why.to_owned())
}
