//! Facts, each on a line of its own behind its name.

use super::{Look, text::fill, width};
use crate::color::Style;

/// The space before a name.
const INDENT: usize = 2;
/// The space between a name and what is said of it.
const GAP: usize = 2;
/// The narrowest that what is said can be.
const NARROWEST: usize = 16;

/// Facts with their names.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(&'static str, String, Style)>);

impl Fields {
    /// Adds a fact. One without a name belongs to the one before.
    pub fn add(&mut self, name: &'static str, text: impl Into<String>) {
        self.styled(name, text, Style::Plain);
    }

    /// Adds a fact, if it is known.
    pub fn known(&mut self, name: &'static str, text: Option<String>) {
        if let Some(text) = text {
            self.add(name, text);
        }
    }

    /// Adds a fact in a style.
    pub fn styled(&mut self, name: &'static str, text: impl Into<String>, style: Style) {
        self.0.push((name, text.into(), style));
    }

    /// The facts, on lines that fit the terminal.
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        let names = self.0.iter().map(|(name, ..)| width(name)).max().unwrap_or(0);
        let margin = INDENT + names + GAP;
        let room = look.width.map_or(usize::MAX, |columns| {
            usize::from(columns).saturating_sub(margin).max(NARROWEST)
        });
        let mut lines = String::new();
        for (name, text, style) in &self.0 {
            let space = margin - INDENT - width(name);
            let name = look.paint.text(Style::Faint, name);
            for (index, line) in fill(&look.text(text), room, room).iter().enumerate() {
                let line = look.paint.text(*style, line);
                match index {
                    0 => lines += &format!("{:INDENT$}{name}{:space$}{line}\n", "", ""),
                    _ => lines += &format!("{:margin$}{line}\n", ""),
                }
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        color::{Paint, When},
        table::Alphabet,
    };

    #[test]
    fn facts_stand_below_each_other() {
        let mut fields = Fields::default();
        fields.add("unit", "ollama.service");
        fields.known("VRAM", None);
        fields.styled("models", "llama3.2:3b, qwen2.5:7b", Style::Good);
        fields.add("", "x\x1b[2J\ny");
        let look = |width, color| Look {
            width,
            paint: Paint::new(color, &std::io::stdout()),
            alphabet: Alphabet::Unicode,
        };
        for (width, expected) in [
            (None, "  unit    ollama.service\n  models  llama3.2:3b, qwen2.5:7b\n          x y\n"),
            (
                Some(30),
                "  unit    ollama.service\n  models  llama3.2:3b,\n          qwen2.5:7b\n          x y\n",
            ),
        ] {
            assert_eq!(fields.render(look(width, When::Never)), expected);
        }
        let coloured = fields.render(look(None, When::Always));
        assert!(coloured.contains("  \x1b[2mmodels\x1b[0m  \x1b[32mllama3.2:3b, "), "{coloured:?}");
    }
}
