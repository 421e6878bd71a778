//! Attacks with every layer there is, control groups among them.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    guest::group_of,
    harness::{
        case::{self, Case},
        run::{Way, in_parallel, run},
        world::World,
    },
};

/// The unit that these tests run in; its control groups are theirs.
const UNIT: &str = "payload.service";
/// Where the corpus is.
const CORPUS: &str = "/mnt/attacks";

/// Whether a control group, or what it counts, makes a difference to a case. All of them would take
/// an emulated machine a quarter of an hour.
fn is_chosen(case: &Case) -> bool {
    let others = ["forge-out-of-memory.py", "fs-cgroup-write.py", "seccomp-sweep.py"];
    case.name.starts_with("res-") || others.contains(&case.name.as_str())
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

#[test]
fn attacks_on_limits_are_contained_and_no_layer_is_missing() {
    let unit = group_of(UNIT);
    fs::write(unit.join("cgroup.subtree_control"), "+cpu +memory +pids").unwrap();
    let mut cases = case::load(Path::new(CORPUS)).unwrap_or_else(|errors| panic!("{errors}"));
    cases.retain(is_chosen);
    assert!(cases.len() > 30, "{} cases", cases.len());
    let world = World::new(&programs(), Path::new(CORPUS)).unwrap();
    let printed =
        Command::new("/run/programs/aictl-sandboxd").arg("--print-syscalls").output().unwrap();
    let syscalls = String::from_utf8(printed.stdout).unwrap();
    let way = Way { user: Some(1000), delegated: Some(unit), ..Way::default() };
    let failures: Vec<String> = in_parallel(&cases, |case| {
        let why = match run(&world, case, &way, &syscalls) {
            Err(error) => Some(error.to_string()),
            Ok(seen) => {
                let why = seen.not_contained(case).or_else(|| seen.missing());
                why.map(|why| format!("{why}\n{seen}"))
            }
        };
        why.map(|why| format!("--- {}: {}\n{why}", case.name, case.attack))
    })
    .into_iter()
    .flatten()
    .collect();
    let contained = cases.len() - failures.len();
    eprintln!("{contained} of {} contained", cases.len());
    assert!(failures.is_empty(), "{contained} of {}\n{}", cases.len(), failures.join("\n"));
    let left = [world.processes(&world.marker), world.programs()].concat();
    assert!(left.is_empty(), "processes are left: {left:?}");
    let visitors = world.visitors();
    assert!(visitors.is_empty(), "somebody knocked: {visitors:?}");
    let traces = world.traces().unwrap();
    assert!(traces.is_empty(), "left: {traces:?}");
}
