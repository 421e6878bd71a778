//! Callers who mean no good: hostile values, hostile bytes, and a crowd.

use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use serde_json::{Value, json};

use crate::machine::{Machine, STAND_INS, Who, machine};

/// The same calls each time; another number gives others.
const SEED: &str = "20261122";
/// Calls of each kind of caller over each way.
const CALLS: &str = "400";
/// How much larger the helper may be after all of it, in KiB: what an allocator keeps.
const GROWTH: u64 = 16 * 1024;

/// Lets them call as fast as they can.
fn unlimited(machine: &Machine) {
    let text = "[helper]\nidle-timeout = \"1h\"\n\
                change-rate = { per-minute = 60000, burst = 10000 }\n\
                read-rate = { per-minute = 60000, burst = 10000 }\n";
    machine.write("/etc/aictl/aictl.toml.d/90-unlimited.toml", text);
}

/// What nobody may have changed.
fn units(machine: &Machine) -> String {
    let mut argv =
        vec!["systemctl", "show", "--property=Id,ActiveState,InvocationID,UnitFileState"];
    argv.extend(STAND_INS);
    machine.root(&argv)
}

/// The helper's process and its memory in KiB.
fn helper(machine: &Machine) -> (String, u64) {
    helper_by(machine, "VmRSS:")
}

/// The same by another line of proc_pid_status(5).
fn helper_by(machine: &Machine, key: &str) -> (String, u64) {
    machine.call(Who::Root, "Manager.Health", "", &[]).ok();
    let pid = machine.property("aictld.service", "MainPID");
    let status = machine.root(&["cat", &format!("/proc/{pid}/status")]);
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let memory = line.split_whitespace().next().unwrap().parse().unwrap();
    (pid, memory)
}

/// Runs `attack`; the helper must be the same process after it, not much larger, and no unit may
/// have been touched.
#[track_caller]
fn survives(machine: &Machine, attack: impl FnOnce()) {
    machine.root(&["systemctl", "start", "ollama.service", "ssh.service"]);
    let (before, small) = helper(machine);
    let touched = units(machine);
    attack();
    let (after, large) = helper(machine);
    assert_eq!(before, after, "the helper was started anew");
    assert_eq!(units(machine), touched);
    assert!(large < small + GROWTH, "from {small} KiB to {large} KiB");
}

fn stand_in(name: &str) -> String {
    format!("/usr/local/lib/stand-ins/{name}")
}

#[test]
fn hostile_values_change_nothing_and_are_all_recorded() {
    let machine = machine();
    unlimited(&machine);
    for who in [Who::Anna, Who::Root] {
        for way in ["bus", "peer"] {
            survives(&machine, || {
                let cursor = machine.now();
                let script = stand_in("fuzz.py");
                let text = machine.run(who, &["python3", "-I", &script, way, SEED, CALLS]).ok();
                let seen: Value = serde_json::from_str(&text).unwrap();
                let what = format!("{who:?} {way}: {seen:#}");
                assert!(seen["methods"].as_u64().unwrap() >= 10, "{what}");
                assert_eq!(seen["lost"], json!([]), "{what}");
                for (name, _) in seen["errors"].as_object().unwrap() {
                    let documented = name.starts_with("org.aictl1.Error.")
                        || name.starts_with("org.freedesktop.DBus.Error.Unknown")
                        || name == "org.freedesktop.DBus.Error.InvalidArgs"
                        || name == "org.freedesktop.DBus.Error.PropertyReadOnly"
                        || name.starts_with("the bus: ")
                        || name == "the end of the connection";
                    assert!(documented, "{name}: {what}");
                }
                for answered in seen["answered"].as_array().unwrap() {
                    let member = answered[2].as_str().unwrap();
                    let looks = ["List", "Health", "Ping", "GetMachineId", "Introspect", "GetAll"];
                    assert!(looks.contains(&member), "{answered}: {what}");
                }
                let reached = seen["reached"].as_u64().unwrap();
                let uid = machine.ids(if who == Who::Root { "root" } else { "anna" }).0;
                let records = machine.count_calls(&cursor, &uid, reached);
                assert_eq!(records, reached, "{what}");
            });
        }
    }
}

#[test]
fn hostile_bytes_change_nothing() {
    let machine = machine();
    unlimited(&machine);
    survives(&machine, || {
        machine.run(Who::Bob, &["python3", "-I", &stand_in("garbage.py"), SEED, "5"]).ok();
    });
    machine.call_with(&["--peer"], Who::Bob, "Services.Get", "s", &[json!("ollama")]).ok();
}

#[test]
fn the_honest_are_answered_in_a_crowd() {
    let machine = machine();
    unlimited(&machine);
    survives(&machine, || {
        let text = machine.root(&["python3", "-I", &stand_in("crowd.py")]);
        let seen: Value = serde_json::from_str(&text).unwrap();
        eprintln!("the crowd's median: {} ms", seen["median_ms"]);
        assert_eq!(seen["answers"], json!({ "ollama": 900 }), "{seen}");
    });
}

/// The most memory that the helper may ever have had under a flood, in KiB: less than one body of it
/// and what the helper has at rest.
const PEAK: u64 = 32 * 1024;

#[test]
fn a_flood_of_large_bodies_does_not_fill_the_helper() {
    let machine = machine();
    unlimited(&machine);
    survives(&machine, || {
        let (_, before) = helper_by(&machine, "VmHWM:");
        // As much as the bus lets through in one message is 32 MiB.
        let argv = ["python3", "-I", &stand_in("flood.py"), "8", "3", "30"];
        let text = machine.run(Who::Bob, &argv).ok();
        let seen: Value = serde_json::from_str(&text).unwrap();
        let (_, peak) = helper_by(&machine, "VmHWM:");
        println!("at most {peak} KiB, and {before} KiB before: {seen}");
        assert_eq!(seen.get("answered"), None, "{seen}");
        // The bus has let them through: the helper itself has said no.
        let ours = |name: &String| name.starts_with("org.aictl1.Error.");
        assert!(seen.as_object().unwrap().keys().any(ours), "{seen}");
        assert!(peak < PEAK, "{peak} KiB");
    });
}

/// Bob sends what takes an hour to close, and lets nobody else have it; Carol is answered meanwhile.
#[test]
fn what_takes_an_hour_to_close_holds_up_nobody() {
    let machine = machine();
    unlimited(&machine);
    survives(&machine, || {
        let (before, _) = helper(&machine);
        let argv = ["python3", "-I", &stand_in("parcels.py")];
        let mut bob = machine.command(Who::Bob, &argv);
        let mut bob = bob.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut go_on = bob.stdin.take().unwrap();
        let mut seen = Value::Null;
        for line in BufReader::new(bob.stdout.take().unwrap()).lines().map(Result::unwrap) {
            if line.starts_with('{') {
                seen = serde_json::from_str(&line).unwrap();
                continue;
            }
            eprintln!("{line}");
            let carol = Who::Person("carol");
            machine.call_with(&["--peer"], carol, "Manager.Health", "", &[]).ok();
            machine.call(carol, "Services.Get", "s", &[json!("ollama")]).ok();
            // One that stands still is started anew by systemd, after a while.
            assert_eq!(helper(&machine).0, before, "{line}");
            writeln!(go_on).unwrap();
        }
        assert!(bob.wait().unwrap().success());
        let came = json!({
            "before AUTH": "the end",
            "during AUTH": "the end",
            "out of band": "the end",
            "not agreed on": "the end",
            "with a call that takes none": "InvalidArgument",
            "as script": "InvalidArgument",
            "more than any call has": "InvalidArgument",
            "within a message": "the end",
            "within another": "InvalidArgument",
            "left behind": "the end",
            "in a crowd": "the end",
            "all are closed": true,
        });
        assert_eq!(seen, came);
    });
}
