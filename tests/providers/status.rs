//! What the rows of real servers say, while all is well and while it is not.

use serde_json::{Value, json};

use crate::{
    machine::Who,
    servers::{
        ALL, LITELLM, LLAMA_CPP_PYTHON, LLAMA_SERVER, Server, Servers, WHISPER, notes, servers,
    },
};

/// The version that a package of Python says it has.
fn version_of(machine: &Servers, directory: &str, package: &str) -> String {
    let script = "import importlib.metadata as m, sys\n\
                  print(next(iter(m.distributions(name=sys.argv[2], path=[sys.argv[1]]))).version)";
    let argv = ["python3", "-I", "-c", script, directory, package];
    machine.root(&argv).trim().to_owned()
}

#[track_caller]
fn row_of<'a>(document: &'a Value, server: &Server) -> &'a Value {
    let rows = document["services"].as_array().unwrap();
    rows.iter()
        .find(|row| row["name"] == server.name)
        .unwrap_or_else(|| panic!("no row of {}: {document:#}", server.name))
}

#[test]
fn whoever_has_the_keys_sees_all_of_it() {
    let machine = servers();
    machine.give_anna_the_keys();
    let document = machine.status(Who::Anna, &[]);
    println!("{document:#}");
    println!("{}", machine.run(Who::Anna, &["aictl", "status"]));
    for server in ALL.iter().filter(|server| server.is_there(&machine)) {
        let row = row_of(&document, server);
        assert_eq!(row["health"], "active", "{row:#}");
        assert_eq!(row["provider"], server.provider, "{row:#}");
        assert_eq!(row["notes"], json!([]), "{row:#}");
        let unit = server.unit();
        assert_eq!(row["main_pid"].to_string(), machine.property(&unit, "MainPID"), "{row:#}");
        let latency = row["latency_ms"].as_f64().unwrap_or_else(|| panic!("{row:#}"));
        assert!(latency > 0.0, "{row:#}");
        assert!(row["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{row:#}");
        match server.models {
            Some(model) => assert_eq!(row["models"], json!([model]), "{row:#}"),
            None => assert_eq!(row["models"], Value::Null, "{row:#}"),
        }
    }
    // What they tell of themselves is what their packages say.
    for (server, directory, package) in [
        (LITELLM, "/opt/litellm", "litellm"),
        (LLAMA_CPP_PYTHON, "/opt/llama-cpp-python", "llama_cpp_python"),
    ] {
        if server.is_there(&machine) {
            let version = version_of(&machine, directory, package);
            assert_eq!(row_of(&document, &server)["version"], version);
        }
    }
    let row = row_of(&document, &LLAMA_SERVER);
    assert_eq!(row["requests_running"], 0, "{row:#}");
    let text = document.to_string();
    for key in ALL.iter().filter_map(|server| server.key) {
        assert!(!text.contains(key), "{text}");
    }
}

#[test]
fn without_a_key_a_row_says_how_to_give_one() {
    let machine = servers();
    // LiteLLM says to all that it is well, and hides the rest.
    for (server, health) in [(LITELLM, "active"), (LLAMA_SERVER, "degraded")] {
        if !server.is_there(&machine) {
            continue;
        }
        let row = machine.row(Who::Bob, &[], &server);
        assert_eq!(row["health"], health, "{row:#}");
        assert_eq!(row["provider"], server.provider, "{row:#}");
        let text = notes(&row);
        assert!(text.contains("key") && text.contains("keys.toml"), "{text}");
    }
}

#[test]
fn a_wrong_key_is_told_and_not_shown() {
    let machine = servers();
    for server in [LITELLM, LLAMA_SERVER] {
        if !server.is_there(&machine) {
            continue;
        }
        let variable = format!("AICTL_KEY_{}", server.name.to_uppercase().replace('-', "_"));
        let wrong = format!("{variable}=sk-wrong-0123456789");
        let row = machine.row(Who::Bob, &[&wrong], &server);
        assert_eq!(row["health"], "degraded", "{row:#}");
        let text = notes(&row);
        assert!(text.contains("key"), "{text}");
        assert!(!row.to_string().contains("sk-wrong"), "{row:#}");
        // The right one does, given in the same way.
        let right = format!("{variable}={}", server.key.unwrap());
        assert_eq!(machine.row(Who::Bob, &[&right], &server)["health"], "active");
    }
}

#[test]
fn a_server_that_still_loads_is_degraded() {
    let machine = servers();
    // It opens this for reading, and waits until somebody writes.
    let slow = "/var/lib/slow.gguf";
    if !machine.exists(slow) {
        machine.root(&["mkfifo", "--mode=0666", slow]);
    }
    machine.restart_with(&LLAMA_SERVER, &format!("MODEL={slow}"));
    let mut row = Value::Null;
    machine.wait_for("a server that loads", || {
        row = machine.row(Who::Bob, &[], &LLAMA_SERVER);
        notes(&row).contains("load")
    });
    assert_eq!(row["health"], "degraded", "{row:#}");
    assert_eq!(row["models"], Value::Null, "{row:#}");
}

#[test]
fn a_killed_server_comes_back_and_its_restart_is_counted() {
    let machine = servers();
    let unit = LLAMA_SERVER.unit();
    let before: u32 = machine.property(&unit, "NRestarts").parse().unwrap();
    machine.root(&["systemctl", "kill", "--signal=KILL", &unit]);
    machine.wait_for("the restart", || {
        machine.property(&unit, "NRestarts").parse::<u32>().unwrap() > before
    });
    LLAMA_SERVER.wait_until_ready(&machine);
    machine.give_anna_the_keys();
    let row = machine.row(Who::Anna, &[], &LLAMA_SERVER);
    assert_eq!(row["health"], "active", "{row:#}");
    assert_eq!(row["restarts"], before + 1, "{row:#}");
}

#[test]
fn a_server_that_cannot_start_is_a_restart_loop() {
    let machine = servers();
    machine.restart_with(&LLAMA_SERVER, "MODEL=/nothing.gguf");
    let unit = LLAMA_SERVER.unit();
    machine.wait_for("three restarts", || {
        machine.property(&unit, "NRestarts").parse::<u32>().unwrap() >= 3
    });
    let row = machine.row(Who::Bob, &[], &LLAMA_SERVER);
    assert_ne!(row["health"], "active", "{row:#}");
    let text = notes(&row);
    assert!(text.contains("restart"), "{text}");
    assert!(text.contains("aictl logs llama-cpp-native"), "{text}");
}

#[test]
fn a_port_that_another_unit_has_is_told_with_its_name() {
    let machine = servers();
    let text = "[services.llama-cpp-native]\nendpoint = \"http://127.0.0.1:8090\"\n";
    machine.write("/etc/aictl/aictl.toml", text);
    machine.restart_with(&LLAMA_SERVER, "PORT=8090");
    let mut row = Value::Null;
    machine.wait_for("a note on the port", || {
        row = machine.row(Who::Bob, &[], &LLAMA_SERVER);
        notes(&row).contains("whisper-cpp.service")
    });
    assert_ne!(row["health"], "active", "{row:#}");
    assert!(notes(&row).contains("8090"), "{row:#}");
    // Where the port is whose it should be, nothing is said of it.
    let row = machine.row(Who::Bob, &[], &WHISPER);
    assert_eq!((&row["health"], notes(&row).as_str()), (&json!("active"), ""), "{row:#}");
}
