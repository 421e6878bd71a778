//! Many users at once, and one of them who wants more than all others together.
//!
//! No clock decides here: what is told is who began before whom. `cargo xtask bench` measures.

use serde_json::{Value, json};

use crate::{
    kills::{listed, processes},
    machine::{Machine, Who, machine},
};

/// How many runs of one user wait behind another of his.
const MANY: &str = "1000";
/// How many of the others' runs there are, one after the other, for each of nine.
const ROUNDS: &str = "3";
/// How many scripts a user has run who does not listen to a no.
const FLOOD: u64 = 500;

/// What `runs.py` has seen.
#[track_caller]
fn runs(machine: &Machine, arguments: &[&str]) -> Value {
    let program = ["python3", "-I", "/usr/local/lib/stand-ins/runs.py"];
    let text = machine.root(&[&program[..], arguments].concat());
    let seen = serde_json::from_str(&text).unwrap();
    println!("{}: {seen:#}", arguments.join(" "));
    seen
}

/// Nothing is left of those who have gone, and the next run works.
#[track_caller]
fn nothing_is_left(machine: &Machine) {
    machine
        .wait_for("the end of all runs", || listed(machine).is_empty() && processes(machine) == 0);
    machine.write("/tmp/script.py", "print('again')");
    let ran = machine.run(Who::Person("erin"), &["aictl", "run", "/tmp/script.py"]);
    assert_eq!(ran.ok(), "again\n");
}

#[test]
fn who_has_a_thousand_runs_waiting_has_his_turn_and_no_other() {
    let machine = machine();
    // One place for all: what is a matter of turns is to be seen as such.
    machine.let_all_run("runs = 1\nruns-per-user = 1\nqueue-per-user = 1000");
    let seen = runs(&machine, &["turns", MANY, ROUNDS]);
    assert_eq!((&seen["queued"], &seen["refused"]), (&json!(1000), &json!([])));
    assert_eq!(seen["runs of the others"], 27);
    // One round: each of the nine others once, and the one that had its turn already.
    assert!(seen["most before one"].as_u64().unwrap() <= 10, "{seen}");
    assert!(seen["most of many before one"].as_u64().unwrap() <= 2, "{seen}");
    assert_eq!(seen["many had a turn too"], true);
    nothing_is_left(&machine);
}

#[test]
fn who_has_one_that_runs_leaves_the_last_place_and_goes_after_others() {
    let machine = machine();
    machine.let_all_run("runs = 3\nruns-per-user = 2");
    let seen = runs(&machine, &["places"]);
    let all = json!({"anna's": "running", "bob's": "running", "carol's": "running",
        "anna's second": "queued"});
    assert_eq!(seen["while all are there"], all);
    let rest = json!({"anna's": "running", "anna's second": "running"});
    assert_eq!(seen["when they have gone"], rest);
    // Where no control group weighs users: this machine has none that could.
    let nice = json!({"anna's": 0, "bob's": 0, "carol's": 0, "anna's second": 10});
    assert_eq!(seen["nice"], nice);
    nothing_is_left(&machine);
}

#[test]
fn by_default_so_many_runs_of_one_user_are_taken_and_all_others_refused() {
    let machine = machine();
    // It knows of nobody who has just been there, for whom it would hold further runs back.
    machine.stop("aictld.service");
    machine.let_all_run("");
    let seen = runs(&machine, &["flood", &FLOOD.to_string()]);
    let answers = seen["answers"].as_object().unwrap();
    assert_eq!(answers["accepted"], 4 + 64, "{seen}");
    assert_eq!(answers["LimitExceeded"], FLOOD - (4 + 64), "{seen}");
    assert_eq!((&seen["running"], &seen["queued"]), (&json!(4), &json!(64)));
    nothing_is_left(&machine);
}

/// As many as a configuration can have wait, and then some.
#[test]
fn ten_thousand_runs_that_wait_are_held_or_refused_and_leave_nothing() {
    let machine = machine();
    machine.stop("aictld.service");
    machine.let_all_run("queue-per-user = 4096");
    let seen = runs(&machine, &["thousands", "10000"]);
    let number = |what: &Value| what.as_u64().unwrap();
    let (running, queued) = (number(&seen["running"]), number(&seen["queued"]));
    // All that can wait, of all users together: as `runs::queue::room` says.
    let helper = machine.property("aictld.service", "MainPID");
    let limits = machine.read(&format!("/proc/{helper}/limits"));
    let descriptors = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let descriptors: u64 = descriptors.split_whitespace().next().unwrap().parse().unwrap();
    assert!((4..16).contains(&running) && queued == (descriptors / 16 * 3).min(8192), "{seen}");
    let answers = seen["answers"].as_object().unwrap();
    assert_eq!(number(&answers["accepted"]), running + queued, "{seen}");
    assert_eq!(number(&answers["LimitExceeded"]), 10_000 - running - queued, "{seen}");
    nothing_is_left(&machine);
    let status = machine.read(&format!("/proc/{helper}/status"));
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    // What its unit lets it have (MemoryMax=).
    assert!(peak < 256 << 10, "{peak} KiB");
}

#[test]
fn many_connections_with_a_run_each_are_no_way_around() {
    let machine = machine();
    machine.let_all_run("");
    let seen = runs(&machine, &["connections", "600"]);
    let number = |what: &Value| what.as_u64().unwrap();
    let (running, queued) = (number(&seen["running"]), number(&seen["queued"]));
    // Each has one at once, and further ones as others let him; the last place is a fifth one's.
    assert!((4..16).contains(&running) && queued <= 4 * 64, "{seen}");
    assert!((4 + 4 * 64..16 + 4 * 64).contains(&(running + queued)), "{seen}");
    let answers = seen["answers"].as_object().unwrap();
    assert_eq!(number(&answers["accepted"]), running + queued, "{seen}");
    assert_eq!(number(&answers["LimitExceeded"]), 600 - running - queued, "{seen}");
    nothing_is_left(&machine);
}
