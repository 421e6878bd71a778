//! `aictl audit` where everything is installed: what runs of scripts leave in the journal.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::{Value, json};

use crate::machine::{Machine, Who, machine};

/// What stands in every script here, and nowhere else.
const WORD: &str = "a-word-of-the-script";

/// The last calls that began runs, the oldest first.
#[track_caller]
fn runs(machine: &Machine, options: &[&str], count: usize) -> Vec<Value> {
    machine.root(&["journalctl", "--sync"]);
    let text = machine.root(&[&["aictl", "audit", "--json"], options].concat());
    let mut document: Value = serde_json::from_str(&text).unwrap();
    let mut runs = document["calls"].take();
    let runs = runs.as_array_mut().unwrap();
    runs.retain(|call| call["method"] == "org.aictl1.Sandbox.Run");
    assert!(runs.len() >= count, "{text}");
    runs.split_off(runs.len() - count)
}

/// SHA-256 of a file in the machine.
fn hash(machine: &Machine, path: &str) -> String {
    let line = machine.root(&["sha256sum", path]);
    line.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn each_run_is_shown_with_its_hash_its_end_and_its_cost_and_never_its_code() {
    let machine = machine();
    let scripts = [
        ("/tmp/ok.py", "pass", json!("exited"), json!(0), 0),
        ("/tmp/three.py", "raise SystemExit(3)", json!("exited"), json!(3), 3),
        (
            "/tmp/late.py",
            "import time; sum(range(3_000_000)); time.sleep(20)",
            json!("timed-out"),
            Value::Null,
            124,
        ),
    ];
    let mut ids = Vec::new();
    for (path, script, _, _, code) in &scripts {
        let path = *path;
        machine.write(path, &format!("print('{WORD}')\n{script}\n"));
        let argv = ["aictl", "--json", "run", "--timeout", "2s", path, "an-argument"];
        let ran = machine.run(Who::AnnaAtTheDesk, &argv);
        assert_eq!(ran.code, Some(*code), "{ran}");
        let document: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(document["stdout"], format!("{WORD}\n"));
        ids.push(document["request_id"].clone());
    }
    let calls = runs(&machine, &["-n", "30"], scripts.len());
    for ((call, (path, _, outcome, exit_code, _)), id) in calls.iter().zip(&scripts).zip(&ids) {
        assert_eq!(&call["request_id"], id, "{call:#}");
        assert_eq!((&call["caller"], &call["decision"]), (&json!("anna"), &json!("allowed")));
        let run = &call["run"];
        assert_eq!(run["code_sha256"], hash(&machine, path), "{call:#}");
        assert_eq!((&run["outcome"], &run["exit_code"]), (outcome, exit_code), "{call:#}");
        assert_eq!((&run["profile"], &run["arguments"]), (&json!("standard"), &json!(1)));
        assert_eq!((&run["finished"], &run["error"]), (&json!(true), &Value::Null));
        for cost in ["duration_usec", "cpu_usec", "peak_memory_bytes"] {
            assert!(run[cost].as_u64().is_some_and(|cost| cost > 0), "{cost}: {call:#}");
        }
    }
    let late = runs(&machine, &["--outcome", "timed-out"], 1);
    assert_eq!(late[0]["request_id"], ids[2]);
    let table = machine.root(&["aictl", "audit", "-n", "3"]);
    for ((path, ..), end) in scripts.iter().zip(["exited 0", "exited 3", "timed-out"]) {
        let hash = hash(&machine, path);
        let line = table.lines().find(|line| line.contains(&hash));
        assert!(line.is_some_and(|line| line.contains(end)), "{table}");
    }
    // Who started aictl may have told the journal its arguments; none of ours has.
    let ours = ["journalctl", "--output=export", "--unit=aictld", "--unit=aictl-sandboxd"];
    let ours = machine.root(&ours);
    assert!(ours.contains("AICTL_CODE_SHA256") && !ours.contains("an-argument"));
    assert!(!machine.root(&["journalctl", "--output=export"]).contains(WORD));
}

#[test]
fn a_run_whose_helper_was_killed_has_no_end() {
    let machine = machine();
    let path = "/tmp/waits.py";
    machine.write(path, "print('on', flush=True)\nimport time\ntime.sleep(25)\n");
    let mut command = machine.command(Who::Root, &["aictl", "run", path]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "on\n");
    machine.root(&["systemctl", "kill", "--signal=KILL", "aictld"]);
    assert_eq!(child.wait().unwrap().code(), Some(125));
    let calls = runs(&machine, &["--outcome", "unfinished"], 1);
    let call = &calls[0];
    assert_eq!(call["run"]["code_sha256"], hash(&machine, path), "{call:#}");
    assert_eq!((&call["finished"], &call["run"]["finished"]), (&json!(true), &json!(false)));
    assert_eq!(call["run"]["duration_usec"], Value::Null);
    let table = machine.root(&["aictl", "audit", "-n", "1"]);
    assert!(table.contains("unfinished"), "{table}");
}

#[test]
fn a_run_that_polkit_refuses_is_shown_as_denied() {
    let machine = machine();
    machine.write("/tmp/ok.py", "pass\n");
    let ran = machine.run(Who::Bob, &["aictl", "run", "/tmp/ok.py"]);
    assert_eq!(ran.code, Some(126), "{ran}");
    let calls = runs(&machine, &["--outcome", "denied"], 1);
    let call = &calls[0];
    assert_eq!((&call["caller"], &call["decision"]), (&json!("bob"), &json!("denied")));
    assert_eq!(call["run"]["code_sha256"], hash(&machine, "/tmp/ok.py"), "{call:#}");
    assert_eq!(call["run"]["finished"], json!(false));
}
