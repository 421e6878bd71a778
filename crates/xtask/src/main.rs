//! The one driver of this workspace: runs `aictl`, the tests, the checks and the bench.
//!
//! It has no dependency, since it is the first thing that a newcomer builds. One file a command;
//! what several commands need stands in [`workspace`], [`debian`], [`table`], [`stats`] and
//! [`json`].

mod aictl;
mod args;
mod bench;
mod check;
mod debian;
mod failure;
mod help;
mod json;
mod licences;
mod stats;
mod table;
mod test;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use args::Command;
use failure::Failure;
use workspace::Workspace;

/// The exit code for a command that did not do what was asked.
const FAILED: u8 = 1;
/// The exit code for a wrong command line.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let strict = args::is_set(std::env::var_os(args::STRICT_VARIABLE).as_deref());
    let command = match args::parse(&args, strict) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("xtask: {error}\n\n{}", help::text());
            return ExitCode::from(USAGE);
        }
    };
    // Whatever goes wrong before `aictl` starts is reported with aictl's own "internal" code, since
    // the caller takes the exit code for the script's.
    let failed = if matches!(command, Command::Aictl(_)) { aictl::INTERNAL } else { FAILED };
    match perform(&command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(failed),
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::from(failed)
        }
    }
}

/// Carries out `command`; false is a failure that the command has told the user about itself.
fn perform(command: &Command) -> Result<bool, Failure> {
    match command {
        Command::Help => help::print().map(|()| true),
        Command::Aictl(args) => Err(aictl::exec(&Workspace::find()?, args)),
        Command::Test(options) => test::run(&Workspace::find()?, options),
        Command::Check => check::run(&Workspace::find()?),
        Command::Bench(options) => bench::run(&Workspace::find()?, options),
    }
}
