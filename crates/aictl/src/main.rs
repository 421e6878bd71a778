//! `aictl`: see, steer and safely use the AI services on your own Linux machine.

mod args;
mod doctor;
mod message;
mod output;
mod run;
mod script;
mod stdin;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return args::explain(&error),
    };
    let code = match &cli.command {
        args::Command::Run(run) => run::main(&cli.global, run),
        args::Command::Doctor => doctor::main(&cli.global),
    };
    ExitCode::from(code)
}
