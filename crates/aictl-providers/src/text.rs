//! What servers say, as it may be shown: on one line, plain, and not long.

use aictl_core::plain_text::plain_text;

/// The most characters of a model's name, a version, or any other word of a server.
pub(crate) const MAX_WORD: usize = 256;
/// The most characters of a sentence of a server.
const MAX_SENTENCE: usize = 200;
/// What stands where a text was cut.
const CUT: char = '…';

/// A word of a server; `None` if nothing of it can be shown.
pub(crate) fn word(text: &str) -> Option<String> {
    shown(text, MAX_WORD)
}

/// A sentence of a server; `None` if nothing of it can be shown.
pub(crate) fn sentence(text: &str) -> Option<String> {
    shown(text, MAX_SENTENCE)
}

fn shown(text: &str, most: usize) -> Option<String> {
    // Looking at more than twice as many characters as may be left is work that only a hostile
    // server makes.
    let end = match text.char_indices().nth(2 * most) {
        Some((end, _)) => end,
        None => text.len(),
    };
    let plain = plain_text(&text[..end]);
    let plain = plain.trim();
    if plain.is_empty() {
        return None;
    }
    match plain.char_indices().nth(most) {
        None if end == text.len() => Some(plain.to_owned()),
        None => Some(format!("{plain}{CUT}")),
        Some(_) => {
            let end = plain.char_indices().nth(most - 1).map_or(plain.len(), |(at, _)| at);
            Some(format!("{}{CUT}", &plain[..end]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_plain_and_short() {
        let long = "x".repeat(MAX_WORD + 1);
        let cut = format!("{}…", "x".repeat(MAX_WORD - 1));
        let endless = "y".repeat(1 << 20);
        let endless_cut = format!("{}…", "y".repeat(MAX_WORD - 1));
        let hidden = "\u{200b}".repeat(1 << 20);
        let table = [
            ("llama3.2:1b", Some("llama3.2:1b")),
            ("  a b\n", Some("a b")),
            ("\u{1b}[31mred\u{1b}[0m\u{202e}", Some("red")),
            ("\u{1b}[2J\0", None),
            ("", None),
            (&long, Some(cut.as_str())),
            (&long[1..], Some(&long[1..])),
            (&endless, Some(&endless_cut)),
            (&hidden, None),
        ];
        for (text, shown) in table {
            assert_eq!(word(text).as_deref(), shown, "{:?}", &text[..text.len().min(40)]);
        }
    }
}
