//! Just enough of MQTT to cut a byte stream into packets and to name them.

/// Cuts a byte stream into packets.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: Vec<u8>,
}

impl Splitter {
    /// Takes received bytes and returns the packets that are now complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.buffer.extend_from_slice(bytes);
        let mut packets = Vec::new();
        while let Some(length) = packet_length(&self.buffer) {
            if self.buffer.len() < length {
                break;
            }
            let rest = self.buffer.split_off(length);
            packets.push(std::mem::replace(&mut self.buffer, rest));
        }
        packets
    }

    /// The bytes of a packet that has not ended yet.
    pub fn rest(&self) -> &[u8] {
        &self.buffer
    }
}

/// The length of the packet at the start of `bytes`, or `None` while its fixed header is incomplete.
///
/// # Panics
///
/// When the remaining length has more than four bytes.
pub fn packet_length(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (i, byte) in bytes.iter().skip(1).enumerate() {
        assert!(i < 4, "remaining length of more than four bytes: {}", hex(bytes));
        length |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some(2 + i + length);
        }
    }
    None
}

/// The name of the packet that starts with `first`.
pub fn name(first: u8) -> &'static str {
    [
        "RESERVED",
        "CONNECT",
        "CONNACK",
        "PUBLISH",
        "PUBACK",
        "PUBREC",
        "PUBREL",
        "PUBCOMP",
        "SUBSCRIBE",
        "SUBACK",
        "UNSUBSCRIBE",
        "UNSUBACK",
        "PINGREQ",
        "PINGRESP",
        "DISCONNECT",
        "AUTH",
    ][usize::from(first >> 4)]
}

/// Bytes as lower-case hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_where_packets_end() {
        let mut splitter = Splitter::default();
        assert!(splitter.feed(&[0x20, 0x02, 0x00]).is_empty());
        assert_eq!(splitter.feed(&[0x00, 0xd0]), [vec![0x20, 0x02, 0x00, 0x00]]);
        assert_eq!(
            splitter.feed(&[0x00, 0xe0, 0x00]),
            [vec![0xd0, 0x00], vec![0xe0, 0x00]]
        );
        assert!(splitter.rest().is_empty());
    }

    #[test]
    fn a_remaining_length_may_have_two_bytes() {
        let mut packet = vec![0x30, 0x80, 0x01];
        packet.resize(3 + 128, b'x');
        assert_eq!(packet_length(&packet), Some(131));
        assert_eq!(Splitter::default().feed(&packet), [packet.clone()]);
        assert_eq!(packet_length(&packet[..2]), None);
    }
}
