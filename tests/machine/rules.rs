//! The polkit rules follow the configuration.

use crate::machine::machine;

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
        // Until it has ended, systemd watches nothing: a change in its last moments would wait for
        // the next one.
        machine.wait_for("the end of the run", || {
            machine.property("aictl-polkit-rules.service", "ActiveState") == "inactive"
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

#[test]
fn a_bad_configuration_changes_nothing_and_is_told() {
    let machine = machine();
    let before = machine.read(RULES);
    for text in ["[services.mine]\nunit = \"../mine.service\"\n", "nonsense", "[services.mine]\n"] {
        machine.write(CONFIG, text);
        machine.wait_for("the rules' refusal", || {
            machine.property("aictl-polkit-rules.service", "Result") == "exit-code"
        });
        assert_eq!(machine.read(RULES), before, "{text}");
        machine.root(&["systemctl", "reset-failed", "aictl-polkit-rules.service"]);
    }
    let log =
        machine.root(&["journalctl", "--unit=aictl-polkit-rules.service", "--output=cat", "-n20"]);
    assert!(log.contains("/etc/aictl/aictl.toml:2: "), "{log}");
}

#[test]
fn a_configuration_that_others_could_have_written_changes_nothing() {
    let machine = machine();
    let before = machine.read(RULES);
    machine.write(CONFIG, "[services.mine]\nunit = \"mine.service\"\n");
    machine.root(&["chown", "anna", CONFIG]);
    machine.root(&["systemctl", "stop", "aictl-polkit-rules.service"]);
    let ran = machine
        .run(crate::machine::Who::Root, &["systemctl", "start", "aictl-polkit-rules.service"]);
    ran.failed();
    assert_eq!(machine.read(RULES), before);
}
