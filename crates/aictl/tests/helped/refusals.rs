//! What is refused, or cannot be: a clear message, the documented exit code, and nothing left.

use std::{fs, process::Command};

use serde_json::Value;

use crate::{
    common::{process_with, stderr, stdout},
    installed::{Installed, endless, started},
    world::polkit::Say,
};

const RUN: &str = "org.aictl1.sandbox.run";

/// It ends with this exit code, and this message.
#[track_caller]
fn refused(command: &mut Command, code: i32, words: &[&str]) {
    let output = command.output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(message.starts_with("aictl: "), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    for word in words {
        assert!(message.contains(word), "{word}: {message}");
    }
    assert_eq!(stdout(&output), "");
}

#[test]
fn polkits_no_is_told_with_what_can_be_done() {
    let installed = Installed::new();
    for (say, words) in [
        (Say::No, "an administrator can allow it with a polkit rule for org.aictl1.sandbox.run"),
        (Say::Challenge, "run it on a terminal, where polkit can ask for a password"),
        (Say::Dismissed, "--embedded"),
    ] {
        installed.wait(installed.world().polkit.say(RUN, say));
        refused(&mut installed.run(&[], "print(1)"), 126, &[words, "--embedded"]);
        let output = installed.output(&["--json"], "print(1)");
        let failure: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(failure["exit_code"], 126, "{failure:#}");
    }
    installed.wait(installed.world().polkit.say(RUN, Say::Yes));
    installed.works();
}

#[test]
fn too_many_runs_are_told_when_to_come_again() {
    let installed = Installed::with("[sandbox]\nruns-per-user = 1\nqueue-per-user = 0\n");
    let marker = format!("{}", 610_000_000 + std::process::id());
    let (mut child, _stdout) = started(&mut installed.run(&[], &endless(&marker)));
    let again = ["too many of your runs wait for their turn; try again in "];
    refused(&mut installed.run(&[], "print(1)"), 126, &again);
    child.kill().unwrap();
    child.wait().unwrap();
    installed.wait_for_the_end_of_all();
    installed.works();
}

#[test]
fn runs_that_come_too_fast_are_told_when_to_come_again() {
    let config = "[helper]\nrun-rate = { per-minute = 1, burst = 10 }\n";
    let installed = Installed::only(config);
    let outputs: Vec<_> = (0..12).map(|_| installed.output(&[], "pass")).collect();
    let codes: Vec<_> = outputs.iter().filter_map(|output| output.status.code()).collect();
    assert_eq!(codes, [[0; 10].as_slice(), &[126; 2]].concat());
    for output in &outputs[10..] {
        assert!(stderr(output).contains("try again in "), "{}", stderr(output));
    }
}

#[test]
fn without_a_keeper_it_says_where_to_look() {
    let installed = Installed::new();
    fs::remove_file(installed.keeper.socket()).unwrap();
    let words = ["systemctl status aictl-sandboxd.socket", "--embedded"];
    refused(&mut installed.run(&[], "print(1)"), 125, &words);
    installed.wait_for_the_end_of_all();
}

#[test]
fn a_keeper_that_is_killed_is_told_and_the_next_run_works() {
    let mut installed = Installed::new();
    let marker = format!("{}", 620_000_000 + std::process::id());
    let (child, _stdout) = started(&mut installed.run(&[], &endless(&marker)));
    installed.keeper.kill();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    let words = "the keeper of the sandboxes ended during the run, and the run with it: try again";
    assert!(stderr(&output).contains(words), "{}", stderr(&output));
    while process_with(&marker) {}
    installed.keeper.begin();
    installed.works();
}

/// The helper itself: as an update, or an administrator, ends it.
#[test]
fn a_helper_that_ends_takes_its_runs_along_and_says_so() {
    let installed = Installed::new();
    let marker = format!("{}", 630_000_000 + std::process::id());
    let (child, _stdout) = started(&mut installed.run(&[], &endless(&marker)));
    let orders = installed.world().orders.clone();
    installed.wait(orders.send(aictld::lifetime::Order::End)).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("told to end"), "{}", stderr(&output));
    while process_with(&marker) {}
}

#[test]
fn a_runtime_that_is_not_installed_is_not_found() {
    let installed = Installed::new();
    let script = installed.dir.file("script.js", "console.log(1)");
    refused(installed.aictl().arg("run").arg(script), 127, &["node"]);
    installed.works();
}

#[test]
fn what_is_no_script_never_comes_to_the_helper() {
    let installed = Installed::new();
    let file = |name: &str, content: &[u8]| installed.dir.file(name, content);
    for (path, code, words) in [
        (installed.dir.path().join("missing.py"), 127, "there is no script"),
        (file("empty.py", b""), 126, "is empty"),
        (installed.dir.path().to_owned(), 126, "is a directory"),
        ("/dev/zero".into(), 126, "is a device"),
        (file("nul.py", b"print(1)\0"), 126, "NUL bytes"),
        (file("long.py", &vec![b'#'; (1 << 20) + 1]), 126, "larger than 1048576 bytes"),
        (file("x.rb", b"puts 1"), 126, "python, bash and node scripts only"),
    ] {
        refused(installed.aictl().arg("run").arg(path), code, &[words]);
    }
    let output = installed.output(&["--memory", "65G"], "pass");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(installed.world().journal.calls(), []);
}
