//! Whose a process is, by the control group that it runs in.
//!
//! systemd gives each unit one control group, in the slice that the unit is in. Below it a unit
//! does as it likes: a container has its own `ollama.service` there, and so may anyone make one in
//! what his own manager has delegated to him. So the first unit on the way counts, and below it
//! none; but for the manager of a user, whose units are below its own.

use std::path::Path;

use aictl_api::service::Scope;

use crate::{kernel_file, plain_text::plain_text};

/// The longest name of a unit (systemd's `UNIT_NAME_MAX`, less the terminating zero).
const MAX_UNIT: usize = 255;
/// The most of /proc/PID/cgroup: a line for each hierarchy, each with a path.
const MAX_CGROUP_FILE: usize = 64 * 1024;
/// More than the 15 bytes of a name that a process can give itself (proc_pid_comm(5)): the kernel's
/// own threads have longer ones.
const MAX_NAME: usize = 64;

/// The unit that a process belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The unit's name: a service or a scope.
    pub unit: String,
    /// Whether it is a unit of the machine or one of a user.
    pub scope: Scope,
    /// The uid of that user, for a unit of a user.
    pub uid: Option<u32>,
}

/// The unit of a control group, which is given by its path in the hierarchy.
#[must_use]
pub fn unit_of(control_group: &str) -> Option<String> {
    Some(owner_of(control_group)?.unit)
}

/// As [`unit_of`], and whose unit that is. `None` if the group is no unit's.
#[must_use]
pub fn owner_of(control_group: &str) -> Option<Owner> {
    // Outside of our own namespace, the way there leads up first (cgroup_namespaces(7)).
    let mut parts =
        control_group.split('/').skip_while(|part| part.is_empty() || *part == "..").map(unescaped);
    let unit = first_unit(&mut parts)?;
    if let Some(uid) = user_of_manager(unit) {
        // The manager itself is in a scope of its own.
        if let Some(inner) = first_unit(&mut parts).filter(|inner| *inner != "init.scope") {
            return Some(Owner { unit: inner.to_owned(), scope: Scope::User, uid: Some(uid) });
        }
    }
    Some(Owner { unit: unit.to_owned(), scope: Scope::System, uid: None })
}

/// The unit of a process. `None` if it is in none, is gone, or may not be looked at.
#[must_use]
pub fn of_process(proc: &Path, pid: u32) -> Option<Owner> {
    let text = kernel_file::text(&proc.join(format!("{pid}/cgroup")), MAX_CGROUP_FILE)?;
    of_memberships(&text)
}

/// The name of a process, as it may stand on a terminal. `None` if there is no such process.
#[must_use]
pub fn process_name(proc: &Path, pid: u32) -> Option<String> {
    let name = kernel_file::text(&proc.join(format!("{pid}/comm")), 4 * MAX_NAME)?;
    let name: String = plain_text(&name).chars().take(MAX_NAME).collect();
    (!name.is_empty()).then_some(name)
}

/// The unit in the text of /proc/PID/cgroup (cgroups(7)).
fn of_memberships(text: &str) -> Option<Owner> {
    let of_line = |is_it: fn(&str, &str) -> bool| {
        text.lines().find_map(|line| {
            let (number, rest) = line.split_once(':')?;
            let (controllers, group) = rest.split_once(':')?;
            is_it(number, controllers).then(|| owner_of(group)).flatten()
        })
    };
    // With version 1 alone, the group of version 2 is the root, which is no unit's.
    of_line(|number, controllers| number == "0" && controllers.is_empty())
        .or_else(|| of_line(|_, controllers| controllers == "name=systemd"))
}

/// What is on the way after the slices, if that is a unit.
fn first_unit<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Option<&'a str> {
    parts.find(|part| !part.ends_with(".slice")).filter(|part| is_unit(part))
}

/// The name that systemd has escaped where the kernel keeps such names for itself.
fn unescaped(part: &str) -> &str {
    part.strip_prefix('_').unwrap_or(part)
}

fn is_unit(part: &str) -> bool {
    let stem = part.strip_suffix(".service").or_else(|| part.strip_suffix(".scope"));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    part.len() <= MAX_UNIT
        && stem.is_some_and(|stem| !stem.is_empty() && stem.chars().all(is_plain))
}

/// The uid in the name of a user's manager, `user@1000.service`.
fn user_of_manager(unit: &str) -> Option<u32> {
    unit.strip_prefix("user@")?.strip_suffix(".service")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "/user.slice/user-1000.slice/user@1000.service";

    #[test]
    fn the_first_unit_on_the_way_owns_a_group() {
        let long = format!("/{}.service", "a".repeat(MAX_UNIT));
        let table = [
            ("/system.slice/ollama.service", Some("ollama.service")),
            ("/ollama.service", Some("ollama.service")),
            ("/ai.slice/ai-big.slice/vllm@70b.service", Some("vllm@70b.service")),
            ("/system.slice/a\\x2db.service", Some("a\\x2db.service")),
            // What a unit has below itself is its own.
            ("/system.slice/ollama.service/runner", Some("ollama.service")),
            ("/system.slice/ollama.service/a/b.service/c.scope", Some("ollama.service")),
            ("/system.slice/ollama.service/libpod-payload-4f", Some("ollama.service")),
            // A container has units of its own, which are not this machine's.
            ("/system.slice/docker-4f.scope", Some("docker-4f.scope")),
            ("/system.slice/docker-4f.scope/system.slice/ollama.service", Some("docker-4f.scope")),
            ("/machine.slice/machine-deb.scope/payload/ollama.service", Some("machine-deb.scope")),
            (
                "/machine.slice/systemd-nspawn@deb.service/payload/system.slice/ollama.service",
                Some("systemd-nspawn@deb.service"),
            ),
            (
                "/kubepods.slice/kubepods-besteffort.slice/cri-containerd-4f.scope",
                Some("cri-containerd-4f.scope"),
            ),
            ("/docker/4f", None),
            ("/docker/4f/ollama.service", None),
            ("/lxc.payload.deb/system.slice/ollama.service", None),
            // Names that the kernel has a use for are escaped.
            ("/system.slice/_cpu.service", Some("cpu.service")),
            ("/_odd.slice/__a.service", Some("_a.service")),
            // Sessions and the first process.
            ("/user.slice/user-1000.slice/session-3.scope", Some("session-3.scope")),
            ("/init.scope", Some("init.scope")),
            // From within a namespace.
            ("/../../system.slice/ollama.service", Some("ollama.service")),
            ("/../ollama.service/x", Some("ollama.service")),
            // No unit.
            ("", None),
            ("/", None),
            ("/..", None),
            ("/system.slice", None),
            ("/system.slice/a.slice", None),
            ("/system.slice/.service", None),
            ("/system.slice/a b.service", None),
            ("/system.slice/a\u{1b}[2J.service", None),
            ("/system.slice/ä.service", None),
            ("/system.slice/a.service\n", None),
            ("/system.slice/a.socket/b.service", None),
            (&long, None),
        ];
        for (group, unit) in table {
            assert_eq!(unit_of(group).as_deref(), unit, "{group}");
        }
    }

    #[test]
    fn units_of_a_user_are_told_from_those_of_the_machine() {
        let owner = |unit: &str, scope, uid| Some(Owner { unit: unit.to_owned(), scope, uid });
        let of_user = |unit| owner(unit, Scope::User, Some(1000));
        let table = [
            ("/app.slice/ollama.service", of_user("ollama.service")),
            ("/app.slice/ollama.service/ai.service", of_user("ollama.service")),
            ("/ollama.service", of_user("ollama.service")),
            ("/user.slice/libpod-4f.scope/container", of_user("libpod-4f.scope")),
            ("/app.slice/app-org.gnome.Terminal.slice/vte-1.scope", of_user("vte-1.scope")),
            // A second manager below is one of the user's units, like any other.
            ("/app.slice/user@0.service/ollama.service", of_user("user@0.service")),
            // The manager itself.
            ("/init.scope", owner("user@1000.service", Scope::System, None)),
            ("", owner("user@1000.service", Scope::System, None)),
            ("/app.slice", owner("user@1000.service", Scope::System, None)),
        ];
        for (group, expected) in table {
            assert_eq!(owner_of(&format!("{USER}{group}")), expected, "{group}");
        }
        assert_eq!(
            owner_of("/user.slice/user@x.service/a.service"),
            owner("user@x.service", Scope::System, None)
        );
    }

    #[test]
    fn the_group_that_systemd_keeps_is_the_one_that_counts() {
        let table = [
            ("0::/system.slice/a.service\n", Some("a.service")),
            // Version 1 alone, and both.
            (
                "12:memory:/system.slice\n1:name=systemd:/system.slice/a.service\n0::/\n",
                Some("a.service"),
            ),
            ("1:name=systemd:/system.slice/a.service\n", Some("a.service")),
            ("1:name=systemd:/b.service\n0::/a.service\n", Some("a.service")),
            ("0::/system.slice/a.service/x:y\n", Some("a.service")),
            // Groups that others keep.
            ("5:devices:/system.slice/a.service\n0::/\n", None),
            ("3:name=elogind:/a.service\n", None),
            ("0:cpu:/a.service\n", None),
            ("0::", None),
            ("0:", None),
            ("::::", None),
            ("\0\0", None),
            ("", None),
        ];
        for (text, unit) in table {
            assert_eq!(of_memberships(text).map(|owner| owner.unit).as_deref(), unit, "{text:?}");
        }
    }

    #[test]
    fn a_process_that_is_not_there_has_no_unit_and_no_name() {
        assert_eq!(of_process(Path::new("/proc"), u32::MAX), None);
        assert_eq!(process_name(Path::new("/proc"), u32::MAX), None);
    }

    #[test]
    fn a_process_of_this_machine_has_a_name() {
        let name = process_name(Path::new("/proc"), std::process::id());
        assert!(name.is_some_and(|name| !name.is_empty() && name.len() <= 15));
    }
}
