//! `aictl doctor`: what this machine offers, and what to do about what is missing.

mod helper;
mod interpreters;
mod private;
mod sandbox;
mod shown;
mod system;

use aictl_api::{
    document::doctor::{Check, CheckStatus as Status, Report},
    exit,
};
use aictl_core::{
    config_files::{self, Trust},
    host::Host,
};

use crate::{
    args::Global,
    message,
    runtime::{self, Stopped},
    table::Look,
};
use private::Private;

/// Runs the command; returns the exit code.
pub fn main(global: &Global) -> u8 {
    // Before the trial, which may move this process to another control group.
    let facts = Host::default().facts();
    let mut checks = Vec::new();
    let config = config_files::check(global.config.as_deref(), Trust::Any);
    match &config {
        Ok(_) => checks.push(Check::ok("config", "it can be used")),
        Err(problems) => checks.extend(
            problems
                .iter()
                .map(|problem| Check::bad("config", Status::Failed, problem.to_string(), "")),
        ),
    }
    let found = interpreters::find(config.as_ref().ok());
    let python = found.python.clone();
    let asked = runtime::run(async {
        tokio::join!(
            async { if global.embedded { Vec::new() } else { helper::checks().await } },
            system::journal(),
            system::gpus(),
        )
    });
    let (helper, journal, gpus) = match asked {
        Ok(asked) => asked,
        Err(stopped @ Stopped::Signal(_)) => return stopped.exit_code(),
        Err(stopped) => return message::fail(global, stopped.exit_code(), &stopped.to_string()),
    };
    // The last that is looked at: the trial gives up every right that this process has.
    let tried = sandbox::checks(python, &facts);
    checks.extend(found.checks(tried.python_version.as_deref()));
    checks.extend(tried.checks);
    checks.extend(system::apparmor(&facts));
    checks.extend(helper);
    checks.extend(journal);
    checks.extend(gpus);
    let healthy = checks.iter().all(|check| is_fine(check.status));
    let code = if healthy { exit::OK } else { exit::FAILED };
    let mut report =
        Report { version: env!("CARGO_PKG_VERSION"), kernel: facts.kernel, checks, healthy };
    let printed = match global.json {
        true => {
            // It goes into reports of bugs, which everybody reads.
            let paths = global.config.iter().chain(&found.paths).cloned();
            Private::of_this_process(paths).hide_in(&mut report);
            message::print_json(&report)
        }
        false => message::print(&shown::text(&report, Look::of_stdout(global))),
    };
    match printed {
        Ok(()) => code,
        Err(error) => {
            message::error(format_args!("the output cannot be written: {error}"));
            exit::INTERNAL
        }
    }
}

/// Whether aictl can do what it is for nevertheless: a helper that is installed is used, and must
/// work.
const fn is_fine(status: Status) -> bool {
    matches!(status, Status::Ok | Status::Missing)
}
