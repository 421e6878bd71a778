//! The attack corpus as the helper runs it: each script by `aictl run` of an ordinary user, several
//! at once.
//!
//! What the attacks look for has to be where they are: this test program goes into the machine, and
//! [`inside`] is run there.

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use aictl_api::run::Start;

use crate::{
    harness::{
        case::{self, Case},
        run::{Way, in_parallel, run},
        world::World,
    },
    machine::{Machine, Who, machine},
};

/// Where everything goes in the machine: what is below it is not looked at after an uninstall.
const PLACE: &str = "/opt/corpus";
/// Only cases with this text in their names, if it is set, as in every tier.
const ONLY: &str = "AICTL_TEST_ONLY";
/// How the interpreters of all runs are to be started (`start` in their reports).
const START: &str = "AICTL_TEST_START";
/// Anna's uid.
const ANNA: u32 = 1000;

/// Copies this program and the corpus into the machine.
fn move_in(machine: &Machine) {
    let place = machine.path(PLACE);
    let _absent = fs::remove_dir_all(&place);
    fs::create_dir_all(place.join("attacks")).unwrap();
    fs::copy(env::current_exe().unwrap(), place.join("test")).unwrap();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks");
    for entry in fs::read_dir(corpus).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), place.join("attacks").join(entry.file_name())).unwrap();
    }
    for name in ["", "attacks", "test"] {
        fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Runs the corpus in the machine with interpreters that are started so; returns how many cases
/// there were.
#[track_caller]
fn contained(machine: &Machine, start: Start) -> usize {
    move_in(machine);
    let start = format!("{START}={}", start.name());
    let only = format!("{ONLY}={}", env::var(ONLY).unwrap_or_default());
    let test = format!("{PLACE}/test");
    let argv =
        ["env", &only, &start, &test, "--exact", "corpus::inside", "--ignored", "--nocapture"];
    let ran = machine.run(Who::Root, &argv);
    println!("{}", ran.stderr);
    let told = ran.stderr.lines().rev().find_map(|line| line.strip_suffix(" contained"));
    let count = told.and_then(|line| line.split_once(" of "));
    let count = count.and_then(|(count, of)| (count == of).then(|| of.parse().ok()).flatten());
    assert_eq!(ran.code, Some(0), "{ran}");
    count.unwrap_or_else(|| panic!("{ran}"))
}

/// The records of runs that ended since the machine was taken.
fn records(machine: &Machine, cursor: &str) -> usize {
    let id = format!("MESSAGE_ID={}", aictl_api::audit::RAN);
    let after = format!("--after-cursor={cursor}");
    let argv = ["journalctl", "--quiet", "--output=cat", &after, &id, "AICTL_CALLER_UID=1000"];
    machine.root(&argv).lines().count()
}

/// Each way in which interpreters are started; the helper's configuration that has them started so,
/// and the options of sandboxd.
const STARTS: &[(Start, &str, &str)] = &[
    (Start::Cold, "warm = false", ""),
    (Start::Warm, "warm = true", ""),
    (Start::Forked, "warm = true", "--warm 0"),
];

/// Where this machine's sandboxd has its options, and where it gets others.
const COMMAND: &str = "/etc/systemd/system/aictl-sandboxd.service.d/no-controllers.conf";
const OPTIONS: &str = "/etc/systemd/system/aictl-sandboxd.service.d/options.conf";

/// Starts sandboxd anew with these options besides its own.
fn with_options(machine: &Machine, options: &str) {
    const UNIT: &str = "aictl-sandboxd.service";
    machine.remove(OPTIONS);
    machine.root(&["systemctl", "daemon-reload"]);
    if !options.is_empty() {
        let text = fs::read_to_string(machine.path(COMMAND)).unwrap();
        let exec = text.lines().find(|line| line.starts_with("ExecStart=/")).unwrap();
        machine.write(OPTIONS, &format!("[Service]\nExecStart=\n{exec} {options}\n"));
        machine.root(&["systemctl", "daemon-reload"]);
    }
    machine.stop(UNIT);
    let exec = machine.property(UNIT, "ExecStart");
    assert!(exec.contains(options), "{exec}");
}

#[test]
fn all_attacks_are_contained_through_the_helper() {
    let starts: Vec<Start> = STARTS.iter().map(|(start, ..)| *start).collect();
    assert_eq!(starts, Start::ALL, "the corpus runs with each of them");
    let machine = machine();
    // Both services have the directories that systemd makes for them before what is left is sought.
    machine.let_all_run("");
    machine.write("/tmp/script.py", "print('begun')");
    machine.root(&["aictl", "run", "/tmp/script.py"]);
    for &(start, sandbox, options) in STARTS {
        machine.let_all_run(sandbox);
        with_options(&machine, options);
        machine.root(&["systemctl", "try-reload-or-restart", "aictld.service"]);
        let cursor = machine.now();
        let count = contained(&machine, start);
        assert!(count >= 80 || env::var_os(ONLY).is_some(), "{start:?}: {count} cases");
        // It was the helper that had them run.
        machine.wait_for("the records of all runs", || records(&machine, &cursor) >= count);
    }
    with_options(&machine, "");
}

/// The installed programs beside each other.
fn programs() -> PathBuf {
    let directory = Path::new(PLACE).join("bin");
    fs::create_dir_all(&directory).unwrap();
    for program in ["/usr/bin/aictl", "/usr/libexec/aictl/aictl-sandboxd"] {
        let name = Path::new(program).file_name().unwrap();
        let _there = symlink(program, directory.join(name));
    }
    directory
}

/// Runs a case; why it is not contained, if it is not.
fn failure(world: &World, case: &Case, syscalls: &str) -> Option<String> {
    let start = env::var(START).ok().and_then(|word| Start::from_name(&word));
    let way = Way { user: Some(ANNA), start, ..Way::default() };
    let why = match run(world, case, &way, syscalls) {
        Err(error) => error.to_string(),
        Ok(seen) => {
            let why = seen.not_contained(case).or_else(|| seen.lacks(case))?;
            format!("{why}\n{seen}")
        }
    };
    Some(format!("--- {}: {}\n{why}", case.name, case.attack))
}

#[test]
#[ignore = "it is run by the other, in the machine"]
fn inside() {
    let corpus = Path::new(PLACE).join("attacks");
    let mut cases = case::load(&corpus).unwrap_or_else(|errors| panic!("{errors}"));
    let only = env::var(ONLY).unwrap_or_default();
    cases.retain(|case| case.name.contains(&only));
    let world = World::new(&programs(), &corpus).unwrap();
    let sandboxd = world.directory.join("bin/aictl-sandboxd");
    let printed = Command::new(sandboxd).arg("--print-syscalls").output().unwrap();
    let syscalls = String::from_utf8(printed.stdout).unwrap();
    let failures: Vec<String> = in_parallel(&cases, |case| failure(&world, case, &syscalls))
        .into_iter()
        .flatten()
        .collect();
    let contained = cases.len() - failures.len();
    let left = [world.all_processes(), world.programs()].concat();
    let _unheard = writeln!(io::stderr(), "{contained} of {} contained", cases.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(left.is_empty(), "processes are left: {left:?}");
    let visitors = world.visitors();
    assert!(visitors.is_empty(), "somebody knocked: {visitors:?}");
    let traces = world.traces().unwrap();
    assert!(traces.is_empty(), "left: {traces:?}");
}
