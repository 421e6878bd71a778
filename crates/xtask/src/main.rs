//! The one driver of this workspace: builds what is shipped, runs the tests, the checks and the bench.
//!
//! It has no dependency, since it is the first thing that a newcomer builds. One file a command;
//! what several commands need stands in [`workspace`], [`debian`], [`table`], [`stats`] and
//! [`json`].

mod args;
mod bench;
mod check;
mod debian;
mod dist;
mod failure;
mod fuzz;
mod help;
mod install;
mod json;
mod licences;
mod machine;
mod nvidia;
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
    match perform(&command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::from(FAILED)
        }
    }
}

/// Carries out `command`; false is a failure that the command has told the user about itself.
fn perform(command: &Command) -> Result<bool, Failure> {
    match command {
        Command::Help => help::print().map(|()| true),
        Command::Build => build(&Workspace::find()?),
        Command::Test(options) => test::run(&Workspace::find()?, options),
        Command::Check => check::run(&Workspace::find()?),
        Command::Bench(options) => bench::run(&Workspace::find()?, options),
        Command::Install(destdir) => install::install(&Workspace::find()?, destdir.as_deref()),
        Command::Dist(options) => dist::run(&Workspace::find()?, options),
        Command::Uninstall(destdir) => install::uninstall(destdir.as_deref()),
    }
}

/// Builds the programs as they are shipped, and says where they are.
fn build(workspace: &Workspace) -> Result<bool, Failure> {
    workspace.build_shipped()?;
    println!("{}", workspace.shipped("aictl").display());
    Ok(true)
}
