//! `cargo xtask check`: everything that is checked without running the tests.

use std::io::Write as _;
use std::process::Stdio;

use crate::failure::Failure;
use crate::licences;
use crate::workspace::{self, Workspace};

/// What a check is: cargo with these arguments, or a function of our own.
enum Action {
    Cargo { args: &'static [&'static str], env: &'static [(&'static str, &'static str)] },
    Licences,
    Deny,
}

/// The checks, in the order in which they run.
const CHECKS: &[(&str, Action)] = &[
    ("format", Action::Cargo { args: &["fmt", "--all", "--check"], env: &[] }),
    (
        "lint",
        Action::Cargo {
            args: &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"],
            env: &[],
        },
    ),
    (
        "lint, the tests in machines",
        Action::Cargo {
            args: &[
                "clippy",
                "--locked",
                "--package",
                "aictl-tests",
                "--test",
                "machine",
                "--test",
                "package",
                "--test",
                "providers",
                "--test",
                "vm",
                "--",
                "-D",
                "warnings",
            ],
            env: &[],
        },
    ),
    (
        "lint, with the test of the tests",
        Action::Cargo {
            args: &[
                "clippy",
                "--locked",
                "--workspace",
                "--all-targets",
                "--features",
                "aictl-sandbox/weaken",
                "--",
                "-D",
                "warnings",
            ],
            env: &[],
        },
    ),
    (
        "documentation",
        Action::Cargo {
            args: &["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"],
            env: &[("RUSTDOCFLAGS", "-D warnings")],
        },
    ),
    ("licences and sources", Action::Licences),
    ("cargo deny", Action::Deny),
];

/// How a check ended.
enum Verdict {
    Passed,
    Failed(String),
    NotRun(&'static str),
}

/// Runs all checks and prints a summary; true if none failed.
///
/// # Errors
/// Only if standard output cannot be written; a failing check is in the summary.
pub fn run(workspace: &Workspace) -> Result<bool, Failure> {
    let mut ok = true;
    let mut summary = String::from("\n");
    for (name, action) in CHECKS {
        eprintln!("check: {name}");
        let line = match perform(workspace, action) {
            Verdict::Passed => format!("{name}: passed\n"),
            Verdict::NotRun(why) => format!("{name}: not run: {why}\n"),
            Verdict::Failed(why) => {
                ok = false;
                format!("{name}: failed: {why}\n")
            }
        };
        summary.push_str(&line);
    }
    std::io::stdout().write_all(summary.as_bytes()).map_err(Failure::Output)?;
    Ok(ok)
}

fn perform(workspace: &Workspace, action: &Action) -> Verdict {
    let result = match action {
        Action::Cargo { args, env } => {
            let mut command = workspace.cargo(args);
            command.envs(env.iter().copied());
            workspace::run(command, &format!("cargo {}", args.join(" ")))
        }
        Action::Licences => return licences_and_sources(workspace),
        Action::Deny if !has_cargo_deny(workspace) => {
            return Verdict::NotRun(
                "cargo-deny is not installed (cargo install --locked cargo-deny)",
            );
        }
        Action::Deny => {
            let args = ["deny", "--locked", "check", "licenses", "bans", "sources"];
            workspace::run(workspace.cargo(&args), &format!("cargo {}", args.join(" ")))
        }
    };
    match result {
        Ok(()) => Verdict::Passed,
        Err(failure) => Verdict::Failed(failure.to_string()),
    }
}

fn licences_and_sources(workspace: &Workspace) -> Verdict {
    match licences::check(workspace) {
        Ok(problems) if problems.is_empty() => Verdict::Passed,
        Ok(problems) => Verdict::Failed(problems.join("; ")),
        Err(failure) => Verdict::Failed(failure.to_string()),
    }
}

fn has_cargo_deny(workspace: &Workspace) -> bool {
    let mut command = workspace.cargo(&["deny", "--version"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_readme_names_the_oldest_rust() {
        let readme = include_str!("../../../README.md");
        let words = concat!("Rust ", env!("CARGO_PKG_RUST_VERSION"), " or");
        assert!(readme.contains(words), "README.md does not say: {words}");
    }
}
