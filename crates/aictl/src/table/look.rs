//! How text looks where it goes: how wide it may be, in which colours, of which characters.

use std::{
    env,
    io::{self, IsTerminal},
};

use aictl_core::plain_text::plain_text;

use crate::{args::Global, color::Paint};

/// The width of a terminal that does not tell, such as a serial line.
const USUAL_WIDTH: u16 = 80;
/// What those who have no other sign for it read instead of a character of ours.
const ASCII: [(char, &str); 11] = [
    ('…', ".."),
    ('●', "*"),
    ('○', "o"),
    ('✗', "x"),
    ('·', "|"),
    ('→', "->"),
    ('°', ""),
    ('µ', "u"),
    ('×', "x"),
    ('–', "-"),
    ('’', "'"),
];

/// The characters that are understood where text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// All, in UTF-8.
    Unicode,
    /// Those of ASCII alone.
    Ascii,
}

impl Alphabet {
    /// The one of the locale (locale(7)) that the environment names.
    pub fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Self {
        let names = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter();
        let locale = names.filter_map(variable).find(|value| !value.is_empty()).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        match locale.contains("utf-8") || locale.contains("utf8") {
            true => Self::Unicode,
            false => Self::Ascii,
        }
    }
}

/// How text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The width of the terminal, in columns; `None` where the text goes elsewhere: then nothing is
    /// left out for want of room, and there are no signs but words.
    pub width: Option<u16>,
    /// The colours.
    pub paint: Paint,
    /// The characters.
    pub alphabet: Alphabet,
}

impl Look {
    /// How text looks on this process's standard output.
    #[must_use]
    pub fn of_stdout(global: &Global) -> Self {
        let stdout = io::stdout();
        let width = stdout.is_terminal().then(|| {
            let size = rustix::termios::tcgetwinsize(&stdout).ok();
            size.map(|size| size.ws_col).filter(|width| *width > 0).unwrap_or(USUAL_WIDTH)
        });
        let alphabet = Alphabet::of_locale(|name| env::var(name).ok());
        Self { width, paint: Paint::new(global.color, &stdout), alphabet }
    }

    /// The text on one line, without what acts on a terminal, in the characters that are
    /// understood: `?` stands for one that is not.
    #[must_use]
    pub fn text(self, text: &str) -> String {
        let text = plain_text(text);
        if self.alphabet == Alphabet::Unicode || text.is_ascii() {
            return text.into_owned();
        }
        let mut ascii = String::with_capacity(text.len());
        for c in text.chars() {
            match ASCII.iter().find(|(sign, _)| *sign == c) {
                Some((_, words)) => ascii.push_str(words),
                None => ascii.push(if c.is_ascii() { c } else { '?' }),
            }
        }
        ascii
    }

    /// What stands where text was left out.
    #[must_use]
    pub const fn ellipsis(self) -> &'static str {
        match self.alphabet {
            Alphabet::Unicode => "…",
            Alphabet::Ascii => "..",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::When;

    #[test]
    fn the_alphabet_is_that_of_the_first_variable_that_names_a_locale() {
        use Alphabet::{Ascii, Unicode};
        for (all, ctype, lang, expected) in [
            (None, None, None, Ascii),
            (None, None, Some("C.UTF-8"), Unicode),
            (None, None, Some("de_DE.utf8"), Unicode),
            (None, None, Some("de_DE@euro"), Ascii),
            (None, Some("C"), Some("C.UTF-8"), Ascii),
            (Some(""), Some(""), Some("en_US.UTF-8"), Unicode),
            (Some("POSIX"), Some("C.UTF-8"), Some("C.UTF-8"), Ascii),
        ] {
            let variable = |name: &str| {
                let value = match name {
                    "LC_ALL" => all,
                    "LC_CTYPE" => ctype,
                    "LANG" => lang,
                    other => panic!("{other}"),
                };
                value.map(str::to_owned)
            };
            assert_eq!(Alphabet::of_locale(variable), expected, "{all:?} {ctype:?} {lang:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_written_otherwise() {
        let paint = Paint::new(When::Never, &io::stdout());
        let look = |alphabet| Look { width: None, paint, alphabet };
        for (text, unicode, ascii) in [
            ("41 °C · 3 µs …", "41 °C · 3 µs …", "41 C | 3 us .."),
            ("通义千问\x1b[2J\u{202e}x", "通义千问x", "????x"),
            ("plain", "plain", "plain"),
        ] {
            assert_eq!(look(Alphabet::Unicode).text(text), unicode);
            assert_eq!(look(Alphabet::Ascii).text(text), ascii);
        }
    }
}
