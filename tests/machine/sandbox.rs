//! `aictl run` where everything is installed: the helper takes the script, its keeper of sandboxes
//! runs it.

use serde_json::{Value, json};

use crate::machine::{Machine, Who, machine};

const SCRIPT: &str = "/tmp/script.py";

/// What `aictl run` says of a script, and its exit code.
#[track_caller]
fn run(machine: &Machine, who: Who, script: &str, arguments: &[&str]) -> (Value, i32) {
    machine.write(SCRIPT, script);
    let ran = machine.run(who, &[&["aictl", "--json", "run", SCRIPT], arguments].concat());
    let document =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"));
    (document, ran.code.unwrap())
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
