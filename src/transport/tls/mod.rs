//! TLS as a layer: plain bytes on the client's side, records on the endpoint's.
//!
//! The thread that reads and the one that writes share one TLS connection behind a small lock. It is held to encrypt and
//! decrypt, never across a system call: records are read into room that is split off the buffer, and written from a
//! buffer that is taken out.
//!
//! ```text
//! write: plain --lock, encrypt--> outgoing --unlock, write--> endpoint
//! read:  plain <--lock, decrypt-- incoming <--unlock, read--- endpoint
//! ```
//!
//! What was encrypted cannot be taken back, so plain bytes count as written when all of their records are: until then
//! a writer repeats them ([`Socket::write`](super::Socket::write)).

mod certificate;
mod config;
mod failure;
mod handshake;
mod key;
mod options;
mod records;
#[cfg(test)]
mod tests;
mod verify;

pub(crate) use config::TlsConfig;
pub(super) use handshake::handshake;
pub use options::TlsOptions;

use std::fmt;
use std::io::{self, IoSlice};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::endpoint::Endpoint;
use records::Records;

/// The TLS layer of a connection.
pub(super) struct Tls {
    records: Mutex<Records>,
}

impl Tls {
    fn new(records: Records) -> Self {
        Self {
            records: Mutex::new(records),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`Socket::read`](super::Socket::read).
    pub(super) fn read(&self, endpoint: &Endpoint, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        let mut drained = false;
        let mut records = self.lock();
        loop {
            count += records.decrypt(buffer.get_mut(count..).unwrap_or_default());
            records.has_more = count == buffer.len();
            if records.has_more {
                return Ok(count);
            }
            if let Some(error) = records.failure() {
                if count > 0 {
                    return Ok(count);
                }
                let alert = records.take_alert();
                drop(records);
                // Nobody else writes any more.
                if !alert.is_empty() {
                    let _ = endpoint.write(&alert);
                }
                return Err(error);
            }
            // Where nothing came out, the end of the stream may stand behind what was read: it is not reported again.
            if records.is_closed() || count > 0 && drained {
                return Ok(count);
            }
            let mut room = records.take_room();
            drop(records);
            let result = endpoint.read(&mut room);
            let size = room.len();
            records = self.lock();
            records.give_back(room, *result.as_ref().unwrap_or(&0));
            match result {
                // Not every server says that it closes; MQTT has its own way to say goodbye.
                Ok(0) => records.close(),
                Ok(read) => drained = read < size,
                Err(error) if count == 0 => return Err(error),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count),
                Err(error) => records.fail(error),
            }
        }
    }

    /// Whether another read may bring something that is no longer in the endpoint.
    pub(super) fn has_more(&self) -> bool {
        self.lock().has_more
    }

    /// See [`Socket::write_vectored`](super::Socket::write_vectored).
    pub(super) fn write_vectored(&self, endpoint: &Endpoint, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut records = self.lock();
        if records.outgoing.is_empty() {
            records.encrypt(slices)?;
        }
        records.writing = true;
        let mut outgoing = mem::take(&mut records.outgoing);
        drop(records);
        let result = outgoing.write_to(endpoint);
        let mut records = self.lock();
        records.writing = false;
        records.outgoing = outgoing;
        result?;
        Ok(mem::take(&mut records.ahead))
    }

    /// Says goodbye, if that is possible at once, and closes this direction.
    pub(super) fn shutdown_write(&self, endpoint: &Endpoint) -> io::Result<()> {
        let mut records = self.lock();
        records.say_goodbye();
        let mut outgoing = mem::take(&mut records.outgoing);
        drop(records);
        let _ = outgoing.write_to(endpoint);
        endpoint.shutdown_write()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
