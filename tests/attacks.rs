//! The attack corpus against the real sandbox: every script in `attacks/` must fail, as root and
//! as an ordinary user, and must succeed once the layers that stop it are off.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

mod harness;

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use aictl_api::layer::Layer;
use harness::{
    case::{self, Case, WATCHES},
    run::{Seen, Way, in_parallel, run},
    world::World,
};
use nix::unistd::geteuid;

/// The user and group of the ordinary user; no such user needs to exist.
const ORDINARY: u32 = 12345;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks")
}

fn cases() -> Vec<Case> {
    case::load(&corpus()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The cases to run: all, or those whose name holds the text in `AICTL_TEST_ONLY`.
fn chosen() -> Vec<Case> {
    let only = env::var("AICTL_TEST_ONLY").unwrap_or_default();
    let chosen: Vec<Case> = cases().into_iter().filter(|case| case.name.contains(&only)).collect();
    assert!(!chosen.is_empty(), "no case is called {only}");
    chosen
}

fn has_programs(directory: &Path) -> bool {
    ["aictl", "aictl-sandboxd"].iter().all(|name| directory.join(name).is_file())
}

/// Where the programs under test are.
fn programs() -> PathBuf {
    let beside = || {
        let mut path = env::current_exe().unwrap();
        path.pop();
        path.pop();
        path
    };
    let directory = env::var_os("AICTL_BIN_DIR").map_or_else(beside, PathBuf::from);
    assert!(
        has_programs(&directory),
        "no aictl and aictl-sandboxd in {}: run `cargo xtask test`",
        directory.display()
    );
    directory
}

/// Where the programs are whose layers can be switched off; they are built if need be.
fn weak_programs() -> PathBuf {
    if let Some(directory) = env::var_os("AICTL_WEAK_BIN_DIR").map(PathBuf::from) {
        assert!(has_programs(&directory), "no programs in {}", directory.display());
        return directory;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = root.join("target/weak");
    let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--locked", "-p", "aictl", "-p", "aictl-sandbox"])
        .args(["--features", "aictl-sandbox/weaken", "--target-dir"])
        .arg(&target)
        .current_dir(&root)
        .status()
        .unwrap();
    assert!(built.success(), "the programs with switches for their layers do not build");
    target.join("debug")
}

/// The written list of system calls, as sandboxd prints it.
fn syscalls(programs: &Path) -> String {
    let printed =
        Command::new(programs.join("aictl-sandboxd")).arg("--print-syscalls").output().unwrap();
    assert!(printed.status.success(), "--print-syscalls: {printed:?}");
    String::from_utf8(printed.stdout).unwrap()
}

/// Waits until `list` is empty, since other programs' files and processes come and go; what is
/// still there after a while.
fn remaining<T>(list: impl Fn() -> Vec<T>) -> Vec<T> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let left = list();
        if left.is_empty() || Instant::now() > end {
            return left;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Runs `cases` in `world`, and returns the report of each that `wrong` objects to.
fn failures(
    world: &World,
    cases: &[Case],
    way: impl Fn(&Case) -> Way + Sync,
    wrong: impl Fn(&Case, &Seen) -> Option<String> + Sync,
) -> Vec<String> {
    let syscalls = syscalls(&world.directory.join("bin"));
    in_parallel(cases, |case| {
        let why = match run(world, case, &way(case), &syscalls) {
            Err(error) => error.to_string(),
            Ok(seen) => format!("{}\n{seen}", wrong(case, &seen)?),
        };
        Some(format!("--- {}: {}\n{why}", case.name, case.attack))
    })
    .into_iter()
    .flatten()
    .collect()
}

/// All cases must be contained, and nothing may be left behind.
fn all_contained(who: &str, user: Option<u32>, weaken: Option<&str>, cases: &[Case]) {
    let world = World::new(&programs(), &corpus()).unwrap();
    let way = Way { user, weaken: weaken.map(str::to_owned), ..Way::default() };
    let mut failures = failures(
        &world,
        cases,
        |_| way.clone(),
        |case, seen| {
            seen.not_contained(case)
                .or_else(|| (weaken.is_none()).then(|| seen.lacks(case)).flatten())
        },
    );
    let contained = cases.len() - failures.len();
    let left = remaining(|| [world.all_processes(), world.programs()].concat());
    if !left.is_empty() {
        failures.push(format!("--- processes are left: {left:?}"));
    }
    failures.extend(world.visitors().iter().map(|who| format!("--- somebody knocked: {who}")));
    let traces = remaining(|| world.traces().unwrap());
    failures.extend(traces.iter().map(|trace| format!("--- left: {trace}")));
    eprintln!("{contained} of {} contained {who}", cases.len());
    assert!(
        failures.is_empty(),
        "{contained} of {} contained {who}\n{}",
        cases.len(),
        failures.join("\n")
    );
}

#[test]
fn contained_as_root() {
    if !geteuid().is_root() {
        eprintln!("NOT RUN: the attack corpus as root, because this test is not root");
        assert!(env::var_os("AICTL_TEST_STRICT").is_none_or(|value| value != "1"), "not root");
        return;
    }
    all_contained("as root", None, None, &chosen());
}

#[test]
fn contained_as_an_ordinary_user() {
    let user = geteuid().is_root().then_some(ORDINARY);
    all_contained("as an ordinary user", user, None, &chosen());
}

#[test]
fn every_attack_works_with_its_layers_off() {
    let _alone = LAYERS_ARE_OFF.lock().unwrap_or_else(PoisonError::into_inner);
    let world = World::new(&weak_programs(), &corpus()).unwrap();
    let (none, cases): (Vec<Case>, Vec<Case>) = chosen().into_iter().partition(|c| c.off.none);
    let failures = failures(
        &world,
        &cases,
        |case| Way {
            user: None,
            weaken: Some(case.off.layers.join(",")),
            control: case.off.control,
            ..Way::default()
        },
        |case, seen| {
            (!seen.attack_works(case)).then(|| format!("no escape with these off: {:?}", case.off))
        },
    );
    let works = cases.len() - failures.len();
    let left = remaining(|| [world.all_processes(), world.programs()].concat());
    assert!(left.is_empty(), "processes are left: {left:?}");
    eprintln!(
        "{works} of {} attacks work with their layers off; {} untested",
        cases.len(),
        none.len()
    );
    assert!(
        failures.is_empty(),
        "{works} of {} attacks work with their layers off\n{}",
        cases.len(),
        failures.join("\n")
    );
}

/// Held by who leaves layers off: without a root of their own, runs of one case share their script.
static LAYERS_ARE_OFF: Mutex<()> = Mutex::new(());

/// Two that need a place of their own to write to. The host's root under Landlock's rules has none.
const NEED_ROOM: [&str; 2] = ["fs-link-race.py", "fs-symlink-work.py"];

/// Whether a layer, with these off, would end a run for others' doing: all processes of the host are
/// one run's where it has no pid namespace.
fn counts_the_host(layer: &str, off: &[String]) -> bool {
    layer == "watch" && off.iter().any(|layer| layer == "pid-ns")
}

/// What else is off where one of several layers is on, all of which are off before the attack works.
fn with_one_on(case: &Case) -> Vec<(&str, Vec<String>)> {
    let off = |on: &String| -> Vec<String> {
        case.off.layers.iter().filter(|layer| *layer != on).cloned().collect()
    };
    let has_no_room = |on: &str| on == "landlock" && NEED_ROOM.contains(&case.name.as_str());
    let sets = case.off.layers.iter().map(|on| (on.as_str(), off(on)));
    sets.filter(|(on, off)| !counts_the_host(on, off) && !has_no_room(on)).collect()
}

#[test]
fn each_layer_that_an_attack_names_stops_it_alone() {
    let _alone = LAYERS_ARE_OFF.lock().unwrap_or_else(PoisonError::into_inner);
    let world = World::new(&weak_programs(), &corpus()).unwrap();
    let syscalls = syscalls(&world.directory.join("bin"));
    let several = |case: &Case| case.off.layers.len() > 1 && !case.off.control;
    let cases: Vec<Case> = chosen().into_iter().filter(several).collect();
    // Those of one case one after the other, for the same reason.
    let failures: Vec<String> = in_parallel(&cases, |case| {
        let failures = with_one_on(case).into_iter().filter_map(|(on, off)| {
            let way = Way { weaken: Some(off.join(",")), ..Way::default() };
            let why = match run(&world, case, &way, &syscalls) {
                Err(error) => error.to_string(),
                Ok(seen) => format!("{}\n{seen}", seen.not_contained(case)?),
            };
            Some(format!("--- {}: {on} alone does not stop it: {why}", case.name))
        });
        failures.collect::<Vec<_>>()
    })
    .into_iter()
    .flatten()
    .collect();
    let count: usize = cases.iter().map(|case| with_one_on(case).len()).sum();
    eprintln!("{} of {count} times a layer stops an attack alone", count - failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_build_for_use_has_no_switches() {
    let one_each: Vec<Case> = cases()
        .into_iter()
        .filter(|case| {
            ["fs-read-secret-tmp.py", "net-tcp-host.py", "proc-list.py", "seccomp-unshare.py"]
                .contains(&case.name.as_str())
        })
        .collect();
    assert_eq!(one_each.len(), 4);
    let words: Vec<&str> = Layer::ALL.iter().map(|l| l.name()).chain(WATCHES).collect();
    all_contained("with AICTL_WEAKEN set", None, Some(&words.join(",")), &one_each);
}

#[test]
fn the_corpus_is_well_formed() {
    let cases = cases();
    assert!(cases.len() >= 40, "{} cases", cases.len());
    let attacks: BTreeSet<&str> = cases.iter().map(|case| case.attack.as_str()).collect();
    assert_eq!(attacks.len(), cases.len(), "two cases try the same");
    let untested: Vec<&str> =
        cases.iter().filter(|case| case.off.none).map(|case| case.name.as_str()).collect();
    assert!(untested.len() < 5, "too many cases are never seen to fail: {untested:?}");
    let mut alone = BTreeSet::new();
    for case in cases.iter().filter(|case| !case.off.none && !case.off.control) {
        // That one is always on: without it nobody but root makes the others.
        let always_on = |layer: &&String| *layer != "user-ns";
        let stopped: BTreeSet<_> = case.stopped_by.iter().filter(always_on).collect();
        let stops = |layer: &&String| !counts_the_host(layer, &case.off.layers);
        let off: BTreeSet<_> = case.off.layers.iter().filter(stops).collect();
        assert_eq!(stopped, off, "{}: what stops it is what is off before it works", case.name);
        if off.len() == 1 {
            alone.extend(off.into_iter().map(String::as_str));
        }
    }
    // Each layer and each watch is the one thing that stops some attack.
    for word in Layer::ALL.iter().map(|layer| layer.name()).chain(WATCHES) {
        match word {
            // Always on, and not there without delegation, which is for the virtual machine.
            "user-ns" | "cgroup" => {}
            // All calls that lead there the filter forbids: it stops an attack only where that is off.
            "ipc-ns" => assert!(!alone.contains(word)),
            _ => assert!(alone.contains(word), "no case shows what {word} alone is for"),
        }
    }
}
