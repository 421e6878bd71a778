//! Scripts that are run in odd ways: with descriptors of every kind, names, arguments, guesses.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Stdio},
};

use serde_json::{Map, Value, json};

use crate::{
    kills::{listed, processes},
    machine::{Machine, Who, machine},
};

const SCRIPT: &str = "/tmp/script.py";
/// Descriptors that the kernel itself may keep from being passed (io_uring, since Linux 6.7).
const NOT_PASSED: &str = "org.freedesktop.DBus.Error.Disconnected";

/// What `odd.py` has seen as Bob.
#[track_caller]
fn odd(machine: &Machine, arguments: &[&str]) -> Value {
    let program = ["python3", "-I", "/usr/local/lib/stand-ins/odd.py"];
    let ran = machine.run(Who::Bob, &[&program[..], arguments].concat());
    eprintln!("{}", ran.stderr);
    serde_json::from_str(&ran.clone().ok()).unwrap_or_else(|error| panic!("{error}: {ran}"))
}

/// The helper's process, which must be the same after all of it.
fn helper(machine: &Machine) -> String {
    machine.call(Who::Root, "Manager.Health", "", &[]).ok();
    machine.property("aictld.service", "MainPID")
}

/// What Bob sees, from a helper that lives through it.
#[track_caller]
fn survived(machine: &Machine, arguments: &[&str]) -> Value {
    machine.let_all_run("");
    let before = helper(machine);
    let seen = odd(machine, arguments);
    assert_eq!(helper(machine), before, "the helper was started anew: {seen:#}");
    machine.wait_for("the end of all runs", || listed(machine).is_empty());
    seen
}

#[track_caller]
fn object<'a>(seen: &'a Value, key: &str) -> &'a Map<String, Value> {
    seen[key].as_object().unwrap_or_else(|| panic!("{key}: {seen:#}"))
}

#[test]
fn descriptors_of_every_kind_are_refused_as_script() {
    let machine = machine();
    let seen = survived(&machine, &["descriptors"]);
    let refused = object(&seen, "scripts");
    assert!(refused.len() >= 30, "{seen:#}");
    for (what, answer) in refused {
        let is_refused =
            answer == "InvalidArgument" || (what == "an io_uring" && answer == NOT_PASSED);
        assert!(is_refused, "{what}: {answer}");
    }
    assert_eq!(seen["a pipe to read from"], "InvalidArgument");
    let taken = object(&seen, "good scripts");
    assert!(taken.len() >= 4, "{seen:#}");
    for (what, answer) in taken {
        assert_eq!(answer, "exited: 1\n", "{what}");
    }
}

/// Bob waits in the kernel with every stream that he was given in hand; Carol runs scripts meanwhile.
#[test]
fn who_waits_with_a_stream_in_hand_has_no_run_go_on_and_holds_up_nobody() {
    let machine = machine();
    machine.let_all_run("");
    let before = helper(&machine);
    machine.write(SCRIPT, "import sys\nprint(sys.stdin.read())\n");
    let argv = ["python3", "-I", "/usr/local/lib/stand-ins/odd.py", "stalls"];
    let mut bob = machine.command(Who::Bob, &argv);
    bob.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut bob = bob.spawn().unwrap();
    let mut words = BufReader::new(bob.stderr.take().unwrap()).lines();
    for which in ["stdin", "stdout"] {
        let stalled = format!("{which}: stalled");
        while words.next().unwrap().unwrap() != stalled {}
        let mut carol = machine.command(Who::Person("carol"), &["aictl", "run", SCRIPT]);
        carol.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut carol = carol.spawn().unwrap();
        carol.stdin.take().unwrap().write_all(b"hello").unwrap();
        let output = carol.wait_with_output().unwrap();
        assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"hello\n"[..], Some(0)));
    }
    let words = std::thread::spawn(move || words.map_while(Result::ok).for_each(drop));
    let output = bob.wait_with_output().unwrap();
    words.join().unwrap();
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    for which in ["stdin", "stdout"] {
        assert_eq!(seen[which]["outcome"], "timed-out", "{seen:#}");
        assert_eq!(seen[which]["cancelled"], "[]", "{seen:#}");
        assert_eq!(seen[which]["cannot"]["opened once more"], "ENXIO", "{seen:#}");
    }
    // Nothing at all can be sent to what comes out; along with input, since Linux 6.16.
    assert_eq!(seen["stdout"]["cannot"]["sent along"], "EPIPE", "{seen:#}");
    let sent = &seen["stdin"]["cannot"]["sent along"];
    assert!(sent.is_null() || sent == "EPERM", "{seen:#}");
    assert_eq!(helper(&machine), before, "the helper was started anew");
    machine.wait_for("the end of all runs", || listed(&machine).is_empty());
}

#[test]
fn odd_names_lead_nowhere() {
    let machine = machine();
    let seen = survived(&machine, &["names"]);
    for (name, answer) in seen.as_object().unwrap() {
        let forbidden = name.is_empty()
            || matches!(name.as_str(), "." | "..")
            || name.contains(['/', '\n', '\u{1b}', '\u{7f}'])
            || name.len() > 255;
        match answer.as_str().unwrap() {
            "InvalidArgument" => assert!(forbidden, "{name:?}"),
            // As Python takes such a name: for its own code, compiled.
            ran if name == "a.pyc" => assert!(ran.contains("Bad magic number"), "{ran}"),
            // It is alone in its directory, under its name.
            ran => {
                assert!(!forbidden && ran.starts_with("exited: '/work/"), "{name:?}: {ran}");
                assert!(ran.ends_with(" 1\n"), "{name:?}: {ran}");
            }
        }
    }
}

#[test]
fn odd_arguments_arrive_or_are_refused() {
    let machine = machine();
    let seen = survived(&machine, &["arguments"]);
    for (what, answer) in [
        ("1 MiB in one", "InvalidArgument"),
        ("1 MiB in many", "InvalidArgument"),
        ("a million", "InvalidArgument"),
        ("30 MiB", "InvalidArgument"),
        ("1025", "InvalidArgument"),
        ("1024", "exited: 1025 1024\n"),
        ("odd ones", "exited: 9 1011\n"),
    ] {
        assert_eq!(seen[what], answer, "{what}");
    }
}

/// A script of Carol's that goes on until it is ended.
fn of_carol(machine: &Machine) -> Child {
    machine.write(
        SCRIPT,
        "import ctypes, signal\nctypes.CDLL(None).prctl(15, b'run-in-flight', 0, 0, 0)\n\
         while True: signal.pause()\n",
    );
    let mut command = machine.command(Who::Person("carol"), &["aictl", "run", SCRIPT]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    machine.wait_for("her script", || processes(machine) == 1);
    child
}

#[test]
fn whose_name_is_known_is_no_less_safe() {
    let machine = machine();
    machine.let_all_run("");
    let carol = of_carol(&machine);
    let runs = listed(&machine);
    let name = runs[0]["run"].as_str().unwrap();
    let seen = odd(&machine, &["guesses", name]);
    for member in ["Wait", "Cancel"] {
        let answers = object(&seen, member);
        // One answer to all, the real one among them.
        assert_eq!(answers.len(), 1, "{seen:#}");
        let names = answers.values().next().unwrap().as_array().unwrap();
        assert!(names.contains(&json!("the real one")) && names.len() == 9, "{seen:#}");
    }
    assert!(object(&seen, "Wait").contains_key("InvalidArgument"), "{seen:#}");
    let denied = object(&seen, "Cancel").keys().next().unwrap();
    let denied_by_polkit = ["NotAuthorized", "InteractiveAuthorizationRequired"];
    assert!(denied_by_polkit.contains(&denied.as_str()), "{seen:#}");
    assert_eq!(seen["my own"], 0, "{seen:#}");
    assert!(denied_by_polkit.contains(&seen["all"].as_str().unwrap()), "{seen:#}");
    // It is there still.
    assert_eq!(processes(&machine), 1);
    machine.call(Who::Root, "Sandbox.Cancel", "s", &[json!(name)]).ok();
    let output = carol.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
}

#[test]
fn a_crowd_that_waits_for_one_run_gets_nothing() {
    let machine = machine();
    let seen = survived(&machine, &["waits"]);
    assert_eq!(seen, json!({ "InvalidArgument": 320, "exited": 1 }));
}

#[test]
fn who_does_not_read_waits_for_himself_alone() {
    let machine = machine();
    let seen = survived(&machine, &["unread"]);
    assert_eq!(seen, json!({ "beside": "exited: 1\n", "outcome": "timed-out", "cut": true }));
}

#[test]
fn nobody_but_the_helper_reaches_its_keeper_of_sandboxes() {
    let machine = machine();
    let socket = "/run/aictl/sandboxd";
    let knock = "import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n\
                 s.connect(sys.argv[1])\nprint('in')\n";
    // Its own user too: what leaves a sandbox has no way back in.
    for who in ["anna", "bob", "aictl-sandbox"] {
        let ran = machine.run(Who::Person(who), &["python3", "-I", "-c", knock, socket]);
        let why = ran.to_string();
        assert!(ran.failed().contains("Permission denied"), "{why}");
    }
    assert_eq!(machine.run(Who::Helper, &["python3", "-I", "-c", knock, socket]).ok(), "in\n");
}
