//! The state of a TLS connection and the bytes around it.

use std::io::{self, IoSlice};
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::ClientConfig;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError};

use super::failure::Failure;
use crate::transport::outgoing::Outgoing;

/// So much is encrypted at once: four records of the largest size.
const CHUNK: usize = 64 * 1024;

/// The room to read into: at first, and at most. A record has up to 16 KiB and a little more. With 64 KiB at most, a stream
/// of messages of 1 KiB took a fifth more processor time: there were more reads, and more parts of records to move.
const ROOM: Range<usize> = 4 * 1024..256 * 1024;

/// The state of a TLS connection and the bytes around it.
pub(super) struct Records {
    connection: UnbufferedClientConnection,
    /// Who is at the other end, for errors.
    name: String,
    /// What has arrived stands in `filled`. The rest is with the reader while it reads.
    incoming: BytesMut,
    filled: Range<usize>,
    /// Whether the last read left no room.
    crowded: bool,
    /// Decrypted, and not taken yet.
    plain: Vec<u8>,
    plain_taken: usize,
    /// Records that the other side's caused: handshake and alerts.
    replies: Vec<u8>,
    /// Records to be written.
    pub(super) outgoing: Outgoing,
    closed: bool,
    failure: Option<Failure>,
    goodbye_said: bool,
    /// The last reader did not get all that there is to be told.
    pub(super) has_more: bool,
}

/// What the connection is ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// A record was decrypted: so many bytes into the room of the caller, the others into `plain`.
    Record(usize),
    /// To encrypt.
    Write,
    /// For nothing until more has arrived.
    Blocked,
}

impl Records {
    pub(super) fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, rustls::Error> {
        let text = name.to_str().into_owned();
        Ok(Self {
            connection: UnbufferedClientConnection::new(config, name)?,
            name: text,
            incoming: BytesMut::new(),
            filled: 0..0,
            crowded: false,
            plain: Vec::new(),
            plain_taken: 0,
            replies: Vec::new(),
            outgoing: Outgoing::default(),
            closed: false,
            failure: None,
            goodbye_said: false,
            has_more: false,
        })
    }

    // ---- from the peer ----

    /// Decrypts into `buffer`, as much as there is; less than its size if nothing is left.
    pub(super) fn decrypt(&mut self, buffer: &mut [u8]) -> usize {
        let mut count = self.take_plain(buffer);
        while let Some(room) = buffer.get_mut(count..).filter(|room| !room.is_empty()) {
            match self.step(room) {
                Some(Ready::Record(taken)) => count += taken,
                Some(Ready::Write | Ready::Blocked) | None => break,
            }
        }
        count
    }

    /// Moves what is decrypted to `buffer`.
    fn take_plain(&mut self, buffer: &mut [u8]) -> usize {
        let left = self.plain.get(self.plain_taken..).unwrap_or_default();
        let count = copy(left, buffer);
        self.plain_taken += count;
        if self.plain_taken == self.plain.len() {
            self.plain.clear();
            self.plain_taken = 0;
        }
        count
    }

    /// Handles what has arrived up to the next record of plain bytes, which goes into `room` as far as it fits: there is
    /// some only where `plain` is empty. `None` after a failure.
    pub(super) fn step(&mut self, room: &mut [u8]) -> Option<Ready> {
        if self.failure.is_some() {
            return None;
        }
        loop {
            let arrived = self.incoming.get_mut(self.filled.clone()).unwrap_or_default();
            let status = self.connection.process_tls_records(arrived);
            let mut discard = status.discard;
            let mut ready = None;
            match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    let mut taken = 0;
                    while let Some(Ok(record)) = traffic.next_record() {
                        let count = copy(record.payload, room.get_mut(taken..).unwrap_or_default());
                        taken += count;
                        self.plain
                            .extend_from_slice(record.payload.get(count..).unwrap_or_default());
                        discard += record.discard;
                    }
                    ready = Some(Ready::Record(taken));
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    let start = self.replies.len();
                    let mut written = data.encode(&mut []);
                    if let Err(EncodeError::InsufficientSize(size)) = &written {
                        self.replies.resize(start + size.required_size, 0);
                        written = data.encode(self.replies.get_mut(start..).unwrap_or_default());
                    }
                    self.replies.truncate(start + written.unwrap_or(0));
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::WriteTraffic(_)) => ready = Some(Ready::Write),
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) if !self.closed => {
                    self.closed = true
                }
                Ok(_) => ready = Some(Ready::Blocked),
                Err(error) => self.failure = Some(Failure::new(error, &self.name)),
            }
            self.discard(discard);
            if self.failure.is_some() {
                self.keep_alert();
                return None;
            }
            if ready.is_some() {
                return ready;
            }
        }
    }

    fn discard(&mut self, count: usize) {
        // Not back to the front if nothing is left: the reader may be filling the room behind it.
        self.filled.start = (self.filled.start + count).min(self.filled.end);
    }

    /// After a failure: what tells the peer of it. The library has it ready for the next call, and for that alone.
    fn keep_alert(&mut self) {
        let arrived = self.incoming.get_mut(self.filled.clone()).unwrap_or_default();
        let status = self.connection.process_tls_records(arrived);
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state {
            let mut alert = [0; 512];
            let count = data.encode(&mut alert).unwrap_or(0);
            self.replies
                .extend_from_slice(alert.get(..count).unwrap_or_default());
        }
    }

    /// What tells the peer of a failure, if nothing stands before it.
    pub(super) fn take_alert(&mut self) -> Vec<u8> {
        if self.outgoing.is_taken() || !self.outgoing.is_empty() {
            return Vec::new();
        }
        mem::take(&mut self.replies)
    }

    /// Why the connection can no longer be used.
    pub(super) fn failure(&mut self) -> Option<io::Error> {
        self.failure.as_ref().map(Failure::to_error)
    }

    /// The endpoint failed, but not all that came before it was taken.
    pub(super) fn fail(&mut self, error: io::Error) {
        self.failure.get_or_insert(Failure::Io(error));
    }

    /// Whether nothing more will come.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The endpoint has no more.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Room to read into; to be given back.
    pub(super) fn take_room(&mut self) -> BytesMut {
        let waiting = self.filled.len();
        let mut size = self.incoming.len().max(ROOM.start);
        if self.crowded && size < ROOM.end || waiting > size / 2 {
            size *= 2;
        }
        if size > self.incoming.len() {
            let mut larger = BytesMut::zeroed(size);
            if let (Some(to), Some(from)) =
                (larger.get_mut(..waiting), self.incoming.get(self.filled.clone()))
            {
                to.copy_from_slice(from);
            }
            self.incoming = larger;
        } else if self.filled.start > 0 {
            self.incoming.copy_within(self.filled.clone(), 0);
        }
        self.filled = 0..waiting;
        self.incoming.split_off(waiting)
    }

    /// The room of `take_room`, with `count` bytes that have arrived.
    pub(super) fn give_back(&mut self, room: BytesMut, count: usize) {
        self.crowded = count == room.len();
        // Puts together what was split: nothing is copied.
        self.incoming.unsplit(room);
        self.filled.end += count;
    }

    // ---- to the peer ----

    /// Encrypts the first bytes of `slices`, behind what is on its way.
    pub(super) fn encrypt(&mut self, slices: &[IoSlice<'_>]) -> io::Result<()> {
        while let Some(Ready::Record(_)) = self.step(&mut []) {}
        if let Some(error) = self.failure() {
            return Err(error);
        }
        self.append_replies();
        let arrived = self.incoming.get_mut(self.filled.clone()).unwrap_or_default();
        let status = self.connection.process_tls_records(arrived);
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let mut left = CHUNK;
        for slice in slices {
            let part = slice.get(..left.min(slice.len())).unwrap_or_default();
            let size = part.len();
            encode(&mut self.outgoing, size, |room| traffic.encrypt(part, room))?;
            self.outgoing.went_ahead(size);
            left -= part.len();
            if left == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Whether there are records for the peer that nobody asked to write.
    pub(super) fn has_answers(&self) -> bool {
        !self.replies.is_empty() || !self.outgoing.is_empty()
    }

    /// Puts the replies behind what is on its way: they were encrypted after it.
    pub(super) fn append_replies(&mut self) {
        let size = self.replies.len();
        let room = self.outgoing.room(size);
        for (to, from) in room.iter_mut().zip(self.replies.drain(..)) {
            *to = from;
        }
        self.outgoing.filled(size);
    }

    /// Encrypts what says that nothing more will come, unless something else is on its way: a peer that closes first, while
    /// another thread still writes, gets none. Returns whether there is something to be written.
    pub(super) fn say_goodbye(&mut self) -> bool {
        let idle = !self.outgoing.is_taken() && self.outgoing.is_empty();
        if !idle || mem::replace(&mut self.goodbye_said, true) {
            return false;
        }
        while let Some(Ready::Record(_)) = self.step(&mut []) {}
        if self.failure.is_some() {
            return false;
        }
        self.append_replies();
        let arrived = self.incoming.get_mut(self.filled.clone()).unwrap_or_default();
        let status = self.connection.process_tls_records(arrived);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state {
            let _ = encode(&mut self.outgoing, 0, |room| traffic.queue_close_notify(room));
        }
        true
    }

    /// The records that the handshake has for the peer.
    pub(super) fn take_replies(&mut self) -> Vec<u8> {
        mem::take(&mut self.replies)
    }

    pub(super) fn alpn_protocol(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    pub(super) fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    pub(super) fn version(&self) -> Option<rustls::ProtocolVersion> {
        self.connection.protocol_version()
    }
}

/// Copies as much as fits.
fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let count = from.len().min(to.len());
    if let (Some(to), Some(from)) = (to.get_mut(..count), from.get(..count)) {
        to.copy_from_slice(from);
    }
    count
}

/// Has `encode` put records behind those that are there, for `size` plain bytes.
fn encode(
    outgoing: &mut Outgoing,
    size: usize,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> io::Result<()> {
    // What the records of one size need in addition.
    let mut needed = size + size / 256 + 256;
    loop {
        match encode(outgoing.room(needed)) {
            Ok(count) => {
                outgoing.filled(count);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(size)) if size.required_size > needed => {
                needed = size.required_size;
            }
            Err(error) => return Err(io::Error::other(error.to_string())),
        }
    }
}
