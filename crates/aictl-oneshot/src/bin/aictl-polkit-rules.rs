//! Writes the polkit rules by which the helper may act on the units of the catalogue. Run as root by
//! `aictl-polkit-rules.service`. With `--print` it prints them instead, as anybody.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    thread,
    time::Duration,
};

use aictl_api::{authorisation::polkit_rules, exit};
use aictl_core::config_files::{self, Trust};
use aictl_oneshot::replace::replace;

/// How long the configuration must stay as it is.
const QUIET: Duration = Duration::from_millis(200);
/// How often it is read at most; later changes start this program anew.
const MOST_TURNS: u32 = 50;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let print = match args.as_slice() {
        [] => false,
        [option] if option == "--print" => true,
        _ => {
            eprintln!("usage: aictl-polkit-rules [--print]");
            return ExitCode::from(exit::USAGE);
        }
    };
    let done = if print { print_rules() } else { write_until_quiet() };
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

/// Writes the rules, and again while the configuration is still changing: the path unit does not
/// look while this program runs, and an editor makes several changes at once.
fn write_until_quiet() -> Result<(), String> {
    let mut last = None;
    for _ in 0..MOST_TURNS {
        let now = rules();
        if last.as_ref() == Some(&now) {
            break;
        }
        if let Ok(rules) = &now {
            write(rules)?;
        }
        last = Some(now);
        thread::sleep(QUIET);
    }
    last.map_or(Ok(()), |last| last.map(drop))
}

fn write(rules: &str) -> Result<(), String> {
    let path = Path::new(polkit_rules::FILE);
    match replace(path, rules) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!(
            "{}: there is no such directory: is polkit installed?",
            path.parent().unwrap_or(path).display()
        )),
        Err(error) => Err(format!("{} cannot be written: {error}", path.display())),
    }
}
