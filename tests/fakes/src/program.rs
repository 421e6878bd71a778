//! Programs that a test starts.

use std::{path::Path, process::Command};

/// Puts a shell script there that can be started. Another process writes it: were it open for
/// writing in this one, a child that another test has just begun could hold it open, and what is
/// open for writing is not executed (ETXTBSY in execve(2)).
pub fn shell_script(path: &Path, body: &str) {
    const WRITE: &str = "printf '#!/bin/sh\\n%s\\n' \"$2\" >\"$1\" && chmod 755 \"$1\"";
    let mut shell = Command::new("/bin/sh");
    let written = shell.args(["-c", WRITE, "sh"]).arg(path).arg(body).status();
    assert!(written.unwrap().success(), "{}", path.display());
}

/// Copies a program to where it can be started; another process does, for the same reason.
pub fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").args([from, to]).status();
    assert!(copied.unwrap().success(), "{}", to.display());
}
