//! The polkit rules follow the configuration.

use crate::machine::{Machine, Who, machine};

const RULES: &str = "/etc/polkit-1/rules.d/50-aictl.rules";
const CONFIG: &str = "/etc/aictl/aictl.toml";

#[test]
fn the_rules_follow_the_configuration() {
    let machine = machine();
    let builtin = machine.read(RULES);
    assert!(builtin.contains("\"ollama.service\""), "{builtin}");
    assert!(!builtin.contains("\"mine.service\""), "{builtin}");
    let follows = |what: &str, mine: bool, ollama: bool| {
        machine.wait_for(what, || {
            let rules = machine.read(RULES);
            rules.contains("\"mine.service\"") == mine
                && rules.contains("\"ollama.service\"") == ollama
        });
    };
    machine.write(CONFIG, "[services.mine]\nunit = \"mine.service\"\n");
    follows("a service of the main file", true, true);
    machine.write("/etc/aictl/aictl.toml.d/10.toml", "[services.ollama]\nenabled = false\n");
    follows("a service that a further file takes out", true, false);
    machine.remove(CONFIG);
    follows("the end of the main file", false, false);
    machine.remove("/etc/aictl/aictl.toml.d/10.toml");
    follows("the end of the further file", false, true);
    assert_eq!(machine.read(RULES), builtin);
}

/// systemd watches no path while the unit runs that the path starts.
#[test]
fn no_change_is_missed_however_fast_they_come() {
    let machine = machine();
    let (with, without) = ("[services.mine]\nunit = \"mine.service\"\n", "");
    // Whatever the moment of a turn's last change is, in or after the run of the one before.
    for turn in 0..20 {
        for _ in 0..turn {
            machine.write(CONFIG, without);
        }
        machine.write(CONFIG, with);
        machine.wait_for("the last change", || machine.read(RULES).contains("\"mine.service\""));
        machine.write(CONFIG, without);
        machine.wait_for("its end", || !machine.read(RULES).contains("\"mine.service\""));
    }
}

#[test]
fn a_bad_configuration_changes_nothing_and_is_told() {
    let machine = machine();
    let before = machine.read(RULES);
    for (text, place) in [
        ("[services.mine]\nunit = \"../mine.service\"\n", "aictl.toml:2:"),
        ("\n\nnonsense", "aictl.toml:3:"),
        ("\n\n\n[services.mine]\n", "aictl.toml:4:"),
    ] {
        let cursor = format!("--after-cursor={}", machine.now());
        machine.write(CONFIG, text);
        machine.wait_for("the rules' refusal", || {
            let units = "--unit=aictl-polkit-rules*.service";
            machine.root(&["journalctl", units, "--output=cat", &cursor]).contains(place)
        });
        assert_eq!(machine.read(RULES), before, "{text}");
    }
}

/// How the rules are written anew.
const START: [&str; 3] = ["systemctl", "start", "aictl-polkit-rules.service"];

/// Puts a configuration in its place that was made so from the first moment on in which it may be
/// read; it must be refused, and the rules stay as they were.
#[track_caller]
fn refused(machine: &Machine, made: &[&str]) {
    let before = machine.read(RULES);
    let new = "/etc/aictl/new";
    machine.write(new, "[services.mine]\nunit = \"mine.service\"\n");
    machine.root(&[made, &[new]].concat());
    machine.root(&["mv", new, CONFIG]);
    machine.stop("aictl-polkit-rules.service");
    // One that began before may still be at its end.
    machine.wait_for("the refusal", || machine.run(Who::Root, &START).code != Some(0));
    assert_eq!(machine.read(RULES), before);
}

#[test]
fn a_configuration_that_others_could_have_written_changes_nothing() {
    refused(&machine(), &["chown", "anna"]);
}

/// Root, who writes the rules, could read it, and the helper's user not.
#[test]
fn a_configuration_that_the_helper_cannot_read_is_none_for_the_rules_either() {
    let machine = machine();
    refused(&machine, &["chmod", "600"]);
    let told = machine.run(Who::Root, &["aictl", "config", "check"]).failed();
    assert!(told.contains("chmod a+r"), "{told}");
    let health = machine.call(Who::Bob, "Manager.Health", "", &[]).ok();
    assert_ne!(health["config"], "ok", "{health}");
    let list = machine.call(Who::Bob, "Services.List", "", &[]).ok();
    assert_eq!(list, serde_json::json!([]));
    machine.root(&["chmod", "644", CONFIG]);
    machine.root(&START);
    assert!(machine.read(RULES).contains("\"mine.service\""));
}
