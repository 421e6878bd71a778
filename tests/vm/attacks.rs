//! Attacks with every layer there is, control groups among them, through the helper.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use serde_json::Value;

use crate::{
    guest::as_anna,
    harness::{
        case::{self, Case},
        run::{Way, in_parallel, run},
        world::World,
    },
};

/// Where the corpus is.
const CORPUS: &str = "/mnt/attacks";
/// The program that can leave layers off.
const WEAK: &str = "/mnt/weak/aictl";
/// Anna's uid.
const ANNA: u32 = 1000;

/// Whether a case is run here. What a script does to files, networks and the filter of system calls
/// has nothing to do with control groups, and runs in the other tiers: an emulated machine would
/// take minutes.
fn is_chosen(case: &Case) -> bool {
    let elsewhere = ["fs-", "net-", "seccomp-"];
    let here = ["fs-cgroup-write.py", "seccomp-sweep.py"];
    here.contains(&case.name.as_str())
        || !elsewhere.iter().any(|start| case.name.starts_with(start))
}

/// A directory with the installed programs beside each other.
fn programs() -> PathBuf {
    let directory = Path::new("/run/programs");
    fs::create_dir_all(directory).unwrap();
    for program in ["/usr/bin/aictl", "/usr/libexec/aictl/aictl-sandboxd"] {
        let name = Path::new(program).file_name().unwrap();
        let _there = symlink(program, directory.join(name));
    }
    directory.to_owned()
}

/// Runs a case; why it is not contained, if it is not.
fn failure(world: &World, case: &Case, syscalls: &str) -> Option<String> {
    let way = Way { user: Some(ANNA), ..Way::default() };
    let begin = Instant::now();
    let why = match run(world, case, &way, syscalls) {
        Err(error) => Some(error.to_string()),
        Ok(seen) => {
            let why = seen.not_contained(case).or_else(|| seen.missing());
            why.map(|why| format!("{why}\n{seen}"))
        }
    };
    // Past what keeps a test's output until its end: whoever waits sees that it goes on.
    let verdict = if why.is_some() { "NOT CONTAINED" } else { "contained" };
    let took = begin.elapsed().as_secs_f64();
    let _unheard = writeln!(io::stderr(), "{}: {verdict} ({took:.1} s)", case.name);
    why.map(|why| format!("--- {}: {}\n{why}", case.name, case.attack))
}

#[test]
fn attacks_are_contained_through_the_helper_and_no_layer_is_missing() {
    let mut cases = case::load(Path::new(CORPUS)).unwrap_or_else(|errors| panic!("{errors}"));
    cases.retain(is_chosen);
    assert!(cases.len() >= 80, "{} cases", cases.len());
    let world = World::new(&programs(), Path::new(CORPUS)).unwrap();
    let printed =
        Command::new("/run/programs/aictl-sandboxd").arg("--print-syscalls").output().unwrap();
    let syscalls = String::from_utf8(printed.stdout).unwrap();
    let failures: Vec<String> = in_parallel(&cases, |case| failure(&world, case, &syscalls))
        .into_iter()
        .flatten()
        .collect();
    let contained = cases.len() - failures.len();
    eprintln!("{contained} of {} contained", cases.len());
    assert!(failures.is_empty(), "{contained} of {}\n{}", cases.len(), failures.join("\n"));
    let left = [world.all_processes(), world.programs()].concat();
    assert!(left.is_empty(), "processes are left: {left:?}");
    let visitors = world.visitors();
    assert!(visitors.is_empty(), "somebody knocked: {visitors:?}");
    let traces = world.traces().unwrap();
    assert!(traces.is_empty(), "left: {traces:?}");
}

/// Runs an attack with nothing that watches it but the kernel, as Anna, in a unit with control groups
/// of its own or without.
fn unwatched(script: &str, options: &[String], delegated: bool) -> Value {
    let argv = ["env", "AICTL_WEAKEN=watch,rlimits", WEAK, "--embedded", "--json", "run"];
    let mut command = as_anna(&argv, delegated);
    let done = command.args(options).arg(script).output().unwrap();
    serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{done:?}"))
}

/// What one run has of memory and processes, the control group alone keeps it to; and without one,
/// what watches in its place is what does.
#[test]
fn a_control_group_alone_keeps_a_run_to_its_memory_and_processes() {
    let mut cases = case::load(Path::new(CORPUS)).unwrap_or_else(|errors| panic!("{errors}"));
    let chosen =
        ["res-fork-bomb.py", "res-memory-many.py", "res-memory-one.py", "res-thread-bomb.py"];
    cases.retain(|case| chosen.contains(&case.name.as_str()));
    assert_eq!(cases.len(), chosen.len());
    for case in cases {
        let script = format!("{CORPUS}/{}", case.name);
        let seen = unwatched(&script, &case.options, true);
        assert_eq!(case::escaped(&seen), None, "{}: {seen:#}", case.name);
        assert_eq!(case.expect.unmet(&seen), None, "{}: {seen:#}", case.name);
        let isolation = seen["isolation"].as_array().unwrap();
        assert!(isolation.contains(&Value::from("cgroup")), "{seen:#}");
        assert!(!isolation.contains(&Value::from("rlimits")), "{seen:#}");
        let seen = unwatched(&script, &case.options, false);
        assert!(case::escaped(&seen).is_some(), "{}: {seen:#}", case.name);
    }
}
