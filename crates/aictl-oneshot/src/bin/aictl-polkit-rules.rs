//! Writes the polkit rules by which the helper may act on the units of the catalogue. Run as root by
//! `aictl-polkit-rules.service` and `aictl-polkit-rules-again.service`. With `--print` it prints them instead, as anybody.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    thread,
    time::Duration,
};

use aictl_api::{authorisation::polkit_rules, exit};
use aictl_core::config_files::{self, Trust};
use aictl_oneshot::replace::replace;

/// How long the first of the two units outlasts what it does: by then the second one that an earlier
/// turn started has ended, and can be started anew. systemd starts nothing that still runs.
const OUTLAST: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let (mut print, mut again) = (false, false);
    match args.as_slice() {
        [] => {}
        [option] if option == "--again" => again = true,
        [option] if option == "--print" => print = true,
        _ => {
            eprintln!("usage: aictl-polkit-rules [--print]");
            return ExitCode::from(exit::USAGE);
        }
    }
    let done = if print { print_rules() } else { write_rules() };
    if !print && !again {
        thread::sleep(OUTLAST);
    }
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(exit::FAILED)
        }
    }
}

/// What the configuration comes to; one that is no good is an error.
fn rules() -> Result<String, String> {
    let config = config_files::load(None, Trust::RootOnly)
        .map_err(|error| format!("the rules stay as they are: {error}"))?;
    Ok(polkit_rules::rules(config.services()))
}

fn print_rules() -> Result<(), String> {
    let printed = io::stdout().write_all(rules()?.as_bytes());
    printed.map_err(|error| format!("standard output cannot be written: {error}"))
}

/// Writes the rules. Of two that do it at one time, the one that reads later writes later: each
/// holds the directory's lock (flock(2)) from before it reads until its end.
fn write_rules() -> Result<(), String> {
    let path = Path::new(polkit_rules::FILE);
    let directory = path.parent().unwrap_or(path);
    let lock = File::open(directory).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{}: there is no such directory: is polkit installed?", directory.display())
        }
        _ => format!("{} cannot be opened: {error}", directory.display()),
    })?;
    lock.lock().map_err(|error| format!("{} cannot be locked: {error}", directory.display()))?;
    let written = replace(path, &rules()?);
    written.map(drop).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}
