//! The examples of aictl(1) and of the help that need nothing installed, as people type them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{env, os::unix::fs::symlink, path::Path, process::Command};

use common::{Dir, aictl, stderr, stdout};

/// The commands that ask neither a helper nor systemd.
const ALONE: [&str; 4] = ["run", "check", "schema", "completions"];

/// The lines that the manual page shows in its section EXAMPLES.
fn of_the_page() -> Vec<String> {
    let page = include_str!("../../../man/aictl.1");
    let section = page.split(".SH EXAMPLES\n.EX\n").nth(1).unwrap().split(".EE").next().unwrap();
    section.lines().map(|line| line.replace("\\-", "-")).collect()
}

/// Those that the help of a command shows.
fn of_the_help(command: &str) -> Vec<String> {
    let help = stdout(&aictl().args([command, "--help"]).output().unwrap());
    let examples = help.split("Examples:\n").nth(1).unwrap_or_default();
    let examples = examples.lines().take_while(|line| line.starts_with("  aictl"));
    examples.map(|line| line.trim().to_owned()).collect()
}

#[test]
fn every_example_that_needs_nothing_installed_works() {
    let dir = Dir::new();
    symlink(env!("CARGO_BIN_EXE_aictl"), dir.path().join("aictl")).unwrap();
    dir.file("script.py", "import math\nresult = math.sqrt(16)\nprint(result)\n");
    dir.file("data.csv", "a,b\n1,2\n");
    let path = env::join_paths([dir.path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let mut lines = of_the_page();
    lines.extend(ALONE.iter().flat_map(|command| of_the_help(command)));
    let is_alone = |line: &String| ALONE.contains(&line.split(' ').nth(1).unwrap());
    lines.retain(is_alone);
    lines.sort_unstable();
    lines.dedup();
    assert!(lines.len() >= 7, "{lines:#?}");
    for line in lines {
        let mut command = Command::new("sh");
        // Where a helper is installed, this is not its test.
        let line = line.replacen("aictl ", "aictl --embedded ", 1);
        let output = command
            .args(["-c", &line])
            .current_dir(dir.path())
            .env("PATH", &path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {}{}", stdout(&output), stderr(&output));
    }
}
