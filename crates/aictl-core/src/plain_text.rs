//! Text as it may stand on a terminal.

use std::borrow::Cow;

const ESCAPE: char = '\u{1b}';
/// "Control sequence introducer" as one character.
const CSI: char = '\u{9b}';

/// The text on one line, without what acts on a terminal or on its reader: no escape codes, which
/// go as a whole; no control characters; none of those that turn the direction of what follows,
/// or that nobody sees. Each line break and tab is a space.
#[must_use]
pub fn plain_text(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_break(c) || is_hidden(c)) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            ESCAPE => skip_escape(&mut rest),
            CSI => skip_sequence(&mut rest),
            c if is_break(c) => plain.push(' '),
            c if is_hidden(c) => {}
            c => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\t' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Marks, embeddings, overrides and isolates of direction.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Without width: spaces, the byte order mark, tags.
            | '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Skips what follows an escape character.
fn skip_escape(rest: &mut std::str::Chars<'_>) {
    let mut ahead = rest.clone();
    match ahead.next() {
        Some('[') => {
            *rest = ahead;
            skip_sequence(rest);
        }
        // Strings for the terminal: up to BEL, or ESC and a backslash. One without an end is
        // none, lest it take the rest of the text along.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let mut is_escaped = false;
            while let Some(c) = ahead.next() {
                if c == '\u{7}' || (is_escaped && c == '\\') {
                    *rest = ahead;
                    return;
                }
                is_escaped = c == ESCAPE;
            }
        }
        // Two characters, of the ones that terminals know.
        Some('0'..='9' | 'c' | 'D' | 'E' | 'H' | 'M' | 'N' | 'O' | 'Z' | '=' | '>') => {
            *rest = ahead
        }
        _ => {}
    }
}

/// Skips parameters and the letter of a control sequence; where another character stands instead,
/// that is the text again.
fn skip_sequence(rest: &mut std::str::Chars<'_>) {
    loop {
        let mut ahead = rest.clone();
        match ahead.next() {
            Some(' '..='?') => *rest = ahead,
            Some('@'..='~') => {
                *rest = ahead;
                return;
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_on_a_terminal_is_left() {
        let table = [
            ("plain", "plain"),
            ("Ollama läuft: 100 % ✓", "Ollama läuft: 100 % ✓"),
            ("\u{1b}[31merror\u{1b}[0m", "error"),
            ("\u{1b}[38;5;196;1mred", "red"),
            ("\u{9b}2Jgone", "gone"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            // Without an end it is text, if an odd one.
            ("\u{1b}]0;no end", "]0;no end"),
            ("\u{1b}[12", ""),
            ("\u{1b}[1\u{1b}[2Jx", "x"),
            ("\u{1b}cx", "x"),
            ("\u{1b}", ""),
            ("a\nb\r\nc\td", "a b c d"),
            ("a\u{2028}b\u{85}c", "a b c"),
            ("\u{202e}gnp.exe\u{202c}", "gnp.exe"),
            ("pass\u{200b}word\u{feff}", "password"),
            ("a\0b\u{8}c\u{7f}d", "abcd"),
        ];
        for (text, plain) in table {
            assert_eq!(plain_text(text), plain, "{text:?}");
            assert!(!plain_text(text).contains(char::is_control), "{text:?}");
        }
    }

    #[test]
    fn what_is_plain_is_not_copied() {
        assert!(matches!(plain_text("plain"), Cow::Borrowed(_)));
    }
}
