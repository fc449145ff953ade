//! Connecting: the only way to a [`Socket`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpStream;

use super::cancel::Cancel;
use super::endpoint::{Endpoint, caught};
use super::lookup::{look_up, system_resolver};
use super::options::{Bind, Connector, DialOptions, Target};
use super::proxy;
use super::race::race;
use super::socket::Socket;
use super::stream::Stream;
#[cfg(any(feature = "tls", feature = "websocket"))]
use super::talk::Talk;
#[cfg(feature = "tls")]
use super::tls;
#[cfg(unix)]
use super::unix;
use super::wait::Wait;
#[cfg(feature = "websocket")]
use super::websocket;

/// Connects to `target`; blocks until it is connected, has failed, or is cancelled.
///
/// A name is looked up anew, its addresses are raced, all within one time-out. Nothing is left behind by an attempt
/// that fails, except the thread of a look-up that hangs: it ends with the look-up. A connector of the user's own runs
/// on the calling thread and has to keep to the time by itself.
///
/// # Errors
///
/// - `Interrupted`: cancelled.
/// - `TimedOut`: the time-out passed before anything else became known.
/// - `NotFound`: the name could not be resolved.
/// - `InvalidInput`: the bind address is not an IP address.
/// - Otherwise the most telling error of all attempts, as the system reported it.
pub(crate) fn dial(target: &Target, options: &DialOptions, cancel: &Cancel) -> io::Result<Socket> {
    dial_with(system_resolver, target, options, cancel)
}

/// As [`dial`], with `resolver` in place of the system's.
pub(super) fn dial_with<R>(
    resolver: R,
    target: &Target,
    options: &DialOptions,
    cancel: &Cancel,
) -> io::Result<Socket>
where
    R: FnOnce(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + 'static,
{
    if let (Target::Custom(connector), false) = (target, options.has_layers()) {
        // Nothing to wait for.
        return Ok(Socket::plain(Endpoint::custom(open(connector, cancel)?)));
    }
    let mut wait = Wait::new(options.connect_timeout, cancel);
    wait.check()?;
    let mut socket = match target {
        Target::Tcp { host, port } => match &options.proxy {
            None => Socket::plain(Endpoint::Tcp(connect_tcp(
                resolver, host, *port, options, &mut wait,
            )?)),
            Some(proxy) => proxy::connect(resolver, proxy, (host, *port), options, &mut wait)?,
        },
        #[cfg(unix)]
        Target::Unix(path) => Socket::plain(Endpoint::Unix(unix::connect(path, &mut wait)?)),
        Target::Custom(connector) => Socket::plain(Endpoint::custom(open(connector, cancel)?)),
    };
    add_layers(&mut socket, target, options, &mut wait)?;
    Ok(socket)
}

/// Shakes hands for each layer that the options ask for, from the bottom up.
#[cfg_attr(
    not(any(feature = "tls", feature = "websocket")),
    expect(unused_variables, clippy::unnecessary_wraps)
)]
fn add_layers(
    socket: &mut Socket,
    target: &Target,
    options: &DialOptions,
    wait: &mut Wait,
) -> io::Result<()> {
    #[cfg(feature = "tls")]
    if let Some(config) = &options.tls {
        let tls = tls::handshake(config, target.host(), &mut Talk::new(socket, wait)?)?;
        socket.add(tls);
    }
    #[cfg(feature = "websocket")]
    if let Some(config) = &options.websocket {
        let authority = target.authority(options.is_tls());
        let websocket = websocket::handshake(config, &authority, &mut Talk::new(socket, wait)?)?;
        socket.add(websocket);
    }
    Ok(())
}

/// Looks up the name and races its addresses.
pub(super) fn connect_tcp<R>(
    resolver: R,
    host: &str,
    port: u16,
    options: &DialOptions,
    wait: &mut Wait,
) -> io::Result<TcpStream>
where
    R: FnOnce(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + 'static,
{
    let bind = options.bind()?;
    let mut addresses = look_up(resolver, host, port, wait)?;
    addresses.retain(|&address| bind.fits(address));
    if addresses.is_empty() {
        return Err(other_family(host, bind));
    }
    race(addresses, bind, options, wait)
}

fn open(connector: &Connector, cancel: &Cancel) -> io::Result<Arc<dyn Stream>> {
    loop {
        if cancel.is_cancelled() {
            return Err(Cancel::error());
        }
        match caught(|| connector()) {
            // The kind is kept for an attempt that was cancelled.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn other_family(host: &str, bind: Bind) -> io::Error {
    let message = match bind {
        Bind::Address(local) => format!("bind address {} is of another family than {host:?}", local.ip()),
        Bind::Any | Bind::Port(_) => format!("{host:?} has no address"),
    };
    io::Error::new(io::ErrorKind::AddrNotAvailable, message)
}
