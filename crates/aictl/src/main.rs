//! `aictl`: see, steer and safely use the AI services on your own Linux machine.

mod args;
mod config;
mod doctor;
mod message;
mod output;
mod plain_file;
mod run;
mod script;
mod stdin;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // A process takes a while to start: it does so while the command line is read.
    let early = std::env::args_os().nth(1).filter(|word| word == "run");
    let early = early.map(|_| aictl_sandbox::client::Connection::embedded());
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return args::explain(&error),
    };
    if aictl_sandbox::stdout_was_closed() {
        message::error("standard output is closed: give it somewhere to go, such as >/dev/null");
        return ExitCode::from(aictl_api::exit::INTERNAL);
    }
    let code = match &cli.command {
        args::Command::Run(run) => run::main(&cli.global, run, early),
        args::Command::Doctor => doctor::main(&cli.global),
    };
    ExitCode::from(code)
}
