//! What aictl has to say to its user, on standard error.

use std::io::{self, Write};

use aictl_api::document::failure::{Failure, FailureText};
use aictl_core::plain_text::plain_text;
use serde::Serialize;

use crate::{args::Global, output};

/// Prints an error. A closed standard error is none of our business.
pub fn error(text: impl std::fmt::Display) {
    block(plain(&text.to_string()));
}

/// Prints an error of several lines, or with colour; what comes from elsewhere is [`plain`] in it.
pub fn block(text: impl std::fmt::Display) {
    let _closed = writeln!(io::stderr(), "aictl: {text}");
}

/// A text on one line, without what acts on a terminal.
#[must_use]
pub fn plain(text: &str) -> String {
    plain_text(text).into_owned()
}

/// Prints something worth knowing, unless it is not wanted.
pub fn note(global: &Global, text: impl std::fmt::Display) {
    if !global.quiet {
        error(text);
    }
}

/// Prints a detail, if details are wanted.
pub fn detail(global: &Global, text: impl std::fmt::Display) {
    if global.verbose {
        error(text);
    }
}

/// Reports a failure: to the user always, and to a program that wants JSON. Returns the exit code.
pub fn fail(global: &Global, exit_code: u8, text: &str) -> u8 {
    error(text);
    if global.json {
        document(exit_code, text);
    }
    exit_code
}

/// Prints a failure as a document on standard output.
pub fn document(exit_code: u8, text: &str) {
    let document = Failure { error: FailureText { message: text }, exit_code };
    // Where nobody reads it there is nobody to tell.
    let _closed = print_json(&document);
}

/// Prints a document on standard output.
///
/// # Errors
/// If it cannot be written; a reader that is gone is no error.
pub fn print_json(document: &impl Serialize) -> io::Result<()> {
    print(&(serde_json::to_string_pretty(document)? + "\n"))
}

/// Prints text on standard output.
///
/// # Errors
/// If it cannot be written; a reader that is gone is no error.
pub fn print(text: &str) -> io::Result<()> {
    match output::write_all(&io::stdout(), text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
