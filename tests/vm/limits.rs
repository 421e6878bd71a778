//! Limits that the kernel keeps by control groups.

use std::{collections::BTreeMap, fs, time::Duration};

use aictl_api::{
    limits::{CPU, MEMORY, PROCESSES},
    run::Outcome,
};

use crate::guest::{Limit, Run, WAYS, Way, groups_of_runs, root, run, wait_for};

const MIB: u64 = 1 << 20;

const fn memory(mib: u64) -> Limit {
    (MEMORY, mib * MIB)
}

/// Says that it is there, and waits.
const WAIT: &str = "import time\nprint('READY', flush=True)\ntime.sleep(300)\n";

/// 16 processes take 256 MiB each, and keep it.
const SIXTEEN: &str = "\
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

#[test]
fn nothing_is_left_in_the_tree_of_control_groups() {
    let _started = run(Way::Service, &[], "pass\n");
    let before = groups_of_runs().len();
    for script in ["pass\n", "import os\nos.kill(os.getpid(), 9)\n", SIXTEEN] {
        let _ended = run(Way::Service, &[memory(128)], script);
    }
    wait_for("the end of the runs' groups", || groups_of_runs().len() <= before);
    // systemd names the units of systemd-run so.
    let _ended = run(Way::Embedded, &[memory(128)], SIXTEEN);
    let find = ["find", "/sys/fs/cgroup", "-name", "run-*.service"];
    wait_for("the end of the unit's group", || root(&find).is_empty());
}
