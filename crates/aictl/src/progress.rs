//! One line on a terminal that says what is being waited for, and is gone at the end.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use crate::{args::Global, output};

/// What erases the line and puts the cursor at its beginning (ECMA-48).
const ERASE: &str = "\r\x1b[2K";

/// How often the line is drawn anew.
pub const TICK: Duration = Duration::from_secs(1);

/// The line. It is erased when this value is dropped.
#[derive(Debug)]
pub struct Progress {
    /// What is shown; `None` where nothing is.
    text: Option<String>,
    drawn: bool,
}

impl Progress {
    /// A line that says this, once it is drawn; nothing if standard error is no terminal, or
    /// nothing is to be said.
    #[must_use]
    pub fn new(global: &Global, text: impl Into<String>) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let wanted = !global.quiet && !global.json && !dumb && io::stderr().is_terminal();
        Self { text: wanted.then(|| text.into()), drawn: false }
    }

    /// Whether there is anything to draw.
    #[must_use]
    pub const fn is_shown(&self) -> bool {
        self.text.is_some()
    }

    /// Draws the line, with the time that has passed.
    pub fn draw(&mut self, passed: Duration) {
        if let Some(text) = &self.text {
            self.drawn = true;
            let line = line(text, passed);
            // Where nobody reads it there is nobody to tell.
            let _closed = output::write_all(&io::stderr(), line.as_bytes());
        }
    }

    /// Erases the line, until it is drawn again.
    pub fn erase(&mut self) {
        if self.drawn {
            self.drawn = false;
            let _closed = output::write_all(&io::stderr(), ERASE.as_bytes());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.erase();
    }
}

fn line(text: &str, passed: Duration) -> String {
    match passed.as_secs() {
        0 => format!("{ERASE}{text} …"),
        seconds => format!("{ERASE}{text} … {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_the_time_once_there_is_some() {
        assert_eq!(line("starting x", Duration::from_millis(900)), "\r\x1b[2Kstarting x …");
        assert_eq!(line("starting x", Duration::from_secs(61)), "\r\x1b[2Kstarting x … 61 s");
    }
}
