//! The state of a WebSocket connection: frames to plain bytes and back (RFC 6455, section 5).

use std::io::{self, Cursor, IoSlice};
use std::mem;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::error::{WebSocketError, WebSocketReason};
use crate::transport::outgoing::Outgoing;
use crate::transport::talk::printable;

/// The longest header of a frame.
const HEADER: usize = 14;

/// The longest payload of a control frame (RFC 6455, section 5.5).
const CONTROL: usize = 125;

/// So much goes into one frame: with its header it fills what TLS encrypts at once.
const CHUNK: usize = 64 * 1024 - HEADER;

/// The state of a WebSocket connection.
pub(super) struct Frames {
    // ---- from the peer ----
    /// What came together with the end of the handshake.
    early: Vec<u8>,
    /// The beginning of a header that is not complete.
    head: Vec<u8>,
    /// The frame that is being received.
    frame: Option<Frame>,
    /// The payload of a control frame, as far as it is there.
    control: Vec<u8>,
    /// The last data frame was not the end of its message.
    fragmented: bool,
    /// Nothing more comes.
    ended: Option<End>,
    /// The last reader did not get all that there is to be told.
    pub(super) has_more: bool,
    // ---- to the peer ----
    /// The payload of the last ping that is not answered.
    pong: Option<Vec<u8>>,
    /// The code to close with.
    close: Option<u16>,
    /// The peer was told, or is about to be, that nothing more will come.
    closing: bool,
    /// Frames to be written.
    pub(super) outgoing: Outgoing,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum End {
    /// The stream has.
    Stream,
    /// Whatever is below failed.
    Io(io::Error),
    /// The peer closed, or broke a rule. Whoever reads or writes gets to know.
    Failed(io::ErrorKind, WebSocketError),
}

/// A frame whose header is there.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// None for data.
    control: Option<Control>,
    /// So much of the payload is still to come.
    left: u64,
}

impl Frames {
    pub(super) fn new(early: Vec<u8>) -> Self {
        Self {
            has_more: !early.is_empty(),
            early,
            head: Vec::new(),
            frame: None,
            control: Vec::new(),
            fragmented: false,
            ended: None,
            pong: None,
            close: None,
            closing: false,
            outgoing: Outgoing::default(),
        }
    }

    // ---- from the peer ----

    pub(super) fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    /// Moves what came together with the end of the handshake to `room`.
    pub(super) fn take_early(&mut self, room: &mut [u8]) -> usize {
        let count = self.early.len().min(room.len());
        for (to, from) in room.iter_mut().zip(self.early.drain(..count)) {
            *to = from;
        }
        count
    }

    /// Takes the frames off `bytes` in place: what is data moves to the front. Returns how much that is.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> usize {
        let mut at = 0;
        let mut kept = 0;
        while at < bytes.len() && self.ended.is_none() {
            let Some(frame) = self.frame else {
                at += self.begin(bytes.get(at..).unwrap_or_default());
                continue;
            };
            let waiting = bytes.len() - at;
            let count = usize::try_from(frame.left).map_or(waiting, |left| left.min(waiting));
            let payload = at..at + count;
            if frame.control.is_some() {
                let payload = bytes.get(payload).unwrap_or_default();
                self.control.extend_from_slice(payload);
            } else {
                if kept < at {
                    bytes.copy_within(payload, kept);
                }
                kept += count;
            }
            at += count;
            self.go_on(Frame {
                left: frame.left - count as u64,
                ..frame
            });
        }
        kept
    }

    /// Takes a header, or a part of one, off the front of `bytes`. Returns how long that is.
    fn begin(&mut self, bytes: &[u8]) -> usize {
        let before = self.head.len();
        let part = bytes.get(..HEADER - before).unwrap_or(bytes);
        self.head.extend_from_slice(part);
        let mut cursor = Cursor::new(self.head.as_slice());
        let parsed = FrameHeader::parse(&mut cursor);
        let size = usize::try_from(cursor.position()).unwrap_or(0);
        match parsed {
            Ok(None) => return part.len(),
            Ok(Some((header, length))) => match self.check(&header, length) {
                Ok(frame) => self.go_on(frame),
                Err(broken) => self.fail(broken),
            },
            Err(_) => self.fail(Broken::Protocol("a frame of a kind that does not exist")),
        }
        self.head.clear();
        size.saturating_sub(before)
    }

    /// What RFC 6455 says about headers, section 5.2 to 5.5, and MQTT about data frames.
    fn check(&mut self, header: &FrameHeader, length: u64) -> Result<Frame, Broken> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Broken::Protocol(
                "a frame of an extension that nobody has asked for",
            ));
        }
        if header.mask.is_some() {
            return Err(Broken::Protocol(
                "a frame that is masked, as only those of clients are",
            ));
        }
        if length > i64::MAX as u64 {
            return Err(Broken::Protocol("a frame with a length that is not allowed"));
        }
        let control = match header.opcode {
            OpCode::Control(_) if !header.is_final => {
                return Err(Broken::Protocol("a control frame in fragments"));
            }
            OpCode::Control(_) if length > CONTROL as u64 => {
                return Err(Broken::Protocol("a control frame that is too long"));
            }
            OpCode::Control(control) => Some(control),
            // MQTT is in binary frames; others end the connection [MQTT-6.0.0-1].
            OpCode::Data(Data::Text) => return Err(Broken::Text),
            OpCode::Data(Data::Continue) if !self.fragmented => {
                return Err(Broken::Protocol("a frame that continues nothing"));
            }
            OpCode::Data(Data::Binary) if self.fragmented => {
                return Err(Broken::Protocol("a message in the middle of another"));
            }
            OpCode::Data(_) => {
                self.fragmented = !header.is_final;
                None
            }
        };
        Ok(Frame {
            control,
            left: length,
        })
    }

    /// Keeps the frame until its payload is there.
    fn go_on(&mut self, frame: Frame) {
        self.frame = (frame.left > 0).then_some(frame);
        if let (0, Some(control)) = (frame.left, frame.control) {
            let payload = mem::take(&mut self.control);
            match control {
                // Only the last ping needs an answer (section 5.5.3), so there is never more than one.
                Control::Ping => self.pong = Some(payload),
                Control::Close => self.closed(&payload),
                Control::Pong | Control::Reserved(_) => {}
            }
        }
    }

    /// The peer closes (section 5.5.1).
    fn closed(&mut self, payload: &[u8]) {
        let code = match payload {
            [] => None,
            [first, second, ..] => Some(u16::from_be_bytes([*first, *second])),
            [_] => return self.fail(Broken::Protocol("a close frame with half a code")),
        };
        if self.closing {
            // It answers to ours.
            return self.end_with(End::Stream);
        }
        let mut text = match code.map(|code| (code, close_code_name(code))) {
            None => "closed by the server without a code".to_owned(),
            Some((code, "")) => format!("closed by the server with code {code}"),
            Some((code, name)) => format!("closed by the server with code {code} ({name})"),
        };
        let words = printable(payload.get(2..).unwrap_or_default());
        if !words.is_empty() {
            text.push_str(&format!(": {words:?}"));
        }
        self.close = Some(code.unwrap_or(NORMAL));
        let reason = WebSocketReason::Closed(code.unwrap_or(NO_CODE));
        self.fail_with(io::ErrorKind::ConnectionAborted, reason, text);
    }

    /// The peer breaks a rule: it is told so, if that is possible.
    fn fail(&mut self, broken: Broken) {
        let (reason, code, text) = match broken {
            Broken::Text => (
                WebSocketReason::Text,
                UNSUPPORTED_DATA,
                "the server sent text, and MQTT is binary [MQTT-6.0.0-1]".to_owned(),
            ),
            Broken::Protocol(what) => (
                WebSocketReason::Protocol,
                PROTOCOL_ERROR,
                format!("the server sent {what}"),
            ),
        };
        self.close = Some(code);
        self.fail_with(io::ErrorKind::InvalidData, reason, text);
    }

    fn fail_with(&mut self, kind: io::ErrorKind, reason: WebSocketReason, text: String) {
        self.end_with(End::Failed(kind, WebSocketError::new(reason, text)));
    }

    /// Nothing more comes: this is what the reader is told behind what came before.
    pub(super) fn end_with(&mut self, end: End) {
        self.ended = Some(end);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// How it ended, for the reader. What failed below is told once.
    pub(super) fn end(&mut self) -> io::Result<usize> {
        match self.ended.replace(End::Stream) {
            None | Some(End::Stream) => Ok(0),
            Some(End::Io(error)) => Err(error),
            Some(End::Failed(kind, error)) => {
                self.ended = Some(End::Failed(kind, error.clone()));
                Err(io::Error::new(kind, error))
            }
        }
    }

    // ---- to the peer ----

    /// Puts the first bytes of `slices` into a frame behind what is on its way.
    pub(super) fn encode(&mut self, slices: &[IoSlice<'_>]) -> io::Result<()> {
        if let Some(End::Failed(kind, error)) = &self.ended {
            return Err(io::Error::new(*kind, error.clone()));
        }
        if self.closing || self.ended.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.append_answers();
        let size = slices.iter().map(|slice| slice.len()).sum::<usize>().min(CHUNK);
        if size > 0 {
            let slices = slices.iter().map(|slice| &**slice);
            self.append(OpCode::Data(Data::Binary), slices, size);
            self.outgoing.went_ahead(size);
        }
        Ok(())
    }

    /// Whether there are frames for the peer that nobody asked to write.
    pub(super) fn has_answers(&self) -> bool {
        self.pong.is_some() || self.close.is_some() || !self.outgoing.is_empty()
    }

    /// Encodes the answers, unless other frames wait to be written: a peer that does not read gets no pile of them. Returns
    /// whether there is anything to be written.
    pub(super) fn append_answers(&mut self) -> bool {
        if !self.outgoing.is_empty() {
            return true;
        }
        if let Some(payload) = self.pong.take().filter(|_| !self.closing) {
            let size = payload.len();
            self.append(OpCode::Control(Control::Pong), [payload.as_slice()], size);
        }
        if let Some(code) = self.close.take().filter(|_| !self.closing) {
            self.closing = true;
            self.append(OpCode::Control(Control::Close), [&code.to_be_bytes()[..]], 2);
        }
        !self.outgoing.is_empty()
    }

    /// Has the peer told that nothing more will come, unless it was.
    pub(super) fn say_goodbye(&mut self) {
        if !self.closing {
            self.close.get_or_insert(NORMAL);
        }
    }

    /// Encodes a frame with the first `size` bytes of `parts`.
    fn append<'a>(&mut self, opcode: OpCode, parts: impl IntoIterator<Item = &'a [u8]>, size: usize) {
        // Not to be guessed by who chooses the payload (section 10.3).
        let mask: [u8; 4] = rand::random();
        let header = FrameHeader {
            opcode,
            mask: Some(mask),
            ..FrameHeader::default()
        };
        let room = self.outgoing.room(HEADER + size);
        let whole = room.len();
        let mut rest = &mut *room;
        // There is room for the longest.
        let _ = header.format(size as u64, &mut rest);
        let start = whole - rest.len();
        let mut left = size;
        for part in parts {
            let part = part.get(..left).unwrap_or(part);
            left -= part.len();
            if let Some((to, behind)) = mem::take(&mut rest).split_at_mut_checked(part.len()) {
                to.copy_from_slice(part);
                rest = behind;
            }
        }
        apply(mask, room.get_mut(start..start + size).unwrap_or_default());
        self.outgoing.filled(start + size);
    }
}

/// How the peer breaks a rule.
enum Broken {
    Text,
    Protocol(&'static str),
}

/// Masks the payload (RFC 6455, section 5.3).
fn apply(mask: [u8; 4], payload: &mut [u8]) {
    // Wide enough for the compiler to use the widest instructions.
    let mut wide = [0; 32];
    for (to, from) in wide.iter_mut().zip(mask.iter().cycle()) {
        *to = *from;
    }
    for block in payload.chunks_mut(wide.len()) {
        for (byte, mask) in block.iter_mut().zip(wide) {
            *byte ^= mask;
        }
    }
}

// Close codes: RFC 6455, section 7.4.1, and the registry of IANA.
const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;
const UNSUPPORTED_DATA: u16 = 1003;
const NO_CODE: u16 = 1005;

fn close_code_name(code: u16) -> &'static str {
    match code {
        NORMAL => "normal closure",
        1001 => "going away",
        PROTOCOL_ERROR => "protocol error",
        UNSUPPORTED_DATA => "unsupported data",
        1007 => "invalid payload",
        1008 => "policy violation",
        1009 => "message too big",
        1011 => "internal error",
        1012 => "service restart",
        1013 => "try again later",
        1014 => "bad gateway",
        _ => "",
    }
}
