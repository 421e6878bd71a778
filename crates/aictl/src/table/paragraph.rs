//! Sentences below a table.

use super::{Look, text::fill};
use crate::color::Style;

/// How far the lines after the first are indented.
const INDENT: usize = 2;
/// The narrowest line that is filled.
const NARROWEST: u16 = 20;
/// The widest: longer lines are hard to read.
const WIDEST: u16 = 100;

/// `head` in a style and `text` behind it, on lines that fit the terminal; on one line where there
/// is none.
#[must_use]
pub fn paragraph(head: &str, style: Style, text: &str, look: Look) -> String {
    let head = look.text(head);
    let whole = format!("{head} {}", look.text(text));
    let lines = match look.width {
        None => vec![whole],
        Some(width) => {
            let width = usize::from(width.clamp(NARROWEST, WIDEST));
            fill(&whole, width, width - INDENT)
        }
    };
    let mut painted = String::new();
    for (index, line) in lines.iter().enumerate() {
        match line.strip_prefix(&head) {
            Some(behind) if index == 0 => painted += &(look.paint.text(style, &head) + behind),
            _ if index == 0 => painted += line,
            _ => painted += &format!("{:INDENT$}{line}", ""),
        }
        painted.push('\n');
    }
    painted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        color::{Paint, When},
        table::Alphabet,
    };

    #[test]
    fn a_sentence_is_filled_to_the_width_of_the_terminal() {
        let paint = Paint::new(When::Always, &std::io::stdout());
        let look = |width| Look { width, paint, alphabet: Alphabet::Unicode };
        let text = "its endpoint says nothing: look at `aictl logs ollama`";
        for (width, expected) in [
            (
                None,
                "\x1b[31mollama:\x1b[0m its endpoint says nothing: look at `aictl logs ollama`\n",
            ),
            (
                Some(40),
                "\x1b[31mollama:\x1b[0m its endpoint says nothing: look\n  at `aictl logs ollama`\n",
            ),
            (
                // No terminal is so narrow; this is as narrow as it gets.
                Some(1),
                "\x1b[31mollama:\x1b[0m its endpoint\n  says nothing: look\n  at `aictl logs\n  ollama`\n",
            ),
        ] {
            assert_eq!(paragraph("ollama:", Style::Bad, text, look(width)), expected);
        }
    }
}
