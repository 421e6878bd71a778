//! What a configuration changes for `aictl run`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    fs,
    process::{Command, Output},
};

use common::{Dir, aictl, report, run, stderr, stdout};
use serde_json::{Value, json};

#[test]
fn limits_come_from_the_configuration_where_the_command_line_gives_none() {
    let dir = Dir::new();
    let config = dir.file("c.toml", "[sandbox.limits]\nmax-output = 10\nmax-source = 200\n");
    let config = config.to_str().unwrap();
    let script = "print('x' * 50)";
    let cut = report(&["--config", config], script);
    assert_eq!((&cut["outcome"], &cut["stdout"]), (&"output-limit".into(), &"x".repeat(10).into()));
    let whole = report(&["--config", config, "--max-output", "1K"], script);
    assert_eq!(whole["outcome"], "exited", "{whole}");
    // The one limit that no option sets.
    let large = dir.file("large.py", "#".repeat(201));
    let output = run(["--config".as_ref(), config.as_ref(), large.as_os_str()]);
    assert_eq!(output.status.code(), Some(126), "{}", stderr(&output));
}

#[test]
fn more_than_the_configured_most_is_refused_by_name() {
    let dir = Dir::new();
    let config = dir.file("c.toml", "\n[sandbox.max]\nmemory = \"1G\"\n");
    let script = dir.file("s.sh", "echo done\n");
    let with = |memory: &str| {
        let mut command = aictl();
        command.arg("run").arg("--config").arg(&config).args(["--memory", memory]).arg(&script);
        command.output().unwrap()
    };
    let output = with("2G");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    let message = format!(
        "aictl: memory 2G is more than allowed: at most 1G, by sandbox.max.memory at {}:3\n",
        config.display()
    );
    assert_eq!(stderr(&output), message);
    let output = with("1G");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "done\n"));
}

#[test]
fn python_comes_from_the_configuration_unless_the_command_line_names_one() {
    let dir = Dir::new();
    let config = dir.file("c.toml", "[sandbox]\npython = \"/no/such/python3\"\n");
    let python = dir.file("s.py", "print('done')\n");
    let shell = dir.file("s.sh", "echo done\n");
    let with = |words: &[&str], script| {
        aictl().arg("run").arg("--config").arg(&config).args(words).arg(script).output().unwrap()
    };
    let output = with(&[], &python);
    assert_eq!(output.status.code(), Some(127));
    let text = stderr(&output);
    let place = format!("sandbox.python at {}:2", config.display());
    assert!(text.contains("/no/such/python3") && text.contains(&place), "{text}");
    for output in [with(&["--python", "/usr/bin/python3"], &python), with(&[], &shell)] {
        assert_eq!(stdout(&output), "done\n", "{}", stderr(&output));
    }
}

#[test]
fn a_named_file_must_be_there_and_be_right() {
    let dir = Dir::new();
    let script = dir.file("s.sh", "echo done\n");
    let wrong = dir.file("wrong.toml", "[sandbox.limits]\ntimout = \"1s\"\n");
    for (path, message) in [
        (dir.path().join("none.toml"), "there is no configuration file DIR/none.toml"),
        (dir.path().to_owned(), "DIR is a directory, not a configuration file"),
        (
            wrong,
            "DIR/wrong.toml:2: sandbox.limits.timout = \"1s\": unknown key; did you mean timeout?",
        ),
    ] {
        let output = aictl().arg("--config").arg(path).arg("run").arg(&script).output().unwrap();
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{message}");
        let text = stderr(&output).replace(dir.path().to_str().unwrap(), "DIR");
        assert_eq!(text, format!("aictl: {message}\n"));
    }
}

#[test]
fn doctor_looks_at_the_configuration_too() {
    let dir = Dir::new();
    let good = dir.file("good.toml", "[sandbox]\npython = \"/usr/bin/python3\"\n");
    let bad = dir.file("bad.toml", "[sandbox]\npython = 3\n");
    let doctor = |file| aictl().arg("doctor").arg("--config").arg(file).output().unwrap();
    let output = doctor(good);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let output = doctor(bad);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains("FAILED   config") && text.contains("sandbox.python"), "{text}");
}

/// It goes into reports of bugs, which everybody reads.
#[test]
fn the_doctors_document_has_nothing_private_in_it() {
    let dir = Dir::new();
    let home = dir.path().join("secret-home");
    fs::create_dir_all(home.join("secret plans")).unwrap();
    let file = home.join("secret plans/secret.toml");
    let text =
        "sandbox.python = 3\nservices.ollama.verbs = [\"dance\"]\nhelper.x = \"sk-secret12345\"\n";
    fs::write(&file, text).unwrap();
    let output = aictl()
        .args(["doctor", "--json", "--config"])
        .arg(&file)
        .env("HOME", &home)
        .env("USER", "secret-user")
        .env("LOGNAME", "secret-user")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    for private in ["secret", dir.path().to_str().unwrap()] {
        assert!(!text.contains(private), "{private}: {text}");
    }
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let mut words = text.split(|c: char| !c.is_alphanumeric() && !"-.".contains(c));
    let is_common = ["", "localhost", "(none)"].contains(&host.trim());
    assert!(is_common || words.all(|word| word != host.trim()), "{host}: {text}");
    let uid = nix::unistd::getuid();
    assert!(uid.is_root() || !text.contains(&format!("user-{uid}")), "{text}");
    // What is left says where, and what.
    let report: Value = serde_json::from_str(&text).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let config: Vec<&str> = checks
        .iter()
        .filter(|check| check["name"] == "config")
        .map(|check| check["detail"].as_str().unwrap())
        .collect();
    assert_eq!(config.len(), 3, "{text}");
    assert!(config[0].starts_with("~/...:1: sandbox.python"), "{config:?}");
}

/// Without user namespaces nothing runs, and the knob is named that forbids them, with the command
/// that turns it.
#[test]
fn the_knob_is_named_that_forbids_user_namespaces() {
    let dir = Dir::new();
    let script = dir.file("a.py", "print(1)");
    let forbidden = |arguments: &[&str]| {
        let knob = "/proc/sys/user/max_user_namespaces";
        let text = format!("echo 0 >{knob} && exec \"$0\" \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-current-user", "--keep-caps", "sh", "-c", &text]);
        command.arg(env!("CARGO_BIN_EXE_aictl")).args(arguments).output().unwrap()
    };
    let output = forbidden(&["--embedded", "run", script.to_str().unwrap()]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(125), "{text}");
    assert!(text.contains("user.max_user_namespaces is 0"), "{text}");
    assert!(text.contains("`sudo sysctl -w user.max_user_namespaces=10000`"), "{text}");
    let output = forbidden(&["--embedded", "doctor"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("FAILED user-ns user.max_user_namespaces is 0"), "{text}");
}

/// `aictl config` with a configuration of this text.
fn config(words: &[&str], text: &str) -> Output {
    let dir = Dir::new();
    let file = dir.file("c.toml", text);
    let output = aictl().arg("config").args(words).arg("--config").arg(file).output().unwrap();
    let place = dir.path().to_str().unwrap();
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(place, "DIR").into_bytes();
    Output { stdout: shown(&output.stdout), stderr: shown(&output.stderr), ..output }
}

#[test]
fn show_tells_each_value_and_where_it_is_set() {
    let text = "[services.ollama]\nverbs = [\"restart\"]\n[helper]\nidle-timeout = \"2m\"\n";
    let output = config(&["show"], text);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let shown = stdout(&output);
    for line in [
        "helper.idle-timeout = \"2m\"  # DIR/c.toml:4",
        "services.ollama.verbs = [\"restart\"]  # DIR/c.toml:2",
        "services.ollama.unit = \"ollama.service\"",
        "audit.required = true",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    // What it shows is a configuration, and the same one.
    let dir = Dir::new();
    let same = dir.file("same.toml", &shown);
    let output = aictl().args(["config", "show", "--config"]).arg(same).output().unwrap();
    let bare = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(bare(&stdout(&output)), bare(&shown), "{}", stderr(&output));
    let document: Value =
        serde_json::from_slice(&config(&["show", "--json"], text).stdout).unwrap();
    let settings = document["settings"].as_array().unwrap();
    let verbs = settings.iter().find(|setting| setting["key"] == "services.ollama.verbs").unwrap();
    assert_eq!(verbs["place"], json!({ "file": "DIR/c.toml", "line": 2 }));
}

#[test]
fn check_tells_all_that_is_wrong() {
    let wrong = "[helper]\nidle-timeout = \"0s\"\n[service.x]\n[audit]\nrequired = 1\n";
    let output = config(&["check"], wrong);
    assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()));
    let text = stderr(&output);
    for (line, words) in text.lines().zip([
        "aictl: DIR/c.toml:2: helper.idle-timeout = \"0s\"",
        "aictl: DIR/c.toml:3: service",
        "aictl: DIR/c.toml:5: audit.required = 1",
    ]) {
        assert!(line.starts_with(words), "{line}");
    }
    assert_eq!(text.lines().count(), 3, "{text}");
    let document: Value =
        serde_json::from_slice(&config(&["check", "--json"], wrong).stdout).unwrap();
    assert_eq!(document["ok"], false);
    assert_eq!(document["problems"].as_array().unwrap().len(), 3);
    let output = config(&["check"], "");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // A file of its own goes before --config.
    let output = config(&["check", "/nonexistent.toml"], "");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("/nonexistent.toml"));
}

#[test]
fn the_schema_is_a_schema() {
    let output = aictl().args(["config", "schema"]).output().unwrap();
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema["$schema"].is_string() && schema["properties"]["services"].is_object());
}
