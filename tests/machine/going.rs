//! Commands that go on until they are told to end.

use crate::machine::{Machine, Who};

/// The unit in which such a command runs; one at a time.
const UNIT: &str = "test-going.service";
/// What its lines in the journal go by.
const WORD: &str = "test-going";

/// A command that goes on, and is ended with this value.
pub struct Going<'a> {
    machine: &'a Machine,
    /// Where the journal ended before it.
    cursor: String,
}

impl<'a> Going<'a> {
    /// Starts it: as root, or as Anna at the desk.
    #[track_caller]
    pub fn start(machine: &'a Machine, who: Who, argv: &[&str]) -> Self {
        let person = match who {
            Who::Root => &[][..],
            Who::AnnaAtTheDesk => &[
                "--uid=anna",
                "--property=PAMName=login",
                "--setenv=XDG_SEAT=seat0",
                "--setenv=XDG_SESSION_TYPE=tty",
            ],
            other => panic!("{other:?} has no such unit"),
        };
        let cursor = machine.now();
        let unit = format!("--unit={UNIT}");
        // A session moves what it runs out of the unit: its lines are known by this word.
        let word = format!("--property=SyslogIdentifier={WORD}");
        let begin = ["systemd-run", "--quiet", "--collect", "--service-type=exec", &unit, &word];
        machine.root(&[&begin[..], person, &["--"], argv].concat());
        Self { machine, cursor }
    }

    /// What it has printed.
    pub fn output(&self) -> String {
        let after = format!("--after-cursor={}", self.cursor);
        // What it printed itself, and not what systemd says of it.
        let word = format!("SYSLOG_IDENTIFIER={WORD}");
        let argv = ["journalctl", "--quiet", "--output=cat", &after, &word, "_TRANSPORT=stdout"];
        self.machine.root(&argv)
    }
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        // One that has ended is gone.
        let _gone = self.machine.run(Who::Root, &["systemctl", "--quiet", "stop", UNIT]);
        let _nobody = self.machine.run(Who::Root, &["loginctl", "terminate-user", "anna"]);
    }
}
