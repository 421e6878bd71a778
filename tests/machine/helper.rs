//! What the helper does for whom, with the real systemd, polkit and journald.

use std::process::Child;

use serde_json::{Value, json};

use crate::machine::{Answer, Machine, STAND_INS, Who, machine};

/// A rule as an administrator would write it: Anna may, where she sits at the machine.
const RULE: &str = r#"
polkit.addRule(function (action, subject) {
    if (action.id === "org.aictl1.services.control" && subject.user === "anna" &&
        subject.local && subject.active && action.lookup("service") === "ollama") {
        return polkit.Result.YES;
    }
});
"#;
const RULES: &str = "/etc/polkit-1/rules.d/10-test.rules";

/// Puts the rule in force.
fn allow_anna(machine: &Machine) {
    machine.write(RULES, RULE);
    machine.root(&["systemctl", "restart", "polkit.service"]);
}

/// Lets a test call as fast as it can.
fn unlimited(machine: &Machine) {
    let text = "[helper]\nchange-rate = { per-minute = 6000, burst = 1000 }\n";
    machine.write("/etc/aictl/aictl.toml.d/90-unlimited.toml", text);
}

fn act(machine: &Machine, who: Who, member: &str, service: &str) -> Answer {
    let member = format!("Services.{member}");
    machine.call(who, &member, "stu", &[json!(service), json!(0), json!(0)])
}

/// A call that takes its time.
fn begin(machine: &Machine, who: Who, member: &str, service: &str) -> Child {
    let member = format!("Services.{member}");
    let arguments = [json!(service), json!(0), json!(0)];
    machine.run_call(&[], who, &member, "stu", &arguments).spawn().unwrap()
}

fn state(machine: &Machine, unit: &str) -> String {
    machine.property(unit, "ActiveState")
}

/// What must not change where calls are refused.
fn units(machine: &Machine) -> String {
    let mut argv =
        vec!["systemctl", "show", "--property=Id,ActiveState,InvocationID,UnitFileState"];
    argv.extend(STAND_INS);
    machine.root(&argv)
}

/// A job on comfyui.service, which ends when [`go`] is called, is under way.
fn wait_for_the_job(machine: &Machine) {
    machine.wait_for("the start of comfyui.service", || {
        state(machine, "comfyui.service") == "activating"
    });
}

fn go(machine: &Machine) {
    machine.write("/run/comfyui-go", "");
}

#[test]
fn root_does_everything_to_a_service() {
    let machine = machine();
    for (member, state, enabled) in [
        ("Start", "active", "disabled"),
        ("Reload", "active", "disabled"),
        ("Restart", "active", "disabled"),
        ("Enable", "active", "enabled"),
        ("Disable", "active", "disabled"),
        ("Stop", "inactive", "disabled"),
    ] {
        let record = act(&machine, Who::Root, member, "ollama").ok();
        assert_eq!(record["job_result"], "done", "{member}: {record}");
        assert_eq!(record["active_state"], state, "{member}: {record}");
        assert_eq!(record["enabled"], enabled, "{member}: {record}");
        assert_eq!(self::state(&machine, "ollama.service"), state, "{member}");
        assert_eq!(machine.property("ollama.service", "UnitFileState"), enabled, "{member}");
    }
    let records = machine.audit(6);
    for (record, verb) in
        records.iter().zip(["start", "reload", "restart", "enable", "disable", "stop"])
    {
        assert_eq!(record["AICTL_VERB"], verb, "{record:#}");
        assert_eq!(record["AICTL_UNIT"], "ollama.service", "{record:#}");
        assert_eq!(record["AICTL_CALLER_UID"], "0", "{record:#}");
        assert_eq!(record["AICTL_DECISION"], "allowed", "{record:#}");
        assert_eq!(record["AICTL_RESULT"], "done", "{record:#}");
        assert_eq!(record["_SYSTEMD_UNIT"], "aictld.service", "{record:#}");
    }
}

#[test]
fn anna_restarts_ollama_under_a_rule_that_allows_it() {
    let machine = machine();
    allow_anna(&machine);
    machine.root(&["systemctl", "start", "ollama.service"]);
    let invocation = machine.property("ollama.service", "InvocationID");
    machine.run(Who::AnnaAtTheDesk, &["aictl", "restart", "ollama"]).ok();
    assert_eq!(state(&machine, "ollama.service"), "active");
    assert_ne!(machine.property("ollama.service", "InvocationID"), invocation);
    let record = &machine.audit(1)[0];
    assert_eq!(record["AICTL_CALLER_UID"], machine.ids("anna").0, "{record:#}");
    assert_eq!(record["AICTL_DECISION"], "allowed", "{record:#}");
    // It is Anna there, and this service.
    let before = units(&machine);
    for (who, service) in
        [(Who::Anna, "ollama"), (Who::Bob, "ollama"), (Who::AnnaAtTheDesk, "litellm")]
    {
        assert_eq!(machine.run(who, &["aictl", "restart", service]).code, Some(126), "{who:?}");
    }
    assert_eq!(units(&machine), before);
    assert_eq!(machine.audit(4)[3]["AICTL_DECISION"], "denied");
}

#[test]
fn without_a_rule_nobody_but_root_acts() {
    let machine = machine();
    unlimited(&machine);
    machine.root(&["systemctl", "start", "ollama.service"]);
    let before = units(&machine);
    for who in [Who::Anna, Who::Bob, Who::AnnaAtTheDesk] {
        for member in ["Start", "Stop", "Restart", "Reload", "Enable", "Disable"] {
            let name = act(&machine, who, member, "ollama").refused();
            // polkit would ask an administrator, which the call does not let it.
            assert_eq!(name, "InteractiveAuthorizationRequired", "{who:?} {member}");
        }
    }
    assert_eq!(units(&machine), before);
    for record in machine.audit(18) {
        assert_eq!(record["AICTL_DECISION"], "denied", "{record:#}");
    }
}

#[test]
fn a_question_that_nobody_can_answer_is_a_refusal() {
    let machine = machine();
    let arguments = [json!("ollama"), json!(0), json!(0)];
    let answer = machine.call_with(&["--ask"], Who::Anna, "Services.Start", "stu", &arguments);
    // There is no agent that would ask.
    let name = answer.refused();
    assert!(
        ["NotAuthorized", "InteractiveAuthorizationRequired"].contains(&name.as_str()),
        "{name}"
    );
    assert_eq!(state(&machine, "ollama.service"), "inactive");
}

#[test]
fn names_that_are_no_services_have_one_error_and_a_record_each() {
    let machine = machine();
    unlimited(&machine);
    machine.root(&["systemctl", "start", "ssh.service", "ollama.service"]);
    let before = units(&machine);
    let nothing = act(&machine, Who::Root, "Restart", "nothing").error();
    assert_eq!(nothing.0, "NoSuchService");
    let names = [
        "ssh",
        "ssh.service",
        "ollama.service",
        "ollama.service.service",
        "../ollama",
        "/ollama",
        "Ollama",
        "ollama ",
        "ollama\n",
        "ollam*",
        "llm@1",
        "-",
        "",
        "\u{43e}llama",
        "ollama\u{200b}",
        "$(reboot)",
        "%n",
    ];
    for name in names {
        let (error, message) = act(&machine, Who::Root, "Restart", name).error();
        let same = (error.as_str(), message.as_str()) == (nothing.0.as_str(), nothing.1.as_str());
        assert!(same || error == "InvalidArgument", "{name:?}: {error}: {message}");
    }
    assert_eq!(units(&machine), before);
    for record in machine.audit(names.len() + 1) {
        let decision = record["AICTL_DECISION"].as_str().unwrap();
        assert!(["denied", "invalid"].contains(&decision), "{record:#}");
    }
}

#[test]
fn another_name_of_a_unit_is_no_way_to_it() {
    let machine = machine();
    machine.root(&["systemctl", "start", "ssh.service"]);
    let before = units(&machine);
    // In the catalogue; on this machine, lmstudio.service is another name of ssh.service.
    for member in ["Start", "Stop", "Restart", "Reload", "Enable", "Disable"] {
        act(&machine, Who::Root, member, "lmstudio").refused();
    }
    assert_eq!(units(&machine), before);
    machine.audit(6);
}

#[test]
fn a_failure_is_told_with_the_last_lines_of_the_log_and_no_secret() {
    let machine = machine();
    let text = match act(&machine, Who::Root, "Start", "koboldcpp") {
        Answer::Ok(record) => record.to_string(),
        Answer::Error(name, message) => format!("{name} {message}"),
    };
    assert!(text.contains("no model"), "{text}");
    assert!(!text.contains("0123456789abcdef"), "{text}");
    let record = &machine.audit(1)[0];
    assert_eq!(record["AICTL_RESULT"], "failed", "{record:#}");
    assert!(!record.to_string().contains("0123456789abcdef"), "{record:#}");
}

#[test]
fn a_time_out_is_its_own_error() {
    let machine = machine();
    let arguments = [json!("comfyui"), json!(0), json!(300)];
    let answer = machine.call(Who::Root, "Services.Start", "stu", &arguments);
    assert_eq!(answer.refused(), "TimedOut");
    go(&machine);
    machine.audit(1);
}

#[test]
fn a_call_that_does_not_wait_returns_at_once() {
    let machine = machine();
    let arguments = [json!("comfyui"), json!(1), json!(0)];
    let record = machine.call(Who::Root, "Services.Start", "stu", &arguments).ok();
    assert_eq!(record["job_result"], "queued", "{record}");
    wait_for_the_job(&machine);
    go(&machine);
    machine.wait_for("comfyui.service", || state(&machine, "comfyui.service") == "active");
}

#[test]
fn a_helper_killed_in_mid_call_leaves_nothing_half_done() {
    let machine = machine();
    let call = begin(&machine, Who::Root, "Start", "comfyui");
    wait_for_the_job(&machine);
    machine.root(&["systemctl", "kill", "--signal=KILL", "aictld.service"]);
    let answer = Answer::parse(&call.wait_with_output().unwrap());
    assert_eq!(answer.refused(), "org.freedesktop.DBus.Error.NoReply");
    // The next call works, and sees what the first has begun.
    let get = |machine: &Machine| machine.call(Who::Bob, "Services.Get", "s", &[json!("comfyui")]);
    assert_eq!(get(&machine).ok()["active_state"], "activating");
    go(&machine);
    machine.wait_for("comfyui.service", || state(&machine, "comfyui.service") == "active");
    assert_eq!(get(&machine).ok()["active_state"], "active");
}

#[test]
fn a_call_outlives_a_new_systemd() {
    let machine = machine();
    let call = begin(&machine, Who::Root, "Start", "comfyui");
    wait_for_the_job(&machine);
    machine.root(&["systemctl", "daemon-reexec"]);
    go(&machine);
    let record = Answer::parse(&call.wait_with_output().unwrap()).ok();
    assert_eq!(record["job_result"], "done", "{record}");
    assert_eq!(record["active_state"], "active", "{record}");
}

#[test]
fn without_polkit_nothing_is_allowed() {
    let machine = machine();
    machine.root(&["systemctl", "--runtime", "mask", "--now", "polkit.service"]);
    let refused = act(&machine, Who::Bob, "Start", "ollama").refused();
    machine.root(&["systemctl", "--runtime", "unmask", "polkit.service"]);
    assert_eq!(refused, "AuthorizationUnavailable");
    assert_eq!(state(&machine, "ollama.service"), "inactive");
    machine.audit(1);
    act(&machine, Who::Root, "Start", "ollama").ok();
}

#[test]
fn without_a_journal_nothing_is_done() {
    let machine = machine();
    let units =
        ["systemd-journald.socket", "systemd-journald-dev-log.socket", "systemd-journald.service"];
    machine.root(&[&["systemctl", "stop"], &units[..]].concat());
    let refused = act(&machine, Who::Root, "Start", "ollama").refused();
    let state = state(&machine, "ollama.service");
    machine.root(&[&["systemctl", "start"], &units[..]].concat());
    assert_eq!(refused, "Unavailable");
    assert_eq!(state, "inactive");
    act(&machine, Who::Root, "Start", "ollama").ok();
}

#[test]
fn a_bad_configuration_changes_nothing_until_it_is_good() {
    let machine = machine();
    let config = "/etc/aictl/aictl.toml";
    let health = |machine: &Machine| machine.call(Who::Bob, "Manager.Health", "", &[]).ok();
    machine.write(config, "[services.ollama]\nverbs = [\"start\"]\n");
    let narrow = |machine: &Machine| act(machine, Who::Root, "Stop", "ollama").refused();
    assert_eq!(narrow(&machine), "ActionNotAllowed");
    assert_eq!(health(&machine)["config"], "ok");
    machine.write(config, "[services.ollama]\nverbs = [\"explode\"]\n");
    machine.root(&["systemctl", "reload", "aictld.service"]);
    machine.wait_for("the helper's word on the configuration", || {
        health(&machine)["config"].as_str().unwrap().contains("explode")
    });
    assert_eq!(narrow(&machine), "ActionNotAllowed");
    // A helper that starts with it does nothing for anybody.
    machine.root(&["systemctl", "restart", "aictld.service"]);
    assert_eq!(act(&machine, Who::Root, "Start", "ollama").refused(), "NoSuchService");
    machine.remove(config);
    machine.root(&["systemctl", "reload", "aictld.service"]);
    machine.wait_for("the good configuration", || health(&machine)["config"] == "ok");
    act(&machine, Who::Root, "Stop", "ollama").ok();
}

#[test]
fn a_configuration_that_others_could_have_written_is_none() {
    let machine = machine();
    machine.write("/etc/aictl/aictl.toml", "");
    machine.root(&["chown", "anna", "/etc/aictl/aictl.toml"]);
    assert_eq!(act(&machine, Who::Root, "Start", "ollama").refused(), "NoSuchService");
    let health = machine.call(Who::Bob, "Manager.Health", "", &[]).ok();
    assert_ne!(health["config"], "ok", "{health}");
}

#[test]
fn too_many_calls_are_told_when_to_come_again() {
    let machine = machine();
    let limited = (0..30).find_map(|_| match act(&machine, Who::Bob, "Start", "nothing").error() {
        (name, message) if name == "LimitExceeded" => Some(message),
        (name, message) => {
            assert_eq!(name, "NoSuchService", "{message}");
            None
        }
    });
    let message = limited.expect("nobody stopped Bob");
    assert!(message.contains("try again in "), "{message}");
    // What Bob does is not held against Anna, and looking is another matter.
    assert_eq!(act(&machine, Who::Anna, "Start", "nothing").refused(), "NoSuchService");
    machine.call(Who::Bob, "Services.Get", "s", &[json!("ollama")]).ok();
}

#[test]
fn health_tells_what_is_there() {
    let machine = machine();
    let health = machine.call(Who::Bob, "Manager.Health", "", &[]).ok();
    for part in ["journal", "polkit", "systemd"] {
        assert!([json!(true), json!(1)].contains(&health[part]), "{part}: {health}");
    }
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_audit_command_shows_what_was_called() {
    let machine = machine();
    act(&machine, Who::Bob, "Restart", "../ollama").refused();
    act(&machine, Who::Root, "Start", "ollama").ok();
    machine.audit(2);
    let text = machine.root(&["aictl", "audit", "--json", "-n", "2"]);
    let document: Value = serde_json::from_str(&text).unwrap();
    let text = document.to_string();
    assert!(text.contains("Restart") && text.contains("denied"), "{text}");
    assert!(text.contains("Start") && text.contains("allowed"), "{text}");
}

/// Nothing to be seen is not nothing there.
#[test]
fn whoever_may_not_read_the_systems_journal_is_told_so() {
    let machine = machine();
    // Whoever has logged in has a journal of their own.
    machine.run(Who::AnnaAtTheDesk, &["true"]).ok();
    machine.root(&["journalctl", "--sync"]);
    for who in [Who::AnnaAtTheDesk, Who::Anna, Who::Bob] {
        let answer = machine.run(who, &["aictl", "audit"]);
        assert_eq!(answer.code, Some(126), "{who:?}: {answer:?}");
    }
}
