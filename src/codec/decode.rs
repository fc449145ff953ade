//! From received bytes to packets.

use bytes::BytesMut;

use super::{DecodeError, Packet, ProtocolVersion};

/// Takes packets off the front of a buffer.
#[derive(Debug)]
pub struct Decoder {
    version: ProtocolVersion,
}

impl Decoder {
    /// A decoder for the packets of one connection. `version` decides how they are read, until a CONNECT packet is
    /// decoded: that sets it (the server's side).
    pub fn new(version: ProtocolVersion) -> Self {
        Self { version }
    }

    /// The version in use.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Refuses packets of more than `bytes` (Fixed Header included), before anything is reserved for them. Defaults
    /// to the protocol's maximum.
    pub fn set_max_packet_size(&mut self, bytes: u32) {
        let _ = bytes;
    }

    /// Decodes the first packet of `input` and removes its bytes. `Ok(None)`: the packet is not complete, and nothing
    /// was removed.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Packet>, DecodeError> {
        let _ = input;
        unimplemented!()
    }
}

impl Packet {
    /// Appends the packet's bytes to `out`.
    ///
    /// # Errors
    ///
    /// A value has no encoding in this version (a text over 65,535 bytes, a PUBLISH of QoS 1 without identifier, a
    /// packet over 268,435,455 bytes, AUTH before 5.0); nothing is appended.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> crate::error::Result<()> {
        let _ = (version, out);
        unimplemented!()
    }
}

/// Appends a PUBLISH packet up to, and without, its payload of `payload_len` bytes. The topic is checked by the caller.
pub(crate) fn encode_publish_head(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    head: PublishHead<'_>,
    payload_len: usize,
) {
    let _ = (out, version, head, payload_len);
    unimplemented!()
}

/// What [`encode_publish_head`] writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishHead<'a> {
    pub(crate) dup: bool,
    pub(crate) qos: super::QoS,
    pub(crate) retain: bool,
    pub(crate) packet_id: Option<super::PacketId>,
    pub(crate) topic: &'a str,
    pub(crate) properties: &'a super::Properties,
}
