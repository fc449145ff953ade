//! From a host's name to its addresses, in the order in which they are tried.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, TryRecvError};
use std::sync::{Arc, Weak};
use std::thread;

use super::options::parse_ip;
use super::wait::Wait;

/// Asks the system's resolver. Blocks for as long as that takes.
pub(super) fn system_resolver(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

/// The addresses of `host`, in the order in which to try them, at least one.
///
/// An IP address needs no look-up. A name is looked up on a thread of its own, since `resolver` cannot be interrupted:
/// when the wait ends first, the thread is left behind without anything but its own memory, and ends when `resolver`
/// returns.
///
/// # Errors
///
/// Those of [`Wait::next`]; an error that says which name could not be resolved.
pub(super) fn look_up<R>(resolver: R, host: &str, port: u16, wait: &mut Wait) -> io::Result<Vec<SocketAddr>>
where
    R: FnOnce(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + 'static,
{
    if let Some(ip) = parse_ip(host) {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let (sender, receiver) = mpsc::channel();
    let wake = WakeOnDrop(Arc::downgrade(wait.waker()?));
    let name = host.to_owned();
    let thread = thread::Builder::new()
        .name("callmq-lookup".to_owned())
        .spawn(move || {
            // Dropped in the opposite order: the result, or the end without one, is known before the wake.
            let _wake = wake;
            let sender = sender;
            // Nobody listens any more if the wait ended first.
            let _ = sender.send(resolver(&name, port));
        })
        // Not passed on as it is: its kind may be `WouldBlock`, which means something else to callers.
        .map_err(|error| io::Error::other(format!("cannot look up {host:?}: {error}")))?;
    let result = loop {
        match receiver.try_recv() {
            Ok(result) => break result,
            Err(TryRecvError::Empty) => wait.next(None)?,
            Err(TryRecvError::Disconnected) => {
                break Err(io::Error::other("the look-up ended without a result"));
            }
        };
    };
    // It has nothing left to do; waiting for it keeps its descriptor from outliving the attempt.
    let _ = thread.join();
    let addresses = result.map_err(|error| unresolved(host, &error))?;
    if addresses.is_empty() {
        return Err(unresolved(host, &io::Error::other("it has no address")));
    }
    Ok(interleave(addresses))
}

/// Alternates between the families, beginning with that of the first address, and drops repetitions.
///
/// See RFC 8305, section 4.
pub(super) fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut ordered: Vec<SocketAddr> = Vec::with_capacity(addresses.len());
    let first_is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut turn, mut other): (VecDeque<_>, VecDeque<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_ipv6);
    while let Some(address) = turn.pop_front() {
        if !ordered.contains(&address) {
            ordered.push(address);
        }
        if !other.is_empty() {
            std::mem::swap(&mut turn, &mut other);
        }
    }
    ordered
}

/// Ends the wait when the look-up ends, in whatever way.
struct WakeOnDrop(Weak<mio::Waker>);

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        // Nobody waits any more if it is gone.
        if let Some(Err(error)) = self.0.upgrade().map(|waker| waker.wake()) {
            log::error!(target: "callmq", "cannot wake the thread that connects: {error}");
        }
    }
}

/// Says which name could not be resolved.
fn unresolved(host: &str, error: &io::Error) -> io::Error {
    let kind = match error.kind() {
        io::ErrorKind::InvalidInput => io::ErrorKind::InvalidInput,
        // The resolver's own errors have no kind that could be named.
        _ => io::ErrorKind::NotFound,
    };
    io::Error::new(kind, format!("could not resolve {host:?}: {error}"))
}
