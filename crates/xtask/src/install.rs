//! `cargo xtask install` and `uninstall`: what a package would put on a machine, and take away.

mod activate;
mod apparmor;
mod files;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::Command;

pub use activate::{Host, activate, deactivate};
use files::{is_installed, remove_one};
pub use files::{place, place_bytes, place_one, remove};

use crate::debian;
use crate::failure::Failure;
use crate::workspace::{self, Workspace};

/// Where a running system's files begin.
const ROOT: &str = "/";
/// There is such a directory where systemd is PID 1 (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";

/// Builds and installs everything: below `destdir`, as a package's build does, or on this machine,
/// where it is then put to use.
///
/// # Errors
/// A failure if something cannot be built or written, or if a step on this machine fails.
pub fn install(workspace: &Workspace, destdir: Option<&Path>) -> Result<bool, Failure> {
    if destdir.is_none() && !debian::is_root() {
        return Err(Failure::NotRoot("install"));
    }
    workspace.build_shipped()?;
    let root = destdir.map_or_else(|| PathBuf::from(ROOT), Path::to_owned);
    let count = place(workspace, |name| workspace.shipped(name), &root)?;
    if destdir.is_none() {
        if apparmor::fate() == apparmor::Fate::Goes {
            remove_one(Path::new(apparmor::PROFILE))?;
            eprintln!(
                "without the AppArmor profile: {} here is older than 4.0, and comes with a kernel \
                 that keeps no program from user namespaces",
                apparmor::PARSER
            );
        }
        activate(&ThisMachine)?;
        if !ThisMachine.is_booted() {
            eprintln!("systemd does not run here: aictl starts with it");
        }
    }
    println!("{count} files installed below {}", root.display());
    Ok(true)
}

/// Takes away what [`install`] puts there. What an administrator wrote in `/etc/aictl` stays.
///
/// # Errors
/// A failure if something is there and cannot be removed, or if a step on this machine fails.
pub fn uninstall(destdir: Option<&Path>) -> Result<bool, Failure> {
    if destdir.is_none() && !debian::is_root() {
        return Err(Failure::NotRoot("uninstall"));
    }
    let root = destdir.map_or_else(|| PathBuf::from(ROOT), Path::to_owned);
    if !is_installed(&root) {
        println!("nothing is installed below {}", root.display());
        return Ok(true);
    }
    match destdir {
        Some(root) => remove(root)?,
        None => deactivate(&ThisMachine, || remove(&root))?,
    }
    println!("removed what was installed below {}", root.display());
    Ok(true)
}

/// The machine that this program runs on.
struct ThisMachine;

impl Host for ThisMachine {
    fn is_booted(&self) -> bool {
        Path::new(BOOTED).is_dir()
    }

    fn has_apparmor(&self) -> bool {
        apparmor::fate() == apparmor::Fate::Loads
    }

    fn has_profile(&self) -> bool {
        apparmor::is_loaded()
    }

    fn run(&self, argv: &[&str]) -> Result<(), Failure> {
        let (program, args) = argv.split_first().unwrap_or((&"true", &[]));
        let mut command = Command::new(program);
        command.args(args).env_remove("LD_LIBRARY_PATH");
        workspace::run(command, &argv.join(" "))
    }
}
