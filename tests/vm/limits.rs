//! Limits that the kernel keeps by control groups.

use std::{collections::BTreeMap, fs, time::Duration};

use aictl_api::{
    limits::{CPU, MEMORY, PROCESSES},
    run::Outcome,
};

use crate::guest::{Limit, Run, WAIT, WAYS, groups_of_runs, root, run};

const MIB: u64 = 1 << 20;

pub const fn memory(mib: u64) -> Limit {
    (MEMORY, mib * MIB)
}

/// 16 processes take 256 MiB each, and keep it.
pub const SIXTEEN: &str = "\
import os, time
for _ in range(16):
    if os.fork() == 0:
        held = b'x' * (256 << 20)
        time.sleep(300)
        os._exit(0)
time.sleep(300)
";

#[test]
fn memory_spread_over_sixteen_processes_is_counted_together_and_the_host_is_untouched() {
    let neighbour = Run::start(&[], WAIT).wait_for("READY");
    for way in WAYS {
        let seen = run(way, &[memory(512)], SIXTEEN);
        assert_eq!(seen.outcome, Outcome::OutOfMemory, "{way:?}: {seen:?}");
        let peak = seen.peak_memory.unwrap();
        assert!((256 * MIB..=512 * MIB).contains(&peak), "{way:?}: {peak}");
    }
    // The kernel's words for a machine that has no memory left, rather than a group.
    let log = root(&["dmesg"]);
    assert!(log.contains("Memory cgroup out of memory"), "{log}");
    assert!(!log.contains("Out of memory: Killed"), "{log}");
    // Neither the run beside it nor sandboxd has gone with it.
    neighbour.cancel();
    assert_eq!(neighbour.end().unwrap().outcome, Outcome::Cancelled);
}

#[test]
fn a_plain_kill_is_told_from_want_of_memory() {
    let script = "import os\nheld = b'x' * (300 << 20)\nos.kill(os.getpid(), 9)\n";
    for way in WAYS {
        let seen = run(way, &[memory(512)], script);
        assert_eq!((seen.outcome, seen.signal), (Outcome::Signaled, Some(9)), "{way:?}");
        // It was far from the limit only in that it did not reach it.
        assert!(seen.peak_memory.unwrap() > 300 * MIB, "{way:?}: {seen:?}");
    }
}

#[test]
fn one_process_that_takes_too_much_is_out_of_memory_too() {
    for way in WAYS {
        let seen = run(way, &[memory(64)], "held = b'x' * (200 << 20)\nprint('held')\n");
        assert_eq!(seen.outcome, Outcome::OutOfMemory, "{way:?}: {seen:?}");
        assert_eq!(seen.stdout, "");
    }
}

#[test]
fn a_run_has_the_processes_of_its_limit_and_no_more() {
    let script = "\
import os, time
made = 0
try:
    while made < 100:
        if os.fork() == 0:
            time.sleep(300)
            os._exit(0)
        made += 1
finally:
    print(made, flush=True)
";
    for way in WAYS {
        let seen = run(way, &[(PROCESSES, 10)], script);
        assert_eq!(seen.outcome, Outcome::ProcessLimit, "{way:?}: {seen:?}");
        // The script itself is one of ten.
        assert_eq!(seen.stdout, "9\n", "{way:?}");
    }
}

#[test]
fn cpu_time_of_all_processes_is_counted_together() {
    let script = "import os\nfor _ in range(3): os.fork()\nwhile True: pass\n";
    for way in WAYS {
        let seen = run(way, &[(CPU, 1000)], script);
        assert_eq!(seen.outcome, Outcome::TimedOut, "{way:?}: {seen:?}");
        assert!(seen.cpu >= Duration::from_secs(1), "{way:?}: {seen:?}");
    }
}

#[test]
fn a_run_in_the_service_has_a_group_of_its_own_with_every_limit_set() {
    let limits = [memory(200), (PROCESSES, 20)];
    let run = Run::start(&limits, WAIT).wait_for("READY");
    let groups = groups_of_runs();
    // Others may stand ready; one holds the script.
    let of_it: Vec<_> = groups
        .iter()
        .filter(|group| {
            let read = |name: &str| fs::read_to_string(group.join(name)).unwrap_or_default();
            read("memory.max").trim() == (200 * MIB).to_string()
        })
        .collect();
    assert_eq!(of_it.len(), 1, "{groups:?}");
    let read = |name: &str| fs::read_to_string(of_it[0].join(name)).unwrap().trim().to_owned();
    let want = BTreeMap::from([
        // The sandbox's first process is not the program's.
        ("pids.max", "21"),
        ("memory.oom.group", "1"),
        ("memory.swap.max", "0"),
        // The machine has one processor.
        ("cpu.max", "100000 100000"),
    ]);
    for (name, value) in want {
        assert_eq!(read(name), value, "{name}");
    }
    assert_ne!(read("cgroup.procs"), "");
    let group = of_it[0].clone();
    run.cancel();
    assert_eq!(run.end().unwrap().outcome, Outcome::Cancelled);
    assert!(!group.exists(), "{} is left", group.display());
}

/// How far what is counted may lie from what was taken: an interpreter, and what the kernel needs.
const BESIDE: u64 = 64 * MIB;

#[test]
fn the_peak_is_what_was_taken_at_the_most_and_each_run_has_its_own() {
    // All of it is written to, and most of it given back before the end.
    let take = |mib: u64| format!("held = b'x' * ({mib} << 20)\ndel held\nprint('gone')\n");
    for way in WAYS {
        for mib in [200, 100, 0] {
            let seen = run(way, &[memory(512)], &take(mib));
            assert_eq!((seen.outcome, &*seen.stdout), (Outcome::Exited, "gone\n"), "{way:?}");
            let (peak, taken) = (seen.peak_memory.unwrap(), mib * MIB);
            assert!((taken..=taken + BESIDE).contains(&peak), "{way:?}: {mib} MiB, {peak}");
        }
    }
}

/// A file to swap to, which is in use until this is dropped.
struct Swap;

impl Swap {
    const FILE: &str = "/var/tmp/swap";

    fn on() -> Self {
        root(&["fallocate", "--length", "256MiB", Self::FILE]);
        root(&["chmod", "600", Self::FILE]);
        root(&["mkswap", "--quiet", Self::FILE]);
        root(&["swapon", Self::FILE]);
        Self
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        root(&["swapoff", Self::FILE]);
        fs::remove_file(Self::FILE).unwrap();
    }
}

#[test]
fn a_machine_that_can_swap_gives_a_run_no_more_memory_than_its_limit() {
    let _swap = Swap::on();
    for way in WAYS {
        let seen = run(way, &[memory(64)], "held = b'x' * (150 << 20)\nprint('held')\n");
        assert_eq!(seen.outcome, Outcome::OutOfMemory, "{way:?}: {seen:?}");
    }
}
