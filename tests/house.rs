//! The house itself: what holds for all its files, whoever adds the next one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The crates that are shipped.
const SHIPPED: [&str; 10] = [
    "aictl",
    "aictl-api",
    "aictl-check",
    "aictl-core",
    "aictl-nvml",
    "aictl-oneshot",
    "aictl-providers",
    "aictl-sandbox",
    "aictl-template",
    "aictld",
];
/// Each place that starts a program, and which: journalctl, a program of ours or polkit's agent by a
/// fixed path, a version manager's shim to see where it leads, systemctl. No shell, and none may
/// become one: a new place is looked at by whoever adds it here.
const STARTS: [(&str, &str); 6] = [
    ("aictl-core/src/gpu/nvml.rs", "&program.program"),
    ("aictl-core/src/journal/read.rs", "program"),
    ("aictl-oneshot/src/bin/aictl-unit-file.rs", "SYSTEMCTL"),
    ("aictl-sandbox/src/interpreter/shim.rs", "shim"),
    ("aictl-sandbox/src/static_check.rs", "PROGRAM"),
    ("aictl/src/agent.rs", "PROGRAM"),
];
/// The one module that speaks with the kernel where no crate does, and executes interpreters.
const UNSAFE: &str = "aictl-sandbox/src/sys.rs";
/// Names by which a program is started without `Command`, and by which C starts a shell.
const OTHER_STARTS: [&str; 8] = [
    "execve(",
    "execv(",
    "execvp(",
    "fexecve(",
    "execveat(",
    "posix_spawn(",
    "popen(",
    "::system(",
];
/// What is lint here, for every crate.
const LINTS: [&str; 8] = [
    "missing_docs",
    "unsafe_code",
    "unsafe_op_in_unsafe_fn",
    "unused_qualifications",
    "undocumented_unsafe_blocks",
    "unwrap_used",
    "expect_used",
    "dbg_macro",
];
/// What cargo's own tools look for by its name.
const OF_TOOLS: [&str; 2] = ["clippy.toml", "rustfmt.toml"];
/// Directories whose files are used as a whole, by those who read the directory.
const WHOLE: [&str; 4] =
    ["tests/attacks/", "tests/fuzz/seeds/", "tests/providers/recorded/", "tests/vm/root/"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every file below a directory, by its path from the repository's root, but those that are built
/// and those that begin with a point.
fn files(below: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut directories = vec![repository().join(below)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            match path.is_dir() {
                _ if name.starts_with('.') || name == "target" => {}
                true => directories.push(path),
                false => files.push(short(&path)),
            }
        }
    }
    files.sort();
    files
}

fn short(path: &Path) -> String {
    path.strip_prefix(repository()).unwrap().to_string_lossy().into_owned()
}

fn read(path: &str) -> String {
    String::from_utf8_lossy(&fs::read(repository().join(path)).unwrap()).into_owned()
}

/// What is shipped of a source file: without its comments, and up to its tests.
fn shipped(source: &str) -> String {
    let end = source.find("#[cfg(test)]\nmod tests {").unwrap_or(source.len());
    let lines = source[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a source file is a module of tests alone, as the module that declares it says.
fn is_test(path: &str) -> bool {
    let (directory, file) = path.rsplit_once('/').unwrap();
    let declared = format!("#[cfg(test)]\nmod {};", file.trim_end_matches(".rs"));
    let parents = ["/mod.rs", "/lib.rs", "/main.rs", ".rs"];
    let mut parents = parents.map(|end| format!("{directory}{end}")).into_iter();
    path.contains("/tests/")
        || parents.any(|at| repository().join(&at).is_file() && read(&at).contains(&declared))
}

/// The source files of the shipped crates that are no tests, with what is shipped of each.
fn shipped_sources() -> Vec<(String, String)> {
    let of = |name: &str| files(&format!("crates/{name}/src"));
    let sources = SHIPPED.iter().flat_map(|name| of(name));
    sources
        .filter(|path| path.ends_with(".rs") && !is_test(path))
        .map(|path| (path["crates/".len()..].to_owned(), shipped(&read(&path))))
        .collect()
}

#[test]
fn every_crate_has_the_workspaces_lints_and_one_module_may_be_unsafe() {
    let workspace = read("Cargo.toml");
    for lint in LINTS {
        assert!(workspace.contains(&format!("\n{lint} = ")), "{lint}");
    }
    assert!(workspace.contains("\nunsafe_code = \"deny\"\n"));
    let manifests = files("crates").into_iter().chain(files("tests"));
    for manifest in manifests.filter(|path| path.ends_with("/Cargo.toml")) {
        // The fuzzers are a workspace of their own, and no part of any program.
        if manifest != "tests/fuzz/Cargo.toml" {
            assert!(read(&manifest).contains("\n[lints]\nworkspace = true\n"), "{manifest}");
        }
    }
    for (path, source) in shipped_sources() {
        let allows = source.contains("unsafe_code");
        assert_eq!(allows, path == UNSAFE, "{path}");
    }
    // Where a warning is an error.
    assert!(read(".ci/run").contains("\ncargo xtask check\n"));
}

#[test]
fn programs_are_started_in_known_places_and_none_is_a_shell() {
    let mut found = Vec::new();
    for (path, source) in shipped_sources() {
        for start in source.split("Command::new(").skip(1) {
            let program = start.split(')').next().unwrap().to_owned();
            found.push((path.clone(), program));
        }
        for name in OTHER_STARTS {
            let is_there = source.match_indices(name).any(|(at, _)| {
                !source[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            });
            assert!(!is_there || path == UNSAFE, "{path}: {name}");
        }
    }
    found.sort();
    let known = STARTS.map(|(path, program)| (path.to_owned(), program.to_owned()));
    assert_eq!(found, known);
}

/// The files of Rust that are the root of something, by the manifests.
fn is_root(path: &str, manifests: &BTreeMap<String, String>) -> bool {
    let (directory, file) = path.rsplit_once('/').unwrap();
    let is_target = ["lib.rs", "main.rs", "build.rs"].contains(&file)
        || directory.ends_with("/src/bin")
        || directory.ends_with("/tests") && directory.starts_with("crates/");
    // By its path from its manifest.
    let is_named = manifests.iter().any(|(manifest, text)| {
        let below = path.strip_prefix(manifest.strip_suffix("Cargo.toml").unwrap());
        below.is_some_and(|below| text.contains(&format!("path = \"{below}\"")))
    });
    is_target || is_named
}

#[test]
fn no_source_file_is_dead() {
    let all: Vec<String> = files("crates").into_iter().chain(files("tests")).collect();
    let of = |end: &str| {
        let some = all.iter().filter(|path| path.ends_with(end));
        some.map(|path| (path.clone(), read(path))).collect::<BTreeMap<_, _>>()
    };
    let (sources, manifests) = (of(".rs"), of("/Cargo.toml"));
    let mut dead = Vec::new();
    for path in sources.keys().filter(|path| !is_root(path, &manifests)) {
        let path = PathBuf::from(path);
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let parent = path.parent().unwrap();
        // The module's name, and where it stands.
        let (name, directory) = match stem.as_str() {
            "mod" => (parent.file_name().unwrap().to_string_lossy().into_owned(), parent.parent()),
            _ => (stem, Some(parent)),
        };
        let directory = directory.unwrap().to_string_lossy().into_owned();
        let own = path.to_string_lossy().into_owned();
        let declares = |(at, source): (&String, &String)| {
            let (beside, _) = at.rsplit_once('/').unwrap();
            let is_near = beside == directory || *at == format!("{directory}.rs");
            let is_module = source.lines().any(|line| {
                let line = line.trim();
                let line = line.strip_prefix("pub ").unwrap_or(line);
                let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
                line == format!("mod {name};")
            });
            let by_path = || {
                let paths = source.split("#[path = \"").skip(1);
                let mut paths = paths.filter_map(|rest| rest.split('"').next());
                paths.any(|path| own.ends_with(path.trim_start_matches("../")))
            };
            is_near && is_module || by_path()
        };
        if !sources.iter().any(declares) {
            dead.push(own);
        }
    }
    assert!(dead.is_empty(), "no module of these: {dead:#?}");
}

#[test]
fn no_other_file_is_dead() {
    let all = files("");
    let texts: Vec<(&String, String)> = all.iter().map(|path| (path, read(path))).collect();
    let is_used = |path: &&String| {
        let name = path.rsplit('/').next().unwrap();
        let is_elsewhere =
            |word: &str| texts.iter().any(|(other, text)| *other != *path && text.contains(word));
        // An instance has a name between these two.
        let name = name.split_once('@').map_or(name, |(template, _)| template);
        // What a snapshot is of: a test of that name.
        match name.strip_suffix(".snap").and_then(|name| name.rsplit("__").next()) {
            Some(test) => {
                is_elsewhere(&format!("fn {test}(")) || is_elsewhere(&format!("\"{test}\""))
            }
            None if is_elsewhere(name) => true,
            // A module of Python's is spoken of without its ending.
            None => name
                .strip_suffix(".py")
                .is_some_and(|module| is_elsewhere(&format!("from {module} import "))),
        }
    };
    let is_whole = |path: &&String| WHOLE.iter().any(|whole| path.starts_with(whole));
    let is_of_tool = |path: &&String| OF_TOOLS.contains(&path.as_str());
    let others = all.iter().filter(|path| !path.ends_with(".rs"));
    let others = others.filter(|path| !is_whole(path) && !is_of_tool(path));
    let dead: Vec<_> = others.filter(|path| !is_used(path)).collect();
    assert!(dead.is_empty(), "nobody speaks of these: {dead:#?}");
}

/// What tests may share: the machine, which each takes for itself and gives back as it was; an
/// engine, which every run of the real one is made by too.
const SHARED: [(&str, &str); 3] = [
    ("crates/aictl-sandbox/src/engine/tests.rs", "ENGINE"),
    ("tests/machine/machine.rs", "MACHINE"),
    ("tests/attacks.rs", "LAYERS_ARE_OFF"),
];

/// The tests of a source file: all of it, or what is behind its code.
fn tests_of(path: &str) -> String {
    let source = read(path);
    match path.contains("/src/") && !is_test(path) {
        true => {
            source.split_once("#[cfg(test)]\nmod tests {").map_or("", |(_, tests)| tests).to_owned()
        }
        false => source,
    }
}

/// So that they pass in any order, in which `cargo xtask test` has them run.
#[test]
fn tests_leave_nothing_to_each_other() {
    let all = files("crates").into_iter().chain(files("tests"));
    let is_program =
        |path: &str| ["tests/fuzz/", "tests/fake-nvml/"].iter().any(|at| path.starts_with(at));
    for path in all.filter(|path| path.ends_with(".rs") && !is_program(path)) {
        let tests = tests_of(&path);
        // Of the whole process: its directory, its environment.
        for whole in [["set_current", "_dir("], ["set_", "var("], ["remove_", "var("]]
            .map(|word| word.concat())
        {
            assert!(!tests.contains(&whole), "{path}: {whole}");
        }
        for line in tests.lines().map(str::trim).filter(|line| line.starts_with("static ")) {
            let (name, kind) = line["static ".len()..].split_once(": ").unwrap();
            let is_counter = kind.contains("AtomicU32") && ["COUNT", "NEXT"].contains(&name);
            let is_open = ["Atomic", "Mutex", "RwLock", "Cell", "OnceLock", "LazyLock"]
                .iter()
                .any(|word| kind.contains(word));
            let is_known = SHARED.contains(&(path.as_str(), name));
            assert!(!is_open || is_counter || is_known, "{path}: {line}");
        }
    }
    for tier in ["crates/xtask/src/test.rs", "crates/xtask/src/machine.rs"] {
        let words = r#"["--", "-Z", "unstable-options", "--shuffle"]"#;
        assert!(read(tier).contains(words), "{tier}");
    }
}
