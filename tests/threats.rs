//! THREATS.md against the tests that it speaks of.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Whose every test is about an attack: the names that the page has for them, and the sources.
const HOSTILE: [(&str, &str); 13] = [
    ("machine::hostile", "tests/machine/hostile.rs"),
    ("machine::corpus", "tests/machine/corpus.rs"),
    ("machine::direct", "tests/machine/direct.rs"),
    ("machine::fairness", "tests/machine/fairness.rs"),
    ("machine::kills", "tests/machine/kills.rs"),
    ("machine::odd", "tests/machine/odd.rs"),
    ("sandboxd", "crates/aictl-sandbox/tests/service.rs"),
    ("vm::attacks", "tests/vm/attacks.rs"),
    ("vm::groups", "tests/vm/groups.rs"),
    ("vm::layers", "tests/vm/layers.rs"),
    ("vm::limits", "tests/vm/limits.rs"),
    ("vm::knobs", "tests/vm/knobs.rs"),
    ("vm::service", "tests/vm/service.rs"),
];

/// Some of whose tests are about an attack.
const SOME: [(&str, &str); 12] = [
    ("status", "crates/aictl/src/status/plan.rs"),
    ("helper::authorisation", "crates/aictld/tests/helper/authorisation.rs"),
    ("helper::peer", "crates/aictld/tests/helper/peer.rs"),
    ("machine::sandbox", "tests/machine/sandbox.rs"),
    ("helper::sandbox", "crates/aictld/tests/helper/sandbox.rs"),
    ("helper::order", "crates/aictld/src/runs/order.rs"),
    ("helper::queue", "crates/aictld/src/runs/queue.rs"),
    ("helper::drive", "crates/aictld/src/runs/drive.rs"),
    ("helper::porter", "crates/aictld/src/porter.rs"),
    ("helper::door", "crates/aictld/src/peer/door.rs"),
    ("protocol", "crates/aictl-sandbox/src/protocol.rs"),
    ("copies", "crates/aictl-sandbox/src/engine/tests/copies.rs"),
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words of a line of a script's head.
fn words(script: &str, key: &str) -> BTreeSet<String> {
    let line = script.lines().find_map(|line| line.strip_prefix(&format!("# {key}: ")));
    line.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// The attack corpus: each case with the layers that stop it.
fn corpus() -> BTreeMap<String, BTreeSet<String>> {
    let files = fs::read_dir(repository().join("tests/attacks")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let is_case = |path: &PathBuf| path.extension().is_some_and(|end| end == "py" || end == "sh");
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths.filter(is_case).map(|path| (name(&path), words(&read(&path), "stopped-by"))).collect()
}

/// The tests of a source file, but for those that other tests run.
fn tests(source: &str) -> Vec<String> {
    let text = read(source);
    let text = text.replace("#[tokio::test]\n", "#[test]\n");
    let text = text.replace("#[tokio::test(start_paused = true)]\n", "#[test]\n");
    let after = text.split("#[test]\n").skip(1).filter(|text| !text.starts_with("#[ignore"));
    let name = |text: &str| {
        let line = text.lines().find_map(|line| {
            let line = line.trim();
            line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")
        });
        line.and_then(|line| line.split_once('(')).unwrap().0.to_owned()
    };
    after.map(name).collect()
}

/// All that the page names in backquotes and that can be only a case or a test.
fn named(page: &str) -> Vec<String> {
    let is_one = |word: &&str| {
        word.ends_with(".py") || word.ends_with(".sh") || word.split("::").count() > 1
    };
    page.split('`').skip(1).step_by(2).filter(is_one).map(str::to_owned).collect()
}

/// Rows of the page's tables: what stops it, and what proves it.
fn rows(page: &str) -> Vec<(BTreeSet<String>, Vec<String>)> {
    let cells = page.lines().filter(|line| line.starts_with('|')).map(|line| {
        line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    });
    let is_row = |cells: &Vec<String>| !cells[0].starts_with('-') && cells[1] != "Stopped by";
    let row = |cells: Vec<String>| {
        let [_, stopped, proof] = &cells[..] else { panic!("three cells, not {cells:?}") };
        (stopped.split(", ").map(str::to_owned).collect(), named(proof))
    };
    cells.filter(is_row).map(row).collect()
}

#[test]
fn every_case_that_is_named_exists_and_every_case_is_named_once() {
    let page = read("tests/THREATS.md");
    let mut there: Vec<String> = corpus().into_keys().collect();
    for (name, source) in HOSTILE {
        there.extend(tests(source).iter().map(|test| format!("{name}::{test}")));
    }
    there.sort();
    let mut named = named(&page);
    named.retain(|word| word != "tier::test");
    named.sort();
    let missing: Vec<_> = there.iter().filter(|name| !named.contains(name)).collect();
    assert!(missing.is_empty(), "THREATS.md does not name {missing:#?}");
    for (name, source) in SOME {
        there.extend(tests(source).iter().map(|test| format!("{name}::{test}")));
    }
    let unknown: Vec<_> = named.iter().filter(|name| !there.contains(name)).collect();
    assert!(unknown.is_empty(), "THREATS.md names what is not there: {unknown:#?}");
    let twice: Vec<_> = named.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "THREATS.md names twice: {twice:#?}");
}

#[test]
fn a_row_has_the_layers_of_its_cases() {
    let corpus = corpus();
    let rows = rows(&read("tests/THREATS.md"));
    assert!(rows.len() > 20, "{} rows", rows.len());
    for (stopped, proof) in rows {
        assert!(!proof.is_empty(), "nothing proves that {stopped:?} stops it");
        let layers: BTreeSet<String> =
            proof.iter().filter_map(|case| corpus.get(case)).flatten().cloned().collect();
        // Control groups are seen at work in the virtual machine alone.
        let of_vm = proof.iter().any(|case| case.starts_with("vm::")) && stopped.contains("cgroup");
        let want = if of_vm { &layers | &BTreeSet::from(["cgroup".to_owned()]) } else { layers };
        if !want.is_empty() {
            assert_eq!(stopped, want, "{proof:?}");
        }
    }
}
