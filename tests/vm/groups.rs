//! The tree of control groups: what each run has there, and what is left of it.

use std::{collections::BTreeSet, fs, path::PathBuf};

use aictl_api::{
    limits::{CPU, OUTPUT, PROCESSES, TIMEOUT},
    run::Outcome,
};

use crate::{
    guest::{
        Limit, Run, SERVICE, WAIT, WAYS, Way, groups_below, groups_of_runs, processes_with, root,
        run, wait_for,
    },
    limits::{SIXTEEN, memory},
};

/// The groups of these runs, which wait: others may stand ready, without a limit of theirs.
fn group_of_run(limit: Limit) -> PathBuf {
    let has_it = |group: &PathBuf| {
        let text = fs::read_to_string(group.join("memory.max")).unwrap_or_default();
        text.trim() == limit.1.to_string()
    };
    let found: BTreeSet<PathBuf> = groups_of_runs().into_iter().filter(has_it).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

/// Forks until it is refused, and each of its children does so too.
const FORK_BOMB: &str = "\
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
";

#[test]
fn nothing_is_left_in_the_tree_of_control_groups_whatever_the_end() {
    let _started = run(Way::Helper, &[], "pass\n");
    let before = groups_of_runs().len();
    let table: [(&str, &[Limit], Outcome); 8] = [
        ("pass\n", &[], Outcome::Exited),
        ("import os\nos.kill(os.getpid(), 9)\n", &[], Outcome::Signaled),
        (
            "import os\nos.setsid()\nif os.fork(): os.kill(os.getpid(), 11)\nwhile 1: pass\n",
            &[],
            Outcome::Signaled,
        ),
        (SIXTEEN, &[memory(128)], Outcome::OutOfMemory),
        ("import time\ntime.sleep(300)\n", &[(TIMEOUT, 3000)], Outcome::TimedOut),
        ("while True: pass\n", &[(CPU, 1000)], Outcome::TimedOut),
        ("while True: print('x' * 9999)\n", &[(OUTPUT, 10_000)], Outcome::OutputLimit),
        (FORK_BOMB, &[(PROCESSES, 20), (CPU, 5000)], Outcome::ProcessLimit),
    ];
    for (script, limits, outcome) in table {
        let seen = run(Way::Helper, limits, script);
        assert_eq!(seen.outcome, outcome, "{script}: {seen:?}");
    }
    let run = Run::start(&[], WAIT).wait_for("READY");
    run.cancel();
    assert_eq!(run.end().unwrap().outcome, Outcome::Cancelled);
    wait_for("the end of the runs' groups", || groups_of_runs().len() <= before);
    // systemd names the units of systemd-run so.
    let find = ["find", "/sys/fs/cgroup", "-name", "run-*.service"];
    let _ended = crate::guest::run(Way::Embedded, &[memory(128)], SIXTEEN);
    wait_for("the end of the unit's group", || root(&find).is_empty());
}

#[test]
fn a_fork_bomb_is_killed_with_its_group() {
    for way in WAYS {
        let mark = format!("fork-bomb-{way:?}");
        let script = format!("{FORK_BOMB}# {mark}\n");
        let seen = run(way, &[(PROCESSES, 200), (TIMEOUT, 10_000)], &script);
        // Whichever is noticed first.
        let ends = [Outcome::ProcessLimit, Outcome::TimedOut];
        assert!(ends.contains(&seen.outcome), "{way:?}: {seen:?}");
        assert_eq!(processes_with("script.py"), [0; 0], "{way:?}");
        assert_eq!(run(way, &[], "print(1)").stdout, "1\n", "{way:?}");
    }
}

#[test]
fn a_script_makes_no_control_groups_of_its_own() {
    let limit = memory(100);
    let script = format!(
        "\
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def tried(made):
    print('MADE' if made else 'no', flush=True)
for path in ['/sys/fs/cgroup', '/proc/self/root/sys/fs/cgroup', '/tmp/c']:
    try:
        os.makedirs(path, exist_ok=True)
        tried(libc.mount(b'none', path.encode(), b'cgroup2', 0, None) == 0)
        os.mkdir(path + '/mine')
        tried(os.path.exists(path + '/mine/cgroup.procs'))
    except OSError as error:
        print(error, flush=True)
tried(libc.unshare(0x02000000) == 0)
{WAIT}"
    );
    let run = Run::start(&[limit], &script).wait_for("READY");
    let group = group_of_run(limit);
    assert_eq!(groups_below(&group), BTreeSet::new());
    run.cancel();
    let seen = run.end().unwrap();
    assert!(seen.stdout.contains("no\n") && !seen.stdout.contains("MADE"), "{seen:?}");
}

#[test]
fn a_run_that_died_leaves_its_group_to_no_other() {
    let limit = memory(64);
    let first = Run::start(&[limit], WAIT).wait_for("READY");
    let group = group_of_run(limit);
    first.cancel();
    assert_eq!(first.end().unwrap().outcome, Outcome::Cancelled);
    assert!(!group.exists(), "{} is left", group.display());
    // Out of memory, and a peak of all there was: neither is the next one's.
    let seen = run(Way::Helper, &[limit], SIXTEEN);
    assert_eq!(seen.outcome, Outcome::OutOfMemory, "{seen:?}");
    let second = Run::start(&[limit], WAIT).wait_for("READY");
    assert_ne!(group_of_run(limit), group);
    second.cancel();
    let seen = second.end().unwrap();
    assert_eq!(seen.outcome, Outcome::Cancelled);
    assert!(seen.peak_memory.unwrap() < limit.1 / 2, "{seen:?}");
    // Whoever is in the service's tree for no run of its own is not touched by a run's end.
    let main = ["systemctl", "show", "--value", "--property=MainPID", SERVICE];
    let before = root(&main);
    assert_eq!(run(Way::Helper, &[], "print(1)").stdout, "1\n");
    assert_eq!(root(&main), before);
}
