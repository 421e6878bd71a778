//! What aictl has to say to its user, on standard error.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use aictl_api::document::failure::{Failure, FailureText};
use aictl_core::plain_text::plain_text;
use nix::sys::stat::fstat;
use serde::Serialize;

use crate::{args::Global, output};

/// Prints an error. A closed standard error is none of our business.
pub fn error(text: impl std::fmt::Display) {
    block(plain(&text.to_string()));
}

/// Prints an error of several lines, or with colour; what comes from elsewhere is [`plain`] in it.
pub fn block(text: impl std::fmt::Display) {
    let begin = if LINE_IS_OPEN.swap(false, Ordering::Relaxed) { "\n" } else { "" };
    let _closed = writeln!(io::stderr(), "{begin}aictl: {text}");
}

/// Whether the terminal of standard error shows a line of somebody else's that has not ended.
static LINE_IS_OPEN: AtomicBool = AtomicBool::new(false);

/// Takes note of what a script has printed, on standard error or output: a message begins a line
/// of its own on the terminal that shows both.
pub fn passed_on(to_stderr: bool, bytes: &[u8]) {
    static SHOWN: OnceLock<[bool; 2]> = OnceLock::new();
    let [stdout, stderr] = SHOWN.get_or_init(|| {
        let stderr = io::stderr().is_terminal();
        let device = |stat: nix::Result<nix::sys::stat::FileStat>| stat.ok().map(|it| it.st_rdev);
        let same = || device(fstat(io::stdout())) == device(fstat(io::stderr()));
        [stderr && io::stdout().is_terminal() && same(), stderr]
    });
    if let (Some(last), true) = (bytes.last(), if to_stderr { *stderr } else { *stdout }) {
        LINE_IS_OPEN.store(*last != b'\n', Ordering::Relaxed);
    }
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
