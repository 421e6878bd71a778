//! The text itself: that it is what both Python and its reader take it for.

use std::collections::BTreeSet;

use crate::{Refused, Rule};

/// The byte order mark, which may stand at the very beginning.
pub const BOM: char = '\u{feff}';

/// The text of a script.
///
/// # Errors
/// If it is no UTF-8, or holds a NUL: then there is nothing more to look at.
pub fn text(source: &[u8]) -> Result<&str, Refused> {
    let refused = |at, message: &str| {
        let instead = "save it as plain UTF-8 text";
        Refused::new(at, Rule::Source, message, instead)
    };
    if source.contains(&0) {
        return Err(refused(0, "the script holds a NUL byte"));
    }
    str::from_utf8(source).map_err(|_| refused(0, "the script is not UTF-8"))
}

/// What in the text misleads: an encoding that is not UTF-8, and characters that nobody sees.
pub fn check(text: &str) -> BTreeSet<Refused> {
    let mut refused = BTreeSet::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let followed_by_newline = chars.peek().is_some_and(|(_, next)| *next == '\n');
        if is_odd(c) && !(c == '\r' && followed_by_newline) && !(c == BOM && at == 0) {
            let message = format!("the invisible character U+{:04X}", u32::from(c));
            let instead = format!("remove it, or write {} in a text", escaped(c));
            refused.insert(Refused::new(at, Rule::Source, message, instead));
        }
    }
    refused.extend(cookie(text));
    refused
}

fn escaped(c: char) -> String {
    match u32::from(c) {
        code @ 0..=0xff => format!("\\x{code:02x}"),
        code @ 0x100..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// Whether a character acts on a reader's screen, or is not there to see.
fn is_odd(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\n'))
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | BOM | '\u{e0000}'..='\u{e007f}')
}

/// An encoding that one of the first two lines names, if it is not UTF-8. Python looks for it before
/// it reads anything else (PEP 263), so what stands around it does not matter here either.
fn cookie(text: &str) -> Option<Refused> {
    let mut at = 0;
    for line in text.split(['\n', '\r']).take(4) {
        if let Some(name) = encoding(line.trim_start_matches(BOM)) {
            let plain = name.to_ascii_lowercase().replace('_', "-");
            if !(plain == "utf-8" || plain.starts_with("utf-8-unix") || plain == "utf8") {
                let message = format!("the script says that it is written in {name}, not UTF-8");
                let instead = "save it as UTF-8, and leave the coding comment out";
                return Some(Refused::new(at, Rule::Source, message, instead));
            }
        }
        at += line.len() + 1;
    }
    None
}

/// The encoding that a comment names: after `coding:` or `coding=`.
fn encoding(line: &str) -> Option<&str> {
    let comment = line.trim_start_matches([' ', '\t', '\u{c}']).strip_prefix('#')?;
    let (at, _) = comment.match_indices("coding").find(|(at, word)| {
        let rest = &comment[at + word.len()..];
        let name = rest.strip_prefix([':', '=']).map(|rest| rest.trim_start_matches([' ', '\t']));
        name.is_some_and(|name| name.starts_with(is_name))
    })?;
    let name = comment[at + "coding".len() + 1..].trim_start_matches([' ', '\t']);
    Some(&name[..name.find(|c| !is_name(c)).unwrap_or(name.len())])
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}
