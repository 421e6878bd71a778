//! `cargo xtask test`: the tests, tier by tier, and an honest account of what was not run.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use crate::args::{STRICT_VARIABLE, TestOptions};
use crate::bench;
use crate::debian::{self, Need};
use crate::failure::Failure;
use crate::fuzz;
use crate::machine;
use crate::nvidia;
use crate::workspace::{self, Workspace};

/// A tier of tests: what can be run with the same demands on the machine.
#[derive(Debug)]
pub struct Tier {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it needs and covers, in a few words.
    pub about: &'static str,
    /// Whether it runs only if it is named: it takes minutes, or what others may change.
    pub on_demand: bool,
    /// Programs without which a part of the tier cannot run.
    needs: &'static [Need],
    /// Runs it; returns the parts that could not be run.
    run: fn(&Workspace, &TestOptions) -> Result<Vec<String>, Failure>,
}

/// All tiers, in the order in which they run.
pub const TIERS: &[Tier] = &[
    Tier {
        name: "hermetic",
        about: "no root, no systemd: units, tables, the real sandbox",
        on_demand: false,
        needs: &[
            Need { program: "bash", package: "bash" },
            Need { program: "dbus-daemon", package: "dbus-daemon" },
            Need { program: "dpkg-shlibdeps", package: "dpkg-dev" },
            Need { program: "man", package: "man-db" },
            Need { program: "mandoc", package: "mandoc" },
            Need { program: "node", package: "nodejs" },
            Need { program: "python3", package: "python3" },
            Need { program: "systemd-analyze", package: "systemd" },
        ],
        run: hermetic,
    },
    Tier {
        name: "machine",
        about: "root: all of it installed on a Debian booted for it",
        on_demand: false,
        needs: machine::NEEDS,
        run: machine::run,
    },
    Tier {
        name: "package",
        about: "root: the Debian package, from install to purge",
        on_demand: false,
        needs: machine::package::NEEDS,
        run: machine::run_package,
    },
    Tier {
        name: "vm",
        about: "root: on a kernel of its own, under qemu; only if named",
        on_demand: true,
        needs: machine::vm::NEEDS,
        run: machine::vm::run,
    },
    Tier {
        name: "providers",
        about: "root: the same beside real AI servers; only if named",
        on_demand: true,
        needs: &[
            machine::NEEDS[0],
            machine::NEEDS[1],
            machine::NEEDS[2],
            machine::NEEDS[3],
            Need { program: "python3", package: "python3" },
            Need { program: "c++", package: "g++" },
        ],
        run: machine::run_providers,
    },
    Tier {
        name: "speed",
        about: "root: the guards of the bench; only if named",
        on_demand: true,
        needs: machine::NEEDS,
        run: |workspace, _| bench::guard(workspace).map(|()| Vec::new()),
    },
    Tier {
        name: "nvidia",
        about: "NVIDIA's own library without its driver; only if named",
        on_demand: true,
        needs: nvidia::NEEDS,
        run: nvidia::run,
    },
    Tier {
        name: "fuzz",
        about: "what reads bytes of others gets odd ones; only if named",
        on_demand: true,
        needs: fuzz::NEEDS,
        run: fuzz::run,
    },
];

/// Lets tests be shuffled, which is not stable.
pub const SHUFFLES: &str = r#"target."cfg(unix)".runner=["env","RUSTC_BOOTSTRAP=1"]"#;

/// What became of a tier.
#[derive(Debug)]
struct Report {
    tier: &'static str,
    failure: Option<String>,
    /// Each part that could not run, and why.
    not_run: Vec<String>,
}

/// Runs the tiers asked for and prints the summary; true if all is well.
///
/// # Errors
/// Only if standard output cannot be written; a failing tier is in the summary.
pub fn run(workspace: &Workspace, options: &TestOptions) -> Result<bool, Failure> {
    let tiers = TIERS.iter().filter(|tier| options.tiers.contains(&tier.name));
    let reports: Vec<Report> = tiers.map(|tier| run_tier(workspace, tier, options)).collect();
    let (text, ok) = summary(&reports, options.strict);
    std::io::stdout().write_all(text.as_bytes()).map_err(Failure::Output)?;
    Ok(ok)
}

fn run_tier(workspace: &Workspace, tier: &Tier, options: &TestOptions) -> Report {
    let missing = debian::provide(tier.needs, debian::can_install());
    let mut not_run: Vec<String> =
        missing.iter().map(|missing| format!("what needs {missing}")).collect();
    let failure = match (tier.run)(workspace, options) {
        Ok(parts) => {
            not_run.extend(parts);
            None
        }
        Err(failure) => Some(failure.to_string()),
    };
    Report { tier: tier.name, failure, not_run }
}

/// Builds the pair of programs that can leave layers off, for the test of the tests, and says where
/// they are: in a directory of their own, since beside the others they would take the place of the
/// real ones.
pub fn weakened(workspace: &Workspace, strict: bool) -> Result<PathBuf, Failure> {
    let target = workspace.target.join("weak");
    let mut command = cargo(
        workspace,
        strict,
        &["build", "-p", "aictl", "-p", "aictl-sandbox", "--features", "aictl-sandbox/weaken"],
    );
    command.arg("--target-dir").arg(&target);
    workspace::run(command, "cargo build --features aictl-sandbox/weaken")?;
    Ok(target.join("debug"))
}

/// All that needs neither root nor a system manager: `cargo test`, with the programs at hand.
fn hermetic(workspace: &Workspace, options: &TestOptions) -> Result<Vec<String>, Failure> {
    let strict = options.strict;
    // The programs that the tests start.
    let build = ["build", "--workspace", "--bins"];
    workspace::run(cargo(workspace, strict, &build), "cargo build --workspace --bins")?;
    let weak = weakened(workspace, strict)?;
    // Every failure of a run is worth knowing, not only the first. In an order that is new each time,
    // of which libtest prints the seed: tests share nothing.
    let tests = ["--config", SHUFFLES, "test", "--workspace", "--no-fail-fast", "--tests"];
    let mut command = cargo(workspace, strict, &tests);
    command
        .env("AICTL_BIN_DIR", workspace.target.join("debug"))
        .env("AICTL_WEAK_BIN_DIR", weak)
        .args(["--", "-Z", "unstable-options", "--shuffle"]);
    set_strict(&mut command, strict);
    let tested = workspace::run(command, "cargo test --workspace --tests");
    let mut command = cargo(workspace, strict, &["test", "--workspace", "--doc"]);
    set_strict(&mut command, strict);
    let documented = workspace::run(command, "cargo test --workspace --doc");
    tested.and(documented).map(|()| Vec::new())
}

/// Tells the tests whether all must be run.
fn set_strict(command: &mut std::process::Command, strict: bool) {
    if strict {
        command.env(STRICT_VARIABLE, "1");
    } else {
        command.env_remove(STRICT_VARIABLE);
    }
}

/// A cargo command; a strict one also takes care that `Cargo.lock` is up to date.
fn cargo(workspace: &Workspace, strict: bool, args: &[&str]) -> std::process::Command {
    let mut command = workspace.cargo(args);
    if strict {
        command.arg("--locked");
    }
    command
}

/// The account at the end, and whether all is well: nothing failed and, if `strict`, all was run.
fn summary(reports: &[Report], strict: bool) -> (String, bool) {
    let mut text = String::from("\n");
    let mut ok = true;
    for Report { tier, failure, not_run } in reports {
        let (passed, verdict) = match (failure, not_run.is_empty()) {
            (Some(_), _) => (false, "failed"),
            (None, true) => (true, "passed"),
            (None, false) if strict => (false, "failed: not all of it was run"),
            (None, false) => (true, "passed, but not all of it was run"),
        };
        ok &= passed;
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{tier}: {verdict}");
        if let Some(why) = failure {
            let _ = writeln!(text, "  {why}");
        }
        for what in not_run {
            let _ = writeln!(text, "  not run: {what}");
        }
    }
    (text, ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(failure: Option<&str>, not_run: &[&str]) -> Report {
        Report {
            tier: "hermetic",
            failure: failure.map(str::to_owned),
            not_run: not_run.iter().map(|what| (*what).to_owned()).collect(),
        }
    }

    #[test]
    fn the_summary_says_what_was_not_run() {
        let part = "what needs node is not installed";
        for (report, strict, text, ok) in [
            (report(None, &[]), false, "\nhermetic: passed\n", true),
            (report(None, &[]), true, "\nhermetic: passed\n", true),
            (
                report(None, &[part]),
                false,
                "\nhermetic: passed, but not all of it was run\n  not run: what needs node is not \
                 installed\n",
                true,
            ),
            (
                report(None, &[part]),
                true,
                "\nhermetic: failed: not all of it was run\n  not run: what needs node is not \
                 installed\n",
                false,
            ),
            (
                report(Some("`cargo test` failed"), &[part]),
                false,
                "\nhermetic: failed\n  `cargo test` failed\n  not run: what needs node is not \
                 installed\n",
                false,
            ),
        ] {
            assert_eq!(summary(&[report], strict), (text.to_owned(), ok));
        }
    }

    #[test]
    fn one_failed_tier_fails_the_whole() {
        let reports = [report(Some("no"), &[]), report(None, &[])];
        let (text, ok) = summary(&reports, false);
        assert!(!ok, "{text}");
        assert_eq!(text, "\nhermetic: failed\n  no\nhermetic: passed\n");
    }

    #[test]
    fn tiers_have_names_of_their_own() {
        let mut names: Vec<&str> = TIERS.iter().map(|tier| tier.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TIERS.len());
    }
}
