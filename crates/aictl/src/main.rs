//! `aictl`: see, steer and safely use the AI services on your own Linux machine.

mod agent;
mod args;
mod async_output;
mod audit;
mod check;
mod color;
mod completions;
mod config;
mod config_command;
mod doctor;
mod gpu;
mod keys;
mod logs;
mod message;
mod output;
mod progress;
mod run;
mod runtime;
mod schema;
mod script;
mod services;
mod signals;
mod status;
mod stdin;
mod table;
mod time;
mod units;
mod users;

use std::process::ExitCode;

use aictl_api::authorisation::Verb;
use aictl_sandbox::embedded;

fn main() -> ExitCode {
    let clock = run::Clock::start();
    // What our caller has open is no business of the programs that we start. A kernel that cannot
    // do that runs no sandbox, which says so.
    let _old_kernel = aictl_sandbox::cloexec_from(3);
    // Beside the making of a sandbox, the command line is read in no time. Where there may be a
    // helper, it is made elsewhere.
    let here = args::is_run(std::env::args_os()) && !run::may_be_there();
    let begun = here.then(embedded::begin);
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return args::explain(&error, std::env::args_os()),
    };
    if aictl_sandbox::stdout_was_closed() {
        message::error("standard output is closed: give it somewhere to go, such as >/dev/null");
        return ExitCode::from(aictl_api::exit::INTERNAL);
    }
    let code = match &cli.command {
        args::Command::Run(run) => run::main(&cli.global, run, begun, clock),
        args::Command::Check(check) => check::main(&cli.global, check),
        args::Command::Status(status) => status::main(&cli.global, status),
        args::Command::Gpu(gpu) => gpu::main(&cli.global, gpu),
        args::Command::Schema(schema) => schema::main(&cli.global, schema),
        args::Command::Completions(shell) => completions::main(shell),
        args::Command::Doctor => doctor::main(&cli.global),
        args::Command::Config(command) => config_command::main(&cli.global, command),
        args::Command::Logs(logs) => logs::main(&cli.global, logs),
        args::Command::Audit(audit) => audit::main(&cli.global, audit),
        args::Command::Start(act) => services::main(&cli.global, Verb::Start, act),
        args::Command::Stop(act) => services::main(&cli.global, Verb::Stop, act),
        args::Command::Restart(act) => services::main(&cli.global, Verb::Restart, act),
        args::Command::Reload(act) => services::main(&cli.global, Verb::Reload, act),
        args::Command::Enable(act) => services::main(&cli.global, Verb::Enable, act),
        args::Command::Disable(act) => services::main(&cli.global, Verb::Disable, act),
    };
    ExitCode::from(code)
}
