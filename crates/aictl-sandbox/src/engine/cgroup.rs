//! Control groups, version 2 (Documentation/admin-guide/cgroup-v2.rst): limits and accounting for
//! a whole sandbox, where a tree has been delegated to us.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aictl_api::limits::Limits;
use nix::{libc, unistd};

use super::usage::Usage;

/// Where the hierarchy is mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// The controllers without which a group would hold nothing.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// The group that sandboxd itself moves to: one with limits for its children holds no process.
const SUPERVISOR: &str = "supervisor";
/// Its `cpu.weight`: the most there is, so that no number of spinning runs makes it late.
const SUPERVISOR_WEIGHT: u64 = 10_000;
/// Period of `cpu.max` in microseconds.
const CPU_PERIOD_US: u64 = 100_000;
/// How often the removal of a group that has just been emptied is tried.
const REMOVE_TRIES: u32 = 50;
/// With so many groups that cannot be removed, something is wrong that more runs would make worse.
const MAX_LEFT: usize = 8;

/// A tree of control groups that belongs to us.
#[derive(Debug)]
pub struct Delegated {
    root: PathBuf,
    next: AtomicU64,
    left: Left,
}

/// The groups of runs that are over which could not be removed. It is tried again before each run.
#[derive(Debug, Clone, Default)]
struct Left(Arc<Mutex<Vec<PathBuf>>>);

impl Left {
    fn add(&self, group: PathBuf) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(group);
    }

    /// Removes what can be removed by now.
    ///
    /// # Errors
    /// If there is still too much.
    fn clear_up(&self) -> io::Result<()> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = None;
        groups.retain(|group| match fs::remove_dir(group) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                last = Some(error);
                true
            }
            _ => false,
        });
        match last {
            Some(error) if groups.len() >= MAX_LEFT => Err(io::Error::new(
                error.kind(),
                format!("those of {} earlier runs cannot be removed: {error}", groups.len()),
            )),
            _ => Ok(()),
        }
    }
}

/// Finds this process's own group in the text of /proc/self/cgroup (cgroups(7)).
fn own_group(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// The processes in the text of cgroup.procs; `None` if one lies outside our own namespace.
fn members(text: &str) -> Option<Vec<i32>> {
    text.lines().map(|line| line.parse().ok().filter(|pid| *pid > 0)).collect()
}

/// Whether a group was given to us to manage: its attribute says so, or it belongs to our user,
/// who is not root. The root of the hierarchy never is.
fn is_delegated(group: &str, attribute: bool, owner: u32, uid: u32) -> bool {
    group != "/" && group.starts_with('/') && (attribute || (uid != 0 && owner == uid))
}

impl Delegated {
    /// Takes over the tree that this process runs in, if it was delegated, and moves this process
    /// into a group of its own there. `None` where there is no such tree, or one without the
    /// controllers.
    #[must_use]
    pub fn take_over() -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let text = fs::read_to_string("/proc/self/cgroup").ok()?;
        let group = own_group(&text)?;
        let root = Path::new(MOUNT).join(group.strip_prefix('/')?);
        let meta = fs::metadata(&root).ok()?;
        let attribute = crate::sys::has_attribute(&root, c"user.delegate")
            || crate::sys::has_attribute(&root, c"trusted.delegate");
        if !is_delegated(group, attribute, meta.uid(), unistd::geteuid().as_raw()) {
            return None;
        }
        let offered = fs::read_to_string(root.join("cgroup.controllers")).ok()?;
        if !CONTROLLERS.iter().all(|c| offered.split_ascii_whitespace().any(|o| o == *c)) {
            return None;
        }
        // Others who live in the group would be in the way: a group with limits for its children
        // holds no process.
        let members = members(&fs::read_to_string(root.join("cgroup.procs")).ok()?)?;
        if members != [unistd::getpid().as_raw()] {
            return None;
        }
        if Self::prepare(&root, &members).is_err() {
            for pid in &members {
                let _back = write_existing(&root.join("cgroup.procs"), &pid.to_string());
            }
            let _unused = fs::remove_dir(root.join(SUPERVISOR));
            return None;
        }
        Some(Self::at(root))
    }

    fn at(root: PathBuf) -> Self {
        Self { root, next: AtomicU64::new(0), left: Left::default() }
    }

    fn prepare(root: &Path, members: &[i32]) -> io::Result<()> {
        let supervisor = root.join(SUPERVISOR);
        match fs::create_dir(&supervisor) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        for pid in members {
            write_existing(&supervisor.join("cgroup.procs"), &pid.to_string())?;
        }
        let enable: Vec<String> = CONTROLLERS.iter().map(|c| format!("+{c}")).collect();
        write_existing(&root.join("cgroup.subtree_control"), &enable.join(" "))?;
        weigh(&supervisor, SUPERVISOR_WEIGHT)
    }

    /// Makes a group for one run, whose limits are still to be set.
    ///
    /// # Errors
    /// If the kernel refuses it, or if too many of earlier runs cannot be removed; then no group is
    /// left of this one.
    pub fn group(&self) -> io::Result<Group> {
        self.left.clear_up()?;
        let name =
            format!("run-{}-{}", std::process::id(), self.next.fetch_add(1, Ordering::Relaxed));
        let path = self.root.join(name);
        fs::create_dir(&path)?;
        // From here on the group removes itself.
        let mut group = Group { dir: None, path, left: self.left.clone() };
        group.dir = Some(File::open(&group.path)?.into());
        Ok(group)
    }
}

/// The files of a run's group with what is written to them, and whether they must be there.
fn settings(limits: &Limits, cpus: usize) -> [(&'static str, String, bool); 5] {
    let quota = CPU_PERIOD_US.saturating_mul(cpus as u64);
    [
        ("memory.max", limits.memory().to_string(), true),
        ("memory.oom.group", "1".to_owned(), true),
        // The sandbox's first process is not the program's.
        ("pids.max", (limits.processes() + 1).to_string(), true),
        // Kernels without CFS_BANDWIDTH have no such file; CPU time is counted all the same.
        ("cpu.max", format!("{quota} {CPU_PERIOD_US}"), false),
        // Kernels without swap accounting have no such file, and no swap for the group.
        ("memory.swap.max", "0".to_owned(), false),
    ]
}

/// The control group of one run; removed when dropped.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
    dir: Option<OwnedFd>,
    left: Left,
}

/// Writes to a file that the kernel has made. Making one is forbidden in this file system, which
/// would hide that it is absent.
fn write_existing(path: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

/// Sets how much CPU time a group gets beside the others next to it, where not all get what they
/// want (`cpu.weight`: 1 to 10000, by default 100). Kernels without FAIR_GROUP_SCHED have no such
/// file.
///
/// # Errors
/// If the kernel refuses it.
pub fn weigh(group: &Path, weight: u64) -> io::Result<()> {
    match write_existing(&group.join("cpu.weight"), &format!("{weight}\n")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A number behind a key in one of the group's files.
fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

impl Group {
    /// Sets the limits of a run.
    ///
    /// # Errors
    /// If the kernel refuses one; then the run must not start.
    pub fn limit(&self, limits: &Limits) -> io::Result<()> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        for (file, value, required) in settings(limits, cpus) {
            match self.set(file, &value) {
                Err(error) if required || error.kind() != io::ErrorKind::NotFound => {
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn set(&self, file: &str, value: &str) -> io::Result<()> {
        write_existing(&self.path.join(file), value)
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path.join(file)).unwrap_or_default()
    }

    fn number(&self, file: &str) -> Option<u64> {
        self.read(file).trim().parse().ok()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A group that is none.
    #[cfg(test)]
    pub fn of_test(path: PathBuf) -> Self {
        Self { path, dir: None, left: Left::default() }
    }

    /// The group's directory, to start a process in.
    #[must_use]
    pub fn dir(&self) -> Option<BorrowedFd<'_>> {
        self.dir.as_ref().map(AsFd::as_fd)
    }

    /// What the group uses now; `None` if it has lost a controller, and a limit with it: a service
    /// manager takes those of a unit back that was not delegated.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        Some(Usage {
            memory: self.number("memory.current")?,
            cpu: Duration::from_micros(keyed(&self.read("cpu.stat"), "usage_usec")?),
            // The sandbox's first process is not the program's.
            tasks: self.number("pids.current")?.saturating_sub(1),
        })
    }

    /// The most memory it ever used, where the kernel (5.19 or newer) remembers.
    #[must_use]
    pub fn peak_memory(&self) -> Option<u64> {
        self.number("memory.peak")
    }

    /// Whether the kernel killed a process of it for want of memory.
    #[must_use]
    pub fn oom_killed(&self) -> bool {
        keyed(&self.read("memory.events"), "oom_kill").unwrap_or(0) > 0
    }

    /// Whether it was refused a process.
    #[must_use]
    pub fn process_refused(&self) -> bool {
        keyed(&self.read("pids.events"), "max").unwrap_or(0) > 0
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Absent before Linux 5.14; the sandbox is dead by now anyway.
        let _kill = self.set("cgroup.kill", "1");
        for _ in 0..REMOVE_TRIES {
            match fs::remove_dir(&self.path) {
                // A process that has just been reaped may still be leaving.
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => break,
                _ => return,
            }
        }
        self.left.add(std::mem::take(&mut self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_delegated_is_taken() {
        let table = [
            ("/", true, 1000, 1000, false),
            ("/", false, 0, 0, false),
            ("/user.slice/x", false, 1000, 1000, true),
            ("/user.slice/x", false, 0, 1000, false),
            ("/system.slice/x", false, 0, 0, false),
            ("/system.slice/x", true, 0, 0, true),
            ("system.slice", true, 0, 0, false),
        ];
        for (group, attribute, owner, uid, expected) in table {
            assert_eq!(is_delegated(group, attribute, owner, uid), expected, "{group} {uid}");
        }
    }

    #[test]
    fn groups_and_their_files_are_read() {
        assert_eq!(own_group("12:pids:/a\n0::/b/c.service\n"), Some("/b/c.service"));
        assert_eq!(own_group("12:pids:/a\n"), None);
        let events = "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 1\n";
        assert_eq!(keyed(events, "oom_kill"), Some(1));
        assert_eq!(keyed(events, "oom"), Some(2));
        assert_eq!(keyed(events, "oom_"), None);
        assert_eq!(keyed("usage_usec 1234\nuser_usec 1\n", "usage_usec"), Some(1234));
    }

    #[test]
    fn a_group_gets_its_limits() {
        let mut limits = Limits::default();
        limits.set(&aictl_api::limits::MEMORY, 256 << 20).unwrap();
        limits.set(&aictl_api::limits::PROCESSES, 20).unwrap();
        let expected = [
            ("memory.max", "268435456", true),
            ("memory.oom.group", "1", true),
            ("pids.max", "21", true),
            ("cpu.max", "200000 100000", false),
            ("memory.swap.max", "0", false),
        ];
        let settings = settings(&limits, 2);
        for (set, (file, value, required)) in settings.into_iter().zip(expected) {
            assert_eq!(set, (file, value.to_owned(), required));
        }
    }

    #[test]
    fn an_absent_file_is_told_from_a_forbidden_one() {
        let absent = write_existing(Path::new("/proc/self/absent"), "0").unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
        let path = PathBuf::from("/proc/self/absent");
        assert_eq!(weigh(&path, 1).map_err(|error| error.kind()), Ok(()));
        let group = Group::of_test(path);
        assert_eq!(group.usage(), None);
    }

    #[test]
    fn groups_that_cannot_be_removed_are_tried_again_and_in_the_end_stop_new_runs() {
        // From here on this process is of one user, and so is what it makes.
        let _engine = crate::engine::tests::engine();
        let root = std::env::temp_dir().join(format!("aictl-groups-{}", std::process::id()));
        fs::create_dir(&root).unwrap();
        let tree = Delegated::at(root.clone());
        let groups: Vec<Group> = (0..MAX_LEFT).map(|_| tree.group().unwrap()).collect();
        let paths: Vec<PathBuf> = groups.iter().map(|group| group.path.clone()).collect();
        // A directory that is not empty stays, as a group does that has processes.
        let busy = |path: &PathBuf| path.join("busy");
        paths.iter().for_each(|path| fs::write(busy(path), "").unwrap());
        drop(groups);
        let error = tree.group().unwrap_err().to_string();
        assert!(error.starts_with("those of 8 earlier runs cannot be removed: "), "{error}");
        // One goes, and another run may come, which leaves nothing.
        fs::remove_file(busy(&paths[0])).unwrap();
        drop(tree.group().unwrap());
        assert_eq!(fs::read_dir(&root).unwrap().count(), MAX_LEFT - 1);
        paths[1..].iter().for_each(|path| fs::remove_file(busy(path)).unwrap());
        drop(tree.group().unwrap());
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
        fs::remove_dir(&root).unwrap();
    }
}
