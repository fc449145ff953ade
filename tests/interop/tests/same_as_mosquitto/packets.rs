//! Packets put together by hand.

pub const CLEAN: u8 = 0x02;
pub const KEPT: u8 = 0x00;
pub const PLAIN: u8 = 0x00;
pub const RETAIN: u8 = 0x01;
pub const DUP: u8 = 0x08;
pub const PUBACK: u8 = 0x40;
pub const PUBREC: u8 = 0x50;
pub const PUBREL: u8 = 0x62;
pub const PUBCOMP: u8 = 0x70;

/// Packets of one version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packets {
    level: u8,
    /// The length of the properties of a packet that has none.
    no_properties: &'static [u8],
}

pub const V311: Packets = Packets {
    level: 4,
    no_properties: &[],
};

pub const V5: Packets = Packets {
    level: 5,
    no_properties: &[0],
};

impl Packets {
    fn connect_header(self, flags: u8) -> Vec<u8> {
        [&b"\x00\x04MQTT"[..], &[self.level, flags, 0, 60]].concat()
    }

    /// A session that is kept lasts for a minute in MQTT 5.0.
    pub fn connect(self, client_id: &str, flags: u8) -> Vec<u8> {
        let properties = if flags == KEPT && self == V5 {
            b"\x05\x11\x00\x00\x00\x3c"
        } else {
            self.no_properties
        };
        let header = self.connect_header(flags);
        framed(0x10, &[&header, properties, &text(client_id)].concat())
    }

    /// A clean session, and a Will of QoS 1 that is retained.
    pub fn connect_with_will(self, client_id: &str, topic: &str, payload: &str) -> Vec<u8> {
        let none = self.no_properties;
        let (header, client_id) = (self.connect_header(0x2e), text(client_id));
        let will = [none, &text(topic), &text(payload)].concat();
        framed(0x10, &[&header, none, &client_id, &will].concat())
    }

    pub fn subscribe(self, id: u8, filters: &[(&str, u8)]) -> Vec<u8> {
        let filters = filters
            .iter()
            .flat_map(|(filter, qos)| [text(filter), vec![*qos]].concat());
        framed(0x82, &self.request(id, filters))
    }

    pub fn unsubscribe(self, id: u8, filters: &[&str]) -> Vec<u8> {
        let filters = filters.iter().flat_map(|filter| text(filter));
        framed(0xa2, &self.request(id, filters))
    }

    fn request(self, id: u8, filters: impl Iterator<Item = u8>) -> Vec<u8> {
        let head = [&[0, id], self.no_properties].concat();
        head.into_iter().chain(filters).collect()
    }

    pub fn publish(self, topic: &str, payload: &str, qos: u8, id: u8, flags: u8) -> Vec<u8> {
        let id: &[u8] = if qos == 0 { &[] } else { &[0, id] };
        let body = [&text(topic), id, self.no_properties, payload.as_bytes()].concat();
        framed(0x30 | qos << 1 | flags, &body)
    }
}

/// A short packet: its remaining length is one byte.
pub fn framed(first: u8, rest: &[u8]) -> Vec<u8> {
    assert!(rest.len() < 128);
    [&[first, rest.len() as u8], rest].concat()
}

pub fn ack(first: u8, id: u8) -> Vec<u8> {
    framed(first, &[0, id])
}

fn text(text: &str) -> Vec<u8> {
    [&[0, text.len() as u8], text.as_bytes()].concat()
}
