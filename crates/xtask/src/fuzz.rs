//! `cargo xtask test fuzz`: what reads bytes of others gets what libFuzzer makes up, for a while.
//!
//! libFuzzer wants to know which way a program went. The compiler's own passes tell it, which a
//! stable compiler has too; without the sanitizers, a panic and a failed assertion are what is found.

use std::fs;
use std::path::{Path, PathBuf};

use crate::args::TestOptions;
use crate::debian::{self, Need};
use crate::failure::Failure;
use crate::workspace::{self, Workspace};

/// libFuzzer is written in C++; the checker's parser is held against Python's.
pub const NEEDS: &[Need] =
    &[Need { program: "c++", package: "g++" }, Need { program: "python3", package: "python3" }];

/// What is fed, each a program in tests/fuzz.
const TARGETS: [&str; 7] =
    ["frames", "config", "redactor", "listeners", "checker", "python", "providers"];
/// Those that are fed with Python, and so with the standard library's files too.
const OF_PYTHON: [&str; 2] = ["checker", "python"];

/// How long each is fed, in seconds, unless told otherwise.
pub const DEFAULT_SECONDS: u32 = 10;
/// The longest time that can be asked for, in seconds.
pub const MAX_SECONDS: u32 = 86_400;

/// What makes the compiler tell libFuzzer of edges and comparisons, as cargo-fuzz asks for it.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
                     -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                     -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// The longest input, in bytes: longer ones are slow, and say little more.
const MAX_LENGTH: &str = "-max_len=8192";
/// What takes longer than this, in seconds, counts as a fault.
const SLOW: &str = "-timeout=10";

/// Feeds each target; returns what could not be run.
///
/// # Errors
/// A failure if the targets do not build, or if one has a fault; libFuzzer has said where the input
/// is.
pub fn run(workspace: &Workspace, options: &TestOptions) -> Result<Vec<String>, Failure> {
    if let Some(lacking) = NEEDS.iter().find(|need| !debian::is_installed(need.program)) {
        return Ok(vec![format!("all of it, without {}", lacking.program)]);
    }
    let directory = workspace.root.join("tests/fuzz");
    let target = workspace.target.join("fuzz");
    // For the host by its name: the flags are not for what runs while it is built.
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut build = workspace.cargo(&["build", "--quiet", "--bins", "--target", &host]);
    build.arg("--manifest-path").arg(directory.join("Cargo.toml"));
    build.arg("--target-dir").arg(&target).env("RUSTFLAGS", FLAGS);
    if options.strict {
        build.arg("--locked");
    }
    workspace::run(build, "cargo build (tests/fuzz)")?;
    let mut failed = Ok(());
    for name in TARGETS {
        let program = target.join(&host).join("debug").join(name);
        failed = failed.and(feed(workspace, name, &program, options.seconds));
    }
    failed.map(|()| Vec::new())
}

/// Feeds one target with the seeds, with what was found in earlier runs, and with what comes of it.
fn feed(workspace: &Workspace, name: &str, program: &Path, seconds: u32) -> Result<(), Failure> {
    let found = workspace.target.join("fuzz/found").join(name);
    fs::create_dir_all(&found).map_err(|source| Failure::File {
        what: "cannot make",
        path: found.clone(),
        source,
    })?;
    eprintln!("{name}: {seconds} s");
    let mut prefix = std::ffi::OsString::from("-artifact_prefix=");
    prefix.push(found.join("fault-"));
    let mut command = workspace.command(program);
    command
        .arg(format!("-max_total_time={seconds}"))
        .args([MAX_LENGTH, SLOW, "-verbosity=0", "-print_final_stats=1"])
        .arg(prefix)
        .arg(&found)
        .arg(workspace.root.join("tests/fuzz/seeds").join(name));
    if OF_PYTHON.contains(&name) {
        command.arg(standard_library(workspace)?);
    }
    workspace::run(command, name)
}

/// The small files of this machine's Python, in one directory: its own is much too large.
fn standard_library(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let to = workspace.target.join("fuzz/standard-library");
    let failed = |what, path: &Path| {
        let path = path.to_owned();
        move |source| Failure::File { what, path, source }
    };
    fs::create_dir_all(&to).map_err(failed("cannot make", &to))?;
    // Where Debian has it; without any there are the seeds.
    for root in fs::read_dir("/usr/lib").into_iter().flatten().flatten() {
        if !root.file_name().to_string_lossy().starts_with("python3.") {
            continue;
        }
        for file in fs::read_dir(root.path()).into_iter().flatten().flatten() {
            let is_small = file.metadata().is_ok_and(|file| file.is_file() && file.len() <= 8192);
            if is_small && file.path().extension().is_some_and(|end| end == "py") {
                let copy = to.join(file.file_name());
                fs::copy(file.path(), &copy).map_err(failed("cannot write", &copy))?;
            }
        }
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_is_a_program_with_seeds() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz");
        let manifest = fs::read_to_string(directory.join("Cargo.toml")).unwrap();
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
        for name in TARGETS {
            assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name}");
            assert!(directory.join(format!("fuzz_targets/{name}.rs")).is_file(), "{name}");
            assert!(fs::read_dir(directory.join("seeds").join(name)).unwrap().count() > 0);
        }
    }
}
