//! One query for SRV records, and what an answer to it says.

use std::io;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE};

/// A query, and what its answer is known by.
#[derive(Debug)]
pub(super) struct Query {
    id: u16,
    name: String,
    bytes: Vec<u8>,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// Empty where the record says that there is no such service.
    pub(super) target: String,
}

/// What a message is for a query.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// At least one.
    Records(Vec<Record>),
    /// There is no such name.
    NoName,
    /// The name has no SRV record.
    NoRecord,
    /// The answer is too long for a datagram.
    Truncated,
    /// The server does not answer this.
    Refused(RCODE),
    /// An answer to this query that is not understood.
    Malformed,
    /// No answer to this query.
    Stray,
}

impl Query {
    /// # Errors
    ///
    /// `InvalidInput` if it is no name; those of the system's source of random numbers.
    pub(super) fn new(name: &str) -> io::Result<Self> {
        let random = getrandom::u32().map_err(|error| io::Error::other(error.to_string()))?;
        let [high, low, ..] = random.to_be_bytes();
        Self::with_id(name, u16::from_be_bytes([high, low]))
    }

    fn with_id(name: &str, id: u16) -> io::Result<Self> {
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let question = Question::new(parsed(name)?, TYPE::SRV.into(), CLASS::IN.into(), false);
        packet.questions.push(question);
        let bytes = packet
            .build_bytes_vec()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?}: {error}")))?;
        let name = name.to_owned();
        Ok(Self { id, name, bytes })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What `message` says, which may be anything.
    pub(super) fn judge(&self, message: &[u8]) -> Answer {
        let Some(&[high, low, flags, _]) = message.first_chunk() else {
            return Answer::Stray;
        };
        if u16::from_be_bytes([high, low]) != self.id || flags & RESPONSE == 0 {
            return Answer::Stray;
        }
        if flags & TRUNCATED != 0 {
            // What is left of it need not be complete.
            return Answer::Truncated;
        }
        let Ok(packet) = Packet::parse(message) else {
            return Answer::Malformed;
        };
        let Ok(name) = Name::new(&self.name) else {
            return Answer::Malformed;
        };
        let is_asked = |question: &Question<'_>| {
            question.qname == name
                && question.qtype == TYPE::SRV.into()
                && question.qclass == CLASS::IN.into()
        };
        match packet.questions.as_slice() {
            [question] if is_asked(question) => {}
            // Some refuse without having read it.
            [] if packet.rcode() != RCODE::NoError => {}
            _ => return Answer::Stray,
        }
        match packet.rcode() {
            RCODE::NoError => records(&packet, name),
            RCODE::NameError => Answer::NoName,
            other => Answer::Refused(other),
        }
    }
}

/// The SRV records of `name`, or of the one that it is another name for: the server puts those into the same answer
/// (RFC 1034, section 3.6.2).
fn records<'a>(packet: &'a Packet<'a>, mut name: Name<'a>) -> Answer {
    // No longer a way than there are records: they may lead in circles.
    for _ in &packet.answers {
        let mut aliases = packet.answers.iter().filter(|record| record.name == name);
        let alias = aliases.find_map(|record| match &record.rdata {
            RData::CNAME(alias) => Some(alias.0.clone()),
            _ => None,
        });
        match alias {
            Some(alias) => name = alias,
            None => break,
        }
    }
    let own = packet
        .answers
        .iter()
        .filter(|record| record.name == name && record.class == CLASS::IN);
    let records: Vec<_> = own
        .filter_map(|record| match &record.rdata {
            RData::SRV(srv) => Some(Record {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.to_string(),
            }),
            _ => None,
        })
        .collect();
    if records.is_empty() {
        Answer::NoRecord
    } else {
        Answer::Records(records)
    }
}

impl Answer {
    /// Of one that does not help: why.
    pub(super) fn into_error(self) -> io::Error {
        let text = match self {
            Self::Refused(code) => return io::Error::other(format!("it does not answer ({code:?})")),
            Self::Malformed => "its answer is malformed",
            Self::Truncated => "its answer is cut off",
            Self::Stray => "it answers what it was not asked",
            Self::Records(_) | Self::NoName | Self::NoRecord => "its answer does not help",
        };
        io::Error::new(io::ErrorKind::InvalidData, text)
    }
}

/// Checks that `name` can be asked for.
///
/// # Errors
///
/// `InvalidInput` if it is no name of DNS: longer than 255 bytes, a part that is empty or longer than 63 bytes, or not
/// ASCII.
pub(crate) fn check_name(name: &str) -> io::Result<()> {
    parsed(name).map(drop)
}

fn parsed(name: &str) -> io::Result<Name<'_>> {
    let plain = name.is_ascii() && !name.contains('\\') && name.split('.').all(|label| !label.is_empty());
    let parsed = Name::new(name).ok().filter(|_| plain);
    parsed.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no name of DNS")))
}

/// In the third byte of a message: it is an answer.
const RESPONSE: u8 = 0b1000_0000;
/// In the third byte of a message: it does not hold everything.
const TRUNCATED: u8 = 0b0000_0010;
