//! Bytes written down with annotations.

/// Bytes, and where in them the lengths are: position and size.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lengths: Vec<(usize, usize)>,
}

/// Reads annotated bytes. Of each line only what stands before `|` counts, in tokens: `0A` is a byte, `61*200` a byte
/// so many times, `'MQTT'` a text, and `[0004]` a length of one or two bytes.
pub(crate) fn wire(annotated: &str) -> Wire {
    let mut wire = Wire {
        bytes: Vec::new(),
        lengths: Vec::new(),
    };
    for line in annotated.lines() {
        let bytes = line.split('|').next().unwrap_or_default();
        for token in bytes.split_whitespace() {
            if let Some(text) = token.strip_prefix('\'') {
                wire.bytes
                    .extend_from_slice(text.strip_suffix('\'').expect("a closing quote").as_bytes());
            } else if let Some(length) = token.strip_prefix('[') {
                let length = hex(length.strip_suffix(']').expect("a closing bracket"));
                wire.lengths.push((wire.bytes.len(), length.len()));
                wire.bytes.extend(length);
            } else if let Some((byte, times)) = token.split_once('*') {
                let times: usize = times.parse().expect("a number");
                wire.bytes.extend(hex(byte).repeat(times));
            } else {
                wire.bytes.extend(hex(token));
            }
        }
    }
    wire
}

fn hex(digits: &str) -> Vec<u8> {
    assert!(digits.len() % 2 == 0, "{digits} is not a number of bytes");
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex digits"))
        .collect()
}

/// The bytes with one length changed by one; `None` where it has no such neighbour of the same size.
pub(crate) fn with_length_changed(bytes: &[u8], position: usize, size: usize, step: i32) -> Option<Vec<u8>> {
    let mut changed = bytes.to_vec();
    match (size, position) {
        (1, _) => {
            let length = i32::from(changed[position]) + step;
            if !(0..0x80).contains(&length) {
                return None;
            }
            changed[position] = length as u8;
        }
        // A Variable Byte Integer; its neighbours have two bytes as well unless they carry.
        (2, 1) => {
            let low = i32::from(changed[position] & 0x7F) + step;
            if !(0..0x80).contains(&low) {
                return None;
            }
            changed[position] = 0x80 | low as u8;
        }
        (2, _) => {
            let length = i32::from(u16::from_be_bytes([changed[position], changed[position + 1]])) + step;
            let length = u16::try_from(length).ok()?;
            changed[position..position + 2].copy_from_slice(&length.to_be_bytes());
        }
        _ => panic!("lengths have one or two bytes"),
    }
    Some(changed)
}
