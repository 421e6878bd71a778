//! `cargo xtask dist`: the packages, each made of what `cargo xtask install` installs.
//!
//! Debian's own tools make the Debian package, and rpm's the other one. cargo-deb and
//! cargo-generate-rpm would want a list of files of their own, beside the table of `install`.

pub mod deb;
mod libraries;
pub mod rpm;
mod tree;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use crate::args::DistOptions;
use crate::debian::{self, Need};
use crate::failure::Failure;
use crate::workspace::Workspace;

/// What makes a Debian package.
pub const NEEDS: &[Need] = &[
    Need { program: "dpkg-deb", package: "dpkg" },
    Need { program: "dpkg-shlibdeps", package: "dpkg-dev" },
    Need { program: "strip", package: "binutils" },
    Need { program: "gzip", package: "gzip" },
];
/// What makes the package for systems of rpm.
pub const RPM_NEEDS: &[Need] = &[Need { program: "rpmbuild", package: "rpm" }];

/// When a package says that it was made, in seconds since 1970: the same for the same commit.
const EPOCH_VARIABLE: &str = "SOURCE_DATE_EPOCH";
/// Who answers for the packages, which Debian's policy wants to be an address (5.6.2). This one reaches
/// nobody (RFC 2606): whoever publishes packages puts their own here.
const MAINTAINER: &str = "The aictl authors <maintainers@aictl.example>";
/// What is packaged, in a line. (Cargo's description is a sentence; policy wants none.)
const SYNOPSIS: &str = "see, steer and safely use the AI services of a machine";
/// The same at length, a paragraph each.
const ABOUT: [&str; 3] = [
    "aictl shows every AI service of a Linux machine at a glance, with its health, models, memory \
     and GPUs, and acts on it for those whom polkit lets, without sudo.",
    "It also runs code that nobody has looked at, such as a model's, in a sandbox without network \
     and without any file of the user's, with limits on time, memory, processes and output.",
    "A helper that has no privilege does so for all users, on their call over D-Bus, and leaves a \
     record of every call in the journal.",
];

/// An edition of the package.
#[derive(Debug, Clone, Copy)]
pub struct Edition {
    /// Counts the packages of one version of aictl, from 1.
    pub revision: u32,
    /// When it was made, in seconds since 1970.
    pub time: u64,
    /// Whether it is to be made quickly rather than small.
    pub quick: bool,
}

/// Builds the programs as they are shipped, and the packages of them in `target/package`.
///
/// # Errors
/// A failure if something cannot be built or written.
pub fn run(workspace: &Workspace, options: &DistOptions) -> Result<bool, Failure> {
    require(NEEDS)?;
    if options.rpm {
        require(RPM_NEEDS)?;
    }
    workspace.build_shipped()?;
    let into = workspace.target.join("package");
    let edition = Edition { revision: 1, time: time(workspace), quick: false };
    let program = |name: &str| workspace.shipped(name);
    let mut packages = vec![deb::build(workspace, program, &edition, &into)?];
    if options.rpm {
        packages.push(rpm::build(workspace, program, &edition, &into)?);
    }
    for name in Workspace::programs() {
        report(&program(name), &format!("{name}, a program"))?;
    }
    for package in packages {
        report(&package, &package.display().to_string())?;
    }
    Ok(true)
}

/// Installs what is absent of `needs`, if that can be done.
fn require(needs: &'static [Need]) -> Result<(), Failure> {
    match debian::provide(needs, debian::can_install()).first() {
        Some(missing) => Err(Failure::Needs(missing.to_string())),
        None => Ok(()),
    }
}

/// Prints a file's size.
fn report(path: &Path, what: &str) -> Result<(), Failure> {
    let metadata = fs::metadata(path).map_err(|error| file("cannot read", path, error))?;
    println!("{:>10} bytes  {what}", metadata.len());
    Ok(())
}

/// The time of the edition: what the environment says, else that of the commit, else that of the
/// list of changes.
fn time(workspace: &Workspace) -> u64 {
    let given = env::var(EPOCH_VARIABLE).ok().and_then(|text| text.parse().ok());
    let commit = || {
        let mut git = workspace.command("git");
        git.args(["log", "-1", "--format=%ct"]).current_dir(&workspace.root).stdin(Stdio::null());
        let output = git.stderr(Stdio::null()).output().ok().filter(|it| it.status.success())?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    let changes = || {
        let modified = fs::metadata(workspace.root.join("CHANGELOG.md")).ok()?.modified().ok()?;
        modified.duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs())
    };
    given.or_else(commit).or_else(changes).unwrap_or_default()
}

/// What a command prints on standard output. What it complains of is told if it fails: dpkg-shlibdeps
/// complains of every program that is linked statically.
fn output_of(mut command: Command, name: &str) -> Result<String, Failure> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| Failure::Start { program: name.to_owned(), source })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        Err(Failure::Ended { command: name.to_owned(), status: output.status })
    }
}

/// The error of a file that could not be used.
fn file(what: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Failure {
    Failure::File { what, path: path.into(), source }
}

#[cfg(test)]
mod tests;
