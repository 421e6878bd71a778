//! Clients of the helper that are not ours: busctl, gdbus and Python's dbus module.

use serde_json::json;

use crate::machine::{Machine, Who, machine};

const HELPER: [&str; 2] = ["org.aictl1", "/org/aictl1"];

fn is_active(machine: &Machine) -> bool {
    machine.property("aictld.service", "ActiveState") == "active"
}

#[test]
fn a_call_over_the_bus_starts_the_helper() {
    let machine = machine();
    assert!(!is_active(&machine));
    let mut argv = vec!["busctl", "--json=short", "call"];
    argv.extend(HELPER);
    argv.extend(["org.aictl1.Services", "Get", "s", "ollama"]);
    let text = machine.run(Who::Bob, &argv).ok();
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    let record = &answer["data"][0];
    assert_eq!(record["name"]["data"], "ollama", "{answer}");
    assert_eq!(record["unit"]["data"], "ollama.service", "{answer}");
    assert_eq!(record["active_state"]["data"], "inactive", "{answer}");
    assert!(is_active(&machine));
    // Nothing of root's is in it.
    let (uid, _) = machine.ids("aictl");
    let pid = machine.property("aictld.service", "MainPID");
    let status = machine.root(&["cat", &format!("/proc/{pid}/status")]);
    let line = |key: &str| status.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert_eq!(line("Uid:"), format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}"));
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(line(set).trim_start_matches(set).trim(), "0000000000000000", "{set}");
    }
    assert_eq!(line("NoNewPrivs:"), "NoNewPrivs:\t1");
    assert_eq!(line("Seccomp:"), "Seccomp:\t2");
}

#[test]
fn a_call_over_the_socket_starts_the_helper() {
    let machine = machine();
    assert!(!is_active(&machine));
    let answer = machine.call_with(&["--peer"], Who::Bob, "Services.Get", "s", &[json!("ollama")]);
    assert_eq!(answer.ok()["name"], "ollama");
    assert!(is_active(&machine));
    // The two ways lead to the same helper.
    let pid = machine.property("aictld.service", "MainPID");
    let health = machine.call(Who::Bob, "Manager.Health", "", &[]).ok();
    assert_eq!(health["pid"].to_string(), pid);
}

#[test]
fn gdbus_sees_the_interfaces_and_calls_them() {
    let machine = machine();
    let [name, path] = HELPER;
    let to = ["--system", "--dest", name, "--object-path", path];
    let argv = [&["gdbus", "introspect"], &to[..]].concat();
    let text = machine.run(Who::Anna, &argv).ok();
    for word in ["interface org.aictl1.Services", "Restart(", "interface org.aictl1.Manager"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let argv = [&["gdbus", "call"], &to[..], &["--method", "org.aictl1.Services.List"]].concat();
    let text = machine.run(Who::Anna, &argv).ok();
    assert!(text.contains("'name': <'ollama'>") && text.contains("'tgi.service'"), "{text}");
    let argv =
        [&["gdbus", "call"], &to[..], &["--method", "org.aictl1.Services.Get", "ssh"]].concat();
    let errors = machine.run(Who::Anna, &argv).failed();
    assert!(errors.contains("org.aictl1.Error.NoSuchService"), "{errors}");
}

#[test]
fn pythons_module_gets_records_and_errors() {
    let machine = machine();
    let list = machine.call(Who::Anna, "Services.List", "", &[]).ok();
    let names: Vec<&str> =
        list.as_array().unwrap().iter().map(|record| record["name"].as_str().unwrap()).collect();
    let builtin = aictl_api::service::Catalogue::builtin();
    let want: Vec<&str> = builtin.iter().map(|service| service.name.as_ref()).collect();
    assert_eq!(names, want);
    let refused = machine.call(Who::Anna, "Services.Get", "s", &[json!("nothing")]).refused();
    assert_eq!(refused, "NoSuchService");
    let refused = machine.call(Who::Anna, "Services.Get", "u", &[json!(7)]).refused();
    assert_eq!(refused, "InvalidArgument");
}

#[test]
fn introspection_is_the_installed_document() {
    let machine = machine();
    let mut argv = vec!["busctl", "introspect", "--xml-interface"];
    argv.extend(HELPER);
    let live = machine.run(Who::Anna, &argv).ok();
    let file = machine.read("/usr/share/dbus-1/interfaces/org.aictl1.xml");
    let members = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim);
        let ours = lines.skip_while(|line| !line.contains("org.aictl1.Services"));
        let is_one = |line: &&str| {
            ["<interface", "<method", "<signal", "<arg"].iter().any(|tag| line.starts_with(tag))
        };
        ours.filter(is_one).map(str::to_owned).collect()
    };
    let (live, file) = (members(&live), members(&file));
    assert!(file.len() > 20, "{file:?}");
    assert!(file.iter().all(|line| live.contains(line)), "{live:#?}");
}

#[test]
fn an_idle_helper_ends_and_the_next_call_starts_another() {
    let machine = machine();
    machine.write("/etc/aictl/aictl.toml", "[helper]\nidle-timeout = \"1s\"\n");
    let first = machine.call(Who::Bob, "Manager.Health", "", &[]).ok()["pid"].clone();
    machine.wait_for("the end of the idle helper", || {
        machine.property("aictld.service", "ActiveState") == "inactive"
    });
    assert_eq!(machine.property("aictld.service", "Result"), "success");
    let second = machine.call(Who::Bob, "Manager.Health", "", &[]).ok()["pid"].clone();
    assert_ne!(first, second);
}

/// How long a call takes inside of the helper, for those who look (`--only long`): a machine that
/// does something else beside it must not fail a test.
#[test]
fn how_long_a_call_takes() {
    let machine = machine();
    let text = "[helper]\nread-rate = { per-minute = 60000, burst = 10000 }\n";
    machine.write("/etc/aictl/aictl.toml", text);
    for (state, verb) in [("stopped", "stop"), ("running", "start")] {
        machine.root(&["systemctl", verb, "ollama.service"]);
        let cursor = machine.now();
        let repeat = ["python3", "-I", "/usr/local/lib/stand-ins/repeat.py", "500"];
        machine.run(Who::Bob, &repeat).ok();
        let records = machine.audit_after(&cursor, 500);
        let duration = |record: &serde_json::Value| -> u64 {
            record["AICTL_DURATION_USEC"].as_str().unwrap().parse().unwrap()
        };
        let mut times: Vec<u64> = records.iter().map(duration).collect();
        // polkit and systemd are asked for the first.
        let first = times[0];
        times.sort_unstable();
        println!(
            "Services.Get, {state}: first {first} µs, median {} µs, 95 of 100 below {} µs, 99 \
             below {} µs",
            times[250], times[475], times[495]
        );
    }
    let shares = ["python3", "-I", "/usr/local/lib/stand-ins/shares.py", "200"];
    println!("{}", machine.run(Who::Root, &shares).ok());
}
