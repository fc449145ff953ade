//! Connecting to a unix socket.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use mio::net::UnixStream;

use super::wait::Wait;

/// How long to wait for room in the queue of a server that is slow to accept: no report tells of it.
const PAUSE: Duration = Duration::from_millis(10);

/// Connects to the socket at `path`.
///
/// # Errors
///
/// `Interrupted` if cancelled, `TimedOut` if the server's queue of connections stays full; otherwise what the system
/// says, with the path.
pub(super) fn connect(path: &Path, wait: &mut Wait) -> io::Result<UnixStream> {
    wait.check()?;
    log::debug!(target: "callmq", "connecting to {}", path.display());
    loop {
        match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait.next(Instant::now().checked_add(PAUSE))?;
            }
            Err(error) => {
                let text = format!("cannot connect to {}: {error}", path.display());
                return Err(io::Error::new(error.kind(), text));
            }
            Ok(stream) => return Ok(stream),
        }
    }
}
