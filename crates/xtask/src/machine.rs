//! The machine tier: a real Debian with systemd, D-Bus, polkit and journald, booted in a container
//! at full speed, with everything installed as a user would, and driven from inside.

mod bench;
mod boot;
mod image;
pub mod package;
mod servers;
pub mod vm;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::args::{STRICT_VARIABLE, TestOptions};
use crate::debian::{self, Need};
use crate::failure::Failure;
use crate::install::{self, Host};
use crate::test::SHUFFLES;
use crate::workspace::{self, Workspace};

pub use bench::use_for_bench;
use boot::Bind;
pub use boot::Machine;
use image::Image;

/// Programs without which there is no machine.
pub const NEEDS: &[Need] = &[
    Need { program: "mmdebstrap", package: "mmdebstrap" },
    Need { program: "systemd-nspawn", package: "systemd-container" },
    Need { program: "nsenter", package: "util-linux" },
    Need { program: "setpriv", package: "util-linux" },
];

/// How the tests learn of the machine: the process id of its PID 1, as seen from here.
const LEADER_VARIABLE: &str = "AICTL_MACHINE_LEADER";

/// What belongs to the machine rather than to what was installed on it: these differ after an
/// uninstall for reasons of their own.
const PASSING: [&str; 9] =
    ["/dev", "/home", "/opt", "/proc", "/root", "/run", "/sys", "/tmp", "/var"];

/// A machine, and what it is for.
#[derive(Debug)]
struct Purpose {
    image: Image,
    /// What is laid over the machine's root before anything else: people, services, and what a
    /// test needs beside them. The later go over the earlier.
    over: &'static [&'static str],
    /// Makes the machine know it.
    make_known: &'static [&'static [&'static str]],
    /// The tests.
    test: &'static str,
    /// Whether the tests install aictl themselves, from a package.
    packaged: bool,
}

/// All that aictl does, with stand-ins for the services.
const STAND_INS: Purpose = Purpose {
    image: Image {
        suite: "trixie",
        base: image::SMALL,
        // The last two are for the examples and the manual pages.
        packages: &["apparmor", "curl", "jq", "python3-gi"],
        fetched: &[],
        apt: &[],
        hooks: &[],
    },
    over: &["tests/machine/people", "tests/machine/root"],
    make_known: MAKE_PEOPLE_KNOWN,
    test: "machine",
    packaged: false,
};
const MAKE_PEOPLE_KNOWN: &[&[&str]] = &[
    &["systemd-sysusers", "people.conf"],
    &["systemd-tmpfiles", "--create", "people.conf"],
    &["systemctl", "daemon-reload"],
];

/// What aictl sees of real servers. Debian has them from forky on.
const PROVIDERS: Purpose = Purpose {
    image: Image {
        suite: "forky",
        base: image::SMALL,
        fetched: &[],
        packages: &["llama.cpp-tools", "python3-gguf", "python3-numpy", "whisper.cpp-tools"],
        // A mirror that is some days behind does for a machine that is thrown away.
        apt: &["Acquire::Check-Valid-Until \"false\""],
        hooks: &[],
    },
    over: &["tests/machine/people", "tests/providers/root"],
    make_known: &[
        MAKE_PEOPLE_KNOWN[0],
        MAKE_PEOPLE_KNOWN[1],
        MAKE_PEOPLE_KNOWN[2],
        &["python3", "-I", "/usr/local/lib/models/tiny-llama.py", "/var/lib/tiny.gguf"],
        &["python3", "-I", "/usr/local/lib/models/tiny-whisper.py", "/var/lib/tiny-whisper.bin"],
    ],
    test: "providers",
    packaged: false,
};

/// Runs the tier of stand-ins; returns what could not be run.
///
/// # Errors
/// A failure if the machine does not come up, or if a test fails.
pub fn run(workspace: &Workspace, options: &TestOptions) -> Result<Vec<String>, Failure> {
    run_for(workspace, options, &STAND_INS, |_| Ok((Vec::new(), Vec::new())))
}

/// Runs the tier of real servers; returns what could not be run.
///
/// # Errors
/// As [`run`], and a failure if there are no servers to be had.
pub fn run_providers(workspace: &Workspace, options: &TestOptions) -> Result<Vec<String>, Failure> {
    run_for(workspace, options, &PROVIDERS, |image| {
        servers::provide(workspace, &workspace.target.join("machine"), image)
    })
}

/// Runs the tier of the Debian package; returns what could not be run.
///
/// # Errors
/// As [`run`], and a failure if there is no package.
pub fn run_package(workspace: &Workspace, options: &TestOptions) -> Result<Vec<String>, Failure> {
    run_for(workspace, options, &package::PURPOSE, |_| package::provide(workspace, options))
}

/// Builds the programs that a machine gets.
fn build(workspace: &Workspace, options: &TestOptions) -> Result<(), Failure> {
    if options.shipped { workspace.build_shipped() } else { workspace.build_debug() }
}

/// Boots a machine and runs its tests. `provide` makes what the machine gets beside its image, and
/// says what is missing of it.
fn run_for(
    workspace: &Workspace,
    options: &TestOptions,
    purpose: &Purpose,
    provide: impl FnOnce(&Path) -> Result<(Vec<Bind>, Vec<String>), Failure>,
) -> Result<Vec<String>, Failure> {
    if !debian::is_root() {
        return Ok(vec!["all of it: only root can boot a machine".to_owned()]);
    }
    if let Some(need) = NEEDS.iter().find(|need| !debian::is_installed(need.program)) {
        return Ok(vec![format!("all of it, without {}", need.program)]);
    }
    build(workspace, options)?;
    let directory = workspace.target.join("machine");
    let image = image::provide(&purpose.image, &directory)?;
    let (binds, missing) = provide(&image)?;
    let machine = Machine::boot(&image, &binds, &directory.join("console.log"))?;
    let result = use_machine(workspace, options, purpose, &machine);
    if result.is_err() {
        let journal = directory.join("journal.log");
        machine.save_journal(&journal);
        eprintln!("what the machine said: {}", journal.display());
    }
    machine.shut_down();
    result.map(|()| missing)
}

fn use_machine(
    workspace: &Workspace,
    options: &TestOptions,
    purpose: &Purpose,
    machine: &Machine,
) -> Result<(), Failure> {
    let root = machine.root();
    purpose.over.iter().try_for_each(|over| lay_over(&workspace.root.join(over), &root))?;
    purpose.make_known.iter().try_for_each(|argv| machine.run(argv))?;
    if purpose.packaged {
        return test(workspace, options, purpose.test, machine);
    }
    let before = files(machine)?;
    let program = |name: &str| {
        if options.shipped { workspace.shipped(name) } else { workspace.debug(name) }
    };
    install::place(workspace, program, &root)?;
    install::activate(machine)?;
    let tested = test(workspace, options, purpose.test, machine);
    install::deactivate(machine, || install::remove(&root))?;
    let after = files(machine)?;
    tested?;
    let changed = difference(&before, &after);
    if changed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Machine(format!("uninstall leaves a difference: {}", changed.join(" "))))
    }
}

/// Copies what is in the directory `from` into the directory `to`, links as links.
fn lay_over(from: &Path, to: &Path) -> Result<(), Failure> {
    let problem = |error| file("cannot copy", from, error);
    for entry in fs::read_dir(from).map_err(problem)? {
        let entry = entry.map_err(problem)?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(problem)?;
        if kind.is_dir() {
            fs::create_dir_all(&target).map_err(problem)?;
            lay_over(&path, &target)?;
        } else if kind.is_symlink() {
            fs::read_link(&path).and_then(|link| symlink(link, &target)).map_err(problem)?;
        } else {
            fs::copy(&path, &target).map_err(problem)?;
        }
    }
    Ok(())
}

/// The tests in tests/`name`.
fn test(
    workspace: &Workspace,
    options: &TestOptions,
    name: &str,
    machine: &Machine,
) -> Result<(), Failure> {
    let strict = options.strict;
    let mut args = vec!["--config", SHUFFLES, "test", "--package", "aictl-tests", "--test", name];
    if strict {
        args.push("--locked");
    }
    // They take turns with the machine, in an order that is new each time: each finds it as it was.
    args.extend(["--", "-Z", "unstable-options", "--shuffle"]);
    if !options.only.is_empty() {
        args.push("--show-output");
        args.extend(options.only.iter().map(String::as_str));
    }
    let mut command = workspace.cargo(&args);
    command.env(LEADER_VARIABLE, machine.leader().to_string());
    if strict {
        command.env(STRICT_VARIABLE, "1");
    } else {
        command.env_remove(STRICT_VARIABLE);
    }
    workspace::run(command, &format!("cargo test --test {name}"))
}

/// Every file of the machine that does not come and go by itself, one a line: kind, mode, owner,
/// group and path.
fn files(machine: &Machine) -> Result<String, Failure> {
    let mut argv = vec!["find", "/"];
    for path in PASSING {
        argv.extend(["-path", path, "-prune", "-o"]);
    }
    argv.extend(["-printf", "%y %m %u %g %p\n"]);
    machine.output(&argv)
}

/// The lines that only one of both has. A directory that others use too may stay.
fn difference<'a>(before: &'a str, after: &'a str) -> Vec<&'a str> {
    let before: BTreeSet<&str> = before.lines().collect();
    let after: BTreeSet<&str> = after.lines().collect();
    let is_ours = |line: &&str| !line.starts_with("d ") || line.contains("aictl");
    before.symmetric_difference(&after).copied().filter(is_ours).collect()
}

impl Host for Machine {
    fn is_booted(&self) -> bool {
        true
    }

    fn run(&self, argv: &[&str]) -> Result<(), Failure> {
        let mut command = self.command(argv);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        workspace::run(command, &format!("{} (in the machine)", argv.join(" ")))
    }
}

/// A command with nothing of our environment but the way to programs.
fn plain_command(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    command.env_clear().env("PATH", path).env("LANG", "C.UTF-8");
    command
}

/// The error of a file that could not be used.
fn file(what: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Failure {
    Failure::File { what, path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_lacks_is_a_difference() {
        for (before, after, want) in [
            ("", "", vec![]),
            ("a\nb\n", "b\na\n", vec![]),
            ("f 644 /a\n", "f 600 /a\n", vec!["f 600 /a", "f 644 /a"]),
            ("a\n", "a\nb\n", vec!["b"]),
            ("d 755 /usr\n", "d 755 /usr\nd 755 /usr/x\n", vec![]),
            ("", "d 755 /run/aictl\n", vec!["d 755 /run/aictl"]),
        ] {
            assert_eq!(difference(before, after), want);
        }
    }
}
