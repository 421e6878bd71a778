//! The second disk: everything as it is installed, the tests, and the script that starts both.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::super::{MAKE_PEOPLE_KNOWN, file, lay_over, plain_command};
use crate::args::{STRICT_VARIABLE, TestOptions};
use crate::failure::Failure;
use crate::install::{self, Host};
use crate::workspace::{self, Workspace};

/// Makes the directory `staging` anew with all that the disk holds.
///
/// # Errors
/// A failure if a file cannot be made, or if the tests do not build.
pub fn stage(workspace: &Workspace, options: &TestOptions, staging: &Path) -> Result<(), Failure> {
    if staging.exists() {
        fs::remove_dir_all(staging).map_err(|e| file("cannot remove", staging, e))?;
    }
    let root = staging.join("root");
    fs::create_dir_all(&root).map_err(|e| file("cannot make", &root, e))?;
    lay_over(&workspace.root.join("tests/machine/people"), &root)?;
    lay_over(&workspace.root.join("tests/vm/root"), &root)?;
    let program = |name: &str| {
        if options.shipped { workspace.shipped(name) } else { workspace.debug(name) }
    };
    install::place(workspace, program, &root)?;
    let tests = staging.join("tests");
    copy(&build_tests(workspace, options)?, &tests)?;
    lay_over_new(&workspace.root.join("tests/attacks"), &staging.join("attacks"))?;
    let weak = staging.join("weak");
    fs::create_dir_all(&weak).map_err(|e| file("cannot make", &weak, e))?;
    let weakened = crate::test::weakened(workspace, options.strict)?;
    let pair = ["aictl", "aictl-sandboxd"];
    pair.iter().try_for_each(|name| copy(&weakened.join(name), &weak.join(name)))?;
    strip(pair.iter().map(|name| weak.join(name)))?;
    if !options.shipped {
        strip_all(&root, tests)?;
    }
    let start = staging.join("start");
    fs::write(&start, script(options)).map_err(|e| file("cannot write", &start, e))
}

/// The script that the machine runs: it installs everything as on any machine, and runs the tests.
fn script(options: &TestOptions) -> String {
    let steps = Steps::default();
    steps.add(&["cp", "-a", "/mnt/root/.", "/"]);
    MAKE_PEOPLE_KNOWN.iter().for_each(|argv| steps.add(argv));
    // It writes down what is to be done, which does not fail.
    let _written = install::activate(&steps);
    let strict = format!("{STRICT_VARIABLE}={}", u8::from(options.strict));
    let mut tests = vec!["exec", "env", &strict, "/mnt/tests", "--test-threads=1", "--color=never"];
    if !options.only.is_empty() {
        tests.push("--show-output");
        tests.extend(options.only.iter().map(String::as_str));
    }
    steps.add(&tests);
    let steps = steps.0.into_inner();
    format!("set -e\nexec </dev/null\n{steps}")
}

/// Steps of an installation, written down instead of done.
#[derive(Debug, Default)]
struct Steps(RefCell<String>);

impl Steps {
    fn add(&self, argv: &[&str]) {
        let mut text = self.0.borrow_mut();
        for word in argv {
            let word = word.replace('\'', "'\\''");
            // Writing to a String cannot fail.
            let _ = write!(text, "'{word}' ");
        }
        text.push('\n');
    }
}

impl Host for Steps {
    fn is_booted(&self) -> bool {
        true
    }

    /// Debian's kernel has it, and boots with it.
    fn has_apparmor(&self) -> bool {
        true
    }

    fn run(&self, argv: &[&str]) -> Result<(), Failure> {
        self.add(argv);
        Ok(())
    }
}

/// Builds the tests of the tier, and says where they are.
fn build_tests(workspace: &Workspace, options: &TestOptions) -> Result<PathBuf, Failure> {
    let mut args = vec!["test", "--quiet", "--package", "aictl-tests", "--test", "vm", "--no-run"];
    args.push("--message-format=json-render-diagnostics");
    if options.strict {
        args.push("--locked");
    }
    let mut command = workspace.cargo(&args);
    let name = "cargo test --test vm --no-run";
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Failure::Start { program: name.to_owned(), source })?;
    if !output.status.success() {
        return Err(Failure::Ended { command: name.to_owned(), status: output.status });
    }
    executable(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| Failure::Machine(format!("`{name}` does not say what it has built")))
}

/// The last program that cargo's messages tell of.
fn executable(messages: &str) -> Option<PathBuf> {
    let path = |line: &str| {
        let (_, rest) = line.split_once("\"executable\":\"")?;
        // Whoever has a quote or a backslash in the path gets an error that names no file.
        Some(PathBuf::from(rest.split_once('"')?.0))
    };
    messages.lines().filter_map(path).next_back()
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::copy(from, to).map(|_| ()).map_err(|error| file("cannot copy", from, error))
}

fn lay_over_new(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir_all(to).map_err(|error| file("cannot make", to, error))?;
    lay_over(from, to)
}

/// Takes away from the tests and what is installed what only a debugger reads.
fn strip_all(root: &Path, tests: PathBuf) -> Result<(), Failure> {
    let helpers = root.join("usr/libexec/aictl");
    let helpers = fs::read_dir(&helpers).map_err(|e| file("cannot read", &helpers, e))?;
    let helpers = helpers.flatten().map(|entry| entry.path());
    strip([tests, root.join("usr/bin/aictl")].into_iter().chain(helpers))
}

/// Takes away from programs what only a debugger reads: most of them, which the machine would copy.
fn strip(programs: impl Iterator<Item = PathBuf>) -> Result<(), Failure> {
    let mut command = plain_command("strip");
    command.arg("--strip-debug").args(programs);
    workspace::run(command, "strip")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_installs_and_runs_what_is_asked_for() {
        let options = TestOptions {
            strict: true,
            shipped: false,
            tiers: Vec::new(),
            only: vec!["a'b".to_owned()],
            seconds: 1,
        };
        let text = script(&options);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..3], ["set -e", "exec </dev/null", "'cp' '-a' '/mnt/root/.' '/' "]);
        assert!(text.contains("'systemctl' 'daemon-reload' \n"), "{text}");
        let last = "'exec' 'env' 'AICTL_TEST_STRICT=1' '/mnt/tests' '--test-threads=1' '--color=never' \
                    '--show-output' 'a'\\''b' ";
        assert_eq!(lines.last(), Some(&last));
    }

    #[test]
    fn the_built_tests_are_found_in_cargos_messages() {
        let text =
            "{\"executable\":null}\n{\"a\":1,\"executable\":\"/t/vm-1\",\"fresh\":true}\n{}\n";
        assert_eq!(executable(text), Some(PathBuf::from("/t/vm-1")));
        assert_eq!(executable("{\"executable\":null}\n"), None);
    }
}
