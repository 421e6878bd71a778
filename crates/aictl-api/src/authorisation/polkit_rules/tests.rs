//! Tests of the rules, by an engine that runs them.

use std::{
    env,
    io::Write,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::*;
use crate::service::{ServiceName, UnitName, Verbs};

/// What the rules see, and what they answer: polkit as far as a rule knows it
/// (polkitbackend/init.js), around the rules of its input.
const POLKIT: &str = r#"
const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const rules = [];
const polkit = {
    Result: { NO: "no", YES: "yes", AUTH_ADMIN: "auth_admin", NOT_HANDLED: null },
    addRule: (rule) => rules.push(rule),
};
// What every object inherits, once another rule has put it there.
Object.prototype["inherited.service"] = { start: true };
Object.prototype.freeze = true;
new Function("polkit", input.rules)(polkit);
if (rules.length !== 1) throw new Error(rules.length + " rules");
const answer = ({ action, user, details }) => rules[0](
    { id: action, lookup: (key) => Object.hasOwn(details, key) ? details[key] : undefined },
    { user: user, groups: [], local: true, active: true },
);
process.stdout.write(JSON.stringify(input.cases.map((one) => answer(one) ?? null)));
"#;

/// The rules' answers to the cases; `None` if there is no engine on this machine.
fn answers(catalogue: &Catalogue, cases: &[Value]) -> Option<Vec<Value>> {
    let node = Command::new("node")
        .args(["-e", POLKIT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let mut node = match node {
        Ok(node) => node,
        Err(error) => {
            assert!(env::var_os("AICTL_TEST_STRICT").is_none(), "node cannot be run: {error}");
            eprintln!("not run: node cannot be run: {error}");
            return None;
        }
    };
    let input = json!({ "rules": rules(catalogue), "cases": cases }).to_string();
    node.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn service(name: &str, unit: &str, verbs: Verbs) -> Service {
    Service {
        name: ServiceName::parse(name).unwrap(),
        display: name.to_owned(),
        unit: UnitName::parse(unit).unwrap(),
        verbs,
        required: false,
        provider: None,
        endpoint: None,
    }
}

fn catalogue() -> Catalogue {
    Catalogue::new(vec![
        service("all", "all.service", Verbs::ALL),
        service("look", "look.service", Verbs::NONE),
        service("start", "start.service", Verbs::of(&[Verb::Start])),
        service("boot", "boot.service", Verbs::of(&[Verb::Enable])),
        service("odd", "a\\x2db:c@d\\x22.service", Verbs::of(&[Verb::Stop, Verb::Disable])),
        service("proto", "__proto__.service", Verbs::of(&[Verb::Reload])),
    ])
    .unwrap()
}

const MANAGE: &str = "org.freedesktop.systemd1.manage-units";

#[test]
fn exactly_the_pairs_of_the_catalogue_are_allowed_to_the_helper_alone() {
    let catalogue = catalogue();
    let units = [
        "all.service",
        "look.service",
        "start.service",
        "boot.service",
        "a\\x2db:c@d\\x22.service",
        "a-b:c@d\".service",
        "__proto__.service",
        "aictl-unit-file@enable:all.service",
        "aictl-unit-file@disable:all.service",
        "aictl-unit-file@enable:boot.service",
        "aictl-unit-file@disable:boot.service",
        "aictl-unit-file@enable:a\\x2db:c@d\\x22.service",
        "aictl-unit-file@disable:a\\x2db:c@d\\x22.service",
        "aictl-unit-file@enable:ssh.service",
        "aictl-unit-file@start:all.service",
        "aictl-unit-file@.service",
        // None of the catalogue's, however alike.
        "ssh.service",
        "all",
        "All.service",
        "all.service ",
        " all.service",
        "all.service\n",
        "all.service\0",
        "all.service.service",
        "../all.service",
        "all*.service",
        "all@.service",
        "all.socket",
        "\u{430}ll.service",
        "",
        "inherited.service",
        "__proto__",
        "constructor",
        "hasOwnProperty",
        "toString",
    ];
    let verbs = [
        "start",
        "stop",
        "restart",
        "reload",
        "enable",
        "disable",
        "try-restart",
        "reload-or-restart",
        "kill",
        "set-property",
        "freeze",
        "reset-failed",
        "Start",
        "start ",
        "",
        "__proto__",
        "constructor",
        "toString",
    ];
    let mut cases = Vec::new();
    let mut expected = Vec::new();
    for user in ["aictl", "root", "anna", "aictl ", "Aictl", "aictl-sandbox", "", "__proto__"] {
        for unit in units {
            for verb in verbs {
                let details = json!({ "unit": unit, "verb": verb });
                cases.push(json!({ "action": MANAGE, "user": user, "details": details }));
                let is_allowed = match unit {
                    "all.service" => ["start", "stop", "restart", "reload"].contains(&verb),
                    "start.service" => verb == "start",
                    "a\\x2db:c@d\\x22.service" => verb == "stop",
                    "__proto__.service" => verb == "reload",
                    "aictl-unit-file@enable:all.service"
                    | "aictl-unit-file@disable:all.service"
                    | "aictl-unit-file@enable:boot.service"
                    | "aictl-unit-file@disable:a\\x2db:c@d\\x22.service" => verb == "start",
                    _ => false,
                };
                expected.push(match (user, is_allowed) {
                    ("aictl", true) => json!("yes"),
                    ("aictl", false) => json!("no"),
                    _ => Value::Null,
                });
            }
        }
    }
    let Some(answers) = answers(&catalogue, &cases) else { return };
    assert_eq!(answers.len(), expected.len());
    for ((case, answer), expected) in cases.iter().zip(answers).zip(expected) {
        assert_eq!(answer, expected, "{case}");
    }
}

#[test]
fn every_other_action_is_denied_to_the_helper_and_left_alone_for_others() {
    let good = json!({ "unit": "all.service", "verb": "start" });
    let odd = [
        json!({}),
        json!({ "unit": "all.service" }),
        json!({ "verb": "start" }),
        json!({ "unit": ["all.service"], "verb": "start" }),
        json!({ "unit": "all.service", "verb": ["start"] }),
        json!({ "unit": "all.service", "verb": { "start": true } }),
        json!({ "unit": null, "verb": null }),
    ];
    let mut table: Vec<(&str, &Value, Value)> = vec![
        (MANAGE, &good, json!("yes")),
        ("org.freedesktop.systemd1.manage-unit-files", &good, json!("no")),
        ("org.freedesktop.systemd1.reload-daemon", &good, json!("no")),
        ("org.freedesktop.systemd1.set-environment", &good, json!("no")),
        ("org.freedesktop.systemd1.manage-units2", &good, json!("no")),
        ("org.freedesktop.systemd1.Manage-Units", &good, json!("no")),
        ("org.freedesktop.login1.power-off", &good, json!("no")),
        ("org.freedesktop.policykit.exec", &good, json!("no")),
        ("com.org.aictl1.services.read", &good, json!("no")),
        ("org.aictl1", &good, json!("no")),
        ("org.aictl12.services.read", &good, json!("no")),
        ("", &good, json!("no")),
        ("org.aictl1.services.read", &good, Value::Null),
        ("org.aictl1.services.control", &good, Value::Null),
    ];
    table.extend(odd.iter().map(|details| (MANAGE, details, json!("no"))));
    let cases: Vec<Value> = ["aictl", "anna"]
        .iter()
        .flat_map(|user| {
            table.iter().map(move |(action, details, _)| {
                json!({ "action": action, "user": user, "details": details })
            })
        })
        .collect();
    let Some(answers) = answers(&catalogue(), &cases) else { return };
    let (of_helper, of_anna) = answers.split_at(table.len());
    for ((action, details, expected), answer) in table.iter().zip(of_helper) {
        assert_eq!(answer, expected, "{action} {details}");
    }
    assert!(of_anna.iter().all(Value::is_null), "{of_anna:?}");
}

#[test]
fn an_empty_catalogue_allows_nothing() {
    let details = json!({ "unit": "ollama.service", "verb": "start" });
    let case = |user| json!({ "action": MANAGE, "user": user, "details": details });
    let cases = [case("aictl"), case("root")];
    let Some(answers) = answers(&Catalogue::empty(), &cases) else { return };
    assert_eq!(answers, [json!("no"), Value::Null]);
}

/// The engine here knows more of the language than polkit's does.
#[test]
fn the_rules_are_of_the_fifth_edition_and_of_plain_characters() {
    let text = rules(&catalogue());
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    for newer in ["=>", "`", "...", "let ", "const ", "class ", "for (", "?.", "??"] {
        assert!(!code.contains(newer), "{newer}");
    }
    assert!(!code.contains(",\n    }") && !code.contains(", }"), "a comma before a brace");
    assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
    assert_eq!(text.matches("polkit.addRule(").count(), 1);
}

#[test]
fn the_same_catalogue_yields_the_same_text() {
    assert_eq!(rules(&catalogue()), rules(&catalogue()));
    assert_ne!(rules(&catalogue()), rules(&Catalogue::builtin()));
}
