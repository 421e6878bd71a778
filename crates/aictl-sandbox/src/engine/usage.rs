//! What a running sandbox uses, as a whole, where no control group counts it: all processes in
//! the sandbox's own /proc, whatever their parents are.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Read,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
    time::{Duration, Instant},
};

use nix::{
    sys::statvfs::fstatvfs,
    unistd::{SysconfVar, sysconf},
};

/// How long one look may take over shared pages.
const SHARED_TIME: Duration = Duration::from_millis(20);
/// Sockets that cost nothing: ordinary programs have a few.
const FREE_SOCKETS: u64 = 16;
/// What one socket can hold at the most, in bytes: net.core.wmem_default and the bookkeeping.
const SOCKET_BUFFER: u64 = 212_992;

/// What a sandbox uses at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory in bytes.
    pub memory: u64,
    /// CPU time from the start on.
    pub cpu: Duration,
    /// Processes and threads, without the sandbox's first process.
    pub tasks: u64,
}

/// What `/proc/PID/status` and `/proc/PID/stat` tell about one process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Process {
    /// Anonymous and shared memory, page tables and swap, in bytes.
    memory: u64,
    threads: u64,
    times: Times,
    /// When it started, in clock ticks after boot: with the id, its identity.
    start: u64,
}

/// CPU time, in a unit that the context names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Times {
    /// Of the process itself.
    own: u64,
    /// Of its children that it has waited for, and theirs.
    waited_for: u64,
}

/// What `/proc/PID/status` (proc_pid_status(5)) tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Status {
    /// All memory, page tables included, in bytes.
    memory: u64,
    /// Page tables, in bytes.
    page_tables: u64,
    threads: u64,
    /// Whether the first thread has ended: then it shows no memory, though others may use it.
    ended: bool,
}

/// Adds up the memory that `/proc/PID/status` shows, and reads the threads.
fn parse_status(text: &str) -> Status {
    let mut status = Status::default();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let number = || {
            value.split_ascii_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0)
        };
        match key {
            // Pages of files on disk belong to the page cache, and can be dropped any time.
            "RssAnon" | "RssShmem" | "VmSwap" => status.memory += number() * 1024,
            "VmPTE" => status.page_tables = number() * 1024,
            "Threads" => status.threads = number(),
            "State" => status.ended = value.trim_start().starts_with(['Z', 'X']),
            _ => {}
        }
    }
    status.memory += status.page_tables;
    status
}

/// Reads how many sockets are in use from `/proc/PID/net/sockstat`.
fn parse_sockets(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("sockets: used ")?.trim().parse().ok())
}

/// Reads CPU times in clock ticks and the start time from `/proc/PID/stat` (proc_pid_stat(5)). The name in brackets
/// is the process's own choice, brackets and newlines included.
fn parse_stat(text: &str) -> Option<(Times, u64)> {
    let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    // Fields 14 to 17 and 22 of the manual page, of which the first two stand before the bracket.
    let ticks = Times { own: number(11)? + number(12)?, waited_for: number(13)? + number(14)? };
    Some((ticks, number(19)?))
}

/// Reads the CPU time of a process's first thread, in nanoseconds, from `/proc/PID/schedstat` (the
/// kernel's Documentation/scheduler/sched-stats.rst).
fn parse_schedstat(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// Reads the proportional share from `/proc/PID/smaps_rollup`, in bytes.
fn parse_pss(text: &str) -> Option<u64> {
    let sum = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()
    };
    Some((sum("Pss_Anon:")? + sum("Pss_Shmem:")? + sum("SwapPss:").unwrap_or(0)) * 1024)
}

/// Watches the processes of one sandbox through its /proc.
#[derive(Debug)]
pub struct ProcMeter {
    root: PathBuf,
    _proc_dir: OwnedFd,
    /// The directories whose files live in memory.
    scratch: Vec<OwnedFd>,
    ticks_per_second: u64,
    /// The processes seen last, by id and start.
    last: HashMap<(u32, u64), Times>,
    /// What processes that are gone had used when they were last seen, in nanoseconds.
    gone: u64,
    /// The most that was ever reported, in nanoseconds: time does not run backwards.
    most: u64,
}

impl ProcMeter {
    /// Watches the processes that `proc_dir` shows, and the files in the tmpfs mounts `scratch`.
    #[must_use]
    pub fn new(proc_dir: OwnedFd, scratch: Vec<OwnedFd>) -> Self {
        let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        Self {
            root: PathBuf::from(format!("/proc/self/fd/{}", proc_dir.as_raw_fd())),
            _proc_dir: proc_dir,
            scratch,
            ticks_per_second: u64::try_from(ticks).unwrap_or(100).max(1),
            last: HashMap::new(),
            gone: 0,
            most: 0,
        }
    }

    /// Looks at every process now. `limit` is the memory limit: only when simple sums pass it are
    /// shared pages counted once, which costs more.
    pub fn sample(&mut self, limit: u64) -> Usage {
        let mut usage = Usage::default();
        let mut seen = HashMap::new();
        for pid in self.pids() {
            let Some(process) = self.process(pid) else { continue };
            usage.memory += process.memory;
            if pid != 1 {
                usage.tasks += process.threads;
            }
            seen.insert((pid, process.start), process.times);
        }
        // What no process shows as its own. A file that is mapped counts twice, on the safe side.
        let elsewhere = self.files() + self.socket_buffers();
        if usage.memory + elsewhere > limit && seen.len() > 1 {
            usage.memory = self.shared_once();
        }
        usage.memory += elsewhere;
        usage.cpu = self.cpu(seen);
        usage
    }

    fn pids(&self) -> Vec<u32> {
        fs::read_dir(&self.root)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect()
    }

    fn read(&self, pid: u32, file: &str) -> Option<String> {
        let mut file = File::open(self.root.join(pid.to_string()).join(file)).ok()?;
        // Room for all of it at once: /proc makes the text anew for every read.
        let mut bytes = Vec::with_capacity(4096);
        file.read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What a process uses, as the first of its threads shows it that still lives.
    fn status(&self, pid: u32) -> Option<Status> {
        let first = parse_status(&self.read(pid, "status")?);
        if !first.ended || first.threads < 2 {
            return Some(first);
        }
        let tasks = self.root.join(pid.to_string()).join("task");
        let living = fs::read_dir(tasks).ok()?.find_map(|task| {
            let text = fs::read_to_string(task.ok()?.path().join("status")).ok()?;
            Some(parse_status(&text)).filter(|status| !status.ended)
        });
        living.or(Some(first))
    }

    fn process(&self, pid: u32) -> Option<Process> {
        let Status { memory, threads, .. } = self.status(pid)?;
        let (ticks, start) = parse_stat(&self.read(pid, "stat")?)?;
        let nanos = |ticks: u64| ticks.saturating_mul(1_000_000_000 / self.ticks_per_second);
        // A tick is so long that whoever is done within two would be seen with half of his time.
        let first = self.read(pid, "schedstat").and_then(|text| parse_schedstat(&text));
        let own = nanos(ticks.own).max(first.unwrap_or(0));
        let times = Times { own, waited_for: nanos(ticks.waited_for) };
        Some(Process { memory, threads, times, start })
    }

    /// The bytes of all files in the scratch directories, deleted ones that are open included.
    fn files(&self) -> u64 {
        let used = |dir: &OwnedFd| {
            let stat = fstatvfs(dir).ok()?;
            Some(stat.blocks().saturating_sub(stat.blocks_free()) * stat.fragment_size())
        };
        self.scratch.iter().filter_map(used).sum()
    }

    /// The most that the sandbox's sockets can hold: the kernel does not tell what they do hold.
    /// Sockets on their way through other sockets are counted too (/proc/PID/net/sockstat).
    fn socket_buffers(&self) -> u64 {
        let sockets = self.read(1, "net/sockstat").and_then(|text| parse_sockets(&text));
        sockets.unwrap_or(0).saturating_sub(FREE_SOCKETS) * SOCKET_BUFFER
    }

    /// The memory of all processes, with pages that several share counted once, for as many as
    /// there is time for: the kernel walks every mapping of a process, and the other limits wait.
    /// The rest counts in full, which errs on the safe side.
    fn shared_once(&self) -> u64 {
        let end = Instant::now() + SHARED_TIME;
        self.pids()
            .into_iter()
            .map(|pid| {
                let status = self.status(pid).unwrap_or_default();
                if Instant::now() > end {
                    return status.memory;
                }
                let pss = self.read(pid, "smaps_rollup").and_then(|text| parse_pss(&text));
                // Page tables are never shared.
                pss.map_or(status.memory, |pss| pss + status.page_tables)
            })
            .sum()
    }

    /// CPU time of all processes so far, given those of this moment.
    ///
    /// Two sums, each of which misses something: what the living have used and what they have
    /// waited for (not children whose parent ignores them); and what every process had used when
    /// it was last seen (not what it used after that). The larger one counts.
    fn cpu(&mut self, now: HashMap<(u32, u64), Times>) -> Duration {
        for (process, times) in &self.last {
            if !now.contains_key(process) {
                self.gone += times.own;
            }
        }
        self.last = now;
        let living: u64 = self.last.values().map(|times| times.own + times.waited_for).sum();
        let ever: u64 = self.last.values().map(|times| times.own).sum::<u64>() + self.gone;
        self.most = self.most.max(living).max(ever);
        Duration::from_nanos(self.most)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn status_and_stat_are_read_whatever_the_name_is() {
        let status = "Name:\tx\nState:\tS (sleeping)\nVmPTE:\t      64 kB\nRssAnon:\t    1000 kB\nRssFile:\t  9 kB\n\
                      RssShmem:\t       8 kB\nVmSwap:\t 4 kB\nThreads:\t3\n";
        let expected = Status {
            memory: (64 + 1000 + 8 + 4) * 1024,
            page_tables: 64 * 1024,
            threads: 3,
            ended: false,
        };
        assert!(parse_status("State:\tZ (zombie)\n").ended);
        assert_eq!(parse_status(status), expected);
        assert_eq!(parse_sockets("sockets: used 29\nTCP: inuse 1\n"), Some(29));
        assert_eq!(parse_sockets("TCP: inuse 1\n"), None);
        let stat = |name: &str| {
            format!("7 ({name}) R 1 7 7 0 -1 4194304 1 2 3 4 10 20 30 40 20 0 1 0 555 9 9")
        };
        for name in ["python3", "a) R 1 1 1", "x\n) (", ""] {
            assert_eq!(
                parse_stat(&stat(name)),
                Some((Times { own: 30, waited_for: 70 }, 555)),
                "{name:?}"
            );
        }
        assert_eq!(parse_stat(""), None);
        assert_eq!(parse_stat("7 (x) R 1"), None);
        assert_eq!(parse_schedstat("71094 20 1\n"), Some(71094));
        assert_eq!(parse_schedstat(""), None);
        let rollup = "00-ff ---p 00 00:00 0 [rollup]\nRss: 900 kB\nPss: 500 kB\nPss_Anon: 400 kB\n\
                      Pss_File: 60 kB\nPss_Shmem: 40 kB\nSwapPss: 2 kB\n";
        assert_eq!(parse_pss(rollup), Some(442 * 1024));
        assert_eq!(parse_pss(""), None);
    }

    #[test]
    fn cpu_time_never_runs_backwards() {
        let own = File::open("/proc").unwrap();
        let mut meter = ProcMeter::new(own.into(), Vec::new());
        // Process id, own time, time of children waited for, in milliseconds.
        let at = |list: &[(u32, u64, u64)]| {
            list.iter()
                .map(|&(pid, own, waited_for)| {
                    let [own, waited_for] = [own, waited_for].map(|millis| millis * 1_000_000);
                    ((pid, 0), Times { own, waited_for })
                })
                .collect()
        };
        type Row<'a> = (&'a str, &'a [(u32, u64, u64)], u64);
        let table: [Row<'_>; 6] = [
            ("one burns", &[(1, 0, 0), (2, 500, 0)], 500),
            ("a child burns too", &[(1, 0, 0), (2, 500, 0), (3, 304, 0)], 804),
            ("its parent has waited for it", &[(1, 0, 0), (2, 500, 300)], 804),
            ("another child burns", &[(1, 0, 0), (2, 500, 300), (4, 200, 0)], 1004),
            ("it vanishes, and nobody waited", &[(1, 0, 0), (2, 500, 300)], 1004),
            ("the first goes on", &[(1, 0, 0), (2, 700, 300)], 1204),
        ];
        for (what, processes, millis) in table {
            assert_eq!(meter.cpu(at(processes)), Duration::from_millis(millis), "{what}");
        }
    }

    #[test]
    fn this_machine_can_be_measured() {
        let own = File::open("/proc").unwrap();
        let mut meter = ProcMeter::new(own.into(), Vec::new());
        let usage = meter.sample(u64::MAX);
        assert!(usage.memory > 0 && usage.tasks > 0, "{usage:?}");
        // More exactly than in ticks, none of which this one has had.
        let mut sleeps = Command::new("sleep").arg("60").spawn().unwrap();
        let process = meter.process(sleeps.id()).unwrap();
        sleeps.kill().unwrap();
        sleeps.wait().unwrap();
        assert!((1..10_000_000).contains(&process.times.own), "{process:?}");
    }
}
