//! The host, as far as running scripts in a sandbox depends on it: what the kernel offers, what
//! the administrator forbids, and what to do about it.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Where the hierarchy of control groups is mounted on every current system.
const CGROUP_MOUNT: &str = "/sys/fs/cgroup";
/// The controllers that a sandbox needs in its control group.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// The bit of CAP_SYS_ADMIN in a set of capabilities (capability.h).
const CAP_SYS_ADMIN: u32 = 21;

/// A kind of namespace whose number the kernel limits (namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespace {
    /// Users and groups.
    User,
    /// Process ids.
    Pid,
    /// Mounts.
    Mount,
    /// Networks.
    Net,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Host and domain name.
    Uts,
    /// Roots of control groups.
    Cgroup,
}

impl Namespace {
    /// Every kind that a sandbox makes; user first, without which none of the others is possible.
    pub const ALL: [Self; 7] =
        [Self::User, Self::Pid, Self::Mount, Self::Net, Self::Ipc, Self::Uts, Self::Cgroup];

    /// The kind's name, as aictl's isolation layers have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user-ns",
            Self::Pid => "pid-ns",
            Self::Mount => "mount-ns",
            Self::Net => "net-ns",
            Self::Ipc => "ipc-ns",
            Self::Uts => "uts-ns",
            Self::Cgroup => "cgroup-ns",
        }
    }

    /// The file in /proc/sys/user with the limit.
    const fn limit_file(self) -> &'static str {
        match self {
            Self::User => "max_user_namespaces",
            Self::Pid => "max_pid_namespaces",
            Self::Mount => "max_mnt_namespaces",
            Self::Net => "max_net_namespaces",
            Self::Ipc => "max_ipc_namespaces",
            Self::Uts => "max_uts_namespaces",
            Self::Cgroup => "max_cgroup_namespaces",
        }
    }
}

/// What concerns this process's control group (cgroups(7)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// Where version 2 is mounted; `None` if it is not.
    pub unified: Option<PathBuf>,
    /// The controllers that a hierarchy of version 1 holds.
    pub legacy: Vec<String>,
    /// This process's own group of version 2, from the root of the hierarchy.
    pub group: Option<String>,
    /// The controllers in that group; `None` if the group cannot be seen.
    pub controllers: Option<Vec<String>>,
    /// The uid that the group belongs to.
    pub owner: Option<u32>,
    /// How many other processes are in the group.
    pub others: Option<usize>,
}

/// What the host says about itself. `None` is unknown, or a knob that this kernel does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The kernel's release, as of uname(2).
    pub kernel: Option<String>,
    /// The effective uid of this process.
    pub uid: Option<u32>,
    /// Whether this process has CAP_SYS_ADMIN, to which not all knobs apply.
    pub admin: bool,
    /// How many namespaces of each kind one user may have: /proc/sys/user/max_*_namespaces.
    pub namespaces: Vec<(Namespace, u64)>,
    /// Whether users without privilege may make user namespaces, by Debian's knob
    /// kernel.unprivileged_userns_clone.
    pub unprivileged_clone: Option<bool>,
    /// Whether AppArmor keeps programs without a profile from user namespaces, by
    /// kernel.apparmor_restrict_unprivileged_userns.
    pub apparmor_restricts: Option<bool>,
    /// The security modules that are active: /sys/kernel/security/lsm.
    pub lsm: Option<Vec<String>>,
    /// Control groups.
    pub cgroup: Cgroup,
    /// Whether systemd manages this machine (sd_booted(3)).
    pub systemd: bool,
}

/// A host, read from its file system.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
}

impl Default for Host {
    fn default() -> Self {
        Self::at("/")
    }
}

impl Host {
    /// The host whose /proc, /sys and /run lie below `root`: "/" for this machine.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Asks the host. What it does not tell is unknown in the answer.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let status = self.text("/proc/self/status");
        let status = status.as_deref().unwrap_or_default();
        let limit = |kind: Namespace| {
            let path = format!("/proc/sys/user/{}", kind.limit_file());
            Some((kind, self.text(&path)?.parse().ok()?))
        };
        Facts {
            kernel: self.text("/proc/sys/kernel/osrelease"),
            uid: effective_uid(status),
            admin: has_capability(status, CAP_SYS_ADMIN),
            namespaces: Namespace::ALL.into_iter().filter_map(limit).collect(),
            unprivileged_clone: self.switch("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor_restricts: self
                .switch("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            lsm: self.text("/sys/kernel/security/lsm").map(|text| {
                text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
            }),
            cgroup: self.cgroup(process_id(status)),
            systemd: self.path("/run/systemd/system").is_dir(),
        }
    }

    fn cgroup(&self, own: Option<&str>) -> Cgroup {
        let mounts = self.text("/proc/self/mountinfo").unwrap_or_default();
        let mut cgroup = Cgroup {
            unified: unified_mount(&mounts).map(PathBuf::from),
            legacy: self
                .text("/proc/self/cgroup")
                .as_deref()
                .map(legacy_controllers)
                .unwrap_or_default(),
            group: self.text("/proc/self/cgroup").as_deref().and_then(own_group).map(str::to_owned),
            ..Cgroup::default()
        };
        if let (Some(mount), Some(group)) = (&cgroup.unified, &cgroup.group) {
            let directory = format!("{}{}", mount.display(), group.trim_end_matches('/'));
            cgroup.controllers = self
                .text(&format!("{directory}/cgroup.controllers"))
                .map(|text| text.split_ascii_whitespace().map(str::to_owned).collect());
            cgroup.owner = fs::metadata(self.path(&directory)).ok().map(|meta| meta.uid());
            cgroup.others = self
                .text(&format!("{directory}/cgroup.procs"))
                .map(|text| text.lines().filter(|pid| Some(*pid) != own).count());
        }
        cgroup
    }

    /// Where `path`, which is absolute, lies below the root.
    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file's text without blanks around it; `None` if it cannot be read.
    fn text(&self, path: &str) -> Option<String> {
        let read: io::Result<String> = fs::read_to_string(self.path(path));
        read.ok().map(|text| text.trim().to_owned())
    }

    /// A knob that is 0 or not.
    fn switch(&self, path: &str) -> Option<bool> {
        self.text(path)?.parse::<u64>().ok().map(|value| value != 0)
    }
}

/// The value of `key` in the text of /proc/PID/status (proc_pid_status(5)).
fn status_field<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    let of_key = |line: &'a str| line.strip_prefix(key)?.strip_prefix(':').map(str::trim);
    status.lines().find_map(of_key)
}

fn effective_uid(status: &str) -> Option<u32> {
    status_field(status, "Uid")?.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn process_id(status: &str) -> Option<&str> {
    status_field(status, "Pid")
}

fn has_capability(status: &str, capability: u32) -> bool {
    let set = status_field(status, "CapEff").and_then(|set| u64::from_str_radix(set, 16).ok());
    set.is_some_and(|set| set >> capability & 1 == 1)
}

/// The mount point of version 2 in the text of /proc/PID/mountinfo; the usual one if there are
/// several.
fn unified_mount(mountinfo: &str) -> Option<&str> {
    let points = || {
        mountinfo.lines().filter_map(|line| {
            let (mount, filesystem) = line.split_once(" - ")?;
            let is_unified = filesystem.split(' ').next() == Some("cgroup2");
            mount.split(' ').nth(4).filter(|_| is_unified)
        })
    };
    points().find(|point| *point == CGROUP_MOUNT).or_else(|| points().next())
}

/// The controllers of version 1 in the text of /proc/PID/cgroup.
fn legacy_controllers(cgroup: &str) -> Vec<String> {
    let fields = cgroup.lines().filter_map(|line| line.split(':').nth(1));
    let names = fields.flat_map(|field| field.split(','));
    names.filter(|name| !name.is_empty() && !name.contains('=')).map(str::to_owned).collect()
}

/// The group of version 2 in the text of /proc/PID/cgroup.
fn own_group(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::"))
}

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
    findings.extend(landlock(facts));
    findings.extend(cgroup(facts));
    findings
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
    (facts.apparmor_restricts == Some(true)).then(|| {
        let (name, status) = for_unprivileged(facts);
        Finding {
            name,
            status,
            detail: format!(
                "{knob} is 1: only programs with an AppArmor profile that says `userns` may use \
                 user namespaces"
            ),
            advice: format!(
                "give aictl-sandboxd such a profile in /etc/apparmor.d, or for all programs: {}",
                SetKnob(knob, 0)
            ),
        }
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
    (!lsm.iter().any(|module| module == "landlock")).then(|| {
        let modules = lsm.iter().map(String::as_str);
        let wanted: Vec<&str> = std::iter::once("landlock").chain(modules).collect();
        Finding {
            name: "landlock",
            status: Status::Missing,
            detail: format!("it is not among the kernel's security modules ({})", lsm.join(",")),
            advice: format!(
                "with Linux 5.13 or newer, boot with lsm={} on the kernel's command line",
                wanted.join(",")
            ),
        }
    })
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

#[cfg(test)]
mod tests;
