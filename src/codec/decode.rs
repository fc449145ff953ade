//! From received bytes to packets.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

use super::plain_publish::{PlainPublish, PlainRun};
use super::reader::{Reader, read_var_int};
use super::topic_cache::TopicCache;
use super::{
    Ack, Auth, ConnAck, Connect, DecodeError, Disconnect, Packet, PacketType, ProtocolVersion, Publish, QoS,
    ShortAck, SubAck, Subscribe, TopicName, UnsubAck, Unsubscribe, rules,
};

/// Takes packets off the front of a buffer.
///
/// A packet is refused if its bytes, taken alone, break the protocol; what depends on earlier packets (is a CONNACK
/// due, is the Topic Alias known ..) or on who is client and who is server is left to the caller. Every refusal
/// carries the number of the standard's statement, if there is one. After a refusal the connection has to be closed:
/// where the next packet begins is not known.
///
/// MQTT 3.1 leaves more open than its successors; where it does, the decoder does too.
///
/// ```
/// use bytes::BytesMut;
/// use callmq::codec::{Decoder, Packet, ProtocolVersion};
///
/// let mut decoder = Decoder::new(ProtocolVersion::V311);
/// let mut input = BytesMut::from(&b"\x30\x05\x00\x01thi"[..]);
/// let Some(Packet::Publish(publish)) = decoder.decode(&mut input)? else { panic!("not a PUBLISH") };
/// assert_eq!(publish.topic.as_str(), "t");
/// assert_eq!(&publish.payload[..], b"hi");
/// assert_eq!(decoder.decode(&mut input)?, None);
/// # Ok::<(), callmq::codec::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    version: ProtocolVersion,
    max_packet_size: usize,
    topics: TopicCache,
}

impl Decoder {
    /// Makes a decoder for the packets of one connection. `version` decides how they are read, until a CONNECT packet
    /// is decoded: that sets it (the server's side).
    ///
    /// A decoder for MQTT 5.0 accepts a CONNACK that refuses the connection in the form of 3.1.1, since a server
    /// without MQTT 5.0 answers like that.
    pub fn new(version: ProtocolVersion) -> Self {
        Self {
            version,
            max_packet_size: usize::MAX,
            topics: TopicCache::default(),
        }
    }

    /// Returns the version in use.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Refuses packets of more than `bytes` (Fixed Header included) as soon as their length is known. Defaults to the
    /// protocol's maximum.
    pub fn set_max_packet_size(&mut self, bytes: u32) {
        self.max_packet_size = bytes as usize;
    }

    /// Decodes the first packet of `input` and removes its bytes. `Ok(None)`: the packet is not complete, and nothing
    /// was removed.
    ///
    /// # Errors
    ///
    /// The bytes break the protocol, or the packet is too large. A CONNECT with a protocol name or level that is not
    /// known has the reason `UNSUPPORTED_PROTOCOL_VERSION`.
    #[inline]
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Packet>, DecodeError> {
        let Some(mut found) = self.find(input)? else {
            return Ok(None);
        };
        if found.payload.is_empty() {
            input.advance(found.len);
        } else {
            input.advance(found.payload.start);
            found.set_payload(input.split_to(found.payload.len()).freeze());
        }
        Ok(Some(found.packet))
    }

    /// Decodes the packet at the front of `range` of `input`, and takes it off the range. The payload of a PUBLISH is a
    /// part of `input`.
    pub(crate) fn decode_part(
        &mut self,
        input: &Bytes,
        range: &mut Range<usize>,
    ) -> Result<Option<Packet>, DecodeError> {
        let Some(mut found) = self.find(part(input, range))? else {
            return Ok(None);
        };
        if !found.payload.is_empty() {
            let payload = range.start + found.payload.start..range.start + found.payload.end;
            found.set_payload(input.slice(payload));
        }
        range.start += found.len;
        Ok(Some(found.packet))
    }

    /// The packet at the front of `input`, if it is a complete PUBLISH without properties; whether it has a Topic Name is
    /// left open.
    #[inline(always)]
    pub(crate) fn find_plain<'a>(&self, input: &'a [u8]) -> Option<PlainPublish<'a>> {
        PlainPublish::find(self.version, self.max_packet_size, input)
    }

    /// The Topic Name with these bytes, if it came before.
    #[inline]
    pub(crate) fn known_topic(&self, bytes: &[u8]) -> Option<&TopicName> {
        self.topics.known(bytes)
    }

    /// The Topic Name with these bytes, which is one that a packet had.
    pub(crate) fn topic(&self, bytes: &[u8]) -> TopicName {
        let made = || TopicName::from_checked(&String::from_utf8_lossy(bytes));
        self.known_topic(bytes).cloned().unwrap_or_else(made)
    }

    /// The packets at the front of `range` of `input`, as long as they are PUBLISH without properties whose Topic Name came
    /// before, and all or none of them of QoS 2.
    pub(crate) fn plain_run<'a>(&'a self, input: &'a Bytes, range: &'a mut Range<usize>) -> PlainRun<'a> {
        PlainRun {
            decoder: self,
            input,
            start: range.start,
            exactly_once: part(input, range)
                .first()
                .is_some_and(|first| QoS::from_bits(first >> 1) == Some(QoS::ExactlyOnce)),
            range,
        }
    }

    /// As [`decode_part`](Self::decode_part), if it is an acknowledgement in its shortest form.
    #[inline]
    pub(crate) fn decode_short_ack(&self, input: &Bytes, range: &mut Range<usize>) -> Option<ShortAck> {
        let ack = ShortAck::read(part(input, range)).filter(|_| self.max_packet_size >= ShortAck::LEN)?;
        range.start += ShortAck::LEN;
        Some(ack)
    }

    /// Reads the packet at the front of `input`, the payload of a PUBLISH apart.
    #[inline]
    fn find(&mut self, input: &[u8]) -> Result<Option<Found>, DecodeError> {
        if let Some(found) = self.find_plain(input) {
            if let Some(topic) = self.known_topic(found.topic) {
                return Ok(Some(Found {
                    len: found.len(),
                    payload: found.payload(),
                    packet: Packet::Publish(found.into_publish(topic.clone(), Bytes::new())),
                }));
            }
        }
        match ShortAck::read(input) {
            Some(ack) if self.max_packet_size >= ShortAck::LEN => Ok(Some(Found {
                packet: ack.into_packet(),
                payload: ShortAck::LEN..ShortAck::LEN,
                len: ShortAck::LEN,
            })),
            _ => self.find_any(input),
        }
    }

    #[inline(never)]
    fn find_any(&mut self, input: &[u8]) -> Result<Option<Found>, DecodeError> {
        let Some(header) = self.fixed_header(input)? else {
            return Ok(None);
        };
        let len = header.packet_len();
        let Some(bytes) = input.get(..len) else {
            return Ok(None);
        };
        if header.packet_type == PacketType::Publish {
            let (publish, payload_len) = Publish::read(self.version, bytes, header.len, &mut self.topics)?;
            return Ok(Some(Found {
                packet: Packet::Publish(publish),
                payload: len - payload_len..len,
                len,
            }));
        }
        let body = bytes.get(header.len..).unwrap_or_default();
        Ok(Some(Found {
            packet: self.read_packet(header.packet_type, body)?,
            payload: len..len,
            len,
        }))
    }

    /// Returns how many more bytes the packet at the front of `input` needs to be complete, for a caller who wants to
    /// reserve room. 0 if it is complete, or too short to tell.
    pub fn missing_bytes(&self, input: &[u8]) -> usize {
        match self.fixed_header(input) {
            Ok(Some(header)) => header.packet_len().saturating_sub(input.len()),
            _ => 0,
        }
    }

    /// Reads the Fixed Header. `None`: it is not complete.
    fn fixed_header(&self, input: &[u8]) -> Result<Option<FixedHeader>, DecodeError> {
        let Some((&first, rest)) = input.split_first() else {
            return Ok(None);
        };
        let packet_type =
            PacketType::from_first_byte(first, self.version).map_err(|rule| rule.broken(self.version))?;
        let length = read_var_int(rest, self.version).map_err(|rule| rule.broken(self.version))?;
        let Some((remaining_length, size)) = length else {
            return Ok(None);
        };
        let header = FixedHeader {
            packet_type,
            len: 1 + size,
            remaining_length: remaining_length as usize,
        };
        if header.packet_len() > self.max_packet_size {
            return Err(rules::PACKET_TOO_LARGE.broken(self.version));
        }
        Ok(Some(header))
    }

    /// Reads a packet other than PUBLISH.
    fn read_packet(&mut self, packet_type: PacketType, body: &[u8]) -> Result<Packet, DecodeError> {
        let mut reader = Reader::new(self.version, body);
        let body = &mut reader;
        let packet = match packet_type {
            PacketType::Connect => {
                let connect = Connect::read(body)?;
                self.version = connect.version;
                Packet::Connect(Box::new(connect))
            }
            PacketType::ConnAck => Packet::ConnAck(ConnAck::read(body)?),
            PacketType::PubAck => Packet::PubAck(Ack::read(body, packet_type)?),
            PacketType::PubRec => Packet::PubRec(Ack::read(body, packet_type)?),
            PacketType::PubRel => Packet::PubRel(Ack::read(body, packet_type)?),
            PacketType::PubComp => Packet::PubComp(Ack::read(body, packet_type)?),
            PacketType::Subscribe => Packet::Subscribe(Subscribe::read(body)?),
            PacketType::SubAck => Packet::SubAck(SubAck::read(body)?),
            PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe::read(body)?),
            PacketType::UnsubAck => Packet::UnsubAck(UnsubAck::read(body)?),
            PacketType::PingReq => Packet::PingReq,
            PacketType::PingResp => Packet::PingResp,
            PacketType::Disconnect => Packet::Disconnect(Disconnect::read(body)?),
            PacketType::Auth => Packet::Auth(Auth::read(body)?),
            PacketType::Publish => return body.broken(&rules::PACKET_TYPE),
        };
        reader.end()?;
        Ok(packet)
    }
}

fn part<'a>(input: &'a Bytes, range: &Range<usize>) -> &'a [u8] {
    input.get(range.clone()).unwrap_or_default()
}

/// A packet at the front of the input.
#[derive(Debug)]
struct Found {
    /// A PUBLISH has no payload yet.
    packet: Packet,
    /// Where the payload is; empty for packets that have none.
    payload: Range<usize>,
    /// Of the whole packet.
    len: usize,
}

impl Found {
    fn set_payload(&mut self, payload: Bytes) {
        if let Packet::Publish(publish) = &mut self.packet {
            publish.payload = payload;
        }
    }
}

/// What the first bytes of a packet tell.
#[derive(Clone, Copy, Debug)]
struct FixedHeader {
    packet_type: PacketType,
    /// How many bytes the Fixed Header takes.
    len: usize,
    remaining_length: usize,
}

impl FixedHeader {
    fn packet_len(&self) -> usize {
        self.len + self.remaining_length
    }
}
