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
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::layer::{Layer, Stack};
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
}

impl Layer for Tls {
    fn read(&self, below: Stack<'_>, buffer: &mut [u8]) -> io::Result<usize> {
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
                    records.has_more = true;
                    return Ok(count);
                }
                let alert = records.take_alert();
                drop(records);
                // Nobody else writes any more.
                if !alert.is_empty() {
                    let _ = below.write(&alert);
                }
                return Err(error);
            }
            // Where nothing came out, the end of the stream may stand behind what was read: it is not reported again.
            if records.is_closed() || count > 0 && drained {
                records.has_more = count > 0 && records.is_closed();
                return Ok(count);
            }
            let mut room = records.take_room();
            drop(records);
            let result = below.read(&mut room);
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

    fn has_more(&self) -> bool {
        self.lock().has_more
    }

    fn write_vectored(&self, below: Stack<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut records = self.lock();
        if !records.outgoing.is_ahead() {
            records.encrypt(slices)?;
        }
        drop(records);
        self.flush(below)?;
        Ok(self.lock().outgoing.take_ahead())
    }

    fn has_answers(&self) -> bool {
        self.lock().has_answers()
    }

    fn flush(&self, below: Stack<'_>) -> io::Result<()> {
        let mut records = self.lock();
        records.append_replies();
        let mut bytes = records.outgoing.take();
        drop(records);
        let result = bytes.write_to(below);
        self.lock().outgoing.give_back(bytes);
        result
    }

    fn say_goodbye(&self, below: Stack<'_>) {
        if self.lock().say_goodbye() {
            let _ = self.flush(below);
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
