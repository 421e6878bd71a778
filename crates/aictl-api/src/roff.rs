//! Manual pages in the making: man(7), as groff and mandoc both take it without a word.

/// The day that the pages say they are of.
pub const DATE: &str = "2026-11-22";
/// The most bytes of a line of text, as mandoc's style has it.
const WIDTH: usize = 79;

/// A page, or a part of one.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// A page `name`(`section`) that is generated from the file `source`; `how` makes it anew.
    #[must_use]
    pub fn generated(source: &str, how: &str, name: &str, section: u8, about: &str) -> Self {
        Self(format!(
            ".\\\" Generated from {source}; do not edit. To make it anew:\n\
             .\\\" {how}\n\
             .TH {} {section} {DATE} \"aictl {}\" {}\n",
            name.to_uppercase(),
            env!("CARGO_PKG_VERSION"),
            quoted(about)
        ))
    }

    /// The text of the page.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }

    /// A request, as it is.
    pub fn request(&mut self, request: &str) {
        self.0 += &format!("{request}\n");
    }

    /// The title of a section.
    pub fn section(&mut self, title: &str) {
        self.request(&format!(".SH {}", quoted(title)));
    }

    /// The title of a part of a section.
    pub fn subsection(&mut self, title: &str) {
        self.request(&format!(".SS {}", quoted(title)));
    }

    /// Text that goes on with what stands before it.
    pub fn text(&mut self, text: &str) {
        for line in lines(text) {
            self.request(&line);
        }
    }

    /// Text that begins a paragraph.
    pub fn paragraph(&mut self, text: &str) {
        self.request(".PP");
        self.text(text);
    }

    /// Text behind a bold word.
    pub fn item(&mut self, tag: &str, text: &str) {
        self.tagged(&format!(".B {}", quoted(tag)), text);
    }

    /// Text behind what the request `tag` prints.
    pub fn tagged(&mut self, tag: &str, text: &str) {
        self.request(".TP");
        self.request(tag);
        self.text(text);
    }

    /// Text on a line of its own, within what stands before it.
    pub fn line(&mut self, text: &str) {
        self.request(".br");
        self.text(text);
    }

    /// Lines that are shown as they are: commands, or the text of a file.
    pub fn example<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        self.request(".EX");
        for line in lines {
            self.request(&guarded(escape(line)));
        }
        self.request(".EE");
    }
}

/// `text` as an argument of a request.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", escape(text).replace('"', "\\(dq"))
}

/// `text` as it stands in a page (groff_char(7)): nothing in it is an escape.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('~', "\\(ti").replace('^', "\\(ha")
}

/// A line that is no request, whatever it begins with.
fn guarded(line: String) -> String {
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

/// `text` in lines, each sentence on lines of its own: so groff knows where one ends.
fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let word = escape(word);
        if !line.is_empty() && line.len() + 1 + word.len() > WIDTH {
            lines.push(guarded(std::mem::take(&mut line)));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += &word;
        if word.ends_with(['.', '?', '!']) {
            lines.push(guarded(std::mem::take(&mut line)));
        }
    }
    if !line.is_empty() {
        lines.push(guarded(line));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_whatever_is_in_it() {
        let long = "word ".repeat(20);
        for (text, expected) in [
            ("one two", "one two\n"),
            ("One. Two.", "One.\nTwo.\n"),
            (".so /etc/passwd", "\\&.so /etc/passwd\n"),
            ("'quoted'", "\\&'quoted'\n"),
            ("--a \\b", "\\-\\-a \\eb\n"),
            ("a\n\n.B b", "a .B b\n"),
            (&long, &format!("{}\n{}\n", "word ".repeat(16).trim(), "word ".repeat(4).trim())),
        ] {
            let mut page = Page::default();
            page.text(text);
            assert_eq!(page.into_text(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_command_is_shown_on_one_line() {
        let mut page = Page::default();
        page.example(["aictl run -- x", ".hidden"]);
        assert_eq!(page.into_text(), ".EX\naictl run \\-\\- x\n\\&.hidden\n.EE\n");
    }
}
