//! Enables or disables the unit of one service of the catalogue. Run as root by
//! `aictl-unit-file@enable:STEM.service` and `aictl-unit-file@disable:STEM.service`.

use std::{
    error::Error,
    ffi::OsString,
    io,
    process::{Command, ExitCode, Stdio},
};

use aictl_api::exit;
use aictl_core::config_files::{self, Trust};
use aictl_oneshot::unit_file::{ENVIRONMENT, Refusal, Request, SYSTEMCTL};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [instance] = args.as_slice() else {
        eprintln!("usage: aictl-unit-file enable:UNIT|disable:UNIT (UNIT without .service)");
        return ExitCode::from(exit::USAGE);
    };
    match perform(instance.to_str().unwrap_or_default()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(exit::FAILED),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(if error.is::<Refusal>() { exit::REFUSED } else { exit::FAILED })
        }
    }
}

/// Does it; false if `systemctl` says, in its own words, that it failed.
fn perform(instance: &str) -> Result<bool, Box<dyn Error>> {
    let request = Request::parse(instance)?;
    let config = config_files::load(None, Trust::RootOnly)?;
    request.check(config.services())?;
    let answer = systemctl(&request.question()).stderr(Stdio::inherit()).output();
    let answer = answer.map_err(no_systemctl)?;
    if !answer.status.success() {
        return Ok(false);
    }
    request.check_answer(&answer.stdout)?;
    Ok(systemctl(&request.action()).status().map_err(no_systemctl)?.success())
}

/// A command that speaks to systemd. How long it may take is the unit's TimeoutStartSec.
fn systemctl(args: &[&str]) -> Command {
    let mut command = Command::new(SYSTEMCTL);
    command.args(args).env_clear().envs(ENVIRONMENT).stdin(Stdio::null());
    command
}

fn no_systemctl(error: io::Error) -> String {
    format!("{SYSTEMCTL} cannot be run: {error}")
}
