//! A line of several parts, each with a style of its own, that goes on below where it is too long.

use super::{Look, width};
use crate::color::Style;

/// How far the lines after the first are indented.
const INDENT: usize = 2;
/// The narrowest line that is filled.
const NARROWEST: u16 = 20;

/// A part of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What stands between it and the part before, if that is on the same line.
    pub separator: &'static str,
    /// What it says.
    pub text: String,
    /// How.
    pub style: Style,
}

/// The parts as lines that fit the terminal; no part is broken.
#[must_use]
pub fn flow(parts: &[Part], look: Look) -> String {
    let max = look.width.map_or(usize::MAX, |width| width.max(NARROWEST).into());
    let (mut text, mut used) = (String::new(), 0);
    for part in parts {
        let (separator, words) = (look.text(part.separator), look.text(&part.text));
        let painted = look.paint.text(part.style, &words);
        let more = width(&separator) + width(&words);
        if used == 0 {
            text += &painted;
            used = width(&words);
        } else if used + more <= max {
            text += &(separator + &painted);
            used += more;
        } else {
            text += &format!("\n{:INDENT$}{painted}", "");
            used = INDENT + width(&words);
        }
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        color::{Paint, When},
        table::Alphabet,
    };

    #[test]
    fn parts_stand_on_one_line_as_long_as_they_fit() {
        let part = |separator, text: &str, style| Part { separator, text: text.to_owned(), style };
        let parts = [
            part("", "5 services: 3 active", Style::Good),
            part(", ", "1 failed", Style::Bad),
            part(" · ", "memory 12 GiB", Style::Plain),
        ];
        let look = |width, color| Look {
            width,
            paint: Paint::new(color, &std::io::stdout()),
            alphabet: Alphabet::Unicode,
        };
        for (width, expected) in [
            (None, "5 services: 3 active, 1 failed · memory 12 GiB\n"),
            (Some(46), "5 services: 3 active, 1 failed · memory 12 GiB\n"),
            (Some(45), "5 services: 3 active, 1 failed\n  memory 12 GiB\n"),
            (Some(20), "5 services: 3 active\n  1 failed\n  memory 12 GiB\n"),
        ] {
            assert_eq!(flow(&parts, look(width, When::Never)), expected, "{width:?}");
        }
        assert!(flow(&parts, look(None, When::Always)).contains(", \x1b[31m1 failed\x1b[0m · "));
    }
}
