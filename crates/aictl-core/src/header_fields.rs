//! The fields of a message's header (D-Bus specification, "Message Format"), looked at before zbus
//! reads the message.

use std::ops::Range;

/// The code of the field that says how many descriptors come with a message.
pub const UNIX_FDS: u8 = 9;

/// One field of a header.
#[derive(Debug, Clone)]
pub struct Field {
    /// Which it is.
    pub code: u8,
    /// The type of its value, where that is one letter.
    pub kind: u8,
    /// Where its value stands.
    pub value: Range<usize>,
}

/// The fields, up to the first that is none. Each begins at a multiple of 8 with its code and the
/// signature of its value.
pub fn fields(header: &[u8], endian: u8) -> impl Iterator<Item = Field> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let &[code, 1, kind, 0] = header.get(at..at + 4)?.first_chunk()? else { return None };
        let value = at + 4;
        let four: [u8; 4] = *header.get(value..)?.first_chunk()?;
        let length = match kind {
            b'u' => 4,
            b's' | b'o' => number(four, endian).checked_add(5)?,
            b'g' => 1 + usize::from(four[0]) + 1,
            _ => return None,
        };
        let end = value.checked_add(length)?;
        at = end.checked_next_multiple_of(8)?;
        Some(Field { code, kind, value: value..end })
    })
}

fn number(four: [u8; 4], endian: u8) -> usize {
    let number = if endian == b'B' { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) };
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// How many descriptors a message with these fields says that it has.
#[must_use]
pub fn descriptors(header: &[u8], endian: u8) -> usize {
    let said = fields(header, endian).find_map(|field| {
        let four = header.get(field.value)?.first_chunk()?;
        (field.code == UNIX_FDS && field.kind == b'u').then(|| number(*four, endian))
    });
    said.unwrap_or(0)
}
