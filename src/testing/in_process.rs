//! A connection to a broker in the same process: no socket, no thread.

use std::io;
use std::sync::{Arc, Weak};

use super::shared::Shared;
use super::state::{ConnectionId, Fate};
use crate::client::{Stream, Waker};

/// The client's end of a connection to a broker in the same process.
///
/// The broker handles what is written inside `write`, in the thread that writes; its answers can be read at once.
#[derive(Debug)]
pub(super) struct InProcessStream {
    /// Weak, so that a client does not keep a broker alive that the test has dropped: its connections then end.
    shared: Weak<Shared>,
    id: ConnectionId,
}

impl InProcessStream {
    pub(super) fn open(shared: &Weak<Shared>) -> io::Result<Arc<dyn Stream>> {
        let refused = io::ErrorKind::ConnectionRefused;
        let broker = shared.upgrade().ok_or(refused)?;
        let id = broker
            .with(|state| state.connect("in-process", None))
            .ok_or(refused)?;
        Ok(Arc::new(Self {
            shared: shared.clone(),
            id,
        }))
    }
}

impl Stream for InProcessStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(shared) = self.shared.upgrade() else {
            return Ok(0);
        };
        shared.with(|state| {
            let output = match state.fate(self.id) {
                Fate::Abort => return Ok(0),
                _ => state.take_output(self.id, buffer.len()),
            };
            match output {
                Some(bytes) => {
                    buffer[..bytes.len()].copy_from_slice(&bytes);
                    Ok(bytes.len())
                }
                None if state.fate(self.id) == Fate::Open => Err(io::ErrorKind::WouldBlock.into()),
                None => Ok(0),
            }
        })
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let shared = self.shared.upgrade().ok_or(io::ErrorKind::BrokenPipe)?;
        shared.with(|state| {
            if state.fate(self.id) != Fate::Open {
                Err(io::ErrorKind::BrokenPipe.into())
            } else if state.wants_input(self.id) {
                state.handle_bytes(self.id, bytes);
                Ok(bytes.len())
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        })
    }

    fn shutdown(&self) -> io::Result<()> {
        if let Some(shared) = self.shared.upgrade() {
            shared.with(|state| state.half_closed(self.id));
        }
        Ok(())
    }

    fn set_waker(&self, waker: Waker) {
        if let Some(shared) = self.shared.upgrade() {
            shared.with(|state| state.set_waker(self.id, waker));
        }
    }
}

impl Drop for InProcessStream {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.with(|state| state.closed(self.id));
        }
    }
}
