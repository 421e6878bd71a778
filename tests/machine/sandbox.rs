//! `aictl run` where everything is installed: the helper takes the script, its keeper of sandboxes
//! runs it.

use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::machine::{Machine, Who, machine};

const SCRIPT: &str = "/tmp/script.py";
/// What every command line of a waiting script has, and nothing else.
const MARK: &str = "a-run-that-waits";
/// How many runs are in flight when somebody is killed: as many as one user may have.
const RUNS: usize = 4;

/// What `aictl run` says of a script, and its exit code.
#[track_caller]
fn run(machine: &Machine, who: Who, script: &str, arguments: &[&str]) -> (Value, i32) {
    machine.write(SCRIPT, script);
    let ran = machine.run(who, &[&["aictl", "--json", "run", SCRIPT], arguments].concat());
    let document =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"));
    (document, ran.code.unwrap())
}

/// Runs that wait, and have said so.
fn waiting(machine: &Machine) -> Vec<Child> {
    machine.write(SCRIPT, "import time\ntime.sleep(25)\n");
    let start = |_| {
        let mut command = machine.command(Who::Root, &["aictl", "run", SCRIPT, MARK]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let runs: Vec<Child> = (0..RUNS).map(start).collect();
    machine.wait_for("all runs", || scripts(machine).len() == RUNS);
    runs
}

/// The processes of waiting scripts.
fn scripts(machine: &Machine) -> Vec<String> {
    let pattern = format!("^/usr/bin/python3 .*{MARK}$");
    let found = machine.run(Who::Root, &["pgrep", "--full", &pattern]);
    found.stdout.lines().map(str::to_owned).collect()
}

/// All have failed, with words, and nothing of any is left.
#[track_caller]
fn all_have_failed(machine: &Machine, runs: Vec<Child>) {
    for run in runs {
        let output = run.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{errors}");
        assert!(errors.starts_with("aictl: "), "{errors}");
    }
    machine.wait_for("no script", || scripts(machine).is_empty());
    let (document, code) = run(machine, Who::Root, "print('again')", &[]);
    assert_eq!((&document["stdout"], code), (&json!("again\n"), 0), "{document:#}");
}

#[test]
fn a_person_at_the_desk_runs_a_script() {
    let machine = machine();
    let script = "import sys\nprint(sys.argv[1:])\nprint('no', file=sys.stderr)\nresult = 6 * 7\n\
                  sys.exit(3)\n";
    let (document, code) = run(&machine, Who::AnnaAtTheDesk, script, &["a", "b c"]);
    assert_eq!(code, 3, "{document:#}");
    for (key, value) in [
        ("outcome", json!("exited")),
        ("exit_code", json!(3)),
        ("stdout", json!("['a', 'b c']\n")),
        ("stderr", json!("no\n")),
        ("profile", json!("standard")),
        // As the drop-in of this machine says.
        ("missing", json!(["cgroup"])),
    ] {
        assert_eq!(document[key], value, "{key}: {document:#}");
    }
    // It was the helper that had it run.
    let (document, _) = run(&machine, Who::AnnaAtTheDesk, "result = 6 * 7", &[]);
    assert_eq!(document["result"], json!(42), "{document:#}");
    machine.root(&["systemctl", "is-active", "aictl-sandboxd.service"]);
}

#[test]
fn who_is_elsewhere_has_to_be_asked_first() {
    let machine = machine();
    machine.write(SCRIPT, "print(1)");
    let ran = machine.run(Who::Bob, &["aictl", "run", SCRIPT]);
    assert_eq!(ran.code, Some(126), "{ran}");
    assert_eq!(ran.stdout, "");
}

#[test]
fn a_keeper_that_is_killed_takes_its_runs_along() {
    let machine = machine();
    let runs = waiting(&machine);
    machine.root(&["systemctl", "kill", "--signal=KILL", "--kill-whom=main", "aictl-sandboxd"]);
    all_have_failed(&machine, runs);
}

#[test]
fn a_helper_that_is_killed_takes_its_runs_along() {
    let machine = machine();
    let runs = waiting(&machine);
    machine.root(&["systemctl", "kill", "--signal=KILL", "aictld"]);
    all_have_failed(&machine, runs);
}
