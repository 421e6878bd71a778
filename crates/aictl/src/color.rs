//! Colour on terminals, where it is wanted.

use std::io::IsTerminal;

use clap::ValueEnum;

/// When to use colour.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set or the terminal is a dumb one.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a piece of text stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// All is well.
    Good,
    /// Look at it.
    Warning,
    /// Something is wrong.
    Bad,
    /// Worth less of a look than the rest.
    Faint,
}

impl Style {
    /// The codes of ECMA-48 that turn it on.
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Bad => "\x1b[31m",
            Self::Faint => "\x1b[2m",
        }
    }
}

/// Paints text, or leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint(bool);

impl Paint {
    /// For text that goes to `stream`, in the environment of this process.
    #[must_use]
    pub fn new(when: When, stream: &impl IsTerminal) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self(decide(when, stream.is_terminal(), no_color, dumb))
    }

    /// The text in a style.
    #[must_use]
    pub fn text(self, style: Style, text: &str) -> String {
        match style {
            Style::Plain => text.to_owned(),
            _ if !self.0 => text.to_owned(),
            style => format!("{}{text}\x1b[0m", style.code()),
        }
    }
}

const fn decide(when: When, terminal: bool, no_color: bool, dumb: bool) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => terminal && !no_color && !dumb,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_that_show_it_and_people_who_want_it() {
        for (when, terminal, no_color, dumb, expected) in [
            (When::Auto, true, false, false, true),
            (When::Auto, true, true, false, false),
            (When::Auto, true, false, true, false),
            (When::Auto, false, false, false, false),
            (When::Always, false, true, true, true),
            (When::Never, true, false, false, false),
        ] {
            assert_eq!(decide(when, terminal, no_color, dumb), expected, "{when:?}");
        }
    }

    #[test]
    fn a_style_ends_where_its_text_does() {
        assert_eq!(Paint(true).text(Style::Bad, "no"), "\x1b[31mno\x1b[0m");
        assert_eq!(Paint(true).text(Style::Plain, "so"), "so");
        assert_eq!(Paint(false).text(Style::Bad, "no"), "no");
    }
}
