//! What a unit uses: of its whole control group, all groups and processes below it included
//! (Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ of the kernel).
//!
//! The kernel counts what it has controllers for. Where it has none, what can be summed up over
//! the processes is, and the rest is unknown.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::kernel_file::text;

pub use crate::cgroup_mounts::{Hierarchy, Roots};

/// The most groups of one unit that are looked into.
const MAX_GROUPS: usize = 4096;
/// The most processes of one unit.
const MAX_PIDS: usize = 1 << 16;
/// The most bytes of a file with numbers.
const MAX_NUMBERS: usize = 64 << 10;
/// The most bytes of a file that lists processes.
const MAX_LIST: usize = 1 << 20;

/// What a unit uses now, or has used since it started. `None` is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// How long its processes have been running on a processor, those that have ended included.
    pub cpu: Option<Duration>,
    /// Memory in bytes. Where the kernel counts it, that is systemd's `MemoryCurrent`: with the
    /// files that are cached for the unit. Where it does not, it is what the processes have in
    /// memory, and what two of them share is in it twice.
    pub memory_bytes: Option<u64>,
    /// Processes and their threads.
    pub tasks: Option<u64>,
    /// How often the kernel has killed one of its processes for want of memory.
    pub oom_kills: Option<u64>,
    /// Its processes, the smallest id first.
    pub pids: Vec<u32>,
}

/// What the unit with this control group uses; `None` if there is no such group.
///
/// A group that goes while it is looked at leaves the rest unknown.
#[must_use]
pub fn usage(roots: &Roots, control_group: &str) -> Option<Usage> {
    let directory = |hierarchy: &Option<Hierarchy>| {
        let directory = hierarchy.as_ref()?.directory(control_group)?;
        directory.is_dir().then_some(directory)
    };
    // The root of a hierarchy is no unit's, and counts the whole machine.
    if control_group.trim_matches('/').is_empty() {
        return None;
    }
    let unified = directory(&roots.unified);
    let holder = unified.clone().or_else(|| directory(&roots.named))?;
    let groups = groups(&holder);
    let pids = pids(&groups);
    let (memory, pids_controller) = (directory(&roots.memory), directory(&roots.pids));
    let cpuacct = directory(&roots.cpuacct);
    let number = |directory: &Option<PathBuf>, file: &str| number(&directory.as_ref()?.join(file));
    Some(Usage {
        cpu: unified
            .as_ref()
            .and_then(|unified| keyed(&unified.join("cpu.stat"), "usage_usec"))
            .map(Duration::from_micros)
            .or_else(|| number(&cpuacct, "cpuacct.usage").map(Duration::from_nanos)),
        memory_bytes: number(&unified, "memory.current")
            .or_else(|| number(&memory, "memory.usage_in_bytes"))
            .or_else(|| resident(&roots.proc, &holder, &pids)),
        tasks: number(&unified, "pids.current")
            .or_else(|| number(&pids_controller, "pids.current"))
            .or_else(|| threads(&groups)),
        oom_kills: unified
            .as_ref()
            .and_then(|unified| keyed(&unified.join("memory.events"), "oom_kill"))
            .or_else(|| oom_kills_of_version_1(memory.as_deref()?)),
        pids: pids.into_iter().collect(),
    })
}

/// A group's directory and those of all groups below it.
fn groups(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    let mut next = 0;
    while let Some(group) = found.get(next) {
        next += 1;
        // One that has gone has nothing below it.
        for entry in fs::read_dir(group).into_iter().flatten().flatten() {
            if found.len() >= MAX_GROUPS {
                return found;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.push(entry.path());
            }
        }
    }
    found
}

/// The processes of these groups.
fn pids(groups: &[PathBuf]) -> BTreeSet<u32> {
    let mut pids = BTreeSet::new();
    for group in groups {
        // A threaded group does not say: its processes are listed above it.
        let Some(list) = text(&group.join("cgroup.procs"), MAX_LIST) else { continue };
        // A process of another pid namespace is 0.
        let listed = list.lines().filter_map(|line| line.parse::<u32>().ok());
        let listed = listed.filter(|pid| *pid != 0);
        pids.extend(listed.take(MAX_PIDS.saturating_sub(pids.len())));
    }
    pids
}

/// How many threads there are in these groups.
fn threads(groups: &[PathBuf]) -> Option<u64> {
    let in_group = |group: &PathBuf| {
        let list = text(&group.join("cgroup.threads"), MAX_LIST);
        let list = list.or_else(|| text(&group.join("tasks"), MAX_LIST))?;
        u64::try_from(list.lines().count()).ok()
    };
    groups.iter().filter_map(in_group).reduce(u64::saturating_add)
}

/// The bytes that these processes of a group have in memory; `None` if we may not look at one.
fn resident(proc: &Path, group: &Path, of: &BTreeSet<u32>) -> Option<u64> {
    let mut sum = 0_u64;
    let mut unseen = Vec::new();
    for pid in of {
        match text(&proc.join(pid.to_string()).join("status"), MAX_NUMBERS) {
            // A process that is ending has none left.
            Some(status) => sum = sum.saturating_add(resident_in(&status).unwrap_or(0)),
            None => unseen.push(*pid),
        }
    }
    if !unseen.is_empty() {
        // It has ended, or is hidden from us.
        let now = pids(&groups(group));
        if unseen.iter().any(|pid| now.contains(pid)) {
            return None;
        }
    }
    Some(sum)
}

/// The bytes in memory by the text of /proc/PID/status (proc_pid_status(5)).
fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

/// How often the kernel has killed for want of memory, in the groups of version 1 from here on.
fn oom_kills_of_version_1(memory: &Path) -> Option<u64> {
    let counts = groups(memory).into_iter();
    let counts = counts.filter_map(|group| keyed(&group.join("memory.oom_control"), "oom_kill"));
    counts.reduce(u64::saturating_add)
}

/// The number that is all of a file.
fn number(file: &Path) -> Option<u64> {
    text(file, MAX_NUMBERS)?.parse().ok()
}

/// The number behind a key, in a file with one key on each line.
fn keyed(file: &Path, key: &str) -> Option<u64> {
    let text = text(file, MAX_NUMBERS)?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests;
