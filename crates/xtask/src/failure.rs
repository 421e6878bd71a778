//! What can go wrong in the driver, each with a message for the person at the terminal.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why a command of the driver could not do its work.
#[derive(Debug)]
pub enum Failure {
    /// The program was not started by cargo, so nobody said where the workspace is.
    NotUnderCargo,
    /// A file or a directory could not be used.
    File {
        /// What was tried, as in "cannot write".
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Standard output could not be written.
    Output(io::Error),
    /// A program could not be started, or not be waited for.
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program ran and failed; it has said why on its own.
    Ended {
        /// The command, in the words that a user would type.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A program of the workspace is not where the build should have put it.
    NotBuilt(PathBuf),
    /// The bench has no interpreter to measure.
    NoPython,
    /// A row of the bench failed, or printed something else than it should.
    Row {
        /// The row's name.
        row: &'static str,
        /// What happened.
        why: String,
    },
    /// The command changes the machine, and only root may.
    NotRoot(&'static str),
    /// A program from the system is absent.
    Needs(String),
    /// The machine for the tests does not work.
    Machine(String),
    /// `deny.toml` does not say which licences are allowed.
    NoAllowList(PathBuf),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotUnderCargo => {
                f.write_str("cannot tell where the workspace is: start it as `cargo xtask …`")
            }
            Failure::File { what, path, source } => {
                write!(f, "{what} {}: {source}", path.display())
            }
            Failure::Output(source) => write!(f, "cannot write to standard output: {source}"),
            Failure::Start { program, source } => write!(f, "cannot run {program}: {source}"),
            Failure::Ended { command, status } => write!(f, "`{command}` failed ({status})"),
            Failure::NotBuilt(path) => write!(
                f,
                "the build did not make {}: if `build.target` is set for cargo, unset it",
                path.display()
            ),
            Failure::NoPython => f.write_str(
                "the bench needs /usr/bin/python3, and it is not there: install it (Debian: \
                 apt-get install python3)",
            ),
            Failure::Row { row, why } => write!(f, "{row}: {why}"),
            Failure::NotRoot(command) => write!(
                f,
                "`{command}` changes this machine and needs root (or a directory: {command} \
                 --destdir DIR)"
            ),
            Failure::Needs(missing) => f.write_str(missing),
            Failure::Machine(why) => write!(f, "the machine for the tests: {why}"),
            Failure::NoAllowList(path) => {
                write!(f, "{} has no list `allow` under [licenses]", path.display())
            }
        }
    }
}
