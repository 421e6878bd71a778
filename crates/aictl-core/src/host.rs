//! The host, as far as running scripts in a sandbox depends on it: what the kernel offers, what
//! the administrator forbids, and what to do about it.

mod findings;
#[cfg(test)]
mod tests;

use std::{fs, io, os::unix::fs::MetadataExt, path::PathBuf};

pub use findings::{Finding, OTHER_USERS, Status, advice, why_none_runs};

/// Where the hierarchy of control groups is mounted on every current system.
const CGROUP_MOUNT: &str = "/sys/fs/cgroup";
/// The controllers that a sandbox needs in its control group.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// The profile that is installed with aictl; see apparmor.d(5).
const APPARMOR_PROFILE: &str = "/etc/apparmor.d/aictl";
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
    /// Whether AppArmor is on.
    pub apparmor: Option<bool>,
    /// The AppArmor profile around this process, without its mode, or the word `unconfined`.
    pub apparmor_label: Option<String>,
    /// Whether what that profile does not grant is refused, by its mode (aa-status(8)).
    pub apparmor_confines: bool,
    /// Whether the profile is there that is installed with aictl.
    pub apparmor_profile: bool,
    /// Whether a system call filter was put around this process (seccomp(2)), as containers do.
    pub filtered: Option<bool>,
    /// Whether this process was put into another root with chroot(2).
    pub chrooted: Option<bool>,
    /// The security modules that are active: /sys/kernel/security/lsm.
    pub lsm: Option<Vec<String>>,
    /// Control groups.
    pub cgroup: Cgroup,
    /// Whether systemd manages this machine (sd_booted(3)).
    pub systemd: bool,
}

impl Facts {
    /// The same of another process without privilege, of which no more is known than what holds for
    /// all.
    #[must_use]
    pub fn of_another(self) -> Self {
        Self {
            admin: false,
            apparmor_restricts: None,
            apparmor_confines: false,
            filtered: None,
            chrooted: None,
            ..self
        }
    }
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
        let (apparmor_label, apparmor_confines) = self.apparmor_label();
        Facts {
            kernel: self.text("/proc/sys/kernel/osrelease"),
            uid: effective_uid(status),
            admin: has_capability(status, CAP_SYS_ADMIN),
            namespaces: Namespace::ALL.into_iter().filter_map(limit).collect(),
            unprivileged_clone: self.switch("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor_restricts: self
                .switch("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            apparmor: self.text("/sys/module/apparmor/parameters/enabled").map(|text| text == "Y"),
            apparmor_label,
            apparmor_confines,
            apparmor_profile: self.path(APPARMOR_PROFILE).is_file(),
            filtered: status_field(status, "Seccomp").map(|mode| mode != "0"),
            chrooted: self.chrooted(),
            lsm: self.text("/sys/kernel/security/lsm").map(|text| {
                text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
            }),
            cgroup: self.cgroup(process_id(status)),
            systemd: self.path("/run/systemd/system").is_dir(),
        }
    }

    /// The name of the profile around this process, and whether its mode refuses anything: those
    /// named here do not.
    fn apparmor_label(&self) -> (Option<String>, bool) {
        let own = self.text("/proc/self/attr/apparmor/current");
        // Where AppArmor is off, another module may answer for it here.
        let text = own.or_else(|| self.text("/proc/self/attr/current")).unwrap_or_default();
        let (label, mode) = match text.split_once(" (") {
            Some((label, mode)) => (label, mode.trim_end_matches(')')),
            // The word `unconfined`, or another module's.
            None => (text.as_str(), "unconfined"),
        };
        let confines = !["unconfined", "complain"].contains(&mode);
        ((!label.is_empty()).then(|| label.to_owned()), confines)
    }

    /// Whether this process's root is another than that of the process which began all others; who
    /// may not see that looks whether anything is mounted on it, which is so for every other root.
    fn chrooted(&self) -> Option<bool> {
        let place = |path: &str| {
            fs::metadata(self.path(path)).ok().map(|metadata| (metadata.dev(), metadata.ino()))
        };
        if let (Some(first), Some(own)) = (place("/proc/1/root"), place("/")) {
            return Some(first != own);
        }
        let mounts = self.text("/proc/self/mountinfo")?;
        (!mounts.lines().any(|line| line.split(' ').nth(4) == Some("/"))).then_some(true)
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
