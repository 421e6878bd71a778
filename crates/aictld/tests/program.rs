//! The program itself, as far as it gets without a system bus.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "these are all tests")]

use std::process::{Command, Output};

fn aictld(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_aictld")).args(arguments).env_clear().output().unwrap()
}

#[test]
fn it_is_not_made_to_run_as_root() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let output = aictld(&[]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.starts_with("aictld: not made to run as root"), "{words}");
}

#[test]
fn it_has_no_arguments_but_those_that_tell_of_it() {
    assert!(aictld(&["--help"]).status.success());
    let version = String::from_utf8(aictld(&["--version"]).stdout).unwrap();
    assert_eq!(version, format!("aictld {}\n", env!("CARGO_PKG_VERSION")));
    for wrong in ["--no-polkit", "--root", "--session", "x", ""] {
        let output = aictld(&[wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(output.stdout.is_empty());
    }
}
