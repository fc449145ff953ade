//! From packets to bytes.

use super::writer::put_with_length;
use super::{Packet, ProtocolVersion};
use crate::error::Result;

/// Most packets but PUBLISH have at most so many bytes.
const MOST: usize = 64;

impl Packet {
    /// Appends the packet's bytes to `out`.
    ///
    /// What only MQTT 5.0 has is not written before: properties, the codes of acknowledgements and of DISCONNECT,
    /// subscription options other than the QoS. A failure in SUBACK then is 0x80; in CONNACK it is the nearest return
    /// code. CONNECT is written in the version that it names.
    ///
    /// Each packet takes its shortest form; properties keep their order.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::error::Error::InvalidArgument) if a receiver would have to refuse the
    /// packet: a text over 65,535 bytes or with U+0000, a PUBLISH of QoS 1 without identifier, a property or a reason
    /// code that does not belong into the packet, a packet over 268,435,455 bytes, AUTH before 5.0 .. Nothing is
    /// appended then.
    ///
    /// ```
    /// use callmq::codec::{Ack, Packet, PacketId, ProtocolVersion};
    ///
    /// let mut bytes = Vec::new();
    /// Packet::PubAck(Ack::new(PacketId::MIN)).encode(ProtocolVersion::V311, &mut bytes)?;
    /// assert_eq!(bytes, b"\x40\x02\x00\x01");
    /// # Ok::<(), callmq::Error>(())
    /// ```
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<()> {
        self.check(version)?;
        let start = out.len();
        let written = self.write(version, out);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    /// Checks everything that a receiver of the packet checks.
    fn check(&self, version: ProtocolVersion) -> Result<()> {
        let packet_type = self.packet_type();
        match self {
            Self::Connect(connect) => connect.check(),
            Self::ConnAck(connack) => connack.check(version),
            Self::Publish(publish) => publish.check(version),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.check(packet_type, version)
            }
            Self::Subscribe(subscribe) => subscribe.check(version),
            Self::SubAck(suback) => suback.check(version),
            Self::Unsubscribe(unsubscribe) => unsubscribe.check(version),
            Self::UnsubAck(unsuback) => unsuback.check(version),
            Self::PingReq | Self::PingResp => Ok(()),
            Self::Disconnect(disconnect) => disconnect.check(version),
            Self::Auth(auth) => auth.check(version),
        }
    }

    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<()> {
        let packet_type = self.packet_type();
        match self {
            Self::Publish(publish) => {
                publish.write(version, out);
                return Ok(());
            }
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                return ack.write(packet_type, version, out);
            }
            _ => {}
        }
        // Most packets fit: a new buffer gets its memory once, not with every field.
        out.reserve(MOST);
        out.push(packet_type.first_byte());
        put_with_length(out, |out| match self {
            Self::Connect(connect) => connect.write(out),
            Self::ConnAck(connack) => connack.write(version, out),
            Self::Subscribe(subscribe) => subscribe.write(version, out),
            Self::SubAck(suback) => suback.write(version, out),
            Self::Unsubscribe(unsubscribe) => unsubscribe.write(version, out),
            Self::UnsubAck(unsuback) => unsuback.write(version, out),
            Self::Disconnect(disconnect) => disconnect.write(version, out),
            Self::Auth(auth) => auth.write(out),
            // These two are empty; the others are written above.
            _ => {}
        })
    }
}
