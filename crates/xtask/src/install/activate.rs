//! What makes installed files work on a running system, and what undoes it: the steps that a
//! package's scripts would do.

use super::apparmor;
use crate::failure::Failure;

/// A machine with the files installed on it.
pub trait Host {
    /// Whether systemd runs there.
    fn is_booted(&self) -> bool;

    /// Whether AppArmor is on there, and its parser takes our profile.
    fn has_apparmor(&self) -> bool {
        false
    }

    /// Whether AppArmor holds our profile there now.
    fn has_profile(&self) -> bool {
        false
    }

    /// Runs a command there, by its name in PATH.
    ///
    /// # Errors
    /// A failure if it does not start, or does not end with exit code 0.
    fn run(&self, argv: &[&str]) -> Result<(), Failure>;
}

/// When a step is possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// Only where systemd runs.
    Booted,
    /// Only where AppArmor is on.
    AppArmor,
    /// Only where our profile is loaded.
    Profiled,
}

use When::{Always, AppArmor, Booted, Profiled};

type Step = (When, &'static [&'static str]);

/// What makes it work, in this order.
const ACTIVATE: &[Step] = &[
    (Always, &["systemd-sysusers", "aictl.conf"]),
    (Always, &["systemd-tmpfiles", "--create", "aictl.conf"]),
    (Always, &["journalctl", "--update-catalog"]),
    // Before anything starts: a profile is put on when a program is executed.
    (AppArmor, &[apparmor::PARSER, "--replace", apparmor::PROFILE]),
    (Booted, &["systemctl", "daemon-reload"]),
    // The bus learns of the policy before the helper asks for its name.
    (Booted, &["systemctl", "reload", "dbus.service"]),
    (
        Always,
        &[
            "systemctl",
            "--quiet",
            "enable",
            "aictld.socket",
            "aictl-sandboxd.socket",
            "aictl-polkit-rules.path",
            "aictl-polkit-rules.service",
        ],
    ),
    // An older version's programs make place; the next call starts the new ones.
    (Booted, &["systemctl", "stop", "aictld.service", "aictl-sandboxd.service"]),
    (
        Booted,
        &[
            "systemctl",
            "restart",
            "aictl-polkit-rules.service",
            "aictl-polkit-rules.path",
            "aictl-sandboxd.socket",
            "aictld.socket",
        ],
    ),
];

/// What undoes it before the files are removed.
const STOP: &[Step] = &[
    (
        Booted,
        &[
            "systemctl",
            "stop",
            "aictld.socket",
            "aictl-sandboxd.socket",
            "aictl-polkit-rules.path",
            "aictld.service",
            "aictl-sandboxd.service",
            "aictl-polkit-rules.service",
            "aictl-polkit-rules-again.service",
        ],
    ),
    (
        Always,
        &[
            "systemctl",
            "--quiet",
            "disable",
            "aictld.socket",
            "aictl-sandboxd.socket",
            "aictl-polkit-rules.path",
            "aictl-polkit-rules.service",
        ],
    ),
    // It reads in the file what to forget.
    (Profiled, &[apparmor::PARSER, "--remove", apparmor::PROFILE]),
];

/// What undoes it afterwards.
const FORGET: &[Step] = &[
    (Booted, &["systemctl", "daemon-reload"]),
    (Booted, &["systemctl", "reload", "dbus.service"]),
    (Always, &["journalctl", "--update-catalog"]),
    // Neither owns a file outside /run.
    (Always, &["userdel", "aictl"]),
    (Always, &["userdel", "aictl-sandbox"]),
];

/// Puts the installed files to use.
///
/// # Errors
/// The first step that fails.
pub fn activate(host: &impl Host) -> Result<(), Failure> {
    commands(host, ACTIVATE).into_iter().try_for_each(|argv| host.run(argv))
}

/// Stops what runs, has `remove` take the files away, and makes the system forget them.
///
/// # Errors
/// The first failure; but every step is tried.
pub fn deactivate(
    host: &impl Host,
    remove: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let stopped = try_all(host, STOP);
    let removed = remove();
    stopped.and(removed).and(try_all(host, FORGET))
}

/// The commands of the steps that are possible on `host`.
fn commands(host: &impl Host, steps: &[Step]) -> Vec<&'static [&'static str]> {
    let possible = steps.iter().filter(|(when, _)| match when {
        Always => true,
        Booted => host.is_booted(),
        AppArmor => host.has_apparmor(),
        Profiled => host.has_profile(),
    });
    possible.map(|(_, argv)| *argv).collect()
}

fn try_all(host: &impl Host, steps: &[Step]) -> Result<(), Failure> {
    let mut result = Ok(());
    for argv in commands(host, steps) {
        result = result.and(host.run(argv));
    }
    result
}
