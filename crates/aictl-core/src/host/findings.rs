//! What is concluded from what a host says: what stands in the way, and what to do about it.

use std::{fmt, path::Path};

use super::{APPARMOR_PROFILE, CGROUP_MOUNT, CONTROLLERS, Cgroup, Facts, Namespace};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Something is missing that aictl can do without.
    Missing,
    /// Something is missing without which no script can run.
    Failed,
}

/// Something about the host that keeps aictl from what it could do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about: an isolation layer by its name, or [`OTHER_USERS`].
    pub name: &'static str,
    /// How much it matters.
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub advice: String,
}

/// The name of findings that concern users without privilege, not this process.
pub const OTHER_USERS: &str = "other users";

/// What stands in the way on a host, and what to do about it; nothing where all is well.
///
/// The findings come from what the host says, not from a trial: a trial that succeeds is right
/// against them.
#[must_use]
pub fn advice(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(namespace_limits(facts));
    findings.extend(unprivileged_clone(facts));
    findings.extend(apparmor(facts));
    findings.extend(chrooted(facts));
    if !findings.iter().any(|finding| finding.name == Namespace::User.name()) {
        findings.extend(confined(facts));
        findings.extend(filtered(facts));
    }
    findings.extend(landlock(facts));
    findings.extend(cgroup(facts));
    findings
}

/// Why no script can run on a host, in a sentence with what to do, if the host tells.
#[must_use]
pub fn why_none_runs(facts: &Facts) -> Option<String> {
    let failed = advice(facts).into_iter().find(|finding| finding.status == Status::Failed)?;
    Some(format!("{}; {}", failed.detail, failed.advice))
}

/// How a sysctl is set, now and for good (sysctl(8), sysctl.d(5)).
struct SetKnob<'a>(&'a str, u64);

impl fmt::Display for SetKnob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(knob, value) = self;
        write!(
            f,
            "`sudo sysctl -w {knob}={value}`, and for good a line {knob}={value} in a file in /etc/sysctl.d"
        )
    }
}

fn namespace_limits(facts: &Facts) -> impl Iterator<Item = Finding> {
    facts.namespaces.iter().filter(|(_, limit)| *limit == 0).map(|(kind, _)| {
        let knob = format!("user.{}", kind.limit_file());
        Finding {
            name: kind.name(),
            status: Status::Failed,
            detail: format!("{knob} is 0: nobody may make such a namespace"),
            advice: SetKnob(&knob, 10_000).to_string(),
        }
    })
}

fn unprivileged_clone(facts: &Facts) -> Option<Finding> {
    let knob = "kernel.unprivileged_userns_clone";
    (facts.unprivileged_clone == Some(false)).then(|| {
        let (name, status) = for_unprivileged(facts);
        Finding {
            name,
            status,
            detail: format!("{knob} is 0: only root may make user namespaces"),
            advice: SetKnob(knob, 1).to_string(),
        }
    })
}

fn apparmor(facts: &Facts) -> Option<Finding> {
    let knob = "kernel.apparmor_restrict_unprivileged_userns";
    // Another profile may grant it or not.
    let is_restricted = facts.apparmor_label.as_deref().is_none_or(|label| label == UNCONFINED);
    (facts.apparmor_restricts == Some(true) && is_restricted).then(|| {
        let (name, status) = for_unprivileged(facts);
        let profile = match facts.apparmor_profile {
            true => format!(
                "load aictl's profile, which is for /usr/bin/aictl and for the helper: \
                 `sudo apparmor_parser --replace {APPARMOR_PROFILE}`"
            ),
            false => format!(
                "give aictl such a profile as {APPARMOR_PROFILE} (its packages bring one), and \
                 load it: `sudo apparmor_parser --replace {APPARMOR_PROFILE}`"
            ),
        };
        Finding {
            name,
            status,
            detail: format!(
                "{knob} is 1: only programs with an AppArmor profile that says `userns` may use \
                 user namespaces"
            ),
            advice: format!("{profile}; or for all programs: {}", SetKnob(knob, 0)),
        }
    })
}

/// What AppArmor calls a process without a profile.
const UNCONFINED: &str = "unconfined";

/// chroot(2): the kernel makes no user namespace then (user_namespaces(7)), not even for root.
fn chrooted(facts: &Facts) -> Option<Finding> {
    (facts.chrooted == Some(true)).then(|| Finding {
        name: Namespace::User.name(),
        status: Status::Failed,
        detail: "this is a chroot, and the kernel makes no user namespaces in one".to_owned(),
        advice: "run aictl outside of it, or enter that root with `systemd-nspawn` or `bwrap` \
                 instead of chroot"
            .to_owned(),
    })
}

/// Where no knob says it, a profile may, whose rules cannot be read.
fn confined(facts: &Facts) -> Option<Finding> {
    let label = facts.apparmor_label.as_deref().filter(|_| facts.apparmor_confines)?;
    Some(Finding {
        name: Namespace::User.name(),
        status: Status::Missing,
        detail: format!(
            "AppArmor's profile {label} is around this process: it may forbid user namespaces and \
             mounts"
        ),
        advice: "give that profile the rule `userns,` (and those for mounts), and load it with \
                 `sudo apparmor_parser --replace FILE`, or run aictl where it does not hold"
            .to_owned(),
    })
}

/// Where no knob says it, a container's own filter may; what it forbids cannot be read.
fn filtered(facts: &Facts) -> Option<Finding> {
    (facts.filtered == Some(true)).then(|| Finding {
        name: Namespace::User.name(),
        status: Status::Missing,
        detail: "a system call filter is around this process, as in containers: it may forbid \
                 user namespaces and mounts"
            .to_owned(),
        advice: "run aictl outside of the container, or let its filter pass clone, unshare and \
                 mount, such as with `docker run --security-opt seccomp=FILE`"
            .to_owned(),
    })
}

/// About whom, and how bad it is, where something is forbidden to those without privilege.
fn for_unprivileged(facts: &Facts) -> (&'static str, Status) {
    match facts.admin {
        true => (OTHER_USERS, Status::Missing),
        false => (Namespace::User.name(), Status::Failed),
    }
}

fn landlock(facts: &Facts) -> Option<Finding> {
    let lsm = facts.lsm.as_ref()?;
    let finding = |detail: String, advice: String| {
        Some(Finding { name: "landlock", status: Status::Missing, detail, advice })
    };
    if !lsm.iter().any(|module| module == "landlock") {
        let modules = lsm.iter().map(String::as_str);
        let wanted: Vec<&str> = std::iter::once("landlock").chain(modules).collect();
        return finding(
            format!("it is not among the kernel's security modules ({})", lsm.join(",")),
            format!(
                "with Linux 5.13 or newer, boot with lsm={} on the kernel's command line",
                wanted.join(",")
            ),
        );
    }
    (facts.filtered == Some(true)).then_some(())?;
    finding(
        "the kernel has it, but a system call filter is around this process, as in containers, \
         which may forbid it"
            .to_owned(),
        "let the filter pass landlock_create_ruleset, landlock_add_rule and \
         landlock_restrict_self, such as with `systemd-nspawn --system-call-filter=`"
            .to_owned(),
    )
}

/// Why the kernel cannot hold a sandbox by a control group, if the host tells.
fn cgroup(facts: &Facts) -> Option<Finding> {
    const IN_A_UNIT: &str = "run aictl in a unit of its own: `systemd-run --user --scope -p \
                             Delegate=yes aictl run …`";
    const UNIFIED: &str = "boot with cgroup_no_v1=all on the kernel's command line, and with \
                           cgroup2 mounted on /sys/fs/cgroup";
    let Cgroup { unified, legacy, group, controllers, owner, others } = &facts.cgroup;
    let held: Vec<&str> =
        CONTROLLERS.into_iter().filter(|needed| legacy.iter().any(|held| held == needed)).collect();
    let finding = |detail: String, advice: &str| {
        let advice = match advice {
            IN_A_UNIT if !facts.systemd => "the machine's service manager must delegate a group",
            UNIFIED if facts.systemd => {
                "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line"
            }
            advice => advice,
        };
        Some(Finding {
            name: "cgroup",
            status: Status::Missing,
            detail,
            advice: format!("limits still hold, by watching; for the kernel's own, {advice}"),
        })
    };
    if !held.is_empty() {
        let held = held.join(", ");
        return finding(
            format!("cgroup v1 holds the controllers on this machine ({held})"),
            UNIFIED,
        );
    }
    match unified.as_deref() {
        None => return finding(format!("cgroup v2 is not mounted on {CGROUP_MOUNT}"), UNIFIED),
        Some(mount) if mount != Path::new(CGROUP_MOUNT) => {
            let mount = mount.display();
            return finding(
                format!("cgroup v2 is mounted on {mount}, not on {CGROUP_MOUNT}"),
                UNIFIED,
            );
        }
        Some(_) => {}
    }
    let Some(group) = group else {
        return finding("this process is in no group of cgroup v2".to_owned(), IN_A_UNIT);
    };
    if group == "/" {
        return finding(
            "this process is in the root group, which nobody can own".to_owned(),
            IN_A_UNIT,
        );
    }
    let Some(controllers) = controllers else {
        return finding(format!("this process's group, {group}, cannot be seen"), IN_A_UNIT);
    };
    // Root owns every group; whether one was given to it, the host does not say here.
    if facts.uid != Some(0) && owner.is_some() && *owner != facts.uid {
        return finding("this group is not delegated".to_owned(), IN_A_UNIT);
    }
    let lacking: Vec<&str> = CONTROLLERS
        .into_iter()
        .filter(|needed| !controllers.iter().any(|there| there == needed))
        .collect();
    if !lacking.is_empty() {
        let lacking = lacking.join(", ");
        return finding(format!("this group has no controller {lacking}"), IN_A_UNIT);
    }
    match others {
        Some(count) if *count > 0 => {
            finding(format!("this group is shared with {count} other processes"), IN_A_UNIT)
        }
        _ => None,
    }
}
