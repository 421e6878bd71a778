//! The tree of control groups: what each run has there, and what is left of it.

use std::{
    collections::BTreeSet, fs, os::unix::process::ExitStatusExt, path::PathBuf, process::Command,
};

use aictl_api::{
    limits::{CPU, OUTPUT, PROCESSES, TIMEOUT},
    run::Outcome,
};

use crate::{
    guest::{
        Limit, Run, SERVICE, WAIT, WAYS, Way, group_of, groups_below, groups_of_runs,
        processes_with, root, run, wait_for,
    },
    limits::{SIXTEEN, memory},
};

/// The limit of memory by which the groups of a test's runs are known: others may stand ready.
const MARK: Limit = memory(123);

/// The groups of the runs that have this limit.
fn groups_with(limit: Limit) -> BTreeSet<PathBuf> {
    let has_it = |group: &PathBuf| {
        let text = fs::read_to_string(group.join("memory.max")).unwrap_or_default();
        text.trim() == limit.1.to_string()
    };
    groups_of_runs().into_iter().filter(has_it).collect()
}

/// The group of the one run of the test.
#[track_caller]
fn group_of_run() -> PathBuf {
    // Of one that has ended before, it may take a moment to be removed.
    wait_for("one group of a run", || groups_with(MARK).len() == 1);
    let found: Vec<PathBuf> = groups_with(MARK).into_iter().collect();
    let [group] = &found[..] else { panic!("{found:?}") };
    group.clone()
}

/// Waits until no group of the test's runs is left.
#[track_caller]
fn wait_for_no_group() {
    wait_for("the end of the runs' groups", || groups_with(MARK).is_empty());
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

/// Ends when it is refused a process, and leaves those that it has.
const MANY: &str = "\
import os, time
while True:
    if os.fork() == 0:
        time.sleep(300)
";

#[test]
fn nothing_is_left_in_the_tree_of_control_groups_whatever_the_end() {
    let table: [(&str, &[Limit], Outcome); 8] = [
        ("pass\n", &[], Outcome::Exited),
        ("import os\nos.kill(os.getpid(), 9)\n", &[], Outcome::Signaled),
        (
            "import os\nif os.fork(): os.kill(os.getpid(), 11)\nos.setsid()\nwhile 1: pass\n",
            &[],
            Outcome::Signaled,
        ),
        (SIXTEEN, &[], Outcome::OutOfMemory),
        ("import time\ntime.sleep(300)\n", &[(TIMEOUT, 3000)], Outcome::TimedOut),
        ("while True: pass\n", &[(CPU, 1000)], Outcome::TimedOut),
        ("while True: print('x' * 9999)\n", &[(OUTPUT, 10_000)], Outcome::OutputLimit),
        (MANY, &[(PROCESSES, 20)], Outcome::ProcessLimit),
    ];
    for (script, limits, outcome) in table {
        let seen = run(Way::Helper, &[limits, &[MARK]].concat(), script);
        assert_eq!(seen.outcome, outcome, "{script}: {seen:?}");
        wait_for_no_group();
    }
    let waiting = Run::start(&[MARK], WAIT).wait_for("READY");
    waiting.cancel();
    assert_eq!(waiting.end().unwrap().outcome, Outcome::Cancelled);
    wait_for_no_group();
    // systemd names the units of systemd-run so.
    let find = ["find", "/sys/fs/cgroup", "-name", "run-*.service"];
    let _ended = run(Way::Embedded, &[MARK], SIXTEEN);
    wait_for("the end of the unit's group", || root(&find).is_empty());
}

/// What ends a run takes whoever is in its group, and not only the processes of its sandbox: somebody
/// who is in none is put there.
#[test]
fn whoever_is_in_the_group_of_a_run_ends_with_it() {
    let waiting = Run::start(&[MARK], WAIT).wait_for("READY");
    let mut stranger = Command::new("sleep").arg("infinity").spawn().unwrap();
    fs::write(group_of_run().join("cgroup.procs"), stranger.id().to_string()).unwrap();
    waiting.cancel();
    assert_eq!(waiting.end().unwrap().outcome, Outcome::Cancelled);
    wait_for_no_group();
    assert_eq!(stranger.wait().unwrap().signal(), Some(9));
}

#[test]
fn a_fork_bomb_is_killed_with_its_group() {
    for way in WAYS {
        let seen = run(way, &[(PROCESSES, 50), (TIMEOUT, 3000), MARK], FORK_BOMB);
        // Whichever is noticed first.
        let ends = [Outcome::ProcessLimit, Outcome::TimedOut];
        assert!(ends.contains(&seen.outcome), "{way:?}: {seen:?}");
        assert_eq!(processes_with("script.py"), [0; 0], "{way:?}");
        wait_for_no_group();
        assert_eq!(run(way, &[], "print(1)").stdout, "1\n", "{way:?}");
    }
}

/// How many runs the one has who wants more than the other.
const MANY_RUNS: usize = 16;
/// Spins, once it has said that it is there.
const SPIN: &str = "print('READY', flush=True)\nwhile True: pass\n";

/// The CPU time that the groups with this limit have used together, in microseconds.
fn used(limit: Limit) -> u64 {
    let of = |group: &PathBuf| -> u64 {
        let text = fs::read_to_string(group.join("cpu.stat")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("usage_usec ")).unwrap();
        line.trim().parse().unwrap()
    };
    groups_with(limit).iter().map(of).sum()
}

#[test]
fn users_share_the_processor_and_not_runs() {
    // Each is told from the others by its limit of memory.
    let (many, one) = (memory(123), memory(124));
    let weights = |limit: Limit| -> Vec<String> {
        let read = |group: &PathBuf| fs::read_to_string(group.join("cpu.weight")).unwrap();
        groups_with(limit).iter().map(|group| read(group).trim().to_owned()).collect()
    };
    let start = |user, limit| Run::start_of(Some(user), &[limit], SPIN);
    let mut runs: Vec<Run> = (0..MANY_RUNS).map(|_| start(4001, many)).collect();
    runs.push(start(4002, one));
    let mut runs: Vec<Run> = runs.into_iter().map(|run| run.wait_for("READY")).collect();
    // Of what both use from now on each has about half: by runs it would be a seventeenth.
    let (many_before, one_before) = (used(many), used(one));
    let since = || (used(many) - many_before, used(one) - one_before);
    wait_for("four seconds of the processor", || since().0 + since().1 > 4_000_000);
    let (of_many, of_one) = since();
    println!("16 runs of one: {of_many} us, one of another: {of_one} us");
    assert!(of_one * 2 > of_many && of_many * 2 > of_one, "{of_many} us and {of_one} us");
    assert_eq!(weights(many), ["6"; MANY_RUNS]);
    assert_eq!(weights(one), ["100"]);
    let supervisor = group_of(SERVICE).join("supervisor/cpu.weight");
    assert_eq!(fs::read_to_string(supervisor).unwrap().trim(), "10000");
    // Who has but one left has his whole part again.
    for run in runs.drain(1..) {
        run.cancel();
        assert_eq!(run.end().unwrap().outcome, Outcome::Cancelled);
    }
    wait_for("the weight of the one that is left", || weights(many) == ["100"]);
    let last = runs.remove(0);
    last.cancel();
    assert_eq!(last.end().unwrap().outcome, Outcome::Cancelled);
    wait_for("the end of the runs' groups", || weights(many).is_empty());
}

#[test]
fn a_script_makes_no_control_groups_of_its_own() {
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
    let run = Run::start(&[MARK], &script).wait_for("READY");
    let group = group_of_run();
    assert_eq!(groups_below(&group), BTreeSet::new());
    run.cancel();
    let seen = run.end().unwrap();
    assert!(seen.stdout.contains("no\n") && !seen.stdout.contains("MADE"), "{seen:?}");
}

#[test]
fn a_run_that_died_leaves_its_group_to_no_other() {
    const MAIN: [&str; 5] = ["systemctl", "show", "--value", "--property=MainPID", SERVICE];
    let first = Run::start(&[MARK], WAIT).wait_for("READY");
    let (group, sandboxd) = (group_of_run(), root(&MAIN));
    first.cancel();
    assert_eq!(first.end().unwrap().outcome, Outcome::Cancelled);
    assert!(!group.exists(), "{} is left", group.display());
    // Out of memory, and a peak of all there was: neither is the next one's.
    let seen = run(Way::Helper, &[MARK], SIXTEEN);
    assert_eq!(seen.outcome, Outcome::OutOfMemory, "{seen:?}");
    let second = Run::start(&[MARK], WAIT).wait_for("READY");
    assert_ne!(group_of_run(), group);
    second.cancel();
    let seen = second.end().unwrap();
    assert_eq!(seen.outcome, Outcome::Cancelled);
    assert!(seen.peak_memory.unwrap() < MARK.1 / 2, "{seen:?}");
    // sandboxd has lived through all of it.
    assert_eq!(root(&MAIN), sandboxd);
}
