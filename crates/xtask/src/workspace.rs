//! Where the workspace is, and how its programs are built.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::Failure;

/// The profile of the programs that a user gets.
const SHIPPED: &str = "dist";

/// A program that is shipped.
struct Program {
    package: &'static str,
    name: &'static str,
    /// Whether `aictl run` needs it where nothing is installed.
    runs: bool,
    /// Whether it loads libraries while it runs, which one that is linked statically cannot.
    loads: bool,
    /// Whether it is a library, which another program loads.
    is_library: bool,
}

const fn program(package: &'static str, name: &'static str, runs: bool) -> Program {
    Program { package, name, runs, loads: false, is_library: false }
}

/// Every program that is shipped.
const PROGRAMS: &[Program] = &[
    program("aictl", "aictl", true),
    program("aictl-sandbox", "aictl-sandboxd", true),
    program("aictld", "aictld", false),
    program("aictl-oneshot", "aictl-polkit-rules", false),
    program("aictl-oneshot", "aictl-unit-file", false),
    Program { loads: true, ..program("aictl-nvml", "aictl-nvml", false) },
    Program {
        loads: true,
        is_library: true,
        ..program("aictl-template", "libaictl_template.so", false)
    },
];

/// The checkout that cargo started us in.
#[derive(Debug)]
pub struct Workspace {
    /// The directory of the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// Where cargo puts what it builds, `target` unless the user says otherwise.
    pub target: PathBuf,
    cargo: OsString,
    library_path: Option<OsString>,
}

impl Workspace {
    /// Finds the workspace by what `cargo run` tells the program that it starts.
    ///
    /// # Errors
    /// [`Failure::NotUnderCargo`] if the program was started in another way.
    pub fn find() -> Result<Self, Failure> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR").ok_or(Failure::NotUnderCargo)?;
        let root = Path::new(&manifest).ancestors().nth(2).ok_or(Failure::NotUnderCargo)?;
        let exe = env::current_exe().map_err(|_| Failure::NotUnderCargo)?;
        // target/debug/xtask: the profile's directory and the target directory are above.
        let target = exe.ancestors().nth(2).ok_or(Failure::NotUnderCargo)?;
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let library_path = env::var_os("LD_LIBRARY_PATH")
            .and_then(|path| callers_library_path(&path, target, Path::new(&cargo)));
        Ok(Workspace { root: root.to_owned(), target: target.to_owned(), cargo, library_path })
    }

    /// The file name of `name` as built with `profile` (`debug` or `dist`).
    #[must_use]
    pub fn program(&self, profile: &str, name: &str) -> PathBuf {
        self.target.join(profile).join(name)
    }

    /// A `cargo` command in the workspace's root.
    #[must_use]
    pub fn cargo(&self, args: &[&str]) -> Command {
        let mut command = self.command(&self.cargo);
        command.args(args).current_dir(&self.root);
        command
    }

    /// A command with the environment that our own caller had before cargo added to it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        match &self.library_path {
            Some(path) => command.env("LD_LIBRARY_PATH", path),
            None => command.env_remove("LD_LIBRARY_PATH"),
        };
        command
    }

    /// The file name of a program that is shipped, once it is built.
    #[must_use]
    pub fn shipped(&self, name: &str) -> PathBuf {
        self.program(SHIPPED, name)
    }

    /// The names of the programs that are shipped.
    pub fn programs() -> impl Iterator<Item = &'static str> {
        PROGRAMS.iter().map(|program| program.name)
    }

    /// The file name of a program as the tests use it, once it is built.
    #[must_use]
    pub fn debug(&self, name: &str) -> PathBuf {
        self.program("debug", name)
    }

    /// Builds every program that a user gets.
    ///
    /// They are linked statically where that can be, since loading libraries is a good part of a
    /// short program's start. Standard output stays clean. On a terminal, standard error shows what
    /// is being built; if nothing is, it shows nothing.
    ///
    /// # Errors
    /// A failure if cargo does not start or the build fails; cargo has said why.
    pub fn build_shipped(&self) -> Result<(), Failure> {
        PROGRAMS.iter().try_for_each(|program| self.build_program(program))
    }

    /// Builds the same programs as the tests use them.
    ///
    /// # Errors
    /// As there.
    pub fn build_debug(&self) -> Result<(), Failure> {
        let mut command = self.cargo(&["build", "--quiet"]);
        for Program { package, name, is_library, .. } in PROGRAMS {
            command.args(["--package", package]);
            match is_library {
                true => command.arg("--lib"),
                false => command.args(["--bin", name]),
            };
        }
        run(command, "cargo build")
    }

    /// Builds what `aictl run` needs, as [`build_shipped`](Self::build_shipped) does, and returns
    /// the file name of `aictl`.
    ///
    /// # Errors
    /// As there.
    pub fn build_run(&self) -> Result<PathBuf, Failure> {
        PROGRAMS.iter().filter(|p| p.runs).try_for_each(|program| self.build_program(program))?;
        Ok(self.shipped("aictl"))
    }

    /// Builds one program with the profile [`SHIPPED`], without shared libraries if it loads none.
    fn build_program(&self, program: &Program) -> Result<(), Failure> {
        let Program { package, name: program, loads, is_library, .. } = program;
        let color = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let terminal = std::io::stderr().is_terminal();
        let mut args = vec!["rustc", "--profile", SHIPPED, "--package", package];
        match is_library {
            true => args.extend(["--lib", "--crate-type", "cdylib"]),
            false => args.extend(["--bin", program]),
        }
        if !terminal {
            args.push("--quiet");
        } else if color {
            args.extend(["--color", "always"]);
        }
        let linked =
            if *loads { "target-feature=-crt-static" } else { "target-feature=+crt-static" };
        args.extend(["--", "-C", linked]);
        let mut command = self.cargo(&args);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let name = "cargo rustc --profile dist";
        if terminal { run_showing_work(command, name) } else { run(command, name) }?;
        let path = self.shipped(program);
        if path.is_file() { Ok(()) } else { Err(Failure::NotBuilt(path)) }
    }
}

/// Runs `command` to its end; `name` is what a user would type.
///
/// # Errors
/// A failure if it does not start, or does not end with exit code 0.
pub fn run(mut command: Command, name: &str) -> Result<(), Failure> {
    let status =
        command.status().map_err(|source| Failure::Start { program: name.to_owned(), source })?;
    if status.success() { Ok(()) } else { Err(Failure::Ended { command: name.to_owned(), status }) }
}

/// Like [`run`], but passes on cargo's messages without the line that says that all is built.
fn run_showing_work(mut command: Command, name: &str) -> Result<(), Failure> {
    let start = |source| Failure::Start { program: name.to_owned(), source };
    let mut child = command.stderr(Stdio::piped()).spawn().map_err(start)?;
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(start)? > 0 {
            if is_work(&String::from_utf8_lossy(&line)) {
                // A terminal that went away must not stop the build.
                let _ = std::io::stderr().write_all(&line);
            }
            line.clear();
        }
    }
    let status = child.wait().map_err(start)?;
    if status.success() { Ok(()) } else { Err(Failure::Ended { command: name.to_owned(), status }) }
}

/// Whether a line of cargo's progress tells of work, rather than that there was nothing left to do.
fn is_work(line: &str) -> bool {
    !without_colour(line).trim_start().starts_with("Finished ")
}

/// `line` without terminal escape sequences (those of ECMA-48 that end in a letter).
fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut in_escape = false;
    for c in line.chars() {
        match (in_escape, c) {
            (false, '\u{1b}') => in_escape = true,
            (true, c) => in_escape = !c.is_ascii_alphabetic(),
            (false, c) => plain.push(c),
        }
    }
    plain
}

/// The caller's own `LD_LIBRARY_PATH`: `path` without what `cargo run` and rustup put before it.
///
/// These entries would make each program we start look for its libraries in places where they
/// cannot be, which costs time and would spoil the bench.
fn callers_library_path(path: &OsStr, target: &Path, cargo: &Path) -> Option<OsString> {
    let toolchain = cargo.ancestors().nth(2).filter(|dir| !dir.as_os_str().is_empty());
    let ours = |entry: &PathBuf| {
        entry.starts_with(target)
            || toolchain.is_some_and(|dir| *entry == dir.join("lib"))
            || toolchain.is_some_and(|dir| entry.starts_with(dir.join("lib/rustlib")))
    };
    let rest: Vec<PathBuf> = env::split_paths(path).filter(|entry| !ours(entry)).collect();
    if rest.is_empty() { None } else { env::join_paths(rest).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_is_shown() {
        for (line, want) in [
            ("   Compiling aictl v0.1.0\n", true),
            ("    Blocking waiting for file lock on build directory\n", true),
            ("error: could not compile\n", true),
            ("    Finished `release` profile [optimized] target(s) in 0.05s\n", false),
            ("\u{1b}[1m\u{1b}[92m    Finished\u{1b}[0m `release` profile\n", false),
            ("\u{1b}[1m\u{1b}[92m   Compiling\u{1b}[0m aictl\n", true),
            ("", true),
        ] {
            assert_eq!(is_work(line), want, "{line:?}");
        }
    }

    #[test]
    fn the_callers_library_path_comes_back() {
        let cargo = Path::new("/tc/bin/cargo");
        let target = Path::new("/ws/target");
        for (path, want) in [
            ("/ws/target/debug:/ws/target/debug/deps:/tc/lib/rustlib/x/lib:/tc/lib", None),
            ("/ws/target/debug:/tc/lib:/opt/x:/opt/y", Some("/opt/x:/opt/y")),
            ("/ws/target-other:/tc/library", Some("/ws/target-other:/tc/library")),
            ("/opt/x", Some("/opt/x")),
        ] {
            let got = callers_library_path(OsStr::new(path), target, cargo);
            assert_eq!(got.as_deref(), want.map(OsStr::new), "{path}");
        }
        // A cargo without a directory names no toolchain.
        let got = callers_library_path(OsStr::new("/lib:lib"), target, Path::new("cargo"));
        assert_eq!(got.as_deref(), Some(OsStr::new("/lib:lib")));
    }
}
