//! The helper when many call it: what it holds after them, and that there is one of it.

use std::{
    fs,
    process::{Child, Stdio},
};

use crate::machine::{Machine, Who, machine};

/// Calls between two looks.
const CALLS: &str = "500";

fn call_often(machine: &Machine) {
    let repeat = ["python3", "-I", "/usr/local/lib/stand-ins/repeat.py", CALLS];
    machine.run(Who::Bob, &repeat).ok();
}

/// The descriptors that the helper has open.
fn descriptors(machine: &Machine) -> usize {
    let pid = machine.property("aictld.service", "MainPID");
    assert_ne!(pid, "0", "the helper has ended");
    fs::read_dir(machine.path(&format!("/proc/{pid}/fd"))).unwrap().count()
}

#[test]
fn a_thousand_calls_leave_nothing_open() {
    let machine = machine();
    let text = "[helper]\nread-rate = { per-minute = 60000, burst = 10000 }\n";
    machine.write("/etc/aictl/aictl.toml", text);
    call_often(&machine);
    let pid = machine.property("aictld.service", "MainPID");
    let before = descriptors(&machine);
    call_often(&machine);
    // Streams of logs, whose readers are gone, and calls of who is gone.
    for _ in 0..20 {
        let logs = "busctl call org.aictl1 /org/aictl1 org.aictl1.Services Logs stut ollama 1 5 0";
        machine.run(Who::Root, &["sh", "-c", logs]).ok();
    }
    machine.wait_for("what was opened to be closed", || descriptors(&machine) <= before);
    assert_eq!(machine.property("aictld.service", "MainPID"), pid, "it is the same helper");
}

#[test]
fn many_first_callers_at_once_meet_one_helper() {
    let machine = machine();
    let health = ["busctl", "--json=short", "call", "org.aictl1", "/org/aictl1"];
    let health = [&health[..], &["org.aictl1.Manager", "Health"]].concat();
    let call = |_| {
        let mut command = machine.command(Who::Bob, &health);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    assert_eq!(machine.property("aictld.service", "MainPID"), "0", "it runs already");
    let calls: Vec<Child> = (0..12).map(call).collect();
    let pid_of = |call: Child| {
        let output = call.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer: serde_json::Value = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
        answer["data"][0]["pid"]["data"].to_string()
    };
    let mut pids: Vec<String> = calls.into_iter().map(pid_of).collect();
    pids.dedup();
    assert_eq!(pids, [machine.property("aictld.service", "MainPID")]);
}
